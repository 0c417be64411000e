/* convolution.h - data shared by conv.c, convolve.c and planes.c. */
#ifndef PN_CONVOLUTION_H
#define PN_CONVOLUTION_H
#include "pooling.h"
#include <stdatomic.h>

enum { WEIGHT, BIAS };
#define PN_PADDING_MODES(CHOICE)                                                           \
    CHOICE(ZEROS, "zeros")                                                                 \
    CHOICE(REFLECT, "reflect") CHOICE(REPLICATE, "replicate") CHOICE(CIRCULAR, "circular")
enum { PN_PADDING_MODES(PN_CHOICE_CONSTANT) };
/* elements that may be read past the end of scratch */
enum { SLACK = 16 };

/* One axis: sizes of x and y; of their scratch, and where in it they start. */
typedef struct { size_t k, s, d, before, x, y, x_room, y_room, y_at; } pn_axis;

typedef struct {
    pn_axis a[2];                                   /* rows, columns */
    /* channels of x and of y, in total and in a group */
    size_t groups, xc, yc, c, o, taps;
    /* whole: whether the taps of a row are adjacent and form one run */
    int transposed, mode, whole;
    /* each channel separately; groups and c are then 1, and o is the number of channels */
    int depthwise;
    size_t lanes, at_once;
    _Atomic uint64_t *busy;                         /* a bit for each scratch in use */
    /* the fused pooling, and the buffers of its output and indices */
    const pn_pooling *pool;
    /* elements of a pooled image; the last node computed here */
    size_t pooled, end;
    int has_act, value, index;
    size_t x_size, y_size, out_size, lane_size;     /* elements of scratch: an image's, a lane's */
    /* panels, and elements of all groups' packed weights */
    size_t width, turned_width, packed, turned;
    /* whether that side is computed with pixels in lanes, see planes.c */
    int y_planes, x_planes;
    /* whether y is scattered to x; whether arrays are read in place */
    int x_scatters, x_direct, y_direct;
    size_t planes_size;                             /* elements of scratch for that */
    pn_taps y_plane, x_plane;
    pn_dots dots;
    /* elements of a lane's sums: weight, then bias */
    size_t part;
    pn_taps forward, weight, scatter, *back;        /* back: one for each phase of the strides */
    /* of the strides, as far as x has pixels of them */
    size_t phases[2];
    int x_layout, y_layout, wants, wants_weight, wants_bias, accumulates[2];
} pn_conv;
enum { PN_CONV_LANES = 32 };

typedef struct {
    const pn_step *s;
    void *const *at;
    const pn_conv *v;
    const char *x, *y, *weight, *turned;
    char *gradient;
    void *parts;
} pn_conv_job;

#endif
