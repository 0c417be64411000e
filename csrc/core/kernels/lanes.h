/* lanes.h - loads and stores of up to one vector, and interleaving of the lanes of two. No include
 * guard: kernels.c includes it once per type. */
#undef UNROLL
#define UNROLL _Pragma("GCC unroll 32")

/* Loads the first `left` elements of p, at most a vector; the other lanes are 0. */
static ALWAYS V CAT(load_upto, SFX)(const R *p, size_t left)
{
    return left >= L ? LOAD(p) : LOAD_PART(p, left);
}
static ALWAYS void CAT(store_upto, SFX)(R *p, size_t left, V v)
{
    if (left >= L) STORE(p, v);
    else STORE_PART(p, left, v);
}
#undef LOAD_UPTO
#undef STORE_UPTO
#define LOAD_UPTO(p, left)     CAT(load_upto, SFX)((p), (left))
#define STORE_UPTO(p, left, v) CAT(store_upto, SFX)((p), (left), (v))

/* LOWER, UPPER  a0 b0 a1 b1 ... of the lower and upper halves of a and b
 * EVENS, ODDS   a0 a2 ... b0 b2 ... and a1 a3 ... b1 b3 ... */
#undef LOWER
#undef UPPER
#undef EVENS
#undef ODDS
#if PN_VL * 8 / BITS == 16
#define LOWER(a, b) SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define UPPER(a, b) SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#define EVENS(a, b) SHUFFLE(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define ODDS(a, b)  SHUFFLE(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
#elif PN_VL * 8 / BITS == 8
#define LOWER(a, b) SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define UPPER(a, b) SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define EVENS(a, b) SHUFFLE(a, b, 0, 2, 4, 6, 8, 10, 12, 14)
#define ODDS(a, b)  SHUFFLE(a, b, 1, 3, 5, 7, 9, 11, 13, 15)
#elif PN_VL * 8 / BITS == 4
#define LOWER(a, b) SHUFFLE(a, b, 0, 4, 1, 5)
#define UPPER(a, b) SHUFFLE(a, b, 2, 6, 3, 7)
#define EVENS(a, b) SHUFFLE(a, b, 0, 2, 4, 6)
#define ODDS(a, b)  SHUFFLE(a, b, 1, 3, 5, 7)
#else
#define LOWER(a, b) SHUFFLE(a, b, 0, 2)
#define UPPER(a, b) SHUFFLE(a, b, 1, 3)
#define EVENS(a, b) LOWER(a, b)
#define ODDS(a, b)  UPPER(a, b)
#endif

/* LOWER and UPPER within each 16 bytes, which is cheaper. */
#undef PIECE
#undef ZIP_LOW
#undef ZIP_HIGH
#define PIECE (16 / sizeof(R))
#if PN_VL == 64 && BITS == 32
#define ZIP_LOW(a, b)  SHUFFLE(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define ZIP_HIGH(a, b) SHUFFLE(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#elif PN_VL == 64
#define ZIP_LOW(a, b)  SHUFFLE(a, b, 0, 8, 2, 10, 4, 12, 6, 14)
#define ZIP_HIGH(a, b) SHUFFLE(a, b, 1, 9, 3, 11, 5, 13, 7, 15)
#elif PN_VL == 32 && BITS == 32
#define ZIP_LOW(a, b)  SHUFFLE(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define ZIP_HIGH(a, b) SHUFFLE(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#elif PN_VL == 32
#define ZIP_LOW(a, b)  SHUFFLE(a, b, 0, 4, 2, 6)
#define ZIP_HIGH(a, b) SHUFFLE(a, b, 1, 5, 3, 7)
#else
#define ZIP_LOW  LOWER
#define ZIP_HIGH UPPER
#endif
