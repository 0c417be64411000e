/* pooling.c - pooling over one axis or two: windows are tables, so plain, dilated and adaptive
 * pooling are the same.
 *
 * The kernels read images with their channels last. Of plain arrays a block of planes, whatever
 * samples they belong to, is turned into such an image and back; but for maxima of 2 x 2 side by
 * side, where lanes go along a plane's rows. */
#include "pooling.h"
#include "layers.h"
#include <string.h>

/* config; for each axis then: */
enum { OP, POWER, DIVISOR, COUNT_PADDING, CEIL, AXES, PER_AXIS = 5 };
/* SIZE: of the output, adaptive, unless 0 */
enum { KERNEL, STRIDE, PADDING, DILATION, SIZE };
enum { MAXIMUM, INDEX, MEAN, NORM };
enum { PLANES = 16, LANES = 32 };

struct pn_pooling {
    pn_pool pool;                               /* but for how many channels a block has */
    /* scratch: elements a lane needs, for plain arrays */
    size_t samples, channels, height, blocks, lanes, scratch;
    /* quads: plain maxima of 2 x 2 side by side; turns: plain, and no quads */
    int op, plain, quads, turns;
};
typedef pn_pooling pooling;

/* ---- shapes ---------------------------------------------------------------------------------- */

static size_t axes(const pn_node *n) { return (n->n_config - AXES) / PER_AXIS; }
static size_t setting(const pn_node *n, size_t axis, int what)
{
    return (size_t)n->config[AXES + axis * PER_AXIS + (size_t)what];
}

/* The output's size along an axis; 0 where no window fits. With CEIL windows may hang over the end,
 * but must not start behind it. */
static size_t out_size(const pn_node *n, size_t i, size_t in)
{
    const size_t k = setting(n, i, KERNEL), s = setting(n, i, STRIDE), pad = setting(n, i, PADDING),
                 reach = setting(n, i, DILATION) * (k - 1) + 1;
    if (setting(n, i, SIZE)) return setting(n, i, SIZE);
    const size_t more = n->config[CEIL] != 0 ? s - 1 : 0;
    if (in + 2 * pad + more < reach) return 0;
    const size_t out = (in + 2 * pad - reach + more) / s + 1;
    return n->config[CEIL] != 0 && (out - 1) * s >= in + pad ? out - 1 : out;
}

static pn_status shape(pn_node *node, const pn_shape *const *inputs, pn_dtype t, pn_error *error)
{
    const pn_shape *input = inputs[0];
    if (node->n_config != AXES + PER_AXIS && node->n_config != AXES + 2 * PER_AXIS)
        return pn_fail(error, PN_BAD_VALUE, "%s: pooling is over one axis or two", node->where);
    for (size_t i = OP; i < node->n_config; i++)
        if (i != POWER && i != DIVISOR &&
            (!pn_is_count(node->config[i]) || node->config[i] >= 0x1p31))
            return pn_fail(error, PN_BAD_VALUE, "%s: setting %zu is %g", node->where, i,
                           node->config[i]);
    if (node->config[OP] > NORM)
        return pn_fail(error, PN_BAD_VALUE, "%s: no such operation", node->where);
    const size_t n = axes(node);
    char text[80];
    pn_shape_text(input, text, sizeof text);
    if (input->ndim != n + 1)
        return pn_fail(error, PN_BAD_SHAPE,
                       "%s: a sample of shape %s is not channels with %zu axes", node->where, text,
                       n);
    node->shape = *input;
    for (size_t i = 0; i < n; i++) {
        const size_t k = setting(node, i, KERNEL), pad = setting(node, i, PADDING),
                     d = setting(node, i, DILATION);
        if (k < 1 || setting(node, i, STRIDE) < 1 || d < 1)
            return pn_fail(error, PN_BAD_VALUE,
                           "%s: kernel_size, stride and dilation must be at least 1", node->where);
        if (2 * pad > d * (k - 1) + 1)
            return pn_fail(error, PN_BAD_VALUE,
                           "%s: padding %zu is more than half of a window of %zu with dilation %zu",
                           node->where, pad, k, d);
        node->shape.dim[i + 1] = out_size(node, i, input->dim[i + 1]);
        if (node->shape.dim[i + 1] == 0 || input->dim[i + 1] == 0)
            return pn_fail(
                error, PN_BAD_SHAPE,
                "%s: a sample of shape %s has no room for a window of %zu with dilation %zu along axis %zu",
                node->where, text, k, d, i + 1);
    }
    if (node->config[OP] == INDEX && t == PN_F32 &&
        (double)pn_count(input) > 0x1p24 * (double)input->dim[0])
        return pn_fail(error, PN_BAD_SHAPE,
                       "%s: indices into planes of shape %s are too large for float32", node->where,
                       text);
    return PN_OK;
}

/* ---- running --------------------------------------------------------------------------------- */

typedef struct { const pn_step *s; void *const *at; const pooling *v; } job;

static size_t image_in(const pooling *v) { return v->height * v->pool.w_size; }
static size_t image_out(const pooling *v) { return v->pool.rows * v->pool.columns; }

/* A block: planes of plain arrays, or an image; from which plane on and how many, and what is left
 * of its lane's scratch. */
typedef struct { size_t first, n; char *scratch; } block;
static block block_of(const job *j, size_t lane, size_t i)
{
    const pooling *v = j->v;
    const size_t planes = v->samples * v->channels, first = v->plain ? i * PLANES : i * v->channels;
    const size_t n = !v->plain ? v->channels : planes - first < PLANES ? planes - first : PLANES;
    return (block){ first, n, (char *)j->at[j->s->work] + lane * v->scratch * j->s->bytes };
}

/* Where the kernel reads the block's part of a buffer: in place, or turned into scratch, which
 * moves on. */
static char *reads(const job *j, block *b, int buffer, size_t pixels)
{
    char *from = (char *)j->at[buffer] + b->first * pixels * j->s->bytes, *to = b->scratch;
    if (!j->v->turns) return from;
    j->s->k->turn(b->n, pixels, from, pixels, to, b->n);
    b->scratch += pixels * PLANES * j->s->bytes;
    return to;
}
/* Where it writes, and once it has, back into place. */
static char *writes(const job *j, block *b, int buffer, size_t pixels)
{
    char *to = j->v->turns ? b->scratch : (char *)j->at[buffer] + b->first * pixels * j->s->bytes;
    if (j->v->turns) b->scratch += pixels * PLANES * j->s->bytes;
    return to;
}
static void written(const job *j, const block *b, int buffer, size_t pixels, const char *from)
{
    if (j->v->turns)
        j->s->k->turn(pixels, b->n, from, b->n,
                      (char *)j->at[buffer] + b->first * pixels * j->s->bytes, pixels);
}

/* The indices stay as the kernel wrote them. */
static char *indices(const job *j, const block *b)
{
    return (char *)j->at[j->s->out2] + b->first * image_out(j->v) * j->s->bytes;
}

/* n planes of quads. */
static void quads(const pooling *v, const pn_step *s, size_t n, const char *x, size_t ldx,
                  size_t apart, char *y, char *index)
{
    const size_t out = image_out(v) * s->bytes;
    for (size_t i = 0; i < n; i++)
        s->k->pool.max_quads(v->pool.rows, v->pool.columns, x + i * apart * s->bytes, ldx,
                             y + i * out, index ? index + i * out : NULL);
}

/* n planes, of quads, or an image of n channels. */
static void maxima(const pooling *v, const pn_step *s, size_t n, const char *x, char *y,
                   char *index)
{
    if (v->quads) {
        quads(v, s, n, x, v->pool.w_size, image_in(v), y, index);
        return;
    }
    pn_pool p = v->pool;
    p.c = n;
    s->k->pool.max(&p, x, y, index);
}
static void maxima_back(const pooling *v, const pn_step *s, size_t n, const char *index,
                        const char *gy, char *gx)
{
    const size_t in = image_in(v) * s->bytes, out = image_out(v) * s->bytes;
    if (!v->quads || 4 * out < in) memset(gx, 0, n * in);
    if (v->quads) {
        for (size_t i = 0; i < n; i++)
            s->k->pool.max_quads_back(v->pool.rows, v->pool.columns, index + i * out, gy + i * out,
                                      gx + i * in, v->pool.w_size);
        return;
    }
    pn_pool p = v->pool;
    p.c = n;
    s->k->pool.max_back(&p, index, gy, gx);
}
void pn_pool_maxima(const pn_pooling *v, const pn_step *s, const void *x, void *y, void *index)
{
    maxima(v, s, v->channels, x, y, index);
}
int pn_pool_takes_planes(const pn_pooling *v) { return v->quads; }
void pn_pool_planes(const pn_pooling *v, const pn_step *s, const void *x, size_t ldx, size_t apart,
                    void *y, void *index)
{
    quads(v, s, v->channels, x, ldx, apart, y, index);
}
void pn_pool_maxima_back(const pn_pooling *v, const pn_step *s, const void *index, const void *gy,
                         void *gx)
{
    maxima_back(v, s, v->channels, index, gy, gx);
}

static void forward_block(const job *j, block b)
{
    const pooling *v = j->v;
    const pn_step *s = j->s;
    pn_pool p = v->pool;
    p.c = b.n;
    const char *x = reads(j, &b, s->in, image_in(v));
    char *y = writes(j, &b, s->out, image_out(v));
    if (v->op == MEAN) s->k->pool.mean(&p, x, y);
    else if (v->op == NORM) s->k->pool.norm(&p, x, y);
    else maxima(v, s, b.n, x, y, s->out2 == PN_NONE ? NULL : indices(j, &b));
    if (v->op == INDEX) s->k->pool.values(b.n * image_out(v), indices(j, &b), y);
    written(j, &b, s->out, image_out(v), y);
}

/* s: x, the gradient of the output; y, that of the input; z, the indices; of a norm t, its input,
 * and z, its output. */
static void backward_block(const job *j, block b)
{
    const pooling *v = j->v;
    const pn_step *s = j->s;
    pn_pool p = v->pool;
    p.c = b.n;
    const char *gy = reads(j, &b, s->in, image_out(v)),
               *x = v->op == NORM ? reads(j, &b, s->in2, image_in(v)) : NULL;
    const char *y = v->op == NORM ? reads(j, &b, s->out2, image_out(v)) : NULL;
    char *gx = writes(j, &b, s->out, image_in(v));
    if (v->op == MEAN || v->op == NORM) memset(gx, 0, b.n * image_in(v) * s->bytes);
    if (v->op == MEAN) s->k->pool.mean_back(&p, gy, gx);
    else if (v->op == NORM) s->k->pool.norm_back(&p, x, y, gy, gx);
    else maxima_back(v, s, b.n, indices(j, &b), gy, gx);
    written(j, &b, s->out, image_in(v), gx);
}

static void in_blocks(const job *j, size_t lane, void (*run)(const job *j, block b))
{
    const pooling *v = j->v;
    for (size_t i = lane * v->blocks / v->lanes;
         i < (lane + 1) * v->blocks / v->lanes && !pn_stop_now(); i++)
        run(j, block_of(j, lane, i));
}
static void forward_lane(void *context, size_t lane) { in_blocks(context, lane, forward_block); }
static void backward_lane(void *context, size_t lane) { in_blocks(context, lane, backward_block); }
static void run_forward(const pn_step *s, void *const *at)
{
    pn_parallel(((const pooling *)s->own)->lanes, forward_lane, &(job){ s, at, s->own });
}
static void run_backward(const pn_step *s, void *const *at)
{
    pn_parallel(((const pooling *)s->own)->lanes, backward_lane, &(job){ s, at, s->own });
}

/* ---- planning -------------------------------------------------------------------------------- */

/* The windows of one axis of n. count: what a mean divides by along it. */
static const pn_window *windows(pn_builder *b, const pn_node *node, size_t i, size_t n, size_t out)
{
    pn_window *w = pn_plan_own(b, out * sizeof *w);
    const size_t k = setting(node, i, KERNEL), s = setting(node, i, STRIDE),
                 pad = setting(node, i, PADDING), d = setting(node, i, DILATION);
    for (size_t o = 0; w && o < out; o++) {
        if (setting(node, i, SIZE)) {
            const size_t from = o * n / out, to = ((o + 1) * n + out - 1) / out;
            w[o] = (pn_window){ from, to, 1, (double)(to - from) };
            continue;
        }
        /* in the padded axis */
        size_t from = o * s, to = from + d * (k - 1) + 1,
               all = (to < n + 2 * pad ? to : n + 2 * pad) - from;
        if (from < pad) from += (pad - from + d - 1) / d * d;
        from -= pad;
        to = to - pad < n ? to - pad : n;
        /* in the padding alone: empty, but at an index within the channel */
        if (from >= n) from = to = n - 1;
        w[o] = (pn_window){ from, to, d,
                            (double)(node->config[COUNT_PADDING] != 0 ? all : to - from) };
        if (node->config[OP] == NORM) w[o].count /= (double)k;
    }
    return w;
}

static int is_quads(const pn_node *n, const pn_shape *in)
{
    int quads = n->config[OP] == MAXIMUM && axes(n) == 2;
    for (size_t i = 0; i < axes(n); i++)
        quads = quads && setting(n, i, KERNEL) == 2 && setting(n, i, STRIDE) == 2 &&
                !setting(n, i, PADDING) && setting(n, i, DILATION) == 1 && !setting(n, i, SIZE) &&
                2 * n->shape.dim[i + 1] <= in->dim[i + 1];
    return quads;
}

static pooling *plan(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    const pn_shape *in = &b->graph->nodes[n->inputs[0]].shape, *out = &n->shape;
    const size_t k = axes(n);
    pooling *v = pn_plan_own(b, sizeof *v);
    pn_window *whole = pn_plan_own(b, sizeof *whole);
    if (!v || !whole) return NULL;
    *whole = (pn_window){ 0, 1, 1, 1 };
    v->op = (int)n->config[OP];
    v->plain = !b->layout[node];
    v->quads = v->plain && is_quads(n, in);
    v->turns = v->plain && !v->quads;
    v->samples = b->rows;
    v->channels = in->dim[0];
    v->height = k > 1 ? in->dim[1] : 1;
    v->pool = (pn_pool){ .w_size = in->dim[k],
                         .rows = k > 1 ? out->dim[1] : 1,
                         .columns = out->dim[k],
                         .p = n->config[POWER],
                         .divisor = n->config[DIVISOR] };
    v->pool.h = k > 1 ? windows(b, n, 0, v->height, v->pool.rows) : whole;
    v->pool.w = windows(b, n, k - 1, v->pool.w_size, v->pool.columns);
    v->blocks = v->plain ? (b->rows * v->channels + PLANES - 1) / PLANES : b->rows;
    v->lanes = v->blocks < LANES ? v->blocks : LANES;
    v->scratch = v->turns ? (v->op == NORM ? 2 : 1) * (image_in(v) + image_out(v)) * PLANES : 0;
    return v->pool.h && v->pool.w ? v : NULL;
}

const pn_pooling *pn_pooling_of_images(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    if (n->kind != &pn_layer_pooling || n->config[OP] != MAXIMUM) return NULL;
    return b->layout[node] || is_quads(n, &b->graph->nodes[n->inputs[0]].shape) ? plan(b, node)
                                                                                : NULL;
}

static pn_step *add(pn_builder *b, size_t node, const char *what, pn_step_fn *run)
{
    pooling *v = plan(b, node);
    pn_step *s = v ? pn_step_new(b, what, run) : NULL;
    if (!s) return NULL;
    s->own = v;
    s->bytes = pn_size(b->graph->dtype);
    s->work = pn_buffer_new(b, v->lanes * v->scratch);
    return s->work == PN_NONE ? NULL : s;
}

static void uses(pn_builder *b, const pn_step *s)
{
    pn_step_uses(b, s->in);
    pn_step_uses(b, s->out);
    pn_step_uses(b, s->in2);
    pn_step_uses(b, s->out2);
    pn_step_uses(b, s->work);
}

static pn_status forward(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    const int op = (int)n->config[OP],
              marks = op == INDEX || (op == MAXIMUM && b->mode != PN_PREDICT);
    int y = b->value[node] = pn_output_buffer(b, node, op == NORM);
    int index = b->inner[node] = marks ? pn_buffer_new(b, b->rows * pn_count(&n->shape)) : PN_NONE;
    pn_step *s = y == PN_NONE || (marks && index == PN_NONE) ? NULL
                                                             : add(b, node, "pooling", run_forward);
    if (!s) return PN_NO_MEMORY;
    s->in = b->value[n->inputs[0]];
    s->out = y;
    s->out2 = index;
    uses(b, s);
    return PN_OK;
}

static pn_status backward(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    const int norm = n->config[OP] == NORM;
    if (n->config[OP] == INDEX || !pn_wants_gradient(b, n->inputs[0])) return PN_OK;
    int gx = pn_gradient_buffer(b, n->inputs[0], PN_NONE);
    pn_step *s = gx == PN_NONE ? NULL : add(b, node, "pooling gradient", run_backward);
    if (!s) return PN_NO_MEMORY;
    s->in = b->grad[node];
    s->out = gx;
    s->in2 = norm ? b->value[n->inputs[0]] : PN_NONE;
    s->out2 = norm ? b->value[node] : b->inner[node];
    uses(b, s);
    return PN_OK;
}

const pn_layer_kind pn_layer_pooling = {
    "pooling", 1, 1, shape, forward, backward, PN_LAYOUT_PREFERS_NHWC
};
