/* training.c - losses, updates, fit and predict as Python calls. */
#include "binding.h"
#include <stdlib.h>

/* ---- targets ---------------------------------------------------------------------------------------------------- */
/* Converts y for a loss over (rows, cols): class indices where its dtype is integer and the loss takes them, numbers otherwise. */
static PyArrayObject *target_array(size_t loss, pn_dtype t, size_t rows, size_t cols, PyObject *given, const char *name,
                                   pn_target *target)
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

/* ---- groups: [(optimizer, hyper, [(p, g, (state, ...)), ...]), ...] ---------------------------------------------- */
typedef struct { size_t n; pn_group *groups; PyObject *keep; } groups;

static void groups_clear(groups *g)
{
    for (size_t i = 0; g->groups && i < g->n; i++) free((void *)g->groups[i].segments);
    free(g->groups);
    Py_CLEAR(g->keep);
    *g = (groups){ 0 };
}

/* Takes the array's data, and a reference into keep. */
static void *hold(groups *g, PyObject *given, pn_dtype t, size_t *n, const char *name)
{
    PyArrayObject *a = in_place_array(given, t, name);
    void *data = NULL;
    if (!a) return NULL;
    if (*n != SIZE_MAX && *n != (size_t)PyArray_SIZE(a)) PyErr_Format(PyExc_ValueError, "%s: its size differs from its parameter's", name);
    else if (PyList_Append(g->keep, (PyObject *)a) == 0) {
        *n = (size_t)PyArray_SIZE(a);
        data = PyArray_DATA(a);
    }
    Py_DECREF(a);
    return data;
}

static size_t count_states(const char *names)
{
    size_t n = *names != 0;
    for (; *names; names++) n += *names == ' ';
    return n;
}

static int parse_segment(groups *g, size_t optimizer, PyObject *item, pn_segment *s)
{
    PyObject *p, *grad, *states;
    if (!PyArg_ParseTuple(item, "OOO!;a parameter is (data, grad, states)", &p, &grad, &PyTuple_Type, &states)) return 0;
    if ((size_t)PyTuple_GET_SIZE(states) != count_states(pn_optimizer_at(optimizer)->states)) {
        PyErr_Format(PyExc_ValueError, "%s keeps %zu states a parameter, got %zd", pn_optimizer_at(optimizer)->cls,
                     count_states(pn_optimizer_at(optimizer)->states), PyTuple_GET_SIZE(states));
        return 0;
    }
    *s = (pn_segment){ .n = SIZE_MAX, .dtype = PyArray_Check(p) && PyArray_TYPE((PyArrayObject *)p) == NPY_FLOAT ? PN_F32 : PN_F64 };
    s->p = hold(g, p, s->dtype, &s->n, "parameter");
    if (s->p) s->g = hold(g, grad, s->dtype, &s->n, "gradient");
    if (!s->p || !s->g) return 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(states); i++)
        if (!(s->state[i] = hold(g, PyTuple_GET_ITEM(states, i), s->dtype, &s->n, "optimizer state"))) return 0;
    return 1;
}

static int parse_group(groups *g, PyObject *item, pn_group *group)
{
    Py_ssize_t index;
    PyObject *hyper, *params;
    if (!PyArg_ParseTuple(item, "nO!O!;a group is (optimizer, hyper, parameters)", &index, &PyTuple_Type, &hyper, &PyList_Type, &params)) return 0;
    if (!check_index((size_t)index, pn_optimizer_at((size_t)index), "optimizers")) return 0;
    if (PyTuple_GET_SIZE(hyper) > PN_MAX_HYPER) {
        PyErr_SetString(PyExc_ValueError, "too many hyperparameters");
        return 0;
    }
    group->optimizer = (size_t)index;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(hyper); i++) {
        group->hyper[i] = PyFloat_AsDouble(PyTuple_GET_ITEM(hyper, i));
        if (PyErr_Occurred()) return 0;
    }
    group->n = (size_t)PyList_GET_SIZE(params);
    pn_segment *segments = calloc(group->n + 1, sizeof *segments);
    group->segments = segments;
    if (!segments) return PyErr_NoMemory() != NULL;
    for (size_t i = 0; i < group->n; i++) {
        PyObject *s = PyList_GET_ITEM(params, (Py_ssize_t)i);
        if (!PyTuple_Check(s)) PyErr_SetString(PyExc_TypeError, "a parameter is (data, grad, states)");
        if (PyErr_Occurred() || !parse_segment(g, group->optimizer, s, &segments[i])) return 0;
    }
    return 1;
}

static int parse_groups(PyObject *list, groups *g)
{
    *g = (groups){ 0 };
    if (!PyList_Check(list)) {
        PyErr_SetString(PyExc_TypeError, "groups: expected a list");
        return 0;
    }
    g->keep = PyList_New(0);
    g->groups = calloc((size_t)PyList_GET_SIZE(list) + 1, sizeof *g->groups);
    if (g->keep && !g->groups) PyErr_NoMemory();
    for (Py_ssize_t i = 0; g->keep && g->groups && i < PyList_GET_SIZE(list); i++) {
        PyObject *item = PyList_GET_ITEM(list, i);
        g->n = (size_t)i + 1;
        if (!PyTuple_Check(item)) PyErr_SetString(PyExc_TypeError, "a group is (optimizer, hyper, parameters)");
        if (PyErr_Occurred() || !parse_group(g, item, &g->groups[i])) break;
    }
    if (!PyErr_Occurred()) return 1;
    groups_clear(g);
    return 0;
}

static PyObject *update(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *list;
    long long step;
    groups g;
    if (!PyArg_ParseTuple(args, "OL", &list, &step) || !parse_groups(list, &g)) return NULL;
    size_t elements = 0;
    for (size_t i = 0; i < g.n; i++)
        for (size_t j = 0; j < g.groups[i].n; j++) elements += g.groups[i].segments[j].n;
    PyThreadState *state = elements > RELEASE_AT ? PyEval_SaveThread() : NULL;
    pn_update(g.groups, g.n, step);
    if (state) PyEval_RestoreThread(state);
    groups_clear(&g);
    Py_RETURN_NONE;
}

/* ---- fit and predict ---------------------------------------------------------------------------------------------- */
/* Runs without the GIL; takes it to let a signal handler raise. */
static int poll_signals(void *context)
{
    (void)context;
    PyGILState_STATE state = PyGILState_Ensure();
    int stop = PyErr_CheckSignals();
    PyGILState_Release(state);
    return stop;
}

typedef struct {
    PyObject_HEAD
    pn_fit *fit;
    pn_data data;
    pn_fit_options options;
    groups groups;
    PyObject *graph;
    PyArrayObject *x, *y;
    long long step;
    int busy;
} FitObject;

static void fit_dealloc(FitObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    pn_fit_free(self->fit);
    groups_clear(&self->groups);
    Py_XDECREF(self->graph);
    Py_XDECREF(self->x);
    Py_XDECREF(self->y);
    type->tp_free(self);
    Py_DECREF(type);
}

/* x and, where given, y for a graph and a loss. */
static int take_data(const GraphObject *g, size_t loss, PyObject *px, PyObject *py, PyArrayObject **x, PyArrayObject **y, pn_data *data)
{
    size_t ndim, shape[PN_MAX_DIMS], cols = 1;
    *x = real_array(px, g->dtype, "X");
    if (!*x || !check_sample(g, *x, "X")) return 0;
    data->rows = (size_t)PyArray_DIM(*x, 0);
    data->x = PyArray_DATA(*x);
    if (py == Py_None) return 1;
    pn_graph_output(g->graph, &ndim, shape);
    for (size_t i = 0; i < ndim; i++) cols *= shape[i];
    *y = target_array(loss, g->dtype, data->rows, cols, py, "y", &data->y);
    return *y != NULL;
}

static PyObject *fit_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = { "graph", "x", "y", "loss", "sum", "batch_size", "shuffle", "seed", "groups", NULL };
    PyObject *graph, *x, *y, *list;
    Py_ssize_t loss, batch_size;
    int sum, shuffle;
    unsigned long long seed;
    pn_error error;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOnpnpKO", names, &graph, &x, &y, &loss, &sum, &batch_size, &shuffle, &seed, &list)) return NULL;
    GraphObject *g = as_graph(PyType_GetModule(type), graph);
    if (!g || !check_index((size_t)loss, pn_loss_at((size_t)loss), "losses")) return NULL;
    FitObject *self = (FitObject *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->graph = Py_NewRef(graph);
    g->sealed = 1;
    if (!parse_groups(list, &self->groups) || !take_data(g, (size_t)loss, x, y, &self->x, &self->y, &self->data)) goto fail;
    self->options = (pn_fit_options){ .loss = (size_t)loss, .batch_size = batch_size < 1 ? 0 : (size_t)batch_size, .sum = sum, .shuffle = shuffle,
        .seed = seed, .groups = self->groups.groups, .n_groups = self->groups.n, .poll = poll_signals };
    pn_status status = pn_fit_new(g->graph, &self->data, &self->options, &self->fit, &error);
    if (!status) return (PyObject *)self;
    raise_status(status, &error);
fail:
    Py_DECREF(self);
    return NULL;
}

static PyObject *score_tuple(const pn_score *s) { return Py_BuildValue("dnnn", s->loss, (Py_ssize_t)s->values, (Py_ssize_t)s->correct, (Py_ssize_t)s->rows); }

static PyObject *fit_epoch(FitObject *self, PyObject *number)
{
    unsigned long long epoch = PyLong_AsUnsignedLongLong(number);
    pn_score score;
    pn_error error;
    int64_t step = self->step;
    if (PyErr_Occurred()) return NULL;
    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "this fit is in use by another thread");
        return NULL;
    }
    self->busy = 1;
    PyThreadState *state = PyEval_SaveThread();
    pn_status status = pn_fit_epoch(self->fit, epoch, &step, &score, &error);
    PyEval_RestoreThread(state);
    self->busy = 0;
    self->step = step;
    return status ? raise_status(status, &error) : score_tuple(&score);
}

static PyObject *fit_get_step(FitObject *self, void *unused) { (void)unused; return PyLong_FromLongLong(self->step); }
static int fit_set_step(FitObject *self, PyObject *value, void *unused)
{
    (void)unused;
    if (!value) {
        PyErr_SetString(PyExc_AttributeError, "step cannot be deleted");
        return -1;
    }
    long long step = PyLong_AsLongLong(value);
    if (PyErr_Occurred()) return -1;
    self->step = step;
    return 0;
}

/* predict(graph, x, y or None, loss, batch_size, want_output) -> (output or None, score or None) */
static PyObject *predict(PyObject *module, PyObject *args)
{
    PyObject *graph, *px, *py, *result = NULL;
    Py_ssize_t loss, batch_size;
    int want;
    PyArrayObject *x = NULL, *y = NULL, *out = NULL;
    pn_data data = { 0 };
    pn_score score;
    pn_error error;
    if (!PyArg_ParseTuple(args, "OOOnnp", &graph, &px, &py, &loss, &batch_size, &want)) return NULL;
    GraphObject *g = as_graph(module, graph);
    if (!g || (py != Py_None && !check_index((size_t)loss, pn_loss_at((size_t)loss), "losses"))) return NULL;
    if (!take_data(g, (size_t)loss, px, py, &x, &y, &data)) goto done;
    if (want && !(out = new_output(g, data.rows))) goto done;
    pn_fit_options options = { .loss = (size_t)loss, .batch_size = batch_size < 1 ? 0 : (size_t)batch_size, .poll = poll_signals };
    PyThreadState *state = PyArray_SIZE(x) > RELEASE_AT ? PyEval_SaveThread() : NULL;
    if (!state) options.poll = NULL;
    pn_status status = pn_predict(g->graph, &data, &options, out ? PyArray_DATA(out) : NULL, y ? &score : NULL, &error);
    if (state) PyEval_RestoreThread(state);
    if (status) raise_status(status, &error);
    else {
        PyObject *scores = y ? score_tuple(&score) : Py_NewRef(Py_None);
        if (scores) result = Py_BuildValue("ON", out ? (PyObject *)out : Py_None, scores);
    }
done:
    Py_XDECREF(x);
    Py_XDECREF(y);
    Py_XDECREF(out);
    return result;
}

/* uniform(out, seed, stream, low, high): fills a float32 or float64 array in place. */
static PyObject *uniform(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *given;
    unsigned long long seed, stream;
    double low, high;
    if (!PyArg_ParseTuple(args, "OKKdd", &given, &seed, &stream, &low, &high)) return NULL;
    pn_dtype t = PyArray_Check(given) && PyArray_TYPE((PyArrayObject *)given) == NPY_FLOAT ? PN_F32 : PN_F64;
    PyArrayObject *out = in_place_array(given, t, "out");
    if (!out) return NULL;
    pn_random_uniform(seed, stream, low, high, t, (size_t)PyArray_SIZE(out), PyArray_DATA(out));
    Py_DECREF(out);
    Py_RETURN_NONE;
}

static PyMethodDef fit_methods[] = {
    { "epoch", (PyCFunction)fit_epoch, METH_O, "epoch($self, number, /)\n--\n\nOne epoch: (loss sum, values, correct, rows)." },
    { NULL, NULL, 0, NULL },
};
static PyGetSetDef fit_getset[] = {
    { "step", (getter)fit_get_step, (setter)fit_set_step, "Updates done so far.", NULL },
    { NULL, NULL, NULL, NULL, NULL },
};
static PyType_Slot fit_slots[] = {
    { Py_tp_new, fit_new },
    { Py_tp_dealloc, fit_dealloc },
    { Py_tp_methods, fit_methods },
    { Py_tp_getset, fit_getset },
    { Py_tp_doc, "Fit(graph, x, y, loss, sum, batch_size, shuffle, seed, groups)\n--\n\nTraining, an epoch a call." },
    { 0, NULL },
};
static PyType_Spec fit_spec = { "pynn._core.Fit", sizeof(FitObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, fit_slots };

static PyMethodDef functions[] = {
    { "loss", loss, METH_VARARGS, "loss($module, index, x, target, scale, want_values, /)\n--\n\n(sum, values or None, gradient) over rows and columns." },
    { "check_target", check_target, METH_VARARGS,
      "check_target($module, index, dtype, rows, cols, target, name, /)\n--\n\nRaise what loss would, naming the target so." },
    { "update", update, METH_VARARGS, "update($module, groups, step, /)\n--\n\nOne optimizer step, counted from 1." },
    { "predict", predict, METH_VARARGS, "predict($module, graph, x, y, loss, batch_size, want_output, /)\n--\n\n(output or None, score or None)." },
    { "uniform", uniform, METH_VARARGS, "uniform($module, out, seed, stream, low, high, /)\n--\n\nFill out with numbers in [low, high)." },
    { NULL, NULL, 0, NULL },
};

int add_training(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &fit_spec, NULL);
    int status = type ? PyModule_AddType(module, (PyTypeObject *)type) : -1;
    Py_XDECREF(type);
    return status < 0 ? -1 : PyModule_AddFunctions(module, functions);
}
