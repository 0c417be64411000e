/* losses.c - losses as Python functions. */
#include "losses.h"
#include "array.h"
#include "custom.h"
#include "formula.h"
#include "service.h"
#include "stop.h"

/* ---- criterion: (index or formula, reduction, numbers, weight, pos_weight, per_element), or a
 * callable ------------------------------------------------------------------------------------- */
/* Converts a weight to an array of size elements. */
static int take_weight(PyObject *given, pn_dtype t, size_t cols, size_t size, const char *name,
                       PyObject **keep, const void **data)
{
    if (given == Py_None) return 1;
    PyArrayObject *array = real_array(given, t, name);
    if (!array) return 0;
    *data = PyArray_DATA(array);
    int ok = (size_t)PyArray_SIZE(array) == size;
    if (!ok)
        PyErr_Format(PyExc_ValueError, "%s: %zd values do not fit predictions of %zu columns", name,
                     PyArray_SIZE(array), cols);
    ok = ok && keep_array(keep, array);
    Py_DECREF(array);
    return ok;
}

static int custom_criterion(PyObject *given, pn_criterion *c, PyObject **keep)
{
    *c = (pn_criterion){ .row = pn_loss_custom(), .call = call_custom_loss };
    c->context = given;
    c->factor = 1;
    return (*keep || (*keep = PyList_New(0))) && PyList_Append(*keep, given) == 0;
}

/* The number of columns in a loss's view of samples of this shape. */
static size_t columns(const pn_criterion *c, size_t ndim, const size_t *shape)
{
    pn_loss_view view;
    pn_error error;
    if (pn_loss_check_fit(c, ndim, shape, &view, &error) == PN_OK) return view.cols;
    return ndim ? shape[ndim - 1] : 1;
}

/* Takes the row of a loss: its number in the table, or a formula, which is kept. */
static int take_row(PyObject *given, Py_ssize_t numbers, pn_criterion *c, PyObject **keep)
{
    *c = (pn_criterion){ .row = pn_loss_formula() };
    if (!is_formula(given)) {
        const size_t index = PyLong_AsSize_t(given);
        if (index == SIZE_MAX && PyErr_Occurred()) return 0;
        c->row = pn_loss_at(index);
        return check_index(index, c->row, "losses");
    }
    const pn_formula *f = formula_of(given, "loss");
    if (pn_formula_inputs(f) != 2 || pn_formula_parameters(f) != (size_t)numbers)
        return PyErr_Format(PyExc_ValueError,
                            "loss: expected a formula of 2 inputs and %zd parameters, got one of "
                            "%zu inputs and %zu parameters",
                            numbers, pn_formula_inputs(f), pn_formula_parameters(f)) != NULL;
    return formula_loss_tapes(given, &c->value, &c->value_and_slope) &&
           (*keep || (*keep = PyList_New(0))) && PyList_Append(*keep, given) == 0;
}

int parse_criterion(PyObject *given, pn_dtype t, size_t n, size_t ndim, const size_t *shape,
                    pn_criterion *c, PyObject **keep)
{
    if (PyCallable_Check(given)) return custom_criterion(given, c, keep);
    int reduction, per_element;
    PyObject *loss, *numbers, *weight, *pos_weight;
    if (!PyTuple_Check(given)) {
        PyErr_Format(PyExc_TypeError, "loss: expected a tuple, got %.80R", given);
        return 0;
    }
    if (!PyArg_ParseTuple(given,
                          "OiO!OOp;a loss is (index or formula, reduction, numbers, "
                          "weight, pos_weight, per_element)",
                          &loss, &reduction, &PyTuple_Type, &numbers, &weight, &pos_weight,
                          &per_element))
        return 0;
    if (!take_row(loss, PyTuple_GET_SIZE(numbers), c, keep)) return 0;
    if (PyTuple_GET_SIZE(numbers) > PN_MAX_LOSS_PARAMS || reduction < PN_MEAN ||
        reduction > PN_BATCHMEAN) {
        PyErr_SetString(PyExc_ValueError, "loss: too many numbers, or an unknown reduction");
        return 0;
    }
    c->reduction = (pn_reduction)reduction;
    c->per_element = per_element;
    c->factor = 1;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(numbers); i++) {
        c->params[i] = PyFloat_AsDouble(PyTuple_GET_ITEM(numbers, i));
        if (i == 0 && PyLong_Check(PyTuple_GET_ITEM(numbers, 0)))
            c->ignore_index = PyLong_AsLongLong(PyTuple_GET_ITEM(numbers, 0));
        if (PyErr_Occurred()) return 0;
    }
    const size_t cols = columns(c, ndim, shape), size = per_element ? n : cols;
    return take_weight(weight, t, cols, size, "weight", keep, &c->weight) &&
           take_weight(pos_weight, t, cols, size, "pos_weight", keep, &c->pos_weight);
}

/* ---- targets --------------------------------------------------------------------------------- */
/* A direct call releases the GIL between check and use, so it needs a copy of the labels. The
 * labels of fit are checked again batch by batch. */
static PyArrayObject *convert_target(const pn_criterion *loss, pn_dtype t, size_t rows, size_t cols,
                                   PyObject *given, const char *name, int copy, pn_target *target)
{
    const pn_loss *row = loss->row;
    PyArrayObject *a = (PyArrayObject *)PyArray_FROM_O(given), *y;
    if (!a) return NULL;
    int labels = strchr("cim", row->target) ||
                 (row->target == 'p' && PyTypeNum_ISINTEGER(PyArray_TYPE(a)));
    size_t want = rows * (labels && row->target == 'p' ? 1 : pn_loss_target_width(loss, cols));
    y = labels ? (copy ? label_copy : label_array)((PyObject *)a, name)
               : real_array((PyObject *)a, t, name);
    if (y && (size_t)PyArray_SIZE(y) != want) {
        PyObject *shape = PyObject_GetAttrString((PyObject *)a, "shape");
        const char *hint = "";
        if (row->target == 'p')
            hint = " (class indices are integers, one per row; probabilities are shaped like the "
                   "output)";
        PyErr_Format(PyExc_ValueError,
                     "%s: dtype %S and shape %S do not fit %s on %zu rows and %zu columns%s", name,
                     (PyObject *)PyArray_DESCR(a), shape ? shape : Py_None, row->cls, rows, cols,
                     hint);
        Py_XDECREF(shape);
        Py_CLEAR(y);
    }
    Py_DECREF(a);
    *target = (pn_target){ .name = name };
    if (y && labels) target->label = PyArray_DATA(y);
    else if (y) target->target = PyArray_DATA(y);
    return y;
}

PyArrayObject *target_array(const pn_criterion *loss, pn_dtype t, size_t rows, size_t cols,
                            PyObject *given, const char *name, pn_target *target)
{
    return convert_target(loss, t, rows, cols, given, name, 0, target);
}

/* ---- loss(criterion, inputs, target, sample_weight, want_values) ----------------------------- */
/* The objects that a call owns while it runs. */
typedef struct {
    pn_criterion loss;
    PyObject *keep;                     /* arrays of the loss */
    pn_dtype dtype;
    pn_loss_args args;
    PyArrayObject *x[PN_MAX_INPUTS], *target, *sample_weight, *value, *grad[PN_MAX_INPUTS];
} loss_call;

static void loss_clear(loss_call *c)
{
    Py_XDECREF(c->keep);
    for (int i = 0; i < PN_MAX_INPUTS; i++) {
        Py_XDECREF(c->x[i]);
        Py_XDECREF(c->grad[i]);
    }
    Py_XDECREF(c->target);
    Py_XDECREF(c->sample_weight);
    Py_XDECREF(c->value);
}

/* Converts the inputs, each (rows, cols), to the dtype of the first one, and allocates their
 * gradients. */
static int take_inputs(loss_call *c, PyObject *inputs)
{
    size_t n = (size_t)PyTuple_GET_SIZE(inputs);
    if (n < 1 || n > PN_MAX_INPUTS) {
        PyErr_SetString(PyExc_ValueError, "a loss takes one to three inputs");
        return 0;
    }
    PyObject *first = PyTuple_GET_ITEM(inputs, 0);
    c->dtype = PyArray_Check(first) && PyArray_TYPE((PyArrayObject *)first) == NPY_FLOAT ? PN_F32
                                                                                         : PN_F64;
    for (size_t i = 0; i < n; i++) {
        if (!(c->x[i] = real_array(PyTuple_GET_ITEM(inputs, (Py_ssize_t)i), c->dtype, "input")))
            return 0;
        if (PyArray_NDIM(c->x[i]) != 2 || !PyArray_SAMESHAPE(c->x[i], c->x[0])) {
            PyErr_SetString(PyExc_ValueError,
                            "input: expected arrays of rows and columns, all of the same shape");
            return 0;
        }
        if (!(c->grad[i] = (PyArrayObject *)PyArray_NewLikeArray(c->x[i], NPY_CORDER, NULL, 0)))
            return 0;
        c->args.x[i] = PyArray_DATA(c->x[i]);
        c->args.grad[i] = PyArray_DATA(c->grad[i]);
    }
    c->args.rows = (size_t)PyArray_DIM(c->x[0], 0);
    c->args.cols = (size_t)PyArray_DIM(c->x[0], 1);
    return 1;
}

/* One number per row, or one per value. */
static int take_sample_weight(loss_call *c, PyObject *given)
{
    pn_loss_args *a = &c->args;
    if (given == Py_None) return 1;
    if (!(c->sample_weight = real_array(given, c->dtype, "sample_weight"))) return 0;
    const size_t n = (size_t)PyArray_SIZE(c->sample_weight),
                 values = pn_loss_values(a->loss, a->rows, a->cols);
    a->target.sample_weight = PyArray_DATA(c->sample_weight);
    a->target.per_value = n != a->rows;
    if (n == a->rows || n == values) return 1;
    PyErr_Format(PyExc_ValueError, "sample_weight: %zu values for %zu rows of %zu values", n,
                 a->rows, a->rows ? values / a->rows : 0);
    return 0;
}

static int take_call(loss_call *c, PyObject *loss, PyObject *inputs, PyObject *target,
                     PyObject *sample_weight, int want_values)
{
    pn_loss_args *a = &c->args;
    pn_error error;
    if (!take_inputs(c, inputs) ||
        !parse_criterion(loss, c->dtype, a->rows * a->cols, 1, &a->cols, &c->loss, &c->keep))
        return 0;
    a->loss = &c->loss;
    if (a->loss->row->kind == 's' || a->loss->call) {
        PyErr_Format(PyExc_ValueError, "%s %s", a->loss->row->cls,
                     a->loss->call ? "cannot be called like this" : "takes sequences");
        return 0;
    }
    if (a->loss->row->target != 'n' &&
        !(c->target = convert_target(a->loss, c->dtype, a->rows, a->cols, target, "target", 1,
                                   &a->target)))
        return 0;
    if (!take_sample_weight(c, sample_weight)) return 0;
    pn_status status = pn_loss_check(a->loss, c->dtype, a->rows, a->cols, &a->target, &error);
    for (size_t i = 0; i < PN_MAX_INPUTS && !status && c->x[i]; i++)
        status = pn_loss_check_input(a->loss, c->dtype, i, a->rows * a->cols, a->x[i], NULL,
                                     &error);
    if (status) return raise_status(status, &error) != NULL;
    npy_intp values = (npy_intp)pn_loss_values(a->loss, a->rows, a->cols);
    if (want_values && !(c->value = new_array(1, &values, c->dtype))) return 0;
    a->value = want_values ? PyArray_DATA(c->value) : NULL;
    return 1;
}

static PyObject *loss_result(loss_call *c, double result)
{
    size_t n = 0;
    while (n < PN_MAX_INPUTS && c->grad[n]) n++;
    PyObject *grads = PyTuple_New((Py_ssize_t)n);
    for (size_t i = 0; grads && i < n; i++)
        PyTuple_SET_ITEM(grads, (Py_ssize_t)i, Py_NewRef((PyObject *)c->grad[i]));
    return grads ? Py_BuildValue("dON", result, c->value ? (PyObject *)c->value : Py_None, grads)
                 : NULL;
}

static PyObject *run_loss(loss_call *c, int want_values)
{
    released r;
    release(&r, PyArray_SIZE(c->x[0]) > RELEASE_AT);
    const pn_loss_args *a = &c->args;
    double divisor = 1;
    if (!want_values) divisor = pn_loss_divisor(a->loss, c->dtype, a->rows, a->cols, &a->target);
    /* the gradient is 0 if all weights are 0 */
    c->args.scale = divisor ? 1 / divisor : 0;
    double sum = pn_loss_run(c->dtype, &c->args);
    if (retake(&r)) return NULL;
    return loss_result(c, sum / divisor);
}

static PyObject *loss(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *loss, *inputs, *target, *sample_weight, *result = NULL;
    int want_values;
    loss_call c = { 0 };
    if (!PyArg_ParseTuple(args, "OO!OOp", &loss, &PyTuple_Type, &inputs, &target, &sample_weight,
                          &want_values))
        return NULL;
    if (take_call(&c, loss, inputs, target, sample_weight, want_values))
        result = run_loss(&c, want_values);
    loss_clear(&c);
    return result;
}

/* ---- sequences ------------------------------------------------------------------------------- */
/* One number >= 0 per sequence. */
static const int64_t *take_lengths(PyObject *given, size_t rows, const char *name,
                                   PyArrayObject **array)
{
    if (!(*array = label_copy(given, name))) return NULL;
    if ((size_t)PyArray_SIZE(*array) == rows) return PyArray_DATA(*array);
    PyErr_Format(PyExc_ValueError, "%s: %zd numbers for %zu sequences", name, PyArray_SIZE(*array),
                 rows);
    return NULL;
}

/* Converts x (steps, rows, cols) and its loss. */
static int take_log_probs(loss_call *c, PyObject *x, PyObject *loss, size_t *steps)
{
    pn_loss_args *a = &c->args;
    c->dtype = PyArray_Check(x) && PyArray_TYPE((PyArrayObject *)x) == NPY_FLOAT ? PN_F32 : PN_F64;
    if (!(c->x[0] = real_array(x, c->dtype, "log_probs"))) return 0;
    if (PyArray_NDIM(c->x[0]) != 3) {
        PyErr_SetString(PyExc_ValueError,
                        "log_probs: expected three dimensions: steps, sequences and classes");
        return 0;
    }
    *steps = (size_t)PyArray_DIM(c->x[0], 0);
    a->rows = (size_t)PyArray_DIM(c->x[0], 1);
    a->cols = (size_t)PyArray_DIM(c->x[0], 2);
    if (!parse_criterion(loss, c->dtype, 0, 1, &a->cols, &c->loss, &c->keep)) return 0;
    a->loss = &c->loss;
    if (a->loss->row->kind == 's') return 1;
    PyErr_Format(PyExc_ValueError, "%s does not take sequences", a->loss->row->cls);
    return 0;
}

/* sequences(criterion, x (steps, rows, cols), labels, starts, input_lengths, target_lengths,
 * want_values): returns the same as loss. */
static PyObject *sequences(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *loss, *x, *labels, *starts, *inputs, *targets, *result = NULL;
    PyArrayObject *start = NULL, *in = NULL, *out = NULL;
    int want_values;
    loss_call c = { .args.loss = NULL };
    pn_sequences q = { 0 };
    pn_error error;
    if (!PyArg_ParseTuple(args, "OOOOOOp", &loss, &x, &labels, &starts, &inputs, &targets,
                          &want_values))
        return NULL;
    pn_loss_args *a = &c.args;
    if (!take_log_probs(&c, x, loss, &q.steps) || !(c.target = label_copy(labels, "targets")))
        goto done;
    a->target.label = PyArray_DATA(c.target);
    if (!(q.start = take_lengths(starts, a->rows, "targets", &start)) ||
        !(q.input_length = take_lengths(inputs, a->rows, "input_lengths", &in)) ||
        !(q.target_length = take_lengths(targets, a->rows, "target_lengths", &out)))
        goto done;
    pn_status status = pn_sequences_check(a->loss, a->rows, a->cols, &q,
                                          (size_t)PyArray_SIZE(c.target), a->target.label, &error);
    if (status) {
        raise_status(status, &error);
        goto done;
    }
    npy_intp rows = (npy_intp)a->rows;
    if (!(c.grad[0] = (PyArrayObject *)PyArray_NewLikeArray(c.x[0], NPY_CORDER, NULL, 0)) ||
        (want_values && !(c.value = new_array(1, &rows, c.dtype))))
        goto done;
    if (!(q.work = PyMem_RawMalloc(pn_sequences_work(a->rows, a->cols, &q) * sizeof *q.work + 1))) {
        PyErr_NoMemory();
        goto done;
    }
    a->x[0] = PyArray_DATA(c.x[0]);
    a->grad[0] = PyArray_DATA(c.grad[0]);
    a->value = c.value ? PyArray_DATA(c.value) : NULL;
    a->sequences = &q;
    result = run_loss(&c, want_values);
done:
    PyMem_RawFree(q.work);
    Py_XDECREF(start);
    Py_XDECREF(in);
    Py_XDECREF(out);
    loss_clear(&c);
    return result;
}

/* Parses a tuple as the shape of a sample. */
static int parse_shape(PyObject *given, size_t *ndim, size_t *shape)
{
    *ndim = (size_t)PyTuple_GET_SIZE(given);
    if (*ndim > PN_MAX_DIMS)
        PyErr_Format(PyExc_ValueError, "shape: expected at most %d dimensions", PN_MAX_DIMS);
    for (size_t i = 0; i < *ndim && !PyErr_Occurred(); i++)
        shape[i] = PyLong_AsSize_t(PyTuple_GET_ITEM(given, (Py_ssize_t)i));
    return !PyErr_Occurred();
}

/* check_output(criterion, shape): raises if fit does not support the loss on outputs of this
 * shape. */
static PyObject *check_output(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *loss, *given, *keep = NULL;
    size_t ndim, shape[PN_MAX_DIMS];
    pn_criterion c;
    pn_loss_view view;
    pn_error error;
    if (!PyArg_ParseTuple(args, "OO!", &loss, &PyTuple_Type, &given) ||
        !parse_shape(given, &ndim, shape))
        return NULL;
    int ok = parse_criterion(loss, PN_F64, 0, ndim, shape, &c, &keep);
    pn_status status = ok ? pn_loss_check_fit(&c, ndim, shape, &view, &error) : PN_OK;
    Py_XDECREF(keep);
    if (!ok) return NULL;
    return status ? raise_status(status, &error) : Py_NewRef(Py_None);
}

/* check_target(criterion, dtype, rows, shape, target, name): raises the errors that fit would
 * raise, with the given name for the target. */
static PyObject *check_target(PyObject *module, PyObject *args)
{
    (void)module;
    Py_ssize_t rows;
    size_t ndim, shape[PN_MAX_DIMS];
    pn_loss_view view;
    const char *dtype, *name;
    PyObject *loss, *given, *sample;
    pn_dtype t;
    pn_target target;
    pn_error error;
    pn_criterion c;
    PyObject *keep = NULL;
    PyArrayObject *y = NULL;
    released r;
    if (!PyArg_ParseTuple(args, "OsnO!Os", &loss, &dtype, &rows, &PyTuple_Type, &sample, &given,
                          &name) ||
        !parse_dtype(dtype, &t) || !parse_shape(sample, &ndim, shape))
        return NULL;
    int ok = parse_criterion(loss, t, 0, ndim, shape, &c, &keep);
    pn_status status = ok ? pn_loss_check_fit(&c, ndim, shape, &view, &error) : PN_OK;
    const size_t seen = ok && !status ? (size_t)rows * view.positions : 0;
    ok = ok && (status || (y = target_array(&c, t, seen, view.cols, given, name, &target)));
    if (ok && !status) {
        target.rows_per_sample = view.positions;
        release(&r, seen * view.cols > RELEASE_AT);
        status = pn_loss_check(&c, t, seen, view.cols, &target, &error);
        ok = !retake(&r);
    }
    Py_XDECREF(y);
    Py_XDECREF(keep);
    if (!ok) return NULL;
    return status ? raise_status(status, &error) : Py_NewRef(Py_None);
}

static PyMethodDef functions[] = {
    { "loss", loss, METH_VARARGS,
      "loss($module, criterion, inputs, target, sample_weight, want_values, /)\n--\n\n"
      "Return (result, values or None, gradients) over rows and columns." },
    { "sequences", sequences, METH_VARARGS,
      "sequences($module, criterion, x, labels, starts, input_lengths, target_lengths, "
      "want_values, /)\n--\n\nReturn the same as loss, over (steps, sequences, classes)." },
    { "check_output", check_output, METH_VARARGS,
      "check_output($module, criterion, shape, /)\n--\n\n"
      "Raise unless fit supports this loss on outputs of this shape." },
    { "check_target", check_target, METH_VARARGS,
      "check_target($module, criterion, dtype, rows, shape, target, name, /)\n--\n\n"
      "Raise the errors that fit would raise, with this name for the target." },
    { NULL, NULL, 0, NULL },
};

static PyObject *loss_row(size_t i)
{
    static const char *takes[] = { "", "logits", "probabilities", "log-probabilities" };
    const pn_loss *l = pn_loss_at(i);
    if (!l) return NULL;
    return Py_BuildValue("{s:s,s:s,s:C,s:C,s:s,s:C,s:s,s:N,s:N,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}",
                         "name", l->name, "cls", l->cls, "kind", l->kind, "target", (int)l->target,
                         "takes", takes[l->takes], "metric", l->metric ? (int)l->metric : 'n',
                         "inputs", l->inputs, "has_variance", PyBool_FromLong(l->has_variance),
                         "has_batchmean", PyBool_FromLong(l->has_batchmean), "from_logits",
                         or_empty(l->from_logits), "params", or_empty(l->params), "check",
                         or_empty(l->check), "docs", or_empty(l->docs), "formula", l->formula,
                         "example", or_empty(l->example), "summary", l->summary, "source",
                         or_empty(l->source));
}

int add_losses(PyObject *module)
{
    return add_rows(module, "LOSSES", loss_row) < 0 ? -1 : PyModule_AddFunctions(module, functions);
}
