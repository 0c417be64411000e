/* shadow_f64.c - a copy of a float32 net in double precision. */
#include "shadow_f64.h"
#include "../base/error.h"
#include <stdlib.h>

void pn_widen(size_t n, const void *from, double *to)
{
    for (size_t i = 0; i < n; i++) to[i] = ((const float *)from)[i];
}

static const pn_shadow_part *part_from(const pn_shadow *w, const void *from)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->parts[i].from == from) return &w->parts[i];
    return NULL;
}

/* The copy of a parameter, shared by all nodes that share the parameter; NULL when memory is
 * short. */
static const pn_shadow_part *part_of(pn_shadow *w, const pn_binding *slot)
{
    const pn_shadow_part *known = part_from(w, slot->data);
    if (known) return known;
    pn_shadow_part *p = &w->parts[w->n];
    *p = (pn_shadow_part){ .from = slot->data, .n = pn_count(&slot->shape) };
    p->data = calloc(p->n + 1, sizeof *p->data);
    p->grad = slot->grad ? calloc(p->n + 1, sizeof *p->grad) : NULL;
    w->n++;
    return p->data && (p->grad || !slot->grad) ? p : NULL;
}

static pn_status add_node(pn_shadow *w, const pn_node *node, pn_error *error)
{
    pn_setting settings[PN_MAX_SETTINGS];
    const size_t n = pn_config_count(node->kind->fields);
    for (size_t i = 0; i < n; i++)
        pn_config_get(&node->kind->fields[i], &node->config, &settings[i]);
    const pn_layer layer = { .kind = node->kind->name,
                             .where = node->where,
                             .n_inputs = node->n_inputs,
                             .inputs = node->inputs,
                             .n_settings = n,
                             .settings = settings,
                             .training = node->training };
    pn_status status = pn_graph_add(w->graph, &layer, error);
    for (size_t j = 0; j < node->n_slots && !status; j++) {
        const pn_binding *slot = &node->slots[j];
        if (!slot->data) continue;
        const pn_shadow_part *p = part_of(w, slot);
        if (!p) return pn_fail(error, PN_NO_MEMORY, "no memory for a net in double precision");
        status = pn_graph_bind(w->graph, j, slot->shape.ndim, slot->shape.dim, p->data, p->grad,
                               error);
    }
    return status;
}

pn_status pn_shadow_new(const pn_graph *g, pn_shadow *w, pn_error *error)
{
    size_t slots = 0;
    for (size_t i = 0; i < g->n_nodes; i++) slots += g->nodes[i].n_slots;
    *w = (pn_shadow){ .parts = malloc((slots + 1) * sizeof *w->parts) };
    if (!w->parts) return pn_fail(error, PN_NO_MEMORY, "no memory for a net in double precision");
    const pn_shape *first = &g->nodes[0].shape;
    pn_status status = pn_graph_new(PN_F64, first->ndim, first->dim, &w->graph, error);
    for (size_t i = 1; i < g->n_nodes && !status; i++) {
        const pn_node *node = &g->nodes[i];
        status = node->kind ? add_node(w, node, error)
                            : pn_graph_input(w->graph, node->shape.ndim, node->shape.dim, error);
    }
    return status ? status : pn_graph_outputs(w->graph, g->n_outputs, g->outputs, error);
}

void pn_shadow_free(pn_shadow *w)
{
    pn_graph_free(w->graph);
    for (size_t i = 0; i < w->n; i++) {
        free(w->parts[i].data);
        free(w->parts[i].grad);
    }
    free(w->parts);
}

void pn_shadow_fill(const pn_shadow *w)
{
    for (size_t i = 0; i < w->n; i++) pn_widen(w->parts[i].n, w->parts[i].from, w->parts[i].data);
}

const double *pn_shadow_gradient(const pn_shadow *w, const void *from)
{
    const pn_shadow_part *p = part_from(w, from);
    return p ? p->grad : NULL;
}
