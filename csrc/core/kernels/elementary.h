/* elementary.h - elementary functions that only formulas use, on V: ROUND FLOOR EXP_AND_EXPM1 POW
 * TAN ATAN SINH COSH ASINH ERF ERFC NORMCDF NORMPDF SOFTPLUS SIGMOID_AND_SLOPE. No include guard:
 * kernels.c includes it once per type, after normal.h.
 *
 * As in vmath.h, each is within 2 units in the last place on the whole line. Limits at +-inf are
 * the mathematical ones, NaN stays NaN, and odd functions keep -0.0. */

/* Adding and subtracting 2^MANT rounds to an integer, ties to even. */
static ALWAYS V CAT(v_round, SFX)(V x)
{
    const V one = SPLAT(PICK(0x1p23, 0x1p52)), t = ABS(x);
    return SEL(t < one, SIGN((t + one) - one, x), x);
}
static ALWAYS V CAT(v_floor, SFX)(V x)
{
    V r = CAT(v_round, SFX)(x);
    return SEL(r > x, r - 1, r);
}
#define ROUND(x) CAT(v_round, SFX)(x)
#define FLOOR(x) CAT(v_floor, SFX)(x)

/* EXP and EXPM1 of x, with one polynomial. Left of EXPM1_FLOOR, where the polynomial of EXPM1
 * differs, s is so small that the result is -1. */
static inline V CAT(exp_and_expm1, SFX)(V x, V *expm1)
{
    V magic = SPLAT(MAGIC + 2 * BIAS), c = CLAMP(EXP_FLOOR, EXP_CEIL, x),
      z = FMA(c, SPLAT(LOG2E), magic), n = z - magic,
      P = CAT(exp_remainder, SFX)(FMA(n, SPLAT(-LN2_LO), FMA(n, SPLAT(-LN2_HI), c)));
    VI i = (VI)z >> 1, k = (VI)z - (BIAS + 1);
    k = (VI)((VU)k << MANT);
    V s = SEL(c < EXPM1_FLOOR, SPLAT(PICK(0x1p-40, 0x1p-80)), (V)k), h = FMA(s, P, s - K(0.5));
    *expm1 = SEL(x == 0, x, h + h);
    return (1 + P) * (V)(i << MANT) * (V)(((VI)z - i) << MANT);
}
#define EXP_AND_EXPM1(x, expm1) CAT(exp_and_expm1, SFX)((x), (expm1))

/* ---- powers ---------------------------------------------------------------------------------- */

/* log x for finite x > 0, as a sum whose error is near 2^-2w/3, w the bits of the type: y log x
 * must be accurate to an ulp of 1, and reaches 2^7 (f32) or 2^10 (f64). With 1 + f the mantissa, it
 * is q + q w P(w), q = f / (1 + f/2), w = q^2/4. */
static inline V CAT(log_pair, SFX)(V x, V *low)
{
    const R *c = CAT(c_atanh, SFX);
    const V magic = SPLAT(MAGIC);
    VI tiny = x < PICK(0x1p-126, 0x1p-1022);
    V u = SEL(tiny, x * PICK(0x1p23, 0x1p52), x);
    VI k = CAT(log_exponent, SFX)(u);
    V f = CAT(log_mantissa, SFX)(u, k) - 1,
      n = ((V)((VI)magic + k) - magic) - SEL(tiny, SPLAT(MANT), SPLAT(0));
    V d = FMA(f, SPLAT(0.5), SPLAT(1)), dl = FMA(f, SPLAT(0.5), 1 - d), q = f / d,
      ql = FMA(-q, dl, RESIDUAL(f, q, d)) / d;
    V w = q * q * K(0.25), wl = FMA(q * K(0.5), ql, PRODUCT_ERROR(q * K(0.25), q, w));
    V r = w * HORNER_FROM(1, w, CAT(c_atanh, SFX)), p = r + c[0], pl = (c[0] - p) + r;
    V v = w * p, vl = FMA(w, pl, FMA(wl, p, PRODUCT_ERROR(w, p, v)));
    V t = q * v, tl = FMA(q, vl, FMA(ql, v, PRODUCT_ERROR(q, v, t)));
    V s = q + t, sl = ((q - s) + t) + (ql + tl), b = n * LN2_HI, y = b + s,
      yl = ((b - y) + s) + FMA(n, SPLAT(LN2_LO), sl), h = y + yl;
    *low = (y - h) + yl;
    return h;
}

/* C99's special cases: 1 for y = 0 and for x = 1 even if the other one is NaN, and for x = -1, y =
 * +-inf. A negative x gives NaN unless y is an integer. */
static inline V CAT(v_pow, SFX)(V x, V y)
{
    V t = ABS(x), low, h = CAT(log_pair, SFX)(t, &low), p = y * h,
      r = EXP2(p, FMA(y, low, PRODUCT_ERROR(y, h, p))), half = y * K(0.5);
    VI integer = ROUND(y) == y, odd = integer & (ROUND(half) != half), zero = t == 0,
       ends = zero | (t == SPLAT(INFINITY));
    r = SEL(ends, (V)((VI)SPLAT(INFINITY) & ~(zero ^ (y < 0))), r);
    r = SEL(t == 1, SPLAT(1), r);
    r = SEL((x < 0) & ~integer & ~ends, SPLAT(NAN), r);
    r = (V)((VI)r ^ ((VI)x & odd & SIGNBIT));
    r = SEL((x == x) & (y == y), r, x + y);
    return SEL((y == 0) | (x == 1), SPLAT(1), r);
}
#define POW(x, y) CAT(v_pow, SFX)((x), (y))

/* ---- trigonometric functions ----------------------------------------------------------------- */

/* sin r / cos r, or its negative reciprocal, for x = n pi/2 + r + rl as in v_sin; numerator,
 * denominator and quotient are corrected by their rounding errors. */
static inline V CAT(v_tan, SFX)(V x)
{
    const V magic = SPLAT(MAGIC), p2 = SPLAT(PICK(-0x1.777a5cp-25, 0x1.1a62633145c07p-54)),
            p3 = SPLAT(PICK(0x1.ee59dap-50, 0x1.f1976b7ed8fbcp-110));
    V z = FMA(x, SPLAT(0.63661977236758134308), magic), n = z - magic,
      a = RESIDUAL(x, n, SPLAT(PICK(0x1.921fb6p0, 0x1.921fb54442d18p0))), b = RESIDUAL(a, n, p2),
      r = FMA(n, p3, b), rl = RESIDUAL(a - b, n, p2) + FMA(n, p3, b - r);
    V w = r * r, half = w * K(0.5), one = 1 - half, sp = r * w * HORNER(w, CAT(c_sin, SFX)),
      cp = FMA(w * w, HORNER(w, CAT(c_cos, SFX)), (1 - one) - half), s = r + sp, c = one + cp,
      sl = FMA(c, rl, (r - s) + sp), cl = FMA(-s, rl, (one - c) + cp);
    VI odd = ((VI)z & 1) != 0;
    V up = SEL(odd, -c, s), upl = SEL(odd, -cl, sl), down = SEL(odd, s, c),
      downl = SEL(odd, sl, cl), q = up / down,
      y = q + (RESIDUAL(up, q, down) + FMA(-q, downl, upl)) / down;
    y = SEL(ABS(x) < PICK(0x1p-20, 0x1p-40), x, y);
    VI out_of_range = ABS(x) > TRIG_MAX;
    if (__builtin_expect(ANY(out_of_range), 0))
        for (size_t k = 0; k < L; k++)
            if (out_of_range[k]) y[k] = (R)tan(x[k]);
    return y;
}
#define TAN(x) CAT(v_tan, SFX)(x)

/* (atan(z)/z - 1)/z^2 in z^2 for |z| <= tan(pi/8): error 2^-28.4 (f32), 2^-58.2 (f64) relative to
 * atan(z)/z */
#if BITS == 32
static const R CAT(c_atan, SFX)[] = { -0x1.555554p-2f, 0x1.99973p-3f, -0x1.24202ep-3f,
                                      0x1.b80f88p-4f, -0x1.08432cp-4f };
#else
static const R CAT(c_atan, SFX)[] = {
    -0x1.5555555555555p-2, 0x1.9999999999953p-3,  -0x1.249249248d7dcp-3, 0x1.c71c71c303dbbp-4,
    -0x1.745d165dc9713p-4, 0x1.3b1392d519db1p-4,  -0x1.110e87b4357d2p-4, 0x1.e19a0bfa3eef9p-5,
    -0x1.ac7a5a79b3f26p-5, 0x1.74dccfb93fffp-5,   -0x1.1b311bb48c215p-5, 0x1.0acd9e91a5a35p-6
};
#endif
#define QUARTER_PI    PICK(0x1.921fb6p-1, 0x1.921fb54442d18p-1)
#define QUARTER_PI_LO PICK(-0x1.777a5cp-26, 0x1.1a62633145c07p-55)
/* m pi/4 + atan z, z = n/d: t, (t - 1)/(t + 1) or -1/t for m = 0, 1, 2 */
static inline V CAT(v_atan, SFX)(V x)
{
    V t = ABS(x);
    VI middle = t > K(0.41421356237309503), right = t > K(2.4142135623730951);
    V m = SEL(right, SPLAT(2), SEL(middle, SPLAT(1), SPLAT(0))),
      n = SEL(right, SPLAT(-1), SEL(middle, t - 1, t)),
      d = SEL(right, t, SEL(middle, t + 1, SPLAT(1)));
    /* the rounding errors of t - 1 and t + 1 */
    V nl = (t - (n + 1)), dl = (V)((VI)(((t - (d - 1))) + (1 - (d - (d - 1)))) & middle & ~right);
    nl = (V)((VI)nl & middle & ~right);
    V z = n / d, rest = (RESIDUAL(n, z, d) + FMA(-z, dl, nl)) / d, w = z * z,
      high = m * QUARTER_PI;
    rest = (V)((VI)rest & (t < PICK(0x1p100, 0x1p1000)));
    V p = FMA(z * w, HORNER(w, CAT(c_atan, SFX)), FMA(m, SPLAT(QUARTER_PI_LO), rest)),
      y = high + z, yl = (high - y) + z;
    return SEL(t == t, SIGN(y + (yl + p), x), x);
}
#define ATAN(x) CAT(v_atan, SFX)(x)

/* ---- hyperbolic functions -------------------------------------------------------------------- */

/* With e = e^|x|, sinh |x| is (e - 1 + (e - 1)/e)/2, and cosh x is (e + 1/e)/2. A quarter of e is
 * computed, since e overflows before the results do. */
static inline V CAT(v_sinh, SFX)(V x)
{
    V t = ABS(x), s, P = EXP_SPLIT0(MIN(SPLAT(EXP_CEIL + K(0.5)), t), -2, &s), a = s - K(0.25),
      m = FMA(s, P, a), ml = FMA(s, P, a - m), d = m + K(0.25), dl = ((K(0.25) - d) + m) + ml;
    dl = SEL(m > K(0.25), ((m - d) + K(0.25)) + ml, dl);
    V n = m * K(0.25), q = n / d, ql = (RESIDUAL(n, q, d) + FMA(-q, dl, ml * K(0.25))) / d,
      y = m + q, yl = ((m - y) + q) + (ml + ql);
    return SEL(t > PICK(0x1p-20, 0x1p-40), SIGN(2 * (y + yl), x), x);
}
static inline V CAT(v_cosh, SFX)(V x)
{
    V s, P = EXP_SPLIT0(MIN(SPLAT(EXP_CEIL + K(0.5)), ABS(x)), -2, &s), h = FMA(s, P, s),
      l = FMA(s, P, s - h);
    return 2 * (h + (K(0.0625) / h + l));
}
/* log1p(u + ul) with u = t + t^2/(1 + sqrt(1 + t^2)), t = |x|; log 2t where t is large */
static inline V CAT(v_asinh, SFX)(V x)
{
    const V magic = SPLAT(MAGIC);
    V t = ABS(x);
    VI large = t > PICK(0x1p27, 0x1p54);
    V c = SEL(large, SPLAT(1), t), h = c * c, hl = PRODUCT_ERROR(c, c, h), o = 1 + h,
      ol = (h - (o - (o - h))) + (1 - (o - h)) + hl, r = SQRT(o),
      rl = (RESIDUAL(o, r, r) + ol) / (r + r), d = 1 + r, dl = (1 - (d - r)) + rl;
    V q = h / d, ql = (RESIDUAL(h, q, d) + FMA(-q, dl, hl)) / d, u = c + q,
      ul = ((c - u) + q) + ql;
    /* 1 + u + ul, or t */
    V v = SEL(large, t, 1 + u), b = v - u, vl = (u - (v - b)) + (1 - b) + ul;
    VI k = CAT(log_exponent, SFX)(v);
    V f = CAT(log_mantissa, SFX)(v, k) - 1,
      kf = ((V)((VI)magic + k) - magic) + SEL(large, SPLAT(1), SPLAT(0));
    V fl = (V)((VI)(vl * (V)((VU)(BIAS - k) << MANT)) & ~large), n = f + fl,
      y = CAT(log_sum, SFX)(kf, n, (f - n) + fl);
    y = SEL(t > PICK(0x1p-20, 0x1p-40), SIGN(y, x), x);
    return SEL(t < SPLAT(INFINITY), y, x);
}
#define SINH(x)  CAT(v_sinh, SFX)(x)
#define COSH(x)  CAT(v_cosh, SFX)(x)
#define ASINH(x) CAT(v_asinh, SFX)(x)

/* ---- the error function and the normal distribution ------------------------------------------ */

#define ERFC_MAX  PICK(10.1, 27.4)                      /* erfc has underflowed to 0 */
#define SQRT2     PICK(0x1.6a09e6p0, 0x1.6a09e667f3bcdp0)
#define SQRT2_LO  PICK(0x1.9fcef4p-26, -0x1.bdd3413b26456p-54)
/* erfc t / 2 = Phi(-t sqrt(2)), scaled UP, for t >= 0 */
static inline V CAT(erfc_tail, SFX)(V t)
{
    V magic = SPLAT(MAGIC + BIAS + OFF), z = FMA(t * t, SPLAT(-LOG2E), magic), n = z - magic,
      s = (V)((VI)z << MANT), r = 2 * FMA(n, SPLAT(LN2_LO), RESIDUAL(n * LN2_HI, -t, t)),
      a = t * SQRT2, al = FMA(t, SPLAT(SQRT2_LO), PRODUCT_ERROR(t, SPLAT(SQRT2), a));
    return PHI_TAIL(a, al, r, s);
}
static inline V CAT(v_erfc, SFX)(V x)
{
    V e = CAT(erfc_tail, SFX)(MIN(SPLAT(ERFC_MAX), ABS(x)));
    VI left = x < 0;
    return FMA(e, SEL(left, SPLAT(-2 * DOWN), SPLAT(2 * DOWN)), SEL(left, SPLAT(2), SPLAT(0)));
}
#if BITS == 32
/* erf on [0, 4] in 16 pieces of equal length, in rows like those of normal.h; the first one is that
 * of erf(t) - t: error 2^-27 */
static const R CAT(c_erf, SFX)[][16] = {
    { 0, 0x1.7b3p-2f, 0x1.4248p-1f, 0x1.bdap-1f, 0x1.2008p0f, 0x1.61p0f, 0x1.9fd8p0f, 0x1.dffp0f,
      0x1.0f9p1f, 0x1.2fb8p1f, 0x1.5068p1f, 0x1.6f6p1f, 0x1.8fa8p1f, 0x1.b048p1f, 0x1.cfd8p1f,
      0x1.ef6p1f },
    { 0, 0x1.9916e8p-2f, 0x1.40d612p-1f, 0x1.9031f2p-1f, 0x1.c6dfeap-1f, 0x1.e5cd4ep-1f,
      0x1.f4f022p-1f, 0x1.fbe50cp-1f, 0x1.fe9e9p-1f, 0x1.ff9838p-1f, 0x1.ffe58ep-1f, 0x1.fff98ap-1f,
      0x1.fffeaep-1f, 0x1.ffffc4p-1f, 0x1.fffff6p-1f, 0x1.fffffep-1f },
    { 0x1.06eba8p-3f, 0x1.f7b3aep-1f, 0x1.84bba2p-1f, 0x1.0eda7ep-1f, 0x1.45d2b2p-2f,
      0x1.5929e8p-3f, 0x1.4a44ccp-4f, 0x1.130f22p-5f, 0x1.9a4bdcp-7f, 0x1.09527p-8f,
      0x1.27eee8p-10f, 0x1.38fc02p-12f, 0x1.143696p-14f, 0x1.a59398p-17f, 0x1.2c0f48p-19f,
      0x1.7af222p-22f },
    { -0x1.ce479p-21f, -0x1.750abap-2f, -0x1.e96156p-2f, -0x1.d77b14p-2f, -0x1.6e9736p-2f,
      -0x1.dbf2c8p-3f, -0x1.0c3e18p-3f, -0x1.01d598p-4f, -0x1.b33d1ap-6f, -0x1.3ac746p-7f,
      -0x1.84e1cep-9f, -0x1.c12688p-11f, -0x1.af3632p-13f, -0x1.63efep-15f, -0x1.0fd638p-17f,
      -0x1.6ea332p-20f },
    { -0x1.811cb6p-2f, -0x1.e76ae6p-3f, -0x1.ae5c74p-5f, 0x1.7400eap-4f, 0x1.4cba46p-3f,
      0x1.4278a6p-3f, 0x1.d6e346p-4f, 0x1.14691ap-4f, 0x1.119be2p-5f, 0x1.c5b79cp-7f,
      0x1.3c0418p-8f, 0x1.939ac4p-10f, 0x1.a9bcb4p-12f, 0x1.7f10ap-14f, 0x1.3bc89p-16f,
      0x1.c90af8p-19f },
    { -0x1.6a783cp-11f, 0x1.52f136p-3f, 0x1.681fbap-3f, 0x1.d2b748p-4f, 0x1.c9b776p-6f,
      -0x1.fd6e96p-6f, -0x1.973d46p-5f, -0x1.5a4ee8p-5f, -0x1.b36498p-6f, -0x1.b15e6p-7f,
      -0x1.5e7432p-8f, -0x1.f86c46p-10f, -0x1.2871b6p-11f, -0x1.25bfeap-13f, -0x1.0780bep-15f,
      -0x1.9bfcfep-18f },
    { 0x1.e43c64p-4f, 0x1.7efe8cp-5f, -0x1.cdd67cp-6f, -0x1.105704p-4f, -0x1.f46d8ep-5f,
      -0x1.ed835ap-6f, -0x1.31aa4ap-9f, 0x1.73a08cp-7f, 0x1.9935dep-7f, 0x1.1348d8p-7f,
      0x1.12aa16p-8f, 0x1.cd2ad8p-10f, 0x1.359f8cp-11f, 0x1.586c3p-13f, 0x1.54d0bcp-15f,
      0x1.22d9f8p-17f },
    { -0x1.3ef42ap-6f, -0x1.981bcep-5f, -0x1.50e8fp-5f, -0x1.57f42p-7f, 0x1.f8887p-7f,
      0x1.695dbap-6f, 0x1.d804dep-7f, 0x1.0f4d92p-8f, -0x1.d34d2p-10f, -0x1.965f96p-9f,
      -0x1.261ad4p-9f, -0x1.2c5ec6p-10f, -0x1.ddc5c2p-12f, -0x1.3544d2p-13f, -0x1.4fe1d4p-15f,
      -0x1.34a78ep-17f },
};
static inline V CAT(v_erf, SFX)(V x)
{
    const R (*c)[16] = CAT(c_erf, SFX);
    V t = MIN(SPLAT(3.92), ABS(x));                     /* erf rounds to 1 from there on */
    VI j = (VI)(t + 4) >> (MANT - 4);
    V d = t - LOOKUP(c[0], j), c0 = LOOKUP(c[1], j), q = LOOKUP(c[7], j);
    _Pragma("GCC unroll 8") for (int k = 6; k > 1; k--) q = FMA(q, d, LOOKUP(c[k], j));
    V y = FMA(q, d, SEL(c0 == 0, t, c0));
    return SIGN(SEL(t == K(3.92), SPLAT(1), y), x);
}
#else
/* (erf(x)/x - erf'(0))/x^2 in x^2 on [0, 1], error 2^-57 relative to erf'(0), which is in two
 * parts */
static const R CAT(c_erf, SFX)[] = {
    -0x1.812746b0379e7p-2,  0x1.ce2f21a042bd7p-4,   -0x1.b82ce312882f8p-6,  0x1.565bcd0e434bbp-8,
    -0x1.c02db3f4735cbp-11, 0x1.f9a324ddf0f34p-14,  -0x1.f4d21efdafc7dp-17, 0x1.b9e2333703249p-20,
    -0x1.5f39372686202p-23, 0x1.f8d476ab1a455p-27,  -0x1.3c1e91b012003p-30, 0x1.0f8a27a51ad26p-34
};
static inline V CAT(v_erf, SFX)(V x)
{
    V t = ABS(x), c = MIN(SPLAT(1), t), w = c * c,
      y = FMA(c, SPLAT(0x1.20dd750429b6dp0),
              c * FMA(w, HORNER(w, CAT(c_erf, SFX)), SPLAT(0x1.1ae3a914fed8p-56)));
    V e = CAT(erfc_tail, SFX)(MIN(SPLAT(6), MAX(SPLAT(1), t)));
    return SIGN(SEL(t < 1, y, FMA(e, SPLAT(-2 * DOWN), SPLAT(1))), x);
}
#endif
static inline V CAT(v_normcdf, SFX)(V x)
{
    V s, t = MIN(SPLAT(T_MAX), ABS(x)), r = GAUSS(t, &s), e = PHI_TAIL(t, SPLAT(0), r, s);
    VI left = x < 0;
    return FMA(e, SEL(left, SPLAT(DOWN), SPLAT(-DOWN)), SEL(left, SPLAT(0), SPLAT(1)));
}
#define DENSITY    PICK(0x1.988454p-2, 0x1.9884533d43651p-2)    /* 1/sqrt(2 pi) in two parts */
#define DENSITY_LO PICK(-0x1.857936p-27, -0x1.cbc0d30ebfd15p-56)
static inline V CAT(v_normpdf, SFX)(V x)
{
    V t = MIN(SPLAT(T_MAX), ABS(x)), q = t * t, l,
      h = EXP_NEG(q * K(-0.5), PRODUCT_ERROR(t, t, q) * K(-0.5), EXP_FLOOR, &l);
    return FMA(h, SPLAT(DENSITY), FMA(h, SPLAT(DENSITY_LO), l * DENSITY)) * DOWN;
}
#define ERF(x)     CAT(v_erf, SFX)(x)
#define ERFC(x)    CAT(v_erfc, SFX)(x)
#define NORMCDF(x) CAT(v_normcdf, SFX)(x)
#define NORMPDF(x) CAT(v_normpdf, SFX)(x)

/* log(1 + e^x) */
static inline V CAT(v_softplus, SFX)(V x)
{
    V l, h = EXP_NEG(NEGABS(x), SPLAT(0), EXP_FLOOR, &l), low, y = LOG1P_UP(h, l, &low);
    return FMA(y, SPLAT(DOWN), MAX(SPLAT(0), x));
}
#define SOFTPLUS(x) CAT(v_softplus, SFX)(x)

/* SIGMOID, and its derivative e q^2 with e = e^-x and q the sigmoid, corrected by the relative
 * error of q. e is scaled DOWN left of 0 and UP right of it. */
static inline V CAT(sigmoid_and_slope, SFX)(V x, V *slope)
{
    const V magic = SPLAT(MAGIC + BIAS - OFF), least = SPLAT(MAGIC + BIAS - OFF - 60);
    V c = -CLAMP(EXP_FLOOR, -EXP_FLOOR, x), z = FMA(c, SPLAT(LOG2E), magic), n = z - magic,
      P = CAT(exp_remainder, SFX)(FMA(n, SPLAT(-LN2_LO), FMA(n, SPLAT(-LN2_HI), c))),
      s = (V)((VI)MAX(least, z) << MANT), a = FMA(s, P, SPLAT(DOWN)), d = a + s, q = DOWN / d,
      b = d - a, dl = (a - (d - b)) + (s - b) + FMA(s, P, DOWN - a);
    VI left = x < 0;
    V t = (V)(((VI)z + (~left & (2 * OFF))) << MANT), e = FMA(t, P, t),
      v = q * (q * e * SEL(left, SPLAT(UP), SPLAT(1))),
      error = UP * (RESIDUAL(SPLAT(DOWN), q, d) - q * dl);
    *slope = FMA(v, error + error, v) * SEL(left, SPLAT(1), SPLAT(DOWN));
    return q;
}
#define SIGMOID_AND_SLOPE(x, slope) CAT(sigmoid_and_slope, SFX)((x), (slope))
