/* Programs of formulas, without Python: random programs over all operations give the bits of their
 * operations run one by one, whatever the selected outputs, the length, the position and the
 * strides of parameters, and also where an output replaces an input. Malformed programs are errors,
 * a failing allocation leaks nothing, and running allocates nothing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "allocator.h"
#include "check.h"
#include "pynn.h"

enum { N = 700, INPUTS = 2, PARAMETERS = 2, LENGTH = 40, OUTPUTS = 3, PROGRAMS = 60 };
static uint64_t state = 1;
static size_t draw(size_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(state >> 33) % n;
}
static size_t size(pn_dtype t) { return t == PN_F32 ? sizeof(float) : sizeof(double); }
static double get(pn_dtype t, const void *x, size_t i)
{
    return t == PN_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}
static void set(pn_dtype t, void *x, size_t i, double v)
{
    if (t == PN_F32) ((float *)x)[i] = (float)v;
    else ((double *)x)[i] = v;
}
/* Whether the bits are equal; NaNs may differ in their sign and payload. */
static int same(pn_dtype t, const void *a, const void *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *p = (const char *)a + i * size(t), *q = (const char *)b + i * size(t);
        if (memcmp(p, q, size(t)) && !(isnan(get(t, p, 0)) && isnan(get(t, q, 0)))) return 0;
    }
    return 1;
}

static size_t operations, activations;
static size_t operands(const pn_instruction *c)
{
    if (c->kind == PN_CODE_OPERATION) return (size_t)pn_formula_op_at(c->row)->arity;
    return c->kind == PN_CODE_ACTIVATION || c->kind == PN_CODE_DERIVATIVE;
}
/* A program that starts with its inputs, parameters and two constants. Some of it is dead. */
static void random_program(pn_instruction *code, ptrdiff_t *outputs, size_t *op)
{
    size_t i = 0;
    memset(code, 0, LENGTH * sizeof *code);
    for (; i < INPUTS; i++) code[i] = (pn_instruction){ .kind = PN_CODE_INPUT, .row = i };
    for (; i < INPUTS + PARAMETERS; i++)
        code[i] = (pn_instruction){ .kind = PN_CODE_PARAMETER, .row = i - INPUTS };
    code[i++] = (pn_instruction){ .kind = PN_CODE_CONSTANT, .number = { 0.3 } };
    code[i++] = (pn_instruction){ .kind = PN_CODE_CONSTANT, .number = { 4 } };
    for (; i < LENGTH; i++) {
        pn_instruction *c = &code[i];
        c->kind = draw(9) ? PN_CODE_OPERATION : draw(2) ? PN_CODE_ACTIVATION : PN_CODE_DERIVATIVE;
        c->row = c->kind == PN_CODE_OPERATION ? (*op)++ % operations : draw(activations);
        for (size_t k = 0; k < operands(c); k++)
            c->operand[k] = draw(3) ? i - 1 - draw(i < 8 ? i : 8) : draw(i);
        c->number[0] = 0.5;
        c->number[1] = 1.5;
    }
    for (size_t k = 0; k < OUTPUTS; k++)
        outputs[k] = (ptrdiff_t)(LENGTH - 1 - draw(k ? LENGTH : 3));
}

static pn_tape *compile(const pn_instruction *code, size_t n, const ptrdiff_t *outputs,
                        size_t inputs, size_t parameters, uint64_t wanted, int scaled)
{
    pn_error error = { "" };
    pn_formula *f;
    pn_tape *tape = NULL;
    CHECK(pn_formula_new(code, n, outputs, OUTPUTS, inputs, parameters, &f, &error) == PN_OK, "%s",
          error.text);
    if (f) CHECK(pn_tape_new(f, wanted, scaled, &tape, &error) == PN_OK, "%s", error.text);
    pn_formula_free(f);
    if (!tape) exit(2);
    return tape;
}

/* Computes every value with a program of one operation. */
static void run_one_by_one(pn_dtype t, const pn_instruction *code, const void *const *inputs,
                           const pn_operand *parameters, double (*value)[N])
{
    for (size_t i = 0; i < LENGTH; i++) {
        const pn_instruction *c = &code[i];
        const pn_operand *p = c->kind == PN_CODE_PARAMETER ? &parameters[c->row] : NULL;
        if (c->kind == PN_CODE_INPUT) memcpy(value[i], inputs[c->row], N * size(t));
        for (size_t j = 0; p && j < N; j++) set(t, value[i], j, get(t, p->data, j * p->stride));
        for (size_t j = 0; c->kind == PN_CODE_CONSTANT && j < N; j++)
            set(t, value[i], j, c->number[0]);
        const size_t n = operands(c);
        if (!n) continue;
        pn_instruction one[PN_MAX_OPERANDS + 1] = { { .kind = PN_CODE_INPUT } };
        const void *x[PN_MAX_OPERANDS];
        for (size_t k = 0; k < n; k++) {
            one[k] = (pn_instruction){ .kind = PN_CODE_INPUT, .row = k };
            x[k] = value[c->operand[k]];
        }
        one[n] = *c;
        for (size_t k = 0; k < n; k++) one[n].operand[k] = k;
        void *y[OUTPUTS] = { value[i] };
        const ptrdiff_t outputs[OUTPUTS] = { (ptrdiff_t)n, -1, -1 };
        pn_tape *tape = compile(one, n + 1, outputs, n, 0, 1, 0);
        pn_tape_run(tape, t, N, x, NULL, y);
        pn_tape_free(tape);
    }
}

typedef struct {
    pn_dtype t;
    uint64_t wanted;
    const pn_tape *tape;
    const void *const *inputs;
    const pn_operand *parameters;
    double (*value)[N];
    const ptrdiff_t *outputs;
} program;
/* Runs elements [at, at + n) into arrays of the exact size. */
static void run_part(const program *p, size_t at, size_t n, int in_place)
{
    const size_t bytes = n * size(p->t), shift = at * size(p->t);
    const void *x[INPUTS];
    void *copy[INPUTS], *y[OUTPUTS] = { NULL };
    pn_operand parameters[PARAMETERS];
    for (size_t k = 0; k < INPUTS; k++) {
        x[k] = copy[k] = malloc(bytes + 1);
        if (!copy[k]) exit(2);
        memcpy(copy[k], (const char *)p->inputs[k] + shift, bytes);
    }
    for (size_t k = 0; k < PARAMETERS; k++) {
        parameters[k] = p->parameters[k];
        if (parameters[k].stride) parameters[k].data = (const char *)parameters[k].data + shift;
    }
    for (size_t k = 0; k < OUTPUTS; k++)
        if (p->wanted >> k & 1) y[k] = in_place && k < INPUTS ? copy[k] : malloc(bytes + 1);
    const long before = calls;
    pn_tape_run(p->tape, p->t, n, x, parameters, y);
    CHECK(calls == before, "running allocated");
    for (size_t k = 0; k < OUTPUTS; k++) {
        if (!y[k]) continue;
        CHECK(same(p->t, y[k], (const char *)p->value[p->outputs[k]] + shift, n),
              "%s f%d: output %zu of elements %zu to %zu, in place %d", pn_isa_get(),
              p->t == PN_F32 ? 32 : 64, k, at, at + n, in_place);
        if (!in_place || k >= INPUTS) free(y[k]);
    }
    for (size_t k = 0; k < INPUTS; k++) free(copy[k]);
}

static void test_programs(pn_dtype t, double *digest)
{
    static double x[INPUTS][N], parameter[PARAMETERS][N], value[LENGTH][N];
    const void *inputs[INPUTS] = { x[0], x[1] };
    size_t op = 0;
    state = 1;
    for (size_t i = 0; i < N; i++) {
        for (int k = 0; k < INPUTS; k++) set(t, x[k], i, ((double)draw(4001) - 2000) / 300);
        for (int k = 0; k < PARAMETERS; k++) set(t, parameter[k], i, (double)(1 + draw(8)) / 4);
    }
    for (size_t at = 0; at < PROGRAMS; at++) {
        pn_instruction code[LENGTH];
        ptrdiff_t outputs[OUTPUTS];
        random_program(code, outputs, &op);
        const pn_operand parameters[] = { { parameter[0], draw(2) }, { parameter[1], draw(2) } };
        run_one_by_one(t, code, inputs, parameters, value);
        for (uint64_t wanted = 1; wanted < 1 << OUTPUTS; wanted++) {
            pn_tape *tape = compile(code, LENGTH, outputs, INPUTS, PARAMETERS, wanted, 0);
            const program p = { t, wanted, tape, inputs, parameters, value, outputs };
            for (size_t n = 0; n <= 37; n += 1 + n / 5) run_part(&p, draw(99), n, (int)draw(2));
            run_part(&p, 0, N, 0);
            run_part(&p, 0, N, 1);
            pn_tape_free(tape);
        }
        for (size_t i = 0; i < N; i++) {
            const double v = get(t, value[LENGTH - 1], i);
            digest[at] += isfinite(v) ? v * (double)(i + 1) : 1;
        }
    }
}

/* Each result times the gradient of the output. */
static void test_scaled(void)
{
    const pn_instruction code[] = { { .kind = PN_CODE_INPUT }, { .kind = PN_CODE_CONSTANT,
                                                                 .number = { 3 } } };
    const double x[3] = { 1, 2, 4 }, g[3] = { 5, 7, -1 };
    double y[2][3];
    const void *inputs[] = { x, g };
    void *outputs[OUTPUTS] = { y[0], y[1] };
    pn_tape *tape = compile(code, 2, (ptrdiff_t[OUTPUTS]){ 0, 1, -1 }, 1, 0, 3, 1);
    pn_tape_run(tape, PN_F64, 3, inputs, NULL, outputs);
    for (int i = 0; i < 3; i++)
        CHECK(y[0][i] == x[i] * g[i] && y[1][i] == 3 * g[i], "%g %g", y[0][i], y[1][i]);
    pn_tape_free(tape);
}

static void test_errors(void)
{
    static const struct { pn_instruction code; ptrdiff_t output; size_t inputs; const char *text; }
    bad[] = {
        { { .kind = PN_CODE_INPUT, .row = 1 }, 0, 1, "input 1 does not exist" },
        { { .kind = PN_CODE_PARAMETER, .row = 9 }, 0, 1, "parameter 9 does not exist" },
        { { .kind = PN_CODE_OPERATION, .row = 9999 }, 0, 1, "operation 9999 does not exist" },
        { { .kind = PN_CODE_DERIVATIVE, .row = 9999 }, 0, 1, "activation 9999 does not exist" },
        { { .kind = PN_CODE_OPERATION }, 0, 1, "operand 0 is not an earlier value" },
        { { .kind = (pn_instruction_kind)77 }, 0, 1, "kind 77 does not exist" },
        { { .kind = PN_CODE_INPUT }, 1, 1, "value 1 does not exist" },
        { { .kind = PN_CODE_INPUT }, 0, 0, "inputs: expected 1 to" },
    };
    pn_formula *f;
    pn_tape *tape;
    pn_error error = { "" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pn_status status = pn_formula_new(&bad[i].code, 1, &bad[i].output, 1, bad[i].inputs, 0, &f,
                                          &error);
        CHECK(status == PN_BAD_VALUE && !f && strstr(error.text, bad[i].text), "%s, not %s",
              error.text, bad[i].text);
    }
    const pn_instruction input = { .kind = PN_CODE_INPUT };
    CHECK(!pn_formula_new(&input, 1, (ptrdiff_t[]){ 0, -1 }, 2, 1, 0, &f, &error), "%s",
          error.text);
    CHECK(pn_tape_new(f, 2, 0, &tape, &error) == PN_BAD_VALUE && !tape, "%s", error.text);
    CHECK(pn_tape_new(f, 0, 0, &tape, &error) == PN_BAD_VALUE && !tape, "%s", error.text);
    CHECK(pn_tape_new(f, 4, 0, &tape, &error) == PN_BAD_VALUE && !tape, "%s", error.text);
    pn_formula_free(f);
    pn_formula_free(NULL);
    pn_tape_free(NULL);
}

/* Every allocation fails once. */
static void test_memory(void)
{
    pn_instruction code[LENGTH];
    ptrdiff_t outputs[OUTPUTS];
    pn_error error;
    size_t op = 0;
    random_program(code, outputs, &op);
    for (long at = 0, done = 0; !done; at++) {
        const long before = alive;
        pn_formula *f = NULL;
        pn_tape *tape = NULL;
        fail_at = at;
        pn_status status = pn_formula_new(code, LENGTH, outputs, OUTPUTS, INPUTS, PARAMETERS, &f,
                                          &error);
        if (!status) status = pn_tape_new(f, 7, 1, &tape, &error);
        done = fail_at >= 0;
        fail_at = -1;
        CHECK(status == (done ? PN_OK : PN_NO_MEMORY), "allocation %ld: %d", at, (int)status);
        pn_tape_free(tape);
        pn_formula_free(f);
        CHECK(alive == before, "allocation %ld: %ld blocks left", at, alive - before);
        CHECK(at < 100, "no end");
    }
}

int main(void)
{
    static double digest[8][PN_DTYPES][PROGRAMS];
    pn_error error = { "" };
    size_t avx2 = 8, avx512 = 8;
    while (pn_formula_op_at(operations)) operations++;
    while (pn_activation_at(activations)) activations++;
    for (size_t i = 0; pn_isa_built(i) && i < 8; i++) {
        if (!pn_isa_runs(pn_isa_built(i))) continue;
        CHECK(pn_isa_set(pn_isa_built(i), &error) == PN_OK, "%s", error.text);
        for (pn_dtype t = 0; t < PN_DTYPES; t++) test_programs(t, digest[i][t]);
        if (!strcmp(pn_isa_built(i), "avx2")) avx2 = i;
        if (!strcmp(pn_isa_built(i), "avx512")) avx512 = i;
    }
    if (avx2 < 8 && avx512 < 8)
        CHECK(!memcmp(digest[avx2], digest[avx512], sizeof digest[0]), "avx2 differs from avx512");
    test_scaled();
    test_errors();
    test_memory();
    return REPORT();
}
