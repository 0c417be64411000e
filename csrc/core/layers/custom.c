/* custom.c - layers whose functions the caller provides. */
#include "layers.h"
#include "../graph/builder.h"

#define FIELDS(FIELD, T) \
    FIELD(T, COUNT, num_parameters, FROM_TO(0, PN_MAX_SLOTS), "number of parameter arrays") \
    FIELD(T, COUNTS, shape, AT_LEAST(0), "shape of one sample of the output")
PN_CONFIG(custom_config, FIELDS)

/* The buffers that a step passes to the layer: each input's value, or the place of its gradient
 * (PN_NONE: not needed). */
typedef struct {
    const pn_custom_layer *layer;
    size_t n, rows;
    int keep, *stopped, buffer[PN_MAX_IO];
} call;

static pn_status shape(pn_node *node, const pn_shape *const *inputs, pn_dtype t, pn_error *error)
{
    (void)inputs; (void)t;
    const custom_config *c = pn_config(node);
    if (!node->custom)
        return pn_fail(error, PN_BAD_VALUE, "%s: a custom layer needs functions that compute it",
                       node->where);
    node->shape.ndim = c->shape.n;
    for (size_t i = 0; i < c->shape.n; i++) node->shape.dim[i] = c->shape.at[i];
    for (size_t i = 0; i < c->num_parameters; i++)
        pn_slot_add(node, node->custom->names ? node->custom->names[i] : NULL, 0,
                    (pn_shape){ .ndim = PN_ANY_SHAPE });
    return PN_OK;
}

static void run_forward(const pn_step *s, void *const *at)
{
    const call *c = s->args;
    const void *x[PN_MAX_IO];
    for (size_t i = 0; i < c->n; i++) x[i] = at[c->buffer[i]];
    if (c->layer->forward(c->layer->context, c->rows, c->keep, x, at[s->out])) *c->stopped = 1;
}

static void run_backward(const pn_step *s, void *const *at)
{
    const call *c = s->args;
    void *gx[PN_MAX_IO];
    for (size_t i = 0; i < c->n; i++) gx[i] = c->buffer[i] == PN_NONE ? NULL : at[c->buffer[i]];
    if (c->layer->backward(c->layer->context, c->rows, at[s->in], gx)) *c->stopped = 1;
}

static call *new_call(pn_builder *b, size_t node)
{
    call *c = pn_plan_alloc(b, sizeof *c);
    if (c)
        *c = (call){ .layer = b->graph->nodes[node].custom,
                     .n = b->graph->nodes[node].n_inputs,
                     .rows = b->rows,
                     .keep = b->mode != PN_PREDICT,
                     .stopped = &b->plan->stopped };
    return c;
}

static pn_status forward(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    int y = b->value[node] = pn_output_buffer(b, node, 0);
    pn_step *s = y == PN_NONE ? NULL : pn_step_new(b, "custom layer", run_forward);
    call *c = s ? new_call(b, node) : NULL;
    if (!c) return PN_NO_MEMORY;
    s->args = c;
    s->out = y;
    for (size_t i = 0; i < n->n_inputs; i++) pn_step_uses(b, c->buffer[i] = b->value[n->inputs[i]]);
    pn_step_uses(b, y);
    return PN_OK;
}

/* The layer adds to its parameters' gradients, so a step of fit clears them first. */
static pn_status backward(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    call *c = pn_clear_gradients(b, node) ? NULL : new_call(b, node);
    if (!c) return PN_NO_MEMORY;
    for (size_t i = 0; i < n->n_inputs; i++) {
        c->buffer[i] = pn_needs_gradient(b, n->inputs[i])
                         ? pn_gradient_buffer(b, n->inputs[i], PN_NONE)
                         : PN_NONE;
        if (c->buffer[i] == PN_NONE && pn_needs_gradient(b, n->inputs[i])) return PN_NO_MEMORY;
    }
    pn_step *s = pn_step_new(b, "custom layer gradient", run_backward);
    if (!s) return PN_NO_MEMORY;
    s->args = c;
    s->in = b->grad[node];
    pn_step_uses(b, s->in);
    for (size_t i = 0; i < n->n_inputs; i++)
        if (c->buffer[i] != PN_NONE) pn_step_uses(b, c->buffer[i]);
    return PN_OK;
}

const pn_layer_kind pn_layer_custom = { "custom", 1,        PN_MAX_IO,     shape,
                                        forward,  backward, PN_LAYOUT_NCHW, custom_config_fields };
