/* losses.h - losses and their targets. */
#ifndef PYNN_LOSSES_H
#define PYNN_LOSSES_H
#include "binding.h"

int add_losses(PyObject *module);
/* (index, reduction, numbers, weight, pos_weight, each): weights have one value for each column of
 * predictions, a sample of which has this shape, or with each for n elements. Or a callable, a loss
 * of the caller's own. What is borrowed is kept in the list *keep, which may start NULL. */
int parse_criterion(PyObject *given, pn_dtype t, size_t n, size_t ndim, const size_t *shape,
                    pn_criterion *c, PyObject **keep);
/* Converts y for a loss over (rows, cols): class indices where its dtype is integer and the loss
 * takes them, numbers otherwise. */
PyArrayObject *target_array(const pn_criterion *loss, pn_dtype t, size_t rows, size_t cols,
                            PyObject *given, const char *name, pn_target *target);

#endif
