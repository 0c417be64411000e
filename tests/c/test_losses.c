/* Every loss on infinities, NaN, zeros and the largest and smallest numbers, in full vectors and in
 * the remainder of a row. Checks properties that hold for any prediction, gives the sanitizers
 * something to check, and verifies that invalid labels are rejected. */
#include "check.h"
#include "pynn.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { ROWS = 67, COLS = 4 };
static const double special[] = { 0,         -0.0, 1,      -1,       0.5,       INFINITY,
                                  -INFINITY, NAN,  1e30,   -1e30,    1e-40,     -1e-40,
                                  100,       -100, 5e-324, 1 - 1e-7, -1.0000001 };
enum { SPECIALS = sizeof special / sizeof *special };

static void fill(pn_dtype t, size_t n, size_t step, void *x)
{
    for (size_t i = 0; i < n; i++) {
        if (t == PN_F32) ((float *)x)[i] = (float)special[i * step % SPECIALS];
        else ((double *)x)[i] = special[i * step % SPECIALS];
    }
}

/* A target of 1s; for boxes, of two equal corners; for classes, of class 1. */
static pn_target target_of(const pn_loss *row, pn_dtype t, void *numbers, int64_t *label)
{
    for (size_t i = 0; i < ROWS * COLS; i++) {
        if (t == PN_F32) ((float *)numbers)[i] = 1;
        else ((double *)numbers)[i] = 1;
        label[i] = row->target == 'm' && i % COLS ? -1 : 1;
    }
    const int labels = strchr("cimp", row->target) != NULL;
    return (pn_target){ .target = labels || row->target == 'n' ? NULL : numbers,
                        .label = labels ? label : NULL };
}

static void any_prediction(size_t loss, pn_dtype t)
{
    static double x[PN_MAX_INPUTS][ROWS * COLS], grad[PN_MAX_INPUTS][ROWS * COLS],
        numbers[ROWS * COLS], value[ROWS * COLS];
    static int64_t label[ROWS * COLS];
    const pn_loss *row = pn_loss_at(loss);
    pn_criterion c = { .row = row, .params = { 1, 1, 1 }, .ignore_index = -100, .factor = 1 };
    pn_error error;
    const pn_target target = target_of(row, t, numbers, label);
    CHECK(pn_loss_check(&c, t, ROWS, COLS, &target, &error) == PN_OK, "%s: %s", row->cls,
          error.text);
    pn_loss_args a = { .loss = &c,
                       .rows = ROWS,
                       .cols = COLS,
                       .target = target,
                       .value = value,
                       .scale = 1 };
    for (size_t k = 0; k < pn_loss_inputs(&c); k++) {
        fill(t, ROWS * COLS, 1 + 2 * k, x[k]);
        a.x[k] = x[k];
        a.grad[k] = grad[k];
    }
    pn_loss_run(t, &a);
    const size_t n = pn_loss_values(&c, ROWS, COLS);
    if (row->kind != 'e' || row->target == 'n' || pn_loss_inputs(&c) > 1) return;
    for (size_t i = 0; i < n; i++) {
        double p = t == PN_F32 ? ((float *)x[0])[i] : x[0][i],
               v = t == PN_F32 ? ((float *)value)[i] : value[i];
        if (isnan(p)) CHECK(isnan(v), "%s: element %zu", row->cls, i);
    }
}

static void wrong_labels(size_t loss)
{
    static double numbers[ROWS * COLS];
    static int64_t label[ROWS * COLS];
    static const int64_t wrong[] = { -2, COLS, 10000000, INT64_MAX, INT64_MIN };
    const pn_loss *row = pn_loss_at(loss);
    pn_criterion c = { .row = row, .ignore_index = -100, .factor = 1 };
    pn_error error;
    if (!strchr("cimp", row->target)) return;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const pn_target target = target_of(row, PN_F64, numbers, label);
        label[pn_loss_target_width(&c, COLS) * 5 % (ROWS * COLS)] = wrong[i];
        CHECK(pn_loss_check(&c, PN_F64, ROWS, COLS, &target, &error) == PN_BAD_VALUE, "%s: %lld",
              row->cls, (long long)wrong[i]);
        CHECK(strstr(error.text, "row") != NULL, "%s", error.text);
    }
}

int main(void)
{
    for (size_t i = 0; pn_loss_at(i); i++) {
        if (pn_loss_at(i)->kind == 's') continue;
        any_prediction(i, PN_F32);
        any_prediction(i, PN_F64);
        wrong_labels(i);
    }
    return REPORT();
}
