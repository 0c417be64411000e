/* pynn.h - the public interface of the C library. It is the only header that the Python binding or
 * a C program needs.
 *
 * Ownership follows from the verb in a function's name. _new creates an object that the caller
 * owns, _free destroys it and accepts NULL, and everything else borrows its arguments for the
 * duration of the call. Nothing here prints, exits or aborts. A function that can fail returns
 * pn_status and describes the failure in pn_error. */
#ifndef PYNN_H
#define PYNN_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of pynn. setup.py and pynn.__version__ read it from here. */
#define PN_VERSION_MAJOR 0
#define PN_VERSION_MINOR 1
#define PN_VERSION_PATCH 0
#define PN_VERSION_TEXT_(major, minor, patch) #major "." #minor "." #patch
#define PN_VERSION_TEXT(major, minor, patch)  PN_VERSION_TEXT_(major, minor, patch)
#define PN_VERSION PN_VERSION_TEXT(PN_VERSION_MAJOR, PN_VERSION_MINOR, PN_VERSION_PATCH)
/* The PN_VERSION that the library was compiled with, for comparison with that of the header. */
const char *pn_version(void);

typedef enum {
    PN_OK = 0,
    PN_NO_MEMORY,
    PN_BAD_SHAPE,   /* wrong array shape; the text names the array and both shapes */
    PN_BAD_VALUE,   /* a number or name is not allowed */
    PN_BAD_STATE,   /* calls in the wrong order, such as backward before forward */
    PN_STOPPED      /* interrupted by the caller's poll function */
} pn_status;

typedef struct { char text[256]; } pn_error;

typedef enum { PN_F32, PN_F64, PN_DTYPES } pn_dtype;
/* PN_MAX_IO: inputs of a graph, and outputs of a graph */
enum { PN_MAX_PARAMS = 2, PN_MAX_DIMS = 8, PN_MAX_SETTINGS = 16, PN_MAX_IO = 16 };

/* ---- instruction sets ------------------------------------------------------------------------ */
/* Selects the instruction set of later plans and calls. NULL selects the best one that this machine
 * supports. */
pn_status pn_isa_set(const char *name, pn_error *error);
const char *pn_isa_get(void);
/* name of the i-th compiled instruction set, best first; NULL past the end */
const char *pn_isa_built(size_t i);
int pn_isa_runs(const char *name);                          /* whether this machine supports it */

/* ---- threads: one pool for the process ------------------------------------------------------- */
/* The number of threads that a call may use, including the calling one. 0 selects the default: the
 * smallest of the CPUs in the affinity mask, the CPUs that the cgroup quota allows, and the
 * environment variables PYNN_NUM_THREADS and OMP_NUM_THREADS. */
enum { PN_MAX_THREADS = 256 };
pn_status pn_threads_set(size_t n, pn_error *error);
size_t pn_threads_get(void);
/* Restricts the calls of this thread to this thread (alone != 0), or lifts the restriction (0). For
 * programs that distribute their work over threads themselves. While restricted, pn_threads_get
 * returns 1. Returns the previous value. */
int pn_threads_alone(int alone);
size_t pn_threads_limit(void);              /* pn_threads_get without such a restriction */
/* Runs task(context, i) for every i < tasks, in any order, and returns when all are done. If the
 * work is divided by its shape and never by the number of threads, the result has the same bits for
 * any number of threads. A parallel region costs about a microsecond. A region started inside
 * another one, or while another thread runs one, executes on the calling thread alone. */
typedef void pn_task_fn(void *context, size_t i);
void pn_parallel(size_t tasks, pn_task_fn *task, void *context);

/* ---- stopping: how a caller interrupts a long call ------------------------------------------- */
/* Between pn_stop_begin and pn_stop_end, calls made by this thread call poll about every 20 ms, on
 * this thread. A nonzero result stops the call: plans, fits and predictors return PN_STOPPED, and
 * functions without a status return early, leaving incomplete output that must not be used. An
 * update (pn_update) is never interrupted. Calls nest. */
typedef struct pn_stop {
    int (*poll)(void *context);
    void *context;
    /* The other members are set by the core. */
    int64_t next;                           /* when to poll again */
    int stopped;                            /* whether poll requested a stop */
    struct pn_stop *outer;                  /* the enclosing pn_stop */
} pn_stop;
void pn_stop_begin(pn_stop *stop);
int pn_stop_end(pn_stop *stop);             /* whether it was stopped */
/* Polls if 20 ms have passed and returns whether the current call must stop. For long loops. */
int pn_stop_now(void);
int pn_stopped(void);                       /* the same without polling */
pn_stop *pn_stop_suspend(void);             /* disables stopping until pn_stop_resume */
void pn_stop_resume(pn_stop *stop);

/* ---- gates: reader-writer locks for the parameters of nets ----------------------------------- */
/* Predictions read and training steps write. Requests are served in order of arrival. The caller
 * provides the memory of a hold, which must not move until the thread that entered leaves. A thread
 * that holds a gate may enter it again, except to write while it only reads. */
typedef struct pn_gate pn_gate;
typedef enum { PN_READ, PN_WRITE } pn_access;
typedef struct pn_hold {
    pn_gate *gate;
    pn_access access;
    enum { PN_FREE, PN_WAITING, PN_HELD } state;
    unsigned generation;
    int64_t since;                  /* time of entry, in nanoseconds */
    const void *thread;
    void *wake;
    struct pn_hold *before, *next;
} pn_hold;
/* PN_REFUSED: waiting could deadlock, because this thread already holds a gate. PN_QUEUED: call
 * pn_gate_wait, or pn_gate_leave to give up. */
typedef enum { PN_ENTERED, PN_QUEUED, PN_REFUSED } pn_entry;
pn_gate *pn_gate_new(void);                                 /* NULL when memory is short */
void pn_gate_free(pn_gate *gate);                           /* nobody may hold it */
/* Merges two gates into one. The gate of a must live as long as b. */
void pn_gate_join(pn_gate *a, pn_gate *b);
/* whether nobody holds it or waits for it */
int pn_gate_idle(const pn_gate *gate);
int pn_gate_mine(const pn_gate *gate);                      /* whether this thread holds it */
pn_entry pn_gate_enter(pn_gate *gate, pn_access access, pn_hold *hold);
/* Waits for at most this time and returns whether the gate was entered. */
int pn_gate_wait(pn_hold *hold, int milliseconds);
/* Lets waiting threads enter first if the hold is older than 1 ms. Returns whether the hold has
 * entered the gate, either still or again. If not, call pn_gate_wait. */
int pn_gate_yield(pn_hold *hold);
void pn_gate_leave(pn_hold *hold);                          /* accepts a waiting or free hold */
/* starts at 1 and increases by one in the child of each fork */
unsigned pn_fork_generation(void);

/* ---- activations: elementwise, one row each in core/kernels/activations.h -------------------- */
typedef struct {
    const char *name;               /* "leaky_relu" */
    const char *cls;                /* "LeakyReLU"; NULL: no class is made from the row */
    char needs;                     /* 'x' or 'y': what backward reads */
    /* error bounds of the value and the derivative, in units in the last place */
    double ulp, grad_ulp;
    /* "negative_slope=0.01", at most PN_MAX_PARAMS, comma separated; NULL: none */
    const char *params;
    const char *check;              /* Python condition on the parameters, or NULL */
    const char *docs;               /* "negative_slope: text\n" for each parameter, or NULL */
    /* formula: a NumPy expression, used as documentation and as the tests' reference */
    const char *onnx, *formula;
    const char *summary;            /* one sentence and its source */
} pn_activation;

const pn_activation *pn_activation_at(size_t i);            /* NULL past the end */

/* y = f(x) and y = f'(x) over n contiguous elements; y may be x. p: PN_MAX_PARAMS pointers, NULL
 * where unused, each to one value of the dtype, or to n values if varying != 0. */
void pn_activation_forward(size_t i, pn_dtype t, size_t n, const void *x, void *y,
                           const void *const *p, int varying);
void pn_activation_derivative(size_t i, pn_dtype t, size_t n, const void *x, void *y,
                              const void *const *p, int varying);

/* ---- formulas: elementwise functions given as programs --------------------------------------- */
/* An operation: one row each in core/kernels/formula_ops.h. */
typedef struct {
    const char *name;               /* "exp" */
    int arity;
    int is_cheap;                   /* memory limits its speed */
    unsigned conditions;            /* bit k: operand k is a condition */
    int is_condition;               /* the result is a condition */
    int is_function;                /* the language has a function with this name */
    double ulp[PN_DTYPES];          /* error bound, in units in the last place */
    const char *summary;
} pn_formula_op;
const pn_formula_op *pn_formula_op_at(size_t i);            /* NULL past the end */

enum {
    PN_MAX_OPERANDS = 3,
    PN_MAX_FORMULA_INPUTS = 3,
    PN_MAX_FORMULA_PARAMETERS = 16,
    PN_MAX_FORMULA_OUTPUTS = 64
};
typedef enum {
    PN_CODE_INPUT,                  /* input row */
    PN_CODE_PARAMETER,              /* parameter row */
    PN_CODE_CONSTANT,               /* number[0] */
    PN_CODE_OPERATION,              /* pn_formula_op_at(row) of the operands */
    /* pn_activation_at(row) of operand 0, with the constant parameters number, or its derivative */
    PN_CODE_ACTIVATION,
    PN_CODE_DERIVATIVE
} pn_instruction_kind;
/* Instruction i of a program defines value i. Operands are indices of earlier values. A condition
 * used as a number is 0 or 1; a number used as a condition holds unless it is 0. */
typedef struct {
    pn_instruction_kind kind;
    size_t row;
    size_t operand[PN_MAX_OPERANDS];
    double number[PN_MAX_PARAMS];
} pn_instruction;
/* A checked program. outputs: indices of values, -1 for an output that is not needed. It copies its
 * arguments, and does not change. */
typedef struct pn_formula pn_formula;
pn_status pn_formula_new(const pn_instruction *code, size_t n, const ptrdiff_t *outputs,
                         size_t n_outputs, size_t inputs, size_t parameters, pn_formula **formula,
                         pn_error *error);
void pn_formula_free(pn_formula *formula);
size_t pn_formula_inputs(const pn_formula *formula);
size_t pn_formula_parameters(const pn_formula *formula);
size_t pn_formula_outputs(const pn_formula *formula);
int pn_formula_has(const pn_formula *formula, size_t output);       /* whether it is not -1 */

/* A program compiled for some of its outputs: bit k of wanted selects output k. With scaled, each
 * result is multiplied by one more input, the gradient that backward receives. A tape does not
 * refer to its formula and does not change. Any number of threads may run it. */
typedef struct pn_tape pn_tape;
pn_status pn_tape_new(const pn_formula *formula, uint64_t wanted, int scaled, pn_tape **tape,
                      pn_error *error);
void pn_tape_free(pn_tape *tape);
int pn_tape_is_cheap(const pn_tape *tape);                  /* memory limits its speed */
/* stride 0: one value; stride 1: one per element */
typedef struct { const void *data; size_t stride; } pn_operand;
/* Computes n elements on the calling thread, without allocating. inputs: contiguous. outputs: one
 * pointer per output of the formula, read only where wanted; an output may be an input or a
 * parameter with stride 1, but must not overlap one otherwise. A result depends on the operands of
 * its element alone. */
void pn_tape_run(const pn_tape *tape, pn_dtype t, size_t n, const void *const *inputs,
                 const pn_operand *parameters, void *const *outputs);

/* ---- row-wise functions (softmax, ...): one row each in core/kernels/rowwise.h --------------- */
typedef struct {
    const char *name, *cls;
    double ulp;
    /* gradient: that of x from dy, the derivative by y, and y */
    const char *onnx, *formula, *gradient, *summary;
} pn_rowwise;
const pn_rowwise *pn_rowwise_at(size_t i);
/* (rows, n) each; y may be x */
void pn_rowwise_forward(size_t i, pn_dtype t, size_t rows, size_t n, const void *x, void *y);

/* ---- losses: one row each in core/kernels/losses.h ------------------------------------------- */
enum { PN_MAX_INPUTS = 3, PN_MAX_LOSS_PARAMS = 8 };
/* The kind of target that a loss compares predictions with. */
typedef enum {
    PN_TARGET_NONE = 'n',
    PN_TARGET_REAL = 'r',           /* finite numbers, shaped like the prediction */
    PN_TARGET_ANY = 'a',            /* any numbers, shaped like the prediction */
    PN_TARGET_UNIT = 'u',           /* numbers in [0, 1], shaped like the prediction */
    PN_TARGET_SIGN = 's',           /* -1 or 1; one per row for a loss of kind r */
    PN_TARGET_INDEX = 'i',          /* a class index per row */
    PN_TARGET_CLASS = 'c',          /* a class index or ignore_index per row */
    PN_TARGET_CLASS_OR_MASS = 'p',  /* that, or class probabilities */
    PN_TARGET_INDICES = 'm'         /* per row, class indices up to the first -1 */
} pn_target_kind;
/* The kind of prediction that a loss takes. */
typedef enum {
    PN_TAKES_ANYTHING,
    PN_TAKES_LOGITS,
    PN_TAKES_PROBABILITIES,
    PN_TAKES_LOG_PROBABILITIES
} pn_takes;
/* When a prediction counts as correct. */
typedef enum {
    PN_METRIC_NONE,
    PN_METRIC_ARGMAX = 'a',         /* the largest score belongs to the class */
    PN_METRIC_SIGN = 'l',           /* a logit is positive where the target is 1 */
    PN_METRIC_HALF = 'p'            /* a probability exceeds 1/2 where the target is 1 */
} pn_metric;
/* A string column that a row omits is NULL. */
typedef struct {
    const char *name, *cls;         /* "huber", "HuberLoss" */
    char kind;                      /* a letter, explained above the table in losses.h */
    pn_target_kind target;
    pn_takes takes;
    pn_metric metric;
    /* "input target": the arguments of a call. All but target have a gradient. The first one is the
     * prediction. */
    const char *inputs;
    int has_variance;               /* the second input is a variance */
    int has_batchmean;              /* PN_BATCHMEAN is allowed */
    const char *from_logits;        /* name of the equivalent loss on logits */
    /* "weight: array = None, delta=1.0"; the only arrays are weight and pos_weight */
    const char *params;
    const char *check;              /* Python condition on the numbers */
    const char *docs;               /* "delta: text\n" for each parameter */
    const char *formula, *example, *summary, *source;
} pn_loss;
const pn_loss *pn_loss_at(size_t i);

/* ---- optimizers: one row each in core/kernels/optimizers.h ----------------------------------- */
enum { PN_MAX_STATES = 3, PN_MAX_NUMBERS = 3, PN_MAX_HYPER = 10 };
typedef struct {
    const char *name, *cls;         /* "adam", "Adam" */
    /* "lr=1e-3, betas=(0.9, 0.999), ": lr comes first, maximize is omitted. In C, tuples are
     * flattened from left to right. */
    const char *hyper;
    const char *docs;               /* "lr: text\n" for each of them */
    const char *check;              /* Python condition on them */
    /* space-separated names of the per-parameter state arrays, with marks explained at the table */
    const char *states;
    /* "mu_product=1": numbers kept per parameter in addition to its step count; may be NULL */
    const char *numbers;
    int matrices_only;              /* parameters must have two dimensions */
    /* formula: Python statements, used as documentation and as the tests' reference */
    const char *formula, *summary, *source;
} pn_optimizer;
const pn_optimizer *pn_optimizer_at(size_t i);

/* ---- schedules: one row each in core/training/schedules.h ------------------------------------ */
enum { PN_MAX_SCHEDULE = 8 };
typedef struct {
    const char *name, *cls;         /* "cosine", "CosineAnnealingLR"; cls NULL: internal */
    const char *params, *check;     /* as for activations; the values of params are pn_schedule.v */
    const char *docs;               /* "T_max: text\n" for each of them */
    const char *formula;            /* Python expression for the rate, of t, lr and params */
    const char *example;            /* arguments in the documentation's example */
    const char *summary, *source;
} pn_schedule_kind;
const pn_schedule_kind *pn_schedule_at(size_t i);

/* Changes the learning rate of a group while from <= t < until, where t is start plus the number of
 * complete steps or epochs so far. Several schedules apply in turn. All members are doubles, so
 * that the rows of an array can serve as schedules. */
typedef struct {
    double kind;                    /* row */
    double counts_steps;            /* whether t counts steps instead of epochs */
    double start, from, until;
    /* index in hyper of the momentum that cycles against the rate; -1 for none */
    double momentum;
    double v[PN_MAX_SCHEDULE];
} pn_schedule;
/* Updates the rate, hyper[0], and the momentum if a schedule cycles it. step counts from 1, epoch
 * from 0. */
void pn_schedule_apply(const pn_schedule *schedules, size_t n, int64_t step, int64_t epoch,
                       double *hyper);

/* ---- layers: one row each in core/layers/layers.h -------------------------------------------- */
/* The types of a layer's settings. The plural types are lists of at most PN_MAX_DIMS numbers.
 * PN_ACTIVATION and PN_ROWWISE are names of rows in the corresponding table, PN_FORMULA is a
 * compiled formula. */
typedef enum {
    PN_COUNT,                       /* an integer >= 0 */
    PN_INTEGER,
    PN_FLAG,                        /* 0 or 1 */
    PN_NUMBER,
    PN_SEED,                        /* 64 bits */
    PN_CHOICE,                      /* one of several names */
    PN_ACTIVATION,
    PN_ROWWISE,
    PN_FORMULA,
    PN_COUNTS,
    PN_INTEGERS,
    PN_NUMBERS
} pn_field_type;
typedef struct {
    const char *name, *meaning;
    pn_field_type type;
    double least, most;             /* range of a number, or of each number of a list */
    const char *const *choices;     /* the names for PN_CHOICE, terminated by NULL */
} pn_field;
/* The value of one field. text holds PN_CHOICE, PN_ACTIVATION and PN_ROWWISE, seed holds PN_SEED,
 * formula holds PN_FORMULA, which is borrowed for the graph's lifetime, and number holds the n
 * numbers of the other types. n is 1 except for lists. */
typedef struct {
    const char *name, *text;
    uint64_t seed;
    const pn_formula *formula;
    size_t n;
    double number[PN_MAX_DIMS];
} pn_setting;
/* A kind of layer: its name, its formula and that of its gradients in the notation of
 * core/layers/layers.h, its possible numbers of inputs and its number of settings. */
typedef struct {
    const char *name, *formula, *gradient;
    size_t least_inputs, most_inputs, n_fields;
} pn_kind_info;
int pn_kind_at(size_t i, pn_kind_info *info);               /* 0 past the end */
const pn_field *pn_kind_field(size_t i, size_t field);      /* NULL past the end */

/* ---- graphs: the structure of a net ---------------------------------------------------------- */
typedef struct pn_graph pn_graph;

/* Nodes are numbered from 0 in the order in which they are added, and each reads earlier ones. A
 * new graph consists of its first input, node 0, described by the shape of one sample.
 * pn_graph_input adds another input. */
pn_status pn_graph_new(pn_dtype dtype, size_t ndim, const size_t *shape, pn_graph **graph,
                       pn_error *error);
void pn_graph_free(pn_graph *graph);
pn_status pn_graph_input(pn_graph *graph, size_t ndim, const size_t *shape, pn_error *error);
/* The functions of a layer that the caller implements. Both are called on the thread that runs the
 * plan. A nonzero result stops the run. */
typedef struct {
    /* forward computes y from the arrays of the inputs. If keep is nonzero, it must keep what
     * backward needs. backward computes the gradient of each input from that of y, for the
     * preceding forward call. An input whose gradient is not needed is NULL in gx. It also adds to
     * the gradients of the layer's parameters. */
    int (*forward)(void *context, size_t rows, int keep, const void *const *x, void *y);
    int (*backward)(void *context, size_t rows, const void *gy, void *const *gx);
    void *context;
    const char *const *names;               /* of the parameters; NULL: they have none */
} pn_custom_layer;
/* One layer.
 *
 * kind:      name of a row of core/layers/layers.h
 * where:     the layer's name in error messages
 * inputs:    the nodes that it reads; with n_inputs = 0, the previous node
 * settings:  each field of the kind once, in any order
 * training:  whether a layer that behaves differently in training does so; ignored by PN_PREDICT
 *            plans
 * custom:    the functions of a layer of kind "custom"; borrowed for the graph's lifetime */
typedef struct {
    const char *kind, *where;
    size_t n_inputs;
    const size_t *inputs;
    size_t n_settings;
    const pn_setting *settings;
    int training;
    const pn_custom_layer *custom;
} pn_layer;
pn_status pn_graph_add(pn_graph *graph, const pn_layer *layer, pn_error *error);
/* Binds a parameter of the layer added last, borrowed until the graph is freed. A parameter whose
 * grad is NULL is frozen. */
pn_status pn_graph_bind(pn_graph *graph, size_t slot, size_t ndim, const size_t *shape, void *data,
                        void *grad, pn_error *error);
/* Sets the outputs. By default, the last node is the only output. */
pn_status pn_graph_outputs(pn_graph *graph, size_t n, const size_t *nodes, pn_error *error);
size_t pn_graph_nodes(const pn_graph *graph);
size_t pn_graph_n_inputs(const pn_graph *graph);
size_t pn_graph_n_outputs(const pn_graph *graph);
/* the shape of one sample of a node's output */
void pn_graph_shape(const pn_graph *graph, size_t node, size_t *ndim, size_t *shape);
size_t pn_graph_input_node(const pn_graph *graph, size_t i);
size_t pn_graph_output_node(const pn_graph *graph, size_t i);

/* ---- reading a graph, to rebuild it or to write it in another format ------------------------- */
pn_dtype pn_graph_dtype(const pn_graph *graph);
/* A node as passed to pn_graph_add, with n_inputs >= 1, or an input of the graph, whose kind is
 * NULL. The pointers are valid until another node is added to the graph. */
typedef struct {
    const char *kind, *where;
    size_t n_inputs;
    const size_t *inputs;
    size_t n_settings, n_parameters;
    int training;
    const pn_custom_layer *custom;
    size_t ndim, shape[PN_MAX_DIMS];        /* of one sample's output */
} pn_node_info;
int pn_graph_node(const pn_graph *graph, size_t node, pn_node_info *info);      /* 0 past the end */
/* Setting i of a node, as pn_graph_add takes it. Returns 0 past the end. */
int pn_graph_setting(const pn_graph *graph, size_t node, size_t i, pn_setting *setting);
/* A parameter of a node.
 *
 * name:   NULL for a parameter of a formula, or of a custom layer without names
 * state:  a running statistic rather than a learnt parameter
 * data:   NULL if it has not been bound
 * grad:   NULL for a state or a frozen parameter; with a gradient, the parameter is trainable in
 *         this graph */
typedef struct {
    const char *name;
    int state;
    size_t ndim, shape[PN_MAX_DIMS];
    void *data, *grad;
} pn_parameter_info;
int pn_graph_parameter(const pn_graph *graph, size_t node, size_t slot, pn_parameter_info *info);

/* ---- plans: a graph compiled for a fixed number of rows -------------------------------------- */
typedef struct pn_plan pn_plan;
typedef enum { PN_PREDICT, PN_BACKWARD, PN_TRAIN } pn_mode;
/* The graph must outlive the plan.
 *
 * PN_PREDICT:   keeps nothing for backward
 * PN_BACKWARD:  keeps what backward needs; backward adds to the parameters' gradients and computes
 *               those of the inputs
 * PN_TRAIN:     a step of fit, which ends in a loss and overwrites the gradients */
pn_status pn_plan_new(const pn_graph *graph, size_t rows, pn_mode mode, pn_plan **plan,
                      pn_error *error);
void pn_plan_free(pn_plan *plan);
size_t pn_plan_bytes(const pn_plan *plan);                                      /* of its arena */
/* the size of all buffers if none shared memory */
size_t pn_plan_bytes_unshared(const pn_plan *plan);
/* One step: what it does, the layer it belongs to (its name in messages), whether it is part of the
 * forward pass, its floating-point operations, and the seconds spent in it since
 * pn_plan_profile. */
typedef struct {
    const char *what, *where;
    int forward;
    double flops, seconds;
    size_t node;
} pn_step_info;
int pn_plan_step(const pn_plan *plan, size_t i, pn_step_info *info);            /* 0 past the end */
/* Resets the times and starts timing every step. */
void pn_plan_profile(pn_plan *plan);

/* Takes an array for each input and each output: x[i] (rows, input shape), y[i] (rows, output
 * shape). pn_plan_backward runs once for each forward pass, whose arrays it overwrites. x must not
 * change before that. tick: together with their seeds, determines the random numbers of layers such
 * as dropout. */
pn_status pn_plan_forward(pn_plan *plan, const void *const *x, void *const *y, uint64_t tick,
                          pn_error *error);
pn_status pn_plan_backward(pn_plan *plan, const void *const *gy, void *const *gx, pn_error *error);

/* ---- losses and updates on plain arrays ------------------------------------------------------ */
typedef enum { PN_MEAN, PN_SUM, PN_BATCHMEAN } pn_reduction;
/* The arguments of a loss that the caller implements, for use in fit. It receives the predictions
 * of one output and sets sum, the sum of its values, and divisor, what a mean divides it by. Unless
 * grad is NULL, it also computes the gradient of sum / divisor. It finds the targets through custom
 * and the row numbers. It is called on the thread that called fit. A nonzero result stops the run.
 */
typedef struct {
    size_t rows, ndim;
    const size_t *shape;                    /* shape (ndim) of one sample of the output */
    pn_dtype dtype;
    const void *x;
    void *grad, *custom;
    /* row i is row order[i] of the data, or start + i if order is NULL */
    const size_t *order;
    size_t start;
    const void *sample_weight;              /* (rows), or like x if per_value is nonzero */
    int per_value;
    double sum, divisor;
} pn_custom_loss;
/* A loss with its settings. Arrays are borrowed and of the predictions' dtype. */
typedef struct {
    /* pn_loss_custom() for a custom loss, pn_loss_formula() for one given by a formula */
    const pn_loss *row;
    int (*call)(void *context, pn_custom_loss *args);
    void *context;
    pn_reduction reduction;
    /* a formula of prediction and target, compiled for its value, and for value and derivative with
     * respect to the prediction; NULL for others */
    const pn_tape *value, *value_and_slope;
    /* the numbers of the table row, or the parameters of the formula, in order; a flag is 0 or 1 */
    double params[PN_MAX_LOSS_PARAMS];
    int64_t ignore_index;                   /* the exact params[0] of a loss over classes */
    /* one value per column, or one per element if per_element is nonzero; NULL means 1 */
    const void *weight, *pos_weight;
    int per_element;
    /* in fit: the total loss is the sum of the losses times their factors */
    double factor;
    /* in fit: the outputs that it reads, in the order of the table row's inputs */
    size_t outputs[PN_MAX_INPUTS];
} pn_criterion;
const pn_loss *pn_loss_custom(void);
const pn_loss *pn_loss_formula(void);
/* the number of inputs that have a gradient */
size_t pn_loss_inputs(const pn_criterion *loss);

/* The target of (rows, cols) predictions: an array shaped like them, or a class index per row. */
typedef struct {
    const void *target;
    const int64_t *label;
    const char *name;                       /* name in messages; NULL means "target" */
    /* multiplies value and gradient; of the predictions' dtype; NULL means 1 */
    const void *sample_weight;
    /* the number of consecutive rows that form one sample and share its weight; 0 means 1 */
    size_t rows_per_sample;
    /* whether there is a weight for every value of the loss instead of every sample */
    int per_value;
    /* the target of a custom loss, which uses no other member except sample_weight */
    void *custom;
} pn_target;
/* The number of elements of target, or of labels, per row of cols predictions. */
size_t pn_loss_target_width(const pn_criterion *loss, size_t cols);
pn_status pn_loss_check(const pn_criterion *loss, pn_dtype t, size_t rows, size_t cols,
                        const pn_target *target, pn_error *error);
/* How fit views samples of a given shape: positions rows of cols predictions each. last: whether
 * the predictions of a row are the last axis of the sample. */
typedef struct { size_t positions, cols; int last; } pn_loss_view;
pn_status pn_loss_check_fit(const pn_criterion *loss, size_t ndim, const size_t *shape,
                            pn_loss_view *view, pn_error *error);
/* Checks that the loss is defined for input k. NaN is accepted and propagates to the loss. name:
 * the input's name in messages; NULL selects the argument name of a direct call. */
pn_status pn_loss_check_input(const pn_criterion *loss, pn_dtype t, size_t k, size_t n,
                              const void *x, const char *name, pn_error *error);
/* the number of values: rows or rows * cols */
size_t pn_loss_values(const pn_criterion *loss, size_t rows, size_t cols);
/* the number of elements of sample_weight */
size_t pn_loss_weights(const pn_criterion *loss, size_t rows, size_t cols, const pn_target *target);
/* What the reduction divides the sum of the values by. For a sum this is 1. For a mean it is the
 * number of values, or, if there are weights, the sum of class weights times magnitudes of sample
 * weights. */
double pn_loss_divisor(const pn_criterion *loss, pn_dtype t, size_t rows, size_t cols,
                       const pn_target *target);
/* The sequences of a loss of kind 's', one per row. x is (steps, rows, cols), of which the first
 * input_length[row] steps are used. The target_length[row] labels of a row begin at
 * label[start[row]]. work: pn_sequences_work doubles. */
typedef struct {
    size_t steps;
    const int64_t *input_length, *target_length, *start;
    double *work;
} pn_sequences;
pn_status pn_sequences_check(const pn_criterion *loss, size_t rows, size_t cols,
                             const pn_sequences *sequences, size_t n_labels, const int64_t *label,
                             pn_error *error);
size_t pn_sequences_work(size_t rows, size_t cols, const pn_sequences *sequences);
/* One pass that computes values and gradients, either of all inputs or of none, multiplied by
 * scale. */
typedef struct {
    const pn_criterion *loss;
    size_t rows, cols;
    const void *x[PN_MAX_INPUTS];           /* (rows, cols) each */
    pn_target target;
    const pn_sequences *sequences;
    void *value, *grad[PN_MAX_INPUTS];
    double scale;
} pn_loss_args;
/* Returns the sum of the values. The target must have passed pn_loss_check. */
double pn_loss_run(pn_dtype t, const pn_loss_args *args);
/* The same for a loss with one input. */
double pn_loss_apply(const pn_criterion *loss, pn_dtype t, size_t rows, size_t cols, const void *x,
                     const pn_target *target, void *value, void *grad, double scale);

/* A parameter to be updated.
 *
 * p, rows, cols:  p (n) is viewed as (any, rows, cols) if it is a matrix or a stack of matrices;
 *                 otherwise rows and cols are 0
 * state:          NULL where a state array does not exist for this parameter
 * number:         the count of its steps so far, then the numbers of the optimizer's row
 * average:        the moving average of p, or NULL
 * h:              scratch space of the core */
typedef struct {
    void *p; const void *g; void *state[PN_MAX_STATES], *average;
    double *number[PN_MAX_NUMBERS];
    size_t n, rows, cols;
    pn_dtype dtype;
    double h[PN_MAX_HYPER];
} pn_segment;
/* All members are doubles, so that an array can serve as settings. They may change between updates.
 * 0 disables an option. */
typedef struct {
    double hyper[PN_MAX_HYPER];
    double maximize;                /* whether the gradient is negated */
    /* the norm of the gradients of all groups, taken as one vector, is clipped to this */
    double clip_norm;
    double clip_value;              /* the elements of gradients are clipped to this magnitude */
    double l1;                      /* this times sign(p) is added to the gradient */
    /* average = decay * average + (1 - decay) * p, after each step */
    double average_decay;
} pn_settings;
typedef struct {
    size_t optimizer, n;
    pn_segment *segments;
    const pn_settings *settings;
    const pn_schedule *schedules;
    size_t n_schedules;
    /* pn_update_work(group) bytes, 64-byte aligned; NULL if that is 0 */
    void *work;
} pn_group;
size_t pn_update_work(const pn_group *group);
/* the number of elements of state k; SIZE_MAX if there is no such state */
size_t pn_state_count(size_t optimizer, size_t k, const pn_segment *segment);
/* whether a setting can make state k unnecessary */
int pn_state_optional(size_t optimizer, size_t k);
/* Performs one step: increments the step counts and applies schedules, clipping and the update
 * rule. step counts from 1 and epoch from 0, for the schedules. */
void pn_update(const pn_group *groups, size_t n_groups, int64_t step, int64_t epoch);
/* L-BFGS, which evaluates loss and gradients several times within a step. closure computes both and
 * stores the gradients in the g of the segments. A nonzero result stops the step with
 * PN_STOPPED. */
typedef int pn_closure(void *context, double *loss);
typedef struct {
    /* n: elements of all segments, whose members other than p, g, n and dtype are ignored */
    size_t n_segments, n;
    const pn_segment *segments;
    double lr, tolerance_grad, tolerance_change;
    size_t max_iter, max_eval, history;
    int strong_wolfe;               /* whether to use a line search instead of steps of lr */
    int unit_first;                 /* whether the first step has length lr, or at most that */
    double *memory;                 /* pn_lbfgs_memory(n, history) doubles, initially 0 */
} pn_lbfgs;
size_t pn_lbfgs_memory(size_t n, size_t history);
/* Performs one step of up to max_iter iterations. *loss is the loss at its start. */
pn_status pn_lbfgs_step(const pn_lbfgs *lbfgs, pn_closure *closure, void *context, double *loss,
                        pn_error *error);
/* Optimizers that evaluate the loss within their step. In fit they replace groups. */
typedef enum { PN_SOLVE_LBFGS, PN_SOLVE_LM } pn_solver_kind;
/* PN_LM_MAX_PARAMETERS, PN_LM_MEMORY: limits of Levenberg-Marquardt: the number of parameters, and
 * the doubles in its memory */
enum { PN_SOLVER_SETTINGS = 8, PN_LM_MAX_PARAMETERS = 2048, PN_LM_MEMORY = 2 };
/* settings:  L-BFGS: lr, max_iter, max_eval, tolerance_grad, tolerance_change, history_size, and
 *            the flags strong_wolfe and unit_first; Levenberg-Marquardt: damping and max_tries.
 *            They may change between steps, except history_size, which determines the size of the
 *            memory and is read by pn_fit_new.
 * memory:    state kept between steps, initially 0 */
typedef struct {
    pn_solver_kind kind;
    const double *settings;
    size_t n_segments, n;
    const pn_segment *segments;
    double *memory;
} pn_solver;
/* The p-th power of the p-norm of n elements, summed in a fixed order. For p = infinity, the
 * largest magnitude. The second function first divides the elements by unit, such as the largest
 * magnitude, to keep the powers in range. */
double pn_power_sum(pn_dtype t, size_t n, const void *x, double p);
double pn_scaled_power_sum(pn_dtype t, size_t n, const void *x, double p, double unit);

/* ---- data: samples in the caller's memory ---------------------------------------------------- */
typedef enum {
    PN_FROM_F32,
    PN_FROM_F64,
    PN_FROM_I8,
    PN_FROM_U8,
    PN_FROM_I16,
    PN_FROM_U16,
    PN_FROM_I32,
    PN_FROM_U32,
    PN_FROM_I64,
    PN_FROM_U64
} pn_source;
/* Consecutive samples are stride bytes apart, and each is a contiguous array of the input's shape.
 * A batch is gathered and converted when it is needed, so x may be a memory map larger than memory.
 * Targets have the dtype of the graph. */
typedef struct { const void *x; pn_source type; ptrdiff_t stride; } pn_samples;
/* x has one element per input of the graph, y one per loss.
 *
 * rows:    the number of samples
 * subset:  the index of each sample in x, y and the weights; NULL for all samples. With a subset,
 *          the values of targets are not checked in advance; labels are checked batch by batch. */
typedef struct {
    size_t rows;
    const pn_samples *x;
    const pn_target *y;
    const size_t *subset;
} pn_data;

typedef struct {
    const pn_criterion *criteria;   /* every output is read by exactly one */
    size_t n_criteria;
    size_t batch_size;
    int shuffle;
    uint64_t seed;                  /* with the epoch number, determines the order of rows */
    /* penalty / 2 times the sum of squares of all trained matrices, divided by the sum of the
     * weights of the rows of a batch, by their number without weights, is added to its loss */
    double penalty;
    /* whether an epoch omits its last batch if that is smaller than the others */
    int drop_last;
    const pn_group *groups;         /* the parameters to update, and how */
    size_t n_groups;
    const pn_solver *solver;        /* replaces groups unless NULL */
    /* whether an epoch ends, before the update, at a step whose loss or gradient is not finite */
    int finite;
    int health;                     /* whether to record what pn_fit_health returns */
    /* called every 50 ms, or after each step that takes longer; a nonzero result stops */
    int (*poll)(void *context);
    void *context;
    /* of the gate of the parameters, which other threads may enter between steps; NULL if there is
     * none */
    pn_hold *hold;
} pn_fit_options;
/* The score of one loss.
 *
 * loss:         sum over the values
 * divisor:      what a mean divides it by
 * rows:         rows whose class is not ignored
 * correct:      correct classes, or correct elements if each element is a yes-or-no decision
 * not_one_hot:  for yes-or-no decisions, rows of targets that are not one-hot
 * hits:         if not_one_hot is 0, rows whose largest output is at the 1 */
typedef struct { double loss, divisor; size_t values, correct, rows, hits, not_one_hot; } pn_score;

/* ---- fit: the training loop ------------------------------------------------------------------ */
typedef struct pn_fit pn_fit;
/* Checks the targets and creates the plans. graph, data and options must outlive the fit. data may
 * be NULL if only pn_fit_batch will be called. */
pn_status pn_fit_new(const pn_graph *graph, const pn_data *data, const pn_fit_options *options,
                     pn_fit **fit, pn_error *error);
void pn_fit_free(pn_fit *fit);
/* Runs one epoch. *step counts the updates of the entire training. If poll stops it, it returns
 * PN_STOPPED after a complete step. score: one per loss. */
pn_status pn_fit_epoch(pn_fit *fit, uint64_t epoch, int64_t *step, pn_score *score,
                       pn_error *error);
/* The same for at most count batches, starting with batch first. Adds to the given scores. */
pn_status pn_fit_part(pn_fit *fit, uint64_t epoch, size_t first, size_t count, int64_t *step,
                      pn_score *score, pn_error *error);
/* Stores the predictions for each row, made before the step on its batch, in y, an array (rows,
 * output shape) per output. NULL ends this. pn_fit_batch numbers its rows from 0. */
void pn_fit_keep(pn_fit *fit, void *const *y);
/* The order of the rows in the last epoch, as indices into the subset of the data. NULL without
 * shuffling and before the first epoch. */
const size_t *pn_fit_order(const pn_fit *fit);
/* Sets the order of the rows in an epoch, as indices into the subset of the data. The fit must
 * shuffle, and order must have as many indices as there are rows. */
pn_status pn_fit_set_order(pn_fit *fit, uint64_t epoch, const size_t *order, pn_error *error);
/* Sums over the batches since the epoch began: of the weighted mean of the losses and of the
 * penalty, each times the rows of the batch, and the rows. */
typedef struct { double loss, penalty; size_t rows; } pn_fit_sums;
pn_fit_sums pn_fit_objective(const pn_fit *fit);
/* Starts timing the steps of the plans, and resets *times, to which the time of a step of fit
 * outside its plan is added. NULL ends this. Returns the plan of full batches, which the fit still
 * owns, or NULL without data. */
typedef struct { double gather, loss, update, score; int64_t steps; } pn_fit_times;
pn_plan *pn_fit_profile(pn_fit *fit, pn_fit_times *times);
/* Performs one step on all rows of batch and adds to the given scores. */
pn_status pn_fit_batch(pn_fit *fit, const pn_data *batch, int64_t *step, pn_score *score,
                       pn_error *error);

/* ---- health: statistics of a training run, by node of the graph ------------------------------ */
/* Statistics of the current or last epoch, or of several epochs if they have few steps. A unit is a
 * channel of an image, otherwise one element of the sample's last axis.
 *
 * A unit of an elementwise activation is dead if the derivative was 0 for every sample, so that no
 * gradient passed. It is saturated if it is not dead but, for 95 % of the sampled values, the
 * magnitude of the derivative was below 5 % of its maximum over arguments from -20 to 20. If max
 * pooling follows directly, only the values that it selects count. Outputs, gradients and updates
 * are sampled at some steps only, chosen by counting, which keeps the cost negligible. */
typedef struct {
    size_t units, dead, saturated;      /* units: 0 if the node is no such activation */
    /* whether the derivative of the activation is that small at -20 and at 20 */
    int flat_low, flat_high;
    int64_t probes, updates;            /* steps at which outputs, or gradients, were sampled */
    double mean, spread;                /* of the outputs; spread: standard deviation */
    /* root mean square, over the sampled steps, of the norm of the gradient, of the change by the
     * step and of the values of the node's learnt parameters, taken as one vector */
    double gradient, update, weight;
} pn_node_health;
/* Where a step first produced a value that is not finite, in the order of computation. */
typedef enum {
    PN_UNKNOWN,
    PN_INPUT,
    PN_PARAMETER,
    PN_OUTPUT,
    PN_TARGET,
    PN_LOSS,
    PN_GRADIENT,
    PN_PARAMETER_GRADIENT
} pn_place;
typedef struct {
    pn_place place;
    /* the node and its parameter; for data and losses, the number of the input or output */
    size_t at, slot;
    size_t row;                         /* row of the data; SIZE_MAX if it does not apply */
} pn_origin;
/* Returns 0 if the fit records no health. */
int pn_fit_health(const pn_fit *fit, size_t node, pn_node_health *health);
/* Begins a new epoch of the statistics; for use with pn_fit_batch. */
void pn_fit_reset(pn_fit *fit);
/* The origin of a value that is not finite in the last pn_fit_part or pn_fit_batch, if
 * options.finite is set. Its place is PN_UNKNOWN if there was none. */
const pn_origin *pn_fit_origin(const pn_fit *fit);
/* Measures health in one pass over the data, in order, without updates. If options.criteria is
 * NULL, runs forward only. */
pn_status pn_fit_measure_health(pn_fit *fit, pn_error *error);

/* ---- traces: every array of one step --------------------------------------------------------- */
/* Where the arrays go. value: the output of each node, channels first. gradient: the derivative of
 * the whole loss by that output; set to NULL for nodes without one, such as indices. loss_gradient:
 * for each output, the part of its gradient that comes from its loss. score: one for each loss,
 * which is added to. */
typedef struct { void **value, **gradient, **loss_gradient; pn_score *score; } pn_trace;
/* Runs one step on all rows of data, without its update: layers behave as in fit, gradients of the
 * parameters are overwritten, and running statistics are updated. tick: as in pn_plan_forward; fit
 * counts steps from 1. */
pn_status pn_trace_step(const pn_graph *graph, const pn_data *data, const pn_criterion *criteria,
                        size_t n, uint64_t tick, const pn_trace *trace, pn_error *error);

/* ---- prediction: blocks of rows on all threads; nothing is kept for backward ----------------- */
typedef struct pn_predictor pn_predictor;
/* block: the maximum number of rows computed at a time on one thread. The graph must outlive the
 * predictor, and only the values of its parameters may change meanwhile. A predictor runs one call
 * at a time. */
pn_status pn_predictor_new(const pn_graph *graph, size_t block, pn_predictor **predictor,
                           pn_error *error);
void pn_predictor_free(pn_predictor *predictor);
/* y, an array (rows, output shape) per output, and score, one per loss, may be NULL. Of options
 * only criteria (with score) and poll are used. options may be NULL without score. */
pn_status pn_predict(pn_predictor *predictor, const pn_data *data, const pn_fit_options *options,
                     void *const *y, pn_score *score, pn_error *error);

/* ---- values that are not finite -------------------------------------------------------------- */
/* The index of the first of n numbers that is NaN or infinite; n if none is. */
size_t pn_first_nonfinite(pn_dtype t, size_t n, const void *x);
/* Rounds n doubles to floats and returns whether all results are finite. */
int pn_narrow(size_t n, const double *x, float *y);

/* ---- random numbers: Philox4x32-10, a pure function of (seed, stream, index) ----------------- */
void pn_random_uniform(uint64_t seed, uint64_t stream, double low, double high, pn_dtype t,
                       size_t n, void *out);
void pn_random_permutation(uint64_t seed, uint64_t stream, size_t n, size_t *out);

#ifdef __cplusplus
}
#endif
#endif
