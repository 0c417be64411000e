/* convolution.h - data shared by conv.c, convolve.c and planes.c. */
#ifndef PN_CONVOLUTION_H
#define PN_CONVOLUTION_H
#include "pooling.h"
#include <stdatomic.h>

enum { WEIGHT, BIAS };
#define PN_PADDING_MODES(CHOICE) \
    CHOICE(ZEROS, "zeros") \
    CHOICE(REFLECT, "reflect") CHOICE(REPLICATE, "replicate") CHOICE(CIRCULAR, "circular")
enum { PN_PADDING_MODES(PN_CHOICE_CONSTANT) };
/* elements that may be read beyond the end of scratch memory */
enum { SLACK = 16 };

/* One axis.
 *
 * k, s, d:             kernel size, stride, dilation
 * before:              padding at the start
 * x, y:                sizes of the two sides
 * x_padded, y_padded:  their sizes in scratch memory, with borders
 * y_at:                where y begins in scratch memory */
typedef struct { size_t k, s, d, before, x, y, x_padded, y_padded, y_at; } pn_axis;

typedef struct {
    pn_axis a[2];                                   /* rows, columns */
    /* channels of x and of y, in total and per group */
    size_t groups, xc, yc, c, o, taps;
    /* whole: whether the taps of a row are adjacent and form one run */
    int transposed, mode, whole;
    /* one group per channel; groups and c are then 1, and o is the number of channels */
    int depthwise;
    size_t lanes, at_once;
    _Atomic uint64_t *busy;                         /* one bit per scratch memory in use */
    /* the fused pooling, and the buffers of its output and indices */
    const pn_pooling *pool;
    /* pooled: elements of a pooled image; end: the last node computed here */
    size_t pooled, end;
    int has_act, value, index;
    size_t x_size, y_size, out_size, lane_size;     /* elements of scratch: per image, per lane */
    /* panel widths, and elements of the packed weights of all groups */
    size_t width, transpose_width, packed, packed_transpose;
    /* whether that side is computed with pixels in vector lanes, see planes.c */
    int y_planes, x_planes;
    /* whether y is scattered to x; whether arrays are read in place */
    int x_scatters, x_direct, y_direct;
    size_t planes_size;                             /* elements of scratch memory for planes */
    pn_taps y_plane, x_plane;
    pn_dots dots;
    /* elements of the partial sums of a lane: weight, then bias */
    size_t part;
    pn_taps forward, weight, scatter, *back;        /* back: one for each phase of the strides */
    /* number of phases of the strides that have pixels in x */
    size_t phases[2];
    int x_layout, y_layout, wants, wants_weight, wants_bias, accumulates[2];
} pn_conv;
enum { PN_CONV_LANES = 32 };

typedef struct {
    const pn_step *s;
    void *const *at;
    const pn_conv *v;
    const char *x, *y, *weight, *packed_transpose;
    char *gradient;
    void *parts;
} pn_conv_job;

#endif
