/* rowwise.c - row-wise functions such as softmax, along any axis of the sample. */
#include "layers.h"
#include "../graph/builder.h"

#define FIELDS(FIELD, T) \
    FIELD(T, ROWWISE, function, ANY, "row of the table of row-wise functions") \
    FIELD(T, COUNT, axis, AT_LEAST(0), "axis of the sample")
PN_CONFIG(rowwise_config, FIELDS)

static pn_status shape(pn_node *node, const pn_shape *const *inputs, pn_dtype t, pn_error *error)
{
    const pn_shape *input = inputs[0];
    (void)t;
    const rowwise_config *c = pn_config(node);
    if (c->axis >= input->ndim) {
        char text[80];
        pn_shape_text(input, text, sizeof text);
        return pn_fail(error, PN_BAD_SHAPE, "%s: a sample of shape %s has no axis %zu", node->where,
                       text, c->axis);
    }
    node->shape = *input;
    return PN_OK;
}

/* Copies block i of a buffer, (n, inner), to scratch, (inner, n). */
static void take(const pn_step *s, const void *x, size_t i, void *scratch)
{
    const size_t block = s->n * s->inner * s->bytes;
    s->k->transpose(s->n, s->inner, (const char *)x + i * block, s->inner, scratch, s->n);
}
static void put(const pn_step *s, const void *scratch, size_t i, void *y)
{
    const size_t block = s->n * s->inner * s->bytes;
    s->k->transpose(s->inner, s->n, scratch, s->n, (char *)y + i * block, s->inner);
}

/* Many rows are processed in chunks, in parallel. */
enum { CHUNK = 8192 };
typedef struct { const pn_step *s; void *const *at; size_t rows; } job;

static void *part(const job *j, int buffer, size_t i)
{
    return (char *)j->at[buffer] + i * j->rows * j->s->n * j->s->bytes;
}
static size_t rows_of(const job *j, size_t i)
{
    return pn_min(j->s->rows - i * j->rows, j->rows);
}
static void forward_chunk(void *context, size_t i)
{
    const job *j = context;
    j->s->rowwise->forward(rows_of(j, i), j->s->n, part(j, j->s->in, i), part(j, j->s->out, i));
}
static void backward_chunk(void *context, size_t i)
{
    const job *j = context;
    j->s->rowwise->backward(rows_of(j, i), j->s->n, part(j, j->s->in2, i), part(j, j->s->in, i),
                            part(j, j->s->out, i));
}
static void in_chunks(const pn_step *s, void *const *at, pn_task_fn *task)
{
    job j = { s, at, CHUNK / (s->n + 1) + 1 };
    pn_parallel((s->rows + j.rows - 1) / j.rows, task, &j);
}

static void run_forward(const pn_step *s, void *const *at)
{
    if (s->inner == 1) {
        in_chunks(s, at, forward_chunk);
        return;
    }
    for (size_t i = 0; i < s->rows; i++) {
        take(s, at[s->in], i, at[s->work]);
        s->rowwise->forward(s->inner, s->n, at[s->work], at[s->work]);
        put(s, at[s->work], i, at[s->out]);
    }
}

static void run_backward(const pn_step *s, void *const *at)
{
    if (s->inner == 1) {
        in_chunks(s, at, backward_chunk);
        return;
    }
    char *y = at[s->work], *g = y + s->n * s->inner * s->bytes;
    for (size_t i = 0; i < s->rows; i++) {
        take(s, at[s->in2], i, y);
        take(s, at[s->in], i, g);
        s->rowwise->backward(s->inner, s->n, y, g, g);
        put(s, g, i, at[s->out]);
    }
}

/* Adds a step along an axis of the sample: rows of length n, whose elements are `inner` apart. */
static pn_status add(pn_builder *b, size_t node, pn_step_fn *run, const char *what, int x, int y,
                     int t)
{
    const pn_node *n = &b->graph->nodes[node];
    const rowwise_config *c = pn_config(n);
    const size_t axis = c->axis;
    pn_step *s = pn_step_new(b, what, run);
    if (!s) return PN_NO_MEMORY;
    s->rows = b->rows;
    s->inner = 1;
    s->n = n->shape.dim[axis];
    s->bytes = pn_size(b->graph->dtype);
    for (size_t i = 0; i < n->shape.ndim; i++) {
        if (i < axis) s->rows *= n->shape.dim[i];
        if (i > axis) s->inner *= n->shape.dim[i];
    }
    s->rowwise = &b->k->rowwise[c->function];
    s->in = x;
    s->out = y;
    s->in2 = t;
    pn_step_uses(b, x);
    pn_step_uses(b, y);
    pn_step_uses(b, t);
    if (s->inner == 1) return PN_OK;
    s->work = pn_buffer_new(b, 2 * s->n * s->inner);
    pn_step_uses(b, s->work);
    return s->work == PN_NONE ? PN_NO_MEMORY : PN_OK;
}

static pn_status forward(pn_builder *b, size_t node)
{
    int y = b->value[node] = pn_output_buffer(b, node, 1);
    const rowwise_config *c = pn_config(&b->graph->nodes[node]);
    if (y == PN_NONE) return PN_NO_MEMORY;
    return add(b, node, run_forward, pn_rowwise_at(c->function)->name,
               b->value[b->graph->nodes[node].inputs[0]], y, PN_NONE);
}

static pn_status backward(pn_builder *b, size_t node)
{
    const size_t input = b->graph->nodes[node].inputs[0];
    if (!pn_needs_gradient(b, input)) return PN_OK;
    int gy = b->grad[node], gx = pn_gradient_buffer(b, input, gy);
    if (gx == PN_NONE) return PN_NO_MEMORY;
    return add(b, node, run_backward, "row-wise gradient", gy, gx, b->value[node]);
}

const pn_layer_kind pn_layer_rowwise = {
    "rowwise", 1, 1, shape, forward, backward, PN_LAYOUT_NCHW, rowwise_config_fields
};
