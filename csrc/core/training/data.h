/* data.h - rows of samples on their way into a plan, and what is counted of the predictions that
 * come out. */
#ifndef PN_DATA_H
#define PN_DATA_H
#include "../graph/graph.h"

/* of one sample of a node's output */
size_t pn_sample_bytes(const pn_graph *g, size_t node);
/* elements of one sample of an output */
size_t pn_width(const pn_graph *g, size_t output);

/* Room for a gathered batch: an array for each input, and for each output one each for the targets,
 * weights and labels of the loss that takes it first, and one for what that sees with classes last.
 */
typedef struct {
    size_t rows;
    void **x, **target, **weight, **turned;
    int64_t **label;
} pn_batch_buffers;
/* keeps what is large enough */
pn_status pn_batch_buffers_reserve(pn_batch_buffers *room, const pn_graph *g, size_t rows,
                                   pn_error *error);
void pn_batch_buffers_free(pn_batch_buffers *room, const pn_graph *g);

/* Row k of the result is row order[k] of samples, or row start + k without an order; n rows of
 * input i, in the graph's dtype. In place where that is possible, else gathered into x. */
const void *pn_data_rows(const pn_graph *g, size_t i, const pn_samples *samples,
                         const size_t *order, size_t start, size_t n, void *x);
/* Do the rows of input i stand as a plan reads them, when taken in order? */
int pn_data_in_place(const pn_graph *g, size_t i, const pn_samples *samples);
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
/* Adds rows of predictions that a loss has seen. */
void pn_score_add(pn_score *score, const pn_graph *g, const pn_loss_batch *wanted, size_t rows);

/* Asks the caller whether to stop, every 20 ms, whichever way the clock is set meanwhile; *asked is
 * when that was last. */
int pn_poll(const pn_fit_options *options, int64_t *asked);
#endif
