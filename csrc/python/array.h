/* array.h - arguments to arrays. */
#ifndef PYNN_ARRAY_H
#define PYNN_ARRAY_H
#include "binding.h"

/* Each returns a new reference, or NULL with an exception that names the argument. */
/* ValueError: the value at a flat place of an array of such a shape does not fit float32. Returns
 * 0. */
int raise_too_large(const char *name, double value, npy_intp at, int ndim, const npy_intp *shape);
/* The first of n doubles that is finite and no float, or -1. */
npy_intp first_too_large(npy_intp n, const double *x);
/* contiguous; converts any real dtype */
PyArrayObject *real_array(PyObject *given, pn_dtype t, const char *name);
PyArrayObject *label_array(PyObject *given, const char *name);                 /* int64 */
/* that nobody else can write to */
PyArrayObject *label_copy(PyObject *given, const char *name);
/* checked, never converted */
PyArrayObject *in_place_array(PyObject *given, pn_dtype t, const char *name);
/* the same, and may be read-only */
PyArrayObject *readable_array(PyObject *given, pn_dtype t, const char *name);
/* Appends to a list, which is made if there is none, an array and a weak reference to the owner of
 * its memory: NumPy resizes no array that has weak references, not even with refcheck=False. */
int keep_array(PyObject **list, PyArrayObject *a);
/* Samples for a plan of dtype t: as they are where a plan can convert them batch by batch, else
 * contiguous; sets samples. */
PyArrayObject *sample_array(PyObject *given, pn_dtype t, const char *name, pn_samples *samples);
PyArrayObject *new_array(size_t ndim, const npy_intp *shape, pn_dtype t);
int parse_dtype(const char *name, pn_dtype *t);
/* 0 and an exception when row is NULL */
int check_index(size_t i, const void *row, const char *table);

#endif
