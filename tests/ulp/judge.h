/* judge.h - a block of results of type R against references of the wider type T; included once for each pair, after
 *   R, T, TYPE, MANT (stored bits of R's significand), LOWEST (exponent of its smallest normal number), HALF (half T's epsilon),
 *   ABS(x) (|x| in T), ULPS(size) (how many units in the last place of R at |size| 1 is).
 * The references decide all inputs but those that would raise the maximum by more than 2^-24 of it, or look bad; these go to __float128. */

/* Up to where an error is no news: errors as large as the maximum, such as a half, come over and over. Promises are whole numbers: no error
 * over one is let through. */
static T CAT(limit, TYPE)(double most)
{
    const T known = most > LEAST ? most : LEAST, near = known * (1 + (T)0x1p-24), whole = (T)ceill((long double)known);
    return near < whole ? near : whole;
}

/* scale: NULL, or the terms whose spacing counts where the derivative is smaller. */
static void CAT(judge, TYPE)(worst *w, size_t n, const R *restrict x, const R *restrict y, const T *restrict ref, const T *restrict error,
                             const T *restrict scale, const question *ask)
{
    const T top = -LOWEST < 1000 ? (T)0x1p128 : (T)0x1p1023 * 2, normal = LOWEST > -1000 ? (T)0x1p-126 : (T)0x1p-1022;
    const T low = CAT(limit, TYPE)(w->subnormal), high = CAT(limit, TYPE)(w->normal);
    T e[BLOCK];
    int look = 0;
    #pragma omp simd reduction(|:look)
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
        look |= !(e[i] <= limit);
    }
    for (size_t i = 0; look && i < n; i++) {
        T size = scale && scale[i] > ABS(ref[i]) ? scale[i] : ABS(ref[i]);
        if (!(e[i] <= (size < normal ? low : high))) decide(w, ask, (double)x[i], (double)y[i], MANT, LOWEST);
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
