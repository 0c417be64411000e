/* binding.h - what the files of the Python binding share. Only these files see Python.h; of the core they see pynn.h alone. */
#ifndef PYNN_BINDING_H
#define PYNN_BINDING_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL pynn_array_api
#define PY_UFUNC_UNIQUE_SYMBOL pynn_ufunc_api
#ifndef PYNN_IMPORTS_ARRAY          /* module.c alone defines it */
#define NO_IMPORT_ARRAY
#define NO_IMPORT_UFUNC
#endif
#include <numpy/arrayobject.h>
#include <numpy/ufuncobject.h>
#include <numpy/dtype_api.h>
#include "../pynn.h"

int add_ufuncs(PyObject *module);       /* ufuncs.c: activations, their derivatives and the row-wise functions */
int add_model(PyObject *module);        /* model.c: Graph, Plan, losses, optimizers, fit */
PyObject *raise_status(pn_status status, const pn_error *error);    /* module.c: status to exception in one switch; returns NULL */

#endif
