/* isa.h - the kernels of the instruction set in use. */
#ifndef PN_ISA_H
#define PN_ISA_H
#include "kernel_types.h"

/* Those that pn_isa_set chose, by default the best that this machine runs. */
const pn_kernels *pn_kernels_now(void);

#endif
