/* custom.h - layers and losses written in Python. */
#ifndef PYNN_CUSTOM_H
#define PYNN_CUSTOM_H
#include "binding.h"

int add_custom(PyObject *module);
/* An object that calls a layer written in Python back, and must outlive the graph. */
PyObject *custom_layer(const pn_graph *g, pn_dtype t, PyObject *layer, PyObject *shape,
                       PyObject *names, PyObject *inputs, const pn_custom_layer **custom);
/* the layer that such an object calls, or None where it is gone */
PyObject *custom_object(const pn_custom_layer *custom);

/* context: a callable */
int call_custom_loss(void *context, pn_custom_loss *args);

#endif
