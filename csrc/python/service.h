/* service.h - types, tables, exceptions and lists of arrays, for every file of the binding. */
#ifndef PYNN_SERVICE_H
#define PYNN_SERVICE_H
#include "binding.h"

/* Adds a tuple of row(0), row(1), ... until NULL */
int add_rows(PyObject *module, const char *name, PyObject *(*row)(size_t i));
/* Adds a type; kept, unless NULL: where to keep a reference. */
int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **kept);
/* Raises the exception of a status; returns NULL. */
PyObject *raise_status(pn_status status, const pn_error *error);

/* The text of a table's column, which is NULL where a row leaves it out */
static inline const char *or_empty(const char *column) { return column ? column : ""; }

/* n arrays and where their data are; zeroed is empty. */
typedef struct { size_t n; PyArrayObject *array[PN_MAX_IO]; void *data[PN_MAX_IO]; } arrays;
/* takes the reference; 0 for NULL */
int arrays_set(arrays *a, size_t i, PyArrayObject *array);
/* the array, or a tuple of several; a is empty then */
PyObject *arrays_take(arrays *a);
void arrays_clear(arrays *a);
/* given itself for n == 1, else its item: a new reference */
PyObject *nth(PyObject *given, size_t n, size_t i, const char *name);
#define VISIT_ARRAYS(a) \
    for (size_t visited = 0; visited < (a).n; visited++) Py_VISIT((a).array[visited])

#endif
