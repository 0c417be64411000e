/* array.c - sizes of arrays. */
#include "array.h"

size_t pn_size(pn_dtype t) { return t == PN_F32 ? sizeof(float) : sizeof(double); }

int pn_multiply(size_t a, size_t b, size_t *product)
{
    *product = a * b;
    return a == 0 || *product / a == b;
}
