/* predict.c - prediction: blocks of rows, each on one thread, with plans that keep nothing. */
#include "data.h"
#include <stdatomic.h>
#include <stdlib.h>

/* A lane is what one thread needs to work on blocks: plans for a full block and for another number of rows, room for the rows where
 * they have to be gathered, and for the output where the caller wants none. */
typedef struct { pn_plan *full, *other; char *x, *y; } lane;

struct pn_predictor {
    const pn_graph *graph;
    size_t block, n_lanes, n_sums;
    lane *lanes;
    double *sums;                   /* of the loss, a block each, so that they are added in order */
};

typedef struct {
    pn_predictor *p;
    const pn_data *data;
    const pn_fit_options *options;
    char *y;
    int scored;
    atomic_size_t next, correct;    /* the first block nobody has taken; right predictions so far */
    size_t end;                     /* of the blocks of this region */
} prediction;

pn_status pn_predictor_new(const pn_graph *graph, size_t block, pn_predictor **predictor, pn_error *error)
{
    *predictor = NULL;
    if (block == 0) return pn_fail(error, PN_BAD_VALUE, "batch_size must be at least 1");
    pn_predictor *p = calloc(1, sizeof *p);
    if (!p) return pn_fail(error, PN_NO_MEMORY, "no memory for a predictor");
    p->graph = graph;
    p->block = block;
    *predictor = p;
    return PN_OK;
}

void pn_predictor_free(pn_predictor *p)
{
    if (!p) return;
    for (size_t i = 0; i < p->n_lanes; i++) {
        pn_plan_free(p->lanes[i].full);
        pn_plan_free(p->lanes[i].other);
        free(p->lanes[i].x);
        free(p->lanes[i].y);
    }
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
    char *y = j->y ? j->y + start * pn_sample_bytes(g, g->n_nodes - 1) : l->y;
    const void *x = pn_data_rows(g, j->data, NULL, start, rows, l->x);
    pn_plan_forward(rows == j->p->block ? l->full : l->other, x, y);
    if (!j->scored) return;
    pn_score score = { 0 };
    pn_target t = pn_data_targets(g, j->data, NULL, start, rows, NULL, NULL);
    double sum = pn_loss_apply(j->options->loss, g->dtype, rows, pn_width(g), y, &t, NULL, NULL, 1);
    pn_score_add(&score, g, j->options->loss, rows, y, &t, sum);
    j->p->sums[block] = sum;
    atomic_fetch_add(&j->correct, score.correct);
}

static void run_lane(void *context, size_t i)
{
    prediction *j = context;
    for (size_t block; (block = atomic_fetch_add(&j->next, 1)) < j->end;) run_block(j, &j->p->lanes[i], block);
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

/* Plans and room of one lane for full blocks and for one of `rows` rows; what is there already stays. */
static pn_status equip(pn_predictor *p, lane *l, int full, size_t rows, int input, int output, pn_error *error)
{
    const pn_graph *g = p->graph;
    pn_status status = full && !l->full ? pn_plan_new(g, p->block, PN_PREDICT, &l->full, error) : PN_OK;
    if (!status && rows && (!l->other || l->other->rows != rows)) {
        pn_plan_free(l->other);
        status = pn_plan_new(g, rows, PN_PREDICT, &l->other, error);
    }
    if (!status && input && !l->x && !(l->x = malloc(p->block * pn_sample_bytes(g, 0) + 1)))
        status = pn_fail(error, PN_NO_MEMORY, "no memory for %zu rows", p->block);
    if (!status && output && !l->y && !(l->y = malloc(p->block * pn_sample_bytes(g, g->n_nodes - 1) + 1)))
        status = pn_fail(error, PN_NO_MEMORY, "no memory for %zu rows", p->block);
    return status;
}

static pn_status prepare(prediction *j, size_t blocks, pn_error *error)
{
    pn_predictor *p = j->p;
    size_t threads = pn_threads_get(), lanes = blocks < threads ? blocks : threads, rest = j->data->rows % p->block;
    const int gathered = !pn_data_in_place(p->graph, j->data);
    pn_status status = add_lanes(p, lanes, error);
    for (size_t i = 0; i < lanes && !status; i++) status = equip(p, &p->lanes[i], blocks > (rest != 0), rest, gathered, !j->y, error);
    if (!status && j->scored && blocks > p->n_sums) {
        free(p->sums);
        p->sums = malloc(blocks * sizeof *p->sums);
        p->n_sums = p->sums ? blocks : 0;
        if (!p->sums) status = pn_fail(error, PN_NO_MEMORY, "no memory for %zu blocks", blocks);
    }
    return status;
}

pn_status pn_predict(pn_predictor *p, const pn_data *data, const pn_fit_options *options, void *y, pn_score *score, pn_error *error)
{
    if (score) *score = (pn_score){ 0 };
    if (data->rows == 0) return PN_OK;
    prediction j = { .p = p, .data = data, .options = options, .y = y, .scored = score != NULL };
    const size_t blocks = (data->rows - 1) / p->block + 1;
    pn_status status = score ? pn_data_check(p->graph, data, options->loss, error) : PN_OK;
    if (!status) status = prepare(&j, blocks, error);
    if (status) return status;
    const size_t lanes = blocks < p->n_lanes ? blocks : p->n_lanes;
    int64_t start = 0, asked = blocks > lanes ? pn_now_ms() : 0;
    for (size_t done = 0, many = lanes; done < blocks; done = j.end) {         /* back to the caller often enough to be stopped */
        if (blocks > lanes) start = pn_now_ms();
        atomic_store(&j.next, done);
        j.end = blocks - done < many ? blocks : done + many;
        pn_parallel(lanes, run_lane, &j);
        if (j.end == blocks) break;
        if (pn_now_ms() - start < 10) many *= 2;
        if (pn_poll(options, &asked)) return pn_fail(error, PN_STOPPED, "stopped after row %zu", j.end * p->block);
    }
    if (!score) return PN_OK;
    for (size_t i = 0; i < blocks; i++) score->loss += p->sums[i];
    score->values = pn_loss_values(options->loss, data->rows, pn_width(p->graph));
    score->rows = data->rows;
    score->correct = atomic_load(&j.correct);
    return PN_OK;
}
