/* cpu.h - the CPUs of this process and the floating-point mode of a thread. */
#ifndef PN_CPU_H
#define PN_CPU_H
#include <stddef.h>

/* CPUs that this process may run on, or fewer where the quota of its cgroup is worth less. */
size_t pn_cpus_usable(void);
/* How this thread treats subnormal numbers and rounds: the control bits of its floating-point unit,
 * to hand to another thread. */
unsigned pn_float_mode(void);
void pn_float_mode_set(unsigned mode);

#endif
