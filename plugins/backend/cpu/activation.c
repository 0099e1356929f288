/* Activations, element by element. */
#include "fastmath.h"

#define PIECE 4096

struct job {
    uint32_t kind;
    int64_t n;
    const float *x, *dy; /* dy NULL: forward */
    float *out;
};

static void task(const void *data, int64_t index, float *scratch)
{
    const struct job *j = data;
    int64_t from = index * PIECE, n = cpu_min(PIECE, j->n - from);

    (void)scratch;
    if (j->dy)
        cpu_slope_row(j->kind, n, j->x + from, j->dy + from, j->out + from);
    else
        cpu_act_row(j->kind, n, j->x + from, j->out + from);
}

enum mgpt_status cpu_activation(struct mgpt_device *device, const struct mgpt_op *op,
                                struct mgpt_error *error)
{
    struct job job = {op->activation, mgpt_tensor_count(&op->in[0]), cpu_f32(&op->in[0]), NULL,
                      cpu_f32(&op->out[0])};

    (void)error;
    cpu_run(device, task, &job, cpu_pieces(job.n, PIECE), 20.0 * (double)job.n);
    return MGPT_OK;
}

enum mgpt_status cpu_activation_backward(struct mgpt_device *device, const struct mgpt_op *op,
                                         struct mgpt_error *error)
{
    struct job job = {op->activation, mgpt_tensor_count(&op->in[0]), cpu_f32(&op->in[0]),
                      cpu_f32(&op->in[1]), cpu_f32(&op->out[0])};

    (void)error;
    cpu_run(device, task, &job, cpu_pieces(job.n, PIECE), 30.0 * (double)job.n);
    return MGPT_OK;
}
