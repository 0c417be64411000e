/* loops.h - kernels over arrays from the bodies of activations.h and rowwise.h: forward, derivative
 * and backward. The last partial vector goes through the same body, so that a result depends on its
 * argument alone and not on its position. */

/* Loads the parameters of elements i to i + m if they vary, else broadcasts them. Unused ones are
 * 0. */
static ALWAYS void CAT(load_params, SFX)(V *v, const void *const *p, int varying, size_t i,
                                         size_t m)
{
    for (int k = 0; k < PN_MAX_PARAMS; k++) {
        const R *q = p ? p[k] : NULL;
        R one = 0;
        if (q && !varying) memcpy(&one, q, sizeof one);
        v[k] = !q ? SPLAT(0) : !varying ? SPLAT(one) : m == L ? LOAD(q + i) : LOAD_PART(q + i, m);
    }
}

/* Applies a body to t, which is x or y. gy: gradient of the output, or NULL. The derivative at NaN
 * is NaN, whatever the body returns. */
typedef V CAT(body, SFX)(V x, const V *p);
#define KEEP_NAN(t, d) SEL((t) == (t), (d), (t))
static ALWAYS V CAT(step, SFX)(CAT(body, SFX) * f, int derive, V t, const R *gy, size_t m,
                               const V *p)
{
    V d = f(t, p);
    if (derive) d = KEEP_NAN(t, d);
    return gy ? (m == L ? LOAD(gy) : LOAD_PART(gy, m)) * d : d;
}

/* out = f(t), or gy f(t). Inlined into the three functions of each row, so that f is not called
 * through a pointer and scalar parameters stay in registers. */
static ALWAYS void CAT(span, SFX)(CAT(body, SFX) * f, int derive, size_t n, const R *t, const R *gy,
                                  R *out, const void *const *params, int varying)
{
    V p[PN_MAX_PARAMS];
    size_t i = 0;
    if (varying) {
        for (; i + L <= n; i += L) {
            CAT(load_params, SFX)(p, params, 1, i, L);
            STORE(out + i, CAT(step, SFX)(f, derive, LOAD(t + i), gy ? gy + i : NULL, L, p));
        }
        CAT(load_params, SFX)(p, params, 1, i, n - i);
    } else {
        CAT(load_params, SFX)(p, params, 0, 0, 1);
        for (; i + L <= n; i += L)
            STORE(out + i, CAT(step, SFX)(f, derive, LOAD(t + i), gy ? gy + i : NULL, L, p));
    }
    if (i < n)
        STORE_PART(out + i, n - i,
                   CAT(step, SFX)(f, derive, LOAD_PART(t + i, n - i), gy ? gy + i : NULL, n - i,
                                  p));
}

#define READ_X(f) CAT(d_##f, SFX)
#define READ_Y(f) CAT(y_##f, SFX)
#define ROW(f, needs, ...) \
    static void CAT(forward_##f, SFX)(size_t n, const void *x, void *y, const void *const *p, \
                                      int varying) \
    { CAT(span, SFX)(CAT(f, SFX), 0, n, x, NULL, y, p, varying); } \
    static void CAT(derivative_##f, SFX)(size_t n, const void *x, void *y, const void *const *p, \
                                         int varying) \
    { CAT(span, SFX)(CAT(d_##f, SFX), 1, n, x, NULL, y, p, varying); } \
    static void CAT(backward_##f, SFX)(size_t n, const void *t, const void *gy, void *gx, \
                                       const void *const *p, int varying) \
    { CAT(span, SFX)(READ_##needs(f), 1, n, t, gy, gx, p, varying); }
PN_ACTIVATIONS(ROW)
#undef ROW

#define ROW(f, ...) \
    static void CAT(forward_rows_##f, SFX)(size_t rows, size_t n, const void *x, void *y) \
    { \
        CAT(rows_##f, SFX)(rows, n, x, y); \
    } \
    static void CAT(backward_rows_##f, SFX)(size_t rows, size_t n, const void *y, const void *gy, \
                                            void *gx) \
    { \
        for (size_t r = 0; r < rows; r++) \
            CAT(d_row_##f, SFX)(n, (const R *)y + r * n, (const R *)gy + r * n, (R *)gx + r * n); \
    }
PN_ROWWISE(ROW)
#undef ROW

#define PAIR(name, op) \
    static void CAT(name, SFX)(size_t n, const void *a, const void *b, void *y) \
    { \
        const R *p = a, *q = b; \
        R *out = y; \
        size_t i = 0; \
        for (; i + L <= n; i += L) STORE(out + i, LOAD(p + i) op LOAD(q + i)); \
        if (i < n) STORE_PART(out + i, n - i, LOAD_PART(p + i, n - i) op LOAD_PART(q + i, n - i)); \
    }
PAIR(add, +)
PAIR(multiply, *)
#undef PAIR
