/* lm.h - one step of Levenberg-Marquardt. */
#ifndef PN_LM_H
#define PN_LM_H
#include "../../pynn.h"

/* A loss that is the sum of squares of n residuals.
 *
 * rows:  computes rows first to first + rows of the Jacobian j (rows, parameters) and the residuals
 *        r, at the parameters at the time of the call with first == 0
 * loss:  computes the loss at the current parameters */
typedef struct {
    size_t n;
    pn_status (*rows)(void *context, size_t first, size_t rows, double *j, double *r,
                      pn_error *error);
    pn_status (*loss)(void *context, double *loss, pn_error *error);
    void *context;
} pn_residuals;
typedef struct pn_lm pn_lm;
/* for n parameters; NULL when memory is short */
pn_lm *pn_lm_new(size_t n);
void pn_lm_free(pn_lm *lm);
/* Performs one step from parameters with the given loss. Leaves them unchanged if no step decreases
 * it. */
pn_status pn_lm_step(pn_lm *lm, const pn_solver *o, const pn_residuals *f, double loss,
                     pn_error *error);

#endif
