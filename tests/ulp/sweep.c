/* sweep.c - measures the error of one activation against its formula, for many inputs and instruction sets.
 *
 *   sweep f32 FUNCTION P0 P1 ROOTED PART PARTS STRIDE ISA...             every STRIDE-th of all floats
 *   sweep f64 FUNCTION P0 P1 ROOTED PART PARTS SAMPLES CENTRE... / ISA... random doubles, some near the given centres
 * It processes every PARTS-th block of inputs, starting with block PART. ROOTED is 1 if the terms of the derivative cancel at a root:
 * then the unit is that of the largest term if that is larger. For each instruction set and for value and derivative it prints
 *   ISA value|derivative  ULP at x  ULP at x (subnormal results)  bad x  undecided x
 * (bad: NaN, or a zero of the wrong sign that is not at a root; undecided: the formula cancels even in __float128), then the number of
 * inputs for which neighbouring instruction sets differ, and the number of all inputs. __main__.py builds and runs it. */
#include <math.h>
#include <quadmath.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pynn.h"

#ifdef ULP_SIMD         /* libmvec has vector versions of these functions */
#define MANY(f) __attribute__((simd("notinbranch"))) double f(double);
MANY(exp) MANY(expm1) MANY(log) MANY(log1p) MANY(tanh) MANY(sin) MANY(cos) MANY(erf) MANY(erfc)
#endif

#include "references.h"

enum { BLOCK = 1024, MOST_ISAS = 8 };
#define LEAST 0x1p-10                                   /* in ULP: smaller errors are not compared */
typedef void quad_fn(__float128 x, __float128 p0, __float128 p1, __float128 side, __float128 *v, __float128 *ev, __float128 *d, __float128 *ed, __float128 *s);
typedef void f32_fn(size_t n, const float *x, double p0, double p1, double *v, double *ev, double *d, double *ed, double *s);
typedef void f64_fn(size_t n, const double *x, double p0, double p1, long double *v, long double *ev, long double *d, long double *ed, long double *s);
typedef struct { const char *name; f32_fn *f32; f64_fn *f64; quad_fn *quad; } row;

#define ROW(f) \
    static void f##_block_f32(size_t n, const float *restrict x, double p0, double p1, \
                              double *restrict v, double *restrict ev, double *restrict d, double *restrict ed, double *restrict s) \
    { _Pragma("omp simd") for (size_t i = 0; i < n; i++) f##_f32(x[i], p0, p1, 1, v + i, ev + i, d + i, ed + i, s + i); } \
    static void f##_block_f64(size_t n, const double *restrict x, double p0, double p1, \
                              long double *restrict v, long double *restrict ev, long double *restrict d, long double *restrict ed, long double *restrict s) \
    { for (size_t i = 0; i < n; i++) f##_f64(x[i], p0, p1, 1, v + i, ev + i, d + i, ed + i, s + i); } \
    static void f##_one(__float128 x, __float128 p0, __float128 p1, __float128 side, __float128 *v, __float128 *ev, __float128 *d, __float128 *ed, __float128 *s) \
    { f##_quad(x, p0, p1, side, v, ev, d, ed, s); }
ROWS(ROW)
#undef ROW
static const row rows[] = {
#define ROW(f) { #f, f##_block_f32, f##_block_f64, f##_one },
ROWS(ROW)
#undef ROW
};

/* ---- one input, in __float128 ---- */
typedef struct { double normal, at, subnormal, subnormal_at; uint64_t bad, undecided; double bad_at, undecided_at; } worst;
typedef struct { quad_fn *f; __float128 p0, p1; int derivative, rooted; } question;

/* Returns the error of y on one side of x in units in the last place; NAN if y is bad, -1 if the formula cannot decide. */
static double distance(const question *query, double x, double y, __float128 side, int mant, int lowest, int *subnormal)
{
    __float128 v, ev, d, ed, s, at = x;
    if (x == 0) at = (query->derivative ? side : copysign(1, x)) * 0x1p-1200Q;    /* next to 0, since a formula may divide by x */
    query->f(at, query->p0, query->p1, side, &v, &ev, &d, &ed, &s);
    const __float128 top = scalbnq(1, 2 - lowest), q = query->derivative ? d : v, error = query->derivative ? ed : ev;
    __float128 size = fabsq(q), to = fmaxq(-top, fminq(q, top)), got = fmaxq(-top, fminq(y, top));
    if (query->derivative && query->rooted) size = fmaxq(size, s);
    *subnormal = size < scalbnq(1, lowest);
    const __float128 unit = scalbnq(1, (*subnormal ? lowest : ilogbq(fminq(size, top))) - mant);
    const int root = !*subnormal && fabsq(q) < unit;                            /* terms cancel, so either sign of 0 is right */
    if (isnan(y) || (y == 0 && fabsq(q) > 0 && x != 0 && !root && !signbit(y) != !signbitq(q))) return NAN;
    if (!isnanq(q) && fabsq(q) - error * 0x1p-113Q > top) return (double)(fabsq(got - to) / unit);      /* certain overflow */
    if (isnanq(q) || !(error * 0x1p-113Q <= unit / 64)) return -1;
    return (double)(fabsq(got - to) / unit);
}
static void decide(worst *w, const question *query, double x, double y, int mant, int lowest)
{
    if (isnan(x) && isnan(y)) return;
    if (isinf(x)) return;                                                   /* limits are tested elsewhere */
    int subnormal;
    double e = distance(query, x, y, 1, mant, lowest, &subnormal);
    if (query->derivative && e != 0) {
        double left = distance(query, x, y, -1, mant, lowest, &subnormal);    /* at a kink, either side is right */
        if (!(e <= left)) e = left;
    }
    double *most = subnormal ? &w->subnormal : &w->normal, *at = subnormal ? &w->subnormal_at : &w->at;
    if (isnan(e)) w->bad++, w->bad_at = x;
    else if (e < 0) w->undecided++, w->undecided_at = x;
    else if (e > *most) *most = e, *at = x;
}

/* ---- many inputs ---- */
static inline double ulps_f32(double size)              /* 2^(23 - exponent), from the bits */
{
    uint64_t b;
    double p;
    memcpy(&b, &size, sizeof b);
    b &= (uint64_t)0x7ff << 52;
    memcpy(&p, &b, sizeof p);
    return 0x1p23 / (p > 0x1p-126 ? p : 0x1p-126);
}
static inline long double ulps_f64(long double size)
{
    int e;
    frexpl(size, &e);
    return ldexpl(1, 52 - (e - 1 > -1022 ? e - 1 : -1022));
}
#define R          float
#define T          double
#define TYPE       f32
#define MANT       23
#define LOWEST     -126
#define HALF       0x1p-53
#define ABS(x)     fabs(x)
#define ULPS(size) ulps_f32(size)
#include "judge.h"
#define R          double
#define T          long double
#define TYPE       f64
#define MANT       52
#define LOWEST     -1022
#define HALF       0x1p-64L
#define ABS(x)     fabsl(x)
#define ULPS(size) ulps_f64(size)
#include "judge.h"

typedef struct {
    const row *row;
    size_t op, n_isas, n_centres;
    char **isas;
    double p[PN_MAX_PARAMS], centre[64];
    int rooted;
    worst worst[MOST_ISAS][2];
    uint64_t differ[MOST_ISAS], inputs;
    double differ_at[MOST_ISAS];
} sweep;

/* Computes values (which = 0) or derivatives of a block on instruction set k, and compares them bitwise with those of the previous set in y. */
static void compute(sweep *s, size_t k, int which, pn_dtype t, const void *x, void *y)
{
    static _Thread_local double before[BLOCK];
    const size_t bytes = t == PN_F32 ? sizeof(float) : sizeof(double);
    const float p32[] = { (float)s->p[0], (float)s->p[1] };
    const void *p[] = { t == PN_F32 ? (const void *)&p32[0] : &s->p[0], t == PN_F32 ? (const void *)&p32[1] : &s->p[1] };
    memcpy(before, y, BLOCK * bytes);
    pn_error error;
    if (pn_isa_set(s->isas[k], &error) != PN_OK) { fprintf(stderr, "%s\n", error.text); exit(2); }
    (which ? pn_activation_derivative : pn_activation_forward)(s->op, t, BLOCK, x, y, p, 0);
    if (k == 0 || !memcmp(before, y, BLOCK * bytes)) return;
    for (size_t i = 0; i < BLOCK; i++)
        if (memcmp((char *)before + i * bytes, (char *)y + i * bytes, bytes)) {
            s->differ[k]++;
            s->differ_at[k] = t == PN_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
        }
}
static void block_f32(sweep *s, const float *x)
{
    static double v[BLOCK], ev[BLOCK], d[BLOCK], ed[BLOCK], terms[BLOCK];
    float y[BLOCK];
    s->row->f32(BLOCK, x, (float)s->p[0], (float)s->p[1], v, ev, d, ed, terms);
    question query = { s->row->quad, (float)s->p[0], (float)s->p[1], 0, s->rooted };
    for (; query.derivative < 2; query.derivative++)
        for (size_t k = 0; k < s->n_isas; k++) {
            compute(s, k, query.derivative, PN_F32, x, y);
            judge_f32(&s->worst[k][query.derivative], BLOCK, x, y, query.derivative ? d : v, query.derivative ? ed : ev, query.derivative && s->rooted ? terms : NULL, &query);
        }
    s->inputs += BLOCK;
}
static void block_f64(sweep *s, const double *x)
{
    static long double v[BLOCK], ev[BLOCK], d[BLOCK], ed[BLOCK], terms[BLOCK];
    double y[BLOCK];
    s->row->f64(BLOCK, x, s->p[0], s->p[1], v, ev, d, ed, terms);
    question query = { s->row->quad, s->p[0], s->p[1], 0, s->rooted };
    for (; query.derivative < 2; query.derivative++)
        for (size_t k = 0; k < s->n_isas; k++) {
            compute(s, k, query.derivative, PN_F64, x, y);
            judge_f64(&s->worst[k][query.derivative], BLOCK, x, y, query.derivative ? d : v, query.derivative ? ed : ev, query.derivative && s->rooted ? terms : NULL, &query);
        }
    s->inputs += BLOCK;
}

static void every_float(sweep *s, uint64_t part, uint64_t parts, uint64_t stride)
{
    const uint64_t step = BLOCK * stride, blocks = (((uint64_t)1 << 32) + step - 1) / step;
    uint64_t leap = 2654435761;                         /* coprime to blocks, so that every block is visited, large numbers early */
    while (blocks % leap == 0) leap += 2;
    float x[BLOCK];
    for (uint64_t b = part; b < blocks; b += parts) {
        for (uint64_t i = 0; i < BLOCK; i++) {
            uint32_t bits = (uint32_t)(b * leap % blocks * step + i * stride);      /* wraps around after the last float */
            memcpy(&x[i], &bits, sizeof bits);
        }
        block_f32(s, x);
    }
}
static uint64_t random_bits(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}
/* Returns a number of the given kind: uniform in several ranges, any exponent, any bits, near the limits, near the centres. */
static double sample(const sweep *s, uint64_t kind, uint64_t *state)
{
    const double u = (double)(random_bits(state) >> 11) * 0x1p-53;
    const uint64_t bits = random_bits(state);
    double x;
    switch (kind % 10) {
    case 0: return 20 * u - 10;
    case 1: return 4 * u - 2;
    case 2: return 80 * u - 40;
    case 3: return 1500 * u - 750;
    case 4: return ldexp(u + 1, -(int)(bits % 64)) * (bits >> 63 ? 1 : -1);
    case 5: memcpy(&x, &bits, sizeof x); return x;
    case 6: return 1.6 * u - 0.8;
    case 7: x = (const double[]){ 38.5, 708.4, 745.13, 21.5 }[bits % 4]; return (x + 4 * u - 2) * (bits >> 63 ? 1 : -1);
    default: return s->n_centres ? s->centre[bits % s->n_centres] + ldexp(2 * u - 1, -(int)(bits >> 8) % 48) : -2 * u;
    }
}
static void many_doubles(sweep *s, uint64_t part, uint64_t parts, uint64_t samples)
{
    double x[BLOCK];
    uint64_t state = part + 1;
    for (uint64_t b = part; b * BLOCK < samples; b += parts) {
        for (size_t i = 0; i < BLOCK; i++) x[i] = sample(s, b / parts, &state);
        block_f64(s, x);
    }
}

int main(int n, char **arg)
{
    static sweep s;
    if (n < 10) return 2;
    const uint64_t part = strtoull(arg[6], NULL, 10), parts = strtoull(arg[7], NULL, 10), count = strtoull(arg[8], NULL, 10);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].name, arg[2])) s.row = &rows[i];
    while (pn_activation_at(s.op) && strcmp(pn_activation_at(s.op)->name, arg[2])) s.op++;
    if (!s.row || !pn_activation_at(s.op)) return 2;
    s.p[0] = atof(arg[3]), s.p[1] = atof(arg[4]), s.rooted = atoi(arg[5]);
    int first = 9;
    if (!strcmp(arg[1], "f64")) {
        while (first < n && strcmp(arg[first], "/") && s.n_centres < 64) s.centre[s.n_centres++] = atof(arg[first++]);
        first++;
    }
    s.isas = arg + first;
    s.n_isas = (size_t)(n - first) < MOST_ISAS ? (size_t)(n - first) : MOST_ISAS;
    if (strcmp(arg[1], "f64")) every_float(&s, part, parts, count);
    else many_doubles(&s, part, parts, count);
    for (size_t k = 0; k < s.n_isas; k++) {
        for (int i = 0; i < 2; i++) {
            const worst *w = &s.worst[k][i];
            printf("%s %s %.17g %.17g %.17g %.17g %llu %.17g %llu %.17g\n", s.isas[k], i ? "derivative" : "value", w->normal, w->at, w->subnormal, w->subnormal_at,
                   (unsigned long long)w->bad, w->bad_at, (unsigned long long)w->undecided, w->undecided_at);
        }
        if (k) printf("%s differ %llu %.17g\n", s.isas[k], (unsigned long long)s.differ[k], s.differ_at[k]);
    }
    printf("inputs %llu\n", (unsigned long long)s.inputs);
    return 0;
}
