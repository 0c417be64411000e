/* tables.h - functions of table rows that are not kernels. */
#ifndef PN_TABLES_H
#define PN_TABLES_H
#include "kernel_types.h"

/* Computes the constants h of an update from the settings of an optimizer and the numbers and step
 * (from 1) of a parameter. */
void pn_optimizer_prepare(size_t i, const double *hyper, double *const *number, double step,
                          double *h);
/* The first row of the table of optimizers that is one of tensor_rules.h. */
size_t pn_optimizer_first_tensor_rule(void);
/* The operations of formulas, followed by those that the language does not have. */
const pn_formula_op *pn_tape_op_at(size_t i);

#endif
