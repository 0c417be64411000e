/* health.c - statistics of activations, gradients and updates that fit records.
 *
 * Outputs are measured directly after the step that computes them, because their memory is soon
 * reused. Gradients and updates are measured within the pass of the update. Everything that costs
 * more than a few comparisons is done at intervals of steps, which are chosen so that it takes less
 * than one percent of the time. */
#include "health.h"
#include "../base/array.h"
#include "../graph/activation.h"
#include "../kernels/isa.h"
#include "../kernels/tables.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* BLOCK:  elements processed at a time
 * FOLD:   minimum number of columns counted at a time
 * GRID:   number of points at which a derivative is measured
 * EXACT:  counts in the graph's type are moved to doubles before they exceed this */
enum { BLOCK = 2048, FOLD = 64, GRID = 4001, EXACT = 1 << 22 };
/* the thresholds of saturation, see pynn.h */
static const double SMALL = 0.05, MOST = 0.95;
static const double SHARE = 0.006;      /* share of the time that measuring may take */

typedef struct {
    const pn_node *node;
    size_t units;
    /* whether the units are channels, which come first in a plain array */
    int image;
    /* a derivative below this counts as small; negative until it has been measured */
    double limit;
    int flat_low, flat_high;            /* whether the derivative is small at -20 and at 20 */
    /* live, small: per unit, the number of nonzero and of small derivatives among seen */
    double *live, *small, seen;
    size_t *candidates, n_candidates;               /* units not yet known to be live */
    /* The gradient of the bias of each unit, or NULL. A nonzero gradient shows that the unit is
     * live. */
    const void *bias;
    int64_t probes;
    /* of outputs: count, mean, and sum of squared deviations from the mean */
    double values, mean, squares;
} node_stats;

struct pn_health {
    const pn_graph *graph;
    const pn_typed_kernels *k;
    pn_monitor monitor;
    node_stats *nodes;
    /* intervals, in steps, of measuring everything, and units without bias; 0 until determined */
    int64_t full_interval, unit_interval;
    /* steps since the last reset; steps until everything is measured again */
    int64_t steps, countdown;
    int full;                           /* whether everything is measured in this step */
    /* number of activations with units not known to be live, and of those without bias */
    size_t pending, pending_unbiased;
    size_t n_segments, *owner;          /* the node of each segment, or SIZE_MAX */
    const pn_segment **segments;
    pn_changes changes;
    /* the parameters before a solver's step; NULL without a solver */
    void *before;
    int64_t updates;
    void *counts; /* live and small counts of one block, in the graph's type */
    /* capacity: columns of counts, elements of ones and slopes */
    size_t columns, block;
    void *ones, *slopes;
};

/* ---- units ----------------------------------------------------------------------------------- */

/* Returns whether the channels of this node's output come first, as they do after a layer that
 * works on images. */
static int is_image(const pn_graph *g, size_t node)
{
    for (const pn_node *n = &g->nodes[node]; n->shape.ndim > 1 && n->kind;
         n = &g->nodes[n->inputs[0]]) {
        if (n->kind->layouts >= PN_LAYOUT_PREFERS_NHWC) return 1;
        if (n->kind->layouts == PN_LAYOUT_NCHW) return 0;
    }
    return g->nodes[node].shape.ndim == 3;
}

/* The gradient of the bias that this node adds to its units, if no other node shares the bias or
 * reads the output before the activation; NULL otherwise. */
static const void *bias_of(const pn_graph *g, size_t node, size_t units)
{
    const pn_node *n = &g->nodes[node];
    if (n->n_slots < 2 || n->custom || n->uses != 1 || pn_output_of(g, node) >= 0) return NULL;
    const pn_binding *bias = &n->slots[1];
    if (bias->shape.ndim != 1 || bias->shape.dim[0] != units) return NULL;
    for (size_t i = 0; i < g->n_nodes; i++)
        for (size_t j = 0; j < g->nodes[i].n_slots; j++)
            if (i != node && g->nodes[i].slots[j].grad == bias->grad) return NULL;
    return bias->grad;
}

static pn_status init_units(pn_health *h, size_t i, pn_error *error)
{
    const pn_graph *g = h->graph;
    node_stats *w = &h->nodes[i];
    const pn_shape *s = &w->node->shape;
    /* a formula with a parameter per channel */
    const int by_channel = w->node->formula.channels > 1 && s->ndim > 1;
    w->image = by_channel || is_image(g, i);
    w->units = !pn_count(s) ? 0 : s->ndim ? s->dim[w->image ? 0 : s->ndim - 1] : 1;
    w->bias = bias_of(g, w->node->inputs[0], w->units);
    w->limit = -1;
    w->live = calloc(2 * w->units + 1, sizeof *w->live);
    if (!w->live) return pn_fail(error, PN_NO_MEMORY, "no memory for a model's health");
    w->small = w->live + w->units;
    if (!(w->candidates = malloc((w->units + 1) * sizeof *w->candidates)))
        return pn_fail(error, PN_NO_MEMORY, "no memory for a model's health");
    h->columns = pn_max(h->columns, w->units);
    return PN_OK;
}

/* ---- allocation ------------------------------------------------------------------------------ */

static void measure(void *context, const pn_plan *plan, const pn_probe *probe);

/* The first node that uses the parameter of a segment. */
static size_t owner(const pn_graph *g, const void *p)
{
    for (size_t i = 0; i < g->n_nodes; i++)
        for (size_t j = 0; j < g->nodes[i].n_slots; j++)
            if (g->nodes[i].slots[j].data == p) return i;
    return SIZE_MAX;
}

static void add_segment(pn_health *h, const pn_segment *s)
{
    h->segments[h->n_segments] = s;
    h->owner[h->n_segments++] = owner(h->graph, s->p);
}

static pn_status add_segments(pn_health *h, const pn_group *groups, size_t n_groups,
                               const pn_solver *solver, pn_error *error)
{
    size_t n = solver ? solver->n_segments : 0, most = 0;
    for (size_t i = 0; i < n_groups; i++) n += groups[i].n;
    h->owner = malloc((n + 1) * sizeof *h->owner);
    h->segments = malloc((n + 1) * sizeof *h->segments);
    h->changes.segment = calloc(n + 1, sizeof *h->changes.segment);
    if (!h->owner || !h->segments || !h->changes.segment)
        return pn_fail(error, PN_NO_MEMORY, "no memory for a model's health");
    for (size_t i = 0; i < n_groups; i++)
        for (size_t j = 0; j < groups[i].n; j++) {
            const pn_segment *s = &groups[i].segments[j];
            if (groups[i].optimizer >= pn_optimizer_first_tensor_rule() && s->n > most) most = s->n;
            add_segment(h, s);
        }
    for (size_t i = 0; solver && i < solver->n_segments; i++) add_segment(h, &solver->segments[i]);
    if (solver) h->before = malloc(solver->n * pn_size(h->graph->dtype) + 1);
    h->changes.buffer = malloc(most * sizeof(double) + 1);
    return h->changes.buffer && (h->before || !solver)
             ? PN_OK
             : pn_fail(error, PN_NO_MEMORY, "no memory for a model's health");
}

static void reset(pn_health *h)
{
    h->pending = h->pending_unbiased = 0;
    h->updates = h->steps = h->countdown = 0;
    memset(h->changes.segment, 0, h->n_segments * sizeof *h->changes.segment);
    for (size_t i = 0; i < h->graph->n_nodes; i++) {
        node_stats *w = &h->nodes[i];
        w->values = w->mean = w->squares = w->seen = 0;
        w->probes = 0;
        if (w->units) memset(w->live, 0, 2 * w->units * sizeof *w->live);
        w->n_candidates = w->units;
        for (size_t j = 0; j < w->units; j++) w->candidates[j] = j;
        h->pending += w->units > 0;
        h->pending_unbiased += w->units > 0 && !w->bias;
    }
}

pn_status pn_health_new(const pn_graph *graph, const pn_group *groups, size_t n_groups,
                        const pn_solver *solver, pn_health **health, pn_error *error)
{
    const size_t size = pn_size(graph->dtype);
    pn_health *h = calloc(1, sizeof *h);
    *health = NULL;
    if (!h) return pn_fail(error, PN_NO_MEMORY, "no memory for a model's health");
    h->graph = graph;
    h->k = &pn_kernels_now()->of[graph->dtype];
    h->monitor = (pn_monitor){ measure, h };
    h->columns = 2 * FOLD;
    h->nodes = calloc(graph->n_nodes, sizeof *h->nodes);
    pn_status status = h->nodes ? add_segments(h, groups, n_groups, solver, error)
                                : pn_fail(error, PN_NO_MEMORY, "no memory for a model's health");
    for (size_t i = 0; i < graph->n_nodes && !status; i++) {
        h->nodes[i].node = &graph->nodes[i];
        if (graph->nodes[i].activation) status = init_units(h, i, error);
    }
    h->block = h->columns > BLOCK ? h->columns : BLOCK;
    if (!status) {
        h->counts = calloc(2 * h->columns, size);
        h->ones = malloc(h->block * size);
        h->slopes = malloc(h->block * size);
        if (!h->counts || !h->ones || !h->slopes)
            status = pn_fail(error, PN_NO_MEMORY, "no memory for a model's health");
    }
    for (size_t i = 0; i < h->block && !status; i++) pn_element_set(graph->dtype, h->ones, i, 1);
    if (status) pn_health_free(h);
    else reset(*health = h);
    return status;
}

void pn_health_free(pn_health *h)
{
    if (!h) return;
    for (size_t i = 0; h->nodes && i < h->graph->n_nodes; i++) {
        free(h->nodes[i].live);
        free(h->nodes[i].candidates);
    }
    free(h->nodes);
    free(h->owner);
    free(h->segments);
    free(h->changes.segment);
    free(h->changes.buffer);
    free(h->before);
    free(h->counts);
    free(h->ones);
    free(h->slopes);
    free(h);
}

/* Epochs shorter than the interval between two full measurements are combined. */
void pn_health_reset(pn_health *h)
{
    if (h->steps >= h->full_interval) reset(h);
}

/* ---- measuring one output -------------------------------------------------------------------- */

/* The largest magnitudes of the derivative, in all and at both ends. */
typedef struct { double most, first, last; } slope_range;

/* Measures the derivative for arguments from -20 to 20. */
static void measure_slope(pn_health *h, const pn_function *f, slope_range *range)
{
    const pn_dtype t = h->graph->dtype;
    for (size_t from = 0; from < GRID; from += BLOCK) {
        const size_t n = pn_min(GRID - from, BLOCK);
        for (size_t i = 0; i < n; i++)
            pn_element_set(t, h->slopes, i, -20 + 0.01 * (double)(from + i));
        f->kernels->derivative(n, h->slopes, h->slopes, f->p, 0);
        if (!from) range->first = fmax(range->first, fabs(pn_element(t, h->slopes, 0)));
        if (from + n == GRID)
            range->last = fmax(range->last, fabs(pn_element(t, h->slopes, n - 1)));
        for (size_t i = 0; i < n; i++) {
            const double d = fabs(pn_element(t, h->slopes, i));
            if (isfinite(d) && d > range->most) range->most = d;
        }
    }
}

/* The maximum magnitude of the derivative determines the limit, and its values at the ends
 * determine where it is flat. */
static void measure_slopes(pn_health *h, node_stats *w, pn_function *f)
{
    slope_range range = { 0 };
    const size_t channels = w->node->formula.channels;
    measure_slope(h, f, &range);
    for (size_t c = 1; c < channels; c++) {
        pn_function_channel(f, w->node, c, 0);
        measure_slope(h, f, &range);
    }
    w->limit = SMALL * range.most;
    w->flat_low = range.first <= w->limit;
    w->flat_high = range.last <= w->limit;
}

typedef struct { pn_health *h; node_stats *w; pn_function *f; int by_channel; } counting;

/* Adds the counts of the columns, in which the units repeat, to those of the units. */
static void move_counts(const counting *c, size_t columns)
{
    const pn_dtype t = c->h->graph->dtype;
    const size_t size = pn_size(t);
    char *live = c->h->counts, *small = live + c->h->columns * size;
    for (size_t from = 0; from < columns; from += c->w->units)
        for (size_t j = 0; j < c->w->units; j++) {
            c->w->live[j] += pn_element(t, live, from + j);
            c->w->small[j] += pn_element(t, small, from + j);
        }
    memset(live, 0, columns * size);
    memset(small, 0, columns * size);
}

/* Counts rows of n values, in which the units are adjacent and may repeat. */
static void count_rows(const counting *c, const char *t, size_t rows, size_t n)
{
    pn_health *h = c->h;
    const size_t size = pn_size(h->graph->dtype), most = c->by_channel ? 1 : h->block / n;
    size_t counted = 0;
    if (c->by_channel) pn_function_channel(c->f, c->w->node, 0, 1);
    for (size_t m; rows; rows -= m, t += m * n * size) {
        m = pn_min(rows, most);
        c->f->kernels->backward(m * n, t, h->ones, h->slopes, c->f->p, 0);
        h->k->probe->count_columns(m, n, h->slopes, c->w->limit, h->counts,
                                  (char *)h->counts + h->columns * size);
        if ((counted += m) < EXACT) continue;
        move_counts(c, n);
        counted = 0;
    }
    move_counts(c, n);
}

/* Counts n values of one unit. */
static void count_run(const counting *c, const char *t, size_t n, size_t unit)
{
    const size_t size = pn_size(c->h->graph->dtype);
    double found[2];
    if (c->by_channel) pn_function_channel(c->f, c->w->node, unit, 0);
    for (size_t m; n; n -= m, t += m * size) {
        m = n < BLOCK ? n : BLOCK;
        c->f->kernels->backward(m, t, c->h->ones, c->h->slopes, c->f->p, 0);
        c->h->k->probe->count_run(m, c->h->slopes, c->w->limit, found);
        c->w->live[unit] += found[0];
        c->w->small[unit] += found[1];
    }
}

/* t (rows, sample): the arguments or values that the derivative is computed from, or with kept the
 * derivative. */
static void measure_units(pn_health *h, node_stats *w, const char *t, size_t rows, size_t sample,
                          int last, int kept)
{
    pn_function f;
    const counting c = { h, w, &f, w->node->formula.channels > 1 };
    const size_t size = pn_size(h->graph->dtype),
                 pixels = w->image && !last ? sample / w->units : 1,
                 values = rows * (sample / w->units);
    pn_function_set(&f, w->node, h->graph->dtype, h->k, kept);
    if (w->limit < 0) measure_slopes(h, w, &f);
    if (pixels == 1) {
        /* combine rows of few units until they fill a vector */
        size_t fold = 1;
        while (!c.by_channel && fold * w->units < FOLD && values % (2 * fold) == 0) fold *= 2;
        count_rows(&c, t, values / fold, fold * w->units);
    } else
        for (size_t run = 0; run < rows * w->units; run++)
            count_run(&c, t + run * pixels * size, pixels, run % w->units);
    w->seen += (double)values;
}

/* Merges the moments of n more values. */
static void measure_values(pn_health *h, node_stats *w, const void *x, size_t n)
{
    double mean, var, unused;
    if (!n) return;
    h->k->norm->moments(&(pn_norm_groups){ .spans = 1,
                                           .n = n,
                                           .centred = 1,
                                           .eps = 1,
                                           .mean = &mean,
                                           .var = &var,
                                           .scale = &unused },
                        0, 1, x);
    const double m = (double)n, all = w->values + m, off = mean - w->mean;
    w->squares += m * var + off * off * w->values * m / all;
    w->mean += off * m / all;
    w->values = all;
    w->probes++;
}

static void measure(void *context, const pn_plan *plan, const pn_probe *probe)
{
    pn_health *h = context;
    node_stats *w = &h->nodes[probe->activation];
    const size_t sample = pn_count(&h->graph->nodes[probe->node].shape);
    if (h->full)
        measure_values(h, &h->nodes[probe->node], plan->at[probe->value], plan->rows * sample);
    if (w->units && plan->rows && (h->full || (w->n_candidates && !w->bias)))
        measure_units(h, w, plan->at[probe->slope], plan->rows, sample, probe->channels_last,
                      probe->kept);
}

/* ---- choice of steps ------------------------------------------------------------------------- */

/* Sets the intervals so that measuring takes the given share of the time, according to estimates of
 * both costs in cycles. */
static void set_intervals(pn_health *h, const pn_plan *plan)
{
    double step = 1500, full_cost = 0, unit_cost = 0;
    for (size_t i = 0; i < plan->n_steps; i++) step += plan->steps[i].flops / 80 + 60;
    for (size_t i = 0; i < h->n_segments; i++) {
        step += (double)h->segments[i]->n;
        full_cost += 200 + 0.3 * (double)h->segments[i]->n;
    }
    for (size_t i = 0; i < plan->n_probes; i++) {
        const node_stats *w = &h->nodes[plan->probes[i].activation];
        const double n = (double)(plan->rows *
                                  pn_count(&h->graph->nodes[plan->probes[i].node].shape)),
                     slopes = w->units ? 500 + 0.5 * n : 0;
        full_cost += 200 + 0.3 * n + slopes;
        if (!w->bias) unit_cost += slopes;
    }
    h->full_interval = 1 + (int64_t)(full_cost / step / SHARE);
    h->unit_interval = 1 + (int64_t)(unit_cost / step / SHARE);
}

const pn_monitor *pn_health_begin(pn_health *h, const pn_plan *plan)
{
    if (!h->full_interval) set_intervals(h, plan);
    h->full = h->countdown == 0;
    h->countdown = (h->full ? h->full_interval : h->countdown) - 1;
    const int measures_units = h->pending_unbiased && h->steps % h->unit_interval == 0;
    return h->full || measures_units ? &h->monitor : NULL;
}

const pn_monitor *pn_health_always(pn_health *h)
{
    h->full = 1;
    return &h->monitor;
}

const pn_changes *pn_health_changes(pn_health *h)
{
    h->updates += h->full;
    return h->full ? &h->changes : NULL;
}

void pn_health_gradients(pn_health *h)
{
    for (size_t i = 0; i < h->n_segments; i++) {
        const pn_segment *s = h->segments[i];
        double sums[3] = { 0 };
        h->k->probe->sum_changes(s->n, s->p, s->p, s->g, sums);
        h->changes.segment[i].gradient += sums[0];
        h->changes.segment[i].update = NAN;
        h->changes.segment[i].weight += sums[2];
    }
    h->updates++;
}

void pn_health_before(pn_health *h)
{
    char *to = h->before;
    for (size_t i = 0; h->full && i < h->n_segments; i++) {
        const pn_segment *s = h->segments[i];
        double sums[3] = { 0 };
        h->k->probe->sum_changes(s->n, s->p, s->p, s->g, sums);
        h->changes.segment[i].gradient += sums[0];
        h->changes.segment[i].weight += sums[2];
        memcpy(to, s->p, s->n * pn_size(s->dtype));
        to += s->n * pn_size(s->dtype);
    }
}

void pn_health_after(pn_health *h)
{
    const char *from = h->before;
    for (size_t i = 0; h->full && i < h->n_segments; i++) {
        const pn_segment *s = h->segments[i];
        double sums[3] = { 0 };
        h->k->probe->sum_changes(s->n, from, s->p, s->g, sums);
        h->changes.segment[i].update += sums[1];
        from += s->n * pn_size(s->dtype);
    }
    h->updates += h->full;
}

/* Returns whether the gradient of any of these biases is nonzero. */
static int any_nonzero(pn_dtype t, const void *bias, const size_t *left, size_t n)
{
    int any = 0;
    if (t == PN_F32) for (size_t k = 0; k < n; k++) any |= ((const float *)bias)[left[k]] != 0;
    else for (size_t k = 0; k < n; k++) any |= ((const double *)bias)[left[k]] != 0;
    return any;
}

void pn_health_end(pn_health *h, int has_gradients)
{
    h->steps++;
    if (!h->pending) return;
    const pn_dtype t = h->graph->dtype;
    h->pending = h->pending_unbiased = 0;
    for (size_t i = 0; i < h->graph->n_nodes; i++) {
        node_stats *w = &h->nodes[i];
        const void *bias = has_gradients ? w->bias : NULL;
        size_t left = w->n_candidates;
        if (left && (h->full || !bias || any_nonzero(t, bias, w->candidates, left))) {
            left = 0;
            for (size_t k = 0; k < w->n_candidates; k++) {
                const size_t j = w->candidates[k];
                if (w->live[j] == 0 && !(bias && pn_element(t, bias, j) != 0))
                    w->candidates[left++] = j;
            }
            w->n_candidates = left;
        }
        h->pending += left > 0;
        h->pending_unbiased += left && !w->bias;
    }
}

/* ---- results --------------------------------------------------------------------------------- */

void pn_health_node(const pn_health *h, size_t node, pn_node_health *out)
{
    const node_stats *w = &h->nodes[node];
    *out = (pn_node_health){ .units = w->units, .probes = w->probes };
    out->mean = out->spread = out->gradient = out->update = out->weight = NAN;
    out->flat_low = w->flat_low;
    out->flat_high = w->flat_high;
    if (w->seen > 0) out->dead = w->n_candidates;
    for (size_t j = 0; j < w->units && w->seen > 0; j++)
        out->saturated += w->small[j] >= MOST * w->seen;
    for (size_t k = 0; k < out->dead; k++)
        out->saturated -= w->small[w->candidates[k]] >= MOST * w->seen;
    if (w->probes) {
        out->mean = w->mean;
        out->spread = sqrt(w->squares / w->values);
    }
    pn_change sum = { 0 };
    int any = 0;
    for (size_t i = 0; i < h->n_segments; i++) {
        if (h->owner[i] != node) continue;
        any = 1;
        sum.gradient += h->changes.segment[i].gradient;
        sum.update += h->changes.segment[i].update;
        sum.weight += h->changes.segment[i].weight;
    }
    if (!any || !h->updates) return;
    out->updates = h->updates;
    out->gradient = sqrt(sum.gradient / (double)h->updates);
    out->update = sqrt(sum.update / (double)h->updates);
    out->weight = sqrt(sum.weight / (double)h->updates);
}
