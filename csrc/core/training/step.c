/* step.c - a training step without the update. */
#include "step.h"
#include "../base/clock.h"

pn_status pn_train_step(pn_plan *plan, const void *const *x, uint64_t tick, pn_loss_batch *losses,
                        size_t n, int backward, const pn_monitor *monitor, pn_error *error)
{
    const pn_graph *g = plan->graph;
    pn_status status = pn_plan_train_forward(plan, x, tick, monitor, error);
    if (status) return status;
    double start = plan->timed ? pn_seconds() : 0;
    void *y[PN_MAX_IO], *gy[PN_MAX_IO];
    for (size_t i = 0; i < g->n_outputs; i++) {
        y[i] = plan->at[plan->outputs[i]];
        gy[i] = plan->at[plan->output_grads[i]];
    }
    for (size_t i = 0; i < n && !status; i++)
        status = pn_loss_batch_apply(&losses[i], g->dtype, plan->rows, y, backward ? gy : NULL,
                                     error);
    if (plan->timed) plan->loss_seconds += pn_seconds() - start;
    if (status) return status;
    if (pn_stopped()) return pn_fail(error, PN_STOPPED, "stopped by the caller");
    return backward ? pn_plan_train_backward(plan, error) : PN_OK;
}
