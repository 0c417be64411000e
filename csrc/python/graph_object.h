/* graph_object.h - the struct of the type Graph. */
#ifndef PYNN_GRAPH_OBJECT_H
#define PYNN_GRAPH_OBJECT_H
#include "binding.h"

/* a parameter whose changes invalidate the results kept for backward */
typedef struct { PyObject *gate; const uint32_t *words; size_t n; } tracked;
typedef struct {
    PyObject_HEAD
    pn_graph *graph;
    pn_dtype dtype;
    PyObject *keep, *gates;             /* lists: objects that the graph borrows; joined Gates */
    tracked *tracked;
    size_t n_tracked;
    /* sealed: no more layers may be added; has_custom: contains a layer written in Python;
     * read_only: contains read-only parameters */
    int sealed, has_custom, read_only;
} GraphObject;

#endif
