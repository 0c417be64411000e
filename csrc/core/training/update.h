/* update.h - one step of the optimizers that also records the changes. */
#ifndef PN_UPDATE_H
#define PN_UPDATE_H
#include "../../pynn.h"

/* sums of squares over steps: of the gradient, of the change of p, and of p */
typedef struct { double gradient, update, weight; } pn_change;
/* segment: one for each segment of the groups, in order; buffer: for the largest segment */
typedef struct { pn_change *segment; void *buffer; } pn_changes;
/* As pn_update, but also adds the changes to *changes, unless that is NULL. */
void pn_update_recording(const pn_group *groups, size_t n_groups, int64_t step, int64_t epoch,
                      const pn_changes *changes);

#endif
