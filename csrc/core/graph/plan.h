/* plan.h - compiles a graph into a plan. */
#ifndef PN_PLAN_H
#define PN_PLAN_H
#include "plan_types.h"

/* Makes a plan of PN_TRAIN in which no array shares its memory, so that all can be read at the
 * end. */
pn_status pn_plan_unshared(const pn_graph *graph, size_t rows, pn_plan **plan, pn_error *error);

#endif
