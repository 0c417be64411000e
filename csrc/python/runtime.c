/* runtime.c - instruction sets, threads and miscellaneous functions. */
#include "runtime.h"
#include "array.h"
#include "read_graph.h"
#include "service.h"
#include "stop.h"
#include <stdlib.h>

/* {name: whether this machine supports it}, best first. */
static PyObject *isas(PyObject *module, PyObject *unused)
{
    (void)module; (void)unused;
    PyObject *names = PyDict_New();
    const char *name;
    for (size_t i = 0; names && (name = pn_isa_built(i)); i++)
        if (PyDict_SetItemString(names, name, pn_isa_runs(name) ? Py_True : Py_False) < 0)
            Py_CLEAR(names);
    return names;
}

static PyObject *isa(PyObject *module, PyObject *unused)
{
    (void)module; (void)unused;
    return PyUnicode_FromString(pn_isa_get());
}

static PyObject *set_isa(PyObject *module, PyObject *name)
{
    (void)module;
    const char *text = NULL;
    if (name != Py_None && !(text = PyUnicode_AsUTF8(name))) return NULL;
    pn_error error = { "" };
    pn_status status = pn_isa_set(text, &error);
    return status ? raise_status(status, &error) : Py_NewRef(Py_None);
}

/* Selects the instruction set named by the environment, or the best one. An unavailable name is an
 * error that lists the available ones. */
static int choose_isa(PyObject *module)
{
    const char *requested = getenv("PYNN_ISA");
    pn_error error = { "" };
    if (pn_isa_set(requested && *requested ? requested : NULL, &error) == PN_OK) return 0;
    PyObject *known = isas(module, NULL);
    if (known)
        PyErr_Format(PyExc_ImportError,
                     "PYNN_ISA=%s: %s (built, and whether this machine supports it: %R)",
                     requested ? requested : "", error.text, known);
    Py_XDECREF(known);
    return -1;
}

static PyObject *get_threads(PyObject *module, PyObject *unused)
{
    (void)module; (void)unused;
    return PyLong_FromSize_t(pn_threads_get());
}

static PyObject *set_threads(PyObject *module, PyObject *number)
{
    (void)module;
    size_t n = PyLong_AsSize_t(number);
    if (n == (size_t)-1 && PyErr_Occurred()) return NULL;
    const size_t before = pn_threads_limit();
    pn_error error = { "" };
    pn_status status = pn_threads_set(n, &error);
    return status ? raise_status(status, &error) : PyLong_FromSize_t(before);
}

/* Raises if PYNN_NUM_THREADS is invalid. The default is computed when it is first needed, so that a
 * program may change its affinity after the import. */
static int check_requested_threads(void)
{
    const char *requested = getenv("PYNN_NUM_THREADS");
    pn_error error = { "" };
    if (!requested || pn_threads_set(0, &error) == PN_OK) return 0;
    PyErr_SetString(PyExc_ImportError, error.text);
    return -1;
}

/* The two functions that threadpoolctl finds by name in this library (pynn/_threadpoolctl.py). They
 * are called without the interpreter's lock and take any number. */
Py_EXPORTED_SYMBOL int pynn_get_num_threads(void);
Py_EXPORTED_SYMBOL void pynn_set_num_threads(int n);

int pynn_get_num_threads(void) { return (int)pn_threads_limit(); }
void pynn_set_num_threads(int n)
{
    pn_threads_set((size_t)(n < 1 ? 1 : n > PN_MAX_THREADS ? PN_MAX_THREADS : n), NULL);
}

/* uniform(out, seed, stream, low, high): fills a float32 or float64 array in place. */
static PyObject *uniform(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *given;
    unsigned long long seed, stream;
    double low, high;
    if (!PyArg_ParseTuple(args, "OKKdd", &given, &seed, &stream, &low, &high)) return NULL;
    pn_dtype t = PyArray_Check(given) && PyArray_TYPE((PyArrayObject *)given) == NPY_FLOAT ? PN_F32
                                                                                           : PN_F64;
    PyArrayObject *out = in_place_array(given, t, "out");
    if (!out) return NULL;
    released r;
    release(&r, PyArray_SIZE(out) > RELEASE_AT);
    pn_random_uniform(seed, stream, low, high, t, (size_t)PyArray_SIZE(out), PyArray_DATA(out));
    const int stopped = retake(&r);
    Py_DECREF(out);
    if (stopped) return NULL;
    Py_RETURN_NONE;
}

/* all_finite(arrays): returns whether all numbers in float32 and float64 arrays are finite. */
static PyObject *all_finite(PyObject *module, PyObject *given)
{
    (void)module;
    PyObject *all = PySequence_Tuple(given);
    int finite = 1;
    for (Py_ssize_t i = 0; all && finite && i < PyTuple_GET_SIZE(all); i++) {
        PyObject *item = PyTuple_GET_ITEM(all, i);
        const pn_dtype t = PyArray_Check(item) && PyArray_TYPE((PyArrayObject *)item) == NPY_FLOAT
                             ? PN_F32
                             : PN_F64;
        PyArrayObject *a = readable_array(item, t, "arrays");
        if (!a) Py_CLEAR(all);
        if (!a) break;
        released r;
        const size_t n = (size_t)PyArray_SIZE(a);
        release(&r, n > RELEASE_AT);
        finite = pn_first_nonfinite(t, n, PyArray_DATA(a)) == n;
        if (retake(&r)) Py_CLEAR(all);
        Py_DECREF(a);
    }
    if (!all) return NULL;
    Py_DECREF(all);
    return PyBool_FromLong(finite);
}

static PyMethodDef methods[] = {
    { "get_threads", get_threads, METH_NOARGS,
      "get_threads()\n--\n\nReturn the number of threads that a call may use." },
    { "set_threads", set_threads, METH_O,
      "set_threads(number, /)\n--\n\n"
      "Set the number of threads that a call may use; 0 selects the default. Return the "
      "previous number." },
    { "layer_kinds", layer_kinds, METH_NOARGS,
      "layer_kinds()\n--\n\nReturn a dict for each kind of layer: its name, its least and most "
      "inputs, and its fields." },
    { "isa", isa, METH_NOARGS, "isa()\n--\n\nReturn the name of the instruction set in use." },
    { "isas", isas, METH_NOARGS,
      "isas()\n--\n\nReturn the instruction sets that were built, best first, and "
      "whether this machine supports each." },
    { "set_isa", set_isa, METH_O,
      "set_isa(name, /)\n--\n\nSelect an instruction set for later calls; None selects the best." },
    { "all_finite", all_finite, METH_O,
      "all_finite(arrays, /)\n--\n\nReturn whether all numbers of float32 and float64 arrays "
      "are finite." },
    { "uniform", uniform, METH_VARARGS,
      "uniform(out, seed, stream, low, high, /)\n--\n\nFill out with numbers in [low, high)." },
    { NULL, NULL, 0, NULL }
};

int add_runtime(PyObject *module)
{
    if (choose_isa(module) < 0 || check_requested_threads() < 0) return -1;
    if (PyModule_AddFunctions(module, methods) < 0) return -1;
    return PyModule_AddStringConstant(module, "VERSION", pn_version());
}
