/* response.h - local response normalisation across the channels of one sample, inner elements per
 * channel. */

/* A power of two that scales the channels at one place, so that their squares stay in the range of
 * a double; almost always 1. */
static double CAT(response_unit, SFX)(const pn_response *r, const R *x)
{
    double most = 0;
    if (BITS == 32) return 1;
    for (size_t c = 0; c < r->channels; c++) {
        const double v = fabs((double)x[c * r->inner]);
        if (v > most && v < INFINITY) most = v;
    }
    if (!(most > 0) || (most > 0x1p-400 && most < 0x1p400)) return 1;
    const int e = ilogb(most);
    return ldexp(1, e < -1000 ? 1000 : -e);
}
/* d unit^2, for d = k + alpha mean x^2 over size channels, size / 2 of them before c. Channels
 * beyond the edges count as 0. */
static double CAT(response, SFX)(const pn_response *r, size_t c, double unit, const R *x)
{
    const size_t first = c > r->size / 2 ? c - r->size / 2 : 0, end = c + (r->size + 1) / 2;
    double sum = 0;
    for (size_t j = first; j < end && j < r->channels; j++) {
        const double v = (double)x[j * r->inner] * unit;
        sum += v * v;
    }
    return r->k * unit * unit + r->alpha * sum / (double)r->size;
}
static void CAT(response_apply, SFX)(const pn_response *r, const void *data, void *out)
{
    for (size_t i = 0; i < r->inner; i++) {
        const R *x = (const R *)data + i;
        const double unit = CAT(response_unit, SFX)(r, x),
                     all = unit == 1 ? 1 : pow(unit, 2 * r->beta - 1);
        for (size_t c = 0; c < r->channels; c++)
            ((R *)out)[c * r->inner + i] = (R)((double)x[c * r->inner] * unit *
                                               pow(CAT(response, SFX)(r, c, unit, x), -r->beta) *
                                               all);
    }
}
/* gx = gy d^-beta - 2 alpha beta / size x (sum of gy x d^(-beta - 1) over the channels whose mean
 * includes this one). work: gy d^-beta and the terms of that sum, `channels` numbers each. gx may
 * be gy. */
static void CAT(response_back, SFX)(const pn_response *r, const void *data, const void *given,
                                    void *out, double *work)
{
    double *term = work + r->channels;
    const double factor = 2 * r->alpha * r->beta / (double)r->size;
    for (size_t i = 0; i < r->inner; i++) {
        const R *x = (const R *)data + i, *gy = (const R *)given + i;
        const double unit = CAT(response_unit, SFX)(r, x),
                     all = unit == 1 ? 1 : pow(unit, 2 * r->beta);
        for (size_t c = 0; c < r->channels; c++) {
            const double d = CAT(response, SFX)(r, c, unit, x);
            work[c] = (double)gy[c * r->inner] * pow(d, -r->beta);
            term[c] = work[c] * ((double)x[c * r->inner] * unit) / d;
        }
        for (size_t c = 0; c < r->channels; c++) {
            const size_t first = c + 1 > (r->size + 1) / 2 ? c + 1 - (r->size + 1) / 2 : 0;
            double sum = 0;
            for (size_t j = first; j <= c + r->size / 2 && j < r->channels; j++) sum += term[j];
            ((R *)out)[c * r->inner + i] =
                (R)((work[c] - factor * ((double)x[c * r->inner] * unit) * sum) * all);
        }
    }
}
