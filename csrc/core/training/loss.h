/* loss.h - a loss on the outputs of a plan. */
#ifndef PN_LOSS_H
#define PN_LOSS_H
#include "../graph/graph.h"

/* One loss of fit on one batch: its inputs, targets and results. */
typedef struct {
    const pn_criterion *loss;
    const pn_shape *shape;                  /* of one sample of the first output that it reads */
    pn_loss_view view;
    /* number of outputs that it reads; bytes of the target, labels or weights of a sample */
    size_t n_inputs, target_bytes, label_bytes, weight_bytes;
    pn_target target;
    /* the rows of the data in this batch, as in pn_custom_loss */
    const size_t *order;
    size_t start;
    /* buffer for predictions and gradient with classes last; unused if view.last */
    void *classes_last;
    double sum, divisor, scale;             /* of the loss; scale: of its gradient */
    const void *predictions;                       /* the predictions, view.cols per row */
} pn_loss_batch;
/* whether the loss is over classes and this is its ignore_index */
int pn_loss_ignores(const pn_criterion *loss, int64_t label);
/* the number of labels per row of cols predictions */
size_t pn_loss_label_width(const pn_criterion *loss, size_t cols);
/* the index of the first invalid label; n if there is none */
size_t pn_loss_wrong_label(const pn_criterion *loss, size_t n, size_t cols, const int64_t *label);
/* Computes sum and divisor and, unless grad is NULL, the gradients. x and grad have one array per
 * output. Returns PN_BAD_VALUE if the loss is not defined for an output, or PN_STOPPED if a custom
 * loss fails. */
pn_status pn_loss_batch_apply(pn_loss_batch *batch, pn_dtype t, size_t rows, void *const *x,
                              void *const *grad, pn_error *error);

#endif
