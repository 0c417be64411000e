/* graph.h - the inside of a graph, which describes a net. */
#ifndef PN_GRAPH_H
#define PN_GRAPH_H
#include "kind.h"

struct pn_graph {
    pn_dtype dtype;
    size_t n_nodes, capacity;
    pn_node *nodes;
    size_t n_inputs, n_outputs;
    size_t *inputs, *outputs;               /* nodes */
    int custom;                            /* whether any layer is custom */
};

/* The number of elements. Shapes in a graph never overflow it. */
size_t pn_count(const pn_shape *shape);
void pn_shape_text(const pn_shape *shape, char *text, size_t size);    /* writes "(64, 10)" */
/* The number of the first output that a node is, or -1. */
int pn_output_of(const pn_graph *g, size_t node);

/* Adds a parameter, for a kind's shape function. */
void pn_slot_add(pn_node *node, const char *name, int state, pn_shape shape);

#endif
