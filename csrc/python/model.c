/* model.c - graphs as Python objects. Arguments are converted and passed on; decisions belong to
 * the core. */
#include "model.h"
#include "array.h"
#include "custom.h"
#include "formula.h"
#include "gate.h"
#include "read_graph.h"
#include "service.h"

/* ---- Graph ----------------------------------------------------------------------------------- */
static PyTypeObject *graph_type;

/* Layers written in Python can own objects that refer to this graph. References from the graph
 * persist until it is freed, so these cycles are broken on the layer's side (custom.c). */
static int graph_traverse(GraphObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->keep);
    return 0;
}

static void graph_dealloc(GraphObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    pn_graph_free(self->graph);
    PyMem_Free(self->tracked);
    Py_XDECREF(self->keep);
    Py_XDECREF(self->gates);
    type->tp_free(self);
    Py_DECREF(type);
}

static int shape_of(PyArrayObject *a, size_t *shape)
{
    if (PyArray_NDIM(a) > PN_MAX_DIMS) {
        PyErr_Format(PyExc_ValueError,
                     "an array of %d dimensions is too many; at most %d are allowed",
                     PyArray_NDIM(a), PN_MAX_DIMS);
        return 0;
    }
    for (int i = 0; i < PyArray_NDIM(a); i++) shape[i] = (size_t)PyArray_DIM(a, i);
    return 1;
}

/* Binds one parameter, a pair (data, grad or None). The graph borrows the arrays, and the
 * GraphObject keeps them alive. */
static int bind_parameter(GraphObject *self, size_t slot, PyObject *pair)
{
    PyObject *data, *grad;
    size_t shape[PN_MAX_DIMS];
    pn_error error;
    int ok = 0;
    if (!PyArg_ParseTuple(pair, "OO", &data, &grad)) return 0;
    PyArrayObject *d = readable_array(data, self->dtype, "parameter"), *g = NULL;
    if (!d || !shape_of(d, shape)) goto done;
    if (grad != Py_None) {
        g = in_place_array(grad, self->dtype, "gradient");
        if (!g) goto done;
        if (!PyArray_SAMESHAPE(d, g)) {
            PyErr_SetString(PyExc_ValueError, "a gradient must have its parameter's shape");
            goto done;
        }
    }
    pn_status status = pn_graph_bind(self->graph, slot, (size_t)PyArray_NDIM(d), shape,
                                     PyArray_DATA(d), g ? PyArray_DATA(g) : NULL, &error);
    if (status) raise_status(status, &error);
    if (!PyArray_ISWRITEABLE(d)) self->read_only = 1;
    if (!status) ok = keep_array(&self->keep, d) && (!g || keep_array(&self->keep, g));
done:
    Py_XDECREF(d);
    Py_XDECREF(g);
    return ok;
}

/* Converts a tuple of node numbers to a new array. Returns NULL with an exception on failure. */
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

static int check_open(const GraphObject *self)
{
    if (self->sealed)
        PyErr_SetString(PyExc_RuntimeError, "a graph that has a plan cannot be extended");
    return !self->sealed;
}

/* Converts a tuple of sizes to a shape. Returns the number of dimensions, or -1 with an
 * exception. */
static Py_ssize_t parse_shape(PyObject *tuple, size_t *shape)
{
    Py_ssize_t n = PyTuple_GET_SIZE(tuple);
    if (n > PN_MAX_DIMS) {
        PyErr_Format(PyExc_ValueError,
                     "a sample of %zd dimensions is too many; at most %d are allowed", n,
                     PN_MAX_DIMS);
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        shape[i] = PyLong_AsSize_t(PyTuple_GET_ITEM(tuple, i));
        if (PyErr_Occurred()) return -1;
    }
    return n;
}

/* Parses one number of a setting. A seed may need all 64 bits, which a double cannot represent. */
static int parse_number(PyObject *value, double *number, uint64_t *seed)
{
    *number = PyFloat_AsDouble(value);
    if (PyErr_Occurred()) return 0;
    if (!PyLong_Check(value)) return 1;
    *seed = PyLong_AsUnsignedLongLong(value);
    if (!PyErr_Occurred()) return 1;
    *seed = 0;                                  /* negative or too large: not a seed */
    PyErr_Clear();
    return 1;
}

/* Parses a value of a layer's configuration: a name, a formula, a number or a tuple of numbers. */
static int parse_setting(PyObject *name, PyObject *value, pn_setting *setting)
{
    pn_setting s = { .name = PyUnicode_AsUTF8(name), .n = 1 };
    if (!s.name) return 0;
    if (PyUnicode_Check(value)) {
        s.n = 0;
        s.text = PyUnicode_AsUTF8(value);
        if (!s.text) return 0;
    } else if (is_formula(value)) {
        s.formula = formula_of(value, s.name);
        s.n = 0;
    } else if (PyTuple_Check(value)) {
        s.n = (size_t)PyTuple_GET_SIZE(value);
        if (s.n > PN_MAX_DIMS) {
            PyErr_Format(PyExc_ValueError, "%s: expected at most %d numbers, got %zu", s.name,
                         PN_MAX_DIMS, s.n);
            return 0;
        }
        for (size_t i = 0; i < s.n; i++) {
            s.number[i] = PyFloat_AsDouble(PyTuple_GET_ITEM(value, (Py_ssize_t)i));
            if (PyErr_Occurred()) return 0;
        }
    } else if (!parse_number(value, &s.number[0], &s.seed)) return 0;
    *setting = s;
    return 1;
}

/* Parses a dict of settings, from which texts are borrowed. The graph keeps formulas alive. Returns
 * their number, or -1 with an exception. */
static Py_ssize_t parse_settings(GraphObject *self, PyObject *dict, const char *where,
                                 pn_setting *settings)
{
    Py_ssize_t at = 0, n = 0;
    PyObject *name, *value;
    if (PyDict_GET_SIZE(dict) > PN_MAX_SETTINGS) {
        PyErr_Format(PyExc_ValueError, "%s: expected at most %d settings, got %zd", where,
                     PN_MAX_SETTINGS, PyDict_GET_SIZE(dict));
        return -1;
    }
    while (PyDict_Next(dict, &at, &name, &value)) {
        if (!PyUnicode_Check(name)) {
            PyErr_Format(PyExc_TypeError, "%s: the name of a setting must be a string, got %.80R",
                         where, name);
            return -1;
        }
        if (!parse_setting(name, value, &settings[n++])) return -1;
        if (settings[n - 1].formula && PyList_Append(self->keep, value) < 0) return -1;
    }
    return n;
}

/* Adds a layer whose kind, settings and custom functions are set, and binds its parameters. Returns
 * the number of the new node. */
static PyObject *add_layer(GraphObject *self, pn_layer *layer, PyObject *parameters,
                           PyObject *inputs)
{
    pn_error error;
    if (!check_open(self)) return NULL;
    size_t *nodes = inputs ? parse_nodes(inputs) : NULL;
    if (inputs && !nodes) return NULL;
    layer->n_inputs = inputs ? (size_t)PyTuple_GET_SIZE(inputs) : 0;
    layer->inputs = nodes;
    pn_status status = pn_graph_add(self->graph, layer, &error);
    PyMem_Free(nodes);
    if (status) return raise_status(status, &error);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(parameters); i++) {
        PyObject *pair = PyTuple_GET_ITEM(parameters, i);
        if (!PyTuple_Check(pair))
            return PyErr_Format(PyExc_TypeError,
                                "a parameter is a pair (data, grad or None), got %.80R", pair);
        if (!bind_parameter(self, (size_t)i, pair)) return NULL;
    }
    return PyLong_FromSize_t(pn_graph_nodes(self->graph) - 1);
}

/* add(kind, where, {setting: value}, ((data, grad or None), ...), inputs=(), training=False):
 * returns the number of the new node. */
static PyObject *graph_add(GraphObject *self, PyObject *args)
{
    pn_layer layer = { 0 };
    PyObject *config, *parameters, *inputs = NULL;
    pn_setting settings[PN_MAX_SETTINGS];
    if (!PyArg_ParseTuple(args, "ssO!O!|O!p", &layer.kind, &layer.where, &PyDict_Type, &config,
                          &PyTuple_Type, &parameters, &PyTuple_Type, &inputs, &layer.training))
        return NULL;
    /* use a copy, because converting a value may run code that changes the original */
    config = PyDict_Copy(config);
    const Py_ssize_t n = config ? parse_settings(self, config, layer.where, settings) : -1;
    layer.n_settings = n < 0 ? 0 : (size_t)n;
    layer.settings = settings;
    PyObject *node = n < 0 ? NULL : add_layer(self, &layer, parameters, inputs);
    Py_XDECREF(config);
    return node;
}

/* add_custom(layer, where, shape, names, ((data, grad or None), ...), inputs): adds a layer written
 * in Python and returns the number of its node. */
static PyObject *graph_add_custom(GraphObject *self, PyObject *args)
{
    pn_layer layer = { .kind = "custom" };
    PyObject *object, *shape, *names, *parameters, *inputs;
    pn_setting settings[] = { { .name = "num_parameters", .n = 1 }, { .name = "shape" } };
    if (!PyArg_ParseTuple(args, "OsO!O!O!O!", &object, &layer.where, &PyTuple_Type, &shape,
                          &PyTuple_Type, &names, &PyTuple_Type, &parameters, &PyTuple_Type,
                          &inputs))
        return NULL;
    if (PyTuple_GET_SIZE(names) != PyTuple_GET_SIZE(parameters))
        return PyErr_Format(PyExc_ValueError, "names: expected %zd, one per parameter, got %zd",
                            PyTuple_GET_SIZE(parameters), PyTuple_GET_SIZE(names));
    settings[0].number[0] = (double)PyTuple_GET_SIZE(parameters);
    size_t sizes[PN_MAX_DIMS];
    const Py_ssize_t ndim = parse_shape(shape, sizes);
    if (ndim < 0) return NULL;
    settings[1].n = (size_t)ndim;
    for (Py_ssize_t i = 0; i < ndim; i++) settings[1].number[i] = (double)sizes[i];
    layer.n_settings = 2;
    layer.settings = settings;
    PyObject *custom = custom_layer(self->graph, self->dtype, object, shape, names, inputs,
                                    &layer.custom);
    if (!custom) return NULL;
    int kept = PyList_Append(self->keep, custom);
    Py_DECREF(custom);
    self->has_custom = 1;
    return kept < 0 ? NULL : add_layer(self, &layer, parameters, inputs);
}

/* guard(gate, parameter=None): adds the gate of a part of the graph, and a parameter whose values
 * must not change between forward and backward. */
static PyObject *graph_guard(GraphObject *self, PyObject *args)
{
    PyObject *gate, *given = Py_None;
    if (!PyArg_ParseTuple(args, "O|O", &gate, &given) || !check_open(self) ||
        !gates_add(self->gates, gate))
        return NULL;
    if (given == Py_None) Py_RETURN_NONE;
    PyArrayObject *a = readable_array(given, self->dtype, "parameter");
    tracked *more = a ? PyMem_Realloc(self->tracked, (self->n_tracked + 1) * sizeof *more) : NULL;
    if (a && !more) PyErr_NoMemory();
    if (more) {
        self->tracked = more;
        more[self->n_tracked++] = (tracked){ gate, PyArray_DATA(a),
                                             (size_t)PyArray_NBYTES(a) / sizeof(uint32_t) };
    }
    const int kept = more && keep_array(&self->keep, a);
    Py_XDECREF(a);
    return kept ? Py_NewRef(Py_None) : NULL;
}

static PyObject *graph_input(GraphObject *self, PyObject *shape)
{
    size_t dim[PN_MAX_DIMS];
    pn_error error;
    if (!PyTuple_Check(shape))
        return PyErr_Format(PyExc_TypeError, "shape: expected a tuple, got %.80R", shape);
    Py_ssize_t n = check_open(self) ? parse_shape(shape, dim) : -1;
    if (n < 0) return NULL;
    pn_status status = pn_graph_input(self->graph, (size_t)n, dim, &error);
    return status ? raise_status(status, &error)
                  : PyLong_FromSize_t(pn_graph_nodes(self->graph) - 1);
}

static PyObject *graph_outputs(GraphObject *self, PyObject *tuple)
{
    pn_error error;
    if (!PyTuple_Check(tuple))
        return PyErr_Format(PyExc_TypeError, "nodes: expected a tuple, got %.80R", tuple);
    size_t *nodes = check_open(self) ? parse_nodes(tuple) : NULL;
    if (!nodes) return NULL;
    pn_status status = pn_graph_outputs(self->graph, (size_t)PyTuple_GET_SIZE(tuple), nodes,
                                        &error);
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
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO!", names, &dtype, &PyTuple_Type, &shape))
        return NULL;
    Py_ssize_t n = parse_dtype(dtype, &t) ? parse_shape(shape, dim) : -1;
    GraphObject *self = n < 0 ? NULL : (GraphObject *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->dtype = t;
    self->keep = PyList_New(0);
    self->gates = self->keep ? PyList_New(0) : NULL;
    pn_status status = self->gates ? pn_graph_new(t, (size_t)n, dim, &self->graph, &error)
                                   : PN_NO_MEMORY;
    if (!status) return (PyObject *)self;
    if (self->gates) raise_status(status, &error);
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

PyObject *graph_output_shapes(GraphObject *self, void *unused)
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

GraphObject *as_graph(PyObject *object)
{
    if (PyObject_TypeCheck(object, graph_type)) return (GraphObject *)object;
    PyErr_Format(PyExc_TypeError, "graph: expected a Graph, got %s", Py_TYPE(object)->tp_name);
    return NULL;
}

int can_write(const GraphObject *g)
{
    if (g->read_only)
        PyErr_SetString(PyExc_ValueError,
                        "graph: has a read-only parameter, so it can only predict");
    return !g->read_only;
}

int check_sample(const GraphObject *g, size_t i, PyArrayObject *x, const char *name)
{
    size_t ndim, shape[PN_MAX_DIMS];
    pn_graph_shape(g->graph, pn_graph_input_node(g->graph, i), &ndim, shape);
    int ok = (size_t)PyArray_NDIM(x) == ndim + 1;
    for (size_t k = 0; ok && k < ndim; k++) ok = (size_t)PyArray_DIM(x, (int)k + 1) == shape[k];
    if (ok) return 1;
    PyObject *got = PyObject_GetAttrString((PyObject *)x, "shape"),
             *want = shape_tuple(g, pn_graph_input_node(g->graph, i));
    if (got && want)
        PyErr_Format(PyExc_ValueError, "%s: shape %S is not rows of samples of shape %S", name, got,
                     want);
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


/* ---- types ----------------------------------------------------------------------------------- */
static PyMethodDef graph_methods[] = {
    { "add", (PyCFunction)graph_add, METH_VARARGS,
      "add($self, kind, where, config, parameters, inputs=(), training=False, /)\n--\n\n"
      "Add a layer and return the number of its node. parameters are pairs (data, grad or None), "
      "and inputs are the nodes that it reads; by default, the previous one." },
    { "add_custom", (PyCFunction)graph_add_custom, METH_VARARGS,
      "add_custom($self, layer, where, shape, names, parameters, inputs, /)\n--\n\n"
      "Add a layer that calls custom_forward and custom_backward of layer, and return the number "
      "of its node." },
    { "guard", (PyCFunction)graph_guard, METH_VARARGS,
      "guard($self, gate, parameter=None, /)\n--\n\n"
      "Add the gate of a part of the graph. backward raises if the parameter has changed since "
      "forward." },
    { "input", (PyCFunction)graph_input, METH_O,
      "input($self, shape, /)\n--\n\nAdd an input and return the number of its node." },
    { "outputs", (PyCFunction)graph_outputs, METH_O,
      "outputs($self, nodes, /)\n--\n\nSet the output nodes; by default, the last node." },
    { "shape", (PyCFunction)graph_shape, METH_O,
      "shape($self, node, /)\n--\n\nReturn the shape of one sample of a node's output." },
    { "read", (PyCFunction)graph_read, METH_NOARGS,
      "read($self, /)\n--\n\n"
      "Return a dict for each node, from which the graph can be rebuilt: kind (None for an input), "
      "where, inputs, shape, config, parameters, training, layer (if custom).\n\n"
      "Each parameter is a dict of name, shape, state (a running statistic), trainable "
      "(has a gradient in this graph), data and grad." },
    { NULL, NULL, 0, NULL },
};
static PyGetSetDef graph_getset[] = {
    { "dtype", (getter)graph_dtype, NULL, "'float32' or 'float64'.", NULL },
    { "output_shape", (getter)graph_output_shape, NULL,
      "Shape of one sample of the first output.", NULL },
    { "output_shapes", (getter)graph_output_shapes, NULL,
      "Shapes of one sample of each output.", NULL },
    { "input_nodes", (getter)graph_input_nodes, NULL, "Numbers of the input nodes.", NULL },
    { "output_nodes", (getter)graph_output_nodes, NULL, "Numbers of the output nodes.", NULL },
    { NULL, NULL, NULL, NULL, NULL },
};
static PyType_Slot graph_slots[] = {
    { Py_tp_new, graph_new },
    { Py_tp_dealloc, graph_dealloc },
    { Py_tp_traverse, graph_traverse },
    { Py_tp_methods, graph_methods },
    { Py_tp_getset, graph_getset },
    { Py_tp_doc,
      "Graph(dtype, shape)\n--\n\nA graph of layers, whose first input has this shape." },
    { 0, NULL },
};
static PyType_Spec graph_spec = { "pynn._core.Graph", sizeof(GraphObject), 0, GC_TYPE,
                                  graph_slots };

int add_model(PyObject *module)
{
    return add_type(module, &graph_spec, &graph_type);
}
