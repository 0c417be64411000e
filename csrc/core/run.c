/* run.c - forward, backward and loss: no decisions, no allocation. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE                     /* clock_gettime */
#endif
#include "graph.h"
#include <math.h>
#include <stdlib.h>
#include <time.h>

double pn_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void run_steps(const pn_plan *p, size_t from, size_t to)
{
    if (!p->timed) {
        for (size_t i = from; i < to; i++) p->steps[i].run(&p->steps[i], p->at);
        return;
    }
    double before = pn_seconds(), now;
    for (size_t i = from; i < to; i++, before = now) {
        p->steps[i].run(&p->steps[i], p->at);
        p->steps[i].seconds += (now = pn_seconds()) - before;
    }
}

void pn_plan_forward(pn_plan *plan, const void *const *x, void *const *y, uint64_t tick)
{
    const pn_graph *g = plan->graph;
    for (size_t i = 0; i < g->n_inputs; i++) plan->at[pn_x(g, i)] = (void *)x[i];
    for (size_t i = 0; i < g->n_outputs; i++) plan->at[pn_y(g, i)] = y[i];
    plan->tick = tick;
    run_steps(plan, 0, plan->n_forward);
    plan->ready = 1;
}

pn_status pn_plan_backward(pn_plan *plan, const void *const *gy, void *const *gx, pn_error *error)
{
    const pn_graph *g = plan->graph;
    if (plan->mode != PN_BACKWARD || !plan->ready)
        return pn_fail(error, PN_BAD_STATE, "backward needs a forward call before it");
    for (size_t i = 0; i < g->n_outputs; i++) plan->at[pn_gy(g, i)] = (void *)gy[i];
    for (size_t i = 0; i < g->n_inputs; i++) plan->at[pn_gx(g, i)] = gx[i];
    run_steps(plan, plan->n_forward, plan->n_steps);
    return PN_OK;
}

void pn_plan_train(pn_plan *plan, const void *const *x, uint64_t tick, const pn_wanted *wanted, double *sums)
{
    const pn_graph *g = plan->graph;
    for (size_t i = 0; i < g->n_inputs; i++) plan->at[pn_x(g, i)] = (void *)x[i];
    plan->tick = tick;
    run_steps(plan, 0, plan->n_forward);
    double start = plan->timed ? pn_seconds() : 0;
    for (size_t i = 0; i < g->n_outputs; i++)
        sums[i] = pn_loss_apply(wanted[i].loss, g->dtype, plan->rows, pn_count(&g->nodes[g->outputs[i]].shape), plan->at[plan->outputs[i]],
                                &wanted[i].target, NULL, plan->at[plan->output_grads[i]], wanted[i].scale);
    if (plan->timed) plan->loss_seconds += pn_seconds() - start;
    run_steps(plan, plan->n_forward, plan->n_steps);
}

size_t pn_loss_values(size_t loss, size_t rows, size_t cols) { return pn_loss_at(loss)->kind == 'r' ? rows : rows * cols; }

/* Rows are taken in blocks, whose number depends on the shape alone, and the blocks' sums added in order. */
enum { LOSS_BLOCKS = 64, LOSS_ELEMENTS = 8192 };
typedef struct { pn_loss_fn *loss; pn_loss_args whole; size_t block, values, size; double sums[LOSS_BLOCKS]; } loss_blocks;

static void *moved(const void *p, size_t bytes) { return p ? (char *)p + bytes : NULL; }

static void loss_block(void *context, size_t i)
{
    loss_blocks *j = context;
    pn_loss_args a = j->whole;
    const size_t start = i * j->block, bytes = start * a.cols * j->size;
    a.rows = a.rows - start < j->block ? a.rows - start : j->block;
    a.x = moved(a.x, bytes);
    a.target = moved(a.target, bytes);
    a.label = moved(a.label, start * sizeof *a.label);
    a.value = moved(a.value, start * j->values * j->size);
    a.grad = moved(a.grad, bytes);
    j->sums[i] = j->loss(&a);
}

double pn_loss_apply(size_t loss, pn_dtype t, size_t rows, size_t cols, const void *x, const pn_target *target,
                     void *value, void *grad, double scale)
{
    size_t block = LOSS_ELEMENTS / (cols + 1) + 1, least = (rows + LOSS_BLOCKS - 1) / LOSS_BLOCKS;
    if (block < least) block = least;
    loss_blocks j = { .loss = pn_kernels_now()->of[t].losses[loss], .whole = { rows, cols, x, target->target, target->label, value, grad, scale },
                      .block = block, .values = pn_loss_values(loss, 1, cols), .size = pn_size(t) };
    const size_t blocks = (rows + block - 1) / block;
    if (blocks <= 1) return j.loss(&j.whole);
    pn_parallel(blocks, loss_block, &j);
    double sum = 0;
    for (size_t i = 0; i < blocks; i++) sum += j.sums[i];
    return sum;
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
