/* optimizers.h - every update rule, and nothing else: add one here and nowhere else.
 *
 * A rule is its settings, the constants that a step computes from them, the new value of an
 * element, and a row of the table.
 *
 * UPDATE(f) computes the new parameter from p, its gradient g, its state s[] (rewritten in place)
 * and the constants h of a step, which PN_CONSTANTS_f names. HAS(k) is whether state k is kept, a
 * constant at compile time: states that the row marks with ? are left out when their setting is
 * off. PREPARE(f) computes h from the settings o, the numbers kept for the parameter and its step,
 * counted from 1. By then g has been clipped and, to maximize, negated. Rules that are not a pass
 * over elements have their bodies in tensor_rules.h. */

/* ---- settings -------------------------------------------------------------------------------- */
/* PN_SETTINGS_f(S) lists the settings of rule f, the learning rate first: S(kind, name, default,
 * documentation). From it come the struct f_settings of its C functions, and the signature, checks
 * and documentation in Python. C gets None as NaN. Kinds:
 *
 * one         a number or flag
 * two, three  a tuple of numbers
 * typed       a number whose default has a type, such as "int = 5", or one of several words, which
 *             C gets as its index
 * core        applied by the core before any rule; not a field */
#ifndef PN_OPTIMIZER_SETTINGS
#define PN_OPTIMIZER_SETTINGS
#define PN_FIELD_one(name)   double name;
#define PN_FIELD_two(name)   double name[2];
#define PN_FIELD_three(name) double name[3];
#define PN_FIELD_typed(name) double name;
#define PN_FIELD_core(name)
#define PN_TEXT_one(name, start)   #name "=" start ", "
#define PN_TEXT_two(name, start)   PN_TEXT_one(name, start)
#define PN_TEXT_three(name, start) PN_TEXT_one(name, start)
#define PN_TEXT_core(name, start)  PN_TEXT_one(name, start)
#define PN_TEXT_typed(name, start) #name ": " start ", "
#define PN_SETTING_FIELD(kind, name, start, docs) PN_FIELD_##kind(name)
#define PN_SETTING_TEXT(kind, name, start, docs)  PN_TEXT_##kind(name, start)
#define PN_SETTING_DOCS(kind, name, start, docs)  #name ": " docs "\n"

#define PN_SETTINGS_STRUCT(f) \
    typedef struct { PN_SETTINGS_##f(PN_SETTING_FIELD) } f##_settings; \
    _Static_assert(sizeof(f##_settings) <= PN_MAX_HYPER * sizeof(double), #f ": too many settings")

#define PN_LR(S, start) S(one, lr, start, "Learning rate.")
#define PN_MAXIMIZE(S) \
    S(core, maximize, "False", "Whether to ascend: the gradient is negated.")
#define PN_L2(S) \
    S(one, weight_decay, "0.0", "L2 penalty: weight_decay times p is added to g.")
#define PN_DECAY(S, start) \
    S(one, weight_decay, start, \
      "Decoupled weight decay: each step multiplies p by 1 - lr * weight_decay.")
#define PN_DECOUPLED(S) \
    S(one, decoupled_weight_decay, "False", "Whether weight_decay scales p itself, as in AdamW.")
#define PN_ADAM_BETAS(S) \
    S(two, betas, "(0.9, 0.999)", "Decay rates of the running means of g and of g squared.")
#define PN_EPS(S, start) S(one, eps, start, "Added to the divisor to avoid division by 0.")
#define PN_AMSGRAD(S) \
    S(one, amsgrad, "False", \
      "Whether to divide by the largest second moment so far (Reddi et al., 2018).")

#define PN_SETTINGS_sgd(S) \
    PN_LR(S, "1e-3") \
    S(one, momentum, "0.0", "Share of the momentum buffer that is kept at each step; 0 keeps no buffer.") \
    S(one, dampening, "0.0", "Share of the gradient that is left out of the momentum buffer.") \
    PN_L2(S) \
    S(one, nesterov, "False", "Whether to step along the gradient plus momentum times the buffer.") \
    PN_MAXIMIZE(S)
#define PN_SETTINGS_adam(S) \
    PN_LR(S, "1e-3") PN_ADAM_BETAS(S) PN_EPS(S, "1e-8") PN_L2(S) PN_AMSGRAD(S) PN_MAXIMIZE(S) \
    PN_DECOUPLED(S) \
    S(one, eps_hat, "False", \
      "Whether eps is added to the root before its bias correction, as in Keras and scikit-learn.")
#define PN_SETTINGS_adamw(S) \
    PN_LR(S, "1e-3") PN_ADAM_BETAS(S) PN_EPS(S, "1e-8") PN_DECAY(S, "0.01") PN_AMSGRAD(S) \
    PN_MAXIMIZE(S)
#define PN_SETTINGS_nadam(S) \
    PN_LR(S, "2e-3") PN_ADAM_BETAS(S) PN_EPS(S, "1e-8") PN_L2(S) \
    S(one, momentum_decay, "4e-3", "Rate at which the momentum of early steps grows to betas[0].") \
    PN_DECOUPLED(S) PN_MAXIMIZE(S)
#define PN_SETTINGS_radam(S) \
    PN_LR(S, "1e-3") PN_ADAM_BETAS(S) PN_EPS(S, "1e-8") PN_L2(S) PN_DECOUPLED(S) PN_MAXIMIZE(S)
#define PN_SETTINGS_adamax(S) \
    PN_LR(S, "2e-3") \
    S(two, betas, "(0.9, 0.999)", "Decay rates of the running mean of g and of the largest magnitude of g.") \
    S(one, eps, "1e-8", "Added to magnitudes of g to avoid division by 0.") PN_L2(S) PN_MAXIMIZE(S)
#define PN_SETTINGS_rmsprop(S) \
    PN_LR(S, "0.01") \
    S(one, alpha, "0.99", "Decay rate of the running mean of g squared.") \
    PN_EPS(S, "1e-8") PN_L2(S) \
    S(one, momentum, "0.0", "Share of the last step that is added to the next; 0 keeps no buffer.") \
    S(one, centered, "False", "Whether to divide by the standard deviation of g; its mean is then kept " \
                              "too.") \
    PN_MAXIMIZE(S)
#define PN_SETTINGS_adagrad(S) \
    PN_LR(S, "0.01") \
    S(one, lr_decay, "0.0", "The rate of step t is lr / (1 + (t - 1) lr_decay).") PN_L2(S) \
    S(one, initial_accumulator_value, "0.0", "Initial value of the sum of g squared.") \
    PN_EPS(S, "1e-10") PN_MAXIMIZE(S)
#define PN_SETTINGS_adadelta(S) \
    PN_LR(S, "1.0") \
    S(one, rho, "0.9", "Decay rate of the running means of g squared and of the step squared.") \
    S(one, eps, "1e-6", "Added to both means; it also determines the size of the first steps.") \
    PN_L2(S) PN_MAXIMIZE(S)
#define PN_SETTINGS_rprop(S) \
    S(one, lr, "0.01", "Size of the first step of each element.") \
    S(two, etas, "(0.5, 1.2)", "Factors of an element's step size when the sign of its gradient changes, " \
                               "and when it does not.") \
    S(two, step_sizes, "(1e-6, 50.0)", "Smallest and largest step size of an element.") \
    PN_MAXIMIZE(S)
#define PN_SETTINGS_asgd(S) \
    PN_LR(S, "0.01") \
    S(one, lambd, "1e-4", "Decay of p, by 1 - lambd * eta a step, and of the rate eta, over lr * t.") \
    S(one, alpha, "0.75", "Power of the decay of the rate.") \
    S(one, t0, "1e6", "Step at which averaging starts.") PN_L2(S) PN_MAXIMIZE(S)
#define PN_SETTINGS_lion(S) \
    PN_LR(S, "1e-4") \
    S(two, betas, "(0.9, 0.99)", "Weight of the running mean of g in a step, and its decay rate.") \
    PN_DECAY(S, "0.0") PN_MAXIMIZE(S)
#define PN_SETTINGS_adafactor(S) \
    S(one, lr, "0.01", "Largest learning rate, relative to the parameter's root mean square.") \
    S(one, beta2_decay, "-0.8", "Power of the step by which the weight of new second moments decreases.") \
    S(two, eps, "(None, 1e-3)", "Lower limits of second moments (None: the dtype's epsilon, squared) and " \
                                "of the root mean square of a parameter.") \
    S(one, d, "1.0", "Limit of the root mean square of a step.") PN_DECAY(S, "0.0") \
              PN_MAXIMIZE(S)
#define PN_SETTINGS_muon(S) \
    PN_LR(S, "1e-3") PN_DECAY(S, "0.1") \
    S(one, momentum, "0.95", "Share of the momentum buffer that is kept at each step.") \
    S(one, nesterov, "True", "Whether the step combines gradient and buffer, instead of the buffer alone.") \
    S(three, ns_coefficients, "(3.4445, -4.775, 2.0315)", "Coefficients of the Newton-Schulz iteration.") \
    S(one, eps, "1e-7", "Lower limit of the norm that the momentum is divided by.") \
    S(typed, ns_steps, "int = 5", "Iterations per step.") \
    S(typed, adjust_lr_fn, "Literal['original', 'match_rms_adamw'] = None", "How the rate depends on the " \
        "shape: 'original' (None) by sqrt(max(1, rows / columns)), 'match_rms_adamw' by 0.2 sqrt(max(rows, " \
        "columns)).")

/* ---- the constants of a step ----------------------------------------------------------------- */
/* PN_CONSTANTS_f(H) names the constants that PREPARE computes once per step and UPDATE reads for
 * each element. restN is 1 - betaN; kept is the factor of p under decoupled weight decay. */
#define PN_CONSTANT_FIELD(name) double name;
#define PN_CONSTANTS_STRUCT(f) \
    typedef struct { PN_CONSTANTS_##f(PN_CONSTANT_FIELD) } f##_constants; \
    _Static_assert(sizeof(f##_constants) <= PN_MAX_HYPER * sizeof(double), \
                   #f ": too many constants")

/* from_gradient: the factor of g in the buffer
 * ahead, along: the factors of g and of the buffer in the step */
#define PN_CONSTANTS_sgd(H) H(lr) H(momentum) H(from_gradient) H(weight_decay) H(ahead) H(along)
/* correction: 1 / sqrt(1 - beta2^t), for RAdam 0 while the second moment, which may have
 * overflowed, does not count; ahead: the factor of g in NAdam's step */
#define PN_CONSTANTS_adam(H) \
    H(step_size) H(rest1) H(beta2) H(rest2) H(correction) H(eps) H(l2) H(kept) H(ahead)
#define PN_CONSTANTS_adamw       PN_CONSTANTS_adam
#define PN_CONSTANTS_nadam       PN_CONSTANTS_adam
#define PN_CONSTANTS_radam       PN_CONSTANTS_adam
#define PN_CONSTANTS_adamax(H)   H(step_size) H(rest1) H(beta2) H(eps) H(weight_decay)
#define PN_CONSTANTS_rmsprop(H)  H(lr) H(alpha) H(rest) H(eps) H(weight_decay) H(momentum)
#define PN_CONSTANTS_adagrad(H)  H(lr) H(eps) H(weight_decay)
#define PN_CONSTANTS_adadelta(H) H(lr) H(rho) H(rest) H(eps) H(weight_decay)
#define PN_CONSTANTS_rprop(H)    H(eta_minus) H(eta_plus) H(smallest) H(largest)
/* share: of p in its average */
#define PN_CONSTANTS_asgd(H)     H(eta) H(kept) H(share) H(weight_decay)
#define PN_CONSTANTS_lion(H)     H(lr) H(beta1) H(rest1) H(beta2) H(rest2) H(kept)
#endif

#ifdef R

#define PN_VECTOR_FIELD(name) V name;
#define UPDATE(f) \
    typedef struct { PN_CONSTANTS_##f(PN_VECTOR_FIELD) } CAT(f##_vectors, SFX); \
    static ALWAYS V CAT(rule_##f, SFX)(V p, V g, V *s, const CAT(f##_vectors, SFX) *h, \
                                       const unsigned present); \
    static ALWAYS V CAT(new_##f, SFX)(V p, V g, V *s, const V *h, const unsigned present) \
    { \
        return CAT(rule_##f, SFX)(p, g, s, (const CAT(f##_vectors, SFX) *)h, present); \
    } \
    static ALWAYS V CAT(rule_##f, SFX)(V p, V g, V *s, const CAT(f##_vectors, SFX) *h, \
                                       const unsigned present UNUSED)
#define HAS(k)    (present & 1u << (k))

/* a moved towards b by the share w. It starts from the nearer of both, so that a share of 1 gives b
 * itself, however large a is. */
static ALWAYS V CAT(lerp, SFX)(V a, V b, V w)
{
    return FMA(b - a, SEL(w < PICK(0.5f, 0.5), w, w - 1), SEL(w < PICK(0.5f, 0.5), a, b));
}
/* A decaying average whose gradient is 0: as 0 once it is negligible. The averages of a dead unit
 * would become subnormal, and arithmetic on subnormal numbers takes over 100 cycles on many
 * processors. */
#define NEGLIGIBLE PICK(0x1p-100, 0x1p-960)
static ALWAYS V CAT(settled, SFX)(V average, V g)
{
    return SEL((g == 0) & (ABS(average) < NEGLIGIBLE), SPLAT(0), average);
}
/* rest + w g^2, which does not overflow if w g^2 fits. */
static ALWAYS V CAT(square_share, SFX)(V g, V w, V rest) { return FMA(g * w, g, rest); }

UPDATE(sgd)
{
    g = FMA(h->weight_decay, p, g);
    if (!HAS(0)) return FMA(-h->lr, g, p);
    s[0] = CAT(settled, SFX)(FMA(h->momentum, s[0], h->from_gradient * g), g);
    return FMA(-h->lr, FMA(h->ahead, g, h->along * s[0]), p);
}

/* Moves the moments of Adam and its relatives, and applies weight decay to p or g. */
#define MOMENTS() CAT(moments, SFX)(&p, &g, s, h->rest1, h->beta2, h->rest2, h->l2, h->kept)
static ALWAYS void CAT(moments, SFX)(V *p, V *g, V *s, V rest1, V beta2, V rest2, V l2, V kept)
{
    *g = FMA(l2, *p, *g);
    *p *= kept;
    s[0] = CAT(settled, SFX)(CAT(lerp, SFX)(s[0], *g, rest1), *g);
    s[1] = CAT(settled, SFX)(CAT(square_share, SFX)(*g, rest2, s[1] * beta2), *g);
}
UPDATE(adam)
{
    MOMENTS();
    if (HAS(2)) s[2] = MAX(s[2], s[1]);
    return p - h->step_size * s[0] / FMA(SQRT_BY_FMA(s[HAS(2) ? 2 : 1]), h->correction, h->eps);
}
UPDATE(adamw) { return CAT(new_adam, SFX)(p, g, s, (const V *)h, present); }
UPDATE(radam)
{
    MOMENTS();
    const V root = SEL(h->correction > 0, SQRT_BY_FMA(s[1]), SPLAT(0));
    return p - h->step_size * s[0] / FMA(root, h->correction, h->eps);
}
UPDATE(nadam)
{
    MOMENTS();
    const V step = FMA(h->ahead, g, h->step_size * s[0]);
    return p - step / FMA(SQRT_BY_FMA(s[1]), h->correction, h->eps);
}

UPDATE(adamax)
{
    g = FMA(h->weight_decay, p, g);
    s[0] = CAT(settled, SFX)(CAT(lerp, SFX)(s[0], g, h->rest1), g);
    s[1] = MAX(s[1] * h->beta2, ABS(g) + h->eps);
    return p - h->step_size * s[0] / s[1];
}

UPDATE(rmsprop)
{
    g = FMA(h->weight_decay, p, g);
    s[0] = CAT(settled, SFX)(CAT(square_share, SFX)(g, h->rest, s[0] * h->alpha), g);
    V square = s[0];
    if (HAS(2)) {
        s[2] = CAT(settled, SFX)(CAT(lerp, SFX)(s[2], g, h->rest), g);
        square = SEL(square <= PICK(0x1.fffffep127, 0x1.fffffffffffffp1023),
                     /* a variance is at least 0 despite rounding; infinity stays */
                     MAX(SPLAT(0), square - s[2] * s[2]), square);
    }
    V step = g / (SQRT_BY_FMA(square) + h->eps);
    if (HAS(1)) step = s[1] = CAT(settled, SFX)(FMA(h->momentum, s[1], step), g);
    return FMA(-h->lr, step, p);
}

UPDATE(adagrad)
{
    g = FMA(h->weight_decay, p, g);
    s[0] = FMA(g, g, s[0]);
    return p - h->lr * g / (SQRT_BY_FMA(s[0]) + h->eps);
}

UPDATE(adadelta)
{
    g = FMA(h->weight_decay, p, g);
    s[0] = CAT(square_share, SFX)(g, h->rest, s[0] * h->rho);
    V step = SQRT_BY_FMA((s[1] + h->eps) / (s[0] + h->eps)) * g;
    s[1] = CAT(square_share, SFX)(step, h->rest, s[1] * h->rho);
    return FMA(-h->lr, step, p);
}

UPDATE(rprop)
{
    /* the sign of the product, which itself could underflow */
    V agreement = SEL(g > 0, s[0], SEL(g < 0, -s[0], g * s[0]));
    const V factor = SEL(agreement > 0, h->eta_plus, SEL(agreement < 0, h->eta_minus, SPLAT(1)));
    s[1] = MIN(h->largest, MAX(h->smallest, s[1] * factor));
    s[0] = g = SEL(agreement < 0, SPLAT(0), g);
    return p - SEL(g > 0, s[1], SEL(g < 0, -s[1], g));
}

UPDATE(asgd)
{
    g = FMA(h->weight_decay, p, g);
    p = FMA(-h->eta, g, p * h->kept);
    s[0] = CAT(lerp, SFX)(s[0], p, h->share);
    return p;
}

UPDATE(lion)
{
    const V c = FMA(h->beta1, s[0], h->rest1 * g),
            direction = SEL(c > 0, SPLAT(1), SEL(c < 0, SPLAT(-1), c));
    s[0] = FMA(h->beta2, s[0], h->rest2 * g);
    return FMA(-h->lr, direction, p * h->kept);
}
#undef UPDATE
#undef MOMENTS
#undef NEGLIGIBLE
#undef PN_VECTOR_FIELD
#endif

/* ---- the table ------------------------------------------------------------------------------- */
/* name:            of the rule
 * states:          arrays of the parameter's shape, 0 at first. name=start: filled with that
 *                  setting at first. name?setting: only if that is on. For rules of whole
 *                  parameters also name:rows and name:columns (of a matrix, one number per row or
 *                  column) and name:flat (for parameters that are no matrix)
 * cls:             the Python class
 * check:           a Python expression that the settings must satisfy
 * numbers:         kept for each parameter after its step, with their initial values
 * matrices_only:   whether the rule is defined for matrices only
 * formula:         Python statements, run by the tests: p the parameter, g its gradient (negated to
 *                  maximize), t the step from 1; states, numbers and settings by name
 * summary, source: the first sentence of the documentation; where the rule was published */
#ifndef PN_OPTIMIZERS
#define PN_BETAS "0 <= betas[0] < 1 and 0 <= betas[1] < 1"
#define PN_OPTIMIZERS(ROW) \
    ROW(sgd, "momentum_buffer?momentum", .cls = "SGD", \
        .check = "lr >= 0 and momentum >= 0 and weight_decay >= 0 and (not nesterov or (momentum > 0 and " \
                 "dampening == 0))", \
        .formula = "g = g + weight_decay * p; " \
                   "momentum_buffer = g if t == 1 else momentum * momentum_buffer + (1 - dampening) * g; " \
                   "p = p - lr * (g + momentum * momentum_buffer if nesterov else momentum_buffer if " \
                   "momentum else g)", \
        .summary = "Stochastic gradient descent with momentum and Nesterov's variant, as PyTorch defines " \
                   "it.", \
        .source = "Sutskever, I., Martens, J., Dahl, G. and Hinton, G. (2013). On the importance of " \
                  "initialization and momentum in deep learning. ICML.") \
    ROW(adam, "exp_avg exp_avg_sq max_exp_avg_sq?amsgrad", .cls = "Adam", \
        .check = "lr >= 0 and " PN_BETAS " and eps >= 0 and weight_decay >= 0", \
        .formula = "g = g + (0 if decoupled_weight_decay else weight_decay) * p; " \
                   "p = p * (1 - lr * (weight_decay if decoupled_weight_decay else 0)); " \
                   "exp_avg = betas[0] * exp_avg + (1 - betas[0]) * g; " \
                   "exp_avg_sq = betas[1] * exp_avg_sq + (1 - betas[1]) * g**2; " \
                   "max_exp_avg_sq = maximum(max_exp_avg_sq, exp_avg_sq) if amsgrad else exp_avg_sq; " \
                   "p = p - lr * exp_avg / (1 - betas[0]**t) / (sqrt(max_exp_avg_sq / (1 - betas[1]**t)) + " \
                   "(eps / sqrt(1 - betas[1]**t) if eps_hat else eps))", \
        .summary = "Adam: the running mean of gradients over the root of the running mean of their " \
                   "squares.", \
        .source = "Kingma, D. P. and Ba, J. (2014). Adam: a method for stochastic optimization. " \
                  "arXiv:1412.6980.") \
    ROW(adamw, "exp_avg exp_avg_sq max_exp_avg_sq?amsgrad", .cls = "AdamW", \
        .check = "lr >= 0 and " PN_BETAS " and eps >= 0 and weight_decay >= 0", \
        .formula = "p = p * (1 - lr * weight_decay); " \
                   "exp_avg = betas[0] * exp_avg + (1 - betas[0]) * g; " \
                   "exp_avg_sq = betas[1] * exp_avg_sq + (1 - betas[1]) * g**2; " \
                   "max_exp_avg_sq = maximum(max_exp_avg_sq, exp_avg_sq) if amsgrad else exp_avg_sq; " \
                   "p = p - lr * exp_avg / (1 - betas[0]**t) / (sqrt(max_exp_avg_sq / (1 - betas[1]**t)) + " \
                   "eps)", \
        .summary = "Adam with decoupled weight decay.", \
        .source = "Loshchilov, I. and Hutter, F. (2017). Decoupled weight decay regularization. " \
                  "arXiv:1711.05101.") \
    ROW(nadam, "exp_avg exp_avg_sq", .cls = "NAdam", \
        .check = "lr >= 0 and " PN_BETAS " and eps >= 0 and weight_decay >= 0 and momentum_decay >= 0", \
        .numbers = "mu_product=1", \
        .formula = "g = g + (0 if decoupled_weight_decay else weight_decay) * p; " \
                   "p = p * (1 - lr * (weight_decay if decoupled_weight_decay else 0)); " \
                   "mu = betas[0] * (1 - 0.5 * 0.96**(t * momentum_decay)); " \
                   "mu_next = betas[0] * (1 - 0.5 * 0.96**((t + 1) * momentum_decay)); " \
                   "mu_product = mu_product * mu; " \
                   "exp_avg = betas[0] * exp_avg + (1 - betas[0]) * g; " \
                   "exp_avg_sq = betas[1] * exp_avg_sq + (1 - betas[1]) * g**2; " \
                   "p = p - lr * ((1 - mu) / (1 - mu_product) * g + mu_next / (1 - mu_product * mu_next) * " \
                   "exp_avg) / (sqrt(exp_avg_sq / (1 - betas[1]**t)) + eps)", \
        .summary = "Adam with Nesterov's momentum.", \
        .source = "Dozat, T. (2016). Incorporating Nesterov momentum into Adam. ICLR workshop.") \
    ROW(radam, "exp_avg exp_avg_sq", .cls = "RAdam", \
        .check = "lr >= 0 and " PN_BETAS " and eps >= 0 and weight_decay >= 0", \
        .formula = "g = g + (0 if decoupled_weight_decay else weight_decay) * p; " \
                   "p = p * (1 - lr * (weight_decay if decoupled_weight_decay else 0)); " \
                   "exp_avg = betas[0] * exp_avg + (1 - betas[0]) * g; " \
                   "exp_avg_sq = betas[1] * exp_avg_sq + (1 - betas[1]) * g**2; " \
                   "most = 2 / (1 - betas[1]) - 1; " \
                   "length = most - 2 * t * betas[1]**t / (1 - betas[1]**t); " \
                   "rectified = sqrt(abs((length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * " \
                   "length))) * sqrt(1 - betas[1]**t) / (sqrt(exp_avg_sq) + eps); " \
                   "p = p - lr * exp_avg / (1 - betas[0]**t) * (rectified if length > 5 else 1)", \
        .summary = "Rectified Adam: uses plain momentum until the estimate of the second moment is " \
                   "reliable.", \
        .source = "Liu, L., Jiang, H., He, P., Chen, W., Liu, X., Gao, J. and Han, J. (2019). On the " \
                  "variance of the adaptive learning rate and beyond. arXiv:1908.03265.") \
    ROW(adamax, "exp_avg exp_inf", .cls = "Adamax", \
        .check = "lr >= 0 and " PN_BETAS " and eps >= 0 and weight_decay >= 0", \
        .formula = "g = g + weight_decay * p; " \
                   "exp_avg = betas[0] * exp_avg + (1 - betas[0]) * g; " \
                   "exp_inf = maximum(betas[1] * exp_inf, abs(g) + eps); " \
                   "p = p - lr * exp_avg / (1 - betas[0]**t) / exp_inf", \
        .summary = "Adam with the infinity norm.", \
        .source = "Kingma, D. P. and Ba, J. (2014). Adam: a method for stochastic optimization. " \
                  "arXiv:1412.6980, section 7.") \
    ROW(rmsprop, "square_avg momentum_buffer?momentum grad_avg?centered", .cls = "RMSprop", \
        .check = "lr >= 0 and alpha >= 0 and eps >= 0 and weight_decay >= 0 and momentum >= 0", \
        .formula = "g = g + weight_decay * p; " \
                   "square_avg = alpha * square_avg + (1 - alpha) * g**2; " \
                   "grad_avg = alpha * grad_avg + (1 - alpha) * g if centered else 0; " \
                   "step = g / (sqrt(square_avg - grad_avg**2) + eps); " \
                   "momentum_buffer = momentum * momentum_buffer + step if momentum else step; " \
                   "p = p - lr * momentum_buffer", \
        .summary = "RMSprop: gradients over the root of the running mean of their squares; optionally " \
                   "centered (Graves, 2013) and with momentum.", \
        .source = "Tieleman, T. and Hinton, G. (2012). Lecture 6.5: RMSProp. Coursera, Neural networks for " \
                  "machine learning.") \
    ROW(adagrad, "sum=initial_accumulator_value", .cls = "Adagrad", \
        .check = "lr >= 0 and lr_decay >= 0 and weight_decay >= 0 and initial_accumulator_value >= 0 and " \
                 "eps >= 0", \
        .formula = "g = g + weight_decay * p; " \
                   "sum = sum + g**2; " \
                   "p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(sum) + eps)", \
        .summary = "Adagrad: gradients over the root of the sum of their squares.", \
        .source = "Duchi, J., Hazan, E. and Singer, Y. (2011). Adaptive subgradient methods for online " \
                  "learning and stochastic optimization. JMLR.") \
    ROW(adadelta, "square_avg acc_delta", .cls = "Adadelta", \
        .check = "lr >= 0 and 0 <= rho <= 1 and eps >= 0 and weight_decay >= 0", \
        .formula = "g = g + weight_decay * p; " \
                   "square_avg = rho * square_avg + (1 - rho) * g**2; " \
                   "step = sqrt(acc_delta + eps) / sqrt(square_avg + eps) * g; " \
                   "acc_delta = rho * acc_delta + (1 - rho) * step**2; " \
                   "p = p - lr * step", \
        .summary = "Adadelta: gradients scaled by the root mean square of past steps over that of " \
                   "gradients.", \
        .source = "Zeiler, M. D. (2012). ADADELTA: an adaptive learning rate method. arXiv:1212.5701.") \
    ROW(rprop, "prev step_size=lr", .cls = "Rprop", \
        .check = "lr >= 0 and 0 < etas[0] < 1 < etas[1]", \
        .formula = "agreement = sign(g * prev); " \
                   "step_size = clip(step_size * where(agreement > 0, etas[1], where(agreement < 0, " \
                   "etas[0], 1)), step_sizes[0], step_sizes[1]); " \
                   "prev = where(agreement < 0, 0, g); " \
                   "p = p - sign(prev) * step_size", \
        .summary = "Resilient backpropagation, for full batches: uses only the signs of gradients.", \
        .source = "Riedmiller, M. and Braun, H. (1993). A direct adaptive method for faster " \
                  "backpropagation learning: the RPROP algorithm. ICNN.") \
    ROW(asgd, "ax", .cls = "ASGD", \
        .check = "lr >= 0 and weight_decay >= 0", \
        .numbers = "eta=lr mu=1", \
        .formula = "g = g + weight_decay * p; " \
                   "p = p * (1 - lambd * eta) - eta * g; " \
                   "ax = ax + mu * (p - ax); " \
                   "eta = lr / (1 + lambd * lr * t)**alpha; " \
                   "mu = 1 / maximum(1, t - t0)", \
        .summary = "Averaged stochastic gradient descent; the state ax is the average.", \
        .source = "Polyak, B. T. and Juditsky, A. B. (1992). Acceleration of stochastic approximation by " \
                  "averaging. SIAM Journal on Control and Optimization.") \
    ROW(lion, "exp_avg", .cls = "Lion", \
        .check = "lr >= 0 and " PN_BETAS " and weight_decay >= 0", \
        .formula = "p = p * (1 - lr * weight_decay) - lr * sign(betas[0] * exp_avg + (1 - betas[0]) * g); " \
                   "exp_avg = betas[1] * exp_avg + (1 - betas[1]) * g", \
        .summary = "Lion, evolved sign momentum: all steps have the same size, and there is one state.", \
        .source = "Chen, X. et al. (2023). Symbolic discovery of optimization algorithms. arXiv:2302.06675.")

/* Rules that need the whole parameter; their bodies are in tensor_rules.h. */
#define PN_TENSOR_OPTIMIZERS(ROW) \
    ROW(adafactor, "row_var:rows col_var:columns variance:flat", .cls = "Adafactor", \
        .check = "lr >= 0 and beta2_decay <= 0 and (eps[0] is None or eps[0] >= 0) and eps[1] >= 0 and d " \
                 ">= 1 and weight_decay >= 0", \
        .formula = "size = maximum(eps[1], sqrt(mean(p**2))) * minimum(lr, 1 / sqrt(t)); " \
                   "p = p * (1 - lr * weight_decay); " \
                   "share = t**beta2_decay; " \
                   "row_var = row_var + share * (mean(g**2, -1, keepdims=True) - row_var) if g.ndim > 1 " \
                   "else 0; " \
                   "col_var = col_var + share * (mean(g**2, -2, keepdims=True) - col_var) if g.ndim > 1 " \
                   "else 0; " \
                   "variance = row_var * col_var / maximum(mean(row_var, -2, keepdims=True), eps[0]) if " \
                   "g.ndim > 1 else variance + share * (g**2 - variance); " \
                   "step = g / sqrt(maximum(variance, eps[0]**2)); " \
                   "p = p - size * step / maximum(1, sqrt(mean(step**2)) / d)", \
        .summary = "Adafactor: keeps second moments of a matrix as one number per row and one per column.", \
        .source = "Shazeer, N. and Stern, M. (2018). Adafactor: adaptive learning rates with sublinear " \
                  "memory cost. ICML.") \
    ROW(muon, "momentum_buffer", .cls = "Muon", \
        .check = "lr >= 0 and weight_decay >= 0 and momentum >= 0 and eps >= 0 and 0 <= ns_steps < 100 and " \
                 "adjust_lr_fn in (None, 'original', 'match_rms_adamw')", \
        .matrices_only = 1, \
        .formula = "momentum_buffer = momentum * momentum_buffer + (1 - momentum) * g; " \
                   "step = newton_schulz(momentum * momentum_buffer + (1 - momentum) * g if nesterov else " \
                   "momentum_buffer, ns_coefficients, ns_steps, eps); " \
                   "rows, columns = p.shape; " \
                   "adjusted = lr * (0.2 * sqrt(maximum(rows, columns)) if adjust_lr_fn == " \
                   "'match_rms_adamw' else sqrt(maximum(1, rows / columns))); " \
                   "p = p * (1 - lr * weight_decay) - adjusted * step", \
        .summary = "Muon, for the matrices of hidden layers: steps are made nearly orthogonal by the " \
                   "Newton-Schulz iteration. Use another optimizer for other parameters, with " \
                   "`MultiOptimizer`.", \
        .source = "Jordan, K. et al. (2024). Muon: an optimizer for hidden layers in neural networks. " \
                  "https://kellerjordan.github.io/posts/muon/.")

#define ROW(f, ...) PN_SETTINGS_STRUCT(f);
PN_OPTIMIZERS(ROW)
PN_TENSOR_OPTIMIZERS(ROW)
#undef ROW
#define ROW(f, ...) PN_CONSTANTS_STRUCT(f);
PN_OPTIMIZERS(ROW)
#undef ROW
#endif

/* ---- the constants of a step ----------------------------------------------------------------- */
#ifdef PN_OPTIMIZER_PREPARE

#define PREPARE(f) \
    static void from_settings_##f(const f##_settings *o, double *const *number, double step, \
                                  f##_constants *h); \
    static void prepare_##f(const double *hyper, double *const *number, double step, double *h) \
    { \
        from_settings_##f((const f##_settings *)hyper, number, step, (f##_constants *)h); \
    } \
    static void from_settings_##f(const f##_settings *o, double *const *number UNUSED, \
                                  double step UNUSED, f##_constants *h)

PREPARE(sgd)
{
    const int nesterov = o->nesterov != 0;
    h->lr = o->lr;
    h->momentum = o->momentum;
    h->from_gradient = step == 1 ? 1 : 1 - o->dampening;
    h->weight_decay = o->weight_decay;
    h->ahead = nesterov;
    h->along = nesterov ? o->momentum : 1;
}

/* The constants of Adam, and of its relatives where they agree. */
static void prepare_moments(double lr, const double *betas, double eps, double decay, int decoupled,
                            double step, void *h)
{
    const adam_constants made = { .step_size = lr / (1 - pow(betas[0], step)),
                                  .rest1 = 1 - betas[0],
                                  .beta2 = betas[1],
                                  .rest2 = 1 - betas[1],
                                  .correction = 1 / sqrt(1 - pow(betas[1], step)),
                                  .eps = eps,
                                  .l2 = decoupled ? 0 : decay,
                                  .kept = decoupled ? 1 - lr * decay : 1 };
    memcpy(h, &made, sizeof made);      /* of a type that may have another name */
}
PREPARE(adam)
{
    prepare_moments(o->lr, o->betas, o->eps, o->weight_decay, o->decoupled_weight_decay != 0, step,
                    h);
    if (o->eps_hat != 0) h->eps *= h->correction;
}
PREPARE(adamw) { prepare_moments(o->lr, o->betas, o->eps, o->weight_decay, 1, step, h); }

PREPARE(nadam)
{
    const double lr = o->lr, beta = o->betas[0], decay = o->momentum_decay;
    const double mu = beta * (1 - 0.5 * pow(0.96, step * decay)),
                 next = beta * (1 - 0.5 * pow(0.96, (step + 1) * decay));
    prepare_moments(lr, o->betas, o->eps, o->weight_decay, o->decoupled_weight_decay != 0, step, h);
    const double product = *number[1] *= mu;
    h->ahead = lr * (1 - mu) / (1 - product);
    h->step_size = lr * next / (1 - product * next);
}

/* While there are too few squares for a reliable mean, the step is that of plain momentum. */
PREPARE(radam)
{
    const double beta2 = o->betas[1], power = pow(beta2, step), most = 2 / (1 - beta2) - 1,
                 length = most - 2 * step * power / (1 - power);
    prepare_moments(o->lr, o->betas, o->eps, o->weight_decay, o->decoupled_weight_decay != 0, step,
                    h);
    if (length > 5)
        h->step_size *= sqrt((length - 4) * (length - 2) * most /
                             ((most - 4) * (most - 2) * length)) * sqrt(1 - power);
    h->correction = length > 5;
    if (length <= 5) h->eps = 1;
}

PREPARE(adamax)
{
    h->step_size = o->lr / (1 - pow(o->betas[0], step));
    h->rest1 = 1 - o->betas[0];
    h->beta2 = o->betas[1];
    h->eps = o->eps;
    h->weight_decay = o->weight_decay;
}

PREPARE(rmsprop)
{
    h->lr = o->lr;
    h->alpha = o->alpha;
    h->rest = 1 - o->alpha;
    h->eps = o->eps;
    h->weight_decay = o->weight_decay;
    h->momentum = o->momentum;
}

PREPARE(adagrad)
{
    h->lr = o->lr / (1 + (step - 1) * o->lr_decay);
    h->eps = o->eps;
    h->weight_decay = o->weight_decay;
}

PREPARE(adadelta)
{
    h->lr = o->lr;
    h->rho = o->rho;
    h->rest = 1 - o->rho;
    h->eps = o->eps;
    h->weight_decay = o->weight_decay;
}

PREPARE(rprop)
{
    h->eta_minus = o->etas[0];
    h->eta_plus = o->etas[1];
    h->smallest = o->step_sizes[0];
    h->largest = o->step_sizes[1];
}

/* The previous step computed the eta and mu of this one. */
PREPARE(asgd)
{
    const double eta = *number[1];
    h->eta = eta;
    h->kept = 1 - o->lambd * eta;
    h->share = *number[2];
    h->weight_decay = o->weight_decay;
    *number[1] = o->lr / pow(1 + o->lambd * o->lr * step, o->alpha);
    *number[2] = 1 / fmax(1, step - o->t0);
}

PREPARE(lion)
{
    h->lr = o->lr;
    h->beta1 = o->betas[0];
    h->rest1 = 1 - o->betas[0];
    h->beta2 = o->betas[1];
    h->rest2 = 1 - o->betas[1];
    h->kept = 1 - o->lr * o->weight_decay;
}
#undef PREPARE
#endif
