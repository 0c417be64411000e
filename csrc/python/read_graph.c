/* read_graph.c - the contents of a graph, and the kinds of layers, as Python objects. */
#include "read_graph.h"
#include "custom.h"
#include "formula.h"
#include <string.h>

/* A number as bool, float or int, according to the type of its field. */
static PyObject *number(pn_field_type type, double value)
{
    switch (type) {
    case PN_FLAG: return PyBool_FromLong(value != 0);
    case PN_NUMBER: case PN_NUMBERS: return PyFloat_FromDouble(value);
    default: return PyLong_FromDouble(value);
    }
}

/* The object that the graph keeps for a formula, or None. */
static PyObject *formula_object(const GraphObject *self, const pn_formula *formula)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(self->keep); i++) {
        PyObject *one = PyList_GET_ITEM(self->keep, i);
        if (is_formula(one) && formula_of(one, "") == formula) return Py_NewRef(one);
    }
    return Py_NewRef(Py_None);
}

static PyObject *value_of(const GraphObject *self, pn_field_type type, const pn_setting *s)
{
    if (s->text) return PyUnicode_FromString(s->text);
    if (s->formula) return formula_object(self, s->formula);
    if (type == PN_SEED) return PyLong_FromUnsignedLongLong(s->seed);
    if (type != PN_COUNTS && type != PN_INTEGERS && type != PN_NUMBERS)
        return number(type, s->number[0]);
    PyObject *all = PyTuple_New((Py_ssize_t)s->n);
    for (size_t i = 0; all && i < s->n; i++) {
        PyObject *one = number(type, s->number[i]);
        if (!one) Py_CLEAR(all);
        else PyTuple_SET_ITEM(all, (Py_ssize_t)i, one);
    }
    return all;
}

static PyObject *sizes_tuple(size_t n, const size_t *sizes)
{
    PyObject *all = PyTuple_New((Py_ssize_t)n);
    for (size_t i = 0; all && i < n; i++) {
        PyObject *one = PyLong_FromSize_t(sizes[i]);
        if (!one) Py_CLEAR(all);
        else PyTuple_SET_ITEM(all, (Py_ssize_t)i, one);
    }
    return all;
}

/* The index of a kind of layer. */
static size_t kind_number(const char *name)
{
    pn_kind_info info;
    size_t i = 0;
    while (pn_kind_at(i, &info) && strcmp(info.name, name)) i++;
    return i;
}

static PyObject *config_dict(const GraphObject *self, size_t node, const char *kind)
{
    const size_t row = kind_number(kind);
    PyObject *dict = PyDict_New();
    pn_setting s;
    for (size_t i = 0; dict && pn_graph_setting(self->graph, node, i, &s); i++) {
        PyObject *value = value_of(self, pn_kind_field(row, i)->type, &s);
        if (!value || PyDict_SetItemString(dict, s.name, value) < 0) Py_CLEAR(dict);
        Py_XDECREF(value);
    }
    return dict;
}

/* The array that the graph keeps alive with this data and shape, or None. */
static PyObject *array_of(const GraphObject *self, const void *data, const pn_parameter_info *p)
{
    for (Py_ssize_t i = 0; data && i < PyList_GET_SIZE(self->keep); i++) {
        PyObject *one = PyList_GET_ITEM(self->keep, i);
        if (!PyArray_Check(one) || PyArray_DATA((PyArrayObject *)one) != data ||
            (size_t)PyArray_NDIM((PyArrayObject *)one) != p->ndim)
            continue;
        size_t same = 0;
        while (same < p->ndim &&
               (size_t)PyArray_DIM((PyArrayObject *)one, (int)same) == p->shape[same])
            same++;
        if (same == p->ndim) return Py_NewRef(one);
    }
    return Py_NewRef(Py_None);
}

static PyObject *parameters_tuple(const GraphObject *self, size_t node, size_t n)
{
    PyObject *all = PyTuple_New((Py_ssize_t)n);
    pn_parameter_info p;
    for (size_t i = 0; all && pn_graph_parameter(self->graph, node, i, &p); i++) {
        PyObject *one = Py_BuildValue("{s:z,s:N,s:N,s:N,s:N,s:N}", "name", p.name,
                                      "shape", sizes_tuple(p.ndim, p.shape),
                                      "state", PyBool_FromLong(p.state),
                                      "trainable", PyBool_FromLong(p.grad != NULL),
                                      "data", array_of(self, p.data, &p),
                                      "grad", array_of(self, p.grad, &p));
        if (!one) Py_CLEAR(all);
        else PyTuple_SET_ITEM(all, (Py_ssize_t)i, one);
    }
    return all;
}

static PyObject *node_dict(const GraphObject *self, size_t node)
{
    pn_node_info info;
    pn_graph_node(self->graph, node, &info);
    PyObject *config = info.kind ? config_dict(self, node, info.kind) : PyDict_New(),
             *layer = info.custom ? custom_object(info.custom) : Py_NewRef(Py_None);
    if (!config || !layer) {
        Py_XDECREF(config);
        Py_XDECREF(layer);
        return NULL;
    }
    return Py_BuildValue("{s:z,s:s,s:N,s:N,s:N,s:N,s:N,s:N}", "kind", info.kind, "where",
                         info.where, "inputs", sizes_tuple(info.n_inputs, info.inputs), "shape",
                         sizes_tuple(info.ndim, info.shape), "config", config, "parameters",
                         parameters_tuple(self, node, info.n_parameters), "training",
                         PyBool_FromLong(info.training), "layer", layer);
}

PyObject *graph_read(GraphObject *self, PyObject *unused)
{
    (void)unused;
    const size_t n = pn_graph_nodes(self->graph);
    PyObject *all = PyTuple_New((Py_ssize_t)n);
    for (size_t i = 0; all && i < n; i++) {
        PyObject *node = node_dict(self, i);
        if (!node) Py_CLEAR(all);
        else PyTuple_SET_ITEM(all, (Py_ssize_t)i, node);
    }
    return all;
}

static PyObject *numbers_of(const pn_graph *graph, size_t n,
                            size_t (*number_of)(const pn_graph *graph, size_t i))
{
    PyObject *all = PyTuple_New((Py_ssize_t)n);
    for (size_t i = 0; all && i < n; i++) {
        PyObject *one = PyLong_FromSize_t(number_of(graph, i));
        if (!one) Py_CLEAR(all);
        else PyTuple_SET_ITEM(all, (Py_ssize_t)i, one);
    }
    return all;
}
PyObject *graph_input_nodes(GraphObject *self, void *unused)
{
    (void)unused;
    return numbers_of(self->graph, pn_graph_n_inputs(self->graph), pn_graph_input_node);
}
PyObject *graph_output_nodes(GraphObject *self, void *unused)
{
    (void)unused;
    return numbers_of(self->graph, pn_graph_n_outputs(self->graph), pn_graph_output_node);
}

/* ---- kinds of layers ------------------------------------------------------------------------- */

static const char *const types[] = { [PN_COUNT] = "count",     [PN_INTEGER] = "integer",
                                     [PN_FLAG] = "flag",       [PN_NUMBER] = "number",
                                     [PN_SEED] = "seed",       [PN_CHOICE] = "choice",
                                     [PN_ACTIVATION] = "activation", [PN_ROWWISE] = "rowwise",
                                     [PN_FORMULA] = "formula",
                                     [PN_COUNTS] = "counts",   [PN_INTEGERS] = "integers",
                                     [PN_NUMBERS] = "numbers" };

static PyObject *field_dict(const pn_field *f)
{
    PyObject *choices = PyList_New(0);
    for (size_t i = 0; choices && f->choices && f->choices[i]; i++) {
        PyObject *name = PyUnicode_FromString(f->choices[i]);
        if (!name || PyList_Append(choices, name) < 0) Py_CLEAR(choices);
        Py_XDECREF(name);
    }
    return choices ? Py_BuildValue("{s:s,s:s,s:d,s:d,s:N,s:s}", "name", f->name, "type",
                                   types[f->type], "least", f->least, "most", f->most, "choices",
                                   choices, "meaning", f->meaning)
                   : NULL;
}

static PyObject *kind_dict(size_t row, const pn_kind_info *info)
{
    PyObject *fields = PyTuple_New((Py_ssize_t)info->n_fields);
    for (size_t i = 0; fields && i < info->n_fields; i++) {
        PyObject *field = field_dict(pn_kind_field(row, i));
        if (!field) Py_CLEAR(fields);
        else PyTuple_SET_ITEM(fields, (Py_ssize_t)i, field);
    }
    return fields ? Py_BuildValue("{s:s,s:s,s:s,s:(nn),s:N}", "name", info->name, "formula",
                                  info->formula, "gradient", info->gradient, "inputs",
                                  (Py_ssize_t)info->least_inputs, (Py_ssize_t)info->most_inputs,
                                  "fields", fields)
                  : NULL;
}

PyObject *layer_kinds(PyObject *module, PyObject *unused)
{
    PyObject *all = PyList_New(0);
    pn_kind_info info;
    (void)module; (void)unused;
    for (size_t i = 0; all && pn_kind_at(i, &info); i++) {
        PyObject *one = kind_dict(i, &info);
        if (!one || PyList_Append(all, one) < 0) Py_CLEAR(all);
        Py_XDECREF(one);
    }
    return all;
}
