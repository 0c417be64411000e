/* norm.h - normalisation. A group shares a mean and a scale: runs of contiguous elements, or one column of a matrix. Sums are taken
 * in strips whose totals are added in double, in a fixed order; deviations are taken from the mean, and what rounding left of their
 * own sum corrects both moments. */

#define STRIP 1024                                      /* elements whose sum is kept in the type itself */

static ALWAYS V CAT(all_lanes, SFX)(V v)                /* the sum of the lanes, in every lane */
{
    _Pragma("GCC unroll 4") for (size_t h = L / 2; h; h /= 2) v += SWAP(v, h);
    return v;
}
#define ALL(v) CAT(all_lanes, SFX)(v)
static ALWAYS V CAT(some, SFX)(const R *p, size_t m) { return m >= L ? LOAD(p) : LOAD_PART(p, m); }
static ALWAYS void CAT(put_some, SFX)(R *p, size_t m, V v)
{
    if (m >= L) STORE(p, v);
    else STORE_PART(p, m, v);
}
static ALWAYS V CAT(narrow, SFX)(const double *d, size_t m)
{
    R t[L] = { 0 };
    for (size_t k = 0; k < L && k < m; k++) t[k] = (R)d[k];
    return LOAD(t);
}
#define SOME(p, m)        CAT(some, SFX)((p), (m))
#define PUT_SOME(p, m, v) CAT(put_some, SFX)((p), (m), (v))

static inline double CAT(span_sum, SFX)(size_t n, const R *x)
{
    double total = 0;
    for (size_t m; n; n -= m, x += m) {
        V a[4] = { { 0 } };
        size_t i = 0;
        m = n < STRIP ? n : STRIP;
        for (; i + 4 * L <= m; i += 4 * L)
            _Pragma("GCC unroll 4") for (size_t k = 0; k < 4; k++) a[k] += LOAD(x + i + k * L);
        for (; i < m; i += L) a[0] += SOME(x + i, m - i);
        total += ALL((a[0] + a[1]) + (a[2] + a[3]))[0];
    }
    return total;
}
/* out += sums of u and of u v, with d = x - mean and (u, v) = (d, d), or (g, d), or (g w, d). */
static ALWAYS void CAT(pair_step, SFX)(const R *x, const R *g, const R *w, R mean, size_t m, V *sum, V *products)
{
    V d = SOME(x, m) - mean, u = g ? SOME(g, m) : d;
    if (w) u *= SOME(w, m);
    if (!g && m < L) d = u = SEL(FIRST(m), d, SPLAT(0));
    *sum += u;
    *products = FMA(u, d, *products);
}
static ALWAYS void CAT(span_pair, SFX)(size_t n, const R *x, const R *g, const R *w, R mean, double *out)
{
    for (size_t m; n; n -= m, x += m, g = g ? g + m : g, w = w ? w + m : w) {
        V s[4] = { { 0 } }, p[4] = { { 0 } };
        size_t i = 0;
        m = n < STRIP ? n : STRIP;
        for (; i + 4 * L <= m; i += 4 * L)
            _Pragma("GCC unroll 4") for (size_t k = 0; k < 4; k++)
                CAT(pair_step, SFX)(x + i + k * L, g ? g + i + k * L : g, w ? w + i + k * L : w, mean, L, &s[k], &p[k]);
        for (; i < m; i += L) CAT(pair_step, SFX)(x + i, g ? g + i : g, w ? w + i : w, mean, m - i, &s[0], &p[0]);
        out[0] += ALL((s[0] + s[1]) + (s[2] + s[3]))[0];
        out[1] += ALL((p[0] + p[1]) + (p[2] + p[3]))[0];
    }
}

/* out: the mean, and the mean of the squared deviations from it; or 0 and the mean square. */
static void CAT(norm_moments, SFX)(const pn_norm_group *g, const void *data, int centred, double *out)
{
    const R *x = data;
    const double count = (double)(g->spans * g->n);
    double sum = 0, pair[2] = { 0 };
    for (size_t s = 0; centred && s < g->spans; s++) sum += CAT(span_sum, SFX)(g->n, x + s * g->stride);
    const R mean = (R)(sum / count);
    for (size_t s = 0; s < g->spans; s++) CAT(span_pair, SFX)(g->n, x + s * g->stride, NULL, NULL, mean, pair);
    const double off = centred ? pair[0] / count : 0, square = pair[1] / count - off * off;
    out[0] = centred ? (double)mean + off : 0;
    out[1] = square < 0 ? 0 : square;
}

/* y = (x - mean) scale w + b; w and b stand at each element, or are one number in lane 0's stead. */
static ALWAYS void CAT(apply_span, SFX)(size_t n, const R *x, R *y, R mean, R scale, R shift, const R *w, const R *b)
{
    _Pragma("GCC unroll 4") for (size_t i = 0; i < n; i += L) {
        V v = (SOME(x + i, n - i) - mean) * scale;
        if (w && b) v = FMA(v, SOME(w + i, n - i), SOME(b + i, n - i));
        else if (w) v *= SOME(w + i, n - i);
        else if (b) v += SOME(b + i, n - i);
        else v += shift;
        PUT_SOME(y + i, n - i, v);
    }
}
static void CAT(norm_apply, SFX)(const pn_norm_group *g, const void *data, void *out)
{
    const R *x = data, *w = g->w, *b = g->b, mean = (R)g->mean, scale = (R)g->scale;
    R *y = out;
    for (size_t s = 0; s < g->spans; s++, x += g->stride, y += g->stride) {
        const size_t at = g->each == PN_PER_SPAN ? s : 0;
        if (g->each != PN_PER_ELEMENT) CAT(apply_span, SFX)(g->n, x, y, mean, w ? scale * w[at] : scale, b ? b[at] : 0, NULL, NULL);
        else if (w && b) CAT(apply_span, SFX)(g->n, x, y, mean, scale, 0, w, b);
        else CAT(apply_span, SFX)(g->n, x, y, mean, scale, 0, w, b);
    }
}

/* Sums of h and of h (x - mean): for the group, or for each span. h is gy, times w where that stands at each element. */
static void CAT(norm_sums, SFX)(const pn_norm_group *g, const void *data, const void *given, double *out)
{
    const R *x = data, *gy = given, mean = (R)g->mean;
    for (size_t s = 0; s < g->spans; s++) {
        double *to = out + 2 * (g->each == PN_PER_SPAN ? s : 0);
        if (s == 0 || g->each == PN_PER_SPAN) to[0] = to[1] = 0;
        if (g->each == PN_PER_ELEMENT && g->w) CAT(span_pair, SFX)(g->n, x + s * g->stride, gy + s * g->stride, g->w, mean, to);
        else CAT(span_pair, SFX)(g->n, x + s * g->stride, gy + s * g->stride, NULL, mean, to);
    }
}

/* gx = by[0] h + by[1] (x - mean) + by[2], and gw += gy (x - mean) scale, gb += gy. */
static ALWAYS void CAT(back_span, SFX)(size_t n, const R *x, const R *gy, R *gx, R mean, const R *by, const R *w, R scale, R *gw, R *gb)
{
    _Pragma("GCC unroll 2") for (size_t i = 0; i < n; i += L) {
        const size_t m = n - i;
        V d = SOME(x + i, m) - mean, h = SOME(gy + i, m);
        if (gw) PUT_SOME(gw + i, m, FMA(h, d * scale, SOME(gw + i, m)));
        if (gb) PUT_SOME(gb + i, m, SOME(gb + i, m) + h);
        if (w) h *= SOME(w + i, m);
        if (gx) PUT_SOME(gx + i, m, FMA(h, SPLAT(by[0]), FMA(d, SPLAT(by[1]), SPLAT(by[2]))));
    }
}
static void CAT(norm_back, SFX)(const pn_norm_group *g, const void *data, const void *given, void *out, const double *by, void *gw, void *gb)
{
    const R *x = data, *gy = given, *w = g->w, mean = (R)g->mean, scale = (R)g->scale;
    R *gx = out;
    for (size_t s = 0; s < g->spans; s++, x += g->stride, gy += g->stride, gx = gx ? gx + g->stride : gx) {
        R a[3] = { (R)by[0], (R)by[1], (R)by[2] };
        if (g->each == PN_PER_SPAN && w) a[0] *= w[s];
        if (g->each != PN_PER_ELEMENT) CAT(back_span, SFX)(g->n, x, gy, gx, mean, a, NULL, scale, NULL, NULL);
        else if (gx && w && gw && gb) CAT(back_span, SFX)(g->n, x, gy, gx, mean, a, w, scale, gw, gb);
        else CAT(back_span, SFX)(g->n, x, gy, gx, mean, a, w, scale, gw, gb);
    }
}

/* ---- columns: tiles of rows, stride elements from one to the next, of n columns, each a group; four vectors of columns at a time,
 * down all the rows; full: are all their lanes columns? ------------------------------------------------------------------- */
#define EACH_VECTOR _Pragma("GCC unroll 4") for (size_t k = 0; k < 4; k++) if (full || j + k * L < n)
#define COLUMN      (j + k * L)
#define LEFT        (full ? L : n - COLUMN)
#define IN_BLOCKS(f, ...) \
    for (size_t j = 0; j < n; j += 4 * L) { \
        if (j + 4 * L <= n) CAT(f, SFX)(__VA_ARGS__, j, 1); \
        else CAT(f, SFX)(__VA_ARGS__, j, 0); \
    }

static ALWAYS void CAT(widen, SFX)(double *to, size_t m, V v)
{
    for (size_t k = 0; k < L && k < m; k++) to[k] = v[k];
}

static ALWAYS void CAT(block_moments, SFX)(size_t rows, size_t n, size_t stride, const R *x, double *mean, double *squares, size_t j, int full)
{
    V sum[4] = { { 0 } }, off[4] = { { 0 } }, square[4] = { { 0 } };
    for (size_t r = 0; r < rows; r++) EACH_VECTOR sum[k] += SOME(x + r * stride + COLUMN, LEFT);
    EACH_VECTOR sum[k] /= (R)rows;
    for (size_t r = 0; r < rows; r++)
        EACH_VECTOR {
            V d = SOME(x + r * stride + COLUMN, LEFT) - sum[k];
            off[k] += d;
            square[k] = FMA(d, d, square[k]);
        }
    EACH_VECTOR {
        CAT(widen, SFX)(squares + COLUMN, LEFT, square[k] - off[k] * off[k] / (R)rows);
        CAT(widen, SFX)(mean + COLUMN, LEFT, sum[k]);
        for (size_t i = 0; i < L && i < LEFT; i++) mean[COLUMN + i] += (double)off[k][i] / (double)rows;
    }
}
/* Means of a tile's columns, and their sums of squared deviations. */
static void CAT(columns_moments, SFX)(size_t rows, size_t n, size_t stride, const void *x, double *mean, double *squares)
{
    IN_BLOCKS(block_moments, rows, n, stride, x, mean, squares)
}

static ALWAYS void CAT(block_apply, SFX)(size_t rows, size_t n, size_t stride, const R *x, R *y, const double *const *by, size_t j, int full)
{
    V c[3][4];
    for (size_t i = 0; i < 3; i++) EACH_VECTOR c[i][k] = CAT(narrow, SFX)(by[i] + COLUMN, LEFT);
    for (size_t at = j; rows; rows--, at += stride)
        EACH_VECTOR PUT_SOME(y + at + k * L, LEFT, FMA(SOME(x + at + k * L, LEFT) - c[0][k], c[1][k], c[2][k]));
}
/* y = (x - by[0]) by[1] + by[2] */
static void CAT(columns_apply, SFX)(size_t rows, size_t n, size_t stride, const void *x, void *y, const double *const *by)
{
    IN_BLOCKS(block_apply, rows, n, stride, x, y, by)
}

static ALWAYS void CAT(block_sums, SFX)(size_t rows, size_t n, size_t stride, const R *x, const R *gy, const double *means, double *sums, double *products, size_t j, int full)
{
    V mean[4], sum[4] = { { 0 } }, product[4] = { { 0 } };
    EACH_VECTOR mean[k] = CAT(narrow, SFX)(means + COLUMN, LEFT);
    for (size_t at = j; rows; rows--, at += stride)
        EACH_VECTOR {
            V g = SOME(gy + at + k * L, LEFT);
            sum[k] += g;
            product[k] = FMA(g, SOME(x + at + k * L, LEFT) - mean[k], product[k]);
        }
    EACH_VECTOR {
        CAT(widen, SFX)(sums + COLUMN, LEFT, sum[k]);
        CAT(widen, SFX)(products + COLUMN, LEFT, product[k]);
    }
}
/* A tile's sums of gy and of gy (x - mean). */
static void CAT(columns_sums, SFX)(size_t rows, size_t n, size_t stride, const void *x, const void *gy, const double *means, double *sums, double *products)
{
    IN_BLOCKS(block_sums, rows, n, stride, x, gy, means, sums, products)
}

static ALWAYS void CAT(block_back, SFX)(size_t rows, size_t n, size_t stride, const R *x, const R *gy, R *gx, const double *const *by, size_t j, int full)
{
    V c[4][4];
    for (size_t i = 0; i < 4; i++) EACH_VECTOR c[i][k] = CAT(narrow, SFX)(by[i] + COLUMN, LEFT);
    for (size_t at = j; rows; rows--, at += stride)
        EACH_VECTOR {
            V d = SOME(x + at + k * L, LEFT) - c[0][k];
            PUT_SOME(gx + at + k * L, LEFT, FMA(SOME(gy + at + k * L, LEFT), c[1][k], FMA(d, c[2][k], c[3][k])));
        }
}
/* gx = by[1] gy + by[2] (x - by[0]) + by[3] */
static void CAT(columns_back, SFX)(size_t rows, size_t n, size_t stride, const void *x, const void *gy, void *gx, const double *const *by)
{
    IN_BLOCKS(block_back, rows, n, stride, x, gy, gx, by)
}

/* ---- local response: channels of one sample, inner elements each ---------------------------------------------------------- */
/* d = k + alpha mean x^2 over size channels, of which size / 2 stand before and those beyond the edges are 0. */
static double CAT(response, SFX)(const pn_response *r, size_t c, size_t i, const R *x)
{
    const size_t first = c > r->size / 2 ? c - r->size / 2 : 0, end = c + (r->size + 1) / 2;
    double sum = 0;
    for (size_t j = first; j < end && j < r->channels; j++) sum += (double)x[j * r->inner + i] * (double)x[j * r->inner + i];
    return r->k + r->alpha * sum / (double)r->size;
}
static void CAT(response_apply, SFX)(const pn_response *r, const void *data, void *out)
{
    const R *x = data;
    for (size_t c = 0; c < r->channels; c++)
        for (size_t i = 0; i < r->inner; i++)
            ((R *)out)[c * r->inner + i] = (R)((double)x[c * r->inner + i] * pow(CAT(response, SFX)(r, c, i, x), -r->beta));
}
/* gx = gy d^-beta - 2 alpha beta / size x (sum of gy x d^(-beta - 1) over the channels in whose mean this one counts);
 * work: the terms of that sum, channels of them. gx may be gy. */
static void CAT(response_back, SFX)(const pn_response *r, const void *data, const void *given, void *out, double *work)
{
    const R *x = data, *gy = given;
    const double factor = 2 * r->alpha * r->beta / (double)r->size;
    for (size_t i = 0; i < r->inner; i++) {
        for (size_t c = 0; c < r->channels; c++) {
            const size_t at = c * r->inner + i;
            const double d = CAT(response, SFX)(r, c, i, x), power = pow(d, -r->beta);
            work[c] = (double)gy[at] * (double)x[at] * power / d;
            ((R *)out)[at] = (R)((double)gy[at] * power);
        }
        for (size_t c = 0; c < r->channels; c++) {
            const size_t at = c * r->inner + i, first = c + 1 > (r->size + 1) / 2 ? c + 1 - (r->size + 1) / 2 : 0;
            double sum = 0;
            for (size_t j = first; j <= c + r->size / 2 && j < r->channels; j++) sum += work[j];
            ((R *)out)[at] = (R)((double)((R *)out)[at] - factor * (double)x[at] * sum);
        }
    }
}
#undef STRIP
#undef ALL
#undef SOME
#undef PUT_SOME
#undef EACH_VECTOR
#undef IN_BLOCKS
#undef COLUMN
#undef LEFT
