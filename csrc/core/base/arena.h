/* arena.h - the memory of a plan: one block for all its buffers. */
#ifndef PN_ARENA_H
#define PN_ARENA_H
#include <stddef.h>

/* One array, used from step first to step last. shared: must not be overwritten. */
typedef struct { size_t bytes, offset; int first, last, shared; } pn_buffer;

/* Sets the offsets of n buffers and returns the size of the arena. order: scratch for n numbers. */
size_t pn_arena_place(pn_buffer *buffers, size_t n, size_t *order);
/* Returns at least this many bytes, 64-byte aligned; NULL when memory is short. */
void *pn_arena_new(size_t bytes);
void pn_arena_free(void *arena);

#endif
