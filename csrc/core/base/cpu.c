/* cpu.c - the CPUs of this process and the floating-point mode of a thread. */
#include "cpu.h"
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The numbers at the beginning of a file; returns how many there are, at most two. */
static int read_numbers(const char *directory, const char *name, double out[2])
{
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    const int n = fscanf(f, "%lf %lf", &out[0], &out[1]);
    fclose(f);
    return n > 0 ? n : 0;
}

/* The number of CPUs that the quota of one cgroup allows, rounded up; 0 without a quota. */
static size_t quota(const char *directory)
{
    double v[2], period[2];                             /* time and period in microseconds */
    /* version 2: "200000 100000", or "max 100000" without a quota */
    if (read_numbers(directory, "cpu.max", v) != 2) {
        /* version 1: -1 without a quota */
        if (read_numbers(directory, "cpu.cfs_quota_us", v) < 1 ||
            read_numbers(directory, "cpu.cfs_period_us", period) < 1)
            return 0;
        v[1] = period[0];
    }
    const double cpus = v[1] > 0 ? v[0] / v[1] + 0.999 : 0;
    return cpus >= 1 && cpus < 1e6 ? (size_t)cpus : 0;
}

/* The smaller of two quotas, where 0 means none. */
static size_t smaller(size_t a, size_t b) { return a && (!b || a < b) ? a : b; }

/* The smallest quota of a cgroup and its ancestors. group is changed. A container may see the path
 * of its cgroup on the host, which does not exist there; the mount point is then its cgroup. */
static size_t quota_of_group(const char *root, const char *hierarchy, char *group)
{
    char directory[1100];
    size_t least = 0;
    for (;;) {
        snprintf(directory, sizeof directory, "%s/sys/fs/cgroup%s%s", root, hierarchy, group);
        least = smaller(quota(directory), least);
        char *end = strrchr(group, '/');
        if (!end) return least;
        *end = 0;
    }
}

/* Whether a comma-separated list contains "cpu". */
static int lists_cpu(const char *list)
{
    for (; *list; list += strcspn(list, ","), list += *list == ',')
        if (strcspn(list, ",") == 3 && !strncmp(list, "cpu", 3)) return 1;
    return 0;
}

size_t pn_cpus_of_cgroups(const char *root)
{
    size_t least = 0;
    char line[600], path[300];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    while (fgets(line, sizeof line, f)) {               /* "4:cpu,cpuacct:/group", "0::/group" */
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':')
                                                                    : NULL;
        if (!group) continue;
        *group++ = 0;
        controllers++;
        if (!*controllers && !strcmp(line, "0:"))
            least = smaller(quota_of_group(root, "", group), least);
        else if (lists_cpu(controllers))
            least = smaller(quota_of_group(root, "/cpu", group), least);
    }
    fclose(f);
    return least;
}

int pn_threads_requested(const char *variable, int most, int list)
{
    const char *text = getenv(variable), *end = text;
    int n = 0;
    while (end && isspace((unsigned char)*end)) end++;
    if (!end || !*end) return 0;
    for (; *end >= '0' && *end <= '9'; end++) n = n > most ? n : 10 * n + (*end - '0');
    while (isspace((unsigned char)*end)) end++;
    const int ends = !*end || (list && *end == ',');
    return ends && n >= 1 && n <= most ? n : -1;
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
