/* norm.h - normalisation. A group shares a mean and a scale: runs of contiguous elements, or one
 * column of a matrix. Sums are computed in strips, whose totals are added in double in a fixed
 * order. Deviations are taken from the mean; the sum that rounding leaves in them corrects both
 * moments. As many short runs are processed at a time as a vector has lanes, so that the steps
 * after the sums are vectorised over groups; the result of a group does not depend on its place
 * among them.
 *
 * A mean is kept in double and subtracted in two parts. The first is the mean rounded to the type,
 * whose difference from nearby elements is exact. The second is the rest, times the scale, as the
 * addend of the following multiply-add. Where the squares of deviations leave the range of the
 * type, moments are computed again in double, of x over its largest magnitude. */

#define STRIP 1024                      /* elements that are summed in the type itself */

static ALWAYS V CAT(all_lanes, SFX)(V v)                /* the sum of the lanes, in all lanes */
{
    _Pragma("GCC unroll 4") for (size_t h = L / 2; h; h /= 2) v += SWAP(v, h);
    return v;
}
#define ALL(v) CAT(all_lanes, SFX)(v)
/* Lane r of the result: the sum of the lanes of v[r], for m vectors, added in the order of ALL. v
 * must have space for L vectors and is overwritten. */
static ALWAYS V CAT(sums_of, SFX)(V *v, size_t m)
{
    for (; m < L; m++) v[m] = SPLAT(0);
    _Pragma("GCC unroll 4") for (size_t h = L / 2; h; h /= 2) {
        const VI low = (INDICES & (I)h) == 0;
        _Pragma("GCC unroll 8") for (size_t r = 0; r < h; r++)
            v[r] = SEL(low, v[r], v[r + h]) + SWAP(SEL(low, v[r + h], v[r]), h);
    }
    return v[0];
}
#define SUMS_OF(v, m) CAT(sums_of, SFX)((v), (m))
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
static ALWAYS void CAT(add_wide, SFX)(double *to, size_t m, V v)
{
    if (m >= L) for (size_t k = 0; k < L; k++) to[k] += (double)v[k];
    else for (size_t k = 0; k < m; k++) to[k] += (double)v[k];
}

/* ---- runs: at most STRIP contiguous elements ------------------------------------------------- */
/* The sum of a run, still distributed over the lanes. */
static ALWAYS V CAT(run_sum, SFX)(size_t n, const R *x)
{
    V a[4] = { { 0 } };
    size_t i = 0;
    for (; i + 4 * L <= n; i += 4 * L)
        _Pragma("GCC unroll 4") for (size_t k = 0; k < 4; k++) a[k] += LOAD(x + i + k * L);
    for (; i < n; i += L) a[0] += LOAD_UPTO(x + i, n - i);
    return (a[0] + a[1]) + (a[2] + a[3]);
}
/* The constants of the deviations of a group: its mean in the type, its scale, and -scale times the
 * rounding error of the mean. */
typedef struct { R mean, scale, shift; } CAT(centre, SFX);
static CAT(centre, SFX) CAT(centre_of, SFX)(double mean, double scale)
{
    const R m = (R)mean;
    return (CAT(centre, SFX)){ m, (R)scale, (R)-((mean - (double)m) * scale) };
}
static ALWAYS V CAT(deviation, SFX)(V x, CAT(centre, SFX) c)
{
    return FMA(x - c.mean, SPLAT(c.scale), SPLAT(c.shift));
}

/* Whether the product of two scales is in the range of the type. If so, it saves a multiplication
 * per element. */
static int CAT(scale_in_range, SFX)(double scale)
{
    return scale > PICK(0x1p-50, 0x1p-400) && scale < PICK(0x1p50, 0x1p400);
}

/* Sums of u and of u d. Without g, u = d = x - mean; with g, u = g or g w and d = x - mean, or with
 * scaled (x - mean) scale. */
static ALWAYS void CAT(pair_step, SFX)(const R *x, const R *g, const R *w, const int scaled,
                                       CAT(centre, SFX) c, size_t m, V *sum, V *products)
{
    V d = scaled ? CAT(deviation, SFX)(LOAD_UPTO(x, m), c) : LOAD_UPTO(x, m) - c.mean,
      u = g ? LOAD_UPTO(g, m) : d;
    if (w) u *= LOAD_UPTO(w, m);
    if (!g && m < L) d = u = SEL(FIRST(m), d, SPLAT(0));
    *sum += u;
    *products = FMA(u, d, *products);
}
static ALWAYS void CAT(run_pair, SFX)(size_t n, const R *x, const R *g, const R *w,
                                      const int scaled, CAT(centre, SFX) c, V *sum, V *products)
{
    V s[4] = { { 0 } }, p[4] = { { 0 } };
    size_t i = 0;
    for (; i + 4 * L <= n; i += 4 * L)
        _Pragma("GCC unroll 4") for (size_t k = 0; k < 4; k++)
            CAT(pair_step, SFX)(x + i + k * L, g ? g + i + k * L : g, w ? w + i + k * L : w,
                                scaled, c, L, &s[k], &p[k]);
    for (; i < n; i += L)
        CAT(pair_step, SFX)(x + i, g ? g + i : g, w ? w + i : w, scaled, c, n - i, &s[0], &p[0]);
    *sum = (s[0] + s[1]) + (s[2] + s[3]);
    *products = (p[0] + p[1]) + (p[2] + p[3]);
}

/* ---- groups ---------------------------------------------------------------------------------- */
/* out += the sum of x or, with pair, the sums above, over a group of any length. */
static ALWAYS void CAT(group_sums, SFX)(size_t spans, size_t stride, size_t n, const R *x,
                                        const R *g, const R *w, const int scaled,
                                        CAT(centre, SFX) c, int pair, double *out)
{
    V a[2] = { { 0 } }, add[2] = { { 0 } };
    size_t held = 0;
    for (size_t s = 0; s < spans; s++)
        for (size_t i = 0, m; i < n; i += m) {
            const size_t at = s * stride + i;
            m = n - i < STRIP ? n - i : STRIP;
            if (pair)
                CAT(run_pair, SFX)(m, x + at, g ? g + at : g, w ? w + i : w, scaled, c, &add[0],
                                   &add[1]);
            else add[0] = CAT(run_sum, SFX)(m, x + at);
            a[0] += add[0];
            a[1] += add[1];
            if ((held += m) < STRIP) continue;
            for (size_t k = 0; k < 2; k++) out[k] += ALL(a[k])[0], a[k] = SPLAT(0);
            held = 0;
        }
    for (size_t k = 0; k < 2; k++) out[k] += ALL(a[k])[0];
}

/* Whether a mean square has left the range of the type. A tiny one matters only if eps is smaller
 * still. */
static int CAT(needs_rescaling, SFX)(double square, double eps)
{
    return !(square < INFINITY) ||
           (square < PICK(0x1p-80, 0x1p-900) && eps < PICK(0x1p-50, 0x1p-870));
}
/* Computes mean, variance and scale of spans runs of n elements in double, of x over its largest
 * magnitude. Leaves them unchanged unless that is finite and above 0. */
static void CAT(rescaled_moments, SFX)(size_t spans, size_t stride, size_t n, const void *data,
                                  int centred, double eps, double *mean, double *var, double *scale)
{
#define EACH_ELEMENT \
    for (size_t s = 0; s < spans; s++) \
        for (const R *x = (const R *)data + s * stride, *end = x + n; x < end; x++)
    const double count = (double)(spans * n);
    double most = 0, sum = 0, off = 0, square = 0;
    int e;
    EACH_ELEMENT {
        const double v = fabs((double)*x);
        if (v > most || v != v) most = v;
    }
    if (!(most > 0 && most < INFINITY)) return;
    frexp(most, &e);
    if (e < -1000) e = -1000;
    const double unit = ldexp(1, -e);
    if (centred) EACH_ELEMENT sum += (double)*x * unit;
    const double middle = sum / count;
    EACH_ELEMENT {
        const double d = (double)*x * unit - middle;
        off += d;
        square += d * d;
    }
    off = centred ? off / count : 0;
    square = square / count - off * off;
    if (square < 0) square = 0;
    *mean = ldexp(middle + off, e);
    *var = ldexp(square, 2 * e);
    *scale = 1 / hypot(ldexp(sqrt(square), e), sqrt(eps));
#undef EACH_ELEMENT
}

/* Computes the mean of a group (0 unless centred), the mean square of the deviations from it, and
 * the scale. x: its first element. */
static void CAT(group_moments, SFX)(const pn_norm_groups *g, size_t i, size_t spans, size_t n,
                                    const R *x)
{
    const double count = (double)(spans * n);
    double sum[2] = { 0 }, pair[2] = { 0 };
    const CAT(centre, SFX) zero = { 0, 1, 0 };
    if (g->centred) CAT(group_sums, SFX)(spans, g->stride, n, x, NULL, NULL, 0, zero, 0, sum);
    const CAT(centre, SFX) c = CAT(centre_of, SFX)(sum[0] / count, 1);
    CAT(group_sums, SFX)(spans, g->stride, n, x, NULL, NULL, 0, c, 1, pair);
    const double off = g->centred ? pair[0] / count : 0, square = pair[1] / count - off * off;
    g->mean[i] = (double)c.mean + off;
    g->var[i] = square < 0 ? 0 : square;
    g->scale[i] = 1 / sqrt(g->var[i] + g->eps);
    if (CAT(needs_rescaling, SFX)(square, g->eps))
        CAT(rescaled_moments, SFX)(spans, g->stride, n, x, g->centred, g->eps, g->mean + i,
                                   g->var + i, g->scale + i);
}
/* The same for m groups from group i on, each one run of n elements. */
static void CAT(run_moments, SFX)(const pn_norm_groups *g, size_t i, size_t m, size_t n, const R *x)
{
    V first[L], second[L], mean = { 0 }, off = { 0 };
    R means[L];
    if (g->centred) {
        for (size_t r = 0; r < m; r++) first[r] = CAT(run_sum, SFX)(n, x + r * g->step);
        mean = SUMS_OF(first, m) / (R)n;
    }
    STORE(means, mean);
    for (size_t r = 0; r < m; r++)
        CAT(run_pair, SFX)(n, x + r * g->step, NULL, NULL, 0, (CAT(centre, SFX)){ means[r], 1, 0 },
                           &first[r], &second[r]);
    if (g->centred) off = SUMS_OF(first, m) / (R)n;
    V square = SUMS_OF(second, m) / (R)n - off * off;
    const VI out_of_range = ~(square < (R)INFINITY) | (square < PICK(0x1p-80f, 0x1p-900));
    square = SEL(square < 0, SPLAT(0), square);
    CAT(widen, SFX)(g->mean + i, m, mean);
    CAT(add_wide, SFX)(g->mean + i, m, off);
    CAT(widen, SFX)(g->var + i, m, square);
    CAT(widen, SFX)(g->scale + i, m, 1 / SQRT(square + (R)g->eps));
    if (!ANY(out_of_range & FIRST(m))) return;
    for (size_t r = 0; r < m; r++)
        if (CAT(needs_rescaling, SFX)(square[r], g->eps))
            CAT(rescaled_moments, SFX)(1, 0, n, x + r * g->step, g->centred, g->eps,
                                       g->mean + i + r, g->var + i + r, g->scale + i + r);
}
static void CAT(norm_moments, SFX)(const pn_norm_groups *g, size_t from, size_t to,
                                   const void *data)
{
    const R *x = data;
    /* whether the spans of a group form one run */
    const int contiguous = g->spans == 1 || g->stride == g->n;
    const size_t spans = contiguous ? 1 : g->spans, n = contiguous ? g->spans * g->n : g->n;
    for (size_t i = from, m; i < to; i += m) {
        m = !contiguous || n > STRIP ? 1 : to - i < L ? to - i : L;
        if (contiguous && n <= STRIP) CAT(run_moments, SFX)(g, i, m, n, x + i * g->step);
        else CAT(group_moments, SFX)(g, i, spans, n, x + i * g->step);
    }
}

/* y = (x - mean) scale w + b, computed from the deviation (x - c.mean) c.scale + c.shift. w and b
 * have a number per element, or are NULL. */
static ALWAYS void CAT(apply_step, SFX)(const R *x, R *y, CAT(centre, SFX) c, const R *w,
                                        const R *b, size_t m)
{
    V v = CAT(deviation, SFX)(LOAD_UPTO(x, m), c);
    if (w && b) v = FMA(v, LOAD_UPTO(w, m), LOAD_UPTO(b, m));
    else if (w) v *= LOAD_UPTO(w, m);
    else if (b) v += LOAD_UPTO(b, m);
    STORE_UPTO(y, m, v);
}
static ALWAYS void CAT(apply_span, SFX)(size_t n, const R *x, R *y, CAT(centre, SFX) c, const R *w,
                                        const R *b)
{
    size_t i = 0;
    _Pragma("GCC unroll 4") for (; i + L <= n; i += L)
        CAT(apply_step, SFX)(x + i, y + i, c, w ? w + i : w, b ? b + i : b, L);
    if (i < n) CAT(apply_step, SFX)(x + i, y + i, c, w ? w + i : w, b ? b + i : b, n - i);
}
static void CAT(norm_apply, SFX)(const pn_norm_groups *g, size_t from, size_t to, const void *data,
                                 void *out)
{
    for (size_t i = from, p = from % g->period; i < to; i++, p = p + 1 < g->period ? p + 1 : 0) {
        const R *x = (const R *)data + i * g->step;
        const R *w = g->w ? (const R *)g->w + p * g->width : NULL,
                *b = g->b ? (const R *)g->b + p * g->width : NULL;
        const CAT(centre, SFX) c = CAT(centre_of, SFX)(g->mean[i], g->scale[i]);
        R *y = (R *)out + i * g->step;
        if (g->weight_axis == PN_PER_ELEMENT) {
            if (w && b) CAT(apply_span, SFX)(g->n, x, y, c, w, b);
            else CAT(apply_span, SFX)(g->n, x, y, c, w, b);
        } else {
            for (size_t s = 0; s < g->spans; s++, x += g->stride, y += g->stride) {
                const size_t at = g->weight_axis == PN_PER_SPAN ? s : 0;
                const R factor = w ? w[at] : 1;
                const CAT(centre, SFX) by_span = { c.mean, c.scale * factor,
                                                   c.shift * factor + (b ? b[at] : 0) };
                CAT(apply_span, SFX)(g->n, x, y, by_span, NULL, NULL);
            }
        }
    }
}

/* The sum of h d over a group in double, with d = (x - mean) scale, from the sums of h and of h (x
 * - the mean in the type). */
static double CAT(scaled_product, SFX)(double mean, double scale, double sum, double product)
{
    return (product - (mean - (double)(R)mean) * sum) * scale;
}

/* Sums of h and of h (x - mean) scale for m runs, the first of them run u of group i. h is gy,
 * times w if that has a number per element. */
static ALWAYS void CAT(runs_back, SFX)(const pn_norm_groups *g, size_t i, size_t u, size_t m,
                                       const R *x, const R *gy, double *out)
{
    const size_t units = g->weight_axis == PN_PER_SPAN ? g->spans : 1,
                 group_stride = g->weight_axis == PN_PER_SPAN ? g->stride : g->step;
    const int weighted = g->weight_axis == PN_PER_ELEMENT && g->w;
    V sum[L], product[L];
    R found[2][L];
    size_t group = i, unit = u;
    for (size_t r = 0; r < m; r++, x += group_stride, gy += group_stride) {
        const CAT(centre, SFX) c = CAT(centre_of, SFX)(g->mean[group], g->scale[group]);
        const R *w = weighted ? (const R *)g->w + group % g->period * g->width : NULL;
        if (!CAT(scale_in_range, SFX)(g->scale[group]))
            CAT(run_pair, SFX)(g->n, x, gy, w, 1, c, &sum[r], &product[r]);
        else if (weighted) CAT(run_pair, SFX)(g->n, x, gy, w, 0, c, &sum[r], &product[r]);
        else CAT(run_pair, SFX)(g->n, x, gy, NULL, 0, c, &sum[r], &product[r]);
        if (++unit == units) unit = 0, group++;
    }
    STORE(found[0], SUMS_OF(sum, m));
    STORE(found[1], SUMS_OF(product, m));
    for (size_t r = 0; r < m; r++) {
        const double s = (double)found[0][r], p = (double)found[1][r];
        out[2 * r] = s;
        out[2 * r + 1] = CAT(scale_in_range, SFX)(g->scale[i])
                           ? CAT(scaled_product, SFX)(g->mean[i], g->scale[i], s, p)
                           : p;
        if (++u == units) u = 0, i++;
    }
}
/* The same sums for each group, or for each span. */
static void CAT(norm_sums, SFX)(const pn_norm_groups *g, size_t from, size_t to, const void *data,
                                const void *given, double *out)
{
    const R *x = data, *gy = given;
    const int per_span = g->weight_axis == PN_PER_SPAN,
              weighted = g->weight_axis == PN_PER_ELEMENT && g->w;
    const size_t units = per_span ? g->spans : 1, group_stride = per_span ? g->stride : g->step;
    if (g->n <= STRIP && (per_span || g->spans == 1)) {
        for (size_t q = from * units, m; q < to * units; q += m) {
            m = to * units - q < L ? to * units - q : L;
            CAT(runs_back, SFX)(g, q / units, q % units, m, x + q * group_stride,
                                gy + q * group_stride, out + 2 * q);
        }
        return;
    }
    for (size_t q = from * units; q < to * units; q++) {
        const size_t i = q / units, spans = per_span ? 1 : g->spans;
        const R *at = x + q * group_stride, *given_at = gy + q * group_stride,
                *w = weighted ? (const R *)g->w + i % g->period * g->width : NULL;
        const CAT(centre, SFX) c = CAT(centre_of, SFX)(g->mean[i], g->scale[i]);
        double *sums = out + 2 * q;
        sums[0] = sums[1] = 0;
        if (!CAT(scale_in_range, SFX)(g->scale[i])) {
            CAT(group_sums, SFX)(spans, g->stride, g->n, at, given_at, w, 1, c, 1, sums);
            continue;
        }
        if (weighted) CAT(group_sums, SFX)(1, 0, g->n, at, given_at, w, 0, c, 1, sums);
        else CAT(group_sums, SFX)(spans, g->stride, g->n, at, given_at, NULL, 0, c, 1, sums);
        sums[1] = CAT(scaled_product, SFX)(g->mean[i], g->scale[i], sums[0], sums[1]);
    }
}

/* gx = by[0] h + by[1] d + by[2], where d = x - mean, times scale with scaled. */
static ALWAYS V CAT(back_of, SFX)(V x, V h, const int scaled, CAT(centre, SFX) c, const R *by)
{
    return FMA(h, SPLAT(by[0]),
               FMA(scaled ? CAT(deviation, SFX)(x, c) : x - c.mean, SPLAT(by[1]), SPLAT(by[2])));
}
static ALWAYS void CAT(back_span, SFX)(size_t n, const R *x, const R *gy, R *gx, const int scaled,
                                       CAT(centre, SFX) c, const R *by)
{
    size_t i = 0;
    _Pragma("GCC unroll 4") for (; i + L <= n; i += L)
        STORE(gx + i, CAT(back_of, SFX)(LOAD(x + i), LOAD(gy + i), scaled, c, by));
    if (i < n) {
        const V last = LOAD_PART(x + i, n - i), h = LOAD_PART(gy + i, n - i);
        STORE_PART(gx + i, n - i, CAT(back_of, SFX)(last, h, scaled, c, by));
    }
}
/* The same with scaled, at one place of m groups that share their weights; also gw += gy (x - mean)
 * scale and gb += gy. group_stride: elements from one group to the next. left: elements from this
 * place on. */
typedef struct { CAT(centre, SFX) c; R by[3]; } CAT(group_back, SFX);
static ALWAYS void CAT(back_step, SFX)(size_t m, size_t group_stride, const R *x, const R *gy,
                                       R *gx, const CAT(group_back, SFX) *b, const R *w, R *gw,
                                       R *gb, size_t left)
{
    const V weight = w ? LOAD_UPTO(w, left) : SPLAT(1);
    V sum_w = gw ? LOAD_UPTO(gw, left) : SPLAT(0), sum_b = gb ? LOAD_UPTO(gb, left) : SPLAT(0);
    _Pragma("GCC unroll 4") for (size_t r = 0; r < m; r++) {
        V d = CAT(deviation, SFX)(LOAD_UPTO(x + r * group_stride, left), b[r].c),
          h = LOAD_UPTO(gy + r * group_stride, left);
        if (gw) sum_w = FMA(h, d, sum_w);
        if (gb) sum_b += h;
        if (w) h *= weight;
        if (gx)
            STORE_UPTO(gx + r * group_stride, left,
                     FMA(h, SPLAT(b[r].by[0]), FMA(d, SPLAT(b[r].by[1]), SPLAT(b[r].by[2]))));
    }
    if (gw) STORE_UPTO(gw, left, sum_w);
    if (gb) STORE_UPTO(gb, left, sum_b);
}
static ALWAYS void CAT(back_few, SFX)(size_t m, size_t n, size_t group_stride, const R *x,
                                      const R *gy, R *gx, const CAT(group_back, SFX) *c,
                                      const R *w, R *gw, R *gb)
{
    size_t i = 0;
    for (; i + L <= n; i += L)
        CAT(back_step, SFX)(m, group_stride, x + i, gy + i, gx ? gx + i : gx, c, w ? w + i : w,
                            gw ? gw + i : gw, gb ? gb + i : gb, L);
    if (i < n)
        CAT(back_step, SFX)(m, group_stride, x + i, gy + i, gx ? gx + i : gx, c, w ? w + i : w,
                            gw ? gw + i : gw, gb ? gb + i : gb, n - i);
}
#define FEW 4
static void CAT(back_groups, SFX)(const pn_norm_groups *g, size_t i, size_t m, const R *x,
                                  const R *gy, R *gx, const double *by, R *gw, R *gb)
{
    const size_t at = i % g->period * g->width, group_stride = g->period * g->step;
    const R *w = g->w ? (const R *)g->w + at : NULL;
    CAT(group_back, SFX) c[FEW];
    gw = gw ? gw + at : gw;
    gb = gb ? gb + at : gb;
    for (size_t r = 0; r < m; r++) {
        c[r].c = CAT(centre_of, SFX)(g->mean[i + r * g->period], g->scale[i + r * g->period]);
        for (size_t k = 0; k < 3; k++) c[r].by[k] = (R)by[3 * r * g->period + k];
    }
    if (m == FEW && gx && w && gw && gb)
        CAT(back_few, SFX)(FEW, g->n, group_stride, x, gy, gx, c, w, gw, gb);
    else for (size_t r = 0; r < m; r++)
        CAT(back_few, SFX)(1, g->n, group_stride, x + r * group_stride, gy + r * group_stride,
                           gx ? gx + r * group_stride : gx, c + r, w, gw, gb);
}
static void CAT(norm_back, SFX)(const pn_norm_groups *g, size_t from, size_t to, const void *data,
                                const void *given, void *out, const double *by, void *gw, void *gb)
{
    const R *x = data, *gy = given, *w = g->w;
    R *gx = out;
    if (g->weight_axis == PN_PER_ELEMENT) {
        for (size_t first = from; first < to && first < from + g->period; first++)
            for (size_t i = first, m; i < to; i += m * g->period) {
                for (m = 1; m < FEW && i + m * g->period < to; ) m++;
                CAT(back_groups, SFX)(g, i, m, x + i * g->step, gy + i * g->step,
                                      gx ? gx + i * g->step : gx, by + 3 * (i - from), gw, gb);
            }
        return;
    }
    for (size_t i = from; i < to; i++, by += 3) {
        const CAT(centre, SFX) c = CAT(centre_of, SFX)(g->mean[i], g->scale[i]);
        const R *factor = g->weight_axis == PN_PER_SPAN && w ? w + i % g->period * g->width : NULL;
        const int scaled = !CAT(scale_in_range, SFX)(g->scale[i]);
        const double lost = g->mean[i] - (double)c.mean, scale = scaled ? 1 : g->scale[i],
                     shift = scaled ? 0 : -lost * scale;
        for (size_t s = 0, at = i * g->step; s < g->spans; s++, at += g->stride) {
            const R by_span[3] = { factor ? (R)by[0] * factor[s] : (R)by[0], (R)(by[1] * scale),
                                (R)(by[2] + by[1] * shift) };
            if (scaled) CAT(back_span, SFX)(g->n, x + at, gy + at, gx + at, 1, c, by_span);
            else CAT(back_span, SFX)(g->n, x + at, gy + at, gx + at, 0, c, by_span);
        }
    }
}
#undef FEW
#undef STRIP
