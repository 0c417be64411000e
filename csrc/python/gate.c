/* gate.c - gates as Python objects. They control who may read, write and train the parameters of
 * nets, and count changes.
 *
 * Every parameter, buffer and layer written in Python has a Gate. A graph joins the gates of its
 * parts, so that nets that share a layer exclude each other. A call that holds the GIL from
 * beginning to end does not enter the gate, but only checks that nobody holds it. A waiting thread
 * does not hold the GIL. */
#include "gate.h"
#include "service.h"
#include <stdatomic.h>

struct GateObject {
    PyObject_HEAD
    pn_gate *gate;
    GateObject *into;                   /* the gate it was joined to, kept alive by this; or NULL */
    /* number of writes to the values through the library; atomic because steps count without the
     * GIL */
    atomic_ullong version;
    unsigned long owner;                /* the training thread while claims > 0 */
    unsigned generation;
    size_t claims;
};

static PyTypeObject *gate_type;
enum { SLICE = 50 };                    /* milliseconds between two checks for signals */

static PyObject *gate_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = { NULL };
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "", names)) return NULL;
    GateObject *self = (GateObject *)type->tp_alloc(type, 0);
    if (self && !(self->gate = pn_gate_new())) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void gate_dealloc(GateObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    pn_gate_free(self->gate);
    Py_XDECREF(self->into);
    type->tp_free(self);
    Py_DECREF(type);
}

/* A copied or unpickled object gets a new gate. */
static PyObject *gate_reduce(GateObject *self, PyObject *unused)
{
    (void)unused;
    return Py_BuildValue("O()", (PyObject *)Py_TYPE(self));
}

static GateObject *root_of(GateObject *g)
{
    while (g->into) g = g->into;
    return g;
}

int gates_add(PyObject *gates, PyObject *given)
{
    if (!PyObject_TypeCheck(given, gate_type)) {
        PyErr_Format(PyExc_TypeError, "gate: expected a Gate, got %s", Py_TYPE(given)->tp_name);
        return 0;
    }
    if (PyList_GET_SIZE(gates)) {
        GateObject *a = root_of((GateObject *)PyList_GET_ITEM(gates, 0)),
                   *b = root_of((GateObject *)given);
        if (a != b) {
            pn_gate_join(a->gate, b->gate);
            b->into = (GateObject *)Py_NewRef((PyObject *)a);
        }
    }
    return PyList_Append(gates, given) == 0;
}

PyObject *gates_of(PyObject *given)
{
    PyObject *list = PyList_New(0), *all = list ? PySequence_Tuple(given) : NULL;
    int ok = all != NULL;
    for (Py_ssize_t i = 0; ok && i < PyTuple_GET_SIZE(all); i++)
        ok = gates_add(list, PyTuple_GET_ITEM(all, i));
    Py_XDECREF(all);
    if (!ok) Py_CLEAR(list);
    return list;
}

static int claimed_elsewhere(const GateObject *g)
{
    return g->claims && g->generation == pn_fork_generation() &&
           g->owner != PyThread_get_thread_ident();
}

int gates_check(PyObject *gates)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(gates); i++)
        if (claimed_elsewhere((GateObject *)PyList_GET_ITEM(gates, i))) {
            PyErr_SetString(PyExc_RuntimeError,
                            "these parameters are in use by another thread, which is training "
                            "them; predict may run during training, for anything else give each "
                            "thread its own copy (copy.deepcopy)");
            return 0;
        }
    return 1;
}

unsigned long long gate_version(PyObject *gate)
{
    return atomic_load_explicit(&((GateObject *)gate)->version, memory_order_relaxed);
}

void gates_touch(PyObject *gates)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(gates); i++)
        atomic_fetch_add_explicit(&((GateObject *)PyList_GET_ITEM(gates, i))->version, 1,
                                  memory_order_relaxed);
}

int gates_mine(PyObject *gates)
{
    return PyList_GET_SIZE(gates) && pn_gate_mine(((GateObject *)PyList_GET_ITEM(gates, 0))->gate);
}

/* Waits for a queued hold with the GIL released; *state is the thread state. If a signal handler
 * raises, returns 0 with an exception, holding the GIL. */
static int await(pn_hold *hold, PyThreadState **state)
{
    while (!pn_gate_wait(hold, SLICE)) {
        PyEval_RestoreThread(*state);
        if (PyErr_CheckSignals()) {
            pn_gate_leave(hold);
            return 0;
        }
        *state = PyEval_SaveThread();
    }
    return 1;
}

int gates_enter(PyObject *gates, pn_access access, int releases, pn_hold *hold, released *r)
{
    pn_gate *gate = PyList_GET_SIZE(gates) ? ((GateObject *)PyList_GET_ITEM(gates, 0))->gate : NULL;
    hold->state = PN_FREE;
    r->state = NULL;
    if (!releases && (!gate || pn_gate_idle(gate))) return 1;
    /* Enter or queue before releasing the GIL, so that a call that keeps the GIL either sees the
     * hold or has already ended. No thread waits for the GIL while it holds the mutex of the
     * gates. */
    const pn_entry entry = gate ? pn_gate_enter(gate, access, hold) : PN_ENTERED;
    if (entry == PN_REFUSED) {
        PyErr_SetString(PyExc_RuntimeError,
                        "these parameters are in use by another thread, and waiting for it within "
                        "a call of a layer or a loss could deadlock; give each thread its own copy "
                        "(copy.deepcopy)");
        return 0;
    }
    r->state = PyEval_SaveThread();
    if (entry == PN_QUEUED && !await(hold, &r->state)) return 0;
    r->stop = (pn_stop){ .poll = poll_signals };
    pn_stop_begin(&r->stop);
    return 1;
}

int gates_leave(pn_hold *hold, released *r)
{
    const int stopped = r->state && pn_stop_end(&r->stop);
    pn_gate_leave(hold);
    if (r->state) PyEval_RestoreThread(r->state);
    return stopped;
}

/* ---- moves: replacements of read-only parameter arrays by copies ----------------------------- */
static unsigned long moves;
unsigned long array_moves(void) { return moves; }
static PyObject *get_moves(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyLong_FromUnsignedLong(moves);
}
static PyObject *note_move(PyObject *module, PyObject *unused)
{
    (void)module; (void)unused;
    moves++;
    Py_RETURN_NONE;
}
static PyMethodDef functions[] = {
    { "moves", get_moves, METH_NOARGS,
      "moves($module, /)\n--\n\n"
      "Return how often a parameter has moved to another array. Older predictors are stale." },
    { "note_move", note_move, METH_NOARGS, "note_move($module, /)\n--\n\nCount a move." },
    { NULL, NULL, 0, NULL },
};

/* ---- Claim: the exclusive right of a thread to train ----------------------------------------- */
typedef struct { PyObject_HEAD PyObject *gates; } ClaimObject;

static void unclaim(ClaimObject *self)
{
    PyObject *gates = self->gates;
    self->gates = NULL;
    for (Py_ssize_t i = 0; gates && i < PyList_GET_SIZE(gates); i++) {
        GateObject *g = (GateObject *)PyList_GET_ITEM(gates, i);
        if (g->claims && g->generation == pn_fork_generation()) g->claims--;
    }
    Py_XDECREF(gates);
}

static PyObject *claim_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = { "gates", NULL };
    PyObject *given, *list;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O", names, &given) || !(list = gates_of(given)))
        return NULL;
    ClaimObject *self = gates_check(list) ? (ClaimObject *)type->tp_alloc(type, 0) : NULL;
    for (Py_ssize_t i = 0; self && i < PyList_GET_SIZE(list); i++) {
        GateObject *g = (GateObject *)PyList_GET_ITEM(list, i);
        if (g->generation != pn_fork_generation()) g->claims = 0;
        g->generation = pn_fork_generation();
        g->owner = PyThread_get_thread_ident();
        g->claims++;
    }
    if (self) self->gates = list;
    else Py_DECREF(list);
    return (PyObject *)self;
}

static PyObject *claim_release(ClaimObject *self, PyObject *unused)
{
    (void)unused;
    unclaim(self);
    Py_RETURN_NONE;
}

/* Transfers the training to the calling thread. No training step may be running. */
static PyObject *claim_move(ClaimObject *self, PyObject *unused)
{
    (void)unused;
    for (Py_ssize_t i = 0; self->gates && i < PyList_GET_SIZE(self->gates); i++)
        ((GateObject *)PyList_GET_ITEM(self->gates, i))->owner = PyThread_get_thread_ident();
    Py_RETURN_NONE;
}

static void claim_dealloc(ClaimObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    unclaim(self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- Writing: a context manager that excludes readers while values are written --------------- */
typedef struct { PyObject_HEAD PyObject *gates; pn_hold hold; int entered; } WritingObject;

static PyObject *writing_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = { "gates", NULL };
    PyObject *given, *list;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O", names, &given) || !(list = gates_of(given)))
        return NULL;
    WritingObject *self = (WritingObject *)type->tp_alloc(type, 0);
    if (self) self->gates = list;
    else Py_DECREF(list);
    return (PyObject *)self;
}

static void leave(WritingObject *self)
{
    if (!self->entered) return;
    self->entered = 0;
    gates_touch(self->gates);
    pn_gate_leave(&self->hold);
}

static PyObject *writing_enter(WritingObject *self, PyObject *unused)
{
    (void)unused;
    if (self->entered)
        return PyErr_Format(PyExc_RuntimeError, "this Writing has already been entered");
    self->entered = 1;                  /* set while waiting, too */
    released r;
    self->entered = gates_enter(self->gates, PN_WRITE, 1, &self->hold, &r);
    if (self->entered) retake(&r);
    return self->entered ? Py_NewRef((PyObject *)self) : NULL;
}

static PyObject *writing_exit(WritingObject *self, PyObject *unused)
{
    (void)unused;
    leave(self);
    Py_RETURN_NONE;
}

static void writing_dealloc(WritingObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    leave(self);
    Py_XDECREF(self->gates);
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- types ----------------------------------------------------------------------------------- */
static PyMethodDef gate_methods[] = {
    { "__reduce__", (PyCFunction)gate_reduce, METH_NOARGS,
      "__reduce__($self, /)\n--\n\nReturn a new gate for a copy." },
    { NULL, NULL, 0, NULL },
};
static PyObject *gate_get_version(GateObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(gate_version((PyObject *)self));
}
static PyGetSetDef gate_getset[] = {
    { "version", (getter)gate_get_version, NULL,
      "Number of writes to the values through the library.", NULL },
    { NULL, NULL, NULL, NULL, NULL },
};
static PyType_Slot gate_slots[] = {
    { Py_tp_getset, gate_getset },
    { Py_tp_new, gate_new },
    { Py_tp_dealloc, gate_dealloc },
    { Py_tp_methods, gate_methods },
    { Py_tp_doc, "Gate()\n--\n\nThe lock of a parameter and the count of its changes." },
    { 0, NULL },
};
static PyMethodDef claim_methods[] = {
    { "move", (PyCFunction)claim_move, METH_NOARGS,
      "move($self, /)\n--\n\nMake the calling thread the training thread." },
    { "release", (PyCFunction)claim_release, METH_NOARGS,
      "release($self, /)\n--\n\nEnd the claim." },
    { NULL, NULL, 0, NULL },
};
static PyType_Slot claim_slots[] = {
    { Py_tp_new, claim_new },
    { Py_tp_dealloc, claim_dealloc },
    { Py_tp_methods, claim_methods },
    { Py_tp_doc,
      "Claim(gates)\n--\n\n"
      "Make this thread the only training thread; RuntimeError if another one is training." },
    { 0, NULL },
};
static PyMethodDef writing_methods[] = {
    { "__enter__", (PyCFunction)writing_enter, METH_NOARGS,
      "__enter__($self, /)\n--\n\nWait until no other thread reads or writes." },
    { "__exit__", (PyCFunction)writing_exit, METH_VARARGS,
      "__exit__($self, /, *exception)\n--\n\nRelease the gates and count the change." },
    { NULL, NULL, 0, NULL },
};
static PyType_Slot writing_slots[] = {
    { Py_tp_new, writing_new },
    { Py_tp_dealloc, writing_dealloc },
    { Py_tp_methods, writing_methods },
    { Py_tp_doc,
      "Writing(gates)\n--\n\nA context in which only this thread uses the parameters." },
    { 0, NULL },
};
static PyType_Spec gate_spec = { "pynn._core.Gate", sizeof(GateObject), 0,
                                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, gate_slots };
static PyType_Spec claim_spec = { "pynn._core.Claim", sizeof(ClaimObject), 0,
                                  Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, claim_slots };
static PyType_Spec writing_spec = { "pynn._core.Writing", sizeof(WritingObject), 0,
                                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, writing_slots };

int add_gates(PyObject *module)
{
    if (PyModule_AddFunctions(module, functions) < 0 ||
        add_type(module, &gate_spec, &gate_type) < 0)
        return -1;
    return add_type(module, &claim_spec, NULL) < 0 ? -1 : add_type(module, &writing_spec, NULL);
}
