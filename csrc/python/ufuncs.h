/* ufuncs.h - activations, their derivatives and the row-wise functions as ufuncs. */
#ifndef PYNN_UFUNCS_H
#define PYNN_UFUNCS_H
#include "binding.h"

int add_ufuncs(PyObject *module);

#endif
