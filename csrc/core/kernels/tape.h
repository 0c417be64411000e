/* tape.h - the form in which formulas run (tape_run.c), made by tape.c.
 *
 * A tape works on one block of elements after another. Its values are in cells. Uniform cells have
 * 64 bytes of equal values: constants, parameters with stride 0, and what is computed from these
 * once per run. Slots hold the intermediate values of a block. Streams are the inputs, the
 * parameters with stride 1 and the outputs, where the caller has them. */
#ifndef PN_TAPE_H
#define PN_TAPE_H
#include "../../pynn.h"

enum {
    PN_UNIFORM_BYTES = 64,              /* the largest vector */
    PN_STEP_OPERANDS = 4,
    PN_TAPE_CELLS = 1000,
    PN_TAPE_SCRATCH = 65536             /* bytes that a run has on its stack */
};

/* y[0] = op(x[0], x[1], ...), where y and x are cells; a pair sets y[1] too. op: a row of
 * pn_tape_op_at or of the activations. Bit k of uniform: x[k] is a uniform cell. */
typedef struct {
    pn_instruction_kind kind;
    uint8_t uniform;
    uint16_t op, y[2], x[PN_STEP_OPERANDS];
    double number[PN_MAX_PARAMS];
} pn_tape_step;

/* Cells are numbered in this order: constants, scalars (parameters with stride 0), uniform results,
 * slots, then streams: inputs, parameters with stride 1, outputs. The first `once` steps compute
 * the uniform results. */
typedef struct {
    size_t constants, scalars, uniform, slots, inputs, parameters, outputs;
    size_t once, n;
    pn_tape_step *steps;
    char *constant[PN_DTYPES];          /* the cells */
    uint8_t *parameter;                 /* the parameter of each scalar, or of each stream */
    uint8_t output[PN_MAX_FORMULA_OUTPUTS];    /* the output of each stream */
    size_t block_bytes;                 /* of a slot: a multiple of PN_UNIFORM_BYTES */
    int reads_after_write;              /* a stream is read after an output was written */
} pn_tape_plan;

/* plan[1]: the parameters are streams */
struct pn_tape { pn_tape_plan plan[2]; int is_cheap; };

#endif
