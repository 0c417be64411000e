/* ufuncs.h - activations, their derivatives, the row-wise functions and formulas as ufuncs. */
#ifndef PYNN_UFUNCS_H
#define PYNN_UFUNCS_H
#include "binding.h"

int add_ufuncs(PyObject *module);
/* A ufunc (inputs, parameters) -> an output of a formula, from a tape for this output alone. The
 * ufunc keeps a reference to keep, which must keep the tape alive. */
PyObject *formula_ufunc(const pn_formula *formula, const pn_tape *tape, size_t output,
                        const char *name, PyObject *keep);

#endif
