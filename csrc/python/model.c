/* model.c - graphs, plans, losses and optimizers as Python objects. */
#include "binding.h"

int add_model(PyObject *module) { (void)module; return 0; }
