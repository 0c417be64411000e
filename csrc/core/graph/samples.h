/* samples.h - rows of samples as inputs of a plan. */
#ifndef PN_SAMPLES_H
#define PN_SAMPLES_H
#include "graph.h"

/* Bytes of one sample of a node's output. */
size_t pn_sample_bytes(const pn_graph *g, size_t node);

/* Buffers for gathered rows, one for each input. */
typedef struct { size_t rows; void **x; } pn_input_buffers;
/* Reallocates only if the present buffers are too small. */
pn_status pn_input_buffers_reserve(pn_input_buffers *buffers, const pn_graph *g, size_t rows,
                                   pn_error *error);
void pn_input_buffers_free(pn_input_buffers *buffers, const pn_graph *g);

/* Returns n rows of input i in the dtype of the graph. Row k is row order[k] of samples, or row
 * start + k if order is NULL. Rows that a plan can read are returned in place, others are gathered
 * into x. */
const void *pn_samples_gather(const pn_graph *g, size_t i, const pn_samples *samples,
                              const size_t *order, size_t start, size_t n, void *x);
/* Whether a plan can read the rows of input i, taken in order, without a copy. */
int pn_samples_in_place(const pn_graph *g, size_t i, const pn_samples *samples);
/* Prefetches the first bytes of n rows of input i. */
void pn_samples_prefetch(const pn_graph *g, size_t i, const pn_samples *samples,
                         const size_t *order, size_t n);

#endif
