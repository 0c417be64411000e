/* losses.c - the losses as Python calls. */
#include "binding.h"

PyArrayObject *target_array(size_t loss, pn_dtype t, size_t rows, size_t cols, PyObject *given, const char *name, pn_target *target)
{
    PyArrayObject *a = (PyArrayObject *)PyArray_FROM_O(given), *y;
    if (!a) return NULL;
    char kind = pn_loss_at(loss)->target;
    int labels = kind == 'c' || (kind == 'p' && PyTypeNum_ISINTEGER(PyArray_TYPE(a)));
    size_t want = labels ? rows : rows * cols;
    y = labels ? label_array((PyObject *)a, name) : real_array((PyObject *)a, t, name);
    if (y && (size_t)PyArray_SIZE(y) != want) {
        PyObject *shape = PyObject_GetAttrString((PyObject *)a, "shape");
        PyErr_Format(PyExc_ValueError, "%s: dtype %S and shape %S do not fit %s on %zu rows and %zu columns%s", name,
                     (PyObject *)PyArray_DESCR(a), shape ? shape : Py_None, pn_loss_at(loss)->cls, rows, cols,
                     kind == 'p' ? " (class indices are integers, one a row; probabilities are like the output)" : "");
        Py_XDECREF(shape);
        Py_CLEAR(y);
    }
    Py_DECREF(a);
    *target = (pn_target){ .name = name };
    if (y && labels) target->label = PyArray_DATA(y);
    else if (y) target->target = PyArray_DATA(y);
    return y;
}

/* ---- loss(index, x (rows, cols), target, scale, want_values) -> (sum, values or None, gradient) ------------------ */
static PyObject *loss(PyObject *module, PyObject *args)
{
    (void)module;
    Py_ssize_t index;
    PyObject *px, *py, *result = NULL;
    double scale, sum;
    int want_values;
    pn_target target;
    pn_error error;
    PyArrayObject *x = NULL, *y = NULL, *value = NULL, *grad = NULL;
    if (!PyArg_ParseTuple(args, "nOOdp", &index, &px, &py, &scale, &want_values)) return NULL;
    if (!check_index((size_t)index, pn_loss_at((size_t)index), "losses")) return NULL;
    size_t i = (size_t)index;
    pn_dtype t = PyArray_Check(px) && PyArray_TYPE((PyArrayObject *)px) == NPY_FLOAT ? PN_F32 : PN_F64;
    x = real_array(px, t, "input");
    if (!x) goto done;
    if (PyArray_NDIM(x) != 2) {
        PyErr_SetString(PyExc_ValueError, "input: expected rows and columns");
        goto done;
    }
    size_t rows = (size_t)PyArray_DIM(x, 0), cols = (size_t)PyArray_DIM(x, 1);
    y = target_array(i, t, rows, cols, py, "target", &target);
    if (!y) goto done;
    pn_status status = pn_loss_check(i, t, rows, cols, &target, &error);
    if (!status) status = pn_loss_check_input(i, t, rows * cols, PyArray_DATA(x), &error);
    if (status) {
        raise_status(status, &error);
        goto done;
    }
    npy_intp n = (npy_intp)pn_loss_values(i, rows, cols);
    grad = (PyArrayObject *)PyArray_NewLikeArray(x, NPY_CORDER, NULL, 0);
    if (want_values) value = new_array(1, &n, t);
    if (!grad || (want_values && !value)) goto done;
    PyThreadState *state = PyArray_SIZE(x) > RELEASE_AT ? PyEval_SaveThread() : NULL;
    sum = pn_loss_apply(i, t, rows, cols, PyArray_DATA(x), &target, value ? PyArray_DATA(value) : NULL, PyArray_DATA(grad), scale);
    if (state) PyEval_RestoreThread(state);
    result = Py_BuildValue("dOO", sum, value ? (PyObject *)value : Py_None, grad);
done:
    Py_XDECREF(x);
    Py_XDECREF(y);
    Py_XDECREF(value);
    Py_XDECREF(grad);
    return result;
}

/* check_target(index, dtype, rows, cols, target, name): raises what loss would, under the caller's name for the target. */
static PyObject *check_target(PyObject *module, PyObject *args)
{
    (void)module;
    Py_ssize_t index, rows, cols;
    const char *dtype, *name;
    PyObject *given;
    pn_dtype t;
    pn_target target;
    pn_error error;
    if (!PyArg_ParseTuple(args, "nsnnOs", &index, &dtype, &rows, &cols, &given, &name) || !parse_dtype(dtype, &t)) return NULL;
    if (!check_index((size_t)index, pn_loss_at((size_t)index), "losses")) return NULL;
    PyArrayObject *y = target_array((size_t)index, t, (size_t)rows, (size_t)cols, given, name, &target);
    if (!y) return NULL;
    pn_status status = pn_loss_check((size_t)index, t, (size_t)rows, (size_t)cols, &target, &error);
    Py_DECREF(y);
    if (status) return raise_status(status, &error);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    { "loss", loss, METH_VARARGS, "loss($module, index, x, target, scale, want_values, /)\n--\n\n(sum, values or None, gradient) over rows and columns." },
    { "check_target", check_target, METH_VARARGS,
      "check_target($module, index, dtype, rows, cols, target, name, /)\n--\n\nRaise what loss would, naming the target so." },
    { NULL, NULL, 0, NULL },
};

int add_losses(PyObject *module) { return PyModule_AddFunctions(module, functions); }
