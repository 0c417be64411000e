/* Every optimizer of the table, on lengths around that of a vector: results are finite, do not
 * depend on the position of arrays, and nothing outside them is written. The same for schedules and
 * L-BFGS, without Python. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "check.h"
#include "pynn.h"

enum { MOST = 70, ROOM = MOST + 40 };
typedef union { float f[ROOM]; double d[ROOM]; } array;
static array p, g, state[PN_MAX_STATES], average;
static const double GUARD = 12345;

static double at(const array *a, pn_dtype t, size_t i)
{
    return t == PN_F32 ? (double)a->f[i] : a->d[i];
}
static void put(array *a, pn_dtype t, size_t i, double v)
{
    if (t == PN_F32) a->f[i] = (float)v;
    else a->d[i] = v;
}
static void *from(array *a, pn_dtype t, size_t i)
{
    return t == PN_F32 ? (void *)(a->f + i) : (void *)(a->d + i);
}

/* Parses the defaults of a row: numbers, True, False and None. maximize is omitted. */
static void defaults(const char *text, double *hyper)
{
    int k = 0;
    for (const char *c = text; *c && k < PN_MAX_HYPER; c++) {
        if (!strncmp(c, "maximize", 8)) c = strchr(c, '=') + 5;
        else if (*c == '=' || *c == '(' ||
                 (*c == ',' && c[1] == ' ' && strchr("0123456789-", c[2]))) {
            const char *value = c + 1 + (c[1] == ' ');
            if (*value == '(') continue;
            char *end;
            double v = strtod(value, &end);
            hyper[k++] = *value == 'T' ? 1 : *value == 'N' ? NAN : end > value ? v : 0;
        }
    }
}

/* Creates the arrays of a segment, starting at element offset, with guards around them. Optional
 * states exist only if optional is nonzero. */
static pn_segment fill(size_t optimizer, pn_dtype t, size_t n, size_t offset, int optional,
                       double *numbers)
{
    array *all[] = { &p, &g, &average, &state[0], &state[1], &state[2] };
    for (size_t a = 0; a < 6; a++)
        for (size_t i = 0; i < ROOM; i++) {
            int inside = i >= offset && i < offset + n;
            put(all[a], t, i,
                !inside  ? GUARD
                : a < 3  ? sin((double)(i - offset) + (a == 1 ? 3 : 1))
                : a == 4 ? 0.01
                         : 0);
        }
    pn_segment s = { .p = from(&p, t, offset),
                     .g = from(&g, t, offset),
                     .average = from(&average, t, offset),
                     .n = n,
                     .dtype = t };
    s.rows = n % 2 ? 1 : 2;
    s.cols = n / s.rows;
    for (int k = 0; k < PN_MAX_STATES; k++) {
        const char *names = pn_optimizer_at(optimizer)->states;
        int exists = k == 0 || (k == 1 && strchr(names, ' ')) ||
                     (k == 2 && strchr(names, ' ') && strchr(names, ' ') != strrchr(names, ' '));
        if (!exists || pn_state_count(optimizer, (size_t)k, &s) == SIZE_MAX ||
            (!optional && pn_state_optional(optimizer, (size_t)k)))
            continue;
        s.state[k] = from(&state[k], t, offset);
    }
    numbers[0] = 0;
    for (int k = 1; k < PN_MAX_NUMBERS; k++) numbers[k] = 1;
    for (int k = 0; k < PN_MAX_NUMBERS; k++)
        s.number[k] = k == 0 || pn_optimizer_at(optimizer)->numbers ? &numbers[k] : NULL;
    return s;
}

static void check_one(size_t optimizer, pn_dtype t, size_t n, int optional, double *seen)
{
    const char *name = pn_optimizer_at(optimizer)->name;
    for (size_t offset = 0; offset < 20; offset += 7) {
        double numbers[PN_MAX_NUMBERS];
        pn_settings settings = { .clip_norm = 3,
                                 .clip_value = 0.7,
                                 .l1 = 0.01,
                                 .average_decay = 0.9 };
        defaults(pn_optimizer_at(optimizer)->hyper, settings.hyper);
        pn_segment s = fill(optimizer, t, n, offset, optional, numbers);
        pn_group group = { .optimizer = optimizer, .n = 1, .segments = &s, .settings = &settings };
        size_t bytes = pn_update_work(&group);
        char *work = malloc(bytes + 64);
        group.work = work + (64 - (uintptr_t)work % 64);
        for (int step = 1; step <= 3; step++) pn_update(&group, 1, step, 0);
        free(work);
        CHECK(numbers[0] == 3, "%s counted %g steps", name, numbers[0]);
        for (size_t i = 0; i < ROOM; i++) {
            const array *all[] = { &p, &g, &average, &state[0], &state[1], &state[2] };
            int inside = i >= offset && i < offset + n;
            for (size_t a = 0; a < 6; a++)
                CHECK(inside ? isfinite(at(all[a], t, i)) : at(all[a], t, i) == GUARD,
                      "%s, n %zu, array %zu at %zu: %g", name, n, a, i, at(all[a], t, i));
            if (inside && offset == 0) seen[i] = at(&p, t, i);
            CHECK(!inside || at(&p, t, i) == seen[i - offset],
                  "%s, n %zu: %g at offset %zu is not %g", name, n, at(&p, t, i), offset,
                  seen[i - offset]);
        }
    }
}

static void check_optimizers(void)
{
    double seen[MOST];
    for (size_t o = 0; pn_optimizer_at(o); o++)
        for (size_t n = 0; n <= MOST; n += n < 36 ? 1 : 17)
            for (int t = 0; t < 2; t++)
                for (int optional = 0; optional < 2; optional++)
                    check_one(o, t ? PN_F64 : PN_F32, n, optional, seen);
}

/* Each schedule alone is finite at any time. A schedule with a time window does not change the rate
 * outside it. */
static void check_schedules(void)
{
    for (size_t k = 0; pn_schedule_at(k); k++)
        for (int64_t t = 0; t < 50; t++) {
            pn_schedule s = { .kind = (double)k,
                              .counts_steps = 1,
                              .from = 10,
                              .until = 40,
                              .momentum = 1,
                              .v = { 0.5, 8, 0.3, 4, 2, 0.8, 0.9, 2 } };
            double hyper[PN_MAX_HYPER] = { 0.25, 0.9 };
            pn_schedule_apply(&s, 1, t + 1, 99, hyper);
            CHECK(isfinite(hyper[0]) && isfinite(hyper[1]), "%s at %d", pn_schedule_at(k)->name,
                  (int)t);
            CHECK((t >= 10 && t < 40) || (hyper[0] == 0.25 && hyper[1] == 0.9),
                  "%s outside of its window, at %d", pn_schedule_at(k)->name, (int)t);
        }
}

typedef struct { double *x, *g; int calls, stop; } valley;
static int rosenbrock(void *context, double *loss)
{
    valley *v = context;
    const double x = v->x[0], y = v->x[1];
    v->g[0] = -2 * (1 - x) - 400 * x * (y - x * x);
    v->g[1] = 200 * (y - x * x);
    *loss = (1 - x) * (1 - x) + 100 * (y - x * x) * (y - x * x);
    return ++v->calls == v->stop;
}

static void check_lbfgs(void)
{
    for (size_t history = 0; history < 6; history++)
        for (int stop = 0; stop < 12; stop += 3) {
            double x[2] = { -1.5, 2 }, gradient[2], loss;
            valley v = { x, gradient, 0, stop };
            pn_segment s = { .p = x, .g = gradient, .n = 2, .dtype = PN_F64 };
            double *memory = calloc(pn_lbfgs_memory(2, history), sizeof *memory);
            pn_lbfgs o = { .n_segments = 1,
                           .n = 2,
                           .segments = &s,
                           .lr = 1,
                           .tolerance_grad = 1e-9,
                           .tolerance_change = 1e-12,
                           .max_iter = 100,
                           .max_eval = 300,
                           .history = history,
                           .strong_wolfe = 1,
                           .memory = memory };
            pn_error error;
            pn_status status = pn_lbfgs_step(&o, rosenbrock, &v, &loss, &error);
            free(memory);
            CHECK(status == (stop ? PN_STOPPED : PN_OK), "history %zu, stop %d: status %d", history,
                  stop, (int)status);
            CHECK(isfinite(x[0]) && isfinite(x[1]), "%g %g", x[0], x[1]);
            if (!stop && history > 1)
                CHECK(fabs(x[0] - 1) < 1e-5 && fabs(x[1] - 1) < 1e-5, "history %zu: %g %g", history,
                      x[0], x[1]);
        }
}

int main(void)
{
    const char *isa;
    for (size_t i = 0; (isa = pn_isa_built(i)); i++) {
        pn_error error;
        if (!pn_isa_runs(isa)) continue;
        CHECK(pn_isa_set(isa, &error) == PN_OK, "%s", error.text);
        check_optimizers();
    }
    check_schedules();
    check_lbfgs();
    return REPORT();
}
