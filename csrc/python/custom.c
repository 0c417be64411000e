/* custom.c - layers and losses written in Python. Arrays are copied in and out, so that no memory
 * of a plan escapes to Python. */
#include "custom.h"
#include "array.h"
#include "service.h"
#include <string.h>

/* dim[0] is reserved for the rows */
typedef struct { size_t ndim; npy_intp dim[PN_MAX_DIMS + 1]; } dims;
typedef struct {
    PyObject_HEAD
    pn_custom_layer custom;
    PyObject *layer;                /* weak, because the layer owns plans that own this */
    pn_dtype dtype;
    PyObject *names;                /* of the parameters: a tuple of str, whose text is in name */
    const char **name;
    PyObject *kept;                 /* result of the last custom_forward, for custom_backward */
    size_t n;
    dims in[PN_MAX_IO], out;
} CustomObject;

static PyTypeObject *custom_type;

static PyArrayObject *copy_in(const CustomObject *o, dims shape, size_t rows, const void *data)
{
    shape.dim[0] = (npy_intp)rows;
    PyArrayObject *a = new_array(shape.ndim + 1, shape.dim, o->dtype);
    if (a) memcpy(PyArray_DATA(a), data, (size_t)PyArray_NBYTES(a));
    return a;
}

/* Copies what Python returned for an array of this shape. Returns 0 with an exception if it does
 * not fit. */
static int copy_out(const CustomObject *o, dims shape, size_t rows, PyObject *given,
                    const char *what, void *data)
{
    PyArrayObject *a = real_array(given, o->dtype, what);
    if (!a) return 0;
    shape.dim[0] = (npy_intp)rows;
    int fits = (size_t)PyArray_NDIM(a) == shape.ndim + 1 &&
               PyArray_CompareLists(PyArray_DIMS(a), shape.dim, (int)shape.ndim + 1);
    if (fits) memcpy(data, PyArray_DATA(a), (size_t)PyArray_NBYTES(a));
    else {
        PyObject *got = PyObject_GetAttrString((PyObject *)a, "shape"),
                 *want = PyArray_IntTupleFromIntp((int)shape.ndim + 1, shape.dim);
        if (got && want)
            PyErr_Format(PyExc_ValueError, "%s returned shape %S, expected %S", what, got, want);
        Py_XDECREF(got);
        Py_XDECREF(want);
    }
    Py_DECREF(a);
    return fits;
}

/* Calls layer.method(*arrays). Returns NULL with an exception on failure. */
static PyObject *call(const CustomObject *o, const char *method, PyObject *arrays)
{
    /* calling a weak reference dereferences it */
    PyObject *layer = PyObject_CallNoArgs(o->layer);
    if (!layer || layer == Py_None) {
        if (layer)
            PyErr_SetString(PyExc_RuntimeError, "the layer that this plan calls no longer exists");
        Py_XDECREF(layer);
        return NULL;
    }
    PyObject *f = PyObject_GetAttrString(layer, method),
             *result = f ? PyObject_CallObject(f, arrays) : NULL;
    Py_XDECREF(f);
    Py_DECREF(layer);
    return result;
}

/* custom_forward(keep, *arrays) -> (y, kept) */
static int forward(void *context, size_t rows, int keep, const void *const *x, void *y)
{
    CustomObject *o = context;
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *arrays = PyTuple_New((Py_ssize_t)o->n + 1), *result = NULL;
    if (arrays) PyTuple_SET_ITEM(arrays, 0, PyBool_FromLong(keep));
    for (size_t i = 0; arrays && i < o->n; i++) {
        PyArrayObject *a = copy_in(o, o->in[i], rows, x[i]);
        if (!a) Py_CLEAR(arrays);
        else PyTuple_SET_ITEM(arrays, (Py_ssize_t)i + 1, (PyObject *)a);
    }
    if (arrays) result = call(o, "custom_forward", arrays);
    PyObject *output = result ? nth(result, 2, 0, "custom_forward") : NULL,
             *kept = output ? nth(result, 2, 1, "custom_forward") : NULL;
    int ok = kept && copy_out(o, o->out, rows, output, "forward", y);
    if (ok && keep) Py_XSETREF(o->kept, Py_NewRef(kept));
    Py_XDECREF(output);
    Py_XDECREF(kept);
    Py_XDECREF(arrays);
    Py_XDECREF(result);
    PyGILState_Release(state);
    return !ok;
}

/* custom_backward(kept, gy) -> the gradient of the input, or a tuple */
static int backward(void *context, size_t rows, const void *gy, void *const *gx)
{
    CustomObject *o = context;
    PyGILState_STATE state = PyGILState_Ensure();
    PyArrayObject *g = copy_in(o, o->out, rows, gy);
    PyObject *kept = o->kept ? o->kept : Py_NewRef(Py_None); /* for one backward call */
    o->kept = NULL;
    PyObject *arrays = g ? Py_BuildValue("(OO)", kept, g) : NULL,
             *result = arrays ? call(o, "custom_backward", arrays) : NULL;
    int ok = result != NULL;
    for (size_t i = 0; ok && i < o->n; i++) {
        PyObject *item = nth(result, o->n, i, "backward");
        ok = item && (!gx[i] || copy_out(o, o->in[i], rows, item, "backward", gx[i]));
        Py_XDECREF(item);
    }
    Py_DECREF(kept);
    Py_XDECREF(g);
    Py_XDECREF(arrays);
    Py_XDECREF(result);
    PyGILState_Release(state);
    return !ok;
}

/* ---- losses ---------------------------------------------------------------------------------- */
/* The rows of the target that belong to this batch. */
static PyObject *target_rows(const pn_custom_loss *a)
{
    npy_intp rows = (npy_intp)a->rows;
    PyArrayObject *index = (PyArrayObject *)PyArray_SimpleNew(1, &rows, NPY_INTP);
    for (size_t i = 0; index && i < a->rows; i++)
        ((npy_intp *)PyArray_DATA(index))[i] = (npy_intp)(a->order ? a->order[a->start + i]
                                                                   : a->start + i);
    PyObject *result = index ? PyArray_TakeFrom(a->custom, (PyObject *)index, 0, NULL, NPY_RAISE)
                            : NULL;
    Py_XDECREF(index);
    return result;
}

static PyObject *weight_array(const pn_custom_loss *a)
{
    npy_intp shape[PN_MAX_DIMS + 1] = { (npy_intp)a->rows };
    if (!a->sample_weight) return Py_NewRef(Py_None);
    for (size_t i = 0; i < a->ndim; i++) shape[i + 1] = (npy_intp)a->shape[i];
    PyArrayObject *w = new_array(a->per_value ? a->ndim + 1 : 1, shape, a->dtype);
    if (w) memcpy(PyArray_DATA(w), a->sample_weight, (size_t)PyArray_NBYTES(w));
    return (PyObject *)w;
}

/* callable(x, target, weight or None) -> (sum, divisor, gradient) */
int call_custom_loss(void *context, pn_custom_loss *a)
{
    const CustomObject o = { .dtype = a->dtype };
    PyGILState_STATE state = PyGILState_Ensure();
    dims shape = { .ndim = a->ndim };
    for (size_t i = 0; i < a->ndim; i++) shape.dim[i + 1] = (npy_intp)a->shape[i];
    PyObject *x = (PyObject *)copy_in(&o, shape, a->rows, a->x),
             *target = x ? target_rows(a) : NULL,
             *weight = target ? weight_array(a) : NULL, *grad;
    PyObject *result = weight ? PyObject_CallFunctionObjArgs(context, x, target, weight, NULL)
                              : NULL;
    int ok = result && PyTuple_Check(result) &&
             PyArg_ParseTuple(result, "ddO;a loss in fit must return (sum, divisor, gradient)",
                              &a->sum, &a->divisor, &grad);
    if (result && !ok && !PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "a loss in fit must return (sum, divisor, gradient)");
    ok = ok && (!a->grad || copy_out(&o, shape, a->rows, grad, "function", a->grad));
    Py_XDECREF(x);
    Py_XDECREF(target);
    Py_XDECREF(weight);
    Py_XDECREF(result);
    PyGILState_Release(state);
    return !ok;
}

/* ---- the object that a graph keeps for each custom layer ------------------------------------- */
static int custom_traverse(CustomObject *o, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(o));
    Py_VISIT(o->layer);
    Py_VISIT(o->names);
    Py_VISIT(o->kept);
    return 0;
}

static int custom_clear(CustomObject *o)
{
    Py_CLEAR(o->kept);
    return 0;
}

static void custom_dealloc(CustomObject *o)
{
    PyTypeObject *type = Py_TYPE(o);
    PyObject_GC_UnTrack(o);
    Py_XDECREF(o->layer);
    Py_XDECREF(o->names);
    Py_XDECREF(o->kept);
    PyMem_Free(o->name);
    type->tp_free(o);
    Py_DECREF(type);
}

static PyType_Slot custom_slots[] = { { Py_tp_dealloc, custom_dealloc },
                                   { Py_tp_traverse, custom_traverse },
                                   { Py_tp_clear, custom_clear },
                                   { 0, NULL } };
static PyType_Spec custom_spec = { "pynn._core._Custom", sizeof(CustomObject), 0,
                                GC_TYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, custom_slots };
int add_custom(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &custom_spec, NULL);
    if (type) Py_XSETREF(custom_type, (PyTypeObject *)type);
    return type ? 0 : -1;
}

static void node_dims(const pn_graph *g, size_t node, dims *d)
{
    size_t shape[PN_MAX_DIMS];
    pn_graph_shape(g, node, &d->ndim, shape);
    for (size_t i = 0; i < d->ndim; i++) d->dim[i + 1] = (npy_intp)shape[i];
}

/* Keeps the names of the parameters. Returns 0 with an exception if they are not strings. */
static int take_names(CustomObject *o, PyObject *names)
{
    const Py_ssize_t n = PyTuple_GET_SIZE(names);
    o->names = Py_NewRef(names);
    o->name = PyMem_Calloc((size_t)n + 1, sizeof *o->name);
    if (!o->name) PyErr_NoMemory();
    for (Py_ssize_t i = 0; o->name && i < n; i++)
        if (!(o->name[i] = PyUnicode_AsUTF8(PyTuple_GET_ITEM(names, i)))) return 0;
    return o->name != NULL;
}

PyObject *custom_layer(const pn_graph *g, pn_dtype t, PyObject *layer, PyObject *shape,
                       PyObject *names, PyObject *inputs, const pn_custom_layer **custom)
{
    const Py_ssize_t n = PyTuple_GET_SIZE(inputs), ndim = PyTuple_GET_SIZE(shape);
    if (n < 1 || n > PN_MAX_IO || ndim > PN_MAX_DIMS)
        return PyErr_Format(PyExc_ValueError, "a custom layer takes 1 to %d inputs", PN_MAX_IO);
    CustomObject *o = (CustomObject *)custom_type->tp_alloc(custom_type, 0);
    if (!o) return NULL;
    if (!take_names(o, names)) {
        Py_DECREF(o);
        return NULL;
    }
    o->custom = (pn_custom_layer){ forward, backward, o, o->name };
    o->dtype = t;
    o->n = (size_t)n;
    o->layer = PyWeakref_NewRef(layer, NULL);
    o->out.ndim = (size_t)ndim;
    for (Py_ssize_t i = 0; i < ndim && !PyErr_Occurred(); i++)
        o->out.dim[i + 1] = PyNumber_AsSsize_t(PyTuple_GET_ITEM(shape, i), PyExc_OverflowError);
    for (Py_ssize_t i = 0; i < n && !PyErr_Occurred(); i++) {
        size_t node = PyLong_AsSize_t(PyTuple_GET_ITEM(inputs, i));
        if (PyErr_Occurred()) break;
        if (node >= pn_graph_nodes(g))
            PyErr_Format(PyExc_ValueError, "input %zd is node %zu of %zu", i, node,
                         pn_graph_nodes(g));
        else node_dims(g, node, &o->in[i]);
    }
    *custom = &o->custom;
    if (!PyErr_Occurred()) return (PyObject *)o;
    Py_DECREF(o);
    return NULL;
}

PyObject *custom_object(const pn_custom_layer *custom)
{
    /* calling a weak reference dereferences it */
    return PyObject_CallNoArgs(((const CustomObject *)custom->context)->layer);
}
