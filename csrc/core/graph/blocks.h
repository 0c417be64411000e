/* blocks.h - inference on blocks of rows. Each block runs on one thread, with plans that keep
 * nothing for backward. */
#ifndef PN_BLOCKS_H
#define PN_BLOCKS_H
#include "../base/poll.h"
#include "graph.h"

typedef struct pn_blocks pn_blocks;

/* Called for each block on the thread that computed it, with its outputs y. worker: the number of
 * that thread, below pn_block_job.workers. */
typedef pn_status pn_block_fn(void *context, size_t worker, size_t block, size_t start, size_t rows,
                              void *const *y, pn_error *error);
typedef struct {
    size_t rows, workers;           /* workers: from pn_blocks_workers */
    const pn_samples *x;            /* one for each input */
    const size_t *order;            /* as in pn_samples_gather */
    /* an array (rows, output shape) for each output; NULL if only done reads the outputs */
    void *const *y;
    pn_block_fn *done;              /* done and poll may be NULL */
    void *context;
    pn_poll_fn *poll;
    void *poll_context;
} pn_block_job;

/* block: the largest number of rows in a block. */
pn_status pn_blocks_new(const pn_graph *graph, size_t block, pn_blocks **blocks, pn_error *error);
void pn_blocks_free(pn_blocks *blocks);
/* The number of threads for n blocks; one if they call back into the caller's language. */
size_t pn_blocks_workers(const pn_blocks *blocks, size_t n, int calls_back);
/* rows is at least 1. */
pn_status pn_blocks_run(pn_blocks *blocks, const pn_block_job *job, pn_error *error);

#endif
