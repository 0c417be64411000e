/* losses.h - every loss, and nothing else: add one here and nowhere else.
 *
 * LOSS_E(f) gives the value of one element and its gradient g with respect to x (the prediction); t is the target, z the second
 * input with its gradient gz, or the loss's pos_weight. LOSS_R(f) gives the value of one row r, and its gradients times r->scale
 * where r->g is not NULL. p and r->p are the row's parameters. Weights are the frame's business, those of classes the body's.
 * The file is compiled once per element type and instruction set, on the words of vector.h, vmath.h and rowwise.h. */
#ifdef R

#define LOSS_E(f) static ALWAYS V CAT(value_##f, SFX)(V x UNUSED, V z UNUSED, V t UNUSED, const V *p UNUSED, V *g, V *gz UNUSED)
#define LOSS_R(f) static double CAT(value_##f, SFX)(const CAT(loss_row, SFX) *r)
typedef struct {
    size_t n;
    const R *x, *y, *z, *t, *w;             /* inputs, target, class weights; NULL where the loss has none */
    const int64_t *label;
    const double *p;
    R *g, *gy, *gz;
    R scale;
} CAT(loss_row, SFX);

/* ---- elementwise ------------------------------------------------------------------------------------------------ */
static inline V CAT(sign_of, SFX)(V d) { return SEL(d > 0, SPLAT(1), SEL(d < 0, SPLAT(-1), d)); }      /* NaN stays */
#define SIGN_OF(d) CAT(sign_of, SFX)(d)

LOSS_E(l1)
{
    V d = x - t;
    *g = SIGN_OF(d);
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
    V floor = SPLAT(-100), a = LOG(x), b = LOG1P(-x), w = x * (1 - x);
    a = SEL(a < floor, floor, a);
    b = SEL(b < floor, floor, b);
    *g = (x - t) / SEL(w < K(1e-12), SPLAT(1e-12), w);
    return -(t * a + (1 - t) * b);
}

/* z = pos_weight; l = log(1 + e^-|x|). Written so that neither sigmoid(x) nor 1 - sigmoid(x) is a difference. */
LOSS_E(bce_with_logits)
{
    V e = EXP(NEGABS(x)), big = 1 / (1 + e), small = e * big, zt = z * t, l = LOG1P(e);
    *g = (1 - t) * SEL(x < 0, small, big) - zt * SEL(x < 0, big, small);
    return SEL(x < 0, -x * zt, (1 - t) * x) + (1 - t + zt) * l;
}

/* ---- one value a row -------------------------------------------------------------------------------------------- */
/* Sums in BLOCK lanes whatever the vector's length, so that a sum has the same bits on every instruction set. */
static ALWAYS void CAT(add_lanes, SFX)(double *sums, V v, size_t m, size_t k)
{
    R lanes[L];
    STORE(lanes, m >= (k + 1) * L ? v : m > k * L ? SEL(FIRST(m - k * L), v, SPLAT(0)) : SPLAT(0));
    for (size_t j = 0; j < L; j++) sums[k * L + j] += (double)lanes[j];
}
static inline double CAT(fold_lanes, SFX)(double *sums)
{
    for (size_t half = BLOCK / 2; half; half /= 2)
        for (size_t j = 0; j < half; j++) sums[j] += sums[j + half];
    return sums[0];
}

/* e_j = exp(x_j - max) into e where given; returns their sum. */
static inline double CAT(sum_exp, SFX)(size_t n, const R *x, R max, R *e)
{
    double sums[BLOCK] = { 0 };
    BLOCKS(n) {
        V v = EXP(CAT(block_load, SFX)(x + i, n - i, k, 0) - max);
        if (e) CAT(block_store, SFX)(e + i, n - i, k, v);
        CAT(add_lanes, SFX)(sums, v, n - i, k);
    }
    return CAT(fold_lanes, SFX)(sums);
}

/* What class j counts in a cross-entropy: its share of the target, smoothed, times its weight. */
static inline double CAT(class_share, SFX)(const CAT(loss_row, SFX) *r, size_t j)
{
    double smooth = r->p[1], share = r->t ? (double)r->t[j] : (int64_t)j == *r->label;
    return ((1 - smooth) * share + smooth / (double)r->n) * (r->w ? (double)r->w[j] : 1);
}
static int CAT(ignored, SFX)(const CAT(loss_row, SFX) *r, R *g)
{
    if (!r->label || (double)*r->label != r->p[0]) return 0;
    if (g) memset(g, 0, r->n * sizeof *g);
    return 1;
}

/* sum q_j (log sum exp x - x_j), q the shares; the gradient is softmax(x) sum q - q. A label alone has one share that is not 0. */
LOSS_R(cross_entropy)
{
    if (CAT(ignored, SFX)(r, r->g)) return 0;
    R max = CAT(row_max, SFX)(r->n, r->x, 0)[0];
    double sum = CAT(sum_exp, SFX)(r->n, r->x, max, r->g), lse = (double)max + log(sum), value = 0, mass = 0;
    int one = !r->t && r->p[1] == 0;
    size_t from = one ? (size_t)*r->label : 0, to = one ? from + 1 : r->n;
    for (size_t j = from; j < to; j++) {
        double q = CAT(class_share, SFX)(r, j);
        if (q != 0) value += q * (lse - (double)r->x[j]);
        mass += q;
    }
    if (!r->g) return value;
    V k0 = SPLAT(mass * (double)r->scale / sum);
    BLOCKS(r->n) CAT(block_store, SFX)(r->g + i, r->n - i, k, k0 * CAT(block_load, SFX)(r->g + i, r->n - i, k, 0));
    for (size_t j = from; j < to; j++) r->g[j] -= (R)(CAT(class_share, SFX)(r, j) * (double)r->scale);
    return value;
}

LOSS_R(nll)
{
    if (CAT(ignored, SFX)(r, r->g)) return 0;
    R w = r->w ? r->w[*r->label] : 1;
    if (r->g) {
        memset(r->g, 0, r->n * sizeof *r->g);
        r->g[*r->label] = -w * r->scale;
    }
    return -(double)w * (double)r->x[*r->label];
}

/* ---- the frame: bodies over all elements or rows ---------------------------------------------------------------- */
typedef V CAT(element, SFX)(V x, V z, V t, const V *p, V *g, V *gz);
typedef struct { const R *x, *z, *t, *w; R *value, *g, *gz; } CAT(loss_span, SFX);

/* n elements, each weighted by w where given and all by s. */
static ALWAYS void CAT(run_span, SFX)(CAT(element, SFX) *f, size_t n, CAT(loss_span, SFX) a, R s, R scale, const V *p, double *sums)
{
    BLOCKS(n) {
        size_t m = n - i;
        V g, gz = SPLAT(0), w = SPLAT(s), z = a.z ? CAT(block_load, SFX)(a.z + i, m, k, 1) : SPLAT(1);
        if (a.w) w *= CAT(block_load, SFX)(a.w + i, m, k, 0);
        V v = f(CAT(block_load, SFX)(a.x + i, m, k, 0), z, CAT(block_load, SFX)(a.t + i, m, k, 0), p, &g, &gz) * w;
        w *= scale;
        if (a.value) CAT(block_store, SFX)(a.value + i, m, k, v);
        if (a.g) CAT(block_store, SFX)(a.g + i, m, k, g * w);
        if (a.gz) CAT(block_store, SFX)(a.gz + i, m, k, gz * w);
        CAT(add_lanes, SFX)(sums, v, m, k);
    }
}
#define AT(p, i) ((p) ? (p) + (i) : NULL)
/* In one span where no array is shared by the rows, else row by row. */
static ALWAYS double CAT(run_elements, SFX)(CAT(element, SFX) *f, const pn_loss_args *a)
{
    const pn_criterion *c = a->loss;
    const R *s = a->target.sample_weight;
    CAT(loss_span, SFX) all = { a->x[0], a->x[1] ? a->x[1] : c->pos_weight, a->target.target, c->weight, a->value, a->grad[0], a->grad[1] };
    int z_each = a->x[1] || c->each, w_each = c->each;
    double sums[BLOCK] = { 0 };
    V p[PN_MAX_LOSS_PARAMS];
    for (int k = 0; k < PN_MAX_LOSS_PARAMS; k++) p[k] = SPLAT(c->params[k]);
    if (s && a->cols == 1 && !all.w) {
        all.w = s;
        s = NULL;
        w_each = 1;
    }
    int flat = !s && (!all.z || z_each) && (!all.w || w_each);
    size_t n = flat ? a->rows * a->cols : a->cols, spans = flat ? 1 : a->rows;
    for (size_t i = 0; i < spans; i++) {
        size_t at = i * n;
        const CAT(loss_span, SFX) one = { all.x + at, z_each ? AT(all.z, at) : all.z, AT(all.t, at), w_each ? AT(all.w, at) : all.w,
            AT(all.value, at), AT(all.g, at), AT(all.gz, at) };
        CAT(run_span, SFX)(f, n, one, s ? s[i] : 1, (R)a->scale, p, sums);
    }
    return CAT(fold_lanes, SFX)(sums);
}

static ALWAYS double CAT(run_rows, SFX)(double (*f)(const CAT(loss_row, SFX) *), const pn_loss_args *a)
{
    const R *s = a->target.sample_weight, *t = a->target.target, *x = a->x[0], *y = a->x[1], *z = a->x[2];
    R *value = a->value, *g = a->grad[0], *gy = a->grad[1], *gz = a->grad[2];
    size_t n = a->cols, wide = a->loss->row->target == 's' ? 1 : n, labels = a->loss->row->target == 'm' ? n : 1;
    double sum = 0;
    for (size_t i = 0; i < a->rows; i++) {
        double w = s ? (double)s[i] : 1;
        const CAT(loss_row, SFX) r = { n, x + i * n, AT(y, i * n), AT(z, i * n), AT(t, i * wide), a->loss->weight,
            AT(a->target.label, i * labels), a->loss->params, AT(g, i * n), AT(gy, i * n), AT(gz, i * n), (R)(a->scale * w) };
        double v = f(&r) * w;
        if (value) value[i] = (R)v;
        sum += v;
    }
    return sum;
}

#define LOSS_KERNEL_e(f) static double CAT(loss_##f, SFX)(const pn_loss_args *a) { return CAT(run_elements, SFX)(CAT(value_##f, SFX), a); }
#define LOSS_KERNEL_r(f) static double CAT(loss_##f, SFX)(const pn_loss_args *a) { return CAT(run_rows, SFX)(CAT(value_##f, SFX), a); }
#define ROW(f, cls, kind, ...) LOSS_KERNEL_##kind(f)
PN_LOSSES(ROW)
#undef ROW
#undef AT
#undef LOSS_E
#undef LOSS_R
#undef LOSS_KERNEL_e
#undef LOSS_KERNEL_r
#endif

/* kind:   e one value an element, r one value a row.
 * target: r real, u in [0, 1], c class index only, p class index or probabilities.
 * metric: a accuracy by arg max, l by the sign of a logit, p by a probability over 1/2 (and the input must be one), n none. */
#ifndef PN_LOSSES
/*      name             class              kind target metric  inputs          parameters, check and formula */
#define PN_LOSSES(ROW) \
    ROW(l1,              L1Loss,            e,   r,     n,      "input target", \
        "", "", "abs(x - t)", \
        "Mean absolute error.") \
    ROW(mse,             MSELoss,           e,   r,     n,      "input target", \
        "", "", "(x - t)**2", \
        "Mean squared error.") \
    ROW(bce,             BCELoss,           e,   u,     p,      "input target", \
        "weight: array = None", "", "-(t * maximum(log(x), -100) + (1 - t) * maximum(log1p(-x), -100))", \
        "Binary cross-entropy of probabilities, the logarithms cut at -100.") \
    ROW(bce_with_logits, BCEWithLogitsLoss, e,   u,     l,      "input target", \
        "weight: array = None, pos_weight: array = None", "", "(1 - t) * (maximum(x, 0) + log1p(exp(-abs(x)))) + pos_weight * t * (maximum(-x, 0) + log1p(exp(-abs(x))))", \
        "Binary cross-entropy of logits: a sigmoid and BCELoss in one stable step.") \
    ROW(cross_entropy,   CrossEntropyLoss,  r,   p,     a,      "input target", \
        "weight: array = None, ignore_index: int = -100, label_smoothing=0.0", "0 <= label_smoothing <= 1", "sum(t * (log(sum(exp(x))) - x))", \
        "Cross-entropy of logits against a class index or class probabilities: log-softmax and NLLLoss in one stable step.") \
    ROW(nll,             NLLLoss,           r,   c,     a,      "input target", \
        "weight: array = None, ignore_index: int = -100", "", "-sum(t * x)", \
        "Negative log-likelihood of log-probabilities (what LogSoftmax gives) against a class index.")
#endif
