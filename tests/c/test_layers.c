/* Every kind of layer: gradients equal central differences. Results have the same bits for any
 * number of threads, any position of arrays, with and without shared buffers, and in a graph that
 * is rebuilt from what can be read of it. They agree in float32, on every instruction set, between
 * convolutions, twice in a net, and in a training step. */
#include "layers.h"
#include "core/training/step.h"
#include "check.h"

/* The results of a run: the output, the gradients of the inputs, and those of the parameters. */
typedef struct { pn_status status; pn_error error; size_t y, gx, n; double *v; } result;

static double get(pn_dtype t, const void *p, size_t i)
{
    return t == PN_F32 ? (double)((const float *)p)[i] : ((const double *)p)[i];
}

static void append(result *r, pn_dtype t, size_t n, const void *p)
{
    r->v = __real_realloc(r->v, (r->n + n + 1) * sizeof *r->v);
    for (size_t i = 0; i < n; i++) r->v[r->n++] = get(t, p, i);
}

/* Allocates a separate block of exact size for every buffer of the plan. */
static void separate_buffers(case_run *w, void **blocks)
{
    for (size_t i = 0; i < w->plan->n_buffers; i++) {
        const size_t bytes = w->plan->buffers[i].bytes;
        if (posix_memalign(&blocks[i], 64, bytes + !bytes)) exit(2);
        memset(blocks[i], 0xff, bytes);
        w->plan->at[(size_t)pn_first_plan_buffer(w->graph) + i] = blocks[i];
    }
}

static pn_status forward(case_run *w, pn_error *error)
{
    return pn_plan_forward(w->plan, (const void *const *)w->x, &w->y, 3, error);
}

/* A training step with a loss whose gradient is gy. */
static pn_status train(case_run *w, const result *known, pn_error *error)
{
    size_t i = 0;
    while (strcmp(pn_loss_at(i)->name, "mse")) i++;
    for (size_t k = 0; k < w->out; k++)
        set(w->s.t, w->y, k, known->v[k] - get(w->s.t, w->gy, k) / 2);
    const pn_criterion loss = { .row = pn_loss_at(i), .reduction = PN_SUM, .factor = 1 };
    pn_loss_batch batch = { .loss = &loss,
                            .view = { .cols = w->out / w->s.rows, .positions = 1, .last = 1 },
                            .n_inputs = 1,
                            .target = { .target = w->y } };
    return pn_train_step(w->plan, (const void *const *)w->x, 3, &batch, 1, 1, NULL, error);
}

/* known: the output, for a training step */
static result run(const layer_case *c, setup s, int separate, const result *known)
{
    case_run w;
    result r = { 0 };
    r.status = case_new(&w, c, s, &r.error);
    if (!r.status) fill_arrays(&w);
    if (!r.status) r.status = pn_plan_new(w.graph, s.rows, s.mode, &w.plan, &r.error);
    void **blocks = r.status ? NULL : __real_calloc(w.plan->n_buffers + 1, sizeof *blocks);
    if (!r.status && !separate) memset(w.plan->arena, 0xff, w.plan->bytes);
    if (blocks && separate) separate_buffers(&w, blocks);
    if (!r.status) r.status = known ? train(&w, known, &r.error) : forward(&w, &r.error);
    if (!r.status && s.mode == PN_BACKWARD)
        r.status = pn_plan_backward(w.plan, (const void *const *)&w.gy, w.gx, &r.error);
    if (!r.status && s.mode != PN_TRAIN) append(&r, s.t, w.out, w.y);
    r.y = r.n;
    for (size_t i = 0; i < w.inputs && !r.status && s.mode == PN_BACKWARD; i++)
        append(&r, s.t, w.in[i], w.gx[i]);
    r.gx = r.n - r.y;
    for (size_t j = 0; j < w.parameters && !r.status && s.mode != PN_PREDICT; j++)
        if (w.g[j]) append(&r, s.t, w.count[j], w.g[j]);
    for (size_t i = 0; blocks && i < w.plan->n_buffers; i++) __real_free(blocks[i]);
    __real_free(blocks);
    case_free(&w);
    return r;
}

static double largest(const result *r)
{
    double most = 1e-3;
    for (size_t i = 0; i < r->n; i++) if (fabs(r->v[i]) > most) most = fabs(r->v[i]);
    return most;
}

/* Compares the numbers of a, times factor, with those of b from index `from` on, and frees a.
 * tolerance 0: the bits must be equal. */
static void compare(const layer_case *c, const char *what, result a, const result *b, size_t from,
                    double factor, double tolerance)
{
    const double allowed = tolerance * largest(b) * factor;
    CHECK(a.status == b->status && from + a.n <= b->n,
          "%s (%s) of (%s), %s: status %d, %zu numbers: %s", c->kind, c->config, c->inputs, what,
          (int)a.status, a.n, a.error.text);
    for (size_t i = 0; i < a.n && from + i < b->n; i++) {
        const double expected = factor * b->v[from + i];
        int same = tolerance ? fabs(a.v[i] - expected) <= allowed
                             : !memcmp(&a.v[i], &expected, sizeof expected);
        if (same) continue;
        CHECK(
            same,
            "%s (%s) of (%s), %s: number %zu is %.17g, not %.17g; "
             "the output has %zu, the inputs' gradients %zu",
            c->kind, c->config, c->inputs, what, i, a.v[i], expected, b->y, b->gx);
        break;
    }
    __real_free(a.v);
}

/* ---- central differences --------------------------------------------------------------------- */

/* Runs forward and returns the sum of output times gy. */
static double value(case_run *w)
{
    pn_error error;
    double sum = 0;
    if (forward(w, &error)) return NAN;
    for (size_t i = 0; i < w->out; i++) sum += get(w->s.t, w->y, i) * get(w->s.t, w->gy, i);
    return sum;
}

static void check_difference(case_run *w, const char *what, size_t n, double *x,
                             const double *gradient, double most)
{
    const double h = 1e-5;
    for (size_t i = 0; i < n; i++) {
        const double was = x[i];
        x[i] = was + h;
        const double up = value(w);
        x[i] = was - h;
        const double down = value(w), slope = (up - down) / (2 * h);
        x[i] = was;
        if (fabs(slope - gradient[i]) <= 1e-6 * most) continue;
        CHECK(0, "%s (%s) of (%s), gradient of %s at %zu: %g, differences say %g", w->c->kind,
              w->c->config, w->c->inputs, what, i, gradient[i], slope);
        return;
    }
    CHECK(1, "%s", what);
}

static void check_differences(const layer_case *c, setup s, const result *r)
{
    case_run w;
    pn_error error = { "" };
    pn_status status = case_new(&w, c, s, &error);
    if (!status) fill_arrays(&w);
    if (!status) status = pn_plan_new(w.graph, s.rows, s.mode, &w.plan, &error);
    CHECK(!status, "%s (%s): %s", c->kind, c->config, error.text);
    const double *gradient = r->v + r->y, most = largest(r);
    for (size_t i = 0; i < w.inputs && !status; gradient += w.in[i++])
        if (!(i == 0 && has_mark(c, 'i')) && !(i == 1 && has_mark(c, 'o')))
            check_difference(&w, "an input", w.in[i], w.x[i], gradient, most);
    for (size_t j = 0; j < w.parameters && !status && !has_mark(c, 'p');
         gradient += w.g[j] ? w.count[j] : 0, j++)
        if (w.g[j]) check_difference(&w, "a parameter", w.count[j], w.p[j], gradient, most);
    case_free(&w);
}

/* ---- running a case -------------------------------------------------------------------------- */

static int is_image(const layer_case *c, setup s)
{
    case_run w;
    pn_error error;
    pn_status status = case_new(&w, c, s, &error);
    const pn_shape *out = status ? NULL : &w.graph->nodes[w.node].shape;
    int image = out && w.inputs == 1 && !has_mark(c, 'i') &&
                (w.shapes[0].ndim == 2 || w.shapes[0].ndim == 3) && w.shapes[0].dim[0] &&
                (out->ndim == 2 || out->ndim == 3) && out->dim[0];
    image = image && pn_count(out) && pn_count(&w.shapes[0]);
    case_free(&w);
    return image;
}

static void check_threads(const layer_case *c, setup s, const result *r)
{
    for (size_t threads = 2; threads <= 7; threads += 5) {
        CHECK(pn_threads_set(threads, NULL) == PN_OK, "%zu threads", threads);
        compare(c, "threads", run(c, s, 0, NULL), r, 0, 1, 0);
    }
    pn_threads_set(1, NULL);
}

/* Compares results for other positions and modes. */
static void check_variants(const layer_case *c, setup s, const result *r, double tolerance)
{
    setup other = s;
    compare(c, "buffers separate_buffers", run(c, s, 1, NULL), r, 0, 1, 0);
    other.shift = 1;
    compare(c, "arrays elsewhere", run(c, other, 1, NULL), r, 0, 1, 0);
    other = s;
    other.rebuild = 1;
    compare(c, "built again from what was read", run(c, other, 0, NULL), r, 0, 1, 0);
    other.twice = other.images = is_image(c, s);
    if (other.images) {
        setup first = other;
        first.rebuild = 0;
        result expected = run(c, first, 0, NULL);
        compare(c, "a net built again", run(c, other, 0, NULL), &expected, 0, 1, 0);
        __real_free(expected.v);
    }
    other = s;
    other.mode = PN_PREDICT;
    /* rows may be renormalised before or after rounding */
    if (!s.training)
        compare(c, "predicted", run(c, other, 1, NULL), r, 0, 1, has_mark(c, 'p') ? tolerance : 0);
    other.mode = PN_TRAIN;
    for (int separate = 0; separate < 2; separate++)
        compare(c, "step of training", run(c, other, separate, r), r, r->y + r->gx, 1, tolerance);
    other.mode = s.mode;
    other.images = 1;
    if (is_image(c, s) && !(has_mark(c, 'e') && s.training))
        for (int separate = 0; separate < 2; separate++)
            compare(c, "between convolutions", run(c, other, separate, NULL), r, 0, 1, tolerance);
    if (has_mark(c, 'r') && s.training) return;     /* two layers draw different numbers */
    other = s;
    other.twice = 1;
    result twice = run(c, other, 0, NULL);
    compare(c, "twice, separate_buffers", run(c, other, 1, NULL), &twice, 0, 1, 0);
    other.mode = PN_TRAIN;
    compare(c, "twice, step of training", run(c, other, 0, &twice), &twice, twice.y + twice.gx, 1,
            tolerance);
    compare(c, "twice", twice, r, 0, 2, tolerance);
}

static void check_case(const layer_case *c, int training, const result *first, result *wide)
{
    const setup s = { .t = PN_F64, .mode = PN_BACKWARD, .training = training, .rows = c->rows };
    *wide = run(c, s, 0, NULL);
    CHECK(!wide->status, "%s (%s) of (%s): %s", c->kind, c->config, c->inputs, wide->error.text);
    if (wide->status) return;
    check_threads(c, s, wide);
    check_variants(c, s, wide, 1e-12);
    if (!first->v && !has_mark(c, 'u')) check_differences(c, s, wide);
    if (first->v) compare(c, "another instruction set", run(c, s, 0, NULL), first, 0, 1, 1e-12);
    setup narrow = s;
    narrow.t = PN_F32;
    result r = run(c, narrow, 0, NULL);
    check_threads(c, narrow, &r);
    check_variants(c, narrow, &r, 1e-5);
    compare(c, "float32", r, wide, 0, 1, 2e-5);
    for (size_t rows = 0; rows < 2; rows++)
        for (narrow.mode = PN_PREDICT; narrow.mode <= PN_BACKWARD; narrow.mode++) {
            narrow.rows = rows;
            r = run(c, narrow, 1, NULL);
            CHECK(!r.status || r.status == PN_BAD_SHAPE, "%s (%s), %zu rows: %s", c->kind,
                  c->config, rows, r.error.text);
            __real_free(r.v);
        }
}

/* Checks that there is a case for every kind of layer. */
static void check_kinds(void)
{
    pn_kind_info kind;
    for (size_t i = 0; pn_kind_at(i, &kind); i++) {
        size_t k = 0;
        while (k < CASES && strcmp(cases[k].kind, kind.name)) k++;
        CHECK(k < CASES, "tests/c/layers.h has no case of the kind %s", kind.name);
    }
}

int main(void)
{
    check_kinds();
    static result first[CASES][2];
    const char *isa;
    for (size_t i = 0; (isa = pn_isa_built(i)); i++) {
        if (!pn_isa_runs(isa)) continue;
        CHECK(pn_isa_set(isa, NULL) == PN_OK, "%s", isa);
        for (size_t k = 0; k < CASES; k++)
            for (int training = 0; training < 2; training++) {
                result r;
                pn_threads_set(1, NULL);
                check_case(&cases[k], training, &first[k][training], &r);
                if (first[k][training].v) __real_free(r.v);
                else first[k][training] = r;
            }
    }
    for (size_t k = 0; k < CASES; k++)
        for (int training = 0; training < 2; training++) __real_free(first[k][training].v);
    CHECK(alive == 0, "%ld blocks were not freed", alive);
    return REPORT();
}
