/* activations.h - all activations: add one here and nowhere else.
 *
 * ACT(f) computes the value and DACT(f) the derivative from x. A row whose `needs` is Y has a third
 * body, YACT(f), which computes the derivative from the output x = f(input), so that the activation
 * can run in place. p[0], p[1] are the parameters. NaN must stay NaN in values (write x < 0 ? 0 :
 * x, not x > 0 ? x : 0); loops.h ensures it in derivatives. +-inf gives the limit. The macros are
 * those of vector.h and vmath.h. The file is compiled once per element type and instruction set. */
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

/* alpha x + beta, rounded once near its root. 1/6 has no exact binary value: an alpha next to it
 * means 1/6, in two parts. */
#define SIXTH    PICK(0x1.555554p-3, 0x1.5555555555555p-3)
#define SIXTH_LO PICK(0x1.555556p-27, 0x1.5555555555555p-57)
#define IS_SIXTH(a) (ABS(6 * (a) - 1) < K(1e-7))
ACT(hardsigmoid)
{
    VI sixth = IS_SIXTH(p[0]);
    V c = CLAMP(-PICK(0x1p100, 0x1p1000), PICK(0x1p100, 0x1p1000), x),
      low = (V)((VI)(c * SIXTH_LO) & sixth);
    return CLAMP(0, 1, RESIDUAL(p[1], -SEL(sixth, SPLAT(SIXTH), p[0]), c) + low);
}
DACT(hardsigmoid)
{
    VI sixth = IS_SIXTH(p[0]);
    V a = SEL(sixth, -6 * p[1], -p[1] / p[0]), b = SEL(sixth, 6 - 6 * p[1], (1 - p[1]) / p[0]);
    return SEL((x > MIN(a, b)) & (x < MAX(a, b)), SEL(sixth, SPLAT(K(1.0) / 6), p[0]), SPLAT(0));
}

ACT(hardswish)                                          /* x times (x + 3)/6 in two parts */
{
    V u = x + 3, c = SPLAT(SIXTH), m = u * c, low = FMA(u, SPLAT(SIXTH_LO), PRODUCT_ERROR(u, c, m));
    return SEL(x > 3, x, SEL(x < -3, SPLAT(-0.0), SIGN(FMA(x, m, x * low), x)));
}
DACT(hardswish) { return SEL(x >= 3, SPLAT(1), SEL(x <= -3, SPLAT(0), (2 * x + 3) / 6)); }

ACT(sparse_plus)  { V u = x + 1; return SEL(x >= 1, x, SEL(x <= -1, SPLAT(0), u * u * K(0.25))); }
DACT(sparse_plus) { return CLAMP(0, 1, (x + 1) * K(0.5)); }

ACT(sparse_sigmoid)  { return CLAMP(0, 1, (x + 1) * K(0.5)); }
DACT(sparse_sigmoid) { return SEL((x > -1) & (x < 1), SPLAT(0.5), SPLAT(0)); }

ACT(thresholded_relu)  { return SEL(x <= p[0], SPLAT(0), x); }
DACT(thresholded_relu) { return IF(x > p[0]); }

ACT(shrink)  { return SEL(x < -p[0], x + p[1], SEL(x > p[0], x - p[1], 0 * x)); }
DACT(shrink) { return IF((x < -p[0]) | (x > p[0])); }

ACT(softshrink)  { return SIGN(MAX(SPLAT(0), ABS(x) - p[0]), x); }
DACT(softshrink) { return IF(ABS(x) > p[0]); }
YACT(softshrink) { return IF(x != 0); }

ACT(hardshrink)  { return SEL(ABS(x) <= p[0], SPLAT(0), x); }
DACT(hardshrink) { return IF(ABS(x) > p[0]); }
YACT(hardshrink) { return IF(x != 0); }

/* ---- sigmoid and tanh ---- */

/* c / (c + c e^-(x + lo)), c = DOWN: c e^-x = s (1 + P) neither overflows nor vanishes, and the
 * division itself rounds a subnormal result. The sum s P + (s + c) is rounded once. */
#define TEXP_FLOOR PICK(-110, -753)                     /* t e^t has underflowed to 0 */
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
    V l, h = EXP_NEG(t, SPLAT(0), floor, &l), d = FMA(h, SPLAT(DOWN), SPLAT(1)),
         dl = FMA(h, SPLAT(DOWN), 1 - d), q = h / (d * d);
    return FMA(-q, 2 * dl * FMA(SPLAT(-0.5), d, SPLAT(1.4571)), q);     /* 1/d on [1, 2] to 9 % */
}
ACT(sigmoid)  { return SIGMOID(x); }
DACT(sigmoid) { return CAT(e_over_square, SFX)(NEGABS(x), EXP_FLOOR) * DOWN; }
YACT(sigmoid) { return x * (1 - x); }

ACT(tanh)  { return TANH(x); }
DACT(tanh) { return CAT(e_over_square, SFX)(NEGABS(x + x), EXP_FLOOR - 2) * (4 * DOWN); }
YACT(tanh) { return FMA(-x, x, SPLAT(1)); }

/* x - tanh x: x^3 T(x^2) below 0.8, the difference with an unrounded tanh above. Error of T 2^-24.9
 * (f32), 2^-53.6 (f64). */
#if BITS == 32
static const R CAT(c_shrink, SFX)[] = { 0x1.555556p-2f,  -0x1.111192p-3f,  0x1.ba3bd2p-5f,
                                        -0x1.67d56cp-6f, 0x1.2b4e3p-7f,    -0x1.05c582p-8f,
                                        0x1.c32884p-10f, -0x1.2a1798p-11f, 0x1.881p-14f };
#else
static const R CAT(c_shrink, SFX)[] = {
    0x1.5555555555555p-2,   -0x1.1111111110fd9p-3,  0x1.ba1ba1ba03c69p-5,  -0x1.664f487cfa583p-6,
    0x1.226e34a1eb555p-7,   -0x1.d6d3b3b6eb65ap-9,  0x1.7da1e71deaaecp-10, -0x1.354a96a1e8eeap-11,
    0x1.f4cb60797846ep-13,  -0x1.931d5e950ca3ap-14, 0x1.3d2eae9ab538fp-15, -0x1.d240841a0e52dp-17,
    0x1.22a76c6fc76c4p-18,  -0x1.efe86963df336p-21, 0x1.f3c94e95d3e2dp-26, 0x1.054b610104c4p-24,
    -0x1.5ed9ece30e048p-26, 0x1.453605a54ef35p-29
};
#endif
/* 1/3 minus the first coefficient */
#define SHRINK_LO PICK(-0x1.555556p-27, 0x1.5555555555555p-56)
ACT(tanhshrink)
{
    V t = ABS(x), rest, q = TANH_ABS(x, &rest);
    V c = MIN(SPLAT(1), t), w = c * c, r = HORNER_FROM(1, w, CAT(c_shrink, SFX)),
      first = SPLAT(CAT(c_shrink, SFX)[0]);
    V T = FMA(w, r, first), low = FMA(w, r, first - T) + SHRINK_LO, m = w * T;
    V ml = FMA(w, low, FMA(PRODUCT_ERROR(c, c, w), T, PRODUCT_ERROR(w, T, m)));
    return SIGN(SEL(t < K(0.8), FMA(t, m, t * ml), (t - q) - rest), x);
}
DACT(tanhshrink) { V rest, q = TANH_ABS(x, &rest); return FMA(q, q, 2 * q * rest); }

#define SOFTSIGN_CUT PICK(0x1p100, 0x1p1000)            /* avoids inf/inf */
ACT(softsign)  { V t = MIN(SPLAT(SOFTSIGN_CUT), ABS(x)); return SIGN(t / (1 + t), x); }
DACT(softsign) { V i = 1 / (1 + MIN(SPLAT(SOFTSIGN_CUT), ABS(x))); return i * i; }

/* ---- softplus and related ---- */

/* log(1 + e^-|z|), z = beta x in two parts, since e^z amplifies the error of z by |z| */
ACT(softplus)
{
    V z = p[0] * x, lo = (V)((VI)PRODUCT_ERROR(p[0], x, z) & (ABS(z) < -TEXP_FLOOR)), l;
    V h = EXP_NEG(NEGABS(z), SEL(z > 0, -lo, lo), TEXP_FLOOR, &l), low, y = LOG1P_UP(h, l, &low);
    V i = 1 / p[0], il = i * RESIDUAL(SPLAT(1), i, p[0]);
    return FMA(FMA(y, i, FMA(low, i, y * il)), SPLAT(DOWN), MAX(SPLAT(0), x));
}
DACT(softplus) { V z = p[0] * x; return SIGMOID2(z, PRODUCT_ERROR(p[0], x, z)); }

ACT(logsigmoid)
{
    V l, h = EXP_NEG(NEGABS(x), SPLAT(0), EXP_FLOOR, &l), low;
    return FMA(LOG1P_UP(h, l, &low), SPLAT(-DOWN), SEL(x > 0, SPLAT(-0.0), x));
}
DACT(logsigmoid) { return SIGMOID(-x); }

/* With t = |x|, r = sqrt(t^2 + b), h = (t + r)/2: the value is h right of 0, and y = (b/4)/h left
 * of it, where the sum would cancel. y is corrected as a root of y (y + t) = b/4. */
static inline V CAT(squareplus_left, SFX)(V t, V b, V *h, V *r)
{
    VI near = t < PICK(0x1p60, 0x1p500);
    *r = SEL(near, MAX(t, SQRT(FMA(t, t, b))), t);
    *h = FMA(t, SPLAT(0.5), *r * K(0.5));
    V y = b * K(0.25) / *h, u = y + t, v = u - t, ul = (t - (u - v)) + (y - v);
    return y + (V)((VI)((RESIDUAL(b * K(0.25), y, u) - y * ul) / *r) & near);
}
ACT(squareplus)
{
    V h, r, y = CAT(squareplus_left, SFX)(ABS(x), p[0], &h, &r);
    return SEL(x < 0, y, h);
}
DACT(squareplus)
{
    V h, r, d = CAT(squareplus_left, SFX)(ABS(x), p[0], &h, &r) / r;
    return SEL(x < 0, d, 1 - d);
}

/* ---- the exponential unit family ---- */
ACT(exponential)  { return EXP(x); }
DACT(exponential) { return EXP(x); }
YACT(exponential) { return x; }

#define GAUSS_CUT PICK(10.5, 27.5)                      /* x e^(-x^2) has underflowed to 0 */
ACT(gaussian)  { V q = x * x; return EXP2(-q, -PRODUCT_ERROR(x, x, q)); }
DACT(gaussian)
{
    V l, c = CLAMP(-GAUSS_CUT, GAUSS_CUT, x), q = c * c,
         h = EXP_NEG(-q, -PRODUCT_ERROR(c, c, q), TEXP_FLOOR, &l), m = -2 * c;
    return FMA(m, h, m * l) * DOWN;
}

ACT(elu)
{
    V l, y = EXPM1_NEG(MIN(SPLAT(0), x), &l);
    return SEL(x >= 0, x, FMA(p[0], y, p[0] * l));
}
DACT(elu)
{
    V l, h = EXP_NEG(MIN(SPLAT(0), x), SPLAT(0), TEXP_FLOOR, &l);
    return SEL(x > 0, SPLAT(1), FMA(p[0], h, p[0] * l) * DOWN);
}

/* t = x/alpha rounded; left = x - alpha t. Then alpha (e^(t + left/alpha) - 1) = alpha (e^t - 1) +
 * left e^t. */
static inline V CAT(celu_arg, SFX)(V x, V alpha, V *left)
{
    V t = x * (1 / alpha);
    *left = (V)((VI)RESIDUAL(x, t, alpha) & (ABS(t) < -TEXP_FLOOR));
    return t;
}
ACT(celu)
{
    V left, rest, t = CAT(celu_arg, SFX)(x, p[0], &left), y = EXPM1(t, &rest);
    V low = (V)((VI)FMA(p[0], rest, FMA(left, y, left)) & (y < SPLAT(INFINITY)));
    return SEL((x >= 0) | (ABS(t) < PICK(0x1p-30, 0x1p-60)), x, FMA(p[0], y, low));
}
DACT(celu)
{
    V left, t = CAT(celu_arg, SFX)(x, p[0], &left);
    return SEL(x > 0, SPLAT(1), EXP2(t, left * (1 / p[0])));
}

/* the scale, and the scale times alpha, each in two positive parts */
#define SELU_SCALE    PICK(0x1.0cfabcp+0, 0x1.0cfabd6a91132p+0)
#define SELU_SCALE_LO PICK(0x1.6a9114p-24, 0x1.6fc7d272f2695p-55)
#define SELU_LEFT     PICK(0x1.c212ccp+0, 0x1.c212cc640f031p+0)
#define SELU_LEFT_LO  PICK(0x1.903c0cp-26, 0x1.05161b045a1fep-56)
ACT(selu)
{
    V l, y = EXPM1_NEG(MIN(SPLAT(0), x), &l);
    return SEL(x >= 0, FMA(x, SPLAT(SELU_SCALE), x * SELU_SCALE_LO),
               FMA(y, SPLAT(SELU_LEFT), FMA(y, SPLAT(SELU_LEFT_LO), l * SELU_LEFT)));
}
DACT(selu)
{
    V l, h = EXP_NEG(MIN(SPLAT(0), x), SPLAT(0), EXP_FLOOR, &l);
    return SEL(x > 0, SPLAT(SELU_SCALE + SELU_SCALE_LO),
               FMA(h, SPLAT(SELU_LEFT), FMA(h, SPLAT(SELU_LEFT_LO), l * SELU_LEFT)) * DOWN);
}

/* ---- x times a sigmoid ---- */
#define OFF2       (BITS == 32 ? 40 : 512)
#define DOWN2      PICK(0x1p-40, 0x1p-512)

/* a/(1 + e^-(w + lo)), with the quotient scaled by 2^OFF2. Right of SATURATED, where the scaled
 * value may overflow, the caller uses x. */
static inline V CAT(x_sigmoid, SFX)(V a, V w, V lo)
{
    V s, P = EXP_SPLIT(-w, -lo, -OFF2, &s);
    return a / (FMA(s, P, SPLAT(DOWN2)) + s) * DOWN2;
}
/* d/dx of x sigmoid(x): s + x s (1 - s), from h = UP e^-|x|. i = 1/(1 + e) is the larger of s and 1
 * - s. neg: x < 0 */
static inline V CAT(d_x_sigmoid, SFX)(VI neg, V h, V x)
{
    V e = h * DOWN, d = 1 + e, i = 1 / d, rest = RESIDUAL(SPLAT(1), i, d) - i * ((1 - d) + e);
    i = FMA(rest, i, i);
    V b = i * FMA(x * SEL(neg, SPLAT(1), e), i, SPLAT(1));
    return SEL(neg, h, SPLAT(UP)) * b * DOWN;
}
/* The same for x sigmoid(w), w = beta x or similar, with h + l = UP e^-|w| and x w' = k + kl. Every
 * step carries its rounding error. */
static inline V CAT(d_x_sigmoid2, SFX)(VI neg, V h, V l, V k, V kl)
{
    V e = h * DOWN, d = 1 + e, i = 1 / d,
      il = i * (RESIDUAL(SPLAT(1), i, d) - i * ((1 - d) + FMA(l, SPLAT(DOWN), e)));
    V c = SEL(neg, SPLAT(1), e), u = k * c, v = FMA(u, i, SPLAT(1)),
      vl = FMA(u, i, 1 - v) + FMA(u, il, kl * c * i);
    V b = v * i, bl = FMA(v, il, FMA(vl, i, PRODUCT_ERROR(v, i, b))), g = SEL(neg, h, SPLAT(UP));
    return FMA(g, b, SEL(h == 0, SPLAT(-0.0), FMA(g, bl, (V)((VI)(l * b) & neg)))) * DOWN;
}
#define X_SIGMOID(a, w, lo)    CAT(x_sigmoid, SFX)((a), (w), (lo))
#define D_X_SIGMOID(x, h)            CAT(d_x_sigmoid, SFX)((x) < 0, (h), (x))
#define D_X_SIGMOID2(w, h, l, k, kl) CAT(d_x_sigmoid2, SFX)((w) < 0, (h), (l), (k), (kl))

ACT(silu)
{
    V s, a = MAX(SPLAT(TEXP_FLOOR), x), P = EXP_SPLIT0(-MIN(SPLAT(SATURATED), a), -OFF2, &s);
    return SEL(x > SATURATED, x, a / (FMA(s, P, SPLAT(DOWN2)) + s) * DOWN2);
}
DACT(silu)
{
    V l, h = EXP_NEG(NEGABS(x), SPLAT(0), TEXP_FLOOR, &l);
    x = CLAMP(TEXP_FLOOR, -TEXP_FLOOR, x);
    return D_X_SIGMOID(x, h);
}

/* w = beta x in two parts. Where x is large, beta is small, so x is scaled instead. Left of
 * SWISH_LOW the value is 0. */
#define SWISH_LOW PICK(-131, -1063)
static inline V CAT(swish_arg, SFX)(V x, V beta, V *lo)
{
    VI some = beta != 0;
    V w = (V)((VI)(beta * x) & some);
    *lo = (V)((VI)PRODUCT_ERROR(beta, x, w) & some & (ABS(w) < -SWISH_LOW));
    return w;
}
ACT(swish)
{
    V s, lo, w = CAT(swish_arg, SFX)(x, p[0], &lo), c = CLAMP(SWISH_LOW, SATURATED, w);
    VI large = ABS(x) > PICK(0x1p60, 0x1p500);
    V P = EXP_SPLIT(-c, -lo, -OFF, &s), y = SEL(large, x * DOWN, x) / (FMA(s, P, SPLAT(DOWN)) + s) *
                                            SEL(large, SPLAT(1), SPLAT(DOWN));
    return SEL(w > SATURATED, x, SEL(w < SWISH_LOW, SIGN(SPLAT(0), x), y));
}
DACT(swish)
{
    V l, lo, w = CAT(swish_arg, SFX)(x, p[0], &lo),
             h = EXP_NEG(NEGABS(w), SEL(w > 0, -lo, lo), TEXP_FLOOR, &l);
    return D_X_SIGMOID2(w, h, l, CLAMP(TEXP_FLOOR, -TEXP_FLOOR, w), lo);
}

#define QUICK_CUT PICK(24, 30)
#define QUICK_LOW PICK(-64.7, -443)
static inline V CAT(quick_arg, SFX)(V x, V *lo)         /* 1.702 x in two parts */
{
    V c = SPLAT(1.702), w = c * x;
    *lo = FMA(x, SPLAT(PICK(-0x1.78d4fep-26, 0x1.89374bc6a7efap-55)), PRODUCT_ERROR(c, x, w));
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
    V h = EXP_NEG(NEGABS(w), SEL(w > 0, -lo, lo), TEXP_FLOOR, &l);
    return D_X_SIGMOID2(w, h, l, w, lo);
}

/* The tanh approximation of GELU is x/(1 + e^-w), w = x (A + B x^2), A = 2 sqrt(2/pi), B = 0.044715
 * A. w has two parts, since e^w amplifies its error by |w|. A_HI is short, so that A_HI - g is
 * exact. */
#define GELU_TANH_LOW PICK(-10.9, -21.6)
#define GELU_TANH_CUT PICK(7.4, 8.2)
#define GELU_A_HI     PICK(0x1.988p+0, 0x1.988453p+0)
#define GELU_A_LO     PICK(0x1.14cf5p-14, 0x1.ea1b284687e5ap-27)
#define GELU_B_HI     PICK(0x1.2444f2p-4, 0x1.2444f2a4d8b4bp-4)
#define GELU_B_LO     PICK(0x1.49b16ap-29, -0x1.6c843a29d1c7p-61)
static inline V CAT(gelu_arg, SFX)(V x, V *lo)
{
    V ah = SPLAT(GELU_A_HI), bh = SPLAT(GELU_B_HI), q = x * x, ql = PRODUCT_ERROR(x, x, q),
      b = bh * q, g = ah + b;
    V gl = ((ah - g) + b) +
           (PRODUCT_ERROR(bh, q, b) + FMA(bh, ql, FMA(SPLAT(GELU_B_LO), q, SPLAT(GELU_A_LO))));
    V w = x * g;
    *lo = FMA(x, gl, PRODUCT_ERROR(x, g, w));
    return w;
}
ACT(gelu_tanh)
{
    V lo, a = MAX(SPLAT(GELU_TANH_LOW), x),
          w = CAT(gelu_arg, SFX)(MIN(SPLAT(GELU_TANH_CUT), a), &lo);
    return SEL(x > GELU_TANH_CUT, x, X_SIGMOID(a, w, lo));
}
DACT(gelu_tanh)
{
    V lo, l, a = CLAMP(GELU_TANH_LOW, -GELU_TANH_LOW, x), w = CAT(gelu_arg, SFX)(a, &lo);
    V h = EXP_NEG(NEGABS(w), SEL(w > 0, -lo, lo), TEXP_FLOOR, &l);
    /* x w' = w + 2 B x^3 */
    V q = a * a, b = q * (2 * GELU_B_HI), r = FMA(a, b, w), t = r - w;
    V bl = FMA(q, SPLAT(2 * GELU_B_LO),
               FMA(PRODUCT_ERROR(a, a, q), SPLAT(2 * GELU_B_HI),
                   PRODUCT_ERROR(q, SPLAT(2 * GELU_B_HI), b)));
    return D_X_SIGMOID2(w, h, l, r, FMA(a, b, -t) + FMA(a, bl, lo));
}

/* x tanh(softplus(x)) = x N/(N + 2), N = e^x (e^x + 2). N is scaled UP for small x; N and N + 2
 * carry their rounding errors. */
#define MISH_CUT PICK(12, 22)
ACT(mish)
{
    V s, a = MAX(SPLAT(TEXP_FLOOR), x), P = EXP_SPLIT0(MIN(SPLAT(MISH_CUT), a), OFF, &s);
    V h = FMA(s, P, s), l = FMA(s, P, s - h), e = h * DOWN, n = FMA(h, e, 2 * h);
    V nl = FMA(h, e, 2 * h - n) + 2 * l * (1 + e), m = n * DOWN, d = m + 2, b = d - m,
      dl = FMA(nl, SPLAT(DOWN), (m - (d - b)) + (2 - b));
    V q = n / d, rest = FMA(-q, dl, nl) + RESIDUAL(n, q, d);
    return SEL(x > MISH_CUT, x, a * (q + rest / d) * DOWN);
}
/* e/D (e + 2 + 4 x (1 + e)/D), D = N + 2. Every step carries its rounding error, since the terms
 * cancel and their errors add up. */
DACT(mish)
{
    V s, a = CLAMP(TEXP_FLOOR, MISH_CUT, x), P = EXP_SPLIT0(a, OFF, &s);
    V h = FMA(s, P, s), l = FMA(s, P, s - h), e = h * DOWN, el = l * DOWN, f = 1 + e;
    V n = FMA(e, e, 2 * e), nl = FMA(e, e, 2 * e - n) + 2 * el * f, d = n + 2, i = 1 / d,
      il = i * (RESIDUAL(SPLAT(1), i, d) - i * (nl + (n + (2 - d))));
    V k = FMA(4 * a, e, 4 * a), kl = FMA(4 * a, e, 4 * a - k), t = e + 2, b = t - e,
      tl = (e - (t - b)) + (2 - b);
    V v = FMA(k, i, t), vl = FMA(k, i, t - v) + FMA(k, il, FMA(kl, i, tl + el));
    V m = v * i, ml = FMA(v, il, FMA(vl, i, PRODUCT_ERROR(v, i, m)));
    return SEL(x > MISH_CUT, SPLAT(1), FMA(h, m, FMA(h, ml, l * m)) * DOWN);
}

/* ---- gelu, exact ---- */
ACT(gelu)  { return X_PHI(x); }
DACT(gelu) { return D_X_PHI(x); }
#undef ACT
#undef DACT
#undef YACT
#endif

/* One row per activation, with named columns (pn_activation in pynn.h gives their types); a column
 * that is left out is empty or 0.
 *
 * name:     the bodies above, the function in Python, and the name as a string
 * needs:    what backward reads: X the input, Y the output
 * cls:      the layer class; prelu has a layer kind instead, since its slope is learnt
 * ulp, grad_ulp: promised error of value and derivative, in units in the last place; a derivative
 *           with a root is measured in units of its largest term
 * params, check: parameters with their defaults, at most PN_MAX_PARAMS; the condition they must
 *           satisfy, as a Python expression
 * docs:     "name: text\n" for each parameter
 * onnx:     the ONNX expression
 * formula:  NumPy text, which is the documentation and the oracle of the tests
 * summary:  the first sentence of the documentation, with its source */
#ifndef PN_ACTIVATIONS
#define PN_ACTIVATIONS(ROW) \
    ROW(identity, Y, .cls = "Identity", .ulp = 0, .grad_ulp = 0, \
        .onnx = "Identity(x)", \
        .formula = "x", \
        .summary = "The input itself, for a linear output.") \
    ROW(binary_step, Y, .cls = "BinaryStep", .ulp = 0, .grad_ulp = 0, \
        .params = "threshold=0.0", \
        .docs = "threshold: Least input for which the output is 1.\n", \
        .onnx = "Cast(GreaterOrEqual(x, threshold), to=FLOAT)", \
        .formula = "where(x >= threshold, 1, where(x < threshold, 0, x))", \
        .summary = "Heaviside step function, used by the first artificial neuron (McCulloch and " \
                   "Pitts, 1943); its derivative is 0.") \
    ROW(threshold, X, .cls = "Threshold", .ulp = 0, .grad_ulp = 0, \
        .params = "threshold, value", \
        .docs = "threshold: Largest input that is replaced.\n" \
                "value: Output for the inputs that are replaced.\n", \
        .onnx = "Where(LessOrEqual(x, threshold), value, x)", \
        .formula = "where(x <= threshold, value, x)", \
        .summary = "The input above a threshold and a fixed value elsewhere, as PyTorch defines it.") \
    ROW(relu, Y, .cls = "ReLU", .ulp = 0, .grad_ulp = 0, \
        .onnx = "Relu(x)", \
        .formula = "where(x < 0, 0, x)", \
        .summary = "Rectified linear unit (Nair and Hinton, 2010); its derivative at 0 is 0.") \
    ROW(relu6, Y, .cls = "ReLU6", .ulp = 0, .grad_ulp = 0, \
        .onnx = "Clip(x, min=0, max=6)", \
        .formula = "minimum(maximum(x, 0), 6)", \
        .summary = "ReLU capped at 6, for low-precision inference (Krizhevsky, 2010).") \
    ROW(leaky_relu, X, .cls = "LeakyReLU", .ulp = 1, .grad_ulp = 0, \
        .params = "negative_slope=0.01", \
        .docs = "negative_slope: Slope for negative inputs.\n", \
        .onnx = "LeakyRelu(x, alpha=negative_slope)", \
        .formula = "where(x > 0, x, negative_slope * x)", \
        .summary = "ReLU with a small slope for negative inputs, which keeps units from dying " \
                   "(Maas et al., 2013).") \
    ROW(prelu, X, .ulp = 1, .grad_ulp = 0, \
        .params = "weight=0.25", \
        .docs = "weight: Slope for negative inputs.\n", \
        .onnx = "PRelu(x, weight)", \
        .formula = "where(x > 0, x, weight * x)", \
        .summary = "Leaky ReLU whose slope is learnt (He et al., 2015).") \
    ROW(elu, X, .cls = "ELU", .ulp = 2, .grad_ulp = 2, \
        .params = "alpha=1.0", .check = "alpha != 0", \
        .docs = "alpha: Negative of the limit of the output as x goes to minus infinity.\n", \
        .onnx = "Elu(x, alpha=alpha)", \
        .formula = "where(x > 0, x, alpha * expm1(x))", \
        .summary = "Exponential linear unit (Clevert et al., 2015).") \
    ROW(celu, X, .cls = "CELU", .ulp = 2, .grad_ulp = 2, \
        .params = "alpha=1.0", .check = "alpha != 0", \
        .docs = "alpha: Negative of the limit of the output as x goes to minus infinity; also divides x " \
                "in the exponent.\n", \
        .onnx = "Celu(x, alpha=alpha)", \
        .formula = "where(x > 0, x, alpha * expm1(x / alpha))", \
        .summary = "ELU with a continuous derivative for every alpha (Barron, 2017).") \
    ROW(selu, X, .cls = "SELU", .ulp = 2, .grad_ulp = 2, \
        .onnx = "Selu(x)", \
        .formula = "1.0507009873554804934193349852946 * where(x > 0, x, " \
                   "1.6732632423543772848170429916717 * expm1(x))", \
        .summary = "Scaled ELU, which keeps the mean of outputs at 0 and their variance at 1 " \
                   "(Klambauer et al., 2017).") \
    ROW(gelu, X, .cls = "GELU", .ulp = 2, .grad_ulp = 2, \
        .onnx = "Gelu(x)", \
        .formula = "0.5 * x * erfc(-x / sqrt(2))", \
        .summary = "Gaussian error linear unit, x times the normal cumulative distribution " \
                   "function (Hendrycks and Gimpel, 2016).") \
    ROW(gelu_tanh, X, .cls = "GELUTanh", .ulp = 2, .grad_ulp = 2, \
        .onnx = "Gelu(x, approximate='tanh')", \
        .formula = "x / (1 + exp(-2 * sqrt(2 / pi) * (x + 0.044715 * x**3)))", \
        .summary = "Tanh approximation of GELU, 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x**3))) " \
                   "(Hendrycks and Gimpel, 2016).") \
    ROW(quick_gelu, X, .cls = "QuickGELU", .ulp = 2, .grad_ulp = 2, \
        .onnx = "Mul(x, Sigmoid(Mul(1.702, x)))", \
        .formula = "x / (1 + exp(-1.702 * x))", \
        .summary = "Sigmoid approximation of GELU (Hendrycks and Gimpel, 2016).") \
    ROW(silu, X, .cls = "SiLU", .ulp = 2, .grad_ulp = 4, \
        .onnx = "Mul(x, Sigmoid(x))", \
        .formula = "x / (1 + exp(-x))", \
        .summary = "Sigmoid linear unit, also called swish (Elfwing et al., 2017; Ramachandran et " \
                   "al., 2017).") \
    ROW(swish, X, .cls = "Swish", .ulp = 2, .grad_ulp = 2, \
        .params = "beta=1.0", \
        .docs = "beta: Steepness of the sigmoid.\n", \
        .onnx = "Mul(x, Sigmoid(Mul(beta, x)))", \
        .formula = "x / (1 + exp(-beta * x))", \
        .summary = "SiLU with adjustable steepness: linear at beta=0, ReLU as beta grows " \
                   "(Ramachandran et al., 2017).") \
    ROW(mish, X, .cls = "Mish", .ulp = 2, .grad_ulp = 3, \
        .onnx = "Mul(x, Tanh(Softplus(x)))", \
        .formula = "x * tanh(log1p(exp(x)))", \
        .summary = "x times the tanh of softplus (Misra, 2019).") \
    ROW(hardswish, X, .cls = "Hardswish", .ulp = 2, .grad_ulp = 1, \
        .onnx = "HardSwish(x)", \
        .formula = "where(x > 3, x, where(x < -3, 0, x * (x + 3) / 6))", \
        .summary = "Piecewise linear and quadratic approximation of SiLU (Howard et al., 2019).") \
    ROW(hardsigmoid, X, .cls = "Hardsigmoid", .ulp = 1, .grad_ulp = 1, \
        .params = "alpha=0.16666666666666666, beta=0.5", \
        .docs = "alpha: Slope of the middle segment.\n" \
                "beta: Output at 0.\n", \
        .onnx = "HardSigmoid(x, alpha=alpha, beta=beta)", \
        .formula = "minimum(maximum(where(abs(6 * alpha - 1) < 1e-7, x / 6, alpha * x) + beta, " \
                   "0), 1)", \
        .summary = "Piecewise linear sigmoid, (x + 3)/6 by default as in PyTorch and Keras 3; " \
                   "ONNX has alpha=0.2 (Howard et al., 2019).") \
    ROW(hardtanh, Y, .cls = "Hardtanh", .ulp = 0, .grad_ulp = 0, \
        .params = "min_val=-1.0, max_val=1.0", .check = "min_val <= max_val", \
        .docs = "min_val: Least output.\n" \
                "max_val: Largest output.\n", \
        .onnx = "Clip(x, min=min_val, max=max_val)", \
        .formula = "minimum(maximum(x, min_val), max_val)", \
        .summary = "The input clipped to an interval (Collobert, 2004).") \
    ROW(sigmoid, Y, .cls = "Sigmoid", .ulp = 2, .grad_ulp = 3, \
        .onnx = "Sigmoid(x)", \
        .formula = "1 / (1 + exp(-x))", \
        .summary = "Logistic function, which maps all numbers to (0, 1) (Verhulst, 1845).") \
    ROW(logsigmoid, X, .cls = "LogSigmoid", .ulp = 2, .grad_ulp = 2, \
        .onnx = "Log(Sigmoid(x))", \
        .formula = "minimum(x, 0) - log1p(exp(-abs(x)))", \
        .summary = "Logarithm of the sigmoid, computed without underflow.") \
    ROW(tanh, Y, .cls = "Tanh", .ulp = 2, .grad_ulp = 3, \
        .onnx = "Tanh(x)", \
        .formula = "tanh(x)", \
        .summary = "Hyperbolic tangent, which maps all numbers to (-1, 1) (LeCun et al., 1998).") \
    ROW(tanhshrink, X, .cls = "Tanhshrink", .ulp = 2, .grad_ulp = 4, \
        .onnx = "Sub(x, Tanh(x))", \
        .formula = "where(abs(x) < 0.1, x / (1 + (3 + x**2 / (5 + x**2 / (7 + x**2 / (9 + x**2 / " \
                   "11)))) / x**2), x - tanh(x))", \
        .summary = "x - tanh(x), as PyTorch names it; the formula uses tanh's continued fraction " \
                   "near 0.") \
    ROW(softplus, X, .cls = "Softplus", .ulp = 2, .grad_ulp = 2, \
        .params = "beta=1.0", .check = "beta > 0", \
        .docs = "beta: Sharpness of the bend at 0; the output approaches ReLU as it grows.\n", \
        .onnx = "Div(Softplus(Mul(x, beta)), beta)", \
        .formula = "maximum(x, 0) + log1p(exp(-abs(beta * x))) / beta", \
        .summary = "Smooth ReLU, log(1 + exp(beta x)) / beta (Dugas et al., 2000).") \
    ROW(softsign, X, .cls = "Softsign", .ulp = 2, .grad_ulp = 4, \
        .onnx = "Softsign(x)", \
        .formula = "x / (1 + abs(x))", \
        .summary = "Like tanh, but approaches its limits more slowly (Bergstra et al., 2009).") \
    ROW(softshrink, Y, .cls = "Softshrink", .ulp = 1, .grad_ulp = 0, \
        .params = "lambd=0.5", .check = "lambd >= 0", \
        .docs = "lambd: Amount by which x moves towards 0; inputs in [-lambd, lambd] give 0.\n", \
        .onnx = "Shrink(x, lambd=lambd, bias=lambd)", \
        .formula = "where(x > lambd, x - lambd, where(x < -lambd, x + lambd, 0 * x))", \
        .summary = "Soft thresholding: the input moved towards 0 by lambd, and 0 in [-lambd, " \
                   "lambd] (Donoho, 1995).") \
    ROW(hardshrink, Y, .cls = "Hardshrink", .ulp = 0, .grad_ulp = 0, \
        .params = "lambd=0.5", .check = "lambd >= 0", \
        .docs = "lambd: Inputs in [-lambd, lambd] give 0.\n", \
        .onnx = "Shrink(x, lambd=lambd, bias=0)", \
        .formula = "where(abs(x) <= lambd, 0, x)", \
        .summary = "Hard thresholding: the input outside [-lambd, lambd], and 0 inside (Donoho " \
                   "and Johnstone, 1994).") \
    ROW(squareplus, X, .cls = "Squareplus", .ulp = 2, .grad_ulp = 3, \
        .params = "b=4.0", .check = "b > 0", \
        .docs = "b: Width of the bend at 0, where the output is sqrt(b) / 2.\n", \
        .onnx = "Mul(Add(x, Sqrt(Add(Mul(x, x), b))), 0.5)", \
        .formula = "where(x < 0, b / 2 / (sqrt(x**2 + b) - x), (x + sqrt(x**2 + b)) / 2)", \
        .summary = "Smooth ReLU without an exponential (Barron, 2021).") \
    ROW(exponential, Y, .cls = "Exponential", .ulp = 2, .grad_ulp = 2, \
        .onnx = "Exp(x)", \
        .formula = "exp(x)", \
        .summary = "The exponential function, for positive outputs.") \
    ROW(gaussian, X, .cls = "Gaussian", .ulp = 2, .grad_ulp = 2, \
        .onnx = "Exp(Neg(Mul(x, x)))", \
        .formula = "exp(-x**2)", \
        .summary = "Gaussian bump around 0, the unit of radial basis function networks (Broomhead " \
                   "and Lowe, 1988).") \
    ROW(sparse_plus, X, .cls = "SparsePlus", .ulp = 2, .grad_ulp = 1, \
        .onnx = "Where(Less(x, 1), Div(Pow(Relu(Add(x, 1)), 2), 4), x)", \
        .formula = "where(x <= -1, 0, where(x < 1, (x + 1)**2 / 4, x))", \
        .summary = "Piecewise linear and quadratic approximation of softplus, as Keras and JAX " \
                   "define it.") \
    ROW(sparse_sigmoid, X, .cls = "SparseSigmoid", .ulp = 1, .grad_ulp = 0, \
        .onnx = "Clip(Div(Add(x, 1), 2), min=0, max=1)", \
        .formula = "minimum(maximum((x + 1) / 2, 0), 1)", \
        .summary = "Derivative of sparse_plus, a piecewise linear sigmoid, as Keras and JAX " \
                   "define it.") \
    ROW(shrink, X, .cls = "Shrink", .ulp = 1, .grad_ulp = 0, \
        .params = "lambd=0.5, bias=0.0", \
        .docs = "lambd: Inputs in [-lambd, lambd] give 0.\n" \
                "bias: Amount by which other inputs move towards 0.\n", \
        .onnx = "Shrink(x, lambd=lambd, bias=bias)", \
        .formula = "where(x < -lambd, x + bias, where(x > lambd, x - bias, 0 * x))", \
        .summary = "The input moved towards 0 by bias outside [-lambd, lambd], and 0 inside: " \
                   "hardshrink and softshrink in one, as ONNX defines it.") \
    ROW(thresholded_relu, X, .cls = "ThresholdedReLU", .ulp = 0, .grad_ulp = 0, \
        .params = "alpha=1.0", \
        .docs = "alpha: Largest input that gives 0.\n", \
        .onnx = "ThresholdedRelu(x, alpha=alpha)", \
        .formula = "where(x <= alpha, 0, x)", \
        .summary = "The input above alpha and 0 elsewhere (Konda et al., 2014).")
#endif
