/* loss.h - a loss on the outputs of a plan. */
#ifndef PN_LOSS_H
#define PN_LOSS_H
#include "../graph/graph.h"

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
/* Computes sum and divisor, and unless grad is NULL the gradients; x, grad: of every output.
 * PN_BAD_VALUE where the loss is not defined for an output, PN_STOPPED by a custom loss. */
pn_status pn_loss_batch_apply(pn_loss_batch *wanted, pn_dtype t, size_t rows, void *const *x,
                              void *const *grad, pn_error *error);

#endif
