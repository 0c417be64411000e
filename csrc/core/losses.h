/* losses.h - every loss, and nothing else: add one here and nowhere else.
 *
 * LOSS_E(f) gives the value of one element and its gradient with respect to x (the prediction); t is the target.
 * LOSS_R(f) gives the value of one row and its gradient; the target is a class index, or a row t of probabilities when label < 0.
 * The file is compiled once per element type and instruction set, on the words of vector.h and vmath.h. */
#ifdef R

#define LOSS_E(f) static inline V CAT(value_##f, SFX)(V x, V t, V *g)
#define LOSS_R(f) static inline double CAT(value_##f, SFX)(size_t n, const R *x, int64_t label, const R *t, R *g, R scale)

LOSS_E(l1)
{
    V d = x - t;
    *g = SEL(d > 0, SPLAT(1), SEL(d < 0, SPLAT(-1), d));
    return ABS(d);
}

LOSS_E(mse)
{
    V d = x - t;
    *g = 2 * d;
    return d * d;
}

/* The logarithms are cut at -100, and x (1 - x) at 1e-12, as PyTorch does, so that a sure and wrong prediction stays finite. */
LOSS_E(bce)
{
    V floor = SPLAT(-100), p = LOG(x), q = LOG1P(-x), w = x * (1 - x);
    p = SEL(p < floor, floor, p);
    q = SEL(q < floor, floor, q);
    *g = (x - t) / SEL(w < K(1e-12), SPLAT(1e-12), w);
    return -(t * p + (1 - t) * q);
}

LOSS_E(bce_with_logits)
{
    V e = EXP(NEGABS(x)), s = 1 / (1 + e);
    *g = SEL(x < 0, e * s, s) - t;
    return SEL(x < 0, SPLAT(0), x) - x * t + LOG1P(e);
}

/* e_j = exp(x_j - max) into e where given; returns their sum. */
static inline double CAT(sum_exp, SFX)(size_t n, const R *x, R max, R *e)
{
    double sum = 0;
    for (size_t i = 0; i < n; i += L) {
        size_t m = n - i < L ? n - i : L;
        V v = EXP(LOAD_PART(x + i, m) - max);
        R lanes[L];
        STORE(lanes, v);
        if (e) STORE_PART(e + i, m, v);
        for (size_t j = 0; j < m; j++) sum += lanes[j];
    }
    return sum;
}

/* log sum_j exp x_j - x_label, or sum_j t_j (log sum exp x - x_j); the gradient is softmax(x) sum t - t. */
LOSS_R(cross_entropy)
{
    R max = x[0];
    for (size_t j = 1; j < n; j++) max = x[j] > max ? x[j] : max;
    double sum = CAT(sum_exp, SFX)(n, x, max, g), lse = (double)max + log(sum), value = 0, mass = 1;
    if (label >= 0)
        value = lse - (double)x[label];
    else {
        mass = 0;
        for (size_t j = 0; j < n; j++) {
            if (t[j] != 0) value += (double)t[j] * (lse - (double)x[j]);
            mass += (double)t[j];
        }
    }
    if (g) {
        R k = (R)(mass * (double)scale / sum);
        for (size_t j = 0; j < n; j++) g[j] *= k;
        if (label >= 0) g[label] -= scale;
        else for (size_t j = 0; j < n; j++) g[j] -= scale * t[j];
    }
    return value;
}

LOSS_R(nll)
{
    (void)t;
    if (g) {
        memset(g, 0, n * sizeof *g);
        g[label] = -scale;
    }
    return -(double)x[label];
}

/* Sixteen sums whatever the vector's length, so that a sum has the same bits on every instruction set. */
#define LOSS_KERNEL_e(f) \
static double CAT(loss_##f, SFX)(const pn_loss_args *a) \
{ \
    const R *x = a->x, *t = a->target; \
    R *value = a->value, *grad = a->grad; \
    double sums[16] = { 0 }, sum = 0; \
    const V scale = SPLAT(a->scale); \
    for (size_t i = 0, n = a->rows * a->cols; i < n; i += L) { \
        size_t m = n - i < L ? n - i : L; \
        V g, v = CAT(value_##f, SFX)(LOAD_PART(x + i, m), LOAD_PART(t + i, m), &g); \
        R lanes[L]; \
        STORE(lanes, v); \
        if (value) STORE_PART(value + i, m, v); \
        if (grad) STORE_PART(grad + i, m, g * scale); \
        for (size_t j = 0; j < m; j++) sums[(i + j) % 16] += (double)lanes[j]; \
    } \
    for (int j = 0; j < 16; j++) sum += sums[j]; \
    return sum; \
}
#define LOSS_KERNEL_r(f) \
static double CAT(loss_##f, SFX)(const pn_loss_args *a) \
{ \
    const R *x = a->x, *t = a->target; \
    R *value = a->value, *grad = a->grad; \
    double sum = 0; \
    for (size_t i = 0, n = a->cols; i < a->rows; i++) { \
        double v = CAT(value_##f, SFX)(n, x + i * n, a->label ? a->label[i] : -1, t ? t + i * n : NULL, grad ? grad + i * n : NULL, \
                                       (R)a->scale); \
        if (value) value[i] = (R)v; \
        sum += v; \
    } \
    return sum; \
}
#define ROW(f, cls, kind, ...) LOSS_KERNEL_##kind(f)
PN_LOSSES(ROW)
#undef ROW
#undef LOSS_E
#undef LOSS_R
#undef LOSS_KERNEL_e
#undef LOSS_KERNEL_r
#endif

/* kind:   e elementwise, r one value a row.      target: r real, u in [0, 1], c class index only, p class index or probabilities.
 * metric: a accuracy by arg max, l by the sign of a logit, p by a probability over 1/2, n none. */
#ifndef PN_LOSSES
/*      name             class              kind target metric  formula */
#define PN_LOSSES(ROW) \
    ROW(l1,              L1Loss,            e,   r,     n,      "abs(x - t)", \
        "Mean absolute error.") \
    ROW(mse,             MSELoss,           e,   r,     n,      "(x - t)**2", \
        "Mean squared error.") \
    ROW(bce,             BCELoss,           e,   u,     p,      "-(t * maximum(log(x), -100) + (1 - t) * maximum(log1p(-x), -100))", \
        "Binary cross-entropy of probabilities, the logarithms cut at -100.") \
    ROW(bce_with_logits, BCEWithLogitsLoss, e,   u,     l,      "maximum(x, 0) - x * t + log1p(exp(-abs(x)))", \
        "Binary cross-entropy of logits: a sigmoid and BCELoss in one stable step.") \
    ROW(cross_entropy,   CrossEntropyLoss,  r,   p,     a,      "sum(t * (log(sum(exp(x))) - x))", \
        "Cross-entropy of logits against a class index or class probabilities: log-softmax and NLLLoss in one stable step.") \
    ROW(nll,             NLLLoss,           r,   c,     a,      "-sum(t * x)", \
        "Negative log-likelihood of log-probabilities (what LogSoftmax gives) against a class index.")
#endif
