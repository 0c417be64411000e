/* runtime.h - instruction sets, threads and miscellaneous functions. */
#ifndef PYNN_RUNTIME_H
#define PYNN_RUNTIME_H
#include "binding.h"

int add_runtime(PyObject *module);

#endif
