/* gemm.h - the matrix product C = op(A) op(B), blocked and packed, with an epilogue while a block of C is hot.
 * No include guard: kernels.c includes it once per type.
 *
 * Loops, outside in: depth in blocks of KC; rows in blocks of MC, whose A is packed; columns in panels of NR, whose B is packed;
 * rows in tiles of MR. A tile's sums stay in registers. Every element of C is the sum over its depth blocks of plain ordered sums,
 * whatever tile it falls in, so its bits do not depend on how the output is divided. */
#undef MR
#undef NV
#if PN_VL == 64
#define MR 6            /* 6 x 4 sums + 4 of B + 1 of A: 29 of 32 registers */
#define NV 4
#elif PN_VL == 32
#define MR 6            /* 6 x 2 + 2 + 1: 15 of 16 */
#define NV 2
#elif defined PN_NEON
#define MR 6
#define NV 4
#else
#define MR 4            /* 4 x 2 + 2 + 1 and one for the product: 12 of 16 */
#define NV 2
#endif
#define NR (NV * L)
#undef KC
#undef MC
#define KC 384          /* a tile of A, 6 x 384, stays in the first cache, 252 x 384 of A and a panel of B in the second */
#define MC 252

#define UNROLL _Pragma("GCC unroll 32")

/* c[m][n] (+)= a b with the sums in registers: m rows, v vectors of columns (constants after inlining).
 * a(i, p) = unit ? a[p*as + i] : a[i*as + p];  b(p, j) = b[p*bs + j], readable up to v vectors. */
static ALWAYS void CAT(tile, SFX)(const int m, const int v, const int unit, size_t k, const R *a, size_t as, const R *b, size_t bs,
                                  R *c, size_t ldc, int add, size_t n)
{
    V s[2 * MR][NV];
    const R *row[2 * MR];
    UNROLL for (int i = 0; i < m; i++) {
        row[i] = a + (size_t)i * as;
        UNROLL for (int j = 0; j < v; j++) s[i][j] = (V){ 0 };
    }
    for (size_t p = 0; p < k; p++) {
        V bp[NV];
        UNROLL for (int j = 0; j < v; j++) bp[j] = LOAD(b + p * bs + (size_t)j * L);
        UNROLL for (int i = 0; i < m; i++) {
            const V x = SPLAT(unit ? a[i] : row[i][p]);
            UNROLL for (int j = 0; j < v; j++) s[i][j] = FMA(x, bp[j], s[i][j]);
        }
        if (unit) a += as;
    }
    const size_t last = n - (size_t)(v - 1) * L;
    UNROLL for (int i = 0; i < m; i++) {
        R *to = c + (size_t)i * ldc;
        UNROLL for (int j = 0; j < v - 1; j++) STORE(to + (size_t)j * L, add ? LOAD(to + (size_t)j * L) + s[i][j] : s[i][j]);
        to += (size_t)(v - 1) * L;
        if (last == L) STORE(to, add ? LOAD(to) + s[i][v - 1] : s[i][v - 1]);
        else STORE_PART(to, last, add ? LOAD_PART(to, last) + s[i][v - 1] : s[i][v - 1]);
    }
}

/* One function for each number of vectors, one case for each number of rows: narrow tiles are taller, to keep as many sums in flight. */
#define TALL(v) ((v) * 2 <= NV ? 2 * MR : MR)
#define CASE(rows, v, unit) \
    case rows: if ((rows) <= TALL(v)) CAT(tile, SFX)((rows) <= TALL(v) ? (rows) : 1, v, unit, k, a, as, b, bs, c, ldc, add, n); break;
#define TILES(name, v, unit) \
static __attribute__((noinline)) void CAT(name, SFX)(size_t m, size_t k, const R *a, size_t as, const R *b, size_t bs, R *c, size_t ldc, int add, size_t n) \
{ \
    switch (m) { \
        CASE(1, v, unit) CASE(2, v, unit) CASE(3, v, unit) CASE(4, v, unit) CASE(5, v, unit) CASE(6, v, unit) \
        CASE(7, v, unit) CASE(8, v, unit) CASE(9, v, unit) CASE(10, v, unit) CASE(11, v, unit) CASE(12, v, unit) \
    } \
}
typedef void CAT(tile_fn, SFX)(size_t m, size_t k, const R *a, size_t as, const R *b, size_t bs, R *c, size_t ldc, int add, size_t n);
TILES(rows1, 1, 0) TILES(unit1, 1, 1)
TILES(rows2, 2, 0) TILES(unit2, 2, 1)
#if NV == 4
TILES(rows3, 3, 0) TILES(unit3, 3, 1)
TILES(rows4, 4, 0) TILES(unit4, 4, 1)
#endif
static CAT(tile_fn, SFX) *const CAT(tiles, SFX)[2][NV] = {
#if NV == 4
    { CAT(rows1, SFX), CAT(rows2, SFX), CAT(rows3, SFX), CAT(rows4, SFX) }, { CAT(unit1, SFX), CAT(unit2, SFX), CAT(unit3, SFX), CAT(unit4, SFX) },
#else
    { CAT(rows1, SFX), CAT(rows2, SFX) }, { CAT(unit1, SFX), CAT(unit2, SFX) },
#endif
};

/* a0 b0 a1 b1 ... of the lower and of the upper halves. */
#undef LOWER
#undef UPPER
#if PN_VL * 8 / BITS == 16
#define LOWER(a, b) SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define UPPER(a, b) SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif PN_VL * 8 / BITS == 8
#define LOWER(a, b) SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define UPPER(a, b) SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#elif PN_VL * 8 / BITS == 4
#define LOWER(a, b) SHUFFLE(a, b, 0, 4, 1, 5)
#define UPPER(a, b) SHUFFLE(a, b, 2, 6, 3, 7)
#else
#define LOWER(a, b) SHUFFLE(a, b, 0, 2)
#define UPPER(a, b) SHUFFLE(a, b, 1, 3)
#endif

/* An L x L transpose: log2 L times, interleave the first half of the rows with the second. */
static ALWAYS void CAT(transpose, SFX)(V *r)
{
    UNROLL for (size_t s = 1; s < L; s *= 2) {
        V t[L];
        UNROLL for (size_t i = 0; i < L / 2; i++) {
            t[2 * i] = LOWER(r[i], r[i + L / 2]);
            t[2 * i + 1] = UPPER(r[i], r[i + L / 2]);
        }
        UNROLL for (size_t i = 0; i < L; i++) r[i] = t[i];
    }
}

/* d[p*w + j] = s[j*ld + p] for p < k, j < n; zeros for n <= j < w, w a multiple of L. */
static void CAT(pack_transposed, SFX)(const R *s, size_t ld, size_t n, size_t k, R *d, size_t w)
{
    for (size_t j = 0; j < w; j += L)
        for (size_t p = 0; p < k; p += L) {
            const size_t depth = k - p < L ? k - p : L;
            V r[L];
            if (depth == L && n - j >= L && j < n)
                UNROLL for (size_t i = 0; i < L; i++) r[i] = LOAD(s + (j + i) * ld + p);
            else
                UNROLL for (size_t i = 0; i < L; i++) r[i] = j + i < n ? LOAD_PART(s + (j + i) * ld + p, depth) : (V){ 0 };
            CAT(transpose, SFX)(r);
            if (depth == L) UNROLL for (size_t i = 0; i < L; i++) STORE(d + (p + i) * w + j, r[i]);
            else UNROLL for (size_t i = 0; i < L; i++) if (i < depth) STORE(d + (p + i) * w + j, r[i]);
        }
}

/* d[p*w + j] = s[p*ld + j] likewise. */
static void CAT(pack_rows, SFX)(const R *s, size_t ld, size_t n, size_t k, R *d, size_t w)
{
    for (size_t p = 0; p < k; p++, s += ld, d += w)
        for (size_t j = 0; j < w; j += L)
            STORE(d + j, n >= j + L ? LOAD(s + j) : n > j ? LOAD_PART(s + j, n - j) : (V){ 0 });
}

/* Step of a row of packed A. Its stores are whole vectors: what they write past a row, the next row writes over. */
#define A_WIDTH (MR <= L ? MR : (MR + L - 1) / L * L)

/* c[m][n] is finished: add the bias, then apply the activation, row by row. */
static void CAT(finish, SFX)(const pn_product *q, R *c, size_t i, size_t j, size_t m, size_t n)
{
    const pn_epilogue *e = q->epilogue;
    const R *bias = e->bias ? (const R *)e->bias + j : NULL;
    for (size_t r = 0; r < m; r++) {
        R *row = c + r * q->ldc;
        size_t t = 0;
        if (bias) {
            for (; t + L <= n; t += L) STORE(row + t, LOAD(row + t) + LOAD(bias + t));
            if (t < n) STORE_PART(row + t, n - t, LOAD_PART(row + t, n - t) + LOAD_PART(bias + t, n - t));
        }
        if (e->act) e->act(n, row, e->y ? (R *)e->y + (i + r) * e->ldy + j : row, e->p, 0);
    }
}

/* y[i] (+)= sum_p x[p] w[i*ld + p], four rows at a time; y in steps of ys. */
static void CAT(gemv, SFX)(size_t m, size_t k, const R *w, size_t ld, const R *x, R *y, size_t ys, int add)
{
    for (size_t i = 0; i < m; i += 4) {
        const R *row[4];
        V s[4];
        for (size_t r = 0; r < 4; r++) {
            row[r] = w + (i + r < m ? i + r : m - 1) * ld;
            s[r] = (V){ 0 };
        }
        size_t p = 0;
        for (; p + L <= k; p += L)
            UNROLL for (int r = 0; r < 4; r++) s[r] = FMA(LOAD(x + p), LOAD(row[r] + p), s[r]);
        if (p < k)
            UNROLL for (int r = 0; r < 4; r++) s[r] = FMA(LOAD_PART(x + p, k - p), LOAD_PART(row[r] + p, k - p), s[r]);
        for (size_t r = 0; r < 4 && i + r < m; r++) {
            R *to = y + (i + r) * ys;
            *to = add ? *to + SUM(s[r]) : SUM(s[r]);
        }
    }
}

/* Products with one row or one column whose other factor lies along the depth. */
static int CAT(product_of_vector, SFX)(const pn_product *q)
{
    const R *a = q->a, *b = q->b;
    if (q->m == 1 && q->tb && (!q->ta || q->lda == 1)) CAT(gemv, SFX)(q->n, q->k, b, q->ldb, a, q->c, 1, q->accumulate);
    else if (q->n == 1 && !q->ta && (q->tb || q->ldb == 1)) CAT(gemv, SFX)(q->m, q->k, a, q->lda, b, q->c, q->ldc, q->accumulate);
    else return 0;
    return 1;
}

static ALWAYS size_t CAT(parts, SFX)(size_t n, size_t most) { return (n + most - 1) / most; }

/* One block of depth and rows: A is packed when enough panels read it again. */
static void CAT(block, SFX)(const pn_product *q, size_t i0, size_t mc, size_t p0, size_t kc, R *pa, R *pb)
{
    const R *a = (const R *)q->a + (q->ta ? p0 * q->lda + i0 : i0 * q->lda + p0), *b = q->b;
    const int add = q->accumulate || p0 > 0, finished = p0 + kc == q->k && q->epilogue;
    const int pack_a = q->n > 2 * NR;
    const size_t mr = TALL(CAT(parts, SFX)(q->n, L)), tiles = CAT(parts, SFX)(mc, mr), m0 = mc / tiles, more = mc % tiles;
    if (pack_a)
        for (size_t t = 0, i = 0, m; t < tiles; t++, i += m) {
            m = m0 + (t < more);
            if (q->ta) CAT(pack_rows, SFX)(a + i, q->lda, m, kc, pa + t * A_WIDTH * kc, A_WIDTH);
            else CAT(pack_transposed, SFX)(a + i * q->lda, q->lda, m, kc, pa + t * A_WIDTH * kc, A_WIDTH);
        }
    for (size_t j = 0; j < q->n; j += NR) {
        const size_t n = q->n - j < NR ? q->n - j : NR, v = CAT(parts, SFX)(n, L);
        const R *bj = b + (q->tb ? j * q->ldb + p0 : p0 * q->ldb + j);
        size_t bs = v * L;
        if (!q->tb && n == bs && mc <= 64) bs = q->ldb;     /* few rows: read B where it is */
        else {
            if (q->tb) CAT(pack_transposed, SFX)(bj, q->ldb, n, kc, pb, bs);
            else CAT(pack_rows, SFX)(bj, q->ldb, n, kc, pb, bs);
            bj = pb;
        }
        for (size_t t = 0, i = 0, m; t < tiles; t++, i += m) {
            m = m0 + (t < more);
            R *c = (R *)q->c + (i0 + i) * q->ldc + j;
            if (pack_a) CAT(tiles, SFX)[1][v - 1](m, kc, pa + t * A_WIDTH * kc, A_WIDTH, bj, bs, c, q->ldc, add, n);
            else CAT(tiles, SFX)[q->ta][v - 1](m, kc, a + (q->ta ? i : i * q->lda), q->lda, bj, bs, c, q->ldc, add, n);
            if (finished) CAT(finish, SFX)(q, c, i0 + i, j, m, n);
        }
    }
}

/* Bytes of packed A, then of packed B. */
static size_t CAT(packed_a, SFX)(const pn_product *q)
{
    return q->n > 2 * NR ? (CAT(parts, SFX)(q->m < MC ? q->m : MC, MR) + 1) * A_WIDTH * (q->k < KC ? q->k : KC) + L : 0;
}
static size_t CAT(gemm_workspace, SFX)(const pn_product *q)
{
    return (CAT(packed_a, SFX)(q) + (q->k < KC ? q->k : KC) * NR + 16) * sizeof(R);
}

static void CAT(gemm, SFX)(const pn_product *q, void *workspace)
{
    if (q->m == 0 || q->n == 0) return;
    if (q->k == 0) {
        if (!q->accumulate) for (size_t i = 0; i < q->m; i++) memset((R *)q->c + i * q->ldc, 0, q->n * sizeof(R));
    } else if (!CAT(product_of_vector, SFX)(q)) {
        R *pa = workspace, *pb = pa + CAT(packed_a, SFX)(q);
        const size_t nk = CAT(parts, SFX)(q->k, KC), kc = CAT(parts, SFX)(CAT(parts, SFX)(q->k, nk), 16) * 16;
        const size_t nm = CAT(parts, SFX)(q->m, MC), mc = CAT(parts, SFX)(q->m, nm);
        for (size_t p = 0; p < q->k; p += kc)
            for (size_t i = 0; i < q->m; i += mc)
                CAT(block, SFX)(q, i, q->m - i < mc ? q->m - i : mc, p, q->k - p < kc ? q->k - p : kc, pa, pb);
        return;
    }
    if (q->epilogue) CAT(finish, SFX)(q, q->c, 0, 0, q->m, q->n);
}

/* out[j] += sum of x (rows, n) over its rows. */
static void CAT(sum_rows, SFX)(size_t rows, size_t n, const void *from, void *to)
{
    const R *x = from;
    R *out = to;
    for (size_t j = 0; j < n; j += L) {
        const size_t m = n - j < L ? n - j : L;
        V s = { 0 };
        for (size_t i = 0; i < rows; i++) s += LOAD_PART(x + i * n + j, m);
        STORE_PART(out + j, m, LOAD_PART(out + j, m) + s);
    }
}
#undef UNROLL
#undef TALL
#undef CASE
#undef TILES
#undef NR
#undef A_WIDTH
