/* formula.h - formulas as Python objects. */
#ifndef PYNN_FORMULA_H
#define PYNN_FORMULA_H
#include "binding.h"

int add_formula(PyObject *module);
/* The formula of a _core.Formula, which lives as long as the object. Returns NULL with an exception
 * that names the argument if it is something else. */
const pn_formula *formula_of(PyObject *given, const char *name);
int is_formula(PyObject *given);                            /* whether it is a _core.Formula */
/* The tapes of a loss: of the value, and of the value with the derivative by the first input. They
 * live as long as the object. Returns 0 with an exception. */
int formula_loss_tapes(PyObject *formula, const pn_tape **value,
                       const pn_tape **value_and_slope);

#endif
