/* update.h - optimizers and their schedules. */
#ifndef PYNN_UPDATE_H
#define PYNN_UPDATE_H
#include "binding.h"

/* groups: what a pn_update takes, and references to all
 * that it borrows. */
int add_updates(PyObject *module);
typedef struct { size_t n; pn_group *groups; void **work; PyObject *keep; } groups;
int parse_groups(PyObject *list, groups *g);    /* 0 and an exception; g is cleared then */
void groups_clear(groups *g);
/* (kind, settings, [(p, g), ...], memory) or None; what is borrowed is kept in g, and segments are
 * the caller's to free. */
int parse_solver(PyObject *given, groups *g, pn_solver *solver, pn_segment **segments);

#endif
