/* custom.h - layers and losses written in Python. */
#ifndef PYNN_CUSTOM_H
#define PYNN_CUSTOM_H
#include "binding.h"

int add_custom(PyObject *module);
/* Returns an object that calls a layer written in Python. It must outlive the graph. */
PyObject *custom_layer(const pn_graph *g, pn_dtype t, PyObject *layer, PyObject *shape,
                       PyObject *names, PyObject *inputs, const pn_custom_layer **custom);
/* The layer that such an object calls, or None if it has been deleted. */
PyObject *custom_object(const pn_custom_layer *custom);

/* context: a Python callable */
int call_custom_loss(void *context, pn_custom_loss *args);

#endif
