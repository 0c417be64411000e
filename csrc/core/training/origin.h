/* origin.h - the origin of the first value in a step that is not finite. */
#ifndef PN_ORIGIN_H
#define PN_ORIGIN_H
#include "loss.h"

/* Repeats a step on rows samples without sharing memory between arrays, and finds the first array
 * that is not finite. x, tick, losses, n: as in the step. */
pn_status pn_origin_find(const pn_graph *graph, size_t rows, const void *const *x, uint64_t tick,
                         pn_loss_batch *losses, size_t n, pn_origin *origin, pn_error *error);

#endif
