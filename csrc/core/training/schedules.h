/* schedules.h - every schedule of the learning rate, and nothing else: add one here and nowhere
 * else.
 *
 * SCHEDULE(f) gives the rate at time t >= 0 from the rate lr without it and the row's numbers v[];
 * *m is the momentum, for those that cycle it. Nothing is remembered: a rate is a function of t, so
 * training resumed is training never stopped. */
#ifdef PN_SCHEDULE_BODIES

#define SCHEDULE(f) static double schedule_##f(const double *v, double t, double lr, double *m)

SCHEDULE(factor)      { (void)t; (void)m; return lr * v[0]; }
SCHEDULE(held)        { (void)t; (void)m; (void)lr; return v[0]; }
SCHEDULE(constant)    { (void)m; return t < v[1] ? lr * v[0] : lr; }
SCHEDULE(step)        { (void)m; return lr * pow(v[1], floor(t / v[0])); }
SCHEDULE(exponential) { (void)m; return lr * pow(v[0], t); }
SCHEDULE(linear)      { (void)m; return lr * (v[0] + (v[1] - v[0]) * fmin(t, v[2]) / v[2]); }
SCHEDULE(polynomial)  { (void)m; return lr * pow(1 - fmin(t, v[0]) / v[0], v[1]); }
SCHEDULE(warmup)      { (void)m; return lr * fmin(1, (t + 1) / v[0]); }
SCHEDULE(cosine)      { (void)m; return v[1] + (lr - v[1]) * (1 + cos(PI * t / v[0])) / 2; }

SCHEDULE(cosine_restarts)
{
    double length = v[0];
    (void)m;
    if (v[1] == 1) t = fmod(t, length);
    else for (; t >= length; length *= v[1]) t -= length;
    return v[2] + (lr - v[2]) * (1 + cos(PI * t / length)) / 2;
}

/* From a to b on the way share of 1. */
static double anneal(double a, double b, double share, int linear)
{
    return linear ? a + (b - a) * share : b + (a - b) / 2 * (1 + cos(PI * share));
}

/* Up, down and, with three phases, out: each from the end of the one before. */
SCHEDULE(one_cycle)
{
    const double peak = v[0], total = v[1], up = v[2] * total - 1, first = peak / v[3],
                 last = first / v[4], low = v[5], high = v[6];
    const int linear = (int)v[7] & 1, three = (int)v[7] & 2;
    const double down = three ? 2 * v[2] * total - 2 : total - 1;
    (void)lr;
    t = fmin(t, total - 1);                             /* beyond the end the last rate stays */
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

/* A triangle wave between two rates, whose height may shrink with each cycle (mode 1) or each step
 * (mode 2). */
SCHEDULE(cyclic)
{
    const double low = v[0], high = v[1], total = v[2] + v[3], ratio = v[2] / total,
                 cycle = floor(1 + t / total), x = 1 + t / total - cycle;
    const double mode = v[4], shrunk = mode == 1 ? pow(0.5, cycle - 1)
                                     : mode == 2 ? pow(v[5], t)
                                                 : 1;
    const double height = (x <= ratio ? x / ratio : (x - 1) / (ratio - 1)) * shrunk;
    (void)lr;
    *m = v[7] - (v[7] - v[6]) * height;
    return low + (high - low) * height;
}
#undef SCHEDULE
#endif

/* One row a schedule, of named columns; a column that is left out is empty.
 *
 * name:    of the function above
 * cls:     the Python class; a schedule without one is a part of others
 * params, check: as an activation's; the parameters in order are v
 * docs:    "name: text\n" for each parameter
 * formula: the rate, for those that are one line of Python; the tests run it
 * example: arguments of the class in the documentation's example, where some have no default
 * summary, source: the first sentence of the documentation; where the schedule is from */
#ifndef PN_SCHEDULES
#define PN_SCHEDULES(ROW) \
    ROW(factor, .params = "factor", .formula = "lr * factor", \
        .summary = "A factor, of which parts of other schedules are made.") \
    ROW(held, .params = "rate", .formula = "rate", \
        .summary = "A rate that was written by hand and holds until time moves.") \
    ROW(constant, .cls = "ConstantLR", .params = "factor=0.3333333333333333, total_iters=5", \
        .check = "0 <= factor <= 1 and total_iters >= 0", \
        .docs = "factor: Multiplies the rate.\n" \
                "total_iters: How long it does.\n", \
        .formula = "lr * (factor if t < total_iters else 1)", \
        .summary = "Multiply the rate by a factor for the first total_iters.") \
    ROW(step, .cls = "StepLR", .params = "step_size, gamma=0.1", \
        .check = "step_size > 0 and 0 <= gamma < inf", \
        .docs = "step_size: Time between two changes.\n" \
                "gamma: Multiplies the rate at each change.\n", \
        .formula = "lr * gamma**(t // step_size)", .example = "step_size=3", \
        .summary = "Multiply the rate by gamma every step_size.") \
    ROW(exponential, .cls = "ExponentialLR", .params = "gamma", .check = "0 <= gamma < inf", \
        .docs = "gamma: Multiplies the rate each time.\n", \
        .formula = "lr * gamma**t", .example = "gamma=0.5", \
        .summary = "Multiply the rate by gamma each time.") \
    ROW(linear, .cls = "LinearLR", \
        .params = "start_factor=0.3333333333333333, end_factor=1.0, total_iters=5", \
        .check = "0 < start_factor <= 1 and 0 <= end_factor <= 1 and total_iters > 0", \
        .docs = "start_factor: Multiplies the rate at time 0.\n" \
                "end_factor: Multiplies the rate from total_iters on.\n" \
                "total_iters: Time from the first factor to the second.\n", \
        .formula = "lr * (start_factor + (end_factor - start_factor) * minimum(t, total_iters) / " \
                   "total_iters)", \
        .summary = "Multiply the rate by a factor that moves in a straight line from start_factor to " \
                   "end_factor.") \
    ROW(polynomial, .cls = "PolynomialLR", .params = "total_iters=5, power=1.0", \
        .check = "total_iters > 0 and 0 <= power < inf", \
        .docs = "total_iters: Time at which the rate is zero.\n" \
                "power: Power of the time that is left.\n", \
        .formula = "lr * (1 - minimum(t, total_iters) / total_iters)**power", \
        .summary = "Decay the rate to zero along a power of the time that is left.") \
    ROW(warmup, .cls = "WarmupLR", .params = "total_iters", .check = "total_iters > 0", \
        .docs = "total_iters: Steps until the whole rate is reached.\n", \
        .formula = "lr * minimum(1, (t + 1) / total_iters)", .example = "total_iters=3", \
        .summary = "Climb to the rate in total_iters even steps, of which the first is not zero.") \
    ROW(cosine, .cls = "CosineAnnealingLR", .params = "T_max, eta_min=0.0", \
        .check = "T_max > 0 and 0 <= eta_min < inf", \
        .docs = "T_max: Time at which the rate is eta_min; then it rises again.\n" \
                "eta_min: The lowest rate.\n", \
        .formula = "eta_min + (lr - eta_min) * (1 + cos(pi * t / T_max)) / 2", .example = "T_max=3", \
        .summary = "Follow half a cosine from the rate to eta_min in T_max, and back.", \
        .source = "Loshchilov, I. and Hutter, F. (2016). SGDR: stochastic gradient descent with warm " \
                  "restarts. arXiv:1608.03983.") \
    ROW(cosine_restarts, .cls = "CosineAnnealingWarmRestarts", .params = "T_0, T_mult=1, eta_min=0.0", \
        .check = "T_0 >= 1 and T_0 % 1 == 0 and T_mult >= 1 and T_mult % 1 == 0 and 0 <= eta_min < inf", \
        .docs = "T_0: Time until the first restart.\n" \
                "T_mult: Multiplies the time between restarts after each one.\n" \
                "eta_min: The lowest rate.\n", .example = "T_0=3", \
        .summary = "Follow half a cosine from the rate to eta_min, again and again, each T_mult times as " \
                   "long as the one before.", \
        .source = "Loshchilov, I. and Hutter, F. (2016). SGDR: stochastic gradient descent with warm " \
                  "restarts. arXiv:1608.03983.") \
    ROW(one_cycle, .summary = "OneCycleLR: up to a peak, down again, and far below.") \
    ROW(cyclic, .summary = "CyclicLR: a triangle wave between two rates.")
#endif
