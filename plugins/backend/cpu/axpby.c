/* y = scale x [+ value z] */
#include "ops.h"

#define PIECE 16384 /* elements a task */

struct job {
    const float *x, *z; /* z: or NULL */
    float *y, scale, value;
    int64_t n;
};

/* y may be x or z, element for element: so nothing here is restrict. */
static void task(const void *data, int64_t index, float *scratch)
{
    const struct job *j = data;
    int64_t from = index * PIECE, to = cpu_min(from + PIECE, j->n);

    (void)scratch;
    if (j->z) {
#pragma omp simd
        for (int64_t i = from; i < to; i++)
            j->y[i] = j->scale * j->x[i] + j->value * j->z[i];
    } else {
#pragma omp simd
        for (int64_t i = from; i < to; i++)
            j->y[i] = j->scale * j->x[i];
    }
}

enum mgpt_status cpu_axpby(struct mgpt_device *device, const struct mgpt_op *op,
                           struct mgpt_error *error)
{
    struct job job = {.x = cpu_f32(&op->in[0]),
                      .z = cpu_f32(&op->in[1]),
                      .y = cpu_f32(&op->out[0]),
                      .scale = (float)op->scale,
                      .value = (float)op->value,
                      .n = mgpt_tensor_count(&op->in[0])};

    (void)error;
    cpu_run(device, task, &job, cpu_pieces(job.n, PIECE), 3.0 * (double)job.n);
    return MGPT_OK;
}
