/* trace.c - one training step without the update, all arrays of which can be read. */
#include "../base/array.h"
#include "../graph/plan.h"
#include "../graph/samples.h"
#include "data.h"
#include "score.h"
#include "step.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    const pn_graph *graph;
    pn_plan *plan;
    const void *x[PN_MAX_IO];
    pn_loss_batch wanted[PN_MAX_IO];
    pn_input_buffers inputs;
    pn_batch_buffers room;
} step;

/* Copies an array of the plan to y (rows, shape of the node), with channels first. */
static void read_array(const step *s, size_t node, int last, const void *x, void *y)
{
    const pn_shape *shape = &s->graph->nodes[node].shape;
    const size_t size = pn_size(s->graph->dtype), sample = pn_count(shape), rows = s->plan->rows;
    if (!last) {
        memcpy(y, x, rows * sample * size);
        return;
    }
    const size_t channels = shape->dim[0], pixels = channels ? sample / channels : 0;
    for (size_t r = 0; r < rows; r++)
        for (size_t p = 0; p < pixels; p++)
            for (size_t c = 0; c < channels; c++)
                memcpy((char *)y + (r * sample + c * pixels + p) * size,
                       (const char *)x + (r * sample + p * channels + c) * size, size);
}

static pn_status take(step *s, const pn_data *data, const pn_criterion *criteria, size_t n,
                      pn_error *error)
{
    const pn_graph *g = s->graph;
    pn_status status = data->rows ? pn_data_check(g, data, criteria, n, error)
                                  : pn_fail(error, PN_BAD_SHAPE, "a step needs at least one row");
    if (!status) status = pn_input_buffers_reserve(&s->inputs, g, data->rows, error);
    if (!status) status = pn_batch_buffers_reserve(&s->room, g, data->rows, error);
    for (size_t i = 0; i < g->n_inputs && !status; i++)
        s->x[i] = pn_samples_gather(g, i, &data->x[i], NULL, 0, data->rows, s->inputs.x[i]);
    for (size_t i = 0; i < n && !status; i++) {
        s->wanted[i] = pn_loss_batch_new(g, &criteria[i]);
        status = pn_loss_batch_fill(&s->wanted[i], g, &data->y[i], NULL, 0, data->rows, &s->room,
                                    error);
    }
    return status;
}

static void give(const step *s, size_t n, const pn_trace *trace)
{
    const pn_graph *g = s->graph;
    const pn_plan *p = s->plan;
    for (size_t i = 0; i < g->n_nodes; i++) {
        read_array(s, i, p->layouts[i], p->at[p->values[i]], trace->value[i]);
        if (p->grads[i] == PN_NONE) trace->gradient[i] = NULL;
        else if (p->at[p->grads[i]] != trace->gradient[i])
            read_array(s, i, p->layouts[i], p->at[p->grads[i]], trace->gradient[i]);
    }
    for (size_t i = 0; i < g->n_outputs; i++)
        read_array(s, g->outputs[i], 0, p->at[p->output_grads[i]], trace->loss_gradient[i]);
    for (size_t i = 0; i < n; i++) pn_score_add(&trace->score[i], g, &s->wanted[i], p->rows);
}

pn_status pn_trace_step(const pn_graph *graph, const pn_data *data, const pn_criterion *criteria,
                        size_t n, uint64_t tick, const pn_trace *trace, pn_error *error)
{
    step *s = calloc(1, sizeof *s);
    if (!s) return pn_fail(error, PN_NO_MEMORY, "no memory for a step");
    s->graph = graph;
    pn_status status = take(s, data, criteria, n, error);
    if (!status) status = pn_plan_unshared(graph, data->rows, 1, &s->plan, error);
    for (size_t i = 0; i < graph->n_inputs && !status; i++)
        s->plan->at[pn_gx(graph, i)] = trace->gradient[graph->inputs[i]];
    if (!status) status = pn_train_step(s->plan, s->x, tick, s->wanted, n, 1, NULL, error);
    if (!status) give(s, n, trace);
    pn_plan_free(s->plan);
    pn_batch_buffers_free(&s->room, graph);
    pn_input_buffers_free(&s->inputs, graph);
    free(s);
    return status;
}
