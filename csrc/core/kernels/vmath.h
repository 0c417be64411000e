/* vmath.h - elementary functions on V: EXP EXPM1 LOG LOG1P TANH SIN COS, and the parts that
 * activations are built from. No include guard: kernels.c includes it once per type, after
 * vector.h.
 *
 * Each is within 2 units in the last place on the whole line, gradual underflow included; limits at
 * +-inf are the mathematical ones, and NaN stays NaN. Three techniques are used throughout. e^x is
 * a power of two and a small remainder, so that sums like 1 + e^x are rounded once. The rounding
 * error of a quotient is computed exactly (RESIDUAL) and added back. Results that may be subnormal
 * are scaled by a large power of two (UP), and the last operation scales them DOWN. */

#define UP          PICK(0x1p64, 0x1p512)
#define DOWN        PICK(0x1p-64, 0x1p-512)
#define OFF         (BITS == 32 ? 64 : 512)             /* UP = 2^OFF */
#define CLAMP(lo, hi, x) MAX(SPLAT(lo), MIN(SPLAT(hi), (x)))
#define EXP_FLOOR   PICK(-104, -746)                    /* e^t has underflowed to 0 */
#define EXPM1_FLOOR PICK(-20, -40)                      /* e^t - 1 rounds to -1 */
#define EXP_CEIL    PICK(89, 710)                       /* e^t has overflowed */

/* c[0] + c[1] x + ... + c[n-1] x^(n-1) */
static ALWAYS V CAT(horner, SFX)(V x, const R *c, int n)
{
    V p = SPLAT(c[n - 1]);
    _Pragma("GCC unroll 32") for (int k = n - 2; k >= 0; k--) p = FMA(p, x, SPLAT(c[k]));
    return p;
}
#define HORNER(x, c)         HORNER_FROM(0, x, c)
/* (p - c[0] - ... - c[k-1] x^(k-1)) / x^k */
#define HORNER_FROM(k, x, c) \
    CAT(horner, SFX)((x), (c) + (k), (int)(sizeof(c) / sizeof(c)[0]) - (k))

/* a b - p exactly, for p = a b rounded. Without FMA: Dekker's product, on halves cut by a mask. */
static inline V CAT(product_error, SFX)(V a, V b, V p)
{
#ifdef PN_FMA
    return FMA(a, b, -p);
#else
    const VI cut = ~((VI){ 0 } + (((I)1 << (MANT / 2 + 1)) - 1));
    V ah = (V)((VI)a & cut), al = a - ah, bh = (V)((VI)b & cut), bl = b - bh;
    return ((ah * bh - p) + ah * bl + al * bh) + al * bl;
#endif
}
#define PRODUCT_ERROR CAT(product_error, SFX)

/* a - q b, rounded once; exact where q is near a / b or b near a / q. */
static inline V CAT(residual, SFX)(V a, V q, V b)
{
#ifdef PN_FMA
    return FMA(-q, b, a);
#else
    V p = q * b;
    return (a - p) - PRODUCT_ERROR(q, b, p);
#endif
}
#define RESIDUAL CAT(residual, SFX)

/* For x + lo, lo a rounding error of x, split as n ln2 + r with |r| <= ln2/2:
 *
 *   e^(x + lo) = s (1 + P),  s = 2^(n + off),  P = e^r - 1 = r + r^2 q(r).
 *
 * The magic number rounds the sum to an integer and includes the exponent bias, so s is one shift
 * of it; n LN2_HI is exact. Valid for 1 <= n + off + BIAS <= 2^w - 2. q is a minimax polynomial:
 * error relative to r 2^-29.2 (f32), 2^-58.8 (f64). */
#if BITS == 32
static const R CAT(c_expm1, SFX)[] = { 0x1p-1f,        0x1.555556p-3f,  0x1.55552cp-5f,
                                       0x1.111384p-7f, 0x1.6cf552p-10f, 0x1.9afde4p-13f };
#else
static const R CAT(c_expm1, SFX)[] = { 0x1p-1,
                                       0x1.5555555555559p-3,
                                       0x1.5555555555556p-5,
                                       0x1.111111110f627p-7,
                                       0x1.6c16c16c1594ep-10,
                                       0x1.a01a01b025134p-13,
                                       0x1.a01a01af38ec7p-16,
                                       0x1.71ddf78b67be8p-19,
                                       0x1.27e4b6d1f6dacp-22,
                                       0x1.af6095a2542a7p-26,
                                       0x1.1fd1ae8afc521p-29 };
#endif
#define MAGIC  PICK(0x1.8p23, 0x1.8p52)
#define LOG2E  PICK(0x1.715476p0, 0x1.71547652b82fep0)
#define LN2_HI PICK(0x1.62e4p-1, 0x1.62e42fefap-1)
#define LN2_LO PICK(0x1.7f7d1cp-20, 0x1.cf79abc9e3b3ap-40)

/* e^r - 1 by Estrin's scheme, which has a shorter dependency chain than Horner's */
static inline V CAT(exp_remainder, SFX)(V r)
{
    const R *c = CAT(c_expm1, SFX);
    V r2 = r * r, a = FMA(r2, FMA(SPLAT(c[3]), r, SPLAT(c[2])), FMA(SPLAT(c[1]), r, SPLAT(c[0]))),
      b = FMA(SPLAT(c[5]), r, SPLAT(c[4]));
#if BITS == 32
    return FMA(r2, FMA(r2 * r2, b, a), r);
#else
    V r4 = r2 * r2;
    b = FMA(r2, FMA(SPLAT(c[7]), r, SPLAT(c[6])), b);
    return FMA(r2, FMA(r4, FMA(r4, FMA(r2, SPLAT(c[10]), FMA(SPLAT(c[9]), r, SPLAT(c[8]))), b), a),
               r);
#endif
}
static inline V CAT(exp_split, SFX)(V x, V lo, int off, V *s)
{
    V magic = SPLAT(MAGIC + BIAS + off), z = FMA(x, SPLAT(LOG2E), magic), n = z - magic;
    *s = (V)((VI)z << MANT);
    return CAT(exp_remainder, SFX)(FMA(n, SPLAT(-LN2_LO), lo) + FMA(n, SPLAT(-LN2_HI), x));
}
/* the same with lo = 0, which saves an operation */
static inline V CAT(exp_split0, SFX)(V x, int off, V *s)
{
    V magic = SPLAT(MAGIC + BIAS + off), z = FMA(x, SPLAT(LOG2E), magic), n = z - magic;
    *s = (V)((VI)z << MANT);
    return CAT(exp_remainder, SFX)(FMA(n, SPLAT(-LN2_LO), FMA(n, SPLAT(-LN2_HI), x)));
}
#define EXP_SPLIT(x, lo, off, s) CAT(exp_split, SFX)((x), (lo), (off), (s))
#define EXP_SPLIT0(x, off, s)    CAT(exp_split0, SFX)((x), (off), (s))

/* e^(x + lo) = s1 s2 (1 + P): two factors 2^(n/2), since 2^n alone is not representable at either
 * end. */
static inline V CAT(v_exp, SFX)(V x, V lo)
{
    V magic = SPLAT(MAGIC + 2 * BIAS), c = CLAMP(EXP_FLOOR, EXP_CEIL, x),
      z = FMA(c, SPLAT(LOG2E), magic), n = z - magic;
    lo = (V)((VI)lo & (c == x));                        /* it may be NaN where x is infinite */
    V e = 1 + CAT(exp_remainder, SFX)(FMA(n, SPLAT(-LN2_LO), lo) + FMA(n, SPLAT(-LN2_HI), c));
    VI i = (VI)z >> 1;
    return e * (V)(i << MANT) * (V)(((VI)z - i) << MANT);
}
#define EXP(x)      CAT(v_exp, SFX)((x), SPLAT(0))
#define EXP2(x, lo) CAT(v_exp, SFX)((x), (lo))          /* e^(x + lo) */

/* e^t for t <= 0, as (h + l) / UP with l the rounding error of h; exactly 0 from t <= floor on. */
static inline V CAT(exp_neg, SFX)(V t, V lo, R floor, V *l)
{
    V s, c = MAX(SPLAT(floor), t), P = EXP_SPLIT(c, lo, OFF, &s), h;
    s = (V)((VI)s & (c != floor));
    h = FMA(s, P, s);
    *l = FMA(s, P, s - h);
    return h;
}
#define EXP_NEG(t, lo, floor, l) CAT(exp_neg, SFX)((t), (lo), (floor), (l))

/* e^x - 1 = s P + (s - 1), rounded once; *rest is the rounding error. On the whole line s is
 * halved, since 2^n overflows before the result does. */
static inline V CAT(expm1_neg, SFX)(V x, V *rest)               /* x <= 0 */
{
    V s, P = EXP_SPLIT0(MAX(SPLAT(EXPM1_FLOOR), x), 0, &s), a = s - 1, y = FMA(s, P, a);
    *rest = FMA(s, P, a - y);
    return y;
}
static inline V CAT(v_expm1, SFX)(V x, V *rest)                 /* *rest 0 where it overflows */
{
    V s, c = CLAMP(EXPM1_FLOOR, EXP_CEIL, x), P = EXP_SPLIT0(c, -1, &s);
    V a = s - K(0.5), h = FMA(s, P, a), y = h + h;
    *rest = (V)((VI)(2 * FMA(s, P, a - h)) & (y < SPLAT(INFINITY)));
    return SEL(x == 0, x, y);
}
#define EXPM1_NEG(x, rest) CAT(expm1_neg, SFX)((x), (rest))
#define EXPM1(x, rest)     CAT(v_expm1, SFX)((x), (rest))

/* tanh |x| = (1 - e) / (1 + e), e = e^(-2|x|). Numerator and denominator are -+(s P) + (1 -+ s),
 * each rounded once. *rest is their rounding error, with `quotient` that of the quotient too. f64
 * adds it; f32 stays within 2 ULP without. */
static ALWAYS V CAT(tanh_abs, SFX)(V x, int quotient, V *rest)
{
    V s, P = EXP_SPLIT0(MAX(SPLAT(EXPM1_FLOOR), NEGABS(x + x)), 0, &s);
    V a = 1 - s, b = 1 + s, n = FMA(-s, P, a), d = FMA(s, P, b), q = n / d,
      lost = FMA(-q, FMA(s, P, b - d), FMA(-s, P, a - n));
    if (quotient) lost += RESIDUAL(n, q, d);
    *rest = lost * FMA(SPLAT(-0.5), d, SPLAT(1.4571));                  /* 1/d on [1, 2] to 9 % */
    return q;
}
static inline V CAT(v_tanh, SFX)(V x)
{
    V rest, q = CAT(tanh_abs, SFX)(x, 0, &rest);
    return SIGN(BITS == 64 ? q + rest : q, x);
}
#define TANH_ABS(x, rest) CAT(tanh_abs, SFX)((x), 1, (rest))
#define TANH(x)           CAT(v_tanh, SFX)(x)

/* (atanh(s)/s - 1)/s^2 in s^2 on [0, 1/9], error 2^-35 (f32), 2^-66 (f64) relative to atanh(s)/s */
#if BITS == 32
static const R CAT(c_atanh, SFX)[] = { 0x1.555556p-2f, 0x1.9998fcp-3f, 0x1.24a934p-3f,
                                       0x1.c46af6p-4f, 0x1.82561p-4f,  0x1.53b2p-4f };
#else
static const R CAT(c_atanh,
                   SFX)[] = { 0x1.5555555555555p-2, 0x1.9999999999affp-3, 0x1.2492492482027p-3,
                              0x1.c71c71d2f62ecp-4, 0x1.745d14c2295bcp-4, 0x1.3b140782f1ea2p-4,
                              0x1.11096f5eb7e02p-4, 0x1.e2ca474aaef97p-5, 0x1.a5e27cc804881p-5,
                              0x1.c3f46043c8b03p-5, 0x1.a108251719cbcp-7, 0x1.ad8af612bc3c6p-4 };
#endif
/* log(1 + e) for 0 <= e <= 1, e = (h + l) / UP; the result is scaled UP, *low its rounding error. 2
 * atanh(q/2), q = e / (1 + e/2). */
static inline V CAT(log1p_up, SFX)(V h, V l, V *low)
{
    const R half = DOWN / 2;
    V d = FMA(h, SPLAT(half), SPLAT(1)), dl = FMA(l, SPLAT(half), FMA(h, SPLAT(half), 1 - d));
    V q = h / d, rest = FMA(-q, dl, l) + RESIDUAL(h, q, d),
      s = MAX(SPLAT(PICK(0x1p-40, 0x1p-100)), q * half), w = s * s;
    /* 1/d on [1, 1.5] to 2 % */
    V t = FMA(q * w, HORNER(w, CAT(c_atanh, SFX)), rest * FMA(d, SPLAT(-0.6667), SPLAT(1.65)));
    V y = q + t;
    *low = (q - y) + t;
    return y;
}
#define LOG1P_UP(h, l, low) CAT(log1p_up, SFX)((h), (l), (low))

/* k ln2 + log(1 + f + fl), 1 + f in [sqrt(1/2), sqrt(2)), f and fl not overlapping */
static inline V CAT(log_sum, SFX)(V k, V f, V fl)
{
    V d = FMA(f, SPLAT(0.5), SPLAT(1)), dl = FMA(f, SPLAT(0.5), 1 - d) + fl * K(0.5);
    V q = f / d, rest = FMA(-q, dl, fl) + RESIDUAL(f, q, d), w = q * q * K(0.25);
    V y = FMA(q * w, HORNER(w, CAT(c_atanh, SFX)), rest / d), b = k * LN2_HI, t = b + q;
    /* k = 0 or |k LN2_HI| > |q| */
    return t + FMA(k, SPLAT(LN2_LO), y + ((b - t) + q));
}
#define LOG_MIDDLE ((VU)SPLAT(PICK(0x1.6a09e6p-1, 0x1.6a09e667f3bcdp-1)))
/* The exponent k of u = 2^k (1 + f), and 1 + f. For u <= 0 and NaN, whose bits wrap here, the
 * results are arbitrary. */
static ALWAYS VI CAT(log_exponent, SFX)(V u) { return (VI)((VU)u - LOG_MIDDLE) >> MANT; }
static ALWAYS V CAT(log_mantissa, SFX)(V u, VI k) { return (V)((VU)u - ((VU)k << MANT)); }

static inline V CAT(v_log, SFX)(V x)
{
    const V magic = SPLAT(MAGIC);
    VI tiny = x < PICK(0x1p-126, 0x1p-1022);
    V u = SEL(tiny, x * PICK(0x1p23, 0x1p52), x);
    VI k = CAT(log_exponent, SFX)(u);
    V f = CAT(log_mantissa, SFX)(u, k) - 1,
      kf = ((V)((VI)magic + k) - magic) - SEL(tiny, SPLAT(MANT), SPLAT(0));
    V y = CAT(log_sum, SFX)(kf, f, SPLAT(0));
    y = SEL(x > 0, y, SEL(x == 0, SPLAT(-INFINITY), SPLAT(NAN)));
    return SEL(x < SPLAT(INFINITY), y, x);
}
/* u = 1 + x with its rounding error */
static inline V CAT(v_log1p, SFX)(V x)
{
    const V magic = SPLAT(MAGIC);
    V u = 1 + x, b = u - x, ul = (x - (u - b)) + (1 - b);
    VI k = CAT(log_exponent, SFX)(u);
    V f = CAT(log_mantissa, SFX)(u, k) - 1, kf = (V)((VI)magic + k) - magic;
    V fl = (V)((VI)(ul * (V)((VU)(BIAS - k) << MANT)) & (x < SPLAT(0x1p60))), n = f + fl;
    /* renormalised, so that tiny x is exact */
    V y = CAT(log_sum, SFX)(kf, n, (f - n) + fl);
    y = SEL(x > -1, y, SEL(x == -1, SPLAT(-INFINITY), SPLAT(NAN)));
    return SEL(x == 0, x, SEL(x < SPLAT(INFINITY), y, x));
}
#define LOG(x)   CAT(v_log, SFX)(x)
#define LOG1P(x) CAT(v_log1p, SFX)(x)

/* sin and cos: x = n pi/2 + r, with pi/2 in three parts and |r| <= pi/4. Up to |x| = TRIG_MAX, n
 * times the first part minus x is exact. Lanes beyond go through the C library one by one, which is
 * slow but accurate. Polynomials in r^2 after Cephes and fdlibm. */
#define TRIG_MAX PICK(1e5, 1e8)
#if BITS == 32
static const R CAT(c_sin, SFX)[] = { -0x1.555546p-3f, 0x1.11073cp-7f, -0x1.9943f2p-13f };
static const R CAT(c_cos, SFX)[] = { 0x1.55554ap-5f, -0x1.6c0c34p-10f, 0x1.99eb9cp-16f };
#else
static const R CAT(c_sin, SFX)[] = { -1.66666666666666324348e-01, 8.33333333332248946124e-03,
                                     -1.98412698298579493134e-04, 2.75573137070700676789e-06,
                                     -2.50507602534068634195e-08, 1.58969099521155010221e-10 };
static const R CAT(c_cos, SFX)[] = { 4.16666666666666019037e-02, -1.38888888888741095749e-03,
                                     2.48015872894767294178e-05, -2.75573143513906633035e-07,
                                     2.08757232129817482790e-09, -1.13596475577881948265e-11 };
#endif
/* sin r and cos r; returns the bits of n */
static ALWAYS VI CAT(sin_cos_parts, SFX)(V x, V *s, V *c)
{
    const V magic = SPLAT(MAGIC);
    V z = FMA(x, SPLAT(0.63661977236758134308), magic), n = z - magic;
    V a = RESIDUAL(x, n, SPLAT(PICK(0x1.921fb6p0, 0x1.921fb54442d18p0))),
      r = RESIDUAL(a, n, SPLAT(PICK(-0x1.777a5cp-25, 0x1.1a62633145c07p-54)));
    r = FMA(n, SPLAT(PICK(0x1.ee59dap-50, 0x1.f1976b7ed8fbcp-110)), r);
    V w = r * r, h = w * K(0.5), one = 1 - h;
    *s = FMA(r * w, HORNER(w, CAT(c_sin, SFX)), r);
    *c = one + FMA(w * w, HORNER(w, CAT(c_cos, SFX)), (1 - one) - h);
    return (VI)z;
}
/* sin(x + quarter pi/2) from these parts */
static ALWAYS V CAT(sin_of_parts, SFX)(V x, V s, V c, VI z, int quarter)
{
    VI q = (VI)((VU)z + (UI)quarter);
    V y = SEL((q & 1) == 0, s, c);
    y = (V)((VI)y ^ ((q & 2) << (BITS - 2)));
    if (!quarter) y = SEL(x == 0, x, y);
    VI out_of_range = ABS(x) > TRIG_MAX;
    if (__builtin_expect(ANY(out_of_range), 0))
        for (size_t k = 0; k < L; k++)
            if (out_of_range[k]) y[k] = (R)(quarter ? cos(x[k]) : sin(x[k]));
    return y;
}
static inline V CAT(v_sin, SFX)(V x, int quarter)
{
    V s, c;
    VI z = CAT(sin_cos_parts, SFX)(x, &s, &c);
    return CAT(sin_of_parts, SFX)(x, s, c, z, quarter);
}
#define SIN(x) CAT(v_sin, SFX)((x), 0)
#define COS(x) CAT(v_sin, SFX)((x), 1)
