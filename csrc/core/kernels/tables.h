/* tables.h - what the rows of the tables compute beside their kernels. */
#ifndef PN_TABLES_H
#define PN_TABLES_H
#include "kernel_types.h"

/* The numbers h that an optimizer's update reads, from its settings, numbers and step (from 1) of a
 * parameter. */
void pn_optimizer_prepare(size_t i, const double *hyper, double *const *number, double step,
                          double *h);
/* Rows of optimizers from this one on are those of tensor_rules.h. */
size_t pn_optimizer_first_tensor_rule(void);

#endif
