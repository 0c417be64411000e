/* tensor_rules.h - update rules that need the whole parameter: Adafactor and Muon.
 *
 * g is the adjusted gradient, hyper the settings of the rule (f_settings in optimizers.h), work its
 * scratch memory of pn_tensor_rule_kernels.work bytes. Sums have a fixed order and are in double
 * where they are long. No include guard: kernels.c includes it once per type, after gemm.h. */

/* The sum of (|x| / unit)^p over n elements, or for p = infinity the largest |x|. Squares have
 * sixteen partial sums whatever the vector length, so that a norm has the same bits with every
 * instruction set. */
static double CAT(power_sum, SFX)(size_t n, const void *from, double power, double unit)
{
    const R *x = from;
    double s[16] = { 0 }, sum = 0;
    size_t i = 0;
    if (power == 2 && unit == 1) {
        for (; i + 16 <= n; i += 16)
            for (size_t k = 0; k < 16; k++) s[k] += (double)x[i + k] * (double)x[i + k];
        for (; i < n; i++) s[i % 16] += (double)x[i] * (double)x[i];
        for (size_t k = 0; k < 16; k++) sum += s[k];
    } else if (isinf(power)) {
        for (; i < n; i++) sum = fabs((double)x[i]) > sum || isnan(x[i]) ? fabs((double)x[i]) : sum;
    } else
        for (; i < n; i++) sum += pow(fabs((double)x[i]) / unit, power);
    return sum;
}

/* The sum of the squares of n elements, in four partial sums. */
static double CAT(squares_of, SFX)(size_t n, const R *x)
{
    double s[4] = { 0 };
    for (size_t i = 0; i < n; i++) s[i % 4] += (double)x[i] * (double)x[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

/* The norm of n elements, also where squares leave the range of a double. */
static double CAT(length_of, SFX)(size_t n, const R *x)
{
    const double sum = CAT(squares_of, SFX)(n, x);
    if (sum > 0x1p-900 && sum < INFINITY) return sqrt(sum);
    const double largest = CAT(power_sum, SFX)(n, x, INFINITY, 1);
    if (largest > 0 && largest < INFINITY)
        return largest * sqrt(CAT(power_sum, SFX)(n, x, 2, largest));
    return sqrt(sum);
}

/* Moves the second moment v towards square by share, both 0 or more. It saturates instead of
 * overflowing, and NaN stays NaN. */
static ALWAYS R CAT(moment, SFX)(R v, double square, double share)
{
    const double most = PICK(0x1.fffffep127, 0x1.fffffffffffffp1023),
                 x = (1 - share) * (double)v + share * (square > most ? most : square);
    return x > most ? (R)most : (R)x;
}

/* Updates row_var and col_var, (rows) and (cols) for each matrix in turn. sums: cols doubles of
 * scratch. */
static void CAT(factor_moments, SFX)(const pn_segment *s, const R *g, double share, double *sums)
{
    R *row = s->state[0], *col = s->state[1];
    for (size_t start = 0; start < s->n;
         start += s->rows * s->cols, row += s->rows, col += s->cols) {
        for (size_t j = 0; j < s->cols; j++) sums[j] = 0;
        for (size_t i = 0; i < s->rows; i++) {
            const R *x = g + start + i * s->cols;
            for (size_t j = 0; j < s->cols; j++) sums[j] += (double)x[j] * (double)x[j];
            row[i] = CAT(moment, SFX)(row[i], CAT(squares_of, SFX)(s->cols, x) / (double)s->cols,
                                      share);
        }
        for (size_t j = 0; j < s->cols; j++)
            col[j] = CAT(moment, SFX)(col[j], sums[j] / (double)s->rows, share);
    }
}

/* x over the root of its second moment. The quotient is limited to stay finite, since the step is
 * clipped afterwards. */
static ALWAYS R CAT(scaled_by, SFX)(R x, double root)
{
    const double y = (double)x / root, most = PICK(0x1p100, 0x1p500);
    return (R)(y > most ? most : y < -most ? -most : y);
}

/* step = g over the root of its second moment. roots: cols doubles of scratch. */
static void CAT(factored_step, SFX)(const pn_segment *s, const R *g, double eps, R *step,
                                    double *roots)
{
    const R *row = s->state[0], *col = s->state[1];
    for (size_t start = 0; start < s->n;
         start += s->rows * s->cols, row += s->rows, col += s->cols) {
        double mean = 0;
        for (size_t i = 0; i < s->rows; i++) mean += (double)row[i];
        mean = fmax(mean / (double)s->rows, eps);
        for (size_t j = 0; j < s->cols; j++) roots[j] = sqrt((double)col[j]);
        for (size_t i = 0; i < s->rows; i++) {
            const R *x = g + start + i * s->cols;
            const double share = sqrt((double)row[i] / mean);
            R *to = step + start + i * s->cols;
            for (size_t j = 0; j < s->cols; j++) {
                const double root = share * roots[j];
                to[j] = CAT(scaled_by, SFX)(x[j], root < eps ? eps : root);
            }
        }
    }
}

static void CAT(tensor_adafactor, SFX)(const pn_segment *s, const void *grad, const double *hyper,
                                      void *work)
{
    const adafactor_settings *o = (const adafactor_settings *)hyper;
    const double step = *s->number[0], n = (double)s->n;
    const double eps = isnan(o->eps[0]) ? PICK(0x1p-23, 0x1p-52) : fmax(o->eps[0], 0x1p-1022);
    const double share = pow(step, o->beta2_decay), rate = fmin(o->lr, 1 / sqrt(step));
    R *p = s->p, *to = work;
    double *columns = (double *)((char *)work + pn_round_to_line(s->n * sizeof(R)));
    const R *g = grad;
    const double size = rate * fmax(o->eps[1], sqrt(CAT(squares_of, SFX)(s->n, p) / n));
    if (s->rows) {
        CAT(factor_moments, SFX)(s, g, share, columns);
        CAT(factored_step, SFX)(s, g, eps, to, columns);
    } else {
        R *variance = s->state[2];
        for (size_t i = 0; i < s->n; i++) {
            variance[i] = CAT(moment, SFX)(variance[i], (double)g[i] * (double)g[i], share);
            const double root = sqrt((double)variance[i]);
            to[i] = CAT(scaled_by, SFX)(g[i], root < eps ? eps : root);
        }
    }
    const double rms = sqrt(CAT(squares_of, SFX)(s->n, to) / n), k = size / fmax(1, rms / o->d);
    const R keep = (R)(1 - o->lr * o->weight_decay), take = (R)k;
    for (size_t i = 0; i < s->n; i++) p[i] = p[i] * keep - take * to[i];
}
static size_t CAT(work_adafactor, SFX)(const pn_segment *s)
{
    return pn_round_to_line(s->n * sizeof(R)) + s->cols * sizeof(double);
}

/* The products of one iteration on x (m, n), with k = min(m, n):
 *
 *   g = x x' or x' x, whichever is smaller, (k, k)
 *   u = g g
 *   y = u x or x u */
static void CAT(schulz_products, SFX)(const pn_segment *s, R *x, R *g, R *u, R *y, pn_product *q)
{
    const size_t m = s->rows, n = s->cols, k = m < n ? m : n;
    const int wide = m <= n;
    q[0] = (pn_product){ .ta = !wide, .tb = wide, .m = k, .n = k, .k = wide ? n : m,
                         .a = x, .lda = n, .b = x, .ldb = n, .c = g, .ldc = k };
    q[1] = (pn_product){ .m = k, .n = k, .k = k,
                         .a = g, .lda = k, .b = g, .ldb = k, .c = u, .ldc = k };
    q[2] = (pn_product){ .m = m, .n = n, .k = k,
                         .a = wide ? u : x, .lda = wide ? k : n,
                         .b = wide ? x : u, .ldb = wide ? n : k, .c = y, .ldc = n };
}

/* Makes x nearly orthogonal: x <- a x + (b g + c g g) x, steps times, starting from x of norm 1. */
static void CAT(newton_schulz, SFX)(const pn_segment *s, R *x, const double *abc, double eps,
                                    int steps, void *work)
{
    const size_t n = s->n, k = s->rows < s->cols ? s->rows : s->cols;
    R *g = work, *u = (R *)((char *)g + pn_round_to_line(k * k * sizeof(R))),
      *y = (R *)((char *)u + pn_round_to_line(k * k * sizeof(R)));
    void *rest = (char *)y + pn_round_to_line(n * sizeof(R));
    const R a = (R)abc[0], b = (R)abc[1], c = (R)abc[2];
    const double length = fmax(CAT(length_of, SFX)(n, x), fmax(eps, 0x1p-1022));
    pn_product q[3];
    for (size_t i = 0; i < n; i++) x[i] = (R)((double)x[i] / length);
    CAT(schulz_products, SFX)(s, x, g, u, y, q);
    for (int step = 0; step < steps; step++) {
        CAT(gemm, SFX)(&q[0], rest);
        CAT(gemm, SFX)(&q[1], rest);
        for (size_t i = 0; i < k * k; i++) u[i] = b * g[i] + c * u[i];
        CAT(gemm, SFX)(&q[2], rest);
        for (size_t i = 0; i < n; i++) x[i] = a * x[i] + y[i];
    }
}

static void CAT(tensor_muon, SFX)(const pn_segment *s, const void *grad, const double *hyper,
                                 void *work)
{
    enum { MATCH_RMS_ADAMW = 1 }; /* index of "match_rms_adamw" among the values of adjust_lr_fn */
    const muon_settings *o = (const muon_settings *)hyper;
    const double m = (double)s->rows, n = (double)s->cols,
                 ratio = o->adjust_lr_fn == MATCH_RMS_ADAMW ? 0.2 * sqrt(fmax(m, n))
                                                            : sqrt(fmax(1, m / n));
    const R momentum = (R)o->momentum, take = (R)(o->lr * ratio),
            keep = (R)(1 - o->lr * o->weight_decay), *g = grad;
    R *p = s->p, *buffer = s->state[0], *x = work;
    for (size_t i = 0; i < s->n; i++) {
        buffer[i] += (1 - momentum) * (g[i] - buffer[i]);
        x[i] = o->nesterov != 0 ? g[i] + momentum * (buffer[i] - g[i]) : buffer[i];
    }
    CAT(newton_schulz, SFX)(s, x, o->ns_coefficients, o->eps, (int)o->ns_steps,
                            (char *)work + pn_round_to_line(s->n * sizeof(R)));
    for (size_t i = 0; i < s->n; i++) p[i] = p[i] * keep - take * x[i];
}
static size_t CAT(work_muon, SFX)(const pn_segment *s)
{
    const size_t k = s->rows < s->cols ? s->rows : s->cols;
    size_t most = 0;
    pn_product q[3];
    CAT(schulz_products, SFX)(s, NULL, NULL, NULL, NULL, q);
    for (int i = 0; i < 3; i++)
        if (CAT(gemm_workspace, SFX)(&q[i]) > most) most = CAT(gemm_workspace, SFX)(&q[i]);
    return 2 * pn_round_to_line(s->n * sizeof(R)) + 2 * pn_round_to_line(k * k * sizeof(R)) + most;
}
