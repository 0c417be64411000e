/* health.c - health statistics and the origin of NaN, as Python objects. */
#include "health.h"

/* (units, dead, saturated, probes, updates, mean, spread, gradient, update, weight, flat_low,
 * flat_high) of each node, or None if the fit does not record health. */
PyObject *health_list(const pn_fit *fit, size_t nodes)
{
    pn_node_health h;
    if (!nodes || !pn_fit_health(fit, 0, &h)) Py_RETURN_NONE;
    PyObject *list = PyList_New((Py_ssize_t)nodes);
    for (size_t i = 0; list && i < nodes; i++) {
        pn_fit_health(fit, i, &h);
        PyObject *one = Py_BuildValue(
            "nnnLLdddddNN", (Py_ssize_t)h.units, (Py_ssize_t)h.dead, (Py_ssize_t)h.saturated,
            (long long)h.probes, (long long)h.updates, h.mean, h.spread, h.gradient, h.update,
            h.weight, PyBool_FromLong(h.flat_low), PyBool_FromLong(h.flat_high));
        if (!one) Py_CLEAR(list);
        else PyList_SET_ITEM(list, (Py_ssize_t)i, one);
    }
    return list;
}

/* (place, at, slot, row or None), or None if everything was finite. */
PyObject *origin_tuple(const pn_origin *o)
{
    static const char *const places[] = { [PN_INPUT] = "input",
                                          [PN_PARAMETER] = "parameter",
                                          [PN_OUTPUT] = "output",
                                          [PN_TARGET] = "target",
                                          [PN_LOSS] = "loss",
                                          [PN_GRADIENT] = "gradient",
                                          [PN_PARAMETER_GRADIENT] = "parameter gradient" };
    if (o->place == PN_UNKNOWN) Py_RETURN_NONE;
    PyObject *row = o->row == SIZE_MAX ? Py_NewRef(Py_None) : PyLong_FromSize_t(o->row);
    if (!row) return NULL;
    return Py_BuildValue("snnN", places[o->place], (Py_ssize_t)o->at, (Py_ssize_t)o->slot, row);
}
