/* widen.h - a float32 net in double precision beside itself, for what single precision is too little. */
#ifndef PN_WIDEN_H
#define PN_WIDEN_H
#include "graph.h"

/* graph computes what the other one does, with copies of its parameters: of n of them, from each of which data has been filled. */
typedef struct { const float *from; double *data, *grad; size_t n; } pn_wide_part;
typedef struct { pn_graph *graph; pn_wide_part *parts; size_t n; } pn_wide;
pn_status pn_wide_new(const pn_graph *g, pn_wide *w, pn_error *error);  /* g is of PN_F32 and without foreign layers */
void pn_wide_free(pn_wide *w);
void pn_wide_fill(const pn_wide *w);                                    /* takes the parameters as they are now */
const double *pn_wide_gradient(const pn_wide *w, const void *from);     /* that of the parameter whose numbers stand there; NULL: there is none */
void pn_widen(size_t n, const void *from, double *to);
#endif
