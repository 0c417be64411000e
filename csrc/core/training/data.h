/* data.h - targets, labels and weights of the rows of a batch. */
#ifndef PN_DATA_H
#define PN_DATA_H
#include "../graph/samples.h"
#include "loss.h"

/* Buffers per output: targets, weights and labels for the loss that reads the output first, and its
 * predictions and gradient with classes last. */
typedef struct {
    size_t rows;
    void **target, **weight, **classes_last;
    int64_t **label;
} pn_batch_buffers;
/* Reuses buffers that are large enough. */
pn_status pn_batch_buffers_reserve(pn_batch_buffers *buffers, const pn_graph *g, size_t rows,
                                   pn_error *error);
void pn_batch_buffers_free(pn_batch_buffers *buffers, const pn_graph *g);

/* pn_loss_batch_new describes what a loss reads from the outputs of a graph. pn_loss_batch_fill
 * sets the targets and weights of a batch, either in place or gathered into the buffers. */
pn_loss_batch pn_loss_batch_new(const pn_graph *g, const pn_criterion *loss);
/* Labels are always copied and checked again, because the caller's array may have changed since
 * pn_data_check. */
pn_status pn_loss_batch_fill(pn_loss_batch *batch, const pn_graph *g, const pn_target *y,
                             const size_t *order, size_t start, size_t n,
                             const pn_batch_buffers *buffers, pn_error *error);
/* Prefetches rows start to start + n of the order. */
void pn_data_fetch(const pn_graph *g, const pn_data *data, const pn_loss_batch *losses,
                   size_t n_losses, const size_t *order, size_t start, size_t n);

/* The inputs of a training step, and what its losses read. Initialise it with zeros. */
typedef struct {
    pn_input_buffers inputs;
    pn_batch_buffers buffers;
    const void *x[PN_MAX_IO];
    pn_loss_batch losses[PN_MAX_IO];
    size_t n_losses;
} pn_batch;
/* Reuses buffers that are large enough. */
pn_status pn_batch_reserve(pn_batch *batch, const pn_graph *g, size_t rows, pn_error *error);
void pn_batch_free(pn_batch *batch, const pn_graph *g);
/* Sets the losses of later batches. */
void pn_batch_criteria(pn_batch *batch, const pn_graph *g, const pn_criterion *criteria, size_t n);
/* Sets x and losses to rows start to start + rows of the order. */
pn_status pn_batch_gather(pn_batch *batch, const pn_graph *g, const pn_data *data,
                          const size_t *order, size_t start, size_t rows, pn_error *error);

/* Checks that every output fits its loss, and every target both of them. */
pn_status pn_data_check(const pn_graph *g, const pn_data *data, const pn_criterion *criteria,
                        size_t n, pn_error *error);

#endif
