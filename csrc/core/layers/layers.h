/* layers.h - the table of layer kinds. */
#ifndef PN_LAYERS_H
#define PN_LAYERS_H
#include "../graph/kind.h"

/* A kind's settings are the list of fields at the top of its file. */
#define PN_LAYERS(ROW) \
    ROW(linear)         /* y = x W^T + b over the last axis; weight (out, in), bias (out) */ \
    ROW(activation)     /* a row of the activation table */ \
    ROW(rowwise)        /* softmax and its relatives along an axis */ \
    ROW(reshape)        /* another shape */ \
    ROW(permute)        /* another order of axes */ \
    ROW(pad)            /* more elements around the last axes, or fewer */ \
    ROW(resize)         /* interpolation along an axis */ \
    ROW(maxout)         /* the largest of neighbours along an axis */ \
    ROW(prelu)          /* a learnt slope below 0: weight (1) or (channels) */ \
    ROW(rrelu)          /* a random slope below 0 */ \
    ROW(embedding)      /* rows of a table; weight (num_embeddings, embedding_dim) */ \
    ROW(embedding_bag)  /* sums, means or maxima of such rows */ \
    ROW(bilinear)       /* y_k = a W_k b + bias_k; weight (out, in1, in2), bias (out) */ \
    ROW(add)            /* the sum of its inputs */ \
    ROW(multiply)       /* the product of two inputs */ \
    ROW(concat)         /* its inputs one after the other along an axis */ \
    ROW(slice)          /* a part of an axis */ \
    ROW(conv)           /* convolution, also transposed; weight (out, in / groups, kernel) or, if */ \
                        /* transposed, (in, out / groups, kernel), bias (out) */ \
    ROW(pooling)        /* maxima, means and norms of windows */ \
    ROW(batch_norm)     /* weight, bias, running_mean, running_var (channels) and */ \
                        /* num_batches_tracked, an int64 in the bytes of floating-point numbers */ \
    ROW(instance_norm)  /* the same */ \
    ROW(group_norm)     /* weight, bias (channels) */ \
    ROW(layer_norm)     /* also RMSNorm; weight, bias (normalized_shape) */ \
    ROW(response_norm)  /* local response normalisation */ \
    ROW(dropout)        /* also alpha dropout, and of whole channels */ \
    ROW(gaussian_noise) /* added in training */ \
    ROW(fold)           /* windows of images as columns, and back */ \
    ROW(custom)         /* computed by functions of the caller: pn_layer.custom */

#define ROW(name) extern const pn_layer_kind pn_layer_##name;
PN_LAYERS(ROW)
#undef ROW

#endif
