/* arena.c - places all buffers of a plan in one block of memory. Buffers whose lifetimes do not
 * overlap may share a place. */
#include "arena.h"
#include "array.h"
#include "port.h"
#include <stdint.h>

enum { ALIGN = 64 };
static const size_t TOO_LARGE = PTRDIFF_MAX;    /* bytes that no allocation can have */

/* Insertion sort, largest first: plans have tens of buffers. */
static void sort_by_size(const pn_buffer *buffers, size_t n, size_t *order)
{
    for (size_t i = 0; i < n; i++) {
        size_t j = i;
        for (; j > 0 && buffers[order[j - 1]].bytes < buffers[i].bytes; j--)
            order[j] = order[j - 1];
        order[j] = i;
    }
}

/* The lowest offset at which buffer i overlaps none of the `done` buffers already placed whose
 * lifetimes overlap its own. */
static size_t lowest_offset(const pn_buffer *buffers, const size_t *order, size_t done, size_t i)
{
    size_t offset = 0;
    for (int moved = 1; moved;) {
        moved = 0;
        for (size_t j = 0; j < done; j++) {
            const pn_buffer *a = &buffers[order[j]], *b = &buffers[i];
            if (a->first > b->last || b->first > a->last) continue;
            if (offset < a->offset + pn_round_to_line(a->bytes) &&
                a->offset < offset + pn_round_to_line(b->bytes)) {
                offset = a->offset + pn_round_to_line(a->bytes);
                moved = 1;
            }
        }
    }
    return offset;
}

size_t pn_arena_place(pn_buffer *buffers, size_t n, size_t *order)
{
    /* The arena cannot exceed the sum of all buffers. */
    size_t total = 0, sum = 0;
    for (size_t i = 0; i < n; sum += pn_round_to_line(buffers[i++].bytes))
        if (buffers[i].bytes >= TOO_LARGE || sum >= TOO_LARGE - buffers[i].bytes) return TOO_LARGE;
    sort_by_size(buffers, n, order);
    for (size_t k = 0; k < n; k++) {
        pn_buffer *b = &buffers[order[k]];
        b->offset = lowest_offset(buffers, order, k, order[k]);
        total = pn_max(total, b->offset + pn_round_to_line(b->bytes));
    }
    return total;
}

void *pn_arena_new(size_t bytes)
{
    return bytes >= TOO_LARGE ? NULL : pn_aligned_new(ALIGN, bytes + 1);
}
void pn_arena_free(void *arena) { pn_aligned_free(arena); }
