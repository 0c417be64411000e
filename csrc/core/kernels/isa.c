/* isa.c - the instruction sets compiled in, those that this machine supports, and the one in
 * use. */
#include "isa.h"
#include "../base/error.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* The sets built for this target, best first, with a condition that tells whether this machine
 * supports them. setup.py builds the same sets, and defines PN_ISAS itself for a development build
 * with one set. */
#if defined PN_ISAS
#elif defined __x86_64__
#define CPU(feature) __builtin_cpu_supports(feature)
#define PN_ISAS(ROW) \
    ROW(avx512, CPU("avx512f") && CPU("avx512dq") && CPU("avx512vl") && CPU("avx512bw") && \
                CPU("fma")) \
    ROW(avx2, CPU("avx2") && CPU("fma")) \
    ROW(base, 1)
#elif defined __aarch64__
#define PN_ISAS(ROW) ROW(neon, 1)
#else
#define PN_ISAS(ROW) ROW(base, 1)
#endif

#define ROW(isa, runs) extern const pn_kernels pn_kernels_##isa;
PN_ISAS(ROW)
#undef ROW

static const pn_kernels *const built[] = {
#define ROW(isa, runs) &pn_kernels_##isa,
    PN_ISAS(ROW)
#undef ROW
};
enum { BUILT = sizeof built / sizeof built[0] };
static _Atomic(const pn_kernels *) now;

const char *pn_isa_built(size_t i) { return i < BUILT ? built[i]->isa : NULL; }

int pn_isa_runs(const char *name)
{
#define ROW(isa, runs) if (!strcmp(name, #isa)) return (runs) != 0;
    PN_ISAS(ROW)
#undef ROW
    return 0;
}

static const pn_kernels *best(void)
{
    size_t i = 0;
    /* the last one runs on every machine of the target */
    while (i + 1 < BUILT && !pn_isa_runs(built[i]->isa)) i++;
    return built[i];
}

const pn_kernels *pn_kernels_now(void)
{
    const pn_kernels *k = atomic_load_explicit(&now, memory_order_acquire);
    /* A race is harmless: all threads store the same pointer. */
    if (!k) atomic_store_explicit(&now, k = best(), memory_order_release);
    return k;
}

const char *pn_isa_get(void) { return pn_kernels_now()->isa; }

pn_status pn_isa_set(const char *name, pn_error *error)
{
    char names[128] = "";
    if (!name) {
        atomic_store_explicit(&now, best(), memory_order_release);
        return PN_OK;
    }
    for (size_t i = 0; i < BUILT; i++) {
        if (pn_isa_runs(built[i]->isa)) {
            if (!strcmp(name, built[i]->isa)) {
                atomic_store_explicit(&now, built[i], memory_order_release);
                return PN_OK;
            }
            snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s",
                     names[0] ? ", " : "", built[i]->isa);
        }
    }
    return pn_fail(error, PN_BAD_VALUE,
                   "unknown instruction set '%.40s'; this machine and build support: %s", name,
                   names);
}
