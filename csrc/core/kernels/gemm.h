/* gemm.h - the matrix product C = op(A) op(B), blocked, packed and divided among threads, with an
 * epilogue applied to a panel of C while it is in the cache. No include guard: kernels.c includes
 * it once per type.
 *
 * Loops, from the outside in: rows in blocks, whose A is packed once for as much depth as A_BYTES
 * hold; columns in panels of about NV vectors; depth in blocks of KC, whose panel of B is packed;
 * rows in tiles of MR. A panel of B and one of C stay in the second-level cache while A streams by.
 * The sums of a tile stay in registers. Every element of C is the sum over depth blocks of plain
 * ordered sums, whatever tile it falls in. So its bits do not depend on how the output is divided,
 * and threads may divide panels, or rows. */
#ifndef KC
#define KC 512          /* a panel of B, 512 x NV vectors, stays in the second-level cache */
#define MC 1024         /* rows of a panel of C that stays there */
#define A_BYTES (4u << 20)
#define MAX_TASKS 16    /* per product; each packs its own panels of B */
#define TASK_WORK 400000        /* multiplications that pay for a task */
#endif

/* How a product is blocked and divided: a function of its shape. */
typedef struct {
    /* depth of a block; rows of a block; depth of A that is packed at once, a multiple of kc */
    size_t kc, mc, depth;
    size_t mr, panels, tasks;       /* mr: most rows of a tile */
    int pack_a, direct_b, by_rows;
    /* elements of a packed tile of A, of packed A, and of one lane's packed B */
    size_t tile, a_size, b_size;
} CAT(blocking, SFX);

/* One row block of a product: its packed A, and where tasks pack B. */
typedef struct {
    const pn_product *q;
    const CAT(blocking, SFX) *blocking;
    size_t i0, m, p0, depth;
    R *pa, *pb;
} CAT(work, SFX);

#undef LEAST
#define LEAST(a, b) ((a) < (b) ? (a) : (b))
static ALWAYS size_t CAT(parts, SFX)(size_t n, size_t most)
{
    return n <= most ? 1 : (n + most - 1) / most;
}
/* Divides n into the fewest parts of at most `most`, of about the same size. Returns that size,
 * rounded up to a multiple of unit. */
static ALWAYS size_t CAT(even_part, SFX)(size_t n, size_t most, size_t unit)
{
    if (n <= most) return n;
    const size_t of = CAT(parts, SFX)(n, most);
    return ((n + of - 1) / of + unit - 1) / unit * unit;
}
/* The start of part i of n divided into `of` parts. */
static ALWAYS size_t CAT(part_start, SFX)(size_t n, size_t of, size_t i)
{
    return n / of * i + LEAST(i, n % of);
}

/* The width of a packed tile of A. */
#undef A_WIDTH
#define A_WIDTH(mr) ((mr) <= L / 2 ? L / 2 : ((mr) + L - 1) / L * L)

static ALWAYS void CAT(blocking_of, SFX)(const pn_product *q, CAT(blocking, SFX) *c)
{
    const size_t vectors = (q->n + L - 1) / L;
    const double work = (double)q->m * (double)q->n * (double)q->k;
    c->kc = CAT(even_part, SFX)(q->k, KC, 16);
    c->mc = CAT(even_part, SFX)(q->m, MC, 1);
    c->panels = (vectors + NV - 1) / NV;
    c->mr = TILE_ROWS(vectors);
    c->pack_a = q->m > MR &&
                (q->ta ? q->n > 2 * NV * L && q->k > 64
                       : q->n > 4 * NV * L || (q->n > 2 * NV * L && q->lda * sizeof(R) % 512 == 0));
    c->by_rows = !c->pack_a && q->m > q->n;
    c->direct_b = !q->tb && q->m <= 64;
    c->tasks = 1;
    if (work >= 2 * TASK_WORK) {
        c->tasks = c->by_rows ? CAT(parts, SFX)(q->m, 64) : c->panels;
        if (c->tasks > MAX_TASKS) c->tasks = MAX_TASKS;
        if ((double)c->tasks > work / TASK_WORK) c->tasks = (size_t)(work / TASK_WORK);
    }
    c->depth = q->k;
    c->tile = c->a_size = 0;
    if (c->pack_a && c->kc) {
        const size_t most = A_BYTES / sizeof(R) / c->mc / c->kc;
        c->depth = LEAST(q->k, (most ? most : 1) * c->kc);
        c->tile = A_WIDTH(c->mr) * c->kc + L;      /* packing writes whole vectors */
        const size_t tiles = CAT(parts, SFX)(c->mc, c->mr) * CAT(parts, SFX)(c->depth, c->kc);
        c->a_size = (tiles * c->tile + 15) / 16 * 16;
    }
    c->b_size = c->kc * NV * L;
}

/* Packs the tiles of A that belong to a task. */
static void CAT(pack_a, SFX)(void *context, size_t task)
{
    const CAT(work, SFX) *w = context;
    const CAT(blocking, SFX) *c = w->blocking;
    const pn_product *q = w->q;
    const size_t tiles = CAT(parts, SFX)(w->m, c->mr), width = A_WIDTH(c->mr),
                 from = CAT(part_start, SFX)(tiles, c->tasks, task);
    const size_t to = CAT(part_start, SFX)(tiles, c->tasks, task + 1);
    for (size_t p = 0; p < w->depth; p += c->kc) {
        const size_t kc = LEAST(c->kc, w->depth - p);
        R *d = w->pa + p / c->kc * tiles * c->tile;
        const R *a = (const R *)q->a +
                     (q->ta ? (w->p0 + p) * q->lda + w->i0 : w->i0 * q->lda + w->p0 + p);
        for (size_t t = from; t < to; t++) {
            const size_t i = CAT(part_start, SFX)(w->m, tiles, t),
                         m = CAT(part_start, SFX)(w->m, tiles, t + 1) - i;
            if (q->ta) CAT(pack_rows, SFX)(a + i, q->lda, m, kc, d + t * c->tile, width);
            else CAT(pack_transposed, SFX)(a + i * q->lda, q->lda, m, kc, d + t * c->tile, width);
        }
    }
}

/* y = act(c) for m finished rows from row i and n columns from column j. */
static void CAT(activate, SFX)(const pn_product *q, size_t i, size_t j, size_t m, size_t n)
{
    const pn_epilogue *e = q->epilogue;
    const R *c = (const R *)q->c + i * q->ldc + j;
    R *y = (R *)e->y + i * e->ldy + j;
    if (n == q->ldc && n == e->ldy) e->act(m * n, c, y, e->p, 0);
    else for (size_t r = 0; r < m; r++) e->act(n, c + r * q->ldc, y + r * e->ldy, e->p, 0);
}

/* Packs kc rows of B from row `at` on, n columns from column j, as a panel of whole vectors. */
static void CAT(pack_b, SFX)(const pn_product *q, size_t at, size_t kc, size_t j, size_t n, R *out)
{
    const size_t width = CAT(parts, SFX)(n, L) * L;
    if (q->tb)
        CAT(pack_transposed, SFX)((const R *)q->b + j * q->ldb + at, q->ldb, n, kc, out, width);
    else CAT(pack_rows, SFX)((const R *)q->b + at * q->ldb + j, q->ldb, n, kc, out, width);
}

/* The first column of panel k. */
static ALWAYS size_t CAT(panel_start, SFX)(const pn_product *q, size_t panels, size_t k)
{
    const size_t j = CAT(part_start, SFX)((q->n + L - 1) / L, panels, k) * L;
    return LEAST(j, q->n);
}

/* Computes a panel: n columns from column j, in v vectors; m rows from row i, over the depth of the
 * block. */
static void CAT(panel, SFX)(const CAT(work, SFX) * w, size_t i0, size_t rows, size_t j, size_t n,
                            R *pb)
{
    const CAT(blocking, SFX) *c = w->blocking;
    const pn_product *q = w->q;
    const pn_epilogue *e = q->epilogue;
    const size_t v = CAT(parts, SFX)(n, L), tiles = CAT(parts, SFX)(rows, c->mr), m0 = rows / tiles,
                 remainder = rows % tiles, width = A_WIDTH(c->mr);
    const int unit = c->pack_a || q->ta;
    CAT(tile_fn, SFX) *const tile = CAT(tiles, SFX)[unit][v - 1];
    CAT(tile_args, SFX) t = { .n = n, .as = c->pack_a ? width : q->lda, .ldc = q->ldc };
    for (size_t p = 0; p < w->depth; p += c->kc) {
        const size_t at = w->p0 + p, kc = t.k = LEAST(c->kc, w->depth - p);
        const R *b = (const R *)q->b + at * q->ldb + j;
        if (c->direct_b && n == v * L) {
            t.b = b;
            t.bs = q->ldb;
        } else {
            t.b = q->packed ? (const R *)q->packed + j * q->k + at * v * L : pb;
            t.bs = v * L;
            if (!q->packed) CAT(pack_b, SFX)(q, at, kc, j, n, pb);
        }
        t.add = q->accumulate || at > 0;
        if (at + kc == q->k && e && e->bias) t.bias = (const R *)e->bias + j;
        t.c = (R *)q->c + i0 * q->ldc + j;
        t.a = c->pack_a ? w->pa + p / c->kc * tiles * c->tile
                        : (const R *)q->a + (q->ta ? at * q->lda + i0 : i0 * q->lda + at);
        /* Rows of B are far apart in memory, so the first tiles each prefetch one vector column of
         * the part that is packed next. */
        const R *next = p + kc < w->depth ? b + kc * q->ldb
                      : j + n < q->n      ? (const R *)q->b + w->p0 * q->ldb + j + n
                                          : NULL;
        if (q->tb || c->direct_b) next = NULL;
        for (size_t s = 0, m; s < tiles; s++, t.c += m * q->ldc) {
            m = m0 + (s < remainder);
            t.next = next && s < v ? next + s * L : t.b;
            t.next_step = next && s < v ? q->ldb : 0;
            tile(m, &t);
            t.a += c->pack_a ? c->tile : q->ta ? m : m * q->lda;
        }
    }
    if (w->p0 + w->depth == q->k && e && e->act) CAT(activate, SFX)(q, i0, j, rows, n);
}

/* Panels from to to - 1. */
static void CAT(panels, SFX)(const CAT(work, SFX) * w, size_t i, size_t m, size_t from, size_t to,
                             R *pb)
{
    if (w->blocking->panels == 1) {
        CAT(panel, SFX)(w, i, m, 0, w->q->n, pb);
        return;
    }
    for (size_t k = from, j = CAT(panel_start, SFX)(w->q, w->blocking->panels, k), end; k < to;
         k++, j = end) {
        end = CAT(panel_start, SFX)(w->q, w->blocking->panels, k + 1);
        if (m * w->depth >= 65536 && pn_stop_now()) return;
        CAT(panel, SFX)(w, i, m, j, end - j, pb);
    }
}

/* The share of one task: columns of a row block, or rows in blocks. */
static void CAT(run_task, SFX)(void *context, size_t task)
{
    const CAT(work, SFX) *w = context;
    const CAT(blocking, SFX) *c = w->blocking;
    R *pb = w->pb + task * c->b_size;
    if (!c->by_rows)
        CAT(panels, SFX)(w, w->i0, w->m, CAT(part_start, SFX)(c->panels, c->tasks, task),
                         CAT(part_start, SFX)(c->panels, c->tasks, task + 1), pb);
    else {
        const size_t to = CAT(part_start, SFX)(w->m, c->tasks, task + 1);
        for (size_t i = CAT(part_start, SFX)(w->m, c->tasks, task); i < to; i += c->mc)
            CAT(panels, SFX)(w, i, LEAST(to - i, c->mc), 0, c->panels, pb);
    }
}

/* Bytes of packed A and of the packed B of all tasks. */
static size_t CAT(gemm_workspace, SFX)(const pn_product *q)
{
    CAT(blocking, SFX) c;
    CAT(blocking_of, SFX)(q, &c);
    return (c.a_size + c.tasks * c.b_size) * sizeof(R);
}

/* Bytes of B when all of it is packed: panels one after another, each over the whole depth in
 * blocks. The layout does not depend on the rows of A. */
static size_t CAT(gemm_packed, SFX)(const pn_product *q)
{
    return q->tb && q->n > 1 ? CAT(parts, SFX)(q->n, L) * L * q->k * sizeof(R) : 0;
}
static void CAT(gemm_pack, SFX)(const pn_product *q, void *packed)
{
    CAT(blocking, SFX) c;
    CAT(blocking_of, SFX)(q, &c);
    for (size_t k = 0; k < c.panels; k++) {
        const size_t j = CAT(panel_start, SFX)(q, c.panels, k),
                     n = CAT(panel_start, SFX)(q, c.panels, k + 1) - j;
        R *out = (R *)packed + j * q->k;
        for (size_t p = 0; p < q->k; p += c.kc, out += c.kc * CAT(parts, SFX)(n, L) * L)
            CAT(pack_b, SFX)(q, p, LEAST(c.kc, q->k - p), j, n, out);
    }
}

static void CAT(share, SFX)(CAT(work, SFX) *w, pn_task_fn *task)
{
    if (w->blocking->tasks > 1) pn_parallel(w->blocking->tasks, task, w);
    else task(w, 0);
}

static void CAT(gemm, SFX)(const pn_product *q, void *workspace)
{
    if (q->m == 0 || q->n == 0) return;
    const pn_epilogue *e = q->epilogue;
    if (q->k == 0 || CAT(thin_product, SFX)(q)) {
        for (size_t i = 0; i < q->m; i++) {
            R *row = (R *)q->c + i * q->ldc;
            if (q->k == 0 && !q->accumulate) memset(row, 0, q->n * sizeof(R));
            if (e && e->bias) for (size_t j = 0; j < q->n; j++) row[j] += ((const R *)e->bias)[j];
        }
        if (e && e->act) CAT(activate, SFX)(q, 0, 0, q->m, q->n);
        return;
    }
    CAT(blocking, SFX) c;
    CAT(blocking_of, SFX)(q, &c);
    CAT(work, SFX) w = { q, &c, 0, q->m, 0, q->k, workspace, (R *)workspace + c.a_size };
    if (c.tasks == 1 && !c.pack_a && q->m <= MC) {
        CAT(panels, SFX)(&w, 0, q->m, 0, c.panels, w.pb);
        return;
    }
    if (c.by_rows) {
        CAT(share, SFX)(&w, CAT(run_task, SFX));
        return;
    }
    for (w.i0 = 0; w.i0 < q->m; w.i0 += c.mc)
        for (w.p0 = 0; w.p0 < q->k; w.p0 += c.depth) {
            if (pn_stopped()) return;
            w.m = LEAST(c.mc, q->m - w.i0);
            w.depth = LEAST(c.depth, q->k - w.p0);
            if (c.pack_a) CAT(share, SFX)(&w, CAT(pack_a, SFX));
            CAT(share, SFX)(&w, CAT(run_task, SFX));
        }
}
