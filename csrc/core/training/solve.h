/* solve.h - optimizers that ask for the loss within their step, on the batch that fit has taken. */
#ifndef PN_SOLVE_H
#define PN_SOLVE_H
#include "lm.h"
#include "loss.h"
#include "shadow_f64.h"

/* What Levenberg-Marquardt works with: a plan of one row, in double precision where the
 * net is its own, and room: for its inputs, for where gradients are by segment, and for inputs
 * widened. history: of L-BFGS, how many steps its memory holds. */
typedef struct {
    pn_plan *one;
    pn_lm *lm;
    pn_shadow wide;
    const void **row, **gradient;
    double **sample;
    size_t history;
} pn_solving;
pn_status pn_solving_new(const pn_graph *g, const pn_data *data, const pn_fit_options *o,
                         pn_solving *s, pn_error *error);
void pn_solving_free(pn_solving *s);
/* A step from where wanted has just been computed by pn_train_step(plan, x, tick, wanted). asked:
 * as pn_poll has it. */
typedef struct {
    pn_plan *plan;
    const void *const *x;
    uint64_t tick;
    pn_loss_batch *wanted;
    int64_t *asked;
} pn_pass;
pn_status pn_solve(const pn_solving *s, const pn_fit_options *o, const pn_pass *pass,
                   pn_error *error);
#endif
