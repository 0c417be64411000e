/* predictor.h - the type Predictor. */
#ifndef PYNN_PREDICTOR_H
#define PYNN_PREDICTOR_H
#include "binding.h"

int add_predictor(PyObject *module);

#endif
