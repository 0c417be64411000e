/* trace.c - one training step with all its arrays, as Python objects. */
#include "trace.h"
#include "array.h"
#include "fit.h"
#include "gate.h"
#include "model.h"
#include "scores.h"
#include "service.h"
#include "stop.h"
#include <stdlib.h>

/* An array of n rows for a node's output. */
static PyObject *node_array(const GraphObject *g, size_t node, size_t rows)
{
    size_t ndim, shape[PN_MAX_DIMS];
    npy_intp full[PN_MAX_DIMS + 1] = { (npy_intp)rows };
    pn_graph_shape(g->graph, node, &ndim, shape);
    for (size_t k = 0; k < ndim; k++) full[k + 1] = (npy_intp)shape[k];
    return (PyObject *)new_array(ndim + 1, full, g->dtype);
}

/* Returns a list of arrays for n nodes, nodes[i] or i, and stores their data. */
static PyObject *node_arrays(const GraphObject *g, size_t n, int outputs, size_t rows, void **data)
{
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list && i < n; i++) {
        PyObject *one = node_array(g, outputs ? pn_graph_output_node(g->graph, i) : i, rows);
        if (!one) Py_CLEAR(list);
        else {
            data[i] = PyArray_DATA((PyArrayObject *)one);
            PyList_SET_ITEM(list, (Py_ssize_t)i, one);
        }
    }
    return list;
}

/* Runs the step. Returns 0 with an exception on failure. */
static int run(GraphObject *g, const converted *t, const pn_criterion *criteria, size_t n,
               unsigned long long tick, const pn_trace *trace)
{
    pn_error error;
    pn_hold hold;
    released r;
    if (!gates_check(g->gates) || !gates_enter(g->gates, PN_WRITE, 1, &hold, &r)) return 0;
    pn_status status = pn_trace_step(g->graph, &t->data, criteria, n, tick, trace, &error);
    gates_touch(g->gates);
    if (gates_leave(&hold, &r)) status = PN_STOPPED;
    if (status) raise_status(status, &error);
    return !status;
}

/* Replaces missing gradients by None. */
static int drop_missing(PyObject *list, void *const *data)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++)
        if (!data[i] && PyList_SetItem(list, i, Py_NewRef(Py_None)) < 0) return 0;
    return 1;
}

static PyObject *traced(GraphObject *g, const converted *t, const pn_criterion *criteria, size_t n,
                        unsigned long long tick)
{
    const size_t nodes = pn_graph_nodes(g->graph), outputs = pn_graph_n_outputs(g->graph),
                 rows = t->data.rows;
    pn_score score[PN_MAX_IO] = { { 0 } };
    void **room = calloc(2 * nodes + outputs, sizeof *room);
    if (!room) return PyErr_NoMemory();
    const pn_trace trace = { room, room + nodes, room + 2 * nodes, score };
    PyObject *values = node_arrays(g, nodes, 0, rows, trace.value),
             *gradients = values ? node_arrays(g, nodes, 0, rows, trace.gradient) : NULL,
             *losses = gradients ? node_arrays(g, outputs, 1, rows, trace.loss_gradient) : NULL,
             *scores = NULL;
    if (losses && run(g, t, criteria, n, tick, &trace) && drop_missing(gradients, trace.gradient))
        scores = scores_tuple(score, n);
    free(room);
    if (scores) return Py_BuildValue("NNNN", values, gradients, losses, scores);
    Py_XDECREF(values);
    Py_XDECREF(gradients);
    Py_XDECREF(losses);
    return NULL;
}

static PyObject *trace(PyObject *module, PyObject *args)
{
    PyObject *graph, *x, *y, *list, *weight, *keep = NULL, *result = NULL;
    unsigned long long tick;
    converted t = { .x.n = 0 };
    pn_criterion criteria[PN_MAX_IO];
    (void)module;
    if (!PyArg_ParseTuple(args, "OOOO!OK", &graph, &x, &y, &PyTuple_Type, &list, &weight, &tick))
        return NULL;
    GraphObject *g = as_graph(graph);
    if (!g || !can_write(g)) return NULL;
    g->sealed = 1;
    const size_t n = parse_criteria(g, list, criteria, &keep);
    if (n && take_samples(g, x, &t) && take_targets(g, criteria, n, y, weight, &t))
        result = traced(g, &t, criteria, n, tick);
    converted_clear(&t);
    Py_XDECREF(keep);
    return result;
}

static PyMethodDef functions[] = {
    { "trace", trace, METH_VARARGS,
      "trace($module, graph, x, y, criteria, sample_weight, tick, /)\n--\n\n"
      "Perform one training step without the update. Return lists of the outputs and gradients of "
      "all nodes (None if there is none) and of the gradients computed by the losses, and scores "
      "as Fit.batch does." },
    { NULL, NULL, 0, NULL },
};

int add_trace(PyObject *module) { return PyModule_AddFunctions(module, functions); }
