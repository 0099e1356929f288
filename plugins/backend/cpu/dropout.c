/* Dropout, and the draws of it. core/ref/dropout.c has the formulas. */
#include <microgpt/random.h>

#include "mixed.h"

#define PIECE 4096 /* elements a task */

/* Scratch: the factors of a piece, and the piece in F32. */
_Static_assert(2 * PIECE * sizeof(float) <= CPU_SCRATCH, "scratch");

/* Lanes of block `block` for elements i..end, at most to its end; returns where it stopped. */
CPU_INLINE uint64_t block_factors(const struct mgpt_op *op, uint32_t step, uint64_t i, uint64_t end,
                                  float keep, float *to, int64_t stride)
{
    struct mgpt_philox draws = mgpt_draw_block(op->seed, step, op->purpose, op->layer, i >> 2);

    for (; i < end; i++, to += stride) {
        *to = mgpt_keep(draws.v[i & 3], op->rate) ? keep : 0.0f;
        if ((i & 3) == 3)
            return i + 1;
    }
    return i;
}

static void factors(const struct mgpt_op *op, uint32_t step, uint64_t first, uint64_t end,
                    float *to, int64_t stride)
{
    const float keep = (float)(1 / (1 - op->rate));

    for (uint64_t i = first; i < end;) {
        uint64_t next = block_factors(op, step, i, end, keep, to, stride);
        to += (int64_t)(next - i) * stride;
        i = next;
    }
}

void cpu_drop_factors(const struct mgpt_op *op, uint64_t step, uint64_t first, int64_t n, float *to,
                      int64_t stride)
{
    factors(op, (uint32_t)step, first, first + (uint64_t)n, to, stride);
}

struct job {
    const struct mgpt_op *op;
    struct cpu_mixed x, y;
    int64_t n;
    uint64_t first, step;
};

static void task(const void *data, int64_t index, float *scratch)
{
    const struct job *j = data;
    int64_t from = index * PIECE, n = cpu_min(PIECE, j->n - from);
    const float *x = cpu_row(&j->x, from, n, scratch + PIECE);
    float *y = cpu_row_out(&j->y, from, scratch + PIECE);

    cpu_drop_factors(j->op, j->step, j->first + (uint64_t)from, n, scratch, 1);
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] * scratch[i];
    cpu_row_done(&j->y, from, n, y);
}

enum mgpt_status cpu_dropout(struct mgpt_device *device, const struct mgpt_op *op,
                             struct mgpt_error *error)
{
    struct job job = {.op = op,
                      .x = cpu_mixed(&op->in[0]),
                      .y = cpu_mixed(&op->out[0]),
                      .n = mgpt_tensor_count(&op->in[0]),
                      .first = (uint64_t)(op->row * mgpt_tensor_columns(&op->in[0])),
                      .step = cpu_state(&op->in[1])->step};

    (void)error;
    cpu_run(device, task, &job, cpu_pieces(job.n, PIECE), 20.0 * (double)job.n);
    return MGPT_OK;
}
