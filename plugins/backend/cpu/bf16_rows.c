/* y = x w^T and dx = dy w in BF16. The weight is rounded and packed once into panels of BF16_NR
 * columns; then a task is a block of rows times a block of columns. Rows of BF16 are read where
 * they lie; F32 ones, and those of an odd depth, are copied first.
 *
 * The order of every sum depends on the shape alone: along the depth, in chunks where it is
 * long. */
#include "bf16_gelu.h"
#include "bf16_kernel.h"
#include "bf16_matmul.h"
#include "fastmath.h"

#define ROWS 64    /* of c, a task; a multiple of BF16_MR */
#define COLS 256   /* of c, a task; a multiple of BF16_NR */
#define DEPTH 1024 /* a chunk; even */

/* Scratch: a chunk of rows of a, then the sums of a task. */
#define COPIED (ROWS * DEPTH / 2) /* floats */
_Static_assert((COPIED + ROWS * COLS) * sizeof(float) <= CPU_SCRATCH, "scratch");

struct job {
    const struct cpu_bf16_rows *m;
    uint16_t *packed; /* [chunk][panel][its pairs][BF16_NR][2] */
    int64_t panels, row_blocks;
};

/* Of a depth, rounded up. */
CPU_INLINE int64_t pairs_of(int64_t depth)
{
    return (depth + 1) / 2;
}

/* Where the pairs of a panel of the chunk at l0 are. */
CPU_INLINE uint16_t *panel_at(const struct job *j, int64_t panel, int64_t l0)
{
    int64_t pairs = pairs_of(cpu_min(DEPTH, j->m->depth - l0));

    return j->packed + (l0 / 2 * j->panels + panel * pairs) * 2 * BF16_NR;
}

/* ---- packing ---- */

/* Columns of W that are rows of w: each row's pairs go to every BF16_NR-th place. */
CPU_INLINE void pack_transposed(const struct cpu_bf16_rows *m, int64_t l0, int64_t depth,
                                int64_t j0, int64_t cols, uint16_t *to)
{
    for (int64_t c = 0; c < cols; c++) {
        const float *row = m->w + (j0 + c) * m->depth + l0;
        for (int64_t l = 0; l < depth; l += 32) {
            int32_t pairs[16], *place = (int32_t *)(void *)to + l / 2 * BF16_NR + c;
            _mm512_storeu_si512(pairs, bf16_from_floats(row + l, cpu_min(32, depth - l)));
            for (int64_t p = 0; p < cpu_min(16, pairs_of(depth - l)); p++)
                place[p * BF16_NR] = pairs[p];
        }
    }
}

CPU_INLINE void pack_plain(const struct cpu_bf16_rows *m, int64_t l0, int64_t depth, int64_t j0,
                           int64_t cols, uint16_t *to)
{
    const struct cpu_mixed w = {.f32 = (float *)m->w};

    for (int64_t l = 0; l < depth; l += 2, to += 2 * BF16_NR)
        for (int64_t c = 0; c < BF16_NR; c += 16) {
            int64_t at = (l0 + l) * m->cols + j0 + c;
            if (c + 16 <= cols && l + 1 < depth)
                _mm512_storeu_si512(to + 2 * c, bf16_pairs(&w, m->cols, at));
            else if (c < cols)
                _mm512_storeu_si512(to + 2 * c,
                                    bf16_some_pairs(&w, m->cols, at, cols - c, l + 1 < depth));
            else
                _mm512_storeu_si512(to + 2 * c, _mm512_setzero_si512());
        }
}

static void pack_task(const void *data, int64_t panel, float *scratch)
{
    const struct job *j = data;
    const struct cpu_bf16_rows *m = j->m;
    int64_t j0 = panel * BF16_NR, cols = cpu_min(BF16_NR, m->cols - j0);

    (void)scratch;
    for (int64_t l = 0; l < m->depth; l += DEPTH) {
        int64_t depth = cpu_min(DEPTH, m->depth - l);
        uint16_t *to = panel_at(j, panel, l);
        if (!m->w_transposed) {
            pack_plain(m, l, depth, j0, cols, to);
            continue;
        }
        if (cols < BF16_NR)
            memset(to, 0, (size_t)(pairs_of(depth) * 2 * BF16_NR) * sizeof *to);
        pack_transposed(m, l, depth, j0, cols, to);
    }
}

/* ---- what follows on a tile of sums ---- */

/* n <= BF16_NR floats to c, from element `at` on. */
CPU_INLINE void store_row(const struct cpu_mixed *c, int64_t at, const float *x, int64_t n)
{
    if (!c->f32 && n == BF16_NR)
        _mm512_storeu_si512(c->bf16 + at, bf16_from_floats(x, BF16_NR));
    else if (!c->f32)
        _mm512_mask_storeu_epi16(c->bf16 + at, (__mmask32)((1u << n) - 1), bf16_from_floats(x, n));
    else
        memcpy(c->f32 + at, x, (size_t)n * sizeof *x);
}

CPU_INLINE void load_row(const struct cpu_mixed *c, int64_t at, float *x, int64_t n)
{
    if (c->f32)
        memcpy(x, c->f32 + at, (size_t)n * sizeof *x);
    else
        cpu_bf16_load(c->bf16 + at, n, x);
}

CPU_INLINE void activate(const struct cpu_bf16_rows *m, int64_t n, float *x)
{
    if (m->activation == MGPT_ACT_GELU && m->c.bf16)
        for (int64_t i = 0; i < n; i += 16)
            _mm512_storeu_ps(x + i, bf16_gelu(_mm512_loadu_ps(x + i)));
    else
        cpu_act_row(m->activation, n, x, x);
}

CPU_INLINE void multiply_slope(const struct cpu_bf16_rows *m, int64_t n, const float *x, float *dx)
{
    if (m->activation == MGPT_ACT_GELU && m->c.bf16)
        for (int64_t i = 0; i < n; i += 16)
            _mm512_storeu_ps(dx + i, _mm512_mul_ps(_mm512_loadu_ps(dx + i),
                                                   bf16_gelu_slope(_mm512_loadu_ps(x + i))));
    else
        cpu_slope_row(m->activation, n, x, dx, dx);
}

/* The tile (rows, BF16_NR), of which `cols` count, becomes part of c from element `at` on. */
CPU_INLINE void finish(const struct cpu_bf16_rows *m, int64_t rows, int64_t cols, int64_t at,
                       float *tile)
{
    float other[BF16_TILE];
    const struct cpu_mixed pre = {.bf16 = m->pre}, slope_of = {.bf16 = (uint16_t *)m->slope_of};

    for (int64_t r = 0; r < rows && m->pre; r++)
        store_row(&pre, at + r * m->cols, tile + r * BF16_NR, cols);
    if (m->slope_of) {
        if (cols < BF16_NR)
            memset(other, 0, sizeof other);
        for (int64_t r = 0; r < rows; r++)
            load_row(&slope_of, at + r * m->cols, other + r * BF16_NR, cols);
        multiply_slope(m, rows * BF16_NR, other, tile);
    } else if (m->activation) {
        activate(m, rows * BF16_NR, tile);
    }
    for (int64_t r = 0; r < rows; r++) {
        float *row = tile + r * BF16_NR;
        if (m->accumulate) {
            load_row(&m->c, at + r * m->cols, other, cols);
            for (int64_t c = 0; c < cols; c++)
                row[c] += other[c];
        }
        store_row(&m->c, at + r * m->cols, row, cols);
    }
}

/* ---- products ---- */

/* Rows i.. of a, the chunk at l0, as BF16 with an even number of columns. */
CPU_INLINE void copy_rows(const struct cpu_bf16_rows *m, int64_t i, int64_t rows, int64_t l0,
                          int64_t depth, uint16_t *to)
{
    for (int64_t r = 0; r < rows; r++, to += 2 * pairs_of(depth)) {
        int64_t at = (i + r) * m->depth + l0;
        if (m->a.bf16) {
            to[2 * pairs_of(depth) - 1] = 0;
            memcpy(to, m->a.bf16 + at, (size_t)depth * sizeof *to);
            continue;
        }
        for (int64_t l = 0; l < depth; l += 32) {
            int64_t n = cpu_min(32, depth - l), even = 2 * pairs_of(n);
            __mmask32 kept = even == 32 ? ~(__mmask32)0 : ((__mmask32)1 << even) - 1;
            _mm512_mask_storeu_epi16(to + l, kept, bf16_from_floats(m->a.f32 + at + l, n));
        }
    }
}

/* What the sums of a tile start from. */
CPU_INLINE void set_start(const struct cpu_bf16_rows *m, int64_t col, int64_t cols, float *bias,
                          struct bf16_kernel *k)
{
    if (!m->bias)
        return;
    memset(bias, 0, BF16_NR * sizeof *bias);
    memcpy(bias, m->bias + col, (size_t)cols * sizeof *bias);
    k->start = bias;
}

/* One panel of columns times the rows i0..i1, over the chunk at l0. Sums of a depth of several
 * chunks wait in `sums`, [strip][BF16_TILE]. */
CPU_INLINE void panel_product(const struct job *j, int64_t panel, int64_t i0, int64_t i1,
                              int64_t l0, const uint16_t *a, int64_t lda, float *sums)
{
    const struct cpu_bf16_rows *m = j->m;
    int64_t depth = cpu_min(DEPTH, m->depth - l0), col = panel * BF16_NR;
    int64_t cols = cpu_min(BF16_NR, m->cols - col);
    int last = l0 + depth == m->depth;
    float tile[BF16_TILE], bias[BF16_NR];
    struct bf16_kernel k = {.pairs = pairs_of(depth), .b = panel_at(j, panel, l0), .ldc = BF16_NR};

    set_start(m, col, cols, bias, &k);
    for (int64_t i = i0; i < i1; i += BF16_MR, sums += BF16_TILE) {
        int64_t rows = cpu_min(BF16_MR, i1 - i);
        k.a = a + (i - i0) * lda;
        if (l0 > 0) {
            k.start = sums;
            k.ld_start = BF16_NR;
        }
        k.c = last ? tile : sums;
        bf16_kernel_run(rows, &k, lda, 2);
        if (last && cols == BF16_NR)
            finish(m, rows, BF16_NR, i * m->cols + col, tile);
        else if (last)
            finish(m, rows, cols, i * m->cols + col, tile);
    }
}

static void rows_task(const void *data, int64_t index, float *scratch)
{
    const struct job *j = data;
    const struct cpu_bf16_rows *m = j->m;
    int64_t i0 = index % j->row_blocks * ROWS, i1 = cpu_min(i0 + ROWS, m->rows);
    int64_t from = index / j->row_blocks * (COLS / BF16_NR);
    int64_t to = cpu_min(from + COLS / BF16_NR, j->panels);
    uint16_t *copy = (uint16_t *)(void *)scratch;

    for (int64_t l = 0; l < m->depth; l += DEPTH) {
        int64_t depth = cpu_min(DEPTH, m->depth - l), lda = m->depth;
        const uint16_t *a = copy;
        if (m->a.bf16 && depth % 2 == 0) {
            a = m->a.bf16 + i0 * lda + l;
        } else {
            lda = 2 * pairs_of(depth);
            copy_rows(m, i0, i1 - i0, l, depth, copy);
        }
        for (int64_t panel = from; panel < to; panel++)
            panel_product(j, panel, i0, i1, l, a, lda,
                          scratch + COPIED + (panel - from) * ROWS * BF16_NR);
    }
}

/* ---- a few rows: the weight is read once, where it lies ---- */

#define THIN 3       /* rows, at most */
#define THIN_COLS 64 /* of c, a task; a multiple of BF16_NR */
#define AT_ONCE 4    /* sums that take turns */

/* sums[c] = row i of a times row j0 + c of w, c < n <= AT_ONCE */
CPU_INLINE void dots(const struct cpu_bf16_rows *m, int64_t i, int64_t j0, int64_t n, float *sums)
{
    __m512 sum[AT_ONCE];

    for (int c = 0; c < AT_ONCE; c++)
        sum[c] = _mm512_setzero_ps();
    for (int64_t l = 0; l < m->depth; l += 32) {
        int64_t left = cpu_min(32, m->depth - l);
        __mmask32 kept = left == 32 ? ~(__mmask32)0 : ((__mmask32)1 << left) - 1;
        __m512bh x = (__m512bh)_mm512_maskz_loadu_epi16(kept, m->a.bf16 + i * m->depth + l);
        for (int64_t c = 0; c < n; c++)
            sum[c] = _mm512_dpbf16_ps(
                sum[c], x, (__m512bh)bf16_from_floats(m->w + (j0 + c) * m->depth + l, left));
    }
    for (int64_t c = 0; c < n; c++)
        sums[c] = _mm512_reduce_add_ps(sum[c]);
}

static void thin_task(const void *data, int64_t index, float *scratch)
{
    const struct cpu_bf16_rows *m = data;
    int64_t end = cpu_min((index + 1) * THIN_COLS, m->cols);
    float tile[BF16_TILE] = {0};

    (void)scratch;
    for (int64_t j = index * THIN_COLS; j < end; j += BF16_NR)
        for (int64_t i = 0; i < m->rows; i++) {
            int64_t cols = cpu_min(BF16_NR, end - j), c = 0;
            for (; c + AT_ONCE <= cols; c += AT_ONCE)
                dots(m, i, j + c, AT_ONCE, tile + c);
            if (c < cols)
                dots(m, i, j + c, cols - c, tile + c);
            for (c = 0; m->bias && c < cols; c++)
                tile[c] += m->bias[j + c];
            finish(m, 1, cols, i * m->cols + j, tile);
        }
}

/* Of the whole weight; NULL: none is kept. */
static uint16_t *kept(struct mgpt_device *device, const struct cpu_bf16_rows *m, size_t bytes,
                      int *made)
{
    const struct cpu_matrix w = {.buffer = m->w_of,
                                 .at = m->w,
                                 .cols = m->cols,
                                 .depth = m->depth,
                                 .ld = m->w_transposed ? m->depth : m->cols,
                                 .order = m->w_transposed ? CPU_BF16_TRANSPOSED : CPU_BF16_PLAIN};

    return cpu_keep_copy(device, &w, bytes, made);
}

enum mgpt_status cpu_bf16_rows_run(struct mgpt_device *device, const struct cpu_bf16_rows *m,
                                   struct mgpt_error *error)
{
    struct job j = {
        .m = m, .panels = cpu_pieces(m->cols, BF16_NR), .row_blocks = cpu_pieces(m->rows, ROWS)};
    double values = (double)m->cols * (double)m->depth;

    if (m->rows <= THIN && m->w_transposed) {
        cpu_run(device, thin_task, m, cpu_pieces(m->cols, THIN_COLS), 4 * values);
        return MGPT_OK;
    }
    size_t bytes = (size_t)(j.panels * pairs_of(m->depth) * 2 * BF16_NR) * sizeof *j.packed;
    enum mgpt_status status = MGPT_OK;
    int made = 0;

    j.packed = kept(device, m, bytes, &made);
    if (!j.packed) {
        status = cpu_rounded(device, bytes, error);
        j.packed = device->rounded;
    }
    if (status != MGPT_OK)
        return status;
    if (!made)
        cpu_run(device, pack_task, &j, j.panels, 2 * values);
    cpu_run(device, rows_task, &j, j.row_blocks * cpu_pieces(m->cols, COLS),
            values * (double)m->rows);
    return MGPT_OK;
}
