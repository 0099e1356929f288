/* Large products of matrices.
 *
 * y = x w^T and dx = dy w: the weight is packed once into panels of CPU_NR columns; then a task is
 * a block of rows of x, read where they lie, times as much of the weight as half of L2 holds.
 * dw += dy^T x: a task is a block of dw over all rows of dy and x, which are read where they lie: a
 * chunk of them stays in L2, and the next comes there meanwhile.
 *
 * The order of every sum depends on the shape alone: depth is cut in chunks, which are added in
 * their order. How c is cut changes no sum. */
#include "fastmath.h"
#include "kernel.h"
#include "matmul.h"
#include "transpose.h"

#define DEPTH 128          /* a chunk: a panel of it and CPU_MR rows stay in L1 */
#define GROUP_DEPTH 4096   /* chunks packed at once */
#define WALKED (1 << 17)   /* floats of the packed weight, a task */
#define ROWS (16 * CPU_MR) /* of c, a task, at most */
#define SHARES 16          /* few rows are cut so often: the last task keeps others waiting */

struct job {
    const struct cpu_matmul *m;
    float *packed;     /* [chunk][panel][its rows][CPU_NR] */
    int64_t j0, cols;  /* columns packed */
    int64_t l0, depth; /* rows packed */
    int64_t panels, block_cols, block_rows, row_blocks;
};

/* Columns j..j+n of rows l.. of B, as [depth][CPU_NR], padded with zeros. */
CPU_INLINE void pack_panel(const struct cpu_matmul *m, int64_t l0, int64_t depth, int64_t j,
                           int64_t n, float *to)
{
    if (n < CPU_NR)
        memset(to, 0, (size_t)(depth * CPU_NR) * sizeof *to);
    if (m->b_transposed) {
        cpu_transpose(m->b + j * m->ldb + l0, m->ldb, n, depth, to, CPU_NR);
    } else if (n == CPU_NR) {
        for (int64_t l = 0; l < depth; l++)
            memcpy(to + l * CPU_NR, m->b + (l0 + l) * m->ldb + j, CPU_NR * sizeof *to);
    } else {
        for (int64_t l = 0; l < depth; l++)
            memcpy(to + l * CPU_NR, m->b + (l0 + l) * m->ldb + j, (size_t)n * sizeof *to);
    }
}

static void pack_task(const void *data, int64_t panel, float *scratch)
{
    const struct job *j = data;

    (void)scratch;
    for (int64_t l = 0; l < j->depth; l += DEPTH) {
        int64_t depth = cpu_min(DEPTH, j->depth - l);
        pack_panel(j->m, j->l0 + l, depth, j->j0 + panel * CPU_NR,
                   cpu_min(CPU_NR, j->cols - panel * CPU_NR),
                   j->packed + (l * j->panels + panel * depth) * CPU_NR);
    }
}

/* ---- rows times a packed matrix ---- */

/* The activation behind a strip of c, or its slope. */
CPU_INLINE void finish(const struct cpu_matmul *m, int64_t i0, int64_t i1, int64_t j0, int64_t n)
{
    for (int64_t i = i0; m->activation && i < i1; i++) {
        int64_t at = i * m->cols + j0;
        if (m->slope_of)
            cpu_slope_row(m->activation, n, m->slope_of + at, m->c + at, m->c + at);
        else
            cpu_act_row(m->activation, n, (m->pre ? m->pre : m->c) + at, m->c + at);
    }
}

/* Rows from..to of n floats come to L2: products wait for memory otherwise, longer than they
 * take. */
CPU_INLINE void fetch_rows(const float *rows, int64_t ld, int64_t from, int64_t to, int64_t n)
{
    for (int64_t l = from; l < to; l++)
        for (int64_t i = 0; i < n; i += 16)
            __builtin_prefetch(rows + l * ld + i, 0, 2);
}

/* Part `part` of `parts` of the strip of A below the one at a: it comes while this one is used. */
CPU_INLINE void fetch_next(const float *a, int64_t lda, int64_t depth, int64_t part, int64_t parts)
{
    int64_t from = depth * part / parts / 16 * 16, to = depth * (part + 1) / parts / 16 * 16;

    for (int64_t r = CPU_MR; r < 2 * CPU_MR; r++)
        for (int64_t l = from; l < to; l += 16)
            __builtin_prefetch(a + r * lda + l);
}

/* Rows i..i+rows, columns from..to of those packed, the chunk at l. */
CPU_INLINE void strip(const struct job *j, int64_t i, int64_t rows, int64_t from, int64_t to,
                      int64_t l)
{
    const struct cpu_matmul *m = j->m;
    int64_t depth = cpu_min(DEPTH, j->depth - l);
    int more = m->accumulate || j->l0 + l > 0;
    float *c = (m->pre ? m->pre : m->c) + i * m->cols + j->j0;
    struct cpu_kernel k = {.depth = depth,
                           .a = m->a + i * m->lda + j->l0 + l,
                           .a_row = m->lda,
                           .ldb = CPU_NR,
                           .ld_start = more ? m->cols : 0,
                           .ldc = m->cols};

    for (int64_t col = from; col < to; col += CPU_NR) {
        k.b = j->packed + l * j->panels * CPU_NR + col * depth;
        k.c = c + col;
        if (i + 2 * CPU_MR <= m->rows)
            fetch_next(k.a, m->lda, depth, (col - from) / CPU_NR,
                       (to - from + CPU_NR - 1) / CPU_NR);
        k.start = more ? k.c : m->bias ? m->bias + j->j0 + col : NULL;
        cpu_kernel_any(rows, cpu_min(CPU_NR, to - col), &k, k.a_row, 1);
    }
}

static void rows_task(const void *data, int64_t index, float *scratch)
{
    const struct job *j = data;
    int64_t i0 = index % j->row_blocks * j->block_rows;
    int64_t i1 = cpu_min(i0 + j->block_rows, j->m->rows);
    int64_t from = index / j->row_blocks * j->block_cols;
    int64_t to = cpu_min(from + j->block_cols, j->cols);

    (void)scratch;
    for (int64_t l = 0; l < j->depth; l += DEPTH)
        for (int64_t i = i0; i < i1; i += CPU_MR) {
            int64_t rows = cpu_min(CPU_MR, i1 - i);
            strip(j, i, rows, from, to, l);
            if (j->l0 + cpu_min(l + DEPTH, j->depth) == j->m->depth)
                finish(j->m, i, i + rows, j->j0 + from, to - from);
        }
}

/* The columns and the depth that `j` has. */
static void part_product(struct mgpt_device *device, struct job *j, int made)
{
    j->panels = cpu_pieces(j->cols, CPU_NR);
    if (!made)
        cpu_run(device, pack_task, j, j->panels, 2.0 * (double)j->cols * (double)j->depth);
    cpu_run(device, rows_task, j, j->row_blocks * cpu_pieces(j->cols, j->block_cols),
            2.0 * (double)j->m->rows * (double)j->cols * (double)j->depth);
}

/* With the whole weight in a copy that is kept; NULL: there is none. */
static float *kept(struct mgpt_device *device, const struct cpu_matmul *m, int *made)
{
    const struct cpu_matrix b = {.buffer = m->b_of,
                                 .at = m->b,
                                 .cols = m->cols,
                                 .depth = m->depth,
                                 .ld = m->ldb,
                                 .order = m->b_transposed ? CPU_TRANSPOSED : CPU_PLAIN};

    return cpu_keep_copy(
        device, &b, (size_t)(cpu_pieces(m->cols, CPU_NR) * CPU_NR * m->depth) * sizeof *m->b, made);
}

static void rows_product(struct mgpt_device *device, const struct cpu_matmul *m)
{
    int made = 0;
    struct job j = {.m = m, .packed = kept(device, m, &made), .cols = m->cols, .depth = m->depth};
    int64_t group = CPU_PACKED / cpu_min(m->depth, GROUP_DEPTH) / CPU_NR * CPU_NR;

    j.block_rows = cpu_min(ROWS, cpu_pieces(cpu_pieces(m->rows, SHARES), CPU_MR) * CPU_MR);
    j.row_blocks = cpu_pieces(m->rows, j.block_rows);
    j.block_cols = WALKED / cpu_min(m->depth, DEPTH) / CPU_NR * CPU_NR;
    if (j.packed) {
        part_product(device, &j, made);
        return;
    }
    j.packed = device->packed;
    for (j.j0 = 0; j.j0 < m->cols; j.j0 += group)
        for (j.l0 = 0; j.l0 < m->depth; j.l0 += GROUP_DEPTH) {
            j.cols = cpu_min(group, m->cols - j.j0);
            j.depth = cpu_min(GROUP_DEPTH, m->depth - j.l0);
            part_product(device, &j, 0);
        }
}

/* ---- columns times rows ---- */

#define CHUNK 128 /* rows of both in L2 at once */
#define TILE_ROWS 128
#define TILE_COLS 128
#define LEAST_ROWS 32

/* Scratch: a panel of the last columns, when they are fewer than CPU_NR. */
_Static_assert(CHUNK *CPU_NR * sizeof(float) <= CPU_SCRATCH, "scratch");

struct outer {
    const struct cpu_matmul *m;
    int64_t tile_rows, across;
};

/* sums (n) += the sum of `depth` rows of n <= TILE_ROWS */
CPU_INLINE void add_rows(const float *from, int64_t ld, int64_t depth, int64_t n, float *sums)
{
    float sum[TILE_ROWS] = {0};

    for (int64_t l = 0; l < depth; l++, from += ld)
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            sum[i] += from[i];
    for (int64_t i = 0; i < n; i++)
        sums[i] += sum[i];
}

struct tile {
    int64_t i0, i1, j0, j1; /* of c */
    int64_t l, depth, next; /* rows of a and b: this chunk, and the end of the next */
    int64_t fetched, fetch; /* rows of the next chunk: so far, and with each kernel */
};

/* Columns j..j+n of the tile += a^T b. `b` holds its rows. */
CPU_INLINE void add_columns(const struct cpu_matmul *m, struct tile *t, int64_t j, int64_t n,
                            const float *b, int64_t ldb)
{
    for (int64_t i = t->i0; i < t->i1; i += CPU_MR) {
        float *c = m->c + i * m->cols + j;
        struct cpu_kernel k = {.depth = t->depth,
                               .a = m->a + t->l * m->lda + i,
                               .b = b,
                               .ldb = ldb,
                               .start = c,
                               .ld_start = m->cols,
                               .c = c,
                               .ldc = m->cols};
        int64_t end = cpu_min(t->fetched + t->fetch, t->next);
        if (i + CPU_MR < t->i1) /* what is added to next comes meanwhile */
            fetch_rows(c + CPU_MR * m->cols, m->cols, 0, cpu_min(CPU_MR, t->i1 - i - CPU_MR), n);
        fetch_rows(m->b + t->j0, m->ldb, t->fetched, end, t->j1 - t->j0);
        fetch_rows(m->a + t->i0, m->lda, t->fetched, end, t->i1 - t->i0);
        t->fetched = end;
        cpu_kernel_any(cpu_min(CPU_MR, t->i1 - i), n, &k, 1, m->lda);
    }
}

static void outer_task(const void *data, int64_t index, float *scratch)
{
    const struct outer *o = data;
    const struct cpu_matmul *m = o->m;
    struct tile t = {.i0 = index / o->across * o->tile_rows, .j0 = index % o->across * TILE_COLS};
    int64_t kernels;

    t.i1 = cpu_min(t.i0 + o->tile_rows, m->rows);
    t.j1 = cpu_min(t.j0 + TILE_COLS, m->cols);
    kernels = cpu_pieces(t.i1 - t.i0, CPU_MR) * cpu_pieces(t.j1 - t.j0, CPU_NR);
    for (; t.l < m->depth; t.l += CHUNK) {
        t.depth = cpu_min(CHUNK, m->depth - t.l);
        t.fetched = t.l + t.depth;
        t.next = cpu_min(t.fetched + CHUNK, m->depth);
        t.fetch = cpu_pieces(t.next - t.fetched, kernels);
        if (t.j0 == 0 && m->row_sums)
            add_rows(m->a + t.l * m->lda + t.i0, m->lda, t.depth, t.i1 - t.i0, m->row_sums + t.i0);
        for (int64_t j = t.j0; j < t.j1; j += CPU_NR) {
            int64_t n = cpu_min(CPU_NR, t.j1 - j);
            if (n == CPU_NR) {
                add_columns(m, &t, j, n, m->b + t.l * m->ldb + j, m->ldb);
            } else {
                pack_panel(m, t.l, t.depth, j, n, scratch);
                add_columns(m, &t, j, n, scratch, CPU_NR);
            }
        }
    }
}

static void outer_product(struct mgpt_device *device, const struct cpu_matmul *m)
{
    struct outer o = {.m = m, .across = cpu_pieces(m->cols, TILE_COLS)};

    o.tile_rows = cpu_even_rows(device, m->rows, o.across, TILE_ROWS, LEAST_ROWS, CPU_MR);
    cpu_run(device, outer_task, &o, cpu_pieces(m->rows, o.tile_rows) * o.across,
            2.0 * (double)m->rows * (double)m->cols * (double)m->depth);
}

void cpu_matmul_blocked(struct mgpt_device *device, const struct cpu_matmul *m)
{
    if (m->a_transposed)
        outer_product(device, m);
    else
        rows_product(device, m);
}
