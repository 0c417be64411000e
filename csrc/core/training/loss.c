/* loss.c - losses with their settings: checks of targets, divisors of means, and the evaluation
 * over blocks of rows. */
#include "loss.h"
#include "formula_loss.h"
#include "../base/array.h"
#include "../base/error.h"
#include "../kernels/isa.h"
#include <math.h>
#include <string.h>

/* ---- custom losses and formulas -------------------------------------------------------------- */
static const pn_loss CUSTOM = { .name = "custom",
                                .cls = "FunctionLoss",
                                .kind = 'e',
                                .target = PN_TARGET_ANY,
                                .inputs = "input target" };
const pn_loss *pn_loss_custom(void) { return &CUSTOM; }

static const pn_loss FORMULA = { .name = "formula",
                                 .cls = "FormulaLoss",
                                 .kind = 'e',
                                 .target = PN_TARGET_REAL,
                                 .inputs = "input target" };
const pn_loss *pn_loss_formula(void) { return &FORMULA; }

size_t pn_loss_inputs(const pn_criterion *loss)
{
    size_t n = 1;
    for (const char *c = loss->row->inputs; *c; c++) n += *c == ' ';
    return n - (strstr(loss->row->inputs, "target") != NULL);
}

/* ---- checks ---------------------------------------------------------------------------------- */
static int by_class(const pn_loss *row) { return row->target == 'c' || row->target == 'p'; }

int pn_loss_ignores(const pn_criterion *loss, int64_t label)
{
    return by_class(loss->row) && label == loss->ignore_index;
}

size_t pn_loss_target_width(const pn_criterion *loss, size_t cols)
{
    const pn_target_kind target = loss->row->target;
    return target == 'c' || target == 'i' || (target == 's' && loss->row->kind == 'r') ? 1 : cols;
}

size_t pn_loss_label_width(const pn_criterion *loss, size_t cols)
{
    return loss->row->target == 'm' ? cols : 1;
}
static size_t rows_of_sample(const pn_target *target)
{
    return target->rows_per_sample ? target->rows_per_sample : 1;
}

size_t pn_loss_weights(const pn_criterion *loss, size_t rows, size_t cols, const pn_target *target)
{
    return target->per_value ? pn_loss_values(loss, rows, cols) : rows / rows_of_sample(target);
}

size_t pn_loss_wrong_label(const pn_criterion *loss, size_t n, size_t cols, const int64_t *label)
{
    const int several = loss->row->target == 'm';
    size_t i = 0;
    while (i < n && (((uint64_t)label[i] < cols) || pn_loss_ignores(loss, label[i]) ||
                     (several && label[i] == -1)))
        i++;
    return i;
}

enum { CHECK_ELEMENTS = 1 << 18 };      /* elements between two polls for a signal */
static pn_status stopped(pn_error *error)
{
    return pn_fail(error, PN_STOPPED, "stopped while targets were checked");
}

static pn_status check_labels(const pn_criterion *loss, size_t rows, size_t cols,
                              const pn_target *target, const char *name, pn_error *error)
{
    const size_t width = pn_loss_label_width(loss, cols), n = rows * width;
    size_t i = 0;
    for (size_t end = 0; i == end && end < n;) {
        if (pn_stop_now()) return stopped(error);
        end = i + pn_min(n - i, CHECK_ELEMENTS);
        i += pn_loss_wrong_label(loss, end - i, cols, target->label + i);
    }
    if (i == n) return PN_OK;
    return pn_fail(error, PN_BAD_VALUE, "%s: class %lld in row %zu is not in 0..%lld (%zu classes)",
                   name, (long long)target->label[i], i / width / rows_of_sample(target),
                   (long long)cols - 1, cols);
}

static pn_status check_numbers(const pn_criterion *loss, pn_dtype t, size_t rows, size_t cols,
                               const pn_target *target, const char *name, pn_error *error)
{
    const pn_target_kind kind = loss->row->target;
    const char *cls = loss->row->cls;
    const size_t per_sample = pn_loss_target_width(loss, cols) * rows_of_sample(target);
    for (size_t i = 0; kind != 'a' && i < rows * pn_loss_target_width(loss, cols); i++) {
        double v = pn_element(t, target->target, i);
        if (i % CHECK_ELEMENTS == 0 && pn_stop_now()) return stopped(error);
        if (!isfinite(v))
            return pn_fail(error, PN_BAD_VALUE, "%s: %g in row %zu is not a finite number", name, v,
                           i / per_sample);
        if (kind == 's' && v != 1 && v != -1)
            return pn_fail(error, PN_BAD_VALUE, "%s: %g in row %zu is not 1 or -1, as %s needs",
                           name, v, i / per_sample, cls);
        if (kind != 's' && kind != 'r' && !(v >= 0 && v <= 1))
            return pn_fail(error, PN_BAD_VALUE, "%s: %g in row %zu is not in [0, 1], as %s needs",
                           name, v, i / per_sample, cls);
    }
    return PN_OK;
}

/* Checks that the second corner of every target box is not left of or above the first. */
static pn_status check_boxes(const pn_criterion *loss, pn_dtype t, size_t rows,
                             const pn_target *target, const char *name, pn_error *error)
{
    size_t i = 0;                           /* the lower coordinate of a pair */
    double low = 0, high = 0;
    for (; i < 4 * rows; i += i % 4 ? 3 : 1) {
        low = pn_element(t, target->target, i);
        high = pn_element(t, target->target, i + 2);
        if (i % CHECK_ELEMENTS == 0 && pn_stop_now()) return stopped(error);
        if (high < low) break;
    }
    if (i >= 4 * rows) return PN_OK;
    return pn_fail(error, PN_BAD_VALUE,
                   "%s: the box in row %zu has %s %g < %s %g; "
                   "%s takes (x1, y1, x2, y2) with x1 <= x2 and y1 <= y2",
                   name, i / 4 / rows_of_sample(target), i % 4 ? "y2" : "x2", high,
                   i % 4 ? "y1" : "x1", low, loss->row->cls);
}

/* Checks n weights, of which per_sample belong to each sample. */
static pn_status check_sample_weight(pn_dtype t, size_t n, size_t per_sample, const void *w,
                                     pn_error *error)
{
    for (size_t i = 0; w && i < n; i++) {
        double v = pn_element(t, w, i);
        if (i % CHECK_ELEMENTS == 0 && pn_stop_now()) return stopped(error);
        if (!isfinite(v))
            return pn_fail(error, PN_BAD_VALUE,
                           "sample_weight: %g in row %zu is not a finite number", v,
                           i / per_sample);
    }
    return PN_OK;
}

pn_status pn_loss_check(const pn_criterion *loss, pn_dtype t, size_t rows, size_t cols,
                        const pn_target *target, pn_error *error)
{
    const pn_loss *row = loss->row;
    const char *name = target->name ? target->name : "target";
    const int only_labels = strchr("cim", row->target) != NULL;
    if ((only_labels || row->target == 'p') && cols == 0 && rows > 0)
        return pn_fail(error, PN_BAD_SHAPE, "input: %s needs at least one class", row->cls);
    if (row->kind == 'b' && cols != 4)
        return pn_fail(error, PN_BAD_SHAPE, "input: %s takes boxes of 4 numbers, got %zu", row->cls,
                       cols);
    const size_t weights = pn_loss_weights(loss, rows, cols, target),
                 samples = rows / rows_of_sample(target),
                 per_sample = samples && weights > samples ? weights / samples : 1;
    pn_status status = check_sample_weight(t, weights, per_sample, target->sample_weight, error);
    if (status || row->target == 'n' || loss->call) return status;
    if (target->label) {
        if (!only_labels && row->target != 'p')
            return pn_fail(error, PN_BAD_VALUE,
                           "%s: %s takes numbers like the prediction, not class indices", name,
                           row->cls);
        return check_labels(loss, rows, cols, target, name, error);
    }
    if (!target->target && rows * cols > 0)
        return pn_fail(error, PN_BAD_VALUE, "%s: missing, but %s needs one", name, row->cls);
    if (only_labels)
        return pn_fail(error, PN_BAD_VALUE, "%s: %s takes integer class indices", name, row->cls);
    status = check_numbers(loss, t, rows, cols, target, name, error);
    return status || row->kind != 'b' ? status : check_boxes(loss, t, rows, target, name, error);
}

pn_status pn_loss_check_fit(const pn_criterion *loss, size_t ndim, const size_t *shape,
                            pn_loss_view *view, pn_error *error)
{
    const char kind = loss->row->kind;
    const int boxes = kind == 'b', rows = kind == 'r';
    if (kind == 's')
        return pn_fail(error, PN_BAD_VALUE,
                       "loss: %s takes (%s), but fit does not support sequence lengths",
                       loss->row->cls, loss->row->inputs);
    if ((boxes || rows) && (ndim == 0 || (rows && !by_class(loss->row) && ndim != 1))) {
        pn_shape s = { .ndim = ndim };
        char text[80];
        memcpy(s.dim, shape, ndim * sizeof *shape);
        pn_shape_text(&s, text, sizeof text);
        return pn_fail(error, PN_BAD_SHAPE,
                       "the model's output %s a sample is not one row of classes, as %s needs",
                       text, loss->row->cls);
    }
    *view = (pn_loss_view){ .positions = 1, .cols = 1, .last = !rows || ndim == 1 };
    for (size_t i = 0; i < ndim; i++) {
        const int position = (boxes && i + 1 < ndim) || (rows && i > 0);
        *(position ? &view->positions : &view->cols) *= shape[i];
    }
    return PN_OK;
}

/* The index of the first of n numbers that is below 0 or above high, ignoring NaN; n if there is
 * none. */
static size_t first_outside(pn_dtype t, size_t n, const void *x, double high)
{
    enum { BLOCK = 1024 };
    for (size_t i = 0; i < n; i += BLOCK) {
        const size_t m = pn_min(n - i, BLOCK);
        int outside = 0;
        if (t == PN_F32) {
            const float *v = (const float *)x + i, most = (float)high;
            for (size_t k = 0; k < m; k++) outside |= (v[k] < 0) | (v[k] > most);
        } else {
            const double *v = (const double *)x + i;
            for (size_t k = 0; k < m; k++) outside |= (v[k] < 0) | (v[k] > high);
        }
        for (size_t k = i; outside && k < i + m; k++)
            if (pn_element(t, x, k) < 0 || pn_element(t, x, k) > high) return k;
    }
    return n;
}

/* The loss that takes logits where this one takes probabilities; NULL if there is none. */
static const pn_loss *loss_of_logits(const pn_loss *row)
{
    const pn_loss *other;
    for (size_t i = 0; row->from_logits && (other = pn_loss_at(i)); i++)
        if (!strcmp(other->name, row->from_logits)) return other;
    return NULL;
}

pn_status pn_loss_check_input(const pn_criterion *loss, pn_dtype t, size_t k, size_t n,
                              const void *x, const char *name, pn_error *error)
{
    const pn_loss *row = loss->row;
    const int probability = k == 0 && row->takes == PN_TAKES_PROBABILITIES,
              variance = k == 1 && row->has_variance;
    if (!probability && !variance) return PN_OK;
    const size_t i = first_outside(t, n, x, probability ? 1 : INFINITY);
    if (i == n) return PN_OK;
    const double v = pn_element(t, x, i);
    if (variance)
        return pn_fail(error, PN_BAD_VALUE, "%s: %g is negative, and %s needs variances",
                       name ? name : "var", v, row->cls);
    const pn_loss *other = loss_of_logits(row);
    return pn_fail(error, PN_BAD_VALUE, "%s: %g is not a probability in [0, 1], as %s needs%s%s",
                   name ? name : "input", v, row->cls, other ? "; for logits use " : "",
                   other ? other->cls : "");
}

pn_status pn_sequences_check(const pn_criterion *loss, size_t rows, size_t cols,
                             const pn_sequences *q, size_t n_labels, const int64_t *label,
                             pn_error *error)
{
    const int64_t blank = (int64_t)loss->params[0];
    if (blank >= (int64_t)cols)
        return pn_fail(error, PN_BAD_VALUE, "blank: class %lld is not in 0..%lld", (long long)blank,
                       (long long)cols - 1);
    for (size_t i = 0; i < rows; i++) {
        int64_t in = q->input_length[i], n = q->target_length[i];
        if (in < 0 || in > (int64_t)q->steps)
            return pn_fail(error, PN_BAD_VALUE,
                           "input_lengths: %lld of sequence %zu is not in 0..%zu", (long long)in, i,
                           q->steps);
        if (n < 0 || q->start[i] < 0 || (size_t)q->start[i] > n_labels ||
            (size_t)n > n_labels - (size_t)q->start[i])
            return pn_fail(error, PN_BAD_VALUE,
                           "target_lengths: %lld of sequence %zu is negative or exceeds the "
                           "length of targets",
                           (long long)n, i);
        for (int64_t k = 0; k < n; k++) {
            int64_t c = label[q->start[i] + k];
            if (c < 0 || c >= (int64_t)cols || c == blank)
                return pn_fail(error, PN_BAD_VALUE, "targets: class %lld of sequence %zu is %s",
                               (long long)c, i, c == blank ? "the blank" : "not one of log_probs");
        }
    }
    return PN_OK;
}

size_t pn_sequences_work(size_t rows, size_t cols, const pn_sequences *q)
{
    size_t most = 0;
    for (size_t i = 0; i < rows; i++) {
        size_t n = ((size_t)q->input_length[i] + 1) * (2 * (size_t)q->target_length[i] + 1) + cols;
        most = pn_max(n, most);
    }
    return most;
}

/* ---- evaluation ------------------------------------------------------------------------------ */
size_t pn_loss_values(const pn_criterion *loss, size_t rows, size_t cols)
{
    return loss->row->kind == 'e' ? rows * cols : rows;
}

double pn_loss_divisor(const pn_criterion *loss, pn_dtype t, size_t rows, size_t cols,
                       const pn_target *target)
{
    if (loss->reduction == PN_SUM) return 1;
    if (loss->reduction == PN_BATCHMEAN) return (double)rows;
    const int classes = by_class(loss->row) && target->label;
    size_t values_per_row = loss->row->kind == 'e' ? cols : 1;
    if (!target->sample_weight && !classes) return (double)(rows * values_per_row);
    double sum = 0;
    if (target->per_value && values_per_row > 1) {
        const void *weight = target->sample_weight;
        for (size_t i = 0; i < rows * cols; i++) sum += fabs(pn_element(t, weight, i));
        return sum;
    }
    const size_t rows_per_weight = target->per_value ? 1 : rows_of_sample(target);
    for (size_t i = 0; i < rows; i++) {
        const void *weight = target->sample_weight;
        double w = weight ? fabs(pn_element(t, weight, i / rows_per_weight)) : 1;
        if (classes) {
            const int64_t label = target->label[i];
            if (pn_loss_ignores(loss, label)) w = 0;
            else if (loss->weight) w *= pn_element(t, loss->weight, (size_t)label);
        }
        sum += w;
    }
    return sum * (double)values_per_row;
}

/* Rows are processed in blocks. The number of blocks depends only on the shape, and their sums are
 * added in order, so the result does not depend on the number of threads. */
enum { LOSS_BLOCKS = 64, LOSS_ELEMENTS = 8192 };
typedef struct {
    pn_loss_fn *loss;                       /* NULL for a formula */
    pn_dtype t;
    const pn_loss_args *whole;
    size_t block, values, size;
    double sums[LOSS_BLOCKS];
} loss_blocks;

static void *advanced(const void *p, size_t bytes) { return p ? (char *)p + bytes : NULL; }

static void loss_block(void *context, size_t i)
{
    loss_blocks *j = context;
    pn_loss_args a = *j->whole;
    pn_criterion c = *a.loss;
    const size_t start = i * j->block, bytes = start * a.cols * j->size,
                 target_width = pn_loss_target_width(a.loss, a.cols);
    a.loss = &c;
    a.rows = pn_min(a.rows - start, j->block);
    for (int k = 0; k < PN_MAX_INPUTS; k++) {
        a.x[k] = advanced(a.x[k], bytes);
        a.grad[k] = advanced(a.grad[k], bytes);
    }
    a.target.target = advanced(a.target.target, start * target_width * j->size);
    a.target.label = advanced(a.target.label,
                              start * pn_loss_label_width(&c, a.cols) * sizeof(int64_t));
    const size_t before = a.target.per_value ? start * j->values
                                             : start / rows_of_sample(&a.target);
    a.target.sample_weight = advanced(a.target.sample_weight, before * j->size);
    a.value = advanced(a.value, start * j->values * j->size);
    if (c.per_element) {
        c.weight = advanced(c.weight, bytes);
        c.pos_weight = advanced(c.pos_weight, bytes);
    }
    j->sums[i] = j->loss ? j->loss(&a) : pn_formula_loss(j->t, &a);
}

double pn_loss_run(pn_dtype t, const pn_loss_args *a)
{
    size_t block = LOSS_ELEMENTS / (a->cols + 1) + 1,
           least = (a->rows + LOSS_BLOCKS - 1) / LOSS_BLOCKS;
    const size_t sample = a->target.per_value ? 1 : rows_of_sample(&a->target);
    if (block < least) block = least;
    /* a block must begin with a sample, where its weight begins */
    if (a->target.sample_weight) block = (block + sample - 1) / sample * sample;
    pn_loss_fn *loss = a->loss->value
                         ? NULL
                         : pn_kernels_now()->of[t].losses[a->loss->row - pn_loss_at(0)];
    loss_blocks j = { .loss = loss,
                      .t = t,
                      .whole = a,
                      .block = block,
                      .values = pn_loss_values(a->loss, 1, a->cols),
                      .size = pn_size(t) };
    const size_t blocks = (a->rows + block - 1) / block;
    if (blocks <= 1 || a->sequences) return loss ? loss(a) : pn_formula_loss(t, a);
    pn_parallel(blocks, loss_block, &j);
    double sum = 0;
    for (size_t i = 0; i < blocks; i++) sum += j.sums[i];
    return sum;
}

double pn_loss_apply(const pn_criterion *loss, pn_dtype t, size_t rows, size_t cols, const void *x,
                     const pn_target *target, void *value, void *grad, double scale)
{
    const pn_loss_args args = { .loss = loss,
                                .rows = rows,
                                .cols = cols,
                                .x = { x },
                                .target = *target,
                                .value = value,
                                .grad = { grad },
                                .scale = scale };
    return pn_loss_run(t, &args);
}

/* ---- in fit ---------------------------------------------------------------------------------- */
/* y (rows, n, m) = x (rows, m, n): transposes the two dimensions of each row. */
typedef struct {
    pn_transpose_fn *transpose;
    size_t rows, m, n, rows_per_task, bytes;
    const char *x;
    char *y;
} transposition;

static void transpose_rows(void *context, size_t i)
{
    const transposition *j = context;
    const size_t end = pn_min((i + 1) * j->rows_per_task, j->rows);
    for (size_t r = i * j->rows_per_task; r < end; r++)
        j->transpose(j->m, j->n, j->x + r * j->bytes, j->n, j->y + r * j->bytes, j->m);
}

static void transpose(pn_dtype t, size_t rows, size_t m, size_t n, const void *x, void *y)
{
    transposition j = { .transpose = pn_kernels_now()->of[t].transpose,
                        .rows = rows, .m = m, .n = n,
                        .rows_per_task = LOSS_ELEMENTS / (m * n + 1) + 1,
                        .bytes = m * n * pn_size(t),
                        .x = x, .y = y };
    pn_parallel((rows + j.rows_per_task - 1) / j.rows_per_task, transpose_rows, &j);
}

static void multiply(pn_dtype t, size_t n, double factor, void *x)
{
    for (size_t i = 0; factor != 1 && i < n; i++) {
        if (t == PN_F32) ((float *)x)[i] = (float)(factor * (double)((float *)x)[i]);
        else ((double *)x)[i] *= factor;
    }
}

static pn_status call_custom(pn_loss_batch *w, pn_dtype t, size_t rows, const void *x, void *grad,
                          pn_error *error)
{
    pn_custom_loss a = { .rows = rows,
                         .ndim = w->shape->ndim,
                         .shape = w->shape->dim,
                         .dtype = t,
                         .x = x,
                         .grad = grad,
                         .custom = w->target.custom,
                         .order = w->order,
                         .start = w->start,
                         .sample_weight = w->target.sample_weight,
                         .per_value = w->target.per_value };
    if (w->loss->call(w->loss->context, &a))
        return pn_fail(error, PN_STOPPED, "a loss stopped the run");
    w->sum = a.sum;
    w->divisor = a.divisor;
    if (grad) multiply(t, rows * w->view.cols, w->loss->factor, grad);
    return PN_OK;
}

/* The outputs of the model must satisfy the same conditions as the inputs of a direct call. */
static pn_status check_outputs(const pn_loss_batch *w, pn_dtype t, size_t rows, void *const *x,
                               pn_error *error)
{
    pn_status status = PN_OK;
    for (size_t k = 0; k < w->n_inputs && !status; k++)
        status = pn_loss_check_input(w->loss, t, k, rows * w->view.positions * w->view.cols,
                                     x[w->loss->outputs[k]],
                                     k == 0 ? "the model's output" : "the model's variance", error);
    return status;
}

pn_status pn_loss_batch_apply(pn_loss_batch *w, pn_dtype t, size_t rows, void *const *x,
                              void *const *grad, pn_error *error)
{
    w->predictions = x[w->loss->outputs[0]];
    if (w->loss->call) {
        void *const gx = grad ? grad[w->loss->outputs[0]] : NULL;
        return call_custom(w, t, rows, w->predictions, gx, error);
    }
    pn_status status = check_outputs(w, t, rows, x, error);
    if (status) return status;
    const size_t cols = w->view.cols, positions = w->view.positions,
                 bytes = rows * positions * cols * pn_size(t);
    w->divisor = pn_loss_divisor(w->loss, t, rows * positions, cols, &w->target);
    /* the gradient is 0 if all weights are 0 */
    w->scale = w->divisor ? w->loss->factor / w->divisor : 0;
    pn_loss_args a = { .loss = w->loss,
                       .rows = rows * positions,
                       .cols = cols,
                       .target = w->target,
                       .scale = w->scale };
    for (size_t k = 0; k < w->n_inputs; k++) {
        a.x[k] = x[w->loss->outputs[k]];
        a.grad[k] = grad ? grad[w->loss->outputs[k]] : NULL;
    }
    void *const result = a.grad[0];
    /* only a loss with one input can have view.last == 0 */
    if (!w->view.last) {
        transpose(t, rows, cols, positions, a.x[0], w->classes_last);
        w->predictions = a.x[0] = w->classes_last;
        a.grad[0] = grad ? (char *)w->classes_last + bytes : NULL;
    }
    w->sum = pn_loss_run(t, &a);
    if (!w->view.last && grad) transpose(t, rows, positions, cols, a.grad[0], result);
    return PN_OK;
}
