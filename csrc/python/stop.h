/* stop.h - signals while the GIL is released. */
#ifndef PYNN_STOP_H
#define PYNN_STOP_H
#include "binding.h"

/* release and retake enclose code that runs without the GIL, if it is large. retake returns whether
 * a signal stopped it. Then an exception is set. */
typedef struct { pn_stop stop; PyThreadState *state; } released;
void release(released *r, int large);
int retake(released *r);
int poll_signals(void *context);
int add_stop(PyObject *module);

#endif
