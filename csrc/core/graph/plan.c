/* plan.c - decisions, made once: which steps, what is fused, what lives where in one arena, which
 * kernels. */
#include "plan.h"
#include <stdlib.h>
#include <string.h>

/* Makes room for one more in an array that doubles. */
static int grow(void **array, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity) return 1;
    size_t wanted = *capacity ? 2 * *capacity : 16;
    void *more = realloc(*array, wanted * size);
    if (!more) return 0;
    *array = more;
    *capacity = wanted;
    return 1;
}

int pn_buffer_new(pn_builder *b, size_t elements)
{
    pn_plan *p = b->plan;
    size_t bytes;
    if (!pn_multiply(elements, pn_size(b->graph->dtype), &bytes) ||
        !grow((void **)&p->buffers, p->n_buffers, &p->buffer_capacity, sizeof *p->buffers)) {
        pn_fail(b->error, PN_NO_MEMORY, "no memory for a plan");
        return PN_NONE;
    }
    p->buffers[p->n_buffers] = (pn_buffer){ bytes, 0, -1, -1, 0 };
    return pn_first_plan_buffer(b->graph) + (int)p->n_buffers++;
}

pn_step *pn_step_new(pn_builder *b, const char *what, pn_step_fn *run)
{
    pn_plan *p = b->plan;
    if (!grow((void **)&p->steps, p->n_steps, &p->capacity, sizeof *p->steps)) {
        pn_fail(b->error, PN_NO_MEMORY, "no memory for a plan");
        return NULL;
    }
    pn_step *s = &p->steps[p->n_steps++];
    memset(s, 0, sizeof *s);
    s->run = run;
    s->what = what;
    s->in = s->out = s->in2 = s->out2 = s->work = PN_NONE;
    s->k = b->k;
    s->node = &b->graph->nodes[b->node];
    s->tick = &p->tick;
    return s;
}

/* The plan's own buffer, or NULL for one of the caller's. */
static pn_buffer *own(const pn_builder *b, int buffer)
{
    int i = buffer - pn_first_plan_buffer(b->graph);
    return i < 0 ? NULL : &b->plan->buffers[i];
}

void pn_step_uses(pn_builder *b, int buffer)
{
    pn_buffer *u = own(b, buffer);
    if (!u) return;
    int now = (int)b->plan->n_steps - 1;
    if (u->first < 0) u->first = now;
    u->last = now;
}

void *pn_plan_alloc(pn_builder *b, size_t bytes)
{
    pn_plan *p = b->plan;
    void *memory = grow((void **)&p->owned, p->n_owned, &p->owned_capacity, sizeof *p->owned)
                     ? calloc(1, bytes + 1)
                     : NULL;
    if (memory) p->owned[p->n_owned++] = memory;
    else pn_fail(b->error, PN_NO_MEMORY, "no memory for a plan");
    return memory;
}

static size_t count(const pn_builder *b, size_t node)
{
    return b->rows * pn_count(&b->graph->nodes[node].shape);
}

/* ---- small steps of the plan's own ----------------------------------------------------------- */

static void run_copy(const pn_step *s, void *const *at) { memcpy(at[s->out], at[s->in], s->bytes); }
static void run_zero(const pn_step *s, void *const *at) { memset(at[s->out], 0, s->bytes); }
static void run_zero_parameter(const pn_step *s, void *const *at)
{
    (void)at;
    memset(s->grad, 0, s->bytes);
}
void pn_run_add(const pn_step *s, void *const *at)
{
    s->k->add(s->n, at[s->in], at[s->in2], at[s->out]);
}

pn_status pn_step_elementwise(pn_builder *b, const char *what, pn_step_fn *run, size_t node, int x, int t,
                       int y)
{
    pn_step *s = y == PN_NONE ? NULL : pn_step_new(b, what, run);
    if (!s) return PN_NO_MEMORY;
    s->in = x;
    s->in2 = t;
    s->out = y;
    s->n = count(b, node);
    s->bytes = s->n * pn_size(b->graph->dtype);
    pn_step_uses(b, x);
    pn_step_uses(b, t);
    pn_step_uses(b, y);
    return PN_OK;
}

/* ---- for the files in layers/ ---------------------------------------------------------------- */

int pn_needs_gradient(const pn_builder *b, size_t node) { return b->wants[node]; }

const pn_node *pn_sole_consumer(const pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    return !b->apart && n->uses == 1 && pn_output_of(b->graph, node) < 0
             ? &b->graph->nodes[n->consumer]
             : NULL;
}

/* A step of fit overwrites gradients, but where a layer stands twice only its last occurrence,
 * which backward meets first. */
int pn_accumulates(const pn_builder *b, size_t node, size_t slot)
{
    const void *grad = b->graph->nodes[node].slots[slot].grad;
    if (b->mode != PN_TRAIN) return 1;
    for (size_t i = node + 1; i < b->graph->n_nodes; i++)
        for (size_t j = 0; j < b->graph->nodes[i].n_slots; j++)
            if (b->graph->nodes[i].slots[j].grad == grad) return 1;
    return 0;
}

int pn_output_buffer(pn_builder *b, size_t node, int keep)
{
    int output = pn_output_of(b->graph, node);
    if (output >= 0 && !b->layout[node] && b->mode != PN_TRAIN && !(keep && b->mode == PN_BACKWARD))
        return pn_y(b->graph, (size_t)output);
    return pn_buffer_new(b, count(b, node));
}

/* Which input of the graph a node is, or -1. */
static int input_of(const pn_graph *g, size_t node)
{
    for (size_t i = 0; i < g->n_inputs; i++) if (g->inputs[i] == node) return (int)i;
    return -1;
}

/* A further contribution to a gradient that stands somewhere: added after the steps of the node
 * that gives it. */
static int contribute(pn_builder *b, size_t node, int buffer)
{
    if (!grow((void **)&b->more, b->n_more, &b->more_capacity, sizeof *b->more)) {
        pn_fail(b->error, PN_NO_MEMORY, "no memory for a plan");
        return PN_NONE;
    }
    b->more[b->n_more].node = node;
    return b->more[b->n_more++].buffer = buffer;
}

int pn_gradient_buffer(pn_builder *b, size_t node, int reuse)
{
    const pn_buffer *r = reuse == PN_NONE || b->apart ? NULL : own(b, reuse);
    int input = input_of(b->graph, node), buffer = r && !r->shared ? reuse : PN_NONE;
    if (b->grad[node] != PN_NONE) {
        if (buffer == PN_NONE) buffer = pn_buffer_new(b, count(b, node));
        return buffer == PN_NONE ? PN_NONE : contribute(b, node, buffer);
    }
    if (input >= 0) buffer = pn_gx(b->graph, (size_t)input);
    return b->grad[node] = buffer != PN_NONE ? buffer : pn_buffer_new(b, count(b, node));
}

pn_status pn_give_gradient(pn_builder *b, size_t node, int buffer)
{
    if (b->grad[node] == PN_NONE) {
        b->grad[node] = buffer;
        return PN_OK;
    }
    return contribute(b, node, buffer) == PN_NONE ? PN_NO_MEMORY : PN_OK;
}

void pn_buffer_share(pn_builder *b, int buffer)
{
    if (own(b, buffer)) own(b, buffer)->shared = 1;
}

/* A gradient that is not the plan's own to write, the caller's gy or a shared one, is added to in
 * another place. */
static pn_status add_contributions(pn_builder *b)
{
    pn_status status = PN_OK;
    for (size_t i = 0; i < b->n_more && !status; i++) {
        size_t node = b->more[i].node;
        int old = b->grad[node], input = input_of(b->graph, node);
        int writable = (own(b, old) && !own(b, old)->shared) ||
                       (input >= 0 && old == pn_gx(b->graph, (size_t)input));
        int sum = writable ? old : pn_buffer_new(b, count(b, node));
        status = pn_step_elementwise(b, "add gradients", pn_run_add, node, old, b->more[i].buffer, sum);
        b->grad[node] = sum;
    }
    b->n_more = 0;
    return status;
}

/* ---- layouts: who knows nothing of them sees plain arrays only ------------------------------- */

int pn_channels_last(pn_builder *b, size_t node) { return b->layout[node] = b->prefers[node]; }

static void turn_row(void *context, size_t i)
{
    const pn_step_job *j = context;
    const pn_step *s = j->s;
    const size_t from = i * s->bytes;
    s->k->transpose(s->n, s->inner, (const char *)j->at[s->in] + from, s->inner,
               (char *)j->at[s->out] + from, s->n);
}
static void run_turn(const pn_step *s, void *const *at)
{
    pn_parallel(s->rows, turn_row, &(pn_step_job){ s, at });
}

/* y = x, the array of a node, in the other layout; last: in y the channels come last. */
static pn_status turn(pn_builder *b, size_t node, int last, int x, int y)
{
    const pn_shape *shape = &b->graph->nodes[node].shape;
    pn_step *s = y == PN_NONE ? NULL
                              : pn_step_new(b, last ? "channels last" : "channels first", run_turn);
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

/* The output of a node as a plain array. */
static int plain_value(pn_builder *b, size_t node)
{
    if (!b->layout[node]) return b->value[node];
    if (b->other[node] != PN_NONE) return b->other[node];
    int y = pn_buffer_new(b, count(b, node));
    return turn(b, node, 0, b->value[node], y) ? PN_NONE : (b->other[node] = y);
}

static int is_alike(const pn_layer_kind *k)
{
    return k->layouts == PN_LAYOUT_ANY || k->layouts == PN_LAYOUT_PREFERS_NHWC;
}

/* Must this node see input j of it plain, though it isn't? Each input counts once. */
static int hidden(const pn_builder *b, size_t node, size_t j)
{
    const pn_node *n = &b->graph->nodes[node];
    if (n->kind->layouts == PN_LAYOUT_ASKS || (is_alike(n->kind) && b->layout[node]) ||
        !b->layout[n->inputs[j]])
        return 0;
    for (size_t k = 0; k < j; k++) if (n->inputs[k] == n->inputs[j]) return 0;
    return 1;
}

/* Puts the plain arrays of a node's inputs in their place, and at the second call back. */
static void swap_inputs(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    for (size_t j = 0; j < n->n_inputs; j++) {
        if (!hidden(b, node, j)) continue;
        int *value = &b->value[n->inputs[j]], *other = &b->other[n->inputs[j]], x = *value;
        *value = *other;
        *other = x;
    }
}

static pn_status forward_node(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    int alike = is_alike(n->kind);
    for (size_t j = 0; j < n->n_inputs; j++) alike &= b->layout[n->inputs[j]];
    b->layout[node] = alike;
    for (size_t j = 0; j < n->n_inputs; j++)
        if (hidden(b, node, j) && plain_value(b, n->inputs[j]) == PN_NONE) return PN_NO_MEMORY;
    swap_inputs(b, node);
    pn_status status = n->kind->forward(b, node);
    swap_inputs(b, node);
    return status;
}

/* Gradients that this node gives to inputs that it sees plain are turned before they join the
 * others. */
static pn_status backward_node(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    int before[PN_MAX_SLOTS], *kept = before;
    if (n->n_inputs > PN_MAX_SLOTS && !(kept = malloc(n->n_inputs * sizeof *kept)))
        return pn_fail(b->error, PN_NO_MEMORY, "no memory for a plan");
    for (size_t j = 0; j < n->n_inputs; j++) {
        kept[j] = b->grad[n->inputs[j]];
        if (hidden(b, node, j)) b->grad[n->inputs[j]] = PN_NONE;
    }
    swap_inputs(b, node);
    pn_status status = n->kind->backward(b, node);
    swap_inputs(b, node);
    if (!status) status = add_contributions(b);
    for (size_t j = 0; j < n->n_inputs && !status; j++) {
        const size_t input = n->inputs[j];
        if (!hidden(b, node, j)) continue;
        int plain = b->grad[input],
            turned = plain == PN_NONE ? PN_NONE : pn_buffer_new(b, count(b, input));
        b->grad[input] = kept[j];
        if (plain == PN_NONE) continue;
        status = turn(b, input, 1, plain, turned);
        if (!status) status = pn_give_gradient(b, input, turned);
    }
    if (!status) status = add_contributions(b);
    if (kept != before) free(kept);
    return status;
}

/* ---- the plan -------------------------------------------------------------------------------- */

/* Notes what the steps of this node have made, its output or that of the last node fused into them,
 * unless it passes an input on. */
static pn_status watch(pn_builder *b, size_t node)
{
    pn_plan *p = b->plan;
    size_t activation = node;
    for (; b->value[node] == PN_NONE; node = b->graph->nodes[node].consumer)
        if (!b->graph->nodes[activation].activation)
            activation = b->graph->nodes[node].consumer;
    const pn_node *n = &b->graph->nodes[node], *a = &b->graph->nodes[activation];
    for (size_t j = 0; j < n->n_inputs; j++)
        if (b->value[node] == b->value[n->inputs[j]]) return PN_OK;
    if (!grow((void **)&p->probes, p->n_probes, &p->probe_capacity, sizeof *p->probes))
        return pn_fail(b->error, PN_NO_MEMORY, "no memory for a plan");
    const int slope = !a->activation               ? PN_NONE
                    : a->activation->needs == 'y' ? b->value[node]
                                                   : b->inner[node];
    p->probes[p->n_probes++] = (pn_probe){ p->n_steps,     node,  activation,
                                           b->value[node], slope, b->layout[node] };
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
        if (!status && b->mode == PN_TRAIN) status = watch(b, i);
    }
    for (size_t i = 0; i < g->n_outputs && !status; i++) {
        const size_t node = g->outputs[i];
        if (b->mode == PN_TRAIN) status = plain_value(b, node) == PN_NONE ? PN_NO_MEMORY : PN_OK;
        else if (b->layout[node]) status = turn(b, node, 0, b->value[node], pn_y(g, i));
        else if (b->value[node] != pn_y(g, i))
            status = pn_step_elementwise(b, "copy", run_copy, node, b->value[node], PN_NONE, pn_y(g, i));
    }
    b->plan->n_forward = b->plan->n_steps;
    return status;
}

pn_status pn_clear_gradients(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    for (size_t j = 0; j < n->n_slots; j++) {
        if (!n->slots[j].grad || pn_accumulates(b, node, j)) continue;
        pn_step *s = pn_step_new(b, "clear gradient", run_zero_parameter);
        if (!s) return PN_NO_MEMORY;
        s->grad = n->slots[j].grad;
        s->bytes = pn_count(&n->slots[j].shape) * pn_size(b->graph->dtype);
    }
    return PN_OK;
}

/* The gradients of the outputs: the caller's, or the places where the losses will write. */
static pn_status start_gradients(pn_builder *b)
{
    const pn_graph *g = b->graph;
    pn_status status = PN_OK;
    for (size_t i = 0; i < g->n_outputs && !status; i++) {
        int gy = b->mode == PN_BACKWARD ? pn_gy(g, i) : pn_buffer_new(b, count(b, g->outputs[i]));
        if (b->mode == PN_TRAIN) b->plan->output_grads[i] = gy;
        if (gy == PN_NONE) return PN_NO_MEMORY;
        if (b->layout[g->outputs[i]]) {
            int turned = pn_buffer_new(b, count(b, g->outputs[i]));
            status = turn(b, g->outputs[i], 1, gy, turned);
            gy = turned;
        }
        if (!status) status = pn_give_gradient(b, g->outputs[i], gy);
    }
    return status ? status : add_contributions(b);
}

static pn_status backward(pn_builder *b)
{
    const pn_graph *g = b->graph;
    pn_status status = start_gradients(b);
    for (size_t i = g->n_nodes; i-- > 0 && !status;) {
        b->node = i;
        if (!g->nodes[i].kind || !b->wants[i]) continue;
        if (b->fused[i] == PN_FUSED_BACK) b->grad[g->nodes[i].inputs[0]] = b->grad[i];
        /* none reaches it: its parameters have 0 */
        else status = b->grad[i] == PN_NONE ? pn_clear_gradients(b, i) : backward_node(b, i);
    }
    for (size_t i = 0; i < g->n_inputs && !status && b->mode == PN_BACKWARD; i++) {
        int grad = b->grad[g->inputs[i]], gx = pn_gx(g, i);
        if (grad == PN_NONE)
            status = pn_step_elementwise(b, "no gradient", run_zero, g->inputs[i], PN_NONE, PN_NONE, gx);
        else if (grad != gx)
            status = pn_step_elementwise(b, "copy", run_copy, g->inputs[i], grad, PN_NONE, gx);
    }
    return status;
}

/* Sizes multiply here: rows times the largest sample must fit, for every node, whose parameters
 * must be bound. */
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

/* The losses read the outputs and write their gradients between the last step forward and the first
 * one back; the scores read the outputs when all is done. */
static void keep_for_losses(pn_builder *b)
{
    pn_plan *p = b->plan;
    int now = (int)p->n_forward - 1;
    for (size_t i = 0; i < b->graph->n_outputs; i++) {
        pn_buffer *y = own(b, p->outputs[i] = plain_value(b, b->graph->outputs[i])),
                  *g = own(b, p->output_grads[i]);
        if (y) y->last = (int)p->n_steps;
        g->first = now;
        if (g->last < now + 1) g->last = now + 1;
    }
}

/* What forward keeps stays until the end, so that backward may run again. */
static void keep_for_backward(pn_plan *p)
{
    for (size_t i = 0; i < p->n_buffers; i++) {
        pn_buffer *b = &p->buffers[i];
        if (b->first >= 0 && b->first < (int)p->n_forward && b->last >= (int)p->n_forward)
            b->last = (int)p->n_steps;
    }
}

/* Every array has a place of its own, and it is known where the gradients are. */
static pn_status keep_all(pn_builder *b)
{
    pn_plan *p = b->plan;
    for (size_t i = 0; i < p->n_buffers; i++) {
        p->buffers[i].first = 0;
        p->buffers[i].last = (int)p->n_steps;
    }
    p->grads = pn_plan_alloc(b, b->graph->n_nodes * sizeof *p->grads);
    if (p->grads) memcpy(p->grads, b->grad, b->graph->n_nodes * sizeof *p->grads);
    return p->grads ? PN_OK : PN_NO_MEMORY;
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

/* What the builder notes of each node. */
static pn_status mark(pn_builder *b, int *marks)
{
    const pn_graph *g = b->graph;
    const size_t n = g->n_nodes;
    b->value = marks;
    b->inner = marks + n;
    b->grad = marks + 2 * n;
    b->fused = marks + 3 * n;
    b->wants = marks + 4 * n;
    b->layout = marks + 5 * n;
    b->prefers = marks + 6 * n;
    b->other = marks + 7 * n;
    for (size_t i = 0; i < n; i++) {
        const pn_node *node = &g->nodes[i];
        b->value[i] = b->inner[i] = b->grad[i] = b->other[i] = PN_NONE;
        b->fused[i] = b->layout[i] = b->prefers[i] = 0;
        b->wants[i] = b->mode == PN_BACKWARD;
        for (size_t j = 0; j < node->n_slots && b->mode == PN_TRAIN; j++)
            b->wants[i] |= node->slots[j].grad != NULL;
        for (size_t j = 0; j < node->n_inputs && b->mode == PN_TRAIN; j++)
            b->wants[i] |= b->wants[node->inputs[j]];
    }
    for (size_t i = n; i-- > 0;) {
        const pn_node *node = &g->nodes[i];
        int knows = node->kind && (node->kind->layouts >= PN_LAYOUT_PREFERS_NHWC ||
                                   (node->kind->layouts == PN_LAYOUT_ANY && b->prefers[i]));
        for (size_t j = 0; j < node->n_inputs; j++) b->prefers[node->inputs[j]] |= knows;
    }
    pn_plan *p = b->plan;
    p->outputs = malloc(2 * g->n_outputs * sizeof *p->outputs);
    if (!p->outputs) return pn_fail(b->error, PN_NO_MEMORY, "no memory for a plan");
    p->output_grads = p->outputs + g->n_outputs;
    return PN_OK;
}

static pn_status make(const pn_graph *graph, size_t rows, pn_mode mode, int apart, pn_plan **plan,
                      pn_error *error)
{
    *plan = NULL;
    pn_status status = check(graph, rows, error);
    if (status) return status;
    pn_builder b = { .graph = graph,
                     .mode = mode,
                     .apart = apart,
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
    status = mark(&b, marks);
    if (!status) status = forward(&b);
    if (!status && mode != PN_PREDICT) status = backward(&b);
    if (!status && mode == PN_TRAIN) keep_for_losses(&b);
    if (!status && mode == PN_BACKWARD) keep_for_backward(p);
    if (!status && apart) status = keep_all(&b);
    if (!status) status = place(p, error);
done:
    free(b.more);
    free(b.planned);
    free(marks);
    if (status) pn_plan_free(p);
    else *plan = p;
    return status;
}

pn_status pn_plan_new(const pn_graph *graph, size_t rows, pn_mode mode, pn_plan **plan,
                      pn_error *error)
{
    return make(graph, rows, mode, 0, plan, error);
}
pn_status pn_plan_unshared(const pn_graph *graph, size_t rows, pn_plan **plan, pn_error *error)
{
    return make(graph, rows, PN_TRAIN, 1, plan, error);
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
    *info = (pn_step_info){ s->what, s->node->where, i < plan->n_forward, s->flops, s->seconds, node };
    return 1;
}

void pn_plan_profile(pn_plan *plan)
{
    for (size_t i = 0; i < plan->n_steps; i++) plan->steps[i].seconds = 0;
    plan->loss_seconds = 0;
    plan->timed = 1;
}
