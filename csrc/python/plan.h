/* plan.h - the type Plan. */
#ifndef PYNN_PLAN_H
#define PYNN_PLAN_H
#include "binding.h"

int add_plan(PyObject *module);
/* (what, where, forward, flops, seconds, node) of each step */
PyObject *step_list(const pn_plan *plan);

#endif
