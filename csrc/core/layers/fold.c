/* fold.c - copies windows of images to columns (unfold), and sums columns back into images (fold),
 * which is its transpose. A plane (height, width) corresponds to columns (kernel elements,
 * windows); planes are independent. */
#include "layers.h"
#include "../graph/builder.h"
#include <string.h>

#define MOST 2147483647.0
#define FIELDS(FIELD, T) \
    FIELD(T, FLAG, fold, ANY, "whether columns become images") \
    FIELD(T, COUNTS, size, FROM_TO(0, MOST), "height and width of the images") \
    FIELD(T, COUNTS, kernel_size, FROM_TO(1, MOST), "size along both axes") \
    FIELD(T, COUNTS, stride, FROM_TO(1, MOST), "distance between windows") \
    FIELD(T, COUNTS, dilation, FROM_TO(1, MOST), "distance between elements of a window") \
    FIELD(T, COUNTS, padding, FROM_TO(0, MOST), "zeros at both ends")
PN_CONFIG(fold_config, FIELDS)

typedef struct { size_t n, k, s, d, pad, windows; } axis;
typedef struct { axis h, w; size_t planes; int add; } fold;

/* One of the two axes; windows: how many fit. */
static axis axis_of(const pn_node *node, size_t i)
{
    const fold_config *c = pn_config(node);
    axis a = { c->size.at[i],     c->kernel_size.at[i], c->stride.at[i],
               c->dilation.at[i], c->padding.at[i],     0 };
    const size_t reach = a.d * (a.k - 1) + 1, room = a.n + 2 * a.pad;
    if (room >= reach) a.windows = (room - reach) / a.s + 1;
    return a;
}

static pn_status shape(pn_node *node, const pn_shape *const *inputs, pn_dtype t, pn_error *error)
{
    const pn_shape *input = inputs[0];
    char text[80];
    (void)t;
    const fold_config *c = pn_config(node);
    if (c->size.n != 2 || c->kernel_size.n != 2 || c->stride.n != 2 || c->dilation.n != 2 ||
        c->padding.n != 2)
        return pn_fail(error, PN_BAD_VALUE, "%s: each list needs two numbers", node->where);
    const axis h = axis_of(node, 0), w = axis_of(node, 1);
    const size_t taps = h.k * w.k, windows = h.windows * w.windows;
    pn_shape_text(input, text, sizeof text);
    if (windows == 0)
        return pn_fail(error, PN_BAD_SHAPE,
                       "%s: a window of (%zu, %zu) does not fit an image of (%zu, %zu)",
                       node->where, h.k, w.k, h.n, w.n);
    if (!c->fold) {
        if (input->ndim != 3 || input->dim[1] != h.n || input->dim[2] != w.n)
            return pn_fail(error, PN_BAD_SHAPE,
                           "%s: a sample has shape %s instead of (channels, %zu, %zu)", node->where,
                           text, h.n, w.n);
        node->shape = (pn_shape){ 2, { input->dim[0] * taps, windows } };
        return PN_OK;
    }
    if (input->ndim != 2 || input->dim[0] % taps || input->dim[1] != windows)
        return pn_fail(
            error, PN_BAD_SHAPE,
            "%s: a sample has shape %s instead of (channels * %zu, %zu), the columns of an image "
            "of (%zu, %zu)",
            node->where, text, taps, windows, h.n, w.n);
    node->shape = (pn_shape){ 3, { input->dim[0] / taps, h.n, w.n } };
    return PN_OK;
}

/* Sets the range of windows of an axis whose element k lies inside the image. */
static void inside(const axis *a, size_t k, size_t *from, size_t *to)
{
    const size_t at = k * a->d;
    *from = at >= a->pad ? 0 : (a->pad - at + a->s - 1) / a->s;
    *to = a->n + a->pad > at ? (a->n + a->pad - at - 1) / a->s + 1 : 0;
    if (*to > a->windows) *to = a->windows;
    if (*from > *to) *from = *to;
}


/* Processes one plane. If fold.add, columns are read and added to the image, else the image is
 * read. */
static void plane(void *context, size_t i)
{
    const pn_step_job *j = context;
    const fold *f = j->s->args;
    const size_t size = j->s->bytes, image = f->h.n * f->w.n, windows = f->h.windows * f->w.windows,
                 columns = f->h.k * f->w.k * windows;
    const char *x = (const char *)j->at[j->s->in] + i * (f->add ? columns : image) * size;
    char *y = (char *)j->at[j->s->out] + i * (f->add ? image : columns) * size;
    memset(y, 0, (f->add ? image : columns) * size);
    for (size_t k = 0; k < f->h.k * f->w.k; k++) {
        size_t r, rows, from, to;
        inside(&f->h, k / f->w.k, &r, &rows);
        inside(&f->w, k % f->w.k, &from, &to);
        for (; r < rows && from < to; r++) {
            const size_t pixel = (r * f->h.s + k / f->w.k * f->h.d - f->h.pad) * f->w.n +
                                 from * f->w.s + k % f->w.k * f->w.d - f->w.pad;
            const size_t column = k * windows + r * f->w.windows + from;
            const size_t x_at = f->add ? column : pixel, y_at = f->add ? pixel : column;
            j->s->k->conv.add_strided(to - from, x + x_at * size, f->add ? 1 : f->w.s,
                                      y + y_at * size, f->add ? f->w.s : 1);
        }
    }
}

static void run(const pn_step *s, void *const *at)
{
    pn_parallel(((const fold *)s->args)->planes, plane, &(pn_step_job){ s, at });
}

static int is_fold(const pn_node *n) { return ((const fold_config *)pn_config(n))->fold; }

static pn_status add(pn_builder *b, size_t node, int add, int x, int y)
{
    const pn_node *n = &b->graph->nodes[node];
    const pn_shape *image = is_fold(n) ? &n->shape
                                                  : &b->graph->nodes[n->inputs[0]].shape;
    pn_step *s = y == PN_NONE ? NULL : pn_step_new(b, add ? "fold" : "unfold", run);
    fold *f = s ? pn_plan_alloc(b, sizeof *f) : NULL;
    if (!f) return PN_NO_MEMORY;
    *f = (fold){ axis_of(n, 0), axis_of(n, 1), b->rows * image->dim[0], add };
    s->args = f;
    s->bytes = pn_size(b->graph->dtype);
    s->in = x;
    s->out = y;
    pn_step_uses(b, x);
    pn_step_uses(b, y);
    return PN_OK;
}

static pn_status forward(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    int y = b->value[node] = pn_output_buffer(b, node, 0);
    return add(b, node, is_fold(n), b->value[n->inputs[0]], y);
}

static pn_status backward(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    if (!pn_needs_gradient(b, n->inputs[0])) return PN_OK;
    return add(b, node, !is_fold(n), b->grad[node],
               pn_gradient_buffer(b, n->inputs[0], PN_NONE));
}

const pn_layer_kind pn_layer_fold = {
    "fold", 1, 1, shape, forward, backward, PN_LAYOUT_NCHW, fold_config_fields
};
