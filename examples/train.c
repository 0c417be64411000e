/* train.c - trains a 2-16-2 net with tanh from C. The task is the exclusive or of the signs of two
 * noisy numbers. README.md shows how to compile and run it.
 *
 * The caller owns all arrays: data, parameters, gradients and the state of the optimizer. The
 * library borrows them. It allocates memory when a fit or a predictor is created, but none during
 * an epoch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pynn.h"

enum { IN = 2, HIDDEN = 16, OUT = 2, TRAIN = 512, TEST = 256, BATCH = 32, EPOCHS = 60 };
enum { PARAMETERS = 4, LARGEST = HIDDEN * IN };

typedef struct { float x[TRAIN][IN]; int64_t label[TRAIN]; size_t rows; } dataset;

/* A parameter, its gradient, and Adam's two moments and step count. */
typedef struct {
    size_t ndim, shape[2], n;
    float value[LARGEST], gradient[LARGEST], moment[2][LARGEST];
    double step;
} parameter;

typedef struct {
    dataset train, test;
    parameter parameters[PARAMETERS];       /* weight and bias of each layer */
} memory;

/* The label is 1 if the signs of the two numbers differ. */
static void make_data(dataset *data, size_t rows, uint64_t seed)
{
    data->rows = rows;
    pn_random_uniform(seed, 0, -1, 1, PN_F32, rows * IN, data->x);
    for (size_t i = 0; i < rows; i++) data->label[i] = (data->x[i][0] < 0) != (data->x[i][1] < 0);
}

static void make_parameter(parameter *p, size_t ndim, size_t rows, size_t cols, uint64_t stream)
{
    *p = (parameter){ .ndim = ndim, .shape = { rows, cols }, .n = rows * cols };
    pn_random_uniform(0, stream, -0.7, 0.7, PN_F32, p->n, p->value);
}

static pn_status bind(pn_graph *graph, size_t slot, parameter *p, pn_error *error)
{
    return pn_graph_bind(graph, slot, p->ndim, p->shape, p->value, p->gradient, error);
}

static pn_status add_linear(pn_graph *graph, const char *name, size_t in, size_t out, parameter *p,
                            pn_error *error)
{
    const pn_setting settings[] = { { .name = "in_features", .n = 1, .number = { (double)in } },
                                    { .name = "out_features", .n = 1, .number = { (double)out } },
                                    { .name = "bias", .n = 1, .number = { 1 } } };
    const pn_layer layer = { .kind = "linear",
                             .where = name,
                             .n_settings = 3,
                             .settings = settings };
    pn_status status = pn_graph_add(graph, &layer, error);
    if (!status) status = bind(graph, 0, &p[0], error);
    if (!status) status = bind(graph, 1, &p[1], error);
    return status;
}

static pn_status add_activation(pn_graph *graph, const char *name, pn_error *error)
{
    const pn_setting settings[] = { { .name = "function", .text = name },
                                    { .name = "parameters" } };
    const pn_layer layer = {
        .kind = "activation", .where = name, .n_settings = 2, .settings = settings
    };
    return pn_graph_add(graph, &layer, error);
}

static pn_status make_net(parameter *parameters, pn_graph **graph, pn_error *error)
{
    const size_t shape[] = { IN };
    pn_status status = pn_graph_new(PN_F32, 1, shape, graph, error);
    if (!status) status = add_linear(*graph, "hidden", IN, HIDDEN, &parameters[0], error);
    if (!status) status = add_activation(*graph, "tanh", error);
    if (!status) status = add_linear(*graph, "output", HIDDEN, OUT, &parameters[2], error);
    return status;
}

static const pn_loss *loss_named(const char *name)
{
    size_t row = 0;
    while (pn_loss_at(row) && strcmp(pn_loss_at(row)->name, name)) row++;
    return pn_loss_at(row);
}

static size_t optimizer_named(const char *name)
{
    size_t row = 0;
    while (pn_optimizer_at(row) && strcmp(pn_optimizer_at(row)->name, name)) row++;
    return row;
}

static pn_status train(memory *m, const pn_graph *graph, const pn_criterion *loss, pn_error *error)
{
    pn_segment segments[PARAMETERS];
    for (size_t i = 0; i < PARAMETERS; i++) {
        parameter *p = &m->parameters[i];
        segments[i] = (pn_segment){ .p = p->value,
                                    .g = p->gradient,
                                    .state = { p->moment[0], p->moment[1] },
                                    .number = { &p->step },
                                    .n = p->n,
                                    .dtype = PN_F32 };
    }
    const pn_settings adam = { .hyper = { 0.01, 0.9, 0.999, 1e-8 } };
    const pn_group group = { .optimizer = optimizer_named("adam"),
                             .n = PARAMETERS,
                             .segments = segments,
                             .settings = &adam };
    const pn_samples x = { m->train.x, PN_FROM_F32, sizeof m->train.x[0] };
    const pn_target y = { .label = m->train.label };
    const pn_data data = { .rows = m->train.rows, .x = &x, .y = &y };
    const pn_fit_options options = { .criteria = loss,
                                     .n_criteria = 1,
                                     .batch_size = BATCH,
                                     .shuffle = 1,
                                     .groups = &group,
                                     .n_groups = 1,
                                     .finite = 1 };
    pn_fit *fit = NULL;
    int64_t step = 0;
    pn_score score;
    pn_status status = pn_fit_new(graph, &data, &options, &fit, error);
    for (uint64_t epoch = 0; epoch < EPOCHS && !status; epoch++) {
        status = pn_fit_epoch(fit, epoch, &step, &score, error);
        if (!status && (epoch + 1) % 10 == 0)
            printf("epoch %2d: loss %.4f, accuracy %.3f\n", (int)epoch + 1,
                   score.loss / score.divisor, (double)score.correct / (double)score.rows);
    }
    pn_fit_free(fit);
    return status;
}

static pn_status evaluate(const dataset *set, const pn_graph *graph, const pn_criterion *loss,
                          double *accuracy, pn_error *error)
{
    const pn_samples x = { set->x, PN_FROM_F32, sizeof set->x[0] };
    const pn_target y = { .label = set->label };
    const pn_data data = { .rows = set->rows, .x = &x, .y = &y };
    const pn_fit_options options = { .criteria = loss, .n_criteria = 1 };
    pn_predictor *predictor = NULL;
    pn_score score;
    pn_status status = pn_predictor_new(graph, 64, &predictor, error);
    if (!status) status = pn_predict(predictor, &data, &options, NULL, &score, error);
    if (!status) *accuracy = (double)score.correct / (double)score.rows;
    pn_predictor_free(predictor);
    return status;
}

int main(void)
{
    pn_error error = { "not enough memory" };
    pn_status status = PN_NO_MEMORY;
    pn_graph *graph = NULL;
    double accuracy = 0;
    const pn_criterion loss = { .row = loss_named("cross_entropy"),
                                .ignore_index = -100,
                                .factor = 1 };
    memory *m = malloc(sizeof *m);
    if (!m) goto done;
    printf("pynn %s, instruction set %s\n", pn_version(), pn_isa_get());
    make_data(&m->train, TRAIN, 1);
    make_data(&m->test, TEST, 2);
    make_parameter(&m->parameters[0], 2, HIDDEN, IN, 0);
    make_parameter(&m->parameters[1], 1, HIDDEN, 1, 1);
    make_parameter(&m->parameters[2], 2, OUT, HIDDEN, 2);
    make_parameter(&m->parameters[3], 1, OUT, 1, 3);
    status = make_net(m->parameters, &graph, &error);
    if (!status) status = train(m, graph, &loss, &error);
    if (!status) status = evaluate(&m->test, graph, &loss, &accuracy, &error);
done:
    pn_graph_free(graph);
    free(m);
    if (status) {
        fprintf(stderr, "train: %s\n", error.text);
        return 1;
    }
    printf("accuracy on unseen points: %.3f\n", accuracy);
    return accuracy < 0.95;
}
