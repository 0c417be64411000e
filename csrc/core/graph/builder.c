/* builder.c - what the files in layers/ call to add steps, buffers and gradients to a plan. */
#include "builder.h"
#include <stdlib.h>
#include <string.h>

int pn_buffer_new(pn_builder *b, size_t elements)
{
    pn_plan *p = b->plan;
    size_t bytes;
    if (!pn_multiply(elements, pn_size(b->graph->dtype), &bytes) ||
        !pn_grow((void **)&p->buffers, p->n_buffers, &p->buffer_capacity, sizeof *p->buffers)) {
        pn_fail(b->error, PN_NO_MEMORY, "no memory for a plan");
        return PN_NONE;
    }
    p->buffers[p->n_buffers] = (pn_buffer){ bytes, 0, -1, -1, 0 };
    return pn_first_plan_buffer(b->graph) + (int)p->n_buffers++;
}

pn_step *pn_step_new(pn_builder *b, const char *what, pn_step_fn *run)
{
    pn_plan *p = b->plan;
    if (!pn_grow((void **)&p->steps, p->n_steps, &p->capacity, sizeof *p->steps)) {
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

pn_buffer *pn_plan_buffer(const pn_builder *b, int buffer)
{
    int i = buffer - pn_first_plan_buffer(b->graph);
    return i < 0 ? NULL : &b->plan->buffers[i];
}

void pn_step_uses(pn_builder *b, int buffer)
{
    pn_buffer *u = pn_plan_buffer(b, buffer);
    if (!u) return;
    int now = (int)b->plan->n_steps - 1;
    if (u->first < 0) u->first = now;
    u->last = now;
}

void *pn_plan_alloc(pn_builder *b, size_t bytes)
{
    pn_plan *p = b->plan;
    void *memory = pn_grow((void **)&p->owned, p->n_owned, &p->owned_capacity, sizeof *p->owned)
                     ? calloc(1, bytes + 1)
                     : NULL;
    if (memory) p->owned[p->n_owned++] = memory;
    else pn_fail(b->error, PN_NO_MEMORY, "no memory for a plan");
    return memory;
}

size_t pn_batch_count(const pn_builder *b, size_t node)
{
    return b->rows * pn_count(&b->graph->nodes[node].shape);
}

void pn_run_add(const pn_step *s, void *const *at)
{
    s->k->add(s->n, at[s->in], at[s->in2], at[s->out]);
}

pn_status pn_step_elementwise(pn_builder *b, const char *what, pn_step_fn *run, size_t node, int x,
                              int t, int y)
{
    pn_step *s = y == PN_NONE ? NULL : pn_step_new(b, what, run);
    if (!s) return PN_NO_MEMORY;
    s->in = x;
    s->in2 = t;
    s->out = y;
    s->n = pn_batch_count(b, node);
    s->bytes = s->n * pn_size(b->graph->dtype);
    pn_step_uses(b, x);
    pn_step_uses(b, t);
    pn_step_uses(b, y);
    return PN_OK;
}

/* Value and derivative of a formula share work. Both are kept where the argument is scratch memory
 * of the fused product that no gradient of a parameter reads. */
int pn_keeps_derivative(const pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    return n->formula.tape[PN_VALUE] && !n->n_slots && n->activation->needs == 'x' &&
           b->mode != PN_PREDICT && b->fused[node] == PN_FUSED;
}

pn_status pn_step_function(pn_builder *b, pn_step *s, size_t node)
{
    pn_function *f = pn_plan_alloc(b, sizeof *f);
    if (!f) return PN_NO_MEMORY;
    pn_function_set(f, &b->graph->nodes[node], b->graph->dtype, b->k, pn_keeps_derivative(b, node));
    s->activation = f->kernels;
    memcpy(s->p, f->p, sizeof s->p);
    return PN_OK;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

const pn_node *pn_sole_consumer(const pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    return !b->unshared && n->uses == 1 && pn_output_of(b->graph, node) < 0
             ? &b->graph->nodes[n->consumer]
             : NULL;
}

int pn_needs_gradient(const pn_builder *b, size_t node) { return b->needs_gradient[node]; }

/* A training step overwrites gradients. Where a layer occurs several times, its occurrences share
 * them: backward reaches the last one first, which overwrites, and the others add. */
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
    return pn_buffer_new(b, pn_batch_count(b, node));
}

int pn_channels_last(pn_builder *b, size_t node) { return b->layout[node] = b->prefers[node]; }

/* ---- gradients ------------------------------------------------------------------------------- */

/* The number of the input of the graph that a node is, or -1. */
static int input_of(const pn_graph *g, size_t node)
{
    for (size_t i = 0; i < g->n_inputs; i++) if (g->inputs[i] == node) return (int)i;
    return -1;
}

/* Queues a contribution to a gradient that already has a buffer. It is added after the steps of the
 * node that provides it. */
static int contribute(pn_builder *b, size_t node, int buffer)
{
    if (!pn_grow((void **)&b->pending, b->n_pending, &b->pending_capacity, sizeof *b->pending)) {
        pn_fail(b->error, PN_NO_MEMORY, "no memory for a plan");
        return PN_NONE;
    }
    b->pending[b->n_pending].node = node;
    return b->pending[b->n_pending++].buffer = buffer;
}

int pn_gradient_buffer(pn_builder *b, size_t node, int reuse)
{
    const pn_buffer *r = reuse == PN_NONE || b->unshared ? NULL : pn_plan_buffer(b, reuse);
    int input = input_of(b->graph, node), buffer = r && !r->shared ? reuse : PN_NONE;
    if (b->grad[node] != PN_NONE) {
        if (buffer == PN_NONE) buffer = pn_buffer_new(b, pn_batch_count(b, node));
        return buffer == PN_NONE ? PN_NONE : contribute(b, node, buffer);
    }
    if (input >= 0) buffer = pn_gx(b->graph, (size_t)input);
    return b->grad[node] = buffer != PN_NONE ? buffer : pn_buffer_new(b, pn_batch_count(b, node));
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
    if (pn_plan_buffer(b, buffer)) pn_plan_buffer(b, buffer)->shared = 1;
}

/* A sum is written over the previous gradient, except where that is a shared buffer or an array of
 * the caller that is only read (gy). */
pn_status pn_add_contributions(pn_builder *b)
{
    pn_status status = PN_OK;
    for (size_t i = 0; i < b->n_pending && !status; i++) {
        size_t node = b->pending[i].node;
        int old = b->grad[node], input = input_of(b->graph, node);
        const pn_buffer *own = b->unshared ? NULL : pn_plan_buffer(b, old);
        int writable = (own && !own->shared) ||
                       (input >= 0 && old == pn_gx(b->graph, (size_t)input));
        int sum = writable ? old : pn_buffer_new(b, pn_batch_count(b, node));
        status = pn_step_elementwise(b, "add gradients", pn_run_add, node, old,
                                     b->pending[i].buffer, sum);
        b->grad[node] = sum;
    }
    b->n_pending = 0;
    return status;
}

static void run_zero_parameter(const pn_step *s, void *const *at)
{
    (void)at;
    memset(s->grad, 0, s->bytes);
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
