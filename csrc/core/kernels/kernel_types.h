/* kernel_types.h - the kernels of one instruction set: one pn_kernels, indexed by dtype and then by
 * the rows of the tables. */
#ifndef PN_KERNEL_TYPES_H
#define PN_KERNEL_TYPES_H
#include "../../pynn.h"
#include "../base/array.h"

/* For the loops of long kernels: adds up the work done, in vector operations, and now and then
 * checks whether to stop. */
static inline int pn_stop_after(size_t work, size_t *done)
{
    if ((*done += work) < (size_t)1 << 18) return 0;
    *done = 0;
    return pn_stop_now();
}

/* n contiguous elements of any alignment, n may be 0, y may be x. p as in pynn.h. */
typedef void pn_span_fn(size_t n, const void *x, void *y, const void *const *p, int varying);
/* gx = gy * f'(t), with t the input or the output, as the row's `needs` says. gx may be gy. */
typedef void pn_span_back_fn(size_t n, const void *t, const void *gy, void *gx,
                             const void *const *p, int varying);
typedef struct {
    pn_span_fn *forward, *derivative;
    pn_span_back_fn *backward;
} pn_activation_kernels;

/* Rows: x, y, gy, gx (rows, n). backward reads the output y; gx may be gy. */
typedef void pn_rows_fn(size_t rows, size_t n, const void *x, void *y);
typedef void pn_rows_back_fn(size_t rows, size_t n, const void *y, const void *gy, void *gx);
typedef struct { pn_rows_fn *forward; pn_rows_back_fn *backward; } pn_rowwise_kernels;

/* Value and gradient of a loss in one pass over a block of rows. Returns the sum of the values,
 * added in double in a fixed order. */
typedef double pn_loss_fn(const pn_loss_args *args);

/* One pass over a parameter p, its gradient g, its state arrays (NULL if left out) and, unless
 * NULL, its average, which moves towards p by the factor share. h: from the PREPARE function of the
 * row. The gradient is multiplied by scale and, unless clip is 0, cut to +-clip; l1 times the sign
 * of p is added. */
typedef struct {
    size_t n;
    void *p; const void *g; void *state[PN_MAX_STATES], *average;
    const double *h;
    double scale, clip, l1, share;
} pn_update_args;
typedef void pn_update_fn(const pn_update_args *args);
/* A rule that needs the whole parameter (tensor_rules.h). g: the adjusted gradient. work: 64-byte
 * aligned, .work(segment) bytes. */
typedef struct {
    void (*update)(const pn_segment *s, const void *g, const double *hyper, void *work);
    size_t (*work)(const pn_segment *s);
} pn_tensor_rule_kernels;

/* Applied to a finished block of C: c += bias[j]; then, with act, y = act(c), where y may be C
 * itself (ldy == ldc). */
typedef struct {
    const void *bias;
    pn_span_fn *act;
    const void *const *p;
    void *y;
    size_t ldy;
} pn_epilogue;
/* C (m, n) = op(A) (m, k) op(B) (k, n) (+ C when accumulate), row-major, leading dimensions in
 * elements. epilogue may be NULL.
 *
 *   op(A)(i, p) = ta ? a[p*lda + i] : a[i*lda + p]
 *   op(B)(p, j) = tb ? b[j*ldb + p] : b[p*ldb + j] */
typedef struct {
    int ta, tb, accumulate;
    size_t m, n, k;
    const void *a; size_t lda;
    const void *b; size_t ldb;
    void *c; size_t ldc;
    const pn_epilogue *epilogue;
    const void *packed;                     /* op(B) as gemm_pack leaves it, or NULL */
} pn_product;
/* workspace: 64-byte aligned, gemm_workspace(product) bytes */
typedef void pn_gemm_fn(const pn_product *product, void *workspace);
typedef size_t pn_gemm_workspace_fn(const pn_product *product);
/* packed: 64-byte aligned, gemm_packed(product) bytes; that is 0 where packing does not pay */
typedef void pn_gemm_pack_fn(const pn_product *product, void *packed);
/* c (lines, m, n) of each image = (with add, +=)
 *
 *   sum over runs r and steps k of a[a_at[r] + k*a_step + i*a_row] * b[b_at[r] + k*b_step + j]
 *
 * plus bias[j], or with bias_rows bias[i], unless bias is NULL. Strides are in elements. b consists
 * of panels of panel_width(n) columns, b_panel apart, each readable in whole vectors. */
typedef struct {
    size_t runs, steps;
    const ptrdiff_t *a_at, *b_at;
    ptrdiff_t a_row, a_step, b_step, b_panel, c_row;
    size_t lines, m, n;
    ptrdiff_t a_line, c_line, a_image, c_image;
    int add, bias_rows;
} pn_taps;
typedef void pn_taps_fn(const pn_taps *t, size_t images, const void *a, const void *b,
                        const void *bias, void *c);
/* The sums over images and pixels of planes of y (o, h, w) times x, starting at each of n offsets
 * at[]. row: stride of a row of x; y_image, x_image: strides of an image. */
typedef struct { size_t h, w, o, n, row, y_image, x_image; const ptrdiff_t *at; } pn_dots;
/* y (n, m) = x (m, n) transposed */
typedef void pn_transpose_fn(size_t m, size_t n, const void *x, size_t ldx, void *y, size_t ldy);
typedef struct {
    /* depth_taps: multiplies by column j of a instead of its element; panels of b have one number
     * per column */
    pn_taps_fn *taps, *depth_taps;
    /* panels of c are b_panel apart; see conv.h */
    void (*depth_sums)(const pn_taps *t, const void *a, const void *b, void *c);
    size_t (*panel_width)(size_t n);
    void (*pack)(const void *w, size_t n, size_t c, size_t taps, int transposed, size_t width,
                 void *out);
    void (*pack_rows)(const void *w, size_t n, size_t c, size_t h, size_t k, size_t row, void *out);
    void (*unpack)(const void *packed, size_t n, size_t c, size_t taps, size_t width, int add,
                   void *w);
    void (*crop)(size_t h, size_t w, const void *x, size_t ldx, void *y, size_t ldy);
    void (*dots)(const pn_dots *t, size_t images, const void *y, const void *x, void *sums);
    void (*plane_sum)(size_t n, const void *x, void *sum);
    /* y[i*ys] += x[i*xs] */
    void (*add_strided)(size_t n, const void *x, size_t xs, void *y, size_t ys);
} pn_conv_kernels;
/* The window of an output position along an axis: from, from + step, ... below to. count: its
 * factor in the divisor of a mean. */
typedef struct { size_t from, to, step; double count; } pn_window;
/* Pooling of an image with channels last, x (.., w_size, c), to y (rows, columns, c). divisor: of
 * means, if not 0; p: power of norms. */
typedef struct {
    size_t w_size, rows, columns, c;
    const pn_window *h, *w;
    double divisor, p;
} pn_pool;
typedef struct {
    void (*max)(const pn_pool *p, const void *x, void *y, void *index);
    /* gx must be zeroed first, here and in mean_back and norm_back */
    void (*max_back)(const pn_pool *p, const void *index, const void *gy, void *gx);
    /* Adjacent windows of 2 x 2 in a plane: x, whose rows are ldx apart, to y (rows, columns).
     * index: 0 to 3. Backward writes every element of gx that a window covers. */
    void (*max_quads)(size_t rows, size_t columns, const void *x, size_t ldx, void *y, void *index);
    void (*max_quads_back)(size_t rows, size_t columns, const void *index, const void *gy, void *gx,
                           size_t ldx);
    /* indices converted to numbers of the type */
    void (*values)(size_t n, const void *index, void *y);
    void (*mean)(const pn_pool *p, const void *x, void *y);
    void (*mean_back)(const pn_pool *p, const void *gy, void *gx);
    void (*norm)(const pn_pool *p, const void *x, void *y);
    void (*norm_back)(const pn_pool *p, const void *x, const void *y, const void *gy, void *gx);
} pn_pool_kernels;
/* elementwise; y may be a or b */
typedef void pn_pair_fn(size_t n, const void *a, const void *b, void *y);
/* out[j] += sum over rows of x (rows, n) */
typedef void pn_sum_rows_fn(size_t rows, size_t n, const void *x, void *out);
/* resample.h: weighted sums of a few rows of x (., inner), and their gradient, which is added; the
 * maximum over the first axis of x (count, inner), and its gradient. */
typedef void pn_weighted_sum_fn(size_t n, size_t inner, size_t terms, const size_t *index,
                                const void *weight, const void *x, void *y);
typedef void pn_largest_fn(size_t count, size_t inner, const void *x, void *y);
typedef void pn_largest_back_fn(size_t count, size_t inner, const void *x, const void *y,
                                const void *gy, void *gx);

/* Normalisation (norm.h). A group shares one mean and one scale. It consists of spans of n
 * contiguous elements, stride elements apart. Group i starts at element i*step. Its weight w and
 * bias b, which may be NULL (1 and 0), start at i % period * width: one number for the group, one
 * for each span (then step = spans*stride), or one for each element of its only span.
 *
 * centred: whether means are subtracted. mean, var, scale: of each group. The kernels process
 * groups from to to - 1. Their arrays start at the first group of all, except by (three numbers per
 * group), which starts at group from. sums gives two numbers per group or span. gw and gb may be
 * NULL, as may gx where weights are per element. */
enum { PN_PER_GROUP, PN_PER_SPAN, PN_PER_ELEMENT };
typedef struct {
    size_t spans, stride, n, step, period, width;
    int weight_axis, centred;
    const void *w, *b;
    double eps, *mean, *var, *scale;
} pn_norm_groups;
/* a sample of LocalResponseNorm */
typedef struct { size_t channels, inner, size; double alpha, beta, k; } pn_response;
typedef struct {
    void (*moments)(const pn_norm_groups *g, size_t from, size_t to, const void *x);
    void (*apply)(const pn_norm_groups *g, size_t from, size_t to, const void *x, void *y);
    void (*sums)(const pn_norm_groups *g, size_t from, size_t to, const void *x, const void *gy,
                 double *out);
    void (*back)(const pn_norm_groups *g, size_t from, size_t to, const void *x, const void *gy,
                 void *gx, const double *by, void *gw, void *gb);
    void (*columns_moments)(size_t rows, size_t n, size_t stride, const void *x, double *mean,
                            double *squares);
    void (*columns_apply)(size_t rows, size_t n, size_t stride, const void *x, void *y,
                          const double *const *by);
    void (*columns_sums)(size_t rows, size_t n, size_t stride, const void *x, const void *gy,
                         const double *const *by, double *sums, double *products);
    void (*columns_back)(size_t rows, size_t n, size_t stride, const void *x, const void *gy,
                         void *gx, const double *const *by);
    /* whether rescaled_moments must replace the result */
    int (*needs_rescaling)(double var, double eps);
    /* whether by[1] of columns_sums and columns_back may be NULL */
    int (*scale_in_range)(double scale);
    void (*rescaled_moments)(size_t spans, size_t stride, size_t n, const void *x, int centred,
                        double eps, double *mean, double *var, double *scale);
    void (*response)(const pn_response *r, const void *x, void *y);
    void (*response_back)(const pn_response *r, const void *x, const void *gy, void *gx,
                          double *work);
} pn_norm_kernels;

/* Reductions for health.c (probe.h). */
typedef struct {
    void (*count_columns)(size_t rows, size_t n, const void *d, double limit, void *live,
                          void *small);
    void (*count_run)(size_t n, const void *d, double limit, double *out);
    void (*sum_changes)(size_t n, const void *before, const void *after, const void *grad,
                        double *out);
    size_t (*first_nonfinite)(size_t n, const void *x);
} pn_probe_kernels;

/* An operation of a formula (formula_ops.h) on a block of n elements, n a multiple of the vector
 * length: y[0] = f(x[0], x[1], ...), and for a pair y[1] too. They may be operands. Bit k of
 * uniform: x[k] is 64 bytes of equal values, which serve for all elements. */
typedef void pn_formula_op_fn(size_t n, const void *const *x, void *const *y, unsigned uniform);

/* Random numbers (noise.h): 64 words per group. An element is kept, times scale plus shift, if its
 * word is at least threshold (the probability times 2^32); otherwise it becomes fill. */
typedef struct { uint64_t threshold; double scale, shift, fill; } pn_mask;
typedef void pn_random_words_fn(uint64_t seed, uint64_t stream, uint64_t group, size_t groups,
                                uint32_t *words);

typedef struct {
    const pn_activation_kernels *activations;
    const pn_rowwise_kernels *rowwise;
    pn_loss_fn *const *losses;
    pn_update_fn *const *updates;
    const pn_tensor_rule_kernels *tensor_rules;
    /* the gradient that a rule of tensor_rules reads */
    void (*adjust)(const pn_update_args *args, void *adjusted);
    /* updates the average after such a rule */
    pn_update_fn *average;
    double (*power_sum)(size_t n, const void *x, double p, double unit);
    pn_gemm_fn *gemm;
    pn_gemm_workspace_fn *gemm_workspace, *gemm_packed;
    pn_gemm_pack_fn *gemm_pack;
    pn_sum_rows_fn *sum_rows;
    pn_pair_fn *add, *multiply;
    pn_transpose_fn *transpose;
    pn_conv_kernels conv;
    pn_pool_kernels pool;
    const pn_norm_kernels *norm;
    pn_weighted_sum_fn *weighted_sum, *weighted_sum_back;
    pn_largest_fn *largest;
    pn_largest_back_fn *largest_back;
    double (*slope_sum)(size_t n, const void *x, const void *gy);
    void (*slope_rows)(size_t rows, size_t n, const void *x, const void *gy, void *out);
    pn_random_words_fn *random_words;
    /* y may be x */
    void (*mask)(const pn_mask *m, size_t n, const uint32_t *words, const void *x, void *y);
    void (*mask_pixels)(const pn_mask *m, size_t n, size_t channels, size_t word_stride,
                        const uint32_t *words, size_t step, const void *x, void *y);
    /* one word per span */
    void (*mask_spans)(const pn_mask *m, size_t spans, size_t n, const uint32_t *words,
                       const void *x, void *y);
    void (*add_normal)(double std, size_t n, const uint32_t *words, const void *x, void *y);
    const pn_probe_kernels *probe;
    pn_formula_op_fn *const *formula_ops;        /* the rows of the tables of formula_ops.h */
} pn_typed_kernels;

typedef struct { const char *isa; pn_typed_kernels of[PN_DTYPES]; } pn_kernels;

#endif
