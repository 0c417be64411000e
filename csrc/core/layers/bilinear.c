/* bilinear.c - y_k = a W_k b + bias_k: a matrix product with each slice of W, followed by row-wise
 * dot products with b. */
#include "layers.h"
#include "../graph/builder.h"
#include <string.h>

#define FIELDS(FIELD, T) \
    FIELD(T, COUNT, out_features, AT_LEAST(0), "size of the output") \
    FIELD(T, FLAG, bias, ANY, "whether there is a bias")
PN_CONFIG(bilinear_config, FIELDS)
enum { WEIGHT, BIAS };

typedef struct {
    size_t rows, n, m, out;                 /* of a: (rows, n); of b: (rows, m) */
    pn_dtype t;
    int a, b, gy, ga, gb, part;             /* buffers; part: the product with one slice */
    const void *weight, *bias;
    void *gw, *gbias;
    int add_gw, add_gbias;                  /* whether to add to the existing gradients */
} bilinear;

static pn_status shape(pn_node *node, const pn_shape *const *inputs, pn_dtype t, pn_error *error)
{
    (void)t;
    const pn_shape *a = inputs[0], *b = inputs[1];
    const bilinear_config *c = pn_config(node);
    if (a->ndim < 1 || a->ndim != b->ndim ||
        memcmp(a->dim, b->dim, (a->ndim - 1) * sizeof *a->dim)) {
        char one[80], other[80];
        pn_shape_text(a, one, sizeof one);
        pn_shape_text(b, other, sizeof other);
        return pn_fail(error, PN_BAD_SHAPE,
                       "%s: samples of shapes %s and %s differ before their last axis", node->where,
                       one, other);
    }
    const size_t last = a->ndim - 1, out = c->out_features;
    node->shape = *a;
    node->shape.dim[last] = out;
    pn_slot_add(node, "weight", 0, (pn_shape){ 3, { out, a->dim[last], b->dim[last] } });
    if (c->bias) pn_slot_add(node, "bias", 0, (pn_shape){ 1, { out } });
    return PN_OK;
}

/* part = x W_k, or x W_k^T if transposed is set. */
static void times_slice(const pn_step *s, const bilinear *l, size_t k, int transposed,
                        const void *x, void *part, void *work)
{
    pn_product p = { .tb = transposed,
                     .m = l->rows,
                     .n = transposed ? l->n : l->m,
                     .k = transposed ? l->m : l->n,
                     .a = x,
                     .lda = transposed ? l->m : l->n,
                     .b = pn_element_at(l->t, l->weight, k * l->n * l->m),
                     .ldb = l->m,
                     .c = part,
                     .ldc = transposed ? l->n : l->m };
    s->k->gemm(&p, work);
}

static void run_forward(const pn_step *s, void *const *at)
{
    const bilinear *l = s->args;
    for (size_t k = 0; k < l->out; k++) {
        times_slice(s, l, k, 0, at[l->a], at[l->part], at[s->work]);
        for (size_t r = 0; r < l->rows; r++) {
            double sum = l->bias ? pn_element(l->t, l->bias, k) : 0;
            for (size_t j = 0; j < l->m; j++)
                sum += pn_element(l->t, at[l->part], r * l->m + j) *
                       pn_element(l->t, at[l->b], r * l->m + j);
            pn_element_set(l->t, at[s->out], r * l->out + k, sum);
        }
    }
}

/* g (rows, n) = gy_k x if first, else g += gy_k x. */
static void scale_rows(const bilinear *l, size_t k, const void *gy, size_t n, const void *x,
                       void *g, int first)
{
    for (size_t r = 0; r < l->rows; r++) {
        const double by = pn_element(l->t, gy, r * l->out + k);
        for (size_t j = r * n; j < (r + 1) * n; j++)
            pn_element_set(l->t, g, j,
                           by * pn_element(l->t, x, j) + (first ? 0 : pn_element(l->t, g, j)));
    }
}

static void run_backward(const pn_step *s, void *const *at)
{
    const bilinear *l = s->args;
    const size_t size = pn_size(l->t);
    if (l->ga != PN_NONE) memset(at[l->ga], 0, l->rows * l->n * size);
    if (l->gb != PN_NONE) memset(at[l->gb], 0, l->rows * l->m * size);
    for (size_t k = 0; k < l->out; k++) {
        if (l->ga != PN_NONE) {
            times_slice(s, l, k, 1, at[l->b], at[l->part], at[s->work]);
            scale_rows(l, k, at[l->gy], l->n, at[l->part], at[l->ga], 0);
        }
        if (l->gb != PN_NONE) {
            times_slice(s, l, k, 0, at[l->a], at[l->part], at[s->work]);
            scale_rows(l, k, at[l->gy], l->m, at[l->part], at[l->gb], 0);
        }
        if (l->gw) {
            scale_rows(l, k, at[l->gy], l->n, at[l->a], at[l->part], 1);
            pn_product p = { .ta = 1,
                             .m = l->n,
                             .n = l->m,
                             .k = l->rows,
                             .a = at[l->part],
                             .lda = l->n,
                             .b = at[l->b],
                             .ldb = l->m,
                             .c = pn_element_at(l->t, l->gw, k * l->n * l->m),
                             .ldc = l->m,
                             .accumulate = l->add_gw };
            s->k->gemm(&p, at[s->work]);
        }
    }
    if (!l->gbias) return;
    if (!l->add_gbias) memset(l->gbias, 0, l->out * size);
    s->k->sum_rows(l->rows, l->out, at[l->gy], l->gbias);
}

/* Adds a step, with scratch for each of its products. */
static pn_status add(pn_builder *b, size_t node, const char *what, pn_step_fn *run, bilinear l)
{
    const pn_node *n = &b->graph->nodes[node];
    pn_step *s = pn_step_new(b, what, run);
    bilinear *own = s ? pn_plan_alloc(b, sizeof *own) : NULL;
    if (!own) return PN_NO_MEMORY;
    const pn_shape *w = &n->slots[WEIGHT].shape;
    l.out = w->dim[0];
    l.n = w->dim[1];
    l.m = w->dim[2];
    l.rows = b->rows;
    for (size_t i = 0; i + 1 < n->shape.ndim; i++) l.rows *= n->shape.dim[i];
    l.t = b->graph->dtype;
    l.a = b->value[n->inputs[0]];
    l.b = b->value[n->inputs[1]];
    l.weight = n->slots[WEIGHT].data;
    l.bias = n->n_slots > BIAS ? n->slots[BIAS].data : NULL;
    pn_product
        forward = { .m = l.rows, .n = l.m, .k = l.n, .lda = l.n, .ldb = l.m, .ldc = l.m },
        back = { .tb = 1, .m = l.rows, .n = l.n, .k = l.m, .lda = l.m, .ldb = l.m, .ldc = l.n },
        gradient = { .ta = 1, .m = l.n, .n = l.m, .k = l.rows, .lda = l.n, .ldb = l.m, .ldc = l.m };
    const size_t bytes = pn_max(b->k->gemm_workspace(&forward),
                              pn_max(b->k->gemm_workspace(&back), b->k->gemm_workspace(&gradient)));
    s->flops = 2.0 * (double)l.rows * (double)l.n * (double)l.m * (double)l.out;
    s->work = pn_buffer_new(b, bytes / pn_size(l.t) + 1);
    l.part = pn_buffer_new(b, l.rows * pn_max(l.n, l.m));
    if (s->work == PN_NONE || l.part == PN_NONE) return PN_NO_MEMORY;
    s->out = run == run_forward ? b->value[node] : PN_NONE;
    *own = l;
    s->args = own;
    const int used[] = { l.a, l.b, l.gy, l.ga, l.gb, l.part, s->work, s->out };
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) pn_step_uses(b, used[i]);
    return PN_OK;
}

static pn_status forward(pn_builder *b, size_t node)
{
    int y = b->value[node] = pn_output_buffer(b, node, 0);
    return y == PN_NONE ? PN_NO_MEMORY
                        : add(b, node, "bilinear", run_forward,
                              (bilinear){ .gy = PN_NONE, .ga = PN_NONE, .gb = PN_NONE });
}

static pn_status backward(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    bilinear l = { .gy = b->grad[node],
                   .ga = PN_NONE,
                   .gb = PN_NONE,
                   .gw = n->slots[WEIGHT].grad,
                   .gbias = n->n_slots > BIAS ? n->slots[BIAS].grad : NULL };
    if (l.gw) l.add_gw = pn_accumulates(b, node, WEIGHT);
    if (l.gbias) l.add_gbias = pn_accumulates(b, node, BIAS);
    if (pn_needs_gradient(b, n->inputs[0]) &&
        (l.ga = pn_gradient_buffer(b, n->inputs[0], PN_NONE)) == PN_NONE)
        return PN_NO_MEMORY;
    if (pn_needs_gradient(b, n->inputs[1]) &&
        (l.gb = pn_gradient_buffer(b, n->inputs[1], PN_NONE)) == PN_NONE)
        return PN_NO_MEMORY;
    return add(b, node, "bilinear gradient", run_backward, l);
}

const pn_layer_kind pn_layer_bilinear = {
    "bilinear", 2, 2, shape, forward, backward, PN_LAYOUT_NCHW, bilinear_config_fields
};
