/* losses.h - all losses: add one here and nowhere else.
 *
 * LOSS_E(f) computes the value of one element and its gradient g with respect to x (the
 * prediction); t is the target, z the second input with its gradient gz, or pos_weight. LOSS_R(f)
 * computes the value of one row r and, if r->g is not NULL, its gradients times r->scale. p and
 * r->p are the parameters of the loss. The functions below apply sample weights and element
 * weights; bodies apply class weights. The file is compiled once per element type and instruction
 * set. The macros are those of vector.h, vmath.h and rowwise.h. */
#ifdef R

#define LOSS_E(f) \
    static ALWAYS V CAT(value_##f, SFX)(V x UNUSED, V z UNUSED, V t UNUSED, const V *p UNUSED, \
                                        V *g, V *gz UNUSED)

/* ---- elementwise ----------------------------------------------------------------------------- */
/* NaN stays */
static inline V CAT(sign_of, SFX)(V d) { return SEL(d > 0, SPLAT(1), SEL(d < 0, SPLAT(-1), d)); }
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

/* |d| - beta/2 from beta on; below, the parabola that joins it. */
LOSS_E(smooth_l1)
{
    V d = x - t, a = ABS(d), in = d / p[0];
    *g = SEL(a < p[0], in, SIGN_OF(d));
    return SEL(a < p[0], K(0.5) * d * in, a - K(0.5) * p[0]);
}

LOSS_E(huber)
{
    V d = x - t, a = ABS(d);
    *g = SEL(a < p[0], d, p[0] * SIGN_OF(d));
    return SEL(a < p[0], K(0.5) * d * d, p[0] * (a - K(0.5) * p[0]));
}

/* With e = exp(-|d|) - 1, cosh d - 1 is e^2 / (2 (1 + e)). This keeps the accuracy of small errors,
 * and does not overflow for large ones. */
LOSS_E(log_cosh)
{
    V d = x - t, a = ABS(d), rest, e = EXPM1(-a, &rest);
    *g = TANH(d);
    return SEL(a < 1, LOG1P(e * e / (2 + 2 * e)),
               a + LOG1P(EXP(-2 * a)) - K(0.69314718055994530942));
}

LOSS_E(quantile)
{
    V d = t - x;
    *g = SEL(d > 0, -p[0], SEL(d < 0, 1 - p[0], d));
    return SEL(d < 0, (p[0] - 1) * d, p[0] * d);
}

LOSS_E(mape)
{
    V d = x - t, k = 100 / MAX(p[0], ABS(t));
    *g = k * SIGN_OF(d);
    return k * ABS(d);
}

LOSS_E(msle)
{
    V from = MAX(p[0], x), d = LOG1P(from) - LOG1P(MAX(p[0], t));
    *g = SEL(x < p[0], SPLAT(0), 2 * d / (1 + from));
    return d * d;
}

/* As in PyTorch, logarithms are limited to -100 and x (1 - x) to 1e-12, so that a confident wrong
 * prediction stays finite. */
LOSS_E(bce)
{
    V floor = SPLAT(-100), a = LOG(x), b = LOG1P(-x), w = x * (1 - x);
    a = SEL(a < floor, floor, a);
    b = SEL(b < floor, floor, b);
    *g = (x - t) / SEL(w < K(1e-12), SPLAT(1e-12), w);
    return -(t * a + (1 - t) * b);
}

/* z = pos_weight; l = log(1 + e^-|x|). Neither sigmoid(x) nor 1 - sigmoid(x) is computed as a
 * difference. */
LOSS_E(bce_with_logits)
{
    V e = EXP(NEGABS(x)), big = 1 / (1 + e), small = e * big, zt = z * t, l = LOG1P(e);
    *g = (1 - t) * SEL(x < 0, small, big) - zt * SEL(x < 0, big, small);
    return SEL(x < 0, PORTION(zt, -x), PORTION(1 - t, x)) + (1 - t + zt) * l;
}

/* a (1 - p_t)^gamma times the cross-entropy; m = 1 - p_t, whose derivative is s c (1 - 2 t) with s
 * = sigmoid(x), c = 1 - s. The product s c times the entropy vanishes at both ends. */
LOSS_E(sigmoid_focal)
{
    V e = EXP(NEGABS(x)), big = 1 / (1 + e), small = e * big, s = SEL(x < 0, small, big),
      c = SEL(x < 0, big, small);
    V entropy = SEL(x < 0, PORTION(t, -x), PORTION(1 - t, x)) + LOG1P(e), m = s * (1 - t) + c * t;
    V power = SEL(m == 0, SEL(p[1] == 0, SPLAT(1), SPLAT(0)), EXP(p[1] * LOG(m)));
    V a = SEL(p[0] < 0, SPLAT(1), p[0] * t + (1 - p[0]) * (1 - t)) * power;
    V focus = p[1] * (1 - 2 * t) * PORTION(SEL(m == 0, SPLAT(0), s * c / m), entropy);
    *g = a * ((1 - t) * s - t * c + focus);
    return PORTION(a, entropy);
}

LOSS_E(kl_div)
{
    V q = SEL(p[0] != 0, EXP(t), t);
    *g = -q;
    return SEL((q == 0) & (x == x), SPLAT(0), q * (SEL(p[0] != 0, t, LOG(t)) - x));
}

/* p: log_input, full, eps. Stirling's approximation replaces log t! for t > 1. */
LOSS_E(poisson_nll)
{
    VI logs = p[0] != 0;
    V rate = SEL(logs, EXP(x), x), log_rate = SEL(logs, x, LOG(x + p[2]));
    V stirling = t * LOG(t) - t + K(0.5) * LOG(K(6.28318530717958647692) * t);
    *g = SEL(logs, rate - t, 1 - t / (x + p[2]));
    return SEL(rate == SPLAT(INFINITY), rate, rate - PORTION(t, log_rate)) +
           SEL((p[1] != 0) & (t > 1), stirling, SPLAT(0));
}

/* z is the variance, at least eps. As in PyTorch, its gradient ignores that limit. p: full, eps. */
LOSS_E(gaussian_nll)
{
    V v = MAX(p[1], z), d = x - t, q = d / v;
    *g = q;
    *gz = K(0.5) * (1 / v - q * q);
    return K(0.5) * (LOG(v) + d * q) + p[0] * K(0.91893853320467274178);
}

LOSS_E(hinge_embedding)
{
    V below = p[0] - x;
    *g = SEL(t > 0, SPLAT(1), SEL(below < 0, SPLAT(0), SPLAT(-1)));
    return SEL(t > 0, x, MAX(SPLAT(0), below));
}

LOSS_E(hinge)
{
    V u = 1 - t * x;
    *g = SEL(u < 0, SPLAT(0), -t);
    return MAX(SPLAT(0), u);
}

LOSS_E(squared_hinge)
{
    V u = MAX(SPLAT(0), 1 - t * x);
    *g = -2 * t * u;
    return u * u;
}

LOSS_E(soft_margin)
{
    V u = -t * x, e = EXP(NEGABS(u)), big = 1 / (1 + e);
    *g = -t * SEL(u < 0, e * big, big);
    return MAX(SPLAT(0), u) + LOG1P(e);
}

/* z is the second input. */
LOSS_E(margin_ranking)
{
    V u = p[0] - t * (x - z), on = SEL(u < 0, SPLAT(0), SPLAT(1));
    *g = -t * on;
    *gz = t * on;
    return MAX(SPLAT(0), u);
}

/* ---- rows with an elementwise body ----------------------------------------------------------- */
LOSS_R(multilabel_soft_margin)
{
    double sums[BLOCK] = { 0 };
    const R k0 = (R)(1 / (double)r->n);
    BLOCKS(r->n) {
        size_t m = r->n - i;
        V g, gz, w = r->w ? CAT(block_load, SFX)(r->w + i, m, k, 0) : SPLAT(1);
        V v = CAT(value_bce_with_logits, SFX)(CAT(block_load, SFX)(r->x + i, m, k, 0), SPLAT(1),
                                              CAT(block_load, SFX)(r->t + i, m, k, 0), NULL, &g,
                                              &gz);
        if (r->g) CAT(block_store, SFX)(r->g + i, m, k, g * w * (r->scale * k0));
        CAT(add_lanes, SFX)(sums, r->w ? PORTION(w, v) : v, m, k);
    }
    return CAT(fold_lanes, SFX)(sums) / (double)r->n;
}

/* ---- loops over elements and rows ------------------------------------------------------------ */
typedef V CAT(element, SFX)(V x, V z, V t, const V *p, V *g, V *gz);
typedef struct { const R *x, *z, *t, *w, *s; R *value, *g, *gz; } CAT(loss_span, SFX);

/* n elements, weighted by a.w and a.s where given, and by the scalar s. */
static ALWAYS void CAT(run_span, SFX)(CAT(element, SFX) * f, size_t n, CAT(loss_span, SFX) a, R s,
                                      R scale, const V *p, double *sums)
{
    const int weighted = a.w || a.s || s != 1;
    BLOCKS(n) {
        size_t m = n - i;
        V g, gz = SPLAT(0), w = SPLAT(s),
             z = a.z ? CAT(block_load, SFX)(a.z + i, m, k, 1) : SPLAT(1);
        if (a.w) w *= CAT(block_load, SFX)(a.w + i, m, k, 0);
        if (a.s) w *= CAT(block_load, SFX)(a.s + i, m, k, 0);
        V v = f(CAT(block_load, SFX)(a.x + i, m, k, 0), z, CAT(block_load, SFX)(a.t + i, m, k, 0),
                p, &g, &gz);
        v = weighted ? PORTION(w, v) : v;
        w *= scale;
        if (a.value) CAT(block_store, SFX)(a.value + i, m, k, v);
        if (a.g) CAT(block_store, SFX)(a.g + i, m, k, weighted ? PORTION(w, g) : g * w);
        if (a.gz) CAT(block_store, SFX)(a.gz + i, m, k, weighted ? PORTION(w, gz) : gz * w);
        CAT(add_lanes, SFX)(sums, v, m, k);
    }
}
#define AT(p, i) ((p) ? (p) + (i) : NULL)
/* As one span if no array is shared by the rows, else row by row. */
static ALWAYS double CAT(run_elements, SFX)(CAT(element, SFX) *f, const pn_loss_args *a)
{
    const pn_criterion *c = a->loss;
    const R *s = a->target.sample_weight;
    const int s_per_element = s && (a->target.per_value ||
                                    (a->cols == 1 && a->target.rows_per_sample <= 1));
    CAT(loss_span, SFX) all = { .x = a->x[0],
                                .z = a->x[1] ? a->x[1] : c->pos_weight,
                                .t = a->target.target,
                                .w = c->weight,
                                .s = s_per_element ? s : NULL,
                                .value = a->value,
                                .g = a->grad[0],
                                .gz = a->grad[1] };
    int z_per_element = a->x[1] || c->per_element, w_per_element = c->per_element;
    double sums[BLOCK] = { 0 };
    V p[PN_MAX_LOSS_PARAMS];
    for (int k = 0; k < PN_MAX_LOSS_PARAMS; k++) p[k] = SPLAT(c->params[k]);
    if (s_per_element) s = NULL;
    int flat = !s && (!all.z || z_per_element) && (!all.w || w_per_element);
    size_t n = flat ? a->rows * a->cols : a->cols, spans = flat ? 1 : a->rows;
    for (size_t i = 0; i < spans; i++) {
        size_t at = i * n;
        const CAT(loss_span, SFX) one = { all.x + at,    z_per_element ? AT(all.z, at) : all.z,
                                          AT(all.t, at), w_per_element ? AT(all.w, at) : all.w,
                                          AT(all.s, at), AT(all.value, at),
                                          AT(all.g, at), AT(all.gz, at) };
        CAT(run_span, SFX)(f, n, one, s ? s[i] : 1, (R)a->scale, p, sums);
    }
    return CAT(fold_lanes, SFX)(sums);
}

static ALWAYS double CAT(run_rows, SFX)(double (*f)(const CAT(loss_row, SFX) *),
                                        const pn_loss_args *a)
{
    const R *s = a->target.sample_weight, *t = a->target.target, *x = a->x[0], *y = a->x[1],
            *z = a->x[2];
    R *value = a->value, *g = a->grad[0], *gy = a->grad[1], *gz = a->grad[2];
    size_t n = a->cols, target_width = a->loss->row->target == 's' ? 1 : n,
           labels = a->loss->row->target == 'm' ? n : 1;
    const int per_sample = a->target.rows_per_sample && !a->target.per_value;
    const size_t rows_per_weight = per_sample ? a->target.rows_per_sample : 1;
    double sum = 0;
    for (size_t i = 0; i < a->rows; i++) {
        double w = s ? (double)s[i / rows_per_weight] : 1;
        const CAT(loss_row, SFX) r = { n,
                                       x + i * n,
                                       AT(y, i * n),
                                       AT(z, i * n),
                                       AT(t, i * target_width),
                                       a->loss->weight,
                                       AT(a->target.label, i * labels),
                                       a->loss->params,
                                       a->loss->ignore_index,
                                       AT(g, i * n),
                                       AT(gy, i * n),
                                       AT(gz, i * n),
                                       (R)(a->scale * w) };
        double v = f(&r);
        if (w == 0 && v == v) {
            R *const grads[] = { r.g, r.gy, r.gz };
            for (int k = 0; k < 3; k++) if (grads[k]) memset(grads[k], 0, n * sizeof(R));
            v = 0;
        }
        v *= w;
        if (value) value[i] = (R)v;
        sum += v;
    }
    return sum;
}

#define LOSS_KERNEL(f, value) \
    static double CAT(loss_##f, SFX)(const pn_loss_args *a) { return value; }
#define LOSS_KERNEL_e(f) LOSS_KERNEL(f, CAT(run_elements, SFX)(CAT(value_##f, SFX), a))
#define LOSS_KERNEL_s(f) LOSS_KERNEL(f, CAT(value_##f, SFX)(a))
#define LOSS_KERNEL_r(f) LOSS_KERNEL(f, CAT(run_rows, SFX)(CAT(value_##f, SFX), a))
#define LOSS_KERNEL_b LOSS_KERNEL_r
#define LOSS_KERNEL_w LOSS_KERNEL_r
#define ROW(f, kind, ...) LOSS_KERNEL_##kind(f)
PN_LOSSES(ROW)
#undef ROW
#undef AT
#undef LOSS_E
#undef LOSS_R
#undef LOSS_KERNEL
#undef LOSS_KERNEL_e
#undef LOSS_KERNEL_r
#undef LOSS_KERNEL_b
#undef LOSS_KERNEL_w
#undef LOSS_KERNEL_s
#endif

/* One row per loss, with named columns (pn_loss in pynn.h has their types); columns that are left
 * out are empty.
 *
 * name, kind:      the body above, and what it computes a value for: e an element; r a row of
 *                  columns, b a box of four, w a whole sample; s all sequences at once
 * cls:             the Python class
 * inputs:          the arguments of a call in order; all but "target" have a gradient
 * target:          a pn_target_kind. With PN_TARGET_CLASS and PN_TARGET_CLASS_OR_MASS, ignore_index
 *                  is the first number among the parameters
 * takes:           a pn_takes: what the first input is. Probabilities are checked to lie in [0, 1]
 * metric:          a pn_metric: when a prediction counts as right
 * from_logits:     the loss that equals this one after a softmax (of classes) or a sigmoid,
 *                  computed from the input of that layer. fit uses it if this loss is given by its
 *                  name
 * has_batchmean:   whether reduction="batchmean" is allowed
 * has_variance:    whether the second input is a variance: 0 or more, and broadcast to the first
 * params, check:   as for an activation. Array parameters are weight and pos_weight
 * docs:            "name: text\n" for each parameter, and for each input whose kind does not say
 *                  enough
 * formula:         x the first input, z the second, n the third, t the target; a sum runs over a
 *                  row
 * example:         arguments of a call, if those of the kind's example do not fit
 * summary, source: the first sentence of the documentation; where the loss was published */
#ifndef PN_LOSSES
#define PN_IGNORE_INDEX \
    "ignore_index: Class index of rows that are left out of the sum and of the divisor of a mean.\n"
#define PN_CLASS_WEIGHT \
    "weight: Of shape (classes,); multiplies the value of each row by the weight of its class.\n"
#define PN_FOCUS \
    "gamma: Exponent that reduces the weight of well-classified examples; 0 gives cross-entropy.\n"
#define PN_BOX_EPS "eps: Added to divisors to avoid division by 0 for boxes without area.\n"
#define PN_BOXES \
    " Corners of predicted boxes may come in any order and are swapped where necessary; those of " \
    "targets must be ordered."
#define PN_LOSSES(ROW) \
    ROW(l1, e, .cls = "L1Loss", .inputs = "input target", .target = PN_TARGET_REAL, \
        .formula = "abs(x - t)", \
        .summary = "Mean absolute error.") \
    ROW(mse, e, .cls = "MSELoss", .inputs = "input target", .target = PN_TARGET_REAL, \
        .formula = "(x - t)**2", \
        .summary = "Mean squared error.") \
    ROW(smooth_l1, e, .cls = "SmoothL1Loss", .inputs = "input target", .target = PN_TARGET_REAL, \
        .params = "beta=1.0", .check = "0 <= beta < inf", \
        .docs = "beta: Magnitude of the error below which the loss is quadratic; 0 gives the absolute " \
                "error.\n", \
        .formula = "where(abs(x - t) < beta, 0.5 * (x - t)**2 / beta, abs(x - t) - 0.5 * beta)", \
        .summary = "Absolute error that is quadratic for errors below `beta`.", \
        .source = "Girshick, R. (2015). Fast R-CNN. ICCV.") \
    ROW(huber, e, .cls = "HuberLoss", .inputs = "input target", .target = PN_TARGET_REAL, \
        .params = "delta=1.0", .check = "delta > 0", \
        .docs = "delta: Magnitude of the error above which the loss is linear.\n", \
        .formula = "where(abs(x - t) < delta, 0.5 * (x - t)**2, delta * (abs(x - t) - 0.5 * delta))", \
        .summary = "Squared error up to `delta` and linear beyond, which reduces the effect of outliers.", \
        .source = "Huber, P. J. (1964). Robust estimation of a location parameter. Annals of Mathematical " \
                  "Statistics.") \
    ROW(log_cosh, e, .cls = "LogCoshLoss", .inputs = "input target", .target = PN_TARGET_REAL, \
        .formula = "log(cosh(x - t))", \
        .summary = "Logarithm of the hyperbolic cosine of the error: half its square when small, its " \
                   "magnitude less log 2 when large.") \
    ROW(quantile, e, .cls = "QuantileLoss", .inputs = "input target", .target = PN_TARGET_REAL, \
        .params = "q=0.5", .check = "0 < q < 1", \
        .docs = "q: The quantile to predict; 0.5 is the median.\n", \
        .formula = "maximum(q * (t - x), (q - 1) * (t - x))", \
        .summary = "Pinball loss, whose best constant prediction is the quantile `q`.", \
        .source = "Koenker, R. and Bassett, G. (1978). Regression quantiles. Econometrica.") \
    ROW(mape, e, .cls = "MAPELoss", .inputs = "input target", .target = PN_TARGET_REAL, \
        .params = "eps=1e-7", .check = "0 < eps < inf", \
        .docs = "eps: Smallest magnitude of a target to divide by.\n", \
        .formula = "100 * abs(x - t) / maximum(abs(t), eps)", \
        .summary = "Mean absolute percentage error: the error in per cent of the target.") \
    ROW(msle, e, .cls = "MSLELoss", .inputs = "input target", .target = PN_TARGET_REAL, \
        .params = "eps=1e-7", .check = "0 <= eps < inf", \
        .docs = "eps: Smaller inputs and targets are replaced by it.\n", \
        .formula = "(log1p(maximum(x, eps)) - log1p(maximum(t, eps)))**2", \
        .summary = "Mean squared logarithmic error, for targets of 0 or more: about the squared relative " \
                   "error of large ones.") \
    ROW(bce, e, .cls = "BCELoss", .inputs = "input target", .target = PN_TARGET_UNIT, \
        .takes = PN_TAKES_PROBABILITIES, .metric = PN_METRIC_HALF, .from_logits = "bce_with_logits", \
        .params = "weight: array = None", \
        .docs = "weight: Multiplies the value of each element; broadcast to the input. In `fit` one " \
                "number per column.\n", \
        .formula = "-(t * maximum(log(x), -100) + (1 - t) * maximum(log1p(-x), -100))", \
        .summary = "Binary cross-entropy of probabilities, with logarithms cut off at -100.") \
    ROW(bce_with_logits, e, .cls = "BCEWithLogitsLoss", .inputs = "input target", .target = PN_TARGET_UNIT, \
        .takes = PN_TAKES_LOGITS, .metric = PN_METRIC_SIGN, \
        .params = "weight: array = None, pos_weight: array = None", \
        .docs = "weight: Multiplies the value of each element; broadcast to the input. In `fit` one number " \
                "a column.\n" \
                "pos_weight: Multiplies the term of targets of 1; broadcast to the input. In `fit` one " \
                "number a column.\n", \
        .formula = "(1 - t) * (maximum(x, 0) + log1p(exp(-abs(x)))) " \
                   "+ pos_weight * t * (maximum(-x, 0) + log1p(exp(-abs(x))))", \
        .summary = "Binary cross-entropy of logits: a sigmoid and BCELoss in one stable step.") \
    ROW(sigmoid_focal, e, .cls = "SigmoidFocalLoss", .inputs = "input target", .target = PN_TARGET_UNIT, \
        .takes = PN_TAKES_LOGITS, .metric = PN_METRIC_SIGN, \
        .params = "alpha=0.25, gamma=2.0", .check = "(0 <= alpha <= 1 or alpha == -1) and 0 <= gamma < inf", \
        .docs = "alpha: Weight of targets of 1; targets of 0 have 1 - alpha. -1 gives both the weight 1.\n" \
                PN_FOCUS, \
        .formula = "where(alpha < 0, 1, alpha * t + (1 - alpha) * (1 - t)) " \
                   "* (1 - t / (1 + exp(-x)) - (1 - t) / (1 + exp(x)))**gamma " \
                   "* (maximum(x, 0) - x * t + log1p(exp(-abs(x))))", \
        .summary = "Binary cross-entropy of logits in which well-classified examples count less, as " \
                   "torchvision defines it.", \
        .source = "Lin, T.-Y., Goyal, P., Girshick, R., He, K. and Dollar, P. (2017). Focal loss for dense " \
                  "object detection. ICCV.") \
    ROW(kl_div, e, .cls = "KLDivLoss", .inputs = "input target", .target = PN_TARGET_ANY, \
        .takes = PN_TAKES_LOG_PROBABILITIES, .has_batchmean = 1, \
        .params = "log_target=False", \
        .docs = "log_target: Whether the target holds logarithms of probabilities.\n", \
        .formula = "where(log_target, exp(t) * (t - x), t * (log(t) - x))", \
        .summary = "Kullback-Leibler divergence of log-probabilities `input` from probabilities (or their " \
                   "logarithms) `target`.", \
        .source = "Kullback, S. and Leibler, R. A. (1951). On information and sufficiency. Annals of " \
                  "Mathematical Statistics.") \
    ROW(poisson_nll, e, .cls = "PoissonNLLLoss", .inputs = "input target", .target = PN_TARGET_REAL, \
        .params = "log_input=True, full=False, eps=1e-8", .check = "0 < eps < inf", \
        .docs = "log_input: Whether the input holds logarithms of rates.\n" \
                "full: Whether to add Stirling's approximation of log t!, which does not depend on the " \
                "input.\n" \
                "eps: Added to rates before their logarithm is taken, without `log_input`.\n", \
        .formula = "where(log_input, exp(x) - t * x, x - t * log(x + eps)) " \
                   "+ full * where(t > 1, t * log(t) - t + 0.5 * log(2 * pi * t), 0)", \
        .summary = "Negative log-likelihood of counts under Poisson rates, or under their logarithms.") \
    ROW(gaussian_nll, e, .cls = "GaussianNLLLoss", .inputs = "input target var", .target = PN_TARGET_REAL, \
        .has_variance = 1, \
        .params = "full=False, eps=1e-6", .check = "0 < eps < inf", \
        .docs = "full: Whether to add the constant log(2 pi) / 2.\n" \
                "eps: Lower limit of variances; smaller ones are replaced by it.\n" \
                "var: Variances of 0 or more, of the shape of the input or with axes of 1; or one per row, " \
                "of shape ``input.shape[:-1]``.\n", \
        .example = "[0.5, 2.0], [1.0, 0.0], [1.0, 4.0]", \
        .formula = "0.5 * (log(maximum(z, eps)) + (x - t)**2 / maximum(z, eps)) + full * 0.5 * log(2 * pi)", \
        .summary = "Negative log-likelihood under a normal distribution whose mean and variance are " \
                   "predicted.", \
        .source = "Nix, D. A. and Weigend, A. S. (1994). Estimating the mean and variance of the target " \
                  "probability distribution. ICNN.") \
    ROW(hinge_embedding, e, .cls = "HingeEmbeddingLoss", .inputs = "input target", .target = PN_TARGET_SIGN, \
        .params = "margin=1.0", .check = "abs(margin) < inf", \
        .docs = "margin: Distance from which pairs with a target of -1 have no loss.\n", \
        .formula = "where(t > 0, x, maximum(0, margin - x))", \
        .summary = "The distance where the target is 1, and max(0, margin - distance) where it is -1.") \
    ROW(hinge, e, .cls = "HingeLoss", .inputs = "input target", .target = PN_TARGET_SIGN, \
        .takes = PN_TAKES_LOGITS, \
        .formula = "maximum(0, 1 - t * x)", \
        .summary = "Hinge loss of a score against -1 or 1.", \
        .source = "Cortes, C. and Vapnik, V. (1995). Support-vector networks. Machine Learning.") \
    ROW(squared_hinge, e, .cls = "SquaredHingeLoss", .inputs = "input target", .target = PN_TARGET_SIGN, \
        .takes = PN_TAKES_LOGITS, \
        .formula = "maximum(0, 1 - t * x)**2", \
        .summary = "Square of the hinge loss of a score against -1 or 1.") \
    ROW(soft_margin, e, .cls = "SoftMarginLoss", .inputs = "input target", .target = PN_TARGET_SIGN, \
        .takes = PN_TAKES_LOGITS, \
        .formula = "log1p(exp(-t * x))", \
        .summary = "Logistic loss of a score against -1 or 1.") \
    ROW(margin_ranking, e, .cls = "MarginRankingLoss", .inputs = "input1 input2 target", .target = \
        PN_TARGET_REAL, \
        .params = "margin=0.0", .check = "abs(margin) < inf", \
        .docs = "margin: Difference required between two scores in the right order.\n", \
        .example = "[0.5, 2.0], [1.0, 0.0], [1.0, 1.0]", \
        .formula = "maximum(0, margin - t * (x - z))", \
        .summary = "Hinge loss of two scores: the first should exceed the second by `margin` where the " \
                   "target is 1, and the second the first where it is -1.") \
    ROW(cross_entropy, r, .cls = "CrossEntropyLoss", .inputs = "input target", .target = \
        PN_TARGET_CLASS_OR_MASS, \
        .takes = PN_TAKES_LOGITS, .metric = PN_METRIC_ARGMAX, .from_logits = "cross_entropy", \
        .params = "weight: array = None, ignore_index: int = -100, label_smoothing=0.0", \
        .check = "0 <= label_smoothing <= 1", \
        .docs = PN_CLASS_WEIGHT PN_IGNORE_INDEX \
                "label_smoothing: Share of each target that is spread evenly over all classes (Szegedy et " \
                "al., 2016).\n", \
        .formula = "sum(t * (log(sum(exp(x))) - x))", \
        .summary = "Cross-entropy of logits against a class index or class probabilities: log-softmax and " \
                   "NLLLoss in one stable step.") \
    ROW(nll, r, .cls = "NLLLoss", .inputs = "input target", .target = PN_TARGET_CLASS, \
        .takes = PN_TAKES_LOG_PROBABILITIES, .metric = PN_METRIC_ARGMAX, \
        .params = "weight: array = None, ignore_index: int = -100", \
        .docs = PN_CLASS_WEIGHT PN_IGNORE_INDEX, \
        .formula = "-sum(t * x)", \
        .summary = "Negative log-likelihood of log-probabilities, as LogSoftmax gives them, against a " \
                   "class index.") \
    ROW(focal, r, .cls = "FocalLoss", .inputs = "input target", .target = PN_TARGET_CLASS, \
        .takes = PN_TAKES_LOGITS, .metric = PN_METRIC_ARGMAX, \
        .params = "weight: array = None, ignore_index: int = -100, gamma=2.0", .check = "0 <= gamma < inf", \
        .docs = PN_CLASS_WEIGHT PN_IGNORE_INDEX PN_FOCUS, \
        .formula = "(1 - sum(t * exp(x)) / sum(exp(x)))**gamma * (log(sum(exp(x))) - sum(t * x))", \
        .summary = "Cross-entropy of logits in which well-classified rows count less; `weight` is the " \
                   "alpha of the paper.", \
        .source = "Lin, T.-Y., Goyal, P., Girshick, R., He, K. and Dollar, P. (2017). Focal loss for dense " \
                  "object detection. ICCV.") \
    ROW(generalized_cross_entropy, r, .cls = "GeneralizedCrossEntropyLoss", .inputs = "input target", \
        .target = PN_TARGET_CLASS, .takes = PN_TAKES_LOGITS, .metric = PN_METRIC_ARGMAX, \
        .from_logits = "generalized_cross_entropy", \
        .params = "weight: array = None, ignore_index: int = -100, q=0.5", .check = "0 < q <= 1", \
        .docs = PN_CLASS_WEIGHT PN_IGNORE_INDEX \
                "q: 1 gives the absolute error of the class's probability; towards 0 the loss becomes " \
                "cross-entropy.\n", \
        .formula = "(1 - (sum(t * exp(x)) / sum(exp(x)))**q) / q", \
        .summary = "Cross-entropy of logits that is bounded, so that wrong labels in the data have less " \
                   "effect.", \
        .source = "Zhang, Z. and Sabuncu, M. R. (2018). Generalized cross entropy loss for training deep " \
                  "neural networks with noisy labels. NeurIPS.") \
    ROW(categorical_hinge, r, .cls = "CategoricalHingeLoss", .inputs = "input target", .target = \
        PN_TARGET_INDEX, \
        .metric = PN_METRIC_ARGMAX, \
        .formula = "maximum(0, 1 - sum(t * x) + largest((1 - t) * x))", \
        .summary = "Hinge loss of classes, as Keras defines it: the score of the right class should exceed " \
                   "0 and the largest other score by 1.") \
    ROW(multi_margin, r, .cls = "MultiMarginLoss", .inputs = "input target", .target = PN_TARGET_INDEX, \
        .metric = PN_METRIC_ARGMAX, \
        .params = "p: int = 1, margin=1.0, weight: array = None", \
        .check = "(p == 1 or p == 2) and abs(margin) < inf", \
        .docs = "p: Power of the hinge, 1 or 2.\n" \
                "margin: By how much the score of the right class must exceed each other score.\n" \
                PN_CLASS_WEIGHT, \
        .formula = "sum((1 - t) * maximum(0, margin - sum(t * x) + x)**p) / len(x)", \
        .summary = "Hinge loss of classes: the score of the right class should exceed each other score by " \
                   "`margin`.", \
        .source = "Crammer, K. and Singer, Y. (2001). On the algorithmic implementation of multiclass " \
                  "kernel-based vector machines. JMLR.") \
    ROW(multilabel_margin, r, .cls = "MultiLabelMarginLoss", .inputs = "input target", .target = \
        PN_TARGET_INDICES, \
        .formula = "sum(maximum(0, 1 - (x[t > 0, None] - x[t == 0]))) / len(x)", \
        .summary = "Hinge loss of several labels: the score of each right class should exceed each wrong " \
                   "one by 1.") \
    ROW(multilabel_soft_margin, r, .cls = "MultiLabelSoftMarginLoss", .inputs = "input target", \
        .target = PN_TARGET_UNIT, .takes = PN_TAKES_LOGITS, \
        .params = "weight: array = None", \
        .docs = "weight: Of shape (classes,); multiplies the term of each class.\n", \
        .formula = "sum(weight * (maximum(x, 0) - x * t + log1p(exp(-abs(x))))) / len(x)", \
        .summary = "Binary cross-entropy of logits, averaged over the classes of each row.") \
    ROW(cosine_embedding, r, .cls = "CosineEmbeddingLoss", .inputs = "input1 input2 target", .target = \
        PN_TARGET_SIGN, \
        .params = "margin=0.0", .check = "-1 <= margin <= 1", \
        .docs = "margin: Cosine up to which pairs with a target of -1 have no loss.\n", \
        .example = "[[1.0, 2.0]], [[2.0, 1.0]], [1.0]", \
        .formula = "where(t > 0, 1 - sum(x * z) / sqrt(sum(x * x) * sum(z * z)), " \
                   "maximum(0, sum(x * z) / sqrt(sum(x * x) * sum(z * z)) - margin))", \
        .summary = "One minus the cosine of two vectors where the target is 1, and the cosine above " \
                   "`margin` where it is -1.") \
    ROW(triplet_margin, r, .cls = "TripletMarginLoss", .inputs = "anchor positive negative", \
        .target = PN_TARGET_NONE, \
        .params = "margin=1.0, p=2.0, eps=1e-6, swap=False", \
        .check = "0 < margin < inf and p > 0 and 0 <= eps < inf", \
        .docs = "margin: By how much the negative must be farther away than the positive.\n" \
                "p: Power of the norm; infinity gives the largest difference.\n" \
                "eps: Added to each difference, so that the norm has a gradient where two vectors are " \
                "equal.\n" \
                "swap: Whether the distance from positive to negative replaces a larger one from anchor to " \
                "negative (Balntas et al., 2016).\n", \
        .formula = "maximum(0, sum(abs(x - z + eps)**p)**(1 / p) - sum(abs(x - n + eps)**p)**(1 / p) + " \
                   "margin)", \
        .summary = "Hinge loss of distances: the negative should be farther from the anchor than the " \
                   "positive by `margin`.", \
        .source = "Schroff, F., Kalenichenko, D. and Philbin, J. (2015). FaceNet: a unified embedding for " \
                  "face recognition and clustering. CVPR.") \
    ROW(dice, w, .cls = "DiceLoss", .inputs = "input target", .target = PN_TARGET_UNIT, \
        .takes = PN_TAKES_PROBABILITIES, \
        .params = "smooth=1.0", .check = "0 <= smooth < inf", \
        .docs = "smooth: Added to numerator and denominator; with 0, an empty mask without a prediction is " \
                "0 / 0.\n", \
        .formula = "1 - (2 * sum(x * t) + smooth) / (sum(x) + sum(t) + smooth)", \
        .summary = "One minus the overlap of predicted probabilities with a mask, over each whole sample.", \
        .source = "Milletari, F., Navab, N. and Ahmadi, S.-A. (2016). V-Net: fully convolutional neural " \
                  "networks for volumetric medical image segmentation. 3DV.") \
    ROW(tversky, w, .cls = "TverskyLoss", .inputs = "input target", .target = PN_TARGET_UNIT, \
        .takes = PN_TAKES_PROBABILITIES, \
        .params = "alpha=0.5, beta=0.5, smooth=1.0", \
        .check = "0 <= alpha < inf and 0 <= beta < inf and 0 <= smooth < inf", \
        .docs = "alpha: Weight of false positives.\n" \
                "beta: Weight of false negatives.\n" \
                "smooth: Added to numerator and denominator, which avoids 0 / 0.\n", \
        .formula = "1 - (sum(x * t) + smooth) / (sum(x * t) + smooth + alpha * sum(x * (1 - t)) " \
                   "+ beta * sum((1 - x) * t))", \
        .summary = "One minus the Tversky index of predicted probabilities and a mask, over each whole " \
                   "sample.", \
        .source = "Salehi, S. S. M., Erdogmus, D. and Gholipour, A. (2017). Tversky loss function for " \
                  "image segmentation using 3D fully convolutional deep networks. MLMI.") \
    ROW(iou, b, .cls = "IoULoss", .inputs = "input target", .target = PN_TARGET_REAL, \
        .params = "eps=1e-7", .check = "0 <= eps < inf", \
        .docs = PN_BOX_EPS, \
        .formula = "1 - intersection / (union + eps)", \
        .summary = "One minus the intersection over union of two boxes (x1, y1, x2, y2)." PN_BOXES) \
    ROW(giou, b, .cls = "GIoULoss", .inputs = "input target", .target = PN_TARGET_REAL, \
        .params = "eps=1e-7", .check = "0 <= eps < inf", \
        .docs = PN_BOX_EPS, \
        .formula = "1 - intersection / (union + eps) + (hull - union) / (hull + eps)", \
        .summary = "Generalised IoU loss, which also has a gradient for boxes that do not overlap, as " \
                   "torchvision defines it." \
                   PN_BOXES, \
        .source = "Rezatofighi, H., Tsoi, N., Gwak, J., Sadeghian, A., Reid, I. and Savarese, S. (2019). " \
                  "Generalized intersection over union. CVPR.") \
    ROW(ciou, b, .cls = "CIoULoss", .inputs = "input target", .target = PN_TARGET_REAL, \
        .params = "eps=1e-7", .check = "0 <= eps < inf", \
        .docs = PN_BOX_EPS, \
        .formula = "1 - intersection / (union + eps) + distance2 / (diagonal2 + eps) + alpha * ratio", \
        .summary = "Complete IoU loss, which includes distance of centres and aspect ratio, as torchvision " \
                   "defines it. alpha, the weight of the ratio, is ratio / (1 - IoU + ratio + eps) and has " \
                   "no gradient." PN_BOXES, \
        .source = "Zheng, Z., Wang, P., Liu, W., Li, J., Ye, R. and Ren, D. (2020). Distance-IoU loss: " \
                  "faster and better learning for bounding box regression. AAAI.") \
    ROW(ctc, s, .cls = "CTCLoss", .inputs = "log_probs targets input_lengths target_lengths", \
        .target = PN_TARGET_NONE, .takes = PN_TAKES_LOG_PROBABILITIES, \
        .params = "blank: int = 0, zero_infinity=False", .check = "blank >= 0", \
        .docs = "blank: The class index that means no label.\n" \
                "zero_infinity: Whether sequences too short for their labels count 0 instead of infinity.\n" \
                "log_probs: Log-probabilities of shape (steps, sequences, classes), or (steps, classes) " \
                "for one sequence.\n" \
                "targets: Class indices (integers) of shape (sequences, longest), or of all sequences one " \
                "after another.\n" \
                "input_lengths: Integers of shape (sequences,): the steps of each sequence.\n" \
                "target_lengths: Integers of shape (sequences,): the labels of each sequence.\n", \
        .formula = "-log(sum over alignments of product over time of exp(log_probs))", \
        .summary = "Connectionist temporal classification: sequence labels without known alignment.", \
        .source = "Graves, A., Fernandez, S., Gomez, F. and Schmidhuber, J. (2006). Connectionist temporal " \
                  "classification. ICML.")
#endif
