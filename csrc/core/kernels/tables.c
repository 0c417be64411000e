/* tables.c - the tables as arrays: the descriptions of their rows in pynn.h, and their kernels for
 * the instruction set in use. */
#define PN_OPTIMIZER_PREPARE
#define UNUSED __attribute__((unused))
#include <math.h>
#include <string.h>
#include "tables.h"
#include "isa.h"
#include "activations.h"
#include "rowwise.h"
#include "losses.h"
#include "optimizers.h"
#include "formula_ops.h"

#define COUNT(a)    (sizeof(a) / sizeof (a)[0])
#define AT(a, i)    ((i) < COUNT(a) ? &(a)[i] : NULL)

#define NEEDS_X 'x'
#define NEEDS_Y 'y'
static const pn_activation activations[] = {
#define ROW(id, needs_, ...) { .name = #id, .needs = NEEDS_##needs_, __VA_ARGS__ },
    PN_ACTIVATIONS(ROW)
#undef ROW
};
static const pn_rowwise rowwise[] = {
#define ROW(name, cls, ...) { #name, #cls, __VA_ARGS__ },
    PN_ROWWISE(ROW)
#undef ROW
};
static const pn_loss losses[] = {
#define ROW(id, k, ...) { .name = #id, .kind = #k[0], __VA_ARGS__ },
    PN_LOSSES(ROW)
#undef ROW
};
static const pn_optimizer optimizers[] = {
#define ROW(id, states_, ...) \
    { .name = #id, \
      .hyper = PN_SETTINGS_##id(PN_SETTING_TEXT), \
      .docs = PN_SETTINGS_##id(PN_SETTING_DOCS), \
      .states = states_, \
      __VA_ARGS__ },
    PN_OPTIMIZERS(ROW) PN_TENSOR_OPTIMIZERS(ROW)
#undef ROW
};
#define CHEAP  1
#define COSTLY 0
static const pn_formula_op formula_ops[] = {
#define ROW(id, operands, cost, ...) \
    { .name = #id, .arity = operands, .is_cheap = cost, __VA_ARGS__ },
    PN_FORMULA_OPS(ROW) PN_FORMULA_INTERNAL_OPS(ROW)
#undef ROW
#define ROW(id, ...) { .name = #id, .arity = 1 },
    PN_FORMULA_PAIRS(ROW)
#undef ROW
};
#define ONE(...) + 1
enum { FORMULA_OPS = 0 PN_FORMULA_OPS(ONE) };
#undef ONE
const pn_activation *pn_activation_at(size_t i) { return AT(activations, i); }
const pn_rowwise *pn_rowwise_at(size_t i)       { return AT(rowwise, i); }
const pn_loss *pn_loss_at(size_t i)             { return AT(losses, i); }
const pn_optimizer *pn_optimizer_at(size_t i)   { return AT(optimizers, i); }
const pn_formula_op *pn_tape_op_at(size_t i)    { return AT(formula_ops, i); }
const pn_formula_op *pn_formula_op_at(size_t i)
{
    return i < FORMULA_OPS ? &formula_ops[i] : NULL;
}

void pn_activation_forward(size_t i, pn_dtype t, size_t n, const void *x, void *y,
                           const void *const *p, int varying)
{
    pn_kernels_now()->of[t].activations[i].forward(n, x, y, p, varying);
}
void pn_activation_derivative(size_t i, pn_dtype t, size_t n, const void *x, void *y,
                              const void *const *p, int varying)
{
    pn_kernels_now()->of[t].activations[i].derivative(n, x, y, p, varying);
}
void pn_rowwise_forward(size_t i, pn_dtype t, size_t rows, size_t n, const void *x, void *y)
{
    pn_kernels_now()->of[t].rowwise[i].forward(rows, n, x, y);
}

size_t pn_first_nonfinite(pn_dtype t, size_t n, const void *x)
{
    return pn_kernels_now()->of[t].probe->first_nonfinite(n, x);
}

typedef void prepare_fn(const double *hyper, double *const *number, double step, double *h);
static prepare_fn *const prepare[] = {
#define ROW(name, ...) prepare_##name,
    PN_OPTIMIZERS(ROW)
#undef ROW
};
size_t pn_optimizer_first_tensor_rule(void) { return COUNT(prepare); }
void pn_optimizer_prepare(size_t i, const double *hyper, double *const *number, double step,
                          double *h)
{
    prepare[i](hyper, number, step, h);
}
