/* scores.h - the scores of losses as tuples. */
#ifndef PYNN_SCORES_H
#define PYNN_SCORES_H
#include "binding.h"

PyObject *scores_tuple(const pn_score *s, size_t n);
/* Parses the result of scores_tuple for n losses; 0 with an exception on failure. */
int parse_scores(PyObject *given, size_t n, pn_score *s);

#endif
