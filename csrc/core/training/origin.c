/* origin.c - the origin of the first value in a step that is not finite. The step is repeated in a
 * plan without fusion and reuse of memory, and its arrays are checked in the order in which they
 * were computed. */
#include "origin.h"
#include "step.h"
#include <math.h>

typedef struct {
    const pn_graph *graph;
    const pn_plan *plan;
    const pn_typed_kernels *k;
    size_t rows;
    const void *const *x;
    const pn_loss_batch *losses;
    pn_origin *origin;
} search;

/* Checks an array of n numbers per row. If a number is not finite, stores the origin and returns
 * 1. */
static int found(const search *s, pn_place place, size_t at, size_t rows, size_t n, const void *x)
{
    const size_t nonfinite = x ? s->k->probe->first_nonfinite(rows * n, x) : rows * n;
    if (nonfinite == rows * n) return 0;
    *s->origin = (pn_origin){ place, at, 0, nonfinite / n };
    return 1;
}

static int found_parameter(const search *s, pn_place place, size_t node)
{
    const pn_node *n = &s->graph->nodes[node];
    for (size_t j = 0; j < n->n_slots; j++) {
        const pn_binding *slot = &n->slots[j];
        if (!found(s, place, node, pn_count(&slot->shape), 1,
                   place == PN_PARAMETER ? slot->data : slot->grad))
            continue;
        s->origin->slot = j;
        s->origin->row = SIZE_MAX;
        return 1;
    }
    return 0;
}

static int found_forward(const search *s)
{
    const pn_graph *g = s->graph;
    for (size_t i = 0; i < g->n_inputs; i++)
        if (found(s, PN_INPUT, i, s->rows, pn_count(&g->nodes[g->inputs[i]].shape), s->x[i]))
            return 1;
    size_t next = 0;
    for (size_t i = 0; i < g->n_nodes; i++) {
        if (found_parameter(s, PN_PARAMETER, i)) return 1;
        if (next == s->plan->n_probes || s->plan->probes[next].node != i) continue;
        if (found(s, PN_OUTPUT, i, s->rows, pn_count(&g->nodes[i].shape),
                  s->plan->at[s->plan->probes[next++].value]))
            return 1;
    }
    return 0;
}

/* Returns whether the loss of one row, evaluated with only its target, is not finite. */
static int row_is_nonfinite(const search *s, pn_loss_batch w, size_t row)
{
    const pn_graph *g = s->graph;
    void *x[PN_MAX_IO];
    for (size_t i = 0; i < g->n_outputs; i++)
        x[i] = (char *)s->plan->at[s->plan->outputs[i]] +
               row * pn_count(&g->nodes[g->outputs[i]].shape) * pn_size(g->dtype);
    if (w.target.target) w.target.target = (const char *)w.target.target + row * w.target_bytes;
    if (w.target.label)
        w.target.label = (const int64_t *)((const char *)w.target.label + row * w.label_bytes);
    if (w.target.sample_weight)
        w.target.sample_weight = (const char *)w.target.sample_weight + row * w.weight_bytes;
    pn_error error;
    return !pn_loss_batch_apply(&w, g->dtype, 1, x, NULL, &error) && !isfinite(w.sum);
}

/* Checks the targets, values and gradient of a loss. */
static int found_loss(const search *s, size_t i)
{
    const pn_loss_batch *w = &s->losses[i];
    const size_t output = w->loss->outputs[0], size = pn_size(s->graph->dtype);
    if (found(s, PN_TARGET, output, s->rows, w->target_bytes / size, w->target.target)) return 1;
    if (!isfinite(w->sum)) {
        *s->origin = (pn_origin){ PN_LOSS, output, 0, SIZE_MAX };
        for (size_t r = 0; r < s->rows && !w->loss->call && s->origin->row == SIZE_MAX; r++)
            if (row_is_nonfinite(s, *w, r)) s->origin->row = r;
        return 1;
    }
    const size_t n = pn_count(&s->graph->nodes[s->graph->outputs[output]].shape);
    return found(s, PN_LOSS, output, s->rows, n, s->plan->at[s->plan->output_grads[output]]);
}

/* The gradient of a node's output is computed by its consumers. */
static int found_backward(const search *s)
{
    const pn_graph *g = s->graph;
    for (size_t i = g->n_nodes; i-- > 0;) {
        const int grad = s->plan->grads[i];
        if (g->nodes[i].uses && grad != PN_NONE &&
            found(s, PN_GRADIENT, g->nodes[i].consumer, s->rows, pn_count(&g->nodes[i].shape),
                  s->plan->at[grad]))
            return 1;
        if (found_parameter(s, PN_PARAMETER_GRADIENT, i)) return 1;
    }
    return 0;
}

pn_status pn_origin_find(const pn_graph *graph, size_t rows, const void *const *x, uint64_t tick,
                         pn_loss_batch *losses, size_t n, pn_origin *origin, pn_error *error)
{
    pn_plan *plan;
    *origin = (pn_origin){ .place = PN_UNKNOWN, .row = SIZE_MAX };
    pn_status status = pn_plan_unshared(graph, rows, 0, &plan, error);
    if (!status) status = pn_train_step(plan, x, tick, losses, n, 1, NULL, error);
    if (!status) {
        const search s = {
            graph, plan, &pn_kernels_now()->of[graph->dtype], rows, x, losses, origin
        };
        int done = found_forward(&s);
        for (size_t i = 0; i < n && !done; i++) done = found_loss(&s, i);
        if (!done) found_backward(&s);
    }
    pn_plan_free(plan);
    return status;
}
