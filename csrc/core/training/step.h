/* step.h - a step of training but the update. */
#ifndef PN_STEP_H
#define PN_STEP_H
#include "../graph/run.h"
#include "loss.h"

/* Runs forward, the n losses and, with backward, the way back. The plan is of PN_TRAIN; monitor may
 * be NULL. PN_STOPPED: a custom layer or loss, or the caller, stopped the run. */
pn_status pn_train_step(pn_plan *plan, const void *const *x, uint64_t tick, pn_loss_batch *losses,
                        size_t n, int backward, const pn_monitor *monitor, pn_error *error);

#endif
