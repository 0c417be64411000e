/* schedules.h - the table of learning-rate schedules. A new schedule needs only a row and a
 * function here.
 *
 * SCHEDULE(f) computes the rate at time t >= 0 from the unscheduled rate lr and its settings v.
 * Schedules that cycle the momentum store it in *m. A rate depends on t alone, so that resumed
 * training continues as if it had never been interrupted. */

/* PN_SCHEDULE_f(V) lists the settings of schedule f: V(name, default, documentation). From it come
 * the struct f_values of its function, and the signature, checks and documentation in Python. */
#ifndef PN_SCHEDULES
#define PN_VALUE_FIELD(name, start, docs) double name;
#define PN_VALUE_TEXT(name, start, docs)  #name start ", "
#define PN_VALUE_DOCS(name, start, docs)  #name ": " docs "\n"

#define PN_SCHEDULE_factor(V) V(factor, "", "The factor of the rate.")
#define PN_SCHEDULE_held(V)   V(rate, "", "The rate.")
#define PN_SCHEDULE_constant(V) \
    V(factor, "=0.3333333333333333", "The factor of the rate until total_iters.") \
    V(total_iters, "=5", "The time at which the factor stops applying.")
#define PN_SCHEDULE_step(V) \
    V(step_size, "", "The time between two reductions.") \
    V(gamma, "=0.1", "The factor of each reduction.")
#define PN_SCHEDULE_exponential(V) V(gamma, "", "The factor of the rate after each epoch, or step.")
#define PN_SCHEDULE_linear(V) \
    V(start_factor, "=0.3333333333333333", "The factor of the rate at time 0.") \
    V(end_factor, "=1.0", "The factor of the rate from total_iters on.") \
    V(total_iters, "=5", "The time at which end_factor is reached.")
#define PN_SCHEDULE_polynomial(V) \
    V(total_iters, "=5", "The time at which the rate reaches zero.") \
    V(power, "=1.0", "The exponent of the decay; 1 is linear.")
#define PN_SCHEDULE_warmup(V) V(total_iters, "", "The number of epochs, or steps, of the warm-up.")
#define PN_SCHEDULE_cosine(V) \
    V(T_max, "", "The time at which the rate reaches eta_min, after which it rises again.") \
    V(eta_min, "=0.0", "The lowest rate.")
#define PN_SCHEDULE_cosine_restarts(V) \
    V(T_0, "", "The time until the first restart.") \
    V(T_mult, "=1", "The factor by which the time between restarts grows at each restart.") \
    V(eta_min, "=0.0", "The lowest rate.")
#define PN_SCHEDULE_one_cycle(V) \
    V(max_lr, "", "The highest rate.") \
    V(total_steps, "", "The length of the cycle.") \
    V(pct_start, "", "The fraction of the cycle in which the rate rises.") \
    V(div_factor, "", "The ratio of the highest rate to the first.") \
    V(final_div_factor, "", "The ratio of the first rate to the last.") \
    V(base_momentum, "", "The momentum at the highest rate.") \
    V(max_momentum, "", "The momentum at the start and at the end.") \
    V(flags, "", "1: linear instead of cosine annealing; 2: three phases.")
#define PN_SCHEDULE_cyclic(V) \
    V(base_lr, "", "The lowest rate.") \
    V(max_lr, "", "The highest rate.") \
    V(step_size_up, "", "The time in which the rate rises.") \
    V(step_size_down, "", "The time in which the rate falls.") \
    V(mode, "", "0: constant height; 1: height halved at each cycle; 2: height times gamma**t.") \
    V(gamma, "", "The base of mode 2.") \
    V(base_momentum, "", "The momentum at the highest rate.") \
    V(max_momentum, "", "The momentum at the lowest rate.")
#endif

#ifdef PN_SCHEDULE_BODIES

#define UNUSED __attribute__((unused))
#define SCHEDULE(f) \
    typedef struct { PN_SCHEDULE_##f(PN_VALUE_FIELD) } f##_values; \
    _Static_assert(sizeof(f##_values) <= PN_MAX_SCHEDULE * sizeof(double), \
                   #f ": too many settings"); \
    static double rate_##f(const f##_values *v, double t, double lr, double *m); \
    static double schedule_##f(const double *v, double t, double lr, double *m) \
    { \
        return rate_##f((const f##_values *)v, t, lr, m); \
    } \
    static double rate_##f(const f##_values *v, double t UNUSED, double lr UNUSED, double *m UNUSED)

SCHEDULE(factor)      { return lr * v->factor; }
SCHEDULE(held)        { return v->rate; }
SCHEDULE(constant)    { return t < v->total_iters ? lr * v->factor : lr; }
SCHEDULE(step)        { return lr * pow(v->gamma, floor(t / v->step_size)); }
SCHEDULE(exponential) { return lr * pow(v->gamma, t); }
SCHEDULE(warmup)      { return lr * fmin(1, (t + 1) / v->total_iters); }
SCHEDULE(linear)
{
    const double first = v->start_factor, last = v->end_factor, total = v->total_iters;
    return lr * (first + (last - first) * fmin(t, total) / total);
}
SCHEDULE(polynomial)
{
    return lr * pow(1 - fmin(t, v->total_iters) / v->total_iters, v->power);
}
SCHEDULE(cosine)
{
    return v->eta_min + (lr - v->eta_min) * (1 + cos(PI * t / v->T_max)) / 2;
}

SCHEDULE(cosine_restarts)
{
    double length = v->T_0;
    if (v->T_mult == 1) t = fmod(t, length);
    else for (; t >= length; length *= v->T_mult) t -= length;
    return v->eta_min + (lr - v->eta_min) * (1 + cos(PI * t / length)) / 2;
}

/* Interpolates from a to b; share is in [0, 1]. */
static double anneal(double a, double b, double share, int linear)
{
    return linear ? a + (b - a) * share : b + (a - b) / 2 * (1 + cos(PI * share));
}

/* Phases up, down and, if there are three, a final one. Each starts where the previous one ends. */
SCHEDULE(one_cycle)
{
    const double peak = v->max_lr, total = v->total_steps, up = v->pct_start * total - 1,
                 first = peak / v->div_factor, last = first / v->final_div_factor,
                 low = v->base_momentum, high = v->max_momentum;
    const int linear = (int)v->flags & 1, three = (int)v->flags & 2;
    const double down = three ? 2 * v->pct_start * total - 2 : total - 1;
    t = fmin(t, total - 1);                             /* past the end the last rate holds */
    if (t <= up && up > 0) {
        *m = anneal(high, low, t / up, linear);
        return anneal(first, peak, t / up, linear);
    }
    if (t <= down || !three) {
        const double share = (t - up) / (down - up);
        *m = anneal(low, high, share, linear);
        return anneal(peak, three ? first : last, share, linear);
    }
    *m = high;
    return anneal(first, last, (t - down) / (total - 1 - down), linear);
}

/* A triangle wave between two rates. Its height may shrink with each cycle (mode 1) or each step
 * (mode 2). */
SCHEDULE(cyclic)
{
    const double low = v->base_lr, high = v->max_lr, total = v->step_size_up + v->step_size_down,
                 ratio = v->step_size_up / total, cycle = floor(1 + t / total),
                 x = 1 + t / total - cycle;
    const double shrunk = v->mode == 1 ? pow(0.5, cycle - 1)
                        : v->mode == 2 ? pow(v->gamma, t)
                                       : 1;
    const double height = (x <= ratio ? x / ratio : (x - 1) / (ratio - 1)) * shrunk;
    *m = v->max_momentum - (v->max_momentum - v->base_momentum) * height;
    return low + (high - low) * height;
}
#undef SCHEDULE
#undef UNUSED
#endif

/* One row per schedule, with named columns. A column that a row omits is empty.
 *
 * name:             the function above
 * cls:              the Python class; empty for a schedule that is only a part of others
 * check:            Python condition on the settings
 * formula:          the rate as a one-line Python expression, which the tests evaluate; may be
 *                   empty
 * example:          arguments of the class in the documentation's example, if some have no default
 * summary, source:  the first sentence of the documentation; the publication */
#ifndef PN_SCHEDULES
#define PN_SCHEDULES(ROW) \
    ROW(factor, .formula = "lr * factor", \
        .summary = "Multiply the rate by a factor; a part of other schedules.") \
    ROW(held, .formula = "rate", \
        .summary = "Keep a rate that was set by hand until time advances.") \
    ROW(constant, .cls = "ConstantLR", \
        .check = "0 <= factor <= 1 and total_iters >= 0", \
        .formula = "lr * (factor if t < total_iters else 1)", \
        .summary = "Multiply the rate by a factor until total_iters.") \
    ROW(step, .cls = "StepLR", \
        .check = "step_size > 0 and 0 <= gamma < inf", \
        .formula = "lr * gamma**(t // step_size)", .example = "step_size=3", \
        .summary = "Multiply the rate by gamma after every step_size.") \
    ROW(exponential, .cls = "ExponentialLR", .check = "0 <= gamma < inf", \
        .formula = "lr * gamma**t", .example = "gamma=0.5", \
        .summary = "Multiply the rate by gamma after each epoch, or step.") \
    ROW(linear, .cls = "LinearLR", \
        .check = "0 < start_factor <= 1 and 0 <= end_factor <= 1 and total_iters > 0", \
        .formula = "lr * (start_factor + (end_factor - start_factor) * minimum(t, total_iters) / " \
                   "total_iters)", \
        .summary = "Multiply the rate by a factor that changes linearly from start_factor to end_factor.") \
    ROW(polynomial, .cls = "PolynomialLR", \
        .check = "total_iters > 0 and 0 <= power < inf", \
        .formula = "lr * (1 - minimum(t, total_iters) / total_iters)**power", \
        .summary = "Decay the rate to zero along a polynomial of the given power.") \
    ROW(warmup, .cls = "WarmupLR", .check = "total_iters > 0", \
        .formula = "lr * minimum(1, (t + 1) / total_iters)", .example = "total_iters=3", \
        .summary = "Increase the rate linearly to its full value in total_iters steps, starting " \
                   "above zero.") \
    ROW(cosine, .cls = "CosineAnnealingLR", \
        .check = "T_max > 0 and 0 <= eta_min < inf", \
        .formula = "eta_min + (lr - eta_min) * (1 + cos(pi * t / T_max)) / 2", .example = "T_max=3", \
        .summary = "Anneal the rate to eta_min along half a cosine in T_max, then back up.", \
        .source = "Loshchilov, I. and Hutter, F. (2016). SGDR: stochastic gradient descent with warm " \
                  "restarts. arXiv:1608.03983.") \
    ROW(cosine_restarts, .cls = "CosineAnnealingWarmRestarts", \
        .check = "T_0 >= 1 and T_0 % 1 == 0 and T_mult >= 1 and T_mult % 1 == 0 and 0 <= eta_min < inf", \
        .example = "T_0=3", \
        .summary = "Anneal the rate to eta_min along half a cosine, restarting each time with a cycle " \
                   "T_mult times as long.", \
        .source = "Loshchilov, I. and Hutter, F. (2016). SGDR: stochastic gradient descent with warm " \
                  "restarts. arXiv:1608.03983.") \
    ROW(one_cycle, .summary = "OneCycleLR: up to the highest rate, back down, and far below the first.") \
    ROW(cyclic, .summary = "CyclicLR: a triangle wave between two rates.")
#endif
