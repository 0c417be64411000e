/* array.c - sizes of arrays and growing them. */
#include "array.h"
#include <stdlib.h>

int pn_multiply(size_t a, size_t b, size_t *product)
{
    *product = a * b;
    return a == 0 || *product / a == b;
}

int pn_grow(void **array, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity) return 1;
    size_t wanted = *capacity ? 2 * *capacity : 16;
    void *more = realloc(*array, wanted * size);
    if (!more) return 0;
    *array = more;
    *capacity = wanted;
    return 1;
}
