/* lbfgs.c - L-BFGS: quasi-Newton steps from a limited history of gradients, with a line search
 * under the strong Wolfe conditions.
 *
 * All parameters are treated as one vector of doubles, whatever their type. The order of tests and
 * updates, and the constants, are those of PyTorch, which follows Schmidt's minFunc. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "../kernels/isa.h"

/* State kept between calls, stored at the beginning of the memory. All members are doubles, so that
 * the memory is one array. */
typedef struct {
    double iterations, evaluations, count, first, t, diagonal, previous_loss, loss;
} lbfgs_state;
enum { STATE_DOUBLES = sizeof(lbfgs_state) / sizeof(double), VECTORS = 7 };

typedef struct {
    const pn_lbfgs *o;
    pn_closure *closure;
    void *context;
    lbfgs_state *state;                  /* a copy, because the closure may write to the memory */
    double *ro, *al;                /* (history) */
    /* direction, previous gradient, gradient, starting point of the line search */
    double *d, *previous, *g, *x;
    double *spare[3];               /* gradients of the line search */
    double *y, *s;                  /* (history, n): differences of gradients and of parameters */
    double loss;
    size_t evaluations;
} search;

size_t pn_lbfgs_memory(size_t n, size_t history)
{
    return STATE_DOUBLES + 2 * history + n * (VECTORS + 2 * history);
}

static double dot(size_t n, const double *a, const double *b)
{
    double s[4] = { 0 };
    for (size_t i = 0; i < n; i++) s[i % 4] += a[i] * b[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

static double largest(size_t n, const double *a)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        if (fabs(a[i]) > largest || isnan(a[i])) largest = fabs(a[i]);
    return largest;
}

static double total(size_t n, const double *a)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += fabs(a[i]);
    return sum;
}

/* Copies all gradients, or all parameters, into one vector. */
static void gather(const pn_lbfgs *o, int gradients, double *to)
{
    for (size_t k = 0; k < o->n_segments; k++) {
        const pn_segment *s = &o->segments[k];
        const void *from = gradients ? s->g : s->p;
        for (size_t i = 0; i < s->n; i++)
            *to++ = s->dtype == PN_F32 ? (double)((const float *)from)[i]
                                       : ((const double *)from)[i];
    }
}

/* Sets the parameters to x + t d. */
static void move(const search *f, double t)
{
    const double *x = f->x, *d = f->d;
    for (size_t k = 0; k < f->o->n_segments; k++) {
        const pn_segment *s = &f->o->segments[k];
        for (size_t i = 0; i < s->n; i++, x++, d++) {
            if (s->dtype == PN_F32) ((float *)s->p)[i] = (float)(*x + t * *d);
            else ((double *)s->p)[i] = *x + t * *d;
        }
    }
}

/* Evaluates loss and gradient at the current parameters. */
static int evaluate(search *f, double *loss, double *g)
{
    if (f->closure(f->context, loss)) return 0;
    gather(f->o, 1, g);
    f->evaluations++;
    f->state->evaluations++;
    return 1;
}

/* ---- line search ----------------------------------------------------------------------------- */
typedef struct { double t, loss, slope, *g; } point;

static int evaluate_at(search *f, double t, point *p)
{
    p->t = t;
    move(f, t);
    if (!evaluate(f, &p->loss, p->g)) return 0;
    p->slope = dot(f->o->n, p->g, f->d);
    return 1;
}

/* The minimum, within bounds, of the cubic through two points with their slopes. */
static double cubic(const point *a, const point *b, double low, double high)
{
    const double d1 = a->slope + b->slope - 3 * (a->loss - b->loss) / (a->t - b->t),
                 square = d1 * d1 - a->slope * b->slope;
    if (!(square >= 0)) return (low + high) / 2;
    const double d2 = sqrt(square);
    const double t =
        a->t <= b->t
            ? b->t - (b->t - a->t) * ((b->slope + d2 - d1) / (b->slope - a->slope + 2 * d2))
            : a->t - (a->t - b->t) * ((a->slope + d2 - d1) / (a->slope - b->slope + 2 * d2));
    return fmin(fmax(t, low), high);
}

static const double ARMIJO = 1e-4, CURVATURE = 0.9, SMALLEST = 1e-9;

/* Narrows a bracket until its better end satisfies the conditions, the bracket is negligible, or
 * the number of evaluations is exhausted. p[0] and p[1] are the ends, and p[2] provides memory for
 * a gradient. Returns the index of the better end, or -1 if the closure stopped. */
static int zoom(search *f, point *p, double loss, double slope, size_t evaluations,
                size_t max_evaluations)
{
    const double size = largest(f->o->n, f->d);
    int low = p[0].loss <= p[1].loss ? 0 : 1, high = 1 - low, stuck = 0, done = 0;
    for (; !done && evaluations < max_evaluations; evaluations++) {
        if (fabs(p[1].t - p[0].t) * size < SMALLEST) break;
        const double left = fmin(p[0].t, p[1].t), right = fmax(p[0].t, p[1].t),
                     edge = 0.1 * (right - left);
        double t = cubic(&p[0], &p[1], left, right);
        /* A point too close to an end is accepted once. The next one is moved away. */
        if (fmin(right - t, t - left) < edge) {
            if (stuck || t >= right || t <= left) {
                t = fabs(t - right) < fabs(t - left) ? right - edge : left + edge;
                stuck = 0;
            } else stuck = 1;
        } else stuck = 0;
        if (!evaluate_at(f, t, &p[2])) return -1;
        point fresh = p[2];
        if (fresh.loss > loss + ARMIJO * t * slope || fresh.loss >= p[low].loss) {
            p[2] = p[high];
            p[high] = fresh;
            low = p[0].loss <= p[1].loss ? 0 : 1;
            high = 1 - low;
        } else {
            done = fabs(fresh.slope) <= -CURVATURE * slope;
            if (!done && fresh.slope * (p[high].t - p[low].t) >= 0) {
                p[2] = p[high];
                p[high] = p[low];
            } else p[2] = p[low];
            p[low] = fresh;
        }
    }
    return low;
}

/* Finds a step that satisfies the strong Wolfe conditions, or the best of max_evaluations ones,
 * starting with step t. Stores it in t, loss and g. */
static int line_search(search *f, double *t, double slope, size_t max_evaluations)
{
    const double loss = f->loss;
    point p[3] = { { 0, loss, slope, f->spare[0] },
                   { 0, 0, 0, f->spare[1] },
                   { 0, 0, 0, f->spare[2] } };
    int best = -1;
    size_t evaluations = 0;
    memcpy(p[0].g, f->g, f->o->n * sizeof *f->g);
    if (!evaluate_at(f, *t, &p[1])) return 0;
    for (; evaluations < max_evaluations; evaluations++) {
        const point *previous = &p[0], *last = &p[1];
        if (last->loss > loss + ARMIJO * last->t * slope ||
            (evaluations > 1 && last->loss >= previous->loss))
            break;
        if (fabs(p[1].slope) <= -CURVATURE * slope) best = 1;
        if (best == 1 || p[1].slope >= 0) break;
        const double next = cubic(&p[0], &p[1], p[1].t + 0.01 * (p[1].t - p[0].t), 10 * p[1].t);
        point before = p[0];
        p[0] = p[1];
        p[1] = p[2];
        p[2] = before;
        if (!evaluate_at(f, next, &p[1])) return 0;
    }
    /* without a bracket, choose between the start and the last point */
    if (evaluations == max_evaluations && best < 0) {
        p[0].t = 0;
        p[0].loss = loss;
        memcpy(p[0].g, f->g, f->o->n * sizeof *f->g);
    }
    if (best < 0 && (best = zoom(f, p, loss, slope, evaluations, max_evaluations)) < 0) return 0;
    *t = p[best].t;
    f->loss = p[best].loss;
    memcpy(f->g, p[best].g, f->o->n * sizeof *f->g);
    return 1;
}

/* ---- direction ------------------------------------------------------------------------------- */
static size_t slot(const search *f, size_t i)
{
    return ((size_t)f->state->first + i) % f->o->history;
}

/* Adds the last step to the history, replacing the oldest if it is full. */
static void store_pair(search *f)
{
    if (!f->o->history) return;
    const size_t n = f->o->n, count = (size_t)f->state->count,
                 at = slot(f, count < f->o->history ? count : 0);
    double *y = f->x, ys = 0;                           /* x is unused here */
    for (size_t i = 0; i < n; i++) {
        y[i] = f->g[i] - f->previous[i];
        ys += y[i] * (f->d[i] * f->state->t);
    }
    if (!(ys > 1e-10)) return;
    memcpy(f->y + at * n, y, n * sizeof *y);
    for (size_t i = 0; i < n; i++) f->s[at * n + i] = f->d[i] * f->state->t;
    if (count < f->o->history) f->state->count++;
    else f->state->first = (double)((at + 1) % f->o->history);
    f->ro[at] = 1 / ys;
    f->state->diagonal = ys / dot(n, y, y);
}

/* d = -H g, where H is the inverse Hessian approximated from the history: the two-loop
 * recursion. */
static void compute_direction(search *f)
{
    const size_t n = f->o->n, count = (size_t)f->state->count;
    double *d = f->d;
    for (size_t i = 0; i < n; i++) d[i] = -f->g[i];
    for (size_t k = count; k-- > 0;) {
        const size_t at = slot(f, k);
        f->al[at] = dot(n, f->s + at * n, d) * f->ro[at];
        for (size_t i = 0; i < n; i++) d[i] -= f->al[at] * f->y[at * n + i];
    }
    for (size_t i = 0; i < n; i++) d[i] *= f->state->diagonal;
    for (size_t k = 0; k < count; k++) {
        const size_t at = slot(f, k);
        const double b = f->al[at] - dot(n, f->y + at * n, d) * f->ro[at];
        for (size_t i = 0; i < n; i++) d[i] += b * f->s[at * n + i];
    }
}

/* One iteration. Returns 1 to continue, 0 on convergence, -1 if the closure stopped. */
static int iterate(search *f, size_t iteration)
{
    const pn_lbfgs *o = f->o;
    const size_t n = o->n;
    if (++f->state->iterations == 1) f->state->diagonal = 1;
    else store_pair(f);
    compute_direction(f);
    memcpy(f->previous, f->g, n * sizeof *f->g);
    const double before = f->state->previous_loss = f->loss, slope = dot(n, f->g, f->d);
    const double length = o->unit_first ? sqrt(dot(n, f->g, f->g)) : total(n, f->g);
    double t = f->state->iterations == 1 ? fmin(1, 1 / length) * o->lr : o->lr;
    f->state->t = t;
    if (slope > -o->tolerance_change) return 0;
    gather(o, 0, f->x);
    if (o->strong_wolfe) {
        if (!line_search(f, &t, slope,
                         o->max_eval > f->evaluations ? o->max_eval - f->evaluations : 0)) {
            move(f, 0);
            return -1;
        }
        move(f, t);
    } else {
        move(f, t);
        if (iteration < o->max_iter && !evaluate(f, &f->loss, f->g)) return -1;
    }
    f->state->t = t;
    if (iteration == o->max_iter || f->evaluations >= o->max_eval ||
        largest(n, f->g) <= o->tolerance_grad)
        return 0;
    return largest(n, f->d) * fabs(t) > o->tolerance_change &&
           !(fabs(f->loss - before) < o->tolerance_change);
}

/* Validates the two members that are used as indices, because the memory may have been loaded from
 * a file. */
static int is_valid(const lbfgs_state *p, size_t history)
{
    return p->count >= 0 && p->count <= history && p->first >= 0 && p->first <= history;
}

pn_status pn_lbfgs_step(const pn_lbfgs *o, pn_closure *closure, void *context, double *loss,
                        pn_error *error)
{
    lbfgs_state now;
    search f = { .o = o, .closure = closure, .context = context, .state = &now };
    memcpy(&now, o->memory, sizeof now);
    if (!is_valid(f.state, o->history)) {
        snprintf(error->text, sizeof error->text,
                 "memory: %g steps starting at %g, expected at most %zu", f.state->count,
                 f.state->first, o->history);
        return PN_BAD_VALUE;
    }
    const size_t n = o->n;
    double *at = o->memory + STATE_DOUBLES;
    f.ro = at, f.al = at + o->history, at += 2 * o->history;
    double **vectors[VECTORS] = { &f.d,        &f.previous, &f.g,       &f.x,
                                  &f.spare[0], &f.spare[1], &f.spare[2] };
    for (int i = 0; i < VECTORS; i++, at += n) *vectors[i] = at;
    f.y = at, f.s = at + o->history * n;
    int more = evaluate(&f, &f.loss, f.g) ? 1 : -1;
    *loss = f.loss;
    if (more > 0 && largest(n, f.g) <= o->tolerance_grad) more = 0;
    for (size_t iteration = 1; more > 0 && iteration <= o->max_iter; iteration++)
        more = iterate(&f, iteration);
    now.loss = f.loss;
    memcpy(o->memory, &now, sizeof now);
    if (more >= 0) return PN_OK;
    error->text[0] = 0;
    return PN_STOPPED;
}
