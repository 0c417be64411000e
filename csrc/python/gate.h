/* gate.h - the type Gate, the lock of parameters. */
#ifndef PYNN_GATE_H
#define PYNN_GATE_H
#include "stop.h"

/* Lists of Gates, joined to one. Those that return int give 0 and an exception. */
typedef struct GateObject GateObject;
int add_gates(PyObject *module);
/* a new list of an iterable of Gates */
PyObject *gates_of(PyObject *given);
int gates_add(PyObject *gates, PyObject *gate);
/* is none being trained by another thread? */
int gates_check(PyObject *gates);
/* Releases the GIL if the call is to (because it is long, or calls Python), or has to wait, and
 * lets signals stop what comes then. A short call keeps it, and where nobody has the gate needs no
 * hold of its own. gates_leave says whether a signal stopped it. */
int gates_enter(PyObject *gates, pn_access access, int releases, pn_hold *hold, released *r);
int gates_leave(pn_hold *hold, released *r);
/* does this thread hold them? no exception */
int gates_mine(PyObject *gates);
/* the values have changed */
void gates_touch(PyObject *gates);
unsigned long long gate_version(PyObject *gate);
/* how often parameters have moved to other arrays */
unsigned long array_moves(void);

#endif
