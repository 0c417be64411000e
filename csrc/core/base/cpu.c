/* cpu.c - the CPUs of this process and the floating-point mode of a thread. */
#include "cpu.h"
#include "port.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The number of CPUs that the quota in a cgroup file allows, rounded up; 0 without a quota. */
static size_t quota(const char *path)
{
    double time = 0, period = 0;
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    /* "200000 100000", or "max 100000" without a quota */
    int n = fscanf(f, "%lf %lf", &time, &period);
    fclose(f);
    return n == 2 && time > 0 && period > 0 ? (size_t)(time / period + 0.999) : 0;
}

/* The smallest quota of the cgroup of this process and its ancestors. */
static size_t cpus_of_cgroup(void)
{
    size_t least = 0;
    char line[512], path[600], *end;
    FILE *f = fopen("/proc/self/cgroup", "r");
    if (!f) return 0;
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "0::/", 4)) continue;
        line[strcspn(line, "\n")] = 0;
        for (end = line + strlen(line); end; end = strrchr(line + 3, '/')) {
            *end = 0;
            snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", line + 3);
            size_t n = quota(path);
            if (n && (!least || n < least)) least = n;
            if (end <= line + 3) break;
        }
    }
    fclose(f);
    return least;
}

size_t pn_cpus_usable(void)
{
    const size_t n = pn_cpus_allowed(), least = cpus_of_cgroup();
    return least && least < n ? least : n;
}

unsigned pn_float_mode(void)
{
#if defined __x86_64__
    return __builtin_ia32_stmxcsr() & ~0x3fu;           /* without the exception flags */
#elif defined __aarch64__
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return (unsigned)mode;
#else
    return 0;
#endif
}

void pn_float_mode_set(unsigned mode)
{
#if defined __x86_64__
    __builtin_ia32_ldmxcsr(mode);
#elif defined __aarch64__
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)mode));
#else
    (void)mode;
#endif
}
