/* stop.c - long calls: they release the GIL, and a signal whose handler raises stops them. */
#include "stop.h"

/* Where another thread says that this one shall stop; NULL: none does. */
static _Thread_local PyArrayObject *flag;

/* Called without the GIL; takes it to let a signal handler raise, which only the main thread does.
 */
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

/* work(alone, flag): how this thread works from now on; returns how it did before. */
static PyObject *work(PyObject *module, PyObject *args)
{
    PyObject *given;
    int alone;
    (void)module;
    if (!PyArg_ParseTuple(args, "pO", &alone, &given)) return NULL;
    if (given != Py_None && !(PyArray_Check(given) && PyArray_NBYTES((PyArrayObject *)given) == 1))
        return PyErr_Format(PyExc_TypeError, "flag: expected None or an array of one byte");
    PyObject *before = Py_BuildValue("iO", pn_threads_alone(alone), flag ? (PyObject *)flag : Py_None);
    Py_XSETREF(flag, given == Py_None ? NULL : (PyArrayObject *)Py_NewRef(given));
    return before;
}

static PyMethodDef functions[] = {
    { "work", work, METH_VARARGS,
      "work($module, alone, flag, /)\n--\n\nMake the calls of this thread use no other thread, and stop with a KeyboardInterrupt once the byte in flag is not 0; return the two arguments of before." },
    { NULL, NULL, 0, NULL },
};

int add_stop(PyObject *module) { return PyModule_AddFunctions(module, functions); }
