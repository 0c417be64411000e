/* formula_loss.c - losses given by a formula of prediction and target: values, gradients and
 * weights in one pass. */
#include "formula_loss.h"
#include "../base/array.h"
#include <string.h>

/* BLOCK: elements computed at a time; LANES: partial sums, in a fixed order */
enum { BLOCK = 512, LANES = 8 };

/* Elements with their weights: w for each element, or NULL, times s. */
typedef struct { const void *w; double s, scale; void *value, *grad; double *sums; } weighting;

/* Weights n values v and gradients g, stores them and adds the values to the sums. An element of
 * weight 0 adds nothing, except NaN. */
#define WEIGH(name, R) \
    static void name(size_t n, const R *v, const R *g, const weighting *a) \
    { \
        const R *each = a->w; \
        R *value = a->value, *grad = a->grad; \
        const R s = (R)a->s, scale = (R)a->scale; \
        for (size_t i = 0; i < n; i++) { \
            const R w = each ? s * each[i] : s, \
                    y = w == 1 ? v[i] : w == 0 && v[i] == v[i] ? 0 : w * v[i]; \
            if (value) value[i] = y; \
            if (grad) grad[i] = w == 0 && g[i] == g[i] ? 0 : w * scale * g[i]; \
            a->sums[i % LANES] += (double)y; \
        } \
    }
WEIGH(weigh_f32, float)
WEIGH(weigh_f64, double)
#undef WEIGH

/* One array of n elements with a common weight. */
typedef struct { const char *x, *t; weighting w; } span;

static void run_span(pn_dtype t, const pn_criterion *loss, const pn_operand *parameters, size_t n,
                     span a)
{
    const size_t size = pn_size(t);
    const pn_tape *tape = a.w.grad ? loss->value_and_slope : loss->value;
    double v[BLOCK], g[BLOCK];
    for (size_t i = 0, m; i < n; i += m) {
        m = pn_min(n - i, BLOCK);
        const void *const inputs[] = { a.x + i * size, a.t + i * size };
        void *const outputs[] = { v, g };
        weighting w = a.w;
        if (w.w) w.w = (const char *)w.w + i * size;
        if (w.value) w.value = (char *)w.value + i * size;
        if (w.grad) w.grad = (char *)w.grad + i * size;
        pn_tape_run(tape, t, m, inputs, parameters, outputs);
        if (t == PN_F32) weigh_f32(m, (const float *)v, (const float *)g, &w);
        else weigh_f64(m, v, g, &w);
    }
}

/* One span if no weight is shared by a row, else one for each row. */
double pn_formula_loss(pn_dtype t, const pn_loss_args *a)
{
    const size_t size = pn_size(t);
    const char *s = a->target.sample_weight;
    const int each = s && (a->target.per_value ||
                           (a->cols == 1 && a->target.rows_per_sample <= 1));
    const int by_row = s && !each;
    const size_t spans = by_row ? a->rows : 1, n = by_row ? a->cols : a->rows * a->cols;
    union { float f32; double f64; } number[PN_MAX_LOSS_PARAMS];
    pn_operand operand[PN_MAX_LOSS_PARAMS];
    double sums[LANES] = { 0 }, sum = 0;
    for (size_t j = 0; j < PN_MAX_LOSS_PARAMS; j++) {
        pn_element_set(t, &number[j], 0, a->loss->params[j]);
        operand[j] = (pn_operand){ &number[j], 0 };
    }
    for (size_t i = 0; i < spans; i++) {
        const size_t at = i * n * size;
        const span one = { .x = (const char *)a->x[0] + at,
                           .t = (const char *)a->target.target + at,
                           .w = { .w = each ? s : NULL,
                                  .s = by_row ? pn_element(t, s, i) : 1,
                                  .scale = a->scale,
                                  .value = a->value ? (char *)a->value + at : NULL,
                                  .grad = a->grad[0] ? (char *)a->grad[0] + at : NULL,
                                  .sums = sums } };
        run_span(t, a->loss, operand, n, one);
    }
    for (size_t k = 0; k < LANES; k++) sum += sums[k];
    return sum;
}
