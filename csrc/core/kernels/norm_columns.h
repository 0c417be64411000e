/* norm_columns.h - normalisation of columns: tiles of n columns, each a group, whose rows are
 * stride elements apart. Four vectors of columns at a time are processed over all rows. full: all
 * their lanes are columns. */
#define EACH_VECTOR \
    _Pragma("GCC unroll 4") for (size_t k = 0; k < 4; k++) if (full || j + k * L < n)
#define COLUMN      (j + k * L)
#define LEFT        (full ? L : n - COLUMN)
#define IN_BLOCKS(f, ...) \
    for (size_t j = 0; j < n; j += 4 * L) { \
        if (j + 4 * L <= n) CAT(f, SFX)(__VA_ARGS__, j, 1); \
        else CAT(f, SFX)(__VA_ARGS__, j, 0); \
    }

#define FOLD 64 /* rows that are summed in the type itself */
/* Sums are of differences from the first row, so that a mean far from 0 costs no digits. */
static ALWAYS void CAT(block_moments, SFX)(size_t rows, size_t n, size_t stride, const R *x,
                                           double *mean, double *squares, size_t j, int full)
{
    V centre[4] = { { 0 } };
    R middle[4 * L];
    double sums[4 * L] = { 0 }, wide[4 * L] = { 0 };
    EACH_VECTOR centre[k] = LOAD_UPTO(x + COLUMN, LEFT);
    for (size_t r = 1; r < rows; ) {
        V sum[4] = { { 0 } };
        for (size_t end = rows - r < FOLD ? rows : r + FOLD; r < end; r++)
            EACH_VECTOR sum[k] += LOAD_UPTO(x + r * stride + COLUMN, LEFT) - centre[k];
        EACH_VECTOR CAT(add_wide, SFX)(sums + k * L, L, sum[k]);
    }
    for (size_t k = 0; k < 4; k++) STORE(middle + k * L, centre[k]);
    for (size_t i = 0; i < 4 * L; i++)
        middle[i] = (R)((double)middle[i] + sums[i] / (double)rows), sums[i] = 0;
    for (size_t k = 0; k < 4; k++) centre[k] = LOAD(middle + k * L);
    for (size_t r = 0; r < rows; ) {
        V sum[4] = { { 0 } }, square[4] = { { 0 } };
        for (size_t end = rows - r < FOLD ? rows : r + FOLD; r < end; r++)
            EACH_VECTOR {
                V d = LOAD_UPTO(x + r * stride + COLUMN, LEFT) - centre[k];
                sum[k] += d;
                square[k] = FMA(d, d, square[k]);
            }
        EACH_VECTOR {
            CAT(add_wide, SFX)(sums + k * L, L, sum[k]);
            CAT(add_wide, SFX)(wide + k * L, L, square[k]);
        }
    }
    for (size_t i = 0; i < 4 * L; i++) {
        const double off = sums[i] / (double)rows, square = wide[i] - off * sums[i];
        sums[i] = (double)middle[i] + off;
        wide[i] = square < 0 ? 0 : square;
    }
    const size_t bytes = (full ? 4 * L : n - j) * sizeof *mean;
    memcpy(mean + j, sums, bytes);
    memcpy(squares + j, wide, bytes);
}
/* The means of the columns of a tile, and the sums of their squared deviations. */
static void CAT(columns_moments, SFX)(size_t rows, size_t n, size_t stride, const void *x,
                                      double *mean, double *squares)
{
    IN_BLOCKS(block_moments, rows, n, stride, x, mean, squares)
}

static ALWAYS void CAT(block_apply, SFX)(size_t rows, size_t n, size_t stride, const R *x, R *y,
                                         const double *const *by, size_t j, int full)
{
    V c[3][4];
    for (size_t i = 0; i < 3; i++) EACH_VECTOR c[i][k] = CAT(narrow, SFX)(by[i] + COLUMN, LEFT);
    for (size_t at = j; rows; rows--, at += stride)
        EACH_VECTOR STORE_UPTO(y + at + k * L, LEFT,
                             FMA(LOAD_UPTO(x + at + k * L, LEFT) - c[0][k], c[1][k], c[2][k]));
}
/* y = (x - by[0]) by[1] + by[2] */
static void CAT(columns_apply, SFX)(size_t rows, size_t n, size_t stride, const void *x, void *y,
                                    const double *const *by)
{
    IN_BLOCKS(block_apply, rows, n, stride, x, y, by)
}

/* (x - c[0]) c[1] + c[2] for column vector k; without scaled x - c[0] only. */
static ALWAYS V CAT(column_deviation, SFX)(V x, const int scaled, V (*c)[4], size_t k)
{
    return scaled ? FMA(x - c[0][k], c[1][k], c[2][k]) : x - c[0][k];
}
static ALWAYS void CAT(block_sums, SFX)(size_t rows, size_t n, size_t stride, const R *x,
                                        const R *gy, const double *const *by, const int scaled,
                                        double *sums, double *products, size_t j, int full)
{
    V c[3][4] = { { { 0 } } };
    double wide[2][4 * L] = { { 0 } };
    for (size_t i = 0; i < (scaled ? 3 : 1); i++)
        EACH_VECTOR c[i][k] = CAT(narrow, SFX)(by[i] + COLUMN, LEFT);
    for (size_t at = j; rows; ) {
        V sum[4] = { { 0 } }, product[4] = { { 0 } };
        for (size_t part = rows < FOLD ? rows : FOLD, end = rows - part; rows > end;
             rows--, at += stride)
            EACH_VECTOR {
                V g = LOAD_UPTO(gy + at + k * L, LEFT);
                sum[k] += g;
                product[k] = FMA(g, CAT(column_deviation, SFX)(LOAD_UPTO(x + at + k * L, LEFT),
                                                               scaled, c, k), product[k]);
            }
        EACH_VECTOR {
            CAT(add_wide, SFX)(wide[0] + k * L, L, sum[k]);
            CAT(add_wide, SFX)(wide[1] + k * L, L, product[k]);
        }
    }
    const size_t bytes = (full ? 4 * L : n - j) * sizeof *sums;
    memcpy(sums + j, wide[0], bytes);
    memcpy(products + j, wide[1], bytes);
}
/* The sums over a tile of gy and of gy d, with d as in columns_back. */
static void CAT(columns_sums, SFX)(size_t rows, size_t n, size_t stride, const void *x,
                                   const void *gy, const double *const *by, double *sums,
                                   double *products)
{
    if (by[1]) IN_BLOCKS(block_sums, rows, n, stride, x, gy, by, 1, sums, products)
    else IN_BLOCKS(block_sums, rows, n, stride, x, gy, by, 0, sums, products)
}

static ALWAYS void CAT(block_back, SFX)(size_t rows, size_t n, size_t stride, const R *x,
                                        const R *gy, R *gx, const double *const *by,
                                        const int scaled, size_t j, int full)
{
    V c[6][4] = { { { 0 } } };
    for (size_t i = 0; i < 6; i++)
        if (scaled || !(i == 1 || i == 2))
            EACH_VECTOR c[i][k] = CAT(narrow, SFX)(by[i] + COLUMN, LEFT);
    for (size_t at = j; rows; rows--, at += stride)
        EACH_VECTOR {
            const V d = CAT(column_deviation, SFX)(LOAD_UPTO(x + at + k * L, LEFT), scaled, c, k);
            const V g = LOAD_UPTO(gy + at + k * L, LEFT);
            STORE_UPTO(gx + at + k * L, LEFT, FMA(g, c[3][k], FMA(d, c[4][k], c[5][k])));
        }
}
/* gx = by[3] gy + by[4] d + by[5], with d = (x - by[0]) by[1] + by[2], or x - by[0] if by[1] is
 * NULL. */
static void CAT(columns_back, SFX)(size_t rows, size_t n, size_t stride, const void *x,
                                   const void *gy, void *gx, const double *const *by)
{
    if (by[1]) IN_BLOCKS(block_back, rows, n, stride, x, gy, gx, by, 1)
    else IN_BLOCKS(block_back, rows, n, stride, x, gy, gx, by, 0)
}
#undef FOLD
#undef EACH_VECTOR
#undef IN_BLOCKS
#undef COLUMN
#undef LEFT
