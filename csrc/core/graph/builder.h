/* builder.h - a plan under construction, and the functions by which the files in layers/ add steps,
 * buffers and gradients to it. */
#ifndef PN_BUILDER_H
#define PN_BUILDER_H
#include "activation.h"
#include "plan_types.h"

/* How a node is computed: by steps of its own; by the steps of an earlier node, with a separate
 * backward; or forward and backward by those of an earlier node. */
enum { PN_SEPARATE, PN_FUSED, PN_FUSED_BACK };

struct pn_builder {
    const pn_graph *graph;
    pn_plan *plan;
    const pn_typed_kernels *k;
    pn_mode mode;
    int unshared;               /* nothing is fused or overwritten */
    int every;                  /* every node gets a gradient, also the inputs */
    size_t rows, node;          /* node: the one whose steps are being added */
    /* Arrays with one entry for each node. */
    int *value;                 /* its output */
    int *preactivation;         /* the argument of a fused activation, where backward needs it */
    int *grad;                  /* gradient of its output; PN_NONE until a consumer provides one */
    int *fused;                 /* PN_SEPARATE, ... */
    int *needs_gradient;        /* whether the gradient of its output is needed */
    int *layout;                /* whether its output and that gradient have channels last */
    int *prefers;               /* whether its consumers prefer channels last */
    int *converted;             /* its output in the other layout; PN_NONE until it is needed */
    void **planned;             /* data that its forward steps share with backward, or NULL */
    /* further contributions to gradients, not yet added */
    struct { size_t node; int buffer; } *pending;
    size_t n_pending, pending_capacity;
    pn_error *error;
};

/* ---- steps and memory; PN_NONE, NULL or PN_NO_MEMORY when memory is short -------------------- */
int pn_buffer_new(pn_builder *b, size_t elements);
pn_step *pn_step_new(pn_builder *b, const char *what, pn_step_fn *run);
/* Declares that the step added last reads or writes buffer. */
void pn_step_uses(pn_builder *b, int buffer);
/* Adds a step over all elements of a node's output: y from x and, unless it is PN_NONE, t, such as
 * y = x + t. y may be PN_NONE, from a pn_buffer_new that failed. */
pn_status pn_step_elementwise(pn_builder *b, const char *what, pn_step_fn *run, size_t node, int x,
                              int t, int y);
pn_step_fn pn_run_add;
/* Sets activation and p of a step to the function of a node. */
pn_status pn_step_function(pn_builder *b, pn_step *s, size_t node);
/* Whether the step that computes the activation of a node stores its derivative as well, in place
 * of its argument, for backward. */
int pn_keeps_derivative(const pn_builder *b, size_t node);
/* Returns zeroed memory that is freed with the plan. */
void *pn_plan_alloc(pn_builder *b, size_t bytes);
/* The plan's entry for a buffer; NULL for one of the caller's. */
pn_buffer *pn_plan_buffer(const pn_builder *b, int buffer);

/* ---- nodes ----------------------------------------------------------------------------------- */
/* Elements of a node's output for all rows. */
size_t pn_batch_count(const pn_builder *b, size_t node);
/* The only consumer of a node's output; NULL if there are several, or if it is an output. */
const pn_node *pn_sole_consumer(const pn_builder *b, size_t node);
/* Chooses and returns the layout of a node of PN_LAYOUT_ASKS. */
int pn_channels_last(pn_builder *b, size_t node);
/* The buffer that a node writes its output to; keep: backward reads it. */
int pn_output_buffer(pn_builder *b, size_t node, int keep);

/* ---- gradients ------------------------------------------------------------------------------- */
int pn_needs_gradient(const pn_builder *b, size_t node);
/* Whether a node's parameter gradient is added to the present one instead of replacing it. */
int pn_accumulates(const pn_builder *b, size_t node, size_t slot);
/* Adds steps that zero the gradients of a node's parameters which no step overwrites. */
pn_status pn_clear_gradients(pn_builder *b, size_t node);
/* The buffer that backward writes the gradient of an input node to. reuse: a buffer that may be
 * overwritten, such as the gradient that backward reads, or PN_NONE. Contributions of several
 * consumers are added. */
int pn_gradient_buffer(pn_builder *b, size_t node, int reuse);
/* Makes the present content of buffer the gradient of an input node. A buffer that is given to
 * several nodes must be shared first. */
pn_status pn_give_gradient(pn_builder *b, size_t node, int buffer);
void pn_buffer_share(pn_builder *b, int buffer);
/* Adds the steps for pending contributions. */
pn_status pn_add_contributions(pn_builder *b);

#endif
