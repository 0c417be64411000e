/* optimizers.h - every update rule, and nothing else: add one here and nowhere else.
 *
 * UPDATE(f) gives the new parameter from p, its gradient g, its state s[] (rewritten in place) and the constants h[].
 * PREPARE(f) makes h from the hyperparameters, in the order of the row, and the step count, which starts at 1. */
#ifdef R

#define UPDATE(f) static inline V CAT(new_##f, SFX)(V p, V g, V *s, const V *h)

UPDATE(sgd)     /* h: lr, momentum, what the gradient adds to the buffer, weight decay, shares of gradient and buffer in the step */
{
    g += h[3] * p;
    s[0] = h[1] * s[0] + h[2] * g;
    return p - h[0] * (h[4] * g + h[5] * s[0]);
}

/* h: step size, 1 - beta1, beta2, 1 - beta2, 1 / sqrt(1 - beta2^t), eps, L2, what decoupled decay leaves of p */
static inline V CAT(adam_step, SFX)(V p, V g, V *s, const V *h)
{
    s[0] += (g - s[0]) * h[1];
    s[1] = s[1] * h[2] + g * g * h[3];
    return p - h[0] * s[0] / (SQRT(s[1]) * h[4] + h[5]);
}
UPDATE(adam)  { return CAT(adam_step, SFX)(p, g + h[6] * p, s, h); }
UPDATE(adamw) { return CAT(adam_step, SFX)(p * h[7], g, s, h); }

/* How many names (at most PN_MAX_STATES) a text holds; folded at compile time. */
#define COUNT_STATES(names) (!!*(names) + !!strchr(names, ' ') + (strrchr(names, ' ') != strchr(names, ' ')))
#define ROW(f, cls, hyper, check, states, ...) \
static void CAT(update_##f, SFX)(size_t n, void *param, const void *grad, void *const *state, const double *constants) \
{ \
    R *p = param; \
    const R *g = grad; \
    const int ns = COUNT_STATES(states); \
    R *s[PN_MAX_STATES] = { NULL }; \
    V h[PN_MAX_HYPER], v[PN_MAX_STATES]; \
    for (int k = 0; k < ns; k++) s[k] = state[k]; \
    for (int k = 0; k < PN_MAX_HYPER; k++) h[k] = SPLAT(constants[k]); \
    size_t i = 0; \
    for (; i + L <= n; i += L) { \
        for (int k = 0; k < ns; k++) v[k] = LOAD(s[k] + i); \
        STORE(p + i, CAT(new_##f, SFX)(LOAD(p + i), LOAD(g + i), v, h)); \
        for (int k = 0; k < ns; k++) STORE(s[k] + i, v[k]); \
    } \
    if (i < n) { \
        for (int k = 0; k < ns; k++) v[k] = LOAD_PART(s[k] + i, n - i); \
        STORE_PART(p + i, n - i, CAT(new_##f, SFX)(LOAD_PART(p + i, n - i), LOAD_PART(g + i, n - i), v, h)); \
        for (int k = 0; k < ns; k++) STORE_PART(s[k] + i, n - i, v[k]); \
    } \
}
PN_OPTIMIZERS(ROW)
#undef ROW
#undef UPDATE
#undef COUNT_STATES
#endif

#ifdef PN_OPTIMIZER_PREPARE

#define PREPARE(f) static void prepare_##f(const double *hyper, int64_t step, double *h)

PREPARE(sgd)
{
    double lr = hyper[0], momentum = hyper[1], dampening = hyper[2], decay = hyper[3];
    int nesterov = hyper[4] != 0;
    h[0] = lr;
    h[1] = momentum;
    h[2] = momentum == 0 || step == 1 ? 1 : 1 - dampening;
    h[3] = decay;
    h[4] = nesterov;
    h[5] = nesterov ? momentum : 1;
}

static void prepare_moments(const double *hyper, int64_t step, double *h)
{
    double lr = hyper[0], beta1 = hyper[1], beta2 = hyper[2], eps = hyper[3], decay = hyper[4];
    h[0] = lr / (1 - pow(beta1, (double)step));
    h[1] = 1 - beta1;
    h[2] = beta2;
    h[3] = 1 - beta2;
    h[4] = 1 / sqrt(1 - pow(beta2, (double)step));
    h[5] = eps;
    h[6] = decay;
    h[7] = 1 - lr * decay;
}
PREPARE(adam)  { prepare_moments(hyper, step, h); }
PREPARE(adamw) { prepare_moments(hyper, step, h); }
#undef PREPARE
#endif

#ifndef PN_OPTIMIZERS
/*      name   class  hyperparameters and check                                         states */
#define PN_OPTIMIZERS(ROW) \
    ROW(sgd,   SGD,   "lr=0.01, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False", \
        "lr >= 0 and momentum >= 0 and weight_decay >= 0 and (not nesterov or (momentum > 0 and dampening == 0))", \
        "momentum_buffer", \
        "b = momentum * b + (1 - dampening) * g;  p -= lr * (g + momentum * b if nesterov else b)", \
        "Stochastic gradient descent with momentum and Nesterov's variant (Sutskever et al., 2013), as PyTorch defines it.") \
    ROW(adam,  Adam,  "lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0", \
        "lr >= 0 and 0 <= betas[0] < 1 and 0 <= betas[1] < 1 and eps >= 0 and weight_decay >= 0", \
        "exp_avg exp_avg_sq", \
        "m += (g - m) * (1 - beta1);  v = beta2 * v + (1 - beta2) * g**2;  p -= lr / (1 - beta1**t) * m / (sqrt(v / (1 - beta2**t)) + eps)", \
        "Adam (Kingma and Ba, 2014); weight_decay adds an L2 term to the gradient.") \
    ROW(adamw, AdamW, "lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01", \
        "lr >= 0 and 0 <= betas[0] < 1 and 0 <= betas[1] < 1 and eps >= 0 and weight_decay >= 0", \
        "exp_avg exp_avg_sq", \
        "p *= 1 - lr * weight_decay; then as Adam without weight decay", \
        "Adam with decoupled weight decay (Loshchilov and Hutter, 2017).")
#endif
