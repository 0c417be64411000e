/* plan.h - inside a plan, which decides how a graph is computed, and the means of layers to add
 * their steps to it. */
#ifndef PN_PLAN_H
#define PN_PLAN_H
#include "../base/arena.h"
#include "../base/array.h"
#include "../base/error.h"
#include "../kernels/isa.h"
#include "graph.h"

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
static inline int pn_first_plan_buffer(const pn_graph *g)
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
    size_t packed_bytes;
    pn_epilogue epilogue;
    size_t bytes;                           /* to copy, or to clear first */
    const uint64_t *tick;
    void *args;                             /* what else a family's steps use, from pn_plan_alloc */
};

/* What a task of a step that is divided among the threads gets, where it needs no more. */
typedef struct { const pn_step *s; void *const *at; } pn_step_job;
/* Elements of such a task: a fixed number, so that results do not depend on the threads. */
enum { PN_CHUNK = 16384 };

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
    /* what the forward steps of a node use, for its backward; NULL where it needs none */
    void **planned;
    /* further contributions to gradients, not added yet */
    struct { size_t node; int buffer; } *more;
    size_t n_more, more_capacity;
    pn_error *error;
};

/* ---- for the files in layers/ ---------------------------------------------------------------- */
/* PN_NONE when memory is short */
int pn_buffer_new(pn_builder *b, size_t elements);
pn_step *pn_step_new(pn_builder *b, const char *what, pn_step_fn *run);     /* NULL likewise */
/* the step just added reads or writes it */
void pn_step_uses(pn_builder *b, int buffer);
/* zeroed memory that is freed with the plan; NULL likewise */
void *pn_plan_alloc(pn_builder *b, size_t bytes);
/* the one that alone feeds on it, unless others see it; or NULL */
const pn_node *pn_sole_consumer(const pn_builder *b, size_t node);
/* One over all the array of a node: y from x and, unless it is PN_NONE, t; such as y = x + t. A y
 * that is PN_NONE says that memory was short. */
pn_status pn_step_elementwise(pn_builder *b, const char *what, pn_step_fn *run, size_t node, int x, int t,
                       int y);
pn_step_fn pn_run_add;
/* of a node's parameters: a step of fit starts from 0 where nobody overwrites */
pn_status pn_clear_gradients(pn_builder *b, size_t node);
int pn_needs_gradient(const pn_builder *b, size_t node);
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
void pn_buffer_share(pn_builder *b, int buffer);

/* PN_TRAIN; every array stays until the end */
pn_status pn_plan_unshared(const pn_graph *graph, size_t rows, pn_plan **plan, pn_error *error);

#endif
