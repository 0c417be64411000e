/* planes.h - sides of a convolution that are computed with pixels in lanes. */
#ifndef PN_PLANES_H
#define PN_PLANES_H
#include "convolution.h"

/* whether a side with few channels could be computed so */
int pn_planes_fit(const pn_conv *v);
void pn_planes_choose(pn_conv *v, size_t lanes);    /* sets y_planes and x_planes */
pn_status pn_planes_plan(pn_builder *b, pn_conv *v);
/* clears the planes of x, of y, or both */
void pn_planes_clear(const pn_conv *v, char *planes, int x, int y, size_t size);
/* One image of a side from the other's, both as their arrays stand; planes and out: scratch. */
void pn_planes_y(const pn_conv_job *j, const char *x, char *planes, char *out, const char *bias,
                 char *y);
/* The planes of y, c_row of y_plane apart, with their rows as far apart as those of x in scratch.
 */
void pn_planes_y_uncut(const pn_conv_job *j, const char *x, char *planes, const char *bias,
                       char *out);
void pn_planes_x(const pn_conv_job *j, const char *y, char *planes, char *out, const char *bias,
                 char *x);
/* Adds what n images give to a lane's sums: for the weight, which stand as it does, and behind them
 * for the bias of y. */
void pn_planes_weight(const pn_conv_job *j, size_t n, const char *x, const char *y, char *planes,
                      char *sums);
void pn_planes_bias(const pn_conv_job *j, size_t n, const char *y, char *sums);

#endif
