/* dropout.c - layers that draw random numbers in training and pass their input on otherwise. Each
 * number is a function of the layer's seed, the tick and the element's position, so backward draws
 * the same mask as forward, on any number of threads. */
#include "layers.h"
#include "../graph/builder.h"
#include <math.h>

#define DROPOUT_FIELDS(FIELD, T) \
    FIELD(T, SEED, seed, ANY, "of its random numbers") \
    FIELD(T, NUMBER, p, FROM_TO(0, 1), "probability that an element is dropped") \
    FIELD(T, FLAG, alpha, ANY, "whether dropped elements become the minimum of SELU") \
    FIELD(T, FLAG, channels, ANY, "whether whole channels are dropped")
PN_CONFIG(dropout_config, DROPOUT_FIELDS)
#define NOISE_FIELDS(FIELD, T) \
    FIELD(T, SEED, seed, ANY, "of its random numbers") \
    FIELD(T, NUMBER, std, ANY, "standard deviation")
PN_CONFIG(noise_config, NOISE_FIELDS)

/* words drawn at a time; elements per task; elements that share one buffer of words */
enum { GROUP = 64, ROOM = 1024 };
/* channels last: pixels of a block, and random words per channel of a block */
enum { PIXELS = 256, ROW = PIXELS + 2 * GROUP, CHANNELS_AT_ONCE = 16 };

typedef struct {
    uint64_t seed, occurrence;
    pn_mask mask;
    double std;
    /* channels last: elements of a row of the batch; otherwise the number of spans with one word
     * each, or 0 if each element has its own word */
    size_t spans;
    /* channels last: how often the words of a row are used; if each element has its own word, the
     * number of elements */
    size_t pixels;
    size_t channels;        /* channels last with one word per element; otherwise 0 */
    uint32_t *words;        /* words of the spans */
} noise;

static pn_status shape_dropout(pn_node *node, const pn_shape *const *inputs, pn_dtype t,
                               pn_error *error)
{
    const dropout_config *c = pn_config(node);
    (void)t;
    node->shape = *inputs[0];
    if (c->channels && inputs[0]->ndim < 1)
        return pn_fail(error, PN_BAD_SHAPE, "%s: the samples have no channels", node->where);
    return PN_OK;
}
static pn_status shape_gaussian(pn_node *node, const pn_shape *const *inputs, pn_dtype t,
                                pn_error *error)
{
    (void)t; (void)error;
    node->shape = *inputs[0];
    return PN_OK;
}

static int is_dropout(const pn_node *n) { return n->kind == &pn_layer_dropout; }
static uint64_t seed_of(const pn_node *n)
{
    return is_dropout(n) ? ((const dropout_config *)pn_config(n))->seed
                         : ((const noise_config *)pn_config(n))->seed;
}

/* Returns whether this layer passes its input on unchanged. */
static int is_idle(const pn_builder *b, const pn_node *n)
{
    const double strength = is_dropout(n) ? ((const dropout_config *)pn_config(n))->p
                                          : ((const noise_config *)pn_config(n))->std;
    return !n->training || b->mode == PN_PREDICT || strength == 0;
}

/* ---- running --------------------------------------------------------------------------------- */

typedef struct { const pn_step *s; void *const *at; uint64_t stream; } job;

static uint64_t stream_of(const pn_step *s)
{
    return *s->tick + (((const noise *)s->args)->occurrence << 48);
}

/* One chunk of elements with one word each. */
static void element_chunk(void *context, size_t i)
{
    const job *j = context;
    const pn_step *s = j->s;
    const noise *d = s->args;
    const size_t end = s->n < (i + 1) * PN_CHUNK ? s->n : (i + 1) * PN_CHUNK;
    uint32_t words[ROOM];
    for (size_t from = i * PN_CHUNK; from < end; from += ROOM) {
        const size_t n = end - from < ROOM ? end - from : ROOM;
        const char *x = (const char *)j->at[s->in] + from * s->bytes;
        char *y = (char *)j->at[s->out] + from * s->bytes;
        s->k->random_words(d->seed, j->stream, from / GROUP, (n + GROUP - 1) / GROUP, words);
        if (d->std != 0) s->k->add_normal(d->std, n, words, x, y);
        else s->k->mask(&d->mask, n, words, x, y);
    }
}

/* One row of the batch with its channels last and one word for each element: that of the element's
 * position with channels first, so that the mask does not depend on the layout. */
static void row_of_pixels(void *context, size_t i)
{
    const job *j = context;
    const pn_step *s = j->s;
    const noise *d = s->args;
    uint32_t words[CHANNELS_AT_ONCE * ROW];
    for (size_t c = 0; c < d->channels; c += CHANNELS_AT_ONCE)
        for (size_t p = 0; p < d->pixels; p += PIXELS) {
            const size_t some = d->channels - c < CHANNELS_AT_ONCE ? d->channels - c
                                                                   : CHANNELS_AT_ONCE;
            const size_t n = d->pixels - p < PIXELS ? d->pixels - p : PIXELS,
                         whole = n == d->pixels;
            for (size_t k = 0; k < some; k += whole ? some : 1) {
                const size_t first = (i * d->channels + c + k) * d->pixels + p,
                             before = first % GROUP, count = before + n * (whole ? some : 1);
                s->k->random_words(d->seed, j->stream, first / GROUP, (count + GROUP - 1) / GROUP,
                                   words + k * ROW + GROUP - before);
            }
            const size_t at = ((i * d->pixels + p) * d->channels + c) * s->bytes;
            s->k->mask_pixels(&d->mask, n, some, whole ? n : ROW, words + GROUP, d->channels,
                              (const char *)j->at[s->in] + at, (char *)j->at[s->out] + at);
        }
}

/* One row of the batch with one word for each channel. */
static void row_of_channels(void *context, size_t i)
{
    const job *j = context;
    const pn_step *s = j->s;
    const noise *d = s->args;
    const size_t row = d->spans * s->n * s->bytes;
    const char *x = (const char *)j->at[s->in] + i * row;
    char *y = (char *)j->at[s->out] + i * row;
    const uint32_t *words = d->words + i * d->spans;
    if (!d->pixels) s->k->mask_spans(&d->mask, d->spans, s->n, words, x, y);
    for (size_t k = 0; k < d->pixels; k++)
        s->k->mask(&d->mask, d->spans, words, x + k * d->spans * s->bytes,
                   y + k * d->spans * s->bytes);
}

static void run(const pn_step *s, void *const *at)
{
    const noise *d = s->args;
    job j = { s, at, stream_of(s) };
    if (d->channels) {
        pn_parallel(s->rows, row_of_pixels, &j);
        return;
    }
    if (!d->words) {
        pn_parallel((s->n + PN_CHUNK - 1) / PN_CHUNK, element_chunk, &j);
        return;
    }
    s->k->random_words(d->seed, j.stream, 0, (s->rows * d->spans + GROUP - 1) / GROUP, d->words);
    pn_parallel(s->rows, row_of_channels, &j);
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* Scale and shift of kept elements, and the value of dropped ones. For alpha dropout they preserve
 * the zero mean and unit variance of SELU's outputs. The gradient uses the same mask and scale. */
static pn_mask mask_of(const dropout_config *c, int gradient)
{
    const double p = c->p, low = -1.7580993408473766;
    pn_mask m = { .threshold = (uint64_t)llrint(p * 0x1p32), .scale = p < 1 ? 1 / (1 - p) : 0 };
    if (!c->alpha || p == 1) return m;
    m.scale = 1 / sqrt((low * low * p + 1) * (1 - p));
    if (gradient) return m;
    m.shift = -m.scale * low * p;
    m.fill = m.scale * low + m.shift;
    return m;
}

static pn_status add(pn_builder *b, size_t node, const char *what, int gradient, int x, int y)
{
    const pn_node *n = &b->graph->nodes[node];
    pn_step *s = y == PN_NONE ? NULL : pn_step_new(b, what, run);
    noise *d = s ? pn_plan_alloc(b, sizeof *d) : NULL;
    if (!d) return PN_NO_MEMORY;
    d->seed = seed_of(n);
    for (size_t i = 0; i < node; i++) {
        const pn_node *earlier = &b->graph->nodes[i];
        d->occurrence += earlier->kind == n->kind && seed_of(earlier) == seed_of(n);
    }
    s->args = d;
    s->rows = b->rows;
    s->n = b->rows * pn_count(&n->shape);
    s->bytes = pn_size(b->graph->dtype);
    s->in = x;
    s->out = y;
    pn_step_uses(b, x);
    pn_step_uses(b, y);
    if (!is_dropout(n)) {
        d->std = ((const noise_config *)pn_config(n))->std;
        return PN_OK;
    }
    const dropout_config *c = pn_config(n);
    d->mask = mask_of(c, gradient);
    if (!c->channels && b->layout[node]) {
        d->channels = n->shape.dim[0];
        d->pixels = d->channels ? pn_count(&n->shape) / d->channels : 0;
    }
    if (!c->channels) return PN_OK;
    d->spans = n->shape.dim[0];
    s->n = 1;
    for (size_t i = 1; i < n->shape.ndim; i++) s->n *= n->shape.dim[i];
    d->pixels = b->layout[node] ? s->n : 0;
    d->words = pn_plan_alloc(b, (b->rows * d->spans + GROUP) * sizeof *d->words);
    return d->words ? PN_OK : PN_NO_MEMORY;
}

static pn_status forward(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    const int x = b->value[n->inputs[0]];
    if (is_idle(b, n)) {
        b->value[node] = x;
        return PN_OK;
    }
    int y = b->value[node] = pn_output_buffer(b, node, 0);
    return add(b, node, is_dropout(n) ? "dropout" : "noise", 0, x, y);
}

static pn_status backward_dropout(pn_builder *b, size_t node)
{
    const pn_node *n = &b->graph->nodes[node];
    if (!pn_needs_gradient(b, n->inputs[0])) return PN_OK;
    if (is_idle(b, n)) return pn_give_gradient(b, n->inputs[0], b->grad[node]);
    return add(b, node, "dropout gradient", 1, b->grad[node],
               pn_gradient_buffer(b, n->inputs[0], b->grad[node]));
}

static pn_status backward_gaussian(pn_builder *b, size_t node)
{
    const size_t input = b->graph->nodes[node].inputs[0];
    return pn_needs_gradient(b, input) ? pn_give_gradient(b, input, b->grad[node]) : PN_OK;
}

const pn_layer_kind pn_layer_dropout = {
    "dropout",        1,             1,                    shape_dropout, forward,
    backward_dropout, PN_LAYOUT_ANY, dropout_config_fields
};
const pn_layer_kind pn_layer_gaussian_noise = {
    "gaussian_noise",  1,              1,                  shape_gaussian, forward,
    backward_gaussian, PN_LAYOUT_NCHW, noise_config_fields
};
