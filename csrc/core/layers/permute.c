/* permute.c - permutes the axes of the sample. */
#include "layers.h"
#include "../graph/builder.h"
#include <string.h>

#define FIELDS(FIELD, T) \
    FIELD(T, COUNTS, axes, AT_LEAST(0), "axes of the input in the order of the output")
PN_CONFIG(permute_config, FIELDS)

static pn_status shape(pn_node *node, const pn_shape *const *inputs, pn_dtype t, pn_error *error)
{
    const pn_shape *input = inputs[0];
    size_t seen = 0;
    (void)t;
    node->shape.ndim = input->ndim;
    const pn_counts *axes = &((const permute_config *)pn_config(node))->axes;
    for (size_t i = 0; i < axes->n; i++) {
        const size_t axis = axes->at[i];
        if (axis >= input->ndim) continue;
        seen |= (size_t)1 << axis;
        node->shape.dim[i < input->ndim ? i : 0] = input->dim[axis];
    }
    if (axes->n == input->ndim && seen == ((size_t)1 << input->ndim) - 1) return PN_OK;
    char text[80];
    pn_shape_text(input, text, sizeof text);
    return pn_fail(error, PN_BAD_SHAPE,
                   "%s: axes is not a permutation of the axes of a sample of shape %s",
                   node->where, text);
}

/* y, of shape dim, is copied from x, with stride[i] elements for a step along axis i; in lines of n
 * elements, chunk lines for each task. */
typedef struct {
    size_t ndim, dim[PN_MAX_DIMS + 1], stride[PN_MAX_DIMS + 1], lines, n, step, chunk, size;
} order;

/* Drops axes of length 1 and merges axes that are adjacent in x too. */
static void join(order *o)
{
    size_t n = 0;
    for (size_t i = 0; i < o->ndim; i++) {
        if (o->dim[i] == 1) continue;
        if (n && o->stride[n - 1] == o->dim[i] * o->stride[i]) {
            o->dim[n - 1] *= o->dim[i];
            o->stride[n - 1] = o->stride[i];
            continue;
        }
        o->dim[n] = o->dim[i];
        o->stride[n++] = o->stride[i];
    }
    o->ndim = n;
}

/* The order of forward, or its inverse for the gradient. */
static order order_of(const pn_builder *b, size_t node, int back)
{
    const pn_node *n = &b->graph->nodes[node];
    const pn_shape *from = back ? &n->shape : &b->graph->nodes[n->inputs[0]].shape;
    size_t stride[PN_MAX_DIMS + 1], all = 1;
    const pn_counts *axes = &((const permute_config *)pn_config(n))->axes;
    order o = { .ndim = axes->n + 1, .size = pn_size(b->graph->dtype) };
    for (size_t i = axes->n; i-- > 0; all *= from->dim[i]) stride[i] = all;
    o.dim[0] = b->rows;
    o.stride[0] = all;
    for (size_t i = 0; i < axes->n; i++) {
        const size_t axis = axes->at[i], to = (back ? axis : i) + 1, of = back ? i : axis;
        o.dim[to] = from->dim[of];
        o.stride[to] = stride[of];
    }
    join(&o);
    o.n = o.ndim ? o.dim[o.ndim - 1] : 1;
    o.step = o.ndim ? o.stride[o.ndim - 1] : 1;
    o.lines = o.n ? b->rows * all / o.n : 0;
    o.chunk = PN_CHUNK / (o.n + 1) + 1;
    return o;
}

static void copy_line(const order *o, const char *x, char *y)
{
    if (o->step == 1) memcpy(y, x, o->n * o->size);
    else if (o->size == 4)
        for (size_t j = 0; j < o->n; j++) memcpy(y + 4 * j, x + 4 * j * o->step, 4);
    else for (size_t j = 0; j < o->n; j++) memcpy(y + 8 * j, x + 8 * j * o->step, 8);
}

typedef struct { const order *o; const char *x; char *y; } job;

static void copy_chunk(void *context, size_t i)
{
    const job *j = context;
    const order *o = j->o;
    const size_t first = i * o->chunk, until = pn_min(first + o->chunk, o->lines);
    size_t at[PN_MAX_DIMS + 1], rest = first, from = 0;
    for (size_t k = o->ndim - 1; k-- > 0; rest /= o->dim[k]) {
        at[k] = rest % o->dim[k];
        from += at[k] * o->stride[k];
    }
    for (size_t line = first; line < until; line++) {
        copy_line(o, j->x + from * o->size, j->y + line * o->n * o->size);
        for (size_t k = o->ndim - 1; k-- > 0;) {
            from += o->stride[k];
            if (++at[k] < o->dim[k]) break;
            from -= at[k] * o->stride[k];
            at[k] = 0;
        }
    }
}

static void run(const pn_step *s, void *const *at)
{
    const order *o = s->args;
    pn_parallel((o->lines + o->chunk - 1) / o->chunk, copy_chunk,
                &(job){ o, at[s->in], at[s->out] });
}

static pn_status add(pn_builder *b, const char *what, order o, int x, int y)
{
    pn_step *s = y == PN_NONE ? NULL : pn_step_new(b, what, run);
    order *own = s ? pn_plan_alloc(b, sizeof *own) : NULL;
    if (!own) return PN_NO_MEMORY;
    *own = o;
    s->args = own;
    s->in = x;
    s->out = y;
    pn_step_uses(b, x);
    pn_step_uses(b, y);
    return PN_OK;
}

/* A permutation that moves no element needs no step. */
static pn_status forward(pn_builder *b, size_t node)
{
    const int x = b->value[b->graph->nodes[node].inputs[0]];
    order o = order_of(b, node, 0);
    if (o.ndim < 2) {
        b->value[node] = x;
        return PN_OK;
    }
    return add(b, "permute", o, x, b->value[node] = pn_output_buffer(b, node, 0));
}

static pn_status backward(pn_builder *b, size_t node)
{
    const size_t input = b->graph->nodes[node].inputs[0];
    order o = order_of(b, node, 1);
    if (!pn_needs_gradient(b, input)) return PN_OK;
    if (o.ndim < 2) return pn_give_gradient(b, input, b->grad[node]);
    return add(b, "permute gradient", o, b->grad[node], pn_gradient_buffer(b, input, PN_NONE));
}

const pn_layer_kind pn_layer_permute = {
    "permute", 1, 1, shape, forward, backward, PN_LAYOUT_NCHW, permute_config_fields
};
