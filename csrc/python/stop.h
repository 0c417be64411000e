/* stop.h - signals while the GIL is released. */
#ifndef PYNN_STOP_H
#define PYNN_STOP_H
#include "binding.h"

/* Around what runs without the GIL, if large. retake says whether a signal stopped it; an
 * exception is set then. */
typedef struct { pn_stop stop; PyThreadState *state; } released;
void release(released *r, int large);
int retake(released *r);
int poll_signals(void *context);
int add_stop(PyObject *module);

#endif
