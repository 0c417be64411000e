/* formula.c - formulas as Python objects: the programs that pynn._formula compiles, and their
 * ufuncs. */
#include "formula.h"
#include "service.h"
#include "ufuncs.h"
#include <string.h>

typedef struct {
    PyObject_HEAD
    pn_formula *formula;
    PyObject *ufuncs[PN_MAX_FORMULA_OUTPUTS];   /* of each output, made when it is first used */
    pn_tape *loss[2];                           /* as formula_loss_tapes returns them, or NULL */
} FormulaObject;

static PyTypeObject *formula_type;

const pn_formula *formula_of(PyObject *given, const char *name)
{
    if (Py_IS_TYPE(given, formula_type)) return ((FormulaObject *)given)->formula;
    PyErr_Format(PyExc_TypeError, "%s: expected a Formula, got %.100s", name,
                 Py_TYPE(given)->tp_name);
    return NULL;
}

int is_formula(PyObject *given) { return Py_IS_TYPE(given, formula_type); }

int formula_loss_tapes(PyObject *formula, const pn_tape **value, const pn_tape **value_and_slope)
{
    FormulaObject *o = (FormulaObject *)formula;
    pn_error error = { "a loss needs a formula of a value and its derivative" };
    pn_status status = pn_formula_has(o->formula, 0) && pn_formula_has(o->formula, 1)
                         ? PN_OK
                         : PN_BAD_VALUE;
    for (size_t i = 0; i < 2 && !status; i++)
        if (!o->loss[i]) status = pn_tape_new(o->formula, i ? 3 : 1, 0, &o->loss[i], &error);
    if (status) return raise_status(status, &error) != NULL;
    *value = o->loss[0];
    *value_and_slope = o->loss[1];
    return 1;
}

/* ---- reading a program ----------------------------------------------------------------------- */
/* The kinds of instructions, and the names of those that are not operations. */
static const char *const kinds[] = {
    [PN_CODE_INPUT] = "input",           [PN_CODE_PARAMETER] = "parameter",
    [PN_CODE_CONSTANT] = "constant",     [PN_CODE_OPERATION] = NULL,
    [PN_CODE_ACTIVATION] = "activation", [PN_CODE_DERIVATIVE] = "derivative",
};

static int bad_instruction(Py_ssize_t i, const char *text)
{
    if (!PyErr_Occurred() || !PyErr_ExceptionMatches(PyExc_MemoryError)) {
        PyErr_Clear();
        PyErr_Format(PyExc_ValueError, "code: instruction %zd: %s", i, text);
    }
    return 0;
}

static int find_operation(const char *name, pn_instruction *c)
{
    for (size_t row = 0; pn_formula_op_at(row); row++)
        if (!strcmp(name, pn_formula_op_at(row)->name)) { c->row = row; return 1; }
    return 0;
}
static int find_activation(PyObject *name, pn_instruction *c)
{
    for (size_t row = 0; PyUnicode_Check(name) && pn_activation_at(row); row++)
        if (!PyUnicode_CompareWithASCIIString(name, pn_activation_at(row)->name)) {
            c->row = row;
            return 1;
        }
    return 0;
}

/* Reads the items of an instruction from the given one on as operands. */
static int read_operands(PyObject *items, Py_ssize_t i, Py_ssize_t from, Py_ssize_t n,
                         pn_instruction *c)
{
    for (Py_ssize_t k = 0; k < n; k++) {
        PyObject *item = PyTuple_GET_ITEM(items, from + k);
        const Py_ssize_t operand = PyLong_Check(item) ? PyLong_AsSsize_t(item) : -1;
        if (operand < 0 || operand >= i)
            return bad_instruction(i, "an operand is not the index of an earlier instruction");
        c->operand[k] = (size_t)operand;
    }
    return 1;
}

static int read_number(PyObject *item, Py_ssize_t i, double *number)
{
    *number = PyFloat_AsDouble(item);
    if (*number == -1 && PyErr_Occurred()) return bad_instruction(i, "expected a number");
    return 1;
}

static int read_activation(PyObject *items, Py_ssize_t i, pn_instruction *c)
{
    const Py_ssize_t n = PyTuple_GET_SIZE(items);
    if (n < 3 || n > 3 + PN_MAX_PARAMS || !find_activation(PyTuple_GET_ITEM(items, 1), c))
        return bad_instruction(i, "expected the name of an activation, an operand and the "
                                  "parameters of the activation");
    const char *params = or_empty(pn_activation_at(c->row)->params);
    Py_ssize_t expected = *params != 0;
    for (; *params; params++) expected += *params == ',';
    if (n - 3 != expected)
        return bad_instruction(i, "the activation has another number of parameters");
    for (Py_ssize_t k = 0; k < expected; k++)
        if (!read_number(PyTuple_GET_ITEM(items, 3 + k), i, &c->number[k])) return 0;
    return read_operands(items, i, 2, 1, c);
}

static int read_instruction(PyObject *items, Py_ssize_t i, pn_instruction *c)
{
    const char *name = NULL;
    *c = (pn_instruction){ .kind = PN_CODE_OPERATION };
    if (PyTuple_Check(items) && PyTuple_GET_SIZE(items) &&
        PyUnicode_Check(PyTuple_GET_ITEM(items, 0)))
        name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(items, 0));
    if (!name) return bad_instruction(i, "expected a tuple of a name and operands");
    const Py_ssize_t n = PyTuple_GET_SIZE(items);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        if (kinds[k] && !strcmp(name, kinds[k])) c->kind = (pn_instruction_kind)k;
    if (c->kind == PN_CODE_ACTIVATION || c->kind == PN_CODE_DERIVATIVE)
        return read_activation(items, i, c);
    if (c->kind == PN_CODE_OPERATION) {
        if (!find_operation(name, c)) return bad_instruction(i, "the operation does not exist");
        const int arity = pn_formula_op_at(c->row)->arity;
        if (n != 1 + arity)
            return bad_instruction(i, "the operation has another number of operands");
        return read_operands(items, i, 1, arity, c);
    }
    if (n != 2) return bad_instruction(i, "expected a name and one number");
    if (c->kind == PN_CODE_CONSTANT) return read_number(PyTuple_GET_ITEM(items, 1), i, c->number);
    PyObject *row = PyTuple_GET_ITEM(items, 1);
    const Py_ssize_t index = PyLong_Check(row) ? PyLong_AsSsize_t(row) : -1;
    if (index < 0) return bad_instruction(i, "expected the index of an input or parameter");
    c->row = (size_t)index;
    return 1;
}

/* Reads the index of a value, or None as -1. */
static int read_output(PyObject *item, Py_ssize_t k, ptrdiff_t *output)
{
    *output = -1;
    if (item == Py_None) return 1;
    const Py_ssize_t value = PyLong_Check(item) ? PyLong_AsSsize_t(item) : -1;
    if (value < 0) {
        PyErr_Format(PyExc_ValueError, "outputs[%zd]: expected the index of an instruction or "
                     "None, got %.80R", k, item);
        return 0;
    }
    *output = value;
    return 1;
}

/* Reads the program into arrays that the caller frees. */
static int read_program(PyObject *code, PyObject *outputs, pn_instruction **instructions,
                        ptrdiff_t **values)
{
    const Py_ssize_t n = PyTuple_GET_SIZE(code), n_outputs = PyTuple_GET_SIZE(outputs);
    *instructions = PyMem_New(pn_instruction, n + 1);
    *values = PyMem_New(ptrdiff_t, n_outputs + 1);
    if (!*instructions || !*values) { PyErr_NoMemory(); return 0; }
    for (Py_ssize_t i = 0; i < n; i++)
        if (!read_instruction(PyTuple_GET_ITEM(code, i), i, *instructions + i)) return 0;
    for (Py_ssize_t k = 0; k < n_outputs; k++)
        if (!read_output(PyTuple_GET_ITEM(outputs, k), k, *values + k)) return 0;
    return 1;
}

/* ---- the type -------------------------------------------------------------------------------- */
static PyObject *formula_new(PyTypeObject *type, PyObject *args, PyObject *options)
{
    static char *names[] = { "code", "outputs", "inputs", "parameters", NULL };
    PyObject *code, *outputs, *code_items = NULL, *output_items = NULL;
    Py_ssize_t inputs = 1, parameters = 0;
    pn_instruction *instructions = NULL;
    ptrdiff_t *values = NULL;
    FormulaObject *o = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, options, "OO|nn", names, &code, &outputs, &inputs,
                                     &parameters))
        return NULL;
    if (inputs < 0 || parameters < 0) {
        PyErr_SetString(PyExc_ValueError, "inputs and parameters must not be negative");
        return NULL;
    }
    if ((code_items = PySequence_Tuple(code)) && (output_items = PySequence_Tuple(outputs)) &&
        read_program(code_items, output_items, &instructions, &values) &&
        (o = (FormulaObject *)type->tp_alloc(type, 0))) {
        pn_error error = { "" };
        pn_status status = pn_formula_new(instructions, (size_t)PyTuple_GET_SIZE(code_items),
                                          values, (size_t)PyTuple_GET_SIZE(output_items),
                                          (size_t)inputs, (size_t)parameters, &o->formula, &error);
        if (status) {
            raise_status(status, &error);
            Py_CLEAR(o);
        }
    }
    PyMem_Free(instructions);
    PyMem_Free(values);
    Py_XDECREF(code_items);
    Py_XDECREF(output_items);
    return (PyObject *)o;
}

static int formula_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    for (size_t k = 0; k < PN_MAX_FORMULA_OUTPUTS; k++)
        Py_VISIT(((FormulaObject *)self)->ufuncs[k]);
    return 0;
}
static int formula_clear(PyObject *self)
{
    for (size_t k = 0; k < PN_MAX_FORMULA_OUTPUTS; k++)
        Py_CLEAR(((FormulaObject *)self)->ufuncs[k]);
    return 0;
}
static void formula_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    formula_clear(self);
    pn_formula_free(((FormulaObject *)self)->formula);
    for (size_t i = 0; i < 2; i++) pn_tape_free(((FormulaObject *)self)->loss[i]);
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- ufuncs ---------------------------------------------------------------------------------- */
static void free_tape(PyObject *capsule) { pn_tape_free(PyCapsule_GetPointer(capsule, NULL)); }

static PyObject *make_ufunc(const pn_formula *formula, size_t output)
{
    const char *name = output == 0 ? "formula"
                     : output <= pn_formula_inputs(formula) ? "grad.formula"
                                                            : "parameter_grad.formula";
    pn_error error = { "" };
    pn_tape *tape;
    pn_status status = pn_tape_new(formula, (uint64_t)1 << output, 0, &tape, &error);
    if (status) return raise_status(status, &error);
    PyObject *capsule = PyCapsule_New(tape, NULL, free_tape);
    if (!capsule) { pn_tape_free(tape); return NULL; }
    PyObject *ufunc = formula_ufunc(formula, tape, output, name, capsule);
    Py_DECREF(capsule);
    return ufunc;
}

/* The ufunc of an output, or None if the program does not have it. */
static PyObject *output_ufunc(FormulaObject *o, size_t output)
{
    if (!pn_formula_has(o->formula, output)) Py_RETURN_NONE;
    if (!o->ufuncs[output]) {
        PyObject *made = make_ufunc(o->formula, output);
        if (!made) return NULL;
        if (!o->ufuncs[output]) o->ufuncs[output] = made;
        else Py_DECREF(made);
    }
    return Py_NewRef(o->ufuncs[output]);
}

static PyObject *get_ufunc(PyObject *self, void *unused)
{
    (void)unused;
    return output_ufunc((FormulaObject *)self, 0);
}
static PyObject *get_grad(PyObject *self, void *unused)
{
    (void)unused;
    return output_ufunc((FormulaObject *)self, 1);
}
/* n outputs from the given one on, as a tuple */
static PyObject *ufuncs_from(FormulaObject *o, size_t from, size_t n)
{
    PyObject *tuple = PyTuple_New((Py_ssize_t)n);
    for (size_t k = 0; tuple && k < n; k++) {
        PyObject *one = output_ufunc(o, from + k);
        if (!one) Py_CLEAR(tuple);
        else PyTuple_SET_ITEM(tuple, (Py_ssize_t)k, one);
    }
    return tuple;
}
static PyObject *get_input_grads(PyObject *self, void *unused)
{
    (void)unused;
    FormulaObject *o = (FormulaObject *)self;
    return ufuncs_from(o, 1, pn_formula_inputs(o->formula));
}
static PyObject *get_parameter_grads(PyObject *self, void *unused)
{
    (void)unused;
    FormulaObject *o = (FormulaObject *)self;
    return ufuncs_from(o, 1 + pn_formula_inputs(o->formula), pn_formula_parameters(o->formula));
}

static PyGetSetDef properties[] = {
    { "ufunc", get_ufunc, NULL, "The value as a ufunc of the inputs and the parameters.", NULL },
    { "grad", get_grad, NULL, "The derivative with respect to the first input, likewise.", NULL },
    { "input_grads", get_input_grads, NULL,
      "The derivatives with respect to each input; None for one that the program lacks.", NULL },
    { "parameter_grads", get_parameter_grads, NULL,
      "The derivatives with respect to each parameter; None for one that the program lacks.",
      NULL },
    { NULL, NULL, NULL, NULL, NULL },
};

static PyType_Slot slots[] = {
    { Py_tp_new, (void *)formula_new },
    { Py_tp_dealloc, (void *)formula_dealloc },
    { Py_tp_traverse, (void *)formula_traverse },
    { Py_tp_clear, (void *)formula_clear },
    { Py_tp_getset, properties },
    { Py_tp_doc, "Formula(code, outputs, inputs=1, parameters=0)\n--\n\n"
                 "An elementwise function, given as a program: a sequence of instructions, and for "
                 "each output the index of one of them or None." },
    { 0, NULL },
};
static PyType_Spec spec = { "pynn._core.Formula", sizeof(FormulaObject), 0, GC_TYPE, slots };

static PyObject *op_row(size_t i)
{
    const pn_formula_op *o = pn_formula_op_at(i);
    return o ? Py_BuildValue("{s:s,s:i,s:N,s:d,s:d,s:s}", "name", o->name, "arity", o->arity,
                             "is_function", PyBool_FromLong(o->is_function), "ulp32",
                             o->ulp[PN_F32], "ulp64", o->ulp[PN_F64], "summary", o->summary)
             : NULL;
}

int add_formula(PyObject *module)
{
    return add_rows(module, "FORMULA_OPS", op_row) < 0 ? -1
                                                       : add_type(module, &spec, &formula_type);
}
