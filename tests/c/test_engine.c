/* The C library without Python. A net learns from C alone. Running allocates nothing. For every n,
 * if the n-th allocation fails, the result is PN_NO_MEMORY and no memory is leaked. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "allocator.h"
#include "check.h"
#include "settings.h"

/* ---- a net of two layers that learns XOR ----------------------------------------------------- */
enum { IN = 2, HIDDEN = 16, OUT = 2, ROWS = 4, BATCH = 3, PARAMETERS = 4 };
static const double X[ROWS * IN] = { 0, 0, 0, 1, 1, 0, 1, 1 };
static const int64_t labels[ROWS] = { 0, 1, 1, 0 };
static double p[PARAMETERS][HIDDEN * IN], g[PARAMETERS][HIDDEN * IN],
    state[PARAMETERS][2][HIDDEN * IN];
static const size_t shapes[PARAMETERS][2] = {
    { HIDDEN, IN }, { HIDDEN }, { OUT, HIDDEN }, { OUT }
};

static size_t row_of(const char *name, int is_loss)
{
    for (size_t i = 0;; i++) {
        const char *found = is_loss ? pn_loss_at(i)->name : pn_optimizer_at(i)->name;
        if (!strcmp(found, name)) return i;
    }
}

static pn_status bind(pn_graph *graph, size_t first, pn_error *error)
{
    pn_status status = pn_graph_bind(graph, 0, 2, shapes[first], p[first], g[first], error);
    return status
             ? status
             : pn_graph_bind(graph, 1, 1, shapes[first + 1], p[first + 1], g[first + 1], error);
}

static pn_status add(pn_graph *graph, const char *kind, const char *text, pn_error *error)
{
    settings all;
    const pn_layer layer = simple_layer(kind, "here", read_settings(&all, text));
    return pn_graph_add(graph, &layer, error);
}

static pn_status build(pn_dtype dtype, pn_graph **graph, pn_error *error)
{
    const size_t in[] = { IN };
    pn_status status = pn_graph_new(dtype, 1, in, graph, error);
    if (!status) status = add(*graph, "linear", "in_features=2 out_features=16 bias=1", error);
    if (!status) status = bind(*graph, 0, error);
    if (!status) status = add(*graph, "activation", "function=tanh parameters=", error);
    if (!status) status = add(*graph, "linear", "in_features=16 out_features=2 bias=1", error);
    if (!status) status = bind(*graph, 2, error);
    /* enough nodes that the lists must grow */
    for (int i = 0; i < 20 && !status; i++) status = add(*graph, "reshape", "shape=2", error);
    return status;
}

static void start(pn_dtype dtype)
{
    memset(state, 0, sizeof state);
    for (size_t i = 0; i < PARAMETERS; i++)
        pn_random_uniform(7, i, -0.5, 0.5, dtype, HIDDEN * IN, p[i]);
}

/* Calls run(argument) with the n-th allocation failing, for each n until none fails. */
static void check_allocations(pn_status (*run)(int argument, pn_error *error), int argument,
                              long least)
{
    pn_status status = PN_NO_MEMORY;
    long n = 0;
    for (; status && n < 1000; n++) {
        pn_error error = { "" };
        fail_at = n;
        status = run(argument, &error);
        CHECK(status == (fail_at < 0 ? PN_NO_MEMORY : PN_OK),
              "allocation %ld failed, and the status is %d", n, (int)status);
        CHECK(!status || error.text[0], "allocation %ld failed without a message", n);
        CHECK(alive == 0, "%ld blocks were not freed when allocation %ld failed", alive, n);
    }
    fail_at = -1;
    CHECK(!status && n > least, "status %d after %ld allocations", (int)status, n);
}

/* The arguments of training on XOR, which refer to each other. */
typedef struct {
    double step_counts[PARAMETERS];
    pn_segment segments[PARAMETERS];
    pn_settings settings;
    pn_group group;
    pn_samples samples;
    pn_target targets;
    pn_data data;
    pn_criterion criterion;
    pn_fit_options options;
} training;

static void training_init(training *t)
{
    memset(t, 0, sizeof *t);
    for (size_t i = 0; i < PARAMETERS; i++)
        t->segments[i] = (pn_segment){ .p = p[i],
                                       .g = g[i],
                                       .state = { state[i][0], state[i][1] },
                                       .number = { &t->step_counts[i] },
                                       .n = shapes[i][0] * (i % 2 ? 1 : shapes[i][1]),
                                       .dtype = PN_F64 };
    t->settings = (pn_settings){ .hyper = { 0.05, 0.9, 0.999, 1e-8, 0 } };
    t->group = (pn_group){ .optimizer = row_of("adam", 0),
                           .n = PARAMETERS,
                           .segments = t->segments,
                           .settings = &t->settings };
    t->samples = (pn_samples){ X, PN_FROM_F64, sizeof X / ROWS };
    t->targets = (pn_target){ .label = labels };
    t->data = (pn_data){ .rows = ROWS, .x = &t->samples, .y = &t->targets };
    t->criterion = (pn_criterion){ .row = pn_loss_at(row_of("cross_entropy", 1)),
                                   .ignore_index = -100,
                                   .factor = 1 };
    t->options = (pn_fit_options){ .criteria = &t->criterion,
                                   .n_criteria = 1,
                                   .batch_size = BATCH,
                                   .shuffle = 1,
                                   .seed = 3,
                                   .groups = &t->group,
                                   .n_groups = 1,
                                   .finite = 1,
                                   .health = 1 };
}

static pn_status train(pn_fit *fit, int epochs, int64_t *step, double *first, double *last,
                       pn_error *error)
{
    pn_status status = PN_OK;
    pn_score score;
    const long before = calls;
    for (int i = 0; i < epochs && !status; i++) {
        status = pn_fit_epoch(fit, (uint64_t)i, step, &score, error);
        *(i ? last : first) = score.loss / (double)score.values;
    }
    CHECK(calls == before, "training allocated %ld times", calls - before);
    if (status) return status;
    CHECK(*step == 2 * epochs, "%d updates", (int)*step);
    pn_node_health health[3];
    for (size_t i = 0; i < 3; i++) CHECK(pn_fit_health(fit, i, &health[i]), "no health");
    CHECK(health[2].units == HIDDEN && !health[2].dead && health[2].spread > 0 && health[2].probes,
          "%zu units", health[2].units);
    CHECK(health[1].gradient > 0 && health[1].update > 0 && health[1].weight > 0, "gradient %g",
          health[1].gradient);
    const pn_place place = pn_fit_origin(fit)->place;
    CHECK(place == PN_UNKNOWN, "place %d", (int)place);
    return PN_OK;
}

static pn_status predict(const pn_graph *graph, const training *t, size_t *correct,
                         pn_error *error)
{
    pn_predictor *blocks = NULL, *one_block = NULL;
    pn_score score;
    pn_status status = pn_predictor_new(graph, 5, &blocks, error);
    if (!status) status = pn_predict(blocks, &t->data, &t->options, NULL, &score, error);
    if (!status) *correct = score.correct;
    const long before = calls;
    if (!status) status = pn_predict(blocks, &t->data, &t->options, NULL, &score, error);
    CHECK(calls == before, "predicting again allocated %ld times", calls - before);
    /* the size of such a block in bytes exceeds a size_t */
    if (!status) status = pn_predictor_new(graph, SIZE_MAX / 8 + 1, &one_block, error);
    if (!status) status = pn_predict(one_block, &t->data, &t->options, NULL, &score, error);
    CHECK(status || score.correct == *correct, "%zu correct in one block", score.correct);
    pn_predictor_free(one_block);
    pn_predictor_free(blocks);
    return status;
}

static pn_status run_plan(const pn_graph *graph, pn_error *error)
{
    double y[ROWS * OUT], gx[ROWS * IN];
    const void *in = X;
    void *out = y, *in_grad = gx;
    pn_plan *plan = NULL;
    pn_status status = pn_plan_new(graph, ROWS, PN_BACKWARD, &plan, error);
    if (status) return status;
    CHECK(pn_plan_backward(plan, (const void *const *)&out, &in_grad, error) == PN_BAD_STATE,
          "backward before forward");
    const long before = calls;
    status = pn_plan_forward(plan, &in, &out, 0, error);
    if (!status) status = pn_plan_backward(plan, (const void *const *)&out, &in_grad, error);
    CHECK(calls == before, "running allocated %ld times", calls - before);
    pn_plan_free(plan);
    return status;
}

/* Trains, predicts, and runs forward and backward, which covers everything that allocates. Returns
 * the first failure. */
static pn_status run(int epochs, double *first, double *last, size_t *correct, pn_error *error)
{
    training t;
    pn_graph *graph = NULL;
    pn_fit *fit = NULL;
    pn_score score;
    int64_t step = 0;
    training_init(&t);
    start(PN_F64);
    pn_status status = build(PN_F64, &graph, error);
    if (!status) status = pn_fit_new(graph, &t.data, &t.options, &fit, error);
    if (!status) status = train(fit, epochs, &step, first, last, error);
    if (!status) status = predict(graph, &t, correct, error);
    if (!status) status = pn_fit_batch(fit, &t.data, &step, &score, error);
    if (!status) status = run_plan(graph, error);
    pn_fit_free(fit);
    pn_graph_free(graph);
    return status;
}

/* Levenberg-Marquardt, which uses a copy of a single-precision net in double precision. */
static pn_status solve(pn_dtype dtype, int epochs, double *last, pn_error *error)
{
    static const double expected[ROWS * OUT] = { 1, 0, 0, 1, 0, 1, 1, 0 };
    static const float expected_f32[ROWS * OUT] = { 1, 0, 0, 1, 0, 1, 1, 0 };
    static const double settings[PN_SOLVER_SETTINGS] = { 1e-3, 20 };
    double memory[PN_LM_MEMORY] = { 0 };
    pn_segment segments[PARAMETERS];
    pn_solver solver = { .kind = PN_SOLVE_LM,
                         .settings = settings,
                         .n_segments = PARAMETERS,
                         .segments = segments,
                         .memory = memory };
    for (size_t i = 0; i < PARAMETERS; i++) {
        segments[i] = (pn_segment){ .p = p[i],
                                    .g = g[i],
                                    .n = shapes[i][0] * (i % 2 ? 1 : shapes[i][1]),
                                    .dtype = dtype };
        solver.n += segments[i].n;
    }
    const pn_samples samples = { X, PN_FROM_F64, sizeof X / ROWS };
    const pn_target targets = { .target = dtype == PN_F32 ? (const void *)expected_f32 : expected };
    const pn_data data = { .rows = ROWS, .x = &samples, .y = &targets };
    const pn_criterion criterion = { .row = pn_loss_at(row_of("mse", 1)), .factor = 1 };
    const pn_fit_options options = { .criteria = &criterion,
                                     .n_criteria = 1,
                                     .batch_size = ROWS,
                                     .solver = &solver,
                                     .finite = 1,
                                     .health = 1 };
    pn_graph *graph = NULL;
    pn_fit *fit = NULL;
    pn_score score;
    int64_t step = 0;
    start(dtype);
    pn_status status = build(dtype, &graph, error);
    if (!status) status = pn_fit_new(graph, &data, &options, &fit, error);
    const long before = calls;
    for (int i = 0; i < epochs && !status; i++) {
        status = pn_fit_epoch(fit, (uint64_t)i, &step, &score, error);
        *last = score.loss / score.divisor;
    }
    CHECK(calls == before, "solving allocated %ld times", calls - before);
    pn_fit_free(fit);
    pn_graph_free(graph);
    return status;
}

static pn_status solve_twice(int dtype, pn_error *error)
{
    double last;
    return solve((pn_dtype)dtype, 2, &last, error);
}

static void check_solving(void)
{
    for (int dtype = PN_F32; dtype <= PN_F64; dtype++) {
        pn_error error = { "" };
        double last = 1;
        pn_status status = solve((pn_dtype)dtype, 40, &last, &error);
        CHECK(status == PN_OK && last < 1e-9, "%d: a loss of %g %s", dtype, last, error.text);
        check_allocations(solve_twice, dtype, 20);
    }
}

static void check_learning(void)
{
    pn_error error = { "" };
    double first = 0, last = 0;
    size_t correct = 0;
    pn_status status = run(200, &first, &last, &correct, &error);
    CHECK(status == PN_OK, "%s", error.text);
    CHECK(last < 0.05 && last < first / 5, "the loss went from %g to %g", first, last);
    CHECK(correct == ROWS, "%zu right", correct);
    CHECK(alive == 0, "%ld blocks were not freed", alive);
}

static pn_status run_epochs(int epochs, pn_error *error)
{
    double first, last;
    size_t correct;
    return run(epochs, &first, &last, &correct, error);
}

/* ---- a trace of one step --------------------------------------------------------------------- */
enum { NODES = 24 };
static double values[NODES][ROWS * HIDDEN], gradients[NODES][ROWS * HIDDEN],
    loss_gradient[ROWS * OUT];

typedef struct { void *value[NODES], *gradient[NODES], *loss_gradient[1]; pn_score score; } arrays;

static pn_status trace(const pn_graph *graph, const training *t, arrays *a, pn_error *error)
{
    a->score = (pn_score){ 0 };
    a->loss_gradient[0] = loss_gradient;
    for (size_t i = 0; i < NODES; i++) {
        a->value[i] = values[i];
        a->gradient[i] = gradients[i];
    }
    const pn_trace out = { a->value, a->gradient, a->loss_gradient, &a->score };
    return pn_trace_step(graph, &t->data, &t->criterion, 1, 1, &out, error);
}

static pn_status trace_once(int unused, pn_error *error)
{
    training t;
    arrays a;
    pn_graph *graph = NULL;
    (void)unused;
    start(PN_F64);
    training_init(&t);
    pn_status status = build(PN_F64, &graph, error);
    if (!status) status = trace(graph, &t, &a, error);
    pn_graph_free(graph);
    return status;
}

static double most_apart(const double *a, const double *b, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(a[i] - b[i]));
    return most;
}

/* Compares a trace with a step of fit from the same state, and with a plan. */
static pn_status compare_trace(const pn_graph *graph, training *t, pn_error *error)
{
    static double expected_g[PARAMETERS][HIDDEN * IN];
    double y[ROWS * OUT], gx[ROWS * IN];
    const void *x = X, *gy = loss_gradient;
    void *out = y, *in_grad = gx;
    int64_t step = 0;
    arrays a;
    pn_score score = { 0 };
    pn_plan *plan = NULL;
    pn_fit *fit = NULL;
    memset(g, 0, sizeof g);
    pn_status status = trace(graph, t, &a, error);
    memcpy(expected_g, g, sizeof g);
    if (!status) status = pn_plan_new(graph, ROWS, PN_BACKWARD, &plan, error);
    if (!status) status = pn_plan_forward(plan, &x, &out, 0, error);
    if (!status) status = pn_plan_backward(plan, &gy, &in_grad, error);
    CHECK(most_apart(gradients[0], gx, ROWS * IN) < 1e-14 && fabs(gx[0]) > 1e-3,
          "gradient of the input %g", gx[0]);
    memset(g, 0, sizeof g);
    t->options.batch_size = ROWS;
    if (!status) status = pn_fit_new(graph, &t->data, &t->options, &fit, error);
    if (!status) pn_fit_keep(fit, &out);
    if (!status) status = pn_fit_batch(fit, &t->data, &step, &score, error);
    pn_fit_free(fit);
    pn_plan_free(plan);
    CHECK(status == PN_OK, "%s", error->text);
    CHECK(!memcmp(values[0], X, sizeof X), "an input is not its value");
    CHECK(most_apart(values[NODES - 1], y, ROWS * OUT) < 1e-14, "output %g", values[NODES - 1][0]);
    CHECK(!memcmp(gradients[NODES - 1], loss_gradient, sizeof loss_gradient), "gradient %g of %g",
          gradients[NODES - 1][0], loss_gradient[0]);
    for (size_t i = 0; i < ROWS * HIDDEN; i++)
        CHECK(fabs(values[2][i] - tanh(values[1][i])) < 1e-14, "tanh(%g) is %g", values[1][i],
              values[2][i]);
    CHECK(most_apart(expected_g[0], g[0], PARAMETERS * HIDDEN * IN) < 1e-14 && g[0][0] != 0,
          "gradient of a weight %g", g[0][0]);
    CHECK(fabs(a.score.loss - score.loss) < 1e-13 && a.score.correct == score.correct &&
              a.score.divisor == score.divisor && a.score.rows == ROWS,
          "a loss of %g, not %g", a.score.loss, score.loss);
    t->data.rows = 0;
    CHECK(trace(graph, t, &a, error) == PN_BAD_SHAPE, "a trace of no rows");
    return status;
}

static void check_trace(void)
{
    training t;
    pn_error error = { "" };
    pn_graph *graph = NULL;
    start(PN_F64);
    training_init(&t);
    pn_status status = build(PN_F64, &graph, &error);
    CHECK(status || pn_graph_nodes(graph) == NODES, "%zu nodes", pn_graph_nodes(graph));
    if (!status) status = compare_trace(graph, &t, &error);
    CHECK(status == PN_OK, "%s", error.text);
    pn_graph_free(graph);
    CHECK(alive == 0, "%ld blocks were not freed", alive);
}

/* ---- errors ---------------------------------------------------------------------------------- */
static int stop(void *context)
{
    ++*(int *)context;
    return 1;
}

/* settings of a linear layer, and part of the error message */
static const struct { const char *text, *word;
} invalid_settings[] = {
    { "in_features=-1 out_features=2 bias=1",
      "in_features must be an integer of at least 0, got -1" },
    { "in_features=nan out_features=2 bias=1", "in_features" },
    { "in_features=2 out_features=1.5 bias=1", "out_features" },
    { "in_features=2 out_features=2 bias=2", "bias must be 0 or 1, got 2" },
    { "in_features=2 out_features=2", "bias is missing" },
    { "in_features=2 out_features=2 bias=1 bias=1", "bias is given twice" },
    { "in_features=2 out_features=2 bias=1 eps=1", "linear takes in_features, out_features, bias" },
    { "in_features=2,3 out_features=2 bias=1", "in_features must be one number" },
    { "in_features=two out_features=2 bias=1", "in_features must be one number" },
};

static void check_errors(void)
{
    pn_error error;
    pn_graph *graph = NULL;
    const size_t huge[] = { SIZE_MAX / 2, 16 }, in[] = { IN };
    CHECK(pn_graph_new(PN_F64, 2, huge, &graph, &error) == PN_BAD_SHAPE && !graph, "a huge shape");
    CHECK(pn_graph_new(PN_F32, 1, in, &graph, &error) == PN_OK, "%s", error.text);
    CHECK(add(graph, "nothing", "", &error) == PN_BAD_VALUE && strstr(error.text, "nothing"), "%s",
          error.text);
    CHECK(add(graph, "linear", "in_features=3 out_features=3 bias=1", &error) == PN_BAD_SHAPE &&
              strstr(error.text, "here"),
          "%s", error.text);
    for (size_t i = 0; i < sizeof invalid_settings / sizeof *invalid_settings; i++)
        CHECK(add(graph, "linear", invalid_settings[i].text, &error) == PN_BAD_VALUE &&
                  strstr(error.text, invalid_settings[i].word),
              "%s: %s", invalid_settings[i].text, error.text);
    CHECK(add(graph, "linear", "bias=1 out_features=2 in_features=2", &error) == PN_OK, "%s",
          error.text);
    CHECK(pn_graph_bind(graph, 0, 1, in, p, NULL, &error) == PN_BAD_SHAPE, "%s", error.text);
    CHECK(pn_graph_bind(graph, 2, 2, shapes[0], p, NULL, &error) == PN_BAD_VALUE, "%s", error.text);
    CHECK(pn_isa_set("nonsense", &error) == PN_BAD_VALUE && strstr(error.text, "nonsense"), "%s",
          error.text);
    pn_graph_free(graph);
    pn_plan *plan = NULL;
    CHECK(pn_graph_new(PN_F64, 0, NULL, &graph, &error) == PN_OK, "%s", error.text);
    for (int i = 0; i < 2; i++) add(graph, "activation", "function=tanh parameters=", &error);
    largest_block = (size_t)1 << 26;
    CHECK(pn_plan_new(graph, SIZE_MAX / 8, PN_BACKWARD, &plan, &error) == PN_NO_MEMORY,
          "%zu rows in %zu bytes", SIZE_MAX / 8, plan ? pn_plan_bytes(plan) : 0);
    largest_block = SIZE_MAX;
    pn_graph_free(graph);
    pn_graph_free(NULL);
    pn_plan_free(NULL);
    pn_fit_free(NULL);
}

/* y = 2 x. Stops at call number stop_at. */
typedef struct { int calls, stop_at; } doubler;
static int double_forward(void *context, size_t rows, int keep, const void *const *x, void *y)
{
    (void)keep;
    doubler *d = context;
    for (size_t i = 0; i < rows * IN; i++) ((double *)y)[i] = 2 * ((const double *)x[0])[i];
    return ++d->calls == d->stop_at;
}
static int double_backward(void *context, size_t rows, const void *gy, void *const *gx)
{
    (void)context;
    for (size_t i = 0; gx[0] && i < rows * IN; i++)
        ((double *)gx[0])[i] = 2 * ((const double *)gy)[i];
    return 0;
}

/* x + 2 x + x, where the first and last term are the same node: gradients are summed, and a custom
 * layer can stop the run. */
static void check_branches(void)
{
    const size_t in[] = { IN }, feeds[] = { 0, 1, 0 };
    settings config;
    read_settings(&config, "num_parameters=0 shape=2");
    doubler d = { 0, 0 };
    const pn_custom_layer custom = { .forward = double_forward,
                                     .backward = double_backward,
                                     .context = &d };
    pn_graph *graph = NULL;
    pn_plan *plan = NULL;
    pn_error error = { "" };
    double y[ROWS * IN], gx[ROWS * IN];
    const void *x = X;
    void *out = y, *in_grad = gx;
    pn_status status = pn_graph_new(PN_F64, 1, in, &graph, &error);
    if (!status)
        status = pn_graph_add(graph,
                              &(pn_layer){ .kind = "custom",
                                           .where = "double",
                                           .n_settings = config.n,
                                           .settings = config.at,
                                           .custom = &custom },
                              &error);
    if (!status)
        status = pn_graph_add(
            graph, &(pn_layer){ .kind = "add", .where = "sum", .n_inputs = 3, .inputs = feeds },
            &error);
    if (!status) status = pn_plan_new(graph, ROWS, PN_BACKWARD, &plan, &error);
    if (!status) status = pn_plan_forward(plan, &x, &out, 0, &error);
    if (!status) status = pn_plan_backward(plan, &x, &in_grad, &error);
    CHECK(status == PN_OK, "%s", error.text);
    for (size_t i = 0; i < ROWS * IN && !status; i++)
        CHECK(y[i] == 4 * X[i] && gx[i] == 4 * X[i], "[%zu]: %g, gradient %g", i, y[i], gx[i]);
    d.stop_at = d.calls + 1;
    CHECK(plan && pn_plan_forward(plan, &x, &out, 0, &error) == PN_STOPPED, "not stopped");
    CHECK(plan && pn_plan_backward(plan, &x, &in_grad, &error) == PN_BAD_STATE,
          "backward after a run that was stopped");
    pn_plan_free(plan);
    pn_graph_free(graph);
}

static void check_stopping(void)
{
    static double x[20000 * IN];
    static int64_t y[20000];
    int polls = 0;
    pn_error error = { "" };
    pn_graph *graph = NULL;
    pn_fit *fit = NULL;
    pn_score score;
    int64_t step = 0;
    const pn_samples samples = { x, PN_FROM_F64, IN * sizeof *x };
    const pn_target targets = { .label = y };
    const pn_data data = { .rows = 20000, .x = &samples, .y = &targets };
    const pn_criterion criterion = { .row = pn_loss_at(row_of("cross_entropy", 1)),
                                     .ignore_index = -100,
                                     .factor = 1 };
    const pn_fit_options options = { .criteria = &criterion,
                                     .n_criteria = 1,
                                     .batch_size = 1,
                                     .poll = stop,
                                     .context = &polls };
    pn_status status = build(PN_F64, &graph, &error);
    if (!status) status = pn_fit_new(graph, &data, &options, &fit, &error);
    for (uint64_t i = 0; i < 10000 && !status; i++)
        status = pn_fit_epoch(fit, i, &step, &score, &error);
    CHECK(status == PN_STOPPED && polls == 1 && step > 0, "status %d after %d polls: %s",
          (int)status, polls, error.text);
    pn_fit_free(fit);
    pn_graph_free(graph);
}

int main(void)
{
    const char *isa;
    for (size_t i = 0; (isa = pn_isa_built(i)); i++) {
        if (!pn_isa_runs(isa)) continue;
        CHECK(pn_isa_set(isa, NULL) == PN_OK, "%s", isa);
        check_learning();
        check_solving();
    }
    check_trace();
    check_allocations(run_epochs, 2, 20);
    check_allocations(trace_once, 0, 20);
    check_errors();
    check_branches();
    check_stopping();
    return REPORT();
}
