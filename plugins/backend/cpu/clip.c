/* The norm of all gradients, and what UPDATE multiplies them with. core/ref/clip.c has the
 * formulas. */
#include <math.h>

#include "ops.h"

#define PIECE 16384

struct job {
    const float *g;
    int64_t n;
    double *partials; /* sum of squares of each task */
};

/* In double: squares of floats cannot overflow there, so the sum is finite if and only if all
 * gradients are. */
static void task(const void *data, int64_t index, float *scratch)
{
    const struct job *j = data;
    int64_t n = cpu_min(PIECE, j->n - index * PIECE);
    const float *g = j->g + index * PIECE;
    double sum = 0;

    (void)scratch;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += (double)g[i] * (double)g[i];
    j->partials[index] = sum;
}

enum mgpt_status cpu_clip(struct mgpt_device *device, const struct mgpt_op *op,
                          struct mgpt_error *error)
{
    struct mgpt_step_state state = *cpu_state(&op->in[1]);
    struct job job = {cpu_f32(&op->in[0]), mgpt_tensor_count(&op->in[0]), NULL};
    int64_t tasks = cpu_pieces(job.n, PIECE);
    enum mgpt_status status = cpu_partials(device, tasks, error);
    double sum = 0, factor = 1;

    if (status != MGPT_OK)
        return status;
    job.partials = device->partials;
    cpu_run(device, task, &job, tasks, 2.0 * (double)job.n);
    for (int64_t i = 0; i < tasks; i++)
        sum += job.partials[i];
    state.nonfinite = !isfinite(sum) || !isfinite(state.loss);
    state.grad_norm = sqrt(sum) / state.loss_scale;
    if (op->scale > 0 && state.grad_norm > op->scale)
        factor = op->scale / state.grad_norm;
    state.grad_scale = factor / state.loss_scale;
    *cpu_state(&op->out[0]) = state;
    return MGPT_OK;
}
