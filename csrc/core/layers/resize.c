/* resize.c - one axis of the sample made longer or shorter: every number of the output is a
 * weighted sum of a few of the input. */
#include "layers.h"
#include "../graph/plan.h"
#include <math.h>
#include <string.h>

enum { NEAREST, NEAREST_EXACT, LINEAR, CUBIC, MODES };
static const size_t taps_of[MODES] = { 1, 1, 2, 4 };

/* config: mode, axis, new length, align_corners, numbers of the input a number of the output
 * advances (0: as the lengths say). */
static pn_status shape(pn_node *node, const pn_shape *const *inputs, pn_dtype t, pn_error *error)
{
    const pn_shape *input = inputs[0];
    const double *c = node->config;
    char text[80];
    (void)t;
    if (node->n_config != 5 || !(c[0] >= 0 && c[0] < MODES) || !pn_is_count(c[2]) ||
        !(c[4] >= 0 && c[4] < 0x1p53))
        return pn_fail(error, PN_BAD_VALUE, "%s: no such way to resize", node->where);
    pn_shape_text(input, text, sizeof text);
    if (!(c[1] >= 0 && c[1] < (double)input->ndim))
        return pn_fail(error, PN_BAD_SHAPE, "%s: a sample of shape %s has no axis %g", node->where,
                       text, c[1]);
    node->shape = *input;
    node->shape.dim[(size_t)c[1]] = (size_t)c[2];
    if (input->dim[(size_t)c[1]] == 0 && c[2] > 0)
        return pn_fail(
            error, PN_BAD_SHAPE,
            "%s: axis %g of a sample of shape %s is empty and cannot get the length %.0f",
            node->where, c[1], text, c[2]);
    return PN_OK;
}

/* Blocks of numbers (length, inner), one after the other, that become (out, inner). */
typedef struct {
    size_t blocks, chunk, length, out, inner, each, size;
    size_t *index;
    void *weight;
} resize;

/* Keys' cubic with a = -3/4, as PyTorch and OpenCV have it. */
static double cubic(double d)
{
    const double a = -0.75;
    d = fabs(d);
    return d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1
         : d < 2  ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
                  : 0;
}

/* Where output i lies among the inputs, and the weights of the inputs around it; beyond the ends
 * the last one counts. */
static void fill_taps(const pn_node *n, resize *r, size_t i)
{
    const int mode = (int)n->config[0], corners = n->config[3] != 0;
    const double length = (double)r->length, out = (double)r->out, ratio = length / out;
    const double scale = n->config[4] > 0   ? n->config[4]
                       : corners && out > 1 ? (length - 1) / (out - 1)
                       : corners            ? 0
                                            : ratio;
    double at, first, weight[4] = { 1 };
    /* in float, as others do */
    if (mode == NEAREST || mode == NEAREST_EXACT)
        first = floorf(((float)i + (mode == NEAREST ? 0 : 0.5f)) * (float)scale);
    else {
        at = corners ? scale * (double)i : scale * ((double)i + 0.5) - 0.5;
        if (mode == LINEAR && at < 0) at = 0;
        first = floor(at) - (mode == CUBIC);
        if (mode == LINEAR) weight[0] = 1 - (weight[1] = at - first);
        else for (int t = 0; t < 4; t++) weight[t] = cubic(at - first - t);
    }
    for (size_t t = 0; t < r->each; t++) {
        const double k = first + (double)t, last = length - 1;
        r->index[i * r->each + t] = (size_t)(k < 0 ? 0 : k > last ? last : k);
        if (r->size == sizeof(float)) ((float *)r->weight)[i * r->each + t] = (float)weight[t];
        else ((double *)r->weight)[i * r->each + t] = weight[t];
    }
}

static resize *resize_of(pn_builder *b, size_t node)
{
    enum { CHUNK = 16384 };
    const pn_node *n = &b->graph->nodes[node];
    const pn_shape *input = &b->graph->nodes[n->inputs[0]].shape;
    const size_t axis = (size_t)n->config[1];
    resize *r = pn_plan_own(b, sizeof *r);
    if (!r) return NULL;
    *r = (resize){ .blocks = b->rows, .length = input->dim[axis], .out = n->shape.dim[axis], .inner = 1, .each = taps_of[(int)n->config[0]],
                   .size = pn_size(b->graph->dtype) };
    for (size_t i = 0; i < input->ndim; i++) {
        if (i < axis) r->blocks *= input->dim[i];
        if (i > axis) r->inner *= input->dim[i];
    }
    r->chunk = CHUNK / ((r->length + r->out) * r->inner + 1) + 1;
    r->index = pn_plan_own(b, r->out * r->each * sizeof *r->index);
    r->weight = r->index ? pn_plan_own(b, r->out * r->each * r->size) : NULL;
    if (!r->weight) return NULL;
    for (size_t i = 0; i < r->out; i++) fill_taps(n, r, i);
    return r;
}

typedef struct { const resize *r; const pn_typed_kernels *k; const char *x; char *y; } job;

static size_t last_block(const resize *r, size_t i)
{
    return (i + 1) * r->chunk < r->blocks ? (i + 1) * r->chunk : r->blocks;
}

static void forward_chunk(void *context, size_t i)
{
    const job *j = context;
    const resize *r = j->r;
    const size_t line = r->inner * r->size;
    for (size_t k = i * r->chunk; k < last_block(r, i); k++)
        j->k->mix(r->out, r->inner, r->each, r->index, r->weight, j->x + k * r->length * line,
                  j->y + k * r->out * line);
}

static void backward_chunk(void *context, size_t i)
{
    const job *j = context;
    const resize *r = j->r;
    const size_t line = r->inner * r->size;
    for (size_t k = i * r->chunk; k < last_block(r, i); k++) {
        char *gx = j->y + k * r->length * line;
        memset(gx, 0, r->length * line);
        j->k->mix_back(r->out, r->inner, r->each, r->index, r->weight, j->x + k * r->out * line,
                       gx);
    }
}

static void run_forward(const pn_step *s, void *const *at)
{
    const resize *r = s->own;
    pn_parallel((r->blocks + r->chunk - 1) / r->chunk, forward_chunk,
                &(job){ r, s->k, at[s->in], at[s->out] });
}
static void run_backward(const pn_step *s, void *const *at)
{
    const resize *r = s->own;
    pn_parallel((r->blocks + r->chunk - 1) / r->chunk, backward_chunk,
                &(job){ r, s->k, at[s->in], at[s->out] });
}

static pn_status add(pn_builder *b, size_t node, const char *what, pn_step_fn *run, int x, int y)
{
    resize *r = y == PN_NONE ? NULL : resize_of(b, node);
    pn_step *s = r ? pn_step_new(b, what, run) : NULL;
    if (!s) return PN_NO_MEMORY;
    s->own = r;
    s->in = x;
    s->out = y;
    s->flops = 2.0 * (double)(r->blocks * r->out * r->inner * (r->each > 1 ? r->each : 0));
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
    if (!pn_wants_gradient(b, input)) return PN_OK;
    return add(b, node, "resize gradient", run_backward, b->grad[node],
               pn_gradient_buffer(b, input, PN_NONE));
}

const pn_layer_kind pn_layer_resize = { "resize", 1, 1, shape, forward, backward, PN_LAYOUT_NCHW };
