/* penalty.c - the L2 penalty of fit, as in scikit-learn's multi-layer perceptrons. */
#include "penalty.h"
#include <string.h>

double pn_objective_mean(const pn_loss_batch *losses, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        if (losses[i].divisor) sum += losses[i].loss->factor * losses[i].sum / losses[i].divisor;
    return sum;
}

/* The sum of the weights of the rows. The divisor of a mean counts each value of a row. */
static double batch_weight(const pn_loss_batch *w, size_t rows)
{
    const size_t values = pn_loss_values(w->loss, rows * w->view.positions, w->view.cols);
    return values ? w->divisor * (double)rows / (double)values : 0;
}

/* g += c p, and the sum of squares of p. */
static double add_matrix(const pn_segment *s, double c)
{
    if (s->dtype == PN_F32) {
        const float *p = s->p, factor = (float)c;
        float *g = (float *)s->g;
        for (size_t i = 0; i < s->n; i++) g[i] += factor * p[i];
    } else {
        const double *p = s->p;
        double *g = (double *)s->g;
        for (size_t i = 0; i < s->n; i++) g[i] += c * p[i];
    }
    return pn_power_sum(s->dtype, s->n, s->p, 2);
}

static double add_matrices(const pn_segment *s, size_t n, double c)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        if (s[i].rows && s[i].n) squares += add_matrix(&s[i], c);
    return squares;
}

double pn_penalty_add(const pn_fit_options *o, const pn_loss_batch *losses, size_t rows)
{
    const double weight = o->penalty && o->n_criteria ? batch_weight(losses, rows) : 0;
    if (!(weight > 0)) return 0;
    const double c = o->penalty / weight;
    double squares = 0;
    if (o->solver) squares = add_matrices(o->solver->segments, o->solver->n_segments, c);
    for (size_t i = 0; !o->solver && i < o->n_groups; i++)
        squares += add_matrices(o->groups[i].segments, o->groups[i].n, c);
    return c / 2 * squares;
}
