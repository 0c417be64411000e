/* pad.c - pads or crops the last axes of the sample: constant, reflected, replicated or
 * circular. */
#include "layers.h"
#include "../graph/builder.h"
#include <stdio.h>
#include <string.h>

#define MODES(CHOICE) \
    CHOICE(CONSTANT, "constant") \
    CHOICE(REFLECT, "reflect") CHOICE(REPLICATE, "replicate") CHOICE(CIRCULAR, "circular")
enum { MODES(PN_CHOICE_CONSTANT) };
static const char *const modes[] = { MODES(PN_CHOICE_NAME) NULL };

#define FIELDS(FIELD, T) \
    FIELD(T, CHOICE, mode, ONE_OF(modes), "values of new elements") \
    FIELD(T, NUMBER, value, ANY, "value of new elements in mode constant") \
    FIELD(T, INTEGERS, before, ANY, "new elements at the start of each of the last axes") \
    FIELD(T, INTEGERS, after, ANY, "new elements at the end; negative numbers remove elements")
PN_CONFIG(pad_config, FIELDS)
static const size_t NOWHERE = SIZE_MAX;

/* The elements, of n, that remain; negative padding removes some. */
static double kept(double n, const double *pad)
{
    return n + (pad[0] < 0 ? pad[0] : 0) + (pad[1] < 0 ? pad[1] : 0);
}

/* The element of an axis of n that element j of the padded axis copies. Circular padding repeats
 * only elements that are kept, as in PyTorch; the other modes extend the whole axis. */
static size_t source(int mode, double j, double n, const double *pad)
{
    const double i = j - pad[0], least = mode == CIRCULAR && pad[0] < 0 ? -pad[0] : 0,
                 end = mode == CIRCULAR ? least + kept(n, pad) : n;
    if (i >= least && i < end) return (size_t)i;
    switch (mode) {
    case REFLECT: return (size_t)(i < 0 ? -i : 2 * (n - 1) - i);
    case REPLICATE: return i < 0 ? 0 : (size_t)n - 1;
    case CIRCULAR: return (size_t)(i < least ? i + (end - least) : i - (end - least));
    default: return NOWHERE;
    }
}

/* Whether an axis of n elements can be padded by these two numbers. */
static int enough(int mode, double n, const double *pad)
{
    const double most = mode == REFLECT  ? n - 1
                      : mode == CIRCULAR ? kept(n, pad)
                                         : (double)SIZE_MAX;
    for (int side = 0; side < 2; side++)
        if (pad[side] > 0 && (pad[side] > most || (mode == REPLICATE && n == 0))) return 0;
    return 1;
}

static pn_status shape(pn_node *node, const pn_shape *const *inputs, pn_dtype t, pn_error *error)
{
    const pn_shape *input = inputs[0];
    const pad_config *c = pn_config(node);
    const size_t axes = c->before.n;
    char text[80], pads[80] = "";
    (void)t;
    if (axes == 0 || c->after.n != axes)
        return pn_fail(
            error, PN_BAD_VALUE,
            "%s: before and after must have one number for each padded axis, got %zu and %zu",
            node->where, axes, c->after.n);
    pn_shape_text(input, text, sizeof text);
    if (axes > input->ndim)
        return pn_fail(error, PN_BAD_SHAPE,
                       "%s: a sample of shape %s has fewer than the %zu axes to pad", node->where,
                       text, axes);
    for (size_t i = 0, used = 0; i < axes && used < sizeof pads; i++)
        used += (size_t)snprintf(pads + used, sizeof pads - used, i ? ", %td, %td" : "%td, %td",
                                 c->before.at[i], c->after.at[i]);
    node->shape = *input;
    for (size_t i = 0; i < axes; i++) {
        const size_t axis = input->ndim - axes + i;
        const double n = (double)input->dim[axis],
                     pad[2] = { (double)c->before.at[i], (double)c->after.at[i] },
                     all = n + pad[0] + pad[1];
        if (!(all >= 0 && all < 0x1p53) || !enough(c->mode, n, pad))
            return pn_fail(
                error, PN_BAD_SHAPE,
                "%s: a sample of shape %s cannot be padded by (%s) in mode %s: "
                "axis %zu is too short",
                node->where, text, pads, modes[c->mode], axis);
        node->shape.dim[axis] = (size_t)all;
    }
    return PN_OK;
}

/* Images of rows and columns. row[i] and column[j] are the sources of those of the padded image;
 * columns in [first, until) are contiguous. */
typedef struct {
    size_t images, chunk, rows, columns, out_rows, out_columns, first, until, size;
    const size_t *row, *column;
    union { float f32; double f64; } constant;
} pad;

static void pad_row(const pad *p, const char *x, char *y)
{
    for (size_t j = 0; j < p->out_columns; j++) {
        if (j == p->first && p->until > j) {
            memcpy(y + j * p->size, x + p->column[j] * p->size, (p->until - j) * p->size);
            j = p->until - 1;
        } else
            pn_copy(y + j * p->size,
                    p->column[j] == NOWHERE ? (const char *)&p->constant
                                            : x + p->column[j] * p->size,
                    p->size);
    }
}

/* Adds the gradient of each element to that of its source. */
static void unpad_row(const pad *p, const pn_typed_kernels *k, const char *gy, char *gx)
{
    for (size_t j = 0; j < p->out_columns; j++) {
        const size_t n = j == p->first && p->until > j ? p->until - j : 1;
        if (p->column[j] != NOWHERE) {
            char *to = gx + p->column[j] * p->size;
            k->add(n, to, gy + j * p->size, to);
        }
        j += n - 1;
    }
}

typedef struct { const pad *p; const pn_typed_kernels *k; const char *x; char *y; } job;

static size_t last_image(const pad *p, size_t i)
{
    return pn_min((i + 1) * p->chunk, p->images);
}

static void pad_chunk(void *context, size_t i)
{
    const job *j = context;
    const pad *p = j->p;
    const size_t line = p->out_columns * p->size;
    for (size_t image = i * p->chunk; image < last_image(p, i); image++) {
        const char *x = j->x + image * p->rows * p->columns * p->size;
        char *y = j->y + image * p->out_rows * line;
        for (size_t r = 0; r < p->out_rows; r++, y += line) {
            if (p->row[r] != NOWHERE) pad_row(p, x + p->row[r] * p->columns * p->size, y);
            else
                for (size_t c = 0; c < p->out_columns; c++)
                    pn_copy(y + c * p->size, &p->constant, p->size);
        }
    }
}

static void unpad_chunk(void *context, size_t i)
{
    const job *j = context;
    const pad *p = j->p;
    const size_t line = p->columns * p->size;
    for (size_t image = i * p->chunk; image < last_image(p, i); image++) {
        const char *gy = j->x + image * p->out_rows * p->out_columns * p->size;
        char *gx = j->y + image * p->rows * line;
        memset(gx, 0, p->rows * line);
        for (size_t r = 0; r < p->out_rows; r++, gy += p->out_columns * p->size)
            if (p->row[r] != NOWHERE) unpad_row(p, j->k, gy, gx + p->row[r] * line);
    }
}

static void run_forward(const pn_step *s, void *const *at)
{
    const pad *p = s->args;
    pn_parallel((p->images + p->chunk - 1) / p->chunk, pad_chunk,
                &(job){ p, s->k, at[s->in], at[s->out] });
}
static void run_backward(const pn_step *s, void *const *at)
{
    const pad *p = s->args;
    pn_parallel((p->images + p->chunk - 1) / p->chunk, unpad_chunk,
                &(job){ p, s->k, at[s->in], at[s->out] });
}

/* All padded axes but the last form rows. Sets the source of each row, NOWHERE if it is padding
 * along any axis. */
static void fill_rows(const pn_node *n, const pn_shape *input, size_t first, pad *p, size_t *row)
{
    const pad_config *c = pn_config(n);
    for (size_t r = 0; r < p->out_rows; r++) {
        size_t rest = r, stride = 1;
        row[r] = 0;
        for (size_t axis = input->ndim - 1; axis-- > first;) {
            const size_t i = rest % n->shape.dim[axis];
            const double pads[2] = { (double)c->before.at[axis - first],
                                     (double)c->after.at[axis - first] };
            const size_t from = source(c->mode, (double)i, (double)input->dim[axis], pads);
            rest /= n->shape.dim[axis];
            row[r] = row[r] == NOWHERE || from == NOWHERE ? NOWHERE : row[r] + from * stride;
            stride *= input->dim[axis];
        }
    }
}

static const pad *pad_of(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    const pn_shape *input = &b->graph->nodes[n->inputs[0]].shape;
    const pad_config *c = pn_config(n);
    const size_t axes = c->before.n, first = input->ndim - axes, last = input->ndim - 1;
    pad p = { .images = b->rows,
              .rows = 1,
              .out_rows = 1,
              .columns = input->dim[last],
              .out_columns = n->shape.dim[last],
              .size = pn_size(b->graph->dtype) };
    for (size_t i = 0; i < first; i++) p.images *= input->dim[i];
    for (size_t i = first; i < last; i++) {
        p.rows *= input->dim[i];
        p.out_rows *= n->shape.dim[i];
    }
    size_t *table = pn_plan_alloc(b, (p.out_rows + p.out_columns) * sizeof *table);
    pad *own = table ? pn_plan_alloc(b, sizeof *own) : NULL;
    if (!own) return NULL;
    const double before = (double)c->before.at[axes - 1], columns = (double)p.columns,
                 pads[2] = { before, (double)c->after.at[axes - 1] };
    fill_rows(n, input, first, &p, table);
    p.row = table;
    p.column = table += p.out_rows;
    for (size_t j = 0; j < p.out_columns; j++)
        table[j] = source(c->mode, (double)j, columns, pads);
    p.first = before > 0 ? (size_t)before : 0;
    p.until = before + columns < (double)p.out_columns
                ? (size_t)(before + columns > 0 ? before + columns : 0)
                : p.out_columns;
    p.chunk = PN_CHUNK / (p.out_rows * p.out_columns + 1) + 1;
    pn_element_set(b->graph->dtype, &p.constant, 0, c->value);
    *own = p;
    return own;
}

static pn_status add(pn_builder *b, size_t node, const char *what, pn_step_fn *run, int x, int y)
{
    const pad *p = y == PN_NONE ? NULL : pad_of(b, node);
    pn_step *s = p ? pn_step_new(b, what, run) : NULL;
    if (!s) return PN_NO_MEMORY;
    s->args = (void *)p;
    s->in = x;
    s->out = y;
    pn_step_uses(b, x);
    pn_step_uses(b, y);
    return PN_OK;
}

static pn_status forward(pn_builder *b, size_t node)
{
    int y = b->value[node] = pn_output_buffer(b, node, 0);
    return add(b, node, "pad", run_forward, b->value[b->graph->nodes[node].inputs[0]], y);
}

static pn_status backward(pn_builder *b, size_t node)
{
    const size_t input = b->graph->nodes[node].inputs[0];
    if (!pn_needs_gradient(b, input)) return PN_OK;
    return add(b, node, "pad gradient", run_backward, b->grad[node],
               pn_gradient_buffer(b, input, PN_NONE));
}

const pn_layer_kind pn_layer_pad = {
    "pad", 1, 1, shape, forward, backward, PN_LAYOUT_NCHW, pad_config_fields
};
