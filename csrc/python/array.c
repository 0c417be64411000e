/* array.c - the only file that knows strides and dtypes: whatever the caller gave becomes a contiguous array of the wanted type. */
#include "binding.h"

static int numpy_type(pn_dtype t) { return t == PN_F32 ? NPY_FLOAT : NPY_DOUBLE; }

/* A new reference to array as C-contiguous, aligned, native data of the type; real numbers only. */
static PyArrayObject *convert(PyObject *given, int type, int integers_only, const char *name)
{
    PyArrayObject *a = (PyArrayObject *)PyArray_FROM_O(given), *out;
    if (!a) return NULL;
    int t = PyArray_TYPE(a), integer = PyTypeNum_ISINTEGER(t) || PyTypeNum_ISBOOL(t);
    if (!integer && (integers_only || !PyTypeNum_ISFLOAT(t))) {
        PyErr_Format(PyExc_TypeError, "%s: dtype %S is not allowed; expected %s", name, (PyObject *)PyArray_DESCR(a),
                     integers_only ? "integers" : "real numbers");
        Py_DECREF(a);
        return NULL;
    }
    out = (PyArrayObject *)PyArray_FromArray(a, PyArray_DescrFromType(type), NPY_ARRAY_CARRAY_RO | NPY_ARRAY_FORCECAST);
    Py_DECREF(a);
    return out;
}

PyArrayObject *real_array(PyObject *given, pn_dtype t, const char *name) { return convert(given, numpy_type(t), 0, name); }
PyArrayObject *label_array(PyObject *given, const char *name) { return convert(given, NPY_INT64, 1, name); }

/* A parameter or its gradient: used in place, so it must already be what the core reads. */
PyArrayObject *in_place_array(PyObject *given, pn_dtype t, const char *name)
{
    if (PyArray_Check(given)) {
        PyArrayObject *a = (PyArrayObject *)given;
        if (PyArray_TYPE(a) == numpy_type(t) && PyArray_ISCARRAY(a)) return (PyArrayObject *)Py_NewRef(given);
    }
    PyErr_Format(PyExc_TypeError, "%s: expected a writable C-contiguous array of %s, got %.80R", name, t == PN_F32 ? "float32" : "float64", given);
    return NULL;
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
    if (!row) PyErr_Format(PyExc_ValueError, "there is no row %zu in the table of %s", i, table);
    return row != NULL;
}
