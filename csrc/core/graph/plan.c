/* plan.c - compiles a graph into a plan: chooses the steps, fuses layers, places buffers in one
 * arena and selects kernels. */
#include "plan.h"
#include "builder.h"
#include <stdlib.h>
#include <string.h>

/* ---- copies and zeros ------------------------------------------------------------------------ */

static void run_copy(const pn_step *s, void *const *at) { memcpy(at[s->out], at[s->in], s->bytes); }
static void run_zero(const pn_step *s, void *const *at) { memset(at[s->out], 0, s->bytes); }

/* ---- layouts: kinds that support channels first only see inputs converted to it -------------- */

static void transpose_row(void *context, size_t i)
{
    const pn_step_job *j = context;
    const pn_step *s = j->s;
    const size_t from = i * s->bytes;
    s->k->transpose(s->n, s->inner, (const char *)j->at[s->in] + from, s->inner,
                    (char *)j->at[s->out] + from, s->n);
}
static void run_transpose(const pn_step *s, void *const *at)
{
    pn_parallel(s->rows, transpose_row, &(pn_step_job){ s, at });
}

/* y = x, a node's output or gradient, in the other layout. last: y has its channels last. */
static pn_status add_transpose(pn_builder *b, size_t node, int last, int x, int y)
{
    const pn_shape *shape = &b->graph->nodes[node].shape;
    const char *what = last ? "channels last" : "channels first";
    pn_step *s = y == PN_NONE ? NULL : pn_step_new(b, what, run_transpose);
    if (!s) return PN_NO_MEMORY;
    const size_t channels = shape->dim[0], sample = pn_count(shape),
                 pixels = channels ? sample / channels : 0;
    s->in = x;
    s->out = y;
    s->rows = b->rows;
    s->n = last ? channels : pixels;
    s->inner = last ? pixels : channels;
    s->bytes = sample * pn_size(b->graph->dtype);
    pn_step_uses(b, x);
    pn_step_uses(b, y);
    return PN_OK;
}

/* The output of a node with channels first; converts it on first use. */
static int plain_value(pn_builder *b, size_t node)
{
    if (!b->layout[node]) return b->value[node];
    if (b->converted[node] != PN_NONE) return b->converted[node];
    int y = pn_buffer_new(b, pn_batch_count(b, node));
    return add_transpose(b, node, 0, b->value[node], y) ? PN_NONE : (b->converted[node] = y);
}

static int is_layout_agnostic(const pn_layer_kind *k)
{
    return k->layouts == PN_LAYOUT_ANY || k->layouts == PN_LAYOUT_PREFERS_NHWC;
}

/* Whether input j has channels last but must be converted for this node. Of equal inputs, only the
 * first counts. */
static int needs_plain(const pn_builder *b, size_t node, size_t j)
{
    const pn_node *n = &b->graph->nodes[node];
    if (n->kind->layouts == PN_LAYOUT_ASKS || (is_layout_agnostic(n->kind) && b->layout[node]) ||
        !b->layout[n->inputs[j]])
        return 0;
    for (size_t k = 0; k < j; k++) if (n->inputs[k] == n->inputs[j]) return 0;
    return 1;
}

/* Exchanges a node's inputs with their converted copies; a second call undoes this. */
static void swap_inputs(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    for (size_t j = 0; j < n->n_inputs; j++) {
        if (!needs_plain(b, node, j)) continue;
        int *value = &b->value[n->inputs[j]], *other = &b->converted[n->inputs[j]], x = *value;
        *value = *other;
        *other = x;
    }
}

static pn_status forward_node(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    int channels_last = is_layout_agnostic(n->kind);
    for (size_t j = 0; j < n->n_inputs; j++) channels_last &= b->layout[n->inputs[j]];
    b->layout[node] = channels_last;
    for (size_t j = 0; j < n->n_inputs; j++)
        if (needs_plain(b, node, j) && plain_value(b, n->inputs[j]) == PN_NONE) return PN_NO_MEMORY;
    swap_inputs(b, node);
    pn_status status = n->kind->forward(b, node);
    swap_inputs(b, node);
    return status;
}

/* Gradients of converted inputs are transposed before they are added to other contributions. */
static pn_status backward_node(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    int before[PN_MAX_SLOTS], *saved = before;
    if (n->n_inputs > PN_MAX_SLOTS && !(saved = malloc(n->n_inputs * sizeof *saved)))
        return pn_fail(b->error, PN_NO_MEMORY, "no memory for a plan");
    for (size_t j = 0; j < n->n_inputs; j++) {
        saved[j] = b->grad[n->inputs[j]];
        if (needs_plain(b, node, j)) b->grad[n->inputs[j]] = PN_NONE;
    }
    swap_inputs(b, node);
    pn_status status = n->kind->backward(b, node);
    swap_inputs(b, node);
    if (!status) status = pn_add_contributions(b);
    for (size_t j = 0; j < n->n_inputs && !status; j++) {
        const size_t input = n->inputs[j];
        if (!needs_plain(b, node, j)) continue;
        int plain = b->grad[input],
            transposed = plain == PN_NONE ? PN_NONE : pn_buffer_new(b, pn_batch_count(b, input));
        b->grad[input] = saved[j];
        if (plain == PN_NONE) continue;
        status = add_transpose(b, input, 1, plain, transposed);
        if (!status) status = pn_give_gradient(b, input, transposed);
    }
    if (!status) status = pn_add_contributions(b);
    if (saved != before) free(saved);
    return status;
}

/* ---- the plan -------------------------------------------------------------------------------- */

/* Records the output of the steps just added: that of the node, or of the last node fused into it.
 * Outputs that are the array of an input are left out. */
static pn_status add_probe(pn_builder *b, size_t node)
{
    pn_plan *p = b->plan;
    size_t activation = node;
    for (; b->value[node] == PN_NONE; node = b->graph->nodes[node].consumer)
        if (!b->graph->nodes[activation].activation)
            activation = b->graph->nodes[node].consumer;
    const pn_node *n = &b->graph->nodes[node], *a = &b->graph->nodes[activation];
    for (size_t j = 0; j < n->n_inputs; j++)
        if (b->value[node] == b->value[n->inputs[j]]) return PN_OK;
    if (!pn_grow((void **)&p->probes, p->n_probes, &p->probe_capacity, sizeof *p->probes))
        return pn_fail(b->error, PN_NO_MEMORY, "no memory for a plan");
    int slope = PN_NONE;
    if (a->activation)
        slope = a->activation->needs == 'y' ? b->value[node] : b->preactivation[node];
    p->probes[p->n_probes++] = (pn_probe){ .step = p->n_steps,
                                           .node = node,
                                           .activation = activation,
                                           .value = b->value[node],
                                           .slope = slope,
                                           .kept = a->activation &&
                                                   pn_keeps_derivative(b, activation),
                                           .channels_last = b->layout[node] };
    return PN_OK;
}

static pn_status forward(pn_builder *b)
{
    const pn_graph *g = b->graph;
    pn_status status = PN_OK;
    for (size_t i = 0; i < g->n_inputs; i++) b->value[g->inputs[i]] = pn_x(g, i);
    for (size_t i = 0; i < g->n_nodes && !status; i++) {
        b->node = i;
        if (!g->nodes[i].kind || b->fused[i]) continue;
        status = forward_node(b, i);
        if (!status && b->mode == PN_TRAIN) status = add_probe(b, i);
    }
    for (size_t i = 0; i < g->n_outputs && !status; i++) {
        const size_t node = g->outputs[i];
        if (b->mode == PN_TRAIN) status = plain_value(b, node) == PN_NONE ? PN_NO_MEMORY : PN_OK;
        else if (b->layout[node]) status = add_transpose(b, node, 0, b->value[node], pn_y(g, i));
        else if (b->value[node] != pn_y(g, i))
            status = pn_step_elementwise(b, "copy", run_copy, node, b->value[node], PN_NONE,
                                         pn_y(g, i));
    }
    b->plan->n_forward = b->plan->n_steps;
    return status;
}

/* Sets the gradients of the outputs: the caller's arrays, or buffers that the losses write. */
static pn_status start_gradients(pn_builder *b)
{
    const pn_graph *g = b->graph;
    pn_status status = PN_OK;
    for (size_t i = 0; i < g->n_outputs && !status; i++) {
        const size_t n = pn_batch_count(b, g->outputs[i]);
        int gy = b->mode == PN_BACKWARD ? pn_gy(g, i) : pn_buffer_new(b, n);
        if (b->mode == PN_TRAIN) b->plan->output_grads[i] = gy;
        if (gy == PN_NONE) return PN_NO_MEMORY;
        if (b->layout[g->outputs[i]]) {
            int transposed = pn_buffer_new(b, n);
            status = add_transpose(b, g->outputs[i], 1, gy, transposed);
            gy = transposed;
        }
        if (!status) status = pn_give_gradient(b, g->outputs[i], gy);
    }
    return status ? status : pn_add_contributions(b);
}

static pn_status backward(pn_builder *b)
{
    const pn_graph *g = b->graph;
    pn_status status = start_gradients(b);
    for (size_t i = g->n_nodes; i-- > 0 && !status;) {
        b->node = i;
        if (!g->nodes[i].kind || !b->needs_gradient[i]) continue;
        if (b->fused[i] == PN_FUSED_BACK) b->grad[g->nodes[i].inputs[0]] = b->grad[i];
        else if (b->grad[i] != PN_NONE) status = backward_node(b, i);
        /* No gradient reaches this node, so those of its parameters are 0. */
        else status = pn_clear_gradients(b, i);
    }
    for (size_t i = 0; i < g->n_inputs && !status && b->mode == PN_BACKWARD; i++) {
        int grad = b->grad[g->inputs[i]], gx = pn_gx(g, i);
        if (grad == PN_NONE)
            status = pn_step_elementwise(b, "no gradient", run_zero, g->inputs[i], PN_NONE, PN_NONE,
                                         gx);
        else if (grad != gx)
            status = pn_step_elementwise(b, "copy", run_copy, g->inputs[i], grad, PN_NONE, gx);
    }
    return status;
}

/* Checks that rows times the largest sample fits in memory for every node, so that later products
 * of sizes cannot overflow, and that all parameters are bound. */
static pn_status check(const pn_graph *g, size_t rows, pn_error *error)
{
    for (size_t i = 0; i < g->n_nodes; i++) {
        size_t n;
        for (size_t j = 0; j < g->nodes[i].n_slots; j++)
            if (!g->nodes[i].slots[j].data)
                return pn_fail(error, PN_BAD_STATE, "%s: parameter %zu has not been bound",
                               g->nodes[i].where, j);
        if (!pn_multiply(rows, pn_count(&g->nodes[i].shape) * sizeof(double), &n))
            return pn_fail(error, PN_BAD_SHAPE, "%zu rows are too many for memory", rows);
    }
    return PN_OK;
}

/* Extends lifetimes: the losses read the outputs and write their gradients between the forward and
 * the backward steps, and the metrics read the outputs after the last step. */
static void keep_for_losses(pn_builder *b)
{
    pn_plan *p = b->plan;
    int now = (int)p->n_forward - 1;
    for (size_t i = 0; i < b->graph->n_outputs; i++) {
        pn_buffer *y = pn_plan_buffer(b, p->outputs[i] = plain_value(b, b->graph->outputs[i])),
                  *g = pn_plan_buffer(b, p->output_grads[i]);
        if (y) y->last = (int)p->n_steps;
        g->first = now;
        if (g->last < now + 1) g->last = now + 1;
    }
}

/* Extends lifetimes of what backward reads to the end of the plan, so that backward may run
 * again. */
static void keep_for_backward(pn_plan *p)
{
    for (size_t i = 0; i < p->n_buffers; i++) {
        pn_buffer *b = &p->buffers[i];
        if (b->first >= 0 && b->first < (int)p->n_forward && b->last >= (int)p->n_forward)
            b->last = (int)p->n_steps;
    }
}

/* Makes all buffers live from the first to the last step, and records where outputs and gradients
 * are. */
static pn_status keep_all(pn_builder *b)
{
    pn_plan *p = b->plan;
    const size_t nodes = b->graph->n_nodes, bytes = nodes * sizeof *p->values;
    for (size_t i = 0; i < p->n_buffers; i++) {
        p->buffers[i].first = 0;
        p->buffers[i].last = (int)p->n_steps;
    }
    p->values = pn_plan_alloc(b, 3 * bytes);
    if (!p->values) return PN_NO_MEMORY;
    p->grads = p->values + nodes;
    p->layouts = p->grads + nodes;
    memcpy(p->values, b->value, bytes);
    memcpy(p->grads, b->grad, bytes);
    memcpy(p->layouts, b->layout, bytes);
    return PN_OK;
}

static pn_status place(pn_plan *p, pn_error *error)
{
    const int first = pn_first_plan_buffer(p->graph);
    pn_status status = PN_NO_MEMORY;
    size_t *order = malloc((p->n_buffers + 1) * sizeof *order);
    p->at = calloc((size_t)first + p->n_buffers, sizeof *p->at);
    if (!order || !p->at) goto done;
    p->bytes = pn_arena_place(p->buffers, p->n_buffers, order);
    p->arena = pn_arena_new(p->bytes);
    if (!p->arena) goto done;
    for (size_t i = 0; i < p->n_buffers; i++)
        p->at[(size_t)first + i] = (char *)p->arena + p->buffers[i].offset;
    status = PN_OK;
done:
    free(order);
    return status ? pn_fail(error, status, "no memory for a plan of %zu bytes", p->bytes) : PN_OK;
}

/* Allocates and initialises what the builder records for each node. */
static pn_status init_nodes(pn_builder *b, int *marks)
{
    const pn_graph *g = b->graph;
    const size_t n = g->n_nodes;
    b->value = marks;
    b->preactivation = marks + n;
    b->grad = marks + 2 * n;
    b->fused = marks + 3 * n;
    b->needs_gradient = marks + 4 * n;
    b->layout = marks + 5 * n;
    b->prefers = marks + 6 * n;
    b->converted = marks + 7 * n;
    for (size_t i = 0; i < n; i++) {
        const pn_node *node = &g->nodes[i];
        b->value[i] = b->preactivation[i] = b->grad[i] = b->converted[i] = PN_NONE;
        b->fused[i] = b->layout[i] = b->prefers[i] = 0;
        b->needs_gradient[i] = b->mode == PN_BACKWARD || b->every;
        for (size_t j = 0; j < node->n_slots && b->mode == PN_TRAIN; j++)
            b->needs_gradient[i] |= node->slots[j].grad != NULL;
        for (size_t j = 0; j < node->n_inputs && b->mode == PN_TRAIN; j++)
            b->needs_gradient[i] |= b->needs_gradient[node->inputs[j]];
    }
    for (size_t i = n; i-- > 0;) {
        const pn_node *node = &g->nodes[i];
        int prefers = node->kind && (node->kind->layouts >= PN_LAYOUT_PREFERS_NHWC ||
                                   (node->kind->layouts == PN_LAYOUT_ANY && b->prefers[i]));
        for (size_t j = 0; j < node->n_inputs; j++) b->prefers[node->inputs[j]] |= prefers;
    }
    pn_plan *p = b->plan;
    p->outputs = malloc(2 * g->n_outputs * sizeof *p->outputs);
    if (!p->outputs) return pn_fail(b->error, PN_NO_MEMORY, "no memory for a plan");
    p->output_grads = p->outputs + g->n_outputs;
    return PN_OK;
}

/* What pn_plan_unshared adds to a plan; see pn_builder. */
typedef struct { int unshared, every; } traits;

static pn_status build(const pn_graph *graph, size_t rows, pn_mode mode, traits how,
                       pn_plan **plan, pn_error *error)
{
    *plan = NULL;
    pn_status status = check(graph, rows, error);
    if (status) return status;
    pn_builder b = { .graph = graph,
                     .mode = mode,
                     .unshared = how.unshared,
                     .every = how.every,
                     .rows = rows,
                     .error = error,
                     .k = &pn_kernels_now()->of[graph->dtype] };
    int *marks = malloc(8 * graph->n_nodes * sizeof *marks);
    b.planned = calloc(graph->n_nodes, sizeof *b.planned);
    pn_plan *p = b.plan = calloc(1, sizeof *p);
    if (!marks || !b.planned || !p) {
        status = pn_fail(error, PN_NO_MEMORY, "no memory for a plan");
        goto done;
    }
    p->graph = graph;
    p->rows = rows;
    p->mode = mode;
    status = init_nodes(&b, marks);
    if (!status) status = forward(&b);
    if (!status && mode != PN_PREDICT) status = backward(&b);
    if (!status && mode == PN_TRAIN) keep_for_losses(&b);
    if (!status && mode == PN_BACKWARD) keep_for_backward(p);
    if (!status && how.unshared) status = keep_all(&b);
    if (!status) status = place(p, error);
done:
    free(b.pending);
    free(b.planned);
    free(marks);
    if (status) pn_plan_free(p);
    else *plan = p;
    return status;
}

pn_status pn_plan_new(const pn_graph *graph, size_t rows, pn_mode mode, pn_plan **plan,
                      pn_error *error)
{
    return build(graph, rows, mode, (traits){ 0 }, plan, error);
}
pn_status pn_plan_unshared(const pn_graph *graph, size_t rows, int every, pn_plan **plan,
                           pn_error *error)
{
    return build(graph, rows, PN_TRAIN, (traits){ .unshared = 1, .every = every }, plan, error);
}

void pn_plan_free(pn_plan *plan)
{
    if (!plan) return;
    for (size_t i = 0; i < plan->n_owned; i++) free(plan->owned[i]);
    free(plan->owned);
    pn_arena_free(plan->arena);
    free(plan->at);
    free(plan->outputs);
    free(plan->probes);
    free(plan->buffers);
    free(plan->steps);
    free(plan);
}

size_t pn_plan_bytes(const pn_plan *plan) { return plan->bytes; }
size_t pn_plan_bytes_unshared(const pn_plan *plan)
{
    size_t bytes = 0;
    for (size_t i = 0; i < plan->n_buffers; i++) bytes += plan->buffers[i].bytes;
    return bytes;
}

int pn_plan_step(const pn_plan *plan, size_t i, pn_step_info *info)
{
    if (i >= plan->n_steps) return 0;
    const pn_step *s = &plan->steps[i];
    const size_t node = (size_t)(s->node - plan->graph->nodes);
    *info = (pn_step_info){ s->what,  s->node->where, i < plan->n_forward,
                            s->flops, s->seconds,     node };
    return 1;
}

void pn_plan_profile(pn_plan *plan)
{
    for (size_t i = 0; i < plan->n_steps; i++) plan->steps[i].seconds = 0;
    plan->loss_seconds = 0;
    plan->timed = 1;
}
