/* data.h - targets, labels and weights of the rows of a batch. */
#ifndef PN_DATA_H
#define PN_DATA_H
#include "loss.h"

/* Arrays for each output: the targets, weights and labels of the loss that takes it first, and one
 * for what that sees with classes last. */
typedef struct {
    size_t rows;
    void **target, **weight, **turned;
    int64_t **label;
} pn_batch_buffers;
/* keeps what is large enough */
pn_status pn_batch_buffers_reserve(pn_batch_buffers *room, const pn_graph *g, size_t rows,
                                   pn_error *error);
void pn_batch_buffers_free(pn_batch_buffers *room, const pn_graph *g);

/* What a loss wants of a graph's outputs; then, of the same rows, their targets and weights: in
 * place, or gathered into the room. */
pn_loss_batch pn_loss_batch_new(const pn_graph *g, const pn_criterion *loss);
/* Labels are always gathered, and checked there: the caller's may have changed since pn_data_check.
 */
pn_status pn_loss_batch_fill(pn_loss_batch *wanted, const pn_graph *g, const pn_target *y,
                             const size_t *order, size_t start, size_t n,
                             const pn_batch_buffers *room, pn_error *error);
/* Tells the caches that rows start to start + n of the order will be wanted soon. */
void pn_data_fetch(const pn_graph *g, const pn_data *data, const pn_loss_batch *wanted,
                   size_t n_wanted, const size_t *order, size_t start, size_t n);

/* Does every output go with its loss, and every target with both? */
pn_status pn_data_check(const pn_graph *g, const pn_data *data, const pn_criterion *criteria,
                        size_t n, pn_error *error);

#endif
