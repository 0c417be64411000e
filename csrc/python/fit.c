/* fit.c - training and prediction as Python objects. */
#include "binding.h"

/* Runs without the GIL; takes it to let a signal handler raise. */
static int poll_signals(void *context)
{
    (void)context;
    PyGILState_STATE state = PyGILState_Ensure();
    int stop = PyErr_CheckSignals();
    PyGILState_Release(state);
    return stop;
}

static PyObject *score_tuple(const pn_score *s)
{
    return Py_BuildValue("dnnn", s->loss, (Py_ssize_t)s->values, (Py_ssize_t)s->correct, (Py_ssize_t)s->rows);
}

/* x and, where given, y for a graph and a loss. */
static int take_data(const GraphObject *g, size_t loss, PyObject *px, PyObject *py, PyArrayObject **x, PyArrayObject **y, pn_data *data)
{
    size_t ndim, shape[PN_MAX_DIMS], cols = 1;
    *x = sample_array(px, g->dtype, "X", data);
    if (!*x || !check_sample(g, *x, "X")) return 0;
    if (py == Py_None) return 1;
    pn_graph_output(g->graph, &ndim, shape);
    for (size_t i = 0; i < ndim; i++) cols *= shape[i];
    *y = target_array(loss, g->dtype, data->rows, cols, py, "y", &data->y);
    return *y != NULL;
}

/* ---- Fit ----------------------------------------------------------------------------------------------------------- */
typedef struct {
    PyObject_HEAD
    pn_fit *fit;
    pn_data data;
    pn_fit_options options;
    groups groups;
    PyObject *graph;
    PyArrayObject *x, *y;
    long long step;
    pn_fit_times times;
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
    if (!parse_groups(list, &self->groups)) goto fail;
    if (x != Py_None && !take_data(g, (size_t)loss, x, y, &self->x, &self->y, &self->data)) goto fail;
    self->options = (pn_fit_options){ .loss = (size_t)loss, .batch_size = batch_size < 1 ? 0 : (size_t)batch_size, .sum = sum, .shuffle = shuffle,
        .seed = seed, .groups = self->groups.groups, .n_groups = self->groups.n, .poll = poll_signals };
    pn_status status = pn_fit_new(g->graph, self->x ? &self->data : NULL, &self->options, &self->fit, &error);
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

static PyObject *fit_epoch(FitObject *self, PyObject *number)
{
    unsigned long long epoch = PyLong_AsUnsignedLongLong(number);
    pn_score score;
    pn_error error;
    int64_t step = self->step;
    if (PyErr_Occurred() || !enter(self)) return NULL;
    PyThreadState *state = PyEval_SaveThread();
    pn_status status = pn_fit_epoch(self->fit, epoch, &step, &score, &error);
    PyEval_RestoreThread(state);
    self->busy = 0;
    self->step = step;
    return status ? raise_status(status, &error) : score_tuple(&score);
}

static PyObject *fit_batch(FitObject *self, PyObject *args)
{
    PyObject *px, *py;
    PyArrayObject *x = NULL, *y = NULL;
    pn_data data = { 0 };
    pn_score score = { 0 };
    pn_error error;
    pn_status status = PN_OK;
    int64_t step = self->step;
    if (!PyArg_ParseTuple(args, "OO", &px, &py)) return NULL;
    int ok = take_data((GraphObject *)self->graph, self->options.loss, px, py, &x, &y, &data) && enter(self);
    if (ok) {
        PyThreadState *state = PyEval_SaveThread();
        status = pn_fit_batch(self->fit, &data, &step, &score, &error);
        PyEval_RestoreThread(state);
        self->busy = 0;
        self->step = step;
    }
    Py_XDECREF(x);
    Py_XDECREF(y);
    return !ok ? NULL : status ? raise_status(status, &error) : score_tuple(&score);
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
    return steps ? Py_BuildValue("{s:L,s:d,s:d,s:d,s:d,s:N}", "steps", (long long)now.steps, "gather", now.gather, "loss", now.loss, "update", now.update,
                                 "score", now.score, "plan", steps) : NULL;
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

/* ---- Predictor ----------------------------------------------------------------------------------------------------- */
typedef struct { PyObject_HEAD pn_predictor *predictor; GraphObject *graph; const char *isa; int busy; } PredictorObject;

static void predictor_dealloc(PredictorObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    pn_predictor_free(self->predictor);
    Py_XDECREF(self->graph);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *predictor_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = { "graph", "batch_size", NULL };
    PyObject *graph;
    Py_ssize_t batch_size;
    pn_error error;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "On", names, &graph, &batch_size)) return NULL;
    GraphObject *g = as_graph(PyType_GetModule(type), graph);
    if (!g) return NULL;
    PredictorObject *self = (PredictorObject *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->graph = (GraphObject *)Py_NewRef(graph);
    self->isa = pn_isa_get();
    g->sealed = 1;
    pn_status status = pn_predictor_new(g->graph, batch_size < 1 ? 0 : (size_t)batch_size, &self->predictor, &error);
    if (!status) return (PyObject *)self;
    Py_DECREF(self);
    return raise_status(status, &error);
}

static int enter_predictor(PredictorObject *self)
{
    if (self->busy) PyErr_SetString(PyExc_RuntimeError, "this model is in use by another thread; give each thread a copy of its own");
    return !self->busy && (self->busy = 1);
}

static size_t sample_size(const GraphObject *g)
{
    size_t n = 1;
    for (size_t i = 0; i < g->ndim; i++) n *= g->shape[i];
    return n;
}

static pn_status run(PredictorObject *self, const pn_data *data, pn_fit_options *options, PyArrayObject *out, pn_score *score, pn_error *error)
{
    PyThreadState *state = data->rows * sample_size(self->graph) > RELEASE_AT ? PyEval_SaveThread() : NULL;
    if (state) options->poll = poll_signals;
    pn_status status = pn_predict(self->predictor, data, options, out ? PyArray_DATA(out) : NULL, score, error);
    if (state) PyEval_RestoreThread(state);
    self->busy = 0;
    return status;
}

static PyObject *predictor_call(PredictorObject *self, PyObject *given)
{
    pn_data data = { 0 };
    pn_error error;
    pn_fit_options options = { 0 };
    PyArrayObject *x = sample_array(given, self->graph->dtype, "X", &data), *out = NULL;
    if (x && check_sample(self->graph, x, "X") && (out = new_output(self->graph, data.rows)) && enter_predictor(self)) {
        pn_status status = run(self, &data, &options, out, NULL, &error);
        if (status) {
            Py_CLEAR(out);
            raise_status(status, &error);
        }
    } else Py_CLEAR(out);
    Py_XDECREF(x);
    return (PyObject *)out;
}

/* As predict, where nothing has to be found out or converted first; else None. */
static PyObject *predictor_quick(PredictorObject *self, PyObject *given)
{
    if (!PyArray_CheckExact(given) || self->isa != pn_isa_get()) Py_RETURN_NONE;
    const GraphObject *g = self->graph;
    PyArrayObject *x = (PyArrayObject *)given;
    int fits = PyArray_TYPE(x) == (g->dtype == PN_F32 ? NPY_FLOAT : NPY_DOUBLE) && (size_t)PyArray_NDIM(x) == g->ndim + 1 && PyArray_ISCARRAY_RO(x);
    for (size_t i = 0; fits && i < g->ndim; i++) fits = (size_t)PyArray_DIM(x, (int)i + 1) == g->shape[i];
    return fits ? predictor_call(self, given) : Py_NewRef(Py_None);
}

static PyObject *predictor_score(PredictorObject *self, PyObject *args)
{
    PyObject *px, *py;
    Py_ssize_t loss;
    PyArrayObject *x = NULL, *y = NULL;
    pn_data data = { 0 };
    pn_score score;
    pn_error error;
    pn_status status = PN_OK;
    if (!PyArg_ParseTuple(args, "OOn", &px, &py, &loss) || !check_index((size_t)loss, pn_loss_at((size_t)loss), "losses")) return NULL;
    pn_fit_options options = { .loss = (size_t)loss };
    int ok = take_data(self->graph, (size_t)loss, px, py, &x, &y, &data) && enter_predictor(self);
    if (ok) status = run(self, &data, &options, NULL, &score, &error);
    Py_XDECREF(x);
    Py_XDECREF(y);
    return !ok ? NULL : status ? raise_status(status, &error) : score_tuple(&score);
}

/* ---- types --------------------------------------------------------------------------------------------------------- */
static PyMethodDef fit_methods[] = {
    { "epoch", (PyCFunction)fit_epoch, METH_O, "epoch($self, number, /)\n--\n\nOne epoch: (loss sum, values, correct, rows)." },
    { "profile", (PyCFunction)fit_profile, METH_NOARGS, "profile($self, /)\n--\n\nTime every step from now on, for times." },
    { "batch", (PyCFunction)fit_batch, METH_VARARGS, "batch($self, x, y, /)\n--\n\nOne step on all rows of x: (loss sum, values, correct, rows)." },
    { NULL, NULL, 0, NULL },
};
static PyGetSetDef fit_getset[] = {
    { "times", (getter)fit_times, NULL, "Seconds since profile, in the plan of full batches and beside it; ends the profile.", NULL },
    { "step", (getter)fit_get_step, (setter)fit_set_step, "Updates done so far.", NULL },
    { NULL, NULL, NULL, NULL, NULL },
};
static PyType_Slot fit_slots[] = {
    { Py_tp_new, fit_new },
    { Py_tp_dealloc, fit_dealloc },
    { Py_tp_methods, fit_methods },
    { Py_tp_getset, fit_getset },
    { Py_tp_doc, "Fit(graph, x, y, loss, sum, batch_size, shuffle, seed, groups)\n--\n\nTraining, an epoch a call; without x and y, a batch a call." },
    { 0, NULL },
};
static PyMethodDef predictor_methods[] = {
    { "predict", (PyCFunction)predictor_call, METH_O, "predict($self, x, /)\n--\n\nThe output for x, in blocks of rows." },
    { "quick", (PyCFunction)predictor_quick, METH_O, "quick($self, x, /)\n--\n\nAs predict for an array that is as the net reads it; None for anything else." },
    { "score", (PyCFunction)predictor_score, METH_VARARGS, "score($self, x, y, loss, /)\n--\n\n(loss sum, values, correct, rows)." },
    { NULL, NULL, 0, NULL },
};
static PyType_Slot predictor_slots[] = {
    { Py_tp_new, predictor_new },
    { Py_tp_dealloc, predictor_dealloc },
    { Py_tp_methods, predictor_methods },
    { Py_tp_doc, "Predictor(graph, batch_size)\n--\n\nA graph ready to predict any number of rows." },
    { 0, NULL },
};
static PyType_Spec fit_spec = { "pynn._core.Fit", sizeof(FitObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, fit_slots };
static PyType_Spec predictor_spec = { "pynn._core.Predictor", sizeof(PredictorObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, predictor_slots };

int add_fit(PyObject *module) { return add_type(module, &fit_spec) < 0 ? -1 : add_type(module, &predictor_spec); }
