/* door.c - what the benchmarks reach of the core that Python does not: one matrix product, and the time of each step of a plan. */
#define _POSIX_C_SOURCE 200809L
#include "core/graph.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

EXPORT void pynn_bench_threads(size_t n)
{
    pn_error error;
    pn_threads_set(n, &error);
}

/* C (m, n) = op(A) op(B) in float32, n_times over, all dense: seconds, or -1 when memory is short. */
EXPORT double pynn_bench_product(int ta, int tb, size_t m, size_t n, size_t k, const void *a, const void *b, void *c, long n_times)
{
    const pn_typed_kernels *kernels = &pn_kernels_now()->of[PN_F32];
    const pn_product p = { .ta = ta, .tb = tb, .m = m, .n = n, .k = k, .a = a, .lda = ta ? m : k, .b = b, .ldb = tb ? k : n, .c = c, .ldc = n };
    void *workspace = aligned_alloc(64, (kernels->gemm_workspace(&p) + 63) / 64 * 64 + 64);
    if (!workspace) return -1;
    double start = now();
    for (long i = 0; i < n_times; i++) kernels->gemm(&p, workspace);
    double seconds = now() - start;
    free(workspace);
    return seconds;
}

/* ---- the time of each step of a plan: its run functions are replaced by one that looks at the clock around them ------------ */
enum { MOST_STEPS = 60, MOST_LAYERS = 8 };
static struct { pn_plan *plan; pn_step_fn *run[MOST_STEPS]; double seconds[MOST_STEPS]; } watch;

static void run_watched(const pn_step *step, void *const *at)
{
    size_t i = (size_t)(step - watch.plan->steps);
    double start = now();
    watch.run[i](step, at);
    watch.seconds[i] += now() - start;
}

static size_t row_called(const char *name, size_t (*find)(const char *name, size_t i))
{
    size_t i = 0;
    while (find(name, i) == 0) i++;
    return i;
}

/* Each: 0 not this row, 1 this row, 2 past the end. */
static size_t is_activation(const char *name, size_t i) { return !pn_activation_at(i) ? 2 : !strcmp(pn_activation_at(i)->name, name); }
static size_t is_loss(const char *name, size_t i) { return !pn_loss_at(i) ? 2 : !strcmp(pn_loss_at(i)->name, name); }
static size_t is_optimizer(const char *name, size_t i) { return !pn_optimizer_at(i) ? 2 : !strcmp(pn_optimizer_at(i)->name, name); }

typedef struct {
    pn_graph *graph;
    pn_plan *plan;
    size_t n_segments;
    pn_segment segments[2 * MOST_LAYERS];
    void *owned[6 * MOST_LAYERS];           /* gradients and Adam's states */
    size_t n_owned;
} net;

static void *zeros(net *net, size_t n)
{
    void *p = calloc(n, sizeof(float));
    return net->owned[net->n_owned++] = p;
}

static pn_status bind(net *net, size_t slot, size_t ndim, const size_t *shape, float *data, pn_error *error)
{
    size_t n = shape[0] * (ndim > 1 ? shape[1] : 1);
    pn_segment s = { .p = data, .g = zeros(net, n), .n = n, .dtype = PN_F32 };
    s.state[0] = zeros(net, n);
    s.state[1] = zeros(net, n);
    if (!s.g || !s.state[0] || !s.state[1]) return PN_NO_MEMORY;
    net->segments[net->n_segments++] = s;
    return pn_graph_bind(net->graph, slot, ndim, shape, data, (void *)s.g, error);
}

static pn_status build(net *net, size_t n_widths, const size_t *widths, const char *activation, size_t rows, float *const *parameters)
{
    pn_error error;
    pn_status status = pn_graph_new(PN_F32, 1, widths, &net->graph, &error);
    const double act = (double)row_called(activation, is_activation);
    for (size_t i = 0; i + 1 < n_widths && !status; i++) {
        const size_t shape[2] = { widths[i + 1], widths[i] };
        const double config[3] = { (double)widths[i], (double)widths[i + 1], 1 };
        status = pn_graph_add(net->graph, "linear", "linear", 3, config, &error);
        if (!status) status = bind(net, 0, 2, shape, parameters[2 * i], &error);
        if (!status) status = bind(net, 1, 1, shape, parameters[2 * i + 1], &error);
        if (!status && i + 2 < n_widths) status = pn_graph_add(net->graph, "activation", "activation", 1, &act, &error);
    }
    return status ? status : pn_plan_new(net->graph, rows, PN_TRAIN, &net->plan, &error);
}

/* Takes n_times steps (forward, loss, backward, Adam) on one batch of an MLP with cross-entropy, or with one output binary cross-entropy on
 * logits. parameters: weight and bias of each layer. Fills names and seconds of the plan's steps, then of "loss" and "update";
 * returns how many there are, or -1. */
EXPORT int pynn_bench_anatomy(size_t n_widths, const size_t *widths, const char *activation, size_t rows, const void *x, const void *y,
                              float *const *parameters, long n_times, const char **names, double *seconds)
{
    const size_t cols = widths[n_widths - 1], loss = row_called(cols == 1 ? "bce_with_logits" : "cross_entropy", is_loss);
    const pn_target target = { cols == 1 ? y : NULL, cols == 1 ? NULL : y, NULL };
    net net = { 0 };
    int found = -1;
    if (n_widths > MOST_LAYERS || build(&net, n_widths, widths, activation, rows, parameters) || net.plan->n_steps > MOST_STEPS) goto done;
    const pn_group adam = { row_called("adam", is_optimizer), net.n_segments, net.segments, { 1e-6, 0.9, 0.999, 1e-8 } };
    memset(&watch, 0, sizeof watch);
    watch.plan = net.plan;
    for (size_t i = 0; i < net.plan->n_steps; i++) {
        watch.run[i] = net.plan->steps[i].run;
        net.plan->steps[i].run = run_watched;
        names[i] = net.plan->steps[i].what;
    }
    double train = 0, update = 0, steps = 0;
    for (long i = 0; i < n_times; i++) {
        double start = now();
        pn_plan_train(net.plan, x, loss, cols, &target, 1.0 / (double)pn_loss_values(loss, rows, cols));
        double between = now();
        pn_update(&adam, 1, i + 1);
        train += between - start;
        update += now() - between;
    }
    found = (int)net.plan->n_steps;
    for (int i = 0; i < found; i++) steps += seconds[i] = watch.seconds[i];
    names[found] = "loss";
    seconds[found++] = train - steps;
    names[found] = "update";
    seconds[found++] = update;
done:
    pn_plan_free(net.plan);
    pn_graph_free(net.graph);
    for (size_t i = 0; i < net.n_owned; i++) free(net.owned[i]);
    return found;
}
