/* plan.h - compiles a graph into a plan. */
#ifndef PN_PLAN_H
#define PN_PLAN_H
#include "plan_types.h"

/* Makes a plan of PN_TRAIN in which no array shares its memory, so that all can be read at the
 * end. every: also compute gradients that no parameter depends on; the caller then sets the buffers
 * pn_gx for those of the inputs. */
pn_status pn_plan_unshared(const pn_graph *graph, size_t rows, int every, pn_plan **plan,
                           pn_error *error);

#endif
