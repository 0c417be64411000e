/* tile.h - the register tile of the matrix product, and the packing of its operands. No include
 * guard: kernels.c includes it once per type. */
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
#define MR 4            /* 4 x 2 + 2 + 1, and one for the product: 12 of 16 */
#define NV 2
#endif

/* c (m, n) = a (m, k) b (k, n), + c with add, + bias where it is not NULL. */
typedef struct {
    size_t n, k;
    const R *a; size_t as;
    /* b(p, j) = b[p*bs + j], readable up to the next whole vector */
    const R *b; size_t bs;
    R *c; size_t ldc;
    int add;
    const R *bias;
    /* prefetched into the second-level cache, one line per step of k: the next part of B to be
     * packed */
    const R *next; size_t next_step;
} CAT(tile_args, SFX);

/* m rows of v vectors, with their sums in registers: a(i, p) = unit ? a[p*as + i] : a[i*as + p]. m,
 * v and unit are constants after inlining. The sizes of the arrays are literals, since otherwise
 * the compiler spills the sums. */
static ALWAYS void CAT(tile, SFX)(const int m, const int v, const int unit,
                                  const CAT(tile_args, SFX) * t)
{
    V s[2 * MR][NV];
    const R *row[2 * MR], *a = t->a, *b = t->b, *bias = t->bias, *next = t->next;
    const size_t as = t->as, bs = t->bs, ldc = t->ldc, k = t->k, next_step = t->next_step;
    UNROLL for (int i = 0; i < m; i++) {
        row[i] = a + (size_t)i * as;
        UNROLL for (int j = 0; j < v; j++) s[i][j] = (V){ 0 };
    }
    for (size_t p = 0; p < k; p++, next += next_step) {
        V bp[NV];
        /* narrow tiles have no load slot to spare */
        if (v * 2 > NV) __builtin_prefetch(next, 0, 2);
        UNROLL for (int j = 0; j < v; j++) bp[j] = LOAD(b + (size_t)j * L);
        UNROLL for (int i = 0; i < m; i++) {
            const V x = SPLAT(unit ? a[i] : row[i][p]);
            UNROLL for (int j = 0; j < v; j++) s[i][j] = FMA(x, bp[j], s[i][j]);
        }
        b += bs;
        if (unit) a += as;
    }
    const size_t last = t->n - (size_t)(v - 1) * L;
    R *c = t->c;
    if (t->add) UNROLL for (int i = 0; i < m; i++) {
        UNROLL for (int j = 0; j < v - 1; j++) s[i][j] += LOAD(c + (size_t)i * ldc + (size_t)j * L);
        const R *p = c + (size_t)i * ldc + (size_t)(v - 1) * L;
        s[i][v - 1] += last == L ? LOAD(p) : LOAD_PART(p, last);
    }
    if (bias) UNROLL for (int j = 0; j < v; j++) {
            const V x = j < v - 1 || last == L ? LOAD(bias + (size_t)j * L)
                                               : LOAD_PART(bias + (size_t)j * L, last);
            UNROLL for (int i = 0; i < m; i++) s[i][j] += x;
    }
    UNROLL for (int i = 0; i < m; i++) {
        R *p = c + (size_t)i * ldc;
        UNROLL for (int j = 0; j < v - 1; j++) STORE(p + (size_t)j * L, s[i][j]);
        p += (size_t)(v - 1) * L;
        if (last == L) STORE(p, s[i][v - 1]);
        else STORE_PART(p, last, s[i][v - 1]);
    }
}

/* One function per number of vectors, one case per number of rows. Narrow tiles are taller, to keep
 * as many sums in flight. */
#undef TILE_ROWS
#define TILE_ROWS(v) ((v) * 2 <= NV ? 2 * MR : MR)
#define CASE(rows, v, unit) \
    case rows: \
        if ((rows) <= TILE_ROWS(v)) \
            CAT(tile, SFX)((rows) <= TILE_ROWS(v) ? (rows) : 1, v, unit, t); \
        break;
#define TILES(name, v, unit) \
    static __attribute__((noinline)) void CAT(name, SFX)(size_t m, const CAT(tile_args, SFX) *t) \
    { \
        switch (m) { \
            CASE(1, v, unit) CASE(2, v, unit) CASE(3, v, unit) CASE(4, v, unit) \
            CASE(5, v, unit) CASE(6, v, unit) CASE(7, v, unit) CASE(8, v, unit) \
            CASE(9, v, unit) CASE(10, v, unit) CASE(11, v, unit) CASE(12, v, unit) \
        } \
    }
typedef void CAT(tile_fn, SFX)(size_t m, const CAT(tile_args, SFX) *t);
TILES(rows1, 1, 0)
TILES(unit1, 1, 1)
TILES(rows2, 2, 0)
TILES(unit2, 2, 1)
#if NV == 4
TILES(rows3, 3, 0)
TILES(unit3, 3, 1)
TILES(rows4, 4, 0)
TILES(unit4, 4, 1)
static CAT(tile_fn, SFX) *const CAT(tiles, SFX)[2][NV] = {
    { CAT(rows1, SFX), CAT(rows2, SFX), CAT(rows3, SFX), CAT(rows4, SFX) },
    { CAT(unit1, SFX), CAT(unit2, SFX), CAT(unit3, SFX), CAT(unit4, SFX) },
};
#else
static CAT(tile_fn, SFX) *const CAT(tiles, SFX)[2][NV] = {
    { CAT(rows1, SFX), CAT(rows2, SFX) },
    { CAT(unit1, SFX), CAT(unit2, SFX) },
};
#endif
#undef CASE
#undef TILES

/* d[p*dw + i] = s[i*ld + p] for p < L, i < L. Each load collects 16 bytes of several rows, so that
 * only these small blocks remain to be transposed. */
static ALWAYS void CAT(transpose_square, SFX)(const R *s, size_t ld, R *d, size_t dw)
{
    UNROLL for (size_t p = 0; p < L; p += PIECE) {
        V r[PIECE];
        UNROLL for (size_t i = 0; i < PIECE; i++) r[i] = LOAD_LANES(s + i * ld + p, PIECE * ld);
        UNROLL for (size_t half = PIECE / 2, done = 1; done < PIECE; done *= 2) {
            V t[PIECE];
            UNROLL for (size_t i = 0; i < half; i++) {
                t[2 * i] = ZIP_LOW(r[i], r[i + half]);
                t[2 * i + 1] = ZIP_HIGH(r[i], r[i + half]);
            }
            UNROLL for (size_t i = 0; i < PIECE; i++) r[i] = t[i];
        }
        UNROLL for (size_t i = 0; i < PIECE; i++) STORE(d + (p + i) * dw, r[i]);
    }
}

/* Transposes n rows of L, n a power of two: interleaves the first half of the rows with the second,
 * log2 n times. */
static ALWAYS void CAT(transpose_vectors, SFX)(V *r, const size_t n)
{
    UNROLL for (size_t s = 1; s < n; s *= 2) {
        V t[L];
        UNROLL for (size_t i = 0; i < n / 2; i++) {
            t[2 * i] = LOWER(r[i], r[i + n / 2]);
            t[2 * i + 1] = UPPER(r[i], r[i + n / 2]);
        }
        UNROLL for (size_t i = 0; i < n; i++) r[i] = t[i];
    }
}

/* d[p*w + i] = s[i*ld + p] for p < k, i < n; 0 for n <= i < w, with w <= L a power of two. Stores
 * whole vectors, up to one past the end. */
static ALWAYS void CAT(pack_transposed_block, SFX)(const R *s, size_t ld, size_t n, size_t k, R *d,
                                         const size_t w, size_t dw)
{
    const size_t step = dw * (L / w);
    for (size_t p = 0; p < k; p += L, d += L * dw) {
        const size_t depth = k - p < L ? k - p : L, stores = (depth * w + L - 1) / L;
        if (w == L && depth == L && n >= w) {
            CAT(transpose_square, SFX)(s + p, ld, d, dw);
            continue;
        }
        V r[L];
        if (depth == L && n >= w) UNROLL for (size_t i = 0; i < w; i++) r[i] = LOAD(s + i * ld + p);
        else
            UNROLL for (size_t i = 0; i < w; i++)
                r[i] = i < n ? LOAD_UPTO(s + i * ld + p, depth) : (V){ 0 };
        CAT(transpose_vectors, SFX)(r, w);
        if (depth == L) UNROLL for (size_t i = 0; i < w; i++) STORE(d + i * step, r[i]);
        else UNROLL for (size_t i = 0; i < w; i++) if (i < stores) STORE(d + i * step, r[i]);
    }
}

/* d[p*w + i] = s[i*ld + p] for p < k, i < n; 0 for n <= i < w, with w a multiple of L, or L / 2. */
static void CAT(pack_transposed, SFX)(const R *s, size_t ld, size_t n, size_t k, R *d, size_t w)
{
    if (w == L / 2) CAT(pack_transposed_block, SFX)(s, ld, n, k, d, L / 2, L / 2);
    else
        for (size_t j = 0; j < w; j += L)
            CAT(pack_transposed_block, SFX)(s + j * ld, ld, n > j ? n - j : 0, k, d + j, L, w);
}

/* d[p*w + j] = s[p*ld + j] for p < k, j < n; 0 for n <= j < w. */
static void CAT(pack_rows, SFX)(const R *s, size_t ld, size_t n, size_t k, R *d, size_t w)
{
    for (size_t p = 0; p < k; p++, s += ld, d += w)
        for (size_t j = 0; j < w; j += L)
            STORE(d + j, n > j ? LOAD_UPTO(s + j, n - j) : (V){ 0 });
}
