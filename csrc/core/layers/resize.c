/* resize.c - interpolation along one axis of the sample: each output element is a weighted sum of a
 * few input elements. */
#include "layers.h"
#include "../graph/builder.h"
#include <math.h>
#include <string.h>

#define MODES(CHOICE) \
    CHOICE(NEAREST, "nearest") \
    CHOICE(NEAREST_EXACT, "nearest_exact") CHOICE(LINEAR, "linear") CHOICE(CUBIC, "cubic")
enum { MODES(PN_CHOICE_CONSTANT) };
static const char *const modes[] = { MODES(PN_CHOICE_NAME) NULL };
static const size_t taps_of[] = { [NEAREST] = 1, [NEAREST_EXACT] = 1, [LINEAR] = 2, [CUBIC] = 4 };

#define FIELDS(FIELD, T) \
    FIELD(T, CHOICE, mode, ONE_OF(modes), "how elements are interpolated") \
    FIELD(T, COUNT, axis, AT_LEAST(0), "axis of the sample") \
    FIELD(T, COUNT, length, AT_LEAST(0), "length of that axis in the output") \
    FIELD(T, FLAG, align_corners, ANY, "whether the first and last elements are aligned") \
    FIELD(T, NUMBER, step, FROM_TO(0, 0x1p53), \
          "input elements per output element; 0: ratio of the lengths")
PN_CONFIG(resize_config, FIELDS)

static pn_status shape(pn_node *node, const pn_shape *const *inputs, pn_dtype t, pn_error *error)
{
    const pn_shape *input = inputs[0];
    const resize_config *c = pn_config(node);
    const size_t axis = c->axis;
    char text[80];
    (void)t;
    pn_shape_text(input, text, sizeof text);
    if (axis >= input->ndim)
        return pn_fail(error, PN_BAD_SHAPE, "%s: a sample of shape %s has no axis %zu", node->where,
                       text, axis);
    node->shape = *input;
    node->shape.dim[axis] = c->length;
    if (input->dim[axis] == 0 && c->length > 0)
        return pn_fail(
            error, PN_BAD_SHAPE,
            "%s: axis %zu of a sample of shape %s is empty and cannot be resized to %zu",
            node->where, axis, text, c->length);
    return PN_OK;
}

/* Consecutive blocks (length, inner) that become (out, inner). */
typedef struct {
    size_t blocks, chunk, length, out, inner, taps, size;
    size_t *index;
    void *weight;
} resize;

/* Keys' cubic kernel with a = -3/4, as in PyTorch and OpenCV. */
static double cubic(double d)
{
    const double a = -0.75;
    d = fabs(d);
    return d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1
         : d < 2  ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
                  : 0;
}

/* The inputs around output i and their weights. Indices beyond the ends are clamped. */
static void fill_taps(const pn_node *n, resize *r, size_t i)
{
    const resize_config *c = pn_config(n);
    const int mode = c->mode, corners = c->align_corners;
    const double length = (double)r->length, out = (double)r->out, ratio = length / out;
    const double scale = c->step > 0        ? c->step
                       : corners && out > 1 ? (length - 1) / (out - 1)
                       : corners            ? 0
                                            : ratio;
    double at, first, weight[4] = { 1 };
    /* in float, as in PyTorch */
    if (mode == NEAREST || mode == NEAREST_EXACT)
        first = floorf(((float)i + (mode == NEAREST ? 0 : 0.5f)) * (float)scale);
    else {
        at = corners ? scale * (double)i : scale * ((double)i + 0.5) - 0.5;
        if (mode == LINEAR && at < 0) at = 0;
        first = floor(at) - (mode == CUBIC);
        if (mode == LINEAR) weight[0] = 1 - (weight[1] = at - first);
        else for (int t = 0; t < 4; t++) weight[t] = cubic(at - first - t);
    }
    for (size_t t = 0; t < r->taps; t++) {
        const double k = first + (double)t, last = length - 1;
        r->index[i * r->taps + t] = (size_t)(k < 0 ? 0 : k > last ? last : k);
        if (r->size == sizeof(float)) ((float *)r->weight)[i * r->taps + t] = (float)weight[t];
        else ((double *)r->weight)[i * r->taps + t] = weight[t];
    }
}

static resize *resize_of(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    const pn_shape *input = &b->graph->nodes[n->inputs[0]].shape;
    const resize_config *c = pn_config(n);
    const size_t axis = c->axis;
    resize *r = pn_plan_alloc(b, sizeof *r);
    if (!r) return NULL;
    *r = (resize){ .blocks = b->rows,
                   .length = input->dim[axis],
                   .out = n->shape.dim[axis],
                   .inner = 1,
                   .taps = taps_of[c->mode],
                   .size = pn_size(b->graph->dtype) };
    for (size_t i = 0; i < input->ndim; i++) {
        if (i < axis) r->blocks *= input->dim[i];
        if (i > axis) r->inner *= input->dim[i];
    }
    r->chunk = PN_CHUNK / ((r->length + r->out) * r->inner + 1) + 1;
    r->index = pn_plan_alloc(b, r->out * r->taps * sizeof *r->index);
    r->weight = r->index ? pn_plan_alloc(b, r->out * r->taps * r->size) : NULL;
    if (!r->weight) return NULL;
    for (size_t i = 0; i < r->out; i++) fill_taps(n, r, i);
    return r;
}

typedef struct { const resize *r; const pn_typed_kernels *k; const char *x; char *y; } job;

static size_t last_block(const resize *r, size_t i)
{
    return pn_min((i + 1) * r->chunk, r->blocks);
}

static void forward_chunk(void *context, size_t i)
{
    const job *j = context;
    const resize *r = j->r;
    const size_t line = r->inner * r->size;
    for (size_t k = i * r->chunk; k < last_block(r, i); k++)
        j->k->weighted_sum(r->out, r->inner, r->taps, r->index, r->weight,
                           j->x + k * r->length * line, j->y + k * r->out * line);
}

static void backward_chunk(void *context, size_t i)
{
    const job *j = context;
    const resize *r = j->r;
    const size_t line = r->inner * r->size;
    for (size_t k = i * r->chunk; k < last_block(r, i); k++) {
        char *gx = j->y + k * r->length * line;
        memset(gx, 0, r->length * line);
        j->k->weighted_sum_back(r->out, r->inner, r->taps, r->index, r->weight,
                                j->x + k * r->out * line, gx);
    }
}

static void run_forward(const pn_step *s, void *const *at)
{
    const resize *r = s->args;
    pn_parallel((r->blocks + r->chunk - 1) / r->chunk, forward_chunk,
                &(job){ r, s->k, at[s->in], at[s->out] });
}
static void run_backward(const pn_step *s, void *const *at)
{
    const resize *r = s->args;
    pn_parallel((r->blocks + r->chunk - 1) / r->chunk, backward_chunk,
                &(job){ r, s->k, at[s->in], at[s->out] });
}

static pn_status add(pn_builder *b, size_t node, const char *what, pn_step_fn *run, int x, int y)
{
    resize *r = y == PN_NONE ? NULL : resize_of(b, node);
    pn_step *s = r ? pn_step_new(b, what, run) : NULL;
    if (!s) return PN_NO_MEMORY;
    s->args = r;
    s->in = x;
    s->out = y;
    s->flops = 2.0 * (double)(r->blocks * r->out * r->inner * (r->taps > 1 ? r->taps : 0));
    pn_step_uses(b, x);
    pn_step_uses(b, y);
    return PN_OK;
}

static pn_status forward(pn_builder *b, size_t node)
{
    int y = b->value[node] = pn_output_buffer(b, node, 0);
    return add(b, node, "resize", run_forward, b->value[b->graph->nodes[node].inputs[0]], y);
}

static pn_status backward(pn_builder *b, size_t node)
{
    const size_t input = b->graph->nodes[node].inputs[0];
    if (!pn_needs_gradient(b, input)) return PN_OK;
    return add(b, node, "resize gradient", run_backward, b->grad[node],
               pn_gradient_buffer(b, input, PN_NONE));
}

const pn_layer_kind pn_layer_resize = {
    "resize", 1, 1, shape, forward, backward, PN_LAYOUT_NCHW, resize_config_fields
};
