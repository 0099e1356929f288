/* y[n,c] = a[n,c] + b[n,c], or + b[c] */
#include "ops.h"

#define PIECE 4096 /* elements a task, about */

struct job {
    const float *a, *b;
    float *y;
    int64_t rows, columns, rows_task;
    int one_row; /* b is one row */
};

static void task(const void *data, int64_t index, float *scratch)
{
    const struct job *j = data;
    int64_t C = j->columns, from = index * j->rows_task;
    int64_t to = cpu_min(from + j->rows_task, j->rows);

    (void)scratch;
    for (int64_t n = from; n < to; n++) {
        const float *a = j->a + n * C, *b = j->one_row ? j->b : j->b + n * C;
        float *y = j->y + n * C;
#pragma omp simd
        for (int64_t c = 0; c < C; c++)
            y[c] = a[c] + b[c];
    }
}

enum mgpt_status cpu_add(struct mgpt_device *device, const struct mgpt_op *op,
                         struct mgpt_error *error)
{
    struct job job = {.a = cpu_f32(&op->in[0]),
                      .b = cpu_f32(&op->in[1]),
                      .y = cpu_f32(&op->out[0]),
                      .rows = mgpt_tensor_rows(&op->in[0]),
                      .columns = mgpt_tensor_columns(&op->in[0])};

    (void)error;
    job.one_row = mgpt_tensor_count(&op->in[1]) < job.rows * job.columns;
    job.rows_task = cpu_pieces(PIECE, job.columns);
    cpu_run(device, task, &job, cpu_pieces(job.rows, job.rows_task),
            (double)job.rows * (double)job.columns);
    return MGPT_OK;
}
