/* read_graph.h - the contents of a graph, and the kinds of layers, as Python objects. */
#ifndef PYNN_READ_GRAPH_H
#define PYNN_READ_GRAPH_H
#include "graph_object.h"

PyObject *graph_read(GraphObject *self, PyObject *unused);
PyObject *graph_input_nodes(GraphObject *self, void *unused);
PyObject *graph_output_nodes(GraphObject *self, void *unused);
PyObject *layer_kinds(PyObject *module, PyObject *unused);

#endif
