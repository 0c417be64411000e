/* pooling.h - maxima, means and p-norms over windows of images, and their gradients. No include
 * guard: kernels.c includes it once per type. Images have their channels last: x (h, w, c), y
 * (rows, columns, c). */

/* The work of a row of outputs, in vector operations. */
#define SPAN(window) ((window).to - (window).from)
#define ROW_WORK(i) \
    (p->columns * SPAN(p->h[i]) * SPAN(p->w[p->columns / 2]) * ((p->c + L - 1) / L))
/* For each output pixel and each vector of channels, in order. */
#define EACH_OUTPUT \
    for (size_t i = 0, o = 0, done = 0; i < p->rows && !pn_stop_after(ROW_WORK(i), &done); i++) \
        for (size_t j = 0; j < p->columns; j++, o++) \
            for (size_t c = 0, n; c < p->c && (n = p->c - c < L ? p->c - c : L); c += n)
/* For each pixel k of x in the window of an output. */
#define EACH_INPUT \
    for (size_t r = p->h[i].from; r < p->h[i].to; r += p->h[i].step) \
        for (size_t k = r * p->w_size + p->w[j].from; k < r * p->w_size + p->w[j].to; \
             k += p->w[j].step)

/* index: the pixel of each maximum, as an integer of the size of y, or NULL. Of equal elements the
 * first counts; a NaN exceeds all numbers. */
static ALWAYS void CAT(maxima, SFX)(const int with_index, const pn_pool *p, const void *x, void *y,
                                    void *index)
{
    EACH_OUTPUT {
        V largest = SPLAT(-(R)INFINITY);
        VI at = (VI){ 0 } + (I)(p->h[i].from * p->w_size + p->w[j].from);
        EACH_INPUT {
            const V v = LOAD_UPTO((const R *)x + k * p->c + c, n);
            const VI above = (v > largest) | (v != v);
            largest = SEL(above, v, largest);
            if (with_index) at = (VI)SEL(above, (V)((VI){ 0 } + (I)k), (V)at);
        }
        STORE_UPTO((R *)y + o * p->c + c, n, largest);
        if (with_index) STORE_UPTO((R *)index + o * p->c + c, n, (V)at);
    }
}
static void CAT(max_pool, SFX)(const pn_pool *p, const void *x, void *y, void *index)
{
    if (index) CAT(maxima, SFX)(1, p, x, y, index);
    else CAT(maxima, SFX)(0, p, x, y, NULL);
}

/* Adds each gradient to gx, which starts as zeros, at the pixel of the maximum. */
static void CAT(max_pool_back, SFX)(const pn_pool *p, const void *index, const void *gy, void *gx)
{
    EACH_OUTPUT {
        const V g = LOAD_UPTO((const R *)gy + o * p->c + c, n);
        const VI at = (VI)LOAD_UPTO((const R *)index + o * p->c + c, n);
        EACH_INPUT {
            R *q = (R *)gx + k * p->c + c;
            STORE_UPTO(q, n, LOAD_UPTO(q, n) + (V)((VI)g & (at == (I)k)));
        }
    }
}

/* Whether v is greater than largest, or NaN. */
static ALWAYS VI CAT(exceeds, SFX)(V v, V largest) { return (v > largest) | (v != v); }

/* Adjacent windows of 2 x 2 in one plane, with lanes along a row: x, whose rows are ldx apart, to y
 * (rows, columns). index: which of the four, an integer of the size of y, or NULL; otherwise as
 * max_pool. */
static ALWAYS void CAT(max_quads_row, SFX)(const int with_index, size_t columns, const R *x,
                                           size_t ldx, R *y, R *index)
{
    for (size_t j = 0; j < columns; j += L) {
        const size_t n = columns - j < L ? columns - j : L;
        V r[2][2], largest[2];
        UNROLL for (size_t i = 0; i < 2; i++) {
            const R *p = x + i * ldx + 2 * j;
            const V a = LOAD_UPTO(p, 2 * n),
                    b = 2 * n > L ? LOAD_UPTO(p + L, 2 * n - L) : (V){ 0 };
            r[i][0] = EVENS(a, b);
            r[i][1] = ODDS(a, b);
        }
        if (!with_index) {
            UNROLL for (size_t i = 0; i < 2; i++)
                largest[i] = SEL(CAT(exceeds, SFX)(r[i][1], r[i][0]), r[i][1], r[i][0]);
            const VI second = CAT(exceeds, SFX)(largest[1], largest[0]);
            STORE_UPTO(y + j, n, SEL(second, largest[1], largest[0]));
            continue;
        }
        V top = r[0][0], at = { 0 };
        UNROLL for (int k = 1; k < 4; k++) {
            const V v = r[k / 2][k % 2];
            const VI above = CAT(exceeds, SFX)(v, top);
            top = SEL(above, v, top);
            at = SEL(above, (V)((VI){ 0 } + (I)k), at);
        }
        STORE_UPTO(y + j, n, top);
        STORE_UPTO(index + j, n, at);
    }
}
static void CAT(max_quads, SFX)(size_t rows, size_t columns, const void *x, size_t ldx, void *y,
                                void *index)
{
    for (size_t i = 0; i < rows; i++) {
        const R *p = (const R *)x + 2 * i * ldx;
        if (index)
            CAT(max_quads_row, SFX)(1, columns, p, ldx, (R *)y + i * columns,
                                    (R *)index + i * columns);
        else CAT(max_quads_row, SFX)(0, columns, p, ldx, (R *)y + i * columns, NULL);
    }
}

/* gx, whose rows are ldx apart, = in each window the gradient at the maximum, 0 elsewhere. */
static void CAT(max_quads_back, SFX)(size_t rows, size_t columns, const void *index, const void *gy,
                                     void *gx, size_t ldx)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j += L) {
            const size_t n = columns - j < L ? columns - j : L;
            const V g = LOAD_UPTO((const R *)gy + i * columns + j, n);
            const VI at = (VI)LOAD_UPTO((const R *)index + i * columns + j, n);
            UNROLL for (size_t r = 0; r < 2; r++) {
                const V a = (V)((VI)g & (at == (I)(2 * r))),
                        b = (V)((VI)g & (at == (I)(2 * r + 1)));
                R *q = (R *)gx + (2 * i + r) * ldx + 2 * j;
                STORE_UPTO(q, 2 * n < L ? 2 * n : L, LOWER(a, b));
                if (2 * n > L) STORE_UPTO(q + L, 2 * n - L, UPPER(a, b));
            }
        }
}

/* Converts indices to numbers of the type. */
static void CAT(index_values, SFX)(size_t n, const void *index, void *y)
{
    for (size_t k = 0; k < n; k++) {
        I i;
        memcpy(&i, (const R *)index + k, sizeof i);
        ((R *)y)[k] = (R)i;
    }
}

static ALWAYS R CAT(divisor, SFX)(const pn_pool *p, size_t i, size_t j)
{
    return (R)(p->divisor != 0 ? p->divisor : p->h[i].count * p->w[j].count);
}

/* ---- means and norms ------------------------------------------------------------------------- */

/* Windows are not dilated. Short sums are computed in the type itself. Longer ones have four parts,
 * whose totals are added in double, so that the error of a mean does not grow with its window. */
#define SHORT PICK(16, 256)             /* terms of a short sum */
#define HELD  12 /* terms of each part of a long sum, before it is added in double */
typedef struct { V part[4]; double total[L]; size_t held; int folded; } CAT(long_sum, SFX);

static ALWAYS void CAT(start, SFX)(CAT(long_sum, SFX) *s)
{
    for (size_t k = 0; k < 4; k++) s->part[k] = SPLAT(0);
    for (size_t k = 0; k < L; k++) s->total[k] = 0;
    s->held = 0;
    s->folded = 0;
}
static ALWAYS V CAT(four_parts, SFX)(const CAT(long_sum, SFX) * s)
{
    return (s->part[0] + s->part[1]) + (s->part[2] + s->part[3]);
}
static ALWAYS void CAT(fold, SFX)(CAT(long_sum, SFX) *s)
{
    const V v = CAT(four_parts, SFX)(s);
    for (size_t k = 0; k < L; k++) s->total[k] += (double)v[k];
    for (size_t k = 0; k < 4; k++) s->part[k] = SPLAT(0);
    s->held = 0;
    s->folded = 1;
}
/* The sum divided by the divisor. */
static ALWAYS V CAT(sum_over, SFX)(CAT(long_sum, SFX) *s, R divisor)
{
    V v = CAT(four_parts, SFX)(s);
    if (!s->folded) return v / divisor;
    CAT(fold, SFX)(s);
    for (size_t k = 0; k < L; k++) v[k] = (R)(s->total[k] / (double)divisor);
    return v;
}
/* Adds the term, an expression in k, to s for k from `from` to `to`. */
#define ADD_TERMS(s, from, to, term) \
    for (size_t first_ = (from), end_; first_ < (to); first_ = end_) { \
        end_ = (to) - first_ < 4 * HELD ? (to) : first_ + 4 * HELD; \
        if ((s)->held + (end_ - first_ + 3) / 4 > HELD) CAT(fold, SFX)(s); \
        (s)->held += (end_ - first_ + 3) / 4; \
        size_t k = first_; \
        while (k + 4 <= end_) \
            _Pragma("GCC unroll 4") for (size_t q_ = 0; q_ < 4; q_++, k++) \
                (s)->part[q_] += (term); \
        _Pragma("GCC unroll 3") for (size_t q_ = 0; q_ < 3; q_++, k++) \
            if (k < end_) (s)->part[q_] += (term); \
    }

static V CAT(powers, SFX)(V x, double p)
{
    if (p == 1) return x;
    if (p == 2) return x * x;
    if (p == 3) return x * x * x;
    for (size_t k = 0; k < L; k++) x[k] = (R)pow((double)x[k], p);
    return x;
}

/* The mean of (x by)^power in a window. x: the first pixel of the image. power is 1 if by is
 * NULL. */
static ALWAYS V CAT(window_mean, SFX)(const pn_pool *p, const R *x, size_t i, size_t j, size_t n,
                                      double power, const V *by)
{
#define PIXEL LOAD_UPTO(x + k * p->c, n)
#define TERM  (by ? CAT(powers, SFX)(PIXEL * *by, power) : PIXEL)
    const size_t from = p->w[j].from, to = p->w[j].to, rows = p->h[i].to - p->h[i].from;
    if (rows * (to - from) <= SHORT) {
        V sum = { 0 };
        EACH_INPUT sum += TERM;
        return sum / CAT(divisor, SFX)(p, i, j);
    }
    CAT(long_sum, SFX) s;
    CAT(start, SFX)(&s);
    for (size_t r = p->h[i].from; r < p->h[i].to; r++)
        ADD_TERMS(&s, r * p->w_size + from, r * p->w_size + to, TERM)
    return CAT(sum_over, SFX)(&s, CAT(divisor, SFX)(p, i, j));
#undef TERM
#undef PIXEL
}

static void CAT(mean_pool, SFX)(const pn_pool *p, const void *x, void *y)
{
    EACH_OUTPUT {
        const V v = CAT(window_mean, SFX)(p, (const R *)x + c, i, j, n, 1, NULL);
        STORE_UPTO((R *)y + o * p->c + c, n, v);
    }
}

/* The p-norm, computed of x over its largest magnitude so that no power leaves the range of the
 * type. */
static V CAT(rescaled_norm, SFX)(const pn_pool *p, const R *x, size_t i, size_t j, size_t n)
{
    V largest = { 0 };
    EACH_INPUT {
        const V v = ABS(LOAD_UPTO(x + k * p->c, n));
        largest = SEL(CAT(exceeds, SFX)(v, largest), v, largest);
    }
    const V least = SPLAT(PICK(0x1p-126f, 0x1p-1022));           /* whose reciprocal is finite */
    const V unit = SEL(largest < least, least, SEL(largest < (R)INFINITY, largest, SPLAT(1))),
            by = 1 / unit, mean = CAT(window_mean, SFX)(p, x, i, j, n, p->p, &by);
    return unit * (p->p == 2 ? SQRT(mean) : CAT(powers, SFX)(mean, 1 / p->p));
}

/* y = (sum x^p / divisor)^(1/p). */
static void CAT(norm_pool, SFX)(const pn_pool *p, const void *x, void *y)
{
    const V one = SPLAT(1);
    EACH_OUTPUT {
        V v;
        if (p->p == 1) v = CAT(window_mean, SFX)(p, (const R *)x + c, i, j, n, 1, NULL);
        else if (p->p != 2) v = CAT(rescaled_norm, SFX)(p, (const R *)x + c, i, j, n);
        else {
            v = CAT(window_mean, SFX)(p, (const R *)x + c, i, j, n, 2, &one);
            const VI out_of_range =
                ~((v > PICK(0x1p-96f, 0x1p-900)) & (v < PICK(0x1p120f, 0x1p1000)));
            v = SQRT(v);
            if (ANY(out_of_range & FIRST(n)))
                v = SEL(out_of_range, CAT(rescaled_norm, SFX)(p, (const R *)x + c, i, j, n), v);
        }
        STORE_UPTO((R *)y + o * p->c + c, n, v);
    }
}

/* The contribution of one output to the gradient of x, where the element is x: gy, for norms times
 * (x / y)^(p-1), or 0 where y is 0. */
static ALWAYS V CAT(pool_share, SFX)(const pn_pool *p, const int norm, V x, V y, V gy)
{
    if (!norm || p->p == 1) return gy;
    if (p->p == 2) return SEL(y == 0, (V){ 0 }, x * (1 / y) * gy);
    return SEL(y == 0, (V){ 0 }, CAT(powers, SFX)(x / y, p->p - 1) * gy);
}

/* The largest number of windows along an axis that share an element. */
static size_t CAT(max_overlap, SFX)(const pn_window *w, size_t n)
{
    size_t largest = 0;
    for (size_t i = 0, k = 0; i < n; i++) {
        while (k < n && w[k].from < w[i].to) k++;
        if (k - i > largest) largest = k - i;
    }
    return largest;
}
/* Finds the windows, *first to *end - 1, that contain element r. r must grow from call to call. */
static void CAT(containing, SFX)(const pn_window *w, size_t n, size_t r, size_t *first, size_t *end)
{
    while (*first < n && w[*first].to <= r) ++*first;
    while (*end < n && w[*end].from <= r) ++*end;
}

/* Whether all windows have the same divisor. */
static int CAT(one_divisor, SFX)(const pn_pool *p)
{
    if (p->divisor != 0) return 1;
    for (size_t i = 1; i < p->rows; i++) if (p->h[i].count != p->h[0].count) return 0;
    for (size_t j = 1; j < p->columns; j++) if (p->w[j].count != p->w[0].count) return 0;
    return 1;
}

/* For windows with much overlap: each pixel of gx is one long sum over the windows that contain
 * it. */
#define OUTPUT   (norm ? LOAD_UPTO(y + row + k * p->c, n) : v)
#define GY       LOAD_UPTO(gy + row + k * p->c, n)
#define GRADIENT (uniform ? GY : GY / CAT(divisor, SFX)(p, i, k))
static ALWAYS void CAT(gather_back, SFX)(const pn_pool *p, const int norm, const R *x, const R *y,
                                         const R *gy, R *gx)
{
    const int uniform = CAT(one_divisor, SFX)(p);
    const R all = uniform ? CAT(divisor, SFX)(p, 0, 0) : 1;
    CAT(long_sum, SFX) s;
    size_t i0 = 0, i1 = 0, done = 0;
    for (size_t r = 0; r < p->h[p->rows - 1].to; r++) {
        size_t j0 = 0, j1 = 0;
        CAT(containing, SFX)(p->h, p->rows, r, &i0, &i1);
        if (pn_stop_after((i1 - i0 + 1) * ROW_WORK(i0 < p->rows ? i0 : 0), &done)) return;
        for (size_t q = 0; q < p->w[p->columns - 1].to; q++) {
            CAT(containing, SFX)(p->w, p->columns, q, &j0, &j1);
            for (size_t c = 0, n; c < p->c && (n = p->c - c < L ? p->c - c : L); c += n) {
                const size_t at = (r * p->w_size + q) * p->c + c;
                const V v = norm ? LOAD_UPTO(x + at, n) : (V){ 0 };
                CAT(start, SFX)(&s);
                for (size_t i = i0; i < i1; i++) {
                    const size_t row = i * p->columns * p->c + c;
                    ADD_TERMS(&s, j0, j1, CAT(pool_share, SFX)(p, norm, v, OUTPUT, GRADIENT))
                }
                STORE_UPTO(gx + at, n, CAT(sum_over, SFX)(&s, all));
            }
        }
    }
}
#undef OUTPUT
#undef GY
#undef GRADIENT
static ALWAYS void CAT(scatter_back, SFX)(const pn_pool *p, const int norm, const R *x, const R *y,
                                          const R *gy, R *gx)
{
    EACH_OUTPUT {
        const V v = norm ? LOAD_UPTO(y + o * p->c + c, n) : (V){ 0 },
                g = LOAD_UPTO(gy + o * p->c + c, n) / CAT(divisor, SFX)(p, i, j);
        EACH_INPUT {
            R *q = gx + k * p->c + c;
            const V u = norm ? LOAD_UPTO(x + k * p->c + c, n) : v;
            STORE_UPTO(q, n, LOAD_UPTO(q, n) + CAT(pool_share, SFX)(p, norm, u, v, g));
        }
    }
}
static int CAT(windows_overlap, SFX)(const pn_pool *p)
{
    return CAT(max_overlap, SFX)(p->h, p->rows) * CAT(max_overlap, SFX)(p->w, p->columns) > SHORT;
}
static void CAT(mean_pool_back, SFX)(const pn_pool *p, const void *gy, void *gx)
{
    if (CAT(windows_overlap, SFX)(p)) CAT(gather_back, SFX)(p, 0, NULL, NULL, gy, gx);
    else CAT(scatter_back, SFX)(p, 0, NULL, NULL, gy, gx);
}
/* dy/dx = (x / y)^(p-1) / divisor; 0 where y is 0. */
static void CAT(norm_pool_back, SFX)(const pn_pool *p, const void *x, const void *y, const void *gy,
                                     void *gx)
{
    if (CAT(windows_overlap, SFX)(p)) CAT(gather_back, SFX)(p, 1, x, y, gy, gx);
    else CAT(scatter_back, SFX)(p, 1, x, y, gy, gx);
}
#undef ADD_TERMS
#undef SHORT
#undef HELD
#undef EACH_OUTPUT
#undef ROW_WORK
#undef SPAN
#undef EACH_INPUT
