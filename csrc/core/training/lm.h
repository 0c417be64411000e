/* lm.h - a step of Levenberg-Marquardt. */
#ifndef PN_LM_H
#define PN_LM_H
#include "../../pynn.h"

/* A loss that is the sum of squares of n residuals: rows first to first + rows of their
 * Jacobian j (rows, parameters), and they themselves, r, where the parameters stood at first; and
 * the loss where they are now. */
typedef struct {
    size_t n;
    pn_status (*rows)(void *context, size_t first, size_t rows, double *j, double *r,
                      pn_error *error);
    pn_status (*loss)(void *context, double *loss, pn_error *error);
    void *context;
} pn_residuals;
typedef struct pn_lm pn_lm;
/* room for n parameters; NULL when memory is short */
pn_lm *pn_lm_new(size_t n);
void pn_lm_free(pn_lm *lm);
/* A step downhill from where the loss is that, or none. */
pn_status pn_lm_step(pn_lm *lm, const pn_solver *o, const pn_residuals *f, double loss,
                     pn_error *error);

#endif
