/* The matrix product on every instruction set, compared with a triple loop in double precision. */
#include "check.h"
#include "core/kernels/isa.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 8 };

static double get(pn_dtype t, const void *p, size_t i)
{
    return t == PN_F32 ? (double)((const float *)p)[i] : ((const double *)p)[i];
}
static void set(pn_dtype t, void *p, size_t i, double v)
{
    if (t == PN_F32) ((float *)p)[i] = (float)v;
    else ((double *)p)[i] = v;
}

static double next_random(void)
{
    static unsigned state = 1;
    state = state * 1664525u + 1013904223u;
    return (double)(state >> 8) / (1 << 23) - 1;
}

static void *filled(pn_dtype t, size_t n)
{
    void *p = malloc((n + GUARD) * sizeof(double));
    for (size_t i = 0; p && i < n + GUARD; i++) set(t, p, i, next_random());
    return p;
}

/* start: C before the product */
typedef struct { pn_dtype t; pn_product q; const void *start; } job;

/* One element of the product, and the sum of magnitudes that bounds its error. */
static double element_ref(const job *j, size_t r, size_t c, double *magnitude)
{
    const pn_product *q = &j->q;
    double sum = q->accumulate ? get(j->t, j->start, r * q->ldc + c) : 0;
    *magnitude = fabs(sum);
    for (size_t p = 0; p < q->k; p++) {
        double a = get(j->t, q->a, q->ta ? p * q->lda + r : r * q->lda + p),
               b = get(j->t, q->b, q->tb ? c * q->ldb + p : p * q->ldb + c);
        sum += a * b;
        *magnitude += fabs(a * b);
    }
    if (q->epilogue && q->epilogue->bias) {
        sum += get(j->t, q->epilogue->bias, c);
        *magnitude += fabs(get(j->t, q->epilogue->bias, c));
    }
    return sum;
}

static void compare(const job *j, const void *y, size_t ldy, size_t every)
{
    const pn_product *q = &j->q;
    const double eps = j->t == PN_F32 ? 0x1p-24 : 0x1p-53;
    const int relu = q->epilogue && q->epilogue->act;
    for (size_t r = 0; r < q->m; r += every)
        for (size_t c = 0; c < q->n; c++) {
            double magnitude, expected = element_ref(j, r, c, &magnitude),
                              got = get(j->t, y, r * ldy + c);
            if (relu && expected < 0) expected = 0;
            CHECK(fabs(got - expected) <= 8 * eps * magnitude,
                  "m %zu n %zu k %zu ta %d tb %d: (%zu, %zu) is %g, not %g", q->m, q->n, q->k,
                  q->ta, q->tb, r, c, got, expected);
        }
}

/* Only C itself may change, not the columns after n or the memory after the matrix. */
static void compare_rest(const job *j)
{
    const pn_product *q = &j->q;
    size_t size = j->t == PN_F32 ? sizeof(float) : sizeof(double);
    for (size_t i = 0; i < q->m * q->ldc + GUARD; i++)
        if (i >= q->m * q->ldc || i % q->ldc >= q->n)
            CHECK(!memcmp((const char *)q->c + i * size, (const char *)j->start + i * size, size),
                  "m %zu n %zu k %zu: wrote at %zu", q->m, q->n, q->k, i);
}

/* kind:
 *   0  no epilogue
 *   1  bias
 *   2  bias and ReLU in place
 *   3  bias and ReLU into another array */
static void product(const pn_kernels *k, pn_dtype t, size_t m, size_t n, size_t depth, int ta,
                    int tb, int accumulate, int kind, size_t slack)
{
    job j = { .t = t,
              .q = { .ta = ta, .tb = tb, .accumulate = accumulate, .m = m, .n = n, .k = depth } };
    pn_product *q = &j.q;
    q->lda = (ta ? m : depth) + slack;
    q->ldb = (tb ? depth : n) + slack;
    q->ldc = n + slack;
    size_t size = (m * q->ldc + GUARD) * sizeof(double), relu = 0;
    void *a = filled(t, (ta ? depth : m) * q->lda), *b = filled(t, (tb ? n : depth) * q->ldb),
         *c = filled(t, m * q->ldc), *start = malloc(size), *bias = filled(t, n),
         *y = filled(t, m * n),
         *work = aligned_alloc(64, (k->of[t].gemm_workspace(q) + 64) / 64 * 64);
    if (!a || !b || !c || !start || !bias || !y || !work) exit(1);
    memcpy(start, c, size);
    q->a = a;
    q->b = b;
    q->c = c;
    j.start = start;
    while (strcmp(pn_activation_at(relu)->name, "relu")) relu++;
    pn_epilogue e = { .bias = bias,
                      .act = kind > 1 ? k->of[t].activations[relu].forward : NULL,
                      .y = kind == 3 ? y : c,
                      .ldy = kind == 3 ? n : q->ldc };
    static const void *const none[PN_MAX_PARAMS];
    e.p = none;
    if (kind) q->epilogue = &e;
    k->of[t].gemm(q, work);
    compare(&j, kind == 3 ? y : c, kind == 3 ? n : q->ldc, m * n * depth > 10000000 ? 29 : 1);
    compare_rest(&j);
    free(a); free(b); free(c); free(start); free(bias); free(y); free(work);
}

static void all_shapes(const pn_kernels *k, pn_dtype t)
{
    static const size_t sizes[] = { 0, 1, 2, 5, 7, 13, 16, 17, 33 };
    static const size_t big[][3] = { { 3, 70, 800 },   { 260, 5, 30 },   { 40, 200, 100 },
                                     { 520, 140, 33 }, { 13, 129, 400 }, { 1, 300, 500 },
                                     { 300, 1, 500 } };
    enum { N = sizeof sizes / sizeof *sizes };
    int turn = 0;
    for (int trans = 0; trans < 4; trans++) {
        for (int i = 0; i < N * N * N; i++, turn++)
            product(k, t, sizes[i % N], sizes[i / N % N], sizes[i / N / N], trans & 1, trans >> 1,
                    turn % 2, turn % 4, (size_t)(turn % 3));
        for (size_t i = 0; i < sizeof big / sizeof *big; i++, turn++)
            product(k, t, big[i][0], big[i][1], big[i][2], trans & 1, trans >> 1, turn % 2,
                    turn % 4, (size_t)(turn % 3));
    }
}

/* Every number of rows and columns up to 70, with various depths. */
static void small_shapes(const pn_kernels *k, pn_dtype t)
{
    size_t turn = 0;
    for (size_t m = 1; m <= 70; m++)
        for (size_t n = 1 + m % 3; n <= 70; n += 3, turn++)
            product(k, t, m, n, 1 + turn * 37 % 70, turn & 1, turn >> 1 & 1, turn % 3 == 0,
                    (int)(turn / 3 % 4), turn % 5 ? 0 : 3);
}

/* More rows than a block, and more of A than is packed at once. */
static void many_blocks(const pn_kernels *k, pn_dtype t)
{
    pn_error error;
    pn_threads_set(3, &error);
    product(k, t, 1030, 262, 40, 0, 1, 0, 2, 0);
    if (t == PN_F64) product(k, t, 600, 260, 1100, 0, 0, 1, 3, 0);
    pn_threads_set(1, &error);
}

/* The bits of a row do not depend on the number of other rows or columns. */
static void same_bits(const pn_kernels *k, pn_dtype t)
{
    enum { M = 40, N = 150, K = 900 };
    size_t size = t == PN_F32 ? sizeof(float) : sizeof(double);
    void *a = filled(t, M * K), *b = filled(t, K * N), *whole = filled(t, M * N),
         *part = filled(t, M * N);
    pn_product
        q = { .m = M, .n = N, .k = K, .a = a, .lda = K, .b = b, .ldb = N, .c = whole, .ldc = N };
    void *work = aligned_alloc(64, (k->of[t].gemm_workspace(&q) + 64) / 64 * 64);
    if (!a || !b || !whole || !part || !work) exit(1);
    k->of[t].gemm(&q, work);
    q.c = part;
    for (q.m = 2; q.m < M; q.m += 5)
        for (q.n = 30; q.n <= N; q.n += 40) {
            k->of[t].gemm(&q, work);
            for (size_t r = 0; r < q.m; r++)
                CHECK(
                    !memcmp((char *)part + r * N * size, (char *)whole + r * N * size, q.n * size),
                    "row %zu of %zu x %zu", r, q.m, q.n);
        }
    free(a); free(b); free(whole); free(part); free(work);
}

/* They do not depend on whether B was packed in advance, once for products of any number of
 * rows. */
static void same_bits_packed(const pn_kernels *k, pn_dtype t)
{
    static const size_t shapes[][2] = { { 2, 5 },    { 10, 33 },    { 64, 16 },
                                        { 70, 600 }, { 150, 1100 }, { 257, 40 } };
    enum { M = 40 };
    const size_t size = t == PN_F32 ? sizeof(float) : sizeof(double);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const size_t n = shapes[i][0], depth = shapes[i][1];
        void *a = filled(t, M * depth), *b = filled(t, depth * n), *alone = filled(t, M * n),
             *c = filled(t, M * n);
        pn_product q = { .tb = 1,
                         .m = M,
                         .n = n,
                         .k = depth,
                         .a = a,
                         .lda = depth,
                         .b = b,
                         .ldb = depth,
                         .ldc = n };
        const size_t bytes = k->of[t].gemm_packed(&q);
        char *work = aligned_alloc(64, (k->of[t].gemm_workspace(&q) + 64) / 64 * 64),
             *packed = aligned_alloc(64, (bytes + 64) / 64 * 64);
        if (!a || !b || !alone || !c || !work || !packed) exit(1);
        packed[bytes] = 77;
        k->of[t].gemm_pack(&q, packed);
        CHECK(packed[bytes] == 77, "packing %zu x %zu goes beyond the end", depth, n);
        for (q.m = 1; q.m <= M; q.m += 13) {
            q.c = alone;
            q.packed = NULL;
            k->of[t].gemm(&q, work);
            q.c = c;
            q.packed = packed;
            k->of[t].gemm(&q, work);
            CHECK(!memcmp(alone, c, q.m * n * size), "%zu x %zu x %zu packed ahead", q.m, n, depth);
        }
        free(a); free(b); free(alone); free(c); free(work); free(packed);
    }
}

/* They do not depend on the number of threads: blocks of rows, columns and depth, tall and wide
 * products, and products of vectors. */
static void same_bits_on_threads(const pn_kernels *k, pn_dtype t)
{
    static const size_t shapes[][3] = { { 70, 600, 300 }, { 1100, 70, 100 }, { 600, 300, 50 },
                                        { 40, 700, 900 }, { 530, 520, 40 },  { 1, 3000, 300 },
                                        { 3000, 1, 300 }, { 300, 1, 3000 },  { 1500, 701, 1 } };
    static const size_t threads[] = { 1, 2, 7 };
    static const void *const none[PN_MAX_PARAMS];
    pn_error error;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes * 4; i++) {
        const size_t m = shapes[i / 4][0], n = shapes[i / 4][1], depth = shapes[i / 4][2],
                     size = m * n * (t == PN_F32 ? sizeof(float) : sizeof(double));
        void *a = filled(t, m * depth), *b = filled(t, depth * n), *c = filled(t, m * n),
             *bias = filled(t, n), *start = malloc(size), *y = malloc(size), *alone = malloc(size);
        pn_epilogue e = { .bias = bias,
                          .act = k->of[t].activations[0].forward,
                          .p = none,
                          .y = y,
                          .ldy = n };
        pn_product q = { .ta = i & 1,
                         .tb = i >> 1 & 1,
                         .accumulate = i & 1,
                         .m = m,
                         .n = n,
                         .k = depth,
                         .a = a,
                         .b = b,
                         .c = c,
                         .ldc = n,
                         .epilogue = &e };
        q.lda = q.ta ? m : depth;
        q.ldb = q.tb ? depth : n;
        void *work = aligned_alloc(64, (k->of[t].gemm_workspace(&q) + 64) / 64 * 64);
        if (!a || !b || !c || !bias || !start || !y || !alone || !work) exit(1);
        memcpy(start, c, size);
        for (size_t j = 0; j < sizeof threads / sizeof *threads; j++) {
            pn_threads_set(threads[j], &error);
            memcpy(c, start, size);
            k->of[t].gemm(&q, work);
            if (j == 0) memcpy(alone, y, size);
            CHECK(!memcmp(alone, y, size), "%zu x %zu x %zu, ta %d tb %d on %zu threads", m, n,
                  depth, q.ta, q.tb, threads[j]);
        }
        free(a); free(b); free(c); free(bias); free(start); free(y); free(alone); free(work);
    }
    pn_threads_set(1, &error);
}

/* Sums over rows: accurate to a few roundings for any number of rows, and equal for any number of
 * threads. */
static void row_sums(const pn_kernels *k, pn_dtype t)
{
    static const size_t rows[] = { 0, 1, 3, 64, 65, 129, 1000 },
                        columns[] = { 1, 7, 16, 64, 67, 400 };
    const double eps = t == PN_F32 ? 0x1p-24 : 0x1p-53;
    pn_error error;
    for (size_t i = 0; i < sizeof rows / sizeof *rows * (sizeof columns / sizeof *columns); i++) {
        const size_t m = rows[i % (sizeof rows / sizeof *rows)],
                     n = columns[i / (sizeof rows / sizeof *rows)];
        void *x = filled(t, m * n), *start = filled(t, n), *out = filled(t, n),
             *on_seven = filled(t, n);
        if (!x || !start || !out || !on_seven) exit(1);
        memcpy(out, start, (n + GUARD) * (t == PN_F32 ? sizeof(float) : sizeof(double)));
        memcpy(on_seven, out, (n + GUARD) * (t == PN_F32 ? sizeof(float) : sizeof(double)));
        k->of[t].sum_rows(m, n, x, out);
        pn_threads_set(7, &error);
        k->of[t].sum_rows(m, n, x, on_seven);
        pn_threads_set(1, &error);
        for (size_t j = 0; j < n + GUARD; j++) {
            double sum = get(t, start, j), magnitude = fabs(sum);
            for (size_t r = 0; r < m && j < n; r++) {
                sum += get(t, x, r * n + j);
                magnitude += fabs(get(t, x, r * n + j));
            }
            CHECK(fabs(get(t, out, j) - sum) <= 8 * eps * magnitude,
                  "%zu rows of %zu: column %zu is %g, not %g", m, n, j, get(t, out, j), sum);
            CHECK(get(t, out, j) == get(t, on_seven, j),
                  "%zu rows of %zu: column %zu is %g, on 7 threads %g", m, n, j, get(t, out, j),
                  get(t, on_seven, j));
        }
        free(x); free(start); free(out); free(on_seven);
    }
}

int main(void)
{
    const char *isa;
    for (size_t i = 0; (isa = pn_isa_built(i)); i++) {
        pn_error error;
        if (!pn_isa_runs(isa) || pn_isa_set(isa, &error)) continue;
        for (int t = 0; t < PN_DTYPES; t++) {
            all_shapes(pn_kernels_now(), (pn_dtype)t);
            small_shapes(pn_kernels_now(), (pn_dtype)t);
            many_blocks(pn_kernels_now(), (pn_dtype)t);
            same_bits(pn_kernels_now(), (pn_dtype)t);
            same_bits_packed(pn_kernels_now(), (pn_dtype)t);
            same_bits_on_threads(pn_kernels_now(), (pn_dtype)t);
            row_sums(pn_kernels_now(), (pn_dtype)t);
        }
    }
    return REPORT();
}
