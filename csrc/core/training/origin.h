/* origin.h - where a step left the finite numbers. */
#ifndef PN_ORIGIN_H
#define PN_ORIGIN_H
#include "loss.h"

/* Runs a step on rows samples once more, all arrays unshared, and finds the first one that is not
 * finite. x, tick, losses, n: as in the step. */
pn_status pn_origin_find(const pn_graph *graph, size_t rows, const void *const *x, uint64_t tick,
                         pn_loss_batch *losses, size_t n, pn_origin *origin, pn_error *error);

#endif
