/* normal.h - x Phi(x) and its derivative on V, Phi the normal distribution function: X_PHI D_X_PHI.
 * No include guard: kernels.c includes it once per type, after vmath.h.
 *
 * x Phi(x) = max(x, 0) - G(t) e^(-t^2/2), t = |x|, G(t) = t R(t), R(t) = e^(t^2/2) Phi(-t), Mills's ratio: one formula for both tails.
 * G = v p(u) with v = t/(t + k), u = 2v - 1, p(u) = (t + k) R(t).  t^2/2 keeps its rounding error.
 *   f32: k = 4, 0.66 <= t <= 14.6, degree 8, error 2^-25.1;  f64: k = 5, 0 <= t <= 38.8, degree 21, error 2^-54.5 */
#define MILLS_K PICK(4, 5)
#define MILLS_T PICK(14.6, 38.8)
#if BITS == 32
static const R CAT(c_mills, SFX)[] = { 0x1.82b4bcp-1f, -0x1.373e36p-1f, 0x1.8c6d9p-2f, -0x1.7e01e4p-3f, 0x1.eedcfp-5f, -0x1.eafa6p-8f, -0x1.cfbda4p-9f,
    0x1.7dabccp-10f, 0x1.d2168ap-13f };
#else
static const R CAT(c_mills, SFX)[] = { 0x1.89d3abe1f95aep-1, -0x1.54ad03f27ca16p-1, 0x1.fb31653876f99p-2, -0x1.410ed5f875b3bp-2, 0x1.51f6329f0158ep-3,
    -0x1.1b1c254c9422dp-4, 0x1.54b4d4f4cc52cp-6, -0x1.88590eb5f4a3ep-9, -0x1.a25037de85ccbp-11, 0x1.1daf1eaad7202p-11, -0x1.f214603c32fe9p-15,
    -0x1.a1713d2d89ce7p-15, 0x1.17dd066d6fb4bp-16, 0x1.0b3149111c8b5p-18, -0x1.73a910b8181f2p-19, -0x1.6aa23c14ab41fp-22, 0x1.d0a48eddaa35dp-22,
    0x1.76996eaaf4333p-25, -0x1.18b5f835b8b99p-24, -0x1.5f21169ef901cp-27, 0x1.ee7949413ffbep-28, 0x1.1597e55237a1p-29 };
#endif
static inline V CAT(gauss, SFX)(V t, V *s)              /* e^(-t^2/2) = s (1 + P), s scaled UP */
{
    V m = t * K(-0.5), a = m * t;
    return EXP_SPLIT(a, PRODUCT_ERROR(m, t, a), OFF, s);
}
static inline V CAT(mills, SFX)(V u)                    /* p(u); the last step is kept apart: it alone rounds p as a whole */
{
    const R *c = CAT(c_mills, SFX);
    V w = u * u;
#if BITS == 32
    V a = FMA(w, FMA(u, SPLAT(c[4]), SPLAT(c[3])), FMA(u, SPLAT(c[2]), SPLAT(c[1])));
    V b = FMA(w, FMA(u, SPLAT(c[8]), SPLAT(c[7])), FMA(u, SPLAT(c[6]), SPLAT(c[5])));
    return FMA(u, FMA(w * w, b, a), SPLAT(c[0]));
#else
    V a = FMA(SPLAT(c[21]), w, SPLAT(c[19])), b = SPLAT(c[20]);         /* odd and even parts: half the chain */
    _Pragma("GCC unroll 32") for (int k = 17; k >= 1; k -= 2) {
        a = FMA(a, w, SPLAT(c[k]));
        b = FMA(b, w, SPLAT(c[k + 1]));
    }
    return FMA(u, FMA(b, u, a), SPLAT(c[0]));
#endif
}
/* near 0: x Phi(x) = x (1/2 + x S(x^2)), its derivative 1/2 + x D(x^2), beyond the root at -0.7518.
 *   S on x^2 <= 0.4625: error 2^-25 (f32), 2^-53.8 (f64);  D on x^2 <= 0.66 */
#define GELU_NEAR   PICK(0.67, 0.67)
#define D_GELU_NEAR PICK(0.80, 0.80)
#if BITS == 32
static const R CAT(c_phi, SFX)[] = { 0x1.988454p-2f, -0x1.1059p-4f, 0x1.471096p-7f, -0x1.3da526p-10f, 0x1.1c6dbep-13f };
static const R CAT(c_dphi, SFX)[] = { 0x1.988454p-1f, -0x1.1058a4p-2f, 0x1.ea5fb2p-5f, -0x1.39bebap-7f, 0x1.4f25f2p-10f, -0x1.74ddaep-13f };
#else
static const R CAT(c_phi, SFX)[] = { 0x1.9884533d43651p-2, -0x1.1058377e2d14ep-4, 0x1.46d04297aea0ep-7, -0x1.37403f9b962a6p-10, 0x1.e42b2e8024e13p-14,
    -0x1.3cef6e7028d2ap-17, 0x1.6703a2b9fe2eap-21, -0x1.946f9007c18fap-25, 0x1.357287ad0402cp-27, -0x1.ca5fbfa33b2e5p-29 };
static const R CAT(c_dphi, SFX)[] = { 0x1.9884533d43651p-1, -0x1.1058377e2cfeap-2, 0x1.ea3863e3372a5p-5, -0x1.37403f733c315p-7, 0x1.2e9aeaa272359p-10,
    -0x1.db5e469b5f6acp-14, 0x1.38eed7a4382dp-17, -0x1.650864660c76dp-21, 0x1.9ab0a2f5aafc1p-25, -0x1.e97f250e6568cp-28, 0x1.ae96e4d901cb1p-30 };
#endif
static inline V CAT(x_phi, SFX)(V x)
{
    V s, t = MIN(SPLAT(MILLS_T), ABS(x)), P = CAT(gauss, SFX)(t, &s), w = t * t;
    V d = t + MILLS_K, v = t / d, vl = FMA(v, (d - MILLS_K) - t, RESIDUAL(t, v, d));    /* rounding of d and of the quotient */
    vl *= FMA(v, SPLAT(-1 / MILLS_K), SPLAT(1 / MILLS_K));                              /* 1/d = (1 - v)/k */
    V p_ = CAT(mills, SFX)(FMA(vl, SPLAT(2), FMA(v, SPLAT(2), SPLAT(-1)))), g = v * p_, gl = FMA(vl, p_, PRODUCT_ERROR(v, p_, g));
    V y = FMA((FMA(g, P, gl) + g) * s, SPLAT(-DOWN), SEL(x < 0, SPLAT(-0.0), x));
    return SEL(t < GELU_NEAR, x * FMA(x, HORNER(w, CAT(c_phi, SFX)), SPLAT(0.5)), y);
}
static inline V CAT(d_x_phi, SFX)(V x)                  /* Phi(x) + x phi(x) = e H left of 0, 1 - e H right, H = R(t) - t/sqrt(2 pi) */
{
    V s, t = MIN(SPLAT(MILLS_T), ABS(x)), P = CAT(gauss, SFX)(t, &s), w = t * t;
    V d = t + MILLS_K, i = 1 / d, il = FMA(i, (d - MILLS_K) - t, RESIDUAL(SPLAT(1), i, d));
    i = FMA(il, i, i);
    V h = FMA(t, SPLAT(-0.39894228040143267794), i * CAT(mills, SFX)(FMA(i, SPLAT(-2 * MILLS_K), SPLAT(1))));
    h = FMA(h, P, h) * s * DOWN;
    h = SEL(x < 0, h, 1 - h);
    return SEL(t < D_GELU_NEAR, FMA(x, HORNER(w, CAT(c_dphi, SFX)), SPLAT(0.5)), h);
}
#define X_PHI(x)   CAT(x_phi, SFX)(x)
#define D_X_PHI(x) CAT(d_x_phi, SFX)(x)
