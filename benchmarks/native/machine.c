/* machine.c - the speed of the machine itself, on any number of threads: multiply-adds in
 * registers, and copying. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#if defined __AVX512F__
enum { VECTOR = 64 };
#elif defined __AVX__
enum { VECTOR = 32 };
#else
enum { VECTOR = 16 };
#endif
typedef unsigned char bytes_vector __attribute__((vector_size(VECTOR), aligned(1)));
/* CHAINS: independent sums, more than latency times throughput of current cores */
enum { CHAINS = 12, MOST_THREADS = 256 };
enum { FMA_F32, FMA_F64, COPY, MEMCPY };

typedef struct {
    int kind;
    long n;
    const char *x;
    char *y;
    size_t bytes;
    pthread_barrier_t *barrier;
    double start, end;
} job;

/* s = s a + b in every lane of every chain. a and b are read from volatile memory, so that the
 * compiler cannot optimize the sums. */
#define FMA(NAME, R) \
    static void NAME(long n) \
    { \
        typedef R V __attribute__((vector_size(VECTOR))); \
        volatile R read[2] = { (R)0.999999, (R)1e-7 }; \
        const V a = (V){ 0 } + read[0], b = (V){ 0 } + read[1]; \
        V s[CHAINS]; \
        _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++) s[i] = (V){ 0 } + (R)i; \
        for (long r = 0; r < n; r++) { \
            _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++) s[i] = s[i] * a + b; \
        } \
        for (int i = 1; i < CHAINS; i++) s[0] += s[i]; \
        read[0] = s[0][0]; \
    }
FMA(fma_f32, float)
FMA(fma_f64, double)

static void copy(size_t bytes, const char *x, char *y)
{
    size_t i = 0;
    for (; i + VECTOR <= bytes; i += VECTOR)
        *(bytes_vector *)(y + i) = *(const bytes_vector *)(x + i);
    for (; i < bytes; i++) y[i] = x[i];
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *work(void *context)
{
    job *j = context;
    pthread_barrier_wait(j->barrier);
    j->start = now();
    if (j->kind == FMA_F32) fma_f32(j->n);
    else if (j->kind == FMA_F64) fma_f64(j->n);
    else
        for (long r = 0; r < j->n; r++) {
            if (j->kind == COPY) copy(j->bytes, j->x, j->y);
            else memcpy(j->y, j->x, j->bytes);
            __asm__ volatile("" ::: "memory");
        }
    j->end = now();
    return NULL;
}

/* Runs an operation n times on each thread. x and y of a copy are divided among the threads.
 * Returns the seconds from the first start to the last end, or -1. */
double pynn_bench_machine(int kind, int threads, long n, size_t bytes, const char *x, char *y)
{
    pthread_t thread[MOST_THREADS];
    job jobs[MOST_THREADS];
    pthread_barrier_t barrier;
    if (threads < 1 || threads > MOST_THREADS) return -1;
    if (pthread_barrier_init(&barrier, NULL, (unsigned)threads)) return -1;
    for (int i = 0; i < threads; i++) {
        size_t from = bytes * (size_t)i / (size_t)threads,
               to = bytes * (size_t)(i + 1) / (size_t)threads;
        jobs[i] = (job){ .kind = kind, .n = n, .bytes = to - from, .barrier = &barrier };
        jobs[i].x = x + from;
        jobs[i].y = y + from;
    }
    int started = 1;
    while (started < threads && !pthread_create(&thread[started], NULL, work, &jobs[started]))
        started++;
    /* The threads that have started wait forever, so the caller must end the process. */
    if (started < threads) return -1;
    work(&jobs[0]);
    double start = jobs[0].start, end = jobs[0].end;
    for (int i = 1; i < threads; i++) {
        pthread_join(thread[i], NULL);
        if (jobs[i].start < start) start = jobs[i].start;
        if (jobs[i].end > end) end = jobs[i].end;
    }
    pthread_barrier_destroy(&barrier);
    return end - start;
}

/* Floating-point operations per repetition of FMA_F32 (0) or FMA_F64 (1) on one thread. */
double pynn_bench_machine_flops(int kind)
{
    return 2.0 * CHAINS * VECTOR / (kind == FMA_F32 ? sizeof(float) : sizeof(double));
}
