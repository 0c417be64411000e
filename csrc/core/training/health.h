/* health.h - what fit keeps of a training's health. */
#ifndef PN_HEALTH_H
#define PN_HEALTH_H
#include "../graph/run.h"
#include "update.h"

typedef struct pn_health pn_health;
/* The update's segments are those of groups, which may be none, or of a solver, unless it is NULL.
 */
pn_status pn_health_new(const pn_graph *graph, const pn_group *groups, size_t n_groups,
                        const pn_solver *solver, pn_health **health, pn_error *error);
void pn_health_free(pn_health *health);
/* an epoch begins: forget those before, if they were long enough */
void pn_health_reset(pn_health *health);

/* Before a step on a plan: who is to look on, or NULL. */
const pn_monitor *pn_health_begin(pn_health *health, const pn_plan *plan);
/* to look at everything, whatever the step */
const pn_monitor *pn_health_always(pn_health *health);
/* Where the update of this step is to record its changes, or NULL. */
const pn_changes *pn_health_changes(pn_health *health);
/* notes the gradients of a step without an update */
void pn_health_gradients(pn_health *health);
/* a solver's step begins: its gradients stand, and nothing has moved */
void pn_health_before(pn_health *health);
void pn_health_after(pn_health *health);                               /* it is over */
/* the step is over: its gradients still stand */
void pn_health_end(pn_health *health);
void pn_health_node(const pn_health *health, size_t node, pn_node_health *out);

#endif
