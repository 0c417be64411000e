/* module.c - the extension module pynn._core: the registry of what the other files add to it. */
#define PYNN_IMPORTS_ARRAY
#include "binding.h"
#include "custom.h"
#include "fit.h"
#include "formula.h"
#include "gate.h"
#include "losses.h"
#include "model.h"
#include "plan.h"
#include "predictor.h"
#include "runtime.h"
#include "stop.h"
#include "trace.h"
#include "ufuncs.h"
#include "update.h"

typedef int add_fn(PyObject *module);
static add_fn *const additions[] = {
    add_runtime, add_ufuncs, add_formula, add_gates, add_stop,      add_custom, add_model,
    add_plan,    add_losses, add_updates, add_fit,   add_predictor, add_trace,
};

static int exec(PyObject *module)
{
    if (PyArray_ImportNumPyAPI() < 0 || PyUFunc_ImportUFuncAPI() < 0) return -1;
    for (size_t i = 0; i < sizeof additions / sizeof *additions; i++)
        if (additions[i](module) < 0) return -1;
    return 0;
}

static PyModuleDef_Slot slots[] = { { Py_mod_exec, (void *)exec }, { 0, NULL } };
static struct PyModuleDef definition = { PyModuleDef_HEAD_INIT, .m_name = "pynn._core",
                                         .m_doc = "The C core of pynn.", .m_slots = slots };

PyMODINIT_FUNC PyInit__core(void) { return PyModuleDef_Init(&definition); }
