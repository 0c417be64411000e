/* row_blocks.h - rows in blocks of 64 bytes on every machine, so that a sum has the same bits with
 * every instruction set. No include guard: kernels.c includes it once per type. */
#define BLOCK  (64 / sizeof(R))                         /* elements per block */
#define VECS   (64 / PN_VL)                             /* vectors per block */

/* Vector k of the block at p, with m elements left in the row from p on; lanes past its end are
 * fill. */
static ALWAYS V CAT(block_load, SFX)(const R *p, size_t m, size_t k, R fill)
{
    size_t at = k * L;
    if (m >= at + L) return LOAD(p + at);
    if (m <= at) return SPLAT(fill);
    return SEL(FIRST(m - at), LOAD_PART(p + at, m - at), SPLAT(fill));
}
static ALWAYS void CAT(block_store, SFX)(R *p, size_t m, size_t k, V v)
{
    size_t at = k * L;
    if (m >= at + L) STORE(p + at, v);
    else if (m > at) STORE_PART(p + at, m - at, v);
}
#define BLOCKS(n) \
    for (size_t i = 0; i < (n); i += BLOCK) \
        _Pragma("GCC unroll 4") for (size_t k = 0; k < VECS; k++)
/* inside BLOCKS(n) */
#define BLOCK_LOAD(p, fill) CAT(block_load, SFX)((p) + i, n - i, k, (fill))
#define BLOCK_STORE(p, v)   CAT(block_store, SFX)((p) + i, n - i, k, (v))

/* Adds to BLOCK partial sums whatever the vector length, so that a sum has the same bits with every
 * instruction set. */
static ALWAYS void CAT(add_lanes, SFX)(double *sums, V v, size_t m, size_t k)
{
    R lanes[L];
    STORE(lanes, m >= (k + 1) * L ? v : m > k * L ? SEL(FIRST(m - k * L), v, SPLAT(0)) : SPLAT(0));
    for (size_t j = 0; j < L; j++) sums[k * L + j] += (double)lanes[j];
}
static inline double CAT(fold_lanes, SFX)(double *sums)
{
    _Pragma("GCC unroll 4") for (size_t half = BLOCK / 2; half; half /= 2)
        _Pragma("GCC unroll 8") for (size_t j = 0; j < half; j++) sums[j] += sums[j + half];
    return sums[0];
}

/* a x, but 0 if a is 0 and x infinite: what has no weight adds nothing, however unlikely. NaN stays
 * NaN. */
static ALWAYS V CAT(portion, SFX)(V a, V x) { return SEL((a == 0) & (x == x), SPLAT(0), a * x); }
#define PORTION(a, x) CAT(portion, SFX)((a), (x))
