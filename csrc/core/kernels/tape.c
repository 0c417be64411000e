/* tape.c - compiles a formula for some of its outputs: drops what they do not need, converts
 * between conditions and numbers, fuses operations without a change of the result, and assigns
 * cells. */
#include "tape.h"
#include "formula.h"
#include "activations.h"
#include "formula_ops.h"
#include "tables.h"
#include "../base/array.h"
#include "../base/error.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define UNUSED __attribute__((unused))
#define OP(id, ...) OP_##id,
enum { PN_FORMULA_OPS(OP) PN_FORMULA_INTERNAL_OPS(OP) PN_FORMULA_PAIRS(OP) };
#undef OP
#define ROW(id, ...) ROW_##id,
enum { PN_ACTIVATIONS(ROW) };
#undef ROW
static const struct { size_t op, first, second; } pairs[] = {
#define ROW(id, first, second) { OP_##id, OP_##first, OP_##second },
    PN_FORMULA_PAIRS(ROW)
#undef ROW
};
/* An operation on the result of another one, its operand 0 or 1, and what replaces both. The
 * operands that the inner one leaves become the first ones, or the last ones with inner_last. */
static const struct { size_t outer, inner; int at; size_t fused; int inner_last; } fusions[] = {
    { OP_add, OP_mul, 0, OP_mul_add, 0 },     { OP_add, OP_mul, 1, OP_mul_add, 0 },
    { OP_sub, OP_mul, 0, OP_mul_sub, 0 },     { OP_sub, OP_mul, 1, OP_sub_product, 1 },
    { OP_add, OP_add, 0, OP_add_add, 0 },     { OP_add, OP_add, 1, OP_add_add, 0 },
    { OP_mul, OP_mul, 0, OP_mul_mul, 0 },     { OP_mul, OP_mul, 1, OP_mul_mul, 0 },
    { OP_mul, OP_add, 0, OP_add_mul, 0 },     { OP_mul, OP_add, 1, OP_add_mul, 0 },
    { OP_mul, OP_sub, 0, OP_sub_mul, 0 },     { OP_mul, OP_sub, 1, OP_sub_mul, 0 },
};
#define NONE SIZE_MAX
enum {
    CACHE_BYTES = 24576,                    /* the part of the first cache that a block may use */
    LARGE_BLOCK = 2048, SMALL_BLOCK = 256   /* bytes of a slot */
};

/* A value of the program, or one that the compiler adds. */
typedef struct {
    pn_instruction_kind kind;
    size_t row, operands, x[PN_STEP_OPERANDS];
    double number[PN_MAX_PARAMS];
    size_t converted;           /* the same value as a condition or as a number, or NONE */
    size_t output;              /* the stream to which it is stored, or NONE */
    size_t last;                /* the last value that uses it */
    size_t cell;
    size_t uses;                /* how many instructions and outputs use it */
    size_t partner;             /* of a pair: the other value; NONE otherwise */
    size_t pair;                /* the operation that computes both, in the first of a pair */
    int is_condition, is_uniform, is_live;
    int is_second;              /* it is the second result of the pair */
} value;

typedef struct {
    const pn_formula *f;
    int varying;                /* parameters are streams */
    value *values;
    size_t n, capacity;
    size_t *of;                 /* the value of each instruction, or NONE */
    size_t *uses;               /* of each instruction, by those that are needed and by outputs */
} compiler;

static int is_source(const value *v)
{
    return v->kind == PN_CODE_INPUT || v->kind == PN_CODE_PARAMETER || v->kind == PN_CODE_CONSTANT;
}

/* Returns the index of the new value, or NONE when memory is short. */
static size_t append(compiler *c, const value *added)
{
    if (!pn_grow((void **)&c->values, c->n, &c->capacity, sizeof *added)) return NONE;
    value *v = &c->values[c->n];
    *v = *added;
    v->converted = v->output = v->partner = NONE;
    v->is_condition = v->kind == PN_CODE_OPERATION && pn_tape_op_at(v->row)->is_condition;
    v->is_uniform = v->kind != PN_CODE_INPUT && !(c->varying && v->kind == PN_CODE_PARAMETER);
    for (size_t k = 0; k < v->operands; k++) v->is_uniform &= c->values[v->x[k]].is_uniform;
    return c->n++;
}
static size_t append_op(compiler *c, size_t op, size_t a, size_t b)
{
    return append(c, &(value){ .kind = PN_CODE_OPERATION,
                               .row = op,
                               .operands = (size_t)pn_tape_op_at(op)->arity,
                               .x = { a, b } });
}

/* Value i as a condition or as a number; NONE when memory is short. */
static size_t as(compiler *c, size_t i, int condition)
{
    if (c->values[i].is_condition == condition) return i;
    if (c->values[i].converted == NONE) {
        const size_t converted = append_op(c, condition ? OP_is_true : OP_number, i, 0);
        if (converted == NONE) return NONE;
        c->values[i].converted = converted;
    }
    return c->values[i].converted;
}

/* Replaces a selection by a comparison with one operation. Since a > b is b < a, and a != b selects
 * like a == b with the choices swapped, three operations suffice. */
static void fuse(const compiler *c, value *v)
{
    const value *m = &c->values[v->x[0]];
    if (v->kind != PN_CODE_OPERATION || v->row != OP_select || m->kind != PN_CODE_OPERATION) return;
    const int swap_compared = m->row == OP_gt || m->row == OP_ge, swap_chosen = m->row == OP_ne;
    const size_t b = v->x[1], d = v->x[2];
    switch (m->row) {
    case OP_lt: case OP_gt: v->row = OP_select_lt; break;
    case OP_le: case OP_ge: v->row = OP_select_le; break;
    case OP_eq: case OP_ne: v->row = OP_select_eq; break;
    default: return;
    }
    v->operands = 4;
    v->x[0] = m->x[swap_compared];
    v->x[1] = m->x[!swap_compared];
    v->x[2] = swap_chosen ? d : b;
    v->x[3] = swap_chosen ? b : d;
}

/* Replaces an operation whose operand is used nowhere else by one that computes both. Each is
 * rounded, so that results do not depend on this. */
static void fuse_arithmetic(const compiler *c, value *v)
{
    for (size_t i = 0; i < sizeof fusions / sizeof *fusions; i++) {
        if (v->kind != PN_CODE_OPERATION || v->row != fusions[i].outer) continue;
        const value *inner = &c->values[v->x[fusions[i].at]];
        if (inner->kind != PN_CODE_OPERATION || inner->row != fusions[i].inner ||
            inner->uses != 1 || inner->is_uniform)
            continue;
        const size_t other = v->x[!fusions[i].at], last = fusions[i].inner_last;
        v->row = fusions[i].fused;
        v->operands = 3;
        v->x[last ? 0 : 2] = other;
        v->x[last] = inner->x[0];
        v->x[last + 1] = inner->x[1];
        return;
    }
}

/* Replaces the division by a power of two, which is the exact product with its inverse. */
static int divide_exactly(compiler *c, value *v)
{
    if (v->kind != PN_CODE_OPERATION || v->row != OP_div) return 1;
    const value *d = &c->values[v->x[1]];
    int exponent;
    if (d->kind != PN_CODE_CONSTANT || fabs(frexp(d->number[0], &exponent)) != 0.5 ||
        abs(exponent) > 100)
        return 1;
    v->row = OP_mul;
    v->x[1] = append(c, &(value){ .kind = PN_CODE_CONSTANT, .number = { 1 / d->number[0] } });
    return v->x[1] != NONE;
}

/* Joins values of the same operand that an operation computes together. */
static void find_partner(compiler *c, size_t i, size_t op, size_t other, int is_second)
{
    value *a = &c->values[i];
    for (size_t j = i + 1; j < c->n; j++) {
        value *b = &c->values[j];
        if (b->kind != PN_CODE_OPERATION || b->row != other || b->x[0] != a->x[0] ||
            !b->is_live || b->partner != NONE)
            continue;
        a->partner = j;
        b->partner = i;
        a->pair = op;
        a->is_second = is_second;
        return;
    }
}
static void find_pairs(compiler *c)
{
    for (size_t i = 0; i < c->n; i++)
        for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++) {
            const value *a = &c->values[i];
            if (a->kind != PN_CODE_OPERATION || a->is_uniform || !a->is_live || a->partner != NONE)
                continue;
            if (a->row == pairs[p].first) find_partner(c, i, pairs[p].op, pairs[p].second, 0);
            else if (a->row == pairs[p].second) find_partner(c, i, pairs[p].op, pairs[p].first, 1);
        }
}

/* Appends the value of instruction i. Returns 0 when memory is short. */
static int translate(compiler *c, size_t i)
{
    const pn_instruction *code = &c->f->code[i];
    value v = { .kind = code->kind, .row = code->row, .operands = pn_instruction_operands(code) };
    memcpy(v.number, code->number, sizeof v.number);
    const unsigned conditions = v.kind == PN_CODE_OPERATION ? pn_tape_op_at(v.row)->conditions : 0;
    for (size_t k = 0; k < v.operands; k++)
        if ((v.x[k] = as(c, c->of[code->operand[k]], conditions >> k & 1)) == NONE) return 0;
    if (v.kind == PN_CODE_DERIVATIVE && v.row == ROW_sigmoid)
        v.kind = PN_CODE_OPERATION, v.row = OP_sigmoid_slope;
    fuse(c, &v);
    if (!divide_exactly(c, &v)) return 0;
    fuse_arithmetic(c, &v);
    v.uses = c->uses[i];
    return (c->of[i] = append(c, &v)) != NONE;
}

/* Translates the instructions that the wanted outputs need. */
static int translate_needed(compiler *c, uint64_t wanted)
{
    const pn_formula *f = c->f;
    for (size_t k = 0; k < f->n_outputs; k++)
        if (wanted >> k & 1) c->uses[f->outputs[k]]++;
    for (size_t i = f->n; i-- > 0;)
        for (size_t k = 0; c->uses[i] && k < pn_instruction_operands(&f->code[i]); k++)
            c->uses[f->code[i].operand[k]]++;
    for (size_t i = 0; i < f->n; i++) {
        c->of[i] = NONE;
        if (c->uses[i] && !translate(c, i)) return 0;
    }
    return 1;
}

/* Makes the values that are stored, one for each output stream. Uniform values, inputs and values
 * that are stored already are copied. */
static int add_outputs(compiler *c, uint64_t wanted, int scaled, pn_tape_plan *p)
{
    size_t gradient = NONE;
    if (scaled) {
        gradient = append(c, &(value){ .kind = PN_CODE_INPUT, .row = c->f->inputs });
        if (gradient == NONE) return 0;
    }
    for (size_t k = 0; k < c->f->n_outputs; k++) {
        if (!(wanted >> k & 1)) continue;
        size_t i = as(c, c->of[c->f->outputs[k]], 0);
        if (i != NONE && scaled) i = append_op(c, OP_mul, i, gradient);
        if (i == NONE) return 0;
        const value *v = &c->values[i];
        if (is_source(v) || v->is_uniform || v->output != NONE) i = append_op(c, OP_copy, i, 0);
        if (i == NONE) return 0;
        c->values[i].is_uniform = 0;
        c->values[i].output = p->outputs;
        p->output[p->outputs++] = (uint8_t)k;
    }
    return 1;
}

/* Finds the values that the outputs need, and the last use of each. */
static void find_uses(compiler *c)
{
    for (size_t i = 0; i < c->n; i++) c->values[i].is_live = c->values[i].output != NONE;
    for (size_t i = c->n; i-- > 0;)
        for (size_t k = 0; c->values[i].is_live && k < c->values[i].operands; k++) {
            value *x = &c->values[c->values[i].x[k]];
            x->is_live = 1;
            if (x->last < i) x->last = i;
        }
}

/* Numbers the cells of uniform values, and from there on those of parameter streams. */
static void place_sources(compiler *c, pn_tape_plan *p)
{
    for (size_t i = 0; i < c->n; i++) {
        value *v = &c->values[i];
        if (!v->is_live || v->kind != PN_CODE_CONSTANT) continue;
        for (pn_dtype t = 0; t < PN_DTYPES; t++)
            for (size_t k = 0; k < PN_UNIFORM_BYTES / pn_size(t); k++)
                pn_element_set(t, p->constant[t] + p->constants * PN_UNIFORM_BYTES, k,
                               v->number[0]);
        v->cell = p->constants++;
    }
    size_t *parameters = c->varying ? &p->parameters : &p->scalars;
    for (size_t i = 0; i < c->n; i++) {
        value *v = &c->values[i];
        if (!v->is_live || v->kind != PN_CODE_PARAMETER) continue;
        p->parameter[*parameters] = (uint8_t)v->row;
        v->cell = p->constants + (*parameters)++;
    }
    for (size_t i = 0; i < c->n; i++) {
        value *v = &c->values[i];
        if (v->is_live && v->is_uniform && !is_source(v))
            v->cell = p->constants + p->scalars + p->uniform++;
    }
}

/* Assigns slots, each reused after the last use of its value, also by the operation that uses it.
 * Returns 0 if there are too many. */
static int take_slot(value *v, uint8_t *used, size_t first, pn_tape_plan *p)
{
    if (v->output != NONE) return 1;
    size_t slot = 0;
    while (slot < PN_TAPE_CELLS && used[slot]) slot++;
    if (slot == PN_TAPE_CELLS) return 0;
    used[slot] = 1;
    v->cell = first + slot;
    p->slots = pn_max(p->slots, slot + 1);
    return 1;
}
static int place_slots(compiler *c, pn_tape_plan *p)
{
    uint8_t used[PN_TAPE_CELLS] = { 0 };
    const size_t first = p->constants + p->scalars + p->uniform;
    for (size_t i = 0; i < c->n; i++) {
        value *v = &c->values[i];
        if (!v->is_live || v->is_uniform || is_source(v)) continue;
        for (size_t k = 0; k < v->operands; k++) {
            const value *x = &c->values[v->x[k]];
            const int in_slot = !x->is_uniform && !is_source(x) && x->output == NONE;
            if (in_slot && x->last == i) used[x->cell - first] = 0;
        }
        /* the first one of a pair takes the slots of both */
        if (v->partner < i) continue;
        if (!take_slot(v, used, first, p)) return 0;
        if (v->partner != NONE && !take_slot(&c->values[v->partner], used, first, p)) return 0;
    }
    return 1;
}

/* Numbers the cells of streams, whose number is known only now. */
static void place_streams(compiler *c, pn_tape_plan *p)
{
    const size_t inputs = p->constants + p->scalars + p->uniform + p->slots,
                 parameters = inputs + p->inputs, outputs = parameters + p->parameters;
    for (size_t i = 0; i < c->n; i++) {
        value *v = &c->values[i];
        if (v->kind == PN_CODE_INPUT) v->cell = inputs + v->row;
        if (v->kind == PN_CODE_PARAMETER && c->varying) v->cell += parameters - p->constants;
        if (v->output != NONE) v->cell = outputs + v->output;
    }
}

static void add_step(const compiler *c, const value *v, pn_tape_plan *p)
{
    pn_tape_step *s = &p->steps[p->n++];
    *s = (pn_tape_step){ .kind = v->kind, .op = (uint16_t)v->row, .y = { (uint16_t)v->cell } };
    if (v->partner != NONE) {
        s->op = (uint16_t)v->pair;
        s->y[v->is_second] = (uint16_t)v->cell;
        s->y[!v->is_second] = (uint16_t)c->values[v->partner].cell;
    }
    memcpy(s->number, v->number, sizeof s->number);
    for (size_t k = 0; k < v->operands; k++) {
        const value *x = &c->values[v->x[k]];
        s->x[k] = (uint16_t)x->cell;
        /* what is computed once has uniform operands only, and runs on whole vectors */
        if (x->is_uniform && !v->is_uniform) s->uniform |= (uint8_t)(1 << k);
    }
}

static void add_steps(const compiler *c, pn_tape_plan *p)
{
    int written = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->values[i].is_live && c->values[i].is_uniform && !is_source(&c->values[i]))
            add_step(c, &c->values[i], p);
    p->once = p->n;
    for (size_t i = 0; i < c->n; i++) {
        const value *v = &c->values[i];
        if (!v->is_live || v->is_uniform || is_source(v)) continue;
        for (size_t k = 0; k < v->operands; k++)
            p->reads_after_write |= written && is_source(&c->values[v->x[k]]);
        if (v->partner < i) continue;
        written |= v->output != NONE || (v->partner != NONE &&
                                         c->values[v->partner].output != NONE);
        add_step(c, v, p);
    }
}

/* Chooses the size of slots. Streams use the cache too, and need as much space in the scratch
 * memory of a run for its last, partial block. */
static pn_status set_block(pn_tape_plan *p, pn_error *error)
{
    const size_t uniform = (p->scalars + p->uniform) * PN_UNIFORM_BYTES,
                 blocks = p->slots + p->inputs + p->parameters + p->outputs,
                 cells = p->constants + p->scalars + p->uniform + blocks;
    size_t bytes = uniform < CACHE_BYTES ? (CACHE_BYTES - uniform) / blocks : 0;
    if (bytes < SMALL_BLOCK && uniform < PN_TAPE_SCRATCH)
        bytes = pn_min(SMALL_BLOCK, (PN_TAPE_SCRATCH - uniform) / blocks);
    p->block_bytes = pn_min(bytes, LARGE_BLOCK) / PN_UNIFORM_BYTES * PN_UNIFORM_BYTES;
    if (cells <= PN_TAPE_CELLS && p->block_bytes) return PN_OK;
    return pn_fail(error, PN_BAD_VALUE,
                   "the formula is too large: it needs %zu values at the same time, at most %d are "
                   "possible; simplify it", cells, PN_TAPE_CELLS);
}

static pn_status make_plan(const pn_formula *f, uint64_t wanted, int scaled, int varying,
                           pn_tape_plan *p, pn_error *error)
{
    compiler c = { .f = f, .varying = varying };
    pn_status status = PN_NO_MEMORY;
    p->inputs = f->inputs + (scaled != 0);
    if (!(c.of = malloc((f->n + 1) * sizeof *c.of)) ||
        !(c.uses = calloc(f->n + 1, sizeof *c.uses)) || !translate_needed(&c, wanted) ||
        !add_outputs(&c, wanted, scaled, p))
        goto done;
    find_uses(&c);
    find_pairs(&c);
    if (!(p->steps = calloc(c.n + 1, sizeof *p->steps)) ||
        !(p->constant[PN_F32] = malloc((c.n + 1) * PN_UNIFORM_BYTES)) ||
        !(p->constant[PN_F64] = malloc((c.n + 1) * PN_UNIFORM_BYTES)) ||
        !(p->parameter = malloc(c.n + 1)))
        goto done;
    place_sources(&c, p);
    status = place_slots(&c, p) ? PN_OK
                                : pn_fail(error, PN_BAD_VALUE,
                                          "the formula is too large: it needs more than %d "
                                          "values at the same time; simplify it", PN_TAPE_CELLS);
    if (status) goto done;
    place_streams(&c, p);
    if ((status = set_block(p, error))) goto done;
    add_steps(&c, p);
done:
    free(c.of);
    free(c.uses);
    free(c.values);
    return status;
}

/* Whether memory limits the speed: at most a few operations, all cheap. */
static int is_cheap(const pn_tape_plan *p)
{
    size_t costly = 0;
    for (size_t i = p->once; i < p->n; i++)
        costly += p->steps[i].kind != PN_CODE_OPERATION ||
                  !pn_tape_op_at(p->steps[i].op)->is_cheap;
    return costly == 0;
}

pn_status pn_tape_new(const pn_formula *formula, uint64_t wanted, int scaled, pn_tape **tape,
                      pn_error *error)
{
    pn_status status = PN_OK;
    *tape = NULL;
    for (size_t k = 0; k < PN_MAX_FORMULA_OUTPUTS; k++)
        if (wanted >> k & 1 && !pn_formula_has(formula, k))
            return pn_fail(error, PN_BAD_VALUE, "the formula has no output %zu", k);
    if (!wanted) return pn_fail(error, PN_BAD_VALUE, "no output is selected");
    pn_tape *t = calloc(1, sizeof *t);
    if (!t) status = PN_NO_MEMORY;
    for (int varying = 0; varying < 2 && !status; varying++)
        if (!varying || formula->parameters)
            status = make_plan(formula, wanted, scaled, varying, &t->plan[varying], error);
    if (status) {
        pn_tape_free(t);
        return status == PN_NO_MEMORY ? pn_fail(error, status, "no memory for a formula") : status;
    }
    t->is_cheap = is_cheap(&t->plan[0]);
    *tape = t;
    return PN_OK;
}

void pn_tape_free(pn_tape *tape)
{
    if (!tape) return;
    for (int i = 0; i < 2; i++) {
        free(tape->plan[i].steps);
        free(tape->plan[i].constant[PN_F32]);
        free(tape->plan[i].constant[PN_F64]);
        free(tape->plan[i].parameter);
    }
    free(tape);
}

int pn_tape_is_cheap(const pn_tape *tape) { return tape->is_cheap; }
