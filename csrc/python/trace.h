/* trace.h - one training step with all its arrays. */
#ifndef PYNN_TRACE_H
#define PYNN_TRACE_H
#include "binding.h"

int add_trace(PyObject *module);

#endif
