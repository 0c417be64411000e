/* port.c - the only file with code for specific operating systems: POSIX, Windows (MinGW-w64),
 * WASI. WASI has neither signals nor fork, and its pthread_create fails. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE                     /* sched_getaffinity */
#endif
#if !defined _WIN32 && !defined __wasi__
#define HAS_FORK 1
#endif
#include "port.h"
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#ifdef HAS_FORK
#include <signal.h>
#endif
#ifdef __linux__
#include <sched.h>
#endif
#ifdef _WIN32
#include <malloc.h>
#include <windows.h>
#else
#include <unistd.h>
#endif

#ifdef _WIN32
size_t pn_cpus_allowed(void)
{
    DWORD_PTR process = 0, system = 0;
    if (!GetProcessAffinityMask(GetCurrentProcess(), &process, &system) || !process) return 1;
    return (size_t)__builtin_popcountll(process);
}

void *pn_aligned_new(size_t alignment, size_t bytes) { return _aligned_malloc(bytes, alignment); }
void pn_aligned_free(void *block) { _aligned_free(block); }
#else
size_t pn_cpus_allowed(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (size_t)CPU_COUNT(&set);
#endif
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (size_t)n : 1;
}

/* C11 defines aligned_alloc only for multiples of the alignment. */
void *pn_aligned_new(size_t alignment, size_t bytes)
{
    if (bytes > (size_t)PTRDIFF_MAX - alignment) return NULL;
    return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}
void pn_aligned_free(void *block) { free(block); }
#endif

static int start_detached(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes)) return 0;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    const int started = pthread_create(&thread, &attributes, run, argument) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

#ifdef HAS_FORK
int pn_thread_start(void *(*run)(void *), void *argument)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int started = start_detached(run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

void pn_at_fork(void (*before)(void), void (*parent)(void), void (*child)(void))
{
    pthread_atfork(before, parent, child);
}
#else
int pn_thread_start(void *(*run)(void *), void *argument) { return start_detached(run, argument); }

void pn_at_fork(void (*before)(void), void (*parent)(void), void (*child)(void))
{
    (void)before, (void)parent, (void)child;
}
#endif
