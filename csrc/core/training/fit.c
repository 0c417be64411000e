/* fit.c - epochs: a training step on each batch of the shuffled rows, and the running score. */
#include "../base/array.h"
#include "../base/clock.h"
#include "../base/poll.h"
#include "data.h"
#include "health.h"
#include "origin.h"
#include "penalty.h"
#include "score.h"
#include "solve.h"
#include "step.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* PROBE: the most elements of the gradient that is checked for NaN after each step */
enum { KEPT_PLANS = 4, PROBE = 8192 };

struct pn_fit {
    const pn_graph *graph;
    const pn_data *data;
    const pn_fit_options *options;
    size_t batch_size;
    pn_plan *plans[KEPT_PLANS];     /* for different numbers of rows, most recently used first */
    pn_batch batch;
    size_t *order;                  /* shuffled indices of rows in the data */
    size_t *subset_order;           /* the same, as indices into the subset; NULL without one */
    uint64_t ordered_epoch;         /* the epoch of this order, if is_ordered */
    int is_ordered;
    pn_solving solving;
    int64_t epoch;                  /* for the schedules */
    int64_t last_poll;              /* when poll was last called */
    /* whether the loss or gradient of the last step was not finite; requires options->finite */
    int diverged;
    pn_origin origin;               /* where the first value that is not finite came from */
    pn_health *health;              /* may be NULL */
    pn_fit_sums sums;               /* over the batches of the epoch so far */
    /* The gradient of a small parameter near the inputs. A NaN in backward propagates to it. May be
     * NULL. */
    const void *probe;
    size_t probe_size;              /* its number of elements */
    /* per output, where the predictions of all rows go; may be NULL */
    void *const *predictions;
    pn_fit_times *times;            /* may be NULL */
};

static pn_plan *plan_for(pn_fit *f, size_t rows, pn_status *status, pn_error *error)
{
    int i = 0;
    while (i < KEPT_PLANS - 1 && f->plans[i] && f->plans[i]->rows != rows) i++;
    pn_plan *p = f->plans[i];
    if (!p || p->rows != rows) {
        pn_plan *fresh;
        if ((*status = pn_plan_new(f->graph, rows, PN_TRAIN, &fresh, error))) return NULL;
        pn_plan_free(p);
        p = fresh;
    }
    for (; i > 0; i--) f->plans[i] = f->plans[i - 1];
    return f->plans[0] = p;
}

static pn_status prepare(pn_fit *f, pn_error *error)
{
    const size_t n = f->options->n_criteria;
    pn_status status = n ? pn_data_check(f->graph, f->data, f->options->criteria, n, error) : PN_OK;
    if (!status) status = pn_batch_reserve(&f->batch, f->graph, f->batch_size, error);
    if (!status) plan_for(f, f->batch_size, &status, error);
    if (!status && f->data->rows % f->batch_size && !f->options->drop_last)
        plan_for(f, f->data->rows % f->batch_size, &status, error);
    if (status || !f->options->shuffle) return status;
    const size_t bytes = f->data->rows * sizeof *f->order;
    f->order = malloc(bytes);
    if (f->data->subset) f->subset_order = malloc(bytes);
    if (f->order && (f->subset_order || !f->data->subset)) return PN_OK;
    return pn_fail(error, PN_NO_MEMORY, "no memory for the order of %zu rows", f->data->rows);
}

static void find_probe(pn_fit *f)
{
    const pn_graph *g = f->graph;
    for (size_t i = 0; i < g->n_nodes && !f->probe; i++)
        for (size_t j = 0; j < g->nodes[i].n_slots; j++) {
            const pn_binding *slot = &g->nodes[i].slots[j];
            const size_t n = pn_count(&slot->shape);
            if (!slot->grad || n > PROBE || (f->probe && n >= f->probe_size)) continue;
            f->probe = slot->grad;
            f->probe_size = n;
        }
}

pn_status pn_fit_new(const pn_graph *graph, const pn_data *data, const pn_fit_options *options,
                     pn_fit **fit, pn_error *error)
{
    *fit = NULL;
    if (data && (data->rows == 0 || options->batch_size == 0))
        return pn_fail(error, PN_BAD_SHAPE,
                       "fit needs at least one row and batch_size >= 1, "
                       "got %zu rows and batch_size %zu",
                       data->rows, options->batch_size);
    pn_fit *f = calloc(1, sizeof *f);
    if (!f) return pn_fail(error, PN_NO_MEMORY, "no memory for fit");
    f->graph = graph;
    f->data = data;
    f->options = options;
    f->last_poll = pn_now_ms();
    if (data) f->batch_size = pn_min(options->batch_size, data->rows);
    pn_batch_criteria(&f->batch, graph, options->criteria, options->n_criteria);
    pn_status status = data ? prepare(f, error) : PN_OK;
    if (!status && options->health)
        status = pn_health_new(graph, options->groups, options->n_groups, options->solver,
                               &f->health, error);
    find_probe(f);
    if (!status) status = pn_solving_new(graph, data, options, &f->solving, error);
    if (status) pn_fit_free(f);
    else *fit = f;
    return status;
}

void pn_fit_free(pn_fit *f)
{
    if (!f) return;
    pn_solving_free(&f->solving);
    free(f->order);
    free(f->subset_order);
    pn_batch_free(&f->batch, f->graph);
    for (int i = 0; i < KEPT_PLANS; i++) pn_plan_free(f->plans[i]);
    pn_health_free(f->health);
    free(f);
}

static void lap(double *seconds, double *since)
{
    double now = pn_seconds();
    *seconds += now - *since;
    *since = now;
}

/* Copies the predictions of a batch to the positions of its rows. */
static void keep_predictions(const pn_fit *f, const pn_plan *p, const pn_data *data, size_t start)
{
    const size_t *order = data == f->data ? pn_fit_order(f) : NULL;
    for (size_t i = 0; f->predictions && i < f->graph->n_outputs; i++) {
        const size_t bytes = pn_sample_bytes(f->graph, f->graph->outputs[i]);
        for (size_t k = 0; k < p->rows; k++)
            memcpy((char *)f->predictions[i] + (order ? order[start + k] : start + k) * bytes,
                   (const char *)p->at[p->outputs[i]] + k * bytes, bytes);
    }
}

/* Returns whether the losses are finite and no gradient is NaN. An infinite gradient is accepted
 * because clipping may still make it finite. */
static int step_is_finite(const pn_fit *f)
{
    const pn_dtype t = f->graph->dtype;
    union { float f32; double f64; } sum = { .f64 = 0 };
    int all = 1;
    for (size_t i = 0; i < f->batch.n_losses; i++) all &= isfinite(f->batch.losses[i].sum) != 0;
    if (f->probe) pn_kernels_now()->of[t].conv.plane_sum(f->probe_size, f->probe, &sum);
    return all && !isnan(t == PN_F32 ? (double)sum.f32 : sum.f64);
}

/* Finds the operation and the row of the data that first produced a value that is not finite. */
static pn_status diverge(pn_fit *f, const pn_plan *p, const size_t *order, size_t start,
                         int64_t step, pn_error *error)
{
    f->diverged = 1;
    pn_status status = pn_origin_find(f->graph, p->rows, f->batch.x, (uint64_t)step + 1,
                                      f->batch.losses, f->batch.n_losses, &f->origin, error);
    if (f->origin.row != SIZE_MAX)
        f->origin.row = order ? order[start + f->origin.row] : start + f->origin.row;
    return status;
}

/* Performs one step on as many rows of data as the plan has. */
static pn_status step_on(pn_fit *f, pn_plan *p, const pn_data *data, const size_t *order,
                         size_t start, int64_t *step, pn_score *score, pn_error *error)
{
    const pn_fit_options *o = f->options;
    double since = f->times ? pn_seconds() : 0, loss_before = p->loss_seconds;
    pn_status status = pn_batch_gather(&f->batch, f->graph, data, order, start, p->rows, error);
    if (status) return status;
    const size_t next = start + p->rows;
    if (order)
        pn_data_fetch(f->graph, data, f->batch.losses, o->n_criteria, order, next,
                      pn_min(data->rows - next, p->rows));
    if (f->times) lap(&f->times->gather, &since);
    const uint64_t tick = (uint64_t)*step + 1;
    const pn_monitor *monitor = f->health ? pn_health_begin(f->health, p) : NULL;
    status = pn_train_step(p, f->batch.x, tick, f->batch.losses, o->n_criteria, 1, monitor, error);
    if (status) return status;
    const double penalty = pn_penalty_add(o, f->batch.losses, p->rows),
                 rows = (double)p->rows;
    f->sums.loss += rows * pn_objective_mean(f->batch.losses, o->n_criteria);
    f->sums.penalty += rows * penalty;
    f->sums.rows += p->rows;
    keep_predictions(f, p, data, start);
    if (f->times) {
        f->times->loss += p->loss_seconds - loss_before;
        since = pn_seconds();
    }
    for (size_t i = 0; i < o->n_criteria; i++)
        pn_score_add(&score[i], f->graph, &f->batch.losses[i], p->rows);
    if (f->times) lap(&f->times->score, &since);
    if (!o->finite || step_is_finite(f)) ++*step;
    /* evaluates the losses again, so the score must be updated before */
    else if ((status = diverge(f, p, order, start, *step, error))) return status;
    const pn_pass pass = { p, f->batch.x, tick, f->batch.losses, penalty, &f->last_poll };
    const int solves = !f->diverged && o->solver, updates = !f->diverged && !o->solver;
    if (updates)
        pn_update_recording(o->groups, o->n_groups, *step, f->epoch,
                         f->health ? pn_health_changes(f->health) : NULL);
    if (solves && f->health) pn_health_before(f->health);
    /* must precede the solver, which leaves gradients at other parameter values, or of one row */
    if (f->health) pn_health_end(f->health, 1);
    if (solves) status = pn_solve(&f->solving, o, &pass, error);
    if (solves && f->health) pn_health_after(f->health);
    if (f->times) {
        lap(&f->times->update, &since);
        f->times->steps++;
    }
    return status;
}

/* Lets other threads enter the gate between two steps, when the parameters are consistent. Returns
 * nonzero if poll requests a stop. */
static int yield_gate(const pn_fit_options *o)
{
    for (int entered = o->hold ? pn_gate_yield(o->hold) : 1; !entered;
         entered = pn_gate_wait(o->hold, 50))
        if (o->poll && o->poll(o->context)) return 1;
    return 0;
}

/* The number of rows of the batch that begins at row start. */
static size_t batch_rows(const pn_fit *f, size_t start)
{
    return pn_min(f->data->rows - start, f->batch_size);
}

static void reset_origin(pn_fit *f)
{
    f->diverged = 0;
    f->origin = (pn_origin){ .place = PN_UNKNOWN, .row = SIZE_MAX };
}

/* Uses the order just stored, which is that of the subset if there is one. */
static void use_order(pn_fit *f, uint64_t epoch)
{
    for (size_t k = 0; f->subset_order && k < f->data->rows; k++)
        f->order[k] = f->data->subset[f->subset_order[k]];
    f->ordered_epoch = epoch;
    f->is_ordered = 1;
}

pn_status pn_fit_set_order(pn_fit *f, uint64_t epoch, const size_t *order, pn_error *error)
{
    if (!f->order)
        return pn_fail(error, PN_BAD_STATE, "an order needs data and a fit that shuffles");
    for (size_t k = 0; k < f->data->rows; k++)
        if (order[k] >= f->data->rows)
            return pn_fail(error, PN_BAD_VALUE, "order: %zu is not one of %zu rows", order[k],
                           f->data->rows);
    memcpy(f->subset_order ? f->subset_order : f->order, order, f->data->rows * sizeof *order);
    use_order(f, epoch);
    return PN_OK;
}

pn_status pn_fit_part(pn_fit *f, uint64_t epoch, size_t first, size_t count, int64_t *step,
                      pn_score *score, pn_error *error)
{
    const pn_fit_options *o = f->options;
    pn_status status = PN_OK;
    if (!f->data || !o->n_criteria)
        return pn_fail(error, PN_BAD_STATE,
                       "an epoch needs data and losses, which this fit was created without");
    f->epoch = (int64_t)epoch;
    reset_origin(f);
    if (first == 0) pn_fit_reset(f);
    if (o->shuffle && !(f->is_ordered && f->ordered_epoch == epoch)) {
        pn_random_permutation(o->seed, epoch, f->data->rows,
                              f->subset_order ? f->subset_order : f->order);
        use_order(f, epoch);
    }
    const size_t batches = (f->data->rows + (o->drop_last ? 0 : f->batch_size - 1)) / f->batch_size;
    const size_t end = first < batches ? first + pn_min(count, batches - first) : batches,
                 *order = f->order ? f->order : f->data->subset;
    for (size_t batch = first; batch < end && !status && !f->diverged; batch++) {
        const size_t start = batch * f->batch_size;
        pn_plan *p = plan_for(f, batch_rows(f, start), &status, error);
        if (status) break;
        status = step_on(f, p, f->data, order, start, step, score, error);
        if (!status && (pn_poll(o->poll, o->context, &f->last_poll) || yield_gate(o)))
            status = pn_fail(error, PN_STOPPED, "stopped after step %lld", (long long)*step);
    }
    return status;
}

pn_status pn_fit_epoch(pn_fit *f, uint64_t epoch, int64_t *step, pn_score *score, pn_error *error)
{
    for (size_t i = 0; i < f->options->n_criteria; i++) score[i] = (pn_score){ 0 };
    return pn_fit_part(f, epoch, 0, SIZE_MAX, step, score, error);
}

int pn_fit_health(const pn_fit *f, size_t node, pn_node_health *health)
{
    if (!f->health) return 0;
    pn_health_node(f->health, node, health);
    return 1;
}

void pn_fit_reset(pn_fit *f)
{
    f->sums = (pn_fit_sums){ 0 };
    if (f->health) pn_health_reset(f->health);
}
pn_fit_sums pn_fit_objective(const pn_fit *f) { return f->sums; }
const pn_origin *pn_fit_origin(const pn_fit *f) { return &f->origin; }

pn_status pn_fit_measure_health(pn_fit *f, pn_error *error)
{
    const pn_fit_options *o = f->options;
    pn_status status = PN_OK;
    if (!f->data || !f->health)
        return pn_fail(error, PN_BAD_STATE,
                       "measuring health needs data and the option health, "
                       "which this fit was created without");
    for (size_t start = 0; start < f->data->rows && !status; start += f->batch_size) {
        pn_plan *p = plan_for(f, batch_rows(f, start), &status, error);
        if (status) break;
        status = pn_batch_gather(&f->batch, f->graph, f->data, f->data->subset, start, p->rows,
                                 error);
        if (!status)
            status = pn_train_step(p, f->batch.x, 0, f->batch.losses, o->n_criteria,
                                   o->n_criteria > 0, pn_health_always(f->health), error);
        if (!status && o->n_criteria) pn_health_gradients(f->health);
        if (!status) pn_health_end(f->health, o->n_criteria > 0);
        if (!status && pn_poll(o->poll, o->context, &f->last_poll))
            status = pn_fail(error, PN_STOPPED, "stopped after row %zu", start + p->rows);
    }
    return status;
}

void pn_fit_keep(pn_fit *f, void *const *y) { f->predictions = y; }
const size_t *pn_fit_order(const pn_fit *f)
{
    if (!f->is_ordered) return NULL;
    return f->subset_order ? f->subset_order : f->order;
}

pn_plan *pn_fit_profile(pn_fit *f, pn_fit_times *times)
{
    f->times = times;
    if (times) *times = (pn_fit_times){ 0 };
    for (int i = 0; i < KEPT_PLANS; i++) {
        if (f->plans[i] && times) pn_plan_profile(f->plans[i]);
        else if (f->plans[i]) f->plans[i]->timed = 0;
    }
    for (int i = 0; i < KEPT_PLANS; i++)
        if (f->plans[i] && f->plans[i]->rows == f->batch_size) return f->plans[i];
    return NULL;
}

pn_status pn_fit_batch(pn_fit *f, const pn_data *batch, int64_t *step, pn_score *score,
                       pn_error *error)
{
    if (!f->options->n_criteria)
        return pn_fail(error, PN_BAD_STATE,
                       "a step needs losses, which this fit was created without");
    if (batch->rows == 0) return pn_fail(error, PN_BAD_SHAPE, "a batch needs at least one row");
    pn_status status = pn_data_check(f->graph, batch, f->options->criteria, f->options->n_criteria,
                                     error);
    if (!status) status = pn_batch_reserve(&f->batch, f->graph, batch->rows, error);
    pn_plan *p = status ? NULL : plan_for(f, batch->rows, &status, error);
    reset_origin(f);
    if (!status) status = step_on(f, p, batch, NULL, 0, step, score, error);
    return status;
}
