/* run.c - runs forward and backward steps. Neither allocates memory. */
#include "run.h"
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

/* Calls the monitor for each output before its memory is reused. */
static pn_status run_monitored(pn_plan *p, const pn_monitor *monitor, pn_error *error)
{
    size_t from = 0;
    for (size_t i = 0; i < p->n_probes; i++) {
        pn_status status = run_steps(p, from, p->probes[i].step, error);
        if (status) return status;
        monitor->observe(monitor->context, p, &p->probes[i]);
        from = p->probes[i].step;
    }
    return run_steps(p, from, p->n_forward, error);
}

pn_status pn_plan_train_forward(pn_plan *plan, const void *const *x, uint64_t tick,
                                const pn_monitor *monitor, pn_error *error)
{
    const pn_graph *g = plan->graph;
    for (size_t i = 0; i < g->n_inputs; i++) plan->at[pn_x(g, i)] = (void *)x[i];
    plan->tick = tick;
    return monitor ? run_monitored(plan, monitor, error)
                   : run_steps(plan, 0, plan->n_forward, error);
}

pn_status pn_plan_train_backward(pn_plan *plan, pn_error *error)
{
    return run_steps(plan, plan->n_forward, plan->n_steps, error);
}

pn_status pn_plan_output_gradient(pn_plan *plan, const void *const *x, uint64_t tick, size_t output,
                                  size_t element, pn_error *error)
{
    const pn_graph *g = plan->graph;
    pn_status status = pn_plan_train_forward(plan, x, tick, NULL, error);
    if (status) return status;
    for (size_t i = 0; i < g->n_outputs; i++)
        memset(plan->at[plan->output_grads[i]], 0,
               pn_count(&g->nodes[g->outputs[i]].shape) * pn_size(g->dtype));
    pn_element_set(g->dtype, plan->at[plan->output_grads[output]], element, 1);
    return pn_plan_train_backward(plan, error);
}
