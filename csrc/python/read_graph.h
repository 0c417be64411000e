/* read_graph.h - what a graph consists of, as Python objects; and the kinds of layers. */
#ifndef PYNN_READ_GRAPH_H
#define PYNN_READ_GRAPH_H
#include "graph_object.h"

PyObject *graph_read(GraphObject *self, PyObject *unused);
PyObject *graph_input_nodes(GraphObject *self, void *unused);
PyObject *graph_output_nodes(GraphObject *self, void *unused);
PyObject *layer_kinds(PyObject *module, PyObject *unused);

#endif
