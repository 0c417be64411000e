/* The thread pool: every task runs once, also nested, from several threads and after fork, and
 * tasks run in the caller's floating-point mode. */
#define _GNU_SOURCE
#include "check.h"
#include "core/kernels/isa.h"
#include "core/base/cpu.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TASKS = 1000 };
typedef struct { atomic_int done[TASKS]; atomic_int nested; } tally;

static void count(void *context, size_t i) { atomic_fetch_add(&((tally *)context)->done[i], 1); }

static int once_each(const tally *t, size_t tasks)
{
    for (size_t i = 0; i < TASKS; i++) if (t->done[i] != (i < tasks)) return 0;
    return 1;
}

static void every_task_runs_once(void)
{
    static const size_t many[] = { 0, 1, 2, 3, 7, 64, TASKS };
    for (size_t threads = 1; threads <= 7; threads += 3)
        for (size_t k = 0; k < sizeof many / sizeof *many; k++)
            for (int again = 0; again < 200; again++) {
                tally t;
                memset(&t, 0, sizeof t);
                CHECK(pn_threads_set(threads, NULL) == PN_OK && pn_threads_get() == threads,
                      "%zu threads", threads);
                pn_parallel(many[k], count, &t);
                CHECK(once_each(&t, many[k]), "%zu tasks on %zu threads", many[k], threads);
            }
}

static void count_nested(void *context, size_t i)
{
    tally t;
    memset(&t, 0, sizeof t);
    pn_parallel(20, count, &t);
    if (once_each(&t, 20)) atomic_fetch_add(&((tally *)context)->nested, 1);
    count(context, i);
}

static void *many_regions(void *failed)
{
    for (int again = 0; again < 300; again++) {
        tally t;
        memset(&t, 0, sizeof t);
        pn_parallel(50, count_nested, &t);
        *(int *)failed += !once_each(&t, 50) || t.nested != 50;
    }
    return NULL;
}

static void nested_and_concurrent_regions(void)
{
    pthread_t threads[4];
    int failed[4] = { 0 };
    pn_threads_set(4, NULL);
    for (int k = 0; k < 4; k++)
        if (pthread_create(&threads[k], NULL, many_regions, &failed[k])) exit(2);
    for (int k = 0; k < 4; k++) {
        pthread_join(threads[k], NULL);
        CHECK(failed[k] == 0, "%d regions of thread %d went wrong", failed[k], k);
    }
}

/* Not under an emulator, whose threads do not survive a fork. */
static void child_process_has_its_own_pool(void)
{
    int failed = 0;
    if (getenv("RUNNER") && *getenv("RUNNER")) return;
    pn_threads_set(3, NULL);
    many_regions(&failed);
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        many_regions(&failed);
        _exit(failed != 0);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0,
          "the child ended with %d", status);
}

#if defined __x86_64__
static void note(void *context, size_t i)
{
    ((unsigned *)context)[i] = pn_float_mode();
    usleep(100);
}
#endif
static void tasks_run_in_the_callers_mode(void)
{
#if defined __x86_64__
    const unsigned before = pn_float_mode(), flush = before | 0x8040;
    unsigned modes[64];
    pn_float_mode_set(flush);
    pn_parallel(64, note, modes);
    pn_float_mode_set(before);
    for (int i = 0; i < 64; i++)
        CHECK(modes[i] == flush, "task %d ran in mode %x, not %x", i, modes[i], flush);
#endif
}
int main(void)
{
    pn_error error = { "" };
    CHECK(pn_threads_get() >= 1, "%zu", pn_threads_get());
    CHECK(pn_threads_set(100000, &error) == PN_BAD_VALUE && strstr(error.text, "100000"), "%s",
          error.text);
    every_task_runs_once();
    nested_and_concurrent_regions();
    child_process_has_its_own_pool();
    tasks_run_in_the_callers_mode();
    CHECK(pn_threads_set(0, NULL) == PN_OK && pn_threads_get() >= 1, "%zu", pn_threads_get());
    return REPORT();
}
