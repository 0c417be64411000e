/* shadow_f64.h - a float32 net in double precision beside itself, for what single precision is too
 * little. */
#ifndef PN_SHADOW_F64_H
#define PN_SHADOW_F64_H
#include "../graph/graph.h"

/* graph computes what the other one does, with copies of its parameters: of n of them, from each of
 * which data has been filled. */
typedef struct { const float *from; double *data, *grad; size_t n; } pn_shadow_part;
typedef struct { pn_graph *graph; pn_shadow_part *parts; size_t n; } pn_shadow;
/* g is of PN_F32 and without custom layers */
pn_status pn_shadow_new(const pn_graph *g, pn_shadow *w, pn_error *error);
void pn_shadow_free(pn_shadow *w);
/* takes the parameters as they are now */
void pn_shadow_fill(const pn_shadow *w);
/* that of the parameter whose numbers stand there; NULL: there is none */
const double *pn_shadow_gradient(const pn_shadow *w, const void *from);
void pn_widen(size_t n, const void *from, double *to);
#endif
