/* losses.h - losses and their targets. */
#ifndef PYNN_LOSSES_H
#define PYNN_LOSSES_H
#include "binding.h"

int add_losses(PyObject *module);
/* Parses a loss: (index, reduction, numbers, weight, pos_weight, per_element), or a callable, which
 * is a custom loss. Weights have one value per column of the predictions, of which a sample has the
 * given shape, or n values if per_element is true. Borrowed objects are kept in the list *keep,
 * which may be NULL initially. */
int parse_criterion(PyObject *given, pn_dtype t, size_t n, size_t ndim, const size_t *shape,
                    pn_criterion *c, PyObject **keep);
/* Converts the target of a loss over (rows, cols): to class indices if its dtype is integer and the
 * loss takes them, otherwise to numbers. */
PyArrayObject *target_array(const pn_criterion *loss, pn_dtype t, size_t rows, size_t cols,
                            PyObject *given, const char *name, pn_target *target);

#endif
