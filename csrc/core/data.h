/* data.h - rows of samples on their way into a plan, and what is counted of the predictions that come out. */
#ifndef PN_DATA_H
#define PN_DATA_H
#include "graph.h"

size_t pn_sample_bytes(const pn_graph *g, size_t node);                /* of one sample of a node's output */
size_t pn_width(const pn_graph *g);                                    /* elements of one sample of the net's output */

/* Do the rows stand as a plan reads them, when taken in order? */
int pn_data_in_place(const pn_graph *g, const pn_data *data);
/* Row k of the result is row order[k] of data, or row start + k without an order; n rows, in the graph's dtype. In place where
 * that is possible, else gathered into x. */
const void *pn_data_rows(const pn_graph *g, const pn_data *data, const size_t *order, size_t start, size_t n, void *x);
/* The targets of the same rows: in place, or gathered into target or label. */
pn_target pn_data_targets(const pn_graph *g, const pn_data *data, const size_t *order, size_t start, size_t n, void *target, int64_t *label);

/* Does the output go with the loss, and every target with both? */
pn_status pn_data_check(const pn_graph *g, const pn_data *data, size_t loss, pn_error *error);
/* Adds rows of predictions y whose loss is sum. */
void pn_score_add(pn_score *score, const pn_graph *g, size_t loss, size_t rows, const void *y, const pn_target *target, double sum);

/* Asks the caller whether to stop, every 20 ms, whichever way the clock is set meanwhile; *asked is when that was last. */
int pn_poll(const pn_fit_options *options, int64_t *asked);
int64_t pn_now_ms(void);
#endif
