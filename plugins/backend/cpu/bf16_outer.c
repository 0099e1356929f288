/* dw += dy^T x in BF16. A task is a block of dw over all tokens, of which a chunk at a time is packed
 * in pairs: the order of every sum depends on the shape alone. */
#include "bf16_kernel.h"
#include "bf16_matmul.h"

#define CHUNK 256 /* tokens; even */
#define PAIRS (CHUNK / 2)
#define ROWS 128 /* of c, a task, at most */
#define COLS 128 /* of c, a task; a multiple of BF16_NR */
#define WANTED_TASKS 8

/* Scratch: chunks of both, in floats, as which pairs count. */
_Static_assert(PAIRS *(ROWS + COLS) * sizeof(float) <= CPU_SCRATCH, "scratch");

struct job {
    const struct cpu_bf16_outer *m;
    int64_t rows, across; /* rows of a task, tasks side by side */
};

/* Tokens l0..l1, columns from..from+n of b as panels [pairs][BF16_NR][2], padded with zeros. */
CPU_INLINE void pack_b(const struct cpu_bf16_outer *m, int64_t l0, int64_t l1, int64_t from,
                       int64_t n, uint16_t *to)
{
    int64_t pairs = (l1 - l0 + 1) / 2;

    for (int64_t l = l0; l < l1; l += 2, to += 2 * BF16_NR)
        for (int64_t c = 0; c < n; c += 16) {
            uint16_t *place = to + c / BF16_NR * pairs * 2 * BF16_NR + c % BF16_NR * 2;
            _mm512_storeu_si512(place, bf16_pairs(&m->b, m->cols, l, l1, from + c, n - c));
            if (n - c <= 16 && c % BF16_NR == 0) /* nothing for the panel's second half */
                _mm512_storeu_si512(place + BF16_NR, _mm512_setzero_si512());
        }
}

/* Columns of a as panels [pairs][BF16_MR][2]; two of them at a time. */
CPU_INLINE void pack_a(const struct cpu_bf16_outer *m, int64_t l0, int64_t l1, int64_t from,
                       int64_t n, uint16_t *to)
{
    int64_t panel = (l1 - l0 + 1) / 2 * 2 * BF16_MR;

    for (int64_t l = l0; l < l1; l += 2, to += 2 * BF16_MR)
        for (int64_t c = 0; c < n; c += 2 * BF16_MR) {
            __m512i pairs = bf16_pairs(&m->a, m->rows, l, l1, from + c, n - c);
            uint16_t *place = to + c / BF16_MR * panel;
            _mm256_storeu_si256((void *)place, _mm512_castsi512_si256(pairs));
            if (n - c > BF16_MR)
                _mm256_storeu_si256((void *)(place + panel), _mm512_extracti64x4_epi64(pairs, 1));
        }
}

/* sums (n) += the sum of tokens l0..l1 of columns from.. of a */
CPU_INLINE void add_rows(const struct cpu_bf16_outer *m, int64_t l0, int64_t l1, int64_t from,
                         int64_t n)
{
    float sum[ROWS] = {0}, row[ROWS];

    for (int64_t l = l0; l < l1; l++) {
        const float *a = cpu_row(&m->a, l * m->rows + from, n, row);
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            sum[i] += a[i];
    }
    for (int64_t i = 0; i < n; i++)
        m->row_sums[from + i] += sum[i];
}

/* c (rows i0..i1, columns j0..j1) += packed a b */
CPU_INLINE void add_tile(const struct cpu_bf16_outer *m, int64_t i0, int64_t i1, int64_t j0,
                         int64_t j1, int64_t pairs, const uint16_t *a, const uint16_t *b)
{
    for (int64_t j = j0; j < j1; j += BF16_NR)
        for (int64_t i = i0; i < i1; i += BF16_MR) {
            int64_t rows = cpu_min(BF16_MR, i1 - i), cols = cpu_min(BF16_NR, j1 - j);
            float *c = m->c + i * m->cols + j, tile[BF16_TILE];
            struct bf16_kernel k = {.pairs = pairs,
                                    .a = a + (i - i0) * 2 * pairs,
                                    .b = b + (j - j0) * 2 * pairs,
                                    .start = c,
                                    .ld_start = m->cols,
                                    .c = c,
                                    .ldc = m->cols};
            if (cols < BF16_NR) {
                k.start = NULL;
                k.c = tile;
                k.ldc = BF16_NR;
            }
            bf16_kernel_run(rows, &k, 2, 2 * BF16_MR);
            for (int64_t r = 0; r < rows && cols < BF16_NR; r++)
                for (int64_t n = 0; n < cols; n++)
                    c[r * m->cols + n] += tile[r * BF16_NR + n];
        }
}

static void task(const void *data, int64_t index, float *scratch)
{
    const struct job *job = data;
    const struct cpu_bf16_outer *m = job->m;
    int64_t i0 = index / job->across * job->rows, j0 = index % job->across * COLS;
    int64_t i1 = cpu_min(i0 + job->rows, m->rows), j1 = cpu_min(j0 + COLS, m->cols);
    uint16_t *a = (uint16_t *)(void *)scratch, *b = a + 2 * PAIRS * ROWS;

    for (int64_t l = 0; l < m->depth; l += CHUNK) {
        int64_t end = cpu_min(l + CHUNK, m->depth);
        if (j0 == 0 && m->row_sums)
            add_rows(m, l, end, i0, i1 - i0);
        if (!m->c)
            continue;
        pack_b(m, l, end, j0, j1 - j0, b);
        pack_a(m, l, end, i0, i1 - i0, a);
        add_tile(m, i0, i1, j0, j1, (end - l + 1) / 2, a, b);
    }
}

void cpu_bf16_outer_run(struct mgpt_device *device, const struct cpu_bf16_outer *m)
{
    struct job job = {m, ROWS, m->c ? cpu_pieces(m->cols, COLS) : 1};

    while (job.rows > 32 && cpu_pieces(m->rows, job.rows) * job.across < WANTED_TASKS)
        job.rows /= 2;
    cpu_run(device, task, &job, cpu_pieces(m->rows, job.rows) * job.across,
            (double)m->rows * (double)m->cols * (double)m->depth);
}
