/* losses.h - every loss, and nothing else: add one here and nowhere else.
 *
 * LOSS_E(f) gives the value of one element and its gradient g with respect to x (the prediction); t
 * is the target, z the second input with its gradient gz, or the loss's pos_weight. LOSS_R(f) gives
 * the value of one row r, and its gradients times r->scale where r->g is not NULL. p and r->p are
 * the row's parameters. Weights are the frame's business, those of classes the body's. The file is
 * compiled once per element type and instruction set, on the words of vector.h, vmath.h and
 * rowwise.h. */
#ifdef R

#define LOSS_E(f) static ALWAYS V CAT(value_##f, SFX)(V x UNUSED, V z UNUSED, V t UNUSED, const V *p UNUSED, V *g, V *gz UNUSED)
#define LOSS_R(f) static double CAT(value_##f, SFX)(const CAT(loss_row, SFX) *r)
typedef struct {
    size_t n;
    /* inputs, target, class weights; NULL where the loss has none */
    const R *x, *y, *z, *t, *w;
    const int64_t *label;
    const double *p;
    int64_t ignore;
    R *g, *gy, *gz;
    R scale;
} CAT(loss_row, SFX);

/* ---- elementwise ----------------------------------------------------------------------------- */
/* NaN stays */
static inline V CAT(sign_of, SFX)(V d) { return SEL(d > 0, SPLAT(1), SEL(d < 0, SPLAT(-1), d)); }
#define SIGN_OF(d) CAT(sign_of, SFX)(d)

/* a x, but 0 where a is 0 and x infinite: what does not count adds nothing, however unlikely. NaN
 * stays. */
static ALWAYS V CAT(portion, SFX)(V a, V x) { return SEL((a == 0) & (x == x), SPLAT(0), a * x); }
#define PORTION(a, x) CAT(portion, SFX)((a), (x))

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

/* |d| - beta/2 from beta on, a parabola below that meets it. */
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

/* With e = exp(-|d|) - 1, cosh d - 1 is e^2 / (2 (1 + e)): small errors keep their accuracy; cosh
 * does not overflow for large ones. */
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

/* The logarithms are cut at -100, and x (1 - x) at 1e-12, as PyTorch does, so that a sure and wrong
 * prediction stays finite. */
LOSS_E(bce)
{
    V floor = SPLAT(-100), a = LOG(x), b = LOG1P(-x), w = x * (1 - x);
    a = SEL(a < floor, floor, a);
    b = SEL(b < floor, floor, b);
    *g = (x - t) / SEL(w < K(1e-12), SPLAT(1e-12), w);
    return -(t * a + (1 - t) * b);
}

/* z = pos_weight; l = log(1 + e^-|x|). Written so that neither sigmoid(x) nor 1 - sigmoid(x) is a
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
    *g = a * ((1 - t) * s - t * c + p[1] * (1 - 2 * t) * PORTION(SEL(m == 0, SPLAT(0), s * c / m), entropy));
    return PORTION(a, entropy);
}

LOSS_E(kl_div)
{
    V q = SEL(p[0] != 0, EXP(t), t);
    *g = -q;
    return SEL((q == 0) & (x == x), SPLAT(0), q * (SEL(p[0] != 0, t, LOG(t)) - x));
}

/* p: log_input, full, eps. Stirling's term stands for log t! where t > 1. */
LOSS_E(poisson_nll)
{
    VI logs = p[0] != 0;
    V rate = SEL(logs, EXP(x), x), log_rate = SEL(logs, x, LOG(x + p[2]));
    V stirling = t * LOG(t) - t + K(0.5) * LOG(K(6.28318530717958647692) * t);
    *g = SEL(logs, rate - t, 1 - t / (x + p[2]));
    return SEL(rate == SPLAT(INFINITY), rate, rate - PORTION(t, log_rate)) +
           SEL((p[1] != 0) & (t > 1), stirling, SPLAT(0));
}

/* z is the variance, at least eps; its gradient is as if it had not been cut, as in PyTorch. p:
 * full, eps. */
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

/* ---- sums ------------------------------------------------------------------------------------ */
/* Sums in BLOCK lanes whatever the vector's length, so that a sum has the same bits on every
 * instruction set. */
static ALWAYS void CAT(add_lanes, SFX)(double *sums, V v, size_t m, size_t k)
{
    R lanes[L];
    STORE(lanes, m >= (k + 1) * L ? v : m > k * L ? SEL(FIRST(m - k * L), v, SPLAT(0)) : SPLAT(0));
    for (size_t j = 0; j < L; j++) sums[k * L + j] += (double)lanes[j];
}
static inline double CAT(fold_lanes, SFX)(double *sums)
{
    _Pragma("GCC unroll 4") for (size_t half = BLOCK / 2; half; half /= 2)
        _Pragma("GCC unroll 8") for (size_t j = 0; j < half; j++) sums[j] += sums[j + half];
    return sums[0];
}

#include "loss_rows.h"

/* ---- the frame: bodies over all elements or rows --------------------------------------------- */
typedef V CAT(element, SFX)(V x, V z, V t, const V *p, V *g, V *gz);
typedef struct { const R *x, *z, *t, *w, *s; R *value, *g, *gz; } CAT(loss_span, SFX);

/* n elements, each weighted by a.w and a.s where given and all by s. */
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
/* In one span where no array is shared by the rows, else row by row. */
static ALWAYS double CAT(run_elements, SFX)(CAT(element, SFX) *f, const pn_loss_args *a)
{
    const pn_criterion *c = a->loss;
    const R *s = a->target.sample_weight;
    const int s_each = s && (a->target.every || (a->cols == 1 && a->target.rows_per_sample <= 1));
    CAT(loss_span, SFX) all = { a->x[0], a->x[1] ? a->x[1] : c->pos_weight, a->target.target, c->weight, s_each ? s : NULL, a->value, a->grad[0],
        a->grad[1] };
    int z_each = a->x[1] || c->per_element, w_each = c->per_element;
    double sums[BLOCK] = { 0 };
    V p[PN_MAX_LOSS_PARAMS];
    for (int k = 0; k < PN_MAX_LOSS_PARAMS; k++) p[k] = SPLAT(c->params[k]);
    if (s_each) s = NULL;
    int flat = !s && (!all.z || z_each) && (!all.w || w_each);
    size_t n = flat ? a->rows * a->cols : a->cols, spans = flat ? 1 : a->rows;
    for (size_t i = 0; i < spans; i++) {
        size_t at = i * n;
        const CAT(loss_span, SFX) one = { all.x + at,    z_each ? AT(all.z, at) : all.z,
                                          AT(all.t, at), w_each ? AT(all.w, at) : all.w,
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
    size_t n = a->cols, wide = a->loss->row->target == 's' ? 1 : n,
           labels = a->loss->row->target == 'm' ? n : 1;
    const size_t each = a->target.rows_per_sample && !a->target.every ? a->target.rows_per_sample
                                                                      : 1;
    double sum = 0;
    for (size_t i = 0; i < a->rows; i++) {
        double w = s ? (double)s[i / each] : 1;
        const CAT(loss_row, SFX) r = { n,
                                       x + i * n,
                                       AT(y, i * n),
                                       AT(z, i * n),
                                       AT(t, i * wide),
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

#define LOSS_KERNEL_e(f) static double CAT(loss_##f, SFX)(const pn_loss_args *a) { return CAT(run_elements, SFX)(CAT(value_##f, SFX), a); }
#define LOSS_KERNEL_s(f) static double CAT(loss_##f, SFX)(const pn_loss_args *a) { return CAT(value_##f, SFX)(a); }
#define LOSS_KERNEL_b LOSS_KERNEL_r
#define LOSS_KERNEL_w LOSS_KERNEL_r
#define LOSS_KERNEL_r(f) static double CAT(loss_##f, SFX)(const pn_loss_args *a) { return CAT(run_rows, SFX)(CAT(value_##f, SFX), a); }
#define ROW(f, cls, kind, ...) LOSS_KERNEL_##kind(f)
PN_LOSSES(ROW)
#undef ROW
#undef AT
#undef LOSS_E
#undef LOSS_R
#undef LOSS_KERNEL_e
#undef LOSS_KERNEL_r
#undef LOSS_KERNEL_b
#undef LOSS_KERNEL_w
#undef LOSS_KERNEL_s
#endif

/* kind:   e one value an element; one value a row: r of columns, b of four (a box), w of a whole
 * sample; s one value a sequence. target: r real, a anything, u in [0, 1], v too and the input as
 * well, s -1 or 1 (kind r: one a row), i class index, c class index or
 *
 *         ignore_index, p that or class probabilities, m class indices up to the first -1,
 *         n none. Where it is c or p, ignore_index is
 *         the first number.
 *
 * metric: a accuracy by arg max, l by the sign of a logit, p by a probability over 1/2, n none. In
 * formulas x is the first input, z the second, t the target; a sum runs over a row. */
#ifndef PN_LOSSES
/*      name                    class                   kind target metric  inputs; parameters,
 *      check; formula; summary */
#define PN_LOSSES(ROW) \
    ROW(l1, L1Loss, e, r, n, "input target", "", "", "abs(x - t)", "Mean absolute error.") \
    ROW(mse, MSELoss, e, r, n, "input target", "", "", "(x - t)**2", "Mean squared error.") \
    ROW(smooth_l1, SmoothL1Loss, e, r, n, "input target", "beta=1.0", "0 <= beta < inf", \
        "where(abs(x - t) < beta, 0.5 * (x - t)**2 / beta, abs(x - t) - 0.5 * beta)", \
        "Absolute error, rounded off below `beta` (Girshick, 2015).") \
    ROW(huber, HuberLoss, e, r, n, "input target", "delta=1.0", "delta > 0", \
        "where(abs(x - t) < delta, 0.5 * (x - t)**2, delta * (abs(x - t) - 0.5 * delta))", \
        "Squared error up to `delta`, linear beyond: outliers pull less (Huber, 1964).") \
    ROW(log_cosh, LogCoshLoss, e, r, n, "input target", "", "", "log(cosh(x - t))", \
        "Logarithm of the hyperbolic cosine of the error: half its square when small, its size less log 2 when large.") \
    ROW(quantile, QuantileLoss, e, r, n, "input target", "q=0.5", "0 < q < 1", \
        "maximum(q * (t - x), (q - 1) * (t - x))", \
        "Pinball loss, whose best constant prediction is the quantile `q` (Koenker and Bassett, 1978).") \
    ROW(bce, BCELoss, e, v, p, "input target", "weight: array = None", "", \
        "-(t * maximum(log(x), -100) + (1 - t) * maximum(log1p(-x), -100))", \
        "Binary cross-entropy of probabilities, the logarithms cut at -100.") \
    ROW(bce_with_logits, BCEWithLogitsLoss, e, u, l, "input target", \
        "weight: array = None, pos_weight: array = None", "", \
        "(1 - t) * (maximum(x, 0) + log1p(exp(-abs(x)))) + pos_weight * t * (maximum(-x, 0) + log1p(exp(-abs(x))))", \
        "Binary cross-entropy of logits: a sigmoid and BCELoss in one stable step.") \
    ROW(sigmoid_focal, SigmoidFocalLoss, e, u, l, "input target", "alpha=0.25, gamma=2.0", \
        "(0 <= alpha <= 1 or alpha == -1) and 0 <= gamma < inf", \
        "where(alpha < 0, 1, alpha * t + (1 - alpha) * (1 - t)) * (1 - t / (1 + exp(-x)) - (1 - t) / (1 + exp(x)))**gamma " \
        "* (maximum(x, 0) - x * t + log1p(exp(-abs(x))))", \
        "Binary cross-entropy of logits that turns from what is already right (Lin et al., 2017), as torchvision defines it.") \
    ROW(kl_div, KLDivLoss, e, a, n, "input target", "log_target=False", "", \
        "where(log_target, exp(t) * (t - x), t * (log(t) - x))", \
        "Kullback-Leibler divergence of log-probabilities `input` from probabilities (or their logarithms) `target`.") \
    ROW(poisson_nll, PoissonNLLLoss, e, r, n, "input target", \
        "log_input=True, full=False, eps=1e-8", "0 < eps < inf", \
        "where(log_input, exp(x) - t * x, x - t * log(x + eps)) + full * where(t > 1, t * log(t) - t + 0.5 * log(2 * pi * t), 0)", \
        "Negative log-likelihood of counts under Poisson rates, or under their logarithms.") \
    ROW(gaussian_nll, GaussianNLLLoss, e, r, n, "input target var", "full=False, eps=1e-6", \
        "0 < eps < inf", \
        "0.5 * (log(maximum(z, eps)) + (x - t)**2 / maximum(z, eps)) + full * 0.5 * log(2 * pi)", \
        "Negative log-likelihood under a normal distribution whose mean and variance are predicted (Nix and Weigend, 1994).") \
    ROW(hinge_embedding, HingeEmbeddingLoss, e, s, n, "input target", "margin=1.0", \
        "abs(margin) < inf", "where(t > 0, x, maximum(0, margin - x))", \
        "A distance itself where the target is 1, what it lacks of `margin` where it is -1.") \
    ROW(soft_margin, SoftMarginLoss, e, s, n, "input target", "", "", "log1p(exp(-t * x))", \
        "Logistic loss of a score against -1 or 1.") \
    ROW(margin_ranking, MarginRankingLoss, e, r, n, "input1 input2 target", "margin=0.0", \
        "abs(margin) < inf", "maximum(0, margin - t * (x - z))", \
        "What a score lacks of leading another by `margin`, where the target is 1, or of trailing it, where it is -1.") \
    ROW(cross_entropy, CrossEntropyLoss, r, p, a, "input target", \
        "weight: array = None, ignore_index: int = -100, label_smoothing=0.0", \
        "0 <= label_smoothing <= 1", "sum(t * (log(sum(exp(x))) - x))", \
        "Cross-entropy of logits against a class index or class probabilities: log-softmax and NLLLoss in one stable step.") \
    ROW(nll, NLLLoss, r, c, a, "input target", "weight: array = None, ignore_index: int = -100", \
        "", "-sum(t * x)", \
        "Negative log-likelihood of log-probabilities (what LogSoftmax gives) against a class index.") \
    ROW(focal, FocalLoss, r, c, a, "input target", \
        "weight: array = None, ignore_index: int = -100, gamma=2.0", "0 <= gamma < inf", \
        "(1 - sum(t * exp(x)) / sum(exp(x)))**gamma * (log(sum(exp(x))) - sum(t * x))", \
        "Cross-entropy of logits that turns from what is already right (Lin et al., 2017); `weight` is its alpha.") \
    ROW(multi_margin, MultiMarginLoss, r, i, a, "input target", \
        "p: int = 1, margin=1.0, weight: array = None", \
        "(p == 1 or p == 2) and abs(margin) < inf", \
        "sum((1 - t) * maximum(0, margin - sum(t * x) + x)**p) / len(x)", \
        "What the right class's score lacks of leading each other's by `margin` (Crammer and Singer, 2001).") \
    ROW(multilabel_margin, MultiLabelMarginLoss, r, m, n, "input target", "", "", \
        "sum(maximum(0, 1 - (x[t > 0, None] - x[t == 0]))) / len(x)", \
        "What the score of each right class lacks of leading that of each wrong one by 1.") \
    ROW(multilabel_soft_margin, MultiLabelSoftMarginLoss, r, u, n, "input target", \
        "weight: array = None", "", \
        "sum(weight * (maximum(x, 0) - x * t + log1p(exp(-abs(x))))) / len(x)", \
        "Binary cross-entropy of logits, a class each, averaged over the classes.") \
    ROW(cosine_embedding, CosineEmbeddingLoss, r, s, n, "input1 input2 target", "margin=0.0", \
        "-1 <= margin <= 1", \
        "where(t > 0, 1 - sum(x * z) / sqrt(sum(x * x) * sum(z * z)), maximum(0, sum(x * z) / sqrt(sum(x * x) * sum(z * z)) - margin))", \
        "One less the cosine of two vectors where the target is 1, the cosine over `margin` where it is -1.") \
    ROW(triplet_margin, TripletMarginLoss, r, n, n, "anchor positive negative", \
        "margin=1.0, p=2.0, eps=1e-6, swap=False", \
        "0 < margin < inf and p > 0 and 0 <= eps < inf", \
        "maximum(0, sum(abs(x - z + eps)**p)**(1 / p) - sum(abs(x - n + eps)**p)**(1 / p) + margin)", \
        "What the distance to the negative lacks of that to the positive and `margin` (Schroff et al., 2015).") \
    ROW(dice, DiceLoss, w, v, n, "input target", "smooth=1.0", "0 <= smooth < inf", \
        "1 - (2 * sum(x * t) + smooth) / (sum(x) + sum(t) + smooth)", \
        "One less the overlap of predicted probabilities with a mask, over each whole sample (Milletari et al., 2016).") \
    ROW(iou, IoULoss, b, r, n, "input target", "eps=1e-7", "0 <= eps < inf", \
        "1 - intersection / (union + eps)", \
        "One less the intersection over union of two boxes (x1, y1, x2, y2). As for all losses of boxes, the predicted corners may come " \
        "in any order: x1 and x2, y1 and y2 trade places where they must. Those of targets must be in order.") \
    ROW(giou, GIoULoss, b, r, n, "input target", "eps=1e-7", "0 <= eps < inf", \
        "1 - intersection / (union + eps) + (hull - union) / (hull + eps)", \
        "Generalised IoU loss: boxes that miss each other are pulled together (Rezatofighi et al., 2019), as torchvision defines it.") \
    ROW(ciou, CIoULoss, b, r, n, "input target", "eps=1e-7", "0 <= eps < inf", \
        "1 - intersection / (union + eps) + distance2 / (diagonal2 + eps) + alpha * ratio", \
        "Complete IoU loss: centres and the ratio of the sides count too (Zheng et al., 2020), as torchvision defines it: alpha, " \
        "the weight of the ratio, is ratio / (1 - IoU + ratio + eps), and has no gradient.") \
    ROW(ctc, CTCLoss, s, n, n, "log_probs targets input_lengths target_lengths", \
        "blank: int = 0, zero_infinity=False", "blank >= 0", \
        "-log(sum over alignments of product over time of exp(log_probs))", \
        "Connectionist temporal classification: labels of sequences without their times (Graves et al., 2006).")
#endif
