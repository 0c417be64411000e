/* score.h - the score of predictions. */
#ifndef PN_SCORE_H
#define PN_SCORE_H
#include "loss.h"

/* Adds the predictions of a batch, on which the loss has just been evaluated, to the score. */
void pn_score_add(pn_score *score, const pn_graph *g, const pn_loss_batch *batch, size_t rows);

#endif
