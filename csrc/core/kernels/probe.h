/* probe.h - reductions for health.c: counts of derivatives, sums of squares of an update, the first
 * number that is not finite. */
#define CHUNK 1024 /* elements that are summed in the type itself */

/* For each column of the derivatives d (rows, n): live[j] += the count of those that are not 0,
 * small[j] += the count of those below limit in magnitude. Counts are kept in the type itself,
 * exact up to 2^24. */
static void CAT(count_columns, SFX)(size_t rows, size_t n, const void *d, double limit, void *live,
                                    void *small)
{
    for (size_t j = 0; j < n; j += L) {
        const size_t m = n - j < L ? n - j : L;
        V a = { 0 }, b = { 0 };
        for (size_t r = 0; r < rows; r++) {
            const V v = LOAD_UPTO((const R *)d + r * n + j, m);
            a -= __builtin_convertvector(v != 0, V);
            b -= __builtin_convertvector(ABS(v) < (R)limit, V);
        }
        STORE_PART((R *)live + j, m, LOAD_UPTO((R *)live + j, m) + a);
        STORE_PART((R *)small + j, m, LOAD_UPTO((R *)small + j, m) + b);
    }
}

/* The same for n derivatives of one unit; out: live, small. */
static void CAT(count_run, SFX)(size_t n, const void *d, double limit, double *out)
{
    V a = { 0 }, b = { 0 };
    for (size_t i = 0; i < n; i += L) {
        const size_t m = n - i < L ? n - i : L;
        const V v = LOAD_UPTO((const R *)d + i, m);
        const VI part = FIRST(m);
        a -= __builtin_convertvector((v != 0) & part, V);
        b -= __builtin_convertvector((ABS(v) < (R)limit) & part, V);
    }
    out[0] = SUM(a);
    out[1] = SUM(b);
}

/* out += the sums of the squares of the gradient, of the change (after - before), and of before. */
static void CAT(sum_changes, SFX)(size_t n, const void *before, const void *after, const void *grad,
                                  double *out)
{
    const R *b = before, *p = after, *g = grad;
    for (size_t m; n; n -= m, b += m, p += m, g += m) {
        V s[3] = { { 0 } };
        m = n < CHUNK ? n : CHUNK;
        for (size_t i = 0; i < m; i += L) {
            const V old = LOAD_UPTO(b + i, m - i), step = LOAD_UPTO(p + i, m - i) - old,
                    slope = LOAD_UPTO(g + i, m - i);
            s[0] = FMA(slope, slope, s[0]);
            s[1] = FMA(step, step, s[1]);
            s[2] = FMA(old, old, s[2]);
        }
        for (int k = 0; k < 3; k++) out[k] += SUM(s[k]);
    }
}

/* The index of the first number that is NaN or infinite; n if there is none. */
static size_t CAT(first_nonfinite, SFX)(size_t n, const void *data)
{
    const R *x = data;
    size_t i = 0;
    for (; i < n; i += L) {
        const V v = LOAD_UPTO(x + i, n - i);
        if (ANY(v - v != 0)) break;
    }
    while (i < n && x[i] - x[i] == 0) i++;
    return i < n ? i : n;
}
#undef CHUNK
