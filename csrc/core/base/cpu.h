/* cpu.h - the CPUs of this process and the floating-point mode of a thread. */
#ifndef PN_CPU_H
#define PN_CPU_H
#include <stddef.h>

/* The number of CPUs that this process may use: those it may run on, or fewer by the quota of its
 * cgroup. */
size_t pn_cpus_usable(void);
/* The control bits of the floating-point unit of this thread, which decide rounding and the
 * treatment of subnormal numbers. Worker threads copy them from the caller. */
unsigned pn_float_mode(void);
void pn_float_mode_set(unsigned mode);

#endif
