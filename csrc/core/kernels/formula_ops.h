/* formula_ops.h - the operations of formulas: add one here and nowhere else.
 *
 * OP1(f), OP2(f) and OP3(f) compute one vector of results from the operands a, b and c. A condition
 * is a vector of masks, all ones or zeros. The macros are those of vector.h, vmath.h and
 * elementary.h. The file is compiled once per element type and instruction set. */
#ifdef R

#define OP1(f) static ALWAYS V CAT(op_##f, SFX)(V a)
#define OP2(f) static ALWAYS V CAT(op_##f, SFX)(V a, V b)
#define OP3(f) static ALWAYS V CAT(op_##f, SFX)(V a, V b, V c)
#define OP4(f) static ALWAYS V CAT(op_##f, SFX)(V a, V b, V c, V d)

/* ---- arithmetic ---- */
OP2(add) { return a + b; }
OP2(sub) { return a - b; }
OP2(mul) { return a * b; }
OP2(div) { return a / b; }
OP1(neg) { return -a; }
OP1(abs) { return ABS(a); }
OP1(square) { return a * a; }
OP1(sqrt) { return SQRT(a); }
OP1(sign) { return SEL(a == 0, SPLAT(0), SEL(a == a, SIGN(SPLAT(1), a), a)); }
OP2(copysign) { return SIGN(a, b); }
OP1(floor) { return FLOOR(a); }
OP1(round) { return ROUND(a); }
/* MIN and MAX return b if either operand is NaN */
OP2(min) { return SEL(a == a, MIN(a, b), a); }
OP2(max) { return SEL(a == a, MAX(a, b), a); }
OP2(pow) { return POW(a, b); }

/* ---- conditions ---- */
OP2(lt)  { return (V)(a < b); }
OP2(le)  { return (V)(a <= b); }
OP2(gt)  { return (V)(a > b); }
OP2(ge)  { return (V)(a >= b); }
OP2(eq)  { return (V)(a == b); }
OP2(ne)  { return (V)(a != b); }
OP2(and) { return (V)((VI)a & (VI)b); }
OP2(or)  { return (V)((VI)a | (VI)b); }
OP3(select) { return SEL((VI)a, b, c); }

/* ---- elementary functions ---- */
OP1(exp)   { V rest; return EXP_AND_EXPM1(a, &rest); }
OP1(expm1) { V rest; return EXPM1(a, &rest); }
OP1(log)   { return LOG(a); }
OP1(log1p) { return LOG1P(a); }
OP1(sin)   { return SIN(a); }
OP1(cos)   { return COS(a); }
OP1(tan)   { return TAN(a); }
OP1(atan)  { return ATAN(a); }
OP1(sinh)  { return SINH(a); }
OP1(cosh)  { return COSH(a); }
OP1(tanh)  { return TANH(a); }
OP1(asinh) { return ASINH(a); }
OP1(erf)   { return ERF(a); }
OP1(erfc)  { return ERFC(a); }
OP1(normcdf)  { return NORMCDF(a); }
OP1(normpdf)  { return NORMPDF(a); }
OP1(sigmoid)  { return SIGMOID(a); }
OP1(softplus) { return SOFTPLUS(a); }

/* ---- operations that only the compiler of formula.c emits ---- */
OP1(copy)    { return a; }
OP1(is_true) { return (V)(a != 0); }
OP1(number)  { return SEL((VI)a, SPLAT(1), SPLAT(0)); }
OP4(select_lt) { return SEL(a < b, c, d); }
OP4(select_le) { return SEL(a <= b, c, d); }
OP4(select_eq) { return SEL(a == b, c, d); }
/* two operations, each rounded */
OP3(add_add) { return a + b + c; }
OP3(add_mul) { return (a + b) * c; }
OP3(mul_mul) { return a * b * c; }
OP3(mul_add) { return ROUNDED(a * b) + c; }
OP3(mul_sub) { return ROUNDED(a * b) - c; }
OP3(sub_product) { return a - ROUNDED(b * c); }
OP3(sub_mul) { return (a - b) * c; }
OP1(sigmoid_slope) { V slope; SIGMOID_AND_SLOPE(a, &slope); return slope; }

/* ---- pairs of functions of the same operand, with the bits that each has alone ---- */
#define PAIR(f) static ALWAYS V CAT(op_##f, SFX)(V a, V *second)
PAIR(sin_cos)
{
    V s, c;
    VI z = CAT(sin_cos_parts, SFX)(a, &s, &c);
    *second = CAT(sin_of_parts, SFX)(a, s, c, z, 1);
    return CAT(sin_of_parts, SFX)(a, s, c, z, 0);
}
PAIR(exp_expm1) { return EXP_AND_EXPM1(a, second); }
PAIR(sigmoid_and_slope) { return SIGMOID_AND_SLOPE(a, second); }
#undef PAIR
#undef OP1
#undef OP2
#undef OP3
#undef OP4
#endif

/* One row per operation of the language, with named columns (pn_formula_op in pynn.h gives their
 * types); a column that is left out is 0.
 *
 * name, arity, cost: the body above and its name as a string; the number of operands; CHEAP if
 *           memory limits its speed, otherwise COSTLY
 * conditions: bit k: operand k is a condition; is_condition: so is the result
 * is_function: the language has a function with this name
 * ulp:      promised error in units in the last place, for float32 and float64
 * summary:  the documentation */
#ifndef PN_FORMULA_OPS
#define PN_FORMULA_OPS(ROW) \
    ROW(add, 2, CHEAP, .ulp = { 0.5, 0.5 }, .summary = "a + b") \
    ROW(sub, 2, CHEAP, .ulp = { 0.5, 0.5 }, .summary = "a - b") \
    ROW(mul, 2, CHEAP, .ulp = { 0.5, 0.5 }, .summary = "a * b") \
    ROW(div, 2, CHEAP, .ulp = { 0.5, 0.5 }, .summary = "a / b") \
    ROW(neg, 1, CHEAP, .summary = "-a") \
    ROW(abs, 1, CHEAP, .is_function = 1, .summary = "Absolute value.") \
    ROW(square, 1, CHEAP, .ulp = { 0.5, 0.5 }, .is_function = 1, .summary = "a * a") \
    ROW(sqrt, 1, CHEAP, .ulp = { 0.5, 0.5 }, .is_function = 1, .summary = "Square root.") \
    ROW(sign, 1, CHEAP, .is_function = 1, .summary = "-1, 0 or 1.") \
    ROW(copysign, 2, CHEAP, .is_function = 1, \
        .summary = "Magnitude of the first argument with the sign of the second.") \
    ROW(floor, 1, CHEAP, .is_function = 1, .summary = "Largest integer that is not greater.") \
    ROW(round, 1, CHEAP, .is_function = 1, .summary = "Nearest integer, ties to even.") \
    ROW(min, 2, CHEAP, .is_function = 1, .summary = "Smaller of two numbers; NaN if either is NaN.") \
    ROW(max, 2, CHEAP, .is_function = 1, .summary = "Larger of two numbers; NaN if either is NaN.") \
    ROW(pow, 2, COSTLY, .ulp = { 2, 2 }, .summary = "a ** b, with the special cases of C's pow.") \
    ROW(lt, 2, CHEAP, .is_condition = 1, .summary = "a < b") \
    ROW(le, 2, CHEAP, .is_condition = 1, .summary = "a <= b") \
    ROW(gt, 2, CHEAP, .is_condition = 1, .summary = "a > b") \
    ROW(ge, 2, CHEAP, .is_condition = 1, .summary = "a >= b") \
    ROW(eq, 2, CHEAP, .is_condition = 1, .summary = "a == b") \
    ROW(ne, 2, CHEAP, .is_condition = 1, .summary = "a != b") \
    ROW(and, 2, CHEAP, .conditions = 3, .is_condition = 1, .summary = "Both conditions hold.") \
    ROW(or, 2, CHEAP, .conditions = 3, .is_condition = 1, .summary = "A condition holds.") \
    ROW(select, 3, CHEAP, .conditions = 1, .summary = "b where the condition a holds, else c.") \
    ROW(exp, 1, COSTLY, .ulp = { 2, 2 }, .is_function = 1, .summary = "Exponential function.") \
    ROW(expm1, 1, COSTLY, .ulp = { 2, 2 }, .is_function = 1, .summary = "exp(a) - 1") \
    ROW(log, 1, COSTLY, .ulp = { 2, 2 }, .is_function = 1, .summary = "Natural logarithm.") \
    ROW(log1p, 1, COSTLY, .ulp = { 2, 2 }, .is_function = 1, .summary = "log(1 + a)") \
    ROW(sin, 1, COSTLY, .ulp = { 2, 2 }, .is_function = 1, .summary = "Sine.") \
    ROW(cos, 1, COSTLY, .ulp = { 2, 2 }, .is_function = 1, .summary = "Cosine.") \
    ROW(tan, 1, COSTLY, .ulp = { 2, 2 }, .is_function = 1, .summary = "Tangent.") \
    ROW(atan, 1, COSTLY, .ulp = { 2, 2 }, .is_function = 1, .summary = "Inverse tangent.") \
    ROW(sinh, 1, COSTLY, .ulp = { 2, 2 }, .is_function = 1, .summary = "Hyperbolic sine.") \
    ROW(cosh, 1, COSTLY, .ulp = { 2, 2 }, .is_function = 1, .summary = "Hyperbolic cosine.") \
    ROW(tanh, 1, COSTLY, .ulp = { 2, 2 }, .is_function = 1, .summary = "Hyperbolic tangent.") \
    ROW(asinh, 1, COSTLY, .ulp = { 2, 2 }, .is_function = 1, \
        .summary = "Inverse hyperbolic sine.") \
    ROW(erf, 1, COSTLY, .ulp = { 2, 2 }, .is_function = 1, .summary = "Error function.") \
    ROW(erfc, 1, COSTLY, .ulp = { 2, 2 }, .is_function = 1, \
        .summary = "1 - erf(a), without cancellation.") \
    ROW(normcdf, 1, COSTLY, .ulp = { 2, 2 }, .is_function = 1, \
        .summary = "Distribution function of the standard normal distribution.") \
    ROW(normpdf, 1, COSTLY, .ulp = { 2, 2 }, .is_function = 1, \
        .summary = "Density of the standard normal distribution.") \
    ROW(sigmoid, 1, COSTLY, .ulp = { 2, 2 }, .is_function = 1, \
        .summary = "Logistic function, 1 / (1 + exp(-a)).") \
    ROW(softplus, 1, COSTLY, .ulp = { 2, 2 }, .is_function = 1, .summary = "log(1 + exp(a))")

/* operations that the language does not have */
#define PN_FORMULA_INTERNAL_OPS(ROW) \
    ROW(copy, 1, CHEAP) \
    ROW(is_true, 1, CHEAP, .is_condition = 1) \
    ROW(number, 1, CHEAP, .conditions = 1) \
    ROW(select_lt, 4, CHEAP) \
    ROW(select_le, 4, CHEAP) \
    ROW(select_eq, 4, CHEAP) \
    ROW(add_add, 3, CHEAP) \
    ROW(add_mul, 3, CHEAP) \
    ROW(mul_mul, 3, CHEAP) \
    ROW(mul_add, 3, CHEAP) \
    ROW(mul_sub, 3, CHEAP) \
    ROW(sub_product, 3, CHEAP) \
    ROW(sub_mul, 3, CHEAP) \
    ROW(sigmoid_slope, 1, COSTLY)

/* two operations of the same operand that one operation replaces: its name, and theirs */
#define PN_FORMULA_PAIRS(ROW) \
    ROW(sin_cos, sin, cos) \
    ROW(exp_expm1, exp, expm1) \
    ROW(sigmoid_and_slope, sigmoid, sigmoid_slope)
#endif
