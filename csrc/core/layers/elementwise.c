/* elementwise.c - layers that combine and divide branches: sums, products, concatenation and slices
 * along one axis of the sample. */
#include "layers.h"
#include "../graph/builder.h"
#include <string.h>

#define CONCAT_FIELDS(FIELD, T) FIELD(T, COUNT, axis, AT_LEAST(0), "axis of the sample")
PN_CONFIG(concat_config, CONCAT_FIELDS)
#define SLICE_FIELDS(FIELD, T) \
    FIELD(T, COUNT, axis, AT_LEAST(0), "axis of the sample") \
    FIELD(T, COUNT, start, AT_LEAST(0), "first element to take") \
    FIELD(T, COUNT, stop, AT_LEAST(0), "end of the slice, exclusive")
PN_CONFIG(slice_config, SLICE_FIELDS)

static pn_status same_shapes(pn_node *node, const pn_shape *const *inputs, pn_dtype t,
                             pn_error *error)
{
    (void)t;
    node->shape = *inputs[0];
    for (size_t i = 1; i < node->n_inputs; i++) {
        if (inputs[i]->ndim == inputs[0]->ndim &&
            !memcmp(inputs[i]->dim, inputs[0]->dim, inputs[0]->ndim * sizeof *inputs[0]->dim))
            continue;
        char a[80], b[80];
        pn_shape_text(inputs[0], a, sizeof a);
        pn_shape_text(inputs[i], b, sizeof b);
        return pn_fail(error, PN_BAD_SHAPE,
                       "%s: samples have different shapes, %s and %s", node->where, a,
                       b);
    }
    return PN_OK;
}

static void run_multiply(const pn_step *s, void *const *at)
{
    s->k->multiply(s->n, at[s->in], at[s->in2], at[s->out]);
}

/* ---- sum ------------------------------------------------------------------------------------- */

static pn_status forward_sum(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    pn_status status = PN_OK;
    int sum = b->value[n->inputs[0]];
    for (size_t i = 1; i < n->n_inputs && !status; i++) {
        int y = i == 1 ? pn_output_buffer(b, node, 0) : b->value[node];
        status = pn_step_elementwise(b, "add", pn_run_add, node, sum, b->value[n->inputs[i]], y);
        b->value[node] = sum = y;
    }
    b->value[node] = sum;
    return status;
}

static pn_status backward_sum(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    pn_status status = PN_OK;
    if (n->n_inputs > 1) pn_buffer_share(b, b->grad[node]);
    for (size_t i = 0; i < n->n_inputs && !status; i++)
        if (pn_needs_gradient(b, n->inputs[i]))
            status = pn_give_gradient(b, n->inputs[i], b->grad[node]);
    return status;
}

/* ---- product of two -------------------------------------------------------------------------- */

static pn_status forward_product(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    int y = b->value[node] = pn_output_buffer(b, node, 0);
    return pn_step_elementwise(b, "multiply", run_multiply, node, b->value[n->inputs[0]],
                        b->value[n->inputs[1]], y);
}

static pn_status backward_product(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    pn_status status = PN_OK;
    for (size_t i = 0; i < 2 && !status; i++) {
        if (!pn_needs_gradient(b, n->inputs[i])) continue;
        int gx = pn_gradient_buffer(b, n->inputs[i], PN_NONE);
        status = pn_step_elementwise(b, "multiply gradient", run_multiply, node, b->grad[node],
                              b->value[n->inputs[1 - i]], gx);
    }
    return status;
}

/* ---- parts of an axis: concatenation and slices ---------------------------------------------- */

/* Copies `rows` blocks of `width` bytes from x to y, each array with its own stride. */
typedef struct { size_t rows, width, from, to, from_stride, to_stride; } blocks;
static void run_blocks(const pn_step *s, void *const *at)
{
    const blocks *c = s->args;
    const char *x = (const char *)at[s->in] + c->from;
    char *y = (char *)at[s->out] + c->to;
    if (s->bytes) memset(at[s->out], 0, s->bytes);
    for (size_t i = 0; i < c->rows; i++)
        memcpy(y + i * c->to_stride, x + i * c->from_stride, c->width);
}

/* A part of an axis: `dim` elements from `start` on, out of `all`. */
typedef struct { size_t rows, width, offset, stride; } part;
static part part_of(const pn_builder *b, const pn_shape *s, size_t axis, size_t start, size_t dim,
                    size_t all)
{
    size_t rows = b->rows, inner = pn_size(b->graph->dtype);
    for (size_t i = 0; i < axis; i++) rows *= s->dim[i];
    for (size_t i = axis + 1; i < s->ndim; i++) inner *= s->dim[i];
    return (part){ rows, dim * inner, start * inner, all * inner };
}

/* Copies a part out of x if out, else into y. zero: bytes of y to clear first. */
static pn_status copy_part(pn_builder *b, const char *what, part p, int out, size_t zero, int x,
                           int y)
{
    pn_step *s = y == PN_NONE ? NULL : pn_step_new(b, what, run_blocks);
    blocks *c = s ? pn_plan_alloc(b, sizeof *c) : NULL;
    if (!c) return PN_NO_MEMORY;
    if (out) *c = (blocks){ p.rows, p.width, p.offset, 0, p.stride, p.width };
    else *c = (blocks){ p.rows, p.width, 0, p.offset, p.width, p.stride };
    s->args = c;
    s->in = x;
    s->out = y;
    s->bytes = zero;
    pn_step_uses(b, x);
    pn_step_uses(b, y);
    return PN_OK;
}

static pn_status shape_concat(pn_node *node, const pn_shape *const *inputs, pn_dtype t,
                              pn_error *error)
{
    (void)t;
    const size_t axis = ((const concat_config *)pn_config(node))->axis;
    if (axis >= inputs[0]->ndim)
        return pn_fail(error, PN_BAD_SHAPE, "%s: the samples have no axis %zu", node->where, axis);
    node->shape = *inputs[0];
    for (size_t i = 1; i < node->n_inputs; i++) {
        int same = inputs[i]->ndim == inputs[0]->ndim;
        for (size_t k = 0; same && k < inputs[0]->ndim; k++)
            same = k == axis || inputs[i]->dim[k] == inputs[0]->dim[k];
        if (!same) {
            char a[80], b[80];
            pn_shape_text(inputs[0], a, sizeof a);
            pn_shape_text(inputs[i], b, sizeof b);
            return pn_fail(error, PN_BAD_SHAPE,
                           "%s: samples of shapes %s and %s differ beyond axis %zu", node->where, a,
                           b, axis);
        }
        node->shape.dim[axis] += inputs[i]->dim[axis];
    }
    return PN_OK;
}

static pn_status forward_concat(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    const size_t axis = ((const concat_config *)pn_config(n))->axis;
    int y = b->value[node] = pn_output_buffer(b, node, 0);
    pn_status status = PN_OK;
    for (size_t i = 0, start = 0; i < n->n_inputs && !status; i++) {
        size_t dim = b->graph->nodes[n->inputs[i]].shape.dim[axis];
        status = copy_part(b, "concatenate",
                           part_of(b, &n->shape, axis, start, dim, n->shape.dim[axis]), 0, 0,
                           b->value[n->inputs[i]], y);
        start += dim;
    }
    return status;
}

static pn_status backward_concat(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    const size_t axis = ((const concat_config *)pn_config(n))->axis;
    pn_status status = PN_OK;
    for (size_t i = 0, start = 0; i < n->n_inputs && !status; i++) {
        size_t dim = b->graph->nodes[n->inputs[i]].shape.dim[axis];
        part p = part_of(b, &n->shape, axis, start, dim, n->shape.dim[axis]);
        start += dim;
        if (!pn_needs_gradient(b, n->inputs[i])) continue;
        status = copy_part(b, "concatenate gradient", p, 1, 0, b->grad[node],
                           pn_gradient_buffer(b, n->inputs[i], PN_NONE));
    }
    return status;
}

static pn_status shape_slice(pn_node *node, const pn_shape *const *inputs, pn_dtype t,
                             pn_error *error)
{
    (void)t;
    const slice_config *c = pn_config(node);
    node->shape = *inputs[0];
    if (c->axis >= inputs[0]->ndim || c->start > c->stop || c->stop > inputs[0]->dim[c->axis]) {
        char text[80];
        pn_shape_text(inputs[0], text, sizeof text);
        return pn_fail(error, PN_BAD_SHAPE, "%s: the slice is outside a sample of shape %s",
                       node->where, text);
    }
    node->shape.dim[c->axis] = c->stop - c->start;
    return PN_OK;
}

static part slice_of(const pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    const slice_config *c = pn_config(n);
    return part_of(b, &n->shape, c->axis, c->start, n->shape.dim[c->axis],
                   b->graph->nodes[n->inputs[0]].shape.dim[c->axis]);
}

static pn_status forward_slice(pn_builder *b, size_t node)
{
    int y = b->value[node] = pn_output_buffer(b, node, 0);
    return copy_part(b, "slice", slice_of(b, node), 1, 0, b->value[b->graph->nodes[node].inputs[0]],
                     y);
}

static pn_status backward_slice(pn_builder *b, size_t node)
{
    const size_t input = b->graph->nodes[node].inputs[0];
    if (!pn_needs_gradient(b, input)) return PN_OK;
    size_t whole = b->rows * pn_count(&b->graph->nodes[input].shape) * pn_size(b->graph->dtype);
    return copy_part(b, "slice gradient", slice_of(b, node), 0, whole, b->grad[node],
                     pn_gradient_buffer(b, input, PN_NONE));
}

const pn_layer_kind pn_layer_add = {
    "add", 1, PN_MANY, same_shapes, forward_sum, backward_sum, PN_LAYOUT_ANY, NULL
};
const pn_layer_kind pn_layer_multiply = {
    "multiply", 2, 2, same_shapes, forward_product, backward_product, PN_LAYOUT_ANY, NULL
};
const pn_layer_kind pn_layer_concat = {
    "concat",        1,              PN_MANY,             shape_concat, forward_concat,
    backward_concat, PN_LAYOUT_NCHW, concat_config_fields
};
const pn_layer_kind pn_layer_slice = {
    "slice", 1, 1, shape_slice, forward_slice, backward_slice, PN_LAYOUT_NCHW, slice_config_fields
};
