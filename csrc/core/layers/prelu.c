/* prelu.c - activations whose slope below 0 is learnt (PReLU) or drawn at random in training
 * (RReLU). Both use the row prelu of the activation table, which takes its slope from an array. */
#include "layers.h"
#include "../graph/builder.h"
#include <string.h>

enum { SLOPE = 0 };

#define LEARNT_FIELDS(FIELD, T) \
    FIELD(T, ACTIVATION, function, ANY, "row that takes its slope from an array") \
    FIELD(T, COUNT, num_parameters, AT_LEAST(1), "number of slopes: one, or one per channel")
PN_CONFIG(prelu_config, LEARNT_FIELDS)
#define RANDOM_FIELDS(FIELD, T) \
    FIELD(T, ACTIVATION, function, ANY, "row that takes its slope from an array") \
    FIELD(T, NUMBER, lower, ANY, "smallest slope") \
    FIELD(T, NUMBER, upper, ANY, "largest slope") \
    FIELD(T, SEED, seed, ANY, "of its random numbers")
PN_CONFIG(rrelu_config, RANDOM_FIELDS)

/* ---- learnt slopes --------------------------------------------------------------------------- */

static pn_status shape_learnt(pn_node *node, const pn_shape *const *inputs, pn_dtype t,
                              pn_error *error)
{
    const pn_shape *input = inputs[0];
    const prelu_config *c = pn_config(node);
    const size_t slopes = c->num_parameters;
    (void)t;
    if (slopes != 1 && !(input->ndim && slopes == input->dim[0])) {
        char text[80];
        pn_shape_text(input, text, sizeof text);
        return pn_fail(
            error, PN_BAD_SHAPE,
            "%s: a sample of shape %s does not have num_parameters = %zu channels "
            "(weight has shape (%zu,))",
            node->where, text, slopes, slopes);
    }
    node->shape = *input;
    node->activation_row = c->function;
    pn_slot_add(node, "weight", 0, (pn_shape){ 1, { slopes } });
    return PN_OK;
}

/* Blocks of n consecutive numbers that share a slope. If channels > 1, consecutive blocks belong to
 * consecutive channels; if also n is 1, all channels of a pixel form a row. chunk: blocks, or rows,
 * per task. */
typedef struct {
    size_t blocks, channels, n, chunk, size;
    int rows, clear;
    pn_dtype dtype;
    const char *slope;
    double *sums;                           /* per task, the gradient of a single slope */
} learnt;
typedef struct { const learnt *l; const pn_step *s; void *const *at; } job;

/* Applies the activation to one block, or to one row of channels. */
static void apply(const job *j, size_t i, size_t n)
{
    const learnt *l = j->l;
    const pn_step *s = j->s;
    const size_t from = i * (l->rows ? l->channels : l->n) * l->size;
    const void *p[PN_MAX_PARAMS] = { l->slope + (l->rows ? 0 : i % l->channels) * l->size };
    const char *x = (const char *)j->at[s->in] + from;
    char *y = (char *)j->at[s->out] + from;
    if (s->in2 == PN_NONE) s->activation->forward(n, x, y, p, l->rows);
    else s->activation->backward(n, (const char *)j->at[s->in2] + from, x, y, p, l->rows);
}

static size_t tasks(const learnt *l) { return (l->blocks + l->chunk - 1) / l->chunk; }

/* blocks: numbers if there is one slope, rows if the channels are adjacent. */
static void apply_chunk(void *context, size_t i)
{
    const job *j = context;
    const learnt *l = j->l;
    const size_t first = i * l->chunk, until = pn_min(first + l->chunk, l->blocks);
    if (l->channels == 1) apply(j, first, until - first);
    else for (size_t k = first; k < until; k++) apply(j, k, l->rows ? l->channels : l->n);
}
static void run_learnt(const pn_step *s, void *const *at)
{
    const learnt *l = s->args;
    pn_parallel(tasks(l), apply_chunk, &(job){ l, s, at });
}

static void give(const learnt *l, void *grad, size_t i, double sum)
{
    pn_element_set(l->dtype, grad, i, (l->clear ? 0 : pn_element(l->dtype, grad, i)) + sum);
}

static void sum_chunk(void *context, size_t i)
{
    const job *j = context;
    const learnt *l = j->l;
    const size_t first = i * l->chunk, n = pn_min(l->blocks - first, l->chunk);
    l->sums[i] = j->s->k->slope_sum(n, (const char *)j->at[j->s->in2] + first * l->size,
                                    (const char *)j->at[j->s->in] + first * l->size);
}
static void sum_channel(void *context, size_t c)
{
    const job *j = context;
    const learnt *l = j->l;
    double sum = 0;
    for (size_t k = c; k < l->blocks; k += l->channels)
        sum += j->s->k->slope_sum(l->n, (const char *)j->at[j->s->in2] + k * l->n * l->size,
                                  (const char *)j->at[j->s->in] + k * l->n * l->size);
    give(l, j->s->grad, c, sum);
}
static void run_slope_gradient(const pn_step *s, void *const *at)
{
    const learnt *l = s->args;
    job j = { l, s, at };
    if (l->channels == 1) {
        double sum = 0;
        pn_parallel(tasks(l), sum_chunk, &j);
        for (size_t i = 0; i < tasks(l); i++) sum += l->sums[i];
        give(l, s->grad, 0, sum);
    } else if (l->rows) {
        if (l->clear) memset(s->grad, 0, l->channels * l->size);
        s->k->slope_rows(l->blocks, l->channels, at[s->in2], at[s->in], s->grad);
    } else pn_parallel(l->channels, sum_channel, &j);
}

static learnt *learnt_of(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    learnt *l = pn_plan_alloc(b, sizeof *l);
    if (!l) return NULL;
    *l = (learnt){ .blocks = b->rows,
                   .channels = n->slots[SLOPE].shape.dim[0],
                   .n = 1,
                   .size = pn_size(b->graph->dtype),
                   .dtype = b->graph->dtype,
                   .clear = !pn_accumulates(b, node, SLOPE),
                   .slope = n->slots[SLOPE].data };
    for (size_t i = 0; i < n->shape.ndim; i++) {
        if (l->channels > 1 && i > 0) l->n *= n->shape.dim[i];
        else l->blocks *= n->shape.dim[i];
    }
    /* channels last: channels are adjacent */
    if (l->channels > 1 && (l->n == 1 || b->layout[node])) {
        l->rows = 1;
        l->blocks = l->blocks / l->channels * l->n;
        l->n = 1;
    }
    l->chunk = l->channels == 1 ? PN_CHUNK : PN_CHUNK / (l->rows ? l->channels : l->n + 1) + 1;
    l->sums = pn_plan_alloc(b, tasks(l) * sizeof *l->sums);
    return l->sums ? l : NULL;
}

static pn_step *add_learnt(pn_builder *b, size_t node, const char *what, pn_step_fn *run, int x,
                           int t, int y)
{
    learnt *l = learnt_of(b, node);
    pn_step *s = l ? pn_step_new(b, what, run) : NULL;
    if (!s) return NULL;
    s->args = l;
    s->activation = &b->k->activations[b->graph->nodes[node].activation_row];
    s->in = x;
    s->in2 = t;
    s->out = y;
    pn_step_uses(b, x);
    pn_step_uses(b, t);
    pn_step_uses(b, y);
    return s;
}

static pn_status forward_learnt(pn_builder *b, size_t node)
{
    int y = b->value[node] = pn_output_buffer(b, node, 0);
    if (y == PN_NONE) return PN_NO_MEMORY;
    return add_learnt(b, node, "prelu", run_learnt, b->value[b->graph->nodes[node].inputs[0]],
                      PN_NONE, y)
             ? PN_OK
             : PN_NO_MEMORY;
}

/* The slope's gradient first, since the input's gradient may overwrite the output's. */
static pn_status backward_learnt(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    const size_t input = n->inputs[0];
    const int gy = b->grad[node];
    if (n->slots[SLOPE].grad) {
        pn_step *s = add_learnt(b, node, "slope gradient", run_slope_gradient, gy, b->value[input],
                                PN_NONE);
        if (!s) return PN_NO_MEMORY;
        s->grad = n->slots[SLOPE].grad;
    }
    if (!pn_needs_gradient(b, input)) return PN_OK;
    int gx = pn_gradient_buffer(b, input, gy);
    return gx != PN_NONE &&
                   add_learnt(b, node, "prelu gradient", run_learnt, gy, b->value[input], gx)
             ? PN_OK
             : PN_NO_MEMORY;
}

/* ---- random slopes in training, their mean otherwise ----------------------------------------- */

static pn_status shape_random(pn_node *node, const pn_shape *const *inputs, pn_dtype t,
                              pn_error *error)
{
    const rrelu_config *c = pn_config(node);
    (void)error;
    node->activation_row = c->function;
    node->shape = *inputs[0];
    pn_element_set(t, &node->params[0], 0, (c->lower + c->upper) / 2);
    return PN_OK;
}

/* Each chunk of slopes has its own stream, so that chunks can be drawn on any thread. */
static void random_chunk(void *context, size_t i)
{
    const job *j = context;
    const pn_step *s = j->s;
    const size_t first = i * PN_CHUNK, n = pn_min(s->n - first, PN_CHUNK),
                 from = first * s->bytes;
    const rrelu_config *c = pn_config(s->node);
    const void *p[PN_MAX_PARAMS] = { s->out2 == PN_NONE ? (const void *)&s->node->params[0]
                                                     : (char *)j->at[s->out2] + from };
    const char *x = (const char *)j->at[s->in] + from;
    char *y = (char *)j->at[s->out] + from;
    if (s->out2 != PN_NONE && s->in2 == PN_NONE)
        pn_random_uniform(c->seed, *s->tick << 24 | i, c->lower, c->upper,
                          s->bytes == sizeof(float) ? PN_F32 : PN_F64, n,
                          (char *)j->at[s->out2] + from);
    if (s->in2 == PN_NONE) s->activation->forward(n, x, y, p, s->out2 != PN_NONE);
    else
        s->activation->backward(n, (const char *)j->at[s->in2] + from, x, y, p, s->out2 != PN_NONE);
}
static void run_random(const pn_step *s, void *const *at)
{
    pn_parallel((s->n + PN_CHUNK - 1) / PN_CHUNK, random_chunk, &(job){ NULL, s, at });
}

static pn_status add_random(pn_builder *b, size_t node, const char *what, int x, int t, int y)
{
    pn_step *s = y == PN_NONE ? NULL : pn_step_new(b, what, run_random);
    if (!s) return PN_NO_MEMORY;
    s->n = b->rows * pn_count(&b->graph->nodes[node].shape);
    s->bytes = pn_size(b->graph->dtype);
    s->activation = &b->k->activations[b->graph->nodes[node].activation_row];
    s->in = x;
    s->in2 = t;
    s->out = y;
    s->out2 = b->preactivation[node];
    pn_step_uses(b, x);
    pn_step_uses(b, t);
    pn_step_uses(b, y);
    pn_step_uses(b, s->out2);
    return PN_OK;
}

/* b->preactivation[node]: the slopes, for backward. */
static pn_status forward_random(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    int y = b->value[node] = pn_output_buffer(b, node, 0);
    if (n->training && b->mode != PN_PREDICT &&
        (b->preactivation[node] = pn_buffer_new(b, b->rows * pn_count(&n->shape))) == PN_NONE)
        return PN_NO_MEMORY;
    return add_random(b, node, "rrelu", b->value[n->inputs[0]], PN_NONE, y);
}

static pn_status backward_random(pn_builder *b, size_t node)
{
    const size_t input = b->graph->nodes[node].inputs[0];
    if (!pn_needs_gradient(b, input)) return PN_OK;
    const int gy = b->grad[node];
    return add_random(b, node, "rrelu gradient", gy, b->value[input],
                      pn_gradient_buffer(b, input, gy));
}

const pn_layer_kind pn_layer_prelu = {
    "prelu",         1,             1,                  shape_learnt, forward_learnt,
    backward_learnt, PN_LAYOUT_ANY, prelu_config_fields
};
const pn_layer_kind pn_layer_rrelu = {
    "rrelu",         1,             1,                  shape_random, forward_random,
    backward_random, PN_LAYOUT_ANY, rrelu_config_fields
};
