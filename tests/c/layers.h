/* layers.h - a case for every kind of layer, its odd settings among them, and one way to run each
 * of them: alone or within a net, in any mode and type, on arrays of exactly their own size, so
 * that the address sanitizer sees a step beside them. */
#ifndef PN_TEST_LAYERS_H
#define PN_TEST_LAYERS_H
#define _POSIX_C_SOURCE 200112L             /* posix_memalign */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "allocator.h"
#include "core/graph/plan.h"

/* config: numbers, and names of rows of the tables of activations and row-wise functions. inputs:
 * the shape of a sample of each, with ; between them. marks: i, the first input is indices into a
 * table of config[0] rows; o, the second tells where bags start; p, gradients of parameters are not
 * the derivative (padding, rows cut down); r, numbers are drawn in training; e, for each element,
 * by where it stands; u, nothing depends continuously on anything. */
typedef struct { const char *kind, *config, *inputs; size_t rows; const char *marks; } layer_case;

static const layer_case cases[] = {
    { "linear", "5 3 1", "5", 4, "" },
    { "linear", "5 3 0", "2 5", 3, "" },
    { "linear", "37 19 1", "37", 70, "" },
    { "linear", "1 1 1", "3 1", 2, "" },
    { "linear", "0 3 1", "0", 2, "" },
    { "linear", "3 0 1", "3", 2, "" },
    { "activation", "gelu", "7", 3, "" },
    { "activation", "leaky_relu 0.1", "3 19", 3, "" },
    { "activation", "tanh", "", 5, "" },
    { "rowwise", "softmax 0", "5", 3, "" },
    { "rowwise", "log_softmax 1", "3 4 2", 3, "" },
    { "rowwise", "softmax 0", "67 3", 2, "" },
    { "reshape", "6 2", "3 4", 2, "" },
    { "reshape", "", "1 1", 2, "" },
    { "permute", "2 0 1", "3 4 5", 3, "" },
    { "permute", "1 0", "33 19", 2, "" },
    { "permute", "0 1", "3 1", 2, "" },
    { "pad", "0 2.5 1 2", "3 5", 3, "" },
    { "pad", "1 0 1 2 3 1", "2 4 5", 3, "" },
    { "pad", "2 0 0 3 2 0", "2 1 5", 3, "" },
    { "pad", "3 0 3 3 1 0", "2 3 4", 3, "" },
    { "pad", "0 1 -1 2 1 -2", "2 4 5", 3, "" },
    { "pad", "0 1 -2 -2", "2 4", 3, "" },
    { "resize", "0 1 7 0 0", "2 3", 3, "" },
    { "resize", "1 1 2 0 0", "2 5 3", 3, "" },
    { "resize", "2 1 5 1 0", "2 3 17", 3, "" },
    { "resize", "3 2 7 0 0", "2 3 4", 3, "" },
    { "resize", "2 1 3 0 1.7", "2 7", 3, "" },
    { "resize", "3 0 1 1 0", "1", 3, "" },
    { "maxout", "0 2", "6", 3, "" },
    { "maxout", "1 3", "2 6 5", 3, "" },
    { "prelu", "leaky_relu 1", "7", 3, "" },
    { "prelu", "leaky_relu 5", "5 3", 3, "" },
    { "prelu", "leaky_relu 19", "19", 9, "" },
    { "rrelu", "leaky_relu 0.1 0.3 7 9", "3 13", 3, "re" },
    { "embedding", "7 3 -1 inf 2 0", "4", 3, "i" },
    { "embedding", "7 3 2 inf 2 0", "4 2", 3, "ip" },
    { "embedding", "7 3 -1 0.5 2 1", "4", 3, "ip" },
    { "embedding", "7 3 -1 0.5 inf 0", "", 5, "ip" },
    { "embedding_bag", "7 3 -1 inf 2 0 0 0 0 0", "4", 3, "i" },
    { "embedding_bag", "7 3 2 inf 2 0 1 0 0 0", "5", 3, "ip" },
    { "embedding_bag", "7 3 -1 inf 2 0 2 1 0 0", "5;3", 3, "io" },
    { "embedding_bag", "7 3 -1 inf 2 0 1 1 0 1", "5;3", 3, "io" },
    { "embedding_bag", "7 3 -1 inf 2 0 0 1 1 0", "5;2;5", 3, "io" },
    { "embedding_bag", "7 3 2 0.5 1 0 0 0 1 0", "5;5", 3, "ip" },
    { "embedding_bag", "7 3 -1 inf 2 0 2 0 0 0", "0", 3, "i" },
    { "bilinear", "3 1", "4;5", 3, "" },
    { "bilinear", "3 0", "2 4;2 3", 3, "" },
    { "add", "", "3 4;3 4;3 4", 3, "" },
    { "multiply", "", "5;5", 3, "" },
    { "concat", "0", "2 3;4 3", 3, "" },
    { "concat", "1", "2 3;2 0;2 4", 3, "" },
    { "slice", "1 1 3", "2 4 3", 3, "" },
    { "slice", "0 2 2", "3 4", 3, "" },
    /* transposed, channels in and out, groups, bias, mode; for each axis kernel, stride, dilation,
     * padding before and after, output_padding */
    { "conv", "0 3 4 1 1 0  3 1 1 1 1 0", "3 9", 3, "" },
    { "conv", "0 3 40 1 1 0  3 2 1 0 0 0", "3 9", 9, "" },
    { "conv", "0 1 6 1 1 0  5 1 1 2 2 0  5 1 1 2 2 0", "1 9 8", 9, "" },
    { "conv", "0 4 6 2 1 0  3 2 1 1 0 0  2 1 2 0 2 0", "4 7 5", 3, "" },
    { "conv", "0 20 20 20 0 0  3 1 1 1 1 0  3 1 1 1 1 0", "20 5 6", 3, "" },
    { "conv", "0 3 17 1 1 1  3 1 1 2 1 0  3 3 1 1 2 0", "3 4 5", 3, "" },
    { "conv", "0 17 3 1 1 2  3 1 2 2 2 0  1 1 1 0 3 0", "17 4 5", 3, "" },
    { "conv", "0 3 4 1 0 3  3 2 1 4 1 0  2 1 1 0 1 0", "3 4 5", 3, "" },
    { "conv", "0 2 3 1 1 0  1 4 1 0 0 0  1 3 1 0 0 0", "2 3 7", 3, "" },
    { "conv", "0 2 3 1 1 0  4 1 1 0 0 0", "2 4", 1, "" },
    { "conv", "0 2 3 1 1 0  1 1 1 3 3 0", "2 0", 2, "" },
    { "conv", "1 3 4 1 1 0  3 1 1 1 1 0", "3 9", 3, "" },
    { "conv", "1 4 6 2 1 0  3 2 1 1 1 1  2 3 2 0 0 2", "4 3 5", 3, "" },
    { "conv", "1 19 33 1 0 0  2 2 1 0 0 0  2 2 1 0 0 0", "19 3 4", 9, "" },
    { "conv", "1 6 1 1 1 0  5 1 1 2 2 0  5 1 1 2 2 0", "6 5 4", 9, "" },
    { "conv", "1 2 2 2 1 0  1 4 1 0 0 0", "2 3", 2, "" },
    /* operation, power, divisor, is padding counted, ceil_mode; for each axis kernel, stride,
     * padding, dilation, size of the output */
    { "pooling", "0 0 0 0 0  3 2 1 1 0", "3 9", 3, "" },
    { "pooling", "0 0 0 0 1  2 2 0 2 0  3 1 1 1 0", "19 5 6", 3, "" },
    { "pooling", "0 0 0 0 0  2 2 0 1 0  2 2 0 1 0", "33 4 4", 2, "" },
    { "pooling", "0 0 0 0 0  1 1 0 1 3  1 1 0 1 7", "2 7 5", 3, "" },
    { "pooling", "1 0 0 0 1  3 2 1 1 0  2 3 1 2 0", "3 5 7", 3, "u" },
    { "pooling", "2 0 0 1 1  3 2 1 1 0  2 3 1 1 0", "3 6 7", 3, "" },
    { "pooling", "2 0 0 0 1  3 2 1 1 0  4 5 2 1 0", "3 6 7", 3, "" },
    { "pooling", "2 0 5 1 0  3 2 1 1 0  2 1 0 1 0", "3 5 7", 3, "" },
    { "pooling", "2 0 0 1 0  1 1 0 1 4", "17 7", 3, "" },
    { "pooling", "3 2 0 0 1  3 2 0 1 0  2 2 0 1 0", "3 6 7", 3, "" },
    { "pooling", "3 4 0 0 0  3 1 0 1 0", "3 7", 3, "" },
    { "pooling", "2 0 0 1 0  5 5 0 1 0", "0 7", 3, "" },
    { "batch_norm", "5 1e-5 0.1 1 1 1", "5", 7, "" },
    { "batch_norm", "5 1e-5 -1 1 1 1", "5 3 2", 3, "" },
    { "batch_norm", "19 1e-5 0.1 1 0 0", "19 7", 3, "" },
    { "batch_norm", "300 1e-5 0.1 0 0 1", "300", 3, "" },
    { "instance_norm", "5 1e-5 0.1 1 1 1", "5 7", 3, "" },
    { "instance_norm", "19 1e-5 0.1 0 0 0", "19 2 3", 3, "" },
    { "group_norm", "2 6 1e-5 1 1", "6", 3, "" },
    { "group_norm", "3 6 1e-5 1 1", "6 5", 3, "" },
    { "group_norm", "1 19 1e-5 0 1", "19 3 3", 3, "" },
    { "layer_norm", "1e-5 1 1 1 7", "7", 3, "" },
    { "layer_norm", "1e-5 1 1 0 3 7", "2 3 7", 3, "" },
    { "layer_norm", "1e-5 0 1 0 19", "4 19", 3, "" },
    { "layer_norm", "1 1 0 0 1", "4 1", 3, "" },
    { "response_norm", "3 1e-1 0.75 1", "5 7", 3, "" },
    { "response_norm", "4 1e-1 0.5 2", "3 2 3", 3, "" },
    { "response_norm", "9 1e-1 1 2", "19 5", 3, "" },
    { "dropout", "5 6 0.4 0 0", "4 31", 3, "re" },
    { "dropout", "5 6 0.4 1 0", "17", 5, "r" },
    { "dropout", "5 6 0.4 0 1", "19 3 3", 3, "r" },
    { "dropout", "5 6 0.4 1 1", "19 3", 3, "r" },
    { "dropout", "5 6 1 0 0", "7", 3, "r" },
    { "gaussian_noise", "5 6 0.5", "4 31", 3, "re" },
    { "fold", "0  4 2 1 2 1  5 3 2 1 0", "3 4 5", 3, "" },
    { "fold", "1  4 2 1 2 1  5 3 2 1 0", "18 8", 3, "" },
    { "fold", "0  5 1 7 1 0  5 1 9 1 0", "1 5 5", 3, "" },
};
/* MOST: elements of a parameter */
enum { CASES = sizeof cases / sizeof *cases, PARAMETERS = PN_MAX_SLOTS, MOST = 1 << 16 };

/* ---- cases as numbers ------------------------------------------------------------------------ */

static int marked(const layer_case *c, char mark) { return strchr(c->marks, mark) != NULL; }

static int is(const char *name, const char *text, size_t n)
{
    return strlen(name) == n && !strncmp(name, text, n);
}

/* A number, or a name's row. */
static double word(const char *text, char **end)
{
    double v = strtod(text, end);
    if (*end != text) return v;
    const size_t n = strcspn(text, " ");
    *end = (char *)text + n;
    for (size_t i = 0; pn_activation_at(i); i++)
        if (is(pn_activation_at(i)->name, text, n)) return (double)i;
    for (size_t i = 0; pn_rowwise_at(i); i++)
        if (is(pn_rowwise_at(i)->name, text, n)) return (double)i;
    return NAN;
}

static size_t read_config(const layer_case *c, double *config)
{
    size_t n = 0;
    for (char *text = (char *)c->config + strspn(c->config, " "); *text; text += strspn(text, " "))
        config[n++] = word(text, &text);
    return n;
}

static size_t read_shapes(const layer_case *c, pn_shape *shapes)
{
    size_t n = 1;
    memset(shapes, 0, PN_MAX_IO * sizeof *shapes);
    for (char *text = (char *)c->inputs; *text;) {
        if (*text == ';') n++, text++;
        else shapes[n - 1].dim[shapes[n - 1].ndim++] = strtoul(text, &text, 10);
    }
    return n;
}

static void set(pn_dtype t, void *p, size_t i, double v)
{
    if (t == PN_F32) ((float *)p)[i] = (float)v;
    else ((double *)p)[i] = v;
}

/* ---- one case, ready to run ------------------------------------------------------------------ */

/* shift: arrays start that many elements into their blocks. images: is the layer between two
 * convolutions that change nothing but, perhaps, the layout? twice: are there two layers with the
 * same parameters, whose outputs are added? */
typedef struct { pn_dtype t; pn_mode mode; int training, images, twice; size_t rows, shift; } setup;

typedef struct {
    const layer_case *c;
    setup s;
    pn_graph *graph;
    pn_plan *plan;
    pn_shape shapes[PN_MAX_IO];
    double config[PN_MAX_CONFIG];
    /* node: the layer; in, count: elements of each */
    size_t inputs, node, in[PN_MAX_IO], n_config, parameters, count[PARAMETERS];
    void *x[PN_MAX_IO], *gx[PN_MAX_IO], *p[PARAMETERS], *g[PARAMETERS], *y, *gy, *unit[2];
    /* elements of the output */
    size_t out;
    void *blocks[2 * PN_MAX_IO + 2 * PARAMETERS + 8];
    size_t n_blocks;
} world;

/* n elements, of which nothing is there beside; from the allocator that never fails. */
static void *array_new(world *w, size_t n)
{
    const size_t size = pn_size(w->s.t);
    char *block = __real_malloc((n + w->s.shift) * size);
    w->blocks[w->n_blocks++] = block;
    memset(block, 0xff, (n + w->s.shift) * size);           /* NaN until written */
    return block + w->s.shift * size;
}

/* Distinct numbers from -1.5 to 1.5, none near 0 or near another one, so that differences meet no
 * kink. */
static void spread(pn_dtype t, size_t n, size_t salt, void *p)
{
    const size_t prime = 7919;
    for (size_t i = 0; i < n; i++)
        set(t, p, i, 3 * (((double)((i * prime + salt) % n) + 0.37) / (double)n - 0.5));
}

static void fill_input(world *w, size_t i)
{
    const size_t each = pn_count(&w->shapes[i]), per = pn_count(&w->shapes[0]),
                 num = pn_is_count(w->config[0]) ? (size_t)w->config[0] : 0;
    const int indices = i == 0 && marked(w->c, 'i'), offsets = i == 1 && marked(w->c, 'o');
    spread(w->s.t, w->in[i], i + 1, w->x[i]);
    for (size_t k = 0; k < w->in[i] && indices; k++)
        set(w->s.t, w->x[i], k, (double)((5 * k + 3) % (num + !num)));
    for (size_t k = 0; k < w->in[i] && offsets; k++)
        set(w->s.t, w->x[i], k,
            (double)(k % each * per / (each - (each > 1 && w->config[9] != 0))));
}

static void fill_parameters(world *w)
{
    /* a mean, a variance, how many: states, which have no gradient */
    const int tracked = w->parameters > 2 && !w->g[w->parameters - 1];
    for (size_t j = 0; j < w->parameters; j++) {
        spread(w->s.t, w->count[j], j + 2, w->p[j]);
        for (size_t k = 0; tracked && j + 2 == w->parameters && k < w->count[j]; k++)
            set(w->s.t, w->p[j], k, 0.5 + (double)k / 7);
        if (tracked && j + 1 == w->parameters) memset(w->p[j], 0, sizeof(int64_t));
    }
}

static pn_status add_unit(world *w, size_t side, pn_error *error)
{
    pn_shape shape = w->graph->nodes[w->graph->n_nodes - 1].shape;
    const double c = (double)shape.dim[0],
                 config[] = { 0, c, c, 1, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0 };
    const pn_layer unit = { .kind = "conv",
                            .where = "unit",
                            .n_config = shape.ndim == 3 ? 18 : 12,
                            .config = config };
    pn_status status = pn_graph_add(w->graph, &unit, error);
    if (status) return status;
    w->unit[side] = array_new(w, shape.dim[0] * shape.dim[0]);
    for (size_t i = 0; i < shape.dim[0] * shape.dim[0]; i++)
        set(w->s.t, w->unit[side], i, i % (shape.dim[0] + 1) == 0);
    const size_t weight[] = { shape.dim[0], shape.dim[0], 1, 1 };
    return pn_graph_bind(w->graph, 0, shape.ndim + 1, weight, w->unit[side], NULL, error);
}

/* The layer, with its parameters, which the second of two finds there. */
static pn_status add_layer(world *w, const size_t *inputs, pn_error *error)
{
    const pn_layer layer = { .kind = w->c->kind,
                             .where = "here",
                             .n_inputs = w->inputs,
                             .inputs = inputs,
                             .n_config = w->n_config,
                             .config = w->config,
                             .training = w->s.training };
    pn_status status = pn_graph_add(w->graph, &layer, error);
    if (status) return status;
    const pn_node *node = &w->graph->nodes[w->node = w->graph->n_nodes - 1];
    w->parameters = node->n_slots;
    for (size_t j = 0; j < w->parameters && !status; j++) {
        pn_shape shape = node->slots[j].shape;
        const int state = shape.ndim == PN_ANY_SHAPE ||
                          (w->parameters > 2 && j + 3 >= w->parameters);
        if (shape.ndim == PN_ANY_SHAPE)
            shape = (pn_shape){ 1, { sizeof(int64_t) / pn_size(w->s.t) } };
        if (!w->p[j]) {
            double all = 1;
            for (size_t i = 0; i < shape.ndim; i++) all *= (double)shape.dim[i];
            if (all > MOST)
                return pn_fail(error, PN_NO_MEMORY, "no memory for a parameter of %g numbers", all);
            w->count[j] = pn_count(&shape);
            w->p[j] = array_new(w, w->count[j]);
            if (!state) w->g[j] = array_new(w, w->count[j]);
        }
        status = pn_graph_bind(w->graph, j, shape.ndim, shape.dim, w->p[j], w->g[j], error);
    }
    return status;
}

static pn_status build(world *w, pn_error *error)
{
    size_t inputs[PN_MAX_IO];
    pn_status status = pn_graph_new(w->s.t, w->shapes[0].ndim, w->shapes[0].dim, &w->graph, error);
    for (size_t i = 1; i < w->inputs && !status; i++)
        status = pn_graph_input(w->graph, w->shapes[i].ndim, w->shapes[i].dim, error);
    for (size_t i = 0; i < w->inputs; i++) inputs[i] = i;
    if (!status && w->s.images) status = add_unit(w, 0, error), inputs[0] = 1;
    if (!status) status = add_layer(w, inputs, error);
    if (!status && w->s.twice) {
        status = add_layer(w, inputs, error);
        const size_t both[] = { w->node - 1, w->node };
        if (!status)
            status = pn_graph_add(
                w->graph,
                &(pn_layer){ .kind = "add", .where = "both", .n_inputs = 2, .inputs = both },
                error);
    }
    if (!status && w->s.images) status = add_unit(w, 1, error);
    return status;
}

static void world_read(world *w, const layer_case *c, setup s)
{
    memset(w, 0, sizeof *w);
    w->c = c;
    w->s = s;
    w->inputs = read_shapes(c, w->shapes);
    w->n_config = read_config(c, w->config);
}
/* Everything but the plan, or what was wrong; world_free in any case. */
static pn_status world_new(world *w, const layer_case *c, setup s, pn_error *error)
{
    world_read(w, c, s);
    return build(w, error);
}

static void fill_arrays(world *w)
{
    for (size_t i = 0; i < w->inputs; i++) {
        w->in[i] = w->s.rows * pn_count(&w->shapes[i]);
        w->x[i] = array_new(w, w->in[i]);
        w->gx[i] = array_new(w, w->in[i]);
        fill_input(w, i);
    }
    w->out = w->s.rows * pn_count(&w->graph->nodes[w->graph->n_nodes - 1].shape);
    w->y = array_new(w, w->out);
    w->gy = array_new(w, w->out);
    spread(w->s.t, w->out, 7, w->gy);
    fill_parameters(w);
    for (size_t j = 0; j < w->parameters && w->s.mode == PN_BACKWARD; j++)
        if (w->g[j]) memset(w->g[j], 0, w->count[j] * pn_size(w->s.t));
}

static void world_free(world *w)
{
    pn_plan_free(w->plan);
    pn_graph_free(w->graph);
    for (size_t i = 0; i < w->n_blocks; i++) __real_free(w->blocks[i]);
}
#endif
