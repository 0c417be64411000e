/* update.h - one step of the optimizers, with a record of what it changes. */
#ifndef PN_UPDATE_H
#define PN_UPDATE_H
#include "../../pynn.h"

/* sums of squares, over steps: of the gradient, of what it made of p, of p */
typedef struct { double gradient, update, weight; } pn_change;
/* One for each segment of the groups, in order; room: for the largest segment. */
typedef struct { pn_change *segment; void *room; } pn_changes;
/* pn_update, which also adds what it changes to changes, unless that is NULL. */
void pn_update_recording(const pn_group *groups, size_t n_groups, int64_t step, int64_t epoch,
                      const pn_changes *changes);

#endif
