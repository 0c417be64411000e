/* ufuncs.c - activations, their derivatives and the row-wise functions as NumPy ufuncs.
 *
 * One loop serves every elementwise row and dtype, and one every row-wise row: the ufunc's own record says which function it is,
 * the descriptor of its first operand in which type. Kernels see contiguous spans; strides and float16 end here. */
#include "binding.h"
#include <fenv.h>
#include <string.h>

enum { SPAN = 256 };

typedef void apply_fn(size_t i, pn_dtype t, size_t n, const void *x, void *y, const void *const *p, int varying);

typedef struct {
    size_t row;
    int nparams;
    apply_fn *apply;            /* NULL for row-wise functions */
    char name[64];
} record;

static float float_from_half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, magnitude = h & 0x7fff, bits;
    float f;
    if (magnitude >= 0x7c00) bits = 0x7f800000 | (magnitude & 0x3ff) << 13;         /* inf, NaN */
    else if (magnitude >= 0x400) bits = (magnitude << 13) + 0x38000000;
    else { f = (float)magnitude * 0x1p-24f; memcpy(&bits, &f, sizeof bits); }       /* subnormals and zero */
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
    if (bits > 0x7f800000) return sign | 0x7e00 | (bits >> 13 & 0x3ff);             /* a NaN stays one, with its payload */
    if (bits >= 0x477ff000) return sign | 0x7c00;                                   /* 65520 and more round to inf */
    if (bits >= 0x38800000) return sign | (uint16_t)((bits - 0x38000000 + 0xfff + (bits >> 13 & 1)) >> 13);
    memcpy(&f, &bits, sizeof f);
    f += 0.5f;                                                                      /* its last bit is 2^-24, the smallest half */
    memcpy(&bits, &f, sizeof bits);
    return sign | (uint16_t)(bits - 0x3f000000);
}

/* to[0..n) = the n elements of NumPy type `type` from x on, every s bytes; float16 becomes float. */
static void gather(int type, npy_intp n, const char *x, npy_intp s, void *to)
{
    if (type == NPY_DOUBLE) for (npy_intp i = 0; i < n; i++) ((double *)to)[i] = *(const double *)(x + i * s);
    else if (type == NPY_FLOAT) for (npy_intp i = 0; i < n; i++) ((float *)to)[i] = *(const float *)(x + i * s);
    else for (npy_intp i = 0; i < n; i++) ((float *)to)[i] = float_from_half(*(const uint16_t *)(x + i * s));
}

static void scatter(int type, npy_intp n, const void *from, char *y, npy_intp s)
{
    if (type == NPY_DOUBLE) for (npy_intp i = 0; i < n; i++) *(double *)(y + i * s) = ((const double *)from)[i];
    else if (type == NPY_FLOAT) for (npy_intp i = 0; i < n; i++) *(float *)(y + i * s) = ((const float *)from)[i];
    else for (npy_intp i = 0; i < n; i++) *(uint16_t *)(y + i * s) = half_from_float(((const float *)from)[i]);
}

/* The strided loop of every elementwise ufunc: operands x, parameters, y. */
static int elementwise(PyArrayMethod_Context *context, char *const *data, const npy_intp *dimensions, const npy_intp *strides, NpyAuxData *aux)
{
    (void)aux;
    const record *f = ((PyUFuncObject *)context->caller)->ptr;
    const int type = context->descriptors[0]->type_num, out = 1 + f->nparams;
    const pn_dtype t = type == NPY_DOUBLE ? PN_F64 : PN_F32;
    const npy_intp size = t == PN_F64 ? sizeof(double) : sizeof(float), sx = strides[0], sy = strides[out];
    const void *p[PN_MAX_PARAMS] = { NULL };
    const char *x = data[0];
    char *y = data[out];
    int varying = 0, contiguous = type != NPY_HALF && sx == size && sy == size;
    for (int k = 0; k < f->nparams; k++) varying |= strides[1 + k] != 0;
    for (int k = 0; k < f->nparams; k++) { p[k] = data[1 + k]; contiguous &= strides[1 + k] == (varying ? size : 0); }

    /* reduce and accumulate, which NumPy offers with two operands, feed each output back as the next x */
    const int feedback = f->nparams && ((sx == 0 && sy == 0) || (sx == sy && y == x + sx));
    if (contiguous && !feedback) { f->apply(f->row, t, (size_t)dimensions[0], x, y, p, varying); return 0; }

    double span[SPAN], values[PN_MAX_PARAMS][SPAN];
    for (npy_intp i = 0, m; i < dimensions[0]; i += m) {
        m = feedback ? 1 : dimensions[0] - i < SPAN ? dimensions[0] - i : SPAN;
        gather(type, m, x + i * sx, sx, span);
        for (int k = 0; varying && k < f->nparams; k++) {
            gather(t == PN_F64 ? NPY_DOUBLE : NPY_FLOAT, m, data[1 + k] + i * strides[1 + k], strides[1 + k], values[k]);
            p[k] = values[k];
        }
        f->apply(f->row, t, (size_t)m, span, span, p, varying);
        scatter(type, m, span, y + i * sy, sy);
    }
    return 0;
}

static int no_memory(void)
{
    NPY_ALLOW_C_API_DEF
    NPY_ALLOW_C_API
    PyErr_NoMemory();
    NPY_DISABLE_C_API
    return -1;
}

/* Dimensions are rows and n, strides those of the rows and then of their elements. */
static int rows_of(const record *f, int type, char *const *data, const npy_intp *dimensions, const npy_intp *strides)
{
    const pn_dtype t = type == NPY_DOUBLE ? PN_F64 : PN_F32;
    const npy_intp size = t == PN_F64 ? sizeof(double) : sizeof(float), rows = dimensions[0], n = dimensions[1];
    const npy_intp sx = strides[2], sy = strides[3];
    if (type != NPY_HALF && sx == size && sy == size) {
        if (strides[0] == n * size && strides[1] == n * size) pn_rowwise_forward(f->row, t, (size_t)rows, (size_t)n, data[0], data[1]);
        else for (npy_intp i = 0; i < rows; i++)
            pn_rowwise_forward(f->row, t, 1, (size_t)n, data[0] + i * strides[0], data[1] + i * strides[1]);
        return 0;
    }
    double small[SPAN], *row = n <= SPAN ? small : PyMem_RawMalloc((size_t)n * sizeof *row);
    if (!row) return no_memory();
    for (npy_intp i = 0; i < rows; i++) {
        gather(type, n, data[0] + i * strides[0], sx, row);
        pn_rowwise_forward(f->row, t, 1, (size_t)n, row, row);
        scatter(type, n, row, data[1] + i * strides[1], sy);
    }
    if (row != small) PyMem_RawFree(row);
    return 0;
}

/* The strided loop of every row-wise gufunc. For these NumPy looks at the floating-point flags whatever the loop declares. */
static int rowwise(PyArrayMethod_Context *context, char *const *data, const npy_intp *dimensions, const npy_intp *strides, NpyAuxData *aux)
{
    (void)aux;
    fenv_t environment;
    feholdexcept(&environment);
    int rc = rows_of(((PyUFuncObject *)context->caller)->ptr, context->descriptors[0]->type_num, data, dimensions, strides);
    fesetenv(&environment);
    return rc;
}

/* The type of a call: that of the output when dtype= or signature= fixes it, else that of the first operand, where integers and
 * Python's numbers are doubles. NULL when there is no loop for it. */
static PyArray_DTypeMeta *decide(int nargs, PyArray_DTypeMeta *const *operands, PyArray_DTypeMeta *const *signature)
{
    PyArray_DTypeMeta *const choices[] = { &PyArray_HalfDType, &PyArray_FloatDType, &PyArray_DoubleDType };
    PyArray_DTypeMeta *first = signature[nargs - 1] ? signature[nargs - 1] : signature[0] ? signature[0] : operands[0];
    if (!first) first = operands[1];                        /* reduce and accumulate leave out the first */
    if (!first) return NULL;
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) if (first == choices[i]) return choices[i];
    int number = first->type_num;
    int integer = number >= 0 && first->singleton && PyTypeNum_ISINTEGER(number);
    integer |= first == &PyArray_BoolDType || first == &PyArray_PyLongDType || first == &PyArray_PyFloatDType;
    return integer ? &PyArray_DoubleDType : NULL;
}

/* Parameters follow the first operand and never widen it; those of float16 are float32, in which it is computed. */
static int promote(PyObject *ufunc, PyArray_DTypeMeta *const operands[], PyArray_DTypeMeta *const signature[], PyArray_DTypeMeta *out[])
{
    const int nargs = ((PyUFuncObject *)ufunc)->nargs;
    PyArray_DTypeMeta *type = decide(nargs, operands, signature);
    if (!type) return -1;
    PyArray_DTypeMeta *parameter = type == &PyArray_HalfDType ? &PyArray_FloatDType : type;
    for (int i = 0; i < nargs; i++) out[i] = (PyArray_DTypeMeta *)Py_NewRef((PyObject *)(i && i < nargs - 1 ? parameter : type));
    return 0;
}

static int add_loops(PyObject *ufunc, const record *f)
{
    enum { MAX = PN_MAX_PARAMS + 2 };
    PyArray_DTypeMeta *const types[] = { &PyArray_HalfDType, &PyArray_FloatDType, &PyArray_DoubleDType };
    const int nargs = f->nparams + 2;
    PyType_Slot slots[] = { { NPY_METH_strided_loop, (void *)(f->apply ? elementwise : rowwise) }, { 0, NULL } };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        PyArray_DTypeMeta *operands[MAX] = { types[i] };
        for (int k = 1; k < nargs - 1; k++) operands[k] = types[i] == &PyArray_HalfDType ? &PyArray_FloatDType : types[i];
        operands[nargs - 1] = types[i];
        PyArrayMethod_Spec spec = { .name = f->name, .nin = nargs - 1, .nout = 1, .casting = NPY_NO_CASTING,
                                    .flags = NPY_METH_NO_FLOATINGPOINT_ERRORS, .dtypes = operands, .slots = slots };
        if (PyUFunc_AddLoopFromSpec(ufunc, &spec) < 0) return -1;
    }
    return 0;
}

static int add_promoter(PyObject *ufunc, int nargs)
{
    PyObject *any = PyTuple_New(nargs), *capsule = PyCapsule_New((void *)promote, "numpy._ufunc_promoter", NULL);
    for (int i = 0; any && i < nargs; i++) PyTuple_SET_ITEM(any, i, Py_NewRef(Py_None));
    int rc = any && capsule ? PyUFunc_AddPromoter(ufunc, any, capsule) : -1;
    Py_XDECREF(any);
    Py_XDECREF(capsule);
    return rc;
}

static PyObject *new_ufunc(size_t row, apply_fn *apply, int nparams, const char *prefix, const char *name)
{
    record *f = PyArray_malloc(sizeof *f);
    if (!f) return PyErr_NoMemory();
    *f = (record){ .row = row, .nparams = nparams, .apply = apply };
    PyOS_snprintf(f->name, sizeof f->name, "%s%s", prefix, name);
    PyObject *ufunc = PyUFunc_FromFuncAndDataAndSignature(NULL, NULL, NULL, 0, 1 + nparams, 1, PyUFunc_None, f->name, "", 0,
                                                          apply ? NULL : "(n)->(n)");
    if (!ufunc) { PyArray_free(f); return NULL; }
    ((PyUFuncObject *)ufunc)->ptr = f;                      /* which NumPy frees with the ufunc */
    if (add_loops(ufunc, f) < 0 || add_promoter(ufunc, nparams + 2) < 0) Py_CLEAR(ufunc);
    return ufunc;
}

/* "threshold, value" is two. */
static int count(const char *params)
{
    int n = *params != 0;
    for (; *params; params++) n += *params == ',';
    return n;
}

static PyObject *activation_row(size_t i)
{
    const pn_activation *a = pn_activation_at(i);
    if (!a) return NULL;
    PyObject *forward = new_ufunc(i, pn_activation_forward, count(a->params), "", a->name);
    PyObject *derivative = forward ? new_ufunc(i, pn_activation_derivative, count(a->params), "grad.", a->name) : NULL;
    if (!derivative) { Py_XDECREF(forward); return NULL; }
    return Py_BuildValue("{s:s,s:s,s:C,s:s,s:s,s:d,s:d,s:s,s:s,s:s,s:N,s:N}", "name", a->name, "cls", a->cls, "needs", a->needs,
                         "params", a->params, "check", a->check, "ulp", a->ulp, "grad_ulp", a->grad_ulp, "onnx", a->onnx,
                         "formula", a->formula, "summary", a->summary, "ufunc", forward, "grad", derivative);
}

static PyObject *rowwise_row(size_t i)
{
    const pn_rowwise *r = pn_rowwise_at(i);
    PyObject *ufunc = r ? new_ufunc(i, NULL, 0, "", r->name) : NULL;
    return ufunc ? Py_BuildValue("{s:s,s:s,s:d,s:s,s:s,s:s,s:N}", "name", r->name, "cls", r->cls, "ulp", r->ulp, "onnx", r->onnx,
                                 "formula", r->formula, "summary", r->summary, "ufunc", ufunc) : NULL;
}

/* A ufunc is made without its documentation, which Python composes from the row. */
static PyObject *set_doc(PyObject *module, PyObject *args)
{
    (void)module;
    PyUFuncObject *ufunc;
    PyObject *text;
    const char *doc;
    if (!PyArg_ParseTuple(args, "O!U:set_doc", &PyUFunc_Type, &ufunc, &text) || !(doc = PyUnicode_AsUTF8(text))) return NULL;
    Py_XSETREF(ufunc->obj, Py_NewRef(text));                /* keeps the text alive */
    ufunc->doc = doc;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    { "set_doc", set_doc, METH_VARARGS, "set_doc(ufunc, text, /)\n--\n\nGive a ufunc of this module its documentation." },
    { NULL, NULL, 0, NULL }
};

int add_ufuncs(PyObject *module)
{
    if (PyModule_AddFunctions(module, methods) < 0) return -1;
    return add_rows(module, "ACTIVATIONS", activation_row) < 0 ? -1 : add_rows(module, "ROWWISE", rowwise_row);
}
