/* convolution.h - what conv.c, convolve.c and planes.c share. */
#ifndef PN_CONVOLUTION_H
#define PN_CONVOLUTION_H
#include "pooled.h"
#include <stdatomic.h>

enum { WEIGHT, BIAS };
enum { ZEROS, REFLECT, REPLICATE, CIRCULAR };
/* elements past the end of scratch that may be read */
enum { SLACK = 16 };

/* One axis: sizes of x and y; of their scratch, and where in it they start. */
typedef struct { size_t k, s, d, before, x, y, x_room, y_room, y_at; } pn_axis;

typedef struct {
    pn_axis a[2];                                   /* rows, columns */
    /* channels of x and of y, in all and a group's */
    size_t groups, xc, yc, c, o, taps;
    /* whole: are a row's taps neighbours, so that they are one run? */
    int transposed, mode, whole;
    /* every channel by itself: then groups and c are 1, and o is all of them */
    int depthwise;
    size_t lanes, at_once;
    _Atomic uint64_t *busy;                         /* a bit for each scratch in use */
    /* what is computed behind y, and where the last of it and its indices are */
    const pn_pooling *pool;
    /* elements of a pooled image; the last node computed here */
    size_t pooled, end;
    int has_act, value, index;
    size_t x_size, y_size, out_size, lane_size;     /* elements of scratch: an image's, a lane's */
    /* panels, and elements of all groups' packed weights */
    size_t width, turned_width, packed, turned;
    /* is that side computed with pixels side by side? see planes.c */
    int y_planes, x_planes;
    /* does y add its taps to x? are arrays read where they are? */
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

/* convolve.c */
void pn_conv_forward(const pn_step *s, void *const *at);
void pn_conv_backward(const pn_step *s, void *const *at);

/* planes.c */
/* could a side be computed so, had it few channels? */
int pn_planes_fit(const pn_conv *v);
void pn_planes_choose(pn_conv *v, size_t lanes);    /* sets y_planes and x_planes */
pn_status pn_planes_plan(pn_builder *b, pn_conv *v);
/* those of x, of y, or both */
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
