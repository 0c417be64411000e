/* activation.h - the steps of elementwise layers without learnt parameters. */
#ifndef PN_LAYER_ACTIVATION_H
#define PN_LAYER_ACTIVATION_H
#include "../graph/builder.h"

/* forward and backward of a pn_layer_kind, for a node whose activation is set */
pn_status pn_activation_steps_forward(pn_builder *b, size_t node);
pn_status pn_activation_steps_backward(pn_builder *b, size_t node);

#endif
