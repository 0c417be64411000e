/* graph.h - inside a graph and a plan. Three phases: a graph describes, a plan decides, running allocates nothing. */
#ifndef PN_GRAPH_H
#define PN_GRAPH_H
#include "kernels.h"

typedef struct { size_t ndim, dim[PN_MAX_DIMS]; } pn_shape;
typedef struct { pn_shape shape; void *data, *grad; } pn_binding;      /* grad NULL: frozen */

enum { PN_MAX_SLOTS = 2, PN_MAX_CONFIG = PN_MAX_DIMS, PN_WHERE = 48 };

typedef struct pn_node pn_node;
typedef struct pn_builder pn_builder;

/* A layer family: one row in layers/layers.h, one file in layers/. */
typedef struct {
    const char *name;
    /* Checks config and the input's shape, sets node->shape and the shapes of its parameters. */
    pn_status (*shape)(pn_node *node, const pn_shape *input, pn_dtype t, pn_error *error);
    /* Emits the steps that compute the node's output, and those that turn the gradient of its output into that of its input. */
    pn_status (*forward)(pn_builder *b, size_t node);
    pn_status (*backward)(pn_builder *b, size_t node);
} pn_layer_kind;

struct pn_node {
    const pn_layer_kind *kind;
    char where[PN_WHERE];
    pn_shape shape;                         /* of one sample's output */
    size_t n_config, n_slots;
    double config[PN_MAX_CONFIG];
    pn_binding slots[PN_MAX_SLOTS];
    union { float f32; double f64; } params[PN_MAX_PARAMS];    /* an activation's, stored as the graph's dtype reads them */
};

struct pn_graph {
    pn_dtype dtype;
    size_t n_nodes, capacity;
    pn_node *nodes;                         /* node 0 is the input */
};

/* A buffer is a place for one array; the plan decides where. Buffers below PN_FIRST_OWN belong to the caller. */
enum { PN_NONE = -1, PN_X, PN_Y, PN_GY, PN_GX, PN_FIRST_OWN };
typedef struct { size_t bytes, offset; int first, last; } pn_buffer;   /* in use from step first to step last */

typedef struct pn_step pn_step;
typedef void pn_step_fn(const pn_step *step, void *const *at);         /* at[buffer]: where it is */
struct pn_step {
    pn_step_fn *run;
    const char *what;                       /* for pn_plan_step */
    size_t node;
    double flops, seconds;
    int x, y, t, z, work;                   /* buffers: read, written, read as well, written as well, scratch; PN_NONE where unused */
    size_t rows, n, inner;
    const pn_typed_kernels *k;
    const pn_activation_kernels *activation;
    const pn_rowwise_kernels *rowwise;
    const void *p[PN_MAX_PARAMS];
    void *grad;                             /* of a parameter */
    pn_product product;
    pn_epilogue epilogue;
    size_t bytes;                           /* to copy, or to clear first */
};

/* plan->at[PN_X..PN_GX] are the caller's for one call. */
struct pn_plan {
    const pn_graph *graph;
    size_t rows;
    pn_mode mode;
    pn_step *steps;
    size_t n_steps, n_forward, capacity;
    pn_buffer *buffers;
    size_t n_buffers, buffer_capacity;
    void **at;
    void *arena;
    size_t bytes;
    int output, output_grad;                /* PN_TRAIN: where the loss reads and writes */
    int ready;                              /* forward has run, so backward may */
    int timed;
    double loss_seconds;
};

struct pn_builder {
    const pn_graph *graph;
    pn_plan *plan;
    const pn_typed_kernels *k;
    pn_mode mode;
    size_t rows, node;                      /* the node whose steps are being made */
    int *value;                             /* each node's output */
    int *inner;                             /* a fused activation's argument, where backward needs it */
    int *grad;                              /* gradient of each node's output; PN_NONE where nobody wants it */
    int *fused;                             /* this node was computed by the step of the node before */
    pn_error *error;
};

size_t pn_count(const pn_shape *shape);                                /* elements; a graph's shapes never overflow */
int pn_multiply(size_t a, size_t b, size_t *product);                  /* 0 when it overflows */
size_t pn_size(pn_dtype t);
pn_status pn_fail(pn_error *error, pn_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
void pn_shape_text(const pn_shape *shape, char *text, size_t room);    /* "(64, 10)" */

/* plan.c, for the files in layers/ */
int pn_buffer_new(pn_builder *b, size_t elements);                     /* PN_NONE when memory is short */
pn_step *pn_step_new(pn_builder *b, const char *what, pn_step_fn *run);     /* NULL likewise */
void pn_step_uses(pn_builder *b, int buffer);                          /* the step just added reads or writes it */
int pn_wants_gradient(const pn_builder *b, size_t node);               /* does anyone need the gradient of this node's output? */
int pn_accumulates(const pn_builder *b, size_t node, size_t slot);     /* does this node add to the gradient that is already there? */
int pn_output_buffer(pn_builder *b, size_t node, int keep);            /* where a node writes; keep: backward reads it */
int pn_gradient_buffer(pn_builder *b, size_t node, int reuse);         /* where the gradient of a node's output goes; reuse: may be overwritten */

/* run.c: one step of fit but the update; returns the sum of the loss's values. The plan is PN_TRAIN. */
double pn_plan_train(pn_plan *plan, const void *x, size_t loss, size_t cols, const pn_target *target, double scale);
double pn_seconds(void);                                               /* a clock that only goes forward */

/* arena.c: offsets for buffers with lifetimes, greedy by size; returns the bytes of the arena. */
size_t pn_arena_place(pn_buffer *buffers, size_t n, size_t *order);
void *pn_arena_new(size_t bytes);
void pn_arena_free(void *arena);

#endif
