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

#define PN_SCHEDULE_factor(V) V(factor, "", "Multiplies the rate.")
#define PN_SCHEDULE_held(V)   V(rate, "", "The rate.")
#define PN_SCHEDULE_constant(V) \
    V(factor, "=0.3333333333333333", "Multiplies the rate.") \
    V(total_iters, "=5", "How long it does.")
#define PN_SCHEDULE_step(V) \
    V(step_size, "", "Time between two changes.") \
    V(gamma, "=0.1", "Multiplies the rate at each change.")
#define PN_SCHEDULE_exponential(V) V(gamma, "", "Multiplies the rate each time.")
#define PN_SCHEDULE_linear(V) \
    V(start_factor, "=0.3333333333333333", "Multiplies the rate at time 0.") \
    V(end_factor, "=1.0", "Multiplies the rate from total_iters on.") \
    V(total_iters, "=5", "Time from the first factor to the second.")
#define PN_SCHEDULE_polynomial(V) \
    V(total_iters, "=5", "Time at which the rate is zero.") \
    V(power, "=1.0", "Power of the time that is left.")
#define PN_SCHEDULE_warmup(V) V(total_iters, "", "Steps until the full rate is reached.")
#define PN_SCHEDULE_cosine(V) \
    V(T_max, "", "Time at which the rate is eta_min; then it rises again.") \
    V(eta_min, "=0.0", "The lowest rate.")
#define PN_SCHEDULE_cosine_restarts(V) \
    V(T_0, "", "Time until the first restart.") \
    V(T_mult, "=1", "Multiplies the time between restarts after each one.") \
    V(eta_min, "=0.0", "The lowest rate.")
#define PN_SCHEDULE_one_cycle(V) \
    V(max_lr, "", "The peak.") \
    V(total_steps, "", "Length of the cycle.") \
    V(pct_start, "", "Share of the cycle in which the rate rises.") \
    V(div_factor, "", "The peak over the first rate.") \
    V(final_div_factor, "", "The first rate over the last.") \
    V(base_momentum, "", "Momentum at the peak.") \
    V(max_momentum, "", "Momentum at the start and the end.") \
    V(flags, "", "1: along straight lines, not half a cosine; 2: in three phases.")
#define PN_SCHEDULE_cyclic(V) \
    V(base_lr, "", "The lowest rate.") \
    V(max_lr, "", "The highest rate.") \
    V(step_size_up, "", "Time on the way up.") \
    V(step_size_down, "", "Time on the way down.") \
    V(mode, "", "0: waves of one height; 1: each half as high as the one before; 2: gamma**t.") \
    V(gamma, "", "Of mode 2.") \
    V(base_momentum, "", "Momentum at the highest rate.") \
    V(max_momentum, "", "Momentum at the lowest rate.")
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

/* Phases up, down and, if there are three, a final one. Each starts at the end of the previous one.
 */
SCHEDULE(one_cycle)
{
    const double peak = v->max_lr, total = v->total_steps, up = v->pct_start * total - 1,
                 first = peak / v->div_factor, last = first / v->final_div_factor,
                 low = v->base_momentum, high = v->max_momentum;
    const int linear = (int)v->flags & 1, three = (int)v->flags & 2;
    const double down = three ? 2 * v->pct_start * total - 2 : total - 1;
    t = fmin(t, total - 1);                             /* after the end the last rate holds */
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
        .summary = "A factor, of which parts of other schedules are made.") \
    ROW(held, .formula = "rate", \
        .summary = "A rate that was written by hand and holds until time moves.") \
    ROW(constant, .cls = "ConstantLR", \
        .check = "0 <= factor <= 1 and total_iters >= 0", \
        .formula = "lr * (factor if t < total_iters else 1)", \
        .summary = "Multiply the rate by a factor for the first total_iters.") \
    ROW(step, .cls = "StepLR", \
        .check = "step_size > 0 and 0 <= gamma < inf", \
        .formula = "lr * gamma**(t // step_size)", .example = "step_size=3", \
        .summary = "Multiply the rate by gamma every step_size.") \
    ROW(exponential, .cls = "ExponentialLR", .check = "0 <= gamma < inf", \
        .formula = "lr * gamma**t", .example = "gamma=0.5", \
        .summary = "Multiply the rate by gamma each time.") \
    ROW(linear, .cls = "LinearLR", \
        .check = "0 < start_factor <= 1 and 0 <= end_factor <= 1 and total_iters > 0", \
        .formula = "lr * (start_factor + (end_factor - start_factor) * minimum(t, total_iters) / " \
                   "total_iters)", \
        .summary = "Multiply the rate by a factor that moves in a straight line from start_factor to " \
                   "end_factor.") \
    ROW(polynomial, .cls = "PolynomialLR", \
        .check = "total_iters > 0 and 0 <= power < inf", \
        .formula = "lr * (1 - minimum(t, total_iters) / total_iters)**power", \
        .summary = "Decay the rate to zero along a power of the time that is left.") \
    ROW(warmup, .cls = "WarmupLR", .check = "total_iters > 0", \
        .formula = "lr * minimum(1, (t + 1) / total_iters)", .example = "total_iters=3", \
        .summary = "Climb to the rate in total_iters even steps, of which the first is not zero.") \
    ROW(cosine, .cls = "CosineAnnealingLR", \
        .check = "T_max > 0 and 0 <= eta_min < inf", \
        .formula = "eta_min + (lr - eta_min) * (1 + cos(pi * t / T_max)) / 2", .example = "T_max=3", \
        .summary = "Follow half a cosine from the rate to eta_min in T_max, and back.", \
        .source = "Loshchilov, I. and Hutter, F. (2016). SGDR: stochastic gradient descent with warm " \
                  "restarts. arXiv:1608.03983.") \
    ROW(cosine_restarts, .cls = "CosineAnnealingWarmRestarts", \
        .check = "T_0 >= 1 and T_0 % 1 == 0 and T_mult >= 1 and T_mult % 1 == 0 and 0 <= eta_min < inf", \
        .example = "T_0=3", \
        .summary = "Follow half a cosine from the rate to eta_min, again and again, each T_mult times as " \
                   "long as the one before.", \
        .source = "Loshchilov, I. and Hutter, F. (2016). SGDR: stochastic gradient descent with warm " \
                  "restarts. arXiv:1608.03983.") \
    ROW(one_cycle, .summary = "OneCycleLR: up to a peak, down again, and far below.") \
    ROW(cyclic, .summary = "CyclicLR: a triangle wave between two rates.")
#endif
