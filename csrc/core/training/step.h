/* step.h - a training step without the update. */
#ifndef PN_STEP_H
#define PN_STEP_H
#include "../graph/run.h"
#include "loss.h"

/* Runs the forward pass, the n losses and, if backward is nonzero, the backward pass. The plan must
 * be of PN_TRAIN. monitor may be NULL. Returns PN_STOPPED if a custom layer or loss fails or the
 * caller stops the run. */
pn_status pn_train_step(pn_plan *plan, const void *const *x, uint64_t tick, pn_loss_batch *losses,
                        size_t n, int backward, const pn_monitor *monitor, pn_error *error);

#endif
