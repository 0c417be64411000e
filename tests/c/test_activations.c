/* Every row of the activation and row-wise tables on every instruction set of this machine, without
 * Python: the derivative equals a central difference of the value, and backward equals the
 * derivative. Results do not depend on length, offset, being in place, varying parameters or the
 * number of threads. Nothing is written beyond the span. Both instruction sets with FMA give the
 * same bits. NaN and infinities are handled. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "check.h"
#include "core/kernels/isa.h"

enum { N = 128, GUARD = 0x5a };
static const pn_kernels *kernels;
static const pn_activation *row;
static size_t op;
static const size_t size[PN_DTYPES] = { [PN_F32] = sizeof(float), [PN_F64] = sizeof(double) };
/* CHECK that also prints which kernel failed, for the current row and type t */
#define CHECK_ROW(ok, ...) do { \
    int before = failures; \
    CHECK(ok, __VA_ARGS__); \
    if (failures > before) \
        printf("    in %s %s f%d\n", kernels->isa, row->name, t == PN_F32 ? 32 : 64); \
} while (0)

/* The defaults of the table; parameters without one get 0.25 and -0.5. */
typedef struct {
    float f[PN_MAX_PARAMS];
    double d[PN_MAX_PARAMS];
    const void *p[PN_DTYPES][PN_MAX_PARAMS];
    int n;
} params;
static void read_params(params *p)
{
    static const double absent[PN_MAX_PARAMS] = { 0.25, -0.5 };
    const char *text = row->params;
    memset(p, 0, sizeof *p);
    while (text && *text) {
        const char *comma = strchr(text, ','), *equals = strchr(text, '=');
        int k = p->n++;
        p->d[k] = equals && (!comma || equals < comma) ? atof(equals + 1) : absent[k];
        p->f[k] = (float)p->d[k];
        p->d[k] = (double)p->f[k];
        p->p[PN_F32][k] = &p->f[k];
        p->p[PN_F64][k] = &p->d[k];
        text = comma ? comma + 1 : NULL;
    }
}
static const pn_activation_kernels *of(pn_dtype t) { return &kernels->of[t].activations[op]; }
static double get(pn_dtype t, const void *a, size_t i)
{
    return t == PN_F32 ? (double)((const float *)a)[i] : ((const double *)a)[i];
}
static void set(pn_dtype t, void *a, size_t i, double v)
{
    if (t == PN_F32) ((float *)a)[i] = (float)v;
    else ((double *)a)[i] = v;
}

static void derivative_equals_difference(const params *p)
{
    const double h = 1e-5;
    double x[N], lo[N], hi[N], d[N];
    for (int i = 0; i < N; i++)
        x[i] = -8.01 + i * 0.125 + i * i * 1e-5, lo[i] = x[i] - h, hi[i] = x[i] + h;
    of(PN_F64)->derivative(N, x, d, p->p[PN_F64], 0);
    of(PN_F64)->forward(N, lo, lo, p->p[PN_F64], 0);
    of(PN_F64)->forward(N, hi, hi, p->p[PN_F64], 0);
    for (int i = 0; i < N; i++) {
        double slope = (hi[i] - lo[i]) / (2 * h);
        CHECK(fabs(d[i] - slope) <= 1e-8 * (1 + fabs(slope)), "%s %s x=%g: %.12g, slope %.12g",
              kernels->isa, row->name, x[i], d[i], slope);
    }
}

/* gx = gy f'(x), exactly if backward reads x, otherwise as accurately as y permits. Running in
 * place changes nothing. */
static void backward_equals_gradient_times_derivative(pn_dtype t, const params *p)
{
    double x[N], y[N], g[N], d[N], gx[N];
    for (size_t i = 0; i < N; i++)
        set(t, x, i, -6 + 0.1 * (double)i), set(t, g, i, 1.5 - 0.03 * (double)i);
    of(t)->forward(N, x, y, p->p[t], 0);
    of(t)->derivative(N, x, d, p->p[t], 0);
    of(t)->backward(N, row->needs == 'x' ? x : y, g, gx, p->p[t], 0);
    for (size_t i = 0; i < N; i++) {
        double expected = get(t, g, i) * get(t, d, i),
               near = (t == PN_F32 ? 1e-6 : 1e-15) * fmax(fabs(get(t, g, i)), fabs(expected));
        CHECK_ROW(fabs(get(t, gx, i) - expected) <= near, "x=%g: %g, not %g", get(t, x, i),
                  get(t, gx, i), expected);
    }
    of(t)->backward(N, row->needs == 'x' ? x : y, g, g, p->p[t], 0);
    CHECK_ROW(!memcmp(g, gx, N * size[t]), "gx = gy in place");
    of(t)->derivative(N, x, gx, p->p[t], 0);
    memcpy(g, x, sizeof g);
    of(t)->derivative(N, g, g, p->p[t], 0);
    CHECK_ROW(!memcmp(g, gx, N * size[t]), "derivative in place");
    of(t)->forward(N, x, x, p->p[t], 0);
    CHECK_ROW(!memcmp(x, y, N * size[t]), "forward in place");
}

/* A value does not depend on its position in a span or on its neighbours, and nothing is written
 * beyond the span. n values of a parameter give the same results as each value alone. */
typedef void elements(size_t n, const void *x, void *y, const void *const *p, int varying);
typedef struct {
    elements *f;
    const void *const *p;
    int varying;
    const void *x, *expected;
} span_case;
static void spans_equal_elements(pn_dtype t, const char *what, const span_case *c)
{
    for (size_t n = 0; n <= 67; n++)
        for (size_t o = 0; o < 20; o++) {
            size_t bytes = n * size[t], at = o * size[t], shift = o % 7 * size[t];
            /* exact sizes, so that a sanitizer detects a single byte too many */
            unsigned char *out = malloc(shift + bytes + 1), *in = malloc(shift + bytes + 1);
            const void *p[PN_MAX_PARAMS];
            if (!out || !in) exit(2);
            for (int k = 0; k < PN_MAX_PARAMS; k++)
                p[k] = c->p[k] && c->varying ? (const char *)c->p[k] + at : c->p[k];
            memcpy(in + shift, (const char *)c->x + at, bytes);
            out[shift + bytes] = GUARD;
            c->f(n, in + shift, out + shift, p, c->varying);
            CHECK_ROW(!memcmp(out + shift, (const char *)c->expected + at, bytes) &&
                          out[shift + bytes] == GUARD,
                      "%s n=%zu at %zu", what, n, o);
            free(out);
            free(in);
        }
}
static void results_do_not_depend_on_position(pn_dtype t, const params *p)
{
    double x[N], y[N], many[PN_MAX_PARAMS][N];
    const void *vary[PN_MAX_PARAMS] = { NULL }, *one[PN_MAX_PARAMS] = { NULL };
    elements *f[] = { of(t)->forward, of(t)->derivative };
    static const char *const what[] = { "forward", "derivative", "forward, parameters varying",
                                        "derivative, parameters varying" };
    for (size_t i = 0; i < N; i++) set(t, x, i, (double)i / 9 - 7);
    for (int k = 0; k < p->n; k++) {
        for (size_t i = 0; i < N; i++) set(t, many[k], i, p->d[k] * (1 + (double)(i % 5) / 8));
        vary[k] = many[k];
    }
    for (int i = 0; i < 2; i++) {
        for (size_t j = 0; j < N; j++)
            f[i](1, (char *)x + j * size[t], (char *)y + j * size[t], p->p[t], 0);
        spans_equal_elements(t, what[i], &(span_case){ f[i], p->p[t], 0, x, y });
        for (size_t j = 0; p->n && j < N; j++) {
            for (int k = 0; k < p->n; k++) one[k] = (char *)many[k] + j * size[t];
            f[i](1, (char *)x + j * size[t], (char *)y + j * size[t], one, 0);
        }
        if (p->n) spans_equal_elements(t, what[2 + i], &(span_case){ f[i], vary, 1, x, y });
    }
    for (size_t n = 0; n <= 67; n++) {
        unsigned char *out = malloc(n * size[t] + 1);
        if (!out) exit(2);
        out[n * size[t]] = GUARD;
        of(t)->backward(n, x, x, out, p->p[t], 0);
        CHECK_ROW(out[n * size[t]] == GUARD, "backward n=%zu", n);
        free(out);
    }
}

/* Numbers of all exponents and both signs, without NaN, the same on every call. */
enum { MANY = 20011, CHUNK = 1009 };
static void numbers_of_all_sizes(pn_dtype t, void *x)
{
    uint64_t state = 1;
    for (size_t i = 0; i < MANY; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        uint64_t bits = state ^ state >> 29;
        double v = (double)(int64_t)state * (i % 3 ? 0x1p-60 : 0x1p-57), any;
        memcpy(&any, &bits, sizeof any);
        if (i % 2 && !isnan(any)) v = t == PN_F32 ? ldexp(v, (int)(bits % 250) - 125) : any;
        set(t, x, i, v);
    }
}
typedef struct { pn_dtype t; int derivative; const char *x; char *y; const params *p; } chunk_job;
static void chunk(void *context, size_t i)
{
    const chunk_job *d = context;
    const size_t from = i * CHUNK, n = MANY - from < CHUNK ? MANY - from : CHUNK;
    (d->derivative ? of(d->t)->derivative : of(d->t)->forward)(
        n, d->x + from * size[d->t], d->y + from * size[d->t], d->p->p[d->t], 0);
}
static void results_do_not_depend_on_threads(pn_dtype t, const params *p)
{
    static double x[MANY], y[MANY], z[MANY];
    pn_error error;
    numbers_of_all_sizes(t, x);
    for (int derivative = 0; derivative < 2; derivative++) {
        (derivative ? of(t)->derivative : of(t)->forward)(MANY, x, y, p->p[t], 0);
        for (size_t threads = 1; threads <= 7; threads += threads == 1 ? 1 : 5) {
            memset(z, GUARD, sizeof z);
            CHECK_ROW(pn_threads_set(threads, &error) == PN_OK, "%s", error.text);
            pn_parallel((MANY + CHUNK - 1) / CHUNK, chunk,
                        &(chunk_job){ t, derivative, (char *)x, (char *)z, p });
            CHECK_ROW(!memcmp(y, z, MANY * size[t]), "%s on %zu threads",
                      derivative ? "derivative" : "forward", threads);
        }
    }
    CHECK_ROW(pn_threads_set(0, &error) == PN_OK, "%s", error.text);
}

static void nan_propagates_and_limits_are_numbers(pn_dtype t, const params *p)
{
    double x[5], y[5], d[5], g[5], b[5];
    static const double special[] = { NAN, INFINITY, -INFINITY, 1e30, -1e30 };
    for (size_t i = 0; i < 5; i++) set(t, x, i, special[i]), set(t, g, i, 1);
    of(t)->forward(5, x, y, p->p[t], 0);
    of(t)->derivative(5, x, d, p->p[t], 0);
    of(t)->backward(5, row->needs == 'x' ? x : y, g, b, p->p[t], 0);
    CHECK_ROW(isnan(get(t, y, 0)) && isnan(get(t, d, 0)) && isnan(get(t, b, 0)),
              "NaN does not propagate");
    for (size_t i = 1; i < 5; i++) {
        CHECK_ROW(!isnan(get(t, y, i)), "f(%g) is NaN", special[i]);
        /* f(1e30) overflows */
        CHECK_ROW(isfinite(get(t, d, i)) || isinf(get(t, y, 3)), "f'(%g) = %g", special[i],
                  get(t, d, i));
    }
}

/* ---- row-wise functions ---------------------------------------------------------------------- */
static double sparsemax(size_t n, const double *x, size_t i)   /* by bisection */
{
    double high = x[0], low;
    for (size_t j = 1; j < n; j++) high = fmax(high, x[j]);
    low = high - 1;
    for (int step = 0; step < 200; step++) {
        double middle = (low + high) / 2, sum = 0;
        for (size_t j = 0; j < n; j++) sum += fmax(x[j] - middle, 0);
        if (sum > 1) low = middle;
        else high = middle;
    }
    return fmax(x[i] - low, 0);
}
static double hardmax(size_t n, const double *x, size_t i)
{
    size_t at = 0;
    for (size_t j = 1; j < n; j++) at = x[j] > x[at] ? j : at;
    return i == at;
}
static double reference(const char *name, size_t n, const double *x, size_t i)
{
    if (!strcmp(name, "sparsemax")) return sparsemax(n, x, i);
    if (!strcmp(name, "hardmax")) return hardmax(n, x, i);
    int sign = strcmp(name, "softmin") ? 1 : -1;
    double max = -INFINITY, sum = 0;
    for (size_t j = 0; j < n; j++) max = fmax(max, sign * x[j]);
    for (size_t j = 0; j < n; j++) sum += exp(sign * x[j] - max);
    double l = sign * x[i] - max - log(sum);
    return strcmp(name, "log_softmax") ? exp(l) : l;
}
static void rows_equal_the_formula(size_t r, pn_dtype t)
{
    const pn_rowwise *info = pn_rowwise_at(r);
    const pn_rowwise_kernels *k = &kernels->of[t].rowwise[r];
    const double tolerance = t == PN_F32 ? 1e-6 : 1e-14;
    double x[3 * 67], wide[67];
    for (size_t n = 0; n <= 67; n++) {
        unsigned char *in = malloc(3 * n * size[t] + 1), *out = malloc(3 * n * size[t] + 1),
                      *back = malloc(3 * n * size[t] + 1);
        if (!in || !out || !back) exit(2);
        for (size_t i = 0; i < 3 * n; i++)
            set(t, in, i, sin((double)(i * i)) * (double)(1 + i % 7)), x[i] = get(t, in, i);
        out[3 * n * size[t]] = back[3 * n * size[t]] = GUARD;
        k->forward(3, n, in, out);
        k->backward(3, n, out, in, back);                       /* gy = x; any numbers will do */
        for (size_t i = 0; i < 3 * n; i++) {
            const double *first = x + i / n * n, h = 1e-6;
            double expected = reference(info->name, n, first, i % n), slope = 0;
            CHECK(fabs(get(t, out, i) - expected) <= tolerance * (1 + fabs(expected)),
                  "%s %s n=%zu [%zu]: %.9g, not %.9g", kernels->isa, info->name, n, i,
                  get(t, out, i), expected);
            for (int s = -1; s <= 1 && i < n; s += 2) {         /* d/dx_i of gy . f(x), first row */
                memcpy(wide, first, n * sizeof *wide);
                wide[i] += s * h;
                for (size_t j = 0; j < n; j++)
                    slope += s * first[j] * reference(info->name, n, wide, j) / (2 * h);
            }
            if (i < n)
                CHECK(fabs(get(t, back, i) - slope) <= 1e-5 + 1e-5 * fabs(slope),
                      "%s %s n=%zu gradient [%zu]: %g, not %g", kernels->isa, info->name, n, i,
                      get(t, back, i), slope);
        }
        k->backward(3, n, out, in, in);
        CHECK(!memcmp(in, back, 3 * n * size[t]), "%s %s n=%zu gx = gy in place", kernels->isa,
              info->name, n);
        CHECK(out[3 * n * size[t]] == GUARD && back[3 * n * size[t]] == GUARD,
              "%s %s n=%zu wrote past its rows", kernels->isa, info->name, n);
        for (size_t i = 0; i < 3 * n; i++) set(t, in, i, x[i]);
        k->forward(3, n, in, in);
        CHECK(!memcmp(in, out, 3 * n * size[t]), "%s %s n=%zu in place", kernels->isa, info->name,
              n);
        free(in);
        free(out);
        free(back);
    }
}
/* -inf is a probability of 0. A NaN, a +inf or only -inf make the row NaN. */
static void rows_keep_nan(void)
{
    static const float x[4][3] = { { 1, NAN, 2 },
                                   { 1, INFINITY, 2 },
                                   { -INFINITY, -INFINITY, -INFINITY },
                                   { 0, -INFINITY, 0 } };
    float y[4][3];
    kernels->of[PN_F32].rowwise[0].forward(4, 3, x, y);
    for (int i = 0; i < 9; i++)
        CHECK(isnan(y[i / 3][i % 3]), "%s softmax [%d]: %g", kernels->isa, i,
              (double)y[i / 3][i % 3]);
    CHECK(y[3][0] == 0.5f && y[3][1] == 0, "%s softmax of 0, -inf, 0: %g %g", kernels->isa,
          (double)y[3][0], (double)y[3][1]);
}

static void test_rows_of_the_tables(void)
{
    params p;
    for (op = 0; (row = pn_activation_at(op)); op++) {
        read_params(&p);
        derivative_equals_difference(&p);
        for (pn_dtype t = 0; t < PN_DTYPES; t++) {
            backward_equals_gradient_times_derivative(t, &p);
            results_do_not_depend_on_position(t, &p);
            results_do_not_depend_on_threads(t, &p);
            nan_propagates_and_limits_are_numbers(t, &p);
        }
    }
    for (size_t r = 0; pn_rowwise_at(r); r++)
        for (pn_dtype t = 0; t < PN_DTYPES; t++) rows_equal_the_formula(r, t);
    rows_keep_nan();
}

/* AVX2 and AVX-512 fuse the same products, so the bits are identical. */
static void sets_with_fma_agree(void)
{
    static double x[MANY], y[2][MANY];
    static const char *const sets[] = { "avx2", "avx512" };
    params p;
    pn_error error;
    if (!pn_isa_runs(sets[0]) || !pn_isa_runs(sets[1])) {
        printf("avx2 against avx512: not on this machine\n");
        return;
    }
    for (op = 0; (row = pn_activation_at(op)); op++)
        for (pn_dtype t = 0; t < PN_DTYPES; t++) {
            read_params(&p);
            numbers_of_all_sizes(t, x);
            for (int derivative = 0; derivative < 2; derivative++) {
                for (int k = 0; k < 2; k++) {
                    CHECK_ROW(pn_isa_set(sets[k], &error) == PN_OK, "%s", error.text);
                    kernels = pn_kernels_now();
                    (derivative ? of(t)->derivative : of(t)->forward)(MANY, x, y[k], p.p[t], 0);
                }
                CHECK_ROW(!memcmp(y[0], y[1], MANY * size[t]), "%s: avx2 differs from avx512",
                          derivative ? "derivative" : "forward");
            }
        }
}

int main(void)
{
    pn_error error = { "" };
    for (size_t i = 0; pn_isa_built(i); i++) {
        if (!pn_isa_runs(pn_isa_built(i))) continue;
        CHECK(pn_isa_set(pn_isa_built(i), &error) == PN_OK, "%s", error.text);
        kernels = pn_kernels_now();
        CHECK(!strcmp(pn_isa_get(), pn_isa_built(i)), "%s", pn_isa_get());
        test_rows_of_the_tables();
        printf("%s: done\n", kernels->isa);
    }
    sets_with_fma_agree();
    CHECK(pn_isa_set("abacus", &error) == PN_BAD_VALUE && strstr(error.text, "abacus"), "%s",
          error.text);
    CHECK(pn_isa_set(NULL, &error) == PN_OK, "%s", error.text);
    return REPORT();
}
