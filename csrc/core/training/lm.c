/* lm.c - Levenberg-Marquardt: Gauss-Newton steps with adaptive damping (Madsen, Nielsen and
 * Tingleff, 2004).
 *
 * The loss is the sum of squares of residuals r with Jacobian J. A step d solves (J'J + mu I) d =
 * -J'r. All computations are in double precision, whatever the type of the parameters. */
#include "lm.h"
#include "../base/array.h"
#include "../base/error.h"
#include "../kernels/isa.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* rows of J at a time; columns of a block of the factor */
enum { LM_ROWS = 128, LM_BLOCK = 64 };

struct pn_lm {
    size_t n;
    const pn_typed_kernels *k;
    /* J'J and its factor (n, n); rows of J, residuals; J'r, step, starting point */
    double *a, *l, *j, *r, *g, *d, *x;
    double *panel;                                      /* (n, LM_BLOCK) */
    void *workspace, *all;
};

static pn_product normal(const pn_lm *s, size_t rows)
{
    return (pn_product){ .ta = 1,
                         .accumulate = 1,
                         .m = s->n,
                         .n = s->n,
                         .k = rows,
                         .a = s->j,
                         .lda = s->n,
                         .b = s->j,
                         .ldb = s->n,
                         .c = s->a,
                         .ldc = s->n };
}

/* The dimensions of the product that trailing returns, without its arrays. */
static pn_product trailing_size(const pn_lm *s, size_t from, size_t cols)
{
    const size_t m = s->n - (from + cols);
    return (pn_product){ .tb = 1,
                         .accumulate = 1,
                         .m = m,
                         .n = m,
                         .k = cols,
                         .lda = LM_BLOCK,
                         .ldb = s->n,
                         .ldc = s->n };
}

/* Subtracts the product of the panel with itself from the trailing matrix, below and to the right
 * of a block of the factor. */
static pn_product trailing(const pn_lm *s, size_t from, size_t cols)
{
    const size_t at = from + cols;
    pn_product p = trailing_size(s, from, cols);
    p.a = s->panel;
    p.b = s->l + at * s->n + from;
    p.c = s->l + at * s->n + at;
    return p;
}

pn_lm *pn_lm_new(size_t n)
{
    pn_lm *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->n = n;
    s->k = &pn_kernels_now()->of[PN_F64];
    const pn_product first = normal(s, LM_ROWS),
                     second = trailing_size(s, 0, n < LM_BLOCK ? n : LM_BLOCK);
    const size_t one = s->k->gemm_workspace(&first), other = s->k->gemm_workspace(&second),
                 numbers = 2 * n * n + (LM_ROWS + 3 + LM_BLOCK) * n + LM_ROWS;
    s->all = malloc(numbers * sizeof(double) + (one > other ? one : other) + 64);
    if (!s->all) {
        free(s);
        return NULL;
    }
    s->workspace = (char *)s->all + (64 - (uintptr_t)s->all % 64);
    double *at = (double *)((char *)s->workspace +
                            (one > other ? one : other) / sizeof(double) * sizeof(double));
    s->a = at, s->l = at += n * n, s->j = at += n * n, s->panel = at += LM_ROWS * n,
    s->g = at += LM_BLOCK * n;
    s->d = at += n, s->x = at += n, s->r = at += n;
    return s;
}

void pn_lm_free(pn_lm *s)
{
    if (s) free(s->all);
    free(s);
}

static double dot(size_t n, const double *a, const double *b)
{
    double s[4] = { 0 };
    for (size_t i = 0; i < n; i++) s[i % 4] += a[i] * b[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

/* Factors one diagonal block and the rows below it. Returns 0 if the matrix is not positive
 * definite. */
static int factor_block(const pn_lm *s, size_t from, size_t cols)
{
    double *l = s->l;
    for (size_t j = from; j < from + cols; j++) {
        const double *row = l + j * s->n + from, square = l[j * s->n + j] - dot(j - from, row, row);
        if (!(square > 0)) return 0;
        const double pivot = l[j * s->n + j] = sqrt(square);
        for (size_t i = j + 1; i < s->n; i++)
            l[i * s->n + j] = (l[i * s->n + j] - dot(j - from, l + i * s->n + from, row)) / pivot;
    }
    return 1;
}

/* l = the Cholesky factor of a + mu I, below the diagonal. */
static int factor(const pn_lm *s, double mu)
{
    memcpy(s->l, s->a, s->n * s->n * sizeof *s->l);
    for (size_t i = 0; i < s->n; i++) s->l[i * s->n + i] += mu;
    for (size_t from = 0; from < s->n; from += LM_BLOCK) {
        const size_t cols = s->n - from < LM_BLOCK ? s->n - from : LM_BLOCK;
        if (pn_stop_now() || !factor_block(s, from, cols)) return 0;
        for (size_t i = from + cols; i < s->n; i++)
            for (size_t j = 0; j < cols; j++)
                s->panel[(i - from - cols) * LM_BLOCK + j] = -s->l[i * s->n + from + j];
        const pn_product p = trailing(s, from, cols);
        if (p.m) s->k->gemm(&p, s->workspace);
    }
    return 1;
}

/* d = -(l l')^-1 g */
static void solve(const pn_lm *s)
{
    const size_t n = s->n;
    for (size_t i = 0; i < n; i++)
        s->d[i] = (-s->g[i] - dot(i, s->l + i * n, s->d)) / s->l[i * n + i];
    for (size_t i = n; i-- > 0;) {
        const double d = s->d[i] /= s->l[i * n + i];
        for (size_t j = 0; j < i; j++) s->d[j] -= s->l[i * n + j] * d;
    }
}

static pn_status stopped(pn_error *error)
{
    if (error) snprintf(error->text, sizeof error->text, "stopped within a step");
    return PN_STOPPED;
}

/* Computes J'J and J'r. */
static pn_status normal_equations(const pn_lm *s, const pn_residuals *f, pn_error *error)
{
    memset(s->a, 0, s->n * s->n * sizeof *s->a);
    memset(s->g, 0, s->n * sizeof *s->g);
    for (size_t first = 0; first < f->n; first += LM_ROWS) {
        const size_t rows = f->n - first < LM_ROWS ? f->n - first : LM_ROWS;
        pn_status status = f->rows(f->context, first, rows, s->j, s->r, error);
        if (!status && pn_stopped()) status = stopped(error);
        if (status) return status;
        const pn_product p = normal(s, rows);
        s->k->gemm(&p, s->workspace);
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < s->n; j++) s->g[j] += s->j[i * s->n + j] * s->r[i];
    }
    return PN_OK;
}

/* Copies all parameters into one vector. */
static void gather(const pn_solver *o, double *x)
{
    for (size_t k = 0; k < o->n_segments; k++)
        for (size_t i = 0; i < o->segments[k].n; i++)
            *x++ = pn_element(o->segments[k].dtype, o->segments[k].p, i);
}

/* Sets the parameters to x + d, or to x if d is NULL. */
static void scatter(const pn_solver *o, const double *x, const double *d)
{
    for (size_t k = 0; k < o->n_segments; k++)
        for (size_t i = 0; i < o->segments[k].n; i++, x++) {
            const double value = d ? *x + *d++ : *x;
            pn_element_set(o->segments[k].dtype, o->segments[k].p, i, value);
        }
}

/* memory: mu, and the factor by which the next failure increases it. */
pn_status pn_lm_step(pn_lm *s, const pn_solver *o, const pn_residuals *f, double loss,
                     pn_error *error)
{
    double *mu = &o->memory[0], *grow = &o->memory[1], largest = 0, new_loss;
    if (s->n == 0) return PN_OK;
    pn_status status = normal_equations(s, f, error);
    if (status) return status;
    for (size_t i = 0; i < s->n; i++) largest = fmax(largest, s->a[i * s->n + i]);
    if (*grow == 0) *mu = o->settings[0] * (largest > 0 ? largest : 1);
    if (*grow == 0) *grow = 2;
    gather(o, s->x);
    for (double tries = o->settings[1]; tries >= 1; tries--) {
        double gain = -1;
        const int factored = factor(s, *mu);
        if (pn_stopped()) {
            status = stopped(error);
            break;
        }
        if (factored) {
            solve(s);
            scatter(o, s->x, s->d);
            if ((status = f->loss(f->context, &new_loss, error))) break;
            const double predicted = *mu * dot(s->n, s->d, s->d) - dot(s->n, s->d, s->g);
            gain = isfinite(new_loss) && predicted > 0 ? (loss - new_loss) / predicted : -1;
        }
        if (gain > 0) {
            const double t = 2 * gain - 1, shrink = 1 - t * t * t;
            *mu *= shrink > 1.0 / 3 ? shrink : 1.0 / 3;
            *grow = 2;
            return PN_OK;
        }
        if (!isfinite(*mu * *grow)) break;
        *mu *= *grow;
        *grow *= 2;
    }
    scatter(o, s->x, NULL);                   /* no step decreased the loss */
    return status;
}
