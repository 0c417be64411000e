/* stop.c - long calls: they release the GIL, and a signal whose handler raises stops them. */
#include "stop.h"

/* A byte that another thread sets to stop this one; NULL if there is none. */
static _Thread_local PyArrayObject *flag;

/* Called without the GIL. Acquires it to run signal handlers, which only the main thread does. */
int poll_signals(void *context)
{
    (void)context;
    PyGILState_STATE state = PyGILState_Ensure();
    int stop = PyErr_CheckSignals();
    if (!stop && flag && *(const volatile char *)PyArray_DATA(flag)) {
        PyErr_SetNone(PyExc_KeyboardInterrupt);
        stop = -1;
    }
    PyGILState_Release(state);
    return stop;
}

void release(released *r, int large)
{
    r->state = NULL;
    if (!large) return;
    r->stop = (pn_stop){ .poll = poll_signals };
    r->state = PyEval_SaveThread();
    pn_stop_begin(&r->stop);
}

int retake(released *r)
{
    if (!r->state) return 0;
    const int stopped = pn_stop_end(&r->stop);
    PyEval_RestoreThread(r->state);
    return stopped;
}

/* work(alone, flag): sets the threading and the stop flag of this thread. Returns the previous
 * values. */
static PyObject *work(PyObject *module, PyObject *args)
{
    PyObject *given;
    int alone;
    (void)module;
    if (!PyArg_ParseTuple(args, "pO", &alone, &given)) return NULL;
    if (given != Py_None && !(PyArray_Check(given) && PyArray_NBYTES((PyArrayObject *)given) == 1))
        return PyErr_Format(PyExc_TypeError, "flag: expected None or an array of one byte");
    PyObject *previous_flag = flag ? (PyObject *)flag : Py_None,
             *previous = Py_BuildValue("iO", pn_threads_alone(alone), previous_flag);
    Py_XSETREF(flag, given == Py_None ? NULL : (PyArrayObject *)Py_NewRef(given));
    return previous;
}

static PyMethodDef functions[] = {
    { "work", work, METH_VARARGS,
      "work($module, alone, flag, /)\n--\n\n"
      "Restrict the calls of this thread to this thread if alone, and stop them with "
      "KeyboardInterrupt when the byte in flag is not 0. Return the previous two arguments." },
    { NULL, NULL, 0, NULL },
};

int add_stop(PyObject *module) { return PyModule_AddFunctions(module, functions); }
