/* binding.h - includes shared by all files of the Python binding. Only these files include
 * Python.h. Of the core, they include only pynn.h. */
#ifndef PYNN_BINDING_H
#define PYNN_BINDING_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL pynn_array_api
#define PY_UFUNC_UNIQUE_SYMBOL pynn_ufunc_api
#ifndef PYNN_IMPORTS_ARRAY          /* defined only in module.c */
#define NO_IMPORT_ARRAY
#define NO_IMPORT_UFUNC
#endif
#include <numpy/arrayobject.h>
#include <numpy/ufuncobject.h>
#include <numpy/dtype_api.h>
#include "../pynn.h"

enum { RELEASE_AT = 1000 };             /* a call with more elements releases the GIL */
#define GC_TYPE (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC)

#endif
