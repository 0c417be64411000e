/* graph.h - inside a graph, which describes a net. */
#ifndef PN_GRAPH_H
#define PN_GRAPH_H
#include "kind.h"

struct pn_graph {
    pn_dtype dtype;
    size_t n_nodes, capacity;
    pn_node *nodes;
    size_t n_inputs, n_outputs;
    size_t *inputs, *outputs;               /* nodes */
    int custom;                            /* is any of its layers custom? */
};

/* elements; a graph's shapes never overflow */
size_t pn_count(const pn_shape *shape);
/* can a setting be a size? */
static inline int pn_is_count(double v) { return v >= 0 && v < 0x1p53 && v == (double)(size_t)v; }
void pn_shape_text(const pn_shape *shape, char *text, size_t room);    /* "(64, 10)" */
/* the first output that a node is, or -1 */
int pn_output_of(const pn_graph *g, size_t node);

pn_status pn_check_seed(const pn_node *node, const double *halves, pn_error *error);

#endif
