/* penalty.h - the L2 penalty of fit on the matrices that it trains. */
#ifndef PN_PENALTY_H
#define PN_PENALTY_H
#include "loss.h"

/* The weighted mean of the losses of a batch. */
double pn_objective_mean(const pn_loss_batch *losses, size_t n);
/* Adds the gradient of the penalty on a batch of this many rows to the gradients of the matrices,
 * and returns the penalty. Does nothing without options->penalty. */
double pn_penalty_add(const pn_fit_options *options, const pn_loss_batch *losses, size_t rows);
#endif
