/* reshape.c - changes the shape of the sample, which needs no step. */
#include "layers.h"
#include "../graph/builder.h"

#define FIELDS(FIELD, T) \
    FIELD(T, COUNTS, shape, AT_LEAST(0), "shape of one sample of the output")
PN_CONFIG(reshape_config, FIELDS)

static pn_status shape(pn_node *node, const pn_shape *const *inputs, pn_dtype t, pn_error *error)
{
    const pn_shape *input = inputs[0];
    (void)t;
    const pn_counts *sizes = &((const reshape_config *)pn_config(node))->shape;
    node->shape.ndim = sizes->n;
    for (size_t i = 0; i < sizes->n; i++) node->shape.dim[i] = sizes->at[i];
    if (pn_count(&node->shape) == pn_count(input)) return PN_OK;
    char a[80], b[80];
    pn_shape_text(input, a, sizeof a);
    pn_shape_text(&node->shape, b, sizeof b);
    return pn_fail(error, PN_BAD_SHAPE, "%s: a sample of shape %s cannot become %s", node->where, a,
                   b);
}

static pn_status forward(pn_builder *b, size_t node)
{
    b->value[node] = b->value[b->graph->nodes[node].inputs[0]];
    return PN_OK;
}

static pn_status backward(pn_builder *b, size_t node)
{
    size_t input = b->graph->nodes[node].inputs[0];
    return pn_needs_gradient(b, input) ? pn_give_gradient(b, input, b->grad[node]) : PN_OK;
}

const pn_layer_kind pn_layer_reshape = {
    "reshape", 1, 1, shape, forward, backward, PN_LAYOUT_NCHW, reshape_config_fields
};
