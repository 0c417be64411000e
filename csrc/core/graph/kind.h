/* kind.h - the interface of a layer family, and a node of a graph. */
#ifndef PN_KIND_H
#define PN_KIND_H
#include "config.h"

typedef struct { size_t ndim, dim[PN_MAX_DIMS]; } pn_shape;
/* A parameter or, with state, a running statistic. name may be NULL in formulas and custom
 * layers. */
typedef struct { const char *name; int state; pn_shape shape; void *data, *grad; } pn_binding;

/* PN_ANY_SHAPE: ndim of a slot that accepts any shape */
enum { PN_MAX_SLOTS = 16, PN_WHERE = 48, PN_MANY = 1 << 20, PN_ANY_SHAPE = 1 << 20 };

/* Memory layouts of images: channels first, (rows, channels, pixels), or channels last, (rows,
 * pixels, channels). What a kind of layer supports:
 *
 *   PN_LAYOUT_NCHW          channels first only
 *   PN_LAYOUT_ANY           either, the same for all its arrays: layout[node]
 *   PN_LAYOUT_PREFERS_NHWC  the same, but channels last is faster
 *   PN_LAYOUT_ASKS          any layout of its input, layout[input], and a choice for its output, by
 *                           pn_channels_last */
typedef enum { PN_LAYOUT_NCHW, PN_LAYOUT_ANY, PN_LAYOUT_PREFERS_NHWC, PN_LAYOUT_ASKS } pn_layouts;

typedef struct pn_node pn_node;
typedef struct pn_builder pn_builder;

/* A formula as an activation, compiled for its value, its derivative, both, the gradient of its
 * input, and that with the gradients of learnt parameters. Parameter j is number[j] if slot[j] is
 * -1, otherwise what is bound to that slot: one value, or one for each channel. */
enum { PN_VALUE, PN_SLOPE, PN_VALUE_AND_SLOPE, PN_INPUT_GRADIENT, PN_GRADIENTS, PN_NODE_TAPES };
typedef struct {
    pn_tape *tape[PN_NODE_TAPES];           /* NULL: the node is no formula */
    size_t n;
    double number[PN_MAX_DIMS];
    int slot[PN_MAX_DIMS];
    size_t channels;
} pn_node_formula;

/* A layer family: one row in layers/layers.h, one file in layers/. */
typedef struct {
    const char *name;
    size_t min_inputs, max_inputs;
    /* Checks the configuration against the shapes of the inputs, sets node->shape and adds the
     * parameters. */
    pn_status (*shape)(pn_node *node, const pn_shape *const *inputs, pn_dtype t, pn_error *error);
    /* forward adds the steps that compute the output of the node, value[node]. backward adds those
     * that compute, from its gradient grad[node], the gradients of the parameters and, by
     * pn_gradient_buffer or pn_give_gradient, of the inputs. */
    pn_status (*forward)(pn_builder *b, size_t node);
    pn_status (*backward)(pn_builder *b, size_t node);
    pn_layouts layouts;
    const pn_config_field *fields;          /* of its configuration; NULL for none */
} pn_layer_kind;

struct pn_node {
    const pn_layer_kind *kind;              /* NULL: an input of the graph */
    char where[PN_WHERE];
    pn_shape shape;                         /* of one sample's output */
    size_t n_inputs, *inputs;
    int training;
    const pn_custom_layer *custom;
    /* holds the configuration struct of the layer family, which pn_config returns */
    union { double number; size_t count; void *pointer; char bytes[PN_CONFIG_BYTES]; } config;
    size_t n_slots;
    pn_binding slots[PN_MAX_SLOTS];
    const pn_activation *activation;        /* of an elementwise layer; NULL for other kinds */
    size_t activation_row; /* row of the table of activations, also set by prelu.c */
    pn_node_formula formula;                /* replaces the row unless it has no tapes */
    /* the parameters of the row, in the dtype of the graph */
    union { float f32; double f64; } params[PN_MAX_PARAMS];
    /* the number of times it is an input of other nodes, and the last of those */
    size_t uses, consumer;
};

/* The configuration of a node, a struct that its layer family defines with PN_CONFIG. */
static inline const void *pn_config(const pn_node *node) { return &node->config; }

#endif
