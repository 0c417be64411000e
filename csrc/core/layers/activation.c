/* activation.c - elementwise layers, one for each row of the activation table. */
#include "activation.h"
#include "layers.h"

#define FIELDS(FIELD, T) \
    FIELD(T, ACTIVATION, function, ANY, "row of the activation table") \
    FIELD(T, NUMBERS, parameters, ANY, "parameters of the row, in order")
PN_CONFIG(activation_config, FIELDS)

static size_t parameters_of(const pn_activation *row)
{
    if (!row->params) return 0;
    size_t n = 1;
    for (const char *c = row->params; *c; c++) n += *c == ',';
    return n;
}

static pn_status shape(pn_node *node, const pn_shape *const *inputs, pn_dtype t, pn_error *error)
{
    const pn_shape *input = inputs[0];
    const activation_config *c = pn_config(node);
    const pn_activation *row = pn_activation_at(c->function);
    if (c->parameters.n != parameters_of(row))
        return pn_fail(error, PN_BAD_VALUE, "%s: %s takes %zu parameters, got %zu", node->where,
                       row->name, parameters_of(row), c->parameters.n);
    node->shape = *input;
    node->activation = row;
    node->activation_row = c->function;
    for (size_t j = 0; j < PN_MAX_PARAMS; j++)
        pn_element_set(t, &node->params[j], 0, j < c->parameters.n ? c->parameters.at[j] : 0);
    return PN_OK;
}

/* Large arrays are processed in chunks, in parallel. */

static size_t chunk(const pn_step *s, size_t i, size_t *bytes)
{
    *bytes = i * PN_CHUNK * s->bytes;
    return s->n - i * PN_CHUNK < PN_CHUNK ? s->n - i * PN_CHUNK : PN_CHUNK;
}
static void forward_chunk(void *context, size_t i)
{
    const pn_step_job *j = context;
    size_t from, n = chunk(j->s, i, &from);
    j->s->activation->forward(n, (char *)j->at[j->s->in] + from, (char *)j->at[j->s->out] + from,
                              j->s->p, 0);
}
static void backward_chunk(void *context, size_t i)
{
    const pn_step_job *j = context;
    size_t from, n = chunk(j->s, i, &from);
    j->s->activation->backward(n, (char *)j->at[j->s->in2] + from, (char *)j->at[j->s->in] + from,
                               (char *)j->at[j->s->out] + from, j->s->p, 0);
}
static void run_forward(const pn_step *s, void *const *at)
{
    pn_parallel((s->n + PN_CHUNK - 1) / PN_CHUNK, forward_chunk, &(pn_step_job){ s, at });
}
static void run_backward(const pn_step *s, void *const *at)
{
    pn_parallel((s->n + PN_CHUNK - 1) / PN_CHUNK, backward_chunk, &(pn_step_job){ s, at });
}

static pn_step *step(pn_builder *b, size_t node, const char *what, pn_step_fn *run)
{
    const pn_node *n = &b->graph->nodes[node];
    pn_step *s = pn_step_new(b, what, run);
    if (!s) return NULL;
    s->n = b->rows * pn_count(&n->shape);
    s->bytes = pn_size(b->graph->dtype);
    return pn_step_function(b, s, node) ? NULL : s;
}

pn_status pn_activation_steps_forward(pn_builder *b, size_t node)
{
    const pn_activation *row = b->graph->nodes[node].activation;
    int x = b->value[b->graph->nodes[node].inputs[0]],
        y = pn_output_buffer(b, node, row->needs == 'y');
    pn_step *s = y == PN_NONE ? NULL : step(b, node, row->name, run_forward);
    if (!s) return PN_NO_MEMORY;
    s->in = x;
    s->out = b->value[node] = y;
    b->preactivation[node] = x;
    pn_step_uses(b, x);
    pn_step_uses(b, y);
    return PN_OK;
}

/* The gradient is computed in place unless its buffer belongs to the caller or is shared. */
pn_status pn_activation_steps_backward(pn_builder *b, size_t node)
{
    const size_t input = b->graph->nodes[node].inputs[0];
    if (!pn_needs_gradient(b, input)) return PN_OK;
    const pn_activation *row = b->graph->nodes[node].activation;
    int gy = b->grad[node], gx = pn_gradient_buffer(b, input, gy);
    pn_step *s = gx == PN_NONE ? NULL : step(b, node, "activation gradient", run_backward);
    if (!s) return PN_NO_MEMORY;
    s->in = gy;
    s->out = gx;
    s->in2 = row->needs == 'y' ? b->value[node] : b->preactivation[node];
    pn_step_uses(b, gy);
    pn_step_uses(b, gx);
    pn_step_uses(b, s->in2);
    return PN_OK;
}

const pn_layer_kind pn_layer_activation = { "activation",
                                            1,
                                            1,
                                            shape,
                                            pn_activation_steps_forward,
                                            pn_activation_steps_backward,
                                            PN_LAYOUT_ANY,
                                            activation_config_fields };
