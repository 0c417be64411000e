/* judge.h - compares a block of results of type R with references of the wider type T. Included once for each pair of types, after
 * defining R, T, TYPE, MANT (stored bits of R's significand), LOWEST (exponent of its smallest normal number), HALF (half T's epsilon),
 *   ABS(x) (|x| in T), ULPS(size) (1 in units in the last place of R at |size|).
 * Inputs that would raise the maximum error by a factor of more than 1 + 2^-24, or that look wrong, are decided in __float128. */

/* Returns the largest error that needs no decision in __float128. Errors equal to the maximum, such as 1/2, are frequent, so the limit
 * lies just above it. Promised errors are integers: the limit never exceeds the next integer. */
static T CAT(limit, TYPE)(double most)
{
    const T known = most > LEAST ? most : LEAST, near = known * (1 + (T)0x1p-24), integer = (T)ceill((long double)known);
    return near < integer ? near : integer;
}

/* scale: NULL, or the largest terms, which give the unit where the derivative is smaller. */
static void CAT(judge, TYPE)(worst *w, size_t n, const R *restrict x, const R *restrict y, const T *restrict ref, const T *restrict error,
                             const T *restrict scale, const question *query)
{
    const T top = -LOWEST < 1000 ? (T)0x1p128 : (T)0x1p1023 * 2, normal = LOWEST > -1000 ? (T)0x1p-126 : (T)0x1p-1022;
    const T low = CAT(limit, TYPE)(w->subnormal), high = CAT(limit, TYPE)(w->normal);
    T e[BLOCK];
    int doubtful = 0;
    #pragma omp simd reduction(|:doubtful)
    for (size_t i = 0; i < n; i++) {
        T r = ref[i], got = (T)y[i];
        r = r > top ? top : r < -top ? -top : r;
        got = got > top ? top : got < -top ? -top : got;
        T size = ABS(r), limit, other = scale ? scale[i] : 0;
        size = other > size ? other : size;
        limit = size < normal ? low : high;
        e[i] = (ABS(got - r) + error[i] * HALF) * ULPS(size);
        int flipped = (got == 0) & ((r < 0) | (r > 0)) & ((r < 0) != (copysign(1.0, (double)y[i]) < 0));
        e[i] = flipped ? (T)INFINITY : e[i];
        doubtful |= !(e[i] <= limit);
    }
    for (size_t i = 0; doubtful && i < n; i++) {
        T size = scale && scale[i] > ABS(ref[i]) ? scale[i] : ABS(ref[i]);
        if (!(e[i] <= (size < normal ? low : high))) decide(w, query, (double)x[i], (double)y[i], MANT, LOWEST);
    }
}
#undef R
#undef T
#undef TYPE
#undef MANT
#undef LOWEST
#undef HALF
#undef ABS
#undef ULPS
