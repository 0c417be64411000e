/* shadow_f64.h - a copy of a float32 net in double precision, for algorithms that need more than
 * single precision. */
#ifndef PN_SHADOW_F64_H
#define PN_SHADOW_F64_H
#include "../graph/graph.h"

/* graph computes the same function as the original one, on n copies of parameters: data is filled
 * from the float32 parameter at from. */
typedef struct { const float *from; double *data, *grad; size_t n; } pn_shadow_part;
typedef struct { pn_graph *graph; pn_shadow_part *parts; size_t n; } pn_shadow;
/* g must be of PN_F32 and have no custom layers. */
pn_status pn_shadow_new(const pn_graph *g, pn_shadow *w, pn_error *error);
void pn_shadow_free(pn_shadow *w);
/* Copies the current parameter values. */
void pn_shadow_fill(const pn_shadow *w);
/* The gradient of the parameter whose values are at from; NULL if there is none. */
const double *pn_shadow_gradient(const pn_shadow *w, const void *from);
void pn_widen(size_t n, const void *from, double *to);
#endif
