/* array.h - conversion of arguments to arrays. */
#ifndef PYNN_ARRAY_H
#define PYNN_ARRAY_H
#include "binding.h"

/* Functions that return an array return a new reference, or NULL with an exception that names the
 * argument. */
/* Raises ValueError because the value at a flat index of an array of this shape exceeds the range
 * of float32. Returns 0. */
int raise_too_large(const char *name, double value, npy_intp at, int ndim, const npy_intp *shape);
/* The index of the first of n doubles that is finite but exceeds the range of float32, or -1. */
npy_intp first_too_large(npy_intp n, const double *x);
/* contiguous; converts any real dtype */
PyArrayObject *real_array(PyObject *given, pn_dtype t, const char *name);
PyArrayObject *label_array(PyObject *given, const char *name);                 /* int64 */
/* an int64 array that nobody else can write to */
PyArrayObject *label_copy(PyObject *given, const char *name);
/* The array itself: checked, but never converted. */
PyArrayObject *in_place_array(PyObject *given, pn_dtype t, const char *name);
/* The same, but the array may be read-only. */
PyArrayObject *readable_array(PyObject *given, pn_dtype t, const char *name);
/* Appends an array and a weak reference to the owner of its memory to a list, which is created if
 * it is NULL. NumPy does not resize an array that has weak references, not even with
 * refcheck=False. */
int keep_array(PyObject **list, PyArrayObject *a);
/* Samples for a plan of dtype t: the array itself if a plan can convert it batch by batch,
 * otherwise a contiguous copy. Sets samples. */
PyArrayObject *sample_array(PyObject *given, pn_dtype t, const char *name, pn_samples *samples);
PyArrayObject *new_array(size_t ndim, const npy_intp *shape, pn_dtype t);
int parse_dtype(const char *name, pn_dtype *t);
/* Returns 0 with an exception if row is NULL. */
int check_index(size_t i, const void *row, const char *table);

#endif
