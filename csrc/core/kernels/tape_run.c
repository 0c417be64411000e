/* tape_run.c - runs a tape block by block. Its memory is on the stack. */
#include "tape.h"
#include "isa.h"
#include "../base/array.h"
#include <stdalign.h>
#include <string.h>

enum {
    MAX_STREAMS = PN_MAX_FORMULA_INPUTS + 1 + PN_MAX_FORMULA_PARAMETERS + PN_MAX_FORMULA_OUTPUTS
};
/* stage: space for a block, used where the block cannot be read or written at data */
typedef struct { char *data, *stage; int is_uniform; } stream;

typedef struct {
    const pn_tape_plan *plan;
    const pn_typed_kernels *kernels;
    pn_dtype t;
    int stage_inputs;                       /* an output overwrites them */
    char *at[PN_TAPE_CELLS];
    stream streams[MAX_STREAMS];
} run;

static size_t stream_count(const pn_tape_plan *p)
{
    return p->inputs + p->parameters + p->outputs;
}

static void fill(pn_dtype t, size_t n, const void *one, void *x)
{
    for (size_t i = 0; i < n; i++) memcpy((char *)x + i * pn_size(t), one, pn_size(t));
}

static void run_activation(const run *r, const pn_tape_step *s, size_t n)
{
    const pn_activation_kernels *a = &r->kernels->activations[s->op];
    double d[PN_MAX_PARAMS];
    const void *p[PN_MAX_PARAMS];
    for (size_t k = 0; k < PN_MAX_PARAMS; k++) {
        p[k] = &d[k];
        pn_element_set(r->t, &d[k], 0, s->number[k]);
    }
    (s->kind == PN_CODE_ACTIVATION ? a->forward : a->derivative)(n, r->at[s->x[0]], r->at[s->y[0]],
                                                                p, 0);
}

static void run_steps(const run *r, size_t from, size_t to, size_t n)
{
    for (const pn_tape_step *s = r->plan->steps + from, *end = r->plan->steps + to; s < end; s++) {
        const void *x[PN_STEP_OPERANDS];
        void *y[2] = { r->at[s->y[0]], r->at[s->y[1]] };
        for (size_t k = 0; k < PN_STEP_OPERANDS; k++) x[k] = r->at[s->x[k]];
        if (s->kind == PN_CODE_OPERATION) r->kernels->formula_ops[s->op](n, x, y, s->uniform);
        else run_activation(r, s, n);
    }
}

/* Places the cells that do not move, and computes those that are uniform. */
static char *set_uniform(run *r, const pn_operand *parameters, char *scratch)
{
    const pn_tape_plan *p = r->plan;
    char **at = r->at;
    for (size_t i = 0; i < p->constants; i++)
        *at++ = p->constant[r->t] + i * PN_UNIFORM_BYTES;
    for (size_t i = 0; i < p->scalars + p->uniform; i++, scratch += PN_UNIFORM_BYTES) {
        if (i < p->scalars)
            fill(r->t, PN_UNIFORM_BYTES / pn_size(r->t), parameters[p->parameter[i]].data, scratch);
        *at++ = scratch;
    }
    for (size_t i = 0; i < p->slots; i++, scratch += p->block_bytes) *at++ = scratch;
    return scratch;
}

/* Describes the streams, and gives each a space for a block. Values that serve for all elements are
 * copied there once. */
static void set_streams(run *r, const void *const *inputs, const pn_operand *parameters,
                        void *const *outputs, char *scratch)
{
    const pn_tape_plan *p = r->plan;
    stream *s = r->streams;
    for (size_t i = 0; i < p->inputs; i++) *s++ = (stream){ .data = (char *)inputs[i] };
    for (size_t i = 0; i < p->parameters; i++) {
        const pn_operand *o = &parameters[p->parameter[i]];
        *s++ = (stream){ .data = (char *)o->data, .is_uniform = !o->stride };
    }
    for (size_t i = 0; i < p->outputs; i++) *s++ = (stream){ .data = outputs[p->output[i]] };
    for (size_t i = 0; i < stream_count(p); i++, scratch += p->block_bytes) {
        r->streams[i].stage = scratch;
        if (r->streams[i].is_uniform)
            fill(r->t, p->block_bytes / pn_size(r->t), r->streams[i].data, scratch);
    }
}

/* Points the streams to elements i to i + m. A block that is no multiple of a vector works on
 * copies, and so does one whose output would overwrite an input too early. */
static void begin_block(run *r, size_t i, size_t m, size_t padded, char **at)
{
    const size_t size = pn_size(r->t), first_output = r->plan->inputs + r->plan->parameters;
    for (size_t k = 0; k < stream_count(r->plan); k++) {
        const stream *s = &r->streams[k];
        const int is_output = k >= first_output;
        at[k] = s->data + i * size;
        if (!s->is_uniform && m == padded && (is_output || !r->stage_inputs)) continue;
        at[k] = s->stage;
        if (s->is_uniform || is_output || !s->data) continue;
        memcpy(s->stage, s->data + i * size, m * size);
        memset(s->stage + m * size, 0, (padded - m) * size);
    }
}
static void end_block(const run *r, size_t i, size_t m, size_t padded)
{
    const size_t size = pn_size(r->t), first_output = r->plan->inputs + r->plan->parameters;
    for (size_t k = first_output; m < padded && k < stream_count(r->plan); k++)
        memcpy(r->streams[k].data + i * size, r->streams[k].stage, m * size);
}

/* Whether an output is also an input. */
static int is_in_place(const run *r, size_t n)
{
    const pn_tape_plan *p = r->plan;
    const size_t bytes = n * pn_size(r->t), first_output = p->inputs + p->parameters;
    for (size_t k = first_output; k < stream_count(p); k++)
        for (size_t j = 0; j < first_output; j++) {
            const uintptr_t y = (uintptr_t)r->streams[k].data, x = (uintptr_t)r->streams[j].data;
            if (y < x + bytes && x < y + bytes) return 1;
        }
    return 0;
}

void pn_tape_run(const pn_tape *tape, pn_dtype t, size_t n, const void *const *inputs,
                 const pn_operand *parameters, void *const *outputs)
{
    alignas(PN_UNIFORM_BYTES) char scratch[PN_TAPE_SCRATCH];
    run r;
    const pn_tape_plan *p = &tape->plan[0];
    for (size_t i = 0; i < p->scalars; i++)
        if (parameters[p->parameter[i]].stride) { p = &tape->plan[1]; break; }
    r.plan = p;
    r.kernels = &pn_kernels_now()->of[t];
    r.t = t;
    char *free_space = set_uniform(&r, parameters, scratch);
    set_streams(&r, inputs, parameters, outputs, free_space);
    r.stage_inputs = p->reads_after_write && is_in_place(&r, n);

    const size_t vector = PN_UNIFORM_BYTES / pn_size(t), block = p->block_bytes / pn_size(t);
    char **streams = r.at + p->constants + p->scalars + p->uniform + p->slots;
    const uintptr_t y = (uintptr_t)r.streams[p->inputs + p->parameters].data;
    const size_t ahead = (PN_UNIFORM_BYTES - y % PN_UNIFORM_BYTES) / pn_size(t),
                 first = ahead < vector && n > 4 * block ? ahead : block;
    run_steps(&r, 0, p->once, vector);
    for (size_t i = 0, m; i < n; i += m) {
        /* the first block ends where the output becomes aligned, as a NumPy array is to 16 bytes */
        m = pn_min(i ? block : first, n - i);
        const size_t padded = (m + vector - 1) / vector * vector;
        begin_block(&r, i, m, padded, streams);
        run_steps(&r, p->once, p->n, padded);
        end_block(&r, i, m, padded);
    }
}
