/* health.h - health statistics and the origin of NaN, as Python objects. */
#ifndef PYNN_HEALTH_H
#define PYNN_HEALTH_H
#include "binding.h"

PyObject *health_list(const pn_fit *fit, size_t nodes);
PyObject *origin_tuple(const pn_origin *origin);

#endif
