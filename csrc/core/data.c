/* data.c - rows of samples gathered and converted for a plan, and the score of what comes out of it. */
#include "data.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { GATHER_BYTES = 1 << 16 };        /* a thread's share at the least */
enum { FETCH_BYTES = 512 };             /* of a row, fetched ahead: what follows is a stream, which the machine sees coming */

size_t pn_sample_bytes(const pn_graph *g, size_t node) { return pn_count(&g->nodes[node].shape) * pn_size(g->dtype); }
size_t pn_width(const pn_graph *g, size_t output) { return pn_count(&g->nodes[g->outputs[output]].shape); }

/* ---- room -------------------------------------------------------------------------------------------------------- */

void pn_room_free(pn_room *room, const pn_graph *g)
{
    for (size_t i = 0; room->x && i < g->n_inputs; i++) pn_arena_free(room->x[i]);
    for (size_t i = 0; room->target && i < g->n_outputs; i++) free(room->target[i]);
    for (size_t i = 0; room->weight && i < g->n_outputs; i++) free(room->weight[i]);
    for (size_t i = 0; room->label && i < g->n_outputs; i++) free(room->label[i]);
    free(room->x);
    free(room->target);
    free(room->weight);
    free(room->label);
    *room = (pn_room){ 0 };
}

pn_status pn_room_reserve(pn_room *room, const pn_graph *g, size_t rows, pn_error *error)
{
    if (room->x && rows <= room->rows) return PN_OK;
    pn_room_free(room, g);
    room->x = calloc(g->n_inputs, sizeof *room->x);
    room->target = calloc(g->n_outputs, sizeof *room->target);
    room->weight = calloc(g->n_outputs, sizeof *room->weight);
    room->label = calloc(g->n_outputs, sizeof *room->label);
    int ok = room->x && room->target && room->weight && room->label;
    for (size_t i = 0; ok && i < g->n_inputs; i++) ok = (room->x[i] = pn_arena_new(rows * pn_sample_bytes(g, g->inputs[i]) + 1)) != NULL;
    for (size_t i = 0; ok && i < g->n_outputs; i++) {
        room->target[i] = malloc(rows * pn_sample_bytes(g, g->outputs[i]) + 1);
        room->weight[i] = malloc(rows * pn_size(g->dtype) + 1);
        room->label[i] = malloc(rows * sizeof **room->label + 1);
        ok = room->target[i] && room->weight[i] && room->label[i];
    }
    room->rows = ok ? rows : 0;
    if (ok) return PN_OK;
    pn_room_free(room, g);
    return pn_fail(error, PN_NO_MEMORY, "no memory for a batch of %zu rows", rows);
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

/* n elements of another type, one after the other. */
#define SOURCES(ROW) \
    ROW(PN_FROM_F32, float) ROW(PN_FROM_F64, double) ROW(PN_FROM_I8, int8_t) ROW(PN_FROM_U8, uint8_t) ROW(PN_FROM_I16, int16_t) \
    ROW(PN_FROM_U16, uint16_t) ROW(PN_FROM_I32, int32_t) ROW(PN_FROM_U32, uint32_t) ROW(PN_FROM_I64, int64_t) ROW(PN_FROM_U64, uint64_t)
static size_t source_size(pn_source from)
{
    switch (from) {
#define ROW(source, type) case source: return sizeof(type);
    SOURCES(ROW)
#undef ROW
    }
    return 0;
}
static void convert(pn_source from, pn_dtype to, size_t n, const void *x, void *y)
{
    switch (from) {
#define ROW(source, type) \
    case source: \
        if (to == PN_F32) for (size_t i = 0; i < n; i++) ((float *)y)[i] = (float)((const type *)x)[i]; \
        else for (size_t i = 0; i < n; i++) ((double *)y)[i] = (double)((const type *)x)[i]; \
        break;
    SOURCES(ROW)
#undef ROW
    }
}

/* Rows of few bytes without a call each. */
static void copy(void *to, const void *from, size_t bytes)
{
    if (bytes == 4) memcpy(to, from, 4);
    else if (bytes == 8) memcpy(to, from, 8);
    else if (bytes == 16) memcpy(to, from, 16);
    else memcpy(to, from, bytes);
}

static pn_source native(pn_dtype t) { return t == PN_F32 ? PN_FROM_F32 : PN_FROM_F64; }

typedef struct {
    const pn_samples *samples;
    pn_dtype dtype;
    size_t elements;                    /* of a sample */
    const size_t *order;
    size_t start, n, share;
    char *x;
} gathering;

static void gather(void *context, size_t task)
{
    const gathering *j = context;
    const size_t bytes = j->elements * pn_size(j->dtype);
    size_t end = (task + 1) * j->share < j->n ? (task + 1) * j->share : j->n;
    for (size_t k = task * j->share; k < end; k++) {
        size_t row = j->order ? j->order[j->start + k] : j->start + k;
        const char *x = (const char *)j->samples->x + (ptrdiff_t)row * j->samples->stride;
        if (j->samples->type == native(j->dtype)) copy(j->x + k * bytes, x, bytes);
        else convert(j->samples->type, j->dtype, j->elements, x, j->x + k * bytes);
    }
}

int pn_data_in_place(const pn_graph *g, size_t i, const pn_samples *samples)
{
    return samples->type == native(g->dtype) && samples->stride == (ptrdiff_t)pn_sample_bytes(g, g->inputs[i]);
}

const void *pn_data_rows(const pn_graph *g, size_t i, const pn_samples *samples, const size_t *order, size_t start, size_t n, void *x)
{
    const size_t bytes = pn_sample_bytes(g, g->inputs[i]);
    if (!order && pn_data_in_place(g, i, samples)) return (const char *)samples->x + start * bytes;
    gathering j = { samples, g->dtype, pn_count(&g->nodes[g->inputs[i]].shape), order, start, n, GATHER_BYTES / (bytes + 1) + 1, x };
    pn_parallel((n + j.share - 1) / j.share, gather, &j);
    return x;
}

pn_target pn_data_targets(const pn_graph *g, size_t i, const pn_target *y, const size_t *order, size_t start, size_t n, const pn_room *room)
{
    const size_t bytes = pn_sample_bytes(g, g->outputs[i]), size = pn_size(g->dtype);
    const char *target = y->target, *weight = y->sample_weight;
    if (!order)
        return (pn_target){ .target = target ? target + start * bytes : NULL, .label = y->label ? y->label + start : NULL,
                            .sample_weight = weight ? weight + start * size : NULL };
    for (size_t k = 0; k < n; k++) {
        const size_t row = order[start + k];
        if (y->label) room->label[i][k] = y->label[row];
        else copy((char *)room->target[i] + k * bytes, target + row * bytes, bytes);
        if (weight) copy((char *)room->weight[i] + k * size, weight + row * size, size);
    }
    return (pn_target){ .target = y->label ? NULL : room->target[i], .label = y->label ? room->label[i] : NULL,
                        .sample_weight = weight ? room->weight[i] : NULL };
}

void pn_data_fetch(const pn_graph *g, const pn_data *data, const size_t *order, size_t start, size_t n)
{
    for (size_t i = 0; i < g->n_inputs; i++) {
        const pn_samples *samples = &data->x[i];
        const size_t bytes = pn_count(&g->nodes[g->inputs[i]].shape) * source_size(samples->type), most = bytes < FETCH_BYTES ? bytes : FETCH_BYTES;
        for (size_t k = start; k < start + n; k++)
            for (size_t b = 0; b < most; b += 64) __builtin_prefetch((const char *)samples->x + (ptrdiff_t)order[k] * samples->stride + b);
    }
    for (size_t i = 0; i < g->n_outputs; i++) {
        const size_t bytes = data->y[i].label ? sizeof(int64_t) : pn_sample_bytes(g, g->outputs[i]);
        const char *y = data->y[i].label ? (const char *)data->y[i].label : data->y[i].target;
        for (size_t k = start; y && k < start + n; k++) __builtin_prefetch(y + order[k] * bytes);
    }
}

/* A class loss reads one row of scores a sample. */
pn_status pn_data_check(const pn_graph *g, const pn_data *data, const pn_criterion *criteria, pn_error *error)
{
    pn_status status = PN_OK;
    for (size_t i = 0; i < g->n_outputs && !status; i++) {
        const pn_shape *s = &g->nodes[g->outputs[i]].shape;
        if (strchr("rb", criteria[i].row->kind) && s->ndim != 1) {
            char text[80];
            pn_shape_text(s, text, sizeof text);
            return pn_fail(error, PN_BAD_SHAPE, "the model's output %s a sample is not one row of classes, as %s needs", text,
                           criteria[i].row->cls);
        }
        status = pn_loss_check_fit(&criteria[i], error);
        if (!status) status = pn_loss_check(&criteria[i], g->dtype, data->rows, pn_width(g, i), &data->y[i], error);
    }
    return status;
}

/* ---- the score --------------------------------------------------------------------------------------------------- */

static double element(pn_dtype t, const void *x, size_t i) { return t == PN_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i]; }

/* n, which is no class, for a row that holds a NaN. */
static size_t arg_max(pn_dtype t, const void *x, size_t from, size_t n)
{
    size_t best = 0;
    double most = -INFINITY;
    for (size_t j = 0; j < n; j++) {
        double v = element(t, x, from + j);
        if (v != v) return n;
        if (v > most) most = v, best = j;
    }
    return best;
}

/* How many predictions are right, as the loss's metric counts them. */
static size_t count_correct(char metric, pn_dtype t, size_t rows, size_t cols, const void *y, const pn_target *target)
{
    size_t correct = 0;
    if (metric == 'a')
        for (size_t i = 0; i < rows; i++) {
            size_t want = target->label ? (size_t)target->label[i] : arg_max(t, target->target, i * cols, cols);
            correct += arg_max(t, y, i * cols, cols) == want;
        }
    if (metric == 'l' || metric == 'p')
        for (size_t i = 0; i < rows * cols; i++) {
            double v = element(t, y, i);
            correct += v == v && (v > (metric == 'l' ? 0 : 0.5)) == (element(t, target->target, i) > 0.5);
        }
    return correct;
}

void pn_score_add(pn_score *score, const pn_graph *g, size_t i, const pn_criterion *loss, size_t rows, const void *y, const pn_target *target, double sum)
{
    score->loss += sum;
    score->divisor += pn_loss_divisor(loss, g->dtype, rows, pn_width(g, i), target);
    score->values += pn_loss_values(loss, rows, pn_width(g, i));
    score->rows += rows;
    score->correct += count_correct(loss->row->metric, g->dtype, rows, pn_width(g, i), y, target);
}

int64_t pn_now_ms(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int pn_poll(const pn_fit_options *o, int64_t *asked)
{
    int64_t now = pn_now_ms(), since = now - *asked;
    if (!o || !o->poll || (since >= 0 && since < 20)) return 0;
    *asked = now;
    return o->poll(o->context);
}
