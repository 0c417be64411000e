/* plan_types.h - a plan and its parts: buffers, steps, probes. */
#ifndef PN_PLAN_TYPES_H
#define PN_PLAN_TYPES_H
#include "../base/arena.h"
#include "../base/array.h"
#include "../base/error.h"
#include "../kernels/isa.h"
#include "graph.h"

/* A buffer is the number of one array; the plan decides its address. The first ones belong to the
 * caller and are set for each call: an x for each input, a y and a gy for each output, a gx for
 * each input. */
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
typedef void pn_step_fn(const pn_step *step, void *const *at);      /* at[buffer]: its address */
struct pn_step {
    pn_step_fn *run;
    const char *what;                       /* for pn_plan_step */
    const pn_node *node;
    double flops, seconds;
    /* buffers: inputs, outputs, scratch; PN_NONE where unused */
    int in, out, in2, out2, work;
    size_t rows, n, inner;
    const pn_typed_kernels *k;
    const pn_activation_kernels *activation;
    const pn_rowwise_kernels *rowwise;
    const void *p[PN_MAX_PARAMS];
    void *grad;                             /* of a parameter */
    pn_product product;
    size_t packed_bytes;                    /* size of product.packed; 0 if packing does not pay */
    pn_epilogue epilogue;
    size_t bytes;                           /* to copy, or to clear first */
    const uint64_t *tick;
    void *args;                             /* a layer family's data, from pn_plan_alloc */
};

/* Context of a parallel task that needs only its step. */
typedef struct { const pn_step *s; void *const *at; } pn_step_job;
/* Elements in such a task. The number is fixed, so results do not depend on the thread count. */
enum { PN_CHUNK = 16384 };

/* The output of a node, available before step number `step` runs. activation: the node itself, or
 * the one fused into it that applies an activation. slope: the array of the output's size from
 * which that activation's derivative is computed; PN_NONE without an activation. kept: whether
 * slope holds that derivative. channels_last: the layout of both arrays. */
typedef struct { size_t step, node, activation; int value, slope, kept, channels_last; } pn_probe;

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
    pn_probe *probes;                       /* PN_TRAIN: outputs, in the order of computation */
    size_t n_probes, probe_capacity;
    /* pn_plan_unshared: for each node, its output, its gradient (PN_NONE where none is computed),
     * and whether both are channels last */
    int *values, *grads, *layouts;
    uint64_t tick;
    int ready;                              /* forward has run, so backward may */
    /* Set by a custom layer, or by a layer whose input is invalid, which explains in failure. */
    int stopped;
    pn_error failure;
    int timed;
    double loss_seconds;
    void **owned;
    size_t n_owned, owned_capacity;
};

#endif
