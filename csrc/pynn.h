/* pynn.h - the C library's public interface: all that the Python binding, or a C program, includes.
 *
 * Ownership is in the verb: _new gives, _free takes (NULL allowed), everything else borrows for the
 * call. Nothing here prints, exits or aborts. A call that can fail returns pn_status and writes a
 * sentence into pn_error. */
#ifndef PYNN_H
#define PYNN_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of pynn, which setup.py and pynn.__version__ take from here. */
#define PN_VERSION_MAJOR 0
#define PN_VERSION_MINOR 1
#define PN_VERSION_PATCH 0
#define PN_VERSION_TEXT_(major, minor, patch) #major "." #minor "." #patch
#define PN_VERSION_TEXT(major, minor, patch)  PN_VERSION_TEXT_(major, minor, patch)
#define PN_VERSION PN_VERSION_TEXT(PN_VERSION_MAJOR, PN_VERSION_MINOR, PN_VERSION_PATCH)
/* PN_VERSION of the compiled library, for comparison with that of the header. */
const char *pn_version(void);

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
/* ends: inputs, or outputs, of a graph */
enum { PN_MAX_PARAMS = 2, PN_MAX_DIMS = 8, PN_MAX_SETTINGS = 16, PN_MAX_IO = 16 };

/* ---- instruction sets ------------------------------------------------------------------------ */
/* NULL: the best this machine has. Affects later plans and calls */
pn_status pn_isa_set(const char *name, pn_error *error);
const char *pn_isa_get(void);
/* names of what was compiled in, best first; NULL past the end */
const char *pn_isa_built(size_t i);
int pn_isa_runs(const char *name);                          /* can this machine run it? */

/* ---- threads: one pool for the process ------------------------------------------------------- */
/* How many a call may use, its own included. 0 stands for the default: the CPUs that affinity and a
 * cgroup's quota leave. */
pn_status pn_threads_set(size_t n, pn_error *error);
size_t pn_threads_get(void);
/* Makes the calls of this thread use no other one, until told otherwise: for programs that share
 * their work out among threads themselves. pn_threads_get says 1 then. Returns what was
 * told before. */
int pn_threads_alone(int alone);
/* Runs task(context, i) for every i < tasks, in any order, and returns when all are done. Divide
 * the work by its shape, never by the number of threads, and the result has the same bits on any
 * number. A region costs about a microsecond; from inside another one, or while another thread has
 * one, it runs on its caller alone. */
typedef void pn_task_fn(void *context, size_t i);
void pn_parallel(size_t tasks, pn_task_fn *task, void *context);

/* ---- stopping: how a caller interrupts a long call ------------------------------------------- */
/* Between pn_stop_begin and pn_stop_end, what this thread calls asks poll about every 20 ms, on
 * this thread; anything but 0 stops it: plans, fits and predictors return PN_STOPPED, functions
 * without a status return early, and what they wrote is not to be used. An update (pn_update) is
 * never cut short. Calls nest. */
typedef struct pn_stop {
    int (*poll)(void *context);
    void *context;
    int64_t next;                           /* the rest is the core's: when to ask again, */
    int stopped;                            /* whether it was asked to stop, */
    struct pn_stop *outer;                  /* and the one that this one replaces */
} pn_stop;
void pn_stop_begin(pn_stop *stop);
int pn_stop_end(pn_stop *stop);             /* was it stopped? */
/* asks if it is time to, for loops that take long; is this call to stop? */
int pn_stop_now(void);
int pn_stopped(void);                       /* the same without asking */
pn_stop *pn_stop_suspend(void);             /* until pn_stop_resume nothing is stopped */
void pn_stop_resume(pn_stop *stop);

/* ---- gates: reader-writer locks for the parameters of nets ----------------------------------- */
/* Predictions read, training steps write. Requests are served in order of arrival. A hold is the
 * caller's memory and stays in place until it is left, by the thread that entered. A thread that
 * holds a gate may enter it again, unless it reads and wants to write. */
typedef struct pn_gate pn_gate;
typedef enum { PN_READ, PN_WRITE } pn_access;
typedef struct pn_hold {
    pn_gate *gate;
    pn_access access;
    enum { PN_FREE, PN_WAITING, PN_HELD } state;
    unsigned generation;
    int64_t since;                  /* when it was entered, in nanoseconds */
    const void *thread;
    void *wake;
    struct pn_hold *before, *next;
} pn_hold;
/* PN_REFUSED: waiting could be a deadlock, because this thread holds a gate already. PN_QUEUED:
 * pn_gate_wait, or pn_gate_leave to give up. */
typedef enum { PN_ENTERED, PN_QUEUED, PN_REFUSED } pn_entry;
pn_gate *pn_gate_new(void);                                 /* NULL when memory is short */
void pn_gate_free(pn_gate *gate);                           /* held by nobody */
/* from now on they are one; that of a must live as long as b */
void pn_gate_join(pn_gate *a, pn_gate *b);
/* does nobody hold it or wait for it? */
int pn_gate_idle(const pn_gate *gate);
int pn_gate_mine(const pn_gate *gate);                      /* does this thread hold it? */
pn_entry pn_gate_enter(pn_gate *gate, pn_access access, pn_hold *hold);
/* has it been entered within that time? */
int pn_gate_wait(pn_hold *hold, int milliseconds);
/* lets those who wait go first, after 1 ms; 0: pn_gate_wait until it is entered again */
int pn_gate_yield(pn_hold *hold);
void pn_gate_leave(pn_hold *hold);                          /* also of one that waits, or is free */
/* 1, and one more in the child of each fork */
unsigned pn_fork_generation(void);

/* ---- activations: elementwise, one row each in core/kernels/activations.h -------------------- */
typedef struct {
    const char *name, *cls;         /* "leaky_relu", "LeakyReLU" */
    char needs;                     /* 'x' or 'y': what backward reads */
    /* "negative_slope=0.01", at most PN_MAX_PARAMS, comma separated */
    const char *params;
    const char *check;              /* Python expression that the parameters must satisfy, or "" */
    /* promised error of value and derivative, in units in the last place */
    double ulp, grad_ulp;
    /* the formula is NumPy text: documentation, and the oracle of the tests */
    const char *onnx, *formula;
    const char *summary;            /* one sentence, with its source */
} pn_activation;

const pn_activation *pn_activation_at(size_t i);            /* NULL past the end */

/* y = f(x) and y = f'(x) over n contiguous elements; y may be x. p: PN_MAX_PARAMS pointers (unused
 * ones NULL), each to one value of the dtype, or with varying != 0 to n values. */
void pn_activation_forward(size_t i, pn_dtype t, size_t n, const void *x, void *y,
                           const void *const *p, int varying);
void pn_activation_derivative(size_t i, pn_dtype t, size_t n, const void *x, void *y,
                              const void *const *p, int varying);

/* ---- row-wise functions (softmax, ...): one row each in core/kernels/rowwise.h --------------- */
typedef struct {
    const char *name, *cls;
    double ulp;
    const char *onnx, *formula, *summary;
} pn_rowwise;
const pn_rowwise *pn_rowwise_at(size_t i);
/* (rows, n) each; y may be x */
void pn_rowwise_forward(size_t i, pn_dtype t, size_t rows, size_t n, const void *x, void *y);

/* ---- losses: one row each in core/kernels/losses.h ------------------------------------------- */
enum { PN_MAX_INPUTS = 3, PN_MAX_LOSS_PARAMS = 4 };
/* What a loss compares predictions with. */
typedef enum {
    PN_TARGET_NONE = 'n',
    PN_TARGET_REAL = 'r',           /* finite numbers like the prediction */
    PN_TARGET_ANY = 'a',            /* any numbers like the prediction */
    PN_TARGET_UNIT = 'u',           /* numbers in [0, 1] like the prediction */
    PN_TARGET_SIGN = 's',           /* -1 or 1; of kind r one a row */
    PN_TARGET_INDEX = 'i',          /* a class index a row */
    PN_TARGET_CLASS = 'c',          /* a class index or ignore_index a row */
    PN_TARGET_CLASS_OR_MASS = 'p',  /* that, or class probabilities like the prediction */
    PN_TARGET_INDICES = 'm'         /* of each row class indices, up to the first -1 */
} pn_target_kind;
/* What a loss takes as its prediction. */
typedef enum {
    PN_TAKES_ANYTHING,
    PN_TAKES_LOGITS,
    PN_TAKES_PROBABILITIES,
    PN_TAKES_LOG_PROBABILITIES
} pn_takes;
/* When a prediction counts as right. */
typedef enum {
    PN_METRIC_NONE,
    PN_METRIC_ARGMAX = 'a',         /* the largest score is that of the class */
    PN_METRIC_SIGN = 'l',           /* a logit is positive where the target is 1 */
    PN_METRIC_HALF = 'p'            /* a probability is over 1/2 where the target is 1 */
} pn_metric;
/* Strings of columns that a row leaves out are NULL. */
typedef struct {
    const char *name, *cls;         /* "huber", "HuberLoss" */
    char kind;                      /* a letter that losses.h explains above its table */
    pn_target_kind target;
    pn_takes takes;
    pn_metric metric;
    /* "input target": what a call takes; all but target have a gradient, the first is the
     * prediction */
    const char *inputs;
    int has_variance;               /* the second input is a variance */
    int has_batchmean;              /* PN_BATCHMEAN is allowed */
    const char *from_logits;        /* name of the loss of what goes into a softmax or sigmoid */
    /* "weight: array = None, delta=1.0": of its arrays there are weight and pos_weight */
    const char *params;
    const char *check;              /* Python expression that the numbers must satisfy */
    const char *docs;               /* "delta: text\n" for each parameter */
    const char *formula, *example, *summary, *source;
} pn_loss;
const pn_loss *pn_loss_at(size_t i);

/* ---- optimizers: one row each in core/kernels/optimizers.h ----------------------------------- */
enum { PN_MAX_STATES = 3, PN_MAX_NUMBERS = 3, PN_MAX_HYPER = 10 };
typedef struct {
    const char *name, *cls;         /* "adam", "Adam" */
    /* "lr=1e-3, betas=(0.9, 0.999), "; flattened left to right for C, lr first, without maximize */
    const char *hyper;
    const char *docs;               /* "lr: text\n" for each of them */
    const char *check;              /* Python expression over them */
    /* space-separated names of the per-parameter state arrays; marks as in the table */
    const char *states;
    /* "mu_product=1": numbers kept for each parameter beside its step; NULL: none */
    const char *numbers;
    int matrices_only;              /* parameters must have two dimensions */
    /* the formula is Python text: documentation, and the oracle of the tests */
    const char *formula, *summary, *source;
} pn_optimizer;
const pn_optimizer *pn_optimizer_at(size_t i);

/* ---- schedules: one row each in core/training/schedules.h ------------------------------------ */
enum { PN_MAX_SCHEDULE = 8 };
typedef struct {
    const char *name, *cls;         /* "cosine", "CosineAnnealingLR"; no class: part of others */
    const char *params, *check;     /* as an activation's; params in order are a pn_schedule's v */
    const char *docs;               /* "T_max: text\n" for each of them */
    const char *formula;            /* lr at time t from lr, and v by name: Python text */
    const char *example;            /* arguments for the documentation's example */
    const char *summary, *source;
} pn_schedule_kind;
const pn_schedule_kind *pn_schedule_at(size_t i);

/* What changes a group's learning rate while from <= t < until, where t is the number of whole
 * steps or epochs before this one, plus start. Several apply in turn. All are doubles, so that rows
 * of an array can be schedules. */
typedef struct {
    double kind;                    /* row */
    double each_step;               /* does t count steps? else epochs */
    double start, from, until;
    /* index in hyper of what cycles against the rate; -1 for nothing */
    double momentum;
    double v[PN_MAX_SCHEDULE];
} pn_schedule;
/* Rewrites the rate, hyper[0], and where a schedule says so the momentum, for step (from 1) and
 * epoch (from 0). */
void pn_schedule_apply(const pn_schedule *schedules, size_t n, int64_t step, int64_t epoch,
                       double *hyper);

/* ---- layers: one row each in core/layers/layers.h -------------------------------------------- */
/* The types of a layer's settings. Those in the plural are lists of at most PN_MAX_DIMS numbers.
 * Names of PN_ACTIVATION and PN_ROWWISE are those of rows of the two tables. */
typedef enum {
    PN_COUNT,                       /* an integer from 0 */
    PN_INTEGER,
    PN_FLAG,                        /* 0 or 1 */
    PN_NUMBER,
    PN_SEED,                        /* 64 bits */
    PN_CHOICE,                      /* one of several names */
    PN_ACTIVATION,
    PN_ROWWISE,
    PN_COUNTS,
    PN_INTEGERS,
    PN_NUMBERS
} pn_field_type;
typedef struct {
    const char *name, *meaning;
    pn_field_type type;
    double least, most;             /* of a number, and of each number of a list */
    const char *const *choices;     /* PN_CHOICE: the names, then NULL */
} pn_field;
/* The value of one field: text of PN_CHOICE, PN_ACTIVATION and PN_ROWWISE, seed of PN_SEED, and n
 * numbers of all others; n is 1 except in lists. */
typedef struct {
    const char *name, *text;
    uint64_t seed;
    size_t n;
    double number[PN_MAX_DIMS];
} pn_setting;
/* A kind of layer: its name, how many inputs it takes, and how many settings. */
typedef struct { const char *name; size_t least_inputs, most_inputs, n_fields; } pn_kind_info;
int pn_kind_at(size_t i, pn_kind_info *info);               /* 0 past the end */
const pn_field *pn_kind_field(size_t i, size_t field);      /* NULL past the end */

/* ---- graphs: what a net is ------------------------------------------------------------------- */
typedef struct pn_graph pn_graph;

/* Nodes count from 0 in the order in which they are added; each feeds on earlier ones. A graph
 * starts as its first input, node 0, the shape of one sample; pn_graph_input adds another. */
pn_status pn_graph_new(pn_dtype dtype, size_t ndim, const size_t *shape, pn_graph **graph,
                       pn_error *error);
void pn_graph_free(pn_graph *graph);
pn_status pn_graph_input(pn_graph *graph, size_t ndim, const size_t *shape, pn_error *error);
/* One layer. kind: a row of core/layers/layers.h. where: the layer's name in messages. inputs: the
 * nodes that it reads; n_inputs 0 stands for the node before. settings: each field of the kind once,
 * in any order. training: whether a layer that behaves differently in training does so, outside
 * PN_PREDICT plans. */
typedef struct {
    /* y from the inputs' arrays; then the gradient of each input, NULL where nobody wants it, from
     * that of y, adding to those of the layer's parameters. With keep the layer keeps what backward
     * needs of the forward call before. Anything but 0 stops the run. */
    int (*forward)(void *context, size_t rows, int keep, const void *const *x, void *y);
    int (*backward)(void *context, size_t rows, const void *gy, void *const *gx);
    void *context;
} pn_custom_layer;
typedef struct {
    const char *kind, *where;
    size_t n_inputs;
    const size_t *inputs;
    size_t n_settings;
    const pn_setting *settings;
    int training;
    /* of kind "custom": functions that compute the layer, called on the thread that runs the plan;
     * borrowed */
    const pn_custom_layer *custom;
} pn_layer;
pn_status pn_graph_add(pn_graph *graph, const pn_layer *layer, pn_error *error);
/* A parameter of the layer just added, borrowed until the graph is freed. grad NULL: the parameter
 * is frozen. */
pn_status pn_graph_bind(pn_graph *graph, size_t slot, size_t ndim, const size_t *shape, void *data,
                        void *grad, pn_error *error);
/* else the last node is the output */
pn_status pn_graph_outputs(pn_graph *graph, size_t n, const size_t *nodes, pn_error *error);
size_t pn_graph_nodes(const pn_graph *graph);
size_t pn_graph_n_inputs(const pn_graph *graph);
size_t pn_graph_n_outputs(const pn_graph *graph);
/* of one sample of a node's output */
void pn_graph_shape(const pn_graph *graph, size_t node, size_t *ndim, size_t *shape);
size_t pn_graph_input_node(const pn_graph *graph, size_t i);
size_t pn_graph_output_node(const pn_graph *graph, size_t i);

/* ---- reading a graph: all that is needed to build it again, or to write it in another format -- */
pn_dtype pn_graph_dtype(const pn_graph *graph);
/* A node as pn_graph_add took it, with n_inputs at least 1, or an input of the graph, whose kind is
 * NULL. The pointers stay valid until the graph gets another node. */
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
/* Setting i of a node, as pn_graph_add takes it; 0 past the end. */
int pn_graph_setting(const pn_graph *graph, size_t node, size_t i, pn_setting *setting);
/* A parameter of a node. name: NULL in a custom layer. state: it is no parameter that is learnt but
 * a running statistic. data NULL: it has not been bound; grad NULL: a state, or frozen. */
typedef struct {
    const char *name;
    int state;
    size_t ndim, shape[PN_MAX_DIMS];
    void *data, *grad;
} pn_parameter_info;
int pn_graph_parameter(const pn_graph *graph, size_t node, size_t slot, pn_parameter_info *info);

/* ---- plans: a graph, decided for one number of rows ------------------------------------------ */
typedef struct pn_plan pn_plan;
typedef enum { PN_PREDICT, PN_BACKWARD, PN_TRAIN } pn_mode;
/* PN_PREDICT keeps nothing; PN_BACKWARD keeps what backward needs, and backward adds to the
 * gradients and gives that of the input; PN_TRAIN, a step of fit, ends in a loss and overwrites the
 * gradients. The graph must outlive the plan. */
pn_status pn_plan_new(const pn_graph *graph, size_t rows, pn_mode mode, pn_plan **plan,
                      pn_error *error);
void pn_plan_free(pn_plan *plan);
size_t pn_plan_bytes(const pn_plan *plan);                                      /* of its arena */
/* what the buffers would take if none shared its place */
size_t pn_plan_bytes_unshared(const pn_plan *plan);
/* One step: what it does, for which layer (its name in messages), in the forward pass or not, its
 * floating-point operations, and the seconds spent in it since pn_plan_profile. */
typedef struct {
    const char *what, *where;
    int forward;
    double flops, seconds;
    size_t node;
} pn_step_info;
int pn_plan_step(const pn_plan *plan, size_t i, pn_step_info *info);            /* 0 past the end */
/* from now on every step is timed, from 0 */
void pn_plan_profile(pn_plan *plan);

/* An array for each input and each output: x[i] (rows, input shape), y[i] (rows, output shape); x
 * must stay as it is until pn_plan_backward has run, once for each forward pass, whose arrays it
 * overwrites. tick: what the random numbers of layers that draw some depend on, beside their seeds.
 */
pn_status pn_plan_forward(pn_plan *plan, const void *const *x, void *const *y, uint64_t tick,
                          pn_error *error);
pn_status pn_plan_backward(pn_plan *plan, const void *const *gy, void *const *gx, pn_error *error);

/* ---- losses and updates on plain arrays ------------------------------------------------------ */
typedef enum { PN_MEAN, PN_SUM, PN_BATCHMEAN } pn_reduction;
/* In fit, a loss of the caller's own over rows of an output's predictions: the sum of its values,
 * what a mean divides that by, and unless grad is NULL the gradient of their quotient. own and
 * start or order say whose targets the rows have. Called on the thread that called; anything but 0
 * stops the run. */
typedef struct {
    size_t rows, ndim;
    const size_t *shape;                    /* (ndim) of one sample of the output */
    pn_dtype dtype;
    const void *x;
    void *grad, *own;
    /* row i is the caller's order[i], or start + i where this is NULL */
    const size_t *order;
    size_t start;
    const void *sample_weight;              /* (rows), or with every like x */
    int every;
    double sum, divisor;
} pn_custom_loss;
/* A loss with its settings. Arrays are borrowed and of the predictions' dtype. */
typedef struct {
    const pn_loss *row;                     /* pn_loss_custom() for one of the caller's own */
    int (*call)(void *context, pn_custom_loss *args);
    void *context;
    pn_reduction reduction;
    double params[PN_MAX_LOSS_PARAMS];      /* the row's numbers in order; a flag is 0 or 1 */
    int64_t ignore_index;                   /* params[0] of a loss over classes, exactly */
    /* one value per column, or one per element with per_element != 0; NULL: 1 */
    const void *weight, *pos_weight;
    int per_element;
    /* in fit: the whole loss is the sum of each loss times this */
    double factor;
    /* in fit: the outputs that it takes, in the order of the row's inputs */
    size_t outputs[PN_MAX_INPUTS];
} pn_criterion;
const pn_loss *pn_loss_custom(void);
/* how many inputs have a gradient */
size_t pn_loss_inputs(const pn_criterion *loss);

/* (rows, cols) predictions with a target like them, or a class index a row. */
typedef struct {
    const void *target;
    const int64_t *label;
    const char *name;                       /* in messages; NULL for "target" */
    /* of the predictions' dtype, multiplies value and gradient of a row; NULL: 1 */
    const void *sample_weight;
    /* so many rows after another are one sample, with one weight; 0 stands for 1 */
    size_t rows_per_sample;
    /* or is there a weight for every value of the loss, of a row or an element? */
    int every;
    /* for a loss of the caller's own, instead of all but sample_weight */
    void *own;
} pn_target;
/* How many elements of target, or labels, belong to one row of cols predictions. */
size_t pn_loss_target_width(const pn_criterion *loss, size_t cols);
pn_status pn_loss_check(const pn_criterion *loss, pn_dtype t, size_t rows, size_t cols,
                        const pn_target *target, pn_error *error);
/* How fit sees samples of this shape: positions rows of cols predictions each. last: do these stand
 * last in a sample? */
typedef struct { size_t positions, cols; int last; } pn_loss_view;
pn_status pn_loss_check_fit(const pn_criterion *loss, size_t ndim, const size_t *shape,
                            pn_loss_view *view, pn_error *error);
/* Is input k what the loss is defined for? NaN passes, and shows in the loss. name: of the input in
 * messages; NULL for that of a call. */
pn_status pn_loss_check_input(const pn_criterion *loss, pn_dtype t, size_t k, size_t n,
                              const void *x, const char *name, pn_error *error);
/* how many values: rows or rows * cols */
size_t pn_loss_values(const pn_criterion *loss, size_t rows, size_t cols);
/* elements of sample_weight */
size_t pn_loss_weights(const pn_criterion *loss, size_t rows, size_t cols, const pn_target *target);
/* What reduction divides the sum of the values by: 1 for a sum; for a mean the weights of classes
 * and the magnitudes of those of samples, or the number of values. */
double pn_loss_divisor(const pn_criterion *loss, pn_dtype t, size_t rows, size_t cols,
                       const pn_target *target);
/* rows sequences for a loss of kind 's', whose x is (steps, rows, cols): input_length of each one's
 * steps count, and its target_length labels stand at label[start]. work: as many doubles as
 * pn_sequences_work says. */
typedef struct {
    size_t steps;
    const int64_t *input_length, *target_length, *start;
    double *work;
} pn_sequences;
pn_status pn_sequences_check(const pn_criterion *loss, size_t rows, size_t cols,
                             const pn_sequences *sequences, size_t n_labels, const int64_t *label,
                             pn_error *error);
size_t pn_sequences_work(size_t rows, size_t cols, const pn_sequences *sequences);
/* One pass for value and gradients (all of them or none), which come times scale. */
typedef struct {
    const pn_criterion *loss;
    size_t rows, cols;
    const void *x[PN_MAX_INPUTS];           /* (rows, cols) each */
    pn_target target;
    const pn_sequences *sequences;
    void *value, *grad[PN_MAX_INPUTS];
    double scale;
} pn_loss_args;
/* the sum of the values; the target must have passed pn_loss_check */
double pn_loss_run(pn_dtype t, const pn_loss_args *args);
/* The same for a loss with one input. */
double pn_loss_apply(const pn_criterion *loss, pn_dtype t, size_t rows, size_t cols, const void *x,
                     const pn_target *target, void *value, void *grad, double scale);

/* A parameter as an update sees it. p (n) is (any, rows, cols) where it is a matrix or a stack of
 * them, else rows and cols are 0. state: NULL where the row's mark leaves one out. number: the
 * count of its steps so far, then the row's numbers. average: NULL, or the moving average kept of
 * p. h: room for the core. */
typedef struct {
    void *p; const void *g; void *state[PN_MAX_STATES], *average;
    double *number[PN_MAX_NUMBERS];
    size_t n, rows, cols;
    pn_dtype dtype;
    double h[PN_MAX_HYPER];
} pn_segment;
/* All are doubles, so that an array can be settings; they may change between updates. 0 turns an
 * option off. */
typedef struct {
    double hyper[PN_MAX_HYPER];
    double maximize;                /* is the gradient's sign turned? */
    /* the gradients of all groups, taken as one vector, are scaled down to this length */
    double clip_norm;
    double clip_value;              /* no element of a gradient is beyond this, either way */
    double l1;                      /* adds this times the sign of p to the gradient */
    /* average = decay * average + (1 - decay) * p, after each step */
    double average_decay;
} pn_settings;
typedef struct {
    size_t optimizer, n;
    pn_segment *segments;
    const pn_settings *settings;
    const pn_schedule *schedules;
    size_t n_schedules;
    /* pn_update_work(group) bytes, 64-byte aligned; NULL where that is 0 */
    void *work;
} pn_group;
size_t pn_update_work(const pn_group *group);
/* elements of state k; SIZE_MAX: it has no such state */
size_t pn_state_count(size_t optimizer, size_t k, const pn_segment *segment);
/* may a setting leave state k out? */
int pn_state_optional(size_t optimizer, size_t k);
/* One step: counts it in every segment, and applies schedules, clipping and rule. step counts from
 * 1, epoch from 0, for the schedules. */
void pn_update(const pn_group *groups, size_t n_groups, int64_t step, int64_t epoch);
/* L-BFGS, which asks for loss and gradients again and again within a step. closure computes both,
 * the gradients into the segments' g; anything but 0 stops, with PN_STOPPED. */
typedef int pn_closure(void *context, double *loss);
typedef struct {
    /* n: elements of all segments, of which only p, g, n and dtype count */
    size_t n_segments, n;
    const pn_segment *segments;
    double lr, tolerance_grad, tolerance_change;
    size_t max_iter, max_eval, history;
    int strong_wolfe;               /* search along the line? else steps of lr */
    double *memory;                 /* pn_lbfgs_memory(n, history) doubles, 0 at first */
} pn_lbfgs;
size_t pn_lbfgs_memory(size_t n, size_t history);
/* One step: up to max_iter iterations. *loss: the first. */
pn_status pn_lbfgs_step(const pn_lbfgs *lbfgs, pn_closure *closure, void *context, double *loss,
                        pn_error *error);
/* Optimizers that ask for the loss within their step, instead of groups in fit. settings may change
 * between steps: of L-BFGS lr, max_iter, max_eval, tolerance_grad, tolerance_change, history_size
 * and whether to search along the line; of Levenberg-Marquardt damping and max_tries. history_size
 * sizes the memory, so the value that pn_fit_new finds stays. memory is what they remember, 0 at
 * first. */
typedef enum { PN_SOLVE_LBFGS, PN_SOLVE_LM } pn_solver_kind;
/* the most parameters, and the memory, of Levenberg-Marquardt */
enum { PN_SOLVER_SETTINGS = 7, PN_LM_MOST = 2048, PN_LM_MEMORY = 2 };
typedef struct {
    pn_solver_kind kind;
    const double *settings;
    size_t n_segments, n;
    const pn_segment *segments;
    double *memory;
} pn_solver;
/* The p-norm of n elements raised to p, in a fixed order; for p = infinity the largest magnitude.
 * The other first divides them by unit, such as their largest magnitude, so that powers stay in
 * range. */
double pn_power_sum(pn_dtype t, size_t n, const void *x, double p);
double pn_scaled_power_sum(pn_dtype t, size_t n, const void *x, double p, double unit);

/* ---- data: samples where the caller keeps them ----------------------------------------------- */
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
/* Samples stand stride bytes from one to the next, each a contiguous array of the input's shape. A
 * batch is gathered and converted when its turn comes, so x may be a memory map that is larger than
 * memory. Targets are of the graph's dtype. */
typedef struct { const void *x; pn_source type; ptrdiff_t stride; } pn_samples;
/* one x for each input, one y for each loss */
/* rows: how many samples. subset: the number of each of them in x and y, and in the weights; NULL
 * for all. The targets' values are not checked in advance then; labels are, batch by batch. */
typedef struct {
    size_t rows;
    const pn_samples *x;
    const pn_target *y;
    const size_t *subset;
} pn_data;

typedef struct {
    const pn_criterion *criteria;   /* which take every output once */
    size_t n_criteria;
    size_t batch_size;
    int shuffle;
    uint64_t seed;                  /* decides, with the epoch's number, the order of the rows */
    /* whether an epoch leaves out its last batch where that is smaller than the others */
    int drop_last;
    const pn_group *groups;         /* what to update, and how; borrowed like everything here */
    size_t n_groups;
    const pn_solver *solver;        /* instead of groups; NULL for none */
    /* whether an epoch ends at a step whose loss or gradient is not finite, before its update */
    int finite;
    int health;                     /* whether to keep what pn_fit_health tells */
    /* called at least every 50 ms or after a longer step; anything but 0 stops */
    int (*poll)(void *context);
    void *context;
    /* of the parameters' gate, which others may enter between steps; NULL: nobody else can */
    pn_hold *hold;
} pn_fit_options;
/* Of one loss. loss: sum over the values seen; divisor: what a mean divides it by; rows: those
 * whose class counts; correct: right classes, or right elements where the loss has one yes or no an
 * element. For the latter, strays counts the rows of targets that are not one-hot, and hits, where
 * there are none, the rows whose largest output is at the 1. */
typedef struct { double loss, divisor; size_t values, correct, rows, hits, strays; } pn_score;

/* ---- fit: the whole loop --------------------------------------------------------------------- */
typedef struct pn_fit pn_fit;
/* Checks the targets and plans; graph, data and options must outlive the fit. data NULL: only
 * pn_fit_batch will be called. */
pn_status pn_fit_new(const pn_graph *graph, const pn_data *data, const pn_fit_options *options,
                     pn_fit **fit, pn_error *error);
void pn_fit_free(pn_fit *fit);
/* One epoch; *step counts updates over the whole training. Stopped by poll it returns PN_STOPPED
 * after a whole step. score: one for each loss. */
pn_status pn_fit_epoch(pn_fit *fit, uint64_t epoch, int64_t *step, pn_score *score,
                       pn_error *error);
/* The same for count batches from batch first on, as far as the epoch has them; the scores are
 * added to those given. */
pn_status pn_fit_part(pn_fit *fit, uint64_t epoch, size_t first, size_t count, int64_t *step,
                      pn_score *score, pn_error *error);
/* From now on what the plans predict for each row, before the step on its batch, goes to y, an
 * array (rows, output shape) for each output; NULL: no longer. A batch counts its rows from 0. */
void pn_fit_keep(pn_fit *fit, void *const *y);
/* The order of the rows in the last epoch, counted within the data's subset; NULL without shuffling,
 * and before the first epoch. */
const size_t *pn_fit_order(const pn_fit *fit);
/* From now on the plans' steps are timed, and what a step of fit does beside them is added to
 * *times, from 0; NULL: no longer. Gives the plan of full batches, which stays the fit's own (NULL
 * without data). */
typedef struct { double gather, loss, update, score; int64_t steps; } pn_fit_times;
pn_plan *pn_fit_profile(pn_fit *fit, pn_fit_times *times);
/* One step on all the rows of batch, whose scores are added to those given. */
pn_status pn_fit_batch(pn_fit *fit, const pn_data *batch, int64_t *step, pn_score *score,
                       pn_error *error);

/* ---- health: what a training shows of itself, by the nodes of its graph ---------------------- */
/* Of the epoch so far, or the last one; of several where they have few steps. A unit is a channel
 * of an image, else one number of the sample's last axis. Of an activation that works element by
 * element it is dead while the derivative was 0 for every sample, so that no gradient passed; and
 * saturated if it is not dead, but for 95 % of the values looked at the derivative's size was below
 * 5 % of the largest one of the activation's (for arguments from -20 to 20). Where max pooling
 * follows at once, only what it picks counts. Outputs, gradients and updates are looked at in some
 * steps, by counting, so that it costs next to nothing. */
typedef struct {
    size_t units, dead, saturated;      /* units: 0 where the node is no such activation */
    /* is the activation's derivative that small at -20, and at 20? */
    int flat_low, flat_high;
    int64_t looks, updates;             /* steps in which outputs were looked at, and gradients */
    double mean, spread;                /* of the outputs; spread: standard deviation */
    double gradient, update,
        weight; /* of its parameters that are learnt, together: root mean squares, over those steps, of the lengths of the
                                           gradient, of what a step changed, and of the parameters themselves */
} pn_node_health;
/* Where a step left the finite numbers: the first of these, in the order in which they are
 * computed. */
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
    /* the node, and its parameter; of data and losses the number of the input or output */
    size_t at, slot;
    size_t row;                         /* of the data; SIZE_MAX where it is no row's matter */
} pn_origin;
/* 0 where the fit keeps no health. */
int pn_fit_health(const pn_fit *fit, size_t node, pn_node_health *health);
/* pn_fit_batch begins a new epoch as far as health goes */
void pn_fit_reset(pn_fit *fit);
/* What the last step of pn_fit_part or pn_fit_batch met, if options said to mind; its place is
 * PN_UNKNOWN else. */
const pn_origin *pn_fit_origin(const pn_fit *fit);
/* Goes through the data once, in order, to look alone: nothing is updated. options.criteria NULL:
 * forward only. */
pn_status pn_fit_look(pn_fit *fit, pn_error *error);

/* ---- prediction: blocks of rows on all threads, nothing kept for backward -------------------- */
typedef struct pn_predictor pn_predictor;
/* block: the most rows computed at a time on one thread. The graph must outlive the predictor, and
 * only values of its parameters may change meanwhile. One call at a time. */
pn_status pn_predictor_new(const pn_graph *graph, size_t block, pn_predictor **predictor,
                           pn_error *error);
void pn_predictor_free(pn_predictor *predictor);
/* y, an array (rows, output shape) for each output, and score, one for each loss, may be NULL; of
 * options, which may be NULL without score, only criteria (with score) and poll count. */
pn_status pn_predict(pn_predictor *predictor, const pn_data *data, const pn_fit_options *options,
                     void *const *y, pn_score *score, pn_error *error);

/* ---- numbers that are not finite ------------------------------------------------------------- */
/* The first of n numbers that is NaN or infinite; n if none is. */
size_t pn_first_nonfinite(pn_dtype t, size_t n, const void *x);
/* Rounds n doubles to floats; whether all of those are finite. */
int pn_narrow(size_t n, const double *x, float *y);

/* ---- random numbers: Philox4x32-10, a function of (seed, stream, index) alone ---------------- */
void pn_random_uniform(uint64_t seed, uint64_t stream, double low, double high, pn_dtype t,
                       size_t n, void *out);
void pn_random_permutation(uint64_t seed, uint64_t stream, size_t n, size_t *out);

#ifdef __cplusplus
}
#endif
#endif
