/* maxout.c - the maximum of groups of adjacent elements along an axis of the sample. */
#include "layers.h"
#include "../graph/builder.h"

#define FIELDS(FIELD, T) \
    FIELD(T, COUNT, axis, AT_LEAST(0), "axis of the sample") \
    FIELD(T, COUNT, pieces, AT_LEAST(1), "number of adjacent elements in each maximum")
PN_CONFIG(maxout_config, FIELDS)

static pn_status shape(pn_node *node, const pn_shape *const *inputs, pn_dtype t, pn_error *error)
{
    const pn_shape *input = inputs[0];
    const maxout_config *c = pn_config(node);
    const size_t axis = c->axis, pieces = c->pieces;
    char text[80];
    (void)t;
    pn_shape_text(input, text, sizeof text);
    if (axis >= input->ndim)
        return pn_fail(error, PN_BAD_SHAPE, "%s: a sample of shape %s has no axis %zu", node->where,
                       text, axis);
    if (input->dim[axis] % pieces)
        return pn_fail(error, PN_BAD_SHAPE,
                       "%s: axis %zu of a sample of shape %s does not divide into pieces of %zu",
                       node->where, axis, text, pieces);
    node->shape = *input;
    node->shape.dim[axis] /= pieces;
    return PN_OK;
}

/* A step has `rows` groups of n adjacent items, each of `inner` elements. */
typedef struct { const pn_step *s; void *const *at; size_t groups; } job;

static char *part(const job *j, int buffer, size_t i, size_t each)
{
    return (char *)j->at[buffer] + i * each * j->s->inner * j->s->bytes;
}
static size_t last_group(const job *j, size_t i)
{
    return pn_min((i + 1) * j->groups, j->s->rows);
}

static void forward_chunk(void *context, size_t i)
{
    const job *j = context;
    const pn_step *s = j->s;
    for (size_t k = i * j->groups; k < last_group(j, i); k++)
        s->k->largest(s->n, s->inner, part(j, s->in, k, s->n), part(j, s->out, k, 1));
}
static void backward_chunk(void *context, size_t i)
{
    const job *j = context;
    const pn_step *s = j->s;
    for (size_t k = i * j->groups; k < last_group(j, i); k++)
        s->k->largest_back(s->n, s->inner, part(j, s->in2, k, s->n), part(j, s->out2, k, 1),
                           part(j, s->in, k, 1), part(j, s->out, k, s->n));
}
static void in_chunks(const pn_step *s, void *const *at, pn_task_fn *task)
{
    job j = { s, at, PN_CHUNK / (s->n * s->inner + 1) + 1 };
    pn_parallel((s->rows + j.groups - 1) / j.groups, task, &j);
}
static void run_forward(const pn_step *s, void *const *at) { in_chunks(s, at, forward_chunk); }
static void run_backward(const pn_step *s, void *const *at) { in_chunks(s, at, backward_chunk); }

static pn_step *add(pn_builder *b, size_t node, const char *what, pn_step_fn *run, int x, int y)
{
    const pn_node *n = &b->graph->nodes[node];
    pn_step *s = y == PN_NONE ? NULL : pn_step_new(b, what, run);
    if (!s) return NULL;
    s->rows = b->rows;
    const maxout_config *c = pn_config(n);
    s->n = c->pieces;
    s->inner = 1;
    s->bytes = pn_size(b->graph->dtype);
    for (size_t i = 0; i < n->shape.ndim; i++) {
        if (i <= c->axis) s->rows *= n->shape.dim[i];
        else s->inner *= n->shape.dim[i];
    }
    s->flops = (double)s->rows * (double)s->n * (double)s->inner;
    s->in = x;
    s->out = y;
    pn_step_uses(b, x);
    pn_step_uses(b, y);
    return s;
}

static pn_status forward(pn_builder *b, size_t node)
{
    int y = b->value[node] = pn_output_buffer(b, node, 1);
    return add(b, node, "maxout", run_forward, b->value[b->graph->nodes[node].inputs[0]], y)
             ? PN_OK
             : PN_NO_MEMORY;
}

static pn_status backward(pn_builder *b, size_t node)
{
    const size_t input = b->graph->nodes[node].inputs[0];
    if (!pn_needs_gradient(b, input)) return PN_OK;
    pn_step *s = add(b, node, "maxout gradient", run_backward, b->grad[node],
                     pn_gradient_buffer(b, input, PN_NONE));
    if (!s) return PN_NO_MEMORY;
    s->in2 = b->value[input];
    s->out2 = b->value[node];
    pn_step_uses(b, s->in2);
    pn_step_uses(b, s->out2);
    return PN_OK;
}

const pn_layer_kind pn_layer_maxout = {
    "maxout", 1, 1, shape, forward, backward, PN_LAYOUT_NCHW, maxout_config_fields
};
