/* samples.c - gathers rows of samples and converts them to the dtype of a plan. */
#include "samples.h"
#include "../base/arena.h"
#include "../base/array.h"
#include "../base/error.h"
#include <stdlib.h>

enum { GATHER_BYTES = 1 << 16 };        /* least work of a thread */
/* prefetched at the start of a row; the hardware prefetches the rest, which is sequential */
enum { FETCH_BYTES = 512 };

size_t pn_sample_bytes(const pn_graph *g, size_t node)
{
    return pn_count(&g->nodes[node].shape) * pn_size(g->dtype);
}

/* ---- buffers --------------------------------------------------------------------------------- */

void pn_input_buffers_free(pn_input_buffers *buffers, const pn_graph *g)
{
    for (size_t i = 0; buffers->x && i < g->n_inputs; i++) pn_arena_free(buffers->x[i]);
    free(buffers->x);
    *buffers = (pn_input_buffers){ 0 };
}

pn_status pn_input_buffers_reserve(pn_input_buffers *buffers, const pn_graph *g, size_t rows,
                                   pn_error *error)
{
    if (buffers->x && rows <= buffers->rows) return PN_OK;
    pn_input_buffers_free(buffers, g);
    buffers->x = calloc(g->n_inputs, sizeof *buffers->x);
    int ok = buffers->x != NULL;
    for (size_t i = 0; ok && i < g->n_inputs; i++)
        ok = (buffers->x[i] = pn_arena_new(rows * pn_sample_bytes(g, g->inputs[i]) + 1)) != NULL;
    buffers->rows = ok ? rows : 0;
    if (ok) return PN_OK;
    pn_input_buffers_free(buffers, g);
    return pn_fail(error, PN_NO_MEMORY, "no memory for a batch of %zu rows", rows);
}

/* ---- gathering ------------------------------------------------------------------------------- */

/* Converts n contiguous elements of another type. */
#define SOURCES(ROW) \
    ROW(PN_FROM_F32, float)    ROW(PN_FROM_F64, double) \
    ROW(PN_FROM_I8, int8_t)    ROW(PN_FROM_U8, uint8_t) \
    ROW(PN_FROM_I16, int16_t)  ROW(PN_FROM_U16, uint16_t) \
    ROW(PN_FROM_I32, int32_t)  ROW(PN_FROM_U32, uint32_t) \
    ROW(PN_FROM_I64, int64_t)  ROW(PN_FROM_U64, uint64_t)
static size_t source_size(pn_source from)
{
    switch (from) {
#define ROW(source, type) case source: return sizeof(type);
    SOURCES(ROW)
#undef ROW
    }
    return 0;
}
static void convert(pn_source from, pn_dtype to, size_t n, const void *x, void *y)
{
    switch (from) {
#define ROW(source, type) \
    case source: \
        if (to == PN_F32) \
            for (size_t i = 0; i < n; i++) ((float *)y)[i] = (float)((const type *)x)[i]; \
        else \
            for (size_t i = 0; i < n; i++) ((double *)y)[i] = (double)((const type *)x)[i]; \
        break;
    SOURCES(ROW)
#undef ROW
    }
}

int pn_narrow(size_t n, const double *x, float *y)
{
    enum { BLOCK = 2048 }; /* small enough to stay in the cache between the two passes */
    size_t finite = 0;
    for (size_t i = 0; i < n; i += BLOCK) {
        const size_t m = pn_min(n - i, BLOCK);
        convert(PN_FROM_F64, PN_F32, m, x + i, y + i);
        finite += pn_first_nonfinite(PN_F32, m, y + i);
    }
    return finite == n;
}

static pn_source native(pn_dtype t) { return t == PN_F32 ? PN_FROM_F32 : PN_FROM_F64; }

typedef struct {
    const pn_samples *samples;
    pn_dtype dtype;
    size_t elements;                    /* of a sample */
    const size_t *order;
    size_t start, n, share;
    char *x;
} gathering;

static void gather(void *context, size_t task)
{
    const gathering *j = context;
    const size_t bytes = j->elements * pn_size(j->dtype);
    const size_t end = pn_min((task + 1) * j->share, j->n);
    for (size_t k = task * j->share; k < end; k++) {
        size_t row = j->order ? j->order[j->start + k] : j->start + k;
        const char *x = (const char *)j->samples->x + (ptrdiff_t)row * j->samples->stride;
        if (j->samples->type == native(j->dtype)) pn_copy(j->x + k * bytes, x, bytes);
        else convert(j->samples->type, j->dtype, j->elements, x, j->x + k * bytes);
    }
}

int pn_samples_in_place(const pn_graph *g, size_t i, const pn_samples *samples)
{
    return samples->type == native(g->dtype) &&
           samples->stride == (ptrdiff_t)pn_sample_bytes(g, g->inputs[i]);
}

const void *pn_samples_gather(const pn_graph *g, size_t i, const pn_samples *samples,
                              const size_t *order, size_t start, size_t n, void *x)
{
    const size_t bytes = pn_sample_bytes(g, g->inputs[i]);
    if (!order && pn_samples_in_place(g, i, samples))
        return (const char *)samples->x + start * bytes;
    gathering j = { .samples = samples,
                    .dtype = g->dtype,
                    .elements = pn_count(&g->nodes[g->inputs[i]].shape),
                    .order = order,
                    .start = start,
                    .n = n,
                    .share = GATHER_BYTES / (bytes + 1) + 1,
                    .x = x };
    pn_parallel((n + j.share - 1) / j.share, gather, &j);
    return x;
}

void pn_samples_prefetch(const pn_graph *g, size_t i, const pn_samples *samples,
                         const size_t *order, size_t n)
{
    const size_t bytes = pn_count(&g->nodes[g->inputs[i]].shape) * source_size(samples->type),
                 head = pn_min(bytes, FETCH_BYTES);
    for (size_t k = 0; k < n; k++) {
        const char *row = (const char *)samples->x + (ptrdiff_t)order[k] * samples->stride;
        for (size_t b = 0; b < head; b += 64) __builtin_prefetch(row + b);
    }
}
