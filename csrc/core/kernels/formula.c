/* formula.c - programs of formulas: checking and copying them. */
#include "formula.h"
#include "../base/array.h"
#include "../base/error.h"
#include <stdlib.h>
#include <string.h>

size_t pn_instruction_operands(const pn_instruction *instruction)
{
    switch (instruction->kind) {
    case PN_CODE_OPERATION:             return (size_t)pn_formula_op_at(instruction->row)->arity;
    case PN_CODE_ACTIVATION:
    case PN_CODE_DERIVATIVE: return 1;
    default:                       return 0;
    }
}

/* The rows that an instruction of a kind selects from. */
static int row_exists(const pn_formula *f, const pn_instruction *c)
{
    switch (c->kind) {
    case PN_CODE_INPUT:           return c->row < f->inputs;
    case PN_CODE_PARAMETER:       return c->row < f->parameters;
    case PN_CODE_CONSTANT:              return 1;
    case PN_CODE_OPERATION:             return pn_formula_op_at(c->row) != NULL;
    case PN_CODE_ACTIVATION:
    case PN_CODE_DERIVATIVE: return pn_activation_at(c->row) != NULL;
    }
    return 0;
}

static pn_status check_instruction(const pn_formula *f, size_t i, pn_error *error)
{
    static const char *const rows[] = { "input", "parameter", "constant", "operation",
                                        "activation", "activation" };
    const pn_instruction *c = &f->code[i];
    if ((size_t)c->kind >= sizeof rows / sizeof *rows)
        return pn_fail(error, PN_BAD_VALUE, "instruction %zu: kind %d does not exist", i,
                       (int)c->kind);
    if (!row_exists(f, c))
        return pn_fail(error, PN_BAD_VALUE,
                       "instruction %zu: %s %zu does not exist; there are %zu inputs and %zu "
                       "parameters", i, rows[c->kind], c->row, f->inputs, f->parameters);
    for (size_t k = 0; k < pn_instruction_operands(c); k++)
        if (c->operand[k] >= i)
            return pn_fail(error, PN_BAD_VALUE,
                           "instruction %zu: operand %zu is not an earlier value", i,
                           c->operand[k]);
    return PN_OK;
}

static pn_status check(const pn_formula *f, pn_error *error)
{
    if (!f->n_outputs || f->n_outputs > PN_MAX_FORMULA_OUTPUTS)
        return pn_fail(error, PN_BAD_VALUE, "outputs: expected 1 to %d, got %zu",
                       PN_MAX_FORMULA_OUTPUTS, f->n_outputs);
    if (!f->inputs || f->inputs > PN_MAX_FORMULA_INPUTS)
        return pn_fail(error, PN_BAD_VALUE, "inputs: expected 1 to %d, got %zu",
                       PN_MAX_FORMULA_INPUTS, f->inputs);
    if (f->parameters > PN_MAX_FORMULA_PARAMETERS)
        return pn_fail(error, PN_BAD_VALUE, "parameters: expected at most %d, got %zu",
                       PN_MAX_FORMULA_PARAMETERS, f->parameters);
    for (size_t i = 0; i < f->n; i++) {
        pn_status status = check_instruction(f, i, error);
        if (status) return status;
    }
    for (size_t k = 0; k < f->n_outputs; k++)
        if (f->outputs[k] < -1 || (f->outputs[k] >= 0 && (size_t)f->outputs[k] >= f->n))
            return pn_fail(error, PN_BAD_VALUE, "output %zu: value %td does not exist", k,
                           f->outputs[k]);
    return PN_OK;
}

/* Copies n elements; NULL when memory is short. */
static void *copy(const void *from, size_t n, size_t size)
{
    size_t bytes;
    void *to = pn_multiply(n, size, &bytes) ? malloc(bytes + 1) : NULL;
    if (to && bytes) memcpy(to, from, bytes);
    return to;
}

pn_status pn_formula_new(const pn_instruction *code, size_t n, const ptrdiff_t *outputs,
                         size_t n_outputs, size_t inputs, size_t parameters, pn_formula **formula,
                         pn_error *error)
{
    pn_formula *f = calloc(1, sizeof *f);
    pn_status status = PN_NO_MEMORY;
    *formula = NULL;
    if (!f) goto done;
    f->n = n;
    f->n_outputs = n_outputs;
    f->inputs = inputs;
    f->parameters = parameters;
    if (!(f->code = copy(code, n, sizeof *code)) ||
        !(f->outputs = copy(outputs, n_outputs, sizeof *outputs)))
        goto done;
    status = check(f, error);
done:
    if (status) {
        pn_formula_free(f);
        return status == PN_NO_MEMORY ? pn_fail(error, status, "no memory for a formula") : status;
    }
    *formula = f;
    return PN_OK;
}

void pn_formula_free(pn_formula *formula)
{
    if (!formula) return;
    free(formula->code);
    free(formula->outputs);
    free(formula);
}

size_t pn_formula_inputs(const pn_formula *formula) { return formula->inputs; }
size_t pn_formula_parameters(const pn_formula *formula) { return formula->parameters; }
size_t pn_formula_outputs(const pn_formula *formula) { return formula->n_outputs; }
int pn_formula_has(const pn_formula *formula, size_t output)
{
    return output < formula->n_outputs && formula->outputs[output] >= 0;
}
