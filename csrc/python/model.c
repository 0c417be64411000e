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

/* A tuple of numbers of nodes into a fresh array; NULL and an exception when it is none. */
static size_t *parse_nodes(PyObject *tuple)
{
    Py_ssize_t n = PyTuple_GET_SIZE(tuple);
    size_t *nodes = PyMem_Malloc(((size_t)n + 1) * sizeof *nodes);
    if (!nodes) PyErr_NoMemory();
    for (Py_ssize_t i = 0; nodes && i < n; i++) {
        nodes[i] = PyLong_AsSize_t(PyTuple_GET_ITEM(tuple, i));
        if (PyErr_Occurred()) {
            PyMem_Free(nodes);
            return NULL;
        }
    }
    return nodes;
}

static int still_open(const GraphObject *self)
{
    if (self->sealed) PyErr_SetString(PyExc_RuntimeError, "a graph that has a plan takes no more layers");
    return !self->sealed;
}

static int parse_config(PyObject *tuple, const char *where, double *config)
{
    Py_ssize_t n = PyTuple_GET_SIZE(tuple);
    if (n > PN_MAX_CONFIG) {
        PyErr_Format(PyExc_ValueError, "%s: at most %d settings are allowed, got %zd", where, PN_MAX_CONFIG, n);
        return 0;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        config[i] = PyFloat_AsDouble(PyTuple_GET_ITEM(tuple, i));
        if (PyErr_Occurred()) return 0;
    }
    return 1;
}

/* Adds a layer whose kind, config and foreign half are set, and binds its parameters; gives the node's number. */
static PyObject *add_layer(GraphObject *self, pn_layer *layer, PyObject *parameters, PyObject *inputs)
{
    pn_error error;
    if (!still_open(self)) return NULL;
    size_t *nodes = inputs ? parse_nodes(inputs) : NULL;
    if (inputs && !nodes) return NULL;
    layer->n_inputs = inputs ? (size_t)PyTuple_GET_SIZE(inputs) : 0;
    layer->inputs = nodes;
    pn_status status = pn_graph_add(self->graph, layer, &error);
    PyMem_Free(nodes);
    if (status) return raise_status(status, &error);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(parameters); i++) {
        PyObject *pair = PyTuple_GET_ITEM(parameters, i);
        if (!PyTuple_Check(pair)) return PyErr_Format(PyExc_TypeError, "a parameter is a pair (data, grad or None), got %.80R", pair);
        if (!bind_parameter(self, (size_t)i, pair)) return NULL;
    }
    return PyLong_FromSize_t(pn_graph_nodes(self->graph) - 1);
}

/* add(kind, where, config, ((data, grad or None), ...), inputs=(), training=False) -> the node's number */
static PyObject *graph_add(GraphObject *self, PyObject *args)
{
    pn_layer layer = { 0 };
    PyObject *config, *parameters, *inputs = NULL;
    double numbers[PN_MAX_CONFIG];
    if (!PyArg_ParseTuple(args, "ssO!O!|O!p", &layer.kind, &layer.where, &PyTuple_Type, &config, &PyTuple_Type, &parameters, &PyTuple_Type, &inputs,
                          &layer.training) || !parse_config(config, layer.where, numbers)) return NULL;
    layer.n_config = (size_t)PyTuple_GET_SIZE(config);
    layer.config = numbers;
    return add_layer(self, &layer, parameters, inputs);
}

/* add_own(layer, where, shape, parameters, inputs) -> the node's number: a layer written in Python */
static PyObject *graph_add_own(GraphObject *self, PyObject *args)
{
    pn_layer layer = { .kind = "foreign" };
    PyObject *object, *shape, *parameters, *inputs;
    double numbers[PN_MAX_CONFIG];
    if (!PyArg_ParseTuple(args, "OsO!O!O!", &object, &layer.where, &PyTuple_Type, &shape, &PyTuple_Type, &parameters, &PyTuple_Type, &inputs) ||
        PyTuple_GET_SIZE(shape) >= PN_MAX_CONFIG || !parse_config(shape, layer.where, numbers + 1)) return NULL;
    numbers[0] = (double)PyTuple_GET_SIZE(parameters);
    layer.n_config = (size_t)PyTuple_GET_SIZE(shape) + 1;
    layer.config = numbers;
    PyObject *capsule = own_layer(self, object, shape, inputs, &layer.foreign);
    if (!capsule) return NULL;
    int kept = PyList_Append(self->keep, capsule);
    Py_DECREF(capsule);
    return kept < 0 ? NULL : add_layer(self, &layer, parameters, inputs);
}

/* A tuple of sizes into shape; the number of dimensions, or -1 and an exception. */
static Py_ssize_t parse_shape(PyObject *tuple, size_t *shape)
{
    Py_ssize_t n = PyTuple_GET_SIZE(tuple);
    if (n > PN_MAX_DIMS) {
        PyErr_Format(PyExc_ValueError, "a sample of %zd dimensions is too many; at most %d are allowed", n, PN_MAX_DIMS);
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        shape[i] = PyLong_AsSize_t(PyTuple_GET_ITEM(tuple, i));
        if (PyErr_Occurred()) return -1;
    }
    return n;
}

static PyObject *graph_input(GraphObject *self, PyObject *shape)
{
    size_t dim[PN_MAX_DIMS];
    pn_error error;
    if (!PyTuple_Check(shape)) return PyErr_Format(PyExc_TypeError, "shape: expected a tuple, got %.80R", shape);
    Py_ssize_t n = still_open(self) ? parse_shape(shape, dim) : -1;
    if (n < 0) return NULL;
    pn_status status = pn_graph_input(self->graph, (size_t)n, dim, &error);
    return status ? raise_status(status, &error) : PyLong_FromSize_t(pn_graph_nodes(self->graph) - 1);
}

static PyObject *graph_outputs(GraphObject *self, PyObject *tuple)
{
    pn_error error;
    if (!PyTuple_Check(tuple)) return PyErr_Format(PyExc_TypeError, "nodes: expected a tuple, got %.80R", tuple);
    size_t *nodes = still_open(self) ? parse_nodes(tuple) : NULL;
    if (!nodes) return NULL;
    pn_status status = pn_graph_outputs(self->graph, (size_t)PyTuple_GET_SIZE(tuple), nodes, &error);
    PyMem_Free(nodes);
    return status ? raise_status(status, &error) : Py_NewRef(Py_None);
}

static PyObject *graph_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = { "dtype", "shape", NULL };
    const char *dtype;
    PyObject *shape;
    pn_error error;
    pn_dtype t;
    size_t dim[PN_MAX_DIMS];
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO!", names, &dtype, &PyTuple_Type, &shape)) return NULL;
    Py_ssize_t n = parse_dtype(dtype, &t) ? parse_shape(shape, dim) : -1;
    GraphObject *self = n < 0 ? NULL : (GraphObject *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->dtype = t;
    self->keep = PyList_New(0);
    pn_status status = self->keep ? pn_graph_new(t, (size_t)n, dim, &self->graph, &error) : PN_NO_MEMORY;
    if (!status) return (PyObject *)self;
    if (self->keep) raise_status(status, &error);
    Py_DECREF(self);
    return NULL;
}

static PyObject *shape_tuple(const GraphObject *self, size_t node)
{
    size_t ndim, shape[PN_MAX_DIMS];
    pn_graph_shape(self->graph, node, &ndim, shape);
    PyObject *out = PyTuple_New((Py_ssize_t)ndim);
    for (size_t i = 0; out && i < ndim; i++) {
        PyObject *n = PyLong_FromSize_t(shape[i]);
        if (!n) Py_CLEAR(out);
        else PyTuple_SET_ITEM(out, (Py_ssize_t)i, n);
    }
    return out;
}

static PyObject *graph_output_shape(GraphObject *self, void *unused)
{
    (void)unused;
    return shape_tuple(self, pn_graph_output_node(self->graph, 0));
}

static PyObject *graph_output_shapes(GraphObject *self, void *unused)
{
    (void)unused;
    const size_t n = pn_graph_n_outputs(self->graph);
    PyObject *all = PyTuple_New((Py_ssize_t)n);
    for (size_t i = 0; all && i < n; i++) {
        PyObject *shape = shape_tuple(self, pn_graph_output_node(self->graph, i));
        if (!shape) Py_CLEAR(all);
        else PyTuple_SET_ITEM(all, (Py_ssize_t)i, shape);
    }
    return all;
}

static PyObject *graph_shape(GraphObject *self, PyObject *number)
{
    size_t node = PyLong_AsSize_t(number);
    if (PyErr_Occurred()) return NULL;
    if (node < pn_graph_nodes(self->graph)) return shape_tuple(self, node);
    return PyErr_Format(PyExc_ValueError, "there is no node %zu", node);
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

int check_sample(const GraphObject *g, size_t i, PyArrayObject *x, const char *name)
{
    size_t ndim, shape[PN_MAX_DIMS];
    pn_graph_shape(g->graph, pn_graph_input_node(g->graph, i), &ndim, shape);
    int ok = (size_t)PyArray_NDIM(x) == ndim + 1;
    for (size_t k = 0; ok && k < ndim; k++) ok = (size_t)PyArray_DIM(x, (int)k + 1) == shape[k];
    if (ok) return 1;
    PyObject *got = PyObject_GetAttrString((PyObject *)x, "shape"), *want = shape_tuple(g, pn_graph_input_node(g->graph, i));
    if (got && want) PyErr_Format(PyExc_ValueError, "%s: shape %S is not rows of samples of shape %S", name, got, want);
    Py_XDECREF(got);
    Py_XDECREF(want);
    return 0;
}

PyArrayObject *new_output(const GraphObject *g, size_t i, size_t rows)
{
    size_t ndim, shape[PN_MAX_DIMS];
    npy_intp full[PN_MAX_DIMS + 1] = { (npy_intp)rows };
    pn_graph_shape(g->graph, pn_graph_output_node(g->graph, i), &ndim, shape);
    for (size_t k = 0; k < ndim; k++) full[k + 1] = (npy_intp)shape[k];
    return new_array(ndim + 1, full, g->dtype);
}

/* ---- several arrays at a time: one for each input, or one for each output -------------------------------------------- */

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
    PyObject *result = a->n == 1 ? Py_NewRef((PyObject *)a->array[0]) : PyTuple_New((Py_ssize_t)a->n);
    for (size_t i = 0; a->n != 1 && result && i < a->n; i++) PyTuple_SET_ITEM(result, (Py_ssize_t)i, Py_NewRef((PyObject *)a->array[i]));
    arrays_clear(a);
    return result;
}

PyObject *nth(PyObject *given, size_t n, size_t i, const char *name)
{
    if (n == 1) return given;
    if ((PyTuple_Check(given) || PyList_Check(given)) && (size_t)PySequence_Fast_GET_SIZE(given) == n) return PySequence_Fast_GET_ITEM(given, (Py_ssize_t)i);
    PyErr_Format(PyExc_ValueError, "%s: expected a tuple of %zu arrays, got %.80R", name, n, given);
    return NULL;
}

/* ---- Plan ------------------------------------------------------------------------------------------------------ */
typedef struct { PyObject_HEAD pn_plan *plan; GraphObject *graph; size_t rows; pn_mode mode; arrays x; uint64_t tick; int busy; } PlanObject;

static void plan_dealloc(PlanObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    pn_plan_free(self->plan);
    Py_XDECREF(self->graph);
    arrays_clear(&self->x);
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

static npy_intp elements(const arrays *a)
{
    npy_intp n = 0;
    for (size_t i = 0; i < a->n; i++) n += PyArray_SIZE(a->array[i]);
    return n;
}

/* Inputs and fresh outputs for a forward pass. */
static int take_inputs(PlanObject *self, PyObject *const *given, Py_ssize_t n, arrays *x, arrays *y)
{
    const GraphObject *g = self->graph;
    const size_t inputs = pn_graph_n_inputs(g->graph), outputs = pn_graph_n_outputs(g->graph);
    if ((size_t)n != inputs) {
        PyErr_Format(PyExc_TypeError, "forward: expected %zu arrays, got %zd", inputs, n);
        return 0;
    }
    int ok = 1;
    for (size_t i = 0; ok && i < inputs; i++)
        ok = arrays_set(x, i, real_array(given[i], g->dtype, "x")) && check_sample(g, i, x->array[i], "x") && fits(self, x->array[i]);
    for (size_t i = 0; ok && i < outputs; i++) ok = arrays_set(y, i, new_output(g, i, self->rows));
    return ok;
}

static PyObject *plan_forward(PlanObject *self, PyObject *const *given, Py_ssize_t n)
{
    arrays x = { .n = 0 }, y = { .n = 0 };
    pn_error error;
    if (self->mode == PN_TRAIN) PyErr_SetString(PyExc_RuntimeError, "a plan for training ends in a loss, which only Fit gives");
    if (self->mode == PN_TRAIN || !take_inputs(self, given, n, &x, &y) || !enter(self)) {
        arrays_clear(&x);
        arrays_clear(&y);
        return NULL;
    }
    released r;
    release(&r, elements(&x) + elements(&y) > RELEASE_AT);
    pn_status status = pn_plan_forward(self->plan, (const void *const *)x.data, y.data, self->tick, &error);
    if (retake(&r)) status = PN_STOPPED;
    self->busy = 0;
    if (status) {
        arrays_clear(&x);
        arrays_clear(&y);
        return raise_status(status, &error);
    }
    arrays before = self->x;
    self->x = x;
    arrays_clear(&before);
    return arrays_take(&y);
}

static int take_gradients(PlanObject *self, PyObject *const *given, Py_ssize_t n, arrays *gy, arrays *gx)
{
    const GraphObject *g = self->graph;
    const size_t outputs = pn_graph_n_outputs(g->graph);
    if ((size_t)n != outputs) {
        PyErr_Format(PyExc_TypeError, "backward: expected %zu arrays, got %zd", outputs, n);
        return 0;
    }
    if (!self->x.n) {
        PyErr_SetString(PyExc_RuntimeError, "backward needs a forward call before it");
        return 0;
    }
    int ok = 1;
    for (size_t i = 0; ok && i < outputs; i++) {
        PyArrayObject *y = arrays_set(gy, i, real_array(given[i], g->dtype, "gy")) ? new_output(g, i, self->rows) : NULL;
        ok = y && PyArray_SAMESHAPE(gy->array[i], y);
        if (y && !ok) {
            PyObject *got = PyObject_GetAttrString((PyObject *)gy->array[i], "shape"), *want = PyObject_GetAttrString((PyObject *)y, "shape");
            if (got && want) PyErr_Format(PyExc_ValueError, "gy: shape %S differs from the output's %S", got, want);
            Py_XDECREF(got);
            Py_XDECREF(want);
        }
        Py_XDECREF(y);
    }
    for (size_t i = 0; ok && i < self->x.n; i++) ok = arrays_set(gx, i, (PyArrayObject *)PyArray_NewLikeArray(self->x.array[i], NPY_CORDER, NULL, 0));
    return ok;
}

static PyObject *plan_backward(PlanObject *self, PyObject *const *given, Py_ssize_t n)
{
    arrays gy = { .n = 0 }, gx = { .n = 0 };
    pn_error error;
    if (!take_gradients(self, given, n, &gy, &gx) || !enter(self)) {
        arrays_clear(&gy);
        arrays_clear(&gx);
        return NULL;
    }
    released r;
    release(&r, elements(&gx) + elements(&gy) > RELEASE_AT);
    pn_status status = pn_plan_backward(self->plan, (const void *const *)gy.data, gx.data, &error);
    if (retake(&r)) status = PN_STOPPED;
    self->busy = 0;
    arrays_clear(&gy);
    if (!status) return arrays_take(&gx);
    arrays_clear(&gx);
    return raise_status(status, &error);
}

static PyObject *plan_output_shapes(PlanObject *self, void *unused)
{
    (void)unused;
    PyObject *samples = graph_output_shapes(self->graph, NULL), *rows = Py_BuildValue("(n)", (Py_ssize_t)self->rows);
    for (Py_ssize_t i = 0; samples && rows && i < PyTuple_GET_SIZE(samples); i++) {
        PyObject *whole = PySequence_Concat(rows, PyTuple_GET_ITEM(samples, i));
        if (!whole) Py_CLEAR(samples);
        else PyTuple_SetItem(samples, i, whole);
    }
    Py_XDECREF(rows);
    return samples;
}

static PyObject *plan_tick(PlanObject *self, void *unused) { (void)unused; return PyLong_FromUnsignedLongLong(self->tick); }
static int plan_set_tick(PlanObject *self, PyObject *value, void *unused)
{
    (void)unused;
    unsigned long long tick = value ? PyLong_AsUnsignedLongLong(value) : 0;
    if (!value) PyErr_SetString(PyExc_AttributeError, "tick cannot be deleted");
    if (PyErr_Occurred()) return -1;
    self->tick = tick;
    return 0;
}

static PyObject *plan_bytes(PlanObject *self, void *unused) { (void)unused; return PyLong_FromSize_t(pn_plan_bytes(self->plan)); }

PyObject *step_list(const pn_plan *plan)
{
    PyObject *list = PyList_New(0);
    pn_step_info s;
    for (size_t i = 0; list && pn_plan_step(plan, i, &s); i++) {
        PyObject *step = Py_BuildValue("ssNddn", s.what, s.where, PyBool_FromLong(s.forward), s.flops, s.seconds, (Py_ssize_t)s.node);
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
      "add($self, kind, where, config, parameters, inputs=(), training=False, /)\n--\n\nOne more layer; parameters are pairs (data, grad or "
      "None), inputs the nodes it feeds on (none: the one before). Gives its number." },
    { "add_own", (PyCFunction)graph_add_own, METH_VARARGS,
      "add_own($self, layer, where, shape, parameters, inputs, /)\n--\n\nOne more layer, whose own_forward and own_backward are called back. "
      "Gives its number." },
    { "input", (PyCFunction)graph_input, METH_O, "input($self, shape, /)\n--\n\nOne more input; gives its number." },
    { "outputs", (PyCFunction)graph_outputs, METH_O, "outputs($self, nodes, /)\n--\n\nWhich nodes are the outputs; else the last one is." },
    { "shape", (PyCFunction)graph_shape, METH_O, "shape($self, node, /)\n--\n\nThe shape of one sample of a node's output." },
    { NULL, NULL, 0, NULL },
};
static PyGetSetDef graph_getset[] = {
    { "dtype", (getter)graph_dtype, NULL, "'float32' or 'float64'.", NULL },
    { "output_shape", (getter)graph_output_shape, NULL, "The shape of one sample's (first) output.", NULL },
    { "output_shapes", (getter)graph_output_shapes, NULL, "Those of all outputs.", NULL },
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
    { "forward", (PyCFunction)(void (*)(void))plan_forward, METH_FASTCALL, "forward($self, *x)\n--\n\nThe output, or a tuple of them, for x, which the plan keeps until the next call." },
    { "backward", (PyCFunction)(void (*)(void))plan_backward, METH_FASTCALL, "backward($self, *gy)\n--\n\nThe gradient of x, or a tuple; adds to those of the parameters." },
    { NULL, NULL, 0, NULL },
};
static PyGetSetDef plan_getset[] = {
    { "output_shapes", (getter)plan_output_shapes, NULL, "Rows, and the shape of one sample, of each output.", NULL },
    { "tick", (getter)plan_tick, (setter)plan_set_tick, "What random layers' numbers depend on beside their seeds.", NULL },
    { "bytes", (getter)plan_bytes, NULL, "Size of the plan's arena.", NULL },
    { "bytes_apart", (getter)plan_bytes_apart, NULL, "What the plan's buffers would take if none shared its place.", NULL },
    { "steps", (getter)plan_steps, NULL, "Each step: what it does, for which layer, in the forward pass?, FLOP, seconds, the graph's node.", NULL },
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
