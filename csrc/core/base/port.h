/* port.h - functions that differ between operating systems: aligned memory, processors, threads,
 * fork. */
#ifndef PN_PORT_H
#define PN_PORT_H
#include <stddef.h>

/* The number of processors that this process may use, at least 1. */
size_t pn_cpus_allowed(void);

/* Returns uninitialised memory, or NULL when memory is short. alignment is a power of two, at least
 * that of a pointer. Only pn_aligned_free may free it. */
void *pn_aligned_new(size_t alignment, size_t bytes);
void pn_aligned_free(void *block);

/* Starts a detached thread that receives no signals, so that the program's own threads handle them.
 * Returns 0 if no thread can be started. */
int pn_thread_start(void *(*run)(void *), void *argument);

/* Registers handlers as pthread_atfork does; does nothing on systems without fork. */
void pn_at_fork(void (*before)(void), void (*parent)(void), void (*child)(void));
#endif
