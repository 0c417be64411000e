/* samples.h - rows of samples on their way into a plan. */
#ifndef PN_SAMPLES_H
#define PN_SAMPLES_H
#include "graph.h"

/* Bytes of one sample of a node's output. */
size_t pn_sample_bytes(const pn_graph *g, size_t node);
/* Elements of one sample of an output. */
size_t pn_width(const pn_graph *g, size_t output);

/* An array for each input, for rows that have to be gathered. */
typedef struct { size_t rows; void **x; } pn_input_buffers;
/* Keeps buffers that are large enough. */
pn_status pn_input_buffers_reserve(pn_input_buffers *buffers, const pn_graph *g, size_t rows,
                                   pn_error *error);
void pn_input_buffers_free(pn_input_buffers *buffers, const pn_graph *g);

/* Row k of the result is row order[k] of samples, or row start + k without an order; n rows of
 * input i, in the graph's dtype. In place where that is possible, else gathered into x. */
const void *pn_samples_gather(const pn_graph *g, size_t i, const pn_samples *samples,
                              const size_t *order, size_t start, size_t n, void *x);
/* Are the rows of input i, taken in order, what a plan reads? */
int pn_samples_in_place(const pn_graph *g, size_t i, const pn_samples *samples);
/* Prefetches the first bytes of n rows of input i. */
void pn_samples_prefetch(const pn_graph *g, size_t i, const pn_samples *samples,
                         const size_t *order, size_t n);

#endif
