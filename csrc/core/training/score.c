/* score.c - the score of predictions: loss, and number of correct rows or elements. */
#include "score.h"
#include "../base/array.h"
#include <math.h>

/* Returns n, which is not a class, for a row that contains NaN or has several infinite maxima. */
static size_t arg_max(pn_dtype t, const void *x, size_t from, size_t n)
{
    size_t best = 0, equal = 0;
    double most = -INFINITY;
    int nan = 0;
    for (size_t j = 0; j < n; j++) {
        double v = pn_element(t, x, from + j);
        nan |= v != v;
        best = v > most ? j : best;
        most = v > most ? v : most;
    }
    if (nan) return n;
    for (size_t j = 0; isinf(most) && j < n; j++) equal += pn_element(t, x, from + j) == most;
    return equal > 1 ? n : best;
}

/* The index of the 1 in a one-hot row; n for any other row. */
static size_t one_hot_index(pn_dtype t, const void *x, size_t from, size_t n)
{
    size_t found = n;
    for (size_t j = 0; j < n; j++) {
        double v = pn_element(t, x, from + j);
        if (v == 0) continue;
        if (v != 1 || found < n) return n;
        found = j;
    }
    return found;
}

/* Counts the correct classes of the rows that the loss does not ignore. */
static void count_classes(pn_score *score, const pn_loss_batch *w, pn_dtype t, size_t rows,
                          size_t cols)
{
    const pn_target *target = &w->target;
    for (size_t i = 0; i < rows; i++) {
        if (target->label && pn_loss_ignores(w->loss, target->label[i])) continue;
        size_t expected = target->label ? (size_t)target->label[i]
                                    : arg_max(t, target->target, i * cols, cols),
               predicted = arg_max(t, w->predictions, i * cols, cols);
        score->correct += predicted == expected && predicted < cols;
        score->rows++;
    }
}

/* Counts the correct elements and, as long as all targets are one-hot, the correct rows. Which of
 * the two is reported can only be decided after the last target. */
static void count_elements(pn_score *score, const pn_loss_batch *w, pn_dtype t, size_t rows,
                           size_t cols, double threshold)
{
    const void *y = w->predictions, *target = w->target.target;
    for (size_t i = 0; i < rows * cols; i++) {
        double v = pn_element(t, y, i);
        score->correct += v == v && (v > threshold) == (pn_element(t, target, i) > 0.5);
    }
    score->rows += rows;
    if (cols < 2 || w->shape->ndim != 1) score->not_one_hot += rows;
    for (size_t i = 0; i < rows && !score->not_one_hot; i++) {
        const size_t expected = one_hot_index(t, target, i * cols, cols);
        score->not_one_hot += expected == cols;
        score->hits += expected < cols && arg_max(t, y, i * cols, cols) == expected;
    }
}

void pn_score_add(pn_score *score, const pn_graph *g, const pn_loss_batch *w, size_t rows)
{
    const size_t counted = rows * w->view.positions;
    const pn_metric metric = w->loss->row->metric;
    score->loss += w->sum;
    score->divisor += w->divisor;
    score->values += pn_loss_values(w->loss, counted, w->view.cols);
    if (metric == PN_METRIC_ARGMAX) count_classes(score, w, g->dtype, counted, w->view.cols);
    else if (metric != PN_METRIC_NONE)
        count_elements(score, w, g->dtype, counted, w->view.cols,
                       metric == PN_METRIC_SIGN ? 0 : 0.5);
    else score->rows += counted;
}
