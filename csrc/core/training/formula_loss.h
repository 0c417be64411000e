/* formula_loss.h - losses given by a formula. */
#ifndef PN_FORMULA_LOSS_H
#define PN_FORMULA_LOSS_H
#include "../../pynn.h"

/* Computes values and gradients as the kernels of the table do, and returns the sum of the
 * values. */
double pn_formula_loss(pn_dtype t, const pn_loss_args *args);

#endif
