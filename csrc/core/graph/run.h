/* run.h - the forward and backward pass of a training step, on a plan of PN_TRAIN. Between the two,
 * the losses read the outputs and write their gradients. */
#ifndef PN_RUN_H
#define PN_RUN_H
#include "plan.h"

/* Called for each output right after the step that computes it. */
typedef struct {
    void (*observe)(void *context, const pn_plan *plan, const pn_probe *probe);
    void *context;
} pn_monitor;
/* monitor may be NULL. Returns PN_STOPPED when a custom layer or the caller stops the run. */
pn_status pn_plan_train_forward(pn_plan *plan, const void *const *x, uint64_t tick,
                                const pn_monitor *monitor, pn_error *error);
pn_status pn_plan_train_backward(pn_plan *plan, pn_error *error);
/* Computes the gradient of one element of an output with respect to the parameters. The plan has
 * one row. */
pn_status pn_plan_output_gradient(pn_plan *plan, const void *const *x, uint64_t tick, size_t output,
                                  size_t element, pn_error *error);

#endif
