/* vector.h - the vocabulary of the kernels, on compiler vectors V of one element type. No include
 * guard: kernels.c includes it once per type, after defining
 *
 *   R (float, double), I (the integer of the same width), SFX (f32, f64), BITS (32, 64), K(c) (c as
 *   a literal of type R).
 *
 * Intrinsics occur here and nowhere else. Everything else is plain C on V: + - * / and comparisons
 * work lane by lane, a comparison gives a VI of all ones or zeros, and a scalar operand is
 * broadcast.
 *
 *   V VI VU L                             vector, its signed and unsigned integer counterparts (VU
 *                                         wraps), number of lanes
 *   SPLAT(c)                              c in every lane (-0.0 stays -0.0)
 *   PICK(a, b)                            the constant a for float, b for double
 *   SEL(m, a, b)                          m ? a : b lane by lane, m a comparison
 *   ABS NEGABS SIGN(x, s)                 |x|, -|x|, |x| with the sign of s
 *   FMA(a, b, c)                          a b + c: one rounding if the machine has it (PN_FMA),
 *                                         else two
 *   MAX(lo, x) MIN(hi, x)                 the second operand if they are equal or either is NaN:
 *                                         MAX(lo, NaN) is NaN
 *   LOOKUP(t, i)                          t[i mod 16], t an array of 16; f32 only
 *   MULTIPLY_LOW(a, b)                    the products of 64-bit lanes below 2^32; f64 only
 *   ROUNDED(x)                            x, in a form that the compiler does not fuse with a sum
 *   SQRT(x) ANY(m)                        correctly rounded root; whether any lane of m is true
 *   LOAD(p) STORE(p, v)                   L elements at any alignment
 *   LOAD_LANES(p, step)                   16 bytes each from p, p + step, p + 2 step ..., as many
 *                                         as make a vector
 *   LOAD_PART(p, n) STORE_PART(p, n, v)   only the first n <= L elements; other lanes are zero,
 *                                         other bytes untouched
 *   INDICES FIRST(n)                      a VI that counts 0, 1, 2, ...; a VI that is true in the
 *                                         first n lanes
 *   SUM(v)                                sum of the lanes, halves onto halves: v[k] + v[k + L/2]
 *                                         etc.
 *   SWAP(v, h)                            lane k of the result is lane k ^ h of v; h is a power of
 *                                         two below L and a compile-time constant */

#ifndef PN_VL
#include <math.h>
#include <stdint.h>
#include <string.h>
#define CAT_(a, b)     a##_##b
#define CAT(a, b)      CAT_(a, b)
#define CAT3_(a, b, c) a##_##b##_##c
#define CAT3(a, b, c)  CAT3_(a, b, c)
#if defined __AVX512F__ && defined __AVX512DQ__ && defined __AVX512VL__
#include <immintrin.h>
#define PN_VL 64
#define PN_MM _mm512
#define PN_WIDE __m512i
#elif defined __AVX2__ && defined __FMA__
#include <immintrin.h>
#define PN_VL 32
#define PN_MM _mm256
#define PN_WIDE __m256i
#elif defined __x86_64__
#include <immintrin.h>
#define PN_VL 16
#define PN_MM _mm
#define PN_WIDE __m128i
#else
#define PN_VL 16
#ifdef __aarch64__
#include <arm_neon.h>
#define PN_NEON
#endif
#endif
#if PN_VL > 16 || defined PN_NEON
#define PN_FMA
#endif
#define UNUSED __attribute__((unused))
#define ALWAYS inline __attribute__((always_inline))
#endif

#undef MM
#undef NEON
#undef MANT
#undef BIAS
#undef UI
#if BITS == 32
#define MM(op)  CAT3(PN_MM, op, ps)
#define NEON(v) ((float32x4_t)(v))
#define MANT    23
#define BIAS    127
#define UI      uint32_t
#else
#define MM(op)  CAT3(PN_MM, op, pd)
#define NEON(v) ((float64x2_t)(v))
#define MANT    52
#define BIAS    1023
#define UI      uint64_t
#endif

#undef V
#undef VI
#undef VU
#define V  CAT(vec, SFX)
#define VI CAT(ivec, SFX)
#define VU CAT(uvec, SFX)
typedef R V  __attribute__((vector_size(PN_VL)));
typedef I VI __attribute__((vector_size(PN_VL)));
typedef UI VU __attribute__((vector_size(PN_VL)));
#define L            (PN_VL / sizeof(R))
#define SPLAT(c)     ((R)(c) - (V){ 0 })                /* c - 0 is c for every c, c + 0 is not */
#define PICK(a, b)   ((R)(BITS == 32 ? (a) : (b)))
#define SEL(m, a, b) ((V)(((VI)(a) & (m)) | ((VI)(b) & ~(m))))      /* one masked move on AVX-512 */
#define SIGNBIT      ((VI)SPLAT(-0.0))
#define ABS(x)       ((V)((VI)(x) & ~SIGNBIT))
#define NEGABS(x)    ((V)((VI)(x) | SIGNBIT))
#define SIGN(x, s)   ((V)(((VI)(x) & ~SIGNBIT) | ((VI)(s) & SIGNBIT)))

/* Operations for which GCC and clang have no common portable spelling. */
/* SHUFFLE(a, b, constants...): lanes of a and, counting on, of b */
#ifndef SHUFFLE
#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (VI){ __VA_ARGS__ })
#endif
#endif
#if defined PN_MM && defined PN_FMA
#define FMA(a, b, c) ((V)MM(fmadd)((a), (b), (c)))
#elif defined PN_NEON
#define FMA(a, b, c) ((V)CAT(vfmaq, SFX)(NEON(c), NEON(a), NEON(b)))
#else
#define FMA(a, b, c) ((a) * (b) + (c))
#endif
static ALWAYS V CAT(v_rounded, SFX)(V x)
{
#if PN_VL == 64
    __asm__("" : "+v"(x));
#elif defined PN_MM
    __asm__("" : "+x"(x));
#elif defined PN_NEON
    __asm__("" : "+w"(x));
#endif
    return x;
}
#define ROUNDED(x) CAT(v_rounded, SFX)(x)
#ifdef PN_MM
#define MAX(lo, x)   ((V)MM(max)((lo), (x)))
#define MIN(hi, x)   ((V)MM(min)((hi), (x)))
#define SQRT(x)      ((V)MM(sqrt)(x))
#else
static inline V CAT(v_max, SFX)(V lo, V x) { return SEL(lo > x, lo, x); }
static inline V CAT(v_min, SFX)(V hi, V x) { return SEL(hi < x, hi, x); }
static inline V CAT(v_sqrt, SFX)(V x)
{
#ifdef PN_NEON
    return (V)CAT(vsqrtq, SFX)(NEON(x));
#else
    for (size_t k = 0; k < L; k++) x[k] = (R)sqrt(x[k]);
    return x;
#endif
}
#define MAX(lo, x)   CAT(v_max, SFX)((lo), (x))
#define MIN(hi, x)   CAT(v_min, SFX)((hi), (x))
#define SQRT(x)      CAT(v_sqrt, SFX)(x)
#endif

/* SQRT_BY_FMA(x) is SQRT(x) for loops that also divide: with AVX-512 the two share a divider, which
 * limits such a loop, so the root is computed by multiplications instead. */
#if BITS == 32
#if PN_VL == 64
/* One Newton step from an estimate of 14 bits, and a correction by the residual x - s^2, which is
 * exact unless it underflows. The result is correctly rounded: tests/test_optim.py. */
static ALWAYS V v_sqrt_by_fma_f32(V x)
{
    const __mmask16 positive = _mm512_cmpneq_ps_mask(x, SPLAT(0)),
                    ordinary = _mm512_cmple_ps_mask(SPLAT(0x1p-96), x) &
                               _mm512_cmple_ps_mask(x, SPLAT(0x1.fffffep127));
    if (positive != ordinary) return SQRT(x);
    const V r = _mm512_maskz_rsqrt14_ps(positive, x), half = r * 0.5f, s0 = x * r,
            e = FMA(-s0, half, SPLAT(0.5)), s = FMA(s0, e, s0);
    return FMA(FMA(-s, s, x), FMA(half, e, half), s);
}
#define SQRT_BY_FMA(x) CAT(v_sqrt_by_fma, SFX)(x)
#else
#define SQRT_BY_FMA(x) SQRT(x)
#endif

static inline V v_lookup_f32(const R *t, VI i)
{
#if PN_VL == 64
    return (V)_mm512_permutexvar_ps((__m512i)i, _mm512_loadu_ps(t));
#elif PN_VL == 32
    __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(t), (__m256i)i),
           high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(t + 8), (__m256i)i);
    return (V)_mm256_blendv_ps(low, high, (__m256)(i << 28));
#elif defined PN_NEON
    const uint8_t *b = (const uint8_t *)t;
    uint8x16x4_t bytes = { { vld1q_u8(b), vld1q_u8(b + 16), vld1q_u8(b + 32), vld1q_u8(b + 48) } };
    return (V)vqtbl4q_u8(bytes, (uint8x16_t)((i & 15) * 0x04040404 + 0x03020100));
#else
    V v;
    for (size_t k = 0; k < L; k++) v[k] = t[i[k] & 15];
    return v;
#endif
}
#define LOOKUP(t, i) v_lookup_f32((t), (i))
#endif

#if BITS == 64
#undef SQRT_BY_FMA
#define SQRT_BY_FMA(x) SQRT(x)
#ifdef PN_MM
#define MULTIPLY_LOW(a, b) CAT3(PN_MM, mul, epu32)((PN_WIDE)(a), (PN_WIDE)(b))
#else
#define MULTIPLY_LOW(a, b) ((a) * (b))
#endif
#endif

static inline int CAT(v_any, SFX)(VI m)
{
#if PN_VL == 64
    return _mm512_test_epi64_mask((__m512i)m, (__m512i)m) != 0;
#elif defined PN_MM
    return MM(movemask)((V)m) != 0;
#else
    I any = 0;
    for (size_t k = 0; k < L; k++) any |= m[k];
    return any != 0;
#endif
}
#define ANY(m) CAT(v_any, SFX)(m)

static inline VI CAT(v_indices, SFX)(void)
{
    static const I lane[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    VI k;
    memcpy(&k, lane, sizeof k);
    return k;
}
#define INDICES  CAT(v_indices, SFX)()
#define FIRST(n) (INDICES < (I)(n))

static inline V CAT(v_load, SFX)(const R *p) { V v; memcpy(&v, p, sizeof v); return v; }
static inline void CAT(v_store, SFX)(R *p, V v) { memcpy(p, &v, sizeof v); }
static inline V CAT(v_load_lanes, SFX)(const R *p, size_t step)
{
#if PN_VL == 64
    __m512 v = _mm512_castps128_ps512(_mm_loadu_ps((const float *)p));
    v = _mm512_insertf32x4(v, _mm_loadu_ps((const float *)(p + step)), 1);
    v = _mm512_insertf32x4(v, _mm_loadu_ps((const float *)(p + 2 * step)), 2);
    return (V)_mm512_insertf32x4(v, _mm_loadu_ps((const float *)(p + 3 * step)), 3);
#elif PN_VL == 32
    return (V)_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps((const float *)p)),
                                   _mm_loadu_ps((const float *)(p + step)), 1);
#else
    (void)step;
    return CAT(v_load, SFX)(p);
#endif
}
static inline V CAT(v_load_part, SFX)(const R *p, size_t n)
{
#if PN_VL == 64
    return (V)MM(maskz_loadu)((1u << n) - 1, p);
#elif PN_VL == 32
    return (V)MM(maskload)(p, (__m256i)FIRST(n));
#else
    V v = { 0 };
    memcpy(&v, p, n * sizeof(R));
    return v;
#endif
}
static inline void CAT(v_store_part, SFX)(R *p, size_t n, V v)
{
#if PN_VL == 64
    MM(mask_storeu)(p, (1u << n) - 1, v);
#elif PN_VL == 32
    MM(maskstore)(p, (__m256i)FIRST(n), v);
#else
    memcpy(p, &v, n * sizeof(R));
#endif
}
#define LOAD(p)             CAT(v_load, SFX)(p)
#define STORE(p, v)         CAT(v_store, SFX)((p), (v))
#define LOAD_LANES(p, step) CAT(v_load_lanes, SFX)((p), (step))
#define LOAD_PART(p, n)     CAT(v_load_part, SFX)((p), (n))
#define STORE_PART(p, n, v) CAT(v_store_part, SFX)((p), (n), (v))

static ALWAYS V CAT(v_swap, SFX)(V v, size_t h)
{
#if PN_VL * 8 / BITS == 16
    return h == 8 ? SHUFFLE(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)
         : h == 4 ? SHUFFLE(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11)
         : h == 2 ? SHUFFLE(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)
                  : SHUFFLE(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
#elif PN_VL * 8 / BITS == 8
    return h == 4 ? SHUFFLE(v, v, 4, 5, 6, 7, 0, 1, 2, 3)
         : h == 2 ? SHUFFLE(v, v, 2, 3, 0, 1, 6, 7, 4, 5)
                  : SHUFFLE(v, v, 1, 0, 3, 2, 5, 4, 7, 6);
#elif PN_VL * 8 / BITS == 4
    return h == 2 ? SHUFFLE(v, v, 2, 3, 0, 1) : SHUFFLE(v, v, 1, 0, 3, 2);
#else
    (void)h;
    return SHUFFLE(v, v, 1, 0);
#endif
}
#define SWAP(v, h) CAT(v_swap, SFX)((v), (h))

static inline R CAT(v_sum, SFX)(V v)
{
    R t[L];
    memcpy(t, &v, sizeof t);
    _Pragma("GCC unroll 4") for (size_t half = L / 2; half; half /= 2)
        _Pragma("GCC unroll 8") for (size_t k = 0; k < half; k++) t[k] += t[k + half];
    return t[0];
}
#define SUM(v) CAT(v_sum, SFX)(v)
