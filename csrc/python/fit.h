/* fit.h - the type Fit; samples, targets and losses of a call. */
#ifndef PYNN_FIT_H
#define PYNN_FIT_H
#include "model.h"
#include "service.h"

int add_fit(PyObject *module);
/* Samples and targets on their way in, and what keeps them alive. Those that return int give
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
/* Elements of a sample of a node's output. */
size_t sample_width(const GraphObject *g, size_t node);
int take_samples(const GraphObject *g, PyObject *px, taken *t);
/* after take_targets */
int take_subset(PyObject *given, taken *t);
int take_targets(const GraphObject *g, const pn_criterion *criteria, size_t n, PyObject *py,
                 PyObject *weight, taken *t);
size_t parse_criteria(const GraphObject *g, PyObject *tuple, pn_criterion *criteria,
                      PyObject **keep);

#endif
