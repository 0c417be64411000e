/* blocks.c - inference on blocks of rows. Each block runs on one thread, with plans that keep
 * nothing for backward. */
#include "blocks.h"
#include "../base/clock.h"
#include "plan.h"
#include "samples.h"
#include <stdatomic.h>
#include <stdlib.h>

enum { MIN_ROWS = 8 }; /* in a block; below that, packing weights costs more than it saves */

/* State of one thread: plans for full blocks and for one other number of rows, buffers for rows
 * that have to be gathered, and scratch for outputs that the caller has no arrays for. */
typedef struct {
    pn_plan *full, *other;
    pn_input_buffers inputs;
    const void **x;
    void **y, **scratch;
    size_t scratch_rows;
    pn_status status;
    pn_error error;
} worker;

struct pn_blocks {
    const pn_graph *graph;
    size_t block, n_workers;
    worker *workers;
    void *packed;                   /* packed weights, for calls of several blocks */
};

typedef struct {
    pn_blocks *p;
    const pn_block_job *job;
    atomic_int stopped;             /* a block failed */
    atomic_size_t next;             /* the first block not yet taken */
    size_t end;                     /* of the blocks in this parallel region */
} run;

pn_status pn_blocks_new(const pn_graph *graph, size_t block, pn_blocks **blocks, pn_error *error)
{
    *blocks = NULL;
    if (block == 0) return pn_fail(error, PN_BAD_VALUE, "batch_size must be at least 1");
    pn_blocks *p = calloc(1, sizeof *p);
    if (!p) return pn_fail(error, PN_NO_MEMORY, "no memory for a predictor");
    p->graph = graph;
    p->block = block;
    *blocks = p;
    return PN_OK;
}

void pn_blocks_free(pn_blocks *p)
{
    if (!p) return;
    for (size_t i = 0; i < p->n_workers; i++) {
        worker *w = &p->workers[i];
        pn_plan_free(w->full);
        pn_plan_free(w->other);
        pn_input_buffers_free(&w->inputs, p->graph);
        for (size_t k = 0; w->scratch && k < p->graph->n_outputs; k++) free(w->scratch[k]);
        free(w->scratch);
        free(w->x);
        free(w->y);
    }
    pn_arena_free(p->packed);
    free(p->workers);
    free(p);
}

static void run_block(run *j, size_t i, size_t block)
{
    const pn_block_job *job = j->job;
    const pn_graph *g = j->p->graph;
    worker *w = &j->p->workers[i];
    const size_t start = block * j->p->block, rows = pn_min(job->rows - start, j->p->block);
    for (size_t k = 0; k < g->n_inputs; k++)
        w->x[k] = pn_samples_gather(g, k, &job->x[k], job->order, start, rows,
                                    w->inputs.x ? w->inputs.x[k] : NULL);
    for (size_t k = 0; k < g->n_outputs; k++)
        w->y[k] = job->y ? (char *)job->y[k] + start * pn_sample_bytes(g, g->outputs[k])
                         : w->scratch[k];
    w->status = pn_plan_forward(rows == j->p->block ? w->full : w->other, w->x, w->y, 0, &w->error);
    if (!w->status && job->done)
        w->status = job->done(job->context, i, block, start, rows, w->y, &w->error);
    if (w->status) j->stopped = 1;
}

static void run_worker(void *context, size_t i)
{
    run *j = context;
    for (size_t block;
         (block = atomic_fetch_add(&j->next, 1)) < j->end && !j->stopped && !pn_stop_now();)
        run_block(j, i, block);
}

static pn_status add_workers(pn_blocks *p, size_t wanted, pn_error *error)
{
    if (wanted <= p->n_workers) return PN_OK;
    worker *workers = realloc(p->workers, wanted * sizeof *workers);
    if (!workers) return pn_fail(error, PN_NO_MEMORY, "no memory for a predictor");
    for (size_t i = p->n_workers; i < wanted; i++) workers[i] = (worker){ 0 };
    p->workers = workers;
    p->n_workers = wanted;
    return PN_OK;
}

/* Allocates for the rows of a plan, not for the block size, which may be too large to count in
 * bytes. */
static pn_status reserve_scratch(const pn_graph *g, worker *w, size_t rows, pn_error *error)
{
    if (rows <= w->scratch_rows) return PN_OK;
    if (!w->scratch) w->scratch = calloc(g->n_outputs, sizeof *w->scratch);
    int ok = w->scratch != NULL;
    for (size_t i = 0; ok && i < g->n_outputs; i++) {
        free(w->scratch[i]);
        ok = (w->scratch[i] = malloc(rows * pn_sample_bytes(g, g->outputs[i]) + 1)) != NULL;
    }
    w->scratch_rows = ok ? rows : 0;
    return ok ? PN_OK : pn_fail(error, PN_NO_MEMORY, "no memory for %zu rows", rows);
}

/* Makes the plans and buffers of one worker for full blocks (with full) and for a block of `rows`
 * rows (unless 0). Existing ones are kept. */
static pn_status prepare_worker(pn_blocks *p, worker *w, int full, size_t rows, int gathered,
                                int output, pn_error *error)
{
    const pn_graph *g = p->graph;
    const size_t max_rows = full ? p->block : rows;
    pn_status status = PN_OK;
    if (full && !w->full) status = pn_plan_new(g, p->block, PN_PREDICT, &w->full, error);
    if (!status && rows && (!w->other || w->other->rows != rows)) {
        pn_plan_free(w->other);
        status = pn_plan_new(g, rows, PN_PREDICT, &w->other, error);
    }
    if (!w->x) w->x = malloc(g->n_inputs * sizeof *w->x);
    if (!w->y) w->y = malloc(g->n_outputs * sizeof *w->y);
    if (!status && (!w->x || !w->y))
        status = pn_fail(error, PN_NO_MEMORY, "no memory for a predictor");
    if (!status && gathered) status = pn_input_buffers_reserve(&w->inputs, g, max_rows, error);
    if (!status && output) status = reserve_scratch(g, w, max_rows, error);
    return status;
}

size_t pn_blocks_workers(const pn_blocks *p, size_t n, int calls_back)
{
    return pn_min(n, p->graph->custom || calls_back ? 1 : pn_threads_get());
}

static pn_status prepare(const run *j, size_t blocks, pn_error *error)
{
    pn_blocks *p = j->p;
    const pn_block_job *job = j->job;
    const size_t rest = job->rows % p->block;
    int gathered = job->order != NULL;
    for (size_t i = 0; i < p->graph->n_inputs; i++)
        gathered |= !pn_samples_in_place(p->graph, i, &job->x[i]);
    pn_status status = add_workers(p, job->workers, error);
    for (size_t i = 0; i < job->workers && !status; i++) p->workers[i].status = PN_OK;
    const int has_full = blocks > (rest != 0);
    for (size_t i = 0; i < job->workers && !status; i++)
        status = prepare_worker(p, &p->workers[i], has_full, rest, gathered, !job->y, error);
    return status;
}

/* Sets where the steps of a plan find their packed weights, nowhere if packed is NULL. Returns the
 * bytes of all of them. */
static size_t set_packed(pn_plan *plan, char *packed)
{
    size_t at = 0;
    for (size_t i = 0; plan && i < plan->n_steps; i++) {
        pn_step *s = &plan->steps[i];
        s->product.packed = packed && s->packed_bytes ? packed + at : NULL;
        at += pn_round_to_line(s->packed_bytes);
    }
    return at;
}

static void pack_step(void *plan, size_t i)
{
    const pn_step *s = &((const pn_plan *)plan)->steps[i];
    if (s->product.packed) s->k->gemm_pack(&s->product, (void *)s->product.packed);
}

/* Packs the weights once for all workers at the start of each call, since they may have changed
 * since the last one. */
static pn_status pack(const run *j, size_t blocks, pn_error *error)
{
    pn_blocks *p = j->p;
    if (blocks == 1 && !p->packed) return PN_OK;
    pn_plan *first = blocks > 1 && p->block >= MIN_ROWS ? p->workers[0].full : NULL;
    const size_t bytes = set_packed(first, NULL);
    if (bytes && !p->packed && !(p->packed = pn_arena_new(bytes)))
        return pn_fail(error, PN_NO_MEMORY, "no memory for %zu bytes of weights", bytes);
    for (size_t i = 0; i < j->job->workers; i++) {
        set_packed(p->workers[i].full, bytes ? p->packed : NULL);
        set_packed(p->workers[i].other, bytes ? p->packed : NULL);
    }
    if (bytes) pn_parallel(first->n_steps, pack_step, first);
    return PN_OK;
}

/* Runs all blocks, in parallel regions short enough for the caller to be polled between them. */
static pn_status run_regions(run *j, size_t blocks, pn_error *error)
{
    const size_t workers = j->job->workers;
    int64_t start = 0, last_poll = blocks > workers ? pn_now_ms() : 0;
    for (size_t done = 0, n_blocks = workers; done < blocks; done = j->end) {
        if (blocks > workers) start = pn_now_ms();
        atomic_store(&j->next, done);
        j->end = done + pn_min(blocks - done, n_blocks);
        pn_parallel(workers, run_worker, j);
        for (size_t i = 0; i < workers && j->stopped; i++)
            if (j->p->workers[i].status)
                return pn_fail(error, j->p->workers[i].status, "%s", j->p->workers[i].error.text);
        if (pn_stopped()) return pn_fail(error, PN_STOPPED, "stopped by the caller");
        if (j->end == blocks) break;
        if (pn_now_ms() - start < 10) n_blocks *= 2;
        if (pn_poll(j->job->poll, j->job->poll_context, &last_poll))
            return pn_fail(error, PN_STOPPED, "stopped after row %zu", j->end * j->p->block);
    }
    return PN_OK;
}

pn_status pn_blocks_run(pn_blocks *p, const pn_block_job *job, pn_error *error)
{
    run j = { .p = p, .job = job };
    const size_t blocks = (job->rows - 1) / p->block + 1;
    pn_status status = prepare(&j, blocks, error);
    if (!status) status = pack(&j, blocks, error);
    return status ? status : run_regions(&j, blocks, error);
}
