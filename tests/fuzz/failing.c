/* failing.c - an allocator that is preloaded before the C library's, and fails the n-th allocation made by one library.
 * The library is named by the range of addresses of its code, so that Python, NumPy and the C library themselves get their memory. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef void *(*allocate)(size_t);
typedef void *(*allocate_two)(size_t, size_t);
typedef void *(*reallocate)(void *, size_t);

static _Atomic uintptr_t low, high;
static _Atomic long seen, fail_at = -1, failed;
static allocate real_malloc;
static allocate_two real_calloc, real_aligned;
static reallocate real_realloc;

/* dlsym itself may allocate before the real functions are known. */
static char first[1 << 16];
static size_t used;
static void *bump(size_t n)
{
    const size_t at = (used + 15) & ~(size_t)15;
    if (at + n > sizeof first) return NULL;
    used = at + n;
    return first + at;
}
static int is_first(const void *p) { return (const char *)p >= first && (const char *)p < first + sizeof first; }

static void find(void)
{
    real_malloc = (allocate)dlsym(RTLD_NEXT, "malloc");
    real_calloc = (allocate_two)dlsym(RTLD_NEXT, "calloc");
    real_realloc = (reallocate)dlsym(RTLD_NEXT, "realloc");
    real_aligned = (allocate_two)dlsym(RTLD_NEXT, "aligned_alloc");
}

/* Counts the allocations made by code between two addresses, and fails number n, from 0. A negative n fails none. */
void failing_arm(uintptr_t from, uintptr_t to, long n)
{
    low = from;
    high = to;
    seen = failed = 0;
    fail_at = n;
}
long failing_seen(void) { return seen; }
long failing_failed(void) { return failed; }

static int fails(const void *caller)
{
    const uintptr_t at = (uintptr_t)caller;
    if (at < low || at >= high) return 0;
    if (seen++ != fail_at) return 0;
    failed++;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t n)
{
    if (!real_malloc) find();
    if (!real_malloc) return bump(n);
    return fails(__builtin_return_address(0)) ? NULL : real_malloc(n);
}
void *calloc(size_t n, size_t size)
{
    static _Thread_local int finding;
    if (!real_calloc && !finding) {
        finding = 1;
        find();
        finding = 0;
    }
    if (!real_calloc) return bump(n * size);                            /* static memory is zero */
    return fails(__builtin_return_address(0)) ? NULL : real_calloc(n, size);
}
void *realloc(void *p, size_t n)
{
    if (!real_realloc) find();
    if (is_first(p)) {
        void *q = real_malloc(n);
        if (q) memcpy(q, p, n < (size_t)(first + sizeof first - (char *)p) ? n : (size_t)(first + sizeof first - (char *)p));
        return q;
    }
    return fails(__builtin_return_address(0)) ? NULL : real_realloc(p, n);
}
void *aligned_alloc(size_t align, size_t n)
{
    if (!real_aligned) find();
    return fails(__builtin_return_address(0)) ? NULL : real_aligned(align, n);
}
void free(void *p)
{
    static void (*real_free)(void *);
    if (!p || is_first(p)) return;
    if (!real_free) real_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
    real_free(p);
}
