/* norm.h - normalisation. A group shares a mean and a scale: runs of contiguous elements, or one column of a matrix. Sums are taken
 * in strips whose totals are added in double, in a fixed order; deviations are taken from the mean, and what rounding left of their
 * own sum corrects both moments. Short runs are taken as many at a time as a vector has lanes, so that what a group needs beside its
 * sums is computed for all of them at once; what it gets does not depend on its place among them. */

#define STRIP 1024                                      /* elements whose sum is kept in the type itself */

static ALWAYS V CAT(all_lanes, SFX)(V v)                /* the sum of the lanes, in every lane */
{
    _Pragma("GCC unroll 4") for (size_t h = L / 2; h; h /= 2) v += SWAP(v, h);
    return v;
}
#define ALL(v) CAT(all_lanes, SFX)(v)
/* Lane r: the sum of the lanes of v[r], added as ALL does, of m vectors; v, which has room for L, is used up. */
static ALWAYS V CAT(sums_of, SFX)(V *v, size_t m)
{
    for (; m < L; m++) v[m] = SPLAT(0);
    _Pragma("GCC unroll 4") for (size_t h = L / 2; h; h /= 2) {
        const VI low = (INDICES & (I)h) == 0;
        _Pragma("GCC unroll 8") for (size_t r = 0; r < h; r++) v[r] = SEL(low, v[r], v[r + h]) + SWAP(SEL(low, v[r + h], v[r]), h);
    }
    return v[0];
}
#define SUMS_OF(v, m) CAT(sums_of, SFX)((v), (m))
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
static ALWAYS void CAT(widen, SFX)(double *to, size_t m, V v)
{
    if (m >= L) for (size_t k = 0; k < L; k++) to[k] = v[k];
    else for (size_t k = 0; k < m; k++) to[k] = v[k];
}
#define SOME(p, m)        CAT(some, SFX)((p), (m))
#define PUT_SOME(p, m, v) CAT(put_some, SFX)((p), (m), (v))

/* ---- runs: at most STRIP elements one behind another ------------------------------------------------------------------------ */
static ALWAYS V CAT(run_sum, SFX)(size_t n, const R *x)          /* its lanes have yet to be added */
{
    V a[4] = { { 0 } };
    size_t i = 0;
    for (; i + 4 * L <= n; i += 4 * L)
        _Pragma("GCC unroll 4") for (size_t k = 0; k < 4; k++) a[k] += LOAD(x + i + k * L);
    for (; i < n; i += L) a[0] += SOME(x + i, n - i);
    return (a[0] + a[1]) + (a[2] + a[3]);
}
/* Sums of u and of u d, with d = x - mean and u = d, or g, or g w. */
static ALWAYS void CAT(pair_step, SFX)(const R *x, const R *g, const R *w, R mean, size_t m, V *sum, V *products)
{
    V d = SOME(x, m) - mean, u = g ? SOME(g, m) : d;
    if (w) u *= SOME(w, m);
    if (!g && m < L) d = u = SEL(FIRST(m), d, SPLAT(0));
    *sum += u;
    *products = FMA(u, d, *products);
}
static ALWAYS void CAT(run_pair, SFX)(size_t n, const R *x, const R *g, const R *w, R mean, V *sum, V *products)
{
    V s[4] = { { 0 } }, p[4] = { { 0 } };
    size_t i = 0;
    for (; i + 4 * L <= n; i += 4 * L)
        _Pragma("GCC unroll 4") for (size_t k = 0; k < 4; k++)
            CAT(pair_step, SFX)(x + i + k * L, g ? g + i + k * L : g, w ? w + i + k * L : w, mean, L, &s[k], &p[k]);
    for (; i < n; i += L) CAT(pair_step, SFX)(x + i, g ? g + i : g, w ? w + i : w, mean, n - i, &s[0], &p[0]);
    *sum = (s[0] + s[1]) + (s[2] + s[3]);
    *products = (p[0] + p[1]) + (p[2] + p[3]);
}

/* ---- groups ------------------------------------------------------------------------------------------------------------------- */
/* out += sums of x and nothing else, or of the pair above, over a group of any length. */
static ALWAYS void CAT(group_sums, SFX)(size_t spans, size_t stride, size_t n, const R *x, const R *g, const R *w, R mean, int pair, double *out)
{
    V a[2] = { { 0 } }, add[2] = { { 0 } };
    size_t held = 0;
    for (size_t s = 0; s < spans; s++)
        for (size_t i = 0, m; i < n; i += m) {
            const size_t at = s * stride + i;
            m = n - i < STRIP ? n - i : STRIP;
            if (pair) CAT(run_pair, SFX)(m, x + at, g ? g + at : g, w ? w + i : w, mean, &add[0], &add[1]);
            else add[0] = CAT(run_sum, SFX)(m, x + at);
            a[0] += add[0];
            a[1] += add[1];
            if ((held += m) < STRIP) continue;
            for (size_t k = 0; k < 2; k++) out[k] += ALL(a[k])[0], a[k] = SPLAT(0);
            held = 0;
        }
    for (size_t k = 0; k < 2; k++) out[k] += ALL(a[k])[0];
}

/* Mean (0 unless centred), mean square of the deviations from it, and scale of a group, x its first element. */
static void CAT(group_moments, SFX)(const pn_norm_groups *g, size_t i, size_t spans, size_t n, const R *x)
{
    const double count = (double)(spans * n);
    double sum[2] = { 0 }, pair[2] = { 0 };
    if (g->centred) CAT(group_sums, SFX)(spans, g->stride, n, x, NULL, NULL, 0, 0, sum);
    const R mean = (R)(sum[0] / count);
    CAT(group_sums, SFX)(spans, g->stride, n, x, NULL, NULL, mean, 1, pair);
    const double off = g->centred ? pair[0] / count : 0, square = pair[1] / count - off * off;
    g->mean[i] = (double)mean + off;
    g->var[i] = square < 0 ? 0 : square;
    g->scale[i] = 1 / sqrt(g->var[i] + g->eps);
}
/* The same for m groups from the i-th, each of them one run of n elements. */
static void CAT(run_moments, SFX)(const pn_norm_groups *g, size_t i, size_t m, size_t n, const R *x)
{
    V first[L], second[L], mean = { 0 }, off = { 0 };
    R means[L];
    if (g->centred) {
        for (size_t r = 0; r < m; r++) first[r] = CAT(run_sum, SFX)(n, x + r * g->step);
        mean = SUMS_OF(first, m) / (R)n;
    }
    STORE(means, mean);
    for (size_t r = 0; r < m; r++) CAT(run_pair, SFX)(n, x + r * g->step, NULL, NULL, means[r], &first[r], &second[r]);
    if (g->centred) off = SUMS_OF(first, m) / (R)n;
    V square = SUMS_OF(second, m) / (R)n - off * off;
    square = SEL(square < 0, SPLAT(0), square);
    CAT(widen, SFX)(g->mean + i, m, mean + off);
    CAT(widen, SFX)(g->var + i, m, square);
    CAT(widen, SFX)(g->scale + i, m, 1 / SQRT(square + (R)g->eps));
}
static void CAT(norm_moments, SFX)(const pn_norm_groups *g, size_t from, size_t to, const void *data)
{
    const R *x = data;
    const int whole = g->spans == 1 || g->stride == g->n;               /* are a group's spans one run? */
    const size_t spans = whole ? 1 : g->spans, n = whole ? g->spans * g->n : g->n;
    for (size_t i = from, m; i < to; i += m) {
        m = !whole || n > STRIP ? 1 : to - i < L ? to - i : L;
        if (whole && n <= STRIP) CAT(run_moments, SFX)(g, i, m, n, x + i * g->step);
        else CAT(group_moments, SFX)(g, i, spans, n, x + i * g->step);
    }
}

/* y = (x - mean) scale w + b; w and b stand at each element, or are NULL. */
static ALWAYS void CAT(apply_step, SFX)(const R *x, R *y, R mean, R scale, R shift, const R *w, const R *b, size_t m)
{
    V v = (SOME(x, m) - mean) * scale;
    if (w && b) v = FMA(v, SOME(w, m), SOME(b, m));
    else if (w) v *= SOME(w, m);
    else if (b) v += SOME(b, m);
    else v += shift;
    PUT_SOME(y, m, v);
}
static ALWAYS void CAT(apply_span, SFX)(size_t n, const R *x, R *y, R mean, R scale, R shift, const R *w, const R *b)
{
    size_t i = 0;
    _Pragma("GCC unroll 4") for (; i + L <= n; i += L) CAT(apply_step, SFX)(x + i, y + i, mean, scale, shift, w ? w + i : w, b ? b + i : b, L);
    if (i < n) CAT(apply_step, SFX)(x + i, y + i, mean, scale, shift, w ? w + i : w, b ? b + i : b, n - i);
}
static void CAT(norm_apply, SFX)(const pn_norm_groups *g, size_t from, size_t to, const void *data, void *out)
{
    for (size_t i = from, p = from % g->period; i < to; i++, p = p + 1 < g->period ? p + 1 : 0) {
        const R *x = (const R *)data + i * g->step, mean = (R)g->mean[i], scale = (R)g->scale[i];
        const R *w = g->w ? (const R *)g->w + p * g->width : NULL, *b = g->b ? (const R *)g->b + p * g->width : NULL;
        R *y = (R *)out + i * g->step;
        if (g->each == PN_PER_ELEMENT) {
            if (w && b) CAT(apply_span, SFX)(g->n, x, y, mean, scale, 0, w, b);
            else CAT(apply_span, SFX)(g->n, x, y, mean, scale, 0, w, b);
        } else {
            for (size_t s = 0; s < g->spans; s++, x += g->stride, y += g->stride) {
                const size_t at = g->each == PN_PER_SPAN ? s : 0;
                CAT(apply_span, SFX)(g->n, x, y, mean, w ? scale * w[at] : scale, b ? b[at] : 0, NULL, NULL);
            }
        }
    }
}

/* Sums of h and of h (x - mean) for m runs, the first of them run u of group i; h is gy, times w where that stands at each element. */
static ALWAYS void CAT(runs_back, SFX)(const pn_norm_groups *g, size_t i, size_t u, size_t m, const R *x, const R *gy, double *out)
{
    const size_t units = g->each == PN_PER_SPAN ? g->spans : 1, pace = g->each == PN_PER_SPAN ? g->stride : g->step;
    V sum[L], product[L];
    R found[2][L];
    for (size_t r = 0; r < m; r++, x += pace, gy += pace) {
        if (g->each == PN_PER_ELEMENT && g->w)
            CAT(run_pair, SFX)(g->n, x, gy, (const R *)g->w + i % g->period * g->width, (R)g->mean[i], &sum[r], &product[r]);
        else CAT(run_pair, SFX)(g->n, x, gy, NULL, (R)g->mean[i], &sum[r], &product[r]);
        if (++u == units) u = 0, i++;
    }
    STORE(found[0], SUMS_OF(sum, m));
    STORE(found[1], SUMS_OF(product, m));
    for (size_t r = 0; r < m; r++) out[2 * r] = found[0][r], out[2 * r + 1] = found[1][r];
}
/* The same for each group, or for each span. */
static void CAT(norm_sums, SFX)(const pn_norm_groups *g, size_t from, size_t to, const void *data, const void *given, double *out)
{
    const R *x = data, *gy = given;
    const int each_span = g->each == PN_PER_SPAN;
    const size_t units = each_span ? g->spans : 1, pace = each_span ? g->stride : g->step;
    if (g->n <= STRIP && (each_span || g->spans == 1)) {
        for (size_t q = from * units, m; q < to * units; q += m) {
            m = to * units - q < L ? to * units - q : L;
            CAT(runs_back, SFX)(g, q / units, q % units, m, x + q * pace, gy + q * pace, out + 2 * q);
        }
        return;
    }
    for (size_t q = from * units; q < to * units; q++) {
        const size_t i = q / units, spans = each_span ? 1 : g->spans;
        const R *at = x + q * pace, *given_at = gy + q * pace;
        out[2 * q] = out[2 * q + 1] = 0;
        if (g->each == PN_PER_ELEMENT && g->w)
            CAT(group_sums, SFX)(1, 0, g->n, at, given_at, (const R *)g->w + i % g->period * g->width, (R)g->mean[i], 1, out + 2 * q);
        else CAT(group_sums, SFX)(spans, g->stride, g->n, at, given_at, NULL, (R)g->mean[i], 1, out + 2 * q);
    }
}

/* gx = by[0] h + by[1] (x - mean) + by[2] */
static ALWAYS void CAT(back_span, SFX)(size_t n, const R *x, const R *gy, R *gx, R mean, const R *by)
{
    size_t i = 0;
    _Pragma("GCC unroll 4") for (; i + L <= n; i += L)
        STORE(gx + i, FMA(LOAD(gy + i), SPLAT(by[0]), FMA(LOAD(x + i) - mean, SPLAT(by[1]), SPLAT(by[2]))));
    if (i < n) STORE_PART(gx + i, n - i, FMA(LOAD_PART(gy + i, n - i), SPLAT(by[0]), FMA(LOAD_PART(x + i, n - i) - mean, SPLAT(by[1]), SPLAT(by[2]))));
}
/* The same at one place of m groups that share their weights, and gw += gy (x - mean) scale, gb += gy; c: mean, scale and by of each;
 * pace: elements from one group to the next; left: elements from this place on. */
static ALWAYS void CAT(back_step, SFX)(size_t m, size_t pace, const R *x, const R *gy, R *gx, R (*c)[5], const R *w, R *gw, R *gb, size_t left)
{
    const V weight = w ? SOME(w, left) : SPLAT(1);
    V sum_w = gw ? SOME(gw, left) : SPLAT(0), sum_b = gb ? SOME(gb, left) : SPLAT(0);
    _Pragma("GCC unroll 4") for (size_t r = 0; r < m; r++) {
        V d = SOME(x + r * pace, left) - c[r][0], h = SOME(gy + r * pace, left);
        if (gw) sum_w = FMA(h, d * c[r][1], sum_w);
        if (gb) sum_b += h;
        if (w) h *= weight;
        if (gx) PUT_SOME(gx + r * pace, left, FMA(h, SPLAT(c[r][2]), FMA(d, SPLAT(c[r][3]), SPLAT(c[r][4]))));
    }
    if (gw) PUT_SOME(gw, left, sum_w);
    if (gb) PUT_SOME(gb, left, sum_b);
}
static ALWAYS void CAT(back_few, SFX)(size_t m, size_t n, size_t pace, const R *x, const R *gy, R *gx, R (*c)[5], const R *w, R *gw, R *gb)
{
    size_t i = 0;
    for (; i + L <= n; i += L)
        CAT(back_step, SFX)(m, pace, x + i, gy + i, gx ? gx + i : gx, c, w ? w + i : w, gw ? gw + i : gw, gb ? gb + i : gb, L);
    if (i < n) CAT(back_step, SFX)(m, pace, x + i, gy + i, gx ? gx + i : gx, c, w ? w + i : w, gw ? gw + i : gw, gb ? gb + i : gb, n - i);
}
#define FEW 4
static void CAT(back_groups, SFX)(const pn_norm_groups *g, size_t i, size_t m, const R *x, const R *gy, R *gx, const double *by, R *gw, R *gb)
{
    const size_t at = i % g->period * g->width, pace = g->period * g->step;
    const R *w = g->w ? (const R *)g->w + at : NULL;
    R c[FEW][5];
    gw = gw ? gw + at : gw;
    gb = gb ? gb + at : gb;
    for (size_t r = 0; r < m; r++) {
        c[r][0] = (R)g->mean[i + r * g->period];
        c[r][1] = (R)g->scale[i + r * g->period];
        for (size_t k = 0; k < 3; k++) c[r][2 + k] = (R)by[3 * r * g->period + k];
    }
    if (m == FEW && gx && w && gw && gb) CAT(back_few, SFX)(FEW, g->n, pace, x, gy, gx, c, w, gw, gb);
    else for (size_t r = 0; r < m; r++)
        CAT(back_few, SFX)(1, g->n, pace, x + r * pace, gy + r * pace, gx ? gx + r * pace : gx, c + r, w, gw, gb);
}
static void CAT(norm_back, SFX)(const pn_norm_groups *g, size_t from, size_t to, const void *data, const void *given, void *out,
                                const double *by, void *gw, void *gb)
{
    const R *x = data, *gy = given, *w = g->w;
    R *gx = out;
    if (g->each == PN_PER_ELEMENT) {
        for (size_t first = from; first < to && first < from + g->period; first++)
            for (size_t i = first, m; i < to; i += m * g->period) {
                for (m = 1; m < FEW && i + m * g->period < to; ) m++;
                CAT(back_groups, SFX)(g, i, m, x + i * g->step, gy + i * g->step, gx ? gx + i * g->step : gx, by + 3 * (i - from), gw, gb);
            }
        return;
    }
    for (size_t i = from; i < to; i++, by += 3) {
        const R mean = (R)g->mean[i], *factor = g->each == PN_PER_SPAN && w ? w + i % g->period * g->width : NULL;
        for (size_t s = 0, at = i * g->step; s < g->spans; s++, at += g->stride) {
            const R each[3] = { factor ? (R)by[0] * factor[s] : (R)by[0], (R)by[1], (R)by[2] };
            CAT(back_span, SFX)(g->n, x + at, gy + at, gx + at, mean, each);
        }
    }
}
#undef FEW

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
#undef SUMS_OF
#undef SOME
#undef PUT_SOME
#undef EACH_VECTOR
#undef IN_BLOCKS
#undef COLUMN
#undef LEFT
