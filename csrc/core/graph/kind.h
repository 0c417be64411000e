/* kind.h - what a layer family consists of, and a node of a graph. */
#ifndef PN_KIND_H
#define PN_KIND_H
#include "config.h"

typedef struct { size_t ndim, dim[PN_MAX_DIMS]; } pn_shape;
/* A parameter, or with state a running statistic. name: NULL in custom layers. */
typedef struct { const char *name; int state; pn_shape shape; void *data, *grad; } pn_binding;

/* the last: ndim of a slot that takes any */
enum { PN_MAX_SLOTS = 16, PN_WHERE = 48, PN_MANY = 1 << 20, PN_ANY_SHAPE = 1 << 20 };

/* How arrays of images stand in memory: plain, (rows, channels, pixels), or with their channels
 * last, (rows, pixels, channels). What a kind of layer knows of that:
 *
 *   PN_LAYOUT_NCHW       nothing: all its arrays are plain
 *   PN_LAYOUT_ANY       all its arrays stand alike, as layout[node] says, because it works
 *   element by element, say
 *   PN_LAYOUT_PREFERS_NHWC  the same, but channels last is faster
 *   PN_LAYOUT_ASKS      layout[input] says how an input and its gradient stand, and the kind asks
 *   pn_channels_last how its output should */
typedef enum { PN_LAYOUT_NCHW, PN_LAYOUT_ANY, PN_LAYOUT_PREFERS_NHWC, PN_LAYOUT_ASKS } pn_layouts;

typedef struct pn_node pn_node;
typedef struct pn_builder pn_builder;

/* A layer family: one row in layers/layers.h, one file in layers/. */
typedef struct {
    const char *name;
    size_t least, most;                     /* how many inputs it takes */
    /* Checks the configuration with the shapes of the inputs, sets node->shape and adds the
     * parameters. */
    pn_status (*shape)(pn_node *node, const pn_shape *const *inputs, pn_dtype t, pn_error *error);
    /* Emits the steps that compute the node's output (value[node]), and those that turn the
     * gradient of it (grad[node]) into those of the inputs, by pn_gradient_buffer or
     * pn_give_gradient, and of the parameters. */
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
    /* the struct of the kind, see pn_config */
    union { double number; size_t count; void *pointer; char bytes[PN_CONFIG_BYTES]; } config;
    size_t n_slots;
    pn_binding slots[PN_MAX_SLOTS];
    const pn_activation *activation;        /* of an elementwise function; NULL: it is not one */
    size_t activation_row;                  /* of the table, also of the activations of prelu.c */
    /* its parameters, stored as the graph's dtype reads them */
    union { float f32; double f64; } params[PN_MAX_PARAMS];
    /* how many inputs of others it is, and the last of those others */
    size_t uses, consumer;
};

/* The configuration of a node, which points to its kind's struct. */
static inline const void *pn_config(const pn_node *node) { return &node->config; }

#endif
