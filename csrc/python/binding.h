/* binding.h - what the files of the Python binding share. Only these files see Python.h; of the
 * core they see pynn.h alone. */
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

/* module.c: a tuple of row(0), row(1), ... until NULL */
int add_rows(PyObject *module, const char *name, PyObject *(*row)(size_t i));
/* ufuncs.c: activations, their derivatives and the row-wise functions */
int add_ufuncs(PyObject *module);
int add_model(PyObject *module);        /* model.c: Graph */
int add_plan(PyObject *module);         /* plan.c: Plan */
/* type, unless NULL: where to keep a reference */
int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **type);
/* module.c: status to exception in one switch; returns NULL */
PyObject *raise_status(pn_status status, const pn_error *error);

/* array.c: each gives a new reference, or NULL with an exception that names the argument. */
/* ValueError: the value at a flat place of an array of such a shape does not fit float32. Returns
 * 0. */
int raise_too_large(const char *name, double value, npy_intp at, int ndim, const npy_intp *shape);
/* The first of n doubles that is finite and no float, or -1. */
npy_intp first_too_large(npy_intp n, const double *x);
/* contiguous; converts any real dtype */
PyArrayObject *real_array(PyObject *given, pn_dtype t, const char *name);
PyArrayObject *label_array(PyObject *given, const char *name);                 /* int64 */
/* that nobody else can write to */
PyArrayObject *label_copy(PyObject *given, const char *name);
/* checked, never converted */
PyArrayObject *in_place_array(PyObject *given, pn_dtype t, const char *name);
/* the same, and may be read-only */
PyArrayObject *readable_array(PyObject *given, pn_dtype t, const char *name);
/* Appends to a list, which is made if there is none, an array and a weak reference to the owner of
 * its memory: NumPy resizes no array that has weak references, not even with refcheck=False. */
int keep_array(PyObject **list, PyArrayObject *a);
/* Samples for a plan of dtype t: as they are where a plan can convert them batch by batch, else
 * contiguous; sets samples. */
PyArrayObject *sample_array(PyObject *given, pn_dtype t, const char *name, pn_samples *samples);
PyArrayObject *new_array(size_t ndim, const npy_intp *shape, pn_dtype t);
int parse_dtype(const char *name, pn_dtype *t);
/* 0 and an exception when row is NULL */
int check_index(size_t i, const void *row, const char *table);

/* losses.c */
int add_losses(PyObject *module);
/* (index, reduction, numbers, weight, pos_weight, each): weights have one value for each column of
 * predictions, a sample of which has this shape, or with each for n elements. Or a callable, a loss
 * of the caller's own. What is borrowed is kept in the list *keep, which may start NULL. */
int parse_criterion(PyObject *given, pn_dtype t, size_t n, size_t ndim, const size_t *shape,
                    pn_criterion *c, PyObject **keep);
/* Converts y for a loss over (rows, cols): class indices where its dtype is integer and the loss
 * takes them, numbers otherwise. */
PyArrayObject *target_array(const pn_criterion *loss, pn_dtype t, size_t rows, size_t cols,
                            PyObject *given, const char *name, pn_target *target);
/* update.c: optimizers and their schedules. groups: what a pn_update takes, and references to all
 * that it borrows. */
int add_updates(PyObject *module);
typedef struct { size_t n; pn_group *groups; void **work; PyObject *keep; } groups;
int parse_groups(PyObject *list, groups *g);    /* 0 and an exception; g is cleared then */
void groups_clear(groups *g);
/* (kind, settings, [(p, g), ...], memory) or None; what is borrowed is kept in g, and segments are
 * the caller's to free. */
int parse_solver(PyObject *given, groups *g, pn_solver *solver, pn_segment **segments);
int add_fit(PyObject *module);          /* fit.c: Fit */
int add_predictor(PyObject *module);    /* predictor.c: Predictor */
PyObject *health_list(const pn_fit *fit, size_t nodes);                        /* health.c */
PyObject *origin_tuple(const pn_origin *origin);
/* model.c: what others need of a Graph. */
/* a parameter whose changes invalidate what a call keeps */
typedef struct { PyObject *gate; const uint32_t *words; size_t n; } watched;
typedef struct {
    PyObject_HEAD
    pn_graph *graph;
    pn_dtype dtype;
    PyObject *keep, *gates;             /* lists: of what the graph borrows; of Gates, joined */
    watched *watched;
    size_t n_watched;
    /* own: has it a layer written in Python? read_only: are there parameters that cannot be
     * written? */
    int sealed, own, read_only;
} GraphObject;
/* borrowed; NULL and TypeError when it is none */
GraphObject *as_graph(PyObject *object);
PyObject *graph_output_shapes(GraphObject *g, void *unused);
/* 0 and an exception when it has read-only parameters */
int can_write(const GraphObject *g);
/* is x (rows, shape of input i)? */
int check_sample(const GraphObject *g, size_t i, PyArrayObject *x, const char *name);
/* own.c: what calls a layer written in Python back, as an object that must outlive the graph. */
int add_custom(PyObject *module);
PyObject *custom_layer(const GraphObject *g, PyObject *layer, PyObject *shape, PyObject *inputs,
                       const pn_custom_layer **custom);
/* the layer that such an object calls, or None where it is gone */
PyObject *custom_object(const pn_custom_layer *custom);

/* read_graph.c */
PyObject *graph_read(GraphObject *self, PyObject *unused);
PyObject *graph_input_nodes(GraphObject *self, void *unused);
PyObject *graph_output_nodes(GraphObject *self, void *unused);
PyObject *layer_kinds(PyObject *module, PyObject *unused);
/* context: a callable */
int call_custom_loss(void *context, pn_custom_loss *args);
/* (what, where, forward, flops, seconds) of each step */
PyObject *step_list(const pn_plan *plan);
PyArrayObject *new_output(const GraphObject *g, size_t i, size_t rows);
/* n arrays and where their data are; zeroed is empty. */
typedef struct { size_t n; PyArrayObject *array[PN_MAX_IO]; void *data[PN_MAX_IO]; } arrays;
/* takes the reference; 0 for NULL */
int arrays_set(arrays *a, size_t i, PyArrayObject *array);
/* the array, or a tuple of several; a is empty then */
PyObject *arrays_take(arrays *a);
void arrays_clear(arrays *a);
/* given itself for n == 1, else its item: a new reference */
PyObject *nth(PyObject *given, size_t n, size_t i, const char *name);
#define VISIT_ARRAYS(a) for (size_t visited = 0; visited < (a).n; visited++) Py_VISIT((a).array[visited])
/* fit.c: samples and targets on their way in, and what keeps them alive. Those that return int give
 * 0 and an exception. */
typedef struct {
    arrays x, y, weight;
    PyObject *pins;
    pn_samples samples[PN_MAX_IO];
    pn_target targets[PN_MAX_IO];
    pn_data data;
    PyObject *subset;                       /* the array of data.subset, or NULL */
} taken;
PyObject *scores_tuple(const pn_score *s, size_t n);
void taken_clear(taken *t);
size_t width(const GraphObject *g, size_t node);
int take_samples(const GraphObject *g, PyObject *px, taken *t);
/* after take_targets */
int take_subset(PyObject *given, taken *t);
int take_targets(const GraphObject *g, const pn_criterion *criteria, size_t n, PyObject *py,
                 PyObject *weight, taken *t);
size_t parse_criteria(const GraphObject *g, PyObject *tuple, pn_criterion *criteria,
                      PyObject **keep);
/* stop.c: around what runs without the GIL, if large. retake says whether a signal stopped it; an
 * exception is set then. */
typedef struct { pn_stop stop; PyThreadState *state; } released;
void release(released *r, int large);
int retake(released *r);
int poll_signals(void *context);
int add_stop(PyObject *module);
/* gate.c: lists of Gates, joined to one. Those that return int give 0 and an exception. */
typedef struct GateObject GateObject;
int add_gates(PyObject *module);
/* a new list of an iterable of Gates */
PyObject *gates_of(PyObject *given);
int gates_add(PyObject *gates, PyObject *gate);
/* is none being trained by another thread? */
int gates_check(PyObject *gates);
/* Releases the GIL if the call is to (because it is long, or calls Python), or has to wait, and
 * lets signals stop what comes then. A short call keeps it, and where nobody has the gate needs no
 * hold of its own. gates_leave says whether a signal stopped it. */
int gates_enter(PyObject *gates, pn_access access, int releases, pn_hold *hold, released *r);
int gates_leave(pn_hold *hold, released *r);
/* does this thread hold them? no exception */
int gates_mine(PyObject *gates);
/* the values have changed */
void gates_touch(PyObject *gates);
unsigned long long gate_version(PyObject *gate);
/* how often parameters have moved to other arrays */
unsigned long array_moves(void);
enum { RELEASE_AT = 1000 };             /* elements from which a call releases the GIL */
#define GC_TYPE (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC)

#endif
