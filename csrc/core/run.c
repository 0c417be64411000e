/* run.c - forward, backward, loss and update: no decisions, no allocation. */
#include "graph.h"
#include <math.h>
#include <stdlib.h>

static void run_steps(const pn_plan *p, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) p->steps[i].run(&p->steps[i], p->at);
}

void pn_plan_forward(pn_plan *plan, const void *x, void *y)
{
    plan->at[PN_X] = (void *)x;
    plan->at[PN_Y] = y;
    run_steps(plan, 0, plan->n_forward);
    plan->ready = 1;
}

pn_status pn_plan_backward(pn_plan *plan, const void *gy, void *gx, pn_error *error)
{
    if (plan->mode != PN_BACKWARD || !plan->ready)
        return pn_fail(error, PN_BAD_STATE, "backward needs a forward call before it");
    plan->at[PN_GY] = (void *)gy;
    plan->at[PN_GX] = gx;
    run_steps(plan, plan->n_forward, plan->n_steps);
    return PN_OK;
}

double pn_plan_train(pn_plan *plan, const void *x, size_t loss, size_t cols, const pn_target *target, double scale)
{
    plan->at[PN_X] = (void *)x;
    run_steps(plan, 0, plan->n_forward);
    double sum = pn_loss_apply(loss, plan->graph->dtype, plan->rows, cols, plan->at[plan->output], target, NULL,
                               plan->at[plan->output_grad], scale);
    run_steps(plan, plan->n_forward, plan->n_steps);
    return sum;
}

size_t pn_loss_values(size_t loss, size_t rows, size_t cols) { return pn_loss_at(loss)->kind == 'r' ? rows : rows * cols; }

double pn_loss_apply(size_t loss, pn_dtype t, size_t rows, size_t cols, const void *x, const pn_target *target,
                     void *value, void *grad, double scale)
{
    const pn_loss_args args = { rows, cols, x, target->target, target->label, value, grad, scale };
    return pn_kernels_now()->of[t].losses[loss](&args);
}

static pn_status check_labels(size_t rows, size_t cols, const int64_t *label, const char *name, pn_error *error)
{
    for (size_t i = 0; i < rows; i++)
        if (label[i] < 0 || label[i] >= (int64_t)cols)
            return pn_fail(error, PN_BAD_VALUE, "%s: class %lld in row %zu is not in 0..%lld (%zu classes)", name, (long long)label[i], i,
                           (long long)cols - 1, cols);
    return PN_OK;
}

pn_status pn_loss_check(size_t loss, pn_dtype t, size_t rows, size_t cols, const pn_target *target, pn_error *error)
{
    const pn_loss *row = pn_loss_at(loss);
    const char *name = target->name ? target->name : "target";
    if (row->kind == 'r' && cols == 0 && rows > 0) return pn_fail(error, PN_BAD_SHAPE, "input: %s needs at least one class", row->cls);
    if (target->label) {
        if (row->target != 'c' && row->target != 'p')
            return pn_fail(error, PN_BAD_VALUE, "%s: %s takes numbers like the prediction, not class indices", name, row->cls);
        return check_labels(rows, cols, target->label, name, error);
    }
    if (row->target == 'c') return pn_fail(error, PN_BAD_VALUE, "%s: %s takes integer class indices, one a row", name, row->cls);
    for (size_t i = 0; i < rows * cols; i++) {
        double v = t == PN_F32 ? (double)((const float *)target->target)[i] : ((const double *)target->target)[i];
        if (!isfinite(v)) return pn_fail(error, PN_BAD_VALUE, "%s: %g in row %zu is not a finite number", name, v, i / cols);
        if (row->target != 'r' && !(v >= 0 && v <= 1))
            return pn_fail(error, PN_BAD_VALUE, "%s: %g in row %zu is not in [0, 1], as %s needs", name, v, i / cols, row->cls);
    }
    return PN_OK;
}

pn_status pn_loss_check_input(size_t loss, pn_dtype t, size_t n, const void *x, pn_error *error)
{
    if (pn_loss_at(loss)->metric != 'p') return PN_OK;
    for (size_t i = 0; i < n; i++) {
        double v = t == PN_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
        if (v < 0 || v > 1)
            return pn_fail(error, PN_BAD_VALUE, "input: %g is not a probability in [0, 1], as %s needs; for logits there is BCEWithLogitsLoss", v,
                           pn_loss_at(loss)->cls);
    }
    return PN_OK;
}

void pn_update(const pn_group *groups, size_t n_groups, int64_t step)
{
    for (size_t i = 0; i < n_groups; i++) {
        double h[PN_MAX_HYPER] = { 0 };
        pn_optimizer_prepare(groups[i].optimizer, groups[i].hyper, step, h);
        for (size_t j = 0; j < groups[i].n; j++) {
            const pn_segment *s = &groups[i].segments[j];
            pn_kernels_now()->of[s->dtype].updates[groups[i].optimizer](s->n, s->p, s->g, s->state, h);
        }
    }
}
