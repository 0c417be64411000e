/* response.c - local response normalisation: divides each element by a power of the sum of squares
 * over adjacent channels. */
#include "layers.h"
#include "../graph/builder.h"

#define FIELDS(FIELD, T) \
    FIELD(T, COUNT, size, AT_LEAST(1), "neighbouring channels in the sum") \
    FIELD(T, NUMBER, alpha, ANY, "factor of the sum of squares") \
    FIELD(T, NUMBER, beta, ANY, "exponent") \
    FIELD(T, NUMBER, k, ANY, "what is added to the sum")
PN_CONFIG(response_config, FIELDS)

static pn_status shape(pn_node *node, const pn_shape *const *inputs, pn_dtype t, pn_error *error)
{
    (void)t;
    if (inputs[0]->ndim < 2) {
        char text[80];
        pn_shape_text(inputs[0], text, sizeof text);
        return pn_fail(error, PN_BAD_SHAPE, "%s: a sample of shape %s is not (channels, ...)",
                       node->where, text);
    }
    node->shape = *inputs[0];
    return PN_OK;
}

typedef struct { pn_response r; double *work; } response;

static void *sample(const pn_step_job *j, int buffer, size_t i)
{
    return (char *)j->at[buffer] + i * j->s->bytes;
}
static void forward_sample(void *context, size_t i)
{
    const pn_step_job *j = context;
    const response *r = j->s->args;
    j->s->k->norm->response(&r->r, sample(j, j->s->in, i), sample(j, j->s->out, i));
}
static void backward_sample(void *context, size_t i)
{
    const pn_step_job *j = context;
    const response *r = j->s->args;
    j->s->k->norm->response_back(&r->r, sample(j, j->s->in2, i), sample(j, j->s->in, i),
                                 sample(j, j->s->out, i), r->work + 2 * i * r->r.channels);
}
static void run_forward(const pn_step *s, void *const *at)
{
    pn_parallel(s->rows, forward_sample, &(pn_step_job){ s, at });
}
static void run_backward(const pn_step *s, void *const *at)
{
    pn_parallel(s->rows, backward_sample, &(pn_step_job){ s, at });
}

static pn_status add(pn_builder *b, size_t node, const char *what, pn_step_fn *run, int x, int y,
                     int t)
{
    const pn_node *n = &b->graph->nodes[node];
    const response_config *c = pn_config(n);
    pn_step *s = y == PN_NONE ? NULL : pn_step_new(b, what, run);
    response *r = s ? pn_plan_alloc(b, sizeof *r) : NULL;
    if (!r) return PN_NO_MEMORY;
    r->r = (pn_response){ .channels = n->shape.dim[0],
                          .inner = 1,
                          .size = c->size,
                          .alpha = c->alpha,
                          .beta = c->beta,
                          .k = c->k };
    for (size_t i = 1; i < n->shape.ndim; i++) r->r.inner *= n->shape.dim[i];
    if (t != PN_NONE &&
        !(r->work = pn_plan_alloc(b, 2 * b->rows * r->r.channels * sizeof *r->work)))
        return PN_NO_MEMORY;
    s->args = r;
    s->rows = b->rows;
    s->bytes = pn_count(&n->shape) * pn_size(b->graph->dtype);
    s->in = x;
    s->out = y;
    s->in2 = t;
    pn_step_uses(b, x);
    pn_step_uses(b, y);
    pn_step_uses(b, t);
    return PN_OK;
}

static pn_status forward(pn_builder *b, size_t node)
{
    int y = b->value[node] = pn_output_buffer(b, node, 0);
    return add(b, node, "local response normalisation", run_forward,
               b->value[b->graph->nodes[node].inputs[0]], y, PN_NONE);
}

static pn_status backward(pn_builder *b, size_t node)
{
    const size_t input = b->graph->nodes[node].inputs[0];
    if (!pn_needs_gradient(b, input)) return PN_OK;
    return add(b, node, "local response gradient", run_backward, b->grad[node],
               pn_gradient_buffer(b, input, b->grad[node]), b->value[input]);
}

const pn_layer_kind pn_layer_response_norm = {
    "response_norm", 1, 1, shape, forward, backward, PN_LAYOUT_NCHW, response_config_fields
};
