/* optimizers.h - every update rule, and nothing else: add one here and nowhere else.
 *
 * A rule is four things: its settings, the numbers that a step needs of them, the new value of an
 * element, and a row of the table.
 *
 * UPDATE(f) gives the new parameter from p, its gradient g, its state s[] (rewritten in place) and
 * the constants h[]; HAS(k) says, at compile time, whether state k is kept: those that the row
 * marks with ? are left out when their setting is off. PREPARE(f) makes h from the settings o, the
 * numbers kept for the parameter, and its step, from 1. By then g has been clipped and, to
 * maximize, negated. Rules that are no pass over elements have their bodies in tensor_rules.h. */

/* ---- settings -------------------------------------------------------------------------------- */
/* PN_SETTINGS_f(S) lists the settings of rule f, the learning rate first: S(kind, name, default,
 * documentation). From it come the struct f_settings of its functions in C, and the signature,
 * checks and documentation in Python. kinds: one, a number or flag; two, three, a tuple of numbers;
 * typed, a number whose default follows its type, such as "int = 5", or the words that it may be,
 * which C gets as their index; core, what the core applies before any rule and which is no field.
 * C gets None as NaN. */
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
    S(one, weight_decay, start, "Decoupled weight decay: each step multiplies p by 1 - lr * weight_decay.")
#define PN_DECOUPLED(S) \
    S(one, decoupled_weight_decay, "False", "Whether weight_decay shrinks p itself, as in AdamW.")
#define PN_ADAM_BETAS(S) \
    S(two, betas, "(0.9, 0.999)", "Shares kept at each step of the means of g and of g squared.")
#define PN_EPS(S, start) S(one, eps, start, "Added to the divisor, against division by 0.")
#define PN_AMSGRAD(S) \
    S(one, amsgrad, "False", "Whether to divide by the largest second moment so far (Reddi et al., 2018).")

#define PN_SETTINGS_sgd(S) \
    PN_LR(S, "1e-3") \
    S(one, momentum, "0.0", "Share of the momentum buffer that is kept at each step; 0 keeps no buffer.") \
    S(one, dampening, "0.0", "Share of the gradient that is left out of the momentum buffer.") \
    PN_L2(S) \
    S(one, nesterov, "False", "Whether to step along the gradient plus momentum times the buffer.") \
    PN_MAXIMIZE(S)
#define PN_SETTINGS_adam(S) \
    PN_LR(S, "1e-3") PN_ADAM_BETAS(S) PN_EPS(S, "1e-8") PN_L2(S) PN_AMSGRAD(S) PN_MAXIMIZE(S) \
    PN_DECOUPLED(S)
#define PN_SETTINGS_adamw(S) \
    PN_LR(S, "1e-3") PN_ADAM_BETAS(S) PN_EPS(S, "1e-8") PN_DECAY(S, "0.01") PN_AMSGRAD(S) PN_MAXIMIZE(S)
#define PN_SETTINGS_nadam(S) \
    PN_LR(S, "2e-3") PN_ADAM_BETAS(S) PN_EPS(S, "1e-8") PN_L2(S) \
    S(one, momentum_decay, "4e-3", "How fast the momentum of early steps grows to betas[0].") \
    PN_DECOUPLED(S) PN_MAXIMIZE(S)
#define PN_SETTINGS_radam(S) \
    PN_LR(S, "1e-3") PN_ADAM_BETAS(S) PN_EPS(S, "1e-8") PN_L2(S) PN_DECOUPLED(S) PN_MAXIMIZE(S)
#define PN_SETTINGS_adamax(S) \
    PN_LR(S, "2e-3") \
    S(two, betas, "(0.9, 0.999)", "Shares kept at each step of the mean of g and of the largest magnitude " \
                  "of g.") \
    S(one, eps, "1e-8", "Added to magnitudes of g, against division by 0.") PN_L2(S) PN_MAXIMIZE(S)
#define PN_SETTINGS_rmsprop(S) \
    PN_LR(S, "0.01") \
    S(one, alpha, "0.99", "Share of the mean of g squared that is kept at each step.") \
    PN_EPS(S, "1e-8") PN_L2(S) \
    S(one, momentum, "0.0", "Share of the last step that is added to the next; 0 keeps no buffer.") \
    S(one, centered, "False", "Whether to divide by the standard deviation of g, whose mean is kept too.") \
    PN_MAXIMIZE(S)
#define PN_SETTINGS_adagrad(S) \
    PN_LR(S, "0.01") \
    S(one, lr_decay, "0.0", "The rate of step t is lr / (1 + (t - 1) lr_decay).") PN_L2(S) \
    S(one, initial_accumulator_value, "0.0", "Where the sum of g squared starts.") \
    PN_EPS(S, "1e-10") PN_MAXIMIZE(S)
#define PN_SETTINGS_adadelta(S) \
    PN_LR(S, "1.0") \
    S(one, rho, "0.9", "Share kept at each step of the means of g squared and of the step squared.") \
    S(one, eps, "1e-6", "Added to both means; it also decides how long the first steps are.") \
    PN_L2(S) PN_MAXIMIZE(S)
#define PN_SETTINGS_rprop(S) \
    S(one, lr, "0.01", "The first step of each element.") \
    S(two, etas, "(0.5, 1.2)", "Factors of an element's step when its gradient's sign changes, and when it " \
                 "stays.") \
    S(two, step_sizes, "(1e-6, 50.0)", "The smallest and the largest step of an element.") PN_MAXIMIZE(S)
#define PN_SETTINGS_asgd(S) \
    PN_LR(S, "0.01") \
    S(one, lambd, "1e-4", "Decay of p, by 1 - lambd * eta a step, and of the rate eta, over lr * t.") \
    S(one, alpha, "0.75", "Power of the decay of the rate.") \
    S(one, t0, "1e6", "Step from which the average is taken.") PN_L2(S) PN_MAXIMIZE(S)
#define PN_SETTINGS_lion(S) \
    PN_LR(S, "1e-4") \
    S(two, betas, "(0.9, 0.99)", "Shares of the mean of g in a step's direction, and kept at each step.") \
    PN_DECAY(S, "0.0") PN_MAXIMIZE(S)
#define PN_SETTINGS_adafactor(S) \
    S(one, lr, "0.01", "Largest learning rate, relative to the parameter's root mean square.") \
    S(one, beta2_decay, "-0.8", "Power of the step by which the share of new second moments falls.") \
    S(two, eps, "(None, 1e-3)", "Least second moment (None: the dtype's epsilon, squared) and least root " \
                "mean square of a parameter.") \
    S(one, d, "1.0", "Steps of a larger root mean square are clipped to it.") PN_DECAY(S, "0.0") \
              PN_MAXIMIZE(S)
#define PN_SETTINGS_muon(S) \
    PN_LR(S, "1e-3") PN_DECAY(S, "0.1") \
    S(one, momentum, "0.95", "Share of the momentum buffer that is kept at each step.") \
    S(one, nesterov, "True", "Whether the step is made of the gradient and the buffer, or of the buffer " \
                     "alone.") \
    S(three, ns_coefficients, "(3.4445, -4.775, 2.0315)", "Coefficients of Newton and Schulz's iteration.") \
    S(one, eps, "1e-7", "Least norm that the momentum is divided by.") \
    S(typed, ns_steps, "int = 5", "Iterations in a step.") \
    S(typed, adjust_lr_fn, "Literal['original', 'match_rms_adamw'] = None", "How the rate depends on the " \
        "shape: 'original' (None) by sqrt(max(1, rows / columns)), 'match_rms_adamw' by 0.2 sqrt(max(rows, " \
        "columns)).")
#endif

#ifdef R

#define UPDATE(f) static ALWAYS V CAT(new_##f, SFX)(V p, V g, V *s, const V *h, const unsigned present UNUSED)
#define HAS(k)    (present & 1u << (k))

/* a moved lerp b by the share w, from the nearer of both, so that a share of 1 gives b itself,
 * however large a is. */
static ALWAYS V CAT(lerp, SFX)(V a, V b, V w)
{
    return FMA(b - a, SEL(w < PICK(0.5f, 0.5), w, w - 1), SEL(w < PICK(0.5f, 0.5), a, b));
}
/* The share w of g^2, which fits where w g^2 does. */
static ALWAYS V CAT(square_share, SFX)(V g, V w, V rest) { return FMA(g * w, g, rest); }

/* h: lr, momentum, what the gradient adds to the buffer, weight decay, shares of gradient and
 * buffer in the step */
UPDATE(sgd)
{
    g = FMA(h[3], p, g);
    if (!HAS(0)) return FMA(-h[0], g, p);
    s[0] = FMA(h[1], s[0], h[2] * g);
    return FMA(-h[0], FMA(h[4], g, h[5] * s[0]), p);
}

/* What the family of Adam shares: h[1] to h[3] are 1 - beta1, beta2, 1 - beta2, h[6] L2, h[7] what
 * decoupled decay leaves of p. */
static ALWAYS void CAT(moments, SFX)(V *p, V *g, V *s, const V *h)
{
    *g = FMA(h[6], *p, *g);
    *p *= h[7];
    s[0] = CAT(lerp, SFX)(s[0], *g, h[1]);
    s[1] = CAT(square_share, SFX)(*g, h[3], s[1] * h[2]);
}
UPDATE(adam)    /* h[0] step size, h[4] 1 / sqrt(1 - beta2^t), h[5] eps */
{
    CAT(moments, SFX)(&p, &g, s, h);
    if (HAS(2)) s[2] = MAX(s[2], s[1]);
    return p - h[0] * s[0] / FMA(SQRT(s[HAS(2) ? 2 : 1]), h[4], h[5]);
}
UPDATE(adamw) { return CAT(new_adam, SFX)(p, g, s, h, present); }
/* as adam; h[4] is 0 while the second moment, which may have overflowed, does not count */
UPDATE(radam)
{
    CAT(moments, SFX)(&p, &g, s, h);
    return p - h[0] * s[0] / FMA(SEL(h[4] > 0, SQRT(s[1]), SPLAT(0)), h[4], h[5]);
}
UPDATE(nadam)   /* h[8] and h[0]: shares of gradient and first moment in the step */
{
    CAT(moments, SFX)(&p, &g, s, h);
    return p - FMA(h[8], g, h[0] * s[0]) / FMA(SQRT(s[1]), h[4], h[5]);
}

UPDATE(adamax)  /* h: step size, 1 - beta1, beta2, eps, weight decay */
{
    g = FMA(h[4], p, g);
    s[0] = CAT(lerp, SFX)(s[0], g, h[1]);
    s[1] = MAX(s[1] * h[2], ABS(g) + h[3]);
    return p - h[0] * s[0] / s[1];
}

UPDATE(rmsprop) /* h: lr, alpha, 1 - alpha, eps, weight decay, momentum */
{
    g = FMA(h[4], p, g);
    s[0] = CAT(square_share, SFX)(g, h[2], s[0] * h[1]);
    V square = s[0];
    if (HAS(2)) {
        s[2] = CAT(lerp, SFX)(s[2], g, h[2]);
        square = SEL(square <= PICK(0x1.fffffep127, 0x1.fffffffffffffp1023),
                     /* a variance, whatever rounding says; infinity stays */
                     MAX(SPLAT(0), square - s[2] * s[2]), square);
    }
    V step = g / (SQRT(square) + h[3]);
    if (HAS(1)) step = s[1] = FMA(h[5], s[1], step);
    return FMA(-h[0], step, p);
}

UPDATE(adagrad) /* h: lr of this step, eps, weight decay */
{
    g = FMA(h[2], p, g);
    s[0] = FMA(g, g, s[0]);
    return p - h[0] * g / (SQRT(s[0]) + h[1]);
}

UPDATE(adadelta) /* h: lr, rho, 1 - rho, eps, weight decay */
{
    g = FMA(h[4], p, g);
    s[0] = CAT(square_share, SFX)(g, h[2], s[0] * h[1]);
    V step = SQRT((s[1] + h[3]) / (s[0] + h[3])) * g;
    s[1] = CAT(square_share, SFX)(step, h[2], s[1] * h[1]);
    return FMA(-h[0], step, p);
}

UPDATE(rprop)   /* h: eta minus, eta plus, smallest and largest step */
{
    /* of the product's sign, which could underflow */
    V agreement = SEL(g > 0, s[0], SEL(g < 0, -s[0], g * s[0]));
    s[1] = MIN(h[3], MAX(h[2], s[1] * SEL(agreement > 0, h[1], SEL(agreement < 0, h[0], SPLAT(1)))));
    s[0] = g = SEL(agreement < 0, SPLAT(0), g);
    return p - SEL(g > 0, s[1], SEL(g < 0, -s[1], g));
}

UPDATE(asgd)    /* h: eta, what lambd leaves of p, share of p in its average, weight decay */
{
    g = FMA(h[3], p, g);
    p = FMA(-h[0], g, p * h[1]);
    s[0] = CAT(lerp, SFX)(s[0], p, h[2]);
    return p;
}

UPDATE(lion)    /* h: lr, beta1, 1 - beta1, beta2, 1 - beta2, what decoupled decay leaves of p */
{
    V c = FMA(h[1], s[0], h[2] * g), direction = SEL(c > 0, SPLAT(1), SEL(c < 0, SPLAT(-1), c));
    s[0] = FMA(h[3], s[0], h[4] * g);
    return FMA(-h[0], direction, p * h[5]);
}
#undef UPDATE
#endif

/* ---- the table ------------------------------------------------------------------------------- */
/* name:     of the rule
 * states:   arrays like the parameter. name=start: filled with that setting at first, else with 0.
 *           name?setting: only where it is on. Of whole parameters also name:rows, name:columns (of a
 *           matrix, one number a row or column) and name:flat (where it is no matrix)
 * cls:      the Python class
 * check:    a Python expression that the settings must satisfy
 * numbers:  kept for each parameter after its step, with their start
 * matrices_only: has the rule no meaning but for matrices?
 * formula:  Python, run by the tests: p the parameter, g its gradient (negated to maximize), t the
 *           step from 1; states, numbers and settings by name
 * summary, source: the first sentence of the documentation; where the rule is from */
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
                   "eps)", \
        .summary = "Adam: steps along the mean of gradients, over the root of the mean of their squares.", \
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
        .summary = "Rectified Adam: its first steps are those of momentum, until the second moment can be " \
                   "trusted.", \
        .source = "Liu, L., Jiang, H., He, P., Chen, W., Liu, X., Gao, J. and Han, J. (2019). On the " \
                  "variance of the adaptive learning rate and beyond. arXiv:1908.03265.") \
    ROW(adamax, "exp_avg exp_inf", .cls = "Adamax", \
        .check = "lr >= 0 and " PN_BETAS " and eps >= 0 and weight_decay >= 0", \
        .formula = "g = g + weight_decay * p; " \
                   "exp_avg = betas[0] * exp_avg + (1 - betas[0]) * g; " \
                   "exp_inf = maximum(betas[1] * exp_inf, abs(g) + eps); " \
                   "p = p - lr * exp_avg / (1 - betas[0]**t) / exp_inf", \
        .summary = "Adam on the infinity norm.", \
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
        .summary = "RMSprop: gradients over the root of the mean of their squares; centered (Graves, 2013) " \
                   "and with momentum on request.", \
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
        .summary = "Adadelta: steps scaled by the root mean square of earlier steps over that of " \
                   "gradients.", \
        .source = "Zeiler, M. D. (2012). ADADELTA: an adaptive learning rate method. arXiv:1212.5701.") \
    ROW(rprop, "prev step_size=lr", .cls = "Rprop", \
        .check = "lr >= 0 and 0 < etas[0] < 1 < etas[1]", \
        .formula = "agreement = sign(g * prev); " \
                   "step_size = clip(step_size * where(agreement > 0, etas[1], where(agreement < 0, etas[0], 1)), " \
                   "step_sizes[0], step_sizes[1]); " \
                   "prev = where(agreement < 0, 0, g); " \
                   "p = p - sign(prev) * step_size", \
        .summary = "Resilient backpropagation, for full batches: only the signs of the gradient count.", \
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
        .summary = "Lion, evolved sign momentum: steps of one size, and one state.", \
        .source = "Chen, X. et al. (2023). Symbolic discovery of optimization algorithms. arXiv:2302.06675.")

/* Those that see a whole parameter: bodies in tensor_rules.h. */
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
        .summary = "Adafactor: a matrix's second moments are kept as one number a row and one a column.", \
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
        .summary = "Muon, for the matrices of hidden layers: steps near the closest orthogonal matrix, by " \
                   "Newton and Schulz's iteration. Give the rest to another optimizer of a " \
                   "`MultiOptimizer`.", \
        .source = "Jordan, K. et al. (2024). Muon: an optimizer for hidden layers in neural networks. " \
                  "https://kellerjordan.github.io/posts/muon/.")

#define ROW(f, ...) PN_SETTINGS_STRUCT(f);
PN_OPTIMIZERS(ROW)
PN_TENSOR_OPTIMIZERS(ROW)
#undef ROW
#endif

/* ---- from settings to the numbers of a step -------------------------------------------------- */
#ifdef PN_OPTIMIZER_PREPARE

#define PREPARE(f) \
    static void from_settings_##f(const f##_settings *o, double *const *number, double step, double *h); \
    static void prepare_##f(const double *hyper, double *const *number, double step, double *h) \
    { \
        from_settings_##f((const f##_settings *)hyper, number, step, h); \
    } \
    static void from_settings_##f(const f##_settings *o, double *const *number UNUSED, \
                                  double step UNUSED, double *h)

PREPARE(sgd)
{
    const int nesterov = o->nesterov != 0;
    h[0] = o->lr;
    h[1] = o->momentum;
    h[2] = step == 1 ? 1 : 1 - o->dampening;
    h[3] = o->weight_decay;
    h[4] = nesterov;
    h[5] = nesterov ? o->momentum : 1;
}

/* What the family of Adam shares. */
static void prepare_moments(double lr, const double *betas, double eps, double decay, int decoupled,
                            double step, double *h)
{
    h[0] = lr / (1 - pow(betas[0], step));
    h[1] = 1 - betas[0];
    h[2] = betas[1];
    h[3] = 1 - betas[1];
    h[4] = 1 / sqrt(1 - pow(betas[1], step));
    h[5] = eps;
    h[6] = decoupled ? 0 : decay;
    h[7] = decoupled ? 1 - lr * decay : 1;
}
PREPARE(adam)
{
    prepare_moments(o->lr, o->betas, o->eps, o->weight_decay, o->decoupled_weight_decay != 0, step, h);
}
PREPARE(adamw) { prepare_moments(o->lr, o->betas, o->eps, o->weight_decay, 1, step, h); }

PREPARE(nadam)
{
    const double lr = o->lr, beta = o->betas[0], decay = o->momentum_decay;
    const double mu = beta * (1 - 0.5 * pow(0.96, step * decay)),
                 next = beta * (1 - 0.5 * pow(0.96, (step + 1) * decay));
    prepare_moments(lr, o->betas, o->eps, o->weight_decay, o->decoupled_weight_decay != 0, step, h);
    const double product = *number[1] *= mu;
    h[8] = lr * (1 - mu) / (1 - product);
    h[0] = lr * next / (1 - product * next);
}

/* While too few squares have been seen for their mean to mean anything, the step is that of plain
 * momentum. */
PREPARE(radam)
{
    const double beta2 = o->betas[1], power = pow(beta2, step), most = 2 / (1 - beta2) - 1,
                 length = most - 2 * step * power / (1 - power);
    prepare_moments(o->lr, o->betas, o->eps, o->weight_decay, o->decoupled_weight_decay != 0, step, h);
    if (length > 5)
        h[0] *= sqrt((length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)) *
                sqrt(1 - power);
    h[4] = length > 5;
    if (length <= 5) h[5] = 1;
}

PREPARE(adamax)
{
    h[0] = o->lr / (1 - pow(o->betas[0], step));
    h[1] = 1 - o->betas[0];
    h[2] = o->betas[1];
    h[3] = o->eps;
    h[4] = o->weight_decay;
}

PREPARE(rmsprop)
{
    h[0] = o->lr;
    h[1] = o->alpha;
    h[2] = 1 - o->alpha;
    h[3] = o->eps;
    h[4] = o->weight_decay;
    h[5] = o->momentum;
}

PREPARE(adagrad)
{
    h[0] = o->lr / (1 + (step - 1) * o->lr_decay);
    h[1] = o->eps;
    h[2] = o->weight_decay;
}

PREPARE(adadelta)
{
    h[0] = o->lr;
    h[1] = o->rho;
    h[2] = 1 - o->rho;
    h[3] = o->eps;
    h[4] = o->weight_decay;
}

PREPARE(rprop)
{
    h[0] = o->etas[0];
    h[1] = o->etas[1];
    h[2] = o->step_sizes[0];
    h[3] = o->step_sizes[1];
}

/* eta and mu, which this step uses, were made by the step before. */
PREPARE(asgd)
{
    const double eta = *number[1];
    h[0] = eta;
    h[1] = 1 - o->lambd * eta;
    h[2] = *number[2];
    h[3] = o->weight_decay;
    *number[1] = o->lr / pow(1 + o->lambd * o->lr * step, o->alpha);
    *number[2] = 1 / fmax(1, step - o->t0);
}

PREPARE(lion)
{
    h[0] = o->lr;
    h[1] = o->betas[0];
    h[2] = 1 - o->betas[0];
    h[3] = o->betas[1];
    h[4] = 1 - o->betas[1];
    h[5] = 1 - o->lr * o->weight_decay;
}
#undef PREPARE
#endif
