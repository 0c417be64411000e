/* Invalid settings and shapes of layers lead to an error message, never to a crash or a long wait.
 * For every n, if the n-th allocation fails while any layer is planned in any mode, the result is
 * PN_NO_MEMORY and no memory is leaked. */
#include "layers.h"
#include "check.h"

static const double extremes[] = {
    -1, 0, 0.5, 1, 2, 3, 100, 0x1p20 + 1, 0x1p31 - 1, 0x1p31, 0x1p32 + 1, 0x1p52, 0x1p53, 0x1p64,
    1e300, -1e300, NAN, INFINITY, -INFINITY
};
static const size_t sizes[] = { 0, 1, 2, 1000, (size_t)1 << 31, SIZE_MAX / 16, SIZE_MAX };
enum { EXTREMES = sizeof extremes / sizeof *extremes, SIZES = sizeof sizes / sizeof *sizes };
enum { TRIES = 60 };

static uint32_t next(uint32_t n)        /* pseudo-random, below n */
{
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}

/* Adds the layer, binds and plans as far as possible, and runs the plan if it is small. */
static pn_status attempt(case_run *w, pn_error *error)
{
    size_t most = 0;
    pn_status status = build(w, error);
    if (!status) status = pn_plan_new(w->graph, w->s.rows, w->s.mode, &w->plan, error);
    for (size_t i = 0; !status && i < w->graph->n_nodes; i++)
        most += pn_count(&w->graph->nodes[i].shape);
    if (status || most > MOST) return status;
    fill_arrays(w);
    status = pn_plan_forward(w->plan, (const void *const *)w->x, &w->y, 3, error);
    return status || w->s.mode != PN_BACKWARD
             ? status
             : pn_plan_backward(w->plan, (const void *const *)&w->gy, w->gx, error);
}

/* Checks the result of a case that has been modified. */
static void check_answer(case_run *w, const char *what)
{
    pn_error error = { "" };
    const pn_status status = attempt(w, &error);
    CHECK(status == PN_OK || status == PN_NO_MEMORY || status == PN_BAD_SHAPE ||
              status == PN_BAD_VALUE,
          "%s, %s: status %d", w->c->kind, what, (int)status);
    CHECK(!status || error.text[0], "%s, %s: status %d without a message", w->c->kind, what,
          (int)status);
    case_free(w);
    CHECK(alive == 0, "%s, %s: %ld blocks were not freed", w->c->kind, what, alive);
}

/* Changes one number of setting i. */
static void change(case_run *w, size_t i, double value)
{
    pn_setting *s = &w->config.at[i];
    if (s->text || s->n == 0) s->n = 1;
    s->text = NULL;
    s->number[next((uint32_t)s->n)] = value;
}

static void check_settings(const layer_case *c, setup s)
{
    case_run w;
    case_read(&w, c, s);
    const size_t n = w.config.n;
    for (size_t i = 0; i < n * EXTREMES; i++) {
        case_read(&w, c, s);
        change(&w, i / EXTREMES, extremes[i % EXTREMES]);
        check_answer(&w, "a setting");
    }
    for (size_t i = 0; i < TRIES && n; i++) {
        case_read(&w, c, s);
        for (size_t k = 0; k < 2 + i % 3; k++)
            change(&w, next((uint32_t)n), extremes[next(EXTREMES)]);
        check_answer(&w, "settings");
    }
    for (size_t i = 0; i < n * (PN_MAX_DIMS + 2); i++) {
        case_read(&w, c, s);
        w.config.at[i / (PN_MAX_DIMS + 2)].n = i % (PN_MAX_DIMS + 2);
        check_answer(&w, "a list of another length");
    }
    for (size_t i = 0; i < n; i++) {
        case_read(&w, c, s);
        w.config.at[i].text = "nothing";
        check_answer(&w, "a name");
        case_read(&w, c, s);
        w.config.at[i].name = i ? w.config.at[0].name : "nothing";
        check_answer(&w, "a setting twice, or an unknown one");
    }
    for (size_t i = 0; i <= n + SPARE; i++) {
        case_read(&w, c, s);
        for (size_t k = n; k < i; k++)
            w.config.at[k] = (pn_setting){ .name = "more", .n = 1, .number = { 1 } };
        w.config.n = i;
        check_answer(&w, "too few settings, or too many");
    }
}

static void check_shapes(const layer_case *c, setup s)
{
    case_run w;
    case_read(&w, c, s);
    for (size_t ndim = 0; ndim <= PN_MAX_DIMS; ndim++) {
        case_read(&w, c, s);
        for (size_t i = w.shapes[0].ndim; i < ndim; i++) w.shapes[0].dim[i] = 1;
        w.shapes[0].ndim = ndim;
        check_answer(&w, "dimensions");
    }
    for (size_t i = 0; i < w.inputs; i++)
        for (size_t k = 0; k < w.shapes[i].ndim * SIZES; k++) {
            case_read(&w, c, s);
            w.shapes[i].dim[k / SIZES] = sizes[k % SIZES];
            check_answer(&w, "a size");
        }
    for (size_t inputs = 1; inputs < 5; inputs++) {
        case_read(&w, c, s);
        for (size_t i = w.inputs; i < inputs; i++) w.shapes[i] = w.shapes[0];
        w.inputs = inputs;
        check_answer(&w, "inputs");
    }
}

static void check_memory(const layer_case *c, setup s)
{
    pn_status status = PN_NO_MEMORY;
    for (long n = 0; status && n < 1000; n++) {
        case_run w;
        pn_error error = { "" };
        fail_at = n;
        status = case_new(&w, c, s, &error);
        if (!status) status = pn_plan_new(w.graph, s.rows, s.mode, &w.plan, &error);
        case_free(&w);
        CHECK(status == (fail_at < 0 ? PN_NO_MEMORY : PN_OK),
              "%s (%s): allocation %ld failed, and the status is %d", c->kind, c->config, n,
              (int)status);
        CHECK(!status || error.text[0], "%s (%s): allocation %ld failed without a message",
              c->kind, c->config, n);
        CHECK(alive == 0, "%s (%s): %ld blocks were not freed when allocation %ld failed", c->kind,
              c->config, alive, n);
    }
    fail_at = -1;
}

int main(void)
{
    for (size_t k = 0; k < CASES; k++)
        for (pn_mode mode = PN_PREDICT; mode <= PN_TRAIN; mode++)
            for (int twice = 0; twice < 2; twice++)
                check_memory(&cases[k], (setup){ .t = PN_F32,
                                                 .mode = mode,
                                                 .training = 1,
                                                 .rows = cases[k].rows,
                                                 .twice = twice });
    largest_block = (size_t)1 << 26;
    for (size_t k = 0; k < CASES; k++)
        for (pn_mode mode = PN_PREDICT; mode <= PN_BACKWARD; mode++) {
            const setup s = { .t = k % 2 ? PN_F32 : PN_F64,
                              .mode = mode,
                              .training = k % 3 != 0,
                              .rows = 2 };
            check_settings(&cases[k], s);
            check_shapes(&cases[k], s);
        }
    return REPORT();
}
