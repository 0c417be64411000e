/* layers.h - every layer family; each has its own file beside this one. */
#ifndef PN_LAYERS_H
#define PN_LAYERS_H
#include "../graph/kind.h"

#define PN_LAYERS(ROW) \
    ROW(linear)         /* config: in_features, out_features, bias (0 or 1); parameters weight (out, in), bias (out) */ \
    ROW(activation)     /* config: row of the activation table, then its parameters */ \
    ROW(rowwise)        /* config: row of the row-wise table, axis of the sample */ \
    ROW(reshape)        /* config: the dimensions of the new sample */ \
    ROW(permute)        /* config: for each axis of the output's sample, which of the input's it is */ \
    ROW(pad)            /* config: mode, constant, then how much before and after each of the last axes */ \
    ROW(resize)         /* config: mode, axis of the sample, new length, align_corners, step (0: as the lengths say) */ \
    ROW(maxout)         /* config: axis of the sample, how many neighbours become one */ \
    ROW(prelu)          /* config: row of the activation table, number of slopes: one, or one for each channel; parameter weight (number) */ \
    ROW(rrelu)          /* config: row of the activation table, least and largest slope, halves of the seed */ \
    ROW(embedding)      /* config: num_embeddings, embedding_dim, padding_idx (below 0: none), max_norm (may be infinite), norm_type, is the gradient \
                           divided by frequency (0 or 1); parameter weight */ \
    ROW(embedding_bag)  /* config: the same, then mode (sum, mean, max), are offsets, are weights of samples an input, is the last offset the end */ \
    ROW(bilinear)       /* config: out_features, bias (0 or 1); parameters weight (out, in1, in2), bias */ \
    ROW(add)            /* elementwise sum of its inputs */ \
    ROW(multiply)       /* elementwise product of two inputs */ \
    ROW(concat)         /* config: axis of the sample */ \
    ROW(slice)          /* config: axis of the sample, start, stop */ \
    ROW(conv)           /* config: see conv.c; parameters weight (out, in / groups, kernel; transposed: in, out / groups, kernel), bias (out) */ \
    ROW(pooling)        /* config: see pooling.c */ \
    ROW(batch_norm)     /* config: num_features, eps, momentum (below 0: cumulative), weight, bias, track_running_stats (0 or 1); parameters weight, \
                           bias, then states running_mean, running_var, num_batches_tracked (an int64 in the bytes of numbers) */ \
    ROW(instance_norm)  /* as batch_norm */ \
    ROW(group_norm)     /* config: num_groups, num_channels, eps, weight, bias (0 or 1); parameters weight, bias */ \
    ROW(layer_norm)     /* config: eps, is the mean taken off, weight, bias, normalized_shape; parameters weight, bias */ \
    ROW(response_norm)  /* config: size, alpha, beta, k */ \
    ROW(dropout)        /* config: halves of the seed, p, does SELU's low value take the place (0 or 1), whole channels (0 or 1) */ \
    ROW(gaussian_noise) /* config: halves of the seed, standard deviation */ \
    ROW(fold)           /* config: see fold.c */ \
    ROW(custom)        /* config: number of parameters, dimensions of the new sample; pn_layer.custom computes it */

#define ROW(name) extern const pn_layer_kind pn_layer_##name;
PN_LAYERS(ROW)
#undef ROW

#endif
