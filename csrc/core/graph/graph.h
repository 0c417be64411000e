/* graph.h - inside a graph and a plan. Three phases: a graph describes, a plan decides, running
 * allocates nothing. */
#ifndef PN_GRAPH_H
#define PN_GRAPH_H
#include "../base/arena.h"
#include "../base/array.h"
#include "../base/error.h"
#include "../kernels/isa.h"

typedef struct { size_t ndim, dim[PN_MAX_DIMS]; } pn_shape;
/* grad NULL: frozen, or no parameter but a state */
typedef struct { pn_shape shape; void *data, *grad; } pn_binding;

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
    /* Checks config and the shapes of its inputs, sets node->shape and the shapes of its
     * parameters. */
    pn_status (*shape)(pn_node *node, const pn_shape *const *inputs, pn_dtype t, pn_error *error);
    /* Emits the steps that compute the node's output (value[node]), and those that turn the
     * gradient of it (grad[node]) into those of the inputs, by pn_gradient_buffer or
     * pn_give_gradient, and of the parameters. */
    pn_status (*forward)(pn_builder *b, size_t node);
    pn_status (*backward)(pn_builder *b, size_t node);
    pn_layouts layouts;
} pn_layer_kind;

struct pn_node {
    const pn_layer_kind *kind;              /* NULL: an input of the graph */
    char where[PN_WHERE];
    pn_shape shape;                         /* of one sample's output */
    size_t n_inputs, *inputs;
    int training;
    const pn_custom_layer *custom;
    size_t n_config, n_slots;
    double config[PN_MAX_CONFIG];
    pn_binding slots[PN_MAX_SLOTS];
    /* an activation's, stored as the graph's dtype reads them */
    union { float f32; double f64; } params[PN_MAX_PARAMS];
    /* how many inputs of others it is, and the last of those others */
    size_t uses, consumer;
};

struct pn_graph {
    pn_dtype dtype;
    size_t n_nodes, capacity;
    pn_node *nodes;
    size_t n_inputs, n_outputs;
    size_t *inputs, *outputs;               /* nodes */
    int custom;                            /* is any of its layers custom? */
};

/* A buffer is a place for one array; the plan decides where. The first ones are the caller's, for
 * one call: an x for each input, a y and a gy for each output, a gx for each input. */
enum { PN_NONE = -1 };
static inline int pn_x(const pn_graph *g, size_t i)  { (void)g; return (int)i; }
static inline int pn_y(const pn_graph *g, size_t i)  { return (int)(g->n_inputs + i); }
static inline int pn_gy(const pn_graph *g, size_t i)
{
    return (int)(g->n_inputs + g->n_outputs + i);
}
static inline int pn_gx(const pn_graph *g, size_t i)
{
    return (int)(g->n_inputs + 2 * g->n_outputs + i);
}
static inline int pn_first_own(const pn_graph *g)
{
    return (int)(2 * (g->n_inputs + g->n_outputs));
}

typedef struct pn_step pn_step;
typedef void pn_step_fn(const pn_step *step, void *const *at);         /* at[buffer]: where it is */
struct pn_step {
    pn_step_fn *run;
    const char *what;                       /* for pn_plan_step */
    const pn_node *node;
    double flops, seconds;
    /* buffers: read, written, read as well, written as well, scratch; PN_NONE where unused */
    int in, out, in2, out2, work;
    size_t rows, n, inner;
    const pn_typed_kernels *k;
    const pn_activation_kernels *activation;
    const pn_rowwise_kernels *rowwise;
    const void *p[PN_MAX_PARAMS];
    void *grad;                             /* of a parameter */
    pn_product product;
    /* bytes that product.packed would take; 0 where there is no use for it */
    size_t packs;
    pn_epilogue epilogue;
    size_t bytes;                           /* to copy, or to clear first */
    const uint64_t *tick;
    void *own;                              /* what else a family's steps need, from pn_plan_own */
};

/* The output of a node, as it stands before step number step runs. activation: the node itself or
 * one fused before it, whose derivative is had from the array slope, as large as the output;
 * PN_NONE where there is none. last: do both have their channels last? */
typedef struct { size_t step, node, activation; int value, slope, last; } pn_probe;

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
    int *outputs, *output_grads;            /* PN_TRAIN: where the losses read and write */
    /* PN_TRAIN: outputs in the order in which they are made */
    pn_probe *probes;
    size_t n_probes, probe_capacity;
    /* pn_plan_unshared: the gradient of each node's output; PN_NONE where nobody wants it */
    int *grads;
    uint64_t tick;
    int ready;                              /* forward has run, so backward may */
    /* by a layer: a custom one, or one whose input is wrong, which then says so in failure */
    int stopped;
    pn_error failure;
    int timed;
    double loss_seconds;
    void **owned;
    size_t n_owned, owned_capacity;
};

/* What has become of a node: steps of its own; computed by a node before it; and that one takes its
 * gradient, too. */
enum { PN_SEPARATE, PN_FUSED, PN_FUSED_BACK };

struct pn_builder {
    const pn_graph *graph;
    pn_plan *plan;
    const pn_typed_kernels *k;
    pn_mode mode;
    int apart;                              /* is nothing fused or overwritten? */
    size_t rows, node;                      /* the node whose steps are being made */
    int *value;                             /* each node's output */
    /* a fused activation's argument, where backward needs it */
    int *inner;
    /* gradient of each node's output; PN_NONE while nobody has given any */
    int *grad;
    /* PN_FUSED: this node was computed by the step of a node before */
    int *fused;
    /* does anyone need the gradient of this node's output? */
    int *wants;
    /* does its output, and the gradient of it, stand with channels last? */
    int *layout;
    int *prefers;                           /* would those that feed on it rather have it so? */
    /* its output in the other layout; PN_NONE until somebody needs it */
    int *other;
    /* further contributions to gradients, not added yet */
    struct { size_t node; int buffer; } *more;
    size_t n_more, more_capacity;
    pn_error *error;
};

/* elements; a graph's shapes never overflow */
size_t pn_count(const pn_shape *shape);
/* can a setting be a size? */
static inline int pn_is_count(double v) { return v >= 0 && v < 0x1p53 && v == (double)(size_t)v; }
void pn_shape_text(const pn_shape *shape, char *text, size_t room);    /* "(64, 10)" */
/* the first output that a node is, or -1 */
int pn_output_of(const pn_graph *g, size_t node);

pn_status pn_check_seed(const pn_node *node, const double *halves, pn_error *error);

/* plan.c, for the files in layers/ */
/* PN_NONE when memory is short */
int pn_buffer_new(pn_builder *b, size_t elements);
pn_step *pn_step_new(pn_builder *b, const char *what, pn_step_fn *run);     /* NULL likewise */
/* the step just added reads or writes it */
void pn_step_uses(pn_builder *b, int buffer);
/* zeroed memory that is freed with the plan; NULL likewise */
void *pn_plan_own(pn_builder *b, size_t bytes);
/* the one that alone feeds on it, unless others see it; or NULL */
const pn_node *pn_follower(const pn_builder *b, size_t node);
/* One over all the array of a node: y from x and, unless it is PN_NONE, t; such as y = x + t. A y
 * that is PN_NONE says that memory was short. */
pn_status pn_step_over(pn_builder *b, const char *what, pn_step_fn *run, size_t node, int x, int t,
                       int y);
pn_step_fn pn_run_add;
/* of a node's parameters: a step of fit starts from 0 where nobody overwrites */
pn_status pn_clear_gradients(pn_builder *b, size_t node);
int pn_wants_gradient(const pn_builder *b, size_t node);
/* does this node add to the gradient that is already there? */
int pn_accumulates(const pn_builder *b, size_t node, size_t slot);
/* marks and tells how a node of PN_LAYOUT_ASKS is to stand */
int pn_channels_last(pn_builder *b, size_t node);
/* where a node writes; keep: backward reads it */
int pn_output_buffer(pn_builder *b, size_t node, int keep);
/* Where backward writes the gradient of an input node; reuse: a buffer, such as that of the
 * gradient it starts from, which may be overwritten. What several consumers give is added. PN_NONE
 * when memory is short. */
int pn_gradient_buffer(pn_builder *b, size_t node, int reuse);
/* The gradient of an input node is what already stands in buffer. Given to several nodes, it must
 * be marked as shared first. */
pn_status pn_give_gradient(pn_builder *b, size_t node, int buffer);
void pn_share_buffer(pn_builder *b, int buffer);

/* PN_TRAIN; every array stays until the end */
pn_status pn_plan_unshared(const pn_graph *graph, size_t rows, pn_plan **plan, pn_error *error);

/* What fit wants of some outputs, and what it got. */
typedef struct {
    const pn_criterion *loss;
    const pn_shape *shape;                  /* of one sample of its first output */
    pn_loss_view view;
    /* outputs it takes; bytes of the target, labels or weights of a sample */
    size_t n_inputs, target_bytes, label_bytes, weight_bytes;
    pn_target target;
    /* which of the caller's rows these are, as in pn_custom_loss */
    const size_t *order;
    size_t start;
    /* unless view.last: room for predictions and gradient with classes last */
    void *turned;
    double sum, divisor, scale;             /* of the loss; of its gradient */
    const void *seen;                       /* predictions, view.cols in a row */
} pn_loss_batch;
/* for a loss over classes: is this its ignore_index? */
int pn_loss_ignores(const pn_criterion *loss, int64_t label);
/* the first; n where there is none */
size_t pn_loss_wrong_label(const pn_criterion *loss, size_t n, size_t cols, const int64_t *label);
/* loss.c: sum and divisor, and unless grad is NULL the gradients; x, grad: of every output.
 * PN_BAD_VALUE where the loss is not defined for an output, PN_STOPPED by a custom loss. */
pn_status pn_loss_batch_apply(pn_loss_batch *wanted, pn_dtype t, size_t rows, void *const *x,
                              void *const *grad, pn_error *error);
/* run.c: one step of fit but the update; PN_STOPPED where a layer or a loss of the caller's asked
 * for it. The plan is PN_TRAIN. Without backward there are no gradients. watcher, unless NULL, is
 * shown every output while it stands. */
typedef struct {
    void (*look)(void *context, const pn_plan *plan, const pn_probe *watch);
    void *context;
} pn_monitor;
pn_status pn_plan_train(pn_plan *plan, const void *const *x, uint64_t tick, pn_loss_batch *wanted,
                        size_t n, int backward, const pn_monitor *watcher, pn_error *error);
/* The gradient of one element of an output, of a plan of one row, into those of the parameters. */
pn_status pn_plan_output_gradient(pn_plan *plan, const void *const *x, uint64_t tick, size_t output,
                                  size_t element, pn_error *error);

#endif
