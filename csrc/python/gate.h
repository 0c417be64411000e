/* gate.h - the type Gate, the lock of parameters. */
#ifndef PYNN_GATE_H
#define PYNN_GATE_H
#include "stop.h"

/* Functions on lists of Gates that have been joined into one. Those that return int return 0 with
 * an exception on failure. */
typedef struct GateObject GateObject;
int add_gates(PyObject *module);
/* Returns a new list of the Gates in an iterable. */
PyObject *gates_of(PyObject *given);
int gates_add(PyObject *gates, PyObject *gate);
/* Checks that no other thread is training any of them. */
int gates_check(PyObject *gates);
/* Enters the gate. The GIL is released if the call should release it (because it is long or calls
 * Python) or has to wait. Then a signal can stop the call. A short call keeps the GIL and, if
 * nobody holds the gate, does not hold it either. gates_leave returns whether a signal stopped the
 * call. */
int gates_enter(PyObject *gates, pn_access access, int releases, pn_hold *hold, released *r);
int gates_leave(pn_hold *hold, released *r);
/* Returns whether this thread holds them; sets no exception. */
int gates_mine(PyObject *gates);
/* Records that the values have changed. */
void gates_touch(PyObject *gates);
unsigned long long gate_version(PyObject *gate);
/* The number of times that a parameter has moved to another array. */
unsigned long array_moves(void);

#endif
