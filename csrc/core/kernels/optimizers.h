/* optimizers.h - every update rule, and nothing else: add one here and nowhere else.
 *
 * UPDATE(f) gives the new parameter from p, its gradient g, its state s[] (rewritten in place) and
 * the constants h[]; HAS(k) says, at compile time, whether state k is kept: those that the row
 * marks with ? are left out when their setting is off. PREPARE(f) makes h from the settings, in the
 * order of the row, the numbers kept for the parameter, and its step, from 1. By then g has been
 * clipped and, to maximize, negated. Rules that are no pass over elements have their bodies in
 * tensor_rules.h. */
#ifdef R

#define UPDATE(f) static ALWAYS V CAT(new_##f, SFX)(V p, V g, V *s, const V *h, const unsigned present UNUSED)
#define HAS(k)    (present & 1u << (k))

/* a moved towards b by the share w, from the nearer of both, so that a share of 1 gives b itself,
 * however large a is. */
static ALWAYS V CAT(towards, SFX)(V a, V b, V w)
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
    s[0] = CAT(towards, SFX)(s[0], *g, h[1]);
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
    s[0] = CAT(towards, SFX)(s[0], g, h[1]);
    s[1] = MAX(s[1] * h[2], ABS(g) + h[3]);
    return p - h[0] * s[0] / s[1];
}

UPDATE(rmsprop) /* h: lr, alpha, 1 - alpha, eps, weight decay, momentum */
{
    g = FMA(h[4], p, g);
    s[0] = CAT(square_share, SFX)(g, h[2], s[0] * h[1]);
    V square = s[0];
    if (HAS(2)) {
        s[2] = CAT(towards, SFX)(s[2], g, h[2]);
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
    V turn = SEL(g > 0, s[0], SEL(g < 0, -s[0], g * s[0]));
    s[1] = MIN(h[3], MAX(h[2], s[1] * SEL(turn > 0, h[1], SEL(turn < 0, h[0], SPLAT(1)))));
    s[0] = g = SEL(turn < 0, SPLAT(0), g);
    return p - SEL(g > 0, s[1], SEL(g < 0, -s[1], g));
}

UPDATE(asgd)    /* h: eta, what lambd leaves of p, share of p in its average, weight decay */
{
    g = FMA(h[3], p, g);
    p = FMA(-h[0], g, p * h[1]);
    s[0] = CAT(towards, SFX)(s[0], p, h[2]);
    return p;
}

UPDATE(lion)    /* h: lr, beta1, 1 - beta1, beta2, 1 - beta2, what decoupled decay leaves of p */
{
    V c = FMA(h[1], s[0], h[2] * g), way = SEL(c > 0, SPLAT(1), SEL(c < 0, SPLAT(-1), c));
    s[0] = FMA(h[3], s[0], h[4] * g);
    return FMA(-h[0], way, p * h[5]);
}

/* The gradient as a rule sees it: scaled (which clips by norm, and negates to maximize), clipped by
 * value, and with L1's sign of p. */
static ALWAYS V CAT(adjusted, SFX)(V p, V g, const pn_update_args *a)
{
    g *= SPLAT(a->scale);
    if (a->clip > 0) g = MIN(SPLAT(a->clip), MAX(SPLAT(-a->clip), g));
    return g + SEL(p > 0, SPLAT(a->l1), SEL(p < 0, SPLAT(-a->l1), SPLAT(0)));
}
#define PART_LOAD(q)     (m == L ? LOAD((q) + i) : LOAD_PART((q) + i, m))
#define PART_STORE(q, v) do { if (m == L) STORE((q) + i, (v)); else STORE_PART((q) + i, m, (v)); } while (0)

/* Moves the average that is kept of a parameter towards it. */
static ALWAYS void CAT(follow, SFX)(R *average, size_t i, size_t m, V p, double share)
{
    V e = PART_LOAD(average);
    PART_STORE(average, CAT(towards, SFX)(e, p, SPLAT(share)));
}

/* For the rules of tensor_rules.h: the adjusted gradient, and the average. */
static void CAT(adjust, SFX)(const pn_update_args *a, void *adjusted)
{
    const R *p = a->p, *g = a->g;
    for (size_t i = 0, m; i < a->n; i += m) {
        m = a->n - i < L ? a->n - i : L;
        PART_STORE((R *)adjusted, CAT(adjusted, SFX)(PART_LOAD(p), PART_LOAD(g), a));
    }
}
static void CAT(average, SFX)(const pn_update_args *a)
{
    const R *p = a->p;
    for (size_t i = 0, m; i < a->n; i += m) {
        m = a->n - i < L ? a->n - i : L;
        CAT(follow, SFX)(a->average, i, m, PART_LOAD(p), a->share);
    }
}

/* A constant of a rule in the parameters' type, in which none but 0 becomes 0: an epsilon is there
 * to keep a divisor from it. */
static R CAT(constant, SFX)(double x)
{
    const R r = (R)x, least = PICK(0x1p-126, 0x1p-1022);
    return r == 0 && x != 0 ? (x > 0 ? least : -least) : r;
}

typedef V CAT(rule, SFX)(V p, V g, V *s, const V *h, const unsigned present);
/* Once a line of the cache asks for what comes a page later: the machine's own looking ahead ends
 * with the page. */
#define LINE_BEGINS      (i * sizeof(R) % 64 < PN_VL)
#define AHEAD(q)         __builtin_prefetch((const void *)((uintptr_t)((q) + i) + 4096))
/* Elements i to i + m; all but the pointers is constant after inlining, so that each array is read
 * and written once. */
static ALWAYS void CAT(update_part, SFX)(CAT(rule, SFX) * f, const unsigned present,
                                         const int plain, const pn_update_args *a, R *const *s,
                                         const V *h, size_t i, const size_t m)
{
    R *to = a->p;
    const R *from = a->g;
    if (m == L && LINE_BEGINS) {
        AHEAD(to), AHEAD(from);
        _Pragma("GCC unroll 8") for (int k = 0; k < PN_MAX_STATES; k++) if (HAS(k)) AHEAD(s[k]);
    }
    V v[PN_MAX_STATES], p = PART_LOAD(to), g = PART_LOAD(from);
    g = plain ? g * SPLAT(a->scale) : CAT(adjusted, SFX)(p, g, a);
    _Pragma("GCC unroll 8") for (int k = 0; k < PN_MAX_STATES; k++) if (HAS(k))
        v[k] = PART_LOAD(s[k]);
    p = f(p, g, v, h, present);
    PART_STORE(to, p);
    _Pragma("GCC unroll 8") for (int k = 0; k < PN_MAX_STATES; k++) if (HAS(k))
        PART_STORE(s[k], v[k]);
    if (!plain && a->average) CAT(follow, SFX)(a->average, i, m, p, a->share);
}
static ALWAYS void CAT(update_span, SFX)(CAT(rule, SFX) * f, const unsigned present,
                                         const int plain, const pn_update_args *args)
{
    /* which no store of ours can change, for all the compiler knows */
    const pn_update_args copy = *args, *a = &copy;
    R *s[PN_MAX_STATES];
    V h[PN_MAX_HYPER];
    for (int k = 0; k < PN_MAX_STATES; k++) s[k] = a->state[k];
    for (int k = 0; k < PN_MAX_HYPER; k++) h[k] = SPLAT(CAT(constant, SFX)(a->h[k]));
    /* First up to a whole vector of p: NumPy's arrays all lie 16 bytes past a line of the cache,
     * and a vector across two lines costs twice. */
    const size_t before = (uintptr_t)a->p % PN_VL, start = (PN_VL - before) % PN_VL / sizeof(R);
    size_t i = start < a->n ? start : 0;
    if (i) CAT(update_part, SFX)(f, present, plain, a, s, h, 0, i);
    for (; i + L <= a->n; i += L) CAT(update_part, SFX)(f, present, plain, a, s, h, i, L);
    if (i < a->n) CAT(update_part, SFX)(f, present, plain, a, s, h, i, a->n - i);
}

/* Which sets of states a row can have: all that are not marked with ?, and of those that are, the
 * last ones, any. Folded at compile time. */
#define STATES(names)        (!!*(names) + !!strchr(names, ' ') + (strrchr(names, ' ') != strchr(names, ' ')))
#define OPTIONAL(names)      (!!strchr(names, '?') + (strrchr(names, '?') != strchr(names, '?')))
#define FIXED(names)         ((1u << (STATES(names) - OPTIONAL(names))) - 1)
#define POSSIBLE(names, set) ((set) < 1u << STATES(names) && ((set) & FIXED(names)) == FIXED(names))
#define CASE(f, names, set) \
    case set: \
        if (POSSIBLE(names, set) && plain) CAT(update_span, SFX)(CAT(new_##f, SFX), set, 1, a); \
        else if (POSSIBLE(names, set)) CAT(update_span, SFX)(CAT(new_##f, SFX), set, 0, a); \
        break;
#define ROW(f, cls, hyper, check, states, ...) \
static void CAT(update_##f, SFX)(const pn_update_args *a) \
{ \
    const int plain = !a->average && a->clip <= 0 && a->l1 == 0; \
    unsigned present = 0; \
    for (int k = 0; k < PN_MAX_STATES; k++) if (a->state[k]) present |= 1u << k; \
    switch (present) { \
        CASE(f, states, 0) CASE(f, states, 1) CASE(f, states, 2) CASE(f, states, 3) \
        CASE(f, states, 4) CASE(f, states, 5) CASE(f, states, 6) CASE(f, states, 7) \
    } \
}
PN_OPTIMIZERS(ROW)
#undef ROW
#undef CASE
#undef UPDATE
#undef HAS
#undef LINE_BEGINS
#undef AHEAD
#undef STATES
#undef OPTIONAL
#undef FIXED
#undef POSSIBLE
#endif

#ifdef PN_OPTIMIZER_PREPARE

#define PREPARE(f) static void prepare_##f(const double *hyper, double *const *number, double step, double *h)

PREPARE(sgd)
{
    const double momentum = hyper[1], dampening = hyper[2];
    const int nesterov = hyper[4] != 0;
    (void)number;
    h[0] = hyper[0];
    h[1] = momentum;
    h[2] = step == 1 ? 1 : 1 - dampening;
    h[3] = hyper[3];
    h[4] = nesterov;
    h[5] = nesterov ? momentum : 1;
}

/* hyper starts with lr, betas, eps, weight_decay in all of Adam's family. */
static void prepare_moments(const double *hyper, int decoupled, double step, double *h)
{
    const double lr = hyper[0], beta1 = hyper[1], beta2 = hyper[2], decay = hyper[4];
    h[0] = lr / (1 - pow(beta1, step));
    h[1] = 1 - beta1;
    h[2] = beta2;
    h[3] = 1 - beta2;
    h[4] = 1 / sqrt(1 - pow(beta2, step));
    h[5] = hyper[3];
    h[6] = decoupled ? 0 : decay;
    h[7] = decoupled ? 1 - lr * decay : 1;
}
PREPARE(adam)  { (void)number; prepare_moments(hyper, hyper[6] != 0, step, h); }
PREPARE(adamw) { (void)number; prepare_moments(hyper, 1, step, h); }

PREPARE(nadam)
{
    const double lr = hyper[0], beta1 = hyper[1], decay = hyper[5];
    const double mu = beta1 * (1 - 0.5 * pow(0.96, step * decay)),
                 next = beta1 * (1 - 0.5 * pow(0.96, (step + 1) * decay));
    prepare_moments(hyper, hyper[6] != 0, step, h);
    const double product = *number[1] *= mu;
    h[8] = lr * (1 - mu) / (1 - product);
    h[0] = lr * next / (1 - product * next);
}

/* While too few squares have been seen for their mean to mean anything, the step is that of plain
 * momentum. */
PREPARE(radam)
{
    const double beta2 = hyper[2], power = pow(beta2, step), most = 2 / (1 - beta2) - 1,
                 length = most - 2 * step * power / (1 - power);
    (void)number;
    prepare_moments(hyper, hyper[5] != 0, step, h);
    if (length > 5)
        h[0] *= sqrt((length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)) *
                sqrt(1 - power);
    h[4] = length > 5;
    if (length <= 5) h[5] = 1;
}

PREPARE(adamax)
{
    (void)number;
    h[0] = hyper[0] / (1 - pow(hyper[1], step));
    h[1] = 1 - hyper[1];
    h[2] = hyper[2];
    h[3] = hyper[3];
    h[4] = hyper[4];
}

PREPARE(rmsprop)
{
    (void)number; (void)step;
    h[0] = hyper[0];
    h[1] = hyper[1];
    h[2] = 1 - hyper[1];
    h[3] = hyper[2];
    h[4] = hyper[3];
    h[5] = hyper[4];
}

PREPARE(adagrad)
{
    (void)number;
    h[0] = hyper[0] / (1 + (step - 1) * hyper[1]);
    h[1] = hyper[4];
    h[2] = hyper[2];
}

PREPARE(adadelta)
{
    (void)number; (void)step;
    h[0] = hyper[0];
    h[1] = hyper[1];
    h[2] = 1 - hyper[1];
    h[3] = hyper[2];
    h[4] = hyper[3];
}

PREPARE(rprop)
{
    (void)number; (void)step;
    for (int k = 0; k < 4; k++) h[k] = hyper[1 + k];
}

/* eta and mu, which this step uses, were made by the step before. */
PREPARE(asgd)
{
    const double lr = hyper[0], lambd = hyper[1], alpha = hyper[2], t0 = hyper[3], eta = *number[1];
    h[0] = eta;
    h[1] = 1 - lambd * eta;
    h[2] = *number[2];
    h[3] = hyper[4];
    *number[1] = lr / pow(1 + lambd * lr * step, alpha);
    *number[2] = 1 / fmax(1, step - t0);
}

PREPARE(lion)
{
    (void)number; (void)step;
    h[0] = hyper[0];
    h[1] = hyper[1];
    h[2] = 1 - hyper[1];
    h[3] = hyper[2];
    h[4] = 1 - hyper[2];
    h[5] = 1 - hyper[0] * hyper[3];
}
#undef PREPARE
#endif

/* settings: the first is lr; flattened left to right for C, without maximize, which turns the
 * gradient before any rule sees it. states:   arrays like the parameter. name=start: filled with
 * that setting at first, else with 0. name?setting: only where it is on.
 *
 *           Of whole parameters also name:rows, name:columns (of a matrix, one number a
 *           row or column) and name:flat (where it is no matrix).
 *
 * numbers:  kept for each parameter after its step, with their start. formula:  Python, run by the
 * tests: p the parameter, g its gradient (negated to maximize), t the step from 1; states, numbers
 * and
 *
 *           settings by name. */
#ifndef PN_OPTIMIZERS
#define PN_BETAS "0 <= betas[0] < 1 and 0 <= betas[1] < 1"
#define PN_OPTIMIZERS(ROW) \
    ROW(sgd, SGD, "lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False", \
        "lr >= 0 and momentum >= 0 and weight_decay >= 0 and (not nesterov or (momentum > 0 and dampening == 0))", \
        "momentum_buffer?momentum", "", \
        "g = g + weight_decay * p; " \
        "momentum_buffer = g if t == 1 else momentum * momentum_buffer + (1 - dampening) * g; " \
        "p = p - lr * (g + momentum * momentum_buffer if nesterov else momentum_buffer if momentum else g)", \
        "Stochastic gradient descent with momentum and Nesterov's variant (Sutskever et al., 2013), as PyTorch defines it.") \
    ROW(adam, Adam, "lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, maximize=False, decoupled_weight_decay=False", \
        "lr >= 0 and " PN_BETAS " and eps >= 0 and weight_decay >= 0", \
        "exp_avg exp_avg_sq max_exp_avg_sq?amsgrad", "", \
        "g = g + (0 if decoupled_weight_decay else weight_decay) * p; " \
        "p = p * (1 - lr * (weight_decay if decoupled_weight_decay else 0)); " \
        "exp_avg = betas[0] * exp_avg + (1 - betas[0]) * g; " \
        "exp_avg_sq = betas[1] * exp_avg_sq + (1 - betas[1]) * g**2; " \
        "max_exp_avg_sq = maximum(max_exp_avg_sq, exp_avg_sq) if amsgrad else exp_avg_sq; " \
        "p = p - lr * exp_avg / (1 - betas[0]**t) / (sqrt(max_exp_avg_sq / (1 - betas[1]**t)) + eps)", \
        "Adam (Kingma and Ba, 2014), with AMSGrad (Reddi et al., 2018) if asked for; weight_decay adds an L2 term to the gradient.") \
    ROW(adamw, AdamW, "lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, amsgrad=False, maximize=False", \
        "lr >= 0 and " PN_BETAS " and eps >= 0 and weight_decay >= 0", \
        "exp_avg exp_avg_sq max_exp_avg_sq?amsgrad", "", \
        "p = p * (1 - lr * weight_decay); " \
        "exp_avg = betas[0] * exp_avg + (1 - betas[0]) * g; " \
        "exp_avg_sq = betas[1] * exp_avg_sq + (1 - betas[1]) * g**2; " \
        "max_exp_avg_sq = maximum(max_exp_avg_sq, exp_avg_sq) if amsgrad else exp_avg_sq; " \
        "p = p - lr * exp_avg / (1 - betas[0]**t) / (sqrt(max_exp_avg_sq / (1 - betas[1]**t)) + eps)", \
        "Adam with decoupled weight decay (Loshchilov and Hutter, 2017).") \
    ROW(nadam, NAdam, "lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, momentum_decay=4e-3, decoupled_weight_decay=False, maximize=False", \
        "lr >= 0 and " PN_BETAS " and eps >= 0 and weight_decay >= 0 and momentum_decay >= 0", \
        "exp_avg exp_avg_sq", "mu_product=1", \
        "g = g + (0 if decoupled_weight_decay else weight_decay) * p; " \
        "p = p * (1 - lr * (weight_decay if decoupled_weight_decay else 0)); " \
        "mu = betas[0] * (1 - 0.5 * 0.96**(t * momentum_decay)); " \
        "mu_next = betas[0] * (1 - 0.5 * 0.96**((t + 1) * momentum_decay)); " \
        "mu_product = mu_product * mu; " \
        "exp_avg = betas[0] * exp_avg + (1 - betas[0]) * g; " \
        "exp_avg_sq = betas[1] * exp_avg_sq + (1 - betas[1]) * g**2; " \
        "p = p - lr * ((1 - mu) / (1 - mu_product) * g + mu_next / (1 - mu_product * mu_next) * exp_avg)" \
        " / (sqrt(exp_avg_sq / (1 - betas[1]**t)) + eps)", \
        "Adam with Nesterov's momentum (Dozat, 2016).") \
    ROW(radam, RAdam, "lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled_weight_decay=False, maximize=False", \
        "lr >= 0 and " PN_BETAS " and eps >= 0 and weight_decay >= 0", \
        "exp_avg exp_avg_sq", "", \
        "g = g + (0 if decoupled_weight_decay else weight_decay) * p; " \
        "p = p * (1 - lr * (weight_decay if decoupled_weight_decay else 0)); " \
        "exp_avg = betas[0] * exp_avg + (1 - betas[0]) * g; " \
        "exp_avg_sq = betas[1] * exp_avg_sq + (1 - betas[1]) * g**2; " \
        "most = 2 / (1 - betas[1]) - 1; " \
        "length = most - 2 * t * betas[1]**t / (1 - betas[1]**t); " \
        "rectified = sqrt(abs((length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length))) * sqrt(1 - betas[1]**t)" \
        " / (sqrt(exp_avg_sq) + eps); " \
        "p = p - lr * exp_avg / (1 - betas[0]**t) * (rectified if length > 5 else 1)", \
        "Rectified Adam (Liu et al., 2019): its first steps are those of momentum, until the second moment can be trusted.") \
    ROW(adamax, Adamax, "lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, maximize=False", \
        "lr >= 0 and " PN_BETAS " and eps >= 0 and weight_decay >= 0", \
        "exp_avg exp_inf", "", \
        "g = g + weight_decay * p; " \
        "exp_avg = betas[0] * exp_avg + (1 - betas[0]) * g; " \
        "exp_inf = maximum(betas[1] * exp_inf, abs(g) + eps); " \
        "p = p - lr * exp_avg / (1 - betas[0]**t) / exp_inf", \
        "Adam on the infinity norm (Kingma and Ba, 2014).") \
    ROW(rmsprop, RMSprop, "lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False, maximize=False", \
        "lr >= 0 and alpha >= 0 and eps >= 0 and weight_decay >= 0 and momentum >= 0", \
        "square_avg momentum_buffer?momentum grad_avg?centered", "", \
        "g = g + weight_decay * p; " \
        "square_avg = alpha * square_avg + (1 - alpha) * g**2; " \
        "grad_avg = alpha * grad_avg + (1 - alpha) * g if centered else 0; " \
        "step = g / (sqrt(square_avg - grad_avg**2) + eps); " \
        "momentum_buffer = momentum * momentum_buffer + step if momentum else step; " \
        "p = p - lr * momentum_buffer", \
        "RMSprop (Tieleman and Hinton, 2012), centered (Graves, 2013) and with momentum if asked for.") \
    ROW(adagrad, Adagrad, "lr=0.01, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10, maximize=False", \
        "lr >= 0 and lr_decay >= 0 and weight_decay >= 0 and initial_accumulator_value >= 0 and eps >= 0", \
        "sum=initial_accumulator_value", "", \
        "g = g + weight_decay * p; " \
        "sum = sum + g**2; " \
        "p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(sum) + eps)", \
        "Adagrad (Duchi, Hazan and Singer, 2011).") \
    ROW(adadelta, Adadelta, "lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.0, maximize=False", \
        "lr >= 0 and 0 <= rho <= 1 and eps >= 0 and weight_decay >= 0", \
        "square_avg acc_delta", "", \
        "g = g + weight_decay * p; " \
        "square_avg = rho * square_avg + (1 - rho) * g**2; " \
        "step = sqrt(acc_delta + eps) / sqrt(square_avg + eps) * g; " \
        "acc_delta = rho * acc_delta + (1 - rho) * step**2; " \
        "p = p - lr * step", \
        "Adadelta (Zeiler, 2012).") \
    ROW(rprop, Rprop, "lr=0.01, etas=(0.5, 1.2), step_sizes=(1e-6, 50.0), maximize=False", \
        "lr >= 0 and 0 < etas[0] < 1 < etas[1]", \
        "prev step_size=lr", "", \
        "turn = sign(g * prev); " \
        "step_size = clip(step_size * where(turn > 0, etas[1], where(turn < 0, etas[0], 1)), step_sizes[0], step_sizes[1]); " \
        "prev = where(turn < 0, 0, g); " \
        "p = p - sign(prev) * step_size", \
        "Resilient backpropagation (Riedmiller and Braun, 1993), for full batches: only the signs of the gradient count.") \
    ROW(asgd, ASGD, "lr=0.01, lambd=1e-4, alpha=0.75, t0=1e6, weight_decay=0.0, maximize=False", \
        "lr >= 0 and weight_decay >= 0", \
        "ax", "eta=lr mu=1", \
        "g = g + weight_decay * p; " \
        "p = p * (1 - lambd * eta) - eta * g; " \
        "ax = ax + mu * (p - ax); " \
        "eta = lr / (1 + lambd * lr * t)**alpha; " \
        "mu = 1 / maximum(1, t - t0)", \
        "Averaged stochastic gradient descent (Polyak and Juditsky, 1992); the state ax is the average.") \
    ROW(lion, Lion, "lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0, maximize=False", \
        "lr >= 0 and " PN_BETAS " and weight_decay >= 0", \
        "exp_avg", "", \
        "p = p * (1 - lr * weight_decay) - lr * sign(betas[0] * exp_avg + (1 - betas[0]) * g); " \
        "exp_avg = betas[1] * exp_avg + (1 - betas[1]) * g", \
        "Lion, evolved sign momentum (Chen et al., 2023): steps of one size, and one state.")

/* Those that see a whole parameter: bodies in tensor_rules.h. */
#define PN_TENSOR_OPTIMIZERS(ROW) \
    ROW(adafactor, Adafactor, "lr=0.01, beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0.0, maximize=False", \
        "lr >= 0 and beta2_decay <= 0 and (eps[0] is None or eps[0] >= 0) and eps[1] >= 0 and d >= 1 and weight_decay >= 0", \
        "row_var:rows col_var:columns variance:flat", "", \
        "size = maximum(eps[1], sqrt(mean(p**2))) * minimum(lr, 1 / sqrt(t)); " \
        "p = p * (1 - lr * weight_decay); " \
        "share = t**beta2_decay; " \
        "row_var = row_var + share * (mean(g**2, -1, keepdims=True) - row_var) if g.ndim > 1 else 0; " \
        "col_var = col_var + share * (mean(g**2, -2, keepdims=True) - col_var) if g.ndim > 1 else 0; " \
        "variance = row_var * col_var / maximum(mean(row_var, -2, keepdims=True), eps[0]) if g.ndim > 1" \
        " else variance + share * (g**2 - variance); " \
        "step = g / sqrt(maximum(variance, eps[0]**2)); " \
        "p = p - size * step / maximum(1, sqrt(mean(step**2)) / d)", \
        "Adafactor (Shazeer and Stern, 2018): a matrix's second moments are kept as one number a row and one a column.") \
    ROW(muon, Muon, "lr=1e-3, weight_decay=0.1, momentum=0.95, nesterov=True, ns_coefficients=(3.4445, -4.775, 2.0315), eps=1e-7, ns_steps: int=5, " \
        "adjust_lr_fn=None", \
        "lr >= 0 and weight_decay >= 0 and momentum >= 0 and eps >= 0 and 0 <= ns_steps < 100 and " \
        "adjust_lr_fn in (None, 'original', 'match_rms_adamw')", \
        "momentum_buffer", "", \
        "momentum_buffer = momentum * momentum_buffer + (1 - momentum) * g; " \
        "step = newton_schulz(momentum * momentum_buffer + (1 - momentum) * g if nesterov else momentum_buffer, ns_coefficients, ns_steps, eps); " \
        "rows, columns = p.shape; " \
        "adjusted = lr * (0.2 * sqrt(maximum(rows, columns)) if adjust_lr_fn == 'match_rms_adamw' else sqrt(maximum(1, rows / columns))); " \
        "p = p * (1 - lr * weight_decay) - adjusted * step", \
        "Muon (Jordan et al., 2024), for the matrices of hidden layers, with the rest left to another optimizer of a `MultiOptimizer`: steps near " \
        "the closest orthogonal matrix, by Newton and Schulz's iteration.")
#endif
