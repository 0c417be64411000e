/* embedding.c - looks up rows of a table, one for each index or combined for each bag.
 */
#include "layers.h"
#include "../graph/builder.h"
#include <math.h>
#include <string.h>

#define MODES(CHOICE) CHOICE(SUM, "sum") CHOICE(MEAN, "mean") CHOICE(MAX, "max")
enum { MODES(PN_CHOICE_CONSTANT) };
static const char *const modes[] = { MODES(PN_CHOICE_NAME) NULL };
#define TABLE_FIELDS(FIELD, T) \
    FIELD(T, COUNT, num_embeddings, AT_LEAST(0), "rows of the table") \
    FIELD(T, COUNT, embedding_dim, AT_LEAST(0), "columns of the table") \
    FIELD(T, INTEGER, padding_idx, AT_LEAST(-1), "row that is neither trained nor summed, or -1") \
    FIELD(T, NUMBER, max_norm, ANY, "maximum norm of a row; may be infinity") \
    FIELD(T, NUMBER, norm_type, ANY, "p of the norm for max_norm") \
    FIELD(T, FLAG, scale_grad_by_freq, ANY, "whether gradients are divided by the uses of a row")
PN_CONFIG(table_config, TABLE_FIELDS)
/* The settings of a bag begin with those of the table. */
#define BAG_FIELDS(FIELD, T) \
    TABLE_FIELDS(FIELD, T) \
    FIELD(T, CHOICE, mode, ONE_OF(modes), "how the rows of a bag are combined") \
    FIELD(T, FLAG, offsets, ANY, "whether the second input is the start of each bag") \
    FIELD(T, FLAG, per_sample_weights, ANY, "whether the last input is a weight for each index") \
    FIELD(T, FLAG, include_last_offset, ANY, "whether the last offset is where the last bag ends")
PN_CONFIG(bag_config, BAG_FIELDS)
/* rows of a bag that are summed in the dtype, before they are added in double */
enum { HELD = 64 };

/* State shared by the steps of a node. */
typedef struct {
    const pn_node *node;
    const table_config *config;
    const bag_config *bagging;              /* NULL if each index is separate */
    pn_plan *plan;
    pn_dtype t;
    /* of the batch; indices per sample; bags per sample, 0 if each index is separate */
    size_t num, dim, rows, per, bags;
    int x, offsets, weights;                /* buffers */
    size_t *index;                          /* the row of each index of the batch */
    /* the bag of each index; the number of indices of each bag, without padding */
    size_t *bag, *count;
    uint32_t *uses;                         /* uses of each row of the table */
    /* the row of a bag that has more than HELD indices */
    double *sum;
    /* MAX: the index, counted from 1, that each element of the output came from; 0 if the bag is
     * empty */
    size_t *best;
} lookup;

static int is_padding(const lookup *l, size_t i)
{
    return l->config->padding_idx >= 0 && l->index[i] == (size_t)l->config->padding_idx;
}

/* Checked at intervals. */
static int is_stopped(size_t i) { return i % 1024 == 0 && pn_stop_now(); }

/* y = a x if first, else y += a x, over a row. */
static void add_row(const lookup *l, double a, const void *x, void *y, int first)
{
    if (l->t == PN_F32) {
        const float *p = x, f = (float)a;
        for (size_t i = 0; i < l->dim; i++)
            ((float *)y)[i] = first ? f * p[i] : ((float *)y)[i] + f * p[i];
    } else {
        const double *p = x;
        for (size_t i = 0; i < l->dim; i++)
            ((double *)y)[i] = first ? a * p[i] : ((double *)y)[i] + a * p[i];
    }
}

/* ---- shapes ---------------------------------------------------------------------------------- */

static pn_status shape_table(pn_node *node, pn_dtype t, pn_error *error)
{
    const table_config *c = pn_config(node);
    if (c->padding_idx >= 0 && (size_t)c->padding_idx >= c->num_embeddings)
        return pn_fail(error, PN_BAD_VALUE, "%s: padding_idx is %td, but the table has %zu rows",
                       node->where, c->padding_idx, c->num_embeddings);
    if (t == PN_F32 && c->num_embeddings > (size_t)1 << 24)
        return pn_fail(error, PN_BAD_VALUE,
                       "%s: float32 represents integers exactly only up to 2**24; "
                       "num_embeddings = %zu needs dtype='float64'",
                       node->where, c->num_embeddings);
    pn_slot_add(node, "weight", 0, (pn_shape){ 2, { c->num_embeddings, c->embedding_dim } });
    return PN_OK;
}

static pn_status shape_embedding(pn_node *node, const pn_shape *const *inputs, pn_dtype t,
                                 pn_error *error)
{
    pn_status status = shape_table(node, t, error);
    if (status) return status;
    if (inputs[0]->ndim == PN_MAX_DIMS)
        return pn_fail(error, PN_BAD_SHAPE, "%s: at most %d dimensions are allowed", node->where,
                       PN_MAX_DIMS - 1);
    node->shape = *inputs[0];
    node->shape.dim[node->shape.ndim++] = ((const table_config *)pn_config(node))->embedding_dim;
    return PN_OK;
}

static pn_status shape_bag(pn_node *node, const pn_shape *const *inputs, pn_dtype t,
                           pn_error *error)
{
    pn_status status = shape_table(node, t, error);
    if (status) return status;
    const bag_config *c = pn_config(node);
    const int offsets = c->offsets, weights = c->per_sample_weights;
    if (node->n_inputs != (size_t)(1 + offsets + weights) ||
        (weights && c->mode != SUM))
        return pn_fail(error, PN_BAD_VALUE,
                       "%s: expected %d inputs, got %zu; only mode sum takes per_sample_weights",
                       node->where, 1 + offsets + weights, node->n_inputs);
    char text[80], other[80];
    pn_shape_text(inputs[0], text, sizeof text);
    if (inputs[0]->ndim != 1 || (offsets && inputs[1]->ndim != 1))
        return pn_fail(error, PN_BAD_SHAPE,
                       "%s: a sample of shape %s is not a row of indices", node->where, text);
    if (weights &&
        (inputs[1 + offsets]->ndim != 1 || inputs[1 + offsets]->dim[0] != inputs[0]->dim[0])) {
        pn_shape_text(inputs[1 + offsets], other, sizeof other);
        return pn_fail(error, PN_BAD_SHAPE,
                       "%s: per_sample_weights of shape %s for indices of shape %s", node->where,
                       other, text);
    }
    const size_t dim = c->embedding_dim;
    if (offsets && t == PN_F32 && inputs[0]->dim[0] > (size_t)1 << 24)
        return pn_fail(error, PN_BAD_SHAPE,
                       "%s: float32 represents offsets exactly only up to 2**24, but there are %zu "
                       "indices; use dtype='float64' or x of shape (bags, indices)",
                       node->where, inputs[0]->dim[0]);
    if (offsets && c->include_last_offset && inputs[1]->dim[0] < 1)
        return pn_fail(error, PN_BAD_SHAPE,
                       "%s: offsets is empty, but must include the last offset", node->where);
    node->shape = offsets
                    ? (pn_shape){ 2, { inputs[1]->dim[0] - (size_t)c->include_last_offset, dim } }
                    : (pn_shape){ 1, { dim } };
    return PN_OK;
}

/* ---- forward --------------------------------------------------------------------------------- */

static int refuse(const lookup *l, const char *what, size_t row, size_t place, double v, size_t end)
{
    pn_fail(&l->plan->failure, PN_BAD_VALUE,
            "%s: %s %zu of row %zu is %.17g; expected an integer from 0 to %zu", l->node->where,
            what, place, row, v, end);
    l->plan->stopped = 1;
    return 0;
}

/* Reads the indices; returns 0 if one is invalid. */
static int read_indices(const lookup *l, const void *x)
{
    for (size_t i = 0; i < l->rows * l->per; i++) {
        if (is_stopped(i)) return 0;
        const double v = pn_element(l->t, x, i);
        if (!(v >= 0 && v < (double)l->num && v == (double)(int64_t)v))
            return refuse(l, "index", i / l->per, i % l->per, v, l->num ? l->num - 1 : 0);
        l->index[i] = (size_t)v;
    }
    return 1;
}

/* Bags are whole samples, or start at the offsets. */
static int read_bags(const lookup *l, const void *offsets)
{
    const size_t given = offsets ? l->bags + (size_t)l->bagging->include_last_offset : 0;
    for (size_t r = 0; r < l->rows; r++) {
        size_t from = 0;
        for (size_t k = 0; k < l->bags; k++) {
            const double first = offsets ? pn_element(l->t, offsets, r * given + k) : 0,
                         end = k + 1 < given ? pn_element(l->t, offsets, r * given + k + 1)
                                             : (double)l->per;
            if (!(end >= (double)from && end <= (double)l->per && end == floor(end)) ||
                (k == 0 && first != 0))
                return refuse(l, "an offset beside offset", r, k,
                              k == 0 && first != 0 ? first : end, l->per);
            for (; from < (size_t)end; from++) l->bag[r * l->per + from] = r * l->bags + k;
        }
        /* beyond the last bag */
        for (; from < l->per; from++) l->bag[r * l->per + from] = SIZE_MAX;
    }
    memset(l->count, 0, l->rows * l->bags * sizeof *l->count);
    for (size_t i = 0; i < l->rows * l->per && !is_stopped(i); i++)
        if (l->bag[i] != SIZE_MAX && !is_padding(l, i))
            l->count[l->bag[i]]++;
    return 1;
}

/* The factor that reduces a row's norm to max_norm, as in PyTorch. */
static double renorm(const lookup *l, const void *row)
{
    const double p = l->config->norm_type, most = l->config->max_norm;
    double sum = 0;
    for (size_t i = 0; i < l->dim; i++) {
        const double v = fabs(pn_element(l->t, row, i));
        if (!isinf(p)) sum += pow(v, p);
        else if (v > sum) sum = v;
    }
    const double norm = isinf(p) ? sum : p == 2 ? sqrt(sum) : pow(sum, 1 / p);
    return norm > most ? most / (norm + 1e-7) : 1;
}

/* Counts the uses of each row. Used rows that are too long are rescaled in the table, except by
 * predictions, which only read. */
static void use_rows(const lookup *l)
{
    memset(l->uses, 0, l->num * sizeof *l->uses);
    for (size_t i = 0; i < l->rows * l->per && !is_stopped(i); i++) {
        void *row = pn_element_at(l->t, l->node->slots[0].data, l->index[i] * l->dim);
        if (l->uses[l->index[i]]++ || isinf(l->config->max_norm) ||
            l->plan->mode == PN_PREDICT)
            continue;
        const double factor = renorm(l, row);
        if (factor != 1) add_row(l, factor, row, row, 1);
    }
}
static double factor_of(const lookup *l, const void *row)
{
    return l->plan->mode == PN_PREDICT && !isinf(l->config->max_norm) ? renorm(l, row) : 1;
}

static void run_embedding(const pn_step *s, void *const *at)
{
    const lookup *l = s->args;
    if (!read_indices(l, at[l->x])) return;
    use_rows(l);
    for (size_t i = 0; i < l->rows * l->per && !is_stopped(i); i++) {
        const void *row = pn_element_at(l->t, l->node->slots[0].data, l->index[i] * l->dim);
        const double factor = factor_of(l, row);
        if (factor == 1)
            memcpy(pn_element_at(l->t, at[s->out], i * l->dim), row, l->dim * pn_size(l->t));
        else add_row(l, factor, row, pn_element_at(l->t, at[s->out], i * l->dim), 1);
    }
}

static double share(const lookup *l, void *const *at, size_t i)
{
    if (l->weights != PN_NONE) return pn_element(l->t, at[l->weights], i);
    return l->bagging->mode == MEAN ? 1 / (double)l->count[l->bag[i]] : 1;
}

static int outside(const lookup *l, size_t i)
{
    return l->bag[i] == SIZE_MAX || is_padding(l, i);
}

static void take_largest(const lookup *l, size_t i, double factor, const void *row, void *y,
                         size_t *best)
{
    for (size_t j = 0; j < l->dim; j++) {
        const double v = factor * pn_element(l->t, row, j), most = pn_element(l->t, y, j);
        if (best[j] && (most != most || v <= most)) continue;           /* a NaN stays */
        best[j] = i + 1;
        pn_element_set(l->t, y, j, v);
    }
}

/* sum += y and y = 0; if last, y += sum instead. */
static void fold_bag(const lookup *l, void *y, int first, int last)
{
    if (first) memset(l->sum, 0, l->dim * sizeof *l->sum);
    float *f = l->t == PN_F32 ? y : NULL;
    double *d = y;
    if (last && f) for (size_t j = 0; j < l->dim; j++) f[j] = (float)(l->sum[j] + (double)f[j]);
    else if (last) for (size_t j = 0; j < l->dim; j++) d[j] += l->sum[j];
    else if (f) for (size_t j = 0; j < l->dim; j++) l->sum[j] += (double)f[j];
    else for (size_t j = 0; j < l->dim; j++) l->sum[j] += d[j];
    if (!last) memset(y, 0, l->dim * pn_size(l->t));
}

/* y = the weighted sum of the rows of indices from to end - 1. */
static void sum_bag(const pn_step *s, void *const *at, size_t from, size_t end, void *y)
{
    const lookup *l = s->args;
    const void *table = l->node->slots[0].data;
    size_t index[HELD], held = 0, folds = 0;
    double weight[HELD];                    /* of the dtype */
    for (size_t i = from; i < end && !is_stopped(i); i++) {
        if (outside(l, i)) continue;
        if (held == HELD) {
            s->k->weighted_sum(1, l->dim, held, index, weight, table, y);
            fold_bag(l, y, folds++ == 0, 0);
            held = 0;
        }
        const double w = factor_of(l, pn_element_at(l->t, table, l->index[i] * l->dim)) *
                         share(l, at, i);
        pn_element_set(l->t, weight, held, w);
        index[held++] = l->index[i];
    }
    if (held) s->k->weighted_sum(1, l->dim, held, index, weight, table, y);
    if (folds) fold_bag(l, y, 0, 1);
}

static void run_bag(const pn_step *s, void *const *at)
{
    const lookup *l = s->args;
    if (!read_indices(l, at[l->x]) || !read_bags(l, l->offsets == PN_NONE ? NULL : at[l->offsets]))
        return;
    use_rows(l);
    const size_t numbers = l->rows * l->bags * l->dim, all = l->rows * l->per;
    memset(at[s->out], 0, numbers * pn_size(l->t));
    if (l->best) memset(l->best, 0, numbers * sizeof *l->best);
    /* the indices of a bag are contiguous */
    for (size_t i = 0, end; i < all && !pn_stopped(); i = end) {
        for (end = i + 1; end < all && l->bag[end] == l->bag[i];) end++;
        if (l->bag[i] == SIZE_MAX) continue;
        void *y = pn_element_at(l->t, at[s->out], l->bag[i] * l->dim);
        if (!l->best) sum_bag(s, at, i, end, y);
        for (size_t k = i; l->best && k < end && !is_stopped(k); k++) {
            const void *row = pn_element_at(l->t, l->node->slots[0].data, l->index[k] * l->dim);
            if (!outside(l, k))
                take_largest(l, k, factor_of(l, row), row, y, l->best + l->bag[k] * l->dim);
        }
    }
}

/* ---- backward -------------------------------------------------------------------------------- */

/* Adds the gradients of all uses of a row, in the order of the indices. */
static void run_table_gradient(const pn_step *s, void *const *at)
{
    const lookup *l = s->args;
    if (s->bytes) memset(s->grad, 0, s->bytes);
    for (size_t i = 0; i < l->rows * l->per && !is_stopped(i); i++) {
        if (is_padding(l, i) || (l->bag && outside(l, i))) continue;
        const double by = l->config->scale_grad_by_freq ? 1 / (double)l->uses[l->index[i]] : 1;
        const size_t from = (l->bag ? l->bag[i] : i) * l->dim;
        void *g = pn_element_at(l->t, s->grad, l->index[i] * l->dim);
        const void *gy = pn_element_at(l->t, at[s->in], from);
        if (!l->best) add_row(l, l->bag ? by * share(l, at, i) : by, gy, g, 0);
        for (size_t j = 0; l->best && j < l->dim; j++) {
            if (l->best[from + j] != i + 1) continue;
            if (l->t == PN_F32) ((float *)g)[j] += ((const float *)gy)[j];
            else ((double *)g)[j] += ((const double *)gy)[j];
        }
    }
}

static void run_weights_gradient(const pn_step *s, void *const *at)
{
    const lookup *l = s->args;
    for (size_t i = 0; i < l->rows * l->per; i++) {
        double sum = 0;
        for (size_t j = 0; j < l->dim && !outside(l, i); j++)
            sum += pn_element(l->t, at[s->in], l->bag[i] * l->dim + j) *
                   pn_element(l->t, l->node->slots[0].data, l->index[i] * l->dim + j);
        pn_element_set(l->t, at[s->out], i, sum);
    }
}

/* ---- steps ----------------------------------------------------------------------------------- */

static pn_status forward_table(pn_builder *b, size_t node, const char *what, pn_step_fn *run,
                               size_t bags)
{
    const pn_node *n = &b->graph->nodes[node];
    const bag_config *bagging = n->kind == &pn_layer_embedding_bag ? pn_config(n) : NULL;
    const int y = b->value[node] = pn_output_buffer(b, node, 0);
    pn_step *s = y == PN_NONE ? NULL : pn_step_new(b, what, run);
    lookup *l = s ? pn_plan_alloc(b, sizeof *l) : NULL;
    if (!l) return PN_NO_MEMORY;
    *l = (lookup){ .node = n,
                   .config = pn_config(n),
                   .bagging = bagging,
                   .plan = b->plan,
                   .t = b->graph->dtype,
                   .num = n->slots[0].shape.dim[0],
                   .dim = n->slots[0].shape.dim[1],
                   .rows = b->rows,
                   .per = pn_count(&b->graph->nodes[n->inputs[0]].shape),
                   .bags = bags,
                   .x = b->value[n->inputs[0]],
                   .offsets = PN_NONE,
                   .weights = PN_NONE };
    const size_t all = l->rows * l->per;
    int ok = (l->index = pn_plan_alloc(b, all * sizeof *l->index)) &&
             (l->uses = pn_plan_alloc(b, l->num * sizeof *l->uses));
    if (bagging) {
        ok = ok && (l->bag = pn_plan_alloc(b, all * sizeof *l->bag)) &&
             (l->count = pn_plan_alloc(b, l->rows * bags * sizeof *l->count));
        if (bagging->offsets) l->offsets = b->value[n->inputs[1]];
        if (bagging->per_sample_weights) l->weights = b->value[n->inputs[n->n_inputs - 1]];
        ok = ok && (l->sum = pn_plan_alloc(b, l->dim * sizeof *l->sum));
        if (bagging->mode == MAX)
            ok = ok && (l->best = pn_plan_alloc(b, l->rows * bags * l->dim * sizeof *l->best));
    }
    if (!ok) return PN_NO_MEMORY;
    s->args = b->planned[node] = l;
    s->out = y;
    for (size_t i = 0; i < n->n_inputs; i++) pn_step_uses(b, b->value[n->inputs[i]]);
    pn_step_uses(b, y);
    return PN_OK;
}
static pn_status forward_embedding(pn_builder *b, size_t node)
{
    return forward_table(b, node, "embedding", run_embedding, 0);
}
static pn_status forward_bag(pn_builder *b, size_t node)
{
    const pn_shape *shape = &b->graph->nodes[node].shape;
    return forward_table(b, node, "bags of embeddings", run_bag,
                         shape->ndim == 2 ? shape->dim[0] : 1);
}

/* Indices have no gradient. */
static pn_status backward(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    lookup *l = b->planned[node];
    if (n->slots[0].grad) {
        pn_step *g = pn_step_new(b, "embedding gradient", run_table_gradient);
        if (!g) return PN_NO_MEMORY;
        g->args = l;
        g->in = b->grad[node];
        g->grad = n->slots[0].grad;
        g->bytes = pn_accumulates(b, node, 0) ? 0 : l->num * l->dim * pn_size(l->t);
        pn_step_uses(b, g->in);
        pn_step_uses(b, l->weights);
    }
    if (l->weights == PN_NONE || !pn_needs_gradient(b, n->inputs[n->n_inputs - 1])) return PN_OK;
    int gw = pn_gradient_buffer(b, n->inputs[n->n_inputs - 1], PN_NONE);
    pn_step *w = gw == PN_NONE
                   ? NULL
                   : pn_step_new(b, "gradient of weights of samples", run_weights_gradient);
    if (!w) return PN_NO_MEMORY;
    w->args = l;
    w->in = b->grad[node];
    w->out = gw;
    pn_step_uses(b, w->in);
    pn_step_uses(b, gw);
    return PN_OK;
}

const pn_layer_kind pn_layer_embedding = {
    "embedding", 1,              1,                  shape_embedding, forward_embedding,
    backward,    PN_LAYOUT_NCHW, table_config_fields
};
const pn_layer_kind pn_layer_embedding_bag = {
    "embedding_bag", 1, 3, shape_bag, forward_bag, backward, PN_LAYOUT_NCHW, bag_config_fields
};
