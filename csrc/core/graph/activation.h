/* activation.h - the function of an elementwise node, a row of the table or a formula, as
 * kernels. */
#ifndef PN_ACTIVATION_H
#define PN_ACTIVATION_H
#include "../kernels/kernel_types.h"
#include "kind.h"

/* A formula and its parameters in the dtype t. */
typedef struct {
    pn_dtype t;
    const pn_typed_kernels *k;
    pn_tape *const *tape;
    pn_operand operand[PN_MAX_DIMS];
    union { float f32; double f64; } number[PN_MAX_DIMS];
} pn_formula_call;

/* kernels are called with p, which may point to call, so the struct must not be moved. */
typedef struct {
    const pn_activation_kernels *kernels;
    const void *p[PN_MAX_PARAMS];
    pn_formula_call call;
} pn_function;

/* Sets the function of a node whose parameters are bound. If the parameters of a formula differ
 * between channels, it is that of the first channel. keep: forward stores the derivative over its
 * argument, from which backward then computes. */
void pn_function_set(pn_function *f, const pn_node *node, pn_dtype t, const pn_typed_kernels *k,
                     int keep);
/* Selects a channel. next: whether consecutive elements belong to consecutive channels from this
 * one on. */
void pn_function_channel(pn_function *f, const pn_node *node, size_t channel, int next);

#endif
