/* door.c - exports a matrix product of the core, which Python can otherwise only reach through a
 * layer. */
#define _POSIX_C_SOURCE 200809L
#include "core/kernels/isa.h"
#include <stdlib.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

EXPORT void pynn_bench_threads(size_t n)
{
    pn_error error;
    pn_threads_set(n, &error);
}

/* C (m, n) = op(A) op(B) in float32, dense, repeated n_times. Returns seconds, or -1 when memory is
 * short. */
EXPORT double pynn_bench_product(int ta, int tb, size_t m, size_t n, size_t k, const void *a,
                                 const void *b, void *c, long n_times)
{
    const pn_typed_kernels *kernels = &pn_kernels_now()->of[PN_F32];
    const pn_product p = { .ta = ta, .tb = tb, .m = m, .n = n, .k = k,
                           .a = a, .lda = ta ? m : k,
                           .b = b, .ldb = tb ? k : n,
                           .c = c, .ldc = n };
    void *workspace = aligned_alloc(64, (kernels->gemm_workspace(&p) + 63) / 64 * 64 + 64);
    if (!workspace) return -1;
    double start = now();
    for (long i = 0; i < n_times; i++) kernels->gemm(&p, workspace);
    double seconds = now() - start;
    free(workspace);
    return seconds;
}
