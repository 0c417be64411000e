/* reference.h - the rows' formulas in one type T. Included once for each type, after defining
 *   T, TYPE (a suffix for names), C(c) (a literal of T), F(f) (libm's f for T),
 *   LIMIT (e^LIMIT is far outside the range of the checked type, but its product with any x^3 is within T),
 *   FAR (erfc(FAR) is even further outside), ERROR_OF_INPUTS(v) (the error of a product of two inputs: 0 if T is twice as wide).
 * formulas.h is written by tests/formula.py. REFERENCE(f) gives value and derivative at x (right or left of a kink by the sign of
 * side) with a bound of their rounding errors in units of half T's epsilon, and the largest term of the derivative's sum. */
#define REFERENCE(f) static inline __attribute__((always_inline)) void CAT(f, TYPE)(T x, T p0 UNUSED, T p1 UNUSED, T side UNUSED, \
    T *restrict v, T *restrict ev, T *restrict d, T *restrict ed, T *restrict s)

#ifndef ULP_CALLS
#define ULP_CALLS
#define UNUSED     __attribute__((unused))
#define CAT_(a, b) a##_##b
#define CAT(a, b)  CAT_(a, b)
/* Functions, and bounds of their error given that of their argument: 4 units for libm's error, plus the propagated error. Exponentials
 * are clamped beyond LIMIT, where every result underflows or overflows in the checked type. */
#define CALL_exp(a)          F(exp)((a) > LIMIT ? LIMIT : (a) < -LIMIT ? -LIMIT : (a))
#define ERROR_exp(a, e, v)   (v) * ((F(fabs)(a) < LIMIT ? (e) : 0) + 4)
#define CALL_expm1(a)        F(expm1)((a) > LIMIT ? LIMIT : (a))
#define ERROR_expm1(a, e, v) ((v) + 1) * ((a) < LIMIT ? (e) : 0) + 4 * F(fabs)(v)
#define CALL_log(a)          F(log)(a)
#define ERROR_log(a, e, v)   (e) / F(fabs)(a) + 4 * F(fabs)(v)
#define CALL_log1p(a)        F(log1p)(a)
#define ERROR_log1p(a, e, v) (e) / F(fabs)(1 + (a)) + 4 * F(fabs)(v)
#define CALL_tanh(a)         F(tanh)(a)
#define ERROR_tanh(a, e, v)  (e) * F(fabs)(1 - (v) * (v)) + 4 * F(fabs)(v)
#define CALL_sqrt(a)         F(sqrt)(a)
#define ERROR_sqrt(a, e, v)  (e) / (2 * (v)) + (v)
#define CALL_sin(a)          F(sin)(a)
#define ERROR_sin(a, e, v)   (e) + 4 * F(fabs)(v)
#define CALL_cos(a)          F(cos)(a)
#define ERROR_cos(a, e, v)   (e) + 4 * F(fabs)(v)
#define SETTLED(a)           ((a) > FAR ? FAR : (a) < -FAR ? -FAR : (a))
#define CALL_erf(a)          F(erf)(SETTLED(a))
#define ERROR_erf(a, e, v)   C(1.13) / (1 + (a) * (a)) * (e) + 4 * F(fabs)(v)
#define CALL_erfc(a)         F(erfc)(SETTLED(a))
#define ERROR_erfc(a, e, v)  ((a) > FAR ? 0 : (e)) * ((a) > 0 ? (v) * (2 * (a) + 2) : C(1.13) / (1 + (a) * (a))) + 4 * (v)
#endif

#include "formulas.h"
#undef REFERENCE
#undef T
#undef TYPE
#undef C
#undef F
#undef LIMIT
#undef FAR
#undef ERROR_OF_INPUTS
