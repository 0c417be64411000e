/* formula_loops.h - kernels over blocks from the bodies of formula_ops.h. n is a multiple of the
 * vector length. Bit k of uniform: operand k is one vector, which serves for all elements. */

/* index of element i of operand k */
#define ELEMENT(k, i) ((i) & ((size_t)(uniform >> (k) & 1) - 1))
#define UNROLL_CHEAP  _Pragma("GCC unroll 4")
#define UNROLL_COSTLY _Pragma("GCC unroll 1")

#define LOOP1(f, unroll) \
    unroll for (size_t i = 0; i < n; i += L) \
        STORE(y + i, CAT(op_##f, SFX)(LOAD(a + ELEMENT(0, i))));
/* The common cases keep a uniform operand in a register. */
#define LOOP2(f, unroll) \
    const R *b = x[1]; \
    const V va = LOAD(a), vb = LOAD(b); \
    if (uniform == 0) { \
        unroll for (size_t i = 0; i < n; i += L) \
            STORE(y + i, CAT(op_##f, SFX)(LOAD(a + i), LOAD(b + i))); \
    } else if (uniform == 1) { \
        unroll for (size_t i = 0; i < n; i += L) \
            STORE(y + i, CAT(op_##f, SFX)(va, LOAD(b + i))); \
    } else { \
        unroll for (size_t i = 0; i < n; i += L) \
            STORE(y + i, CAT(op_##f, SFX)(LOAD(a + i), vb)); \
    }
#define LOOP3(f, unroll) \
    const R *b = x[1], *c = x[2]; \
    unroll for (size_t i = 0; i < n; i += L) \
        STORE(y + i, CAT(op_##f, SFX)(LOAD(a + ELEMENT(0, i)), LOAD(b + ELEMENT(1, i)), \
                                      LOAD(c + ELEMENT(2, i))));
#define LOOP4(f, unroll) \
    const R *b = x[1], *c = x[2], *d = x[3]; \
    unroll for (size_t i = 0; i < n; i += L) \
        STORE(y + i, CAT(op_##f, SFX)(LOAD(a + ELEMENT(0, i)), LOAD(b + ELEMENT(1, i)), \
                                      LOAD(c + ELEMENT(2, i)), LOAD(d + ELEMENT(3, i))));

#define ROW(f, arity, cost, ...) \
    static void CAT(block_##f, SFX)(size_t n, const void *const *x, void *const *out, \
                                    unsigned uniform UNUSED) \
    { \
        const R *a = x[0]; \
        R *y = out[0]; \
        LOOP##arity(f, UNROLL_##cost) \
    }
PN_FORMULA_OPS(ROW)
PN_FORMULA_INTERNAL_OPS(ROW)
#undef ROW
#define ROW(f, ...) \
    static void CAT(block_##f, SFX)(size_t n, const void *const *x, void *const *out, \
                                    unsigned uniform UNUSED) \
    { \
        const R *a = x[0]; \
        R *y = out[0], *z = out[1]; \
        for (size_t i = 0; i < n; i += L) { \
            V second, first = CAT(op_##f, SFX)(LOAD(a + ELEMENT(0, i)), &second); \
            STORE(y + i, first); \
            STORE(z + i, second); \
        } \
    }
PN_FORMULA_PAIRS(ROW)
#undef ROW
#undef ELEMENT
#undef UNROLL_CHEAP
#undef UNROLL_COSTLY
#undef LOOP1
#undef LOOP2
#undef LOOP3
#undef LOOP4
