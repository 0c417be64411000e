/* clock.c - the monotonic clock of the system. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE                     /* clock_gettime */
#endif
#include "clock.h"
#include <time.h>

int64_t pn_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t pn_now_ms(void) { return pn_now_ns() / 1000000; }
double pn_seconds(void) { return 1e-9 * (double)pn_now_ns(); }
