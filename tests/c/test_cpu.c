/* The default number of threads: quotas of cgroups, read from files made here, and environment
 * variables. */
#define _GNU_SOURCE
#include "check.h"
#include "core/base/cpu.h"
#include "pynn.h"
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/pynn-cpu-XXXXXX";

/* Writes a file below root, and the directories above it. */
static void write_file(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        mkdir(path, 0700);
    }
    FILE *f = fopen(path, "w");
    if (f) fputs(text, f);
    CHECK(f && !fclose(f), "%s", path);
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *f)
{
    (void)s, (void)type, (void)f;
    return strcmp(path, root) ? remove(path) : 0;
}

/* The number of CPUs with these files, given as name, text, ..., NULL. */
static size_t cpus(const char *const *files)
{
    for (; *files; files += 2) write_file(files[0], files[1]);
    const size_t n = pn_cpus_of_cgroups(root);
    nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return n;
}
#define CPUS(...) cpus((const char *const[]){ __VA_ARGS__, NULL })
#define SELF "proc/self/cgroup"
#define V2 "sys/fs/cgroup/"
#define V1 "sys/fs/cgroup/cpu/"

static void version_2(void)
{
    size_t n;
    CHECK((n = CPUS(SELF, "0::/\n", V2 "cpu.max", "200000 100000\n")) == 2, "%zu", n);
    CHECK((n = CPUS(SELF, "0::/a/b\n", V2 "a/b/cpu.max", "150000 100000\n")) == 2, "%zu", n);
    CHECK((n = CPUS(SELF, "0::/a\n", V2 "a/cpu.max", "5000 100000\n")) == 1, "%zu", n);
    CHECK((n = CPUS(SELF, "0::/a\n", V2 "a/cpu.max", "max 100000\n")) == 0, "%zu", n);
    /* the smallest of the cgroup and its ancestors */
    CHECK((n = CPUS(SELF, "0::/a/b\n", V2 "a/b/cpu.max", "max 100000\n", V2 "a/cpu.max",
                    "300000 100000\n", V2 "cpu.max", "800000 100000\n")) == 3, "%zu", n);
    /* the path on the host, within a container */
    CHECK((n = CPUS(SELF, "0::/../host/x\n", V2 "cpu.max", "400000 100000\n")) == 4, "%zu", n);
}

static void version_1(void)
{
    size_t n;
    CHECK((n = CPUS(SELF, "5:memory:/a\n4:cpu,cpuacct:/a\n1:name=systemd:/a\n",
                    V1 "a/cpu.cfs_quota_us", "250000\n", V1 "a/cpu.cfs_period_us", "100000\n")) ==
              3,
          "%zu", n);
    CHECK((n = CPUS(SELF, "3:cpuacct,cpu:/docker/0123\n", V1 "cpu.cfs_quota_us", "100000\n",
                    V1 "cpu.cfs_period_us", "50000\n")) == 2, "%zu", n);
    CHECK((n = CPUS(SELF, "4:cpu:/\n", V1 "cpu.cfs_quota_us", "-1\n", V1 "cpu.cfs_period_us",
                    "100000\n")) == 0, "%zu", n);
    /* cpuset and cpuacct are other controllers */
    CHECK((n = CPUS(SELF, "4:cpuset:/\n3:cpuacct:/\n", V1 "cpu.cfs_quota_us", "100000\n",
                    V1 "cpu.cfs_period_us", "100000\n")) == 0, "%zu", n);
    /* both versions are mounted, and version 1 has the controller */
    CHECK((n = CPUS(SELF, "4:cpu,cpuacct:/a\n0::/a\n", V1 "a/cpu.cfs_quota_us", "200000\n",
                    V1 "a/cpu.cfs_period_us", "100000\n")) == 2, "%zu", n);
}

static void damaged_files(void)
{
    size_t n;
    char text[3000] = "0::/";
    CHECK((n = CPUS(SELF, "")) == 0 && (n = CPUS("proc/other", "")) == 0, "%zu", n);
    CHECK((n = CPUS(SELF, "0\n0:\n::\n0::\n", V2 "cpu.max", "1 0\n")) == 0, "%zu", n);
    CHECK((n = CPUS(SELF, "0::/\n", V2 "cpu.max", "1e30 1\n")) == 0, "%zu", n);
    CHECK((n = CPUS(SELF, "0::/\n", V2 "cpu.max", "nan nan\n")) == 0, "%zu", n);
    memset(text + 4, 'x', sizeof text - 5);
    CHECK((n = CPUS(SELF, text, V2 "cpu.max", "300000 100000\n")) == 3, "%zu", n);
}

static void environment_variables(void)
{
    static const struct { const char *value; int alone, in_list;
    } cases[] = {
        { "3", 3, 3 },     { " 3 ", 3, 3 },   { "256", 256, 256 },
        { "", 0, 0 },      { "  ", 0, 0 },    { "4,2", -1, 4 },
        { "4 ,2", -1, 4 }, { "257", -1, -1 }, { "0", -1, -1 },
        { "-1", -1, -1 },  { "1.5", -1, -1 }, { "two", -1, -1 },
        { ",2", -1, -1 },  { "3 4", -1, -1 }, { "99999999999999999999", -1, -1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("PN_TEST", cases[i].value, 1);
        const int alone = pn_threads_requested("PN_TEST", 256, 0),
                  in_list = pn_threads_requested("PN_TEST", 256, 1);
        CHECK(alone == cases[i].alone && in_list == cases[i].in_list, "\"%s\": %d and %d",
              cases[i].value, alone, in_list);
    }
    unsetenv("PN_TEST");
    CHECK(pn_threads_requested("PN_TEST", 256, 0) == 0, "unset");
}

static void the_default_is_the_smallest_limit(void)
{
    unsetenv("OMP_NUM_THREADS"), unsetenv("PYNN_NUM_THREADS");
    CHECK(pn_threads_set(0, NULL) == PN_OK, "no variable");
    const size_t all = pn_threads_get();
    setenv("OMP_NUM_THREADS", "1,4", 1);
    CHECK(pn_threads_set(0, NULL) == PN_OK && pn_threads_get() == 1, "%zu", pn_threads_get());
    setenv("OMP_NUM_THREADS", "1000000", 1), setenv("PYNN_NUM_THREADS", "256", 1);
    CHECK(pn_threads_set(0, NULL) == PN_OK && pn_threads_get() == all, "%zu", pn_threads_get());
    setenv("OMP_NUM_THREADS", "many", 1), setenv("PYNN_NUM_THREADS", "1", 1);
    CHECK(pn_threads_set(0, NULL) == PN_OK && pn_threads_get() == 1, "%zu", pn_threads_get());
    setenv("PYNN_NUM_THREADS", "two", 1);
    pn_error error = { "" };
    CHECK(pn_threads_set(0, &error) == PN_BAD_VALUE && strstr(error.text, "PYNN_NUM_THREADS=two"),
          "%s", error.text);
    CHECK(pn_threads_set(3, NULL) == PN_OK && pn_threads_alone(1) == 0, "restrict");
    CHECK(pn_threads_get() == 1 && pn_threads_limit() == 3, "%zu", pn_threads_limit());
    pn_threads_alone(0);
}

int main(void)
{
    CHECK(mkdtemp(root) != NULL, "%s", root);
    version_2();
    version_1();
    damaged_files();
    environment_variables();
    the_default_is_the_smallest_limit();
    rmdir(root);
    return REPORT();
}
