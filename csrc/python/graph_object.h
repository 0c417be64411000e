/* graph_object.h - what an object of the type Graph holds. */
#ifndef PYNN_GRAPH_OBJECT_H
#define PYNN_GRAPH_OBJECT_H
#include "binding.h"

/* a parameter whose changes invalidate what a call keeps */
typedef struct { PyObject *gate; const uint32_t *words; size_t n; } watched;
typedef struct {
    PyObject_HEAD
    pn_graph *graph;
    pn_dtype dtype;
    PyObject *keep, *gates;             /* lists: of what the graph borrows; of Gates, joined */
    watched *watched;
    size_t n_watched;
    /* own: has it a layer written in Python? read_only: are there parameters that cannot be
     * written? */
    int sealed, own, read_only;
} GraphObject;

#endif
