/* y[n,c] = a[n,c] + b[n,c], or + b[c] */
#include "mixed.h"

#define PIECE 4096 /* elements a task, about */

struct job {
    const float *a;
    struct cpu_mixed b, y;
    int64_t rows, columns, rows_task;
    int one_row; /* b is one row */
};

static void task(const void *data, int64_t index, float *scratch)
{
    const struct job *j = data;
    int64_t C = j->columns, from = index * j->rows_task;
    int64_t to = cpu_min(from + j->rows_task, j->rows);

    for (int64_t n = from; n < to; n++) {
        const float *a = j->a + n * C, *b = cpu_row(&j->b, j->one_row ? 0 : n * C, C, scratch);
        float *y = cpu_row_out(&j->y, n * C, scratch + C);
#pragma omp simd
        for (int64_t c = 0; c < C; c++)
            y[c] = a[c] + b[c];
        cpu_row_done(&j->y, n * C, C, y);
    }
}

enum mgpt_status cpu_add(struct mgpt_device *device, const struct mgpt_op *op,
                         struct mgpt_error *error)
{
    struct job job = {.a = cpu_f32(&op->in[0]),
                      .b = cpu_mixed(&op->in[1]),
                      .y = cpu_mixed(&op->out[0]),
                      .rows = mgpt_tensor_rows(&op->in[0]),
                      .columns = mgpt_tensor_columns(&op->in[0])};

    enum mgpt_status status = cpu_scratch(device, 2 * (size_t)job.columns * sizeof(float), error);

    if (status != MGPT_OK)
        return status;
    job.one_row = mgpt_tensor_count(&op->in[1]) < job.rows * job.columns;
    job.rows_task = cpu_pieces(PIECE, job.columns);
    cpu_run(device, task, &job, cpu_pieces(job.rows, job.rows_task),
            (double)job.rows * (double)job.columns);
    return MGPT_OK;
}
