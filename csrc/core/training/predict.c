/* predict.c - prediction and scoring, in blocks of rows. */
#include "../base/array.h"
#include "../base/error.h"
#include "../graph/blocks.h"
#include "../graph/samples.h"
#include "data.h"
#include "score.h"
#include <stdlib.h>

struct pn_predictor {
    const pn_graph *graph;
    pn_blocks *blocks;
    size_t block, n_buffers, n_scores;
    pn_batch_buffers *buffers;      /* for each worker */
    pn_score *scores;               /* (block, loss), to be added in order */
};

typedef struct {
    pn_predictor *p;
    const pn_data *data;
    const pn_criterion *criteria;
    size_t losses;                  /* number of criteria */
    int calls_back;                 /* whether one of them is custom */
    int gathers;                    /* whether a batch must be copied to buffers */
} scoring;

pn_status pn_predictor_new(const pn_graph *graph, size_t block, pn_predictor **predictor,
                           pn_error *error)
{
    *predictor = NULL;
    pn_blocks *blocks;
    pn_status status = pn_blocks_new(graph, block, &blocks, error);
    if (status) return status;
    pn_predictor *p = calloc(1, sizeof *p);
    if (!p) {
        pn_blocks_free(blocks);
        return pn_fail(error, PN_NO_MEMORY, "no memory for a predictor");
    }
    p->graph = graph;
    p->blocks = blocks;
    p->block = block;
    *predictor = p;
    return PN_OK;
}

void pn_predictor_free(pn_predictor *p)
{
    if (!p) return;
    for (size_t i = 0; i < p->n_buffers; i++) pn_batch_buffers_free(&p->buffers[i], p->graph);
    pn_blocks_free(p->blocks);
    free(p->buffers);
    free(p->scores);
    free(p);
}

static pn_status score_block(void *context, size_t worker, size_t block, size_t start, size_t rows,
                             void *const *y, pn_error *error)
{
    const scoring *j = context;
    const pn_graph *g = j->p->graph;
    for (size_t i = 0; i < j->losses; i++) {
        pn_score *score = &j->p->scores[block * j->losses + i];
        pn_loss_batch w = pn_loss_batch_new(g, &j->criteria[i]);
        pn_status status = pn_loss_batch_fill(&w, g, &j->data->y[i], j->data->subset, start, rows,
                                              &j->p->buffers[worker], error);
        if (status) return status;
        if ((status = pn_loss_batch_apply(&w, g->dtype, rows, y, NULL, error))) return status;
        *score = (pn_score){ 0 };
        pn_score_add(score, g, &w, rows);
    }
    return PN_OK;
}

/* Allocates scores for each block and buffers for each worker. */
static pn_status reserve(const scoring *j, size_t blocks, size_t workers, pn_error *error)
{
    pn_predictor *p = j->p;
    size_t bytes;
    if (!pn_multiply(blocks, j->losses * sizeof *p->scores, &bytes))
        return pn_fail(error, PN_NO_MEMORY, "no memory for %zu blocks", blocks);
    if (blocks * j->losses > p->n_scores) {
        free(p->scores);
        p->scores = malloc(bytes);
        p->n_scores = p->scores ? blocks * j->losses : 0;
        if (!p->scores) return pn_fail(error, PN_NO_MEMORY, "no memory for %zu blocks", blocks);
    }
    if (workers > p->n_buffers) {
        pn_batch_buffers *more = realloc(p->buffers, workers * sizeof *more);
        if (!more) return pn_fail(error, PN_NO_MEMORY, "no memory for a predictor");
        for (size_t i = p->n_buffers; i < workers; i++) more[i] = (pn_batch_buffers){ 0 };
        p->buffers = more;
        p->n_buffers = workers;
    }
    const size_t most = pn_min(j->data->rows, p->block);
    pn_status status = PN_OK;
    for (size_t i = 0; i < workers && j->gathers && !status; i++)
        status = pn_batch_buffers_reserve(&p->buffers[i], p->graph, most, error);
    return status;
}

static pn_status check(scoring *j, pn_error *error)
{
    const pn_graph *g = j->p->graph;
    const pn_status status = pn_data_check(g, j->data, j->criteria, j->losses, error);
    j->gathers = j->data->subset != NULL;
    for (size_t i = 0; i < j->losses && !status; i++) {
        const pn_criterion *loss = &j->criteria[i];
        j->calls_back |= loss->call != NULL;
        j->gathers |= j->data->y[i].label ||
                      (loss->row->kind == 'r' &&
                       g->nodes[g->outputs[loss->outputs[0]]].shape.ndim > 1);
    }
    return status;
}

static void add_up(const scoring *j, size_t blocks, pn_score *score)
{
    for (size_t k = 0; k < blocks; k++)
        for (size_t i = 0; i < j->losses; i++) {
            const pn_score *block = &j->p->scores[k * j->losses + i];
            score[i].loss += block->loss;
            score[i].divisor += block->divisor;
            score[i].values += block->values;
            score[i].correct += block->correct;
            score[i].rows += block->rows;
            score[i].hits += block->hits;
            score[i].not_one_hot += block->not_one_hot;
        }
}

pn_status pn_predict(pn_predictor *p, const pn_data *data, const pn_fit_options *options,
                     void *const *y, pn_score *score, pn_error *error)
{
    scoring j = { .p = p,
                  .data = data,
                  .criteria = score ? options->criteria : NULL,
                  .losses = score ? options->n_criteria : 0 };
    for (size_t i = 0; i < j.losses; i++) score[i] = (pn_score){ 0 };
    if (data->rows == 0) return PN_OK;
    pn_status status = score ? check(&j, error) : PN_OK;
    if (status) return status;
    const size_t blocks = (data->rows - 1) / p->block + 1;
    const pn_block_job job = { .rows = data->rows,
                               .workers = pn_blocks_workers(p->blocks, blocks, j.calls_back),
                               .x = data->x,
                               .order = data->subset,
                               .y = y,
                               .done = score ? score_block : NULL,
                               .context = &j,
                               .poll = options ? options->poll : NULL,
                               .poll_context = options ? options->context : NULL };
    if (score) status = reserve(&j, blocks, job.workers, error);
    if (!status) status = pn_blocks_run(p->blocks, &job, error);
    if (!status) add_up(&j, blocks, score);
    return status;
}
