/* solve.h - optimizers that evaluate the loss within their step, on the current batch of fit. */
#ifndef PN_SOLVE_H
#define PN_SOLVE_H
#include "lm.h"
#include "loss.h"
#include "shadow_f64.h"

/* The state of a solver.
 *
 * one:       Levenberg-Marquardt: a plan of one row, in double precision unless there are custom
 *            layers
 * shadow:    the net in double precision, if used
 * row:       the inputs of the plan
 * gradient:  where the gradient of each segment is
 * sample:    the inputs, converted to double
 * history:   L-BFGS: the number of steps that its memory holds */
typedef struct {
    pn_plan *one;
    pn_lm *lm;
    pn_shadow shadow;
    const void **row, **gradient;
    double **sample;
    size_t history;
} pn_solving;
pn_status pn_solving_new(const pn_graph *g, const pn_data *data, const pn_fit_options *o,
                         pn_solving *s, pn_error *error);
void pn_solving_free(pn_solving *s);
/* The current batch, on which pn_train_step(plan, x, tick, losses) has just run. penalty: what
 * pn_penalty_add returned for it. last_poll: as in pn_poll. */
typedef struct {
    pn_plan *plan;
    const void *const *x;
    uint64_t tick;
    pn_loss_batch *losses;
    double penalty;
    int64_t *last_poll;
} pn_pass;
pn_status pn_solve(const pn_solving *s, const pn_fit_options *o, const pn_pass *pass,
                   pn_error *error);
#endif
