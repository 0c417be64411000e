/* elementary.h - elementary functions that only formulas use, on V: FLOOR ROUND POW TAN ATAN SINH
 * COSH ASINH ERF ERFC NORMCDF NORMPDF SOFTPLUS. No include guard: kernels.c includes it once per
 * type, after normal.h. */

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

/* The C library's function, lane by lane, in double. */
#define LANES(name, ...) \
    static inline V CAT(v_##name, SFX)(V x) \
    { \
        for (size_t k = 0; k < L; k++) { const double a = x[k]; x[k] = (R)(__VA_ARGS__); } \
        return x; \
    }
LANES(tan, tan(a))
LANES(atan, atan(a))
LANES(sinh, sinh(a))
LANES(cosh, cosh(a))
LANES(asinh, asinh(a))
LANES(erf, erf(a))
LANES(erfc, erfc(a))
LANES(normcdf, erfc(a * -0.70710678118654752440) / 2)
LANES(normpdf, exp(a * a / -2) * 0.39894228040143267794)
LANES(softplus, a > 0 ? a + log1p(exp(-a)) : log1p(exp(a)))
static inline V CAT(v_pow, SFX)(V x, V y)
{
    for (size_t k = 0; k < L; k++) x[k] = (R)pow(x[k], y[k]);
    return x;
}
#undef LANES
#define TAN(x)      CAT(v_tan, SFX)(x)
#define ATAN(x)     CAT(v_atan, SFX)(x)
#define SINH(x)     CAT(v_sinh, SFX)(x)
#define COSH(x)     CAT(v_cosh, SFX)(x)
#define ASINH(x)    CAT(v_asinh, SFX)(x)
#define ERF(x)      CAT(v_erf, SFX)(x)
#define ERFC(x)     CAT(v_erfc, SFX)(x)
#define NORMCDF(x)  CAT(v_normcdf, SFX)(x)
#define NORMPDF(x)  CAT(v_normpdf, SFX)(x)
#define SOFTPLUS(x) CAT(v_softplus, SFX)(x)
#define POW(x, y)   CAT(v_pow, SFX)((x), (y))
