/* fit.c - the type Fit, which trains, and the conversion of samples, targets and losses that it
 * shares with prediction. */
#include "fit.h"
#include "array.h"
#include "gate.h"
#include "health.h"
#include "losses.h"
#include "plan.h"
#include "scores.h"
#include "service.h"
#include "stop.h"
#include "update.h"
#include <stdlib.h>

void converted_clear(converted *t)
{
    arrays_clear(&t->x);
    arrays_clear(&t->y);
    arrays_clear(&t->weight);
    Py_CLEAR(t->subset);
    Py_CLEAR(t->references);
}

size_t sample_width(const GraphObject *g, size_t node)
{
    size_t ndim, shape[PN_MAX_DIMS], n = 1;
    pn_graph_shape(g->graph, node, &ndim, shape);
    for (size_t i = 0; i < ndim; i++) n *= shape[i];
    return n;
}

int take_samples(const GraphObject *g, PyObject *px, converted *t)
{
    const size_t inputs = pn_graph_n_inputs(g->graph);
    t->data = (pn_data){ .x = t->samples, .y = t->targets };
    for (size_t i = 0; i < inputs; i++) {
        PyObject *given = nth(px, inputs, i, "X");
        const int ok = given &&
                       arrays_set(&t->x, i, sample_array(given, g->dtype, "X", &t->samples[i])) &&
                       check_sample(g, i, t->x.array[i], "X") &&
                       keep_array(&t->references, t->x.array[i]);
        Py_XDECREF(given);
        if (!ok) return 0;
        size_t rows = (size_t)PyArray_DIM(t->x.array[i], 0);
        if (i && rows != t->data.rows) {
            PyErr_Format(PyExc_ValueError, "X: input %zu has %zu rows, but input 0 has %zu", i,
                         rows, t->data.rows);
            return 0;
        }
        t->data.rows = rows;
    }
    return 1;
}

/* Selects rows: None for all rows, or an array of row indices, which is kept with them. */
int take_subset(PyObject *given, converted *t)
{
    if (given == Py_None) return 1;
    PyArrayObject *a = (PyArrayObject *)PyArray_FROM_OTF(given, NPY_INTP, NPY_ARRAY_CARRAY_RO);
    if (!a) return 0;
    Py_XSETREF(t->subset, (PyObject *)a);
    const npy_intp n = PyArray_SIZE(a), *rows = PyArray_DATA(a);
    for (npy_intp i = 0; i < n; i++)
        if (rows[i] < 0 || (size_t)rows[i] >= t->data.rows)
            return PyErr_Format(PyExc_IndexError, "rows: index %zd is out of range for %zu rows",
                                rows[i], t->data.rows) != NULL;
    t->data.rows = (size_t)n;
    t->data.subset = (const size_t *)rows;
    return 1;
}

/* Converts a target: for a custom loss to any array with the right number of rows, otherwise to the
 * numbers or classes that the loss takes. */
static PyArrayObject *take_target(const GraphObject *g, const pn_criterion *loss, size_t rows,
                                  PyObject *given, pn_target *target)
{
    size_t ndim, shape[PN_MAX_DIMS];
    pn_loss_view view;
    pn_error error;
    if (loss->call) {
        PyArrayObject *a = (PyArrayObject *)PyArray_FROM_O(given);
        *target = (pn_target){ .custom = a };
        if (!a || (PyArray_NDIM(a) > 0 && (size_t)PyArray_DIM(a, 0) == rows)) return a;
        PyErr_Format(PyExc_ValueError, "y: expected %zu rows, as in X", rows);
        Py_DECREF(a);
        return NULL;
    }
    pn_graph_shape(g->graph, pn_graph_output_node(g->graph, loss->outputs[0]), &ndim, shape);
    pn_status status = pn_loss_check_fit(loss, ndim, shape, &view, &error);
    if (status) {
        raise_status(status, &error);
        return NULL;
    }
    return target_array(loss, g->dtype, rows * view.positions, view.cols, given, "y", target);
}

/* Converts weights of rows, or of all values of each row. */
static int take_weight(const GraphObject *g, const pn_criterion *loss, PyObject *given, size_t i,
                       converted *t)
{
    size_t ndim, shape[PN_MAX_DIMS];
    pn_loss_view view;
    pn_error error;
    if (given == Py_None) return arrays_set(&t->weight, i, NULL), 1;
    if (!arrays_set(&t->weight, i, real_array(given, g->dtype, "sample_weight")) ||
        !keep_array(&t->references, t->weight.array[i]))
        return 0;
    pn_graph_shape(g->graph, pn_graph_output_node(g->graph, loss->outputs[0]), &ndim, shape);
    pn_status status = pn_loss_check_fit(loss, ndim, shape, &view, &error);
    if (status) return raise_status(status, &error) != NULL;
    const size_t rows = t->data.rows, n = (size_t)PyArray_SIZE(t->weight.array[i]),
                 values = pn_loss_values(loss, rows * view.positions, view.cols);
    t->targets[i].sample_weight = t->weight.data[i];
    t->targets[i].per_value = n != rows;
    if (n == rows || n == values) return 1;
    PyErr_Format(PyExc_ValueError, "sample_weight: %zu values for %zu rows of %zu values", n, rows,
                 rows ? values / rows : 0);
    return 0;
}

/* weight: None, one array for all losses, or a tuple of one per loss. */
int take_targets(const GraphObject *g, const pn_criterion *criteria, size_t n, PyObject *py,
                 PyObject *weight, converted *t)
{
    for (size_t i = 0; i < n; i++) {
        PyObject *given = nth(py, n, i, "y");
        if (!given) return 0;
        const int has_target = criteria[i].row->target != 'n';
        PyArrayObject *target = NULL;
        if (has_target)
            target = take_target(g, &criteria[i], t->data.rows, given, &t->targets[i]);
        arrays_set(&t->y, i, target);
        Py_DECREF(given);
        if (has_target && (!target || !keep_array(&t->references, target))) return 0;
    }
    const int each = PyTuple_Check(weight);
    if (each && (size_t)PyTuple_GET_SIZE(weight) != n)
        return PyErr_Format(PyExc_ValueError, "sample_weight: expected a tuple of %zu", n) != NULL;
    for (size_t i = 0; i < n; i++)
        if (!take_weight(g, &criteria[i], each ? PyTuple_GET_ITEM(weight, (Py_ssize_t)i) : weight,
                         i, t))
            return 0;
    return 1;
}

/* (loss, factor, (output, ...)) */
static int parse_one(const GraphObject *g, PyObject *item, pn_criterion *c, PyObject **keep)
{
    double factor;
    PyObject *loss, *list;
    size_t ndim, shape[PN_MAX_DIMS], outputs[PN_MAX_INPUTS] = { 0 };
    if (!PyTuple_Check(item)) {
        PyErr_Format(PyExc_TypeError, "criteria: expected (loss, factor, outputs), got %.80R",
                     item);
        return 0;
    }
    if (!PyArg_ParseTuple(item, "OdO!", &loss, &factor, &PyTuple_Type, &list)) return 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(list) && i < PN_MAX_INPUTS; i++) {
        outputs[i] = PyLong_AsSize_t(PyTuple_GET_ITEM(list, i));
        if (PyErr_Occurred()) return 0;
        if (outputs[i] >= pn_graph_n_outputs(g->graph))
            return PyErr_Format(PyExc_ValueError, "criteria: output %zu does not exist",
                                outputs[i]) != NULL;
    }
    pn_graph_shape(g->graph, pn_graph_output_node(g->graph, outputs[0]), &ndim, shape);
    if (!parse_criterion(loss, g->dtype, 0, ndim, shape, c, keep)) return 0;
    c->factor = factor;
    memcpy(c->outputs, outputs, sizeof outputs);
    if ((size_t)PyTuple_GET_SIZE(list) == pn_loss_inputs(c)) return 1;
    PyErr_Format(PyExc_ValueError, "criteria: %s takes %zu outputs, got %zd", c->row->cls,
                 pn_loss_inputs(c), PyTuple_GET_SIZE(list));
    return 0;
}

/* Parses ((loss, factor, (output, ...)), ...). Returns their number, or 0 with an exception. */
size_t parse_criteria(const GraphObject *g, PyObject *tuple, pn_criterion *criteria,
                      PyObject **keep)
{
    const Py_ssize_t n = PyTuple_GET_SIZE(tuple);
    if (n < 1 || (size_t)n > pn_graph_n_outputs(g->graph)) {
        PyErr_Format(PyExc_ValueError,
                     "criteria: expected 1 to %zu, the number of outputs, got %zd",
                     pn_graph_n_outputs(g->graph), n);
        return 0;
    }
    for (Py_ssize_t i = 0; i < n; i++)
        if (!parse_one(g, PyTuple_GET_ITEM(tuple, i), &criteria[i], keep)) return 0;
    return (size_t)n;
}

/* ---- Fit ------------------------------------------------------------------------------------- */
typedef struct {
    PyObject_HEAD
    pn_fit *fit;
    converted converted;
    pn_criterion criteria[PN_MAX_IO];
    PyObject *keep;                         /* arrays of the criteria */
    arrays kept;                            /* arrays for predictions */
    pn_fit_options options;
    groups groups;
    pn_solver solver;
    pn_segment *segments;                   /* of the solver */
    PyObject *graph;
    long long step;
    pn_fit_times times;
    pn_hold hold;                           /* of the gate, while a call runs */
    int busy;
} FitObject;

static int fit_traverse(FitObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->keep);
    Py_VISIT(self->graph);
    Py_VISIT(self->groups.keep);
    VISIT_ARRAYS(self->kept);
    VISIT_ARRAYS(self->converted.x);
    VISIT_ARRAYS(self->converted.y);
    VISIT_ARRAYS(self->converted.weight);
    Py_VISIT(self->converted.subset);
    Py_VISIT(self->converted.references);
    return 0;
}

static void fit_dealloc(FitObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    pn_fit_free(self->fit);
    free(self->segments);
    groups_clear(&self->groups);
    Py_XDECREF(self->keep);
    arrays_clear(&self->kept);
    Py_XDECREF(self->graph);
    converted_clear(&self->converted);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *fit_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = { "graph",         "x",       "y",      "criteria",
                             "batch_size",    "shuffle", "seed",   "groups",
                             "sample_weight", "finite",  "health", "solver",
                             "drop_last",     "rows",    "penalty", NULL };
    PyObject *graph, *x, *y, *criteria, *list, *weight = Py_None, *solver = Py_None,
             *rows = Py_None;
    Py_ssize_t batch_size;
    int shuffle, finite = 0, health = 0, drop_last = 0;
    double penalty = 0;
    unsigned long long seed;
    pn_error error;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOO!npKO|OppOpOd", names, &graph, &x, &y,
                                     &PyTuple_Type, &criteria, &batch_size, &shuffle, &seed, &list,
                                     &weight, &finite, &health, &solver, &drop_last, &rows,
                                     &penalty))
        return NULL;
    GraphObject *g = as_graph(graph);
    if (!g || !can_write(g)) return NULL;
    FitObject *self = (FitObject *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->graph = Py_NewRef(graph);
    g->sealed = 1;
    size_t n = 0;
    if (PyTuple_GET_SIZE(criteria)) {
        n = parse_criteria(g, criteria, self->criteria, &self->keep);
        if (!n) goto fail;
    }
    if (!parse_groups(list, &self->groups)) goto fail;
    if (x != Py_None) {
        converted *t = &self->converted;
        if (!take_samples(g, x, t) ||
            (n && !take_targets(g, self->criteria, n, y, weight, t)) || !take_subset(rows, t))
            goto fail;
    }
    /* last, because no Python code may run after its check of the settings */
    if (solver != Py_None && !parse_solver(solver, &self->groups, &self->solver, &self->segments))
        goto fail;
    self->options = (pn_fit_options){ .criteria = self->criteria,
                                      .n_criteria = n,
                                      .batch_size = batch_size < 1 ? 0 : (size_t)batch_size,
                                      .shuffle = shuffle,
                                      .seed = seed,
                                      .penalty = penalty,
                                      .drop_last = drop_last,
                                      .finite = finite,
                                      .health = health,
                                      .groups = self->groups.groups,
                                      .n_groups = self->groups.n,
                                      .solver = solver != Py_None ? &self->solver : NULL,
                                      .poll = poll_signals,
                                      .hold = &self->hold };
    const pn_data *data = x != Py_None ? &self->converted.data : NULL;
    pn_status status = pn_fit_new(g->graph, data, &self->options, &self->fit, &error);
    if (!status) return (PyObject *)self;
    raise_status(status, &error);
fail:
    Py_DECREF(self);
    return NULL;
}

static int enter(FitObject *self)
{
    if (self->busy) PyErr_SetString(PyExc_RuntimeError, "this fit is in use by another thread");
    return !self->busy && (self->busy = 1);
}

/* Begins a call that changes the parameters. Other threads can use them only between two steps. */
static int enter_training(FitObject *self, released *r)
{
    PyObject *gates = ((GraphObject *)self->graph)->gates;
    if (!enter(self)) return 0;
    if (gates_mine(gates))
        PyErr_SetString(PyExc_RuntimeError,
                        "a layer or a loss cannot train the model that calls it");
    else if (gates_check(gates) && gates_enter(gates, PN_WRITE, 1, &self->hold, r)) return 1;
    self->busy = 0;
    return 0;
}

static int leave_training(FitObject *self, released *r)
{
    gates_touch(((GraphObject *)self->graph)->gates);
    const int stopped = gates_leave(&self->hold, r);
    self->busy = 0;
    return stopped;
}

static PyObject *fit_epoch(FitObject *self, PyObject *args)
{
    const size_t losses = self->options.n_criteria;
    unsigned long long epoch;
    Py_ssize_t first = 0, count = -1;
    PyObject *given = Py_None;
    pn_score scores[PN_MAX_IO] = { { 0 } };
    pn_error error;
    int64_t step = self->step;
    if (!PyArg_ParseTuple(args, "K|nnO", &epoch, &first, &count, &given)) return NULL;
    if (first < 0 || count < -1)
        return PyErr_Format(PyExc_ValueError,
                            "epoch: first and count must not be negative, got %zd and %zd", first,
                            count);
    if (given != Py_None && !parse_scores(given, losses, scores)) return NULL;
    released r;
    if (!enter_training(self, &r)) return NULL;
    pn_status status = pn_fit_part(self->fit, epoch, (size_t)first, (size_t)count, &step, scores,
                                   &error);
    if (leave_training(self, &r)) status = PN_STOPPED;
    self->step = step;
    return status ? raise_status(status, &error) : scores_tuple(scores, losses);
}

static PyObject *fit_batch(FitObject *self, PyObject *args)
{
    const GraphObject *g = (GraphObject *)self->graph;
    PyObject *px, *py, *weight = Py_None;
    converted t = { .x.n = 0 };
    pn_score scores[PN_MAX_IO] = { { 0 } };
    pn_error error;
    pn_status status = PN_OK;
    released r;
    int64_t step = self->step;
    if (!PyArg_ParseTuple(args, "OO|O", &px, &py, &weight)) return NULL;
    int ok = take_samples(g, px, &t) &&
             take_targets(g, self->criteria, self->options.n_criteria, py, weight, &t) &&
             enter_training(self, &r);
    if (ok) {
        status = pn_fit_batch(self->fit, &t.data, &step, scores, &error);
        if (leave_training(self, &r)) status = PN_STOPPED;
        self->step = step;
    }
    converted_clear(&t);
    if (!ok) return NULL;
    return status ? raise_status(status, &error)
                  : scores_tuple(scores, self->options.n_criteria);
}

/* Creates and returns arrays for the predictions of the given number of rows; 0 ends this. */
static PyObject *fit_keep(FitObject *self, PyObject *number)
{
    const GraphObject *g = (GraphObject *)self->graph;
    size_t rows = PyLong_AsSize_t(number);
    arrays fresh = { .n = 0 };
    int ok = !PyErr_Occurred() && enter(self);
    if (!ok) return NULL;
    for (size_t i = 0; ok && rows && i < pn_graph_n_outputs(g->graph); i++) {
        ok = arrays_set(&fresh, i, new_output(g, i, rows));
        if (ok) PyArray_FILLWBYTE(fresh.array[i], 0);
    }
    self->busy = 0;
    if (!ok) {
        arrays_clear(&fresh);
        return NULL;
    }
    arrays_clear(&self->kept);
    self->kept = fresh;
    pn_fit_keep(self->fit, rows ? self->kept.data : NULL);
    PyObject *given = PyTuple_New((Py_ssize_t)fresh.n);
    for (size_t i = 0; given && i < fresh.n; i++)
        PyTuple_SET_ITEM(given, (Py_ssize_t)i, Py_NewRef((PyObject *)fresh.array[i]));
    return given;
}

static PyObject *fit_order(FitObject *self, void *unused)
{
    (void)unused;
    npy_intp rows = (npy_intp)self->converted.data.rows;
    if (!enter(self)) return NULL;
    const size_t *order = pn_fit_order(self->fit);
    PyObject *copy = order ? PyArray_SimpleNew(1, &rows, NPY_INTP) : Py_NewRef(Py_None);
    if (copy && order)
        memcpy(PyArray_DATA((PyArrayObject *)copy), order, (size_t)rows * sizeof *order);
    self->busy = 0;
    return copy;
}

static PyObject *fit_set_order(FitObject *self, PyObject *args)
{
    unsigned long long epoch;
    PyObject *given;
    pn_error error;
    if (!PyArg_ParseTuple(args, "KO", &epoch, &given)) return NULL;
    PyArrayObject *a = (PyArrayObject *)PyArray_FROM_OTF(given, NPY_INTP, NPY_ARRAY_CARRAY_RO);
    if (!a) return NULL;
    pn_status status = PN_OK;
    const int fits = (size_t)PyArray_SIZE(a) == self->converted.data.rows;
    if (!fits)
        PyErr_Format(PyExc_ValueError, "order: expected %zu indices, got %zd",
                     self->converted.data.rows, PyArray_SIZE(a));
    const int entered = fits && enter(self);
    if (entered) {
        status = pn_fit_set_order(self->fit, epoch, PyArray_DATA(a), &error);
        self->busy = 0;
    }
    Py_DECREF(a);
    if (!entered) return NULL;
    return status ? raise_status(status, &error) : Py_NewRef(Py_None);
}

static PyObject *fit_objective(FitObject *self, void *unused)
{
    (void)unused;
    const pn_fit_sums s = pn_fit_objective(self->fit);
    return Py_BuildValue("ddn", s.loss, s.penalty, (Py_ssize_t)s.rows);
}

static PyObject *fit_profile(FitObject *self, PyObject *unused)
{
    (void)unused;
    if (!enter(self)) return NULL;
    pn_fit_profile(self->fit, &self->times);
    self->busy = 0;
    Py_RETURN_NONE;
}

static PyObject *fit_times(FitObject *self, void *unused)
{
    (void)unused;
    pn_fit_times *t = &self->times, now = *t;
    if (!enter(self)) return NULL;
    pn_plan *plan = pn_fit_profile(self->fit, NULL);
    PyObject *steps = plan ? step_list(plan) : PyList_New(0);
    self->busy = 0;
    return steps ? Py_BuildValue("{s:L,s:d,s:d,s:d,s:d,s:N}", "steps", (long long)now.steps,
                                 "gather", now.gather, "loss", now.loss, "update", now.update,
                                 "score", now.score, "plan", steps)
                 : NULL;
}

static PyObject *fit_reset(FitObject *self, PyObject *unused)
{
    (void)unused;
    if (!enter(self)) return NULL;
    pn_fit_reset(self->fit);
    self->busy = 0;
    Py_RETURN_NONE;
}

static PyObject *fit_measure_health(FitObject *self, PyObject *unused)
{
    pn_error error;
    released r;
    (void)unused;
    if (!enter_training(self, &r)) return NULL;
    pn_status status = pn_fit_measure_health(self->fit, &error);
    if (leave_training(self, &r)) status = PN_STOPPED;
    return status ? raise_status(status, &error) : Py_NewRef(Py_None);
}

static PyObject *fit_health(FitObject *self, void *unused)
{
    (void)unused;
    if (!enter(self)) return NULL;
    PyObject *list = health_list(self->fit, pn_graph_nodes(((GraphObject *)self->graph)->graph));
    self->busy = 0;
    return list;
}

static PyObject *fit_origin(FitObject *self, void *unused)
{
    (void)unused;
    return origin_tuple(pn_fit_origin(self->fit));
}
static PyObject *fit_get_step(FitObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromLongLong(self->step);
}
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

/* ---- types ----------------------------------------------------------------------------------- */
static PyMethodDef fit_methods[] = {
    { "epoch", (PyCFunction)fit_epoch, METH_VARARGS,
      "epoch($self, number, first=0, count=-1, scores=None, /)\n--\n\n"
      "Run one epoch, or count of its batches from batch first on (-1: all). Return (loss sum, "
      "divisor, values, correct, rows, hits, not_one_hot) for each loss, added to scores." },
    { "keep", (PyCFunction)fit_keep, METH_O,
      "keep($self, rows, /)\n--\n\n"
      "Return arrays that later calls fill with predictions for this many rows; 0 ends this." },
    { "set_order", (PyCFunction)fit_set_order, METH_VARARGS,
      "set_order($self, epoch, order, /)\n--\n\n"
      "Set the order of the rows in an epoch, instead of the one that the seed determines." },
    { "profile", (PyCFunction)fit_profile, METH_NOARGS,
      "profile($self, /)\n--\n\nStart timing every step, for times." },
    { "reset", (PyCFunction)fit_reset, METH_NOARGS,
      "reset($self, /)\n--\n\nDiscard the health of earlier epochs, as epoch does by itself." },
    { "measure_health", (PyCFunction)fit_measure_health, METH_NOARGS,
      "measure_health($self, /)\n--\n\nMeasure health in one pass over the data, without a step." },
    { "batch", (PyCFunction)fit_batch, METH_VARARGS,
      "batch($self, x, y, sample_weight=None, /)\n--\n\n"
      "Perform one step on all rows of x. Return the same as epoch." },
    { NULL, NULL, 0, NULL },
};
static PyGetSetDef fit_getset[] = {
    { "times", (getter)fit_times, NULL,
      "Seconds since profile, in the plan of full batches and outside it; ends the profile.",
      NULL },
    { "health", (getter)fit_health, NULL,
      "(units, dead, saturated, probes, updates, mean, spread, gradient, update, weight, flat_low, "
      "flat_high) of each node, or None if health is not recorded.",
      NULL },
    { "order", (getter)fit_order, NULL,
      "The order of the rows in the last epoch; None without shuffling.", NULL },
    { "objective", (getter)fit_objective, NULL,
      "Sums over the batches of the epoch so far: the weighted mean loss and the penalty, each "
      "times the rows of the batch, and the rows.",
      NULL },
    { "origin", (getter)fit_origin, NULL,
      "(place, node, slot, row) of the first value of the last step that was not finite, or None.",
      NULL },
    { "step", (getter)fit_get_step, (setter)fit_set_step, "Updates done so far.", NULL },
    { NULL, NULL, NULL, NULL, NULL },
};
static PyType_Slot fit_slots[] = {
    { Py_tp_new, fit_new },
    { Py_tp_dealloc, fit_dealloc },
    { Py_tp_traverse, fit_traverse },
    { Py_tp_methods, fit_methods },
    { Py_tp_getset, fit_getset },
    { Py_tp_doc,
      "Fit(graph, x, y, criteria, batch_size, shuffle, seed, groups, sample_weight=None, "
      "finite=False, health=False, solver=None, drop_last=False, rows=None, penalty=0.0)\n--\n\n"
      "Training of a graph: one epoch per call, or one batch per call if x and y are None. With x "
      "alone, it can only measure health. rows: indices of the rows to use; None for all. penalty: "
      "of the squares of all matrices, as in pn_fit_options." },
    { 0, NULL },
};
static PyType_Spec fit_spec = { "pynn._core.Fit", sizeof(FitObject), 0, GC_TYPE, fit_slots };

int add_fit(PyObject *module) { return add_type(module, &fit_spec, NULL); }
