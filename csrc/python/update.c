/* update.c - optimizer steps as Python calls. */
#include "binding.h"
#include <stdlib.h>

/* ---- groups: [(optimizer, hyper, [(p, g, (state, ...)), ...]), ...] ---------------------------------------------- */
void groups_clear(groups *g)
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

int parse_groups(PyObject *list, groups *g)
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

static PyMethodDef functions[] = {
    { "update", update, METH_VARARGS, "update($module, groups, step, /)\n--\n\nOne optimizer step, counted from 1." },
    { NULL, NULL, 0, NULL },
};

int add_updates(PyObject *module) { return PyModule_AddFunctions(module, functions); }
