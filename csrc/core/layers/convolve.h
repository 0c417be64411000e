/* convolve.h - the steps of a convolution. */
#ifndef PN_CONVOLVE_H
#define PN_CONVOLVE_H
#include "../graph/builder.h"

void pn_conv_forward(const pn_step *s, void *const *at);
void pn_conv_backward(const pn_step *s, void *const *at);

#endif
