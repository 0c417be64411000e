/* service.c - helpers for types, tables, exceptions and lists of arrays, shared by the binding. */
#include "service.h"

PyObject *raise_status(pn_status status, const pn_error *error)
{
    PyObject *type = PyExc_SystemError;
    switch (status) {
    case PN_OK:        type = PyExc_SystemError;       break;
    case PN_NO_MEMORY: return PyErr_NoMemory();
    case PN_BAD_SHAPE:
    case PN_BAD_VALUE: type = PyExc_ValueError;        break;
    case PN_BAD_STATE: type = PyExc_RuntimeError;      break;
    /* the poll function may already have raised */
    case PN_STOPPED:
        if (!PyErr_Occurred()) PyErr_SetNone(PyExc_KeyboardInterrupt);
        return NULL;
    }
    PyErr_SetString(type, error->text);
    return NULL;
}

int add_rows(PyObject *module, const char *name, PyObject *(*row)(size_t i))
{
    PyObject *list = PyList_New(0), *rows = NULL, *item;
    for (size_t i = 0; list && (item = row(i)); i++) {
        int failed = PyList_Append(list, item) < 0;
        Py_DECREF(item);
        if (failed) break;
    }
    int rc = -1;
    if (list && !PyErr_Occurred() && (rows = PyList_AsTuple(list)))
        rc = PyModule_AddObjectRef(module, name, rows);
    Py_XDECREF(rows);
    Py_XDECREF(list);
    return rc;
}

int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **reference)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    int status = type ? PyModule_AddType(module, (PyTypeObject *)type) : -1;
    if (reference && status == 0) Py_XSETREF(*reference, (PyTypeObject *)Py_NewRef(type));
    Py_XDECREF(type);
    return status;
}

void arrays_clear(arrays *a)
{
    for (size_t i = 0; i < a->n; i++) Py_XDECREF(a->array[i]);
    a->n = 0;
}

int arrays_set(arrays *a, size_t i, PyArrayObject *array)
{
    a->array[i] = array;
    a->n = i + 1;
    if (array) a->data[i] = PyArray_DATA(array);
    return array != NULL;
}

PyObject *arrays_take(arrays *a)
{
    PyObject *result = a->n == 1 ? Py_NewRef((PyObject *)a->array[0])
                                 : PyTuple_New((Py_ssize_t)a->n);
    for (size_t i = 0; a->n != 1 && result && i < a->n; i++)
        PyTuple_SET_ITEM(result, (Py_ssize_t)i, Py_NewRef((PyObject *)a->array[i]));
    arrays_clear(a);
    return result;
}

PyObject *nth(PyObject *given, size_t n, size_t i, const char *name)
{
    if (n == 1) return Py_NewRef(given);
    if ((PyTuple_Check(given) || PyList_Check(given)) &&
        (size_t)PySequence_Fast_GET_SIZE(given) == n)
        return Py_NewRef(PySequence_Fast_GET_ITEM(given, (Py_ssize_t)i));
    PyErr_Format(PyExc_ValueError, "%s: expected a tuple of %zu arrays, got %.80R", name, n, given);
    return NULL;
}
