/* lbfgs.c - L-BFGS: quasi-Newton steps from a short memory of gradients, with a line search under
 * the strong Wolfe conditions.
 *
 * All parameters are one vector of doubles here, whatever their type. The order of tests and
 * updates is PyTorch's, which has it from Schmidt's minFunc; so are the constants. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "../kernels/isa.h"

/* What is remembered from one call to the next, at the head of the memory; all doubles, so that the
 * memory is one array. */
typedef struct {
    double iterations, evaluations, kept, first, t, diagonal, previous_loss, unused;
} past;
enum { PAST = sizeof(past) / sizeof(double), VECTORS = 7 };

typedef struct {
    const pn_lbfgs *o;
    pn_closure *closure;
    void *context;
    past *past;                     /* a copy: the closure may write to the memory */
    double *ro, *al;                /* (history) */
    /* direction, gradient before, gradient, where the line search starts */
    double *d, *previous, *g, *x;
    double *spare[3];               /* gradients of the line search */
    double *y, *s;                  /* (history, n): differences of gradients and of places */
    double loss;
    size_t evaluations;
} search;

size_t pn_lbfgs_memory(size_t n, size_t history)
{
    return PAST + 2 * history + n * (VECTORS + 2 * history);
}

static double dot(size_t n, const double *a, const double *b)
{
    double s[4] = { 0 };
    for (size_t i = 0; i < n; i++) s[i % 4] += a[i] * b[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

static double largest(size_t n, const double *a)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fabs(a[i]) > most || isnan(a[i]) ? fabs(a[i]) : most;
    return most;
}

static double total(size_t n, const double *a)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += fabs(a[i]);
    return sum;
}

/* Copies every gradient, or every parameter, into one vector. */
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

/* The parameters become x + t d. */
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

/* Loss and gradient where the parameters are now. */
static int evaluate(search *f, double *loss, double *g)
{
    if (f->closure(f->context, loss)) return 0;
    gather(f->o, 1, g);
    f->evaluations++;
    f->past->evaluations++;
    return 1;
}

/* ---- the line search ------------------------------------------------------------------------- */
typedef struct { double t, loss, slope, *g; } point;

static int look(search *f, double t, point *p)
{
    p->t = t;
    move(f, t);
    if (!evaluate(f, &p->loss, p->g)) return 0;
    p->slope = dot(f->o->n, p->g, f->d);
    return 1;
}

/* The minimum of the cubic through two points and their slopes, within bounds. */
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

/* Narrows a bracket until its better end satisfies the conditions, is all there is left of it, or
 * looks run out. p[0] and p[1] are the ends, p[2] has room for a gradient; returns the better end's
 * index, or -1 when the closure stopped. */
static int zoom(search *f, point *p, double loss, double slope, size_t looks, size_t most)
{
    const double size = largest(f->o->n, f->d);
    int low = p[0].loss <= p[1].loss ? 0 : 1, high = 1 - low, stuck = 0, done = 0;
    for (; !done && looks < most; looks++) {
        if (fabs(p[1].t - p[0].t) * size < SMALLEST) break;
        const double left = fmin(p[0].t, p[1].t), right = fmax(p[0].t, p[1].t),
                     edge = 0.1 * (right - left);
        double t = cubic(&p[0], &p[1], left, right);
        /* too near an end: once is let pass, then it is moved away */
        if (fmin(right - t, t - left) < edge) {
            if (stuck || t >= right || t <= left) {
                t = fabs(t - right) < fabs(t - left) ? right - edge : left + edge;
                stuck = 0;
            } else stuck = 1;
        } else stuck = 0;
        if (!look(f, t, &p[2])) return -1;
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

/* From step t on, a step that satisfies the strong Wolfe conditions, or the best that most looks
 * found: into t, loss and g. */
static int line_search(search *f, double *t, double slope, size_t most)
{
    const double loss = f->loss;
    point p[3] = { { 0, loss, slope, f->spare[0] },
                   { 0, 0, 0, f->spare[1] },
                   { 0, 0, 0, f->spare[2] } };
    int best = -1;
    size_t looks = 0;
    memcpy(p[0].g, f->g, f->o->n * sizeof *f->g);
    if (!look(f, *t, &p[1])) return 0;
    for (; looks < most; looks++) {                     /* p[0] is the look before, p[1] the last */
        if (p[1].loss > loss + ARMIJO * p[1].t * slope || (looks > 1 && p[1].loss >= p[0].loss))
            break;
        if (fabs(p[1].slope) <= -CURVATURE * slope) best = 1;
        if (best == 1 || p[1].slope >= 0) break;
        const double next = cubic(&p[0], &p[1], p[1].t + 0.01 * (p[1].t - p[0].t), 10 * p[1].t);
        point before = p[0];
        p[0] = p[1];
        p[1] = p[2];
        p[2] = before;
        if (!look(f, next, &p[1])) return 0;
    }
    /* nothing between is known: the start, or the last */
    if (looks == most && best < 0) {
        p[0].t = 0;
        p[0].loss = loss;
        memcpy(p[0].g, f->g, f->o->n * sizeof *f->g);
    }
    if (best < 0 && (best = zoom(f, p, loss, slope, looks, most)) < 0) return 0;
    *t = p[best].t;
    f->loss = p[best].loss;
    memcpy(f->g, p[best].g, f->o->n * sizeof *f->g);
    return 1;
}

/* ---- the direction --------------------------------------------------------------------------- */
static size_t slot(const search *f, size_t i)
{
    return ((size_t)f->past->first + i) % f->o->history;
}

/* Adds the last step to the memory, the oldest making room. */
static void remember(search *f)
{
    if (!f->o->history) return;
    const size_t n = f->o->n, kept = (size_t)f->past->kept,
                 at = slot(f, kept < f->o->history ? kept : 0);
    double *y = f->x, ys = 0;                           /* x is free here */
    for (size_t i = 0; i < n; i++) {
        y[i] = f->g[i] - f->previous[i];
        ys += y[i] * (f->d[i] * f->past->t);
    }
    if (!(ys > 1e-10)) return;
    memcpy(f->y + at * n, y, n * sizeof *y);
    for (size_t i = 0; i < n; i++) f->s[at * n + i] = f->d[i] * f->past->t;
    if (kept < f->o->history) f->past->kept++;
    else f->past->first = (double)((at + 1) % f->o->history);
    f->ro[at] = 1 / ys;
    f->past->diagonal = ys / dot(n, y, y);
}

/* d = -H g, H the inverse Hessian as the memory knows it: the recursion of two loops. */
static void direct(search *f)
{
    const size_t n = f->o->n, kept = (size_t)f->past->kept;
    double *d = f->d;
    for (size_t i = 0; i < n; i++) d[i] = -f->g[i];
    for (size_t k = kept; k-- > 0;) {
        const size_t at = slot(f, k);
        f->al[at] = dot(n, f->s + at * n, d) * f->ro[at];
        for (size_t i = 0; i < n; i++) d[i] -= f->al[at] * f->y[at * n + i];
    }
    for (size_t i = 0; i < n; i++) d[i] *= f->past->diagonal;
    for (size_t k = 0; k < kept; k++) {
        const size_t at = slot(f, k);
        const double b = f->al[at] - dot(n, f->y + at * n, d) * f->ro[at];
        for (size_t i = 0; i < n; i++) d[i] += b * f->s[at * n + i];
    }
}

/* One iteration: 1 to go on, 0 when there is nothing more to gain, -1 when the closure stopped. */
static int iterate(search *f, size_t round)
{
    const pn_lbfgs *o = f->o;
    const size_t n = o->n;
    if (++f->past->iterations == 1) f->past->diagonal = 1;
    else remember(f);
    direct(f);
    memcpy(f->previous, f->g, n * sizeof *f->g);
    const double before = f->past->previous_loss = f->loss, slope = dot(n, f->g, f->d);
    double t = f->past->iterations == 1 ? fmin(1, 1 / total(n, f->g)) * o->lr : o->lr;
    f->past->t = t;
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
        if (round < o->max_iter && !evaluate(f, &f->loss, f->g)) return -1;
    }
    f->past->t = t;
    if (round == o->max_iter || f->evaluations >= o->max_eval ||
        largest(n, f->g) <= o->tolerance_grad)
        return 0;
    return largest(n, f->d) * fabs(t) > o->tolerance_change &&
           !(fabs(f->loss - before) < o->tolerance_change);
}

/* The memory may come from a file: its two counts say where to read and write. */
static int sound(const past *p, size_t history)
{
    return p->kept >= 0 && p->kept <= history && p->first >= 0 && p->first <= history;
}

pn_status pn_lbfgs_step(const pn_lbfgs *o, pn_closure *closure, void *context, double *loss,
                        pn_error *error)
{
    past now;
    search f = { .o = o, .closure = closure, .context = context, .past = &now };
    memcpy(&now, o->memory, sizeof now);
    if (!sound(f.past, o->history)) {
        snprintf(error->text, sizeof error->text,
                 "memory: %g steps from %g on, expected at most %zu", f.past->kept, f.past->first,
                 o->history);
        return PN_BAD_VALUE;
    }
    const size_t n = o->n;
    double *at = o->memory + PAST;
    f.ro = at, f.al = at + o->history, at += 2 * o->history;
    double **vectors[VECTORS] = { &f.d,        &f.previous, &f.g,       &f.x,
                                  &f.spare[0], &f.spare[1], &f.spare[2] };
    for (int i = 0; i < VECTORS; i++, at += n) *vectors[i] = at;
    f.y = at, f.s = at + o->history * n;
    int more = evaluate(&f, &f.loss, f.g) ? 1 : -1;
    *loss = f.loss;
    if (more > 0 && largest(n, f.g) <= o->tolerance_grad) more = 0;
    for (size_t round = 1; more > 0 && round <= o->max_iter; round++) more = iterate(&f, round);
    memcpy(o->memory, &now, sizeof now);
    if (more >= 0) return PN_OK;
    error->text[0] = 0;
    return PN_STOPPED;
}
