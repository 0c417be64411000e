/* pynn.h - the C library's public interface: all that the Python binding, or a C program, includes.
 *
 * Ownership is in the verb: _new gives, _free takes (NULL allowed), everything else borrows for the call.
 * Nothing here prints, exits or aborts. A call that can fail returns pn_status and writes a sentence into pn_error. */
#ifndef PYNN_H
#define PYNN_H
#include <stddef.h>
#include <stdint.h>

typedef enum {
    PN_OK = 0,
    PN_NO_MEMORY,
    PN_BAD_SHAPE,   /* an array's shape does not fit; the text names it and both shapes */
    PN_BAD_VALUE,   /* a number or a name is outside what is allowed */
    PN_BAD_STATE,   /* the call came at the wrong moment (backward before forward) */
    PN_STOPPED      /* the caller's poll function asked to stop */
} pn_status;

typedef struct { char text[256]; } pn_error;

typedef enum { PN_F32, PN_F64, PN_DTYPES } pn_dtype;
enum { PN_MAX_PARAMS = 2, PN_MAX_DIMS = 8 };

/* ---- instruction sets ------------------------------------------------------------------------------------------ */
pn_status pn_isa_set(const char *name, pn_error *error);    /* NULL: the best this machine has. Affects later plans and calls */
const char *pn_isa_get(void);
const char *pn_isa_built(size_t i);                         /* names of what was compiled in, best first; NULL past the end */
int pn_isa_runs(const char *name);                          /* can this machine run it? */

/* ---- activations: elementwise, one row each in core/activations.h ---------------------------------------------- */
typedef struct {
    const char *name, *cls;         /* "leaky_relu", "LeakyReLU" */
    char needs;                     /* 'x' or 'y': what backward reads */
    const char *params;             /* "negative_slope=0.01", at most PN_MAX_PARAMS, comma separated */
    const char *check;              /* Python expression that the parameters must satisfy, or "" */
    double ulp, grad_ulp;           /* promised error of value and derivative, in units in the last place */
    const char *onnx, *formula;     /* the formula is NumPy text: documentation, and the oracle of the tests */
    const char *summary;            /* one sentence, with its source */
} pn_activation;

const pn_activation *pn_activation_at(size_t i);            /* NULL past the end */

/* y = f(x) and y = f'(x) over n contiguous elements; y may be x. p: PN_MAX_PARAMS pointers (unused ones NULL), each to one value
 * of the dtype, or with varying != 0 to n values. */
void pn_activation_forward(size_t i, pn_dtype t, size_t n, const void *x, void *y, const void *const *p, int varying);
void pn_activation_derivative(size_t i, pn_dtype t, size_t n, const void *x, void *y, const void *const *p, int varying);

/* ---- row-wise functions (softmax, ...): one row each in core/rowwise.h ------------------------------------------ */
typedef struct { const char *name, *cls; double ulp; const char *onnx, *formula, *summary; } pn_rowwise;
const pn_rowwise *pn_rowwise_at(size_t i);
void pn_rowwise_forward(size_t i, pn_dtype t, size_t rows, size_t n, const void *x, void *y);      /* (rows, n) each; y may be x */

/* ---- losses: one row each in core/losses.h ---------------------------------------------------------------------- */
typedef struct {
    const char *name, *cls;         /* "mse", "MSELoss" */
    char kind;                      /* 'e' elementwise, 'r' one value a row */
    char target;                    /* 'r' real, 'u' in [0, 1], 'c' class index, 'p' class index or class probabilities */
    char metric;                    /* accuracy: 'a' arg max of the row, 'l' sign of a logit, 'p' probability over 1/2, 'n' none */
    const char *formula, *summary;
} pn_loss;
const pn_loss *pn_loss_at(size_t i);

/* ---- optimizers: one row each in core/optimizers.h -------------------------------------------------------------- */
enum { PN_MAX_STATES = 3, PN_MAX_HYPER = 10 };
typedef struct {
    const char *name, *cls;         /* "adam", "Adam" */
    const char *hyper;              /* "lr=1e-3, betas=(0.9, 0.999), ..."; flattened left to right for C */
    const char *check;              /* Python expression over them, or "" */
    const char *states;             /* space-separated names of the per-parameter state arrays */
    const char *formula, *summary;
} pn_optimizer;
const pn_optimizer *pn_optimizer_at(size_t i);

#endif
