/* noise.h - counter-based random numbers, those of rng.c computed 64 at a time, and kernels that
 * use them. Word k of block 16 g + i is at position 64 g + 16 k + i on every machine. */
#if BITS == 64
typedef uint64_t VU __attribute__((vector_size(PN_VL)));
enum { GROUP = 16, WIDTH = PN_VL / 8 };

static void philox_words(uint64_t seed, uint64_t stream, uint64_t group, size_t groups,
                         uint32_t *out)
{
    const VU low = (VU){ 0 } + 0xFFFFFFFFu, m0 = (VU){ 0 } + 0xD2511F53u,
             m1 = (VU){ 0 } + 0xCD9E8D57u;
    for (; groups; groups--, group++, out += 4 * GROUP)
        for (size_t from = 0; from < GROUP; from += WIDTH) {
            uint64_t index[WIDTH], words[4][WIDTH];
            for (size_t i = 0; i < WIDTH; i++) index[i] = GROUP * group + from + i;
            VU c[4];
            memcpy(&c[0], index, sizeof c[0]);
            c[1] = c[0] >> 32;
            c[0] &= low;
            c[2] = (VU){ 0 } + (stream & 0xFFFFFFFFu);
            c[3] = (VU){ 0 } + (stream >> 32);
            uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
            for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
                VU a = (VU)MULTIPLY_LOW(c[0], m0), b = (VU)MULTIPLY_LOW(c[2], m1);
                c[0] = (b >> 32) ^ c[1] ^ k0;
                c[1] = b & low;
                c[2] = (a >> 32) ^ c[3] ^ k1;
                c[3] = a & low;
            }
            memcpy(words, c, sizeof words);
            for (size_t k = 0; k < 4; k++)
                for (size_t i = 0; i < WIDTH; i++)
                    out[GROUP * k + from + i] = (uint32_t)words[k][i];
        }
}
#endif

/* y = x scale + shift where the word is at least threshold, else fill. */
static void CAT(mask, SFX)(const pn_mask *m, size_t n, const uint32_t *words, const void *data,
                           void *out)
{
    const R *x = data, scale = (R)m->scale, shift = (R)m->shift, fill = (R)m->fill;
    const uint32_t last = (uint32_t)(m->threshold - 1);
    R *y = out;
    if (m->threshold == 0) for (size_t i = 0; i < n; i++) y[i] = x[i] * scale + shift;
    else for (size_t i = 0; i < n; i++) y[i] = words[i] > last ? x[i] * scale + shift : fill;
}
/* The same for n pixels with channels last, `step` elements apart. words: one per pixel, with a row
 * of word_stride words for each channel. */
static void CAT(mask_pixels, SFX)(const pn_mask *m, size_t n, size_t channels, size_t word_stride,
                                  const uint32_t *words, size_t step, const void *data, void *out)
{
    const R *x = data, scale = (R)m->scale, shift = (R)m->shift, fill = (R)m->fill;
    R *y = out;
    for (size_t p = 0; p < n; p++, words++, x += step, y += step)
        for (size_t c = 0; c < channels; c++)
            y[c] = words[c * word_stride] >= m->threshold ? x[c] * scale + shift : fill;
}
/* The same for spans of n elements that share one word. */
static void CAT(mask_spans, SFX)(const pn_mask *m, size_t spans, size_t n, const uint32_t *words,
                                 const void *data, void *out)
{
    const R *x = data;
    R *y = out;
    for (size_t s = 0; s < spans; s++, x += n, y += n) {
        const int keep = words[s] >= m->threshold;
        const R scale = (R)(keep ? m->scale : 0), shift = (R)(keep ? m->shift : m->fill);
        if (keep) for (size_t i = 0; i < n; i++) y[i] = x[i] * scale + shift;
        else for (size_t i = 0; i < n; i++) y[i] = shift;
    }
}
/* y = x + std z with z standard normal (Box and Muller, 1958): two numbers from two words. n is
 * even, unless it ends with the last word. */
static void CAT(add_normal, SFX)(double std, size_t n, const uint32_t *words, const void *x,
                                 void *y)
{
    for (size_t i = 0; i < n; i += 2) {
        const double u = ((double)words[i] + 0.5) * 0x1p-32, v = (double)words[i + 1] * 0x1p-32,
                     r = std * sqrt(-2 * log(u));
        ((R *)y)[i] = (R)((double)((const R *)x)[i] + r * cos(6.283185307179586 * v));
        if (i + 1 < n)
            ((R *)y)[i + 1] = (R)((double)((const R *)x)[i + 1] + r * sin(6.283185307179586 * v));
    }
}
