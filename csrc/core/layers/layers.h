/* layers.h - the table of layer kinds. */
#ifndef PN_LAYERS_H
#define PN_LAYERS_H
#include "../graph/kind.h"

/* The settings of a kind are listed at the top of its file. Its formula and that of its gradients
 * are documentation, shown by Net.explain_step. The first computes y from x (x0, x1, ... if there
 * are several inputs) and the parameters. The second computes dx and the gradients of the
 * parameters from dy, the derivative of the loss with respect to y. ";" separates lines.
 *
 * f                   the function named by the setting of type ACTIVATION or ROWWISE
 * {eps}               the value of a setting, or of "training"
 * {bias: + bias}      " + bias" if the setting is not 0
 * {!bias:...}         the text if the setting is 0
 * {mode=mean:...}     the text if the setting has this value; {!mode=mean:...} if it has not
 * {inputs: + }        all inputs, separated by " + "
 * {dinputs:, }        the gradients of all inputs, separated by ", " */
#define PN_LAYERS(ROW) \
    /* x W^T + b over the last axis; weight (out, in), bias (out) */ \
    ROW(linear, \
        "y = x @ weight.T{bias: + bias}", \
        "dx = dy @ weight; dweight = dy.T @ x{bias:; dbias = sum(dy, over rows)}") \
    /* a row of the activation table */ \
    ROW(activation, \
        "y = f(x)", \
        "dx = dy * f'(x)") \
    /* a formula with numbers or learnt parameters p0, p1, ...: (1) or (channels) */ \
    ROW(formula, \
        "y = f(x)", \
        "dx = dy * f'(x)") \
    /* softmax and similar functions along an axis */ \
    ROW(rowwise, \
        "y = f(x), along an axis", \
        "dx = f'(y, dy), along an axis") \
    /* changes the shape */ \
    ROW(reshape, \
        "y = x.reshape({shape})", \
        "dx = dy.reshape(x.shape)") \
    /* changes the order of axes */ \
    ROW(permute, \
        "y = x.transpose({axes}), axes of a sample", \
        "dx = dy.transpose(inverse of axes)") \
    /* pads or crops the last axes */ \
    ROW(pad, \
        "y = pad(x, before = {before}, after = {after}, mode = {mode})", \
        "dx = dy within x{!mode=constant: + dy of the copies}") \
    /* interpolation along an axis */ \
    ROW(resize, \
        "y[i] = sum(w[i, j] * x[j], over j), {mode} interpolation", \
        "dx[j] = sum(w[i, j] * dy[i], over i)") \
    /* maximum of adjacent elements along an axis */ \
    ROW(maxout, \
        "y = max of {pieces} neighbours of x", \
        "dx = dy at the largest neighbour, 0 elsewhere") \
    /* a learnt slope below 0: weight (1) or (channels) */ \
    ROW(prelu, \
        "y = f(x)", \
        "dx = dy * f'(x); dweight = sum(dy * x, where x < 0)") \
    /* a random slope below 0 */ \
    ROW(rrelu, \
        "y = where(x < 0, slope * x, x); slope: from {lower} to {upper}, " \
        "{training:drawn}{!training:their mean}", \
        "dx = dy * where(x < 0, slope, 1)") \
    /* rows of a table; weight (num_embeddings, embedding_dim) */ \
    ROW(embedding, \
        "y = weight[x]", \
        "dweight[k] = sum(dy, where x == k)") \
    /* sums, means or maxima of such rows */ \
    ROW(embedding_bag, \
        "y = {mode} of weight[x0], over a bag", \
        "dweight[k] = sum(dy{mode=mean: / size of the bag}, where x0 == k{mode=max: is the " \
        "largest})") \
    /* y_k = a W_k b + bias_k; weight (out, in1, in2), bias (out) */ \
    ROW(bilinear, \
        "y[k] = x0 @ weight[k] @ x1{bias: + bias[k]}", \
        "dx0 = sum(dy[k] * weight[k] @ x1, over k); dx1 = sum(dy[k] * x0 @ weight[k], over " \
        "k); dweight[k] = outer(x0, x1) * dy[k]{bias:; dbias = dy}") \
    /* sum of its inputs */ \
    ROW(add, \
        "y = {inputs: + }", \
        "{dinputs: = dy; } = dy") \
    /* product of two inputs */ \
    ROW(multiply, \
        "y = x0 * x1", \
        "dx0 = dy * x1; dx1 = dy * x0") \
    /* concatenates its inputs along an axis */ \
    ROW(concat, \
        "y = concat({inputs:, })", \
        "{dinputs: = its part of dy; } = its part of dy") \
    /* part of an axis */ \
    ROW(slice, \
        "y = x[{start}:{stop}], along an axis", \
        "dx = dy there, 0 elsewhere") \
    /* convolution, also transposed; weight (out, in / groups, kernel) or, if transposed, */ \
    /* (in, out / groups, kernel), bias (out) */ \
    ROW(conv, \
        "{!transposed:y[o, p] = sum(weight[o, i, k] * x[i, p * stride + k], over i, " \
        "k)}{transposed:y[o, p * stride + k] = sum(weight[i, o, k] * x[i, p], over i and " \
        "each p, k)}{bias: + bias[o]}", \
        "{!transposed:dx[i, p * stride + k] = sum(weight[o, i, k] * dy[o, p], over o and " \
        "each p, k); dweight[o, i, k] = sum(dy[o, p] * x[i, p * stride + k], over " \
        "p)}{transposed:dx[i, p] = sum(weight[i, o, k] * dy[o, p * stride + k], over o, k); " \
        "dweight[i, o, k] = sum(dy[o, p * stride + k] * x[i, p], over p)}{bias:; dbias[o] = " \
        "sum(dy[o, p], over p)}") \
    /* maxima, means and norms of windows */ \
    ROW(pooling, \
        "y = {operation=max:max(x, over the window)}{operation=max_index:index of the max of " \
        "x, over the window}{operation=mean:mean(x, over the " \
        "window)}{operation=norm:sum(x**p, over the window)**(1 / p); p = {power}}", \
        "dx = {operation=max:dy at the window's max, 0 " \
        "elsewhere}{operation=max_index:0}{operation=mean:dy / size of the " \
        "window}{operation=norm:dy * (x / y)**(p - 1)}{!operation=max_index:, summed over " \
        "windows}") \
    /* weight, bias, running_mean, running_var (channels) and num_batches_tracked, an int64 */ \
    /* in the bytes of floating-point numbers */ \
    ROW(batch_norm, \
        "xhat = (x - mean) / sqrt(var + {eps}); y = xhat{weight: * weight}{bias: + bias}; " \
        "mean, var: {training:of each channel of x, over the " \
        "batch}{!training:{track_running_stats:running_mean, " \
        "running_var}{!track_running_stats:of each channel of x, over the batch}}", \
        "dxhat = dy{weight: * weight}; dx = (dxhat{training: - mean(dxhat) - xhat * " \
        "mean(dxhat * xhat)}{!training:{!track_running_stats: - mean(dxhat) - xhat * " \
        "mean(dxhat * xhat)}}) / sqrt(var + {eps}){weight:; dweight = sum(dy * xhat)}{bias:; " \
        "dbias = sum(dy)}") \
    /* the same */ \
    ROW(instance_norm, \
        "xhat = (x - mean) / sqrt(var + {eps}); y = xhat{weight: * weight}{bias: + bias}; " \
        "mean, var: {training:of each channel of each sample of " \
        "x}{!training:{track_running_stats:running_mean, " \
        "running_var}{!track_running_stats:of each channel of each sample of x}}", \
        "dxhat = dy{weight: * weight}; dx = (dxhat{training: - mean(dxhat) - xhat * " \
        "mean(dxhat * xhat)}{!training:{!track_running_stats: - mean(dxhat) - xhat * " \
        "mean(dxhat * xhat)}}) / sqrt(var + {eps}){weight:; dweight = sum(dy * xhat)}{bias:; " \
        "dbias = sum(dy)}") \
    /* weight, bias (channels) */ \
    ROW(group_norm, \
        "xhat = (x - mean) / sqrt(var + {eps}); y = xhat{weight: * weight}{bias: + bias}; " \
        "mean, var: of each group of channels of each sample of x", \
        "dxhat = dy{weight: * weight}; dx = (dxhat - mean(dxhat) - xhat * mean(dxhat * " \
        "xhat)) / sqrt(var + {eps}){weight:; dweight = sum(dy * xhat)}{bias:; dbias = " \
        "sum(dy)}") \
    /* also RMSNorm; weight, bias (normalized_shape) */ \
    ROW(layer_norm, \
        "{centred:xhat = (x - mean(x)) / sqrt(var(x) + {eps})}{!centred:xhat = x / " \
        "sqrt(mean(x**2) + {eps})}; y = xhat{weight: * weight}{bias: + bias}", \
        "dxhat = dy{weight: * weight}; dx = (dxhat{centred: - mean(dxhat)} - xhat * " \
        "mean(dxhat * xhat)) / {centred:sqrt(var(x) + {eps})}{!centred:sqrt(mean(x**2) + " \
        "{eps})}{weight:; dweight = sum(dy * xhat)}{bias:; dbias = sum(dy)}") \
    /* local response normalisation */ \
    ROW(response_norm, \
        "s = {k} + {alpha} * mean(x**2, over {size} channels); y = x / s**{beta}", \
        "dx = dy / s**{beta} - 2 * {alpha} * {beta} / {size} * x * sum(dy * x / s**({beta} + " \
        "1), over {size} channels)") \
    /* also alpha dropout and dropout of channels */ \
    ROW(dropout, \
        "y = {!training:x}{training:{!alpha:mask * x}{alpha:mask * x + offset}; mask: 0 with " \
        "probability {p}}", \
        "dx = {!training:dy}{training:mask * dy}") \
    /* adds noise in training */ \
    ROW(gaussian_noise, \
        "y = x{training: + offset; offset: normal, std = {std}}", \
        "dx = dy") \
    /* converts windows of images to columns, and back */ \
    ROW(fold, \
        "y = {fold:sum of the columns of x as windows}{!fold:windows of x as columns}", \
        "dx = {fold:windows of dy as columns}{!fold:sum of the columns of dy as windows}") \
    /* computed by the functions in pn_layer.custom */ \
    ROW(custom, \
        "y = forward({inputs:, })", \
        "{dinputs:, } = backward(dy)")

#define ROW(name, formula, gradient) extern const pn_layer_kind pn_layer_##name;
PN_LAYERS(ROW)
#undef ROW

#endif
