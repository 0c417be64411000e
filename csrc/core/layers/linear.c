/* linear.c - y = x W^T + b over the last axis; a following activation is fused into the product. */
#include "layers.h"
#include "../graph/builder.h"
#include <stdio.h>
#include <string.h>

#define FIELDS(FIELD, T) \
    FIELD(T, COUNT, in_features, AT_LEAST(0), "length of the last axis of the input") \
    FIELD(T, COUNT, out_features, AT_LEAST(0), "length of the last axis of the output") \
    FIELD(T, FLAG, bias, ANY, "whether there is a bias")
PN_CONFIG(linear_config, FIELDS)
enum { WEIGHT, BIAS };

/* Reports that the sample's shape does not fit, with a hint at the likely cause. */
static pn_status misfit(const pn_node *node, const pn_shape *input, size_t in, size_t out,
                        pn_error *error)
{
    char text[80], hint[80] = "";
    pn_shape_text(input, text, sizeof text);
    const size_t all = pn_count(input);
    if (input->ndim == 3 || (input->ndim > 1 && all == in))
        snprintf(hint, sizeof hint, "; Flatten() before it makes %zu of these", all);
    else if (input->ndim == 1 && all == 1)
        snprintf(hint, sizeof hint, "; one row of values is X[None]");
    return pn_fail(
        error, PN_BAD_SHAPE,
        "%s: a sample of shape %s does not end in in_features = %zu "
        "(weight has shape (%zu, %zu))%s",
        node->where, text, in, out, in, hint);
}

static pn_status shape(pn_node *node, const pn_shape *const *inputs, pn_dtype t, pn_error *error)
{
    const pn_shape *input = inputs[0];
    (void)t;
    const linear_config *c = pn_config(node);
    const size_t in = c->in_features, out = c->out_features;
    if (input->ndim == 0 || input->dim[input->ndim - 1] != in)
        return misfit(node, input, in, out, error);
    node->shape = *input;
    node->shape.dim[input->ndim - 1] = out;
    pn_slot_add(node, "weight", 0, (pn_shape){ 2, { out, in } });
    if (c->bias) pn_slot_add(node, "bias", 0, (pn_shape){ 1, { out } });
    return PN_OK;
}

/* z = x W^T + b and y = f(z), in place unless the plan keeps z. */
static void run_forward(const pn_step *s, void *const *at)
{
    pn_product p = s->product;
    pn_epilogue e = s->epilogue;
    p.a = at[s->in];
    p.c = at[s->out2];
    e.p = s->p;
    e.y = at[s->out];
    if (e.bias || e.act) p.epilogue = &e;
    s->k->gemm(&p, at[s->work]);
}

static void run_weight_gradient(const pn_step *s, void *const *at)
{
    pn_product p = s->product;
    p.a = at[s->in];
    p.b = at[s->in2];
    s->k->gemm(&p, at[s->work]);
}

static void run_bias_gradient(const pn_step *s, void *const *at)
{
    if (s->bytes) memset(s->grad, 0, s->bytes);
    s->k->sum_rows(s->rows, s->n, at[s->in], s->grad);
}

static void run_input_gradient(const pn_step *s, void *const *at)
{
    pn_product p = s->product;
    p.a = at[s->in];
    p.c = at[s->out];
    s->k->gemm(&p, at[s->work]);
}

/* Scratch for the step just added. */
static pn_status need_workspace(pn_builder *b, pn_step *s)
{
    size_t size = pn_size(b->graph->dtype);
    s->flops = 2.0 * (double)s->product.m * (double)s->product.n * (double)s->product.k;
    s->work = pn_buffer_new(b, (b->k->gemm_workspace(&s->product) + size - 1) / size);
    pn_step_uses(b, s->work);
    return s->work == PN_NONE ? PN_NO_MEMORY : PN_OK;
}

/* Rows of the product: all leading axes of the batch. */
static size_t product_rows(const pn_builder *b, size_t node)
{
    const pn_shape *s = &b->graph->nodes[node].shape;
    size_t rows = b->rows;
    for (size_t i = 0; i + 1 < s->ndim; i++) rows *= s->dim[i];
    return rows;
}

/* The activation that is the only consumer of this node, or NULL. */
static const pn_node *follower(const pn_builder *b, size_t node)
{
    const pn_node *next = pn_sole_consumer(b, node);
    return next && next->activation && next->formula.channels <= 1 ? next : NULL;
}

/* A following activation is computed in the product's epilogue. What its backward reads is kept. */
static pn_status forward(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node], *next = follower(b, node);
    const linear_config *c = pn_config(n);
    size_t in = c->in_features, out = c->out_features, end = node;
    int fuse = next != NULL, keep_z = 0, y;
    const pn_activation *row = fuse ? next->activation : NULL;
    if (fuse) {
        end = n->consumer;
        b->fused[end] = PN_FUSED;
        keep_z = b->mode != PN_PREDICT && row->needs == 'x';
    }
    b->value[end] = y = pn_output_buffer(b, end, fuse && row->needs == 'y');
    b->preactivation[end] = keep_z ? pn_buffer_new(b, product_rows(b, node) * out) : y;
    pn_step *s = y == PN_NONE || b->preactivation[end] == PN_NONE
                   ? NULL
                   : pn_step_new(b, fuse ? "linear + activation" : "linear", run_forward);
    if (!s) return PN_NO_MEMORY;
    s->in = b->value[n->inputs[0]];
    s->out = y;
    s->out2 = b->preactivation[end];
    s->product = (pn_product){ .tb = 1,
                               .m = product_rows(b, node),
                               .n = out,
                               .k = in,
                               .lda = in,
                               .b = n->slots[WEIGHT].data,
                               .ldb = in,
                               .ldc = out };
    s->packed_bytes = b->mode == PN_PREDICT ? b->k->gemm_packed(&s->product) : 0;
    s->epilogue.bias = n->n_slots > BIAS ? n->slots[BIAS].data : NULL;
    if (fuse) {
        if (pn_step_function(b, s, end)) return PN_NO_MEMORY;
        s->epilogue.act = s->activation->forward;
        s->epilogue.ldy = out;
    }
    pn_step_uses(b, s->in);
    pn_step_uses(b, s->out);
    pn_step_uses(b, s->out2);
    return need_workspace(b, s);
}

static pn_status weight_gradient(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    const linear_config *c = pn_config(n);
    const size_t in = c->in_features, out = c->out_features;
    pn_step *s = pn_step_new(b, "weight gradient", run_weight_gradient);
    if (!s) return PN_NO_MEMORY;
    s->in = b->grad[node];
    s->in2 = b->value[n->inputs[0]];
    s->product = (pn_product){ .ta = 1,
                               .m = out,
                               .n = in,
                               .k = product_rows(b, node),
                               .lda = out,
                               .ldb = in,
                               .c = n->slots[WEIGHT].grad,
                               .ldc = in,
                               .accumulate = pn_accumulates(b, node, WEIGHT) };
    pn_step_uses(b, s->in);
    pn_step_uses(b, s->in2);
    return need_workspace(b, s);
}

static pn_status bias_gradient(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    pn_step *s = pn_step_new(b, "bias gradient", run_bias_gradient);
    if (!s) return PN_NO_MEMORY;
    s->in = b->grad[node];
    s->rows = product_rows(b, node);
    s->n = n->slots[BIAS].shape.dim[0];
    s->grad = n->slots[BIAS].grad;
    s->bytes = pn_accumulates(b, node, BIAS) ? 0 : s->n * pn_size(b->graph->dtype);
    pn_step_uses(b, s->in);
    return PN_OK;
}

static pn_status input_gradient(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    const linear_config *c = pn_config(n);
    const size_t in = c->in_features, out = c->out_features;
    int gx = pn_gradient_buffer(b, n->inputs[0], PN_NONE);
    pn_step *s = gx == PN_NONE ? NULL : pn_step_new(b, "input gradient", run_input_gradient);
    if (!s) return PN_NO_MEMORY;
    s->in = b->grad[node];
    s->out = gx;
    s->product = (pn_product){ .m = product_rows(b, node),
                               .n = in,
                               .k = out,
                               .lda = out,
                               .b = n->slots[WEIGHT].data,
                               .ldb = in,
                               .ldc = in };
    pn_step_uses(b, s->in);
    pn_step_uses(b, s->out);
    return need_workspace(b, s);
}

static pn_status backward(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    pn_status status = PN_OK;
    if (n->slots[WEIGHT].grad) status = weight_gradient(b, node);
    if (!status && n->n_slots > BIAS && n->slots[BIAS].grad) status = bias_gradient(b, node);
    if (!status && pn_needs_gradient(b, n->inputs[0])) status = input_gradient(b, node);
    return status;
}

const pn_layer_kind pn_layer_linear = {
    "linear", 1, 1, shape, forward, backward, PN_LAYOUT_NCHW, linear_config_fields
};
