/* activations.h - every activation, and nothing else: add one here and nowhere else.
 *
 * ACT(f) gives the value from x and DACT(f) the derivative from x; a row that reads Y has a third body, YACT(f), the
 * derivative from the output x = f(input), which allows running in place. p[0], p[1] are the parameters. NaN must stay NaN
 * in values (write x < 0 ? 0 : x, not x > 0 ? x : 0); loops.h sees to it in derivatives. +-inf gives the limit.
 * The words are those of vector.h and vmath.h. The file is compiled once per element type and instruction set. */
#ifdef R

#define ACT(f)  static ALWAYS V CAT(f, SFX)(V x UNUSED, const V *p UNUSED)
#define DACT(f) static ALWAYS V CAT(d_##f, SFX)(V x UNUSED, const V *p UNUSED)
#define YACT(f) static ALWAYS V CAT(y_##f, SFX)(V x UNUSED, const V *p UNUSED)
#define IF(m)   SEL((m), SPLAT(1), SPLAT(0))

/* ---- piecewise linear ---- */
ACT(identity)  { return x; }
DACT(identity) { return SPLAT(1); }
YACT(identity) { return SPLAT(1); }

ACT(binary_step)  { return SEL(x < p[0], SPLAT(0), SEL(x >= p[0], SPLAT(1), x)); }
DACT(binary_step) { return SPLAT(0); }
YACT(binary_step) { return SPLAT(0); }

ACT(threshold)  { return SEL(x <= p[0], p[1], x); }
DACT(threshold) { return IF(x > p[0]); }

ACT(relu)  { return MAX(SPLAT(0), x); }
DACT(relu) { return IF(x > 0); }
YACT(relu) { return IF(x > 0); }

ACT(relu6)  { return MIN(SPLAT(6), MAX(SPLAT(0), x)); }
DACT(relu6) { return IF((x > 0) & (x < 6)); }
YACT(relu6) { return IF((x > 0) & (x < 6)); }

ACT(leaky_relu)  { return SEL(x > 0, x, p[0] * x); }
DACT(leaky_relu) { return SEL(x > 0, SPLAT(1), p[0]); }

ACT(prelu)  { return SEL(x > 0, x, p[0] * x); }
DACT(prelu) { return SEL(x > 0, SPLAT(1), p[0]); }

ACT(hardtanh)  { return MIN(p[1], MAX(p[0], x)); }
DACT(hardtanh) { return IF((x > p[0]) & (x < p[1])); }
YACT(hardtanh) { return IF((x > p[0]) & (x < p[1])); }

ACT(hardsigmoid)  { return CLAMP(0, 6, x + 3) / 6; }
DACT(hardsigmoid) { return SEL((x > -3) & (x < 3), SPLAT(K(1.0) / 6), SPLAT(0)); }

ACT(hardswish)  { return SEL(x > 3, x, SEL(x < -3, SPLAT(-0.0), x * (x + 3) / 6)); }
DACT(hardswish) { return SEL(x >= 3, SPLAT(1), SEL(x <= -3, SPLAT(0), (2 * x + 3) / 6)); }

ACT(softshrink)  { return SEL(ABS(x) <= p[0], SPLAT(0), SIGN(ABS(x) - p[0], x)); }
DACT(softshrink) { return IF(ABS(x) > p[0]); }
YACT(softshrink) { return IF(x != 0); }

ACT(hardshrink)  { return SEL(ABS(x) <= p[0], SPLAT(0), x); }
DACT(hardshrink) { return IF(ABS(x) > p[0]); }
YACT(hardshrink) { return IF(x != 0); }

/* ---- sigmoid and tanh ---- */

/* c / (c + c e^-(x + lo)), c = DOWN: c e^-x = s (1 + P) neither overflows nor vanishes, and the division itself rounds a
 * subnormal result. The sum s P + (s + c) is rounded once. */
#define SATURATED PICK(40, 50)                          /* 1 + e^-x rounds to 1 */
static inline V CAT(v_sigmoid, SFX)(V x, V lo)
{
    V s, c = CLAMP(EXP_FLOOR, SATURATED, x), P = EXP_SPLIT(-c, -(V)((VI)lo & (c == x)), -OFF, &s);
    return DOWN / (FMA(s, P, SPLAT(DOWN)) + s);
}
static inline V CAT(v_sigmoid0, SFX)(V x)
{
    V s, P = EXP_SPLIT0(-CLAMP(EXP_FLOOR, SATURATED, x), -OFF, &s);
    return DOWN / (FMA(s, P, SPLAT(DOWN)) + s);
}
#define SIGMOID(x)      CAT(v_sigmoid0, SFX)(x)
#define SIGMOID2(x, lo) CAT(v_sigmoid, SFX)((x), (lo))

/* e/(1 + e)^2, e = e^t, times UP, with the rounding error of 1 + e taken out afterwards */
static inline V CAT(e_over_square, SFX)(V t, R floor)
{
    V l, h = EXP_NEG(t, SPLAT(0), floor, &l), d = FMA(h, SPLAT(DOWN), SPLAT(1)), dl = FMA(h, SPLAT(DOWN), 1 - d), q = h / (d * d);
    return FMA(-q, 2 * dl * FMA(SPLAT(-0.5), d, SPLAT(1.4571)), q);     /* 1/d on [1, 2] to 9 % */
}
ACT(sigmoid)  { return SIGMOID(x); }
DACT(sigmoid) { return CAT(e_over_square, SFX)(NEGABS(x), EXP_FLOOR) * DOWN; }
YACT(sigmoid) { return x * (1 - x); }

ACT(tanh)  { return TANH(x); }
DACT(tanh) { return CAT(e_over_square, SFX)(NEGABS(x + x), EXP_FLOOR - 2) * (4 * DOWN); }
YACT(tanh) { return FMA(-x, x, SPLAT(1)); }

/* x - tanh x: x^3 T(x^2) below 1, the difference with an unrounded tanh above. Error of T 2^-24.9 (f32), 2^-53.6 (f64). */
#if BITS == 32
static const R CAT(c_shrink, SFX)[] = { 0x1.555556p-2f, -0x1.111192p-3f, 0x1.ba3bd2p-5f, -0x1.67d56cp-6f, 0x1.2b4e3p-7f, -0x1.05c582p-8f, 0x1.c32884p-10f,
    -0x1.2a1798p-11f, 0x1.881p-14f };
#else
static const R CAT(c_shrink, SFX)[] = { 0x1.5555555555555p-2, -0x1.1111111110fd9p-3, 0x1.ba1ba1ba03c69p-5, -0x1.664f487cfa583p-6, 0x1.226e34a1eb555p-7,
    -0x1.d6d3b3b6eb65ap-9, 0x1.7da1e71deaaecp-10, -0x1.354a96a1e8eeap-11, 0x1.f4cb60797846ep-13, -0x1.931d5e950ca3ap-14, 0x1.3d2eae9ab538fp-15,
    -0x1.d240841a0e52dp-17, 0x1.22a76c6fc76c4p-18, -0x1.efe86963df336p-21, 0x1.f3c94e95d3e2dp-26, 0x1.054b610104c4p-24, -0x1.5ed9ece30e048p-26, 0x1.453605a54ef35p-29 };
#endif
ACT(tanhshrink)
{
    V t = ABS(x), s, P = EXP_SPLIT0(MAX(SPLAT(EXPM1_FLOOR), -2 * t), 0, &s);
    V a = 1 - s, m = FMA(-s, P, a), ml = FMA(-s, P, a - m), d = 2 - m, dl = ((2 - d) - m) - ml;
    V q = m / d, rest = FMA(-q, dl, ml) + RESIDUAL(m, q, d);
    V c = MIN(SPLAT(1.1), t), w = c * c, T = HORNER(w, CAT(c_shrink, SFX));
    return SEL(t < 1, x * FMA(w, T, PRODUCT_ERROR(c, c, w) * T), SIGN((t - q) - rest / d, x));
}
DACT(tanhshrink) { V t = TANH(x); return t * t; }

#define SOFTSIGN_CUT PICK(0x1p100, 0x1p1000)            /* so that inf/inf is not met */
ACT(softsign)  { V t = MIN(SPLAT(SOFTSIGN_CUT), ABS(x)); return SIGN(t / (1 + t), x); }
DACT(softsign) { V i = 1 / (1 + MIN(SPLAT(SOFTSIGN_CUT), ABS(x))); return i * i; }

/* ---- softplus and its kin ---- */

/* log(1 + e^-|z|), z = beta x in two parts, since e^z multiplies the error of z by |z| */
ACT(softplus)
{
    V z = p[0] * x, lo = (V)((VI)PRODUCT_ERROR(p[0], x, z) & (ABS(z) < -EXP_FLOOR)), l;
    V h = EXP_NEG(NEGABS(z), SEL(z > 0, -lo, lo), EXP_FLOOR, &l);
    return FMA(LOG1P_UP(h, l) * (1 / p[0]), SPLAT(DOWN), MAX(SPLAT(0), x));
}
DACT(softplus) { V z = p[0] * x; return SIGMOID2(z, PRODUCT_ERROR(p[0], x, z)); }

ACT(logsigmoid)
{
    V l, h = EXP_NEG(NEGABS(x), SPLAT(0), EXP_FLOOR, &l);
    return FMA(LOG1P_UP(h, l), SPLAT(-DOWN), SEL(x > 0, SPLAT(-0.0), x));
}
DACT(logsigmoid) { return SIGMOID(-x); }

/* With t = |x|, r = sqrt(t^2 + b), h = (t + r)/2: h to the right of 0 and (b/4)/h to the left, where the sum would cancel. */
static inline V CAT(squareplus_half, SFX)(V t, V b, V *r)
{
    *r = SEL(t > PICK(0x1p60, 0x1p500), t, MAX(t, SQRT(FMA(t, t, b))));
    return FMA(t, SPLAT(0.5), *r * K(0.5));
}
ACT(squareplus)
{
    V r, h = CAT(squareplus_half, SFX)(ABS(x), p[0], &r);
    return SEL(x < 0, p[0] * K(0.25) / h, h);
}
DACT(squareplus)
{
    V r, h = CAT(squareplus_half, SFX)(ABS(x), p[0], &r), d = p[0] * K(0.25) / h / r;
    return SEL(x < 0, d, 1 - d);
}

/* ---- the exponential unit family ---- */
ACT(elu)  { V l; return SEL(x > 0, x, p[0] * EXPM1_NEG(MIN(SPLAT(0), x), SPLAT(0), &l)); }
DACT(elu) { V l, h = EXP_NEG(MIN(SPLAT(0), x), SPLAT(0), EXP_FLOOR, &l); return SEL(x > 0, SPLAT(1), p[0] * (h * DOWN)); }

/* x/alpha in two parts; EXPM1_2 and EXP2 drop the second where the first is off their scale */
ACT(celu)  { V t = x / p[0]; return SEL(x > 0, x, p[0] * EXPM1_2(t, RESIDUAL(x, t, p[0]) / p[0])); }
DACT(celu) { V t = x / p[0]; return SEL(x > 0, SPLAT(1), EXP2(t, RESIDUAL(x, t, p[0]) / p[0])); }

#define SELU_SCALE K(1.0507009873554805)
#define SELU_HI    PICK(0x1.c212ccp+0, 0x1.c212cc640f030p+0)            /* scale alpha in two parts */
#define SELU_LO    PICK(0x1.903c0cp-26, 0x1.092dbf6372048p-54)
ACT(selu)
{
    V l, y = EXPM1_NEG(MIN(SPLAT(0), x), SPLAT(0), &l);
    return SEL(x > 0, x * SELU_SCALE, FMA(y, SPLAT(SELU_HI), FMA(y, SPLAT(SELU_LO), l * SELU_HI)));
}
DACT(selu)
{
    V l, h = EXP_NEG(MIN(SPLAT(0), x), SPLAT(0), EXP_FLOOR, &l);
    return SEL(x > 0, SPLAT(SELU_SCALE), h * SELU_HI * DOWN);
}

/* ---- x times a sigmoid ---- */
#define TEXP_FLOOR PICK(-110, -753)                     /* t e^t has underflowed to 0 */
#define OFF2       (BITS == 32 ? 40 : 512)
#define DOWN2      PICK(0x1p-40, 0x1p-512)

/* a/(1 + e^-(w + lo)), the quotient scaled by 2^OFF2; right of SATURATED the caller takes x, where only the scaling overflows */
static inline V CAT(x_sigmoid, SFX)(V a, V w, V lo)
{
    V s, P = EXP_SPLIT(-w, -lo, -OFF2, &s);
    return a / (FMA(s, P, SPLAT(DOWN2)) + s) * DOWN2;
}
/* d/dx of x sigmoid(w): s + x w' s (1 - s), from h = UP e^-|w|: i = 1/(1 + e) is the larger of s, 1 - s */
static inline V CAT(d_x_sigmoid, SFX)(V x, V h, V xdw)
{
    VI neg = x < 0;
    V e = h * DOWN, d = 1 + e, i = 1 / d, rest = RESIDUAL(SPLAT(1), i, d) - i * ((1 - d) + e);
    i = FMA(rest, i, i);
    return SEL(neg, h, SPLAT(UP)) * i * FMA(xdw * SEL(neg, SPLAT(1), e), i, SPLAT(1)) * DOWN;
}
#define X_SIGMOID(a, w, lo)    CAT(x_sigmoid, SFX)((a), (w), (lo))
#define D_X_SIGMOID(x, h, xdw) CAT(d_x_sigmoid, SFX)((x), (h), (xdw))

ACT(silu)
{
    V s, a = MAX(SPLAT(TEXP_FLOOR), x), P = EXP_SPLIT0(-MIN(SPLAT(SATURATED), a), -OFF2, &s);
    return SEL(x > SATURATED, x, a / (FMA(s, P, SPLAT(DOWN2)) + s) * DOWN2);
}
DACT(silu)
{
    V l, h = EXP_NEG(NEGABS(x), SPLAT(0), TEXP_FLOOR, &l);
    return D_X_SIGMOID(x, h, CLAMP(TEXP_FLOOR, -TEXP_FLOOR, x));
}

#define QUICK_CUT PICK(24, 30)
#define QUICK_LOW PICK(-64.7, -443)
static inline V CAT(quick_arg, SFX)(V x, V *lo)         /* 1.702 x in two parts */
{
    V c = SPLAT(1.702), w = c * x;
    *lo = FMA(x, SPLAT(PICK(-0x1.78d4fep-26, 0)), PRODUCT_ERROR(c, x, w));
    return w;
}
ACT(quick_gelu)
{
    V lo, a = MAX(SPLAT(QUICK_LOW), x), w = CAT(quick_arg, SFX)(MIN(SPLAT(QUICK_CUT), a), &lo);
    return SEL(x > QUICK_CUT, x, X_SIGMOID(a, w, lo));
}
DACT(quick_gelu)
{
    V lo, l, w = CAT(quick_arg, SFX)(CLAMP(QUICK_LOW, -QUICK_LOW, x), &lo);
    return D_X_SIGMOID(x, EXP_NEG(NEGABS(w), SEL(w > 0, -lo, lo), TEXP_FLOOR, &l), w);
}

/* The tanh approximation of gelu is x/(1 + e^-w), w = x (A + B x^2), A = 2 sqrt(2/pi), B = 0.044715 A: in two parts, since
 * e^w multiplies the error of w by |w|. A_HI is short, so that A_HI - g is exact. */
#define GELU_TANH_LOW PICK(-10.9, -21.6)
#define GELU_TANH_CUT PICK(7.4, 8.2)
#define GELU_A_HI     PICK(0x1.988p+0, 0x1.988453p+0)
#define GELU_A_LO     PICK(0x1.14cf5p-14, 0x1.ea1b288p-27)
#define GELU_B_HI     PICK(0x1.2444f2p-4, 0x1.2444f2a4d8b4bp-4)
#define GELU_B_LO     PICK(0x1.49b16ap-29, 0x1.8c95337d724ep-62)
static inline V CAT(gelu_arg, SFX)(V x, V *lo)
{
    V ah = SPLAT(GELU_A_HI), bh = SPLAT(GELU_B_HI), q = x * x, ql = PRODUCT_ERROR(x, x, q), b = bh * q, g = ah + b;
    V gl = ((ah - g) + b) + (PRODUCT_ERROR(bh, q, b) + FMA(bh, ql, FMA(SPLAT(GELU_B_LO), q, SPLAT(GELU_A_LO))));
    V w = x * g;
    *lo = FMA(x, gl, PRODUCT_ERROR(x, g, w));
    return w;
}
ACT(gelu_tanh)
{
    V lo, a = MAX(SPLAT(GELU_TANH_LOW), x), w = CAT(gelu_arg, SFX)(MIN(SPLAT(GELU_TANH_CUT), a), &lo);
    return SEL(x > GELU_TANH_CUT, x, X_SIGMOID(a, w, lo));
}
DACT(gelu_tanh)
{
    V lo, l, a = CLAMP(GELU_TANH_LOW, -GELU_TANH_LOW, x), w = CAT(gelu_arg, SFX)(a, &lo);
    V h = EXP_NEG(NEGABS(w), SEL(w > 0, -lo, lo), TEXP_FLOOR, &l);
    return D_X_SIGMOID(x, h, a * FMA(a * a, SPLAT(0.21406444881780076), SPLAT(1.5957691216057308)));
}

/* x tanh(softplus(x)) = x N/(N + 2), N = e^x (e^x + 2); N carried UP for its tail, N and N + 2 with their errors */
#define MISH_CUT PICK(12, 22)
ACT(mish)
{
    V s, a = MAX(SPLAT(TEXP_FLOOR), x), P = EXP_SPLIT0(MIN(SPLAT(MISH_CUT), a), OFF, &s);
    V h = FMA(s, P, s), l = FMA(s, P, s - h), e = h * DOWN, n = FMA(h, e, 2 * h);
    V nl = FMA(h, e, 2 * h - n) + 2 * l * (1 + e), m = n * DOWN, d = m + 2, b = d - m, dl = FMA(nl, SPLAT(DOWN), (m - (d - b)) + (2 - b));
    V q = n / d, rest = FMA(-q, dl, nl) + RESIDUAL(n, q, d);
    return SEL(x > MISH_CUT, x, a * (q + rest / d) * DOWN);
}
DACT(mish)                                              /* w + 4 x e (1 + e)/D^2, w = N/D, D = N + 2 */
{
    V s, a = CLAMP(TEXP_FLOOR, MISH_CUT, x), P = EXP_SPLIT0(a, OFF, &s);
    V h = FMA(s, P, s), e = h * DOWN, n = FMA(h, e, 2 * h), d = FMA(n, SPLAT(DOWN), SPLAT(2)), i = 1 / d;
    i = FMA(i, RESIDUAL(SPLAT(1), i, d) - i * FMA(n, SPLAT(DOWN), 2 - d), i);
    return SEL(x > MISH_CUT, SPLAT(1), FMA(4 * a * FMA(h, e, h) * i, i, n * i) * DOWN);
}

/* ---- gelu, exact ---- */
ACT(gelu)  { return X_PHI(x); }
DACT(gelu) { return D_X_PHI(x); }
#undef ACT
#undef DACT
#undef YACT
#endif

/* needs: what backward reads. ulp: promised error of value and derivative; a derivative that has a root counts it at its larger term. */
#ifndef PN_ACTIVATIONS
/*      function     class        needs parameters, check                     ULP     ONNX expression and formula */
#define PN_ACTIVATIONS(ROW) \
    ROW(identity,    Identity,    Y, "", "",                                  0, 0, "Identity(x)", \
        "x", \
        "The input itself, for a linear output.") \
    ROW(binary_step, BinaryStep,  Y, "threshold=0.0", "",                     0, 0, "Cast(GreaterOrEqual(x, threshold), to=FLOAT)", \
        "where(x >= threshold, 1, where(x < threshold, 0, x))", \
        "Heaviside's step, the first artificial neuron's (McCulloch and Pitts, 1943); its derivative is 0.") \
    ROW(threshold,   Threshold,   X, "threshold, value", "",                  0, 0, "Where(LessOrEqual(x, threshold), value, x)", \
        "where(x <= threshold, value, x)", \
        "The input above a threshold, a fixed value elsewhere, as PyTorch defines it.") \
    ROW(relu,        ReLU,        Y, "", "",                                  0, 0, "Relu(x)", \
        "where(x < 0, 0, x)", \
        "Rectified linear unit (Nair and Hinton, 2010); its derivative at 0 is 0.") \
    ROW(relu6,       ReLU6,       Y, "", "",                                  0, 0, "Clip(x, min=0, max=6)", \
        "minimum(maximum(x, 0), 6)", \
        "ReLU capped at 6, for low-precision inference (Krizhevsky, 2010).") \
    ROW(leaky_relu,  LeakyReLU,   X, "negative_slope=0.01", "",               1, 0, "LeakyRelu(x, alpha=negative_slope)", \
        "where(x > 0, x, negative_slope * x)", \
        "ReLU with a small slope left of 0, so that no unit dies (Maas et al., 2013).") \
    ROW(prelu,       ,            X, "weight=0.25", "",                       1, 0, "PRelu(x, weight)", \
        "where(x > 0, x, weight * x)", \
        "Leaky ReLU whose slope is learnt (He et al., 2015).") \
    ROW(elu,         ELU,         X, "alpha=1.0", "alpha != 0",               3, 3, "Elu(x, alpha=alpha)", \
        "where(x > 0, x, alpha * expm1(x))", \
        "Exponential linear unit (Clevert et al., 2015).") \
    ROW(celu,        CELU,        X, "alpha=1.0", "alpha != 0",               3, 3, "Celu(x, alpha=alpha)", \
        "where(x > 0, x, alpha * expm1(x / alpha))", \
        "ELU made smooth at 0 for every alpha (Barron, 2017).") \
    ROW(selu,        SELU,        X, "", "",                                  2, 3, "Selu(x)", \
        "1.0507009873554805 * where(x > 0, x, 1.6732632423543772 * expm1(x))", \
        "Scaled ELU, whose outputs keep mean 0 and variance 1 (Klambauer et al., 2017).") \
    ROW(gelu,        GELU,        X, "", "",                                  2, 2, "Gelu(x)", \
        "0.5 * x * erfc(-x / sqrt(2))", \
        "Gaussian error linear unit, x times the normal distribution function (Hendrycks and Gimpel, 2016).") \
    ROW(gelu_tanh,   GELUTanh,    X, "", "",                                  2, 6, "Gelu(x, approximate='tanh')", \
        "x / (1 + exp(-1.5957691216057308 * (x + 0.044715 * x**3)))", \
        "GELU's tanh approximation, 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x**3))) (Hendrycks and Gimpel, 2016).") \
    ROW(quick_gelu,  QuickGELU,   X, "", "",                                  2, 4, "Mul(x, Sigmoid(Mul(1.702, x)))", \
        "x / (1 + exp(-1.702 * x))", \
        "GELU's sigmoid approximation (Hendrycks and Gimpel, 2016).") \
    ROW(silu,        SiLU,        X, "", "",                                  2, 4, "Mul(x, Sigmoid(x))", \
        "x / (1 + exp(-x))", \
        "Sigmoid linear unit, also called swish (Elfwing et al., 2017; Ramachandran et al., 2017).") \
    ROW(mish,        Mish,        X, "", "",                                  2, 6, "Mul(x, Tanh(Softplus(x)))", \
        "x * tanh(log1p(exp(x)))", \
        "x times tanh of softplus (Misra, 2019).") \
    ROW(hardswish,   Hardswish,   X, "", "",                                  3, 2, "HardSwish(x)", \
        "where(x > 3, x, where(x < -3, 0, x * (x + 3) / 6))", \
        "SiLU in pieces of a line and a parabola (Howard et al., 2019).") \
    ROW(hardsigmoid, Hardsigmoid, X, "", "",                                  2, 2, "HardSigmoid(x, alpha=1/6, beta=0.5)", \
        "minimum(maximum(x + 3, 0), 6) / 6", \
        "Sigmoid in three straight pieces, as PyTorch and Keras 3 define it (Howard et al., 2019).") \
    ROW(hardtanh,    Hardtanh,    Y, "min_val=-1.0, max_val=1.0", "min_val <= max_val", 0, 0, "Clip(x, min=min_val, max=max_val)", \
        "minimum(maximum(x, min_val), max_val)", \
        "The input cut to an interval (Collobert, 2004).") \
    ROW(sigmoid,     Sigmoid,     Y, "", "",                                  2, 3, "Sigmoid(x)", \
        "1 / (1 + exp(-x))", \
        "Logistic function, from all numbers to (0, 1) (Verhulst, 1845).") \
    ROW(logsigmoid,  LogSigmoid,  X, "", "",                                  2, 2, "Log(Sigmoid(x))", \
        "minimum(x, 0) - log1p(exp(-abs(x)))", \
        "Logarithm of the sigmoid, without its underflow.") \
    ROW(tanh,        Tanh,        Y, "", "",                                  2, 3, "Tanh(x)", \
        "tanh(x)", \
        "Hyperbolic tangent, from all numbers to (-1, 1) (LeCun et al., 1998).") \
    ROW(tanhshrink,  Tanhshrink,  X, "", "",                                  3, 5, "Sub(x, Tanh(x))", \
        "where(abs(x) < 0.1, x / (1 + (3 + x**2 / (5 + x**2 / (7 + x**2 / (9 + x**2 / 11)))) / x**2), x - tanh(x))", \
        "x - tanh(x), near 0 by tanh's continued fraction, as PyTorch names it.") \
    ROW(softplus,    Softplus,    X, "beta=1.0", "beta > 0",                  3, 2, "Div(Softplus(Mul(x, beta)), beta)", \
        "maximum(x, 0) + log1p(exp(-abs(beta * x))) / beta", \
        "Smooth ReLU, log(1 + exp(beta x)) / beta (Dugas et al., 2000).") \
    ROW(softsign,    Softsign,    X, "", "",                                  2, 4, "Softsign(x)", \
        "x / (1 + abs(x))", \
        "Like tanh, with slower tails (Bergstra et al., 2009).") \
    ROW(softshrink,  Softshrink,  Y, "lambd=0.5", "lambd >= 0",               1, 0, "Shrink(x, lambd=lambd, bias=lambd)", \
        "where(x > lambd, x - lambd, where(x < -lambd, x + lambd, 0 * x))", \
        "The input moved towards 0 by lambd, and 0 within it (Donoho, 1995).") \
    ROW(hardshrink,  Hardshrink,  Y, "lambd=0.5", "lambd >= 0",               0, 0, "Shrink(x, lambd=lambd, bias=0)", \
        "where(abs(x) <= lambd, 0, x)", \
        "The input outside [-lambd, lambd], 0 within (Donoho and Johnstone, 1994).") \
    ROW(squareplus,  Squareplus,  X, "b=4.0", "b > 0",                        3, 4, "Mul(Add(x, Sqrt(Add(Mul(x, x), b))), 0.5)", \
        "where(x < 0, b / 2 / (sqrt(x**2 + b) - x), (x + sqrt(x**2 + b)) / 2)", \
        "Smooth ReLU without an exponential (Barron, 2021).")
#endif
