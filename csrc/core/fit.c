/* fit.c - epochs: batches in a shuffled order, gathered from the caller's arrays, and the score kept on the way. */
#include "graph.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct pn_fit {
    const pn_graph *graph;
    const pn_data *data;
    const pn_fit_options *options;
    size_t batch, cols, row_bytes, target_bytes;
    pn_plan *full, *last;           /* of batch rows, and of the rows that remain */
    size_t *order;
    char *x, *target;               /* the gathered batch */
    int64_t *label;
    int64_t asked;                  /* when poll was last called, in milliseconds */
};



static size_t sample_bytes(const pn_graph *g, size_t node) { return pn_count(&g->nodes[node].shape) * pn_size(g->dtype); }

static size_t width(const pn_graph *g) { return pn_count(&g->nodes[g->n_nodes - 1].shape); }

/* A class loss reads one row of scores a sample. */
static pn_status check(const pn_graph *g, const pn_data *data, size_t loss, pn_error *error)
{
    const pn_shape *s = &g->nodes[g->n_nodes - 1].shape;
    if (pn_loss_at(loss)->kind == 'r' && s->ndim != 1) {
        char text[80];
        pn_shape_text(s, text, sizeof text);
        return pn_fail(error, PN_BAD_SHAPE, "the model's output %s a sample is not one row of classes, as %s needs", text, pn_loss_at(loss)->cls);
    }
    return pn_loss_check(loss, g->dtype, data->rows, width(g), &data->y, error);
}

static int64_t now_ms(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

pn_status pn_fit_new(const pn_graph *graph, const pn_data *data, const pn_fit_options *options, pn_fit **fit, pn_error *error)
{
    *fit = NULL;
    if (data->rows == 0 || options->batch_size == 0)
        return pn_fail(error, PN_BAD_SHAPE, "fit needs at least one row and batch_size >= 1, got %zu rows and batch_size %zu", data->rows,
                       options->batch_size);
    pn_status status = check(graph, data, options->loss, error);
    if (status) return status;
    pn_fit *f = calloc(1, sizeof *f);
    if (!f) return pn_fail(error, PN_NO_MEMORY, "no memory for fit");
    f->graph = graph;
    f->data = data;
    f->options = options;
    f->batch = options->batch_size < data->rows ? options->batch_size : data->rows;
    f->cols = width(graph);
    f->asked = now_ms();
    f->row_bytes = sample_bytes(graph, 0);
    f->target_bytes = sample_bytes(graph, graph->n_nodes - 1);
    status = pn_plan_new(graph, f->batch, PN_TRAIN, &f->full, error);
    if (!status && data->rows % f->batch) status = pn_plan_new(graph, data->rows % f->batch, PN_TRAIN, &f->last, error);
    if (!status && options->shuffle) {
        f->order = malloc(data->rows * sizeof *f->order);
        f->x = malloc(f->batch * f->row_bytes + 1);
        f->target = malloc(f->batch * f->target_bytes + 1);
        f->label = malloc(f->batch * sizeof *f->label);
        if (!f->order || !f->x || !f->target || !f->label) status = pn_fail(error, PN_NO_MEMORY, "no memory for a batch of %zu rows", f->batch);
    }
    if (status) pn_fit_free(f);
    else *fit = f;
    return status;
}

void pn_fit_free(pn_fit *f)
{
    if (!f) return;
    free(f->label);
    free(f->target);
    free(f->x);
    free(f->order);
    pn_plan_free(f->last);
    pn_plan_free(f->full);
    free(f);
}

/* The batch of n rows from row start of the order: gathered when shuffled, in place otherwise. */
static const void *batch(pn_fit *f, size_t start, size_t n, pn_target *y)
{
    const pn_data *d = f->data;
    if (!f->options->shuffle) {
        y->target = d->y.target ? (const char *)d->y.target + start * f->target_bytes : NULL;
        y->label = d->y.label ? d->y.label + start : NULL;
        return (const char *)d->x + start * f->row_bytes;
    }
    for (size_t i = 0; i < n; i++) {
        size_t row = f->order[start + i];
        memcpy(f->x + i * f->row_bytes, (const char *)d->x + row * f->row_bytes, f->row_bytes);
        if (d->y.label) f->label[i] = d->y.label[row];
        else memcpy(f->target + i * f->target_bytes, (const char *)d->y.target + row * f->target_bytes, f->target_bytes);
    }
    *y = (pn_target){ d->y.label ? NULL : f->target, d->y.label ? f->label : NULL, NULL };
    return f->x;
}

static double element(pn_dtype t, const void *x, size_t i) { return t == PN_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i]; }

/* n, which is no class, for a row that holds a NaN. */
static size_t arg_max(pn_dtype t, const void *x, size_t from, size_t n)
{
    size_t best = 0;
    for (size_t j = 0; j < n; j++) {
        double v = element(t, x, from + j);
        if (v != v) return n;
        if (v > element(t, x, from + best)) best = j;
    }
    return best;
}

/* How many predictions are right, as the loss's metric counts them. */
static size_t count_correct(char metric, pn_dtype t, size_t rows, size_t cols, const void *y, const pn_target *target)
{
    size_t correct = 0;
    if (metric == 'a')
        for (size_t i = 0; i < rows; i++) {
            size_t want = target->label ? (size_t)target->label[i] : arg_max(t, target->target, i * cols, cols);
            correct += arg_max(t, y, i * cols, cols) == want;
        }
    if (metric == 'l' || metric == 'p')
        for (size_t i = 0; i < rows * cols; i++) {
            double v = element(t, y, i);
            correct += v == v && (v > (metric == 'l' ? 0 : 0.5)) == (element(t, target->target, i) > 0.5);
        }
    return correct;
}

static void add_score(pn_score *score, size_t loss, pn_dtype t, size_t rows, size_t cols, const void *y, const pn_target *target, double sum)
{
    score->loss += sum;
    score->values += pn_loss_values(loss, rows, cols);
    score->rows += rows;
    score->correct += count_correct(pn_loss_at(loss)->metric, t, rows, cols, y, target);
}

/* Asks the caller every 20 ms, whichever way the clock is set meanwhile. */
static int stopped(const pn_fit_options *o, int64_t *asked)
{
    int64_t now = now_ms(), since = now - *asked;
    if (!o->poll || (since >= 0 && since < 20)) return 0;
    *asked = now;
    return o->poll(o->context);
}

pn_status pn_fit_epoch(pn_fit *f, uint64_t epoch, int64_t *step, pn_score *score, pn_error *error)
{
    const pn_fit_options *o = f->options;
    *score = (pn_score){ 0 };
    if (o->shuffle) pn_random_permutation(o->seed, epoch, f->data->rows, f->order);
    for (size_t start = 0; start < f->data->rows; start += f->batch) {
        size_t n = f->data->rows - start < f->batch ? f->data->rows - start : f->batch;
        pn_plan *p = n == f->batch ? f->full : f->last;
        pn_target y;
        const void *x = batch(f, start, n, &y);
        double scale = o->sum ? 1 : 1 / (double)pn_loss_values(o->loss, n, f->cols);
        double sum = pn_plan_train(p, x, o->loss, f->cols, &y, scale);
        pn_update(o->groups, o->n_groups, ++*step);
        add_score(score, o->loss, f->graph->dtype, n, f->cols, p->at[p->output], &y, sum);
        if (stopped(o, &f->asked)) return pn_fail(error, PN_STOPPED, "stopped after step %lld", (long long)*step);
    }
    return PN_OK;
}

/* Runs one block of rows and scores it. */
static void predict_block(pn_plan *p, const pn_data *d, size_t start, size_t n, const pn_fit_options *o, char *y, pn_score *score)
{
    const pn_graph *g = p->graph;
    size_t row = sample_bytes(g, g->n_nodes - 1), cols = width(g);
    pn_plan_forward(p, (const char *)d->x + start * sample_bytes(g, 0), y);
    if (!score) return;
    pn_target t = { d->y.target ? (const char *)d->y.target + start * row : NULL, d->y.label ? d->y.label + start : NULL, NULL };
    double sum = pn_loss_apply(o->loss, g->dtype, n, cols, y, &t, NULL, NULL, 1);
    add_score(score, o->loss, g->dtype, n, cols, y, &t, sum);
}

pn_status pn_predict(const pn_graph *graph, const pn_data *data, const pn_fit_options *options, void *y, pn_score *score, pn_error *error)
{
    size_t block = options->batch_size < data->rows ? options->batch_size : data->rows, row = sample_bytes(graph, graph->n_nodes - 1);
    pn_plan *full = NULL, *last = NULL;
    char *scratch = NULL;
    int64_t asked = now_ms();
    if (score) *score = (pn_score){ 0 };
    if (data->rows == 0) return PN_OK;
    if (block == 0) return pn_fail(error, PN_BAD_VALUE, "batch_size must be at least 1");
    pn_status status = score ? check(graph, data, options->loss, error) : PN_OK;
    if (!status) status = pn_plan_new(graph, block, PN_PREDICT, &full, error);
    if (!status && data->rows % block) status = pn_plan_new(graph, data->rows % block, PN_PREDICT, &last, error);
    if (!status && !y && !(scratch = malloc(block * row + 1))) status = pn_fail(error, PN_NO_MEMORY, "no memory for %zu rows", block);
    for (size_t start = 0; start < data->rows && !status; start += block) {
        size_t n = data->rows - start < block ? data->rows - start : block;
        predict_block(n == block ? full : last, data, start, n, options, y ? (char *)y + start * row : scratch, score);
        if (stopped(options, &asked)) status = pn_fail(error, PN_STOPPED, "stopped after row %zu", start + n);
    }
    free(scratch);
    pn_plan_free(last);
    pn_plan_free(full);
    return status;
}
