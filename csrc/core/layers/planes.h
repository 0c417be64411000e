/* planes.h - sides of a convolution that are computed with pixels in vector lanes. */
#ifndef PN_PLANES_H
#define PN_PLANES_H
#include "convolution.h"

/* Returns whether a side with few channels can be computed like this. */
int pn_planes_fit(const pn_conv *v);
void pn_planes_choose(pn_conv *v, size_t lanes);    /* sets y_planes and x_planes */
pn_status pn_planes_plan(pn_builder *b, pn_conv *v);
/* Clears the planes of x, of y, or of both. */
void pn_planes_clear(const pn_conv *v, char *planes, int x, int y, size_t size);
/* Computes one image of a side from that of the other side, both in the layout of their arrays.
 * planes and out: scratch memory. */
void pn_planes_y(const pn_conv_job *j, const char *x, char *planes, char *out, const char *bias,
                 char *y);
/* The planes of y, y_plane elements apart. Their rows have the same distance as those of x in
 * scratch memory. */
void pn_planes_y_uncut(const pn_conv_job *j, const char *x, char *planes, const char *bias,
                       char *out);
void pn_planes_x(const pn_conv_job *j, const char *y, char *planes, char *out, const char *bias,
                 char *x);
/* Adds the contributions of n images to the partial sums of a lane: the weight, in its own layout,
 * followed by the bias of y. */
void pn_planes_weight(const pn_conv_job *j, size_t n, const char *x, const char *y, char *planes,
                      char *sums);
void pn_planes_bias(const pn_conv_job *j, size_t n, const char *y, char *sums);

#endif
