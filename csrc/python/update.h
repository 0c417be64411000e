/* update.h - optimizers and their schedules. */
#ifndef PYNN_UPDATE_H
#define PYNN_UPDATE_H
#include "binding.h"

/* groups: the arguments of pn_update, and references to everything that they borrow. */
int add_updates(PyObject *module);
typedef struct { size_t n; pn_group *groups; void **work; PyObject *keep; } groups;
/* Parses a list of groups (optimizer, settings, schedules, parameters), where schedules are the
 * rows of an array and each parameter is (data, grad, (state or None, ...), (number, ...), average
 * or None). Returns 0 with an exception on failure, and clears g. */
int parse_groups(PyObject *list, groups *g);
void groups_clear(groups *g);
/* Parses (kind, settings, [(p, g), ...], memory). g keeps the borrowed objects alive. The caller
 * must free segments. */
int parse_solver(PyObject *given, groups *g, pn_solver *solver, pn_segment **segments);

#endif
