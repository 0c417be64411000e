/* health.h - statistics of activations, gradients and updates that fit records. */
#ifndef PN_HEALTH_H
#define PN_HEALTH_H
#include "../graph/run.h"
#include "update.h"

typedef struct pn_health pn_health;
/* The parameters are the segments of groups, of which there may be none, or of the solver, which
 * may be NULL. */
pn_status pn_health_new(const pn_graph *graph, const pn_group *groups, size_t n_groups,
                        const pn_solver *solver, pn_health **health, pn_error *error);
void pn_health_free(pn_health *health);
/* Begins an epoch: discards the statistics of earlier ones, if they were long enough. */
void pn_health_reset(pn_health *health);

/* Called before a step: returns the monitor to run it with, or NULL. */
const pn_monitor *pn_health_begin(pn_health *health, const pn_plan *plan);
/* The monitor that measures everything, regardless of the step. */
const pn_monitor *pn_health_always(pn_health *health);
/* Where the update of this step must record its changes; may be NULL. */
const pn_changes *pn_health_changes(pn_health *health);
/* Records the gradients of a step without an update. */
void pn_health_gradients(pn_health *health);
/* Called before a solver's step, when the gradients are valid and no parameter has changed. */
void pn_health_before(pn_health *health);
void pn_health_after(pn_health *health);                               /* called after it */
/* Called at the end of a step. If it computed gradients, they are still valid. */
void pn_health_end(pn_health *health, int has_gradients);
void pn_health_node(const pn_health *health, size_t node, pn_node_health *out);

#endif
