/* sgemm.c - calls a library's cblas_sgemm repeatedly, so that the timing excludes calls from
 * Python. */
typedef void sgemm_fn(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a,
                      int lda, const float *b, int ldb, float beta, float *c, int ldc);

/* C (m, n) = op(A) op(B), row-major and dense. ta, tb: 1 if transposed, otherwise 0. */
void pynn_bench_sgemm(sgemm_fn *sgemm, int ta, int tb, int m, int n, int k, const float *a,
                      const float *b, float *c, long n_times)
{
    enum { ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112 };
    const int op_a = ta ? TRANSPOSED : PLAIN, op_b = tb ? TRANSPOSED : PLAIN;
    for (long i = 0; i < n_times; i++)
        sgemm(ROW_MAJOR, op_a, op_b, m, n, k, 1, a, ta ? m : k, b, tb ? k : n, 0, c, n);
}
