/* predict.c - prediction: blocks of rows, each on one thread, with plans that keep nothing. */
#include "../training/data.h"
#include "../base/clock.h"
#include <stdatomic.h>
#include <stdlib.h>

enum { LEAST_ROWS = 8 };            /* of a block that packed weights are worth having for */

/* A lane is what one thread needs to work on blocks: plans for a full block and for another number
 * of rows, room for the rows where they have to be gathered, and for the output where the caller
 * wants none. */
typedef struct {
    pn_plan *full, *other;
    pn_batch_buffers room;
    const void **x;
    void **y, **scratch;
    size_t scratch_rows;
    pn_status status;
    pn_error error;
} lane;

struct pn_predictor {
    const pn_graph *graph;
    size_t block, n_lanes, sums_bytes;
    lane *lanes;
    void *packed;                   /* weights, for calls of several blocks */
    /* sum and divisor of the losses, (block, loss, 2), so that they are added in order */
    double *sums;
    /* correct, rows, hits and strays of pn_score so far, for each loss */
    atomic_size_t (*counts)[4];
};

typedef struct {
    pn_predictor *p;
    const pn_data *data;
    const pn_fit_options *options;
    void *const *y;
    size_t losses;                  /* to be scored by */
    /* does one of them call back, or need room for labels or for classes that stand last? */
    int custom, gathers;
    size_t lanes;                   /* in use */
    /* by a custom layer, or by labels that are no classes any more */
    atomic_int stopped;
    atomic_size_t next;             /* the first block nobody has taken */
    size_t end;                     /* of the blocks of this region */
} prediction;

pn_status pn_predictor_new(const pn_graph *graph, size_t block, pn_predictor **predictor,
                           pn_error *error)
{
    *predictor = NULL;
    if (block == 0) return pn_fail(error, PN_BAD_VALUE, "batch_size must be at least 1");
    pn_predictor *p = calloc(1, sizeof *p);
    if (!p) return pn_fail(error, PN_NO_MEMORY, "no memory for a predictor");
    p->graph = graph;
    p->block = block;
    p->counts = malloc(graph->n_outputs * sizeof *p->counts);
    if (!p->counts) {
        free(p);
        return pn_fail(error, PN_NO_MEMORY, "no memory for a predictor");
    }
    *predictor = p;
    return PN_OK;
}

void pn_predictor_free(pn_predictor *p)
{
    if (!p) return;
    for (size_t i = 0; i < p->n_lanes; i++) {
        lane *l = &p->lanes[i];
        pn_plan_free(l->full);
        pn_plan_free(l->other);
        pn_batch_buffers_free(&l->room, p->graph);
        for (size_t k = 0; l->scratch && k < p->graph->n_outputs; k++) free(l->scratch[k]);
        free(l->scratch);
        free(l->x);
        free(l->y);
    }
    pn_arena_free(p->packed);
    free(p->counts);
    free(p->lanes);
    free(p->sums);
    free(p);
}

static size_t rows_of(const prediction *j, size_t block)
{
    size_t left = j->data->rows - block * j->p->block;
    return left < j->p->block ? left : j->p->block;
}

static void run_block(prediction *j, lane *l, size_t block)
{
    const pn_graph *g = j->p->graph;
    const size_t start = block * j->p->block, rows = rows_of(j, block);
    for (size_t i = 0; i < g->n_inputs; i++)
        l->x[i] = pn_data_rows(g, i, &j->data->x[i], j->data->subset, start, rows,
                               l->room.x ? l->room.x[i] : NULL);
    for (size_t i = 0; i < g->n_outputs; i++)
        l->y[i] = j->y ? (char *)j->y[i] + start * pn_sample_bytes(g, g->outputs[i])
                       : l->scratch[i];
    l->status = pn_plan_forward(rows == j->p->block ? l->full : l->other, l->x, l->y, 0, &l->error);
    if (l->status) {
        j->stopped = 1;
        return;
    }
    for (size_t i = 0; i < j->losses; i++) {
        pn_score score = { 0 };
        pn_loss_batch w = pn_loss_batch_new(g, &j->options->criteria[i]);
        l->status = pn_loss_batch_fill(&w, g, &j->data->y[i], j->data->subset, start, rows,
                                       &l->room, &l->error);
        if (!l->status)
            l->status = pn_loss_batch_apply(&w, g->dtype, rows, l->y, NULL, &l->error);
        if (l->status) {
            j->stopped = 1;
            return;
        }
        pn_score_add(&score, g, &w, rows);
        double *sums = &j->p->sums[2 * (block * j->losses + i)];
        sums[0] = w.sum;
        sums[1] = w.divisor;
        const size_t counts[] = { score.correct, score.rows, score.hits, score.strays };
        for (size_t k = 0; k < 4; k++) atomic_fetch_add(&j->p->counts[i][k], counts[k]);
    }
}

static void run_lane(void *context, size_t i)
{
    prediction *j = context;
    for (size_t block;
         (block = atomic_fetch_add(&j->next, 1)) < j->end && !j->stopped && !pn_stop_now();)
        run_block(j, &j->p->lanes[i], block);
}

/* As many lanes as threads can have blocks. */
static pn_status add_lanes(pn_predictor *p, size_t wanted, pn_error *error)
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

/* Plans and room of one lane for full blocks and for one of `rows` rows; what is there already
 * stays. */
static pn_status equip(pn_predictor *p, lane *l, int full, size_t rows, int gathered, int output,
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
    if (!status && gathered) status = pn_batch_buffers_reserve(&l->room, g, most, error);
    if (!status && output) status = room_for_output(g, l, most, error);
    return status;
}

static pn_status prepare(prediction *j, size_t blocks, pn_error *error)
{
    pn_predictor *p = j->p;
    const pn_graph *g = p->graph;
    size_t threads = g->custom || j->custom ? 1 : pn_threads_get(),
           lanes = blocks < threads ? blocks : threads;
    const size_t rest = j->data->rows % p->block;
    size_t sums;
    int gathered = j->gathers || j->data->subset;
    for (size_t i = 0; i < g->n_inputs; i++) gathered |= !pn_data_in_place(g, i, &j->data->x[i]);
    pn_status status = add_lanes(p, lanes, error);
    j->lanes = lanes;
    for (size_t i = 0; i < lanes && !status; i++) p->lanes[i].status = PN_OK;
    for (size_t i = 0; i < lanes && !status; i++)
        status = equip(p, &p->lanes[i], blocks > (rest != 0), rest, gathered, !j->y, error);
    if (!status && !pn_multiply(blocks, 2 * j->losses * sizeof *p->sums, &sums))
        status = pn_fail(error, PN_NO_MEMORY, "no memory for %zu blocks", blocks);
    if (!status && sums > p->sums_bytes) {
        free(p->sums);
        p->sums = malloc(sums);
        p->sums_bytes = p->sums ? sums : 0;
        if (!p->sums) status = pn_fail(error, PN_NO_MEMORY, "no memory for %zu blocks", blocks);
    }
    return status;
}

/* Tells the steps of a plan where their packed weights are, none with NULL; returns the bytes of
 * them all. */
static size_t place_packed(pn_plan *plan, char *packed)
{
    size_t at = 0;
    for (size_t i = 0; plan && i < plan->n_steps; i++) {
        pn_step *s = &plan->steps[i];
        s->product.packed = packed && s->packs ? packed + at : NULL;
        at += pn_line(s->packs);
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
static pn_status pack(prediction *j, size_t blocks, pn_error *error)
{
    pn_predictor *p = j->p;
    if (blocks == 1 && !p->packed) return PN_OK;
    pn_plan *first = blocks > 1 && p->block >= LEAST_ROWS ? p->lanes[0].full : NULL;
    const size_t bytes = place_packed(first, NULL);
    if (bytes && !p->packed && !(p->packed = pn_arena_new(bytes)))
        return pn_fail(error, PN_NO_MEMORY, "no memory for %zu bytes of weights", bytes);
    for (size_t i = 0; i < j->lanes; i++) {
        place_packed(p->lanes[i].full, bytes ? p->packed : NULL);
        place_packed(p->lanes[i].other, bytes ? p->packed : NULL);
    }
    if (bytes) pn_parallel(first->n_steps, pack_step, first);
    return PN_OK;
}

/* All blocks; back to the caller often enough to be stopped. */
static pn_status run_blocks(prediction *j, size_t blocks, pn_error *error)
{
    const size_t lanes = j->lanes;
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
        if (pn_poll(j->options, &asked))
            return pn_fail(error, PN_STOPPED, "stopped after row %zu", j->end * j->p->block);
    }
    return PN_OK;
}

pn_status pn_predict(pn_predictor *p, const pn_data *data, const pn_fit_options *options,
                     void *const *y, pn_score *score, pn_error *error)
{
    const pn_graph *g = p->graph;
    prediction j = { .p = p,
                     .data = data,
                     .options = options,
                     .y = y,
                     .losses = score ? options->n_criteria : 0 };
    for (size_t i = 0; i < j.losses; i++) score[i] = (pn_score){ 0 };
    if (data->rows == 0) return PN_OK;
    const size_t blocks = (data->rows - 1) / p->block + 1;
    pn_status status = score ? pn_data_check(g, data, options->criteria, j.losses, error) : PN_OK;
    for (size_t i = 0; i < j.losses && !status; i++) {
        const pn_criterion *loss = &options->criteria[i];
        j.custom |= loss->call != NULL;
        j.gathers |= data->y[i].label || (loss->row->kind == 'r' &&
                                          g->nodes[g->outputs[loss->outputs[0]]].shape.ndim > 1);
    }
    if (!status) status = prepare(&j, blocks, error);
    for (size_t i = 0; !status && i < 4 * j.losses; i++) atomic_store(&p->counts[i / 4][i % 4], 0);
    if (!status) status = pack(&j, blocks, error);
    if (!status) status = run_blocks(&j, blocks, error);
    for (size_t i = 0; !status && i < j.losses; i++) {
        for (size_t k = 0; k < blocks; k++) {
            score[i].loss += p->sums[2 * (k * j.losses + i)];
            score[i].divisor += p->sums[2 * (k * j.losses + i) + 1];
        }
        score[i].values = data->rows * (options->criteria[i].row->kind == 'e'
                                            ? pn_width(g, options->criteria[i].outputs[0])
                                            : 1);
        score[i].correct = atomic_load(&p->counts[i][0]);
        score[i].rows = atomic_load(&p->counts[i][1]);
        score[i].hits = atomic_load(&p->counts[i][2]);
        score[i].strays = atomic_load(&p->counts[i][3]);
    }
    return status;
}
