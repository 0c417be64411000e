/* blocks.c - forward passes over blocks of rows, each on one thread, with plans that keep nothing
 * for backward. */
#include "blocks.h"
#include "../base/clock.h"
#include "plan.h"
#include "samples.h"
#include <stdatomic.h>
#include <stdlib.h>

enum { LEAST_ROWS = 8 };            /* of a block for which packed weights pay */

/* What one thread needs to work on blocks: plans for a full block and for another number of rows,
 * buffers for the rows where they have to be gathered, and for the outputs where the caller has no
 * arrays for them. */
typedef struct {
    pn_plan *full, *other;
    pn_input_buffers inputs;
    const void **x;
    void **y, **scratch;
    size_t scratch_rows;
    pn_status status;
    pn_error error;
} lane;

struct pn_blocks {
    const pn_graph *graph;
    size_t block, n_lanes;
    lane *lanes;
    void *packed;                   /* weights, for calls of several blocks */
};

typedef struct {
    pn_blocks *p;
    const pn_block_job *job;
    atomic_int stopped;             /* a block failed */
    atomic_size_t next;             /* the first block that no thread has taken */
    size_t end;                     /* of the blocks of this region */
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
    for (size_t i = 0; i < p->n_lanes; i++) {
        lane *l = &p->lanes[i];
        pn_plan_free(l->full);
        pn_plan_free(l->other);
        pn_input_buffers_free(&l->inputs, p->graph);
        for (size_t k = 0; l->scratch && k < p->graph->n_outputs; k++) free(l->scratch[k]);
        free(l->scratch);
        free(l->x);
        free(l->y);
    }
    pn_arena_free(p->packed);
    free(p->lanes);
    free(p);
}

static void run_block(run *j, size_t i, size_t block)
{
    const pn_block_job *job = j->job;
    const pn_graph *g = j->p->graph;
    lane *l = &j->p->lanes[i];
    const size_t start = block * j->p->block, left = job->rows - start,
                 rows = left < j->p->block ? left : j->p->block;
    for (size_t k = 0; k < g->n_inputs; k++)
        l->x[k] = pn_samples_gather(g, k, &job->x[k], job->order, start, rows,
                                    l->inputs.x ? l->inputs.x[k] : NULL);
    for (size_t k = 0; k < g->n_outputs; k++)
        l->y[k] = job->y ? (char *)job->y[k] + start * pn_sample_bytes(g, g->outputs[k])
                         : l->scratch[k];
    l->status = pn_plan_forward(rows == j->p->block ? l->full : l->other, l->x, l->y, 0, &l->error);
    if (!l->status && job->done)
        l->status = job->done(job->context, i, block, start, rows, l->y, &l->error);
    if (l->status) j->stopped = 1;
}

static void run_lane(void *context, size_t i)
{
    run *j = context;
    for (size_t block;
         (block = atomic_fetch_add(&j->next, 1)) < j->end && !j->stopped && !pn_stop_now();)
        run_block(j, i, block);
}

static pn_status add_lanes(pn_blocks *p, size_t wanted, pn_error *error)
{
    if (wanted <= p->n_lanes) return PN_OK;
    lane *more = realloc(p->lanes, wanted * sizeof *more);
    if (!more) return pn_fail(error, PN_NO_MEMORY, "no memory for a predictor");
    for (size_t i = p->n_lanes; i < wanted; i++) more[i] = (lane){ 0 };
    p->lanes = more;
    p->n_lanes = wanted;
    return PN_OK;
}

/* For as many rows as a plan of the lane has: a block may be longer than could ever be counted in
 * bytes. */
static pn_status room_for_output(const pn_graph *g, lane *l, size_t rows, pn_error *error)
{
    if (rows <= l->scratch_rows) return PN_OK;
    if (!l->scratch) l->scratch = calloc(g->n_outputs, sizeof *l->scratch);
    int ok = l->scratch != NULL;
    for (size_t i = 0; ok && i < g->n_outputs; i++) {
        free(l->scratch[i]);
        ok = (l->scratch[i] = malloc(rows * pn_sample_bytes(g, g->outputs[i]) + 1)) != NULL;
    }
    l->scratch_rows = ok ? rows : 0;
    return ok ? PN_OK : pn_fail(error, PN_NO_MEMORY, "no memory for %zu rows", rows);
}

/* Plans and buffers of one lane for full blocks and for one of `rows` rows; what is there already
 * stays. */
static pn_status equip(pn_blocks *p, lane *l, int full, size_t rows, int gathered, int output,
                       pn_error *error)
{
    const pn_graph *g = p->graph;
    const size_t most = full ? p->block : rows;
    pn_status status = full && !l->full ? pn_plan_new(g, p->block, PN_PREDICT, &l->full, error)
                                        : PN_OK;
    if (!status && rows && (!l->other || l->other->rows != rows)) {
        pn_plan_free(l->other);
        status = pn_plan_new(g, rows, PN_PREDICT, &l->other, error);
    }
    if (!l->x) l->x = malloc(g->n_inputs * sizeof *l->x);
    if (!l->y) l->y = malloc(g->n_outputs * sizeof *l->y);
    if (!status && (!l->x || !l->y))
        status = pn_fail(error, PN_NO_MEMORY, "no memory for a predictor");
    if (!status && gathered) status = pn_input_buffers_reserve(&l->inputs, g, most, error);
    if (!status && output) status = room_for_output(g, l, most, error);
    return status;
}

size_t pn_blocks_workers(const pn_blocks *p, size_t n, int calls_back)
{
    const size_t threads = p->graph->custom || calls_back ? 1 : pn_threads_get();
    return n < threads ? n : threads;
}

static pn_status prepare(const run *j, size_t blocks, pn_error *error)
{
    pn_blocks *p = j->p;
    const pn_block_job *job = j->job;
    const size_t rest = job->rows % p->block;
    int gathered = job->order != NULL;
    for (size_t i = 0; i < p->graph->n_inputs; i++)
        gathered |= !pn_samples_in_place(p->graph, i, &job->x[i]);
    pn_status status = add_lanes(p, job->lanes, error);
    for (size_t i = 0; i < job->lanes && !status; i++) p->lanes[i].status = PN_OK;
    for (size_t i = 0; i < job->lanes && !status; i++)
        status = equip(p, &p->lanes[i], blocks > (rest != 0), rest, gathered, !job->y, error);
    return status;
}

/* Tells the steps of a plan where their packed weights are, none with NULL; returns the bytes of
 * them all. */
static size_t place_packed(pn_plan *plan, char *packed)
{
    size_t at = 0;
    for (size_t i = 0; plan && i < plan->n_steps; i++) {
        pn_step *s = &plan->steps[i];
        s->product.packed = packed && s->packed_bytes ? packed + at : NULL;
        at += pn_line(s->packed_bytes);
    }
    return at;
}

static void pack_step(void *plan, size_t i)
{
    const pn_step *s = &((const pn_plan *)plan)->steps[i];
    if (s->product.packed) s->k->gemm_pack(&s->product, (void *)s->product.packed);
}

/* What every block multiplies by is packed once, for all lanes, at the start of a call: weights may
 * be others at the next. */
static pn_status pack(const run *j, size_t blocks, pn_error *error)
{
    pn_blocks *p = j->p;
    if (blocks == 1 && !p->packed) return PN_OK;
    pn_plan *first = blocks > 1 && p->block >= LEAST_ROWS ? p->lanes[0].full : NULL;
    const size_t bytes = place_packed(first, NULL);
    if (bytes && !p->packed && !(p->packed = pn_arena_new(bytes)))
        return pn_fail(error, PN_NO_MEMORY, "no memory for %zu bytes of weights", bytes);
    for (size_t i = 0; i < j->job->lanes; i++) {
        place_packed(p->lanes[i].full, bytes ? p->packed : NULL);
        place_packed(p->lanes[i].other, bytes ? p->packed : NULL);
    }
    if (bytes) pn_parallel(first->n_steps, pack_step, first);
    return PN_OK;
}

/* All blocks, in regions short enough for the caller to be polled between them. */
static pn_status run_regions(run *j, size_t blocks, pn_error *error)
{
    const size_t lanes = j->job->lanes;
    int64_t start = 0, asked = blocks > lanes ? pn_now_ms() : 0;
    for (size_t done = 0, many = lanes; done < blocks; done = j->end) {
        if (blocks > lanes) start = pn_now_ms();
        atomic_store(&j->next, done);
        j->end = blocks - done < many ? blocks : done + many;
        pn_parallel(lanes, run_lane, j);
        for (size_t i = 0; i < lanes && j->stopped; i++)
            if (j->p->lanes[i].status)
                return pn_fail(error, j->p->lanes[i].status, "%s", j->p->lanes[i].error.text);
        if (pn_stopped()) return pn_fail(error, PN_STOPPED, "stopped by the caller");
        if (j->end == blocks) break;
        if (pn_now_ms() - start < 10) many *= 2;
        if (pn_poll(j->job->poll, j->job->poll_context, &asked))
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
