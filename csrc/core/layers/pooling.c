/* pooling.c - pooling over one axis or two. Windows are tables, so plain, dilated and adaptive
 * pooling share one path. The kernels read images with channels last. A block of planes of a plain
 * array, from any samples, is transposed into such an image and back, except for maxima of adjacent
 * 2 x 2 windows, where lanes run along a plane's rows. */
#include "pooling.h"
#include "layers.h"
#include <string.h>

#define OPERATIONS(CHOICE) \
    CHOICE(MAXIMUM, "max") CHOICE(INDEX, "max_index") CHOICE(MEAN, "mean") CHOICE(NORM, "norm")
enum { OPERATIONS(PN_CHOICE_CONSTANT) };
static const char *const operations[] = { OPERATIONS(PN_CHOICE_NAME) NULL };
#define MOST 2147483647.0
#define FIELDS(FIELD, T) \
    FIELD(T, CHOICE, operation, ONE_OF(operations), "operation on each window") \
    FIELD(T, NUMBER, power, ANY, "power of a norm") \
    FIELD(T, NUMBER, divisor, ANY, "divisor of a mean; 0: the number of elements of the window") \
    FIELD(T, FLAG, count_include_pad, ANY, "whether that number includes padding") \
    FIELD(T, FLAG, ceil_mode, ANY, "whether a window may extend beyond the end") \
    FIELD(T, COUNTS, kernel_size, FROM_TO(1, MOST), "size along each of one or two axes") \
    FIELD(T, COUNTS, stride, FROM_TO(1, MOST), "stride along each axis") \
    FIELD(T, COUNTS, padding, FROM_TO(0, MOST), "padding at both ends of each axis") \
    FIELD(T, COUNTS, dilation, FROM_TO(1, MOST), "dilation along each axis") \
    FIELD(T, COUNTS, output_size, FROM_TO(0, MOST), "size for adaptive pooling, otherwise 0")
PN_CONFIG(pooling_config, FIELDS)
enum { PLANES = 16, LANES = 32 };

struct pn_pooling {
    pn_pool pool;                               /* except the number of channels of a block */
    /* scratch: elements per lane, for plain arrays */
    size_t samples, channels, height, blocks, lanes, scratch;
    /* quads: maxima of adjacent 2 x 2 windows of plain arrays; transposes: other poolings of plain
     * arrays */
    int op, plain, quads, transposes;
};
typedef pn_pooling pooling;

/* ---- shapes ---------------------------------------------------------------------------------- */

/* The output's size along an axis; 0 if no window fits. With ceil_mode a window may extend past the
 * end, but must not start after it. */
static size_t out_size(const pooling_config *c, size_t i, size_t in)
{
    const size_t s = c->stride.at[i], pad = c->padding.at[i],
                 reach = c->dilation.at[i] * (c->kernel_size.at[i] - 1) + 1;
    if (c->output_size.at[i]) return c->output_size.at[i];
    const size_t more = c->ceil_mode ? s - 1 : 0;
    if (in + 2 * pad + more < reach) return 0;
    const size_t out = (in + 2 * pad - reach + more) / s + 1;
    return c->ceil_mode && (out - 1) * s >= in + pad ? out - 1 : out;
}

static pn_status shape(pn_node *node, const pn_shape *const *inputs, pn_dtype t, pn_error *error)
{
    const pn_shape *input = inputs[0];
    const pooling_config *c = pn_config(node);
    const size_t n = c->kernel_size.n;
    if ((n != 1 && n != 2) || c->stride.n != n || c->padding.n != n || c->dilation.n != n ||
        c->output_size.n != n)
        return pn_fail(error, PN_BAD_VALUE,
                       "%s: pooling has one or two axes, and each list needs one number per axis",
                       node->where);
    char text[80];
    pn_shape_text(input, text, sizeof text);
    if (input->ndim != n + 1)
        return pn_fail(error, PN_BAD_SHAPE,
                       "%s: a sample has shape %s instead of (channels, %s)", node->where, text,
                       n == 1 ? "length" : "height, width");
    node->shape = *input;
    for (size_t i = 0; i < n; i++) {
        const size_t k = c->kernel_size.at[i], pad = c->padding.at[i], d = c->dilation.at[i];
        if (2 * pad > d * (k - 1) + 1)
            return pn_fail(error, PN_BAD_VALUE,
                           "%s: padding %zu is more than half of a window of %zu with dilation %zu",
                           node->where, pad, k, d);
        node->shape.dim[i + 1] = out_size(c, i, input->dim[i + 1]);
        if (node->shape.dim[i + 1] == 0 || input->dim[i + 1] == 0)
            return pn_fail(
                error, PN_BAD_SHAPE,
                "%s: a sample of shape %s is too small for a window of %zu with dilation %zu "
                "along axis %zu",
                node->where, text, k, d, i + 1);
    }
    if (c->operation == INDEX && t == PN_F32 &&
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

/* A block of planes of plain arrays, or one image: its first plane, the number of planes, and the
 * remaining scratch of its lane. */
typedef struct { size_t first, n; char *scratch; } block;
static block block_of(const job *j, size_t lane, size_t i)
{
    const pooling *v = j->v;
    const size_t planes = v->samples * v->channels, first = v->plain ? i * PLANES : i * v->channels;
    const size_t n = !v->plain ? v->channels : planes - first < PLANES ? planes - first : PLANES;
    return (block){ first, n, (char *)j->at[j->s->work] + lane * v->scratch * j->s->bytes };
}

/* The block's part of a buffer for the kernel to read: in place, or transposed into scratch. */
static char *reads(const job *j, block *b, int buffer, size_t pixels)
{
    char *from = (char *)j->at[buffer] + b->first * pixels * j->s->bytes, *to = b->scratch;
    if (!j->v->transposes) return from;
    j->s->k->transpose(b->n, pixels, from, pixels, to, b->n);
    b->scratch += pixels * PLANES * j->s->bytes;
    return to;
}
/* Where the kernel writes; written() then copies to the buffer if necessary. */
static char *writes(const job *j, block *b, int buffer, size_t pixels)
{
    char *to = b->scratch;
    if (!j->v->transposes) to = (char *)j->at[buffer] + b->first * pixels * j->s->bytes;
    if (j->v->transposes) b->scratch += pixels * PLANES * j->s->bytes;
    return to;
}
static void written(const job *j, const block *b, int buffer, size_t pixels, const char *from)
{
    if (j->v->transposes)
        j->s->k->transpose(pixels, b->n, from, b->n,
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

/* s->in: gradient of the output; s->out: gradient of the input; s->out2: indices. For a norm,
 * s->in2 is its input and s->out2 its output. */
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
    pn_parallel(((const pooling *)s->args)->lanes, forward_lane, &(job){ s, at, s->args });
}
static void run_backward(const pn_step *s, void *const *at)
{
    pn_parallel(((const pooling *)s->args)->lanes, backward_lane, &(job){ s, at, s->args });
}

/* ---- planning -------------------------------------------------------------------------------- */

/* The windows along one axis of n elements. count: the divisor of a mean along it. */
static const pn_window *windows(pn_builder *b, const pn_node *node, size_t i, size_t n, size_t out)
{
    pn_window *w = pn_plan_alloc(b, out * sizeof *w);
    const pooling_config *c = pn_config(node);
    const size_t k = c->kernel_size.at[i], s = c->stride.at[i], pad = c->padding.at[i],
                 d = c->dilation.at[i];
    for (size_t o = 0; w && o < out; o++) {
        if (c->output_size.at[i]) {
            const size_t from = o * n / out, to = ((o + 1) * n + out - 1) / out;
            w[o] = (pn_window){ from, to, 1, (double)(to - from) };
            continue;
        }
        /* in the padded axis */
        size_t from = o * s, to = from + d * (k - 1) + 1,
               all = pn_min(to, n + 2 * pad) - from;
        if (from < pad) from += (pad - from + d - 1) / d * d;
        from -= pad;
        to = pn_min(to - pad, n);
        /* a window of padding alone is empty, but has a valid index */
        if (from >= n) from = to = n - 1;
        w[o] = (pn_window){ from, to, d,
                            (double)(c->count_include_pad ? all : to - from) };
        if (c->operation == NORM) w[o].count /= (double)k;
    }
    return w;
}

static int operation_of(const pn_node *n)
{
    return ((const pooling_config *)pn_config(n))->operation;
}

static int is_quads(const pn_node *n, const pn_shape *in)
{
    const pooling_config *c = pn_config(n);
    int quads = c->operation == MAXIMUM && c->kernel_size.n == 2;
    for (size_t i = 0; i < c->kernel_size.n; i++)
        quads = quads && c->kernel_size.at[i] == 2 && c->stride.at[i] == 2 && !c->padding.at[i] &&
                c->dilation.at[i] == 1 && !c->output_size.at[i] &&
                2 * n->shape.dim[i + 1] <= in->dim[i + 1];
    return quads;
}

static pooling *plan(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    const pn_shape *in = &b->graph->nodes[n->inputs[0]].shape, *out = &n->shape;
    const pooling_config *c = pn_config(n);
    const size_t k = c->kernel_size.n;
    pooling *v = pn_plan_alloc(b, sizeof *v);
    pn_window *whole = pn_plan_alloc(b, sizeof *whole);
    if (!v || !whole) return NULL;
    *whole = (pn_window){ 0, 1, 1, 1 };
    v->op = c->operation;
    v->plain = !b->layout[node];
    v->quads = v->plain && is_quads(n, in);
    v->transposes = v->plain && !v->quads;
    v->samples = b->rows;
    v->channels = in->dim[0];
    v->height = k > 1 ? in->dim[1] : 1;
    v->pool = (pn_pool){ .w_size = in->dim[k],
                         .rows = k > 1 ? out->dim[1] : 1,
                         .columns = out->dim[k],
                         .p = c->power,
                         .divisor = c->divisor };
    v->pool.h = k > 1 ? windows(b, n, 0, v->height, v->pool.rows) : whole;
    v->pool.w = windows(b, n, k - 1, v->pool.w_size, v->pool.columns);
    v->blocks = v->plain ? (b->rows * v->channels + PLANES - 1) / PLANES : b->rows;
    v->lanes = v->blocks < LANES ? v->blocks : LANES;
    const size_t images = v->op == NORM ? 2 : 1;
    v->scratch = v->transposes ? images * (image_in(v) + image_out(v)) * PLANES : 0;
    return v->pool.h && v->pool.w ? v : NULL;
}

const pn_pooling *pn_pooling_of_images(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    if (n->kind != &pn_layer_pooling || operation_of(n) != MAXIMUM) return NULL;
    return b->layout[node] || is_quads(n, &b->graph->nodes[n->inputs[0]].shape) ? plan(b, node)
                                                                                : NULL;
}

static pn_step *add(pn_builder *b, size_t node, const char *what, pn_step_fn *run)
{
    pooling *v = plan(b, node);
    pn_step *s = v ? pn_step_new(b, what, run) : NULL;
    if (!s) return NULL;
    s->args = v;
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
    const int op = operation_of(n),
              marks = op == INDEX || (op == MAXIMUM && b->mode != PN_PREDICT);
    int y = b->value[node] = pn_output_buffer(b, node, op == NORM);
    int index = marks ? pn_buffer_new(b, b->rows * pn_count(&n->shape)) : PN_NONE;
    b->preactivation[node] = index;
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
    const int norm = operation_of(n) == NORM;
    if (operation_of(n) == INDEX || !pn_needs_gradient(b, n->inputs[0])) return PN_OK;
    int gx = pn_gradient_buffer(b, n->inputs[0], PN_NONE);
    pn_step *s = gx == PN_NONE ? NULL : add(b, node, "pooling gradient", run_backward);
    if (!s) return PN_NO_MEMORY;
    s->in = b->grad[node];
    s->out = gx;
    s->in2 = norm ? b->value[n->inputs[0]] : PN_NONE;
    s->out2 = norm ? b->value[node] : b->preactivation[node];
    uses(b, s);
    return PN_OK;
}

const pn_layer_kind pn_layer_pooling = {
    "pooling", 1, 1, shape, forward, backward, PN_LAYOUT_PREFERS_NHWC, pooling_config_fields
};
