/* data.c - targets, labels and weights of the rows of a batch. */
#include "data.h"
#include "../base/array.h"
#include "../base/error.h"
#include <stdlib.h>
#include <string.h>

/* ---- buffers --------------------------------------------------------------------------------- */

void pn_batch_buffers_free(pn_batch_buffers *buffers, const pn_graph *g)
{
    for (size_t i = 0; buffers->target && i < g->n_outputs; i++) free(buffers->target[i]);
    for (size_t i = 0; buffers->weight && i < g->n_outputs; i++) free(buffers->weight[i]);
    for (size_t i = 0; buffers->classes_last && i < g->n_outputs; i++)
        free(buffers->classes_last[i]);
    for (size_t i = 0; buffers->label && i < g->n_outputs; i++) free(buffers->label[i]);
    free(buffers->target);
    free(buffers->weight);
    free(buffers->classes_last);
    free(buffers->label);
    *buffers = (pn_batch_buffers){ 0 };
}

pn_status pn_batch_buffers_reserve(pn_batch_buffers *buffers, const pn_graph *g, size_t rows,
                                   pn_error *error)
{
    if (buffers->target && rows <= buffers->rows) return PN_OK;
    pn_batch_buffers_free(buffers, g);
    buffers->target = calloc(g->n_outputs, sizeof *buffers->target);
    buffers->weight = calloc(g->n_outputs, sizeof *buffers->weight);
    buffers->classes_last = calloc(g->n_outputs, sizeof *buffers->classes_last);
    buffers->label = calloc(g->n_outputs, sizeof *buffers->label);
    int ok = buffers->target && buffers->weight && buffers->classes_last && buffers->label;
    for (size_t i = 0; ok && i < g->n_outputs; i++) {
        buffers->target[i] = malloc(rows * pn_sample_bytes(g, g->outputs[i]) + 1);
        /* one weight per value or per sample */
        const size_t weight_bytes = pn_sample_bytes(g, g->outputs[i]) + pn_size(g->dtype);
        buffers->weight[i] = malloc(rows * weight_bytes + 1);
        buffers->classes_last[i] = malloc(2 * rows * pn_sample_bytes(g, g->outputs[i]) + 1);
        const size_t width = pn_count(&g->nodes[g->outputs[i]].shape);
        buffers->label[i] = malloc(rows * width * sizeof **buffers->label + 1);
        ok = buffers->target[i] && buffers->weight[i] && buffers->classes_last[i] &&
             buffers->label[i];
    }
    buffers->rows = ok ? rows : 0;
    if (ok) return PN_OK;
    pn_batch_buffers_free(buffers, g);
    return pn_fail(error, PN_NO_MEMORY, "no memory for a batch of %zu rows", rows);
}

/* Rows of a caller's array, each of the given size in bytes: in place without an order, otherwise
 * gathered into the buffer. */
static const void *rows_of(const void *all, size_t bytes, const size_t *order, size_t start,
                           size_t n, void *buffers)
{
    if (!all) return NULL;
    if (!order) return (const char *)all + start * bytes;
    for (size_t k = 0; k < n; k++)
        pn_copy((char *)buffers + k * bytes, (const char *)all + order[start + k] * bytes, bytes);
    return buffers;
}

pn_loss_batch pn_loss_batch_new(const pn_graph *g, const pn_criterion *loss)
{
    const size_t i = loss->outputs[0];
    const pn_shape *shape = &g->nodes[g->outputs[i]].shape;
    pn_loss_batch w = { .loss = loss, .shape = shape, .n_inputs = pn_loss_inputs(loss) };
    pn_error error;
    /* cannot fail after pn_data_check */
    pn_loss_check_fit(loss, shape->ndim, shape->dim, &w.view, &error);
    w.target_bytes = w.view.positions * pn_loss_target_width(loss, w.view.cols) * pn_size(g->dtype);
    w.label_bytes = w.view.positions * pn_loss_label_width(loss, w.view.cols) * sizeof(int64_t);
    return w;
}

/* Labels are used as array indices, and another thread may write to the caller's array at any time.
 * Therefore the labels are copied, and the copy is checked and used. */
static pn_status take_labels(pn_loss_batch *w, const int64_t *all, const size_t *order,
                             size_t start, size_t n, int64_t *label, pn_error *error)
{
    for (size_t k = 0; k < n; k++)
        pn_copy((char *)label + k * w->label_bytes,
             (const char *)all + (order ? order[start + k] : start + k) * w->label_bytes,
             w->label_bytes);
    w->target.label = label;
    const size_t labels_per_sample = w->label_bytes / sizeof *label,
                 at = pn_loss_wrong_label(w->loss, n * labels_per_sample, w->view.cols, label);
    if (at == n * labels_per_sample) return PN_OK;
    const size_t row = start + at / labels_per_sample;
    return pn_fail(error, PN_BAD_VALUE,
                   "y: class %lld in row %zu is not in 0..%lld (%zu classes): "
                   "y was changed after it had been checked",
                   (long long)label[at], order ? order[row] : row, (long long)w->view.cols - 1,
                   w->view.cols);
}

pn_status pn_loss_batch_fill(pn_loss_batch *w, const pn_graph *g, const pn_target *y,
                             const size_t *order, size_t start, size_t n,
                             const pn_batch_buffers *buffers, pn_error *error)
{
    const size_t i = w->loss->outputs[0], size = pn_size(g->dtype);
    const pn_target one = { .rows_per_sample = w->view.positions, .per_value = y->per_value };
    w->order = order;
    w->start = start;
    w->classes_last = buffers->classes_last ? buffers->classes_last[i] : NULL;
    w->weight_bytes = size * pn_loss_weights(w->loss, w->view.positions, w->view.cols, &one);
    w->target = (pn_target){ .target = rows_of(y->target, w->target_bytes, order, start, n,
                                               order ? buffers->target[i] : NULL),
                             .sample_weight = rows_of(y->sample_weight, w->weight_bytes, order,
                                                      start, n, order ? buffers->weight[i] : NULL),
                             .rows_per_sample = w->view.positions,
                             .per_value = y->per_value,
                             .custom = y->custom };
    return y->label ? take_labels(w, y->label, order, start, n, buffers->label[i], error) : PN_OK;
}

void pn_data_fetch(const pn_graph *g, const pn_data *data, const pn_loss_batch *losses,
                   size_t n_losses, const size_t *order, size_t start, size_t n)
{
    for (size_t i = 0; i < g->n_inputs; i++)
        pn_samples_prefetch(g, i, &data->x[i], order + start, n);
    for (size_t i = 0; i < n_losses; i++) {
        const size_t bytes = data->y[i].label ? losses[i].label_bytes : losses[i].target_bytes;
        const char *y = data->y[i].label ? (const char *)data->y[i].label : data->y[i].target;
        for (size_t k = start; y && k < start + n; k++) __builtin_prefetch(y + order[k] * bytes);
    }
}

/* ---- batches --------------------------------------------------------------------------------- */

pn_status pn_batch_reserve(pn_batch *b, const pn_graph *g, size_t rows, pn_error *error)
{
    const pn_status status = pn_input_buffers_reserve(&b->inputs, g, rows, error);
    return status ? status : pn_batch_buffers_reserve(&b->buffers, g, rows, error);
}

void pn_batch_free(pn_batch *b, const pn_graph *g)
{
    pn_input_buffers_free(&b->inputs, g);
    pn_batch_buffers_free(&b->buffers, g);
}

void pn_batch_criteria(pn_batch *b, const pn_graph *g, const pn_criterion *criteria, size_t n)
{
    b->n_losses = n;
    for (size_t i = 0; i < n; i++) b->losses[i] = pn_loss_batch_new(g, &criteria[i]);
}

pn_status pn_batch_gather(pn_batch *b, const pn_graph *g, const pn_data *data, const size_t *order,
                          size_t start, size_t rows, pn_error *error)
{
    pn_status status = PN_OK;
    for (size_t i = 0; i < g->n_inputs; i++)
        b->x[i] = pn_samples_gather(g, i, &data->x[i], order, start, rows, b->inputs.x[i]);
    for (size_t i = 0; i < b->n_losses && !status; i++)
        status = pn_loss_batch_fill(&b->losses[i], g, &data->y[i], order, start, rows, &b->buffers,
                                    error);
    return status;
}

/* ---- checks ---------------------------------------------------------------------------------- */

/* Checks that exactly one loss reads each output, and that the outputs of one loss have one
 * shape. */
static pn_status check_outputs(const pn_graph *g, const pn_criterion *criteria, size_t n,
                               pn_error *error)
{
    int taken[PN_MAX_IO] = { 0 };
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < pn_loss_inputs(&criteria[i]); k++) {
            const size_t at = criteria[i].outputs[k], first = criteria[i].outputs[0];
            if (at >= g->n_outputs || taken[at]++)
                return pn_fail(error, PN_BAD_VALUE,
                               "criteria: output %zu does not exist or is read by two losses", at);
            const pn_shape *a = &g->nodes[g->outputs[first]].shape,
                           *b = &g->nodes[g->outputs[at]].shape;
            if (a->ndim == b->ndim && !memcmp(a->dim, b->dim, a->ndim * sizeof *a->dim)) continue;
            char one[80], other[80];
            pn_shape_text(a, one, sizeof one);
            pn_shape_text(b, other, sizeof other);
            return pn_fail(error, PN_BAD_SHAPE,
                           "%s needs outputs of the same shape, but a sample of output %zu has "
                           "shape %s and one of output %zu has shape %s",
                           criteria[i].row->cls, first, one, at, other);
        }
    for (size_t i = 0; i < g->n_outputs; i++)
        if (!taken[i]) return pn_fail(error, PN_BAD_VALUE, "criteria: no loss reads output %zu", i);
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
