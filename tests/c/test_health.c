/* The kernels of probe.h on every instruction set, for various lengths and positions, compared with
 * plain loops. */
#include "check.h"
#include "core/kernels/isa.h"
#include <math.h>
#include <string.h>

enum { MOST = 2100, AT = 3 };           /* elements; where arrays begin, off any alignment */

static double get(pn_dtype t, const void *p, size_t i)
{
    return t == PN_F32 ? (double)((const float *)p)[i] : ((const double *)p)[i];
}
static void set(pn_dtype t, void *p, size_t i, double v)
{
    if (t == PN_F32) ((float *)p)[i] = (float)v;
    else ((double *)p)[i] = v;
}
static void *place(pn_dtype t, double *buffer)
{
    return (char *)buffer + AT * (t == PN_F32 ? sizeof(float) : sizeof(double));
}

static double next_random(void)
{
    static unsigned state = 1;
    state = state * 1664525u + 1013904223u;
    return (double)(state >> 8) / (1 << 23) - 1;
}
static void fill(pn_dtype t, void *p, size_t n, int zeros)
{
    for (size_t i = 0; i < n; i++) set(t, p, i, zeros && next_random() < 0 ? 0 : next_random());
}

static void check_counts(pn_dtype t, const pn_probe_kernels *k, size_t rows, size_t n)
{
    static double buffer[3][MOST + 8];
    void *d = place(t, buffer[0]), *live = place(t, buffer[1]), *small = place(t, buffer[2]);
    const double limit = (double)0.25f;
    double found[2], total[2] = { 0 };
    fill(t, d, rows * n, 1);
    if (rows && n) set(t, d, rows * n / 2, NAN);
    for (size_t j = 0; j < n + 2; j++) set(t, live, j, 7), set(t, small, j, 9);
    k->count_columns(rows, n, d, limit, live, small);
    for (size_t j = 0; j < n; j++) {
        double expected_live = 7, expected_small = 9;
        for (size_t r = 0; r < rows; r++) {
            const double v = get(t, d, r * n + j);
            expected_live += v != 0;
            expected_small += fabs(v) < limit;
        }
        total[0] += expected_live - 7;
        total[1] += expected_small - 9;
        CHECK(get(t, live, j) == expected_live && get(t, small, j) == expected_small,
              "rows %zu n %zu: column %zu has %g live and %g small", rows, n, j, get(t, live, j),
              get(t, small, j));
    }
    CHECK(get(t, live, n) == 7 && get(t, small, n) == 9, "rows %zu n %zu: written past the end",
          rows, n);
    k->count_run(rows * n, d, limit, found);
    CHECK(found[0] == total[0] && found[1] == total[1], "a run of %zu: %g live and %g small",
          rows * n, found[0], found[1]);
}

static void check_changes(pn_dtype t, const pn_probe_kernels *k, size_t n)
{
    static double buffer[3][MOST + 8];
    void *before = place(t, buffer[0]), *after = place(t, buffer[1]), *grad = place(t, buffer[2]);
    double found[3] = { 1, 2, 3 }, expected[3] = { 1, 2, 3 };
    fill(t, before, n, 0);
    fill(t, after, n, 0);
    fill(t, grad, n, 0);
    k->sum_changes(n, before, after, grad, found);
    for (size_t i = 0; i < n; i++) {
        const double b = get(t, before, i), step = get(t, after, i) - b, g = get(t, grad, i);
        expected[0] += g * g;
        expected[1] += step * step;
        expected[2] += b * b;
    }
    for (int i = 0; i < 3; i++)
        CHECK(fabs(found[i] - expected[i]) <= (t == PN_F32 ? 1e-5 : 1e-13) * expected[i],
              "n %zu: sum %d is %.17g, not %.17g", n, i, found[i], expected[i]);
}

static void check_nonfinite(pn_dtype t, const pn_probe_kernels *k, size_t n)
{
    static double buffer[MOST + 8];
    const double special[] = { NAN, INFINITY, -INFINITY };
    void *x = place(t, buffer);
    fill(t, x, n, 1);
    set(t, x, n, NAN);                                                  /* beyond the end */
    CHECK(k->first_nonfinite(n, x) == n, "n %zu: all are finite", n);
    for (size_t i = 0; i < n; i += 1 + n / 40) {
        const double old = get(t, x, i), last = get(t, x, n - 1);
        set(t, x, n - 1, NAN);
        set(t, x, i, special[i % 3]);
        CHECK(k->first_nonfinite(n, x) == i, "n %zu: number %zu is the first, not %zu", n, i,
              k->first_nonfinite(n, x));
        set(t, x, i, old);
        set(t, x, n - 1, last);
    }
}

int main(void)
{
    const size_t sizes[] = { 0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 1023, 1025, 2049 };
    const char *isa;
    pn_error error;
    for (size_t i = 0; (isa = pn_isa_built(i)); i++) {
        if (!pn_isa_runs(isa) || pn_isa_set(isa, &error)) continue;
        for (pn_dtype t = PN_F32; t < PN_DTYPES; t++) {
            const pn_probe_kernels *k = pn_kernels_now()->of[t].probe;
            for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
                check_changes(t, k, sizes[j]);
                check_nonfinite(t, k, sizes[j]);
                for (size_t rows = 0; rows * sizes[j] <= MOST && rows < 40; rows += 13)
                    check_counts(t, k, rows, sizes[j]);
            }
        }
    }
    return REPORT();
}
