/* service.h - helpers for types, tables, exceptions and lists of arrays, shared by the binding. */
#ifndef PYNN_SERVICE_H
#define PYNN_SERVICE_H
#include "binding.h"

/* Adds a tuple of row(0), row(1), ..., until row returns NULL. */
int add_rows(PyObject *module, const char *name, PyObject *(*row)(size_t i));
/* Adds a type and, unless reference is NULL, stores a reference in it. */
int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **reference);
/* Raises the exception for a status and returns NULL. */
PyObject *raise_status(pn_status status, const pn_error *error);

/* The text of a table column, or "" for a column that the row omits. */
static inline const char *or_empty(const char *column) { return column ? column : ""; }

/* n arrays and their data. A zeroed struct is empty. */
typedef struct { size_t n; PyArrayObject *array[PN_MAX_IO]; void *data[PN_MAX_IO]; } arrays;
/* Takes ownership of the reference. Returns 0 for NULL. */
int arrays_set(arrays *a, size_t i, PyArrayObject *array);
/* Returns the array, or a tuple if there are several, and empties a. */
PyObject *arrays_take(arrays *a);
void arrays_clear(arrays *a);
/* Returns a new reference to given if n == 1, otherwise to item i of given. */
PyObject *nth(PyObject *given, size_t n, size_t i, const char *name);
#define VISIT_ARRAYS(a) \
    for (size_t visited = 0; visited < (a).n; visited++) Py_VISIT((a).array[visited])

#endif
