/* plan.c - decisions, made once: which steps, what is fused, what lives where in one arena, which kernels. */
#include "layers/layers.h"
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
    if (!pn_multiply(elements, pn_size(b->graph->dtype), &bytes) || !grow((void **)&p->buffers, p->n_buffers, &p->buffer_capacity, sizeof *p->buffers)) {
        pn_fail(b->error, PN_NO_MEMORY, "no memory for a plan");
        return PN_NONE;
    }
    p->buffers[p->n_buffers] = (pn_buffer){ bytes, 0, -1, -1 };
    return PN_FIRST_OWN + (int)p->n_buffers++;
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
    s->x = s->y = s->t = s->z = s->work = PN_NONE;
    s->k = b->k;
    s->node = b->node;
    return s;
}

void pn_step_uses(pn_builder *b, int buffer)
{
    if (buffer < PN_FIRST_OWN) return;
    pn_buffer *u = &b->plan->buffers[buffer - PN_FIRST_OWN];
    int now = (int)b->plan->n_steps - 1;
    if (u->first < 0) u->first = now;
    u->last = now;
}

int pn_wants_gradient(const pn_builder *b, size_t node)
{
    if (b->mode != PN_TRAIN) return b->mode == PN_BACKWARD;
    for (size_t i = 0; i <= node; i++)
        for (size_t j = 0; j < b->graph->nodes[i].n_slots; j++)
            if (b->graph->nodes[i].slots[j].grad) return 1;
    return 0;
}

/* A step of fit overwrites gradients, but where a layer stands twice only its last occurrence, which backward meets first. */
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
    if (node + 1 == b->graph->n_nodes && b->mode != PN_TRAIN && !(keep && b->mode == PN_BACKWARD)) return PN_Y;
    return pn_buffer_new(b, b->rows * pn_count(&b->graph->nodes[node].shape));
}

int pn_gradient_buffer(pn_builder *b, size_t node, int reuse)
{
    if (node == 0) return PN_GX;
    if (reuse >= PN_FIRST_OWN) return reuse;
    return pn_buffer_new(b, b->rows * pn_count(&b->graph->nodes[node].shape));
}

static void run_copy(const pn_step *s, void *const *at) { memcpy(at[s->y], at[s->x], s->bytes); }

static pn_status copy(pn_builder *b, int from, int to, size_t node)
{
    pn_step *s = pn_step_new(b, "copy", run_copy);
    if (!s) return PN_NO_MEMORY;
    s->x = from;
    s->y = to;
    s->bytes = b->rows * pn_count(&b->graph->nodes[node].shape) * pn_size(b->graph->dtype);
    pn_step_uses(b, from);
    return PN_OK;
}

static pn_status build(pn_builder *b)
{
    pn_plan *p = b->plan;
    size_t last = b->graph->n_nodes - 1;
    pn_status status = PN_OK;
    b->value[0] = PN_X;
    for (size_t i = 1; i <= last && !status; i++) {
        b->node = i;
        if (!b->fused[i]) status = b->graph->nodes[i].kind->forward(b, i);
    }
    if (!status && b->mode != PN_TRAIN && b->value[last] != PN_Y) status = copy(b, b->value[last], PN_Y, last);
    p->n_forward = p->n_steps;
    if (status || b->mode == PN_PREDICT) return status;
    b->grad[last] = b->mode == PN_BACKWARD ? PN_GY : pn_buffer_new(b, b->rows * pn_count(&b->graph->nodes[last].shape));
    if (b->grad[last] == PN_NONE) return PN_NO_MEMORY;
    for (size_t i = last; i > 0 && !status && pn_wants_gradient(b, i); i--) {
        b->node = i;
        status = b->graph->nodes[i].kind->backward(b, i);
    }
    if (!status && b->mode == PN_BACKWARD && b->grad[0] != PN_GX) status = copy(b, b->grad[0], PN_GX, 0);
    return status;
}

/* Sizes multiply here: rows times the largest sample must fit, for every node, whose parameters must be bound. */
static pn_status check(const pn_graph *g, size_t rows, pn_error *error)
{
    for (size_t i = 0; i < g->n_nodes; i++) {
        size_t n;
        for (size_t j = 0; j < g->nodes[i].n_slots; j++)
            if (!g->nodes[i].slots[j].data)
                return pn_fail(error, PN_BAD_STATE, "%s: parameter %zu has not been bound", g->nodes[i].where, j);
        if (!pn_multiply(rows, pn_count(&g->nodes[i].shape) * sizeof(double), &n))
            return pn_fail(error, PN_BAD_SHAPE, "%zu rows are too many for memory", rows);
    }
    return PN_OK;
}

/* The loss reads the output and writes its gradient between the last step forward and the first one back; the score reads the
 * output when all is done. */
static void keep_for_loss(pn_builder *b)
{
    pn_plan *p = b->plan;
    int now = (int)p->n_forward - 1;
    size_t last = b->graph->n_nodes - 1;
    p->output = b->value[last];
    p->output_grad = b->grad[last];
    if (p->output >= PN_FIRST_OWN) p->buffers[p->output - PN_FIRST_OWN].last = (int)p->n_steps;
    pn_buffer *g = &p->buffers[p->output_grad - PN_FIRST_OWN];
    g->first = now;
    if (g->last < now + 1) g->last = now + 1;
}

static pn_status place(pn_plan *p, pn_error *error)
{
    pn_status status = PN_NO_MEMORY;
    size_t *order = malloc((p->n_buffers + 1) * sizeof *order);
    p->at = calloc(PN_FIRST_OWN + p->n_buffers, sizeof *p->at);
    if (!order || !p->at) goto done;
    p->bytes = pn_arena_place(p->buffers, p->n_buffers, order);
    p->arena = pn_arena_new(p->bytes);
    if (!p->arena) goto done;
    for (size_t i = 0; i < p->n_buffers; i++) p->at[PN_FIRST_OWN + i] = (char *)p->arena + p->buffers[i].offset;
    status = PN_OK;
done:
    free(order);
    return status ? pn_fail(error, status, "no memory for a plan of %zu bytes", p->bytes) : PN_OK;
}

pn_status pn_plan_new(const pn_graph *graph, size_t rows, pn_mode mode, pn_plan **plan, pn_error *error)
{
    *plan = NULL;
    pn_status status = check(graph, rows, error);
    if (status) return status;
    pn_builder b = { .graph = graph, .mode = mode, .rows = rows, .error = error, .k = &pn_kernels_now()->of[graph->dtype] };
    size_t n = graph->n_nodes;
    int *marks = malloc(4 * n * sizeof *marks);
    pn_plan *p = b.plan = calloc(1, sizeof *p);
    if (!marks || !p) {
        status = pn_fail(error, PN_NO_MEMORY, "no memory for a plan");
        goto done;
    }
    b.value = marks;
    b.inner = marks + n;
    b.grad = marks + 2 * n;
    b.fused = marks + 3 * n;
    for (size_t i = 0; i < n; i++) b.value[i] = b.inner[i] = b.grad[i] = PN_NONE, b.fused[i] = 0;
    p->graph = graph;
    p->rows = rows;
    p->mode = mode;
    status = build(&b);
    if (!status && mode == PN_TRAIN) keep_for_loss(&b);
    if (!status) status = place(p, error);
done:
    free(marks);
    if (status) pn_plan_free(p);
    else *plan = p;
    return status;
}

void pn_plan_free(pn_plan *plan)
{
    if (!plan) return;
    pn_arena_free(plan->arena);
    free(plan->at);
    free(plan->buffers);
    free(plan->steps);
    free(plan);
}

size_t pn_plan_bytes(const pn_plan *plan) { return plan->bytes; }
size_t pn_plan_bytes_apart(const pn_plan *plan)
{
    size_t bytes = 0;
    for (size_t i = 0; i < plan->n_buffers; i++) bytes += plan->buffers[i].bytes;
    return bytes;
}

int pn_plan_step(const pn_plan *plan, size_t i, pn_step_info *info)
{
    if (i >= plan->n_steps) return 0;
    const pn_step *s = &plan->steps[i];
    *info = (pn_step_info){ s->what, plan->graph->nodes[s->node].where, i < plan->n_forward, s->flops, s->seconds };
    return 1;
}

void pn_plan_profile(pn_plan *plan)
{
    for (size_t i = 0; i < plan->n_steps; i++) plan->steps[i].seconds = 0;
    plan->loss_seconds = 0;
    plan->timed = 1;
}
