/* model.h - the type Graph. */
#ifndef PYNN_MODEL_H
#define PYNN_MODEL_H
#include "graph_object.h"

int add_model(PyObject *module);
/* Returns a borrowed reference, or NULL with TypeError if object is not a Graph. */
GraphObject *as_graph(PyObject *object);
PyObject *graph_output_shapes(GraphObject *g, void *unused);
/* Returns 0 with an exception if the graph has read-only parameters. */
int can_write(const GraphObject *g);
/* Checks that x has shape (rows, shape of input i). */
int check_sample(const GraphObject *g, size_t i, PyArrayObject *x, const char *name);
PyArrayObject *new_output(const GraphObject *g, size_t i, size_t rows);

#endif
