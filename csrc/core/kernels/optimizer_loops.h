/* optimizer_loops.h - applies the update rules of optimizers.h to the elements of a parameter:
 * adjusts gradients, loads and stores states, updates averages. No include guard: kernels.c
 * includes it once per type. */

/* The gradient that a rule reads: scaled (which clips by norm, and negates to maximize), clipped by
 * value, with the L1 term added. */
static ALWAYS V CAT(adjusted, SFX)(V p, V g, const pn_update_args *a)
{
    g *= SPLAT(a->scale);
    if (a->clip > 0) g = MIN(SPLAT(a->clip), MAX(SPLAT(-a->clip), g));
    return g + SEL(p > 0, SPLAT(a->l1), SEL(p < 0, SPLAT(-a->l1), SPLAT(0)));
}
#define PART_LOAD(q)     (m == L ? LOAD((q) + i) : LOAD_PART((q) + i, m))
#define PART_STORE(q, v) \
    do { \
        if (m == L) STORE((q) + i, (v)); \
        else STORE_PART((q) + i, m, (v)); \
    } while (0)

/* Moves the running average of a parameter towards it. */
static ALWAYS void CAT(move_average, SFX)(R *average, size_t i, size_t m, V p, double share)
{
    V e = PART_LOAD(average);
    PART_STORE(average, CAT(lerp, SFX)(e, p, SPLAT(share)));
}

/* For the rules of tensor_rules.h: adjusts the gradient, and updates the average. */
static void CAT(adjust, SFX)(const pn_update_args *a, void *adjusted)
{
    const R *p = a->p, *g = a->g;
    for (size_t i = 0, m; i < a->n; i += m) {
        m = a->n - i < L ? a->n - i : L;
        PART_STORE((R *)adjusted, CAT(adjusted, SFX)(PART_LOAD(p), PART_LOAD(g), a));
    }
}
static void CAT(average, SFX)(const pn_update_args *a)
{
    const R *p = a->p;
    for (size_t i = 0, m; i < a->n; i += m) {
        m = a->n - i < L ? a->n - i : L;
        CAT(move_average, SFX)(a->average, i, m, PART_LOAD(p), a->share);
    }
}

/* A constant of a rule in the type of the parameters. Only 0 becomes 0, since an epsilon must keep
 * a divisor from it. */
static R CAT(constant, SFX)(double x)
{
    const R r = (R)x, least = PICK(0x1p-126, 0x1p-1022);
    return r == 0 && x != 0 ? (x > 0 ? least : -least) : r;
}

typedef V CAT(rule, SFX)(V p, V g, V *s, const V *h, const unsigned present);
/* Once per cache line, prefetches the data one page later, since the hardware prefetcher stops at
 * page boundaries. */
#define STARTS_LINE      (i * sizeof(R) % 64 < PN_VL)
#define PREFETCH_NEXT_PAGE(q) __builtin_prefetch((const void *)((uintptr_t)((q) + i) + 4096))
/* Elements i to i + m. All but the pointers is constant after inlining, so that each array is read
 * and written once. */
static ALWAYS void CAT(update_part, SFX)(CAT(rule, SFX) * f, const unsigned present,
                                         const int plain, const pn_update_args *a, R *const *s,
                                         const V *h, size_t i, const size_t m)
{
    R *to = a->p;
    const R *from = a->g;
    if (m == L && STARTS_LINE) {
        PREFETCH_NEXT_PAGE(to), PREFETCH_NEXT_PAGE(from);
        _Pragma("GCC unroll 8") for (int k = 0; k < PN_MAX_STATES; k++) if (HAS(k))
            PREFETCH_NEXT_PAGE(s[k]);
    }
    V v[PN_MAX_STATES], p = PART_LOAD(to), g = PART_LOAD(from);
    g = plain ? g * SPLAT(a->scale) : CAT(adjusted, SFX)(p, g, a);
    _Pragma("GCC unroll 8") for (int k = 0; k < PN_MAX_STATES; k++) if (HAS(k))
        v[k] = PART_LOAD(s[k]);
    p = f(p, g, v, h, present);
    PART_STORE(to, p);
    _Pragma("GCC unroll 8") for (int k = 0; k < PN_MAX_STATES; k++) if (HAS(k))
        PART_STORE(s[k], v[k]);
    if (!plain && a->average) CAT(move_average, SFX)(a->average, i, m, p, a->share);
}
static ALWAYS void CAT(update_span, SFX)(CAT(rule, SFX) * f, const unsigned present,
                                         const int plain, const pn_update_args *args)
{
    /* a local copy, which stores to the arrays cannot alias */
    const pn_update_args copy = *args, *a = &copy;
    R *s[PN_MAX_STATES];
    V h[PN_MAX_HYPER];
    for (int k = 0; k < PN_MAX_STATES; k++) s[k] = a->state[k];
    for (int k = 0; k < PN_MAX_HYPER; k++) h[k] = SPLAT(CAT(constant, SFX)(a->h[k]));
    /* The first part ends at a vector boundary of p: arrays of NumPy start 16 bytes past a cache
     * line, and a vector across two lines costs twice as much. */
    const size_t before = (uintptr_t)a->p % PN_VL, start = (PN_VL - before) % PN_VL / sizeof(R);
    size_t i = start < a->n ? start : 0;
    if (i) CAT(update_part, SFX)(f, present, plain, a, s, h, 0, i);
    for (; i + L <= a->n; i += L) CAT(update_part, SFX)(f, present, plain, a, s, h, i, L);
    if (i < a->n) CAT(update_part, SFX)(f, present, plain, a, s, h, i, a->n - i);
}

/* The sets of states that a row can have: all that are not marked with ?, which come first, and any
 * of those that are. Folded at compile time. */
#define STATES(names) \
    (!!*(names) + !!strchr(names, ' ') + (strrchr(names, ' ') != strchr(names, ' ')))
#define OPTIONAL(names)      (!!strchr(names, '?') + (strrchr(names, '?') != strchr(names, '?')))
#define FIXED(names)         ((1u << (STATES(names) - OPTIONAL(names))) - 1)
#define POSSIBLE(names, set) ((set) < 1u << STATES(names) && ((set) & FIXED(names)) == FIXED(names))
#define CASE(f, names, set) \
    case set: \
        if (POSSIBLE(names, set) && plain) CAT(update_span, SFX)(CAT(new_##f, SFX), set, 1, a); \
        else if (POSSIBLE(names, set)) CAT(update_span, SFX)(CAT(new_##f, SFX), set, 0, a); \
        break;
#define ROW(f, states, ...) \
static void CAT(update_##f, SFX)(const pn_update_args *a) \
{ \
    const int plain = !a->average && a->clip <= 0 && a->l1 == 0; \
    unsigned present = 0; \
    for (int k = 0; k < PN_MAX_STATES; k++) if (a->state[k]) present |= 1u << k; \
    switch (present) { \
        CASE(f, states, 0) CASE(f, states, 1) CASE(f, states, 2) CASE(f, states, 3) \
        CASE(f, states, 4) CASE(f, states, 5) CASE(f, states, 6) CASE(f, states, 7) \
    } \
}
PN_OPTIMIZERS(ROW)
#undef ROW
#undef CASE
#undef HAS
#undef STARTS_LINE
#undef PREFETCH_NEXT_PAGE
#undef STATES
#undef OPTIONAL
#undef FIXED
#undef POSSIBLE
