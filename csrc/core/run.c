/* run.c - forward, backward and a step of training: no decisions, no allocation. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE                     /* clock_gettime */
#endif
#include "graph.h"
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
