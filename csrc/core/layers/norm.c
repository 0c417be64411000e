/* norm.c - normalisation layers: by statistics of the batch (and their running averages), of rows,
 * and of groups of channels. */
#include "layers.h"
#include "../graph/builder.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define TRACKED_FIELDS(FIELD, T) \
    FIELD(T, COUNT, num_features, AT_LEAST(0), "channels") \
    FIELD(T, NUMBER, eps, ANY, "what is added to variances") \
    FIELD(T, NUMBER, momentum, ANY, "weight of a batch in running statistics; < 0: cumulative") \
    FIELD(T, FLAG, weight, ANY, "whether there is a weight") \
    FIELD(T, FLAG, bias, ANY, "whether there is a bias") \
    FIELD(T, FLAG, track_running_stats, ANY, "whether there are running statistics")
PN_CONFIG(tracked_config, TRACKED_FIELDS)
#define GROUP_FIELDS(FIELD, T) \
    FIELD(T, COUNT, num_groups, AT_LEAST(1), "number of groups of channels") \
    FIELD(T, COUNT, num_channels, AT_LEAST(0), "channels") \
    FIELD(T, NUMBER, eps, ANY, "what is added to variances") \
    FIELD(T, FLAG, weight, ANY, "whether there is a weight") \
    FIELD(T, FLAG, bias, ANY, "whether there is a bias")
PN_CONFIG(group_config, GROUP_FIELDS)
#define ROW_FIELDS(FIELD, T) \
    FIELD(T, NUMBER, eps, ANY, "what is added to variances") \
    FIELD(T, FLAG, centred, ANY, "whether the mean is subtracted") \
    FIELD(T, FLAG, weight, ANY, "whether there is a weight") \
    FIELD(T, FLAG, bias, ANY, "whether there is a bias") \
    FIELD(T, COUNTS, normalized_shape, AT_LEAST(0), "the last axes of the sample")
PN_CONFIG(row_config, ROW_FIELDS)
/* elements per task; size of a tile of columns */
enum { CHUNK = 8192, TILE_ROWS = 64, TILE_COLUMNS = 256 };
/* maximum number of partial sums of weight gradients; minimum groups per partial sum */
enum { PARTS = 16, LEAST_PART = 8 };
/* groups that backward reads twice while they are in cache */
enum { BLOCK = 64, LEAST_BLOCK = 4 };
/* groups whose weight gradients are summed in the dtype */
enum { HELD = 256 };

/* State shared by the steps of a node. */
typedef struct {
    const pn_norm_kernels *k;
    pn_dtype t;
    pn_norm_groups g;
    size_t groups, features;
    /* fresh: whether statistics come from the input, not from running averages */
    int fresh, columns;
    int far;                                /* whether the scale of any column is extreme */
    /* per column; rest: -scale times the rounding error of the mean in the dtype */
    double *slope, *shift, *rest;
    void *running_mean, *running_var, *tracked;
    double count, momentum;
    /* for columns: rows of the batch viewed as one matrix */
    size_t rows, tile_rows, row_tiles, column_tiles;
    double *parts;                          /* per row of tiles: two numbers per column */
} norm;

typedef struct {
    norm *f;
    /* two sums per group or span; three numbers per feature: for columns, factors */
    double *sums, *by;
    void *gw, *gb;
    /* for weights per element: two sums per chunk, and memory for two */
    double *parts;
    int add_gw, add_gb;                     /* whether to add to the existing gradients */
    size_t per, chunks;                     /* groups per chunk */
} gradients;

typedef struct { const pn_step *s; void *const *at; norm *f; gradients *g; size_t per; } job;

static size_t parts_of(size_t n, size_t per) { return (n + per - 1) / per; }
/* sums per group */
static size_t units_of(const norm *f) { return f->g.weight_axis == PN_PER_SPAN ? f->g.spans : 1; }

/* ---- forward --------------------------------------------------------------------------------- */

static void group_chunk(void *context, size_t chunk)
{
    const job *j = context;
    const norm *f = j->f;
    const size_t from = chunk * j->per, to = pn_min(from + j->per, f->groups);
    if (f->fresh) f->k->moments(&f->g, from, to, j->at[j->s->in]);
    f->k->apply(&f->g, from, to, j->at[j->s->in], j->at[j->s->out]);
}

typedef struct { size_t row, rows, column, columns, at; } tile;
static tile tile_at(const norm *f, size_t i)
{
    tile t = { .row = i / f->column_tiles, .column = i % f->column_tiles * TILE_COLUMNS };
    t.rows = pn_min(f->tile_rows, f->rows - t.row * f->tile_rows);
    t.columns = pn_min(TILE_COLUMNS, f->features - t.column);
    t.at = t.row * f->tile_rows * f->features + t.column;
    return t;
}
static double *part_at(const norm *f, size_t row, int second)
{
    return f->parts + (2 * row + (second != 0)) * f->features;
}

static void moments_tile(void *context, size_t i)
{
    const job *j = context;
    const norm *f = j->f;
    tile t = tile_at(f, i);
    f->k->columns_moments(t.rows, t.columns, f->features,
                          pn_element_at(f->t, j->at[j->s->in], t.at),
                          part_at(f, t.row, 0) + t.column, part_at(f, t.row, 1) + t.column);
}
static void apply_tile(void *context, size_t i)
{
    const job *j = context;
    const norm *f = j->f;
    tile t = tile_at(f, i);
    const double *by[] = { f->g.mean + t.column, f->slope + t.column, f->shift + t.column };
    f->k->columns_apply(t.rows, t.columns, f->features, pn_element_at(f->t, j->at[j->s->in], t.at),
                        pn_element_at(f->t, j->at[j->s->out], t.at), by);
}

/* Moments of whole columns from those of their tiles (Chan, Golub and LeVeque, 1979). */
static void join_tiles(norm *f, const void *x)
{
    for (size_t c = 0; c < f->features; c++) f->g.mean[c] = f->g.var[c] = 0;
    for (size_t r = 0; r < f->row_tiles; r++) {
        const double share = (double)pn_min(f->tile_rows, f->rows - r * f->tile_rows) /
                             (double)f->rows,
                     *mean = part_at(f, r, 0);
        for (size_t c = 0; c < f->features; c++) f->g.mean[c] += share * mean[c];
    }
    for (size_t r = 0; r < f->row_tiles; r++) {
        const double n = (double)pn_min(f->tile_rows, f->rows - r * f->tile_rows),
                     *mean = part_at(f, r, 0), *squares = part_at(f, r, 1);
        for (size_t c = 0; c < f->features; c++)
            f->g.var[c] += squares[c] + n * (mean[c] - f->g.mean[c]) * (mean[c] - f->g.mean[c]);
    }
    for (size_t c = 0; c < f->features; c++) {
        f->g.var[c] /= (double)f->rows;
        f->g.scale[c] = 1 / sqrt(f->g.var[c] + f->g.eps);
        if (f->k->needs_rescaling(f->g.var[c], f->g.eps))
            f->k->rescaled_moments(f->rows, f->features, 1, pn_element_at(f->t, x, c), 1, f->g.eps,
                              f->g.mean + c, f->g.var + c, f->g.scale + c);
    }
}

static double rounded(const norm *f, double v) { return f->t == PN_F32 ? (double)(float)v : v; }

static void forward_columns(norm *f, job *j)
{
    const size_t tiles = f->row_tiles * f->column_tiles;
    if (f->fresh) {
        pn_parallel(tiles, moments_tile, j);
        join_tiles(f, j->at[j->s->in]);
    }
    f->far = 0;
    for (size_t c = 0; c < f->features; c++) {
        const double w = f->g.w ? pn_element(f->t, f->g.w, c) : 1;
        f->rest[c] = -f->g.scale[c] * (f->g.mean[c] - rounded(f, f->g.mean[c]));
        f->slope[c] = f->g.scale[c] * w;
        f->far |= !f->k->scale_in_range(f->g.scale[c]);
        f->shift[c] = f->rest[c] * w + (f->g.b ? pn_element(f->t, f->g.b, c) : 0);
    }
    pn_parallel(tiles, apply_tile, j);
}

/* running = (1 - m) running + m new, with the unbiased variance. For several samples of
 * instance_norm, new is their mean. A negative momentum selects the cumulative average. An empty
 * batch is counted, as in PyTorch, and changes nothing else. */
static void track(norm *f)
{
    int64_t tracked = 1;
    if (f->tracked) {
        memcpy(&tracked, f->tracked, sizeof tracked);
        tracked++;
        memcpy(f->tracked, &tracked, sizeof tracked);
    }
    const double m = f->momentum < 0 ? 1 / (double)tracked : f->momentum,
                 unbiased = f->count / (f->count - 1);
    for (size_t c = 0; c < f->features && f->groups && f->count > 0; c++) {
        const size_t samples = f->groups / f->features;
        double mean = 0, var = 0;
        for (size_t i = c; i < f->groups; i += f->features) {
            mean += f->g.mean[i];
            var += f->g.var[i];
        }
        pn_element_set(f->t, f->running_mean, c,
            (1 - m) * pn_element(f->t, f->running_mean, c) + m * mean / (double)samples);
        pn_element_set(f->t, f->running_var, c,
            (1 - m) * pn_element(f->t, f->running_var, c) + m * unbiased * var / (double)samples);
    }
}

static void run_forward(const pn_step *s, void *const *at)
{
    norm *f = s->args;
    job j = { .s = s, .at = at, .f = f, .per = CHUNK / (f->g.spans * f->g.n + 1) + 1 };
    for (size_t i = 0; !f->fresh && i < f->groups; i++) {
        f->g.mean[i] = pn_element(f->t, f->running_mean, i % f->features);
        f->g.scale[i] = 1 / sqrt(pn_element(f->t, f->running_var, i % f->features) + f->g.eps);
    }
    if (f->columns && f->count > 0) forward_columns(f, &j);
    else if (f->count > 0) pn_parallel(parts_of(f->groups, j.per), group_chunk, &j);
    if (f->running_mean && f->fresh) track(f);
}

/* ---- backward -------------------------------------------------------------------------------- */

/* The factors of gx = by[0] h + by[1] (x - mean) scale + by[2], from the sums of h and of h (x -
 * mean) scale; w: of the whole group. */
static void factors(const norm *f, double scale, double sum, double product, double w, double *by)
{
    by[0] = scale * w;
    by[1] = f->fresh ? -scale * product / f->count * w : 0;
    by[2] = f->fresh && f->g.centred ? -scale * sum / f->count * w : 0;
}

/* Three factors for each of the groups in [from, to), computed from their sums. */
static void factors_of(const norm *f, const double *sums, size_t from, size_t to, double *by)
{
    const size_t units = units_of(f);
    for (size_t i = from; i < to; i++, by += 3) {
        const size_t at = f->g.w && f->g.weight_axis != PN_PER_ELEMENT
                            ? i % f->g.period * f->g.width
                            : 0;
        double total[2] = { 0 };
        for (size_t u = 0; u < units; u++) {
            const double w = f->g.w && f->g.weight_axis == PN_PER_SPAN
                               ? pn_element(f->t, f->g.w, at + u)
                               : 1;
            total[0] += w * sums[2 * (i * units + u)];
            total[1] += w * sums[2 * (i * units + u) + 1];
        }
        factors(f, f->g.scale[i], total[0], total[1],
                f->g.w && f->g.weight_axis == PN_PER_GROUP ? pn_element(f->t, f->g.w, at) : 1, by);
    }
}

/* total += held, which is then 0. */
static void fold(const norm *f, double *total, void *held)
{
    for (size_t c = 0; c < f->features; c++) total[c] += pn_element(f->t, held, c);
    memset(held, 0, f->features * pn_size(f->t));
}

static void back_chunk(void *context, size_t chunk)
{
    const job *j = context;
    const norm *f = j->f;
    const gradients *d = j->g;
    size_t count = 0;
    const size_t last = pn_min((chunk + 1) * d->per, f->groups),
                 block = pn_min(BLOCK, pn_max(LEAST_BLOCK, CHUNK / (f->g.spans * f->g.n + 1)));
    const int each = f->g.weight_axis == PN_PER_ELEMENT;
    const void *x = j->at[j->s->in2], *gy = j->at[j->s->in];
    void *gx = j->s->out == PN_NONE ? NULL : j->at[j->s->out];
    double *sums = each && d->parts ? d->parts + 4 * chunk * f->features : NULL,
           *held = sums ? sums + 2 * f->features : NULL, by[3 * BLOCK];
    void *gw = held && d->gw ? held : NULL, *gb = held && d->gb ? held + f->features : NULL;
    if (sums) memset(sums, 0, 4 * f->features * sizeof *sums);
    for (size_t i = chunk * d->per; i < last; i += block) {
        const size_t to = pn_min(i + block, last);
        if (f->fresh || (!each && (d->gw || d->gb))) f->k->sums(&f->g, i, to, x, gy, d->sums);
        if (!gx && !each) continue;
        factors_of(f, d->sums, i, to, by);
        f->k->back(&f->g, i, to, x, gy, gx, by, gw, gb);
        if ((count += to - i) < HELD && to < last) continue;
        if (gw) fold(f, sums, gw);
        if (gb) fold(f, sums + f->features, gb);
        count = 0;
    }
}

static void sums_tile(void *context, size_t i)
{
    const job *j = context;
    const norm *f = j->f;
    tile t = tile_at(f, i);
    const double *by[] = { f->g.mean + t.column, f->far ? f->g.scale + t.column : NULL,
                           f->rest + t.column };
    f->k->columns_sums(t.rows, t.columns, f->features, pn_element_at(f->t, j->at[j->s->in2], t.at),
                       pn_element_at(f->t, j->at[j->s->in], t.at), by,
                       part_at(f, t.row, 0) + t.column, part_at(f, t.row, 1) + t.column);
}
static void back_tile(void *context, size_t i)
{
    const job *j = context;
    const norm *f = j->f;
    tile t = tile_at(f, i);
    const double *b = j->g->by + t.column;
    const double *by[] = { f->g.mean + t.column, f->far ? f->g.scale + t.column : NULL,
                           f->rest + t.column,   b,
                           b + f->features,      b + 2 * f->features };
    f->k->columns_back(t.rows, t.columns, f->features, pn_element_at(f->t, j->at[j->s->in2], t.at),
                       pn_element_at(f->t, j->at[j->s->in], t.at),
                       pn_element_at(f->t, j->at[j->s->out], t.at), by);
}
static void backward_columns(const pn_step *s, norm *f, job *j)
{
    const size_t tiles = f->row_tiles * f->column_tiles;
    gradients *d = j->g;
    if (f->fresh || d->gw || d->gb) pn_parallel(tiles, sums_tile, j);
    memset(d->sums, 0, 2 * f->features * sizeof *d->sums);
    for (size_t r = 0; r < f->row_tiles; r++)
        for (size_t c = 0; c < f->features; c++) {
            d->sums[2 * c] += part_at(f, r, 0)[c];
            d->sums[2 * c + 1] += part_at(f, r, 1)[c];
        }
    for (size_t c = 0; c < f->features && !f->far; c++)         /* of gy (x - mean) scale */
        d->sums[2 * c + 1] = d->sums[2 * c + 1] * f->g.scale[c] + f->rest[c] * d->sums[2 * c];
    if (s->out == PN_NONE) return;
    for (size_t c = 0; c < f->features; c++) {
        double by[3];
        factors(f, f->g.scale[c], d->sums[2 * c], d->sums[2 * c + 1],
                f->g.w ? pn_element(f->t, f->g.w, c) : 1, by);
        if (!f->far) {
            by[2] += by[1] * f->rest[c];
            by[1] *= f->g.scale[c];
        }
        for (size_t i = 0; i < 3; i++) d->by[i * f->features + c] = by[i];
    }
    pn_parallel(tiles, back_tile, j);
}

/* Gradients of weights with one element for each group or span, summed over all samples in
 * order. */
static void give_sums(const norm *f, const gradients *d)
{
    const size_t units = units_of(f);
    double *w = d->by, *b = w + f->features;
    for (size_t c = 0; c < f->features; c++) {
        w[c] = d->add_gw ? pn_element(f->t, d->gw, c) : 0;
        b[c] = d->add_gb ? pn_element(f->t, d->gb, c) : 0;
    }
    for (size_t i = 0, c = 0; i < f->groups; i++)
        for (size_t u = i * units; u < (i + 1) * units; u++, c = c + 1 < f->features ? c + 1 : 0) {
            b[c] += d->sums[2 * u];
            w[c] += d->sums[2 * u + 1];
        }
    for (size_t c = 0; c < f->features; c++) {
        if (d->gw) pn_element_set(f->t, d->gw, c, w[c]);
        if (d->gb) pn_element_set(f->t, d->gb, c, b[c]);
    }
}

static void run_backward(const pn_step *s, void *const *at)
{
    gradients *d = s->args;
    norm *f = d->f;
    job j = { .s = s, .at = at, .f = f, .g = d };
    if (f->columns) backward_columns(s, f, &j);
    else pn_parallel(d->chunks, back_chunk, &j);
    if (f->g.weight_axis != PN_PER_ELEMENT) {
        if (d->gw || d->gb) give_sums(f, d);
        return;
    }
    for (size_t c = 0; c < f->features && d->parts; c++) {
        double w = d->gw && d->add_gw ? pn_element(f->t, d->gw, c) : 0,
               b = d->gb && d->add_gb ? pn_element(f->t, d->gb, c) : 0;
        for (size_t i = 0; i < d->chunks; i++)
            w += d->parts[4 * i * f->features + c], b += d->parts[(4 * i + 1) * f->features + c];
        if (d->gw) pn_element_set(f->t, d->gw, c, w);
        if (d->gb) pn_element_set(f->t, d->gb, c, b);
    }
}

/* ---- steps ----------------------------------------------------------------------------------- */

static double *doubles(pn_builder *b, size_t n, int *ok)
{
    size_t bytes;
    double *p = pn_multiply(n, sizeof *p, &bytes) ? pn_plan_alloc(b, bytes) : NULL;
    *ok &= p != NULL;
    return p;
}

/* Adds the forward step of a normalisation with the geometry of f. */
static pn_status add_forward(pn_builder *b, size_t node, const char *what, norm f)
{
    const pn_node *n = &b->graph->nodes[node];
    int ok = 1, y = b->value[node] = pn_output_buffer(b, node, 0);
    pn_step *s = y == PN_NONE ? NULL : pn_step_new(b, what, run_forward);
    norm *own = s ? pn_plan_alloc(b, sizeof *own) : NULL;
    if (!own) return PN_NO_MEMORY;
    f.k = b->k->norm;
    f.t = b->graph->dtype;
    f.count = (double)(f.g.spans * f.g.n);
    f.g.mean = doubles(b, f.groups, &ok);
    f.g.var = doubles(b, f.groups, &ok);
    f.g.scale = doubles(b, f.groups, &ok);
    if (f.columns) {
        const size_t wide = pn_min(f.features ? f.features : 1, TILE_COLUMNS);
        f.tile_rows = TILE_ROWS * (TILE_COLUMNS / wide);
        f.row_tiles = parts_of(f.rows, f.tile_rows);
        f.column_tiles = parts_of(f.features, TILE_COLUMNS);
        f.slope = doubles(b, f.features, &ok);
        f.shift = doubles(b, f.features, &ok);
        f.rest = doubles(b, f.features, &ok);
        f.parts = doubles(b, 2 * f.row_tiles * f.features, &ok);
    }
    if (!ok) return PN_NO_MEMORY;
    *own = f;
    s->args = b->planned[node] = own;
    s->in = b->value[n->inputs[0]];
    s->out = y;
    pn_step_uses(b, s->in);
    pn_step_uses(b, y);
    return PN_OK;
}

static pn_status backward(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    norm *f = b->planned[node];
    int ok = 1, gx = PN_NONE, wanted = pn_needs_gradient(b, n->inputs[0]);
    gradients d = { .f = f };
    for (size_t i = 0; i < n->n_slots; i++) {
        if (!n->slots[i].grad) continue;
        if (n->slots[i].data == f->g.w)
            d.gw = n->slots[i].grad, d.add_gw = pn_accumulates(b, node, i);
        else d.gb = n->slots[i].grad, d.add_gb = pn_accumulates(b, node, i);
    }
    if (!wanted && !d.gw && !d.gb) return PN_OK;
    if (wanted && (gx = pn_gradient_buffer(b, n->inputs[0], b->grad[node])) == PN_NONE)
        return PN_NO_MEMORY;
    const size_t units = units_of(f);
    d.per = CHUNK / (f->g.spans * f->g.n + 1) + 1;
    if (f->g.weight_axis == PN_PER_ELEMENT)
        d.per = pn_max(d.per, pn_max(LEAST_PART, parts_of(f->groups, PARTS)));
    d.chunks = parts_of(f->groups, d.per);
    d.sums = doubles(b, 2 * f->groups * units, &ok);
    d.by = doubles(b, 3 * f->features, &ok);
    if (f->g.weight_axis == PN_PER_ELEMENT && (d.gw || d.gb))
        d.parts = doubles(b, 4 * d.chunks * f->features, &ok);
    pn_step *s = ok ? pn_step_new(b, "normalisation gradient", run_backward) : NULL;
    gradients *own = s ? pn_plan_alloc(b, sizeof *own) : NULL;
    if (!own) return PN_NO_MEMORY;
    *own = d;
    s->args = own;
    s->in = b->grad[node];
    s->in2 = b->value[n->inputs[0]];
    s->out = gx;
    pn_step_uses(b, s->in);
    pn_step_uses(b, s->in2);
    pn_step_uses(b, gx);
    return PN_OK;
}

static size_t inner_of(const pn_shape *s, size_t from)
{
    size_t n = 1;
    for (size_t i = from; i < s->ndim; i++) n *= s->dim[i];
    return n;
}
static pn_status bad_shape(const pn_node *node, const pn_shape *input, const char *what,
                           pn_error *error)
{
    char text[80];
    pn_shape_text(input, text, sizeof text);
    return pn_fail(error, PN_BAD_SHAPE, "%s: a sample of shape %s %s", node->where, text, what);
}

/* ---- batch and instance ---------------------------------------------------------------------- */

static pn_status shape_tracked(pn_node *node, const pn_shape *const *inputs, pn_dtype t,
                               pn_error *error)
{
    (void)t;
    const tracked_config *config = pn_config(node);
    const size_t c = config->num_features;
    char what[80];
    snprintf(what, sizeof what, "does not begin with num_features = %zu", c);
    if (inputs[0]->ndim < 1 || inputs[0]->dim[0] != c)
        return bad_shape(node, inputs[0], what, error);
    node->shape = *inputs[0];
    if (config->weight) pn_slot_add(node, "weight", 0, (pn_shape){ 1, { c } });
    if (config->bias) pn_slot_add(node, "bias", 0, (pn_shape){ 1, { c } });
    if (!config->track_running_stats) return PN_OK;
    pn_slot_add(node, "running_mean", 1, (pn_shape){ 1, { c } });
    pn_slot_add(node, "running_var", 1, (pn_shape){ 1, { c } });
    /* an int64, in the bytes of one or two numbers */
    pn_slot_add(node, "num_batches_tracked", 1, (pn_shape){ .ndim = PN_ANY_SHAPE });
    return PN_OK;
}

/* Sets what both kinds share: the statistics to use, and the arrays. */
static pn_status tracked_norm(pn_builder *b, const pn_node *n, norm *f)
{
    const tracked_config *c = pn_config(n);
    const pn_binding *states = n->slots + c->weight + c->bias;
    f->features = f->g.period = c->num_features;
    f->g.width = f->g.centred = 1;
    f->g.eps = c->eps;
    f->momentum = c->momentum;
    f->fresh = !c->track_running_stats || (n->training && b->mode != PN_PREDICT);
    if (c->weight) f->g.w = n->slots[0].data;
    if (c->bias) f->g.b = n->slots[c->weight].data;
    if (c->track_running_stats)
        f->running_mean = states[0].data, f->running_var = states[1].data,
        f->tracked = states[2].data;
    if (f->fresh && f->g.spans * f->g.n == 1)
        return pn_fail(
            b->error, PN_BAD_SHAPE,
            "%s: one value per channel has no variance; training needs more "
            "(if the last batch is a single row, use drop_last)",
            n->where);
    return PN_OK;
}

static pn_status forward_batch(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    const size_t c = n->shape.dim[0], inner = inner_of(&n->shape, 1);
    norm f = { .g = { .spans = b->rows,
                      .stride = c * inner,
                      .n = inner,
                      .step = inner,
                      .weight_axis = PN_PER_GROUP },
               .groups = c,
               .rows = b->rows * inner,
               /* channels last: one matrix of all pixels */
               .columns = inner == 1 || b->layout[node] };
    pn_status status = tracked_norm(b, n, &f);
    return status ? status : add_forward(b, node, "batch normalisation", f);
}

static pn_status forward_instance(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    const size_t inner = inner_of(&n->shape, 1);
    norm f = { .g = { .spans = 1, .n = inner, .step = inner, .weight_axis = PN_PER_GROUP },
               .groups = b->rows * n->shape.dim[0] };
    pn_status status = tracked_norm(b, n, &f);
    /* PyTorch does not count batches here */
    f.tracked = NULL;
    return status ? status : add_forward(b, node, "instance normalisation", f);
}

/* ---- groups of channels ---------------------------------------------------------------------- */

static pn_status shape_group(pn_node *node, const pn_shape *const *inputs, pn_dtype t,
                             pn_error *error)
{
    (void)t;
    const group_config *c = pn_config(node);
    const size_t channels = c->num_channels;
    if (channels % c->num_groups)
        return pn_fail(error, PN_BAD_VALUE, "%s: num_channels must be a multiple of num_groups",
                       node->where);
    char what[80];
    snprintf(what, sizeof what, "does not begin with num_channels = %zu", channels);
    if (inputs[0]->ndim < 1 || inputs[0]->dim[0] != channels)
        return bad_shape(node, inputs[0], what, error);
    node->shape = *inputs[0];
    if (c->weight) pn_slot_add(node, "weight", 0, (pn_shape){ 1, { channels } });
    if (c->bias) pn_slot_add(node, "bias", 0, (pn_shape){ 1, { channels } });
    return PN_OK;
}

/* If a channel is a single element, weights are per element. */
static pn_status forward_group(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    const group_config *c = pn_config(n);
    const size_t groups = c->num_groups, channels = c->num_channels,
                 each = channels / groups, inner = inner_of(&n->shape, 1);
    norm f = { .g = { .spans = each,
                      .stride = inner,
                      .n = inner,
                      .step = each * inner,
                      .period = groups,
                      .width = each,
                      .weight_axis = PN_PER_SPAN,
                      .centred = 1,
                      .eps = c->eps },
               .groups = b->rows * groups,
               .features = channels,
               .fresh = 1 };
    if (inner == 1) f.g.spans = 1, f.g.n = each, f.g.weight_axis = PN_PER_ELEMENT;
    if (c->weight) f.g.w = n->slots[0].data;
    if (c->bias) f.g.b = n->slots[c->weight].data;
    return add_forward(b, node, "group normalisation", f);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static pn_status shape_layer(pn_node *node, const pn_shape *const *inputs, pn_dtype t,
                             pn_error *error)
{
    (void)t;
    const row_config *c = pn_config(node);
    pn_shape rows = { .ndim = c->normalized_shape.n };
    const size_t skipped = inputs[0]->ndim - rows.ndim;
    int fits = rows.ndim <= inputs[0]->ndim;
    for (size_t i = 0; i < rows.ndim; i++) {
        rows.dim[i] = c->normalized_shape.at[i];
        fits = fits && inputs[0]->dim[skipped + i] == rows.dim[i];
    }
    if (!fits) {
        char text[80], what[120];
        pn_shape_text(&rows, text, sizeof text);
        snprintf(what, sizeof what, "does not end in normalized_shape = %s", text);
        return bad_shape(node, inputs[0], what, error);
    }
    node->shape = *inputs[0];
    if (c->weight) pn_slot_add(node, "weight", 0, rows);
    if (c->bias) pn_slot_add(node, "bias", 0, rows);
    return PN_OK;
}

static pn_status forward_layer(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    const row_config *c = pn_config(n);
    const size_t width = inner_of(&n->shape, n->shape.ndim - c->normalized_shape.n),
                 all = b->rows * pn_count(&n->shape);
    norm f = { .g = { .spans = 1,
                      .n = width,
                      .step = width,
                      .period = 1,
                      .weight_axis = PN_PER_ELEMENT,
                      .centred = c->centred,
                      .eps = c->eps },
               .groups = width ? all / width : 0,
               .features = width,
               .fresh = 1 };
    if (c->weight) f.g.w = n->slots[0].data;
    if (c->bias) f.g.b = n->slots[c->weight].data;
    return add_forward(b, node,
                       f.g.centred ? "layer normalisation" : "root mean square normalisation", f);
}

const pn_layer_kind pn_layer_batch_norm = {
    "batch_norm", 1, 1, shape_tracked, forward_batch, backward, PN_LAYOUT_ANY, tracked_config_fields
};
const pn_layer_kind pn_layer_instance_norm = {
    "instance_norm", 1,        1,              shape_tracked,
    forward_instance, backward, PN_LAYOUT_NCHW, tracked_config_fields
};
const pn_layer_kind pn_layer_group_norm = {
    "group_norm", 1, 1, shape_group, forward_group, backward, PN_LAYOUT_NCHW, group_config_fields
};
const pn_layer_kind pn_layer_layer_norm = {
    "layer_norm", 1, 1, shape_layer, forward_layer, backward, PN_LAYOUT_NCHW, row_config_fields
};
