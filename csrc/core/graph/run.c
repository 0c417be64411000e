/* run.c - forward, backward and a step of training: no decisions, no allocation. */
#include "graph.h"
#include "../base/clock.h"
#include <string.h>

static pn_status run_steps(pn_plan *p, size_t from, size_t to, pn_error *error)
{
    p->stopped = 0;
    p->failure.text[0] = 0;
    double before = p->timed ? pn_seconds() : 0, now;
    for (size_t i = from; i < to && !p->stopped && !pn_stopped(); i++) {
        p->steps[i].run(&p->steps[i], p->at);
        if (!p->timed) continue;
        p->steps[i].seconds += (now = pn_seconds()) - before;
        before = now;
    }
    if (p->stopped && p->failure.text[0])
        return pn_fail(error, PN_BAD_VALUE, "%s", p->failure.text);
    if (p->stopped) return pn_fail(error, PN_STOPPED, "a layer stopped the run");
    return pn_stopped() ? pn_fail(error, PN_STOPPED, "stopped by the caller") : PN_OK;
}

pn_status pn_plan_forward(pn_plan *plan, const void *const *x, void *const *y, uint64_t tick,
                          pn_error *error)
{
    const pn_graph *g = plan->graph;
    for (size_t i = 0; i < g->n_inputs; i++) plan->at[pn_x(g, i)] = (void *)x[i];
    for (size_t i = 0; i < g->n_outputs; i++) plan->at[pn_y(g, i)] = y[i];
    plan->tick = tick;
    pn_status status = run_steps(plan, 0, plan->n_forward, error);
    plan->ready = !status;
    return status;
}

pn_status pn_plan_backward(pn_plan *plan, const void *const *gy, void *const *gx, pn_error *error)
{
    const pn_graph *g = plan->graph;
    if (plan->mode != PN_BACKWARD || !plan->ready)
        return pn_fail(error, PN_BAD_STATE,
                       "backward needs a forward call before it, and each call has one backward");
    plan->ready = 0;
    for (size_t i = 0; i < g->n_outputs; i++) plan->at[pn_gy(g, i)] = (void *)gy[i];
    for (size_t i = 0; i < g->n_inputs; i++) plan->at[pn_gx(g, i)] = gx[i];
    return run_steps(plan, plan->n_forward, plan->n_steps, error);
}

/* Stops after every output for somebody to look at it. */
static pn_status run_monitored(pn_plan *p, const pn_monitor *watcher, pn_error *error)
{
    size_t from = 0;
    for (size_t i = 0; i < p->n_probes; i++) {
        pn_status status = run_steps(p, from, p->probes[i].step, error);
        if (status) return status;
        watcher->look(watcher->context, p, &p->probes[i]);
        from = p->probes[i].step;
    }
    return run_steps(p, from, p->n_forward, error);
}

pn_status pn_plan_output_gradient(pn_plan *plan, const void *const *x, uint64_t tick, size_t output,
                                  size_t element, pn_error *error)
{
    const pn_graph *g = plan->graph;
    for (size_t i = 0; i < g->n_inputs; i++) plan->at[pn_x(g, i)] = (void *)x[i];
    plan->tick = tick;
    pn_status status = run_steps(plan, 0, plan->n_forward, error);
    if (status) return status;
    for (size_t i = 0; i < g->n_outputs; i++)
        memset(plan->at[plan->output_grads[i]], 0,
               pn_count(&g->nodes[g->outputs[i]].shape) * pn_size(g->dtype));
    if (g->dtype == PN_F32) ((float *)plan->at[plan->output_grads[output]])[element] = 1;
    else ((double *)plan->at[plan->output_grads[output]])[element] = 1;
    return run_steps(plan, plan->n_forward, plan->n_steps, error);
}

pn_status pn_plan_train(pn_plan *plan, const void *const *x, uint64_t tick, pn_loss_batch *wanted,
                        size_t n, int backward, const pn_monitor *watcher, pn_error *error)
{
    const pn_graph *g = plan->graph;
    for (size_t i = 0; i < g->n_inputs; i++) plan->at[pn_x(g, i)] = (void *)x[i];
    plan->tick = tick;
    pn_status status = watcher ? run_monitored(plan, watcher, error)
                               : run_steps(plan, 0, plan->n_forward, error);
    if (status) return status;
    double start = plan->timed ? pn_seconds() : 0;
    void *y[PN_MAX_IO], *gy[PN_MAX_IO];
    for (size_t i = 0; i < g->n_outputs; i++) {
        y[i] = plan->at[plan->outputs[i]];
        gy[i] = plan->at[plan->output_grads[i]];
    }
    for (size_t i = 0; i < n && !status; i++)
        status = pn_loss_batch_apply(&wanted[i], g->dtype, plan->rows, y, backward ? gy : NULL,
                                     error);
    if (plan->timed) plan->loss_seconds += pn_seconds() - start;
    if (status) return status;
    if (pn_stopped()) return pn_fail(error, PN_STOPPED, "stopped by the caller");
    return backward ? run_steps(plan, plan->n_forward, plan->n_steps, error) : PN_OK;
}
