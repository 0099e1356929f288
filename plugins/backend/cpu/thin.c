/* Products of a few rows with a weight (cols,depth), which is read once, where it lies: bringing it
 * into panels would take longer than the product. */
#include "dots.h"
#include "fastmath.h"
#include "matmul.h"

#define BLOCK_COLS 64 /* of c, a task */

/* A weight that comes from afar takes as long as about this many flops. That makes threads worth it
 * from 1 MB on: for less, on a busy machine, waiting for each other costs more than is gained. */
#define FLOPS_A_WEIGHT 4.0

/* Columns j..j+n of row i of c. */
CPU_INLINE void columns(const struct cpu_matmul *m, int64_t i, int64_t j, int64_t n)
{
    cpu_vec c = cpu_dots(m->a + i * m->lda, m->b + j * m->ldb, m->ldb, n, m->depth);

    if (m->bias)
        c += cpu_load_up_to(m->bias + j, n);
    cpu_store_up_to((m->pre ? m->pre : m->c) + i * m->cols + j, c, n);
}

static void task(const void *data, int64_t index, float *scratch)
{
    const struct cpu_matmul *m = data;
    int64_t j0 = index * BLOCK_COLS, j1 = cpu_min(j0 + BLOCK_COLS, m->cols);

    (void)scratch;
    for (int64_t j = j0; j < j1; j += CPU_LANES)
        for (int64_t i = 0; i < m->rows; i++)
            columns(m, i, j, cpu_min(CPU_LANES, j1 - j));
    for (int64_t i = 0; m->activation && i < m->rows; i++) {
        int64_t at = i * m->cols + j0;
        cpu_act_row(m->activation, j1 - j0, (m->pre ? m->pre : m->c) + at, m->c + at);
    }
}

void cpu_matmul_thin(struct mgpt_device *device, const struct cpu_matmul *m)
{
    cpu_run(device, task, m, cpu_pieces(m->cols, BLOCK_COLS),
            FLOPS_A_WEIGHT * (double)m->cols * (double)m->depth);
}
