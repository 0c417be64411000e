/* activation.c - formulas as the kernels of an activation. */
#include "activation.h"
#include <string.h>

/* ---- kernels, whose argument p[0] is a pn_formula_call --------------------------------------- */

/* inputs: the argument and, for gradients, gy. The value goes to y, the derivative to d. */
static void run(const void *const *p, size_t tape, size_t n, const void *const *inputs, void *y,
                void *d)
{
    const pn_formula_call *c = p[0];
    pn_tape_run(c->tape[tape], c->t, n, inputs, c->operand, (void *[]){ y, d });
}

static void forward(size_t n, const void *x, void *y, const void *const *p, int varying)
{
    (void)varying;
    run(p, PN_VALUE, n, &x, y, NULL);
}
static void derivative(size_t n, const void *x, void *y, const void *const *p, int varying)
{
    (void)varying;
    run(p, PN_SLOPE, n, &x, NULL, y);
}
static void backward(size_t n, const void *x, const void *gy, void *gx, const void *const *p,
                     int varying)
{
    (void)varying;
    run(p, PN_INPUT_GRADIENT, n, (const void *[]){ x, gy }, NULL, gx);
}
static const pn_activation_kernels recomputing = { forward, derivative, backward };

/* The argument is scratch memory, which the derivative replaces. */
static void forward_both(size_t n, const void *x, void *y, const void *const *p, int varying)
{
    (void)varying;
    run(p, PN_VALUE_AND_SLOPE, n, &x, y, (void *)x);
}
static void backward_kept(size_t n, const void *d, const void *gy, void *gx, const void *const *p,
                          int varying)
{
    (void)varying;
    ((const pn_formula_call *)p[0])->k->multiply(n, gy, d, gx);
}
static const pn_activation_kernels keeping = { forward_both, derivative, backward_kept };

/* ---- functions of nodes ---------------------------------------------------------------------- */

void pn_function_channel(pn_function *f, const pn_node *node, size_t channel, int next)
{
    pn_formula_call *c = &f->call;
    for (size_t j = 0; j < node->formula.n; j++) {
        const int slot = node->formula.slot[j];
        if (slot < 0 || node->formula.channels <= 1) continue;
        c->operand[j].data = (const char *)node->slots[slot].data + channel * pn_size(c->t);
        c->operand[j].stride = next != 0;
    }
}

void pn_function_set(pn_function *f, const pn_node *node, pn_dtype t, const pn_typed_kernels *k,
                     int keep)
{
    const pn_node_formula *own = &node->formula;
    memset(f, 0, sizeof *f);
    f->kernels = own->tape[PN_VALUE] ? (keep ? &keeping : &recomputing)
                                     : &k->activations[node->activation_row];
    for (size_t j = 0; j < PN_MAX_PARAMS; j++) f->p[j] = &node->params[j];
    if (!own->tape[PN_VALUE]) return;
    f->p[0] = &f->call;
    f->call.t = t;
    f->call.k = k;
    f->call.tape = own->tape;
    for (size_t j = 0; j < own->n; j++) {
        pn_element_set(t, &f->call.number[j], 0, own->number[j]);
        f->call.operand[j].data = own->slot[j] < 0 ? (const void *)&f->call.number[j]
                                                   : node->slots[own->slot[j]].data;
    }
}
