/* allocator.h - replaces the allocation functions by ones that count and can be made to fail. A
 * test that includes it must be linked with
 * -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=free */
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
#endif
