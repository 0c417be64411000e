/* formula.h - the parts of a checked program, for the compiler of tapes. */
#ifndef PN_FORMULA_H
#define PN_FORMULA_H
#include "../../pynn.h"

struct pn_formula {
    size_t n, n_outputs, inputs, parameters;
    pn_instruction *code;
    ptrdiff_t *outputs;
};
/* The operands of an instruction. */
size_t pn_instruction_operands(const pn_instruction *instruction);

#endif
