/* layers.h - test cases for every kind of layer, including unusual settings, and functions to run
 * them alone or within a net, in any mode and type. Arrays are allocated with their exact sizes, so
 * that the address sanitizer detects accesses out of bounds. */
#ifndef PN_TEST_LAYERS_H
#define PN_TEST_LAYERS_H
#define _POSIX_C_SOURCE 200112L             /* posix_memalign */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "allocator.h"
#include "core/graph/builder.h"
#include "settings.h"

/* config:  the settings, by name
 * inputs:  the shape of a sample of each input, separated by semicolons
 * marks:   i: the first input holds indices into a table of num_embeddings rows
 *          o: the second input holds the starts of bags
 *          p: gradients of parameters are not the derivative (padding, renormalised rows)
 *          r: training draws random numbers
 *          e: one random number per element, determined by its position
 *          u: the output is not a continuous function
 *
 * A formula has the program of new_program. */
typedef struct { const char *kind, *config, *inputs; size_t rows; const char *marks; } layer_case;

static const layer_case cases[] = {
    { "linear", "in_features=5 out_features=3 bias=1", "5", 4, "" },
    { "linear", "in_features=5 out_features=3 bias=0", "2 5", 3, "" },
    { "linear", "in_features=37 out_features=19 bias=1", "37", 70, "" },
    { "linear", "in_features=1 out_features=1 bias=1", "3 1", 2, "" },
    { "linear", "in_features=0 out_features=3 bias=1", "0", 2, "" },
    { "linear", "in_features=3 out_features=0 bias=1", "3", 2, "" },
    { "activation", "function=gelu parameters=", "7", 3, "" },
    { "activation", "function=leaky_relu parameters=0.1", "3 19", 3, "" },
    { "activation", "function=tanh parameters=", "", 5, "" },
    { "formula", "parameters=0.7,1.3 learnt= num_parameters=1", "7", 3, "" },
    { "formula", "parameters=0.7,1.3 learnt=1 num_parameters=1", "3 4", 3, "" },
    { "formula", "parameters=0.7,1.3 learnt=1,0 num_parameters=1", "700", 5, "" },
    { "formula", "parameters=0.7,1.3 learnt=0,1 num_parameters=5", "5 3", 3, "" },
    { "formula", "parameters=0.7,1.3 learnt=0 num_parameters=19", "19", 9, "" },
    { "formula", "parameters=0.7,1.3 learnt=1,0 num_parameters=3", "3 2 7", 4, "" },
    { "rowwise", "function=softmax axis=0", "5", 3, "" },
    { "rowwise", "function=log_softmax axis=1", "3 4 2", 3, "" },
    { "rowwise", "function=softmax axis=0", "67 3", 2, "" },
    { "reshape", "shape=6,2", "3 4", 2, "" },
    { "reshape", "shape=", "1 1", 2, "" },
    { "permute", "axes=2,0,1", "3 4 5", 3, "" },
    { "permute", "axes=1,0", "33 19", 2, "" },
    { "permute", "axes=0,1", "3 1", 2, "" },
    { "pad", "mode=constant value=2.5 before=1 after=2", "3 5", 3, "" },
    { "pad", "mode=reflect value=0 before=1,3 after=2,1", "2 4 5", 3, "" },
    { "pad", "mode=replicate value=0 before=0,2 after=3,0", "2 1 5", 3, "" },
    { "pad", "mode=circular value=0 before=3,1 after=3,0", "2 3 4", 3, "" },
    { "pad", "mode=constant value=1 before=-1,1 after=2,-2", "2 4 5", 3, "" },
    { "pad", "mode=constant value=1 before=-2 after=-2", "2 4", 3, "" },
    { "resize", "mode=nearest axis=1 length=7 align_corners=0 step=0", "2 3", 3, "" },
    { "resize", "mode=nearest_exact axis=1 length=2 align_corners=0 step=0", "2 5 3", 3, "" },
    { "resize", "mode=linear axis=1 length=5 align_corners=1 step=0", "2 3 17", 3, "" },
    { "resize", "mode=cubic axis=2 length=7 align_corners=0 step=0", "2 3 4", 3, "" },
    { "resize", "mode=linear axis=1 length=3 align_corners=0 step=1.7", "2 7", 3, "" },
    { "resize", "mode=cubic axis=0 length=1 align_corners=1 step=0", "1", 3, "" },
    { "maxout", "axis=0 pieces=2", "6", 3, "" },
    { "maxout", "axis=1 pieces=3", "2 6 5", 3, "" },
    { "prelu", "function=leaky_relu num_parameters=1", "7", 3, "" },
    { "prelu", "function=leaky_relu num_parameters=5", "5 3", 3, "" },
    { "prelu", "function=leaky_relu num_parameters=19", "19", 9, "" },
    { "rrelu", "function=leaky_relu lower=0.1 upper=0.3 seed=7", "3 13", 3, "re" },
    { "embedding",
      "num_embeddings=7 embedding_dim=3 padding_idx=-1 max_norm=inf norm_type=2 "
      "scale_grad_by_freq=0", "4", 3, "i" },
    { "embedding",
      "num_embeddings=7 embedding_dim=3 padding_idx=2 max_norm=inf norm_type=2 "
      "scale_grad_by_freq=0", "4 2", 3, "ip" },
    { "embedding",
      "num_embeddings=7 embedding_dim=3 padding_idx=-1 max_norm=0.5 norm_type=2 "
      "scale_grad_by_freq=1", "4", 3, "ip" },
    { "embedding",
      "num_embeddings=7 embedding_dim=3 padding_idx=-1 max_norm=0.5 norm_type=inf "
      "scale_grad_by_freq=0", "", 5, "ip" },
    { "embedding_bag",
      "num_embeddings=7 embedding_dim=3 padding_idx=-1 max_norm=inf norm_type=2 "
      "scale_grad_by_freq=0 mode=sum offsets=0 per_sample_weights=0 include_last_offset=0",
      "4", 3, "i" },
    { "embedding_bag",
      "num_embeddings=7 embedding_dim=3 padding_idx=2 max_norm=inf norm_type=2 "
      "scale_grad_by_freq=0 mode=mean offsets=0 per_sample_weights=0 include_last_offset=0",
      "5", 3, "ip" },
    { "embedding_bag",
      "num_embeddings=7 embedding_dim=3 padding_idx=-1 max_norm=inf norm_type=2 "
      "scale_grad_by_freq=0 mode=max offsets=1 per_sample_weights=0 include_last_offset=0",
      "5;3", 3, "io" },
    { "embedding_bag",
      "num_embeddings=7 embedding_dim=3 padding_idx=-1 max_norm=inf norm_type=2 "
      "scale_grad_by_freq=0 mode=mean offsets=1 per_sample_weights=0 include_last_offset=1",
      "5;3", 3, "io" },
    { "embedding_bag",
      "num_embeddings=7 embedding_dim=3 padding_idx=-1 max_norm=inf norm_type=2 "
      "scale_grad_by_freq=0 mode=sum offsets=1 per_sample_weights=1 include_last_offset=0",
      "5;2;5", 3, "io" },
    { "embedding_bag",
      "num_embeddings=7 embedding_dim=3 padding_idx=2 max_norm=0.5 norm_type=1 "
      "scale_grad_by_freq=0 mode=sum offsets=0 per_sample_weights=1 include_last_offset=0",
      "5;5", 3, "ip" },
    { "embedding_bag",
      "num_embeddings=7 embedding_dim=3 padding_idx=-1 max_norm=inf norm_type=2 "
      "scale_grad_by_freq=0 mode=max offsets=0 per_sample_weights=0 include_last_offset=0",
      "0", 3, "i" },
    { "bilinear", "out_features=3 bias=1", "4;5", 3, "" },
    { "bilinear", "out_features=3 bias=0", "2 4;2 3", 3, "" },
    { "add", "", "3 4;3 4;3 4", 3, "" },
    { "multiply", "", "5;5", 3, "" },
    { "concat", "axis=0", "2 3;4 3", 3, "" },
    { "concat", "axis=1", "2 3;2 0;2 4", 3, "" },
    { "slice", "axis=1 start=1 stop=3", "2 4 3", 3, "" },
    { "slice", "axis=0 start=2 stop=2", "3 4", 3, "" },
    { "conv",
      "transposed=0 in_channels=3 out_channels=4 groups=1 bias=1 padding_mode=zeros "
      "kernel_size=3 stride=1 dilation=1 padding_before=1 padding_after=1 output_padding=0",
      "3 9", 3, "" },
    { "conv",
      "transposed=0 in_channels=3 out_channels=40 groups=1 bias=1 padding_mode=zeros "
      "kernel_size=3 stride=2 dilation=1 padding_before=0 padding_after=0 output_padding=0",
      "3 9", 9, "" },
    { "conv",
      "transposed=0 in_channels=1 out_channels=6 groups=1 bias=1 padding_mode=zeros "
      "kernel_size=5,5 stride=1,1 dilation=1,1 padding_before=2,2 padding_after=2,2 "
      "output_padding=0,0", "1 9 8", 9, "" },
    { "conv",
      "transposed=0 in_channels=4 out_channels=6 groups=2 bias=1 padding_mode=zeros "
      "kernel_size=3,2 stride=2,1 dilation=1,2 padding_before=1,0 padding_after=0,2 "
      "output_padding=0,0", "4 7 5", 3, "" },
    { "conv",
      "transposed=0 in_channels=20 out_channels=20 groups=20 bias=0 padding_mode=zeros "
      "kernel_size=3,3 stride=1,1 dilation=1,1 padding_before=1,1 padding_after=1,1 "
      "output_padding=0,0", "20 5 6", 3, "" },
    { "conv",
      "transposed=0 in_channels=3 out_channels=17 groups=1 bias=1 padding_mode=reflect "
      "kernel_size=3,3 stride=1,3 dilation=1,1 padding_before=2,1 padding_after=1,2 "
      "output_padding=0,0", "3 4 5", 3, "" },
    { "conv",
      "transposed=0 in_channels=17 out_channels=3 groups=1 bias=1 padding_mode=replicate "
      "kernel_size=3,1 stride=1,1 dilation=2,1 padding_before=2,0 padding_after=2,3 "
      "output_padding=0,0", "17 4 5", 3, "" },
    { "conv",
      "transposed=0 in_channels=3 out_channels=4 groups=1 bias=0 padding_mode=circular "
      "kernel_size=3,2 stride=2,1 dilation=1,1 padding_before=4,0 padding_after=1,1 "
      "output_padding=0,0", "3 4 5", 3, "" },
    { "conv",
      "transposed=0 in_channels=2 out_channels=3 groups=1 bias=1 padding_mode=zeros "
      "kernel_size=1,1 stride=4,3 dilation=1,1 padding_before=0,0 padding_after=0,0 "
      "output_padding=0,0", "2 3 7", 3, "" },
    { "conv",
      "transposed=0 in_channels=2 out_channels=3 groups=1 bias=1 padding_mode=zeros "
      "kernel_size=4 stride=1 dilation=1 padding_before=0 padding_after=0 output_padding=0",
      "2 4", 1, "" },
    { "conv",
      "transposed=0 in_channels=2 out_channels=3 groups=1 bias=1 padding_mode=zeros "
      "kernel_size=1 stride=1 dilation=1 padding_before=3 padding_after=3 output_padding=0",
      "2 0", 2, "" },
    { "conv",
      "transposed=1 in_channels=3 out_channels=4 groups=1 bias=1 padding_mode=zeros "
      "kernel_size=3 stride=1 dilation=1 padding_before=1 padding_after=1 output_padding=0",
      "3 9", 3, "" },
    { "conv",
      "transposed=1 in_channels=4 out_channels=6 groups=2 bias=1 padding_mode=zeros "
      "kernel_size=3,2 stride=2,3 dilation=1,2 padding_before=1,0 padding_after=1,0 "
      "output_padding=1,2", "4 3 5", 3, "" },
    { "conv",
      "transposed=1 in_channels=19 out_channels=33 groups=1 bias=0 padding_mode=zeros "
      "kernel_size=2,2 stride=2,2 dilation=1,1 padding_before=0,0 padding_after=0,0 "
      "output_padding=0,0", "19 3 4", 9, "" },
    { "conv",
      "transposed=1 in_channels=6 out_channels=1 groups=1 bias=1 padding_mode=zeros "
      "kernel_size=5,5 stride=1,1 dilation=1,1 padding_before=2,2 padding_after=2,2 "
      "output_padding=0,0", "6 5 4", 9, "" },
    { "conv",
      "transposed=1 in_channels=2 out_channels=2 groups=2 bias=1 padding_mode=zeros "
      "kernel_size=1 stride=4 dilation=1 padding_before=0 padding_after=0 output_padding=0",
      "2 3", 2, "" },
    { "pooling",
      "operation=max power=0 divisor=0 count_include_pad=0 ceil_mode=0 kernel_size=3 stride=2 "
      "padding=1 dilation=1 output_size=0", "3 9", 3, "" },
    { "pooling",
      "operation=max power=0 divisor=0 count_include_pad=0 ceil_mode=1 kernel_size=2,3 "
      "stride=2,1 padding=0,1 dilation=2,1 output_size=0,0", "19 5 6", 3, "" },
    { "pooling",
      "operation=max power=0 divisor=0 count_include_pad=0 ceil_mode=0 kernel_size=2,2 "
      "stride=2,2 padding=0,0 dilation=1,1 output_size=0,0", "33 4 4", 2, "" },
    { "pooling",
      "operation=max power=0 divisor=0 count_include_pad=0 ceil_mode=0 kernel_size=1,1 "
      "stride=1,1 padding=0,0 dilation=1,1 output_size=3,7", "2 7 5", 3, "" },
    { "pooling",
      "operation=max_index power=0 divisor=0 count_include_pad=0 ceil_mode=1 kernel_size=3,2 "
      "stride=2,3 padding=1,1 dilation=1,2 output_size=0,0", "3 5 7", 3, "u" },
    { "pooling",
      "operation=mean power=0 divisor=0 count_include_pad=1 ceil_mode=1 kernel_size=3,2 "
      "stride=2,3 padding=1,1 dilation=1,1 output_size=0,0", "3 6 7", 3, "" },
    { "pooling",
      "operation=mean power=0 divisor=0 count_include_pad=0 ceil_mode=1 kernel_size=3,4 "
      "stride=2,5 padding=1,2 dilation=1,1 output_size=0,0", "3 6 7", 3, "" },
    { "pooling",
      "operation=mean power=0 divisor=5 count_include_pad=1 ceil_mode=0 kernel_size=3,2 "
      "stride=2,1 padding=1,0 dilation=1,1 output_size=0,0", "3 5 7", 3, "" },
    { "pooling",
      "operation=mean power=0 divisor=0 count_include_pad=1 ceil_mode=0 kernel_size=1 stride=1 "
      "padding=0 dilation=1 output_size=4", "17 7", 3, "" },
    { "pooling",
      "operation=norm power=2 divisor=0 count_include_pad=0 ceil_mode=1 kernel_size=3,2 "
      "stride=2,2 padding=0,0 dilation=1,1 output_size=0,0", "3 6 7", 3, "" },
    { "pooling",
      "operation=norm power=4 divisor=0 count_include_pad=0 ceil_mode=0 kernel_size=3 stride=1 "
      "padding=0 dilation=1 output_size=0", "3 7", 3, "" },
    { "pooling",
      "operation=mean power=0 divisor=0 count_include_pad=1 ceil_mode=0 kernel_size=5 stride=5 "
      "padding=0 dilation=1 output_size=0", "0 7", 3, "" },
    { "batch_norm",
      "num_features=5 eps=1e-5 momentum=0.1 weight=1 bias=1 track_running_stats=1", "5", 7, "" },
    { "batch_norm",
      "num_features=5 eps=1e-5 momentum=-1 weight=1 bias=1 track_running_stats=1", "5 3 2", 3, "" },
    { "batch_norm",
      "num_features=19 eps=1e-5 momentum=0.1 weight=1 bias=0 track_running_stats=0",
      "19 7", 3, "" },
    { "batch_norm",
      "num_features=300 eps=1e-5 momentum=0.1 weight=0 bias=0 track_running_stats=1",
      "300", 3, "" },
    { "instance_norm",
      "num_features=5 eps=1e-5 momentum=0.1 weight=1 bias=1 track_running_stats=1", "5 7", 3, "" },
    { "instance_norm",
      "num_features=19 eps=1e-5 momentum=0.1 weight=0 bias=0 track_running_stats=0",
      "19 2 3", 3, "" },
    { "group_norm", "num_groups=2 num_channels=6 eps=1e-5 weight=1 bias=1", "6", 3, "" },
    { "group_norm", "num_groups=3 num_channels=6 eps=1e-5 weight=1 bias=1", "6 5", 3, "" },
    { "group_norm", "num_groups=1 num_channels=19 eps=1e-5 weight=0 bias=1", "19 3 3", 3, "" },
    { "layer_norm", "eps=1e-5 centred=1 weight=1 bias=1 normalized_shape=7", "7", 3, "" },
    { "layer_norm", "eps=1e-5 centred=1 weight=1 bias=0 normalized_shape=3,7", "2 3 7", 3, "" },
    { "layer_norm", "eps=1e-5 centred=0 weight=1 bias=0 normalized_shape=19", "4 19", 3, "" },
    { "layer_norm", "eps=1 centred=1 weight=0 bias=0 normalized_shape=1", "4 1", 3, "" },
    { "response_norm", "size=3 alpha=1e-1 beta=0.75 k=1", "5 7", 3, "" },
    { "response_norm", "size=4 alpha=1e-1 beta=0.5 k=2", "3 2 3", 3, "" },
    { "response_norm", "size=9 alpha=1e-1 beta=1 k=2", "19 5", 3, "" },
    { "dropout", "seed=6 p=0.4 alpha=0 channels=0", "4 31", 3, "re" },
    { "dropout", "seed=6 p=0.4 alpha=1 channels=0", "17", 5, "r" },
    { "dropout", "seed=6 p=0.4 alpha=0 channels=1", "19 3 3", 3, "r" },
    { "dropout", "seed=6 p=0.4 alpha=1 channels=1", "19 3", 3, "r" },
    { "dropout", "seed=6 p=1 alpha=0 channels=0", "7", 3, "r" },
    { "gaussian_noise", "seed=6 std=0.5", "4 31", 3, "re" },
    { "fold",
      "fold=0 size=4,5 kernel_size=2,3 stride=1,2 dilation=2,1 padding=1,0", "3 4 5", 3, "" },
    { "fold",
      "fold=1 size=4,5 kernel_size=2,3 stride=1,2 dilation=2,1 padding=1,0", "18 8", 3, "" },
    { "fold",
      "fold=0 size=5,5 kernel_size=1,1 stride=7,9 dilation=1,1 padding=0,0", "1 5 5", 3, "" },
    { "custom", "num_parameters=0 shape=5", "5", 3, "" },
    { "custom", "num_parameters=1 shape=3,4", "3 4", 3, "" },
};
/* MOST: maximum number of elements of a parameter */
enum { CASES = sizeof cases / sizeof *cases, PARAMETERS = PN_MAX_SLOTS, MOST = 1 << 16 };

/* ---- cases ----------------------------------------------------------------------------------- */

static int has_mark(const layer_case *c, char mark) { return strchr(c->marks, mark) != NULL; }

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

/* The index of an operation of formulas. */
static size_t operation(const char *name)
{
    size_t i = 0;
    while (strcmp(pn_formula_op_at(i)->name, name)) i++;
    return i;
}
/* a x + sin(b x), whose derivatives are a + b cos(b x), x and x cos(b x). */
static pn_status new_program(pn_formula **program, pn_error *error)
{
    enum { X, A, B, BX, SINE, AX, SUM, COSINE, B_COSINE, BY_X, BY_B };
#define OPERATION(name, ...) \
    { .kind = PN_CODE_OPERATION, .row = operation(name), .operand = { __VA_ARGS__ } }
    const pn_instruction code[] = {
        [X] = { .kind = PN_CODE_INPUT },
        [A] = { .kind = PN_CODE_PARAMETER },
        [B] = { .kind = PN_CODE_PARAMETER, .row = 1 },
        [BX] = OPERATION("mul", B, X),
        [SINE] = OPERATION("sin", BX),
        [AX] = OPERATION("mul", A, X),
        [SUM] = OPERATION("add", AX, SINE),
        [COSINE] = OPERATION("cos", BX),
        [B_COSINE] = OPERATION("mul", B, COSINE),
        [BY_X] = OPERATION("add", A, B_COSINE),
        [BY_B] = OPERATION("mul", X, COSINE),
    };
#undef OPERATION
    const ptrdiff_t outputs[] = { SUM, BY_X, X, BY_B };
    return pn_formula_new(code, sizeof code / sizeof *code, outputs, 4, 1, 2, program, error);
}

/* ---- one case, prepared to run --------------------------------------------------------------- */

/* shift:    arrays begin this many elements after the start of their blocks
 * images:   the layer is between two identity convolutions, which may change the memory layout
 * twice:    two layers share the parameters, and their outputs are added
 * rebuild:  the graph is a copy made through the reading functions */
typedef struct {
    pn_dtype t;
    pn_mode mode;
    int training, images, twice, rebuild;
    size_t rows, shift;
} setup;

typedef struct {
    const layer_case *c;
    setup s;
    pn_graph *graph;
    pn_plan *plan;
    pn_shape shapes[PN_MAX_IO];
    settings config;
    pn_formula *program;
    pn_custom_layer custom;
    /* node: the layer; in, count: elements of each */
    size_t inputs, node, in[PN_MAX_IO], parameters, count[PARAMETERS];
    void *x[PN_MAX_IO], *gx[PN_MAX_IO], *p[PARAMETERS], *g[PARAMETERS], *y, *gy, *unit[2];
    /* out: elements of the output */
    size_t out;
    void *blocks[2 * PN_MAX_IO + 2 * PARAMETERS + 8];
    size_t n_blocks;
} case_run;

/* Allocates exactly n elements with the allocator that never fails. */
static void *array_new(case_run *w, size_t n)
{
    const size_t size = pn_size(w->s.t);
    char *block = __real_malloc((n + w->s.shift) * size);
    w->blocks[w->n_blocks++] = block;
    memset(block, 0xff, (n + w->s.shift) * size);           /* NaN until written */
    return block + w->s.shift * size;
}

/* Distinct numbers from -1.5 to 1.5, none close to 0 or to another one, so that finite differences
 * cross no kink. */
static void spread(pn_dtype t, size_t n, size_t salt, void *p)
{
    const size_t prime = 7919;
    for (size_t i = 0; i < n; i++)
        set(t, p, i, 3 * (((double)((i * prime + salt) % n) + 0.37) / (double)n - 0.5));
}

/* The number of a setting; 0 if it does not exist. */
static double number_of(const settings *all, const char *name)
{
    for (size_t i = 0; i < all->n; i++)
        if (!strcmp(all->at[i].name, name)) return all->at[i].number[0];
    return 0;
}

/* The number of rows of the table, which may be too large or 0. */
static size_t indices_end(const case_run *w)
{
    const double num = number_of(&w->config, "num_embeddings");
    return num >= 0 && num < 0x1p31 ? (size_t)num : 0;
}

static void fill_input(case_run *w, size_t i)
{
    const size_t each = pn_count(&w->shapes[i]), per = pn_count(&w->shapes[0]),
                 num = indices_end(w);
    const int indices = i == 0 && has_mark(w->c, 'i'), offsets = i == 1 && has_mark(w->c, 'o');
    const int last = offsets && number_of(&w->config, "include_last_offset") != 0;
    spread(w->s.t, w->in[i], i + 1, w->x[i]);
    for (size_t k = 0; k < w->in[i] && indices; k++)
        set(w->s.t, w->x[i], k, (double)((5 * k + 3) % (num + !num)));
    for (size_t k = 0; k < w->in[i] && offsets; k++)
        set(w->s.t, w->x[i], k, (double)(k % each * per / (each - (each > 1 && last))));
}

static void fill_parameters(case_run *w)
{
    /* mean, variance, count: states, which have no gradient */
    const int tracked = w->parameters > 2 && !w->g[w->parameters - 1];
    for (size_t j = 0; j < w->parameters; j++) {
        spread(w->s.t, w->count[j], j + 2, w->p[j]);
        for (size_t k = 0; tracked && j + 2 == w->parameters && k < w->count[j]; k++)
            set(w->s.t, w->p[j], k, 0.5 + (double)k / 7);
        if (tracked && j + 1 == w->parameters) memset(w->p[j], 0, sizeof(int64_t));
    }
}

static pn_status add_identity(case_run *w, size_t side, pn_error *error)
{
    pn_shape shape = w->graph->nodes[w->graph->n_nodes - 1].shape;
    settings config;
    read_settings(&config, shape.ndim == 3
                               ? "transposed=0 groups=1 bias=0 padding_mode=zeros kernel_size=1,1 "
                                 "stride=1,1 dilation=1,1 padding_before=0,0 padding_after=0,0 "
                                 "output_padding=0,0"
                               : "transposed=0 groups=1 bias=0 padding_mode=zeros kernel_size=1 "
                                 "stride=1 dilation=1 padding_before=0 padding_after=0 "
                                 "output_padding=0");
    for (size_t i = 0; i < 2; i++)
        config.at[config.n++] = (pn_setting){ .name = i ? "out_channels" : "in_channels",
                                              .n = 1,
                                              .number = { (double)shape.dim[0] } };
    const pn_layer unit = simple_layer("conv", "unit", &config);
    pn_status status = pn_graph_add(w->graph, &unit, error);
    if (status) return status;
    w->unit[side] = array_new(w, shape.dim[0] * shape.dim[0]);
    for (size_t i = 0; i < shape.dim[0] * shape.dim[0]; i++)
        set(w->s.t, w->unit[side], i, i % (shape.dim[0] + 1) == 0);
    const size_t weight[] = { shape.dim[0], shape.dim[0], 1, 1 };
    return pn_graph_bind(w->graph, 0, shape.ndim + 1, weight, w->unit[side], NULL, error);
}

/* y = 2 x for rows of n and m numbers; elements beyond those of x are 0. */
static void double_rows(pn_dtype t, size_t rows, size_t n, const void *x, size_t m, void *y)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < m; i++)
            set(t, y, r * m + i, i < n ? 2 * pn_element(t, x, r * n + i) : 0);
}
/* elements of a sample of the custom layer's first input and of its output */
static size_t size_in(const case_run *w) { return pn_count(&w->shapes[0]); }
static size_t size_out(const case_run *w) { return pn_count(&w->graph->nodes[w->node].shape); }
static int custom_forward(void *context, size_t rows, int keep, const void *const *x, void *y)
{
    const case_run *w = context;
    (void)keep;
    double_rows(w->s.t, rows, size_in(w), x[0], size_out(w), y);
    return 0;
}
static int custom_backward(void *context, size_t rows, const void *gy, void *const *gx)
{
    const case_run *w = context;
    if (gx[0]) double_rows(w->s.t, rows, size_out(w), gy, size_in(w), gx[0]);
    return 0;
}

/* Adds the layer and its parameters. If it is added twice, both share the parameters. */
static pn_status add_layer(case_run *w, const size_t *inputs, pn_error *error)
{
    const pn_layer layer = { .kind = w->c->kind,
                             .where = "here",
                             .n_inputs = w->inputs,
                             .inputs = inputs,
                             .n_settings = w->config.n,
                             .settings = w->config.at,
                             .training = w->s.training,
                             .custom = strcmp(w->c->kind, "custom") ? NULL : &w->custom };
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

/* Copies a node to another graph through the reading functions. */
static pn_status copy_node(const pn_graph *from, size_t node, pn_graph *to, pn_error *error)
{
    pn_node_info n;
    pn_setting all[PN_MAX_SETTINGS];
    pn_parameter_info p;
    if (!pn_graph_node(from, node, &n)) return PN_BAD_STATE;
    if (!n.kind) return pn_graph_input(to, n.ndim, n.shape, error);
    for (size_t i = 0; i < n.n_settings; i++)
        if (!pn_graph_setting(from, node, i, &all[i])) return PN_BAD_STATE;
    const pn_layer layer = { .kind = n.kind,
                             .where = n.where,
                             .n_inputs = n.n_inputs,
                             .inputs = n.inputs,
                             .n_settings = n.n_settings,
                             .settings = all,
                             .training = n.training,
                             .custom = n.custom };
    pn_status status = pn_graph_add(to, &layer, error);
    for (size_t j = 0; pn_graph_parameter(from, node, j, &p) && !status; j++)
        status = pn_graph_bind(to, j, p.ndim, p.shape, p.data, p.grad, error);
    return status;
}

/* Replaces the graph by a copy made through the reading functions. */
static pn_status rebuild(case_run *w, pn_error *error)
{
    pn_graph *copy = NULL;
    pn_node_info first;
    size_t outputs[PN_MAX_IO];
    if (!pn_graph_node(w->graph, 0, &first)) return PN_BAD_STATE;
    pn_status status = pn_graph_new(pn_graph_dtype(w->graph), first.ndim, first.shape, &copy,
                                    error);
    for (size_t i = 1; i < pn_graph_nodes(w->graph) && !status; i++)
        status = copy_node(w->graph, i, copy, error);
    for (size_t i = 0; i < pn_graph_n_outputs(w->graph); i++)
        outputs[i] = pn_graph_output_node(w->graph, i);
    if (!status) status = pn_graph_outputs(copy, pn_graph_n_outputs(w->graph), outputs, error);
    pn_graph_free(w->graph);
    w->graph = copy;
    return status;
}

static pn_status build(case_run *w, pn_error *error)
{
    size_t inputs[PN_MAX_IO];
    pn_status status = pn_graph_new(w->s.t, w->shapes[0].ndim, w->shapes[0].dim, &w->graph, error);
    for (size_t i = 1; i < w->inputs && !status; i++)
        status = pn_graph_input(w->graph, w->shapes[i].ndim, w->shapes[i].dim, error);
    for (size_t i = 0; i < w->inputs; i++) inputs[i] = i;
    if (!status && w->s.images) status = add_identity(w, 0, error), inputs[0] = 1;
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
    if (!status && w->s.images) status = add_identity(w, 1, error);
    return status || !w->s.rebuild ? status : rebuild(w, error);
}

static void case_read(case_run *w, const layer_case *c, setup s)
{
    memset(w, 0, sizeof *w);
    w->c = c;
    w->s = s;
    w->inputs = read_shapes(c, w->shapes);
    w->custom = (pn_custom_layer){ .forward = custom_forward,
                                   .backward = custom_backward,
                                   .context = w };
    read_settings(&w->config, c->config);
}
/* Creates everything except the plan. case_free must be called even on failure. */
static pn_status case_new(case_run *w, const layer_case *c, setup s, pn_error *error)
{
    case_read(w, c, s);
    if (strcmp(c->kind, "formula")) return build(w, error);
    const pn_status status = new_program(&w->program, error);
    w->config.at[w->config.n++] = (pn_setting){ .name = "program", .formula = w->program };
    return status ? status : build(w, error);
}

static void fill_arrays(case_run *w)
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

static void case_free(case_run *w)
{
    pn_plan_free(w->plan);
    pn_graph_free(w->graph);
    pn_formula_free(w->program);
    for (size_t i = 0; i < w->n_blocks; i++) __real_free(w->blocks[i]);
}
#endif
