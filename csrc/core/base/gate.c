/* gate.c - fair reader-writer locks for parameters, which can be joined and survive fork.
 *
 * A gate protects the parameters of one or more nets. Predictions read, training steps write.
 * Requests are served in order of arrival, so neither readers nor writers starve. Nets that share a
 * layer share a gate: pn_gate_join makes one of two, also while both are held. One mutex protects
 * all gates. It is held for a few assignments only, and calls on small nets do not take it
 * (pn_gate_idle). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE                     /* clock_gettime */
#endif
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include "../../pynn.h"
#include "clock.h"
#include "port.h"

/* least time that a writer holds the gate before it yields */
enum { MIN_HOLD_NS = 1000000 };

struct pn_gate {
    _Atomic(pn_gate *) joined_to;       /* the gate that this one was joined to, or NULL */
    pn_hold *holders, *first, *last;    /* holders in any order; the queue in order of arrival */
    /* active: holders and queued requests; waiting: queued requests */
    atomic_int active, waiting;
    unsigned generation;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
/* Number of forks. In a child process, gates held by other threads count as free. */
static atomic_uint generation = 1;
static _Thread_local int held;          /* gates that this thread holds */

static void lock(void) { pthread_mutex_lock(&mutex); }
static void unlock(void) { pthread_mutex_unlock(&mutex); }

static void begin_child(void)
{
    mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    atomic_fetch_add(&generation, 1);
    held = 0;
}

static void register_fork_handlers(void) { pn_at_fork(lock, unlock, begin_child); }

unsigned pn_fork_generation(void)
{
    return atomic_load_explicit(&generation, memory_order_relaxed);
}

pn_gate *pn_gate_new(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_fork_handlers);
    pn_gate *g = calloc(1, sizeof *g);
    if (g) g->generation = pn_fork_generation();
    return g;
}

void pn_gate_free(pn_gate *gate) { free(gate); }

static pn_gate *root_of(const pn_gate *gate)
{
    pn_gate *g = (pn_gate *)gate, *next;
    while ((next = atomic_load_explicit(&g->joined_to, memory_order_acquire))) g = next;
    return g;
}

/* Returns the root gate, which it resets in the child of a fork. The mutex is held. */
static pn_gate *current(const pn_gate *gate)
{
    pn_gate *g = root_of(gate);
    if (g->generation == pn_fork_generation()) return g;
    g->generation = pn_fork_generation();
    g->holders = g->first = g->last = NULL;
    atomic_store(&g->active, 0);
    atomic_store(&g->waiting, 0);
    return g;
}

static void push(pn_gate *g, pn_hold *h)
{
    h->state = PN_HELD;
    if (h->access == PN_WRITE) h->since = pn_now_ns();
    h->before = NULL;
    h->next = g->holders;
    if (g->holders) g->holders->before = h;
    g->holders = h;
}

static void enqueue(pn_gate *g, pn_hold *h)
{
    h->state = PN_WAITING;
    h->next = NULL;
    h->before = g->last;
    if (g->last) g->last->next = h;
    else g->first = h;
    g->last = h;
    atomic_fetch_add(&g->waiting, 1);
}

/* Removes h from its list. */
static void unlink_hold(pn_gate *g, pn_hold *h)
{
    if (h->next) h->next->before = h->before;
    else if (h->state == PN_WAITING) g->last = h->before;
    if (h->before) h->before->next = h->next;
    else if (h->state == PN_WAITING) g->first = h->next;
    else g->holders = h->next;
    if (h->state == PN_WAITING) atomic_fetch_sub(&g->waiting, 1);
    h->state = PN_FREE;
}

static int has_writer(const pn_gate *g)
{
    for (const pn_hold *h = g->holders; h; h = h->next)
        if (h->access == PN_WRITE) return 1;
    return 0;
}

/* Grants requests from the front of the queue until one has to wait. */
static void serve(pn_gate *g)
{
    for (pn_hold *h; (h = g->first) && (h->access == PN_WRITE ? !g->holders : !has_writer(g));) {
        unlink_hold(g, h);
        push(g, h);
        pthread_cond_signal(h->wake);
    }
}

/* The access that this thread already has to a gate: PN_WRITE, PN_READ or -1. */
static int held_here(const pn_gate *g)
{
    int access = -1;
    for (const pn_hold *h = g->holders; h; h = h->next)
        if (pthread_equal(*(const pthread_t *)h->thread, pthread_self()) && (int)h->access > access)
            access = (int)h->access;
    return access;
}

void pn_gate_join(pn_gate *a, pn_gate *b)
{
    if (root_of(a) == root_of(b)) return;
    lock();
    pn_gate *to = current(a), *from = current(b);
    if (to != from) {
        while (from->holders) {
            pn_hold *h = from->holders;
            from->holders = h->next;
            push(to, h);
        }
        for (pn_hold *h; (h = from->first);) {
            unlink_hold(from, h);
            enqueue(to, h);
        }
        atomic_fetch_add(&to->active, atomic_load(&from->active));
        atomic_store_explicit(&from->joined_to, to, memory_order_release);
    }
    unlock();
}

int pn_gate_joined(const pn_gate *a, const pn_gate *b) { return root_of(a) == root_of(b); }
int pn_gate_idle(const pn_gate *gate)
{
    const pn_gate *g = root_of(gate);
    return atomic_load_explicit(&g->active, memory_order_acquire) == 0 ||
           g->generation != pn_fork_generation();
}

/* A thread that may have to wait, and the condition variable that it waits on. */
typedef struct { pthread_t thread; pthread_cond_t wake; int made; } waiter;
static _Thread_local waiter this_thread;

static int init_waiter(pn_hold *h)
{
    this_thread.thread = pthread_self();
    if (!this_thread.made && pthread_cond_init(&this_thread.wake, NULL)) return 0;
    this_thread.made = 1;
    h->thread = &this_thread.thread;
    h->wake = &this_thread.wake;
    return 1;
}

pn_entry pn_gate_enter(pn_gate *gate, pn_access access, pn_hold *h)
{
    *h = (pn_hold){ .gate = gate, .access = access };
    if (!init_waiter(h)) return PN_REFUSED;
    lock();
    pn_gate *g = current(gate);
    h->generation = g->generation;
    const int mine = held_here(g),
              free = !g->first && (access == PN_WRITE ? !g->holders : !has_writer(g));
    const int now = free || mine == PN_WRITE || (mine == PN_READ && access == PN_READ);
    const pn_entry entry = now ? PN_ENTERED : held ? PN_REFUSED : PN_QUEUED;
    if (entry == PN_ENTERED) push(g, h);
    if (entry == PN_QUEUED) enqueue(g, h);
    if (entry != PN_REFUSED) atomic_fetch_add(&g->active, 1);
    held += entry == PN_ENTERED;
    unlock();
    return entry;
}

int pn_gate_wait(pn_hold *h, int milliseconds)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)milliseconds * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    lock();
    for (int late = 0; h->state == PN_WAITING && !late;)
        late = pthread_cond_timedwait(h->wake, &mutex, &until) != 0;
    const int entered = h->state == PN_HELD;
    unlock();
    held += entered;
    return entered;
}

void pn_gate_leave(pn_hold *h)
{
    if (h->state == PN_FREE) return;
    lock();
    if (h->generation == pn_fork_generation()) {
        pn_gate *g = current(h->gate);
        held -= h->state == PN_HELD && h->thread == &this_thread.thread;
        unlink_hold(g, h);
        atomic_fetch_sub(&g->active, 1);
        serve(g);
    }
    h->state = PN_FREE;
    unlock();
}

int pn_gate_yield(pn_hold *h)
{
    if (h->state != PN_HELD || h->generation != pn_fork_generation()) return 1;
    if (!atomic_load_explicit(&root_of(h->gate)->waiting, memory_order_relaxed) ||
        pn_now_ns() - h->since < MIN_HOLD_NS)
        return 1;
    lock();
    pn_gate *g = current(h->gate);
    if (g->first) {
        unlink_hold(g, h);
        enqueue(g, h);
        held--;
        serve(g);
        held += h->state == PN_HELD;
    }
    const int entered = h->state == PN_HELD;
    unlock();
    return entered;
}

int pn_gate_mine(const pn_gate *gate)
{
    lock();
    const int mine = held_here(current(gate)) >= 0;
    unlock();
    return mine;
}
