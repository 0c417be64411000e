/* data.c - rows of samples gathered and converted for a plan, and the score of what comes out of
 * it. */
#include "data.h"
#include "../base/clock.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GATHER_BYTES = 1 << 16 };        /* a thread's share at the least */
/* of a row, fetched ahead: what follows is a stream, which the machine sees coming */
enum { FETCH_BYTES = 512 };

size_t pn_sample_bytes(const pn_graph *g, size_t node)
{
    return pn_count(&g->nodes[node].shape) * pn_size(g->dtype);
}
size_t pn_width(const pn_graph *g, size_t output)
{
    return pn_count(&g->nodes[g->outputs[output]].shape);
}

/* ---- room ------------------------------------------------------------------------------------ */

void pn_batch_buffers_free(pn_batch_buffers *room, const pn_graph *g)
{
    for (size_t i = 0; room->x && i < g->n_inputs; i++) pn_arena_free(room->x[i]);
    for (size_t i = 0; room->target && i < g->n_outputs; i++) free(room->target[i]);
    for (size_t i = 0; room->weight && i < g->n_outputs; i++) free(room->weight[i]);
    for (size_t i = 0; room->turned && i < g->n_outputs; i++) free(room->turned[i]);
    for (size_t i = 0; room->label && i < g->n_outputs; i++) free(room->label[i]);
    free(room->x);
    free(room->target);
    free(room->weight);
    free(room->turned);
    free(room->label);
    *room = (pn_batch_buffers){ 0 };
}

pn_status pn_batch_buffers_reserve(pn_batch_buffers *room, const pn_graph *g, size_t rows,
                                   pn_error *error)
{
    if (room->x && rows <= room->rows) return PN_OK;
    pn_batch_buffers_free(room, g);
    room->x = calloc(g->n_inputs, sizeof *room->x);
    room->target = calloc(g->n_outputs, sizeof *room->target);
    room->weight = calloc(g->n_outputs, sizeof *room->weight);
    room->turned = calloc(g->n_outputs, sizeof *room->turned);
    room->label = calloc(g->n_outputs, sizeof *room->label);
    int ok = room->x && room->target && room->weight && room->turned && room->label;
    for (size_t i = 0; ok && i < g->n_inputs; i++)
        ok = (room->x[i] = pn_arena_new(rows * pn_sample_bytes(g, g->inputs[i]) + 1)) != NULL;
    for (size_t i = 0; ok && i < g->n_outputs; i++) {
        room->target[i] = malloc(rows * pn_sample_bytes(g, g->outputs[i]) + 1);
        /* one a value, or a sample */
        room->weight[i] = malloc(rows * (pn_sample_bytes(g, g->outputs[i]) + pn_size(g->dtype)) +
                                 1);
        room->turned[i] = malloc(2 * rows * pn_sample_bytes(g, g->outputs[i]) + 1);
        room->label[i] = malloc(rows * pn_width(g, i) * sizeof **room->label + 1);
        ok = room->target[i] && room->weight[i] && room->turned[i] && room->label[i];
    }
    room->rows = ok ? rows : 0;
    if (ok) return PN_OK;
    pn_batch_buffers_free(room, g);
    return pn_fail(error, PN_NO_MEMORY, "no memory for a batch of %zu rows", rows);
}

/* ---- samples --------------------------------------------------------------------------------- */

/* n elements of another type, one after the other. */
#define SOURCES(ROW) \
    ROW(PN_FROM_F32, float) ROW(PN_FROM_F64, double) ROW(PN_FROM_I8, int8_t) ROW(PN_FROM_U8, uint8_t) ROW(PN_FROM_I16, int16_t) \
    ROW(PN_FROM_U16, uint16_t) ROW(PN_FROM_I32, int32_t) ROW(PN_FROM_U32, uint32_t) ROW(PN_FROM_I64, int64_t) ROW(PN_FROM_U64, uint64_t)
static size_t source_size(pn_source from)
{
    switch (from) {
#define ROW(source, type) case source: return sizeof(type);
    SOURCES(ROW)
#undef ROW
    }
    return 0;
}
static void convert(pn_source from, pn_dtype to, size_t n, const void *x, void *y)
{
    switch (from) {
#define ROW(source, type) \
    case source: \
        if (to == PN_F32) for (size_t i = 0; i < n; i++) ((float *)y)[i] = (float)((const type *)x)[i]; \
        else for (size_t i = 0; i < n; i++) ((double *)y)[i] = (double)((const type *)x)[i]; \
        break;
    SOURCES(ROW)
#undef ROW
    }
}

int pn_narrow(size_t n, const double *x, float *y)
{
    enum { BLOCK = 2048 };              /* which stays in the cache from one pass to the next */
    size_t finite = 0;
    for (size_t i = 0; i < n; i += BLOCK) {
        const size_t m = n - i < BLOCK ? n - i : BLOCK;
        convert(PN_FROM_F64, PN_F32, m, x + i, y + i);
        finite += pn_first_strange(PN_F32, m, y + i);
    }
    return finite == n;
}

/* Rows of few bytes without a call each. */
static void copy(void *to, const void *from, size_t bytes)
{
    if (bytes == 4) memcpy(to, from, 4);
    else if (bytes == 8) memcpy(to, from, 8);
    else if (bytes == 16) memcpy(to, from, 16);
    else memcpy(to, from, bytes);
}

static pn_source native(pn_dtype t) { return t == PN_F32 ? PN_FROM_F32 : PN_FROM_F64; }

typedef struct {
    const pn_samples *samples;
    pn_dtype dtype;
    size_t elements;                    /* of a sample */
    const size_t *order;
    size_t start, n, share;
    char *x;
} gathering;

static void gather(void *context, size_t task)
{
    const gathering *j = context;
    const size_t bytes = j->elements * pn_size(j->dtype);
    size_t end = (task + 1) * j->share < j->n ? (task + 1) * j->share : j->n;
    for (size_t k = task * j->share; k < end; k++) {
        size_t row = j->order ? j->order[j->start + k] : j->start + k;
        const char *x = (const char *)j->samples->x + (ptrdiff_t)row * j->samples->stride;
        if (j->samples->type == native(j->dtype)) copy(j->x + k * bytes, x, bytes);
        else convert(j->samples->type, j->dtype, j->elements, x, j->x + k * bytes);
    }
}

int pn_data_in_place(const pn_graph *g, size_t i, const pn_samples *samples)
{
    return samples->type == native(g->dtype) &&
           samples->stride == (ptrdiff_t)pn_sample_bytes(g, g->inputs[i]);
}

const void *pn_data_rows(const pn_graph *g, size_t i, const pn_samples *samples,
                         const size_t *order, size_t start, size_t n, void *x)
{
    const size_t bytes = pn_sample_bytes(g, g->inputs[i]);
    if (!order && pn_data_in_place(g, i, samples)) return (const char *)samples->x + start * bytes;
    gathering j = { samples, g->dtype, pn_count(&g->nodes[g->inputs[i]].shape), order,
                    start,   n,        GATHER_BYTES / (bytes + 1) + 1,          x };
    pn_parallel((n + j.share - 1) / j.share, gather, &j);
    return x;
}

/* Rows of an array of the caller's, bytes each: in place, or in the order given, into room. */
static const void *rows_of(const void *all, size_t bytes, const size_t *order, size_t start,
                           size_t n, void *room)
{
    if (!all) return NULL;
    if (!order) return (const char *)all + start * bytes;
    for (size_t k = 0; k < n; k++)
        copy((char *)room + k * bytes, (const char *)all + order[start + k] * bytes, bytes);
    return room;
}

pn_loss_batch pn_loss_batch_new(const pn_graph *g, const pn_criterion *loss)
{
    const size_t i = loss->outputs[0];
    const pn_shape *shape = &g->nodes[g->outputs[i]].shape;
    pn_loss_batch w = { .loss = loss, .shape = shape, .n_inputs = pn_loss_inputs(loss) };
    pn_error error;
    /* it has passed pn_data_check */
    pn_loss_check_fit(loss, shape->ndim, shape->dim, &w.view, &error);
    w.target_bytes = w.view.positions * pn_loss_target_width(loss, w.view.cols) * pn_size(g->dtype);
    w.label_bytes = w.view.positions * (loss->row->target == 'm' ? w.view.cols : 1) *
                    sizeof(int64_t);
    return w;
}

/* Labels index arrays, and another thread may write to the caller's at any time: it is a copy that
 * is checked and used. */
static pn_status take_labels(pn_loss_batch *w, const int64_t *all, const size_t *order,
                             size_t start, size_t n, int64_t *label, pn_error *error)
{
    for (size_t k = 0; k < n; k++)
        copy((char *)label + k * w->label_bytes,
             (const char *)all + (order ? order[start + k] : start + k) * w->label_bytes,
             w->label_bytes);
    w->target.label = label;
    const size_t each = w->label_bytes / sizeof *label,
                 at = pn_loss_wrong_label(w->loss, n * each, w->view.cols, label);
    if (at == n * each) return PN_OK;
    const size_t row = start + at / each;
    return pn_fail(
        error, PN_BAD_VALUE,
        "y: class %lld in row %zu is not in 0..%lld (%zu classes): y was changed after it had been checked",
        (long long)label[at], order ? order[row] : row, (long long)w->view.cols - 1, w->view.cols);
}

pn_status pn_loss_batch_fill(pn_loss_batch *w, const pn_graph *g, const pn_target *y,
                             const size_t *order, size_t start, size_t n,
                             const pn_batch_buffers *room, pn_error *error)
{
    const size_t i = w->loss->outputs[0], size = pn_size(g->dtype);
    const pn_target one = { .rows_per_sample = w->view.positions, .every = y->every };
    w->order = order;
    w->start = start;
    w->turned = room->turned ? room->turned[i] : NULL;
    w->weight_bytes = size * pn_loss_weights(w->loss, w->view.positions, w->view.cols, &one);
    w->target = (pn_target){ .target = rows_of(y->target, w->target_bytes, order, start, n,
                                               order ? room->target[i] : NULL),
                             .sample_weight = rows_of(y->sample_weight, w->weight_bytes, order,
                                                      start, n, order ? room->weight[i] : NULL),
                             .rows_per_sample = w->view.positions,
                             .every = y->every,
                             .own = y->own };
    return y->label ? take_labels(w, y->label, order, start, n, room->label[i], error) : PN_OK;
}

void pn_data_fetch(const pn_graph *g, const pn_data *data, const pn_loss_batch *wanted,
                   size_t n_wanted, const size_t *order, size_t start, size_t n)
{
    for (size_t i = 0; i < g->n_inputs; i++) {
        const pn_samples *samples = &data->x[i];
        const size_t bytes = pn_count(&g->nodes[g->inputs[i]].shape) * source_size(samples->type),
                     most = bytes < FETCH_BYTES ? bytes : FETCH_BYTES;
        for (size_t k = start; k < start + n; k++)
            for (size_t b = 0; b < most; b += 64)
                __builtin_prefetch((const char *)samples->x +
                                   (ptrdiff_t)order[k] * samples->stride + b);
    }
    for (size_t i = 0; i < n_wanted; i++) {
        const size_t bytes = data->y[i].label ? wanted[i].label_bytes : wanted[i].target_bytes;
        const char *y = data->y[i].label ? (const char *)data->y[i].label : data->y[i].target;
        for (size_t k = start; y && k < start + n; k++) __builtin_prefetch(y + order[k] * bytes);
    }
}

/* Is every output taken once, and are those of one loss alike? */
static pn_status check_outputs(const pn_graph *g, const pn_criterion *criteria, size_t n,
                               pn_error *error)
{
    int taken[PN_MAX_IO] = { 0 };
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < pn_loss_inputs(&criteria[i]); k++) {
            const size_t at = criteria[i].outputs[k], first = criteria[i].outputs[0];
            if (at >= g->n_outputs || taken[at]++)
                return pn_fail(error, PN_BAD_VALUE,
                               "criteria: output %zu is not there, or is taken twice", at);
            const pn_shape *a = &g->nodes[g->outputs[first]].shape,
                           *b = &g->nodes[g->outputs[at]].shape;
            if (a->ndim == b->ndim && !memcmp(a->dim, b->dim, a->ndim * sizeof *a->dim)) continue;
            char one[80], other[80];
            pn_shape_text(a, one, sizeof one);
            pn_shape_text(b, other, sizeof other);
            return pn_fail(
                error, PN_BAD_SHAPE,
                "%s takes outputs of one shape, and output %zu is %s a sample, output %zu %s",
                criteria[i].row->cls, first, one, at, other);
        }
    for (size_t i = 0; i < g->n_outputs; i++)
        if (!taken[i]) return pn_fail(error, PN_BAD_VALUE, "criteria: no loss takes output %zu", i);
    return PN_OK;
}

pn_status pn_data_check(const pn_graph *g, const pn_data *data, const pn_criterion *criteria,
                        size_t n, pn_error *error)
{
    pn_status status = check_outputs(g, criteria, n, error);
    for (size_t i = 0; i < n && !status; i++) {
        const pn_shape *s = &g->nodes[g->outputs[criteria[i].outputs[0]]].shape;
        pn_loss_view view;
        if ((status = pn_loss_check_fit(&criteria[i], s->ndim, s->dim, &view, error))) break;
        pn_target target = data->y[i];
        target.rows_per_sample = view.positions;
        const size_t rows = data->subset ? 0 : data->rows;
        status = pn_loss_check(&criteria[i], g->dtype, rows * view.positions, view.cols, &target,
                               error);
    }
    return status;
}

/* ---- the score ------------------------------------------------------------------------------- */

static double element(pn_dtype t, const void *x, size_t i)
{
    return t == PN_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

/* n, which is no class, for a row that holds a NaN, or whose largest number is infinite and not
 * unique. */
static size_t arg_max(pn_dtype t, const void *x, size_t from, size_t n)
{
    size_t best = 0, equal = 0;
    double most = -INFINITY;
    int nan = 0;
    for (size_t j = 0; j < n; j++) {
        double v = element(t, x, from + j);
        nan |= v != v;
        best = v > most ? j : best;
        most = v > most ? v : most;
    }
    if (nan) return n;
    for (size_t j = 0; isinf(most) && j < n; j++) equal += element(t, x, from + j) == most;
    return equal > 1 ? n : best;
}

/* The place of the 1 in a row of 0 and one 1; n for any other row. */
static size_t one_of(pn_dtype t, const void *x, size_t from, size_t n)
{
    size_t found = n;
    for (size_t j = 0; j < n; j++) {
        double v = element(t, x, from + j);
        if (v == 0) continue;
        if (v != 1 || found < n) return n;
        found = j;
    }
    return found;
}

/* Counts the right classes of the rows whose class the loss does not ignore. */
static void count_classes(pn_score *score, const pn_loss_batch *w, pn_dtype t, size_t rows,
                          size_t cols)
{
    const pn_target *target = &w->target;
    for (size_t i = 0; i < rows; i++) {
        if (target->label && pn_loss_ignores(w->loss, target->label[i])) continue;
        size_t want = target->label ? (size_t)target->label[i]
                                    : arg_max(t, target->target, i * cols, cols),
               got = arg_max(t, w->seen, i * cols, cols);
        score->correct += got == want && got < cols;
        score->rows++;
    }
}

/* Counts the right elements, and the right rows as long as all targets are one-hot: only the whole
 * of them tells which number counts. */
static void count_elements(pn_score *score, const pn_loss_batch *w, pn_dtype t, size_t rows,
                           size_t cols, double above)
{
    const void *y = w->seen, *target = w->target.target;
    for (size_t i = 0; i < rows * cols; i++) {
        double v = element(t, y, i);
        score->correct += v == v && (v > above) == (element(t, target, i) > 0.5);
    }
    score->rows += rows;
    if (cols < 2 || w->shape->ndim != 1) score->strays += rows;
    for (size_t i = 0; i < rows && !score->strays; i++) {
        const size_t want = one_of(t, target, i * cols, cols);
        score->strays += want == cols;
        score->hits += want < cols && arg_max(t, y, i * cols, cols) == want;
    }
}

void pn_score_add(pn_score *score, const pn_graph *g, const pn_loss_batch *w, size_t rows)
{
    const size_t counted = rows * w->view.positions;
    const pn_metric metric = w->loss->row->metric;
    score->loss += w->sum;
    score->divisor += w->divisor;
    score->values += pn_loss_values(w->loss, counted, w->view.cols);
    if (metric == PN_METRIC_ARGMAX) count_classes(score, w, g->dtype, counted, w->view.cols);
    else if (metric != PN_METRIC_NONE)
        count_elements(score, w, g->dtype, counted, w->view.cols, metric == PN_METRIC_SIGN ? 0 : 0.5);
    else score->rows += counted;
}

int pn_poll(const pn_fit_options *o, int64_t *asked)
{
    if (pn_stopped()) return 1;
    int64_t now = pn_now_ms(), since = now - *asked;
    if (!o || !o->poll || (since >= 0 && since < 20)) return 0;
    *asked = now;
    return o->poll(o->context);
}
