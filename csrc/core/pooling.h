/* pooling.h - windows of images: their maxima, means and p-norms, and the gradients.
 * No include guard: kernels.c includes it once per type. Images stand with their channels last: x (h, w, c), y (rows, columns, c). */

/* For each output pixel and each vector of channels, in order. */
#define EACH_OUTPUT \
    for (size_t i = 0, o = 0; i < p->rows; i++) \
        for (size_t j = 0; j < p->columns; j++, o++) \
            for (size_t c = 0, n; c < p->c && (n = p->c - c < L ? p->c - c : L); c += n)
/* For each pixel k of x in its window. */
#define EACH_INPUT \
    for (size_t r = p->h[i].from; r < p->h[i].to; r += p->h[i].step) \
        for (size_t k = r * p->w_size + p->w[j].from; k < r * p->w_size + p->w[j].to; k += p->w[j].step)

/* index: the pixel of each maximum, as an integer of y's size, or NULL. The first of equal ones; a NaN beats all. */
static ALWAYS void CAT(maxima, SFX)(const int marks, const pn_pool *p, const void *x, void *y, void *index)
{
    EACH_OUTPUT {
        V most = SPLAT(-(R)INFINITY);
        VI at = (VI){ 0 } + (I)(p->h[i].from * p->w_size + p->w[j].from);
        EACH_INPUT {
            const V v = CAT(load_most, SFX)((const R *)x + k * p->c + c, n);
            const VI more = (v > most) | (v != v);
            most = SEL(more, v, most);
            if (marks) at = (VI)SEL(more, (V)((VI){ 0 } + (I)k), (V)at);
        }
        CAT(store_most, SFX)((R *)y + o * p->c + c, n, most);
        if (marks) CAT(store_most, SFX)((R *)index + o * p->c + c, n, (V)at);
    }
}
static void CAT(max_pool, SFX)(const pn_pool *p, const void *x, void *y, void *index)
{
    if (index) CAT(maxima, SFX)(1, p, x, y, index);
    else CAT(maxima, SFX)(0, p, x, y, NULL);
}

/* gx, which starts as zeros, gets each gradient where the maximum stood. */
static void CAT(max_pool_back, SFX)(const pn_pool *p, const void *index, const void *gy, void *gx)
{
    EACH_OUTPUT {
        const V g = CAT(load_most, SFX)((const R *)gy + o * p->c + c, n);
        const VI at = (VI)CAT(load_most, SFX)((const R *)index + o * p->c + c, n);
        EACH_INPUT {
            R *q = (R *)gx + k * p->c + c;
            CAT(store_most, SFX)(q, n, CAT(load_most, SFX)(q, n) + (V)((VI)g & (at == (I)k)));
        }
    }
}

/* v where it is more than most, or NaN. */
static ALWAYS VI CAT(beats, SFX)(V v, V most) { return (v > most) | (v != v); }

/* Windows of 2 x 2 side by side in one plane, lanes along a row: x, whose rows are ldx apart, to y (rows, columns). index: which of the
 * four, an integer of y's size, or NULL; as max_pool has it otherwise. */
static ALWAYS void CAT(max_quads_row, SFX)(const int marks, size_t columns, const R *x, size_t ldx, R *y, R *index)
{
    for (size_t j = 0; j < columns; j += L) {
        const size_t n = columns - j < L ? columns - j : L;
        V r[2][2], most[2];
        UNROLL for (size_t i = 0; i < 2; i++) {
            const R *p = x + i * ldx + 2 * j;
            const V a = CAT(load_most, SFX)(p, 2 * n), b = 2 * n > L ? CAT(load_most, SFX)(p + L, 2 * n - L) : (V){ 0 };
            r[i][0] = EVENS(a, b);
            r[i][1] = ODDS(a, b);
        }
        if (!marks) {
            UNROLL for (size_t i = 0; i < 2; i++) most[i] = SEL(CAT(beats, SFX)(r[i][1], r[i][0]), r[i][1], r[i][0]);
            CAT(store_most, SFX)(y + j, n, SEL(CAT(beats, SFX)(most[1], most[0]), most[1], most[0]));
            continue;
        }
        V top = r[0][0], at = { 0 };
        UNROLL for (int k = 1; k < 4; k++) {
            const V v = r[k / 2][k % 2];
            const VI more = CAT(beats, SFX)(v, top);
            top = SEL(more, v, top);
            at = SEL(more, (V)((VI){ 0 } + (I)k), at);
        }
        CAT(store_most, SFX)(y + j, n, top);
        CAT(store_most, SFX)(index + j, n, at);
    }
}
static void CAT(max_quads, SFX)(size_t rows, size_t columns, const void *x, size_t ldx, void *y, void *index)
{
    for (size_t i = 0; i < rows; i++) {
        const R *p = (const R *)x + 2 * i * ldx;
        if (index) CAT(max_quads_row, SFX)(1, columns, p, ldx, (R *)y + i * columns, (R *)index + i * columns);
        else CAT(max_quads_row, SFX)(0, columns, p, ldx, (R *)y + i * columns, NULL);
    }
}

/* gx, whose rows are ldx apart, = in each window the gradient where the maximum stood, else 0. */
static void CAT(max_quads_back, SFX)(size_t rows, size_t columns, const void *index, const void *gy, void *gx, size_t ldx)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j += L) {
            const size_t n = columns - j < L ? columns - j : L;
            const V g = CAT(load_most, SFX)((const R *)gy + i * columns + j, n);
            const VI at = (VI)CAT(load_most, SFX)((const R *)index + i * columns + j, n);
            UNROLL for (size_t r = 0; r < 2; r++) {
                const V a = (V)((VI)g & (at == (I)(2 * r))), b = (V)((VI)g & (at == (I)(2 * r + 1)));
                R *q = (R *)gx + (2 * i + r) * ldx + 2 * j;
                CAT(store_most, SFX)(q, 2 * n < L ? 2 * n : L, LOWER(a, b));
                if (2 * n > L) CAT(store_most, SFX)(q + L, 2 * n - L, UPPER(a, b));
            }
        }
}

/* Indices as numbers. */
static void CAT(index_values, SFX)(size_t n, const void *index, void *y)
{
    for (size_t k = 0; k < n; k++) {
        I i;
        memcpy(&i, (const R *)index + k, sizeof i);
        ((R *)y)[k] = (R)i;
    }
}

static ALWAYS R CAT(divisor, SFX)(const pn_pool *p, size_t i, size_t j) { return (R)(p->divisor != 0 ? p->divisor : p->h[i].count * p->w[j].count); }

static void CAT(mean_pool, SFX)(const pn_pool *p, const void *x, void *y)
{
    EACH_OUTPUT {
        V sum = { 0 };
        EACH_INPUT sum += CAT(load_most, SFX)((const R *)x + k * p->c + c, n);
        CAT(store_most, SFX)((R *)y + o * p->c + c, n, sum / CAT(divisor, SFX)(p, i, j));
    }
}

static void CAT(mean_pool_back, SFX)(const pn_pool *p, const void *gy, void *gx)
{
    EACH_OUTPUT {
        const V g = CAT(load_most, SFX)((const R *)gy + o * p->c + c, n) / CAT(divisor, SFX)(p, i, j);
        EACH_INPUT {
            R *q = (R *)gx + k * p->c + c;
            CAT(store_most, SFX)(q, n, CAT(load_most, SFX)(q, n) + g);
        }
    }
}

static V CAT(powers, SFX)(V x, double p)
{
    if (p == 1) return x;
    if (p == 2) return x * x;
    for (size_t k = 0; k < L; k++) x[k] = (R)pow((double)x[k], p);
    return x;
}

/* y = (sum x^p / divisor)^(1/p). */
static void CAT(norm_pool, SFX)(const pn_pool *p, const void *x, void *y)
{
    EACH_OUTPUT {
        V sum = { 0 };
        EACH_INPUT sum += CAT(powers, SFX)(CAT(load_most, SFX)((const R *)x + k * p->c + c, n), p->p);
        sum /= CAT(divisor, SFX)(p, i, j);
        CAT(store_most, SFX)((R *)y + o * p->c + c, n, p->p == 2 ? SQRT(sum) : CAT(powers, SFX)(sum, 1 / p->p));
    }
}

/* dy/dx = y^(1-p) x^(p-1) / divisor; 0 where y is 0. */
static void CAT(norm_pool_back, SFX)(const pn_pool *p, const void *x, const void *y, const void *gy, void *gx)
{
    EACH_OUTPUT {
        const V v = CAT(load_most, SFX)((const R *)y + o * p->c + c, n), g = CAT(load_most, SFX)((const R *)gy + o * p->c + c, n) / CAT(divisor, SFX)(p, i, j);
        const V scale = SEL(v == 0, (V){ 0 }, g * CAT(powers, SFX)(v, 1 - p->p));
        EACH_INPUT {
            R *q = (R *)gx + k * p->c + c;
            CAT(store_most, SFX)(q, n, CAT(load_most, SFX)(q, n) + scale * CAT(powers, SFX)(CAT(load_most, SFX)((const R *)x + k * p->c + c, n), p->p - 1));
        }
    }
}
#undef EACH_OUTPUT
#undef EACH_INPUT
