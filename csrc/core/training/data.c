/* data.c - targets, labels and weights of the rows of a batch. */
#include "data.h"
#include "../base/array.h"
#include "../base/error.h"
#include "../graph/samples.h"
#include <stdlib.h>
#include <string.h>

/* ---- room ------------------------------------------------------------------------------------ */

void pn_batch_buffers_free(pn_batch_buffers *room, const pn_graph *g)
{
    for (size_t i = 0; room->target && i < g->n_outputs; i++) free(room->target[i]);
    for (size_t i = 0; room->weight && i < g->n_outputs; i++) free(room->weight[i]);
    for (size_t i = 0; room->turned && i < g->n_outputs; i++) free(room->turned[i]);
    for (size_t i = 0; room->label && i < g->n_outputs; i++) free(room->label[i]);
    free(room->target);
    free(room->weight);
    free(room->turned);
    free(room->label);
    *room = (pn_batch_buffers){ 0 };
}

pn_status pn_batch_buffers_reserve(pn_batch_buffers *room, const pn_graph *g, size_t rows,
                                   pn_error *error)
{
    if (room->target && rows <= room->rows) return PN_OK;
    pn_batch_buffers_free(room, g);
    room->target = calloc(g->n_outputs, sizeof *room->target);
    room->weight = calloc(g->n_outputs, sizeof *room->weight);
    room->turned = calloc(g->n_outputs, sizeof *room->turned);
    room->label = calloc(g->n_outputs, sizeof *room->label);
    int ok = room->target && room->weight && room->turned && room->label;
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

/* Rows of an array of the caller's, bytes each: in place, or in the order given, into room. */
static const void *rows_of(const void *all, size_t bytes, const size_t *order, size_t start,
                           size_t n, void *room)
{
    if (!all) return NULL;
    if (!order) return (const char *)all + start * bytes;
    for (size_t k = 0; k < n; k++)
        pn_copy((char *)room + k * bytes, (const char *)all + order[start + k] * bytes, bytes);
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
        pn_copy((char *)label + k * w->label_bytes,
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
    const pn_target one = { .rows_per_sample = w->view.positions, .per_value = y->per_value };
    w->order = order;
    w->start = start;
    w->turned = room->turned ? room->turned[i] : NULL;
    w->weight_bytes = size * pn_loss_weights(w->loss, w->view.positions, w->view.cols, &one);
    w->target = (pn_target){ .target = rows_of(y->target, w->target_bytes, order, start, n,
                                               order ? room->target[i] : NULL),
                             .sample_weight = rows_of(y->sample_weight, w->weight_bytes, order,
                                                      start, n, order ? room->weight[i] : NULL),
                             .rows_per_sample = w->view.positions,
                             .per_value = y->per_value,
                             .custom = y->custom };
    return y->label ? take_labels(w, y->label, order, start, n, room->label[i], error) : PN_OK;
}

void pn_data_fetch(const pn_graph *g, const pn_data *data, const pn_loss_batch *wanted,
                   size_t n_wanted, const size_t *order, size_t start, size_t n)
{
    for (size_t i = 0; i < g->n_inputs; i++)
        pn_samples_prefetch(g, i, &data->x[i], order + start, n);
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
