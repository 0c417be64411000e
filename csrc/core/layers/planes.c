/* planes.c - convolutions whose result has so few channels that vectors across them would be half
 * empty: lanes are pixels instead. The weights are the broadcast side of the product, read in
 * place. The image is stored in planes with its border, and its rows are contiguous; results at the
 * border between rows are skipped when the result is copied. Only for strides of 1, one group and
 * zero padding. */
#include "planes.h"
#include <string.h>

static size_t up(size_t n) { return (n + SLACK - 1) / SLACK * SLACK; }
static size_t x_plane(const pn_conv *v) { return v->a[0].x_padded * v->a[1].x_padded; }
static size_t y_plane(const pn_conv *v) { return v->a[0].y_padded * v->a[1].y_padded; }
static size_t x_planes_size(const pn_conv *v) { return up(v->xc * x_plane(v) + SLACK); }

int pn_planes_fit(const pn_conv *v)
{
    return v->groups == 1 && !v->depthwise && v->a[0].s == 1 && v->a[1].s == 1 && v->mode == ZEROS;
}

void pn_planes_choose(pn_conv *v, size_t lanes)
{
    v->y_planes = pn_planes_fit(v) && !v->y_layout && 2 * v->o <= lanes;
    v->x_planes = pn_planes_fit(v) && !v->x_layout && 2 * v->c <= lanes && !v->x_scatters;
}

/* The products; planes_size and out_size grow. */
pn_status pn_planes_plan(pn_builder *b, pn_conv *v)
{
    const pn_axis *h = &v->a[0], *w = &v->a[1];
    const size_t panel = b->k->conv.panel_width((size_t)-1 / 2);
    if (!v->y_planes && !v->x_planes) return PN_OK;
    const size_t y_runs = v->c * h->k, x_runs = v->o * h->k;
    ptrdiff_t *at = pn_plan_alloc(b, (2 * (y_runs + x_runs) + v->c * v->taps) * sizeof *at);
    if (!at) return PN_NO_MEMORY;
    ptrdiff_t *xt = at + 2 * y_runs;
    for (size_t r = 0; r < y_runs; r++) {
        at[r] = (ptrdiff_t)(r * w->k);
        at[y_runs + r] = (ptrdiff_t)(r / h->k * x_plane(v) + r % h->k * h->d * w->x_padded);
    }
    for (size_t r = 0; r < x_runs; r++) {
        const size_t k = h->k - 1 - r % h->k;
        xt[r] = (ptrdiff_t)(r / h->k * v->c * v->taps + k * w->k + w->k - 1);
        xt[x_runs + r] = (ptrdiff_t)(r / h->k * y_plane(v) +
                                     (h->before + h->y_at - k * h->d) * w->y_padded + w->before +
                                     w->y_at - (w->k - 1) * w->d);
    }
    const size_t ny = (h->y - 1) * w->x_padded + w->y, nx = (h->x - 1) * w->y_padded + w->x;
    v->y_plane = (pn_taps){ .runs = y_runs,
                            .steps = w->k,
                            .a_at = at,
                            .b_at = at + y_runs,
                            .a_row = (ptrdiff_t)(v->c * v->taps),
                            .a_step = 1,
                            .b_step = (ptrdiff_t)w->d,
                            .b_panel = (ptrdiff_t)panel,
                            .c_row = (ptrdiff_t)up(ny),
                            .lines = 1, .m = v->o, .n = ny,
                            .bias_rows = 1 };
    v->x_plane = (pn_taps){ .runs = x_runs,
                            .steps = w->k,
                            .a_at = xt,
                            .b_at = xt + x_runs,
                            .a_row = (ptrdiff_t)v->taps,
                            .a_step = -1,
                            .b_step = (ptrdiff_t)w->d,
                            .b_panel = (ptrdiff_t)panel,
                            .c_row = (ptrdiff_t)up(nx),
                            .lines = 1, .m = v->c, .n = nx,
                            .bias_rows = 1 };
    ptrdiff_t *tap_at = xt + 2 * x_runs;
    for (size_t t = 0; t < v->c * v->taps; t++)
        tap_at[t] = (ptrdiff_t)(t / v->taps * x_plane(v) + t % v->taps / w->k * h->d * w->x_padded +
                                t % w->k * w->d);
    v->dots = (pn_dots){ .h = h->y,
                         .w = w->y,
                         .o = v->o,
                         .n = v->c * v->taps,
                         .row = w->x_padded,
                         .y_image = h->y * w->y * v->o,
                         .x_image = x_planes_size(v),
                         .at = tap_at };
    v->planes_size = v->at_once * x_planes_size(v) + up(v->yc * y_plane(v) + SLACK);
    if (v->y_planes) v->out_size = pn_max(v->out_size, v->o * up(ny));
    if (v->x_planes) v->out_size = pn_max(v->out_size, v->c * up(nx));
    return PN_OK;
}

void pn_planes_clear(const pn_conv *v, char *planes, int x, int y, size_t size)
{
    const size_t all = v->at_once * x_planes_size(v);
    if (x) memset(planes, 0, all * size);
    if (y) memset(planes + all * size, 0, (v->planes_size - all) * size);
}

/* One image (h, w, c), plain or with its channels last, into planes whose rows are `row` long. */
static void fill(const pn_step *s, const char *image, int last, size_t h, size_t w, size_t c,
                 size_t row, size_t plane, char *planes)
{
    const size_t size = s->bytes;
    for (size_t r = 0; r < h && last; r++)
        s->k->transpose(w, c, image + r * w * c * size, c, planes + r * row * size, plane);
    for (size_t k = 0; k < c && !last; k++)
        s->k->conv.crop(h, w, image + k * h * w * size, w, planes + k * plane * size, row);
}

static void fill_x(const pn_conv_job *j, const char *x, char *planes)
{
    const pn_conv *v = j->v;
    const pn_axis *h = &v->a[0], *w = &v->a[1];
    fill(j->s, x, v->x_layout, h->x, w->x, v->xc, w->x_padded, x_plane(v),
         planes + (h->before * w->x_padded + w->before) * j->s->bytes);
}

void pn_planes_y_uncut(const pn_conv_job *j, const char *x, char *planes, const char *bias,
                       char *out)
{
    fill_x(j, x, planes);
    j->s->k->conv.taps(&j->v->y_plane, 1, j->s->node->slots[WEIGHT].data, planes, bias, out);
}

void pn_planes_y(const pn_conv_job *j, const char *x, char *planes, char *out, const char *bias,
                 char *y)
{
    const pn_conv *v = j->v;
    const pn_axis *h = &v->a[0], *w = &v->a[1];
    const size_t size = j->s->bytes;
    pn_planes_y_uncut(j, x, planes, bias, out);
    for (size_t k = 0; k < v->o; k++)
        j->s->k->conv.crop(h->y, w->y, out + k * (size_t)v->y_plane.c_row * size, w->x_padded,
                           y + k * h->y * w->y * size, w->y);
}

void pn_planes_x(const pn_conv_job *j, const char *y, char *planes, char *out, const char *bias,
                 char *x)
{
    const pn_conv *v = j->v;
    const pn_axis *h = &v->a[0], *w = &v->a[1];
    const size_t size = j->s->bytes;
    planes += v->at_once * x_planes_size(v) * size;
    fill(j->s, y, v->y_layout, h->y, w->y, v->yc, w->y_padded, y_plane(v),
         planes + (h->y_at * w->y_padded + w->y_at) * size);
    j->s->k->conv.taps(&v->x_plane, 1, j->s->node->slots[WEIGHT].data, planes, bias, out);
    for (size_t k = 0; k < v->c; k++)
        j->s->k->conv.crop(h->x, w->x, out + k * (size_t)v->x_plane.c_row * size, w->y_padded,
                           x + k * h->x * w->x * size, w->x);
}

void pn_planes_bias(const pn_conv_job *j, size_t n, const char *y, char *sums)
{
    const pn_conv *v = j->v;
    const size_t size = j->s->bytes, plane = v->a[0].y * v->a[1].y;
    for (size_t k = 0; k < n * v->o; k++)
        j->s->k->conv.plane_sum(plane, y + k * plane * size, sums + (v->packed + k % v->o) * size);
}

void pn_planes_weight(const pn_conv_job *j, size_t n, const char *x, const char *y, char *planes,
                      char *sums)
{
    const pn_conv *v = j->v;
    const size_t size = j->s->bytes;
    for (size_t k = 0; k < n; k++)
        fill_x(j, x + k * v->a[0].x * v->a[1].x * v->xc * size,
               planes + k * x_planes_size(v) * size);
    j->s->k->conv.dots(&v->dots, n, y, planes, sums);
}
