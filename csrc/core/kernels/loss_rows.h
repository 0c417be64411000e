/* loss_rows.h - bodies of losses with one value per row or sequence, for the table in losses.h. No
 * include guard: kernels.c includes it once per type. */

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

/* ---- classes --------------------------------------------------------------------------------- */
/* Stores e_j = exp(x_j - max) in e unless that is NULL. Returns their sum. */
static inline double CAT(sum_exp, SFX)(size_t n, const R *x, R max, R *e)
{
    double sums[BLOCK] = { 0 };
    BLOCKS(n) {
        V v = EXP(CAT(block_load, SFX)(x + i, n - i, k, 0) - max);
        if (e) CAT(block_store, SFX)(e + i, n - i, k, v);
        CAT(add_lanes, SFX)(sums, v, n - i, k);
    }
    return CAT(fold_lanes, SFX)(sums);
}

/* The weight of class j in a cross-entropy: its smoothed share of the target times its class
 * weight. */
static inline double CAT(class_share, SFX)(const CAT(loss_row, SFX) *r, size_t j)
{
    double smooth = r->p[1], share = r->t ? (double)r->t[j] : (int64_t)j == *r->label;
    return ((1 - smooth) * share + smooth / (double)r->n) * (r->w ? (double)r->w[j] : 1);
}
static int CAT(ignored, SFX)(const CAT(loss_row, SFX) *r, R *g)
{
    if (!r->label || *r->label != r->ignore) return 0;
    if (g) memset(g, 0, r->n * sizeof *g);
    return 1;
}

/* sum of q_j (log sum exp x - x_j), with q the shares; the gradient is softmax(x) sum q - q. A
 * label without smoothing has only one share that is not 0. */
LOSS_R(cross_entropy)
{
    if (CAT(ignored, SFX)(r, r->g)) return 0;
    R max = CAT(row_max, SFX)(r->n, r->x, 0)[0];
    double sum = CAT(sum_exp, SFX)(r->n, r->x, max, r->g), lse = (double)max + log(sum), value = 0,
           mass = 0;
    int one = !r->t && r->p[1] == 0;
    size_t from = one ? (size_t)*r->label : 0, to = one ? from + 1 : r->n;
    for (size_t j = from; j < to; j++) {
        double q = CAT(class_share, SFX)(r, j);
        const double term = q * (lse - (double)r->x[j]);
        value += q != 0 ? term : 0;
        mass += q;
    }
    if (isnan(lse)) value = lse;
    if (!r->g) return value;
    V k0 = SPLAT(mass * (double)r->scale / sum);
    BLOCKS(r->n) {
        const V e = CAT(block_load, SFX)(r->g + i, r->n - i, k, 0);
        CAT(block_store, SFX)(r->g + i, r->n - i, k, k0 * e);
    }
    for (size_t j = from; j < to; j++)
        r->g[j] -= (R)(CAT(class_share, SFX)(r, j) * (double)r->scale);
    return value;
}

LOSS_R(nll)
{
    if (CAT(ignored, SFX)(r, r->g)) return 0;
    R w = r->w ? r->w[*r->label] : 1;
    if (r->g) {
        memset(r->g, 0, r->n * sizeof *r->g);
        r->g[*r->label] = -w * r->scale;
    }
    double x = (double)r->x[*r->label];
    return w == 0 && x == x ? 0 : -(double)w * x;
}

/* m = 1 - p of the right class, summed from the other classes. Both parts of the gradient are
 * multiples of p - t. */
LOSS_R(focal)
{
    if (CAT(ignored, SFX)(r, r->g)) return 0;
    size_t y = (size_t)*r->label;
    double w = r->w ? (double)r->w[y] : 1, gamma = r->p[1],
           max = (double)CAT(row_max, SFX)(r->n, r->x, 0)[0], others = 0;
    for (size_t j = 0; j < r->n; j++) others += j == y ? 0 : exp((double)r->x[j] - max);
    double correct = exp((double)r->x[y] - max), sum = correct + others, m = others / sum,
           entropy = max + log(sum) - (double)r->x[y];
    double share = correct / sum, power = pow(m, gamma),
           slope = power + (m > 0 && share != 0 ? gamma * power / m * share * entropy : 0);
    const double k = w * slope * (double)r->scale;
    for (size_t j = 0; r->g && j < r->n; j++)
        r->g[j] = (R)(k * (j == y ? -m : exp((double)r->x[j] - max) / sum));
    return (w == 0 || power == 0) && entropy == entropy ? 0 : w * power * entropy;
}

/* (1 - p^q) / q with p the softmax of the right class, by expm1, which is accurate for p near 1. */
LOSS_R(generalized_cross_entropy)
{
    if (CAT(ignored, SFX)(r, r->g)) return 0;
    size_t y = (size_t)*r->label;
    double max = (double)CAT(row_max, SFX)(r->n, r->x, 0)[0],
           sum = CAT(sum_exp, SFX)(r->n, r->x, (R)max, r->g), w = r->w ? (double)r->w[y] : 1;
    double q = r->p[1], entropy = max + log(sum) - (double)r->x[y],
           value = -expm1(-q * entropy) / q;
    const double k = w * exp(-q * entropy) * (double)r->scale;
    for (size_t j = 0; r->g && j < r->n; j++)
        r->g[j] = (R)(k * ((double)r->g[j] / sum - (j == y)));
    return w == 0 && value == value ? 0 : w * value;
}

/* Whether the row has a NaN. Losses made of comparisons return it explicitly. */
static int CAT(has_nan, SFX)(size_t n, const R *x)
{
    int found = 0;
    for (size_t j = 0; j < n; j++) found |= x[j] != x[j];
    return found;
}

/* p: exponent, margin. A comparison with NaN is false, hence !(z <= 0). */
LOSS_R(multi_margin)
{
    size_t y = (size_t)*r->label;
    double k = (r->w ? (double)r->w[y] : 1) / (double)r->n, value = r->x[y] == r->x[y] ? 0 : NAN,
           right = 0;
    for (size_t j = 0; j < r->n; j++) {
        double z = r->p[1] - (double)r->x[y] + (double)r->x[j], slope = 0;
        if (j != y && !(z <= 0)) {
            value += r->p[0] == 1 ? z : z * z;
            slope = k * (r->p[0] == 1 ? 1 : 2 * z);
        }
        right += slope;
        if (r->g) r->g[j] = (R)(slope * (double)r->scale);
    }
    if (r->g) r->g[y] = (R)(-right * (double)r->scale);
    return k == 0 && value == value ? 0 : k * value;
}

/* The right class competes with a score of 0, as in Keras. */
LOSS_R(categorical_hinge)
{
    size_t y = (size_t)*r->label, other = y;
    double best = 0;
    for (size_t j = 0; j < r->n; j++) {
        if (j == y || !((double)r->x[j] > best)) continue;
        best = (double)r->x[j];
        other = j;
    }
    double z = CAT(has_nan, SFX)(r->n, r->x) ? NAN : 1 - (double)r->x[y] + best;
    if (r->g) {
        memset(r->g, 0, r->n * sizeof *r->g);
        if (!(z <= 0)) r->g[y] = -r->scale;
        if (!(z <= 0) && other != y) r->g[other] = r->scale;
    }
    return z <= 0 ? 0 : z;
}

static int CAT(is_label, SFX)(const CAT(loss_row, SFX) *r, size_t j)
{
    for (size_t k = 0; k < r->n && r->label[k] >= 0; k++)
        if (r->label[k] == (int64_t)j) return 1;
    return 0;
}
LOSS_R(multilabel_margin)
{
    double value = CAT(has_nan, SFX)(r->n, r->x) ? NAN : 0, k = 1 / (double)r->n;
    if (r->g) memset(r->g, 0, r->n * sizeof *r->g);
    for (size_t j = 0; j < r->n; j++) {
        if (CAT(is_label, SFX)(r, j)) continue;
        for (size_t i = 0; i < r->n && r->label[i] >= 0; i++) {
            double z = 1 - (double)r->x[r->label[i]] + (double)r->x[j];
            if (z <= 0) continue;
            value += z;
            if (!r->g) continue;
            r->g[j] += (R)(k * (double)r->scale);
            r->g[r->label[i]] -= (R)(k * (double)r->scale);
        }
    }
    return k * value;
}

/* ---- distances ------------------------------------------------------------------------------- */
static double CAT(dot, SFX)(size_t n, const R *x, const R *y)
{
    double sum = 0;
    for (size_t j = 0; j < n; j++) sum += (double)x[j] * (double)y[j];
    return sum;
}

/* 1e-12 is added to squares, as in PyTorch. d cos / dx = y / (|x| |y|) - cos x / |x|^2. */
LOSS_R(cosine_embedding)
{
    double xx = CAT(dot, SFX)(r->n, r->x, r->x) + 1e-12,
           yy = CAT(dot, SFX)(r->n, r->y, r->y) + 1e-12;
    double norms = sqrt(xx * yy), cosine = CAT(dot, SFX)(r->n, r->x, r->y) / norms,
           over = cosine - r->p[0];
    int near = *r->t > 0;
    double k = (near ? -1 : over < 0 ? 0 : 1) * (double)r->scale;
    for (size_t j = 0; r->g && j < r->n; j++) {
        double x = (double)r->x[j], y = (double)r->y[j];
        r->g[j] = (R)(k * (y / norms - cosine * x / xx));
        r->gy[j] = (R)(k * (x / norms - cosine * y / yy));
    }
    return near ? 1 - cosine : over < 0 ? 0 : over;
}

/* |x - y + eps|_p. For powers other than 1, 2 and infinity, differences are divided by the largest
 * one, so that no power overflows or underflows. */
static double CAT(distance, SFX)(size_t n, const R *x, const R *y, double p, double eps)
{
    double sum = 0, largest = 0;
    for (size_t j = 0; j < n; j++) {
        double u = fabs((double)x[j] - (double)y[j] + eps);
        sum += p == 2 ? u * u : u;
        largest = u <= largest || largest != largest ? largest : u;             /* NaN stays */
    }
    if (isinf(p) || (p != 1 && p != 2 && !(largest > 0 && largest < INFINITY))) return largest;
    if (p == 1 || p == 2) return p == 1 ? sum : sqrt(sum);
    sum = 0;
    for (size_t j = 0; j < n; j++) sum += pow(fabs((double)x[j] - (double)y[j] + eps) / largest, p);
    return largest * pow(sum, 1 / p);
}
/* Adds k times the gradient of that distance to gx, and subtracts it from gy. */
static void CAT(add_distance, SFX)(size_t n, const R *x, const R *y, double p, double eps,
                                   double distance, double k, R *gx, R *gy)
{
    size_t largest = 0;
    for (size_t j = 0; isinf(p) && j < n; j++)
        largest += fabs((double)x[j] - (double)y[j] + eps) == distance;
    for (size_t j = 0; j < n && distance != 0; j++) {
        double u = (double)x[j] - (double)y[j] + eps, size = fabs(u);
        double d = isinf(p) ? (size == distance) / (double)largest
                 : p == 1   ? size > 0
                 : p == 2   ? size / distance
                            : pow(size / distance, p - 1);
        R step = (R)(k * (u < 0 ? -d : d));
        gx[j] += step;
        gy[j] -= step;
    }
}

/* p: margin, p, eps, swap. With swap, the distance of the negative is the smaller of those to
 * anchor and positive; if they are equal, each gets half the gradient. */
LOSS_R(triplet_margin)
{
    const double p = r->p[1], eps = r->p[2], near = CAT(distance, SFX)(r->n, r->x, r->y, p, eps),
                 far = CAT(distance, SFX)(r->n, r->x, r->z, p, eps);
    double other = r->p[3] != 0 ? CAT(distance, SFX)(r->n, r->y, r->z, p, eps) : INFINITY;
    double value = near - (other < far || other != other ? other : far) + r->p[0],
           share = other < far ? 0 : other == far ? 0.5 : 1;
    R *all[] = { r->g, r->gy, r->gz };
    for (int i = 0; i < 3 && r->g; i++) memset(all[i], 0, r->n * sizeof *r->g);
    if (value < 0) return 0;
    if (r->g) {
        double k = (double)r->scale;
        CAT(add_distance, SFX)(r->n, r->x, r->y, p, eps, near, k, r->g, r->gy);
        if (share > 0)
            CAT(add_distance, SFX)(r->n, r->x, r->z, p, eps, far, -k * share, r->g, r->gz);
        if (share < 1)
            CAT(add_distance, SFX)(r->n, r->y, r->z, p, eps, other, -k * (1 - share), r->gy, r->gz);
    }
    return value;
}

/* ---- overlaps -------------------------------------------------------------------------------- */
LOSS_R(tversky)
{
    const double alpha = r->p[0], beta = r->p[1], smooth = r->p[2];
    double hits = 0, extra = 0, missed = 0;
    for (size_t j = 0; j < r->n; j++) {
        const double x = (double)r->x[j], t = (double)r->t[j];
        hits += x * t;
        extra += x * (1 - t);
        missed += (1 - x) * t;
    }
    const double up = hits + smooth, down = up + alpha * extra + beta * missed,
                 k = (double)r->scale / (down * down);
    for (size_t j = 0; r->g && j < r->n; j++) {
        const double t = (double)r->t[j], slope = t + alpha * (1 - t) - beta * t;
        r->g[j] = (R)(k * (up * slope - t * down));
    }
    return 1 - up / down;
}

LOSS_R(dice)
{
    double both = CAT(dot, SFX)(r->n, r->x, r->t), all = 0;
    for (size_t j = 0; j < r->n; j++) all += (double)r->x[j] + (double)r->t[j];
    double up = 2 * both + r->p[0], down = all + r->p[0], k = (double)r->scale / (down * down);
    for (size_t j = 0; r->g && j < r->n; j++) r->g[j] = (R)(k * (up - 2 * (double)r->t[j] * down));
    return 1 - up / down;
}

#ifndef PN_DUAL
#define PN_DUAL
/* A number and its derivatives with respect to the four corners' coordinates of a box. */
typedef struct { double v, d[4]; } dual;
static inline dual dual_of(double v, const dual *a, double da, const dual *b, double db)
{
    dual r = { .v = v };
    for (int k = 0; k < 4; k++) r.d[k] = da * a->d[k] + db * b->d[k];
    return r;
}
static inline dual plus(dual a, dual b)  { return dual_of(a.v + b.v, &a, 1, &b, 1); }
static inline dual minus(dual a, dual b) { return dual_of(a.v - b.v, &a, 1, &b, -1); }
static inline dual times(dual a, dual b) { return dual_of(a.v * b.v, &a, b.v, &b, a.v); }
/* 0 / 0 counts as 0: of boxes without area, where eps is 0. */
static inline dual over(dual a, dual b)
{
    double q = a.v / b.v;
    return a.v == 0 && b.v == 0 ? (dual){ .v = 0 } : dual_of(q, &a, 1 / b.v, &b, -q / b.v);
}
static inline dual fixed(double v)        { return (dual){ .v = v }; }
/* The larger or smaller of a and a constant. If they are equal, half of the derivative of a counts,
 * as in PyTorch. */
static inline dual extreme(dual a, double c, int largest)
{
    double share = a.v == c ? 0.5 : (a.v < c) == largest ? 0 : 1;
    return dual_of(share > 0 ? a.v : a.v == a.v ? c : a.v, &a, share, &a, 0);
}

/* A predicted box x and a target box t, both (x1, y1, x2, y2). The corners of x are ordered. */
typedef struct { dual width, height, hull_width, hull_height, intersection, total, iou; } overlap;
static overlap overlap_of(const dual *x, const double *t, double eps)
{
    overlap o = { minus(x[2], x[0]),
                  minus(x[3], x[1]),
                  minus(extreme(x[2], t[2], 1), extreme(x[0], t[0], 0)),
                  minus(extreme(x[3], t[3], 1), extreme(x[1], t[1], 0)),
                  fixed(0),
                  fixed(0),
                  fixed(0) };
    dual w = minus(extreme(x[2], t[2], 0), extreme(x[0], t[0], 1)),
         h = minus(extreme(x[3], t[3], 0), extreme(x[1], t[1], 1));
    if (!(w.v <= 0) && !(h.v <= 0)) o.intersection = times(w, h);
    o.total = minus(plus(times(o.width, o.height), fixed((t[2] - t[0]) * (t[3] - t[1]))),
                    o.intersection);
    o.iou = over(o.intersection, plus(o.total, fixed(eps)));
    return o;
}
static dual iou_of(const overlap *o) { return minus(fixed(1), o->iou); }
static dual giou_of(const overlap *o, double eps)
{
    dual hull = times(o->hull_width, o->hull_height);
    return plus(iou_of(o), over(minus(hull, o->total), plus(hull, fixed(eps))));
}
/* The angle of the diagonal of a box to the vertical, atan(width / height), or 0 for a point. Its
 * gradient grows as the box shrinks, down to a diagonal of eps. */
static dual angle_of(dual width, dual height, double eps)
{
    double square = width.v * width.v + height.v * height.v,
           least = square < eps * eps ? eps * eps : square;
    if (square == 0 && least == 0) return fixed(0);
    return dual_of(atan2(width.v, height.v), &width, height.v / least, &height, -width.v / least);
}
static dual ciou_of(const overlap *o, const dual *x, const double *t, double eps)
{
    dual across = minus(plus(x[0], x[2]), fixed(t[0] + t[2])),
         down = minus(plus(x[1], x[3]), fixed(t[1] + t[3]));
    /* four times, squared */
    dual distance = plus(times(across, across), times(down, down));
    dual diagonal = plus(
        plus(times(o->hull_width, o->hull_width), times(o->hull_height, o->hull_height)),
        fixed(eps));
    dual angle = minus(fixed(atan2(t[2] - t[0], t[3] - t[1])), angle_of(o->width, o->height, eps));
    /* 4 / pi^2 */
    dual v = times(fixed(0.40528473456935108578), times(angle, angle));
    double below = 1 - o->iou.v + v.v + eps, alpha = below == 0 ? 0 : v.v / below;
    return plus(plus(iou_of(o), over(distance, times(fixed(4), diagonal))),
                times(fixed(alpha), v));
}
/* A power of two that scales coordinates whose squares might overflow to about 1; otherwise 1. */
static inline double box_scale(const double *x, const double *t)
{
    double largest = 0;
    for (int k = 0; k < 4; k++) {
        double a = fabs(x[k]), b = fabs(t[k]);
        a = b > a || a != a ? b : a;
        largest = a > largest ? a : largest;    /* NaN does not count */
    }
    int exponent;
    if (!(largest > 0x1p200) || isinf(largest)) return 1;
    frexp(largest, &exponent);
    return ldexp(1, -exponent);
}
#endif

/* The corners of x are ordered, as in Rezatofighi et al. (2019), so that the loss stays within its
 * bounds. Equal coordinates keep their places, so that a box of width 0 can gain width. */
static double CAT(box, SFX)(const CAT(loss_row, SFX) *r, char kind)
{
    double t[4], given[4];
    dual x[4];
    for (int k = 0; k < 4; k++) {
        t[k] = (double)r->t[k];
        given[k] = (double)r->x[k];
    }
    const double scale = box_scale(given, t), eps = r->p[0] * scale * scale;
    for (int k = 0; k < 4 && scale != 1; k++) {
        t[k] *= scale;
        given[k] *= scale;
    }
    for (int k = 0; k < 4; k++) {
        const int other = k ^ 2, swaps = k < 2 ? given[k] > given[other] : given[other] > given[k],
                  from = swaps ? other : k;
        x[k] = fixed(given[from]);
        x[k].d[from] = 1;
    }
    const overlap o = overlap_of(x, t, eps);
    dual loss = kind == 'i' ? iou_of(&o) : kind == 'g' ? giou_of(&o, eps) : ciou_of(&o, x, t, eps);
    for (int k = 0; k < 4 && r->g; k++) r->g[k] = (R)(loss.d[k] * scale * (double)r->scale);
    return loss.v;
}
LOSS_R(iou)  { return CAT(box, SFX)(r, 'i'); }
LOSS_R(giou) { return CAT(box, SFX)(r, 'g'); }
LOSS_R(ciou) { return CAT(box, SFX)(r, 'c'); }

/* ---- sequences ------------------------------------------------------------------------------- */
#ifndef PN_CTC
#define PN_CTC
/* log(e^a + e^b) */
static inline double log_add(double a, double b)
{
    double high = a > b ? a : b, low = a > b ? b : a;
    return low == -INFINITY ? high : high + log1p(exp(low - high));
}
/* Entry s of the 2 n + 1 labels with a blank before, between and after them. */
static inline int64_t with_blanks(const int64_t *label, size_t s, int64_t blank)
{
    return s % 2 ? label[s / 2] : blank;
}
/* Whether a path may go to entry s from s - 2. It may not skip a blank between equal labels. */
static inline int may_skip(const int64_t *label, size_t s)
{
    return s % 2 && s > 1 && label[s / 2] != label[s / 2 - 1];
}
#endif

/* One sequence. x and g point to its first step; a step has a row every `stride` elements. Returns
 * the negative log-likelihood. work: steps * (2 n + 1) numbers for alpha, the log-probabilities of
 * prefixes; 2 n + 1 for beta, those of suffixes; and one per class. The gradient is that with
 * respect to logits, where log_probs = log_softmax(logits): e^x minus the share of paths through
 * each class, as in PyTorch. */
typedef struct {
    size_t steps, classes, stride, n;
    const int64_t *label;
    int64_t blank;
    const R *x;
    R *g;
    double scale;
} CAT(ctc_one, SFX);
static double CAT(ctc_forward, SFX)(const CAT(ctc_one, SFX) *q, double *alpha)
{
    const size_t states = 2 * q->n + 1;
    for (size_t s = 0; s < states; s++)
        alpha[s] = s < 2 ? (double)q->x[with_blanks(q->label, s, q->blank)] : -INFINITY;
    for (size_t t = 1; t < q->steps && !pn_stop_now(); t++) {
        const double *before = alpha + (t - 1) * states;
        for (size_t s = 0; s < states; s++) {
            double a = before[s];
            if (s > 0) a = log_add(a, before[s - 1]);
            if (may_skip(q->label, s)) a = log_add(a, before[s - 2]);
            alpha[t * states + s] =
                a + (double)q->x[t * q->stride + (size_t)with_blanks(q->label, s, q->blank)];
        }
    }
    if (pn_stopped()) return 0;
    const double *last = alpha + (q->steps - 1) * states;
    return -(states > 1 ? log_add(last[states - 1], last[states - 2]) : last[0]);
}
static void CAT(ctc_backward, SFX)(const CAT(ctc_one, SFX) * q, double loss, const double *alpha,
                                   double *beta, double *share)
{
    const size_t states = 2 * q->n + 1;
    for (size_t t = q->steps; t-- > 0 && !pn_stop_now();) {
        const R *x = q->x + t * q->stride;
        R *g = q->g + t * q->stride;
        memset(share, 0, q->classes * sizeof *share);
        for (size_t s = 0; s < states; s++) {
            double b = t + 1 == q->steps ? (s + 2 >= states ? 0 : -INFINITY) : beta[s];
            if (t + 1 < q->steps && s + 1 < states) b = log_add(b, beta[s + 1]);
            if (t + 1 < q->steps && s + 2 < states && may_skip(q->label, s + 2))
                b = log_add(b, beta[s + 2]);
            size_t c = (size_t)with_blanks(q->label, s, q->blank);
            beta[s] = b + (double)x[c];
            share[c] += exp(alpha[t * states + s] + b + loss);
        }
        for (size_t c = 0; c < q->classes; c++)
            g[c] = (R)(q->scale * (exp((double)x[c]) - share[c]));
    }
}
static double CAT(value_ctc, SFX)(const pn_loss_args *a)
{
    const pn_sequences *all = a->sequences;
    double total = 0;
    R *value = a->value, *g = a->grad[0];
    const size_t stride = a->rows * a->cols;
    if (g) memset(g, 0, all->steps * stride * sizeof *g);
    for (size_t i = 0; i < a->rows; i++) {
        size_t steps = (size_t)all->input_length[i], n = (size_t)all->target_length[i],
               states = 2 * n + 1;
        double share = a->loss->reduction == PN_MEAN ? 1 / (double)(n ? n : 1) : 1,
               *alpha = all->work, *beta = alpha + steps * states;
        const CAT(ctc_one, SFX) q = { steps,
                                      a->cols,
                                      stride,
                                      n,
                                      a->target.label + all->start[i],
                                      (int64_t)a->loss->params[0],
                                      (const R *)a->x[0] + i * a->cols,
                                      g ? g + i * a->cols : NULL,
                                      a->scale * share };
        double loss = steps ? CAT(ctc_forward, SFX)(&q, alpha) : n ? INFINITY : 0;
        int none = isinf(loss) && a->loss->params[1] != 0;
        if (none) loss = 0;
        else if (g && steps) CAT(ctc_backward, SFX)(&q, loss, alpha, beta, beta + states);
        if (value) value[i] = (R)(loss * share);
        total += loss * share;
    }
    return total;
}
