/* isa.h - the kernels of the instruction set in use. */
#ifndef PN_ISA_H
#define PN_ISA_H
#include "kernel_types.h"

/* The kernels that pn_isa_set selected; by default the best set that this machine supports. */
const pn_kernels *pn_kernels_now(void);

#endif
