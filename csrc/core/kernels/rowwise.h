/* rowwise.h - functions of whole rows: softmax and related functions. Add one here and nowhere
 * else. Rows are processed in blocks of 64 bytes on every machine, so every sum has the same order
 * everywhere. Sums carry their rounding errors (hi + lo), so that their error does not grow with
 * the row. Rows with NaN become NaN; for softmax and related functions, so do rows that contain
 * +inf or only -inf, as in PyTorch. y may be x, gx may be gy. */
#ifdef R

typedef struct { V hi[VECS], lo[VECS]; } CAT(wide_sum, SFX);

/* hi + lo += v, exact except for the sum of the errors */
static ALWAYS void CAT(two_sum, SFX)(V *hi, V *lo, V v)
{
    V s = *hi + v, b = s - *hi;
    *lo += (*hi - (s - b)) + (v - b);
    *hi = s;
}
/* Reduces the block, halves onto halves. Returns the sum in all lanes, and its rounding error in
 * *lo. */
static ALWAYS V CAT(wide_total, SFX)(CAT(wide_sum, SFX) *w, V *lo)
{
    for (size_t h = VECS / 2; h; h /= 2)
        for (size_t k = 0; k < h; k++) {
            w->lo[k] += w->lo[k + h];
            CAT(two_sum, SFX)(&w->hi[k], &w->lo[k], w->hi[k + h]);
        }
    V hi = w->hi[0], l = w->lo[0];
    _Pragma("GCC unroll 4") for (size_t h = L / 2; h; h /= 2) {
        l += SWAP(l, h);
        CAT(two_sum, SFX)(&hi, &l, SWAP(hi, h));
    }
    *lo = l;
    return hi;
}
/* The maximum of x, with flip of -x, in all lanes. NaN may be lost here, but the sums keep it. */
static ALWAYS V CAT(row_max, SFX)(size_t n, const R *x, int flip)
{
    V m[VECS];
    for (size_t k = 0; k < VECS; k++) m[k] = SPLAT(-INFINITY);
    BLOCKS(n) {
        V v = BLOCK_LOAD(x, flip ? INFINITY : -INFINITY);
        m[k] = MAX(m[k], flip ? -v : v);
    }
    for (size_t h = VECS / 2; h; h /= 2)
        for (size_t k = 0; k < h; k++) m[k] = MAX(m[k], m[k + h]);
    _Pragma("GCC unroll 4") for (size_t h = L / 2; h; h /= 2) m[0] = MAX(m[0], SWAP(m[0], h));
    return m[0];
}

/* e^(x - max) up to a factor near 1 that is common to the row, scaled UP, and free of the rounding
 * error of x - max, which e would amplify. Near 0, x itself is split as n ln2 + r, and n is counted
 * from that of max. Far from 0, all x that contribute are within a factor of 2 of max, so x - max
 * is exact. */
typedef struct { V base, low, magic; } CAT(shift, SFX);
static ALWAYS CAT(shift, SFX) CAT(row_shift, SFX)(V max)
{
    const V magic = SPLAT(MAGIC);
    VI near = ABS(max) <= PICK(256, 2048);
    V base = SEL(near, SPLAT(0), max), n = FMA(max - base, SPLAT(LOG2E), magic) - magic;
    return (CAT(shift, SFX)){ base, (max - base) + EXP_FLOOR, SPLAT(MAGIC + BIAS + OFF) - n };
}
static ALWAYS V CAT(row_exp, SFX)(V x, const CAT(shift, SFX) *by)
{
    V c = MAX(by->low, x - by->base), z = FMA(c, SPLAT(LOG2E), by->magic), n = z - by->magic;
    /* exactly 0 where e underflows */
    V s = (V)(((VI)z << MANT) & (c != by->low));
    return FMA(s, CAT(exp_remainder, SFX)(FMA(n, SPLAT(-LN2_LO), FMA(n, SPLAT(-LN2_HI), c))), s);
}
static ALWAYS void CAT(soft, SFX)(size_t n, const R *x, R *y, int flip)
{
    CAT(wide_sum, SFX) w = { 0 };
    CAT(shift, SFX) by = CAT(row_shift, SFX)(CAT(row_max, SFX)(n, x, flip));
    BLOCKS(n) {
        V v = BLOCK_LOAD(x, flip ? INFINITY : -INFINITY), e = CAT(row_exp, SFX)(flip ? -v : v, &by);
        BLOCK_STORE(y, e);
        CAT(two_sum, SFX)(&w.hi[k], &w.lo[k], e);
    }
    V lo, total = CAT(wide_total, SFX)(&w, &lo), i0 = 1 / total,
          i1 = i0 * (RESIDUAL(SPLAT(1), i0, total) - i0 * lo);
    BLOCKS(n) {
        V e = BLOCK_LOAD(y, 0);
        BLOCK_STORE(y, FMA(e, i0, e * i1));
    }
}
/* the sum of y g, or of g alone */
static ALWAYS V CAT(row_dot, SFX)(size_t n, const R *y, const R *g, int products)
{
    CAT(wide_sum, SFX) w = { 0 };
    BLOCKS(n) {
        V v = BLOCK_LOAD(g, 0);
        if (products) v *= BLOCK_LOAD(y, 0);
        CAT(two_sum, SFX)(&w.hi[k], &w.lo[k], v);
    }
    V lo, total = CAT(wide_total, SFX)(&w, &lo);
    return total + lo;
}
/* gx = y (gy - y . gy) */
static ALWAYS void CAT(soft_back, SFX)(size_t n, const R *y, const R *gy, R *gx, int flip)
{
    V dot = CAT(row_dot, SFX)(n, y, gy, 1);
    BLOCKS(n) {
        V v = BLOCK_LOAD(y, 0), g = BLOCK_LOAD(gy, 0);
        BLOCK_STORE(gx, v * (flip ? dot - g : g - dot));
    }
}

/* Bodies of the table: values from x for any number of rows, gradients from the output y of one
 * row. */
#define ROW_OF(f)   static inline void CAT(row_##f, SFX)(size_t n, const R *x, R *y)
#define ROWS_OF(f)  static inline void CAT(rows_##f, SFX)(size_t rows, size_t n, const R *x, R *y)
#define DROW_OF(f)  static inline void CAT(d_row_##f, SFX)(size_t n, const R *y, const R *gy, R *gx)
#define EACH_ROW(f) ROWS_OF(f) { for (; rows; rows--, x += n, y += n) CAT(row_##f, SFX)(n, x, y); }
ROW_OF(softmax)      { CAT(soft, SFX)(n, x, y, 0); }
EACH_ROW(softmax)
DROW_OF(softmax)     { CAT(soft_back, SFX)(n, y, gy, gx, 0); }
ROW_OF(softmin)      { CAT(soft, SFX)(n, x, y, 1); }
EACH_ROW(softmin)
DROW_OF(softmin)     { CAT(soft_back, SFX)(n, y, gy, gx, 1); }

/* (x - max) - log(sum): both terms are negative or 0. The sum minus its largest term keeps its own
 * accuracy. Logarithms of L rows are computed at a time. */
ROWS_OF(log_softmax)
{
    for (size_t m; rows; rows -= m, x += m * n, y += m * n) {
        R max[L] = { 0 }, sum[L] = { 0 }, rest[L] = { 0 }, lse[L];
        m = rows < L ? rows : L;
        for (size_t r = 0; r < m; r++) {
            CAT(wide_sum, SFX) w = { 0 };
            V top = CAT(row_max, SFX)(n, x + r * n, 0), lo;
            CAT(shift, SFX) by = CAT(row_shift, SFX)(top);
            BLOCKS(n) {
                V e = CAT(row_exp, SFX)(BLOCK_LOAD(x + r * n, -INFINITY), &by);
                CAT(two_sum, SFX)(&w.hi[k], &w.lo[k], e);
            }
            max[r] = top[0];
            sum[r] = CAT(wide_total, SFX)(&w, &lo)[0];
            rest[r] = lo[0];
        }
        CAT(shift, SFX) by = CAT(row_shift, SFX)(LOAD(max));
        V first = CAT(row_exp, SFX)(LOAD(max), &by);
        STORE(lse, LOG1P(((LOAD(sum) - first) + LOAD(rest)) / first));
        for (size_t r = 0; r < m; r++)
            BLOCKS(n) BLOCK_STORE(y + r * n, (BLOCK_LOAD(x + r * n, 0) - max[r]) - lse[r]);
    }
}
DROW_OF(log_softmax)           /* gx = gy - e^y sum gy */
{
    V sum = CAT(row_dot, SFX)(n, y, gy, 0);
    BLOCKS(n) BLOCK_STORE(gx, FMA(-EXP(BLOCK_LOAD(y, 0)), sum, BLOCK_LOAD(gy, 0)));
}

/* max(d - t, 0), d = x - max, with the t for which the row sums to 1: t = (sum of the d above t,
 * minus 1) / their number. Starting from all candidates, the threshold rises and entries fall below
 * it until none does (Michelot, 1986). d and t have two parts, as y may be tiny. */
static ALWAYS V CAT(below_max, SFX)(V x, V max, V *low)
{
    V d = x - max, b = d - x;
    *low = (x - (d - b)) - (max + b);
    return d;
}
ROW_OF(sparsemax)
{
    const V max = CAT(row_max, SFX)(n, x, 0);
    V t = SPLAT(-1.001), tl = SPLAT(0), low;
    for (R count = INFINITY;;) {
        CAT(wide_sum, SFX) w = { 0 };
        V c = SPLAT(0), lo;
        BLOCKS(n) {
            V d = CAT(below_max, SFX)(BLOCK_LOAD(x, -INFINITY), max, &low);
            VI in = ~((d - t) - tl <= 0);                               /* NaN is in */
            CAT(two_sum, SFX)(&w.hi[k], &w.lo[k], SEL(in, d, SPLAT(0)));
            w.lo[k] += SEL(in, low, SPLAT(0));
            c += SEL(in, SPLAT(1), SPLAT(0));
        }
        R last = count;
        count = SUM(c);
        if (!(count < last)) break;
        CAT(two_sum, SFX)(&w.hi[0], &w.lo[0], SEL(FIRST(1), SPLAT(-1), SPLAT(0)));
        V total = CAT(wide_total, SFX)(&w, &lo);
        t = total / count;
        tl = (RESIDUAL(total, t, SPLAT(count)) + lo) / count;
    }
    BLOCKS(n) {
        V d = CAT(below_max, SFX)(BLOCK_LOAD(x, 0), max, &low);
        BLOCK_STORE(y, MAX(SPLAT(0), (d - t) + SEL(low == low, low - tl, SPLAT(0))));
    }
}
EACH_ROW(sparsemax)
DROW_OF(sparsemax)             /* gy minus its mean, where y > 0 */
{
    CAT(wide_sum, SFX) w = { 0 };
    V c = SPLAT(0), lo;
    BLOCKS(n) {
        VI in = BLOCK_LOAD(y, 0) != 0;
        CAT(two_sum, SFX)(&w.hi[k], &w.lo[k], SEL(in, BLOCK_LOAD(gy, 0), SPLAT(0)));
        c += SEL(in, SPLAT(1), SPLAT(0));
    }
    V mean = (CAT(wide_total, SFX)(&w, &lo) + lo) / SUM(c);
    BLOCKS(n) {
        V v = BLOCK_LOAD(y, 0);
        BLOCK_STORE(gx, SEL(v == 0, SPLAT(0), SEL(v == v, BLOCK_LOAD(gy, 0) - mean, v)));
    }
}

/* 1 at the first maximum, 0 elsewhere: a step function, whose gradient is 0 */
ROW_OF(hardmax)
{
    R max = CAT(row_max, SFX)(n, x, 0)[0], nan = 0;
    size_t at = n;
    for (size_t i = n; i-- > 0;) {
        if (x[i] == max) at = i;
        if (x[i] != x[i]) nan = NAN;
    }
    for (size_t i = 0; i < n; i++) y[i] = i == at ? 1 + nan : nan;
}
EACH_ROW(hardmax)
DROW_OF(hardmax)
{
    (void)gy;
    for (size_t i = 0; i < n; i++) gx[i] = y[i] == y[i] ? 0 : y[i];
}
#undef ROW_OF
#undef ROWS_OF
#undef DROW_OF
#undef EACH_ROW
#endif

#ifndef PN_ROWWISE
/*      function     class       ULP  ONNX
 *      formula
 *      gradient with respect to x from y and dy
 *      summary */
#define PN_ROWWISE(ROW) \
    ROW(softmax,     Softmax,    3, "Softmax(x, axis=-1)", \
        "exp(x - max(x)) / sum(exp(x - max(x)))", \
        "y * (dy - sum(dy * y))", \
        "Exponentials scaled to sum to 1: turns a row of scores into probabilities (Bridle, 1990).") \
    ROW(softmin,     Softmin,    3, "Softmax(Neg(x), axis=-1)", \
        "exp(min(x) - x) / sum(exp(min(x) - x))", \
        "-y * (dy - sum(dy * y))", \
        "Softmax of -x: the smallest score is the most probable, as PyTorch names it.") \
    ROW(log_softmax, LogSoftmax, 3, "LogSoftmax(x, axis=-1)", \
        "x - max(x) - log(sum(exp(x - max(x))))", \
        "dy - exp(y) * sum(dy)", \
        "Logarithm of softmax, without its underflow (Bridle, 1990).") \
    ROW(sparsemax,   Sparsemax,  2, "", \
        "maximum(x - max(x) - max((cumsum(sort(x - max(x))[::-1]) - 1) / arange(1, len(x) + 1)), 0)", \
        "where(y > 0, dy - mean(dy[y > 0]), 0)", \
        "The probability distribution nearest to a row of scores; small scores become 0 (Martins and " \
        "Astudillo, 2016).") \
    ROW(hardmax,     Hardmax,    0, "Hardmax(x, axis=-1)", \
        "1.0 * (arange(len(x)) == argmax(x))", \
        "0 * y", \
        "1 at the first maximum of the row, and 0 elsewhere.")
#endif
