/* pool.c - the thread pool of the process.
 *
 * A region is one call of pn_parallel. The caller opens a gate, and workers that enter it take
 * tasks one by one, as does the caller. The caller then closes the gate and waits for the workers
 * inside. A worker that comes late finds the gate closed, so the caller never waits for it. Workers
 * spin for a while before they sleep. There is one region at a time: a call within a region, or
 * while another thread has one, runs on its caller alone. After fork, the child starts without
 * workers. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "clock.h"
#include "cpu.h"
#include "error.h"
#include "port.h"

enum { ANY_NUMBER = 100000000, INSIDE = 2, OPEN = 1 };
enum { POLL_NS = 20000000 };            /* interval of calls to a caller's poll function */
/* how long a worker spins before it sleeps; successive steps of a plan start within that time */
enum { SPIN_NS = 50000 };

static struct {
    atomic_int threads;                 /* 0 until first used or set */
    atomic_int workers;                 /* started so far */
    atomic_flag busy;                   /* a region is open or opening */
    atomic_size_t gate;                 /* OPEN, plus INSIDE for each worker inside */
    atomic_uint regions;                /* started so far; workers wait for it to change */
    atomic_int asleep;
    pthread_mutex_t lock;               /* protects asleep and wake */
    pthread_cond_t wake;
    pn_task_fn *task;                   /* of the open region */
    void *context;
    size_t tasks;
    unsigned mode;
    pn_stop *stop;
    atomic_size_t next;                 /* the first task not yet taken */
    atomic_int limit;                   /* workers that may take part */
} pool = { .busy = ATOMIC_FLAG_INIT,
           .lock = PTHREAD_MUTEX_INITIALIZER,
           .wake = PTHREAD_COND_INITIALIZER };

static _Thread_local int inside;        /* this thread is running a task */
static _Thread_local int alone;         /* regions of this thread run on it alone */
static _Thread_local pn_stop *current;  /* of the call that this thread is in or helps with */
static _Thread_local int helping; /* current belongs to another thread, and only that one polls */

/* ---- number of threads ----------------------------------------------------------------------- */

/* The smallest of all limits. An OMP_NUM_THREADS that is not a number is ignored, as OpenMP does;
 * so is such a PYNN_NUM_THREADS here, which pn_threads_set refuses. */
static size_t default_threads(void)
{
    const size_t cpus = pn_cpus_allowed(), quota = pn_cpus_of_cgroups("");
    const int ours = pn_threads_requested("PYNN_NUM_THREADS", PN_MAX_THREADS, 0),
              openmp = pn_threads_requested("OMP_NUM_THREADS", ANY_NUMBER, 1);
    size_t n = cpus < PN_MAX_THREADS ? cpus : PN_MAX_THREADS;
    if (quota && quota < n) n = quota;
    if (ours > 0 && (size_t)ours < n) n = (size_t)ours;
    if (openmp > 0 && (size_t)openmp < n) n = (size_t)openmp;
    return n;
}

size_t pn_threads_limit(void)
{
    int n = atomic_load_explicit(&pool.threads, memory_order_relaxed);
    if (!n && atomic_compare_exchange_strong(&pool.threads, &n, (int)default_threads()))
        n = atomic_load(&pool.threads);                 /* if it failed, n is what others stored */
    return (size_t)n;
}

size_t pn_threads_get(void) { return alone ? 1 : pn_threads_limit(); }

pn_status pn_threads_set(size_t n, pn_error *error)
{
    if (n > PN_MAX_THREADS)
        return pn_fail(error, PN_BAD_VALUE,
                       "threads: expected 1 to %d, or 0 for the default, got %zu", PN_MAX_THREADS,
                       n);
    if (!n && pn_threads_requested("PYNN_NUM_THREADS", PN_MAX_THREADS, 0) < 0)
        return pn_fail(error, PN_BAD_VALUE, "PYNN_NUM_THREADS=%s: expected an integer from 1 to %d",
                       getenv("PYNN_NUM_THREADS"), PN_MAX_THREADS);
    atomic_store(&pool.threads, (int)(n ? n : default_threads()));
    return PN_OK;
}

int pn_threads_alone(int on)
{
    const int before = alone;
    alone = on;
    return before;
}

/* ---- stopping -------------------------------------------------------------------------------- */

void pn_stop_begin(pn_stop *stop)
{
    stop->next = pn_now_ns() + POLL_NS;
    stop->stopped = 0;
    stop->outer = current;
    current = stop;
}
int pn_stop_end(pn_stop *stop)
{
    current = stop->outer;
    return stop->stopped;
}
pn_stop *pn_stop_suspend(void)
{
    pn_stop *stop = current;
    current = NULL;
    return stop;
}
void pn_stop_resume(pn_stop *stop) { current = stop; }
int pn_stopped(void) { return current && __atomic_load_n(&current->stopped, __ATOMIC_RELAXED); }
int pn_stop_now(void)
{
    if (!current || helping || pn_stopped()) return pn_stopped();
    const int64_t now = pn_now_ns();
    if (now < current->next) return 0;
    const int stops = current->poll(current->context) != 0;
    current->next = pn_now_ns() + POLL_NS;
    if (stops) __atomic_store_n(&current->stopped, 1, __ATOMIC_RELAXED);
    return stops;
}

/* ---- workers --------------------------------------------------------------------------------- */

static void relax(void)
{
#if defined __x86_64__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield");
#endif
}

static void take_tasks(void)
{
    inside = 1;
    while (!pn_stop_now()) {
        const size_t i = atomic_fetch_add_explicit(&pool.next, 1, memory_order_relaxed);
        if (i >= pool.tasks) break;
        pool.task(pool.context, i);
    }
    inside = 0;
}

/* Waits for a region after number `seen`: spins, then sleeps. Threads beyond the number of CPUs do
 * not spin, since they would delay the others. */
static void await_region(unsigned seen, int spin)
{
    for (int64_t start = pn_now_ns(); spin && pn_now_ns() - start < SPIN_NS;)
        for (int k = 0; k < 32; k++) {
            if (atomic_load_explicit(&pool.regions, memory_order_acquire) != seen) return;
            relax();
        }
    pthread_mutex_lock(&pool.lock);
    atomic_fetch_add(&pool.asleep, 1);
    while (atomic_load(&pool.regions) == seen) pthread_cond_wait(&pool.wake, &pool.lock);
    atomic_fetch_sub(&pool.asleep, 1);
    pthread_mutex_unlock(&pool.lock);
}

static void *work(void *argument)
{
    const int me = (int)(intptr_t)argument, spin = (size_t)me < pn_cpus_allowed();
    unsigned seen = 0;
    for (;;) {
        unsigned now = atomic_load_explicit(&pool.regions, memory_order_acquire);
        if (now == seen) {
            await_region(seen, spin);
            continue;
        }
        seen = now;
        if (atomic_fetch_add(&pool.gate, INSIDE) & OPEN &&
            me <= atomic_load_explicit(&pool.limit, memory_order_relaxed)) {
            pn_float_mode_set(pool.mode);
            current = pool.stop;
            helping = 1;
            take_tasks();
            current = NULL;
        }
        atomic_fetch_sub(&pool.gate, INSIDE);
    }
    return NULL;
}

static void forget_workers(void)        /* in the child of a fork */
{
    pool.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    pool.wake = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    atomic_store(&pool.workers, 0);
    atomic_store(&pool.asleep, 0);
    atomic_store(&pool.gate, 0);
    atomic_flag_clear(&pool.busy);
}

static void register_fork_handlers(void) { pn_at_fork(NULL, NULL, forget_workers); }

/* Starts workers up to the number wanted. Returns how many there are: fewer if the system starts no
 * more. */
static int start_workers(int wanted)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int n = atomic_load(&pool.workers);
    if (n >= wanted) return wanted;
    pthread_once(&once, register_fork_handlers);
    while (n < wanted && pn_thread_start(work, (void *)(intptr_t)(n + 1))) n++;
    atomic_store(&pool.workers, n);
    return n;
}

/* ---- a region -------------------------------------------------------------------------------- */

static void open_gate(size_t tasks, pn_task_fn *task, void *context, int limit)
{
    pool.task = task;
    pool.context = context;
    pool.tasks = tasks;
    pool.mode = pn_float_mode();
    pool.stop = current;
    atomic_store_explicit(&pool.limit, limit, memory_order_relaxed);
    atomic_store_explicit(&pool.next, 0, memory_order_relaxed);
    atomic_fetch_or(&pool.gate, OPEN);
    atomic_fetch_add(&pool.regions, 1);
    if (atomic_load(&pool.asleep)) {
        pthread_mutex_lock(&pool.lock);
        pthread_cond_broadcast(&pool.wake);
        pthread_mutex_unlock(&pool.lock);
    }
}

static void close_gate(void)
{
    size_t gate = atomic_fetch_and(&pool.gate, ~(size_t)OPEN) & ~(size_t)OPEN;
    for (size_t spins = 0; gate; gate = atomic_load_explicit(&pool.gate, memory_order_acquire))
        if (++spins % 4096) relax();
        else sched_yield();
}

void pn_parallel(size_t tasks, pn_task_fn *task, void *context)
{
    int threads = tasks > 1 && !inside ? (int)pn_threads_get() : 1;
    if ((size_t)threads > tasks) threads = (int)tasks;
    if (threads > 1 && !atomic_flag_test_and_set_explicit(&pool.busy, memory_order_acquire)) {
        open_gate(tasks, task, context, start_workers(threads - 1));
        take_tasks();
        close_gate();
        atomic_flag_clear_explicit(&pool.busy, memory_order_release);
    } else
        for (size_t i = 0; i < tasks && !(tasks > 1 && pn_stop_now()); i++) task(context, i);
}
