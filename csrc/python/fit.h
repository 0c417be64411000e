/* fit.h - the type Fit, and conversion of samples, targets and losses. */
#ifndef PYNN_FIT_H
#define PYNN_FIT_H
#include "model.h"
#include "service.h"

int add_fit(PyObject *module);
/* Converted samples and targets, and references that keep them alive. The functions that return int
 * return 0 with an exception on failure. */
typedef struct {
    arrays x, y, weight;
    PyObject *references;
    pn_samples samples[PN_MAX_IO];
    pn_target targets[PN_MAX_IO];
    pn_data data;
    PyObject *subset;                       /* array of data.subset, or NULL */
} converted;
void converted_clear(converted *t);
/* The number of elements of one sample of a node's output. */
size_t sample_width(const GraphObject *g, size_t node);
int take_samples(const GraphObject *g, PyObject *px, converted *t);
/* Must be called after take_targets. */
int take_subset(PyObject *given, converted *t);
int take_targets(const GraphObject *g, const pn_criterion *criteria, size_t n, PyObject *py,
                 PyObject *weight, converted *t);
size_t parse_criteria(const GraphObject *g, PyObject *tuple, pn_criterion *criteria,
                      PyObject **keep);

#endif
