/* graph.c - the description of a net: nodes with their inputs, shapes and parameters. */
#include "graph.h"
#include "../base/array.h"
#include "../base/error.h"
#include "../layers/layers.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const pn_layer_kind *const kinds[] = {
#define ROW(name, formula, gradient) &pn_layer_##name,
    PN_LAYERS(ROW)
#undef ROW
};
static const struct { const char *formula, *gradient; } formulas[] = {
#define ROW(name, formula, gradient) { formula, gradient },
    PN_LAYERS(ROW)
#undef ROW
};

size_t pn_count(const pn_shape *shape)
{
    size_t n = 1;
    for (size_t i = 0; i < shape->ndim; i++) n *= shape->dim[i];
    return n;
}

void pn_shape_text(const pn_shape *shape, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "(");
    for (size_t i = 0; i < shape->ndim && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, i ? ", %zu" : "%zu", shape->dim[i]);
    if (used < size) snprintf(text + used, size - used, shape->ndim == 1 ? ",)" : ")");
}

/* Keeps every product of dimensions that a plan computes below SIZE_MAX. The bytes of a sample are
 * checked here, those of all rows in pn_plan_new. */
static pn_status check_shape(const pn_shape *shape, const char *what, pn_error *error)
{
    size_t n = sizeof(double);
    for (size_t i = 0; i < shape->ndim; i++)
        if (!pn_multiply(n, shape->dim[i], &n))
            return pn_fail(error, PN_BAD_SHAPE, "%s: the shape is too large for memory", what);
    return PN_OK;
}

static pn_status fill_shape(pn_shape *to, size_t ndim, const size_t *dim, const char *what,
                            pn_error *error)
{
    if (ndim > PN_MAX_DIMS)
        return pn_fail(error, PN_BAD_SHAPE, "%s has %zu dimensions; at most %d are allowed", what,
                       ndim, PN_MAX_DIMS);
    to->ndim = ndim;
    for (size_t i = 0; i < ndim; i++) to->dim[i] = dim[i];
    return check_shape(to, what, error);
}

/* Returns a zeroed node behind the last one; the caller counts it. */
static pn_node *next_node(pn_graph *g)
{
    if (g->n_nodes == g->capacity) {
        pn_node *more = realloc(g->nodes, 2 * g->capacity * sizeof *more);
        if (!more) return NULL;
        g->nodes = more;
        g->capacity *= 2;
    }
    return memset(&g->nodes[g->n_nodes], 0, sizeof *g->nodes);
}

/* Appends a node number to a list. */
static int append(size_t **list, size_t *n, size_t node)
{
    size_t *more = realloc(*list, (*n + 1) * sizeof *more);
    if (!more) return 0;
    more[(*n)++] = node;
    *list = more;
    return 1;
}

pn_status pn_graph_input(pn_graph *g, size_t ndim, const size_t *shape, pn_error *error)
{
    pn_node *node = next_node(g);
    if (!node) return pn_fail(error, PN_NO_MEMORY, "no memory for a graph");
    if (g->n_inputs == PN_MAX_IO)
        return pn_fail(error, PN_BAD_VALUE, "a graph takes at most %d inputs", PN_MAX_IO);
    snprintf(node->where, sizeof node->where, "the input");
    pn_status status = fill_shape(&node->shape, ndim, shape, node->where, error);
    if (!status && !append(&g->inputs, &g->n_inputs, g->n_nodes))
        status = pn_fail(error, PN_NO_MEMORY, "no memory for a graph");
    if (!status) g->n_nodes++;
    return status;
}

pn_status pn_graph_new(pn_dtype dtype, size_t ndim, const size_t *shape, pn_graph **graph,
                       pn_error *error)
{
    pn_graph *g = calloc(1, sizeof *g);
    *graph = NULL;
    if (g) g->nodes = calloc(g->capacity = 8, sizeof *g->nodes);
    /* by default the last node; see pn_graph_outputs */
    if (g) g->outputs = calloc(g->n_outputs = 1, sizeof *g->outputs);
    pn_status status = PN_NO_MEMORY;
    if (g && g->nodes && g->outputs) {
        g->dtype = dtype;
        status = pn_graph_input(g, ndim, shape, error);
    } else pn_fail(error, status, "no memory for a graph");
    if (status) pn_graph_free(g);
    else *graph = g;
    return status;
}

static void clear_node(pn_node *node)
{
    for (size_t i = 0; i < PN_NODE_TAPES; i++) pn_tape_free(node->formula.tape[i]);
    free(node->inputs);
}

void pn_graph_free(pn_graph *g)
{
    if (!g) return;
    for (size_t i = 0; i < g->n_nodes; i++) clear_node(&g->nodes[i]);
    free(g->nodes);
    free(g->inputs);
    free(g->outputs);
    free(g);
}

static const pn_layer_kind *find_kind(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i]->name, name)) return kinds[i];
    return NULL;
}

static pn_status check_inputs(const pn_graph *g, const pn_layer_kind *k, const char *where,
                              size_t n, const size_t *inputs, pn_error *error)
{
    if (n < k->min_inputs || n > k->max_inputs)
        return pn_fail(error, PN_BAD_VALUE,
                       k->min_inputs == k->max_inputs ? "%s: takes %zu input, got %zu"
                                           : "%s: takes %zu inputs or more, got %zu",
                       where, k->min_inputs, n);
    for (size_t i = 0; i < n; i++)
        if (inputs[i] >= g->n_nodes)
            return pn_fail(error, PN_BAD_VALUE, "%s: input %zu is node %zu of %zu", where, i,
                           inputs[i], g->n_nodes);
    return PN_OK;
}

void pn_slot_add(pn_node *node, const char *name, int state, pn_shape shape)
{
    node->slots[node->n_slots++] = (pn_binding){ .name = name, .state = state, .shape = shape };
}

/* Checks a node and sets the shape of its output. */
static pn_status shape_node(const pn_graph *g, pn_node *node, pn_error *error)
{
    const pn_shape **shapes = malloc((node->n_inputs + 1) * sizeof *shapes);
    if (!shapes) return pn_fail(error, PN_NO_MEMORY, "no memory for a layer");
    for (size_t i = 0; i < node->n_inputs; i++) shapes[i] = &g->nodes[node->inputs[i]].shape;
    pn_status status = node->kind->shape(node, shapes, g->dtype, error);
    if (!status) status = check_shape(&node->shape, node->where, error);
    free(shapes);
    return status;
}

pn_status pn_graph_add(pn_graph *g, const pn_layer *layer, pn_error *error)
{
    const pn_layer_kind *k = find_kind(layer->kind);
    const size_t before = g->n_nodes - 1, n = layer->n_inputs ? layer->n_inputs : 1,
                 *inputs = layer->n_inputs ? layer->inputs : &before;
    if (!k) return pn_fail(error, PN_BAD_VALUE, "unknown layer kind '%.40s'", layer->kind);
    pn_status status = check_inputs(g, k, layer->where, n, inputs, error);
    if (status) return status;
    pn_node *node = next_node(g);
    if (!node || !(node->inputs = malloc(n * sizeof *node->inputs)))
        return pn_fail(error, PN_NO_MEMORY, "no memory for a layer");
    node->kind = k;
    node->training = layer->training;
    node->custom = layer->custom;
    node->n_inputs = n;
    memcpy(node->inputs, inputs, n * sizeof *inputs);
    snprintf(node->where, sizeof node->where, "%s", layer->where);
    status = pn_config_set(k->fields, layer, &node->config, error);
    if (!status) status = shape_node(g, node, error);
    if (status) {
        clear_node(node);
        return status;
    }
    for (size_t i = 0; i < n; i++) {
        g->nodes[inputs[i]].uses++;
        g->nodes[inputs[i]].consumer = g->n_nodes;
    }
    if (g->n_outputs == 1) g->outputs[0] = g->n_nodes;
    g->custom |= layer->custom != NULL;
    g->n_nodes++;
    return PN_OK;
}

pn_status pn_graph_outputs(pn_graph *g, size_t n, const size_t *nodes, pn_error *error)
{
    if (n == 0 || n > PN_MAX_IO)
        return pn_fail(error, PN_BAD_VALUE, "a graph has 1 to %d outputs, not %zu", PN_MAX_IO, n);
    for (size_t i = 0; i < n; i++)
        if (nodes[i] >= g->n_nodes)
            return pn_fail(error, PN_BAD_VALUE, "output %zu is node %zu of %zu", i, nodes[i],
                           g->n_nodes);
    size_t *outputs = malloc(n * sizeof *outputs);
    if (!outputs) return pn_fail(error, PN_NO_MEMORY, "no memory for a graph");
    memcpy(outputs, nodes, n * sizeof *outputs);
    free(g->outputs);
    g->outputs = outputs;
    g->n_outputs = n;
    return PN_OK;
}

pn_status pn_graph_bind(pn_graph *graph, size_t slot, size_t ndim, const size_t *shape, void *data,
                        void *grad, pn_error *error)
{
    pn_node *node = &graph->nodes[graph->n_nodes - 1];
    pn_shape given;
    pn_status status = fill_shape(&given, ndim, shape, node->where, error);
    if (status) return status;
    if (slot >= node->n_slots)
        return pn_fail(error, PN_BAD_VALUE, "%s has %zu parameters, not %zu", node->where,
                       node->n_slots, slot + 1);
    const pn_shape *want = &node->slots[slot].shape;
    if (want->ndim == PN_ANY_SHAPE) node->slots[slot].shape = given;
    else if (given.ndim != want->ndim ||
             memcmp(given.dim, want->dim, given.ndim * sizeof *given.dim)) {
        char a[80], b[80];
        pn_shape_text(&given, a, sizeof a);
        pn_shape_text(want, b, sizeof b);
        return pn_fail(error, PN_BAD_SHAPE, "%s: parameter %zu has shape %s, expected %s",
                       node->where, slot, a, b);
    }
    node->slots[slot].data = data;
    node->slots[slot].grad = grad;
    return PN_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

size_t pn_graph_nodes(const pn_graph *graph) { return graph->n_nodes; }
size_t pn_graph_n_inputs(const pn_graph *graph) { return graph->n_inputs; }
size_t pn_graph_n_outputs(const pn_graph *graph) { return graph->n_outputs; }
size_t pn_graph_input_node(const pn_graph *graph, size_t i) { return graph->inputs[i]; }
size_t pn_graph_output_node(const pn_graph *graph, size_t i) { return graph->outputs[i]; }

void pn_graph_shape(const pn_graph *graph, size_t node, size_t *ndim, size_t *shape)
{
    const pn_shape *s = &graph->nodes[node].shape;
    *ndim = s->ndim;
    for (size_t i = 0; i < s->ndim; i++) shape[i] = s->dim[i];
}

pn_dtype pn_graph_dtype(const pn_graph *graph) { return graph->dtype; }

int pn_kind_at(size_t i, pn_kind_info *info)
{
    if (i >= sizeof kinds / sizeof *kinds) return 0;
    const pn_layer_kind *k = kinds[i];
    *info = (pn_kind_info){ .name = k->name,
                            .formula = formulas[i].formula,
                            .gradient = formulas[i].gradient,
                            .least_inputs = k->min_inputs,
                            .most_inputs = k->max_inputs,
                            .n_fields = pn_config_count(k->fields) };
    return 1;
}

const pn_field *pn_kind_field(size_t i, size_t field)
{
    if (i >= sizeof kinds / sizeof *kinds || field >= pn_config_count(kinds[i]->fields))
        return NULL;
    return &kinds[i]->fields[field].field;
}

int pn_graph_node(const pn_graph *graph, size_t node, pn_node_info *info)
{
    if (node >= graph->n_nodes) return 0;
    const pn_node *n = &graph->nodes[node];
    *info = (pn_node_info){ .kind = n->kind ? n->kind->name : NULL,
                            .where = n->where,
                            .n_inputs = n->n_inputs,
                            .inputs = n->inputs,
                            .n_settings = n->kind ? pn_config_count(n->kind->fields) : 0,
                            .n_parameters = n->n_slots,
                            .training = n->training,
                            .custom = n->custom };
    pn_graph_shape(graph, node, &info->ndim, info->shape);
    return 1;
}

int pn_graph_setting(const pn_graph *graph, size_t node, size_t i, pn_setting *setting)
{
    const pn_node *n = node < graph->n_nodes ? &graph->nodes[node] : NULL;
    if (!n || !n->kind || i >= pn_config_count(n->kind->fields)) return 0;
    pn_config_get(&n->kind->fields[i], &n->config, setting);
    return 1;
}

int pn_graph_parameter(const pn_graph *graph, size_t node, size_t slot, pn_parameter_info *info)
{
    if (node >= graph->n_nodes || slot >= graph->nodes[node].n_slots) return 0;
    const pn_binding *b = &graph->nodes[node].slots[slot];
    *info = (pn_parameter_info){
        .name = b->name, .state = b->state, .data = b->data, .grad = b->grad
    };
    /* a parameter of any shape has none until it is bound */
    info->ndim = b->shape.ndim == PN_ANY_SHAPE ? 0 : b->shape.ndim;
    for (size_t i = 0; i < info->ndim; i++) info->shape[i] = b->shape.dim[i];
    return 1;
}

int pn_output_of(const pn_graph *g, size_t node)
{
    for (size_t i = 0; i < g->n_outputs; i++)
        if (g->outputs[i] == node) return (int)i;
    return -1;
}
