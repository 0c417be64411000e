/* model.c - graphs and plans as Python objects. Convert, call, convert: no decisions. */
#include "binding.h"

/* ---- Graph ----------------------------------------------------------------------------------------------------- */
static void graph_dealloc(GraphObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    pn_graph_free(self->graph);
    Py_XDECREF(self->keep);
    type->tp_free(self);
    Py_DECREF(type);
}

static int shape_of(PyArrayObject *a, size_t *shape)
{
    if (PyArray_NDIM(a) > PN_MAX_DIMS) {
        PyErr_Format(PyExc_ValueError, "an array of %d dimensions is too many; at most %d are allowed", PyArray_NDIM(a), PN_MAX_DIMS);
        return 0;
    }
    for (int i = 0; i < PyArray_NDIM(a); i++) shape[i] = (size_t)PyArray_DIM(a, i);
    return 1;
}

/* One parameter, a pair (data, grad or None): borrowed by the graph, kept alive by the GraphObject. */
static int bind_parameter(GraphObject *self, size_t slot, PyObject *pair)
{
    PyObject *data, *grad;
    size_t shape[PN_MAX_DIMS];
    pn_error error;
    int ok = 0;
    if (!PyArg_ParseTuple(pair, "OO", &data, &grad)) return 0;
    PyArrayObject *d = in_place_array(data, self->dtype, "parameter"), *g = NULL;
    if (!d || !shape_of(d, shape)) goto done;
    if (grad != Py_None) {
        g = in_place_array(grad, self->dtype, "gradient");
        if (!g) goto done;
        if (!PyArray_SAMESHAPE(d, g)) {
            PyErr_SetString(PyExc_ValueError, "a gradient must have its parameter's shape");
            goto done;
        }
    }
    pn_status status = pn_graph_bind(self->graph, slot, (size_t)PyArray_NDIM(d), shape, PyArray_DATA(d), g ? PyArray_DATA(g) : NULL, &error);
    if (status) raise_status(status, &error);
    else ok = PyList_Append(self->keep, (PyObject *)d) == 0 && (!g || PyList_Append(self->keep, (PyObject *)g) == 0);
done:
    Py_XDECREF(d);
    Py_XDECREF(g);
    return ok;
}

/* add(kind, where, config, ((data, grad or None), ...)) */
static PyObject *graph_add(GraphObject *self, PyObject *args)
{
    const char *kind, *where;
    PyObject *config, *parameters;
    double numbers[PN_MAX_DIMS + 1];
    pn_error error;
    if (!PyArg_ParseTuple(args, "ssO!O!", &kind, &where, &PyTuple_Type, &config, &PyTuple_Type, &parameters)) return NULL;
    if (self->sealed) {
        PyErr_SetString(PyExc_RuntimeError, "a graph that has a plan takes no more layers");
        return NULL;
    }
    Py_ssize_t n = PyTuple_GET_SIZE(config);
    if (n > PN_MAX_DIMS) {
        PyErr_Format(PyExc_ValueError, "%s: at most %d settings are allowed, got %zd", where, PN_MAX_DIMS, n);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        numbers[i] = PyFloat_AsDouble(PyTuple_GET_ITEM(config, i));
        if (PyErr_Occurred()) return NULL;
    }
    pn_status status = pn_graph_add(self->graph, kind, where, (size_t)n, numbers, &error);
    if (status) return raise_status(status, &error);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(parameters); i++) {
        PyObject *pair = PyTuple_GET_ITEM(parameters, i);
        if (!PyTuple_Check(pair)) {
            PyErr_SetString(PyExc_TypeError, "a parameter is a pair (data, grad or None)");
            return NULL;
        }
        if (!bind_parameter(self, (size_t)i, pair)) return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *graph_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = { "dtype", "shape", NULL };
    const char *dtype;
    PyObject *shape;
    pn_error error;
    pn_dtype t;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO!", names, &dtype, &PyTuple_Type, &shape)) return NULL;
    if (!parse_dtype(dtype, &t)) return NULL;
    GraphObject *self = (GraphObject *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->dtype = t;
    self->ndim = (size_t)PyTuple_GET_SIZE(shape);
    self->keep = PyList_New(0);
    if (!self->keep) goto fail;
    if (self->ndim > PN_MAX_DIMS) {
        PyErr_Format(PyExc_ValueError, "a sample of %zu dimensions is too many; at most %d are allowed", self->ndim, PN_MAX_DIMS);
        goto fail;
    }
    for (size_t i = 0; i < self->ndim; i++) {
        self->shape[i] = PyLong_AsSize_t(PyTuple_GET_ITEM(shape, (Py_ssize_t)i));
        if (PyErr_Occurred()) goto fail;
    }
    pn_status status = pn_graph_new(t, self->ndim, self->shape, &self->graph, &error);
    if (!status) return (PyObject *)self;
    raise_status(status, &error);
fail:
    Py_DECREF(self);
    return NULL;
}

static PyObject *graph_output_shape(GraphObject *self, void *unused)
{
    (void)unused;
    size_t ndim, shape[PN_MAX_DIMS];
    pn_graph_output(self->graph, &ndim, shape);
    PyObject *out = PyTuple_New((Py_ssize_t)ndim);
    for (size_t i = 0; out && i < ndim; i++) {
        PyObject *n = PyLong_FromSize_t(shape[i]);
        if (!n) Py_CLEAR(out);
        else PyTuple_SET_ITEM(out, (Py_ssize_t)i, n);
    }
    return out;
}

static PyObject *graph_dtype(GraphObject *self, void *unused)
{
    (void)unused;
    return PyUnicode_FromString(self->dtype == PN_F32 ? "float32" : "float64");
}

GraphObject *as_graph(PyObject *module, PyObject *object)
{
    PyObject *type = PyObject_GetAttrString(module, "Graph");
    if (!type) return NULL;
    int ok = PyObject_IsInstance(object, type);
    Py_DECREF(type);
    if (ok == 0) PyErr_Format(PyExc_TypeError, "graph: expected a Graph, got %.80R", object);
    return ok == 1 ? (GraphObject *)object : NULL;
}

int check_sample(const GraphObject *g, PyArrayObject *x, const char *name)
{
    int ok = (size_t)PyArray_NDIM(x) == g->ndim + 1;
    for (size_t i = 0; ok && i < g->ndim; i++) ok = (size_t)PyArray_DIM(x, (int)i + 1) == g->shape[i];
    if (ok) return 1;
    PyObject *got = PyObject_GetAttrString((PyObject *)x, "shape"), *want = PyTuple_New((Py_ssize_t)g->ndim);
    for (size_t i = 0; want && i < g->ndim; i++) PyTuple_SET_ITEM(want, (Py_ssize_t)i, PyLong_FromSize_t(g->shape[i]));
    if (got && want) PyErr_Format(PyExc_ValueError, "%s: shape %S is not rows of samples of shape %S", name, got, want);
    Py_XDECREF(got);
    Py_XDECREF(want);
    return 0;
}

PyArrayObject *new_output(const GraphObject *g, size_t rows)
{
    size_t ndim, shape[PN_MAX_DIMS];
    npy_intp full[PN_MAX_DIMS + 1] = { (npy_intp)rows };
    pn_graph_output(g->graph, &ndim, shape);
    for (size_t i = 0; i < ndim; i++) full[i + 1] = (npy_intp)shape[i];
    return new_array(ndim + 1, full, g->dtype);
}

/* ---- Plan ------------------------------------------------------------------------------------------------------ */
typedef struct { PyObject_HEAD pn_plan *plan; GraphObject *graph; size_t rows; pn_mode mode; PyArrayObject *x; int busy; } PlanObject;

static void plan_dealloc(PlanObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    pn_plan_free(self->plan);
    Py_XDECREF(self->graph);
    Py_XDECREF(self->x);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *plan_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = { "graph", "rows", "mode", NULL };
    static const char *const modes[] = { [PN_PREDICT] = "predict", [PN_BACKWARD] = "backward", [PN_TRAIN] = "train" };
    PyObject *graph;
    Py_ssize_t rows;
    const char *name;
    pn_error error;
    size_t mode = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Ons", names, &graph, &rows, &name)) return NULL;
    while (mode <= PN_TRAIN && strcmp(name, modes[mode])) mode++;
    if (mode > PN_TRAIN) {
        PyErr_Format(PyExc_ValueError, "mode: expected 'predict', 'backward' or 'train', got '%.40s'", name);
        return NULL;
    }
    GraphObject *g = as_graph(PyType_GetModule(type), graph);
    if (!g) return NULL;
    if (rows < 0) {
        PyErr_Format(PyExc_ValueError, "rows: expected 0 or more, got %zd", rows);
        return NULL;
    }
    PlanObject *self = (PlanObject *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->graph = (GraphObject *)Py_NewRef(graph);
    g->sealed = 1;
    self->rows = (size_t)rows;
    self->mode = (pn_mode)mode;
    pn_status status = pn_plan_new(g->graph, (size_t)rows, (pn_mode)mode, &self->plan, &error);
    if (!status) return (PyObject *)self;
    Py_DECREF(self);
    return raise_status(status, &error);
}

/* One thread at a time: a plan is one set of buffers. */
static int enter(PlanObject *self)
{
    if (self->busy) PyErr_SetString(PyExc_RuntimeError, "this layer is in use by another thread; give each thread a copy of its own");
    return !self->busy && (self->busy = 1);
}

static int fits(const PlanObject *self, PyArrayObject *x)
{
    if ((size_t)PyArray_DIM(x, 0) == self->rows) return 1;
    PyErr_Format(PyExc_ValueError, "x: %zd rows were given to a plan of %zu", (Py_ssize_t)PyArray_DIM(x, 0), self->rows);
    return 0;
}

static PyObject *plan_forward(PlanObject *self, PyObject *given)
{
    if (self->mode == PN_TRAIN) {
        PyErr_SetString(PyExc_RuntimeError, "a plan for training ends in a loss, which only Fit gives");
        return NULL;
    }
    PyArrayObject *x = real_array(given, self->graph->dtype, "x"), *y = NULL;
    if (!x || !check_sample(self->graph, x, "x") || !fits(self, x) || !(y = new_output(self->graph, self->rows)) || !enter(self)) {
        Py_XDECREF(x);
        Py_XDECREF(y);
        return NULL;
    }
    PyThreadState *state = PyArray_SIZE(x) + PyArray_SIZE(y) > RELEASE_AT ? PyEval_SaveThread() : NULL;
    pn_plan_forward(self->plan, PyArray_DATA(x), PyArray_DATA(y));
    if (state) PyEval_RestoreThread(state);
    self->busy = 0;
    Py_XSETREF(self->x, x);
    return (PyObject *)y;
}

static PyObject *plan_backward(PlanObject *self, PyObject *given)
{
    PyArrayObject *y = new_output(self->graph, self->rows), *gx = NULL;
    PyArrayObject *gy = y ? real_array(given, self->graph->dtype, "gy") : NULL;
    pn_error error;
    pn_status status = PN_OK;
    if (!gy) goto done;
    if (!PyArray_SAMESHAPE(gy, y)) {
        PyObject *got = PyObject_GetAttrString((PyObject *)gy, "shape"), *want = PyObject_GetAttrString((PyObject *)y, "shape");
        if (got && want) PyErr_Format(PyExc_ValueError, "gy: shape %S differs from the output's %S", got, want);
        Py_XDECREF(got);
        Py_XDECREF(want);
        goto done;
    }
    if (!self->x) {
        PyErr_SetString(PyExc_RuntimeError, "backward needs a forward call before it");
        goto done;
    }
    gx = (PyArrayObject *)PyArray_NewLikeArray(self->x, NPY_CORDER, NULL, 0);
    if (!gx || !enter(self)) {
        Py_CLEAR(gx);
        goto done;
    }
    PyThreadState *state = PyArray_SIZE(gx) + PyArray_SIZE(gy) > RELEASE_AT ? PyEval_SaveThread() : NULL;
    status = pn_plan_backward(self->plan, PyArray_DATA(gy), PyArray_DATA(gx), &error);
    if (state) PyEval_RestoreThread(state);
    self->busy = 0;
    if (status) {
        Py_CLEAR(gx);
        raise_status(status, &error);
    }
done:
    Py_XDECREF(y);
    Py_XDECREF(gy);
    return (PyObject *)gx;
}

static PyObject *plan_output_shape(PlanObject *self, void *unused)
{
    PyObject *sample = graph_output_shape(self->graph, unused), *out = NULL;
    PyObject *rows = sample ? Py_BuildValue("(n)", (Py_ssize_t)self->rows) : NULL;
    if (rows) out = PySequence_Concat(rows, sample);
    Py_XDECREF(rows);
    Py_XDECREF(sample);
    return out;
}

static PyObject *plan_bytes(PlanObject *self, void *unused) { (void)unused; return PyLong_FromSize_t(pn_plan_bytes(self->plan)); }

PyObject *step_list(const pn_plan *plan)
{
    PyObject *list = PyList_New(0);
    pn_step_info s;
    for (size_t i = 0; list && pn_plan_step(plan, i, &s); i++) {
        PyObject *step = Py_BuildValue("ssNdd", s.what, s.where, PyBool_FromLong(s.forward), s.flops, s.seconds);
        if (!step || PyList_Append(list, step) < 0) Py_CLEAR(list);
        Py_XDECREF(step);
    }
    return list;
}
static PyObject *plan_steps(PlanObject *self, void *unused) { (void)unused; return step_list(self->plan); }
static PyObject *plan_bytes_apart(PlanObject *self, void *unused) { (void)unused; return PyLong_FromSize_t(pn_plan_bytes_apart(self->plan)); }

/* ---- types ------------------------------------------------------------------------------------------------------ */
static PyMethodDef graph_methods[] = {
    { "add", (PyCFunction)graph_add, METH_VARARGS,
      "add($self, kind, where, config, parameters, /)\n--\n\nOne more layer; parameters are pairs (data, grad or None)." },
    { NULL, NULL, 0, NULL },
};
static PyGetSetDef graph_getset[] = {
    { "dtype", (getter)graph_dtype, NULL, "'float32' or 'float64'.", NULL },
    { "output_shape", (getter)graph_output_shape, NULL, "The shape of one sample's output.", NULL },
    { NULL, NULL, NULL, NULL, NULL },
};
static PyType_Slot graph_slots[] = {
    { Py_tp_new, graph_new },
    { Py_tp_dealloc, graph_dealloc },
    { Py_tp_methods, graph_methods },
    { Py_tp_getset, graph_getset },
    { Py_tp_doc, "Graph(dtype, shape)\n--\n\nA net for samples of a shape: layers in a row." },
    { 0, NULL },
};
static PyMethodDef plan_methods[] = {
    { "forward", (PyCFunction)plan_forward, METH_O, "forward($self, x, /)\n--\n\nThe output for x, which the plan keeps until the next call." },
    { "backward", (PyCFunction)plan_backward, METH_O, "backward($self, gy, /)\n--\n\nThe gradient of x; adds to those of the parameters." },
    { NULL, NULL, 0, NULL },
};
static PyGetSetDef plan_getset[] = {
    { "output_shape", (getter)plan_output_shape, NULL, "Rows, and the shape of one sample's output.", NULL },
    { "bytes", (getter)plan_bytes, NULL, "Size of the plan's arena.", NULL },
    { "bytes_apart", (getter)plan_bytes_apart, NULL, "What the plan's buffers would take if none shared its place.", NULL },
    { "steps", (getter)plan_steps, NULL, "Each step: what it does, for which layer, in the forward pass?, FLOP, seconds.", NULL },
    { NULL, NULL, NULL, NULL, NULL },
};
static PyType_Slot plan_slots[] = {
    { Py_tp_new, plan_new },
    { Py_tp_dealloc, plan_dealloc },
    { Py_tp_methods, plan_methods },
    { Py_tp_getset, plan_getset },
    { Py_tp_doc, "Plan(graph, rows, mode)\n--\n\nA graph decided for a number of rows; mode: 'predict', 'backward' or 'train'." },
    { 0, NULL },
};
static PyType_Spec graph_spec = { "pynn._core.Graph", sizeof(GraphObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, graph_slots };
static PyType_Spec plan_spec = { "pynn._core.Plan", sizeof(PlanObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, plan_slots };

int add_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    int status = type ? PyModule_AddType(module, (PyTypeObject *)type) : -1;
    Py_XDECREF(type);
    return status;
}

int add_model(PyObject *module)
{
    return add_type(module, &graph_spec) < 0 ? -1 : add_type(module, &plan_spec);
}
