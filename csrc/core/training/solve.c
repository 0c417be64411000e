/* solve.c - losses and gradients for L-BFGS, and residuals for Levenberg-Marquardt, evaluated
 * within a step of fit. */
#include "solve.h"
#include "../base/error.h"
#include "../base/poll.h"
#include "../graph/samples.h"
#include "penalty.h"
#include "step.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const pn_solving *s;
    const pn_fit_options *o;
    const pn_pass *pass;
    double penalty;             /* of the last evaluation */
    int fresh;
    pn_status status;
    pn_error *error;
} solver_call;

/* ---- the loss -------------------------------------------------------------------------------- */
static double total_loss(const solver_call *a)
{
    return pn_objective_mean(a->pass->losses, a->o->n_criteria) + a->penalty;
}

static pn_status evaluate(solver_call *a, int backward, double *loss, pn_error *error)
{
    if (pn_poll(a->o->poll, a->o->context, a->pass->last_poll))
        return pn_fail(error, PN_STOPPED, "stopped within a step");
    pn_status status = pn_train_step(a->pass->plan, a->pass->x, a->pass->tick, a->pass->losses,
                                     a->o->n_criteria, backward, NULL, error);
    if (!status && backward)
        a->penalty = pn_penalty_add(a->o, a->pass->losses, a->pass->plan->rows);
    *loss = total_loss(a);
    return status;
}

/* The closure of L-BFGS. The first call reuses the results of the step. */
static int closure(void *context, double *loss)
{
    solver_call *a = context;
    *loss = total_loss(a);
    if (!a->fresh) a->status = evaluate(a, 1, loss, a->error);
    a->fresh = 0;
    return a->status != PN_OK;
}

/* A setting as a count. The caller may write any value to it between steps. */
static size_t count(double x) { return x >= 1 ? (size_t)fmin(x, 0x1p53) : 0; }

static pn_status solve_lbfgs(solver_call *a)
{
    const pn_solver *o = a->o->solver;
    const double *s = o->settings;
    const pn_lbfgs lbfgs = { .n_segments = o->n_segments,
                             .n = o->n,
                             .segments = o->segments,
                             .lr = s[0],
                             .max_iter = count(s[1]),
                             .max_eval = count(s[2]),
                             .tolerance_grad = s[3],
                             .tolerance_change = s[4],
                             .history = a->s->history,
                             .strong_wolfe = s[6] != 0,
                             .unit_first = s[7] != 0,
                             .memory = o->memory };
    double first;
    pn_error own_error;
    const pn_status status = pn_lbfgs_step(&lbfgs, closure, a, &first, &own_error);
    /* the error of the closure takes precedence over that of L-BFGS */
    return a->status || !status ? a->status : pn_fail(a->error, status, "%s", own_error.text);
}

/* ---- residuals of squared errors ------------------------------------------------------------- */
static pn_status loss_now(void *context, double *loss, pn_error *error)
{
    return evaluate(context, 0, loss, error);
}

/* Maps residual i to its loss, row and element. */
static const pn_loss_batch *residual_of(const solver_call *a, size_t i, size_t *row,
                                        size_t *element)
{
    const pn_loss_batch *w = a->pass->losses;
    for (size_t n; i >= (n = a->pass->plan->rows * w->view.cols); w++) i -= n;
    *row = i / w->view.cols;
    *element = i % w->view.cols;
    return w;
}

/* A row of an input in the type of the plan of one row. */
static const void *row_of(const solver_call *a, size_t k, size_t row)
{
    const pn_graph *g = a->pass->plan->graph;
    const size_t bytes = pn_sample_bytes(g, g->inputs[k]);
    const void *x = (const char *)a->pass->x[k] + row * bytes;
    if (!a->s->sample) return x;
    pn_widen(bytes / sizeof(float), x, a->s->sample[k]);
    return a->s->sample[k];
}

static pn_status residual_rows(void *context, size_t first, size_t rows, double *j, double *r,
                               pn_error *error)
{
    const solver_call *a = context;
    const pn_graph *g = a->pass->plan->graph;
    const pn_solver *o = a->o->solver;
    const pn_dtype t = a->s->one->graph->dtype;
    if (first == 0 && a->s->shadow.graph) pn_shadow_fill(&a->s->shadow);
    for (size_t i = 0; i < rows; i++) {
        size_t row, element;
        const pn_loss_batch *w = residual_of(a, first + i, &row, &element);
        const size_t at = w->target.per_value ? row * w->view.cols + element : row;
        const double weight = w->target.sample_weight
                                ? pn_element(g->dtype, w->target.sample_weight, at)
                                : 1;
        if (weight < 0)
            return pn_fail(error, PN_BAD_VALUE,
                           "sample_weight: LevenbergMarquardt needs weights >= 0, "
                           "got %g in row %zu",
                           weight, row);
        const double root = sqrt(w->scale * weight);
        r[i] = root * (pn_element(g->dtype, w->predictions, row * w->view.cols + element) -
                       pn_element(g->dtype, w->target.target, row * w->view.cols + element));
        for (size_t k = 0; k < g->n_inputs; k++) a->s->row[k] = row_of(a, k, row);
        pn_status status = pn_plan_output_gradient(a->s->one, a->s->row, a->pass->tick,
                                                   w->loss->outputs[0], element, error);
        if (status) return status;
        for (size_t k = 0; k < o->n_segments; k++)
            for (size_t e = 0; e < o->segments[k].n; e++)
                *j++ = a->s->gradient[k] ? root * pn_element(t, a->s->gradient[k], e) : 0;
    }
    if (pn_poll(a->o->poll, a->o->context, a->pass->last_poll))
        return pn_fail(error, PN_STOPPED, "stopped within a step");
    return PN_OK;
}

static pn_status solve_lm(solver_call *a)
{
    pn_residuals f = { .rows = residual_rows, .loss = loss_now, .context = a };
    for (size_t i = 0; i < a->o->n_criteria; i++)
        f.n += a->pass->plan->rows * a->pass->losses[i].view.cols;
    return pn_lm_step(a->s->lm, a->o->solver, &f, total_loss(a), a->error);
}

/* ---- preparation ----------------------------------------------------------------------------- */
/* Levenberg-Marquardt needs squares, of few parameters, and rows that do not depend on each other.
 */
static pn_status check_lm(const pn_graph *g, const pn_data *data, const pn_fit_options *o,
                          pn_error *error)
{
    if (o->penalty)
        return pn_fail(error, PN_BAD_VALUE,
                       "penalty: LevenbergMarquardt minimises squared errors alone; use LBFGS");
    if (data && o->batch_size < data->rows)
        return pn_fail(error, PN_BAD_VALUE,
                       "batch_size: LevenbergMarquardt takes all %zu rows in one batch, "
                       "got %zu; leave it out",
                       data->rows, o->batch_size);
    if (o->solver->n > PN_LM_MAX_PARAMETERS)
        return pn_fail(error, PN_BAD_VALUE,
                       "optimizer: LevenbergMarquardt keeps a matrix of (parameters, parameters), "
                       "at most %d; this net has %zu: use LBFGS",
                       PN_LM_MAX_PARAMETERS, o->solver->n);
    for (size_t i = 0; i < o->n_criteria; i++)
        if (strcmp(o->criteria[i].row->name, "mse") != 0)
            return pn_fail(error, PN_BAD_VALUE,
                           "optimizer: LevenbergMarquardt needs MSELoss, a sum of squares, "
                           "not %s: use LBFGS",
                           o->criteria[i].row->cls);
    for (size_t i = 0; i < g->n_nodes; i++)
        if (g->nodes[i].training)
            return pn_fail(error, PN_BAD_VALUE,
                           "optimizer: LevenbergMarquardt processes rows one by one, but %s "
                           "behaves differently in training: call its eval()",
                           g->nodes[i].where);
    return PN_OK;
}

/* The gradient of a parameter that the graph does not use is NULL. */
static int allocate(const pn_graph *g, const pn_solver *o, pn_solving *s)
{
    s->lm = pn_lm_new(o->n);
    s->row = malloc(g->n_inputs * sizeof *s->row);
    s->gradient = malloc((o->n_segments + 1) * sizeof *s->gradient);
    if (!s->lm || !s->row || !s->gradient) return 0;
    for (size_t k = 0; k < o->n_segments; k++)
        s->gradient[k] = s->shadow.graph ? pn_shadow_gradient(&s->shadow, o->segments[k].p)
                                       : o->segments[k].g;
    if (!s->shadow.graph) return 1;
    if (!(s->sample = calloc(g->n_inputs, sizeof *s->sample))) return 0;
    for (size_t k = 0; k < g->n_inputs; k++) {
        const size_t bytes = pn_sample_bytes(s->shadow.graph, g->inputs[k]);
        if (!(s->sample[k] = malloc(bytes + sizeof(double)))) return 0;
    }
    return 1;
}

pn_status pn_solving_new(const pn_graph *g, const pn_data *data, const pn_fit_options *o,
                         pn_solving *s, pn_error *error)
{
    *s = (pn_solving){ 0 };
    if (!o->solver) return PN_OK;
    if (o->solver->kind == PN_SOLVE_LBFGS) s->history = count(o->solver->settings[5]);
    if (o->solver->kind != PN_SOLVE_LM) return PN_OK;
    pn_status status = check_lm(g, data, o, error);
    const int widens = g->dtype == PN_F32 && !g->custom;
    if (!status && widens) status = pn_shadow_new(g, &s->shadow, error);
    if (!status) status = pn_plan_new(widens ? s->shadow.graph : g, 1, PN_TRAIN, &s->one, error);
    if (status) return status;
    if (allocate(g, o->solver, s)) return PN_OK;
    return pn_fail(error, PN_NO_MEMORY, "no memory for the normal equations of %zu parameters",
                   o->solver->n);
}

void pn_solving_free(pn_solving *s)
{
    pn_plan_free(s->one);
    pn_lm_free(s->lm);
    if (s->sample) for (size_t k = 0; k < s->shadow.graph->n_inputs; k++) free(s->sample[k]);
    free(s->sample);
    pn_shadow_free(&s->shadow);
    free(s->row);
    free(s->gradient);
}

pn_status pn_solve(const pn_solving *s, const pn_fit_options *o, const pn_pass *pass,
                   pn_error *error)
{
    solver_call a = { .s = s,
                      .o = o,
                      .pass = pass,
                      .penalty = pass->penalty,
                      .fresh = 1,
                      .error = error };
    return o->solver->kind == PN_SOLVE_LM ? solve_lm(&a) : solve_lbfgs(&a);
}
