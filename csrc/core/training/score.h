/* score.h - what is counted of predictions. */
#ifndef PN_SCORE_H
#define PN_SCORE_H
#include "loss.h"

/* Adds the rows of predictions that a loss has just seen. */
void pn_score_add(pn_score *score, const pn_graph *g, const pn_loss_batch *batch, size_t rows);

#endif
