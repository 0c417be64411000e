/* formula.c - elementwise layers that are given by a formula, whose parameters may be learnt. */
#include "activation.h"
#include "layers.h"
#include <string.h>

#define FIELDS(FIELD, T) \
    FIELD(T, FORMULA, program, ANY, "value and derivatives, compiled from text") \
    FIELD(T, NUMBERS, parameters, ANY, "values of the parameters, in order") \
    FIELD(T, COUNTS, learnt, FROM_TO(0, PN_MAX_DIMS - 1), "indices of those that are learnt") \
    FIELD(T, COUNT, num_parameters, AT_LEAST(1), \
          "number of values of each learnt parameter: one, or one per channel")
PN_CONFIG(formula_config, FIELDS)

static const pn_activation function = { .name = "formula", .needs = 'x' };

static pn_status check_parameters(const pn_node *node, const formula_config *c, pn_error *error)
{
    const size_t expected = pn_formula_parameters(c->program);
    if (pn_formula_inputs(c->program) != 1)
        return pn_fail(error, PN_BAD_VALUE, "%s: program must have 1 input, not %zu", node->where,
                       pn_formula_inputs(c->program));
    if (!pn_formula_has(c->program, 0) || !pn_formula_has(c->program, 1))
        return pn_fail(error, PN_BAD_VALUE, "%s: program must compute its value and its derivative",
                       node->where);
    if (c->parameters.n != expected)
        return pn_fail(error, PN_BAD_VALUE, "%s: program takes %zu parameters, got %zu",
                       node->where, expected, c->parameters.n);
    for (size_t i = 0; i < c->learnt.n; i++) {
        const size_t j = c->learnt.at[i];
        if (j >= expected || !pn_formula_has(c->program, 2 + j))
            return pn_fail(error, PN_BAD_VALUE,
                           "%s: learnt names parameter %zu, of which program has no derivative",
                           node->where, j);
        for (size_t k = 0; k < i; k++)
            if (c->learnt.at[k] == j)
                return pn_fail(error, PN_BAD_VALUE, "%s: learnt names parameter %zu twice",
                               node->where, j);
    }
    return PN_OK;
}

static pn_status check_channels(const pn_node *node, const pn_shape *input, size_t channels,
                                pn_error *error)
{
    if (channels == 1 || (input->ndim && input->dim[0] == channels)) return PN_OK;
    char text[80];
    pn_shape_text(input, text, sizeof text);
    return pn_fail(error, PN_BAD_SHAPE,
                   "%s: a sample of shape %s does not have %zu channels (axis 1 of the input), "
                   "one for each value of a learnt parameter",
                   node->where, text, channels);
}

static pn_status compile(pn_node_formula *f, const formula_config *c, pn_error *error)
{
    uint64_t all = 2;
    for (size_t i = 0; i < c->learnt.n; i++) all |= (uint64_t)4 << c->learnt.at[i];
    const uint64_t wanted[] = { [PN_VALUE] = 1, [PN_SLOPE] = 2, [PN_VALUE_AND_SLOPE] = 3,
                                [PN_INPUT_GRADIENT] = 2, [PN_GRADIENTS] = all };
    pn_status status = PN_OK;
    for (size_t i = 0; i < PN_NODE_TAPES && !status; i++)
        status = pn_tape_new(c->program, wanted[i], i >= PN_INPUT_GRADIENT, &f->tape[i], error);
    return status;
}

static pn_status shape(pn_node *node, const pn_shape *const *inputs, pn_dtype t, pn_error *error)
{
    const formula_config *c = pn_config(node);
    (void)t;
    pn_status status = check_parameters(node, c, error);
    if (!status) status = check_channels(node, inputs[0], c->num_parameters, error);
    if (status) return status;
    node->shape = *inputs[0];
    pn_node_formula *f = &node->formula;
    *f = (pn_node_formula){ .n = c->parameters.n,
                            .channels = c->learnt.n ? c->num_parameters : 1 };
    for (size_t j = 0; j < f->n; j++) {
        f->number[j] = c->parameters.at[j];
        f->slot[j] = -1;
    }
    for (size_t i = 0; i < c->learnt.n; i++) {
        f->slot[c->learnt.at[i]] = (int)i;
        pn_slot_add(node, NULL, 0, (pn_shape){ 1, { c->num_parameters } });
    }
    node->activation = &function;
    return compile(f, c, error);
}

/* ---- learnt parameters ----------------------------------------------------------------------- */

/* BLOCK: elements whose derivatives are computed at a time */
enum { BLOCK = 512 };

/* The array is divided into pieces of n elements, of which a task computes several. If the learnt
 * parameters are single numbers, a piece is any part of the array. If there is one per channel, it
 * is a plane, piece i of channel i % channels, or with rows a row of all channels. sums holds the
 * gradients of the parameters: those of each piece, or with rows those of each task, for each
 * channel. They are added in order, so that results do not depend on the number of threads. */
typedef struct {
    pn_function function;
    size_t elements, n, pieces, per_task, channels, slots, size;
    int rows;
    double *sums;
    int clear[PN_MAX_DIMS];
    void *grad[PN_MAX_DIMS];
} learnt;
typedef struct { const learnt *l; const pn_step *s; void *const *at; } job;

static size_t tasks(const learnt *l) { return (l->pieces + l->per_task - 1) / l->per_task; }
/* sums of a piece, or with rows of a task */
static size_t width(const learnt *l) { return l->rows ? l->slots * l->channels : l->slots; }

#define ADD_UP(name, R) \
    /* Adds n numbers to sum[0], or with each to sum[0] to sum[n - 1]. */ \
    static void name(size_t n, const R *d, double *sum, int each) \
    { \
        double lane[8] = { 0 }; \
        size_t i = 0; \
        if (each) { \
            for (; i < n; i++) sum[i] += (double)d[i]; \
            return; \
        } \
        for (; i + 8 <= n; i += 8) \
            for (size_t k = 0; k < 8; k++) lane[k] += (double)d[i + k]; \
        for (size_t k = 0; i < n; i++, k++) lane[k] += (double)d[i]; \
        *sum += ((lane[0] + lane[1]) + (lane[2] + lane[3])) + \
                ((lane[4] + lane[5]) + (lane[6] + lane[7])); \
    }
ADD_UP(add_up_f32, float)
ADD_UP(add_up_f64, double)
#undef ADD_UP

/* The gradients from m elements; gx may be gy. */
static void derive(const job *j, const pn_function *f, size_t m, const char *x, const char *gy,
                   char *gx, double *sums)
{
    const learnt *l = j->l;
    const pn_node_formula *own = &j->s->node->formula;
    double d[PN_MAX_DIMS][BLOCK], unused[BLOCK];
    void *outputs[PN_MAX_DIMS + 2] = { NULL, gx ? (void *)gx : unused };
    for (size_t k = 0; k < own->n; k++)
        if (own->slot[k] >= 0) outputs[2 + k] = d[k];
    pn_tape_run(own->tape[PN_GRADIENTS], f->call.t, m, (const void *[]){ x, gy }, f->call.operand,
                outputs);
    for (size_t k = 0; k < own->n; k++) {
        if (own->slot[k] < 0 || !l->grad[own->slot[k]]) continue;
        double *sum = sums + (size_t)own->slot[k] * (l->rows ? l->channels : 1);
        if (f->call.t == PN_F32) add_up_f32(m, (const float *)d[k], sum, l->rows);
        else add_up_f64(m, d[k], sum, l->rows);
    }
}

/* Forward if the step has no in2, which holds the argument for backward. */
static void run_piece(const job *j, pn_function *f, size_t i, double *sums)
{
    const learnt *l = j->l;
    const pn_step *s = j->s;
    const size_t end = pn_min(l->n, l->elements - i * l->n);
    if (l->channels > 1 && !l->rows) pn_function_channel(f, s->node, i % l->channels, 0);
    for (size_t at = 0, m; at < end; at += m) {
        const size_t from = (i * l->n + at) * l->size;
        const char *in = (const char *)j->at[s->in] + from;
        char *out = s->out == PN_NONE ? NULL : (char *)j->at[s->out] + from;
        m = pn_min(end - at, BLOCK);
        if (l->rows) pn_function_channel(f, s->node, at, 1);
        if (s->in2 == PN_NONE) f->kernels->forward(m, in, out, f->p, 0);
        else
            derive(j, f, m, (const char *)j->at[s->in2] + from, in, out,
                   sums + (l->rows ? at : 0));
    }
}

static void run_task(void *context, size_t i)
{
    const job *j = context;
    const learnt *l = j->l;
    pn_function f = l->function;
    f.p[0] = &f.call;
    const size_t first = i * l->per_task, until = pn_min(first + l->per_task, l->pieces);
    double *sums = l->rows ? l->sums + i * width(l) : NULL;
    if (sums) memset(sums, 0, width(l) * sizeof *sums);
    for (size_t k = first; k < until; k++) {
        if (!l->rows && l->sums) memset(sums = l->sums + k * width(l), 0, width(l) * sizeof *sums);
        run_piece(j, &f, k, sums);
    }
}

static void run_forward(const pn_step *s, void *const *at)
{
    const learnt *l = s->args;
    pn_parallel(tasks(l), run_task, &(job){ l, s, at });
}

static void run_backward(const pn_step *s, void *const *at)
{
    const learnt *l = s->args;
    pn_parallel(tasks(l), run_task, &(job){ l, s, at });
    for (size_t k = 0; k < l->slots; k++)
        for (size_t c = 0; c < l->channels && l->grad[k]; c++) {
            double sum = l->clear[k] ? 0 : pn_element(l->function.call.t, l->grad[k], c);
            if (l->rows)
                for (size_t i = 0; i < tasks(l); i++)
                    sum += l->sums[i * width(l) + k * l->channels + c];
            else
                for (size_t i = c; i < l->pieces; i += l->channels)
                    sum += l->sums[i * l->slots + k];
            pn_element_set(l->function.call.t, l->grad[k], c, sum);
        }
}

static void divide(learnt *l, const pn_builder *b, size_t node)
{
    const pn_shape *shape = &b->graph->nodes[node].shape;
    const size_t sample = pn_count(shape), planes = l->channels > 1 ? sample / l->channels : 0;
    l->elements = b->rows * sample;
    l->rows = l->channels > 1 && (planes == 1 || b->layout[node]);
    l->n = l->rows ? l->channels : l->channels > 1 ? planes : PN_CHUNK;
    l->pieces = l->n ? (l->elements + l->n - 1) / l->n : 0;
    l->per_task = l->n ? PN_CHUNK / l->n + !(PN_CHUNK / l->n) : 1;
}

static learnt *learnt_of(pn_builder *b, size_t node, int derivatives)
{
    const pn_node *n = &b->graph->nodes[node];
    learnt *l = pn_plan_alloc(b, sizeof *l);
    if (!l) return NULL;
    pn_function_set(&l->function, n, b->graph->dtype, b->k, 0);
    l->size = pn_size(b->graph->dtype);
    l->slots = n->n_slots;
    l->channels = n->formula.channels;
    divide(l, b, node);
    for (size_t k = 0; k < l->slots; k++) {
        l->grad[k] = n->slots[k].grad;
        l->clear[k] = !pn_accumulates(b, node, k);
    }
    if (!derivatives) return l;
    l->sums = pn_plan_alloc(b, (l->rows ? tasks(l) : l->pieces) * width(l) * sizeof *l->sums);
    return l->sums ? l : NULL;
}

static pn_status add_step(pn_builder *b, size_t node, const char *what, pn_step_fn *run, int in,
                          int in2, int out)
{
    pn_step *s = pn_step_new(b, what, run);
    if (!s || !(s->args = learnt_of(b, node, in2 != PN_NONE))) return PN_NO_MEMORY;
    s->in = in;
    s->in2 = in2;
    s->out = out;
    pn_step_uses(b, in);
    pn_step_uses(b, in2);
    pn_step_uses(b, out);
    return PN_OK;
}

static pn_status forward(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    if (n->formula.channels <= 1) return pn_activation_steps_forward(b, node);
    const int x = b->value[n->inputs[0]], y = b->value[node] = pn_output_buffer(b, node, 0);
    b->preactivation[node] = x;
    return y == PN_NONE ? PN_NO_MEMORY : add_step(b, node, "formula", run_forward, x, PN_NONE, y);
}

static pn_status backward(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    int wanted = n->formula.channels > 1;
    for (size_t j = 0; j < n->n_slots; j++) wanted |= n->slots[j].grad != NULL;
    if (!wanted) return pn_activation_steps_backward(b, node);
    const int needed = pn_needs_gradient(b, n->inputs[0]), gy = b->grad[node],
              gx = needed ? pn_gradient_buffer(b, n->inputs[0], gy) : PN_NONE;
    if (needed && gx == PN_NONE) return PN_NO_MEMORY;
    return add_step(b, node, "formula gradients", run_backward, gy, b->preactivation[node], gx);
}

const pn_layer_kind pn_layer_formula = {
    "formula", 1, 1, shape, forward, backward, PN_LAYOUT_ANY, formula_config_fields
};
