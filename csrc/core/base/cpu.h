/* cpu.h - the CPUs of this process and the floating-point mode of a thread. */
#ifndef PN_CPU_H
#define PN_CPU_H
#include <stddef.h>

/* The number of CPUs that the quotas of this process's cgroups (versions 1 and 2) and of their
 * ancestors allow, rounded up; 0 without a quota. root is the directory that contains proc and sys:
 * "" for the system's own. */
size_t pn_cpus_of_cgroups(const char *root);
/* The number of threads that an environment variable requests: 0 if it is unset or empty, -1 if it
 * is not an integer from 1 to most. list: later numbers of a comma-separated list are ignored. */
int pn_threads_requested(const char *variable, int most, int list);
/* The control bits of the floating-point unit of this thread, which decide rounding and the
 * treatment of subnormal numbers. Worker threads copy them from the caller. */
unsigned pn_float_mode(void);
void pn_float_mode_set(unsigned mode);

#endif
