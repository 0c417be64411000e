/* graph.c - the description of a net: layers in a row, their shapes and their parameters. */
#include "layers/layers.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const pn_layer_kind *const kinds[] = {
#define ROW(name) &pn_layer_##name,
    PN_LAYERS(ROW)
#undef ROW
};

pn_status pn_fail(pn_error *error, pn_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (error) vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return status;
}

size_t pn_size(pn_dtype t) { return t == PN_F32 ? sizeof(float) : sizeof(double); }

int pn_multiply(size_t a, size_t b, size_t *product)
{
    *product = a * b;
    return a == 0 || *product / a == b;
}

size_t pn_count(const pn_shape *shape)
{
    size_t n = 1;
    for (size_t i = 0; i < shape->ndim; i++) n *= shape->dim[i];
    return n;
}

void pn_shape_text(const pn_shape *shape, char *text, size_t room)
{
    size_t used = (size_t)snprintf(text, room, "(");
    for (size_t i = 0; i < shape->ndim && used < room; i++)
        used += (size_t)snprintf(text + used, room - used, i ? ", %zu" : "%zu", shape->dim[i]);
    if (used < room) snprintf(text + used, room - used, shape->ndim == 1 ? ",)" : ")");
}

/* Every product of dimensions that a plan makes stays below SIZE_MAX: bytes of a sample are checked here, rows in pn_plan_new. */
static pn_status check_shape(const pn_shape *shape, const char *what, pn_error *error)
{
    size_t n = sizeof(double);
    for (size_t i = 0; i < shape->ndim; i++)
        if (!pn_multiply(n, shape->dim[i], &n)) return pn_fail(error, PN_BAD_SHAPE, "%s: the shape is too large for memory", what);
    return PN_OK;
}

static pn_status fill_shape(pn_shape *to, size_t ndim, const size_t *dim, const char *what, pn_error *error)
{
    if (ndim > PN_MAX_DIMS)
        return pn_fail(error, PN_BAD_SHAPE, "%s has %zu dimensions; at most %d are allowed", what, ndim, PN_MAX_DIMS);
    to->ndim = ndim;
    for (size_t i = 0; i < ndim; i++) to->dim[i] = dim[i];
    return check_shape(to, what, error);
}

pn_status pn_graph_new(pn_dtype dtype, size_t ndim, const size_t *shape, pn_graph **graph, pn_error *error)
{
    pn_status status;
    pn_graph *g = calloc(1, sizeof *g);
    *graph = NULL;
    if (g) g->nodes = calloc(g->capacity = 8, sizeof *g->nodes);
    if (!g || !g->nodes) {
        pn_graph_free(g);
        return pn_fail(error, PN_NO_MEMORY, "no memory for a graph");
    }
    g->dtype = dtype;
    g->n_nodes = 1;
    status = fill_shape(&g->nodes[0].shape, ndim, shape, "the input", error);
    if (status) pn_graph_free(g);
    else *graph = g;
    return status;
}

void pn_graph_free(pn_graph *graph)
{
    if (!graph) return;
    free(graph->nodes);
    free(graph);
}

static const pn_layer_kind *find_kind(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i]->name, name)) return kinds[i];
    return NULL;
}

pn_status pn_graph_add(pn_graph *graph, const char *kind, const char *where, size_t n_config, const double *config, pn_error *error)
{
    const pn_layer_kind *k = find_kind(kind);
    if (!k) return pn_fail(error, PN_BAD_VALUE, "unknown layer kind '%.40s'", kind);
    if (n_config > PN_MAX_CONFIG) return pn_fail(error, PN_BAD_VALUE, "%s: %zu settings; at most %d fit", where, n_config, PN_MAX_CONFIG);
    if (graph->n_nodes == graph->capacity) {
        pn_node *more = realloc(graph->nodes, 2 * graph->capacity * sizeof *more);
        if (!more) return pn_fail(error, PN_NO_MEMORY, "no memory for a layer");
        graph->nodes = more;
        graph->capacity *= 2;
    }
    pn_node *node = &graph->nodes[graph->n_nodes];
    memset(node, 0, sizeof *node);
    node->kind = k;
    node->n_config = n_config;
    snprintf(node->where, sizeof node->where, "%s", where);
    for (size_t i = 0; i < n_config; i++) node->config[i] = config[i];
    pn_status status = k->shape(node, &graph->nodes[graph->n_nodes - 1].shape, graph->dtype, error);
    if (!status) status = check_shape(&node->shape, where, error);
    if (!status) graph->n_nodes++;
    return status;
}

pn_status pn_graph_bind(pn_graph *graph, size_t slot, size_t ndim, const size_t *shape, void *data, void *grad, pn_error *error)
{
    pn_node *node = &graph->nodes[graph->n_nodes - 1];
    pn_shape given;
    pn_status status = fill_shape(&given, ndim, shape, node->where, error);
    if (status) return status;
    if (slot >= node->n_slots) return pn_fail(error, PN_BAD_VALUE, "%s has %zu parameters, not %zu", node->where, node->n_slots, slot + 1);
    const pn_shape *want = &node->slots[slot].shape;
    if (given.ndim != want->ndim || memcmp(given.dim, want->dim, given.ndim * sizeof *given.dim)) {
        char a[80], b[80];
        pn_shape_text(&given, a, sizeof a);
        pn_shape_text(want, b, sizeof b);
        return pn_fail(error, PN_BAD_SHAPE, "%s: parameter %zu has shape %s, expected %s", node->where, slot, a, b);
    }
    node->slots[slot].data = data;
    node->slots[slot].grad = grad;
    return PN_OK;
}

void pn_graph_output(const pn_graph *graph, size_t *ndim, size_t *shape)
{
    const pn_shape *s = &graph->nodes[graph->n_nodes - 1].shape;
    *ndim = s->ndim;
    for (size_t i = 0; i < s->ndim; i++) shape[i] = s->dim[i];
}
