/* Products of matrices, in blocks over cpu_tile. A task is one block of c; its bounds depend on the
 * shape alone. */
#include "matmul.h"
#include "fastmath.h"
#include "tile.h"
#include "transpose.h"

#define BLOCK_COLS 64    /* of c */
#define BLOCK_ROWS 512   /* of c, at most */
#define BLOCK_DEPTH 256  /* of b, packed: 64 KB; a panel of 16 columns is 16 KB and stays in L1 */
#define DIRECT_DEPTH 128 /* b is read where it lies when it has no more rows than this */
#define WANTED_TASKS 64

/* From here on blocked.c wins: flops, and rows over which packing is spread. */
#define LARGE 4e6
#define LARGE_ROWS 32
/* Up to here thin.c does: packing b is not worth it. */
#define THIN_ROWS 4

/* Scratch: a packed block of b, then a block of c. */
#define PACKED (BLOCK_DEPTH * BLOCK_COLS)
_Static_assert((PACKED + BLOCK_ROWS * BLOCK_COLS) * sizeof(float) <= CPU_SCRATCH, "scratch");

struct job {
    const struct cpu_matmul *m;
    int64_t block_rows, across; /* blocks of c side by side */
};

/* Rows l0.. of b, columns j0..j0+cols, as panels of 16 columns, padded with zeros:
 * [panel][depth][16] */
CPU_INLINE void pack(const struct cpu_matmul *m, int64_t l0, int64_t depth, int64_t j0,
                     int64_t cols, float *to)
{
    for (int64_t j = 0; j < cols; j += CPU_COLS, to += depth * CPU_COLS) {
        int64_t n = cpu_min(CPU_COLS, cols - j);
        if (n < CPU_COLS)
            memset(to, 0, (size_t)(depth * CPU_COLS) * sizeof *to);
        if (m->b_transposed) {
            cpu_transpose(m->b + (j0 + j) * m->ldb + l0, m->ldb, n, depth, to, CPU_COLS);
        } else {
            for (int64_t l = 0; l < depth; l++)
                memcpy(to + l * CPU_COLS, m->b + (l0 + l) * m->ldb + j0 + j,
                       (size_t)n * sizeof *to);
        }
    }
}

/* What c starts from before rows l0.. of b: itself, bias or nothing. */
CPU_INLINE void set_start(const struct cpu_matmul *m, int64_t l0, int64_t j, struct cpu_tile *t)
{
    if (m->accumulate || l0 > 0) {
        t->start = t->c;
        t->ld_start = t->ldc;
    } else {
        t->start = m->bias ? m->bias + j : NULL;
        t->ld_start = 0;
    }
}

/* c (rows i0..i1, columns j0..j1), all of the depth. `c` is at element (i0,j0). */
CPU_INLINE void product(const struct cpu_matmul *m, int64_t i0, int64_t i1, int64_t j0, int64_t j1,
                        float *c, int64_t ldc, float *packed)
{
    int direct = !m->b_transposed && (j1 - j0) % CPU_COLS == 0 && m->depth <= DIRECT_DEPTH;

    for (int64_t l0 = 0; l0 < m->depth; l0 += BLOCK_DEPTH) {
        int64_t depth = cpu_min(BLOCK_DEPTH, m->depth - l0);
        if (!direct)
            pack(m, l0, depth, j0, j1 - j0, packed);
        for (int64_t i = i0; i < i1; i += CPU_ROWS)
            for (int64_t j = j0; j < j1; j += CPU_COLS) {
                struct cpu_tile t = {.depth = depth,
                                     .a_row = m->lda,
                                     .a_col = m->lda,
                                     .b = direct ? m->b + l0 * m->ldb + j
                                                 : packed + (j - j0) * depth,
                                     .ldb = direct ? m->ldb : CPU_COLS,
                                     .c = c + (i - i0) * ldc + j - j0,
                                     .ldc = ldc,
                                     .cols = cpu_min(CPU_COLS, j1 - j)};
                set_start(m, l0, j, &t);
                t.a = m->a_transposed ? m->a + l0 * m->lda + i : m->a + i * m->lda + l0;
                if (m->a_transposed)
                    cpu_tile_transposed(cpu_min(CPU_ROWS, i1 - i), &t);
                else
                    cpu_tile_plain(cpu_min(CPU_ROWS, i1 - i), &t);
            }
    }
}

/* The activation behind a block of c, or its slope. */
CPU_INLINE void finish(const struct cpu_matmul *m, int64_t i0, int64_t i1, int64_t j0, int64_t j1)
{
    for (int64_t i = i0; i < i1; i++) {
        int64_t at = i * m->cols + j0, n = j1 - j0;
        if (m->pre)
            memcpy(m->pre + at, m->c + at, (size_t)n * sizeof *m->pre);
        if (m->slope_of)
            cpu_slope_row(m->activation, n, m->slope_of + at, m->c + at, m->c + at);
        else
            cpu_act_row(m->activation, n, m->c + at, m->c + at);
    }
}

/* c += (a b) activation'(slope_of): the product is made apart. */
CPU_INLINE void finish_apart(const struct cpu_matmul *m, int64_t i0, int64_t i1, int64_t j0,
                             int64_t j1, float *block)
{
    for (int64_t i = i0; i < i1; i++, block += BLOCK_COLS) {
        int64_t at = i * m->cols + j0;
        cpu_slope_row(m->activation, j1 - j0, m->slope_of + at, block, block);
        for (int64_t j = 0; j < j1 - j0; j++)
            m->c[at + j] += block[j];
    }
}

static void block_task(const void *data, int64_t index, float *scratch)
{
    const struct job *job = data;
    const struct cpu_matmul *m = job->m;
    int64_t i0 = index / job->across * job->block_rows, j0 = index % job->across * BLOCK_COLS;
    int64_t i1 = cpu_min(i0 + job->block_rows, m->rows), j1 = cpu_min(j0 + BLOCK_COLS, m->cols);

    if (m->accumulate && m->slope_of) {
        struct cpu_matmul apart = *m;
        apart.accumulate = 0;
        product(&apart, i0, i1, j0, j1, scratch + PACKED, BLOCK_COLS, scratch);
        finish_apart(m, i0, i1, j0, j1, scratch + PACKED);
        return;
    }
    product(m, i0, i1, j0, j1, m->c + i0 * m->cols + j0, m->cols, scratch);
    if (m->activation)
        finish(m, i0, i1, j0, j1);
}

/* row_sums += sums of the rows of a transposed A */
static void sum_task(const void *data, int64_t index, float *scratch)
{
    const struct cpu_matmul *m = data;
    int64_t i0 = index * BLOCK_COLS, rows = cpu_min(BLOCK_COLS, m->rows - i0);
    float *restrict sum = m->row_sums + i0;

    (void)scratch;
    for (int64_t l = 0; l < m->depth; l++) {
        const float *a = m->a + l * m->lda + i0;
        for (int64_t i = 0; i < rows; i++)
            sum[i] += a[i];
    }
}

void cpu_matmul_run(struct mgpt_device *device, const struct cpu_matmul *m)
{
    double work = 2.0 * (double)m->rows * (double)m->cols * (double)m->depth;
    struct job job = {m, BLOCK_ROWS, cpu_pieces(m->cols, BLOCK_COLS)};

    if (m->c && work >= LARGE && m->rows >= LARGE_ROWS && !(m->accumulate && m->slope_of)) {
        cpu_matmul_blocked(device, m);
        return;
    }
    if (m->rows <= THIN_ROWS && m->b_transposed && !m->a_transposed && !m->accumulate &&
        !m->slope_of) {
        cpu_matmul_thin(device, m);
        return;
    }
    if (m->row_sums)
        cpu_run(device, sum_task, m, cpu_pieces(m->rows, BLOCK_COLS),
                (double)m->rows * (double)m->depth);
    if (!m->c)
        return;
    while (job.block_rows > 32 && cpu_pieces(m->rows, job.block_rows) * job.across < WANTED_TASKS)
        job.block_rows /= 2;
    cpu_run(device, block_task, &job, cpu_pieces(m->rows, job.block_rows) * job.across, work);
}
