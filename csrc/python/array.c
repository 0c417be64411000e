/* array.c - conversion of arguments to contiguous arrays of a given type. No other file deals with
 * strides and dtypes. */
#include "array.h"
#include <math.h>
#include <stdio.h>

static int numpy_type(pn_dtype t) { return t == PN_F32 ? NPY_FLOAT : NPY_DOUBLE; }

int raise_too_large(const char *name, double value, npy_intp at, int ndim, const npy_intp *shape)
{
    npy_intp width = 1;
    char where[64] = "", text[32];
    for (int i = 1; i < ndim; i++) width *= shape[i];
    if (ndim == 1) snprintf(where, sizeof where, " in row %lld", (long long)at);
    else if (ndim > 1)
        snprintf(where, sizeof where, " in row %lld, %s %lld", (long long)(at / width),
                 ndim == 2 ? "column" : "element", (long long)(at % width));
    snprintf(text, sizeof text, "%.6g", value);
    PyErr_Format(PyExc_ValueError,
                 "%s: %s%s is too large for float32; scale the data, or compute in float64 "
                 "(layers with dtype='float64')",
                 name, text, where);
    return 0;
}

npy_intp first_too_large(npy_intp n, const double *x)
{
    for (npy_intp i = 0; i < n; i++)
        if (isinf((float)x[i]) && !isinf(x[i])) return i;
    return -1;
}

/* Converts doubles to floats. A finite value that would become infinite is an error, of which
 * NumPy's cast only warns. */
static PyArrayObject *narrow_array(PyArrayObject *a, const char *name)
{
    PyArrayObject *x = (PyArrayObject *)PyArray_FromArray(a, PyArray_DescrFromType(NPY_DOUBLE),
                                                          NPY_ARRAY_CARRAY_RO),
                  *out = NULL;
    if (x) out = (PyArrayObject *)PyArray_SimpleNew(PyArray_NDIM(x), PyArray_DIMS(x), NPY_FLOAT);
    if (out) {
        const npy_intp n = PyArray_SIZE(x);
        const double *from = PyArray_DATA(x);
        float *to = PyArray_DATA(out);
        npy_intp at = pn_narrow((size_t)n, from, to) ? -1 : first_too_large(n, from);
        if (at >= 0) {
            raise_too_large(name, from[at], at, PyArray_NDIM(x), PyArray_DIMS(x));
            Py_CLEAR(out);
        }
    }
    Py_XDECREF(x);
    return out;
}

/* Returns a new reference to C-contiguous, aligned, native data of the type, converted from real
 * numbers only. */
static PyArrayObject *convert(PyObject *given, int type, int integers_only, const char *name)
{
    PyArrayObject *a = (PyArrayObject *)PyArray_FROM_O(given), *out;
    if (!a) return NULL;
    int t = PyArray_TYPE(a), integer = PyTypeNum_ISINTEGER(t) || PyTypeNum_ISBOOL(t);
    if (!integer && (integers_only || !PyTypeNum_ISFLOAT(t))) {
        PyErr_Format(PyExc_TypeError, "%s: dtype %S is not allowed; expected %s", name,
                     (PyObject *)PyArray_DESCR(a), integers_only ? "integers" : "real numbers");
        Py_DECREF(a);
        return NULL;
    }
    if (t == NPY_DOUBLE && type == NPY_FLOAT) out = narrow_array(a, name);
    else
        out = (PyArrayObject *)PyArray_FromArray(a, PyArray_DescrFromType(type),
                                                 NPY_ARRAY_CARRAY_RO | NPY_ARRAY_FORCECAST);
    Py_DECREF(a);
    return out;
}

PyArrayObject *real_array(PyObject *given, pn_dtype t, const char *name)
{
    return convert(given, numpy_type(t), 0, name);
}

static int source_of(int type, pn_source *source)
{
    switch (type) {
    case NPY_FLOAT:  *source = PN_FROM_F32; return 1;
    case NPY_DOUBLE: *source = PN_FROM_F64; return 1;
    case NPY_INT8:   *source = PN_FROM_I8;  return 1;
    case NPY_BOOL:
    case NPY_UINT8:  *source = PN_FROM_U8;  return 1;
    case NPY_INT16:  *source = PN_FROM_I16; return 1;
    case NPY_UINT16: *source = PN_FROM_U16; return 1;
    case NPY_INT32:  *source = PN_FROM_I32; return 1;
    case NPY_UINT32: *source = PN_FROM_U32; return 1;
    case NPY_INT64:  *source = PN_FROM_I64; return 1;
    case NPY_UINT64: *source = PN_FROM_U64; return 1;
    default: return 0;
    }
}

/* Returns whether a plan can gather samples from the array: native, aligned numbers, with each
 * sample contiguous and any stride between rows. */
static int can_gather(PyArrayObject *a, pn_source *source)
{
    if (PyArray_NDIM(a) < 1 || !PyArray_ISALIGNED(a) || !PyArray_ISNOTSWAPPED(a) ||
        !source_of(PyArray_TYPE(a), source))
        return 0;
    npy_intp next = PyArray_ITEMSIZE(a);
    for (int i = PyArray_NDIM(a) - 1; i > 0; i--) {
        if (PyArray_DIM(a, i) != 1 && PyArray_STRIDE(a, i) != next) return 0;
        next *= PyArray_DIM(a, i);
    }
    return 1;
}

PyArrayObject *sample_array(PyObject *given, pn_dtype t, const char *name, pn_samples *samples)
{
    PyArrayObject *a = (PyArrayObject *)PyArray_FROM_O(given);
    if (a && !can_gather(a, &samples->type)) {
        Py_SETREF(a, real_array((PyObject *)a, t, name));
        samples->type = t == PN_F32 ? PN_FROM_F32 : PN_FROM_F64;
    }
    if (!a) return NULL;
    samples->x = PyArray_DATA(a);
    /* the stride of a single row is arbitrary */
    samples->stride = PyArray_NDIM(a) && PyArray_DIM(a, 0) != 1 ? PyArray_STRIDE(a, 0)
                                                                : PyArray_NBYTES(a);
    return a;
}

PyArrayObject *label_array(PyObject *given, const char *name)
{
    PyArrayObject *a = (PyArrayObject *)PyArray_FROM_O(given),
                  *out = a ? convert((PyObject *)a, NPY_INT64, 1, name) : NULL;
    const int may_wrap = out && PyTypeNum_ISUNSIGNED(PyArray_TYPE(a)) &&
                         PyArray_ITEMSIZE(a) == sizeof(int64_t);
    const npy_intp n = may_wrap ? PyArray_SIZE(out) : 0,
                   rows = n && PyArray_NDIM(out) ? PyArray_DIM(out, 0) : 1;
    for (npy_intp i = 0; i < n; i++) {
        const int64_t label = ((const int64_t *)PyArray_DATA(out))[i];
        if (label >= 0) continue;
        PyErr_Format(PyExc_ValueError,
                     "%s: %llu in row %zd is not a class index, which is at most %lld", name,
                     (unsigned long long)label, i / (n / rows), (long long)INT64_MAX);
        Py_CLEAR(out);
        break;
    }
    Py_XDECREF(a);
    return out;
}

PyArrayObject *label_copy(PyObject *given, const char *name)
{
    PyArrayObject *a = label_array(given, name);
    if (a && (PyObject *)a == given) Py_SETREF(a, (PyArrayObject *)PyArray_NewCopy(a, NPY_CORDER));
    return a;
}

int keep_array(PyObject **list, PyArrayObject *a)
{
    PyArrayObject *owner = a;
    while (PyArray_BASE(owner) && PyArray_Check(PyArray_BASE(owner)))
        owner = (PyArrayObject *)PyArray_BASE(owner);
    if (!*list && !(*list = PyList_New(0))) return 0;
    PyObject *reference = PyWeakref_NewRef((PyObject *)owner, NULL);
    const int ok = reference && PyList_Append(*list, (PyObject *)a) == 0 &&
                   PyList_Append(*list, reference) == 0;
    Py_XDECREF(reference);
    return ok;
}

/* Returns the array itself, which must already have the layout that the core reads. */
static PyArrayObject *check_in_place(PyObject *given, pn_dtype t, int writable, const char *name)
{
    if (PyArray_Check(given)) {
        PyArrayObject *a = (PyArrayObject *)given;
        if (PyArray_TYPE(a) == numpy_type(t) &&
            (writable ? PyArray_ISCARRAY(a) : PyArray_ISCARRAY_RO(a)))
            return (PyArrayObject *)Py_NewRef(given);
    }
    PyErr_Format(PyExc_TypeError, "%s: expected a %sC-contiguous array of %s, got %.80R", name,
                 writable ? "writable " : "", t == PN_F32 ? "float32" : "float64", given);
    return NULL;
}

PyArrayObject *in_place_array(PyObject *given, pn_dtype t, const char *name)
{
    return check_in_place(given, t, 1, name);
}
PyArrayObject *readable_array(PyObject *given, pn_dtype t, const char *name)
{
    return check_in_place(given, t, 0, name);
}

PyArrayObject *new_array(size_t ndim, const npy_intp *shape, pn_dtype t)
{
    return (PyArrayObject *)PyArray_SimpleNew((int)ndim, shape, numpy_type(t));
}

int parse_dtype(const char *name, pn_dtype *t)
{
    if (!strcmp(name, "float32")) *t = PN_F32;
    else if (!strcmp(name, "float64")) *t = PN_F64;
    else {
        PyErr_Format(PyExc_ValueError, "dtype: expected 'float32' or 'float64', got '%.40s'", name);
        return 0;
    }
    return 1;
}

int check_index(size_t i, const void *row, const char *table)
{
    if (!row) PyErr_Format(PyExc_ValueError, "the table of %s has no row %zu", table, i);
    return row != NULL;
}
