/* update.c - optimizer groups, steps and schedules as Python functions. */
#include "update.h"
#include "array.h"
#include "gate.h"
#include "service.h"
#include "stop.h"
#include <stdlib.h>

/* ---- groups ---------------------------------------------------------------------------------- */
void groups_clear(groups *g)
{
    for (size_t i = 0; g->groups && i < g->n; i++) {
        free(g->groups[i].segments);
        if (g->work) free(g->work[i]);
    }
    free(g->work);
    free(g->groups);
    Py_CLEAR(g->keep);
    *g = (groups){ 0 };
}

/* Returns the data of an array of n elements and adds a reference to keep. */
static void *hold(groups *g, PyObject *given, pn_dtype t, size_t n, const char *name)
{
    PyArrayObject *a = in_place_array(given, t, name);
    void *data = NULL;
    if (!a) return NULL;
    if (n != (size_t)PyArray_SIZE(a))
        PyErr_Format(PyExc_ValueError, "%s: expected %zu elements, got %zd", name, n,
                     PyArray_SIZE(a));
    else if (keep_array(&g->keep, a)) data = PyArray_DATA(a);
    Py_DECREF(a);
    return data;
}

static size_t count_words(const char *names)
{
    size_t n = *names != 0;
    for (; *names; names++) n += *names == ' ';
    return n;
}

/* Checks the number of arrays given for a parameter. */
static int check_count(PyObject *given, size_t want, const pn_optimizer *o, const char *what)
{
    if ((size_t)PyTuple_GET_SIZE(given) == want) return 1;
    PyErr_Format(PyExc_ValueError, "%s keeps %zu %s per parameter, got %zd", o->cls, want, what,
                 PyTuple_GET_SIZE(given));
    return 0;
}

static int hold_states(groups *g, size_t optimizer, PyObject *states, pn_segment *s)
{
    const pn_optimizer *o = pn_optimizer_at(optimizer);
    if (!check_count(states, count_words(o->states), o, "states")) return 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(states) && s->n; i++) {
        PyObject *state = PyTuple_GET_ITEM(states, i);
        size_t n = pn_state_count(optimizer, (size_t)i, s);
        if (n == SIZE_MAX || (state == Py_None && pn_state_optional(optimizer, (size_t)i)))
            continue;
        if (!(s->state[i] = hold(g, state, s->dtype, n, "optimizer state"))) return 0;
    }
    return 1;
}

static int parse_segment(groups *g, size_t optimizer, PyObject *item, pn_segment *s)
{
    PyObject *p, *grad, *states, *numbers, *average;
    const pn_optimizer *o = pn_optimizer_at(optimizer);
    if (!PyArg_ParseTuple(item, "OOO!O!O;a parameter is (data, grad, states, numbers, average)", &p,
                          &grad, &PyTuple_Type, &states, &PyTuple_Type, &numbers, &average))
        return 0;
    if (!PyArray_Check(p)) {
        PyErr_Format(PyExc_TypeError, "parameter: expected an array, got %s", Py_TYPE(p)->tp_name);
        return 0;
    }
    PyArrayObject *a = (PyArrayObject *)p;
    const int ndim = PyArray_NDIM(a);
    *s = (pn_segment){ .n = (size_t)PyArray_SIZE(a) };
    s->dtype = PyArray_TYPE(a) == NPY_FLOAT ? PN_F32 : PN_F64;
    if (ndim > 1) {
        s->rows = (size_t)PyArray_DIM(a, ndim - 2);
        s->cols = (size_t)PyArray_DIM(a, ndim - 1);
    }
    if (!(s->p = hold(g, p, s->dtype, s->n, "parameter")) ||
        !(s->g = hold(g, grad, s->dtype, s->n, "gradient")))
        return 0;
    if (!hold_states(g, optimizer, states, s)) return 0;
    if (!check_count(numbers, 1 + count_words(or_empty(o->numbers)), o, "numbers")) return 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(numbers); i++)
        if (!(s->number[i] = hold(g, PyTuple_GET_ITEM(numbers, i), PN_F64, 1, "number"))) return 0;
    return average == Py_None || (s->average = hold(g, average, s->dtype, s->n, "average"));
}

static int check_schedules(const pn_schedule *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!(s[i].kind >= 0 && s[i].kind < 1e6) ||
            !check_index((size_t)s[i].kind, pn_schedule_at((size_t)s[i].kind), "schedules")) {
            if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "schedules: unknown kind");
            return 0;
        }
        if (!(s[i].momentum < PN_MAX_HYPER)) {
            PyErr_SetString(PyExc_ValueError, "schedules: unknown setting");
            return 0;
        }
    }
    return 1;
}

/* Uses the rows of an array as schedules. g keeps it alive. */
static int take_schedules(groups *g, PyObject *given, const pn_schedule **schedules, size_t *n)
{
    const size_t width = sizeof(pn_schedule) / sizeof(double);
    const size_t size = PyArray_Check(given) ? (size_t)PyArray_SIZE((PyArrayObject *)given) : 0;
    if (size % width) {
        PyErr_Format(PyExc_ValueError, "schedules: expected rows of %zu numbers", width);
        return 0;
    }
    *n = size / width;
    *schedules = hold(g, given, PN_F64, size, "schedules");
    return *schedules && check_schedules(*schedules, *n);
}

static int parse_group(groups *g, PyObject *item, pn_group *group)
{
    Py_ssize_t index;
    PyObject *settings, *schedules, *params;
    if (!PyArg_ParseTuple(item, "nOOO!;a group is (optimizer, settings, schedules, parameters)",
                          &index, &settings, &schedules, &PyList_Type, &params))
        return 0;
    if (!check_index((size_t)index, pn_optimizer_at((size_t)index), "optimizers")) return 0;
    group->optimizer = (size_t)index;
    group->settings = hold(g, settings, PN_F64, sizeof(pn_settings) / sizeof(double), "settings");
    if (!group->settings || !take_schedules(g, schedules, &group->schedules, &group->n_schedules))
        return 0;
    group->n = (size_t)PyList_GET_SIZE(params);
    group->segments = calloc(group->n + 1, sizeof *group->segments);
    if (!group->segments) return PyErr_NoMemory() != NULL;
    for (size_t i = 0; i < group->n; i++) {
        PyObject *s = PyList_GET_ITEM(params, (Py_ssize_t)i);
        if (!PyTuple_Check(s))
            PyErr_SetString(PyExc_TypeError,
                            "a parameter is (data, grad, states, numbers, average)");
        if (PyErr_Occurred() || !parse_segment(g, group->optimizer, s, &group->segments[i]))
            return 0;
    }
    size_t bytes = pn_update_work(group);
    if (bytes) {
        char *work = g->work[group - g->groups] = malloc(bytes + 64);
        if (!work) return PyErr_NoMemory() != NULL;
        group->work = work + (64 - (uintptr_t)work % 64);
    }
    return 1;
}

int parse_groups(PyObject *list, groups *g)
{
    *g = (groups){ 0 };
    if (!PyList_Check(list)) {
        PyErr_SetString(PyExc_TypeError, "groups: expected a list");
        return 0;
    }
    /* use a copy, because __index__ of a number may change the list */
    PyObject *items = PyList_AsTuple(list);
    if (!items) return 0;
    const size_t n = (size_t)PyTuple_GET_SIZE(items);
    g->keep = PyList_New(0);
    g->groups = calloc(n + 1, sizeof *g->groups);
    g->work = calloc(n + 1, sizeof *g->work);
    if (g->keep && (!g->groups || !g->work)) PyErr_NoMemory();
    for (size_t i = 0; !PyErr_Occurred() && i < n; i++) {
        PyObject *item = PyTuple_GET_ITEM(items, (Py_ssize_t)i);
        g->n = i + 1;
        if (!PyTuple_Check(item))
            PyErr_SetString(PyExc_TypeError,
                            "a group is (optimizer, settings, schedules, parameters)");
        else parse_group(g, item, &g->groups[i]);
    }
    Py_DECREF(items);
    if (!PyErr_Occurred()) return 1;
    groups_clear(g);
    return 0;
}

/* ---- Update: groups for repeated steps ------------------------------------------------------- */
/* busy: the fork generation in which a step is running, or 0 */
typedef struct {
    PyObject_HEAD
    groups groups;
    PyObject *gates;
    size_t elements;
    unsigned busy;
} UpdateObject;

static int update_traverse(UpdateObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->groups.keep);
    return 0;
}

static void update_dealloc(UpdateObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    groups_clear(&self->groups);
    Py_XDECREF(self->gates);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *update_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = { "groups", "gates", NULL };
    PyObject *list, *gates;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO", names, &list, &gates)) return NULL;
    UpdateObject *self = (UpdateObject *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    if (!(self->gates = gates_of(gates)) || !parse_groups(list, &self->groups)) {
        Py_DECREF(self);
        return NULL;
    }
    for (size_t i = 0; i < self->groups.n; i++)
        for (size_t j = 0; j < self->groups.groups[i].n; j++)
            self->elements += self->groups.groups[i].segments[j].n;
    return (PyObject *)self;
}

static PyObject *update_step(UpdateObject *self, PyObject *args)
{
    long long step, epoch;
    if (!PyArg_ParseTuple(args, "LL", &step, &epoch)) return NULL;
    pn_hold hold;
    released r;
    if (self->busy == pn_fork_generation()) {
        PyErr_SetString(PyExc_RuntimeError, "this optimizer is in use by another thread");
        return NULL;
    }
    if (!gates_check(self->gates)) return NULL;
    self->busy = pn_fork_generation();
    const int ok = gates_enter(self->gates, PN_WRITE, self->elements > RELEASE_AT, &hold, &r);
    if (ok) {
        pn_update(self->groups.groups, self->groups.n, step, epoch);
        gates_touch(self->gates);
        gates_leave(&hold, &r);
    }
    self->busy = 0;
    if (!ok) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef update_methods[] = {
    { "step", (PyCFunction)update_step, METH_VARARGS,
      "step($self, step, epoch, /)\n--\n\n"
      "Perform one step. step counts from 1, epoch from 0." },
    { NULL, NULL, 0, NULL },
};
static PyType_Slot update_slots[] = {
    { Py_tp_new, update_new },
    { Py_tp_dealloc, update_dealloc },
    { Py_tp_traverse, update_traverse },
    { Py_tp_methods, update_methods },
    { Py_tp_doc,
      "Update(groups, gates)\n--\n\n"
      "Groups of an optimizer for repeated steps, and the gates of its parameters." },
    { 0, NULL },
};
static PyType_Spec update_spec = { "pynn._core.Update", sizeof(UpdateObject), 0, GC_TYPE,
                                   update_slots };

/* ---- schedules and norms --------------------------------------------------------------------- */
static PyObject *schedule(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *given, *settings, *result = NULL;
    long long step, epoch;
    const pn_schedule *schedules;
    size_t n;
    groups g = { .keep = PyList_New(0) };
    if (g.keep && PyArg_ParseTuple(args, "OOLL", &given, &settings, &step, &epoch) &&
        take_schedules(&g, given, &schedules, &n)) {
        double *hyper = hold(&g, settings, PN_F64, sizeof(pn_settings) / sizeof(double),
                             "settings");
        if (hyper) {
            pn_schedule_apply(schedules, n, step, epoch, hyper);
            result = Py_NewRef(Py_None);
        }
    }
    groups_clear(&g);
    return result;
}

static PyObject *power_sum(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *given;
    double p, unit = 1;
    if (!PyArg_ParseTuple(args, "Od|d", &given, &p, &unit)) return NULL;
    pn_dtype t = PyArray_Check(given) && PyArray_TYPE((PyArrayObject *)given) == NPY_FLOAT ? PN_F32
                                                                                           : PN_F64;
    PyArrayObject *x = in_place_array(given, t, "gradient");
    if (!x) return NULL;
    double sum = pn_scaled_power_sum(t, (size_t)PyArray_SIZE(x), PyArray_DATA(x), p, unit);
    Py_DECREF(x);
    return PyFloat_FromDouble(sum);
}

/* ---- L-BFGS ---------------------------------------------------------------------------------- */
static int call_closure(void *context, double *loss)
{
    PyObject *result = PyObject_CallNoArgs(context);
    *loss = result ? PyFloat_AsDouble(result) : 0;
    Py_XDECREF(result);
    return PyErr_Occurred() || PyErr_CheckSignals();
}

/* Creates one segment for each pair (p, g). Adds the number of elements to *n. */
static int take_pairs(groups *g, PyObject *list, pn_segment *segments, size_t *n)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *p, *grad, *item = PyList_GET_ITEM(list, i);
        if (!PyTuple_Check(item)) PyErr_SetString(PyExc_TypeError, "a parameter is (data, grad)");
        if (PyErr_Occurred() ||
            !PyArg_ParseTuple(item, "O!O;a parameter is (data, grad)", &PyArray_Type, &p, &grad))
            return 0;
        pn_segment *s = &segments[i];
        s->dtype = PyArray_TYPE((PyArrayObject *)p) == NPY_FLOAT ? PN_F32 : PN_F64;
        s->n = (size_t)PyArray_SIZE((PyArrayObject *)p);
        *n += s->n;
        const int ndim = PyArray_NDIM((PyArrayObject *)p);
        if (ndim > 1) {
            s->rows = (size_t)PyArray_DIM((PyArrayObject *)p, ndim - 2);
            s->cols = (size_t)PyArray_DIM((PyArrayObject *)p, ndim - 1);
        }
        if (!(s->p = hold(g, p, s->dtype, s->n, "parameter")) ||
            !(s->g = hold(g, grad, s->dtype, s->n, "gradient")))
            return 0;
    }
    return 1;
}

static PyObject *lbfgs(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *list, *memory, *closure, *result = NULL;
    Py_ssize_t most, evaluations, history;
    pn_lbfgs o = { 0 };
    pn_error error;
    double loss;
    if (!PyArg_ParseTuple(args, "O!O(ddd)(nnn)(pp)O", &PyList_Type, &list, &memory, &o.lr,
                          &o.tolerance_grad, &o.tolerance_change, &most, &evaluations, &history,
                          &o.strong_wolfe, &o.unit_first, &closure))
        return NULL;
    if (most < 0 || evaluations < 0 || history < 0 || history > 1000000) {
        PyErr_SetString(PyExc_ValueError,
                        "lbfgs: max_iter, max_eval and history_size must be >= 0");
        return NULL;
    }
    pn_segment *segments = calloc((size_t)PyList_GET_SIZE(list) + 1, sizeof *segments);
    groups g = { .keep = PyList_New(0) };
    o.segments = segments;
    o.n_segments = (size_t)PyList_GET_SIZE(list);
    o.max_iter = (size_t)most, o.max_eval = (size_t)evaluations, o.history = (size_t)history;
    if (!segments) PyErr_NoMemory();
    else if (g.keep && take_pairs(&g, list, segments, &o.n) &&
             (o.memory = hold(&g, memory, PN_F64, pn_lbfgs_memory(o.n, o.history), "memory"))) {
        pn_status status = pn_lbfgs_step(&o, call_closure, closure, &loss, &error);
        result = status ? raise_status(status, &error) : PyFloat_FromDouble(loss);
    }
    free(segments);
    groups_clear(&g);
    return result;
}

int parse_solver(PyObject *given, groups *g, pn_solver *solver, pn_segment **segments)
{
    int kind;
    PyObject *settings, *list, *memory;
    *solver = (pn_solver){ 0 };
    if (!PyTuple_Check(given))
        PyErr_SetString(PyExc_TypeError, "solver: expected (kind, settings, parameters, memory)");
    if (PyErr_Occurred() ||
        !PyArg_ParseTuple(given, "iOO!O", &kind, &settings, &PyList_Type, &list, &memory))
        return 0;
    if (kind != PN_SOLVE_LBFGS && kind != PN_SOLVE_LM)
        PyErr_SetString(PyExc_ValueError, "solver: unknown kind");
    else if (!(*segments = calloc((size_t)PyList_GET_SIZE(list) + 1, sizeof **segments)))
        PyErr_NoMemory();
    if (PyErr_Occurred() || !take_pairs(g, list, *segments, &solver->n)) return 0;
    solver->kind = (pn_solver_kind)kind;
    solver->segments = *segments;
    solver->n_segments = (size_t)PyList_GET_SIZE(list);
    if (!(solver->settings = hold(g, settings, PN_F64, PN_SOLVER_SETTINGS, "solver's settings")))
        return 0;
    const double history = solver->settings[5];
    if (kind == PN_SOLVE_LBFGS && !(history >= 0 && history <= 1000000)) {
        PyErr_SetString(PyExc_ValueError, "solver: history_size must be in 0..1000000");
        return 0;
    }
    const size_t numbers = kind == PN_SOLVE_LM ? PN_LM_MEMORY
                                               : pn_lbfgs_memory(solver->n, (size_t)history);
    return (solver->memory = hold(g, memory, PN_F64, numbers, "solver's memory")) != NULL;
}

static PyObject *lbfgs_memory(PyObject *module, PyObject *args)
{
    (void)module;
    Py_ssize_t n, history;
    if (!PyArg_ParseTuple(args, "nn", &n, &history)) return NULL;
    return PyLong_FromSize_t(pn_lbfgs_memory((size_t)n, (size_t)history));
}

static PyObject *optimizer_row(size_t i)
{
    const pn_optimizer *o = pn_optimizer_at(i);
    if (!o) return NULL;
    return Py_BuildValue("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:N,s:s,s:s,s:s}", "name", o->name, "cls",
                         o->cls, "hyper", o->hyper, "docs", o->docs, "check",
                         or_empty(o->check), "states", o->states, "numbers", or_empty(o->numbers),
                         "matrices_only", PyBool_FromLong(o->matrices_only), "formula", o->formula,
                         "summary", o->summary, "source", or_empty(o->source));
}

static PyObject *schedule_row(size_t i)
{
    const pn_schedule_kind *k = pn_schedule_at(i);
    if (!k) return NULL;
    return Py_BuildValue("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "name", k->name, "cls",
                         or_empty(k->cls), "params", or_empty(k->params), "docs",
                         or_empty(k->docs), "check", or_empty(k->check), "formula",
                         or_empty(k->formula), "example", or_empty(k->example), "summary",
                         k->summary, "source", or_empty(k->source));
}

/* The offsets of the fields of a struct of doubles, and its size, in doubles. This is the layout of
 * the arrays that Python fills. */
typedef struct { const char *name; size_t offset; } field;
static PyObject *layout(const field *fields, size_t n, size_t size)
{
    PyObject *found = PyDict_New();
    for (size_t i = 0; found && i <= n; i++) {
        PyObject *at = PyLong_FromSize_t((i < n ? fields[i].offset : size) / sizeof(double));
        if (!at || PyDict_SetItemString(found, i < n ? fields[i].name : "size", at) < 0)
            Py_CLEAR(found);
        Py_XDECREF(at);
    }
    return found;
}
static int add_layouts(PyObject *module)
{
    static const field settings[] = { { "hyper", offsetof(pn_settings, hyper) },
                                      { "maximize", offsetof(pn_settings, maximize) },
                                      { "clip_norm", offsetof(pn_settings, clip_norm) },
                                      { "clip_value", offsetof(pn_settings, clip_value) },
                                      { "l1", offsetof(pn_settings, l1) },
                                      { "average_decay", offsetof(pn_settings, average_decay) } };
    static const field record[] = { { "kind", offsetof(pn_schedule, kind) },
                                    { "counts_steps", offsetof(pn_schedule, counts_steps) },
                                    { "start", offsetof(pn_schedule, start) },
                                    { "from", offsetof(pn_schedule, from) },
                                    { "until", offsetof(pn_schedule, until) },
                                    { "momentum", offsetof(pn_schedule, momentum) },
                                    { "v", offsetof(pn_schedule, v) } };
    PyObject *a = layout(settings, sizeof settings / sizeof *settings, sizeof(pn_settings)),
             *b = layout(record, sizeof record / sizeof *record, sizeof(pn_schedule));
    const int failed = !a || !b || PyModule_AddObjectRef(module, "OPTIMIZER_SETTINGS", a) < 0 ||
                       PyModule_AddObjectRef(module, "SCHEDULE_RECORD", b) < 0;
    Py_XDECREF(a);
    Py_XDECREF(b);
    return failed ? -1 : 0;
}

static PyMethodDef functions[] = {
    { "schedule", schedule, METH_VARARGS,
      "schedule($module, schedules, settings, step, epoch, /)\n--\n\n"
      "Apply schedules to the hyper-parameters in settings." },
    { "lbfgs", lbfgs, METH_VARARGS,
      "lbfgs($module, parameters, memory, tolerances, counts, search, closure, /)\n--\n\n"
      "Perform one step of L-BFGS and return the first loss of the closure. parameters: pairs "
      "(data, grad); tolerances: (lr, tolerance_grad, tolerance_change); counts: (max_iter, "
      "max_eval, history)." },
    { "lbfgs_memory", lbfgs_memory, METH_VARARGS,
      "lbfgs_memory($module, n, history, /)\n--\n\n"
      "Return the number of doubles in the memory of L-BFGS." },
    { "power_sum", power_sum, METH_VARARGS,
      "power_sum($module, x, p, unit=1.0, /)\n--\n\n"
      "Return the p-norm of x / unit raised to p; for infinity, the largest magnitude." },
    { NULL, NULL, 0, NULL },
};

int add_updates(PyObject *module)
{
    if (add_rows(module, "OPTIMIZERS", optimizer_row) < 0 ||
        add_rows(module, "SCHEDULES", schedule_row) < 0 || add_layouts(module) < 0)
        return -1;
    return add_type(module, &update_spec, NULL) < 0 ? -1 : PyModule_AddFunctions(module, functions);
}
