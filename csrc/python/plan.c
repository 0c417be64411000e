/* plan.c - plans as Python objects: eager calls of layers and nets, and backward. */
#include "plan.h"
#include "array.h"
#include "gate.h"
#include "model.h"
#include "service.h"
#include "stop.h"

/* The state in which the last forward call ran, which backward verifies: versions and a fingerprint
 * of the parameters, and the calling thread. */
typedef struct { unsigned long long version, fingerprint; unsigned long thread; } call_state;
typedef struct {
    PyObject_HEAD
    pn_plan *plan;
    GraphObject *graph;
    size_t rows;
    pn_mode mode;
    arrays x;
    uint64_t tick;
    call_state kept;
    unsigned busy; /* the fork generation in which a call is running, or 0 */
} PlanObject;

static int plan_traverse(PlanObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->graph);
    VISIT_ARRAYS(self->x);
    return 0;
}

static void plan_dealloc(PlanObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    pn_plan_free(self->plan);
    Py_XDECREF(self->graph);
    arrays_clear(&self->x);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *plan_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = { "graph", "rows", "mode", NULL };
    static const char *const modes[] = { [PN_PREDICT] = "predict",
                                         [PN_BACKWARD] = "backward",
                                         [PN_TRAIN] = "train" };
    PyObject *graph;
    Py_ssize_t rows;
    const char *name;
    pn_error error;
    size_t mode = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Ons", names, &graph, &rows, &name)) return NULL;
    while (mode <= PN_TRAIN && strcmp(name, modes[mode])) mode++;
    if (mode > PN_TRAIN) {
        PyErr_Format(PyExc_ValueError,
                     "mode: expected 'predict', 'backward' or 'train', got '%.40s'", name);
        return NULL;
    }
    GraphObject *g = as_graph(graph);
    if (!g || (mode != PN_PREDICT && !can_write(g))) return NULL;
    if (rows < 0) {
        PyErr_Format(PyExc_ValueError, "rows: expected a number >= 0, got %zd", rows);
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

/* A plan has one set of buffers, so it runs one call at a time. A call writes running statistics
 * and gradients, so it needs exclusive access to the parameters. */
static int enter(PlanObject *self, int releases, pn_hold *hold, released *r)
{
    const unsigned now = pn_fork_generation();
    if (self->busy == now) {
        PyErr_SetString(PyExc_RuntimeError,
                        "this layer is in use by another thread, or called from within its own "
                        "call; predict may run in many threads, for anything else give each thread "
                        "its own copy (copy.deepcopy)");
        return 0;
    }
    if (!gates_check(self->graph->gates)) return 0;
    self->busy = now;
    releases |= self->graph->has_custom;
    if (gates_enter(self->graph->gates, PN_WRITE, releases, hold, r)) return 1;
    self->busy = 0;
    return 0;
}

static int leave(PlanObject *self, pn_hold *hold, released *r)
{
    const int stopped = gates_leave(hold, r);
    self->busy = 0;
    return stopped;
}

/* The number of writes to the parameters through the library, and a hash of some of their elements,
 * which detects most other writes. */
static call_state current_state(const GraphObject *g)
{
    enum { PROBES = 4 };
    call_state now = { .thread = PyThread_get_thread_ident() };
    for (size_t i = 0; i < g->n_tracked; i++) {
        const tracked *w = &g->tracked[i];
        now.version += gate_version(w->gate);
        if (!w->n) continue;
        const size_t step = (w->n - 1) / (PROBES - 1);
        for (size_t k = 0; k < PROBES; k++)
            now.fingerprint = (now.fingerprint << 9 | now.fingerprint >> 55) ^ w->words[k * step];
        now.fingerprint *= 0x9e3779b97f4a7c15u;
    }
    return now;
}

static int call_is_valid(const PlanObject *self)
{
    const call_state now = current_state(self->graph);
    if (now.thread != self->kept.thread)
        PyErr_SetString(PyExc_RuntimeError,
                        "backward: another thread made the last forward call; give each thread its "
                        "own copy (copy.deepcopy)");
    else if (now.version != self->kept.version || now.fingerprint != self->kept.fingerprint)
        PyErr_SetString(PyExc_RuntimeError,
                        "backward: the parameters have changed since the forward call (an "
                        "optimizer step, load_state_dict or an assignment), so its output is out "
                        "of date; call backward before changing them, or call the layer again");
    return !PyErr_Occurred();
}

static int fits(const PlanObject *self, PyArrayObject *x)
{
    if ((size_t)PyArray_DIM(x, 0) == self->rows) return 1;
    PyErr_Format(PyExc_ValueError, "x: %zd rows were given to a plan of %zu",
                 (Py_ssize_t)PyArray_DIM(x, 0), self->rows);
    return 0;
}

static npy_intp elements(const arrays *a)
{
    npy_intp n = 0;
    for (size_t i = 0; i < a->n; i++) n += PyArray_SIZE(a->array[i]);
    return n;
}

/* Converts the inputs and allocates the outputs of a forward pass. */
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
        ok = arrays_set(x, i, real_array(given[i], g->dtype, "x")) &&
             check_sample(g, i, x->array[i], "x") && fits(self, x->array[i]);
    for (size_t i = 0; ok && i < outputs; i++) ok = arrays_set(y, i, new_output(g, i, self->rows));
    return ok;
}

static PyObject *plan_forward(PlanObject *self, PyObject *const *given, Py_ssize_t n)
{
    arrays x = { .n = 0 }, y = { .n = 0 };
    pn_error error;
    if (self->mode == PN_TRAIN)
        PyErr_SetString(PyExc_RuntimeError,
                        "a plan for training ends in a loss, so only Fit can run it");
    int ok = self->mode != PN_TRAIN && take_inputs(self, given, n, &x, &y);
    released r;
    pn_hold hold;
    if (!ok || !enter(self, elements(&x) + elements(&y) > RELEASE_AT, &hold, &r)) {
        arrays_clear(&x);
        arrays_clear(&y);
        return NULL;
    }
    pn_status status = pn_plan_forward(self->plan, (const void *const *)x.data, y.data, self->tick,
                                       &error);
    self->kept = current_state(self->graph);
    if (leave(self, &hold, &r)) status = PN_STOPPED;
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

/* Checks that the inputs of the forward call are still in place. They are not if an array has been
 * resized. */
static int inputs_in_place(PlanObject *self)
{
    for (size_t i = 0; i < self->x.n; i++) {
        if (PyArray_DATA(self->x.array[i]) == self->x.data[i] &&
            check_sample(self->graph, i, self->x.array[i], "x") && fits(self, self->x.array[i]))
            continue;
        PyErr_SetString(PyExc_RuntimeError,
                        "backward: an input has been resized since the forward call; call the "
                        "layer again");
        return 0;
    }
    return 1;
}

static int take_gradients(PlanObject *self, PyObject *const *given, Py_ssize_t n, arrays *gy,
                          arrays *gx)
{
    const GraphObject *g = self->graph;
    const size_t outputs = pn_graph_n_outputs(g->graph);
    if ((size_t)n != outputs) {
        PyErr_Format(PyExc_TypeError, "backward: expected %zu arrays, got %zd", outputs, n);
        return 0;
    }
    if (!self->x.n) {
        PyErr_SetString(PyExc_RuntimeError,
                        "backward needs a forward call before it, and each forward call allows one "
                        "backward");
        return 0;
    }
    int ok = call_is_valid(self) && inputs_in_place(self);
    for (size_t i = 0; ok && i < outputs; i++) {
        ok = arrays_set(gy, i, real_array(given[i], g->dtype, "gy"));
        PyArrayObject *y = ok ? new_output(g, i, self->rows) : NULL;
        ok = y && PyArray_SAMESHAPE(gy->array[i], y);
        if (y && !ok) {
            PyObject *got = PyObject_GetAttrString((PyObject *)gy->array[i], "shape"),
                     *want = PyObject_GetAttrString((PyObject *)y, "shape");
            if (got && want)
                PyErr_Format(PyExc_ValueError, "gy: shape %S differs from the output's %S", got,
                             want);
            Py_XDECREF(got);
            Py_XDECREF(want);
        }
        Py_XDECREF(y);
    }
    for (size_t i = 0; ok && i < self->x.n; i++) {
        PyObject *fresh = PyArray_NewLikeArray(self->x.array[i], NPY_CORDER, NULL, 0);
        ok = arrays_set(gx, i, (PyArrayObject *)fresh);
    }
    return ok;
}

static PyObject *plan_backward(PlanObject *self, PyObject *const *given, Py_ssize_t n)
{
    arrays gy = { .n = 0 }, gx = { .n = 0 };
    pn_error error;
    int ok = take_gradients(self, given, n, &gy, &gx);
    released r;
    pn_hold hold;
    if (!ok || !enter(self, elements(&gx) + elements(&gy) > RELEASE_AT, &hold, &r)) {
        arrays_clear(&gy);
        arrays_clear(&gx);
        return NULL;
    }
    pn_status status = pn_plan_backward(self->plan, (const void *const *)gy.data, gx.data, &error);
    if (leave(self, &hold, &r)) status = PN_STOPPED;
    arrays_clear(&gy);
    arrays_clear(&self->x);
    if (!status) return arrays_take(&gx);
    arrays_clear(&gx);
    return raise_status(status, &error);
}

static PyObject *plan_output_shapes(PlanObject *self, void *unused)
{
    (void)unused;
    PyObject *samples = graph_output_shapes(self->graph, NULL),
             *rows = Py_BuildValue("(n)", (Py_ssize_t)self->rows);
    for (Py_ssize_t i = 0; samples && rows && i < PyTuple_GET_SIZE(samples); i++) {
        PyObject *whole = PySequence_Concat(rows, PyTuple_GET_ITEM(samples, i));
        if (!whole) Py_CLEAR(samples);
        else PyTuple_SetItem(samples, i, whole);
    }
    Py_XDECREF(rows);
    return samples;
}

static PyObject *plan_tick(PlanObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(self->tick);
}
static int plan_set_tick(PlanObject *self, PyObject *value, void *unused)
{
    (void)unused;
    unsigned long long tick = value ? PyLong_AsUnsignedLongLong(value) : 0;
    if (!value) PyErr_SetString(PyExc_AttributeError, "tick cannot be deleted");
    if (PyErr_Occurred()) return -1;
    self->tick = tick;
    return 0;
}

static PyObject *plan_bytes(PlanObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(pn_plan_bytes(self->plan));
}

PyObject *step_list(const pn_plan *plan)
{
    PyObject *list = PyList_New(0);
    pn_step_info s;
    for (size_t i = 0; list && pn_plan_step(plan, i, &s); i++) {
        PyObject *step = Py_BuildValue("ssNddn", s.what, s.where, PyBool_FromLong(s.forward),
                                       s.flops, s.seconds, (Py_ssize_t)s.node);
        if (!step || PyList_Append(list, step) < 0) Py_CLEAR(list);
        Py_XDECREF(step);
    }
    return list;
}
static PyObject *plan_steps(PlanObject *self, void *unused)
{
    (void)unused;
    return step_list(self->plan);
}
static PyObject *plan_bytes_unshared(PlanObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(pn_plan_bytes_unshared(self->plan));
}

static PyMethodDef plan_methods[] = {
    { "forward", (PyCFunction)(void (*)(void))plan_forward, METH_FASTCALL,
      "forward($self, *x)\n--\n\n"
      "Return the output, or a tuple of outputs. The plan keeps x until the next call." },
    { "backward", (PyCFunction)(void (*)(void))plan_backward, METH_FASTCALL,
      "backward($self, *gy)\n--\n\n"
      "Return the gradient of x, or a tuple of gradients. Add to those of the parameters." },
    { NULL, NULL, 0, NULL },
};
static PyGetSetDef plan_getset[] = {
    { "output_shapes", (getter)plan_output_shapes, NULL,
      "Shape (rows, *sample shape) of each output.", NULL },
    { "tick", (getter)plan_tick, (setter)plan_set_tick,
      "Determines the random numbers of layers such as dropout, together with their seeds.", NULL },
    { "bytes", (getter)plan_bytes, NULL, "Size of the plan's arena.", NULL },
    { "bytes_unshared", (getter)plan_bytes_unshared, NULL,
      "Size of the plan's buffers if none shared memory.", NULL },
    { "steps", (getter)plan_steps, NULL,
      "(what, where, forward, flops, seconds, node) of each step: what it does, the name of its "
      "layer, whether it is in the forward pass, its operations, its time and its node.",
      NULL },
    { NULL, NULL, NULL, NULL, NULL },
};
static PyType_Slot plan_slots[] = {
    { Py_tp_new, plan_new },
    { Py_tp_dealloc, plan_dealloc },
    { Py_tp_traverse, plan_traverse },
    { Py_tp_methods, plan_methods },
    { Py_tp_getset, plan_getset },
    { Py_tp_doc,
      "Plan(graph, rows, mode)\n--\n\n"
      "A graph compiled for a number of rows. mode: 'predict', 'backward' or 'train'." },
    { 0, NULL },
};
static PyType_Spec plan_spec = { "pynn._core.Plan", sizeof(PlanObject), 0, GC_TYPE, plan_slots };

int add_plan(PyObject *module) { return add_type(module, &plan_spec, NULL); }
