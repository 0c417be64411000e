/* gemv.h - products with one row, one column or a depth of one, and sums over rows. No include
 * guard: kernels.c includes it once per type. The order in which an element is summed depends on
 * the depth alone, so its bits do not depend on neighbouring elements, and threads may divide the
 * elements. */

/* y[i*ys] (+)= the sum over p of x times w for n elements: either dot products, with x contiguous
 * and w[i*ws + p], or combinations of rows, with x[p*xs] w[p*ws + i] and ys == 1. */
typedef struct {
    size_t n, k, tasks;
    const R *x; size_t xs;
    const R *w; size_t ws;
    R *y; size_t ys;
    int add;
} CAT(vector_product, SFX);

/* out[i] = sum of the tasks of s[i]. */
static ALWAYS void CAT(sum4, SFX)(const V *s, R *out)
{
    const V even = LOWER(s[0], s[2]) + UPPER(s[0], s[2]),
            odd = LOWER(s[1], s[3]) + UPPER(s[1], s[3]);
    R t[2 * L];
    if (L == 2) {
        STORE(t, LOWER(even, odd));
        STORE(t + L, UPPER(even, odd));
    } else STORE(t, LOWER(even, odd) + UPPER(even, odd));       /* 0 1 2 3 0 1 2 3 ... */
    UNROLL for (size_t half = L / 2; half >= 4; half /= 2)
        UNROLL for (size_t i = 0; i < half; i++) t[i] += t[i + half];
    UNROLL for (size_t i = 0; i < 4; i++) out[i] = t[i];
}

/* Dot products of x with up to `rows` rows of w from row i on, of which `left` remain; rows is 4 or
 * 8. */
static ALWAYS void CAT(dot_rows, SFX)(const CAT(vector_product, SFX) * v, const int rows, size_t i,
                                      size_t left)
{
    const R *x = v->x, *row[8];
    const size_t k = v->k;
    R out[8];
    V s[8];
    UNROLL for (int r = 0; r < rows; r++) {
        row[r] = v->w + (i + ((size_t)r < left ? (size_t)r : left - 1)) * v->ws;
        s[r] = (V){ 0 };
    }
    size_t p = 0;
    /* two adjacent cache lines of a row at a time: the hardware fetches them together */
    for (; p + 2 * L <= k; p += 2 * L) {
        const V x0 = LOAD(x + p), x1 = LOAD(x + p + L);
        UNROLL for (int r = 0; r < rows; r++)
            s[r] = FMA(x1, LOAD(row[r] + p + L), FMA(x0, LOAD(row[r] + p), s[r]));
    }
    if (p + L <= k) {
        const V xp = LOAD(x + p);
        UNROLL for (int r = 0; r < rows; r++) s[r] = FMA(xp, LOAD(row[r] + p), s[r]);
        p += L;
    }
    if (p < k) {
        const V xp = LOAD_PART(x + p, k - p);
        UNROLL for (int r = 0; r < rows; r++) s[r] = FMA(xp, LOAD_PART(row[r] + p, k - p), s[r]);
    }
    UNROLL for (int r = 0; r < rows; r += 4) CAT(sum4, SFX)(s + r, out + r);
    for (size_t r = 0; r < (size_t)rows && r < left; r++) {
        R *y = v->y + (i + r) * v->ys;
        *y = v->add ? *y + out[r] : out[r];
    }
}

/* Dot products, eight rows at a time: as many streams as the prefetcher follows. */
static void CAT(dots, SFX)(const CAT(vector_product, SFX) *v, size_t from, size_t to)
{
    size_t i = from;
    for (; i + 4 < to; i += 8) CAT(dot_rows, SFX)(v, 8, i, to - i);
    if (i < to) CAT(dot_rows, SFX)(v, 4, i, to - i);
}

/* Sums down the columns of w if its rows are short: they stay in registers for DEPTH rows. */
#undef DEPTH
#define DEPTH 512
static void CAT(short_columns, SFX)(const CAT(vector_product, SFX) *v, size_t from, size_t to)
{
    for (size_t p0 = 0; p0 < v->k; p0 += DEPTH) {
        const size_t end = v->k - p0 < DEPTH ? v->k : p0 + DEPTH;
        const int add = v->add || p0 > 0;
        size_t j = from;
        for (; j + 4 * L <= to; j += 4 * L) {
            V s[4] = { { 0 } };
            for (size_t p = p0; p < end; p++)
                UNROLL for (size_t i = 0; i < 4; i++)
                    s[i] = FMA(SPLAT(v->x[p * v->xs]), LOAD(v->w + p * v->ws + j + i * L), s[i]);
            UNROLL for (size_t i = 0; i < 4; i++)
                STORE(v->y + j + i * L, add ? LOAD(v->y + j + i * L) + s[i] : s[i]);
        }
        for (; j < to; j += L) {
            const size_t n = to - j < L ? to - j : L;
            V s = { 0 }, s2 = { 0 };
            size_t p = p0;
            for (; p + 2 <= end; p += 2) {
                s = FMA(SPLAT(v->x[p * v->xs]), LOAD_PART(v->w + p * v->ws + j, n), s);
                s2 = FMA(SPLAT(v->x[(p + 1) * v->xs]), LOAD_PART(v->w + (p + 1) * v->ws + j, n),
                         s2);
            }
            if (p < end) s = FMA(SPLAT(v->x[p * v->xs]), LOAD_PART(v->w + p * v->ws + j, n), s);
            STORE_PART(v->y + j, n, add ? LOAD_PART(v->y + j, n) + (s + s2) : s + s2);
        }
    }
}

/* Sums down the columns of w if its rows are long: eight rows at a time, each read contiguously. */
static ALWAYS V CAT(down, SFX)(const CAT(vector_product, SFX) * v, size_t p, size_t rows, size_t j,
                               size_t part)
{
    const R *w = v->w + p * v->ws + j, *x = v->x + p * v->xs;
    V s = { 0 }, s2 = { 0 };
    if (rows == 8)
        UNROLL for (size_t r = 0; r < 8; r += 2) {
            s = FMA(SPLAT(x[r * v->xs]), LOAD_UPTO(w + r * v->ws, part), s);
            s2 = FMA(SPLAT(x[(r + 1) * v->xs]), LOAD_UPTO(w + (r + 1) * v->ws, part), s2);
        }
    else
        for (size_t r = 0; r < rows; r++)
            s = FMA(SPLAT(x[r * v->xs]), LOAD_UPTO(w + r * v->ws, part), s);
    return s + s2;
}
static void CAT(long_columns, SFX)(const CAT(vector_product, SFX) *v, size_t from, size_t to)
{
    for (size_t p = 0; p < v->k; p += 8) {
        const size_t rows = v->k - p < 8 ? v->k - p : 8;
        const int add = v->add || p > 0;
        size_t j = from;
        for (; j + L <= to; j += L) {
            const V s = CAT(down, SFX)(v, p, rows, j, L);
            STORE(v->y + j, add ? LOAD(v->y + j) + s : s);
        }
        if (j < to) {
            const V s = CAT(down, SFX)(v, p, rows, j, to - j);
            STORE_PART(v->y + j, to - j, add ? LOAD_PART(v->y + j, to - j) + s : s);
        }
    }
}
static void CAT(columns, SFX)(const CAT(vector_product, SFX) *v, size_t from, size_t to)
{
    if (v->ws * sizeof(R) <= 1024) CAT(short_columns, SFX)(v, from, to);
    else CAT(long_columns, SFX)(v, from, to);
}

#undef VECTOR_WORK
#define VECTOR_WORK 100000      /* multiplications that pay for a task; memory is the bottleneck */
enum { CAT(UNIT, SFX) = 4 * L };

/* The start of part i of n elements, in units of several vectors. */
static size_t CAT(vector_part, SFX)(size_t n, size_t tasks, size_t i)
{
    const size_t units = (n + CAT(UNIT, SFX) - 1) / CAT(UNIT, SFX),
                 at = (units / tasks * i + (i < units % tasks ? i : units % tasks)) *
                      CAT(UNIT, SFX);
    return at < n ? at : n;
}
static void CAT(dots_task, SFX)(void *context, size_t i)
{
    const CAT(vector_product, SFX) *v = context;
    CAT(dots, SFX)(v, CAT(vector_part, SFX)(v->n, v->tasks, i),
                   CAT(vector_part, SFX)(v->n, v->tasks, i + 1));
}
static void CAT(columns_task, SFX)(void *context, size_t i)
{
    const CAT(vector_product, SFX) *v = context;
    CAT(columns, SFX)(v, CAT(vector_part, SFX)(v->n, v->tasks, i),
                      CAT(vector_part, SFX)(v->n, v->tasks, i + 1));
}

/* Computes a product with one row or column if its vector and result are laid out suitably; returns
 * 0 if not. */
static int CAT(product_of_vector, SFX)(const pn_product *q)
{
    const int row = q->m == 1, contiguous = row ? q->tb : !q->ta;
    CAT(vector_product, SFX) v = { .n = row ? q->n : q->m,
                                   .k = q->k,
                                   .x = row ? q->a : q->b,
                                   .w = row ? q->b : q->a,
                                   .y = q->c,
                                   .add = q->accumulate };
    v.xs = row ? (q->ta ? q->lda : 1) : q->tb ? 1 : q->ldb;
    v.ws = row ? q->ldb : q->lda;
    v.ys = row ? 1 : q->ldc;
    if (contiguous ? v.xs != 1 : v.ys != 1) return 0;
    const double work = (double)v.n * (double)v.k / VECTOR_WORK;
    v.tasks = work < 2 ? 1 : work > 16 ? 16 : (size_t)work;
    if (v.tasks > 1)
        pn_parallel(v.tasks, contiguous ? CAT(dots_task, SFX) : CAT(columns_task, SFX), &v);
    else if (contiguous) CAT(dots, SFX)(&v, 0, v.n);
    else CAT(columns, SFX)(&v, 0, v.n);
    return 1;
}

/* A product with a depth of one: row i is a(i) times b, which must be contiguous. */
static void CAT(outer, SFX)(const pn_product *q, size_t from, size_t to)
{
    const R *b = q->b, *a = q->a;
    const size_t as = q->ta ? 1 : q->lda, n = q->n, last = n % L;
    const int add = q->accumulate;
    for (size_t i = from; i < to; i++) {
        const V x = SPLAT(a[i * as]);
        R *c = (R *)q->c + i * q->ldc;
        size_t j = 0;
        for (; j + L <= n; j += L)
            STORE(c + j, add ? FMA(x, LOAD(b + j), LOAD(c + j)) : x * LOAD(b + j));
        if (last)
            STORE_PART(c + j, last,
                       add ? FMA(x, LOAD_PART(b + j, last), LOAD_PART(c + j, last))
                           : x * LOAD_PART(b + j, last));
    }
}
static void CAT(outer_task, SFX)(void *context, size_t i)
{
    const pn_product *q = context;
    CAT(outer, SFX)(q, CAT(vector_part, SFX)(q->m, 16, i), CAT(vector_part, SFX)(q->m, 16, i + 1));
}

/* Computes products that need no tiles; returns 0 for others. */
static int CAT(thin_product, SFX)(const pn_product *q)
{
    if (q->m == 1 || q->n == 1) return CAT(product_of_vector, SFX)(q);
    if (q->k != 1 || (q->tb && q->ldb != 1)) return 0;
    if (q->m * q->n >= 2 * VECTOR_WORK) pn_parallel(16, CAT(outer_task, SFX), (void *)q);
    else CAT(outer, SFX)(q, 0, q->m);
    return 1;
}

/* Sums of x (rows, ld) over its rows for m vectors of columns, the last of `last` elements.
 * Pairwise: halves of the rows are summed separately, down to 64 rows, of which the even and the
 * odd ones are. */
static ALWAYS void CAT(sum_few, SFX)(size_t rows, size_t ld, const R *x, const int m, size_t last,
                                     V *out)
{
    V s[4] = { { 0 } }, s2[4] = { { 0 } };
    size_t i = 0;
    for (; i + 2 <= rows; i += 2, x += 2 * ld)
        UNROLL for (int j = 0; j < m; j++) {
            s[j] += LOAD_UPTO(x + (size_t)j * L, last);
            s2[j] += LOAD_UPTO(x + ld + (size_t)j * L, last);
        }
    UNROLL for (int j = 0; j < m; j++)
        out[j] = (i < rows ? s[j] + LOAD_UPTO(x + (size_t)j * L, last) : s[j]) + s2[j];
}
static void CAT(sum_block, SFX)(size_t rows, size_t ld, const R *x, size_t m, size_t last, V *out)
{
    if (rows > 64) {
        size_t half = 64;
        while (half * 2 < rows) half *= 2;
        V other[4];
        CAT(sum_block, SFX)(half, ld, x, m, last, out);
        CAT(sum_block, SFX)(rows - half, ld, x + half * ld, m, last, other);
        for (size_t j = 0; j < m; j++) out[j] += other[j];
    } else if (m == 4 && last == L) CAT(sum_few, SFX)(rows, ld, x, 4, L, out);
    else
        for (size_t j = 0; j < m; j++)
            CAT(sum_few, SFX)(rows, ld, x + j * L, 1, j + 1 < m ? L : last, out + j);
}

/* out[j] += sum of x (rows, n) over its rows. */
typedef struct { size_t rows, n; const R *x; R *out; } CAT(row_sums, SFX);
static void CAT(sum_columns, SFX)(void *context, size_t i)
{
    const CAT(row_sums, SFX) *s = context;
    const size_t j = i * CAT(UNIT, SFX), n = s->n - j < CAT(UNIT, SFX) ? s->n - j : CAT(UNIT, SFX),
                 m = (n + L - 1) / L;
    V sum[4];
    CAT(sum_block, SFX)(s->rows, s->n, s->x + j, m, n - (m - 1) * L, sum);
    for (size_t k = 0; k < m; k++) {
        const size_t part = k + 1 < m ? L : n - (m - 1) * L;
        R *to = s->out + j + k * L;
        STORE_PART(to, part, LOAD_PART(to, part) + sum[k]);
    }
}
static void CAT(sum_rows, SFX)(size_t rows, size_t n, const void *x, void *out)
{
    CAT(row_sums, SFX) s = { rows, n, x, out };
    const size_t tasks = (n + CAT(UNIT, SFX) - 1) / CAT(UNIT, SFX);
    if (rows * n >= 2 * VECTOR_WORK) pn_parallel(tasks, CAT(sum_columns, SFX), &s);
    else for (size_t i = 0; i < tasks; i++) CAT(sum_columns, SFX)(&s, i);
}
