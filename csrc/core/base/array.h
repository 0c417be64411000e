/* array.h - sizes and single elements of arrays whose dtype is known at run time only. */
#ifndef PN_ARRAY_H
#define PN_ARRAY_H
#include "../../pynn.h"
#include <string.h>

/* Bytes of one element. */
static inline size_t pn_size(pn_dtype t)
{
    return t == PN_F32 ? sizeof(float) : sizeof(double);
}
static inline size_t pn_min(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t pn_max(size_t a, size_t b) { return a > b ? a : b; }
/* Multiplies two sizes; returns 0 on overflow. */
int pn_multiply(size_t a, size_t b, size_t *product);
/* Makes room for element n of an array, whose capacity doubles; returns 0 when memory is short. */
int pn_grow(void **array, size_t n, size_t *capacity, size_t size);
/* Rounds bytes up to a multiple of a cache line. */
static inline size_t pn_round_to_line(size_t bytes) { return (bytes + 63) / 64 * 64; }
/* Element i of x. */
static inline double pn_element(pn_dtype t, const void *x, size_t i)
{
    return t == PN_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}
/* Sets element i of x. */
static inline void pn_element_set(pn_dtype t, void *x, size_t i, double value)
{
    if (t == PN_F32) ((float *)x)[i] = (float)value;
    else ((double *)x)[i] = value;
}
/* The address of element i of x. */
static inline void *pn_element_at(pn_dtype t, const void *x, size_t i)
{
    return (char *)x + i * pn_size(t);
}
/* memcpy, without a call for one to four elements. */
static inline void pn_copy(void *to, const void *from, size_t bytes)
{
    if (bytes == 4) memcpy(to, from, 4);
    else if (bytes == 8) memcpy(to, from, 8);
    else if (bytes == 16) memcpy(to, from, 16);
    else memcpy(to, from, bytes);
}

#endif
