/* formula.h - formulas as Python objects. */
#ifndef PYNN_FORMULA_H
#define PYNN_FORMULA_H
#include "binding.h"

int add_formula(PyObject *module);
/* The formula of a _core.Formula, which lives as long as the object. Returns NULL with an exception
 * that names the argument if it is something else. */
const pn_formula *formula_of(PyObject *given, const char *name);

#endif
