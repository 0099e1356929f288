/* y = value, everywhere */
#include "ops.h"

#define PIECE 65536

struct job {
    float *y, value;
    int64_t n;
};

static void task(const void *data, int64_t index, float *scratch)
{
    const struct job *j = data;
    int64_t n = cpu_min(PIECE, j->n - index * PIECE);
    float *y = j->y + index * PIECE, value = j->value;

    (void)scratch;
    for (int64_t i = 0; i < n; i++)
        y[i] = value;
}

enum mgpt_status cpu_fill(struct mgpt_device *device, const struct mgpt_op *op,
                          struct mgpt_error *error)
{
    struct job job = {cpu_f32(&op->out[0]), (float)op->value, mgpt_tensor_count(&op->out[0])};

    (void)error;
    cpu_run(device, task, &job, cpu_pieces(job.n, PIECE), (double)job.n);
    return MGPT_OK;
}
