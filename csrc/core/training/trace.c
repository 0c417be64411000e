/* trace.c - one training step without the update, all arrays of which can be read. */
#include "../graph/plan.h"
#include "../kernels/isa.h"
#include "data.h"
#include "score.h"
#include "step.h"
#include <stdlib.h>
#include <string.h>

typedef struct { const pn_graph *graph; pn_plan *plan; pn_batch batch; } step;

/* Copies an array of the plan to y (rows, shape of the node), with channels first. */
static void read_array(const step *s, size_t node, int last, const void *x, void *y)
{
    const pn_shape *shape = &s->graph->nodes[node].shape;
    const size_t bytes = pn_sample_bytes(s->graph, node), rows = s->plan->rows;
    if (!last) {
        memcpy(y, x, rows * bytes);
        return;
    }
    const size_t channels = shape->dim[0], pixels = channels ? pn_count(shape) / channels : 0;
    for (size_t r = 0; r < rows; r++)
        pn_kernels_now()->of[s->graph->dtype].transpose(pixels, channels,
                                                        (const char *)x + r * bytes, channels,
                                                        (char *)y + r * bytes, pixels);
}

static pn_status gather(step *s, const pn_data *data, const pn_criterion *criteria, size_t n,
                        pn_error *error)
{
    const pn_graph *g = s->graph;
    pn_status status = data->rows ? pn_data_check(g, data, criteria, n, error)
                                  : pn_fail(error, PN_BAD_SHAPE, "a step needs at least one row");
    if (status) return status;
    pn_batch_criteria(&s->batch, g, criteria, n);
    status = pn_batch_reserve(&s->batch, g, data->rows, error);
    return status ? status : pn_batch_gather(&s->batch, g, data, NULL, 0, data->rows, error);
}

/* Copies the arrays and scores of the step to the trace. */
static void read_step(const step *s, const pn_trace *trace)
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
    for (size_t i = 0; i < s->batch.n_losses; i++)
        pn_score_add(&trace->score[i], g, &s->batch.losses[i], p->rows);
}

pn_status pn_trace_step(const pn_graph *graph, const pn_data *data, const pn_criterion *criteria,
                        size_t n, uint64_t tick, const pn_trace *trace, pn_error *error)
{
    step *s = calloc(1, sizeof *s);
    if (!s) return pn_fail(error, PN_NO_MEMORY, "no memory for a step");
    s->graph = graph;
    pn_status status = gather(s, data, criteria, n, error);
    if (!status) status = pn_plan_unshared(graph, data->rows, 1, &s->plan, error);
    for (size_t i = 0; i < graph->n_inputs && !status; i++)
        s->plan->at[pn_gx(graph, i)] = trace->gradient[graph->inputs[i]];
    if (!status)
        status = pn_train_step(s->plan, s->batch.x, tick, s->batch.losses, n, 1, NULL, error);
    if (!status) read_step(s, trace);
    pn_plan_free(s->plan);
    pn_batch_free(&s->batch, graph);
    free(s);
    return status;
}
