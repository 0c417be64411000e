/* resample.h - kernels of layers that resample, select or scale: weighted sums along an axis,
 * maxima, gradients of learnt slopes. No include guard: kernels.c includes it once per type. */

/* y[i] = sum over t < terms of weight[i*terms + t] x[index[i*terms + t]], where x[.] and y[i] are
 * rows of inner numbers: x (., inner), y (n, inner). */
static void CAT(weighted_sum, SFX)(size_t n, size_t inner, size_t terms, const size_t *index,
                          const void *weight, const void *x, void *y)
{
    const R *w = weight, *from = x;
    R *to = y;
    for (size_t i = 0; i < n; i++, to += inner, w += terms, index += terms) {
        size_t j = 0;
        for (; j + L <= inner; j += L) {
            V sum = w[0] * LOAD(from + index[0] * inner + j);
            for (size_t t = 1; t < terms; t++)
                sum = FMA(SPLAT(w[t]), LOAD(from + index[t] * inner + j), sum);
            STORE(to + j, sum);
        }
        for (; j < inner; j++) {
            R sum = w[0] * from[index[0] * inner + j];
            for (size_t t = 1; t < terms; t++) sum += w[t] * from[index[t] * inner + j];
            to[j] = sum;
        }
    }
}

/* gx[index[i*terms + t]] += weight[i*terms + t] gy[i]. */
static void CAT(weighted_sum_back, SFX)(size_t n, size_t inner, size_t terms, const size_t *index,
                               const void *weight, const void *gy, void *gx)
{
    const R *w = weight, *g = gy;
    for (size_t i = 0; i < n; i++, g += inner)
        for (size_t t = 0; t < terms; t++, w++, index++) {
            R *to = (R *)gx + *index * inner;
            size_t j = 0;
            for (; j + L <= inner; j += L) STORE(to + j, FMA(SPLAT(*w), LOAD(g + j), LOAD(to + j)));
            for (; j < inner; j++) to[j] += *w * g[j];
        }
}

/* y = the maximum of x (count, inner) over the first axis; NaN if there is one. */
static void CAT(largest, SFX)(size_t count, size_t inner, const void *x, void *y)
{
    const R *from = x;
    R *to = y;
    for (size_t j = 0; j < inner; j += L) {
        const size_t m = inner - j < L ? inner - j : L;
        V best = m == L ? LOAD(from + j) : LOAD_PART(from + j, m);
        for (size_t p = 1; p < count; p++) {
            const V v = m == L ? LOAD(from + p * inner + j) : LOAD_PART(from + p * inner + j, m);
            best = SEL((v > best) | (v != v), v, best);
        }
        if (m == L) STORE(to + j, best);
        else STORE_PART(to + j, m, best);
    }
}

/* gx (count, inner) = gy at the first element of x that equals y, 0 elsewhere. */
static void CAT(largest_back, SFX)(size_t count, size_t inner, const void *x, const void *y,
                                   const void *gy, void *gx)
{
    const R *from = x, *top = y, *g = gy;
    R *to = gx;
    for (size_t j = 0; j < inner; j += L) {
        const size_t m = inner - j < L ? inner - j : L;
        const V best = m == L ? LOAD(top + j) : LOAD_PART(top + j, m),
                d = m == L ? LOAD(g + j) : LOAD_PART(g + j, m);
        VI open = FIRST(m);
        for (size_t p = 0; p < count; p++) {
            const V v = m == L ? LOAD(from + p * inner + j) : LOAD_PART(from + p * inner + j, m);
            const VI hit = open & ((v == best) | ((v != v) & (best != best)));
            open &= ~hit;
            if (m == L) STORE(to + p * inner + j, SEL(hit, d, SPLAT(0)));
            else STORE_PART(to + p * inner + j, m, SEL(hit, d, SPLAT(0)));
        }
    }
}

/* The sum of gy x over elements x <= 0: the gradient of the slope there. */
static double CAT(slope_sum, SFX)(size_t n, const void *x, const void *gy)
{
    const R *p = x, *g = gy;
    V sum = { 0 };
    size_t i = 0;
    for (; i + L <= n; i += L)
        sum = FMA(LOAD(g + i), SEL(LOAD(p + i) > 0, SPLAT(0), LOAD(p + i)), sum);
    if (i < n) {
        const V v = LOAD_PART(p + i, n - i);
        sum = FMA(LOAD_PART(g + i, n - i), SEL(v > 0, SPLAT(0), v), sum);
    }
    return (double)SUM(sum);
}

/* The same for each column, added to out: x and gy (rows, n). */
static void CAT(slope_rows, SFX)(size_t rows, size_t n, const void *x, const void *gy, void *out)
{
    R *to = out;
    for (size_t j = 0; j < n; j += L) {
        const size_t m = n - j < L ? n - j : L;
        V sum = m == L ? LOAD(to + j) : LOAD_PART(to + j, m);
        for (size_t r = 0; r < rows; r++) {
            const R *p = (const R *)x + r * n + j, *g = (const R *)gy + r * n + j;
            const V v = m == L ? LOAD(p) : LOAD_PART(p, m), d = m == L ? LOAD(g) : LOAD_PART(g, m);
            sum = FMA(d, SEL(v > 0, SPLAT(0), v), sum);
        }
        if (m == L) STORE(to + j, sum);
        else STORE_PART(to + j, m, sum);
    }
}
