/* scores.c - the scores of losses as tuples. */
#include "scores.h"

/* (loss sum, divisor, values, correct, rows, hits, not_one_hot) of each loss. */
PyObject *scores_tuple(const pn_score *s, size_t n)
{
    PyObject *all = PyTuple_New((Py_ssize_t)n);
    for (size_t i = 0; all && i < n; i++) {
        PyObject *one = Py_BuildValue("ddnnnnn", s[i].loss, s[i].divisor, (Py_ssize_t)s[i].values,
                                      (Py_ssize_t)s[i].correct, (Py_ssize_t)s[i].rows,
                                      (Py_ssize_t)s[i].hits, (Py_ssize_t)s[i].not_one_hot);
        if (!one) Py_CLEAR(all);
        else PyTuple_SET_ITEM(all, (Py_ssize_t)i, one);
    }
    return all;
}

/* Parses the result of scores_tuple for n losses. */
int parse_scores(PyObject *given, size_t n, pn_score *s)
{
    if (!PyTuple_Check(given) || (size_t)PyTuple_GET_SIZE(given) != n) {
        PyErr_Format(PyExc_ValueError, "scores: expected a tuple of %zu, one per loss", n);
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        PyObject *one = PyTuple_GET_ITEM(given, (Py_ssize_t)i);
        Py_ssize_t values, correct, rows, hits, not_one_hot;
        if (!PyTuple_Check(one)) {
            PyErr_Format(PyExc_TypeError, "scores: expected tuples, got %.80R", one);
            return 0;
        }
        if (!PyArg_ParseTuple(one, "ddnnnnn", &s[i].loss, &s[i].divisor, &values, &correct, &rows,
                              &hits, &not_one_hot))
            return 0;
        s[i].values = (size_t)values;
        s[i].correct = (size_t)correct;
        s[i].rows = (size_t)rows;
        s[i].hits = (size_t)hits;
        s[i].not_one_hot = (size_t)not_one_hot;
    }
    return 1;
}
