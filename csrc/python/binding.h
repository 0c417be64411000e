/* binding.h - what every file of the Python binding includes. Only these files include Python.h; of
 * the core they include pynn.h alone. */
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

enum { RELEASE_AT = 1000 };             /* elements from which a call releases the GIL */
#define GC_TYPE (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC)

#endif
