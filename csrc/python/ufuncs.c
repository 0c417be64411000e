/* ufuncs.c - activations, their derivatives and the row-wise functions as NumPy ufuncs.
 *
 * One loop serves all elementwise rows and dtypes, and another one all row-wise rows. The record of
 * the ufunc identifies the function, and the descriptor of its first operand the type. Kernels
 * process contiguous spans, so strides and float16 are handled here. */
#include "ufuncs.h"
#include "service.h"
#include "stop.h"
#ifndef __x86_64__
#include <fenv.h>
#endif
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* POLL_AT: minimum bytes of a call that checks for signals; POLL_NS: interval of these checks */
enum { POLL_AT = 4096, POLL_NS = 50000000 };
enum { MAX_OPERANDS = PN_MAX_FORMULA_INPUTS + PN_MAX_FORMULA_PARAMETERS, LOOPS = 3 };
enum {
    SPAN = 256, /* elements gathered at a time */
    SPANS = 8, /* arrays of such a length; shorter ones if there are more */
    /* minimum bytes for which two threads are faster when limited by computation, or by memory */
    PARALLEL_BYTES_COMPUTE = 32768,
    PARALLEL_BYTES_MEMORY = 262144,
    /* factor on this minimum if the threads of the pool must be woken */
    WAKE = 16,
    AWAKE_NS = 30000 /* time after a call for which they are certainly awake */
};

typedef struct record record;
/* y = f(x[0], x[1], ...) over n contiguous elements. Bit k of varying: x[k] has n elements, not
 * one. */
typedef void apply_fn(const record *f, pn_dtype t, size_t n, const void *const *x, unsigned varying,
                      void *y);
struct record {
    size_t row;
    const pn_tape *tape;        /* of a formula, kept alive by the ufunc; it has one output */
    size_t output;
    int inputs, operands;       /* inputs, and inputs and parameters */
    /* PARALLEL_BYTES_COMPUTE or PARALLEL_BYTES_MEMORY; a task takes half as many bytes */
    npy_intp min_bytes;
    _Atomic int64_t last;       /* end of the last call of at least this size */
    apply_fn *apply;            /* NULL for row-wise functions */
    char name[64], types[LOOPS * (MAX_OPERANDS + 1)];
};

static void apply_forward(const record *f, pn_dtype t, size_t n, const void *const *x,
                          unsigned varying, void *y)
{
    pn_activation_forward(f->row, t, n, x[0], y, x + 1, varying > 1);
}
static void apply_derivative(const record *f, pn_dtype t, size_t n, const void *const *x,
                             unsigned varying, void *y)
{
    pn_activation_derivative(f->row, t, n, x[0], y, x + 1, varying > 1);
}
static void apply_tape(const record *f, pn_dtype t, size_t n, const void *const *x,
                       unsigned varying, void *y)
{
    pn_operand parameters[PN_MAX_FORMULA_PARAMETERS];
    void *outputs[PN_MAX_FORMULA_OUTPUTS];
    for (int k = f->inputs; k < f->operands; k++)
        parameters[k - f->inputs] = (pn_operand){ x[k], varying >> k & 1 };
    outputs[f->output] = y;
    pn_tape_run(f->tape, t, n, x, parameters, outputs);
}

static float float_from_half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, magnitude = h & 0x7fff, bits;
    float f;
    if (magnitude >= 0x7c00) bits = 0x7f800000 | (magnitude & 0x3ff) << 13;         /* inf, NaN */
    else if (magnitude >= 0x400) bits = (magnitude << 13) + 0x38000000;
    /* subnormals and zero */
    else { f = (float)magnitude * 0x1p-24f; memcpy(&bits, &f, sizeof bits); }
    bits |= sign;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Round to nearest, ties to even. */
static uint16_t half_from_float(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    uint16_t sign = bits >> 16 & 0x8000;
    bits &= 0x7fffffff;
    /* a NaN keeps its payload */
    if (bits > 0x7f800000) return sign | 0x7e00 | (bits >> 13 & 0x3ff);
    /* 65520 and more round to inf */
    if (bits >= 0x477ff000) return sign | 0x7c00;
    if (bits >= 0x38800000)
        return sign | (uint16_t)((bits - 0x38000000 + 0xfff + (bits >> 13 & 1)) >> 13);
    memcpy(&f, &bits, sizeof f);
    /* the last bit of f is now 2^-24, the smallest half */
    f += 0.5f;
    memcpy(&bits, &f, sizeof bits);
    return sign | (uint16_t)(bits - 0x3f000000);
}

/* Gathers n elements of a NumPy type, s bytes apart, into to[0..n); float16 becomes float. */
static void gather(int type, npy_intp n, const char *x, npy_intp s, void *to)
{
    if (type == NPY_DOUBLE)
        for (npy_intp i = 0; i < n; i++) ((double *)to)[i] = *(const double *)(x + i * s);
    else if (type == NPY_FLOAT)
        for (npy_intp i = 0; i < n; i++) ((float *)to)[i] = *(const float *)(x + i * s);
    else
        for (npy_intp i = 0; i < n; i++)
            ((float *)to)[i] = float_from_half(*(const uint16_t *)(x + i * s));
}

static void scatter(int type, npy_intp n, const void *from, char *y, npy_intp s)
{
    if (type == NPY_DOUBLE)
        for (npy_intp i = 0; i < n; i++) *(double *)(y + i * s) = ((const double *)from)[i];
    else if (type == NPY_FLOAT)
        for (npy_intp i = 0; i < n; i++) *(float *)(y + i * s) = ((const float *)from)[i];
    else
        for (npy_intp i = 0; i < n; i++)
            *(uint16_t *)(y + i * s) = half_from_float(((const float *)from)[i]);
}

/* Kernels raise floating-point flags that say nothing about the result. NumPy checks the flags,
 * despite what a loop declares, if it also converts an operand, and after every gufunc. <fenv.h>
 * takes 100 ns on x86 because it also handles the x87 unit. */
#ifdef __x86_64__
typedef unsigned float_flags;
static void save_flags(float_flags *f) { *f = __builtin_ia32_stmxcsr(); }
static void restore_flags(const float_flags *f) { __builtin_ia32_ldmxcsr(*f); }
#else
typedef fenv_t float_flags;
static void save_flags(float_flags *f) { fegetenv(f); }
static void restore_flags(const float_flags *f) { fesetenv(f); }
#endif

static int64_t now_ns(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void run_tasks(record *f, npy_intp bytes, npy_intp min_bytes, size_t tasks, pn_task_fn *task,
                      void *c)
{
    if (bytes < min_bytes) {
        for (size_t i = 0; i < tasks && !(tasks > 64 && pn_stop_now()); i++) task(c, i);
    } else if (bytes >= min_bytes * WAKE || now_ns() - f->last < AWAKE_NS) {
        pn_parallel(tasks, task, c);
        f->last = now_ns();
    } else {
        for (size_t i = 0; i < tasks && !(tasks > 64 && pn_stop_now()); i++) task(c, i);
        f->last = now_ns();
    }
}

/* Runs the tasks of a call on the given number of bytes, on the pool if that is faster. Their
 * results do not depend on this choice. Returns -1 with an exception if a signal stopped it.
 * Signals are checked between tasks, and between calls, because NumPy calls a loop repeatedly for a
 * converted operand. */
static int run_interruptible(record *f, npy_intp bytes, npy_intp min_bytes, size_t tasks,
                             pn_task_fn *task, void *c)
{
    static _Thread_local int64_t last;
    const int64_t now = bytes < POLL_AT ? 0 : now_ns();
    if (now - last > POLL_NS) {
        last = now;
        if (poll_signals(NULL)) return -1;
    }
    pn_stop stop = { .poll = poll_signals };
    if (tasks > 64) pn_stop_begin(&stop);
    run_tasks(f, bytes, min_bytes, tasks, task, c);
    return tasks > 64 && pn_stop_end(&stop) ? -1 : 0;
}

/* One call of an elementwise loop with operands x, parameters, y. */
typedef struct {
    const record *f;
    int type, contiguous;
    unsigned varying;               /* bit k: operand k has one value per element */
    npy_intp n, per_task;           /* elements, and elements per task */
    char *const *data;
    const npy_intp *strides;
} call;

static void apply_contiguous(const call *c, npy_intp i, npy_intp n)      /* elements [i, i + n) */
{
    const int operands = c->f->operands;
    const npy_intp *s = c->strides;
    const void *x[MAX_OPERANDS] = { NULL };
    for (int k = 0; k < operands; k++) x[k] = c->data[k] + i * s[k];
    c->f->apply(c->f, c->type == NPY_DOUBLE ? PN_F64 : PN_F32, (size_t)n, x, c->varying,
                c->data[operands] + i * s[operands]);
}

/* Elements [i, i + n) of any layout, at most `most` at a time. */
static void apply_strided(const call *c, npy_intp i, npy_intp n, npy_intp most)
{
    const pn_dtype t = c->type == NPY_DOUBLE ? PN_F64 : PN_F32;
    const int operands = c->f->operands;
    const npy_intp *s = c->strides;
    double spans[SPANS][SPAN];
    const void *x[MAX_OPERANDS] = { NULL };
    const npy_intp length = operands <= SPANS ? SPAN : SPANS * SPAN / operands;
    if (most > length) most = length;
    for (int k = 0; k < operands; k++)
        x[k] = c->varying >> k & 1 ? (const void *)(spans[0] + k * length) : c->data[k];
    for (const npy_intp end = i + n; i < end; i += most) {
        const npy_intp m = end - i < most ? end - i : most;
        for (int k = 0; k < operands; k++)
            if (c->varying >> k & 1)
                gather(k < c->f->inputs ? c->type : t == PN_F64 ? NPY_DOUBLE : NPY_FLOAT, m,
                       c->data[k] + i * s[k], s[k], spans[0] + k * length);
        c->f->apply(c->f, t, (size_t)m, x, c->varying, spans[0]);
        scatter(c->type, m, spans[0], c->data[operands] + i * s[operands], s[operands]);
    }
}

static void apply_task(void *context, size_t task)
{
    const call *c = context;
    const npy_intp i = (npy_intp)task * c->per_task, left = c->n - i,
                   n = left < c->per_task ? left : c->per_task;
    if (c->contiguous) apply_contiguous(c, i, n);
    else apply_strided(c, i, n, SPAN);
}

/* Returns whether the output overlaps an operand without being in place. NumPy allows this if
 * processing from left to right is correct. */
static int overlaps(const call *c)
{
    const int out = c->f->operands;
    const uintptr_t y = (uintptr_t)c->data[out],
                    y_end = y + (uintptr_t)((c->n - 1) * c->strides[out]);
    for (int k = 0; k < out; k++) {
        const uintptr_t x = (uintptr_t)c->data[k],
                        x_end = x + (uintptr_t)((c->n - 1) * c->strides[k]);
        if (x == y && c->strides[k] == c->strides[out]) continue;
        const uintptr_t x_low = x < x_end ? x : x_end, x_high = x < x_end ? x_end : x;
        const uintptr_t y_low = y < y_end ? y : y_end, y_high = y < y_end ? y_end : y;
        if (x_low < y_high + sizeof(double) && y_low < x_high + sizeof(double)) return 1;
    }
    return 0;
}

/* The operands of which every element is read: inputs, and parameters that vary. A row of the table
 * of activations has parameters that vary together. */
static unsigned varying_operands(const record *f, const npy_intp *strides)
{
    unsigned varying = 0, parameters = 0;
    for (int k = 0; k < f->operands; k++) {
        if (k >= f->inputs) parameters |= 1u << k;
        if (k < f->inputs || strides[k]) varying |= 1u << k;
    }
    return !f->tape && varying & parameters ? varying | parameters : varying;
}

/* The strided loop of every elementwise ufunc. */
static int elementwise(PyArrayMethod_Context *context, char *const *data,
                       const npy_intp *dimensions, const npy_intp *strides, NpyAuxData *aux)
{
    (void)aux;
    record *f = ((PyUFuncObject *)context->caller)->ptr;
    const int type = context->descriptors[0]->type_num, out = f->operands;
    const npy_intp size = type == NPY_DOUBLE ? sizeof(double) : sizeof(float), sx = strides[0],
                   sy = strides[out];
    call c = { .f = f, .type = type, .n = dimensions[0], .data = data, .strides = strides,
               .varying = varying_operands(f, strides) };
    c.contiguous = type != NPY_HALF && sy == size;
    for (int k = 0; k < out; k++)
        c.contiguous &= strides[k] == (c.varying >> k & 1 ? size : 0);

    /* reduce and accumulate, which NumPy provides for two operands, use each output as the next
     * x */
    const int feedback = out > 1 &&
                         ((sx == 0 && sy == 0) || (sx == sy && data[out] == data[0] + sx));
    const npy_intp bytes = c.contiguous ? f->min_bytes : PARALLEL_BYTES_COMPUTE;
    c.per_task = bytes / 2 / size;
    float_flags flags;
    save_flags(&flags);
    int status = 0;
    if (feedback) apply_strided(&c, 0, c.n, 1);
    else
        status = run_interruptible(f, overlaps(&c) ? 0 : c.n * size, bytes,
                                   (size_t)((c.n + c.per_task - 1) / c.per_task), apply_task, &c);
    restore_flags(&flags);
    return status;
}

static int no_memory(void)
{
    NPY_ALLOW_C_API_DEF
    NPY_ALLOW_C_API
    PyErr_NoMemory();
    NPY_DISABLE_C_API
    return -1;
}

/* One call of a row-wise loop. The dimensions are rows and n. The strides are those of the rows,
 * followed by those of their elements. */
typedef struct {
    const record *f;
    int type;
    npy_intp rows, n, per_task;     /* rows per task */
    char *const *data;
    const npy_intp *strides;
    atomic_int failed;              /* a task could not allocate a row */
} rows_call;

static void apply_rows(void *context, size_t task)
{
    rows_call *c = context;
    const pn_dtype t = c->type == NPY_DOUBLE ? PN_F64 : PN_F32;
    const npy_intp size = t == PN_F64 ? sizeof(double) : sizeof(float), n = c->n, *s = c->strides;
    const npy_intp first = (npy_intp)task * c->per_task,
                   rows = c->rows - first < c->per_task ? c->rows - first : c->per_task;
    char *x = c->data[0] + first * s[0], *y = c->data[1] + first * s[1];
    if (c->type != NPY_HALF && s[2] == size && s[3] == size) {
        if (s[0] == n * size && s[1] == n * size)
            pn_rowwise_forward(c->f->row, t, (size_t)rows, (size_t)n, x, y);
        else
            for (npy_intp i = 0; i < rows; i++)
                pn_rowwise_forward(c->f->row, t, 1, (size_t)n, x + i * s[0], y + i * s[1]);
        return;
    }
    double small[SPAN], *row = n <= SPAN ? small : malloc((size_t)n * sizeof *row);
    if (!row) { c->failed = 1; return; }
    for (npy_intp i = 0; i < rows; i++) {
        gather(c->type, n, x + i * s[0], s[2], row);
        pn_rowwise_forward(c->f->row, t, 1, (size_t)n, row, row);
        scatter(c->type, n, row, y + i * s[1], s[3]);
    }
    if (row != small) free(row);
}

/* The strided loop of every row-wise gufunc. */
static int rowwise(PyArrayMethod_Context *context, char *const *data, const npy_intp *dimensions,
                   const npy_intp *strides, NpyAuxData *aux)
{
    (void)aux;
    record *f = ((PyUFuncObject *)context->caller)->ptr;
    const int type = context->descriptors[0]->type_num;
    const npy_intp rows = dimensions[0], n = dimensions[1],
                   bytes = n * (type == NPY_DOUBLE ? sizeof(double) : sizeof(float));
    rows_call c = { .f = f,
                    .type = type,
                    .rows = rows,
                    .n = n,
                    .per_task = 1 + PARALLEL_BYTES_COMPUTE / 2 / (bytes + 1),
                    .data = data,
                    .strides = strides };
    float_flags flags;
    save_flags(&flags);
    const size_t tasks = (size_t)((rows + c.per_task - 1) / c.per_task);
    const int status = run_interruptible(f, rows * bytes, PARALLEL_BYTES_COMPUTE, tasks, apply_rows,
                                         &c);
    restore_flags(&flags);
    return c.failed ? no_memory() : status;
}

/* The type of a call: that of the output if dtype= or signature= specifies it, otherwise that of
 * the first operand, where integers and Python numbers become doubles. Returns NULL if there is no
 * loop for it, with an exception if the type is known. */
static PyArray_DTypeMeta *resolve_type(const PyUFuncObject *ufunc,
                                       PyArray_DTypeMeta *const *operands,
                                       PyArray_DTypeMeta *const *signature)
{
    PyArray_DTypeMeta *const choices[] = { &PyArray_HalfDType, &PyArray_FloatDType,
                                           &PyArray_DoubleDType };
    PyArray_DTypeMeta *first = signature[ufunc->nargs - 1] ? signature[ufunc->nargs - 1]
                             : signature[0]                ? signature[0]
                                                           : operands[0];
    /* reduce and accumulate omit the first */
    if (!first) first = operands[1];
    if (!first) return NULL;
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
        if (first == choices[i]) return choices[i];
    int number = first->type_num;
    int integer = number >= 0 && first->singleton && PyTypeNum_ISINTEGER(number);
    integer |= first == &PyArray_BoolDType || first == &PyArray_PyLongDType ||
               first == &PyArray_PyFloatDType;
    const int asked = signature[ufunc->nargs - 1] || signature[0];
    if (integer && !asked) return &PyArray_DoubleDType;
    PyErr_Format(PyExc_TypeError, "%s: %s is not supported; expected float16, float32 or float64%s",
                 ufunc->name,
                 (first->scalar_type ? first->scalar_type : (PyTypeObject *)first)->tp_name,
                 asked ? "" : ", or integers or bool, which become float64");
    return NULL;
}

/* Parameters are converted to the type of the first operand. For float16 they are float32, in which
 * it is computed. */
static int promote(PyObject *ufunc, PyArray_DTypeMeta *const operands[],
                   PyArray_DTypeMeta *const signature[], PyArray_DTypeMeta *out[])
{
    const int nargs = ((PyUFuncObject *)ufunc)->nargs,
              inputs = ((const record *)((PyUFuncObject *)ufunc)->ptr)->inputs;
    PyArray_DTypeMeta *type = resolve_type((PyUFuncObject *)ufunc, operands, signature);
    if (!type) return -1;
    PyArray_DTypeMeta *parameter = type == &PyArray_HalfDType ? &PyArray_FloatDType : type;
    for (int i = 0; i < nargs; i++)
        out[i] = (PyArray_DTypeMeta *)Py_NewRef(
            (PyObject *)(i >= inputs && i < nargs - 1 ? parameter : type));
    return 0;
}

/* Also sets ufunc.types, which lists only legacy loops, without a resolver for them. */
static int add_loops(PyUFuncObject *ufunc, record *f)
{
    PyArray_DTypeMeta *const types[LOOPS] = { &PyArray_HalfDType, &PyArray_FloatDType,
                                              &PyArray_DoubleDType };
    const int nargs = f->operands + 1;
    PyType_Slot slots[] = { { NPY_METH_strided_loop, (void *)(f->apply ? elementwise : rowwise) },
                            { 0, NULL } };
    for (int i = 0; i < LOOPS; i++) {
        const int is_half = types[i] == &PyArray_HalfDType;
        PyArray_DTypeMeta *operands[MAX_OPERANDS + 1];
        for (int k = 0; k < nargs; k++)
            operands[k] = is_half && k >= f->inputs && k < nargs - 1 ? &PyArray_FloatDType
                                                                     : types[i];
        PyArrayMethod_Spec spec = { .name = f->name,
                                    .nin = nargs - 1,
                                    .nout = 1,
                                    .casting = NPY_NO_CASTING,
                                    .flags = NPY_METH_NO_FLOATINGPOINT_ERRORS,
                                    .dtypes = operands,
                                    .slots = slots };
        if (PyUFunc_AddLoopFromSpec((PyObject *)ufunc, &spec) < 0) return -1;
        for (int k = 0; k < nargs; k++) f->types[i * nargs + k] = (char)operands[k]->type_num;
    }
    ufunc->types = f->types;
    ufunc->ntypes = LOOPS;
    ufunc->type_resolver = NULL;
    return 0;
}

static int add_promoter(PyObject *ufunc, int nargs)
{
    PyObject *any = PyTuple_New(nargs),
             *capsule = PyCapsule_New((void *)promote, "numpy._ufunc_promoter", NULL);
    for (int i = 0; any && i < nargs; i++) PyTuple_SET_ITEM(any, i, Py_NewRef(Py_None));
    int rc = any && capsule ? PyUFunc_AddPromoter(ufunc, any, capsule) : -1;
    Py_XDECREF(any);
    Py_XDECREF(capsule);
    return rc;
}

/* A formula without these functions only selects, multiplies and divides, so memory limits it. */
static npy_intp min_bytes(const char *formula)
{
    static const char *const words[] = { "exp", "log", "tanh", "erf", "sin", "cos" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(formula, words[i])) return PARALLEL_BYTES_COMPUTE;
    return PARALLEL_BYTES_MEMORY;
}

/* keep: what the function needs, or NULL */
static PyObject *new_ufunc(const record *like, const char *prefix, const char *name, PyObject *keep)
{
    record *f = PyArray_malloc(sizeof *f);
    if (!f) return PyErr_NoMemory();
    *f = *like;
    PyOS_snprintf(f->name, sizeof f->name, "%s%s", prefix, name);
    PyObject *ufunc = PyUFunc_FromFuncAndDataAndSignature(NULL, NULL, NULL, 0, f->operands, 1,
                                                          PyUFunc_None, f->name, "", 0,
                                                          f->apply ? NULL : "(n)->(n)");
    if (!ufunc) { PyArray_free(f); return NULL; }
    ((PyUFuncObject *)ufunc)->ptr = f;                      /* NumPy frees it with the ufunc */
    /* what the ufunc keeps alive: a tuple of keep and, after set_doc, its text */
    if (!(((PyUFuncObject *)ufunc)->obj = PyTuple_Pack(1, keep ? keep : Py_None)) ||
        add_loops((PyUFuncObject *)ufunc, f) < 0 || add_promoter(ufunc, f->operands + 1) < 0)
        Py_CLEAR(ufunc);
    return ufunc;
}

PyObject *formula_ufunc(const pn_formula *formula, const pn_tape *tape, size_t output,
                        const char *name, PyObject *keep)
{
    const int inputs = (int)pn_formula_inputs(formula);
    return new_ufunc(&(record){ .tape = tape,
                                .output = output,
                                .inputs = inputs,
                                .operands = inputs + (int)pn_formula_parameters(formula),
                                .apply = apply_tape,
                                .min_bytes = pn_tape_is_cheap(tape) ? PARALLEL_BYTES_MEMORY
                                                                    : PARALLEL_BYTES_COMPUTE },
                     "", name, keep);
}

/* The number of parameters: "threshold, value" has two. */
static int count(const char *params)
{
    if (!params) return 0;
    int n = 1;
    for (; *params; params++) n += *params == ',';
    return n;
}

static PyObject *activation_row(size_t i)
{
    const pn_activation *a = pn_activation_at(i);
    if (!a) return NULL;
    record f = { .row = i, .inputs = 1, .operands = 1 + count(a->params), .apply = apply_forward,
                 .min_bytes = min_bytes(a->formula) };
    PyObject *forward = new_ufunc(&f, "", a->name, NULL);
    f.apply = apply_derivative;
    PyObject *derivative = forward ? new_ufunc(&f, "grad.", a->name, NULL) : NULL;
    if (!derivative) { Py_XDECREF(forward); return NULL; }
    return Py_BuildValue("{s:s,s:s,s:C,s:s,s:s,s:s,s:d,s:d,s:s,s:s,s:s,s:N,s:N}", "name", a->name,
                         "cls", or_empty(a->cls), "needs", a->needs, "params",
                         or_empty(a->params), "check", or_empty(a->check), "docs",
                         or_empty(a->docs), "ulp", a->ulp, "grad_ulp", a->grad_ulp, "onnx",
                         a->onnx, "formula", a->formula, "summary", a->summary, "ufunc", forward,
                         "grad", derivative);
}

static PyObject *rowwise_row(size_t i)
{
    const pn_rowwise *r = pn_rowwise_at(i);
    const record f = { .row = i, .inputs = 1, .operands = 1, .min_bytes = PARALLEL_BYTES_COMPUTE };
    PyObject *ufunc = r ? new_ufunc(&f, "", r->name, NULL) : NULL;
    return ufunc ? Py_BuildValue("{s:s,s:s,s:d,s:s,s:s,s:s,s:s,s:N}", "name", r->name, "cls",
                                 r->cls, "ulp", r->ulp, "onnx", r->onnx, "formula", r->formula,
                                 "gradient", r->gradient, "summary", r->summary, "ufunc", ufunc)
                 : NULL;
}

/* Sets the documentation, which Python composes from the row after the ufunc is created. */
static PyObject *set_doc(PyObject *module, PyObject *args)
{
    (void)module;
    PyUFuncObject *ufunc;
    PyObject *text;
    const char *doc;
    if (!PyArg_ParseTuple(args, "O!U:set_doc", &PyUFunc_Type, &ufunc, &text) ||
        !(doc = PyUnicode_AsUTF8(text)))
        return NULL;
    if (!ufunc->obj || !PyTuple_Check(ufunc->obj)) {
        PyErr_SetString(PyExc_ValueError, "set_doc: the ufunc is not one of this module");
        return NULL;
    }
    PyObject *kept = PyTuple_Pack(2, PyTuple_GET_ITEM(ufunc->obj, 0), text);
    if (!kept) return NULL;
    ufunc->doc = doc;
    Py_SETREF(ufunc->obj, kept);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    { "set_doc", set_doc, METH_VARARGS,
      "set_doc(ufunc, text, /)\n--\n\nSet the documentation of a ufunc of this module." },
    { NULL, NULL, 0, NULL }
};

int add_ufuncs(PyObject *module)
{
    if (PyModule_AddFunctions(module, methods) < 0) return -1;
    return add_rows(module, "ACTIVATIONS", activation_row) < 0
             ? -1
             : add_rows(module, "ROWWISE", rowwise_row);
}
