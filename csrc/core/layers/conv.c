/* conv.c - convolutions in one and two dimensions and transposed convolutions. Each is the gradient
 * of the other.
 *
 * Names refer to the sides of the convolution: x is the input of a convolution and the output of a
 * transposed one, and y is the other side. This file determines shapes and plans the steps.
 * convolve.c runs them. */
#include "convolution.h"
#include "convolve.h"
#include "layers.h"
#include "planes.h"
#include <stdio.h>
#include <string.h>

static const char *const modes[] = { PN_PADDING_MODES(PN_CHOICE_NAME) NULL };
#define MOST 2147483647.0
#define FIELDS(FIELD, T) \
    FIELD(T, FLAG, transposed, ANY, "whether it is a transposed convolution") \
    FIELD(T, COUNT, in_channels, FROM_TO(1, MOST), "channels of the input") \
    FIELD(T, COUNT, out_channels, FROM_TO(1, MOST), "channels of the output") \
    FIELD(T, COUNT, groups, FROM_TO(1, MOST), "number of groups of channels") \
    FIELD(T, FLAG, bias, ANY, "whether there is a bias") \
    FIELD(T, CHOICE, padding_mode, ONE_OF(modes), "values of the padding") \
    FIELD(T, COUNTS, kernel_size, FROM_TO(1, MOST), "size along each of one or two axes") \
    FIELD(T, COUNTS, stride, FROM_TO(1, MOST), "stride along each axis") \
    FIELD(T, COUNTS, dilation, FROM_TO(1, MOST), "dilation along each axis") \
    FIELD(T, COUNTS, padding_before, FROM_TO(0, MOST), "padding at the start of each axis") \
    FIELD(T, COUNTS, padding_after, FROM_TO(0, MOST), "padding at the end of each axis") \
    FIELD(T, COUNTS, output_padding, FROM_TO(0, MOST), \
          "extra elements at the end of each axis of a transposed convolution")
PN_CONFIG(conv_config, FIELDS)
/* limits, in elements: images gathered at once, partial sums of all lanes */
enum { GATHERED = 32768, PARTS = 1 << 22 };

/* ---- shapes ---------------------------------------------------------------------------------- */

/* The output's size along an axis; below 1 if the kernel does not fit. */
static double out_size(const conv_config *c, size_t i, double in)
{
    const double k = (double)c->kernel_size.at[i], s = (double)c->stride.at[i],
                 d = (double)c->dilation.at[i],
                 pad = (double)c->padding_before.at[i] + (double)c->padding_after.at[i];
    if (c->transposed)
        return (in - 1) * s - pad + d * (k - 1) + (double)c->output_padding.at[i] + 1;
    const double room = in + pad - d * (k - 1) - 1;
    return room < 0 ? 0 : (double)(size_t)(room / s) + 1;
}

static pn_status check_padding(const pn_node *node, const pn_shape *input, pn_error *error)
{
    const conv_config *c = pn_config(node);
    for (size_t i = 0; i < c->kernel_size.n; i++) {
        const size_t most = pn_max(c->padding_before.at[i], c->padding_after.at[i]),
                     size = input->dim[i + 1];
        if (c->padding_mode == REFLECT ? most >= size && most > 0
            : c->padding_mode == CIRCULAR
                ? most > size
                : c->padding_mode == REPLICATE && size == 0 && most > 0)
            return pn_fail(error, PN_BAD_SHAPE,
                           "%s: padding %zu does not fit an axis of size %zu in this padding_mode",
                           node->where, most, size);
    }
    return PN_OK;
}

/* An upper bound of the elements planned for one image: both sides in scratch, with borders, for
 * every tap. */
static double extent(const pn_node *n, const pn_shape *in)
{
    const conv_config *c = pn_config(n);
    double all = (double)pn_max(c->in_channels, c->out_channels);
    for (size_t i = 0; i < c->kernel_size.n; i++) {
        const double x = (double)in->dim[i + 1], y = (double)n->shape.dim[i + 1],
                     k = (double)c->kernel_size.at[i], reach = (double)c->dilation.at[i] * k,
                     pad = (double)c->padding_before.at[i] + (double)c->padding_after.at[i];
        all *= 2 * ((x > y ? x : y) + pad + (double)c->stride.at[i] + reach) * k;
    }
    return all;
}

/* Reports that the sample's shape does not fit the weight's (both given as text), with a hint at
 * the likely cause. */
static pn_status misfit(const pn_node *node, const pn_shape *input, const char *sample,
                        const char *weight, pn_error *error)
{
    const conv_config *c = pn_config(node);
    const size_t n = c->kernel_size.n, in = c->in_channels;
    char hint[120] = "", text[80];
    if (input->ndim == n && in == 1)
        snprintf(hint, sizeof hint, "; X[:, None] adds the axis of the channel");
    if (input->ndim == n + 1 && input->dim[n] == in) {
        pn_shape first = { n + 1, { in } };
        memcpy(first.dim + 1, input->dim, n * sizeof *first.dim);
        pn_shape_text(&first, text, sizeof text);
        snprintf(hint, sizeof hint, "; channels come first: %s", text);
    }
    return pn_fail(
        error, PN_BAD_SHAPE,
        "%s: a sample has shape %s, but weight of shape %s needs %zu channel%s and %zu further "
        "ax%s%s",
        node->where, sample, weight, in, in == 1 ? "" : "s", n, n == 1 ? "is" : "es", hint);
}

static pn_status shape(pn_node *node, const pn_shape *const *inputs, pn_dtype t, pn_error *error)
{
    const pn_shape *input = inputs[0];
    (void)t;
    const conv_config *c = pn_config(node);
    const size_t n = c->kernel_size.n, in = c->in_channels, out = c->out_channels,
                 groups = c->groups;
    if ((n != 1 && n != 2) || c->stride.n != n || c->dilation.n != n || c->padding_before.n != n ||
        c->padding_after.n != n || c->output_padding.n != n)
        return pn_fail(error, PN_BAD_VALUE,
                       "%s: a convolution has one or two axes, and each list needs one number per "
                       "axis",
                       node->where);
    if (in % groups || out % groups)
        return pn_fail(error, PN_BAD_VALUE, "%s: groups must divide in_channels and out_channels",
                       node->where);
    pn_shape weight = { 2, { c->transposed ? in : out, (c->transposed ? out : in) / groups } };
    for (size_t i = 0; i < n; i++) weight.dim[weight.ndim++] = c->kernel_size.at[i];
    char a[80], b[80];
    pn_shape_text(input, a, sizeof a);
    pn_shape_text(&weight, b, sizeof b);
    if (input->ndim != n + 1 || input->dim[0] != in) return misfit(node, input, a, b, error);
    node->shape = (pn_shape){ n + 1, { out } };
    for (size_t i = 0; i < n; i++) {
        const double size = out_size(c, i, (double)input->dim[i + 1]);
        if (!(size >= 1 && size < 0x1p31))
            return pn_fail(error, PN_BAD_SHAPE,
                           "%s: a sample of shape %s is too small for a weight of shape %s",
                           node->where, a, b);
        node->shape.dim[i + 1] = (size_t)size;
    }
    pn_slot_add(node, "weight", 0, weight);
    if (c->bias) pn_slot_add(node, "bias", 0, (pn_shape){ 1, { out } });
    if (!(extent(node, input) < 0x1p53))
        return pn_fail(error, PN_BAD_SHAPE, "%s: too large for memory", node->where);
    return check_padding(node, input, error);
}

/* ---- planning -------------------------------------------------------------------------------- */

static ptrdiff_t down(ptrdiff_t a, ptrdiff_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

/* The scratch that an axis needs; that of y covers every tap of every x. */
static void measure(pn_axis *a, int mode)
{
    const size_t reach = a->d * (a->k - 1);
    a->x_padded = pn_max(a->before + a->x, (a->y - 1) * a->s + reach + 1);
    const size_t first = mode == ZEROS ? a->before : 0,
                 end = mode == ZEROS ? a->before + a->x : a->x_padded;
    const ptrdiff_t low = down((ptrdiff_t)first - (ptrdiff_t)reach, (ptrdiff_t)a->s);
    a->y_at = low < 0 ? (size_t)-low : 0;
    a->y_padded = a->y_at + pn_max(a->y, end ? (end - 1) / a->s + 1 : 0);
}

/* y = weight * x. A run is a row of taps, or a single tap if the taps are not adjacent. */
static pn_status plan_forward(pn_builder *b, pn_conv *v)
{
    const pn_axis *h = &v->a[0], *w = &v->a[1];
    const size_t row = w->x_padded * v->xc, runs = v->whole ? h->k : v->taps,
                 steps = v->whole ? w->k * v->c : v->c;
    ptrdiff_t *at = pn_plan_alloc(b, 2 * runs * sizeof *at);
    if (!at) return PN_NO_MEMORY;
    for (size_t r = 0; r < runs; r++) {
        at[r] = (ptrdiff_t)(v->whole ? r * h->d * row
                                     : r / w->k * h->d * row + r % w->k * w->d * v->xc);
        at[runs + r] = (ptrdiff_t)(r * steps * v->width);
    }
    v->forward = (pn_taps){ .runs = runs,
                            .steps = steps,
                            .a_at = at,
                            .b_at = at + runs,
                            .a_row = (ptrdiff_t)(w->s * v->xc),
                            .a_step = 1,
                            .b_step = (ptrdiff_t)v->width,
                            .b_panel = (ptrdiff_t)(v->taps * v->c * v->width),
                            .c_row = (ptrdiff_t)v->yc,
                            .lines = h->y,
                            .m = w->y,
                            .n = v->o,
                            .a_line = (ptrdiff_t)(h->s * row),
                            .c_line = (ptrdiff_t)(w->y * v->yc),
                            .a_image = (ptrdiff_t)v->x_size,
                            .c_image = (ptrdiff_t)(h->y * w->y * v->yc) };
    return PN_OK;
}

/* The transpose, x from y. Pixels of x in the same phase of the strides use the same taps. */
static pn_status plan_back(pn_builder *b, pn_conv *v)
{
    const pn_axis *h = &v->a[0], *w = &v->a[1];
    const size_t row = w->y_padded * v->yc, phases = v->phases[0] * v->phases[1];
    const int zeros = v->mode == ZEROS;
    const size_t deep = v->depthwise ? 1 : v->o, across = v->depthwise ? v->o : v->c;
    const size_t xh = zeros ? h->x : h->x_padded, xw = zeros ? w->x : w->x_padded,
                 image = zeros ? xh * xw * v->xc : v->x_size;
    v->back = pn_plan_alloc(b, phases * sizeof *v->back);
    ptrdiff_t *at = pn_plan_alloc(b, 2 * phases * v->taps * sizeof *at);
    if (!v->back || !at) return PN_NO_MEMORY;
    for (size_t f = 0; f < phases; f++, at += 2 * v->taps) {
        const size_t i = f / v->phases[1], j = f % v->phases[1];
        size_t n = 0;
        for (size_t t = 0; t < v->taps; t++) {
            const ptrdiff_t u = (ptrdiff_t)(i + (zeros ? h->before : 0)) -
                                (ptrdiff_t)(t / w->k * h->d);
            const ptrdiff_t z = (ptrdiff_t)(j + (zeros ? w->before : 0)) -
                                (ptrdiff_t)(t % w->k * w->d);
            if (u % (ptrdiff_t)h->s || z % (ptrdiff_t)w->s) continue;
            at[n] = (u / (ptrdiff_t)h->s + (ptrdiff_t)h->y_at) * (ptrdiff_t)row +
                    (z / (ptrdiff_t)w->s + (ptrdiff_t)w->y_at) * (ptrdiff_t)v->yc;
            at[v->taps + n++] = (ptrdiff_t)(t * deep * v->transpose_width);
        }
        v->back[f] = (pn_taps){ .runs = n,
                                .steps = deep,
                                .a_at = at,
                                .b_at = at + v->taps,
                                .a_row = (ptrdiff_t)v->yc,
                                .a_step = 1,
                                .b_step = (ptrdiff_t)v->transpose_width,
                                .b_panel = (ptrdiff_t)(v->taps * deep * v->transpose_width),
                                .c_row = (ptrdiff_t)(w->s * v->xc),
                                .lines = xh > i ? (xh - i - 1) / h->s + 1 : 0,
                                .m = xw > j ? (xw - j - 1) / w->s + 1 : 0,
                                .n = across,
                                .a_line = (ptrdiff_t)row,
                                .c_line = (ptrdiff_t)(h->s * xw * v->xc),
                                .a_image = (ptrdiff_t)v->y_size,
                                .c_image = (ptrdiff_t)image };
    }
    return PN_OK;
}

/* The weight's gradient from one image: x transposed times the gradient of y. A run is a row of
 * y. */
static pn_status plan_weight(pn_builder *b, pn_conv *v)
{
    const pn_axis *h = &v->a[0], *w = &v->a[1];
    const size_t row = w->x_padded * v->xc;
    ptrdiff_t *at = pn_plan_alloc(b, 2 * h->y * sizeof *at);
    if (!at) return PN_NO_MEMORY;
    for (size_t r = 0; r < h->y; r++) {
        at[r] = (ptrdiff_t)(r * h->s * row);
        at[h->y + r] = (ptrdiff_t)(r * w->y_padded * v->yc);
    }
    v->weight = (pn_taps){ .runs = h->y,
                           .steps = w->y,
                           .a_at = at,
                           .b_at = at + h->y,
                           .a_row = 1,
                           .a_step = (ptrdiff_t)(w->s * v->xc),
                           .b_step = (ptrdiff_t)v->yc,
                           .c_row = (ptrdiff_t)v->width,
                           .lines = h->k,
                           .m = v->whole ? w->k * v->c : v->c,
                           .a_line = (ptrdiff_t)(h->d * row),
                           .c_line = (ptrdiff_t)(w->k * v->c * v->width),
                           .add = 1 };
    if (!v->depthwise) return PN_OK;
    v->weight.m = w->k;
    v->weight.n = v->o;
    v->weight.a_row = (ptrdiff_t)(w->d * v->xc);
    v->weight.b_panel = (ptrdiff_t)(v->taps * v->width);
    return PN_OK;
}

/* Whether scattering each pixel of y to rows of taps takes less work than gathering all taps for
 * each pixel of x. It does if x has few channels, so that a row of taps fills vectors better, or if
 * y has few pixels. The estimate counts vectors. Scattering needs no border of y. */
static int scatters(const pn_conv *v, size_t lanes)
{
    const pn_axis *h = &v->a[0], *w = &v->a[1];
    const size_t pixels = v->mode == ZEROS ? h->x * w->x : h->x_padded * w->x_padded;
    const size_t gathered = pixels * v->taps / (h->s * w->s) * ((v->c + lanes - 1) / lanes),
                 along = ((h->x - 1) * w->y_padded + w->x + lanes - 1) / lanes;
    const size_t planes = pn_planes_fit(v) && 2 * v->c <= lanes ? along * v->c * v->taps : gathered;
    const size_t scattered = h->y * w->y * h->k * ((w->k * v->c + lanes - 1) / lanes);
    return v->whole && h->y >= 4 &&
           (double)scattered * (double)(v->o + 4) * 1.25 <
               (double)pn_min(gathered, planes) * (double)v->o;
}

/* Scatters one image of y to x: for each row of taps, columns of y by columns of x. */
static pn_status plan_scatter(pn_builder *b, pn_conv *v, size_t lanes)
{
    const pn_axis *h = &v->a[0], *w = &v->a[1];
    const size_t row = w->x_padded * v->xc, n = w->k * v->xc,
                 width = (n + lanes - 1) / lanes * lanes;
    const ptrdiff_t *at = pn_plan_alloc(b, sizeof *at);
    if (!at) return PN_NO_MEMORY;
    v->scatter = (pn_taps){ .runs = 1,
                            .steps = v->o,
                            .a_at = at,
                            .b_at = at,
                            .a_row = (ptrdiff_t)(w->y_padded * v->yc),
                            .a_step = 1,
                            .b_step = (ptrdiff_t)width,
                            .b_panel = (ptrdiff_t)b->k->conv.panel_width((size_t)-1 / 2),
                            .c_row = (ptrdiff_t)(h->s * row),
                            .lines = w->y,
                            .m = h->y,
                            .n = n,
                            .a_line = (ptrdiff_t)v->yc,
                            .c_line = (ptrdiff_t)(w->s * v->xc),
                            .add = 1 };
    v->packed_transpose = h->k * v->o * width;
    return PN_OK;
}

/* n channels, rounded up to full panels; 0 if there are no panels. */
static size_t packed_size(size_t n, size_t panel)
{
    return panel ? (n + panel - 1) / panel * panel : 0;
}

/* Sizes of scratch. An array that is already in the form that the products read needs none; y must
 * also consist of whole vectors. */
static void measure_images(const pn_builder *b, pn_conv *v)
{
    pn_axis *h = &v->a[0], *w = &v->a[1];
    const size_t lanes = b->k->conv.panel_width(1);
    v->x_scatters = scatters(v, lanes);
    for (pn_axis *a = h; v->x_scatters && a <= w; a++) a->y_padded = a->y, a->y_at = 0;
    v->x_size = h->x_padded * w->x_padded * v->xc;
    v->y_size = h->y_padded * w->y_padded * v->yc;
    v->out_size = pn_max(v->x_size, h->y * w->y * v->yc);
    v->x_direct = v->x_layout && h->x_padded == h->x && w->x_padded == w->x;
    v->y_direct = v->y_layout && h->y_padded == h->y && w->y_padded == w->y && v->yc % lanes == 0;
    pn_planes_choose(v, lanes);
}

/* Fuses a following activation, and a max pooling after it, if each is the only consumer: they are
 * computed image by image while the image is in cache. Backward takes the activation's derivative
 * from its pooled output. Returns the last fused node. */
static size_t fuse(pn_builder *b, size_t node, pn_conv *v)
{
    size_t end = node;
    const pn_node *next = v->transposed ? NULL : pn_sole_consumer(b, end);
    if (next && next->activation && next->formula.channels <= 1 &&
        (b->mode == PN_PREDICT || next->activation->needs == 'y')) {
        v->has_act = 1;
        b->layout[b->graph->nodes[end].consumer] = b->layout[node];
        b->fused[end = b->graph->nodes[end].consumer] = PN_FUSED_BACK;
        next = pn_sole_consumer(b, end);
    }
    if (!next || next->kind != &pn_layer_pooling) return end;
    b->layout[b->graph->nodes[end].consumer] = b->layout[node];
    v->pool = pn_pooling_of_images(b, b->graph->nodes[end].consumer);
    if (v->pool) b->fused[end = b->graph->nodes[end].consumer] = PN_FUSED_BACK;
    return end;
}

/* Describes both axes: kernel, stride, borders and the number of positions on each side. */
static void plan_axes(const pn_node *n, const pn_shape *x, const pn_shape *y, pn_conv *v)
{
    v->a[0] = (pn_axis){ 1, 1, 1, 0, 1, 1, 1, 1, 0 };
    v->phases[0] = 1;
    const conv_config *c = pn_config(n);
    for (size_t i = 0, from = 2 - c->kernel_size.n; i < c->kernel_size.n; i++) {
        pn_axis *a = &v->a[from + i];
        *a = (pn_axis){ .k = c->kernel_size.at[i],
                        .s = c->stride.at[i],
                        .d = c->dilation.at[i],
                        .before = c->padding_before.at[i],
                        .x = x->dim[i + 1],
                        .y = y->dim[i + 1] };
        measure(a, v->mode);
        v->phases[from + i] = pn_min(a->s, v->mode == ZEROS ? a->x : a->x_padded);
    }
}

/* Makes all decisions of the forward step. The backward step copies them. */
static pn_conv *plan(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    const pn_shape *in = &b->graph->nodes[n->inputs[0]].shape;
    pn_conv *v = pn_plan_alloc(b, sizeof *v);
    if (!v) return NULL;
    v->busy = pn_plan_alloc(b, sizeof *v->busy);
    if (!v->busy) return NULL;
    const conv_config *c = pn_config(n);
    v->transposed = c->transposed;
    v->end = fuse(b, node, v);
    v->mode = c->padding_mode;
    v->groups = c->groups;
    const pn_shape *x = v->transposed ? &n->shape : in, *y = v->transposed ? in : &n->shape;
    v->xc = x->dim[0];
    v->yc = y->dim[0];
    v->depthwise = v->groups > 1 && v->groups == v->xc && v->xc == v->yc;
    if (v->depthwise) v->groups = 1;
    v->c = v->depthwise ? 1 : v->xc / v->groups;
    v->o = v->yc / v->groups;
    plan_axes(n, x, y, v);
    v->taps = v->a[0].k * v->a[1].k;
    v->whole = v->a[1].d == 1 && v->groups == 1 && !v->depthwise;
    const int last = b->layout[n->inputs[0]];
    v->x_layout = v->transposed ? b->layout[node] : last;
    v->y_layout = v->transposed ? last : b->layout[node];
    measure_images(b, v);
    v->width = b->k->conv.panel_width(v->o);
    v->transpose_width = b->k->conv.panel_width(v->c);
    const size_t o_packed = packed_size(v->o, v->width),
                 c_packed = packed_size(v->c, v->transpose_width);
    v->packed = v->groups * o_packed * v->c * v->taps;
    v->packed_transpose = v->groups * c_packed * v->o * v->taps;
    if (v->depthwise) v->transpose_width = v->width, v->packed_transpose = v->packed;
    v->part = v->packed + (v->transposed ? v->xc : v->yc);
    v->lanes = pn_min(b->rows, pn_max(pn_min(b->rows / 4, PN_CONV_LANES), pn_min(b->rows, 8)));
    if (v->lanes > 1) v->lanes = pn_min(v->lanes, pn_max(PARTS / (v->part + 1), 1));
    v->at_once = b->rows ? pn_max(pn_min(GATHERED / (v->x_size + v->y_size + 1),
                                      (b->rows + v->lanes - 1) / v->lanes),
                                1)
                         : 1;
    if (pn_planes_plan(b, v)) return NULL;
    if (v->pool) v->pooled = pn_count(&b->graph->nodes[v->end].shape);
    v->lane_size = v->planes_size + v->at_once * (v->x_size + v->y_size + v->out_size) + 3 * SLACK;
    if (v->pool || v->has_act)
        v->lane_size += v->at_once * v->a[0].y * v->a[1].y * v->yc + v->pooled + SLACK;
    v->lane_size = (v->lane_size + 15) / 16 * 16;
    return plan_forward(b, v) ||
                   (v->x_scatters ? plan_scatter(b, v, b->k->conv.panel_width(1))
                                  : plan_back(b, v)) ||
                   plan_weight(b, v)
             ? NULL
             : v;
}

static double flops(const pn_builder *b, const pn_conv *v)
{
    return 2.0 * (double)b->rows * (double)(v->a[0].y * v->a[1].y * v->yc) *
           (double)(v->c * v->taps);
}

static pn_step *step(pn_builder *b, size_t node, pn_conv *v, const char *what, pn_step_fn *run)
{
    pn_step *s = pn_step_new(b, what, run);
    const pn_node *act = v->has_act ? &b->graph->nodes[b->graph->nodes[node].consumer] : NULL;
    if (!s) return NULL;
    s->args = v;
    s->rows = b->rows;
    s->bytes = pn_size(b->graph->dtype);
    return act && pn_step_function(b, s, b->graph->nodes[node].consumer) ? NULL : s;
}

static pn_status uses(pn_builder *b, const pn_step *s)
{
    if (s->out2 == PN_NONE || s->work == PN_NONE) return PN_NO_MEMORY;
    pn_step_uses(b, s->in);
    pn_step_uses(b, s->out);
    pn_step_uses(b, s->in2);
    pn_step_uses(b, s->out2);
    pn_step_uses(b, s->work);
    return PN_OK;
}

static pn_status forward(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    /* few channels: see planes.c */
    if (n->shape.dim[0] * 2 > b->k->conv.panel_width(1)) pn_channels_last(b, node);
    pn_conv *v = b->planned[node] = plan(b, node);
    if (!v) return PN_NO_MEMORY;
    const int marks = v->pool && b->mode != PN_PREDICT;
    v->value = b->value[v->end] = pn_output_buffer(b, v->end, v->has_act);
    v->index = marks ? pn_buffer_new(b, b->rows * v->pooled) : PN_NONE;
    if (v->value == PN_NONE || (marks && v->index == PN_NONE)) return PN_NO_MEMORY;
    const char *const names[] = { "convolution", "convolution + activation",
                                  "convolution + pooling", "convolution + activation + pooling" };
    pn_step *s = step(b, node, v,
                      v->transposed ? "transposed convolution"
                                    : names[v->has_act + 2 * (v->pool != NULL)],
                      pn_conv_forward);
    if (!s) return PN_NO_MEMORY;
    s->flops = flops(b, v);
    s->in = b->value[n->inputs[0]];
    s->out = v->value;
    s->in2 = v->index;
    s->out2 = pn_buffer_new(b, (v->transposed ? v->packed_transpose : v->packed) + SLACK);
    s->work = pn_buffer_new(b, v->lanes * v->lane_size);
    s->epilogue.bias = n->n_slots > BIAS ? n->slots[BIAS].data : NULL;
    return uses(b, s);
}

static pn_status backward(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    pn_conv *v = pn_plan_alloc(b, sizeof *v);
    if (!v) return PN_NO_MEMORY;
    *v = *(const pn_conv *)b->planned[node];
    v->wants = pn_needs_gradient(b, n->inputs[0]);
    v->wants_weight = n->slots[WEIGHT].grad != NULL;
    v->wants_bias = n->n_slots > BIAS && n->slots[BIAS].grad;
    for (size_t j = 0; j < n->n_slots; j++) v->accumulates[j] = pn_accumulates(b, node, j);
    int gx = v->wants ? pn_gradient_buffer(b, n->inputs[0], PN_NONE) : PN_NONE;
    pn_step *s = v->wants && gx == PN_NONE
                   ? NULL
                   : step(b, node, v, "convolution gradients", pn_conv_backward);
    if (!s) return PN_NO_MEMORY;
    s->flops = (v->wants + v->wants_weight) * flops(b, v);
    s->in = v->transposed ? b->grad[node] : b->value[n->inputs[0]];
    s->in2 = v->transposed ? b->value[n->inputs[0]] : b->grad[node];
    s->out = gx;
    const size_t packed = v->transposed ? v->packed : v->packed_transpose;
    s->out2 = pn_buffer_new(b, v->lanes * v->part + packed + SLACK);
    s->work = pn_buffer_new(b, v->lanes * v->lane_size);
    if (v->has_act) pn_step_uses(b, v->value);
    pn_step_uses(b, v->index);
    return uses(b, s);
}

const pn_layer_kind pn_layer_conv = {
    "conv", 1, 1, shape, forward, backward, PN_LAYOUT_ASKS, conv_config_fields
};
