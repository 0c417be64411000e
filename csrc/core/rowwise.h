/* rowwise.h - functions of one row: softmax and its kin. Add one here and nowhere else.
 * Rows are walked in blocks of 64 bytes on every machine, so the order of every sum is the same on all of them; sums carry
 * their rounding errors along (hi + lo), so their error does not grow with the row. Rows with +inf or NaN, or of -inf alone,
 * become NaN, as PyTorch's do. y may be x, gx may be gy. */
#ifdef R

#define BLOCK  (64 / sizeof(R))                         /* elements a block */
#define VECS   (64 / PN_VL)                             /* vectors a block */
typedef struct { V hi[VECS], lo[VECS]; } CAT(wide_sum, SFX);

/* Vector k of the block at p when the row has m elements left from there on; fill in the lanes past its end. */
static inline V CAT(block_load, SFX)(const R *p, size_t m, size_t k, R fill)
{
    size_t at = k * L;
    if (m >= at + L) return LOAD(p + at);
    if (m <= at) return SPLAT(fill);
    return SEL(FIRST(m - at), LOAD_PART(p + at, m - at), SPLAT(fill));
}
static inline void CAT(block_store, SFX)(R *p, size_t m, size_t k, V v)
{
    size_t at = k * L;
    if (m >= at + L) STORE(p + at, v);
    else if (m > at) STORE_PART(p + at, m - at, v);
}
#define BLOCKS(n) for (size_t i = 0; i < (n); i += BLOCK) _Pragma("GCC unroll 4") for (size_t k = 0; k < VECS; k++)

static inline void CAT(two_sum, SFX)(V *hi, V *lo, V v)                 /* hi + lo += v, exactly but for the sum of the errors */
{
    V s = *hi + v, b = s - *hi;
    *lo += (*hi - (s - b)) + (v - b);
    *hi = s;
}
/* The sum's lanes, halves onto halves: returns hi, and what hi lacks in *lo. */
static R CAT(wide_total, SFX)(const CAT(wide_sum, SFX) *w, R *lo)
{
    R h[BLOCK], l[BLOCK];
    memcpy(h, w->hi, sizeof h);
    memcpy(l, w->lo, sizeof l);
    for (size_t half = BLOCK / 2; half; half /= 2)
        for (size_t k = 0; k < half; k++) {
            R a = h[k], c = h[k + half], s = a + c, b = s - a;
            l[k] += l[k + half] + ((a - (s - b)) + (c - b));
            h[k] = s;
        }
    *lo = l[0];
    return h[0];
}
static R CAT(row_max, SFX)(size_t n, const R *x, int flip)              /* of flip ? -x : x; NaN may be lost, the sums will show it */
{
    V m[VECS], s = SPLAT(flip ? -1 : 1);
    R t[BLOCK];
    for (size_t k = 0; k < VECS; k++) m[k] = SPLAT(-INFINITY);
    BLOCKS(n) m[k] = MAX(m[k], s * CAT(block_load, SFX)(x + i, n - i, k, flip ? INFINITY : -INFINITY));
    memcpy(t, m, sizeof t);
    for (size_t half = BLOCK / 2; half; half /= 2)
        for (size_t k = 0; k < half; k++) t[k] = t[k] > t[k + half] ? t[k] : t[k + half];
    return t[0];
}
static inline V CAT(shifted_exp, SFX)(V x, V max)                       /* e^(x - max), the difference with its rounding error */
{
    V d = x - max, b = d - x;
    return EXP2(d, (x - (d - b)) - (max + b));
}
static void CAT(soft, SFX)(size_t n, const R *x, R *y, int flip)
{
    CAT(wide_sum, SFX) w = { 0 };
    V max = SPLAT(CAT(row_max, SFX)(n, x, flip)), s = SPLAT(flip ? -1 : 1);
    R lo, total;
    BLOCKS(n) {
        V e = CAT(shifted_exp, SFX)(s * CAT(block_load, SFX)(x + i, n - i, k, flip ? INFINITY : -INFINITY), max);
        CAT(block_store, SFX)(y + i, n - i, k, e);
        CAT(two_sum, SFX)(&w.hi[k], &w.lo[k], e);
    }
    total = CAT(wide_total, SFX)(&w, &lo);
    V d = SPLAT(total + lo);
    BLOCKS(n) CAT(block_store, SFX)(y + i, n - i, k, CAT(block_load, SFX)(y + i, n - i, k, 0) / d);
}
static R CAT(row_dot, SFX)(size_t n, const R *y, const R *g, int products)      /* sum of y g, or of g alone */
{
    CAT(wide_sum, SFX) w = { 0 };
    BLOCKS(n) {
        V v = CAT(block_load, SFX)(g + i, n - i, k, 0);
        if (products) v *= CAT(block_load, SFX)(y + i, n - i, k, 0);
        CAT(two_sum, SFX)(&w.hi[k], &w.lo[k], v);
    }
    R lo, total = CAT(wide_total, SFX)(&w, &lo);
    return total + lo;
}
static void CAT(soft_back, SFX)(size_t n, const R *y, const R *gy, R *gx, int flip)     /* gx = y (gy - y . gy) */
{
    V dot = SPLAT(CAT(row_dot, SFX)(n, y, gy, 1)), s = SPLAT(flip ? -1 : 1);
    BLOCKS(n) CAT(block_store, SFX)(gx + i, n - i, k, s * CAT(block_load, SFX)(y + i, n - i, k, 0) * (CAT(block_load, SFX)(gy + i, n - i, k, 0) - dot));
}

/* Each row of the table: a row's values from x, and its gradient from the output y. */
#define ROW_OF(f)  static inline void CAT(row_##f, SFX)(size_t n, const R *x, R *y)
#define DROW_OF(f) static inline void CAT(d_row_##f, SFX)(size_t n, const R *y, const R *gy, R *gx)
ROW_OF(softmax)      { CAT(soft, SFX)(n, x, y, 0); }
DROW_OF(softmax)     { CAT(soft_back, SFX)(n, y, gy, gx, 0); }
ROW_OF(softmin)      { CAT(soft, SFX)(n, x, y, 1); }
DROW_OF(softmin)     { CAT(soft_back, SFX)(n, y, gy, gx, 1); }

/* (x - max) - log(sum): both terms are negative or 0. The sum less its largest term, 1, keeps its own accuracy. */
ROW_OF(log_softmax)
{
    CAT(wide_sum, SFX) w = { 0 };
    V max = SPLAT(CAT(row_max, SFX)(n, x, 0));
    R lo, total;
    BLOCKS(n) CAT(two_sum, SFX)(&w.hi[k], &w.lo[k], CAT(shifted_exp, SFX)(CAT(block_load, SFX)(x + i, n - i, k, -INFINITY), max));
    total = CAT(wide_total, SFX)(&w, &lo);
    V lse = LOG1P(SPLAT((total - 1) + lo));
    BLOCKS(n) CAT(block_store, SFX)(y + i, n - i, k, (CAT(block_load, SFX)(x + i, n - i, k, 0) - max) - lse);
}
DROW_OF(log_softmax)           /* gx = gy - e^y sum gy */
{
    V sum = SPLAT(CAT(row_dot, SFX)(n, y, gy, 0));
    BLOCKS(n) CAT(block_store, SFX)(gx + i, n - i, k, FMA(-EXP(CAT(block_load, SFX)(y + i, n - i, k, 0)), sum, CAT(block_load, SFX)(gy + i, n - i, k, 0)));
}
#undef ROW_OF
#undef DROW_OF
#endif

#ifndef PN_ROWWISE
#define PN_ROWWISE(ROW) \
    ROW(softmax,     Softmax,    4, "Softmax(x, axis=-1)",    "exp(x - max(x)) / sum(exp(x - max(x)))", \
        "Exponentials scaled to sum to 1: a row of scores as probabilities (Bridle, 1990).") \
    ROW(softmin,     Softmin,    4, "Softmax(Neg(x), axis=-1)", "exp(min(x) - x) / sum(exp(min(x) - x))", \
        "Softmax of -x: the smallest score is the most probable, as PyTorch names it.") \
    ROW(log_softmax, LogSoftmax, 4, "LogSoftmax(x, axis=-1)", "x - max(x) - log(sum(exp(x - max(x))))", \
        "Logarithm of softmax, without its underflow (Bridle, 1990).")
#endif
