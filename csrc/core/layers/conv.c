/* conv.c - convolutions in one and two dimensions and their transposes, which are each other's gradients.
 *
 * Both are spoken of by the convolution's sides: x is its input and the transpose's output, y the other. An image is copied into scratch
 * with its channels last and the border that padding gives it, in which every product is a pn_taps; images go in lanes, each with its
 * own scratch and its own sums for the weight's gradient, added in order, so that bits do not depend on threads. */
#include "convolution.h"
#include <string.h>

enum { TRANSPOSED, IN, OUT, GROUPS, HAS_BIAS, MODE, AXES, PER_AXIS = 6 };   /* config; for each axis then kernel_size and what follows */
enum { KERNEL, STRIDE, DILATION, BEFORE, AFTER, EXTRA };
enum { GATHERED = 32768, PARTS = 1 << 22 };     /* elements: of images gathered at once, of all lanes' sums */

/* ---- shapes -------------------------------------------------------------------------------------------------------- */

static double setting(const pn_node *n, size_t axis, int what) { return n->config[AXES + axis * PER_AXIS + (size_t)what]; }
static size_t axes(const pn_node *n) { return (n->n_config - AXES) / PER_AXIS; }

/* The output's size along an axis, below 1 where there is no room. */
static double out_size(const pn_node *n, size_t i, double in)
{
    const double k = setting(n, i, KERNEL), s = setting(n, i, STRIDE), d = setting(n, i, DILATION), pad = setting(n, i, BEFORE) + setting(n, i, AFTER);
    if (n->config[TRANSPOSED] != 0) return (in - 1) * s - pad + d * (k - 1) + setting(n, i, EXTRA) + 1;
    const double room = in + pad - d * (k - 1) - 1;
    return room < 0 ? 0 : (double)(size_t)(room / s) + 1;
}

static pn_status check_padding(const pn_node *node, const pn_shape *input, pn_error *error)
{
    for (size_t i = 0; i < axes(node); i++) {
        const double most = setting(node, i, BEFORE) > setting(node, i, AFTER) ? setting(node, i, BEFORE) : setting(node, i, AFTER);
        const double size = (double)input->dim[i + 1];
        if (node->config[MODE] == REFLECT ? most >= size && most > 0 : node->config[MODE] == CIRCULAR ? most > size : node->config[MODE] == REPLICATE && size == 0 && most > 0)
            return pn_fail(error, PN_BAD_SHAPE, "%s: padding %g does not fit an axis of size %g in this padding_mode", node->where, most, size);
    }
    return PN_OK;
}

static pn_status shape(pn_node *node, const pn_shape *const *inputs, pn_dtype t, pn_error *error)
{
    const pn_shape *input = inputs[0];
    (void)t;
    if (node->n_config != AXES + PER_AXIS && node->n_config != AXES + 2 * PER_AXIS)
        return pn_fail(error, PN_BAD_VALUE, "%s: a convolution has one axis or two", node->where);
    for (size_t i = 0; i < node->n_config; i++)
        if (!(node->config[i] >= 0 && node->config[i] < 0x1p31)) return pn_fail(error, PN_BAD_VALUE, "%s: setting %zu is %g", node->where, i, node->config[i]);
    const size_t n = axes(node), in = (size_t)node->config[IN], out = (size_t)node->config[OUT], groups = (size_t)node->config[GROUPS];
    if (in == 0 || out == 0 || groups == 0 || in % groups || out % groups)
        return pn_fail(error, PN_BAD_VALUE, "%s: groups must divide the channels, of which there must be some", node->where);
    pn_shape weight = { 2, { node->config[TRANSPOSED] != 0 ? in : out, (node->config[TRANSPOSED] != 0 ? out : in) / groups } };
    for (size_t i = 0; i < n; i++) {
        if (setting(node, i, KERNEL) < 1 || setting(node, i, STRIDE) < 1 || setting(node, i, DILATION) < 1)
            return pn_fail(error, PN_BAD_VALUE, "%s: kernel_size, stride and dilation must be at least 1", node->where);
        weight.dim[weight.ndim++] = (size_t)setting(node, i, KERNEL);
    }
    char a[80], b[80];
    pn_shape_text(input, a, sizeof a);
    pn_shape_text(&weight, b, sizeof b);
    if (input->ndim != n + 1 || input->dim[0] != in)
        return pn_fail(error, PN_BAD_SHAPE, "%s: a sample of shape %s is not %zu channels with %zu axes (weight has shape %s)", node->where, a, in, n, b);
    node->shape = (pn_shape){ n + 1, { out } };
    for (size_t i = 0; i < n; i++) {
        const double size = out_size(node, i, (double)input->dim[i + 1]);
        if (!(size >= 1 && size < 0x1p31))
            return pn_fail(error, PN_BAD_SHAPE, "%s: nothing is left of a sample of shape %s under a weight of shape %s", node->where, a, b);
        node->shape.dim[i + 1] = (size_t)size;
    }
    node->n_slots = node->config[HAS_BIAS] != 0 ? 2 : 1;
    node->slots[WEIGHT].shape = weight;
    node->slots[BIAS].shape = (pn_shape){ 1, { out } };
    return check_padding(node, input, error);
}

/* ---- images in scratch --------------------------------------------------------------------------------------------- */

/* Where position i of the padded axis, before the x axis begins to count, stands in x. */
static size_t source(int mode, ptrdiff_t i, ptrdiff_t n)
{
    if (mode == REFLECT) i = i < 0 ? -i : i >= n ? 2 * n - 2 - i : i;
    else if (mode == CIRCULAR) i = (i + n) % n;
    else i = i < 0 ? 0 : i >= n ? n - 1 : i;
    return (size_t)i;
}

typedef struct { size_t h, w, c, row, at; } place;     /* an image in scratch: sizes, elements from row to row and before its first */

/* Copies one image into scratch. */
static void fill(const pn_step *s, const char *image, int last, const place *p, char *scratch)
{
    const size_t size = s->bytes, row = p->w * p->c;
    scratch += p->at * size;
    if (last) {
        for (size_t r = 0; r < p->h; r++) memcpy(scratch + r * p->row * size, image + r * row * size, row * size);
        return;
    }
    if (p->row == row) s->k->turn(p->c, p->h * p->w, image, p->h * p->w, scratch, p->c);
    else for (size_t r = 0; r < p->h; r++) s->k->turn(p->c, p->w, image + r * p->w * size, p->h * p->w, scratch + r * p->row * size, p->c);
}

/* And back out of it. */
static void emit(const pn_step *s, const char *scratch, const place *p, char *image, int last)
{
    const size_t size = s->bytes, row = p->w * p->c;
    scratch += p->at * size;
    if (last) {
        for (size_t r = 0; r < p->h; r++) memcpy(image + r * row * size, scratch + r * p->row * size, row * size);
        return;
    }
    if (p->row == row) s->k->turn(p->h * p->w, p->c, scratch, p->c, image, p->h * p->w);
    else for (size_t r = 0; r < p->h; r++) s->k->turn(p->w, p->c, scratch + r * p->row * size, p->c, image + r * p->w * size, p->h * p->w);
}

/* Fills the border of x with what the mode takes from within. */
static void pad(const pn_step *s, const pn_conv *v, char *scratch)
{
    const pn_axis *h = &v->a[0], *w = &v->a[1];
    const size_t pixel = v->xc * s->bytes, row = w->x_room * pixel;
    for (size_t r = h->before; r < h->before + h->x; r++)
        for (size_t i = 0; i < w->x_room; i++)
            if (i < w->before || i >= w->before + w->x)
                memcpy(scratch + r * row + i * pixel, scratch + r * row + (w->before + source(v->mode, (ptrdiff_t)(i - w->before), (ptrdiff_t)w->x)) * pixel, pixel);
    for (size_t r = 0; r < h->x_room; r++)
        if (r < h->before || r >= h->before + h->x)
            memcpy(scratch + r * row, scratch + (h->before + source(v->mode, (ptrdiff_t)(r - h->before), (ptrdiff_t)h->x)) * row, row);
}

/* The gradient of that: adds the border to where it came from. */
static void unpad(const pn_step *s, const pn_conv *v, char *scratch)
{
    const pn_axis *h = &v->a[0], *w = &v->a[1];
    const size_t pixel = v->xc * s->bytes, row = w->x_room * pixel;
    for (size_t r = 0; r < h->x_room; r++) {
        if (r >= h->before && r < h->before + h->x) continue;
        char *to = scratch + (h->before + source(v->mode, (ptrdiff_t)(r - h->before), (ptrdiff_t)h->x)) * row;
        s->k->add(w->x_room * v->xc, to, scratch + r * row, to);
    }
    for (size_t r = h->before; r < h->before + h->x; r++)
        for (size_t i = 0; i < w->x_room; i++) {
            if (i >= w->before && i < w->before + w->x) continue;
            char *to = scratch + r * row + (w->before + source(v->mode, (ptrdiff_t)(i - w->before), (ptrdiff_t)w->x)) * pixel;
            s->k->add(v->xc, to, scratch + r * row + i * pixel, to);
        }
}

static place x_place(const pn_conv *v)
{
    const pn_axis *h = &v->a[0], *w = &v->a[1];
    return (place){ h->x, w->x, v->xc, w->x_room * v->xc, (h->before * w->x_room + w->before) * v->xc };
}
static place y_place(const pn_conv *v)
{
    const pn_axis *h = &v->a[0], *w = &v->a[1];
    return (place){ h->y, w->y, v->yc, w->y_room * v->yc, (h->y_at * w->y_room + w->y_at) * v->yc };
}
static place dense(size_t h, size_t w, size_t c) { return (place){ h, w, c, w * c, 0 }; }

/* ---- running ------------------------------------------------------------------------------------------------------- */

static const char *images(const char *array, const pn_step *s, size_t i, size_t h, size_t w, size_t c) { return array + i * h * w * c * s->bytes; }

/* n images of y from those of x in scratch xs, to image i of the array y. */
static void y_from_x(const pn_conv_job *j, size_t i, size_t n, const char *xs, char *out, const char *bias, char *y)
{
    const pn_conv *v = j->v;
    const pn_step *s = j->s;
    const size_t size = s->bytes, image = v->a[0].y * v->a[1].y * v->yc * size;
    char *to = v->y_layout ? y + i * image : out;
    for (size_t g = 0; g < v->groups; g++)
        s->k->conv.taps(&v->forward, n, xs + g * v->c * size, j->weight + g * (v->packed / v->groups) * size, bias ? bias + g * v->o * size : NULL,
                        to + g * v->o * size);
    const place p = dense(v->a[0].y, v->a[1].y, v->yc);
    for (size_t k = 0; k < n && !v->y_layout; k++) emit(s, out + k * image, &p, y + (i + k) * image, 0);
}

/* n images of x from those of y in scratch ys, one phase of the strides after the other, to image i of the array x. */
static void x_from_y(const pn_conv_job *j, size_t i, size_t n, const char *ys, char *out, const char *bias, char *x)
{
    const pn_conv *v = j->v;
    const pn_step *s = j->s;
    const size_t size = s->bytes, image = v->a[0].x * v->a[1].x * v->xc * size;
    const int direct = v->x_layout && v->mode == ZEROS;
    char *to = direct ? x + i * image : out;
    const size_t rows = v->mode == ZEROS ? v->a[1].x : v->a[1].x_room, step = v->mode == ZEROS ? image : v->x_size * size;
    for (size_t g = 0; g < v->groups; g++)
        for (size_t f = 0; f < v->a[0].s * v->a[1].s; f++)
            s->k->conv.taps(&v->back[f], n, ys + g * v->o * size, j->turned + g * (v->turned / v->groups) * size, bias ? bias + g * v->c * size : NULL,
                            to + ((f / v->a[1].s * rows + f % v->a[1].s) * v->xc + g * v->c) * size);
    if (direct) return;
    const place p = v->mode == ZEROS ? dense(v->a[0].x, v->a[1].x, v->xc) : x_place(v);
    for (size_t k = 0; k < n; k++) {
        if (v->mode != ZEROS) unpad(s, v, out + k * step);
        emit(s, out + k * step, &p, x + (i + k) * image, v->x_layout);
    }
}

/* Adds what one image gives to a lane's sums for the weight. */
static void weight_sums(const pn_conv_job *j, const char *xs, const char *ys, char *sums)
{
    const pn_conv *v = j->v;
    const size_t size = j->s->bytes, lines = v->whole ? 1 : v->a[1].k;
    for (size_t g = 0; g < v->groups; g++)
        for (size_t p = 0; p < v->o; p += v->width)
            for (size_t l = 0; l < lines; l++) {
                pn_taps t = v->weight;
                t.n = v->o - p < v->width ? v->o - p : v->width;
                j->s->k->conv.taps(&t, 1, xs + (l * v->a[1].d * v->xc + g * v->c) * size, ys + (y_place(v).at + g * v->o + p) * size, NULL,
                                   sums + (g * (v->packed / v->groups) + p * v->taps * v->c + l * v->c * v->width) * size);
            }
}

/* A lane's images from one to another, and its scratch: x, y and out at_once times, and planes. */
typedef struct { size_t from, to; char *x, *y, *planes, *out; } lane;
static lane lane_of(const pn_conv_job *j, size_t i)
{
    const pn_conv *v = j->v;
    const size_t n = j->s->rows, each = n / v->lanes, more = n % v->lanes;
    char *base = (char *)j->at[j->s->work] + i * v->lane_size * j->s->bytes;
    lane l = { each * i + (i < more ? i : more), each * (i + 1) + (i + 1 < more ? i + 1 : more), base, base + (v->at_once * v->x_size + SLACK) * j->s->bytes, NULL, NULL };
    l.planes = l.y + (v->at_once * v->y_size + SLACK) * j->s->bytes;
    l.out = l.planes + v->planes_size * j->s->bytes;
    memset(base, 0, (size_t)(l.out - base));
    return l;
}

static void fill_x(const pn_conv_job *j, size_t i, size_t n, char *scratch)
{
    const pn_conv *v = j->v;
    const place p = x_place(v);
    for (size_t k = 0; k < n; k++, scratch += v->x_size * j->s->bytes) {
        fill(j->s, images(j->x, j->s, i + k, p.h, p.w, p.c), v->x_layout, &p, scratch);
        if (v->mode != ZEROS) pad(j->s, v, scratch);
    }
}
static void fill_y(const pn_conv_job *j, size_t i, size_t n, char *scratch)
{
    const place p = y_place(j->v);
    for (size_t k = 0; k < n; k++, scratch += j->v->y_size * j->s->bytes)
        fill(j->s, images(j->y, j->s, i + k, p.h, p.w, p.c), j->v->y_layout, &p, scratch);
}

static void forward_lane(void *context, size_t i)
{
    const pn_conv_job *j = context;
    const pn_conv *v = j->v;
    const pn_step *s = j->s;
    const lane l = lane_of(j, i);
    for (size_t k = l.from, n; k < l.to; k += n) {
        n = l.to - k < v->at_once ? l.to - k : v->at_once;
        if (v->transposed ? v->x_planes : v->y_planes)
            for (size_t q = k; q < k + n; q++) (v->transposed ? pn_planes_x : pn_planes_y)(j, q, l.planes, l.out, s->epilogue.bias, j->at[s->y]);
        else if (v->transposed) fill_y(j, k, n, l.y), x_from_y(j, k, n, l.y, l.out, s->epilogue.bias, j->at[s->y]);
        else fill_x(j, k, n, l.x), y_from_x(j, k, n, l.x, l.out, s->epilogue.bias, j->at[s->y]);
    }
}

/* The sums that n images from image k on give to the weight and the bias; their scratch has been filled, but for planes. */
static void sums_of(const pn_conv_job *j, const lane *l, size_t k, size_t n, char *part)
{
    const pn_conv *v = j->v;
    const pn_step *s = j->s;
    for (size_t q = 0; q < n && v->wants_weight; q++) {
        if (v->y_planes) pn_planes_weight(j, k + q, l->planes, part);
        else weight_sums(j, l->x + q * v->x_size * s->bytes, l->y + q * v->y_size * s->bytes, part);
    }
    if (!v->wants_bias) return;
    if (v->transposed) s->k->sum_rows(n * v->x_size / v->xc, v->xc, l->x, part + v->packed * s->bytes);
    else if (!v->y_planes) s->k->sum_rows(n * v->y_size / v->yc, v->yc, l->y, part + v->packed * s->bytes);
    else for (size_t q = 0; q < n; q++) pn_planes_bias(j, k + q, part);
}

static void backward_lane(void *context, size_t i)
{
    const pn_conv_job *j = context;
    const pn_conv *v = j->v;
    const pn_step *s = j->s;
    const lane l = lane_of(j, i);
    const int in_planes = v->transposed ? v->y_planes : v->x_planes, sums = (v->wants_weight || v->wants_bias) && !v->y_planes;
    char *part = (char *)j->parts + i * v->part * s->bytes;
    memset(part, 0, v->part * s->bytes);
    for (size_t k = l.from, n; k < l.to; k += n) {
        n = l.to - k < v->at_once ? l.to - k : v->at_once;
        if (sums || (v->transposed && (v->wants_bias || (v->wants && !in_planes)))) fill_x(j, k, n, l.x);
        if (sums || (!v->transposed && v->wants && !in_planes)) fill_y(j, k, n, l.y);
        sums_of(j, &l, k, n, part);
        if (!v->wants) continue;
        if (in_planes) for (size_t q = k; q < k + n; q++) (v->transposed ? pn_planes_y : pn_planes_x)(j, q, l.planes, l.out, NULL, j->gradient);
        else if (v->transposed) y_from_x(j, k, n, l.x, l.out, NULL, j->gradient);
        else x_from_y(j, k, n, l.y, l.out, NULL, j->gradient);
    }
}

/* Packs one group's weights. */
static void pack_group(void *context, size_t g)
{
    const pn_conv_job *j = context;
    const pn_conv *v = j->v;
    const pn_step *s = j->s;
    const char *w = (const char *)s->node->slots[WEIGHT].data + g * v->o * v->c * v->taps * s->bytes;
    if (j->weight) s->k->conv.pack(w, v->o, v->c, v->taps, 0, v->width, (char *)j->weight + g * (v->packed / v->groups) * s->bytes);
    if (j->turned) s->k->conv.pack(w, v->o, v->c, v->taps, 1, v->turned_width, (char *)j->turned + g * (v->turned / v->groups) * s->bytes);
}

static void run_forward(const pn_step *s, void *const *at)
{
    const pn_conv *v = s->own;
    pn_conv_job j = { .s = s, .at = at, .v = v, .x = at[s->x], .y = at[s->x] };
    *(v->transposed ? &j.turned : &j.weight) = at[s->z];
    if (!(v->transposed ? v->x_planes : v->y_planes)) pn_parallel(v->groups, pack_group, &j);
    pn_parallel(v->lanes, forward_lane, &j);
}

/* Adds all lanes' sums to those of the first, a chunk at a time. */
enum { CHUNK = 4096 };
static void add_lanes(void *context, size_t i)
{
    const pn_conv_job *j = context;
    const pn_conv *v = j->v;
    const size_t from = i * CHUNK, n = v->part - from < CHUNK ? v->part - from : CHUNK, size = j->s->bytes;
    char *sum = (char *)j->parts + from * size;
    for (size_t l = 1; l < v->lanes; l++) j->s->k->add(n, sum, (const char *)j->parts + (l * v->part + from) * size, sum);
}

static void unpack_group(void *context, size_t g)
{
    const pn_conv_job *j = context;
    const pn_conv *v = j->v;
    const size_t size = j->s->bytes, n = v->o * v->c * v->taps;
    void *grad = j->s->node->slots[WEIGHT].grad;
    if (v->y_planes && v->accumulates[WEIGHT]) j->s->k->add(n, grad, j->parts, grad);
    else if (v->y_planes) memcpy(grad, j->parts, n * size);
    else j->s->k->conv.unpack((const char *)j->parts + g * (v->packed / v->groups) * size, v->o, v->c, v->taps, v->width, v->accumulates[WEIGHT],
                         (char *)grad + g * v->o * v->c * v->taps * size);
}

/* s: x, the convolution's input or the gradient of the transpose's output; t, the other side; y, the gradient of the input. */
static void run_backward(const pn_step *s, void *const *at)
{
    const pn_conv *v = s->own;
    const size_t out = v->transposed ? v->xc : v->yc;
    char *packed = at[s->z];
    pn_conv_job j = { .s = s, .at = at, .v = v, .x = at[s->x], .y = at[s->t], .gradient = v->wants ? at[s->y] : NULL, .parts = packed };
    if (v->wants && !(v->transposed ? v->y_planes : v->x_planes)) {
        *(v->transposed ? &j.weight : &j.turned) = packed + v->lanes * v->part * s->bytes;
        pn_parallel(v->groups, pack_group, &j);
    }
    pn_parallel(v->lanes, backward_lane, &j);
    if (v->lanes == 0) return;
    if (v->wants_weight || v->wants_bias) pn_parallel((v->part + CHUNK - 1) / CHUNK, add_lanes, &j);
    if (v->wants_weight) pn_parallel(v->groups, unpack_group, &j);
    if (!v->wants_bias) return;
    const char *bias = packed + v->packed * s->bytes;
    void *grad = s->node->slots[BIAS].grad;
    if (v->accumulates[BIAS]) s->k->add(out, grad, bias, grad);
    else memcpy(grad, bias, out * s->bytes);
}

/* ---- planning ------------------------------------------------------------------------------------------------------ */

static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t most(size_t a, size_t b) { return a > b ? a : b; }
static ptrdiff_t down(ptrdiff_t a, ptrdiff_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

/* How much scratch an axis needs: y's such that every tap of every x falls into it. */
static void measure(pn_axis *a, int mode)
{
    const size_t reach = a->d * (a->k - 1);
    a->x_room = most(a->before + a->x, (a->y - 1) * a->s + reach + 1);
    const size_t first = mode == ZEROS ? a->before : 0, end = mode == ZEROS ? a->before + a->x : a->x_room;
    const ptrdiff_t low = down((ptrdiff_t)first - (ptrdiff_t)reach, (ptrdiff_t)a->s);
    a->y_at = low < 0 ? (size_t)-low : 0;
    a->y_room = a->y_at + most(a->y, end ? (end - 1) / a->s + 1 : 0);
}

/* y = weight * x: a run is a row of taps, or one tap where they are no neighbours. */
static pn_status plan_forward(pn_builder *b, pn_conv *v)
{
    const pn_axis *h = &v->a[0], *w = &v->a[1];
    const size_t row = w->x_room * v->xc, runs = v->whole ? h->k : v->taps, steps = v->whole ? w->k * v->c : v->c;
    ptrdiff_t *at = pn_plan_own(b, 2 * runs * sizeof *at);
    if (!at) return PN_NO_MEMORY;
    for (size_t r = 0; r < runs; r++) {
        at[r] = (ptrdiff_t)(v->whole ? r * h->d * row : r / w->k * h->d * row + r % w->k * w->d * v->xc);
        at[runs + r] = (ptrdiff_t)(r * steps * v->width);
    }
    v->forward = (pn_taps){ .runs = runs, .steps = steps, .a_at = at, .b_at = at + runs, .a_row = (ptrdiff_t)(w->s * v->xc), .a_step = 1,
                            .b_step = (ptrdiff_t)v->width, .b_panel = (ptrdiff_t)(v->taps * v->c * v->width), .c_row = (ptrdiff_t)v->yc, .lines = h->y,
                            .m = w->y, .n = v->o, .a_line = (ptrdiff_t)(h->s * row), .c_line = (ptrdiff_t)(w->y * v->yc),
                            .a_image = (ptrdiff_t)v->x_size, .c_image = (ptrdiff_t)(h->y * w->y * v->yc) };
    return PN_OK;
}

/* x = the transpose of that: the pixels of one phase of the strides see the same taps. */
static pn_status plan_back(pn_builder *b, pn_conv *v)
{
    const pn_axis *h = &v->a[0], *w = &v->a[1];
    const size_t row = w->y_room * v->yc, phases = h->s * w->s;
    const int zeros = v->mode == ZEROS;
    const size_t xh = zeros ? h->x : h->x_room, xw = zeros ? w->x : w->x_room, image = zeros ? xh * xw * v->xc : v->x_size;
    v->back = pn_plan_own(b, phases * sizeof *v->back);
    ptrdiff_t *at = pn_plan_own(b, 2 * phases * v->taps * sizeof *at);
    if (!v->back || !at) return PN_NO_MEMORY;
    for (size_t f = 0; f < phases; f++, at += 2 * v->taps) {
        const size_t i = f / w->s, j = f % w->s;
        size_t n = 0;
        for (size_t t = 0; t < v->taps; t++) {
            const ptrdiff_t u = (ptrdiff_t)(i + (zeros ? h->before : 0)) - (ptrdiff_t)(t / w->k * h->d);
            const ptrdiff_t z = (ptrdiff_t)(j + (zeros ? w->before : 0)) - (ptrdiff_t)(t % w->k * w->d);
            if (u % (ptrdiff_t)h->s || z % (ptrdiff_t)w->s) continue;
            at[n] = (u / (ptrdiff_t)h->s + (ptrdiff_t)h->y_at) * (ptrdiff_t)row + (z / (ptrdiff_t)w->s + (ptrdiff_t)w->y_at) * (ptrdiff_t)v->yc;
            at[v->taps + n++] = (ptrdiff_t)(t * v->o * v->turned_width);
        }
        v->back[f] = (pn_taps){ .runs = n, .steps = v->o, .a_at = at, .b_at = at + v->taps, .a_row = (ptrdiff_t)v->yc, .a_step = 1,
                                .b_step = (ptrdiff_t)v->turned_width, .b_panel = (ptrdiff_t)(v->taps * v->o * v->turned_width),
                                .c_row = (ptrdiff_t)(w->s * v->xc), .lines = xh > i ? (xh - i - 1) / h->s + 1 : 0, .m = xw > j ? (xw - j - 1) / w->s + 1 : 0,
                                .n = v->c, .a_line = (ptrdiff_t)row, .c_line = (ptrdiff_t)(h->s * xw * v->xc), .a_image = (ptrdiff_t)v->y_size,
                                .c_image = (ptrdiff_t)image };
    }
    return PN_OK;
}

/* The weight's gradient, of one image: x transposed times the gradient of y; a run is a row of y. */
static pn_status plan_weight(pn_builder *b, pn_conv *v)
{
    const pn_axis *h = &v->a[0], *w = &v->a[1];
    const size_t row = w->x_room * v->xc;
    ptrdiff_t *at = pn_plan_own(b, 2 * h->y * sizeof *at);
    if (!at) return PN_NO_MEMORY;
    for (size_t r = 0; r < h->y; r++) {
        at[r] = (ptrdiff_t)(r * h->s * row);
        at[h->y + r] = (ptrdiff_t)(r * w->y_room * v->yc);
    }
    v->weight = (pn_taps){ .runs = h->y, .steps = w->y, .a_at = at, .b_at = at + h->y, .a_row = 1, .a_step = (ptrdiff_t)(w->s * v->xc),
                           .b_step = (ptrdiff_t)v->yc, .c_row = (ptrdiff_t)v->width, .lines = h->k, .m = v->whole ? w->k * v->c : v->c,
                           .a_line = (ptrdiff_t)(h->d * row), .c_line = (ptrdiff_t)(w->k * v->c * v->width), .add = 1 };
    return PN_OK;
}

/* Everything that forward and backward share. */
static pn_conv *plan(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    const pn_shape *in = &b->graph->nodes[n->inputs[0]].shape;
    pn_conv *v = pn_plan_own(b, sizeof *v);
    if (!v) return NULL;
    v->transposed = n->config[TRANSPOSED] != 0;
    v->mode = (int)n->config[MODE];
    v->groups = (size_t)n->config[GROUPS];
    const pn_shape *x = v->transposed ? &n->shape : in, *y = v->transposed ? in : &n->shape;
    v->xc = x->dim[0];
    v->yc = y->dim[0];
    v->c = v->xc / v->groups;
    v->o = v->yc / v->groups;
    v->a[0] = (pn_axis){ 1, 1, 1, 0, 1, 1, 1, 1, 0 };
    for (size_t i = 0, from = 2 - axes(n); i < axes(n); i++) {
        pn_axis *a = &v->a[from + i];
        *a = (pn_axis){ .k = (size_t)setting(n, i, KERNEL), .s = (size_t)setting(n, i, STRIDE), .d = (size_t)setting(n, i, DILATION),
                     .before = (size_t)setting(n, i, BEFORE), .x = x->dim[i + 1], .y = y->dim[i + 1] };
        measure(a, v->mode);
    }
    v->taps = v->a[0].k * v->a[1].k;
    v->whole = v->a[1].d == 1 && v->groups == 1;
    v->x_size = v->a[0].x_room * v->a[1].x_room * v->xc;
    v->y_size = v->a[0].y_room * v->a[1].y_room * v->yc;
    v->out_size = most(v->x_size, v->a[0].y * v->a[1].y * v->yc);
    v->width = b->k->conv.panel_width(v->o);
    v->turned_width = b->k->conv.panel_width(v->c);
    v->packed = v->groups * (v->width ? (v->o + v->width - 1) / v->width * v->width : 0) * v->c * v->taps;
    v->turned = v->groups * (v->turned_width ? (v->c + v->turned_width - 1) / v->turned_width * v->turned_width : 0) * v->o * v->taps;
    v->part = v->packed + (v->transposed ? v->xc : v->yc);
    v->lanes = least(b->rows, most(least(b->rows / 4, 32), least(b->rows, 8)));
    if (v->lanes > 1) v->lanes = least(v->lanes, most(PARTS / (v->part + 1), 1));
    v->at_once = b->rows ? most(least(GATHERED / (v->x_size + v->y_size + 1), (b->rows + v->lanes - 1) / v->lanes), 1) : 1;
    const int last = b->layout[n->inputs[0]];
    v->x_layout = v->transposed ? b->layout[node] : last;
    v->y_layout = v->transposed ? last : b->layout[node];
    if (pn_planes_plan(b, v)) return NULL;
    v->lane_size = (v->planes_size + v->at_once * (v->x_size + v->y_size + v->out_size) + 3 * SLACK + 15) / 16 * 16;
    return plan_forward(b, v) || plan_back(b, v) || plan_weight(b, v) ? NULL : v;
}

static double flops(const pn_builder *b, const pn_conv *v)
{
    return 2.0 * (double)b->rows * (double)(v->a[0].y * v->a[1].y * v->yc) * (double)(v->c * v->taps);
}

static pn_status forward(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    if (n->config[OUT] * 2 > (double)b->k->conv.panel_width(1)) pn_channels_last(b, node);   /* few channels: see planes.c */
    pn_conv *v = plan(b, node);
    int y = b->value[node] = v ? pn_output_buffer(b, node, 0) : PN_NONE;
    pn_step *s = y == PN_NONE ? NULL : pn_step_new(b, v->transposed ? "transposed convolution" : "convolution", run_forward);
    if (!s) return PN_NO_MEMORY;
    s->own = v;
    s->rows = b->rows;
    s->bytes = pn_size(b->graph->dtype);
    s->flops = flops(b, v);
    s->x = b->value[n->inputs[0]];
    s->y = y;
    s->z = pn_buffer_new(b, (v->transposed ? v->turned : v->packed) + SLACK);
    s->work = pn_buffer_new(b, v->lanes * v->lane_size);
    s->epilogue.bias = n->n_slots > BIAS ? n->slots[BIAS].data : NULL;
    if (s->z == PN_NONE || s->work == PN_NONE) return PN_NO_MEMORY;
    pn_step_uses(b, s->x);
    pn_step_uses(b, s->y);
    pn_step_uses(b, s->z);
    pn_step_uses(b, s->work);
    return PN_OK;
}

static pn_status backward(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    pn_conv *v = plan(b, node);
    if (!v) return PN_NO_MEMORY;
    v->wants = pn_wants_gradient(b, n->inputs[0]);
    v->wants_weight = n->slots[WEIGHT].grad != NULL;
    v->wants_bias = n->n_slots > BIAS && n->slots[BIAS].grad;
    for (size_t j = 0; j < n->n_slots; j++) v->accumulates[j] = pn_accumulates(b, node, j);
    int gx = v->wants ? pn_gradient_buffer(b, n->inputs[0], PN_NONE) : PN_NONE;
    pn_step *s = v->wants && gx == PN_NONE ? NULL : pn_step_new(b, "convolution gradients", run_backward);
    if (!s) return PN_NO_MEMORY;
    s->own = v;
    s->rows = b->rows;
    s->bytes = pn_size(b->graph->dtype);
    s->flops = (v->wants + v->wants_weight) * flops(b, v);
    s->x = v->transposed ? b->grad[node] : b->value[n->inputs[0]];
    s->t = v->transposed ? b->value[n->inputs[0]] : b->grad[node];
    s->y = gx;
    s->z = pn_buffer_new(b, v->lanes * v->part + (v->transposed ? v->packed : v->turned) + SLACK);
    s->work = pn_buffer_new(b, v->lanes * v->lane_size);
    if (s->z == PN_NONE || s->work == PN_NONE) return PN_NO_MEMORY;
    pn_step_uses(b, s->x);
    pn_step_uses(b, s->t);
    pn_step_uses(b, s->y);
    pn_step_uses(b, s->z);
    pn_step_uses(b, s->work);
    return PN_OK;
}

const pn_layer_kind pn_layer_conv = { "conv", 1, 1, shape, forward, backward, PN_IMAGES };
