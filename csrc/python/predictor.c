/* predictor.c - prediction as a Python object that any number of threads may use. */
#include "predictor.h"
#include "array.h"
#include "fit.h"
#include "gate.h"
#include "model.h"
#include "scores.h"
#include "service.h"
#include "stop.h"

/* Each call uses a separate predictor of the core, so that any number of threads may call. Some are
 * kept for later calls. */
enum { IDLE = 4 };
typedef struct {
    PyObject_HEAD
    pn_predictor *idle[IDLE];
    size_t n_idle, block;
    GraphObject *graph;
    const char *isa;
    unsigned long moves;                            /* array_moves() at creation */
    size_t ndim, shape[PN_MAX_DIMS], width;         /* of a sample of the first input */
} PredictorObject;

static int predictor_traverse(PredictorObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->graph);
    return 0;
}

static void predictor_dealloc(PredictorObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    while (self->n_idle) pn_predictor_free(self->idle[--self->n_idle]);
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
    GraphObject *g = as_graph(graph);
    if (!g) return NULL;
    PredictorObject *self = (PredictorObject *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->graph = (GraphObject *)Py_NewRef(graph);
    self->isa = pn_isa_get();
    self->moves = array_moves();
    pn_graph_shape(g->graph, pn_graph_input_node(g->graph, 0), &self->ndim, self->shape);
    self->width = sample_width(g, pn_graph_input_node(g->graph, 0));
    g->sealed = 1;
    self->block = batch_size < 1 ? 0 : (size_t)batch_size;
    pn_status status = pn_predictor_new(g->graph, self->block, &self->idle[0], &error);
    self->n_idle = !status;
    if (!status) return (PyObject *)self;
    Py_DECREF(self);
    return raise_status(status, &error);
}

static pn_predictor *acquire_predictor(PredictorObject *self)
{
    pn_error error;
    pn_predictor *p = self->n_idle ? self->idle[--self->n_idle] : NULL;
    pn_status status = p ? PN_OK : pn_predictor_new(self->graph->graph, self->block, &p, &error);
    if (status) raise_status(status, &error);
    return p;
}

static void release_predictor(PredictorObject *self, pn_predictor *p)
{
    if (self->n_idle < IDLE) self->idle[self->n_idle++] = p;
    else pn_predictor_free(p);
}

/* Returns 0 with an exception on failure. Layers written in Python may keep state while they run,
 * so their calls exclude each other. */
static int run(PredictorObject *self, const pn_data *data, pn_fit_options *options, void *const *y,
               pn_score *scores)
{
    pn_error error;
    pn_hold hold;
    released r;
    int releases = data->rows * self->width > RELEASE_AT || self->graph->has_custom;
    for (size_t i = 0; i < options->n_criteria; i++) releases |= options->criteria[i].call != NULL;
    pn_predictor *p = acquire_predictor(self);
    if (!p) return 0;
    const pn_access access = self->graph->has_custom ? PN_WRITE : PN_READ;
    const int entered = gates_enter(self->graph->gates, access, releases, &hold, &r);
    if (entered) {
        if (r.state) options->poll = poll_signals;
        pn_status status = pn_predict(p, data, options, y, scores, &error);
        if (gates_leave(&hold, &r)) status = PN_STOPPED;
        if (status) raise_status(status, &error);
    }
    release_predictor(self, p);
    return entered && !PyErr_Occurred();
}

/* If an output is not finite, raises an error if the cause is a sample too large for float32, to
 * which the plan converted it. */
static int check_range(const GraphObject *g, const converted *t, const arrays *out)
{
    int suspect = 0;
    for (size_t i = 0; g->dtype == PN_F32 && i < out->n && !suspect; i++) {
        const size_t n = (size_t)PyArray_SIZE(out->array[i]);
        suspect = pn_first_nonfinite(PN_F32, n, PyArray_DATA(out->array[i])) < n;
    }
    for (size_t i = 0; suspect && i < t->x.n; i++) {
        PyArrayObject *x = t->x.array[i];
        if (t->samples[i].type != PN_FROM_F64 || !PyArray_SIZE(x)) continue;
        const npy_intp width = PyArray_SIZE(x) / PyArray_DIM(x, 0);
        for (size_t k = 0; k < t->data.rows; k++) {
            const size_t row = t->data.subset ? t->data.subset[k] : k;
            const double *sample = (const double *)((const char *)t->samples[i].x +
                                                    (ptrdiff_t)row * t->samples[i].stride);
            npy_intp at = first_too_large(width, sample);
            if (at >= 0)
                return raise_too_large("X", sample[at], (npy_intp)row * width + at, PyArray_NDIM(x),
                                       PyArray_DIMS(x));
        }
    }
    return 1;
}

/* Returns the output for converted samples. */
static PyObject *predict_taken(PredictorObject *self, converted *t)
{
    const GraphObject *g = self->graph;
    pn_fit_options options = { .poll = NULL };
    arrays out = { .n = 0 };
    int ok = 1;
    for (size_t i = 0; ok && i < pn_graph_n_outputs(g->graph); i++)
        ok = arrays_set(&out, i, new_output(g, i, t->data.rows));
    if (ok && run(self, &t->data, &options, out.data, NULL) && check_range(g, t, &out))
        return arrays_take(&out);
    arrays_clear(&out);
    return NULL;
}

static PyObject *predictor_call(PredictorObject *self, PyObject *args)
{
    converted t = { .x.n = 0 };
    PyObject *given, *rows = Py_None, *out = NULL;
    if (!PyArg_ParseTuple(args, "O|O", &given, &rows)) return NULL;
    if (take_samples(self->graph, given, &t) && take_subset(rows, &t))
        out = predict_taken(self, &t);
    converted_clear(&t);
    return out;
}

/* As predict, if no check or conversion is needed; otherwise returns None. */
static PyObject *predictor_quick(PredictorObject *self, PyObject *given)
{
    const GraphObject *g = self->graph;
    if (!PyArray_CheckExact(given) || self->isa != pn_isa_get() || self->moves != array_moves() ||
        pn_graph_n_inputs(g->graph) != 1)
        Py_RETURN_NONE;
    PyArrayObject *x = (PyArrayObject *)given;
    int fits = PyArray_TYPE(x) == (g->dtype == PN_F32 ? NPY_FLOAT : NPY_DOUBLE) &&
               (size_t)PyArray_NDIM(x) == self->ndim + 1 && PyArray_ISCARRAY_RO(x);
    for (size_t i = 0; fits && i < self->ndim; i++)
        fits = (size_t)PyArray_DIM(x, (int)i + 1) == self->shape[i];
    if (!fits) Py_RETURN_NONE;
    converted t = { .samples[0] = { PyArray_DATA(x), g->dtype == PN_F32 ? PN_FROM_F32 : PN_FROM_F64,
                                (ptrdiff_t)(self->width * (size_t)PyArray_ITEMSIZE(x)) } };
    t.data = (pn_data){ (size_t)PyArray_DIM(x, 0), t.samples, NULL, NULL };
    return predict_taken(self, &t);
}

static PyObject *predictor_score(PredictorObject *self, PyObject *args)
{
    const GraphObject *g = self->graph;
    PyObject *px, *py, *tuple, *weight = Py_None, *rows = Py_None;
    converted t = { .x.n = 0 };
    pn_criterion criteria[PN_MAX_IO];
    PyObject *keep = NULL;
    pn_score scores[PN_MAX_IO];
    if (!PyArg_ParseTuple(args, "OOO!|OO", &px, &py, &PyTuple_Type, &tuple, &weight, &rows))
        return NULL;
    pn_fit_options options = { .criteria = criteria };
    options.n_criteria = parse_criteria(g, tuple, criteria, &keep);
    int ok = options.n_criteria && take_samples(g, px, &t) &&
             take_targets(g, criteria, options.n_criteria, py, weight, &t) &&
             take_subset(rows, &t) && run(self, &t.data, &options, NULL, scores);
    converted_clear(&t);
    Py_XDECREF(keep);
    return ok ? scores_tuple(scores, options.n_criteria) : NULL;
}

static PyMethodDef predictor_methods[] = {
    { "predict", (PyCFunction)predictor_call, METH_VARARGS,
      "predict($self, x, rows=None, /)\n--\n\n"
      "Return the output for x, or for the given rows of x, computed in blocks." },
    { "quick", (PyCFunction)predictor_quick, METH_O,
      "quick($self, x, /)\n--\n\n"
      "Return the same as predict if the net can read the array x directly, otherwise None." },
    { "score", (PyCFunction)predictor_score, METH_VARARGS,
      "score($self, x, y, criteria, sample_weight=None, rows=None, /)\n--\n\n"
      "Return (loss sum, divisor, values, correct, rows, hits, not_one_hot) for each loss." },
    { NULL, NULL, 0, NULL },
};
static PyType_Slot predictor_slots[] = {
    { Py_tp_new, predictor_new },
    { Py_tp_dealloc, predictor_dealloc },
    { Py_tp_traverse, predictor_traverse },
    { Py_tp_methods, predictor_methods },
    { Py_tp_doc,
      "Predictor(graph, batch_size)\n--\n\nPrediction of any number of rows with a graph." },
    { 0, NULL },
};
static PyType_Spec predictor_spec = { "pynn._core.Predictor", sizeof(PredictorObject), 0, GC_TYPE,
                                      predictor_slots };

int add_predictor(PyObject *module) { return add_type(module, &predictor_spec, NULL); }
