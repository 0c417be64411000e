/* allocator.h - replaces the allocation functions by ones that count and can be made to fail.
 * link with: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=free
 * link with: -Wl,--wrap=pthread_atfork
 */
#ifndef PN_ALLOCATOR_H
#define PN_ALLOCATOR_H
#include <stddef.h>
#include <stdint.h>

/* fail_at: number of allocations before one fails; negative: none fails */
static long calls, alive, fail_at = -1;
static size_t largest_block = SIZE_MAX;         /* a larger allocation fails */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
void __real_free(void *p);
int __real_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));

static int fails(size_t bytes)
{
    calls++;
    return bytes > largest_block || (fail_at >= 0 && fail_at-- == 0);
}
static void *count(void *p)
{
    alive += p != NULL;
    return p;
}
void *__wrap_malloc(size_t n) { return fails(n) ? NULL : count(__real_malloc(n)); }
void *__wrap_calloc(size_t n, size_t size)
{
    return fails(n * size) ? NULL : count(__real_calloc(n, size));
}
void *__wrap_aligned_alloc(size_t align, size_t n)
{
    return fails(n) ? NULL : count(__real_aligned_alloc(align, n));
}
void *__wrap_realloc(void *p, size_t n)
{
    if (fails(n)) return NULL;
    if (!p) alive++;
    return __real_realloc(p, n);
}
void __wrap_free(void *p)
{
    alive -= p != NULL;
    __real_free(p);
}
/* musl keeps a block for each registration, which is not ours to free. */
int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    const long before = alive;
    const int result = __real_pthread_atfork(prepare, parent, child);
    alive = before;
    return result;
}
#endif
