/* conv.h - the kernel behind convolutions and their gradients, and the layout changes of images and
 * weights that it needs. No include guard: kernels.c includes it once per type.
 *
 *   c(i, j) = sum over runs r and steps k of
 *       a[a_at[r] + k*a_step + i*a_row] * b[b_at[r] + k*b_step + j]
 *
 * A convolution, its gradients and a matrix product differ in these strides and in the two tables
 * of run offsets, which are made when the net is planned. Images have their channels last and
 * include their padding, so nothing is unfolded (im2col). */

/* m rows of v vectors, with their sums in registers; m and v are constants after inlining. last:
 * columns of the last vector. */
static ALWAYS void CAT(taps_tile, SFX)(const int m, const int v, const pn_taps *t, const R *a,
                                       const R *b, const R *bias, R *c, size_t last)
{
    V s[2 * MR][NV];
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < v; j++) s[i][j] = (V){ 0 };
    const ptrdiff_t row = t->a_row, row3 = 3 * row, a_step = t->a_step, b_step = t->b_step;
    for (size_t r = 0; r < t->runs; r++) {
        const R *p0 = a + t->a_at[r], *p4 = p0 + 4 * row, *p8 = p4 + 4 * row, *q = b + t->b_at[r];
        for (size_t k = t->steps; k; k--) {
            V bk[NV];
            UNROLL for (int j = 0; j < v; j++) bk[j] = LOAD(q + (size_t)j * L);
            UNROLL for (int i = 0; i < m; i++) {
                const R *p = i < 4 ? p0 : i < 8 ? p4 : p8;
                const V x = SPLAT(p[(i & 3) == 3 ? row3 : (i & 3) * row]);
                UNROLL for (int j = 0; j < v; j++) s[i][j] = FMA(x, bk[j], s[i][j]);
            }
            p0 += a_step;
            p4 += a_step;
            p8 += a_step;
            q += b_step;
        }
    }
    if (bias && t->bias_rows)
        UNROLL for (int i = 0; i < m; i++) UNROLL for (int j = 0; j < v; j++) s[i][j] += bias[i];
    else if (bias) UNROLL for (int j = 0; j < v; j++) {
            const V x = j < v - 1 || last == L ? LOAD(bias + (size_t)j * L)
                                               : LOAD_PART(bias + (size_t)j * L, last);
            UNROLL for (int i = 0; i < m; i++) s[i][j] += x;
    }
    UNROLL for (int i = 0; i < m; i++) {
        R *p = c + i * t->c_row;
        UNROLL for (int j = 0; j < v; j++, p += L) {
            const size_t n = j < v - 1 ? L : last;
            if (n == L) STORE(p, t->add ? s[i][j] + LOAD(p) : s[i][j]);
            else STORE_PART(p, n, t->add ? s[i][j] + LOAD_PART(p, n) : s[i][j]);
        }
    }
}

/* One function per number of vectors, one case per number of rows, as in tile.h. */
typedef void CAT(taps_tile_fn, SFX)(size_t m, const pn_taps *t, const R *a, const R *b,
                                    const R *bias, R *c, size_t last);
#define CASE(rows, v) \
    case rows: \
        if ((rows) <= TILE_ROWS(v)) \
            CAT(taps_tile, SFX)((rows) <= TILE_ROWS(v) ? (rows) : 1, v, t, a, b, bias, c, last); \
        break;
#define TAPS(name, v) \
    static __attribute__((noinline)) void CAT(name, SFX)(size_t m, const pn_taps *t, const R *a, \
                                                         const R *b, const R *bias, R *c, \
                                                         size_t last) \
    { \
        switch (m) { \
            CASE(1, v) CASE(2, v) CASE(3, v) CASE(4, v) CASE(5, v) CASE(6, v) \
            CASE(7, v) CASE(8, v) CASE(9, v) CASE(10, v) CASE(11, v) CASE(12, v) \
        } \
    }
TAPS(taps1, 1)
TAPS(taps2, 2)
#if NV == 4
TAPS(taps3, 3)
TAPS(taps4, 4)
static CAT(taps_tile_fn, SFX) *const CAT(taps_tiles, SFX)[NV] = {
    CAT(taps1, SFX), CAT(taps2, SFX), CAT(taps3, SFX), CAT(taps4, SFX)
};
#else
static CAT(taps_tile_fn, SFX) *const CAT(taps_tiles, SFX)[NV] = {
    CAT(taps1, SFX), CAT(taps2, SFX)
};
#endif
#undef CASE
#undef TAPS

/* A panel of b stays in the cache while the lines of all images pass. Lines are divided into equal
 * tiles. */
static void CAT(taps, SFX)(const pn_taps *t, size_t images, const void *a, const void *b,
                           const void *bias, void *c)
{
    const size_t vectors = (t->n + L - 1) / L;
    size_t done = 0;
    for (size_t j = 0; j < vectors; j += NV) {
        const size_t v = vectors - j < NV ? vectors - j : NV,
                     last = j + v == vectors ? t->n - (vectors - 1) * L : L;
        const size_t tiles = (t->m + TILE_ROWS(v) - 1) / TILE_ROWS(v);
        const R *bp = (const R *)b + j / NV * t->b_panel,
                *bb = bias ? (const R *)bias + j * L : NULL;
        CAT(taps_tile_fn, SFX) *const tile = CAT(taps_tiles, SFX)[v - 1];
        for (size_t q = 0; q < images; q++)
            for (size_t r = 0; r < t->lines; r++) {
                const R *p = (const R *)a + (ptrdiff_t)q * t->a_image + (ptrdiff_t)r * t->a_line;
                R *o = (R *)c + (ptrdiff_t)q * t->c_image + (ptrdiff_t)r * t->c_line + j * L;
                for (size_t k = 0, i = 0, m; k < tiles;
                     k++, i += m, p += (ptrdiff_t)m * t->a_row, o += (ptrdiff_t)m * t->c_row) {
                    m = t->m / tiles + (k < t->m % tiles);
                    if (pn_stop_after(m * v * t->runs * t->steps, &done)) return;
                    tile(m, t, p, bp, bias && t->bias_rows ? (const R *)bias + i : bb, o, last);
                }
            }
    }
}

/* ---- depthwise: b has one number per channel and tap; steps is 1 ----------------------------- */

/* m pixels of one vector of channels, the first n of which count. m is constant after inlining. */
static ALWAYS void CAT(depth_tile, SFX)(const int m, const pn_taps *t, const R *a, const R *b,
                                        V bias, R *c, size_t n)
{
    V s[8];
    UNROLL for (int i = 0; i < m; i++) s[i] = bias;
    for (size_t r = 0; r < t->runs; r++) {
        const V w = LOAD_UPTO(b + t->b_at[r], n);
        const R *p = a + t->a_at[r];
        UNROLL for (int i = 0; i < m; i++)
            s[i] = FMA(LOAD_UPTO(p + i * t->a_row, n), w, s[i]);
    }
    UNROLL for (int i = 0; i < m; i++) STORE_UPTO(c + i * t->c_row, n, s[i]);
}
static void CAT(depth_taps, SFX)(const pn_taps *t, size_t images, const void *a, const void *b,
                                 const void *bias, void *c)
{
    size_t done = 0;
    for (size_t q = 0; q < images; q++)
        for (size_t r = 0; r < t->lines; r++)
            for (size_t j = 0; j < t->n; j += L) {
                if (pn_stop_after(t->m * t->runs, &done)) return;
                const R *p = (const R *)a + (ptrdiff_t)q * t->a_image + (ptrdiff_t)r * t->a_line +
                             j;
                const R *w = (const R *)b + j / (NV * L) * t->b_panel + j % (NV * L);
                R *o = (R *)c + (ptrdiff_t)q * t->c_image + (ptrdiff_t)r * t->c_line + j;
                const V start = bias ? LOAD_UPTO((const R *)bias + j, t->n - j)
                                     : (V){ 0 };
                size_t i = 0;
                for (; i + 8 <= t->m; i += 8, p += 8 * t->a_row, o += 8 * t->c_row)
                    CAT(depth_tile, SFX)(8, t, p, w, start, o, t->n - j);
                for (; i + 3 <= t->m; i += 3, p += 3 * t->a_row, o += 3 * t->c_row)
                    CAT(depth_tile, SFX)(3, t, p, w, start, o, t->n - j);
                for (; i < t->m; i++, p += t->a_row, o += t->c_row)
                    CAT(depth_tile, SFX)(1, t, p, w, start, o, t->n - j);
            }
}

/* c (lines, m taps) += the sums over runs r and steps k of a, from the tap on, times b. Even and
 * odd steps have separate sums. */
static ALWAYS void CAT(depth_sum_tile, SFX)(const int m, const pn_taps *t, const R *a, const R *b,
                                            R *c, size_t n)
{
    V s[2][4];
    UNROLL for (int i = 0; i < m; i++) s[0][i] = s[1][i] = (V){ 0 };
    for (size_t r = 0; r < t->runs; r++) {
        const R *p = a + t->a_at[r], *q = b + t->b_at[r];
        size_t k = 0;
        for (; k + 2 <= t->steps; k += 2)
            UNROLL for (int e = 0; e < 2; e++, p += t->a_step, q += t->b_step) {
                const V g = LOAD_UPTO(q, n);
                UNROLL for (int i = 0; i < m; i++)
                    s[e][i] = FMA(LOAD_UPTO(p + i * t->a_row, n), g, s[e][i]);
            }
        if (k == t->steps) continue;
        const V g = LOAD_UPTO(q, n);
        UNROLL for (int i = 0; i < m; i++)
            s[0][i] = FMA(LOAD_UPTO(p + i * t->a_row, n), g, s[0][i]);
    }
    UNROLL for (int i = 0; i < m; i++) STORE_UPTO(
        c + i * t->c_row, n, LOAD_UPTO(c + i * t->c_row, n) + (s[0][i] + s[1][i]));
}
static void CAT(depth_sums, SFX)(const pn_taps *t, const void *a, const void *b, void *c)
{
    size_t done = 0;
    for (size_t j = 0; j < t->n; j += L)
        for (size_t r = 0; r < t->lines; r++) {
            if (pn_stop_after(t->m * t->runs * t->steps, &done)) return;
            const R *p = (const R *)a + (ptrdiff_t)r * t->a_line + j, *g = (const R *)b + j;
            R *o = (R *)c + (ptrdiff_t)r * t->c_line + j / (NV * L) * t->b_panel + j % (NV * L);
            size_t i = 0;
            for (; i + 4 <= t->m; i += 4, p += 4 * t->a_row, o += 4 * t->c_row)
                CAT(depth_sum_tile, SFX)(4, t, p, g, o, t->n - j);
            if (i + 3 == t->m) CAT(depth_sum_tile, SFX)(3, t, p, g, o, t->n - j);
            else
                for (; i < t->m; i++, p += t->a_row, o += t->c_row)
                    CAT(depth_sum_tile, SFX)(1, t, p, g, o, t->n - j);
        }
}

/* y[j*ldy + i] = x[i*ldx + j] for i < m, j < n. */
static void CAT(transpose, SFX)(size_t m, size_t n, const void *x, size_t ldx, void *y, size_t ldy)
{
    for (size_t i = 0; i < m; i += L) {
        const size_t rows = m - i < L ? m - i : L;
        for (size_t j = 0; j < n; j += L) {
            const size_t columns = n - j < L ? n - j : L;
            const R *s = (const R *)x + i * ldx + j;
            R *d = (R *)y + j * ldy + i;
            V r[L];
            /* few rows: half as many vectors, transposed into pairs of columns */
            if (2 * rows <= L) {
                UNROLL for (size_t k = 0; k < L / 2; k++)
                    r[k] = k < rows ? LOAD_UPTO(s + k * ldx, columns) : (V){ 0 };
                CAT(transpose_vectors, SFX)(r, L / 2);
                UNROLL for (size_t k = 0; k < L; k++) if (k < columns)
                    STORE_PART(d + k * ldy, rows, k % 2 ? SWAP(r[k / 2], L / 2) : r[k / 2]);
                continue;
            }
            if (rows == L && columns == L) {
                UNROLL for (size_t k = 0; k < L; k++) r[k] = LOAD(s + k * ldx);
                CAT(transpose_vectors, SFX)(r, L);
                UNROLL for (size_t k = 0; k < L; k++) STORE(d + k * ldy, r[k]);
                continue;
            }
            UNROLL for (size_t k = 0; k < L; k++)
                r[k] = k < rows ? LOAD_UPTO(s + k * ldx, columns) : (V){ 0 };
            CAT(transpose_vectors, SFX)(r, L);
            UNROLL for (size_t k = 0; k < L; k++) if (k < columns) {
                if (rows == L) STORE(d + k * ldy, r[k]);
                else STORE_PART(d + k * ldy, rows, r[k]);
            }
        }
    }
}

/* Packs weights w (n, c, taps) into panels of n, each (taps, c, panel), with zeros after the last
 * n. With transposed, panels are of c: (taps, n, panel). width: from panel_width. */
static void CAT(pack_taps, SFX)(const void *w, size_t n, size_t c, size_t taps, int transposed,
                                size_t width, void *out)
{
    const size_t across = transposed ? c : n, deep = transposed ? n : c,
                 across_ld = transposed ? taps : c * taps, deep_ld = transposed ? c * taps : taps;
    R *d = out;
    for (size_t p = 0; p < across; p += width, d += taps * deep * width) {
        const size_t here = across - p < width ? across - p : width;
        if (here < width) memset(d, 0, taps * deep * width * sizeof(R));
        for (size_t k = 0; k < deep; k++)
            CAT(transpose, SFX)(here, taps, (const R *)w + p * across_ld + k * deep_ld, across_ld,
                                d + k * width, deep * width);
    }
}

/* The reverse, for sums: w = (with add, w +) packed. Panels of n, not transposed. */
static void CAT(unpack_taps, SFX)(const void *packed, size_t n, size_t c, size_t taps, size_t width,
                                  int add, void *w)
{
    for (size_t o = 0; o < n; o++) {
        const R *s = (const R *)packed + o / width * taps * c * width + o % width;
        R *d = (R *)w + o * c * taps;
        for (size_t k = 0; k < c; k++)
            for (size_t t = 0; t < taps; t++)
                d[k * taps + t] = s[(t * c + k) * width] + (add ? d[k * taps + t] : 0);
    }
}

/* Packs weights w (n, c, h, k) as (h, n, row), where a row is (k, c), padded to whole vectors. */
static void CAT(pack_rows_of_taps, SFX)(const void *w, size_t n, size_t c, size_t h, size_t k,
                                        size_t row, void *out)
{
    for (size_t r = 0; r < h; r++)
        for (size_t o = 0; o < n; o++)
            CAT(transpose, SFX)(c, k, (const R *)w + (o * c * h + r) * k, h * k,
                                (R *)out + (r * n + o) * row, c);
}

/* The width of a panel for n columns. */
static size_t CAT(panel_width, SFX)(size_t n) { return n >= NV * L ? NV * L : (n + L - 1) / L * L; }

/* y (h, w) = x. ldx and ldy: strides of rows. */
static void CAT(crop, SFX)(size_t h, size_t w, const void *x, size_t ldx, void *y, size_t ldy)
{
    for (size_t r = 0; r < h; r++) {
        const R *s = (const R *)x + r * ldx;
        R *d = (R *)y + r * ldy;
        size_t i = 0;
        for (; i + L <= w; i += L) STORE(d + i, LOAD(s + i));
        if (i < w) STORE_PART(d + i, w - i, LOAD_PART(s + i, w - i));
    }
}

/* The numbers of planes of y and of taps whose sums are in registers. */
#undef DOT_PLANES
#undef DOT_TAPS
#if PN_VL == 64 || defined PN_NEON
#define DOT_PLANES 6
#define DOT_TAPS   4
#else
#define DOT_PLANES 4
#define DOT_TAPS   2
#endif
/* The products of m planes of y, from p on, with the taps at q, n lanes of each. */
static ALWAYS void CAT(dot_lanes, SFX)(const int m, V (*s)[DOT_TAPS], const R *p, size_t plane,
                                       const R *const *q, size_t c, size_t n)
{
    const R *p0 = p + c, *p3 = p0 + 3 * plane;
    V u[DOT_TAPS];
    UNROLL for (int k = 0; k < DOT_TAPS; k++) u[k] = n == L ? LOAD(q[k] + c)
                                                            : LOAD_PART(q[k] + c, n);
    UNROLL for (int i = 0; i < m; i++) {
        const R *at = i < 3 ? p0 + (size_t)i * plane : p3 + (size_t)(i - 3) * plane;
        const V g = n == L ? LOAD(at) : LOAD_PART(at, n);
        UNROLL for (int k = 0; k < DOT_TAPS; k++) s[i][k] = FMA(g, u[k], s[i][k]);
    }
}

/* The sums for m planes and up to DOT_TAPS taps; missing taps repeat the last one. m is constant
 * after inlining. */
static ALWAYS void CAT(dot_tile, SFX)(const int m, const pn_dots *t, size_t images, const R *y,
                                      const R *x, size_t tap, R *sums)
{
    const size_t plane = t->h * t->w, taps = t->n - tap < DOT_TAPS ? t->n - tap : DOT_TAPS,
                 whole = t->w / L * L;
    V s[DOT_PLANES][DOT_TAPS];
    UNROLL for (int i = 0; i < m; i++) UNROLL for (int k = 0; k < DOT_TAPS; k++) s[i][k] = (V){ 0 };
    for (size_t image = 0; image < images; image++) {
        const R *p = y + image * t->y_image, *q[DOT_TAPS];
        UNROLL for (size_t k = 0; k < DOT_TAPS; k++)
            q[k] = x + image * t->x_image + t->at[tap + (k < taps ? k : taps - 1)];
        for (size_t r = 0; r < t->h; r++, p += t->w) {
            for (size_t c = 0; c < whole; c += L) CAT(dot_lanes, SFX)(m, s, p, plane, q, c, L);
            if (whole < t->w) CAT(dot_lanes, SFX)(m, s, p, plane, q, whole, t->w - whole);
            UNROLL for (size_t k = 0; k < DOT_TAPS; k++) q[k] += t->row;
        }
    }
    UNROLL for (int i = 0; i < m; i++) UNROLL for (size_t k = 0; k < DOT_TAPS; k++) if (k < taps)
        sums[(size_t)i * t->n + tap + k] += SUM(s[i][k]);
}

/* sums (o, n) += for each of o planes of y (h, w) and each of n taps: the sum over images and
 * pixels of y times x at the tap. */
static void CAT(plane_dots, SFX)(const pn_dots *t, size_t images, const void *y, const void *x,
                                 void *sums)
{
    size_t done = 0;
    for (size_t o = 0; o < t->o; o += DOT_PLANES)
        for (size_t tap = 0; tap < t->n; tap += DOT_TAPS) {
            if (pn_stop_after(images * t->h * t->w, &done)) return;
            const R *p = (const R *)y + o * t->h * t->w;
            R *to = (R *)sums + o * t->n;
            switch (t->o - o) {
            case 1: CAT(dot_tile, SFX)(1, t, images, p, x, tap, to); break;
            case 2: CAT(dot_tile, SFX)(2, t, images, p, x, tap, to); break;
            case 3: CAT(dot_tile, SFX)(3, t, images, p, x, tap, to); break;
#if DOT_PLANES == 6
            case 4: CAT(dot_tile, SFX)(4, t, images, p, x, tap, to); break;
            case 5: CAT(dot_tile, SFX)(5, t, images, p, x, tap, to); break;
#endif
            default: CAT(dot_tile, SFX)(DOT_PLANES, t, images, p, x, tap, to);
            }
        }
}

/* *sum += the sum of x. */
static void CAT(plane_sum, SFX)(size_t n, const void *x, void *sum)
{
    const R *p = x;
    V s[4] = { { 0 } };
    size_t i = 0;
    for (; i + 4 * L <= n; i += 4 * L)
        UNROLL for (size_t k = 0; k < 4; k++) s[k] += LOAD(p + i + k * L);
    for (; i < n; i += L) s[0] += LOAD_UPTO(p + i, n - i);
    *(R *)sum += SUM((s[0] + s[1]) + (s[2] + s[3]));
}

/* y[i*ys] += x[i*xs]. */
static void CAT(add_strided, SFX)(size_t n, const void *x, size_t xs, void *y, size_t ys)
{
    for (size_t i = 0; i < n; i++) ((R *)y)[i * ys] += ((const R *)x)[i * xs];
}
