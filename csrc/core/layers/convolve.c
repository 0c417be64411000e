/* convolve.c - runs convolutions and their gradients.
 *
 * An image is copied into scratch memory with its channels last and its padding around it, unless
 * its array can be read in place. Every product is then a pn_taps. Images are divided into lanes,
 * each with separate scratch memory and separate partial sums for the weight's gradient. The sums
 * are added in order, so that results do not depend on the number of threads. */
#include "convolve.h"
#include "planes.h"
#include <string.h>

/* ---- images in scratch ----------------------------------------------------------------------- */

/* The element of x that position i of the padded axis copies; i counts from the first element of
 * x. */
static size_t source(int mode, ptrdiff_t i, ptrdiff_t n)
{
    if (mode == REFLECT) i = i < 0 ? -i : i >= n ? 2 * n - 2 - i : i;
    else if (mode == CIRCULAR) i = (i + n) % n;
    else i = i < 0 ? 0 : i >= n ? n - 1 : i;
    return (size_t)i;
}

/* an image in scratch: sizes, elements from row to row and before its first */
typedef struct { size_t h, w, c, row, at; } place;

/* Copies one image into scratch. */
static void fill(const pn_step *s, const char *image, int last, const place *p, char *scratch)
{
    const size_t size = s->bytes, row = p->w * p->c;
    scratch += p->at * size;
    if (last) {
        for (size_t r = 0; r < p->h; r++)
            memcpy(scratch + r * p->row * size, image + r * row * size, row * size);
        return;
    }
    if (p->row == row) s->k->transpose(p->c, p->h * p->w, image, p->h * p->w, scratch, p->c);
    else
        for (size_t r = 0; r < p->h; r++)
            s->k->transpose(p->c, p->w, image + r * p->w * size, p->h * p->w,
                       scratch + r * p->row * size, p->c);
}

/* Copies one image out of scratch. */
static void emit(const pn_step *s, const char *scratch, const place *p, char *image, int last)
{
    const size_t size = s->bytes, row = p->w * p->c;
    scratch += p->at * size;
    if (last) {
        for (size_t r = 0; r < p->h; r++)
            memcpy(image + r * row * size, scratch + r * p->row * size, row * size);
        return;
    }
    if (p->row == row) s->k->transpose(p->h * p->w, p->c, scratch, p->c, image, p->h * p->w);
    else
        for (size_t r = 0; r < p->h; r++)
            s->k->transpose(p->w, p->c, scratch + r * p->row * size, p->c, image + r * p->w * size,
                       p->h * p->w);
}

/* Fills the border of x from its interior, as the padding mode says. */
static void pad(const pn_step *s, const pn_conv *v, char *scratch)
{
    const pn_axis *h = &v->a[0], *w = &v->a[1];
    const size_t pixel = v->xc * s->bytes, row = w->x_padded * pixel;
    for (size_t r = h->before; r < h->before + h->x; r++)
        for (size_t i = 0; i < w->x_padded; i++)
            if (i < w->before || i >= w->before + w->x)
                memcpy(
                    scratch + r * row + i * pixel,
                    scratch + r * row +
                        (w->before + source(v->mode, (ptrdiff_t)(i - w->before), (ptrdiff_t)w->x)) *
                            pixel,
                    pixel);
    for (size_t r = 0; r < h->x_padded; r++)
        if (r < h->before || r >= h->before + h->x)
            memcpy(scratch + r * row,
                   scratch +
                       (h->before + source(v->mode, (ptrdiff_t)(r - h->before), (ptrdiff_t)h->x)) *
                           row,
                   row);
}

/* The gradient of pad: adds the border to the elements that it was copied from. */
static void unpad(const pn_step *s, const pn_conv *v, char *scratch)
{
    const pn_axis *h = &v->a[0], *w = &v->a[1];
    const size_t pixel = v->xc * s->bytes, row = w->x_padded * pixel;
    for (size_t r = 0; r < h->x_padded; r++) {
        if (r >= h->before && r < h->before + h->x) continue;
        char *to = scratch +
                   (h->before + source(v->mode, (ptrdiff_t)(r - h->before), (ptrdiff_t)h->x)) * row;
        s->k->add(w->x_padded * v->xc, to, scratch + r * row, to);
    }
    for (size_t r = h->before; r < h->before + h->x; r++)
        for (size_t i = 0; i < w->x_padded; i++) {
            if (i >= w->before && i < w->before + w->x) continue;
            char *to = scratch + r * row +
                       (w->before + source(v->mode, (ptrdiff_t)(i - w->before), (ptrdiff_t)w->x)) *
                           pixel;
            s->k->add(v->xc, to, scratch + r * row + i * pixel, to);
        }
}

static place x_place(const pn_conv *v)
{
    const pn_axis *h = &v->a[0], *w = &v->a[1];
    return (place){ h->x, w->x, v->xc, w->x_padded * v->xc,
                    (h->before * w->x_padded + w->before) * v->xc };
}
static place y_place(const pn_conv *v)
{
    const pn_axis *h = &v->a[0], *w = &v->a[1];
    return (place){ h->y, w->y, v->yc, w->y_padded * v->yc,
                    (h->y_at * w->y_padded + w->y_at) * v->yc };
}
static place dense(size_t h, size_t w, size_t c) { return (place){ h, w, c, w * c, 0 }; }

/* ---- one side from the other ----------------------------------------------------------------- */

static size_t x_image(const pn_conv *v) { return v->a[0].x * v->a[1].x * v->xc; }
static size_t y_image(const pn_conv *v) { return v->a[0].y * v->a[1].y * v->yc; }

/* n images of x or y in the form that the products read, in scratch or in place. */
static const char *x_images(const pn_conv_job *j, size_t n, const char *x, char *scratch)
{
    const pn_conv *v = j->v;
    const place p = x_place(v);
    if (v->x_direct) return x;
    for (size_t k = 0; k < n; k++) {
        char *to = scratch + k * v->x_size * j->s->bytes;
        fill(j->s, x + k * x_image(v) * j->s->bytes, v->x_layout, &p, to);
        if (v->mode != ZEROS) pad(j->s, v, to);
    }
    return scratch;
}
static const char *y_images(const pn_conv_job *j, size_t n, const char *y, char *scratch)
{
    const pn_conv *v = j->v;
    const place p = y_place(v);
    if (v->y_direct) return y;
    for (size_t k = 0; k < n; k++)
        fill(j->s, y + k * y_image(v) * j->s->bytes, v->y_layout, &p,
             scratch + k * v->y_size * j->s->bytes);
    return scratch;
}

static pn_taps_fn *taps_of(const pn_conv_job *j)
{
    return j->v->depthwise ? j->s->k->conv.depth_taps : j->s->k->conv.taps;
}

/* n images of y from those of x in xs. */
static void y_from_x(const pn_conv_job *j, size_t n, const char *xs, char *out, const char *bias,
                     char *y)
{
    const pn_conv *v = j->v;
    const pn_step *s = j->s;
    const size_t size = s->bytes, image = y_image(v) * size;
    char *to = v->y_layout ? y : out;
    for (size_t g = 0; g < v->groups; g++)
        taps_of(j)(&v->forward, n, xs + g * v->c * size,
                   j->weight + g * (v->packed / v->groups) * size,
                   bias ? bias + g * v->o * size : NULL, to + g * v->o * size);
    const place p = dense(v->a[0].y, v->a[1].y, v->yc);
    for (size_t k = 0; k < n && !v->y_layout && !pn_stopped(); k++)
        emit(s, out + k * image, &p, y + k * image, 0);
}

/* n images of x from those of y in ys, one phase of the strides after the other. */
static void x_from_y(const pn_conv_job *j, size_t n, const char *ys, char *out, const char *bias,
                     char *x)
{
    const pn_conv *v = j->v;
    const pn_step *s = j->s;
    const size_t size = s->bytes, image = x_image(v) * size;
    const int direct = v->x_layout && v->mode == ZEROS;
    char *to = direct ? x : out;
    const size_t rows = v->mode == ZEROS ? v->a[1].x : v->a[1].x_padded,
                 step = v->mode == ZEROS ? image : v->x_size * size;
    for (size_t g = 0; g < v->groups; g++)
        for (size_t f = 0; f < v->phases[0] * v->phases[1]; f++)
            taps_of(j)(&v->back[f], n, ys + g * v->o * size,
                       j->packed_transpose + g * (v->packed_transpose / v->groups) * size,
                       bias ? bias + g * v->c * size : NULL,
                       to + ((f / v->phases[1] * rows + f % v->phases[1]) * v->xc + g * v->c) *
                                size);
    if (direct) return;
    const place p = v->mode == ZEROS ? dense(v->a[0].x, v->a[1].x, v->xc) : x_place(v);
    for (size_t k = 0; k < n && !pn_stopped(); k++) {
        if (v->mode != ZEROS) unpad(s, v, out + k * step);
        emit(s, out + k * step, &p, x + k * image, v->x_layout);
    }
}

/* The same by scattering: adds what each pixel of y contributes to a row of taps of all channels of
 * x. */
static void scatter_x(const pn_conv_job *j, size_t n, const char *ys, char *out, const char *bias,
                      char *x)
{
    const pn_conv *v = j->v;
    const pn_axis *h = &v->a[0], *w = &v->a[1];
    const size_t size = j->s->bytes, pixel = v->xc * size, whole = v->x_size * size;
    const place p = x_place(v);
    for (size_t k = 0; k < n && !pn_stopped(); k++) {
        if (bias) memcpy(out, bias, pixel);
        for (size_t done = pixel; bias && done < whole; done *= 2)
            memcpy(out + done, out, done < whole - done ? done : whole - done);
        if (!bias) memset(out, 0, whole);
        for (size_t r = 0; r < h->k; r++)
            j->s->k->conv.taps(&v->scatter, 1, ys + k * v->y_size * size,
                               j->packed_transpose + r * (v->packed_transpose / h->k) * size, NULL,
                               out + r * h->d * w->x_padded * pixel);
        if (v->mode != ZEROS) unpad(j->s, v, out);
        emit(j->s, out, &p, x + k * x_image(v) * size, v->x_layout);
    }
}

/* Adds one image's contribution to a lane's sums for the weight. */
static void weight_sums(const pn_conv_job *j, const char *xs, const char *ys, char *sums)
{
    const pn_conv *v = j->v;
    const size_t size = j->s->bytes, lines = v->whole ? 1 : v->a[1].k;
    if (v->depthwise) {
        j->s->k->conv.depth_sums(&v->weight, xs, ys + y_place(v).at * size, sums);
        return;
    }
    for (size_t g = 0; g < v->groups; g++)
        for (size_t p = 0; p < v->o; p += v->width)
            for (size_t l = 0; l < lines; l++) {
                pn_taps t = v->weight;
                t.n = pn_min(v->o - p, v->width);
                j->s->k->conv.taps(&t, 1, xs + (l * v->a[1].d * v->xc + g * v->c) * size,
                                   ys + (y_place(v).at + g * v->o + p) * size, NULL,
                                   sums + (g * (v->packed / v->groups) + p * v->taps * v->c +
                                           l * v->c * v->width) *
                                              size);
            }
}

/* ---- lanes ----------------------------------------------------------------------------------- */

/* The images of a lane and its scratch: at_once images each of x, y, out and dense (y in the form
 * of its array), planes, and one pooled image. A lane takes the first scratch that is free, which
 * is still in cache. */
typedef struct { size_t from, to, scratch; char *x, *y, *planes, *out, *dense, *pooled; } lane;
static lane lane_of(const pn_conv_job *j, size_t i)
{
    const pn_conv *v = j->v;
    const size_t n = j->s->rows, each = n / v->lanes, more = n % v->lanes, size = j->s->bytes;
    uint64_t busy = atomic_load(v->busy);
    while (!atomic_compare_exchange_weak(v->busy, &busy, busy | (busy + 1))) {}
    lane l = { .from = each * i + pn_min(i, more),
               .to = each * (i + 1) + pn_min(i + 1, more) };
    while (busy >> l.scratch & 1) l.scratch++;
    l.x = (char *)j->at[j->s->work] + l.scratch * v->lane_size * size;
    l.y = l.x + (v->at_once * v->x_size + SLACK) * size;
    l.planes = l.y + (v->at_once * v->y_size + SLACK) * size;
    l.out = l.planes + v->planes_size * size;
    l.dense = l.out + (v->at_once * v->out_size + SLACK) * size;
    l.pooled = l.dense + (v->at_once * y_image(v) + SLACK) * size;
    return l;
}
static void leave(const pn_conv_job *j, const lane *l)
{
    atomic_fetch_and(j->v->busy, ~((uint64_t)1 << l->scratch));
}

/* Clears scratch that has a border; the rest is overwritten anyway. */
static void clear(const pn_conv *v, const lane *l, int x, int y, int x_planes, int y_planes,
                  size_t size)
{
    if (x && !v->x_direct && v->x_size > x_image(v)) memset(l->x, 0, v->at_once * v->x_size * size);
    if (y && !v->y_direct && v->y_size > y_image(v)) memset(l->y, 0, v->at_once * v->y_size * size);
    if (x_planes || y_planes) pn_planes_clear(v, l->planes, x_planes, y_planes, size);
}

/* n images of one side; x and y are the arrays, xs and ys what the products read. */
static void make_y(const pn_conv_job *j, const lane *l, size_t n, const char *x, const char *xs,
                   const char *bias, char *y)
{
    const pn_conv *v = j->v;
    const size_t size = j->s->bytes;
    if (!v->y_planes) y_from_x(j, n, xs, l->out, bias, y);
    else
        for (size_t q = 0; q < n; q++)
            pn_planes_y(j, x + q * x_image(v) * size, l->planes, l->out, bias,
                        y + q * y_image(v) * size);
}
static void make_x(const pn_conv_job *j, const lane *l, size_t n, const char *y, const char *ys,
                   const char *bias, char *x)
{
    const pn_conv *v = j->v;
    const size_t size = j->s->bytes;
    if (v->x_scatters) scatter_x(j, n, ys, l->out, bias, x);
    else if (!v->x_planes) x_from_y(j, n, ys, l->out, bias, x);
    else
        for (size_t q = 0; q < n; q++)
            pn_planes_x(j, y + q * y_image(v) * size, l->planes, l->out, bias,
                        x + q * x_image(v) * size);
}

/* Applies the fused activation and pooling to n images, from image k on. */
static void finish(const pn_conv_job *j, size_t k, size_t n, char *y)
{
    const pn_conv *v = j->v;
    const pn_step *s = j->s;
    if (v->has_act) s->activation->forward(n * y_image(v), y, y, s->p, 0);
    for (size_t q = 0; q < n && v->pool; q++)
        pn_pool_maxima(
            v->pool, s, y + q * y_image(v) * s->bytes,
            (char *)j->at[v->value] + (k + q) * v->pooled * s->bytes,
            v->index == PN_NONE ? NULL : (char *)j->at[v->index] + (k + q) * v->pooled * s->bytes);
}

/* The gradients of n images of the convolution's output, before fused layers, from image k on. */
static const char *y_gradients(const pn_conv_job *j, const lane *l, size_t k, size_t n)
{
    const pn_conv *v = j->v;
    const pn_step *s = j->s;
    const size_t image = (v->pool ? v->pooled : y_image(v)) * s->bytes;
    const char *gy = j->y + k * image,
               *y = v->has_act ? (const char *)j->at[v->value] + k * image : NULL;
    if (!v->pool) {
        if (v->has_act) s->activation->backward(n * y_image(v), y, gy, l->dense, s->p, 0);
        return v->has_act ? l->dense : gy;
    }
    for (size_t q = 0; q < n; q++, gy += image) {
        if (v->has_act) s->activation->backward(v->pooled, y + q * image, gy, l->pooled, s->p, 0);
        pn_pool_maxima_back(v->pool, s, (const char *)j->at[v->index] + (k + q) * image,
                            v->has_act ? l->pooled : gy, l->dense + q * y_image(v) * s->bytes);
    }
    return l->dense;
}

/* Computes n images from image k on, with y in planes until it is pooled. */
static void forward_planes(const pn_conv_job *j, const lane *l, size_t k, size_t n, const char *x)
{
    const pn_conv *v = j->v;
    const pn_step *s = j->s;
    const size_t apart = (size_t)v->y_plane.c_row;
    for (size_t q = 0; q < n; q++) {
        pn_planes_y_uncut(j, x + q * x_image(v) * s->bytes, l->planes, s->epilogue.bias, l->out);
        if (v->has_act) s->activation->forward(v->o * apart, l->out, l->out, s->p, 0);
        pn_pool_planes(
            v->pool, s, l->out, v->a[1].x_padded, apart,
            (char *)j->at[v->value] + (k + q) * v->pooled * s->bytes,
            v->index == PN_NONE ? NULL : (char *)j->at[v->index] + (k + q) * v->pooled * s->bytes);
    }
}

static void forward_lane(void *context, size_t i)
{
    const pn_conv_job *j = context;
    const pn_conv *v = j->v;
    const pn_step *s = j->s;
    const lane l = lane_of(j, i);
    const char *bias = s->epilogue.bias;
    clear(v, &l, !v->transposed && !v->y_planes, v->transposed && !v->x_planes,
          !v->transposed && v->y_planes, v->transposed && v->x_planes, s->bytes);
    for (size_t k = l.from, n; k < l.to && !pn_stop_now(); k += n) {
        n = pn_min(l.to - k, v->at_once);
        if (v->transposed) {
            const char *y = j->y + k * y_image(v) * s->bytes;
            make_x(j, &l, n, y, v->x_planes ? NULL : y_images(j, n, y, l.y), bias,
                   (char *)j->at[s->out] + k * x_image(v) * s->bytes);
        } else {
            const char *x = j->x + k * x_image(v) * s->bytes;
            if (v->y_planes && v->pool && pn_pool_takes_planes(v->pool)) {
                forward_planes(j, &l, k, n, x);
                continue;
            }
            char *y = v->pool ? l.dense : (char *)j->at[s->out] + k * y_image(v) * s->bytes;
            make_y(j, &l, n, x, v->y_planes ? NULL : x_images(j, n, x, l.x), bias, y);
            finish(j, k, n, y);
        }
    }
    leave(j, &l);
}

/* Adds the contributions of n images to the sums of weight and bias. */
static void sums_of(const pn_conv_job *j, const lane *l, size_t n, const char *x, const char *y,
                    const char *xs, const char *ys, char *part)
{
    const pn_conv *v = j->v;
    const pn_step *s = j->s;
    if (v->wants_weight && v->y_planes) pn_planes_weight(j, n, x, y, l->planes, part);
    for (size_t q = 0; q < n && v->wants_weight && !v->y_planes; q++)
        weight_sums(j, xs + q * v->x_size * s->bytes, ys + q * v->y_size * s->bytes, part);
    if (!v->wants_bias) return;
    if (v->transposed)
        s->k->sum_rows(n * v->x_size / v->xc, v->xc, xs, part + v->packed * s->bytes);
    else if (!v->y_planes)
        s->k->sum_rows(n * v->y_size / v->yc, v->yc, ys, part + v->packed * s->bytes);
    else pn_planes_bias(j, n, y, part);
}

static void backward_lane(void *context, size_t i)
{
    const pn_conv_job *j = context;
    const pn_conv *v = j->v;
    const pn_step *s = j->s;
    const lane l = lane_of(j, i);
    const int in_planes = v->transposed ? v->y_planes : v->x_planes,
              sums = (v->wants_weight || v->wants_bias) && !v->y_planes;
    const int x_used = sums || (v->transposed && (v->wants_bias || (v->wants && !in_planes))),
              y_used = sums || (!v->transposed && v->wants && !in_planes);
    char *part = (char *)j->parts + i * v->part * s->bytes;
    memset(part, 0, v->part * s->bytes);
    clear(v, &l, x_used, y_used, v->y_planes, v->x_planes, s->bytes);
    for (size_t k = l.from, n; k < l.to && !pn_stop_now(); k += n) {
        n = pn_min(l.to - k, v->at_once);
        const char *x = j->x + k * x_image(v) * s->bytes, *y = y_gradients(j, &l, k, n);
        const char *xs = x_used ? x_images(j, n, x, l.x) : NULL,
                   *ys = y_used ? y_images(j, n, y, l.y) : NULL;
        sums_of(j, &l, n, x, y, xs, ys, part);
        if (!v->wants) continue;
        if (v->transposed) make_y(j, &l, n, x, xs, NULL, j->gradient + k * y_image(v) * s->bytes);
        else make_x(j, &l, n, y, ys, NULL, j->gradient + k * x_image(v) * s->bytes);
    }
    leave(j, &l);
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* Packs one group's weights. */
static void pack_group(void *context, size_t g)
{
    const pn_conv_job *j = context;
    const pn_conv *v = j->v;
    const pn_step *s = j->s;
    const char *w = (const char *)s->node->slots[WEIGHT].data +
                    g * v->o * v->c * v->taps * s->bytes;
    if (j->weight)
        s->k->conv.pack(w, v->o, v->c, v->taps, 0, v->width,
                        (char *)j->weight + g * (v->packed / v->groups) * s->bytes);
    if (j->packed_transpose && v->x_scatters)
        s->k->conv.pack_rows(w, v->o, v->c, v->a[0].k, v->a[1].k, (size_t)v->scatter.b_step,
                             (char *)j->packed_transpose);
    else if (j->packed_transpose)
        s->k->conv.pack(w, v->o, v->c, v->taps, !v->depthwise, v->transpose_width,
                        (char *)j->packed_transpose +
                            g * (v->packed_transpose / v->groups) * s->bytes);
}

void pn_conv_forward(const pn_step *s, void *const *at)
{
    const pn_conv *v = s->args;
    pn_conv_job j = { .s = s, .at = at, .v = v, .x = at[s->in], .y = at[s->in] };
    *(v->transposed ? &j.packed_transpose : &j.weight) = at[s->out2];
    if (!(v->transposed ? v->x_planes : v->y_planes)) pn_parallel(v->groups, pack_group, &j);
    pn_parallel(v->lanes, forward_lane, &j);
}

/* Adds all lanes' sums to those of the first, a chunk at a time. */
enum { CHUNK = 4096 };
static void add_lanes(void *context, size_t i)
{
    const pn_conv_job *j = context;
    const pn_conv *v = j->v;
    const size_t from = i * CHUNK, n = v->part - from < CHUNK ? v->part - from : CHUNK,
                 size = j->s->bytes;
    char *sum = (char *)j->parts + from * size;
    for (size_t l = 1; l < v->lanes; l++)
        j->s->k->add(n, sum, (const char *)j->parts + (l * v->part + from) * size, sum);
}

static void unpack_group(void *context, size_t g)
{
    const pn_conv_job *j = context;
    const pn_conv *v = j->v;
    const size_t size = j->s->bytes, n = v->o * v->c * v->taps;
    void *grad = j->s->node->slots[WEIGHT].grad;
    if (v->y_planes && v->accumulates[WEIGHT]) j->s->k->add(n, grad, j->parts, grad);
    else if (v->y_planes) memcpy(grad, j->parts, n * size);
    else
        j->s->k->conv.unpack((const char *)j->parts + g * (v->packed / v->groups) * size, v->o,
                             v->c, v->taps, v->width, v->accumulates[WEIGHT],
                             (char *)grad + g * v->o * v->c * v->taps * size);
}

/* s->in: input of a convolution, or gradient of the output of a transposed one; s->in2: the other
 * side; s->out: gradient of the input. */
void pn_conv_backward(const pn_step *s, void *const *at)
{
    const pn_conv *v = s->args;
    const size_t out = v->transposed ? v->xc : v->yc;
    char *packed = at[s->out2];
    pn_conv_job j = { .s = s,
                      .at = at,
                      .v = v,
                      .x = at[s->in],
                      .y = at[s->in2],
                      .gradient = v->wants ? at[s->out] : NULL,
                      .parts = packed };
    if (v->wants && !(v->transposed ? v->y_planes : v->x_planes)) {
        *(v->transposed ? &j.weight : &j.packed_transpose) = packed + v->lanes * v->part * s->bytes;
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
