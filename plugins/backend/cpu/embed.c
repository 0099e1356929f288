/* Embedding: x[b,t,:] = wte[ids[b,t],:] + wpe[position + t,:], and backward. */
#include <inttypes.h>

#include "ops.h"

#define ROWS 64    /* of x, a task forward */
#define COLUMNS 64 /* a task backward: each adds the rows in their order */

struct job {
    const int32_t *ids; /* (B,T) */
    const float *wte, *wpe, *dx;
    float *x, *dwte, *dwpe;
    int64_t N, T, C, position;
};

/* A device that runs on bad ids would write where nothing is. */
static enum mgpt_status check_ids(const int32_t *ids, int64_t n, int64_t V,
                                  struct mgpt_error *error)
{
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= V)
            return mgpt_fail(error, MGPT_INVALID,
                             "embed: id %" PRId32 " at index %" PRId64 " is not in 0..%" PRId64,
                             ids[i], i, V - 1);
    return MGPT_OK;
}

static void task(const void *data, int64_t index, float *scratch)
{
    const struct job *j = data;
    int64_t to = cpu_min((index + 1) * ROWS, j->N), C = j->C;

    (void)scratch;
    for (int64_t n = index * ROWS; n < to; n++) {
        const float *token = j->wte + j->ids[n] * C, *place = j->wpe + (j->position + n % j->T) * C;
        float *x = j->x + n * C;
#pragma omp simd
        for (int64_t c = 0; c < C; c++)
            x[c] = token[c] + place[c];
    }
}

enum mgpt_status cpu_embed(struct mgpt_device *device, const struct mgpt_op *op,
                           struct mgpt_error *error)
{
    struct job job = {.ids = cpu_i32(&op->in[0]),
                      .wte = cpu_f32(&op->in[1]),
                      .wpe = cpu_f32(&op->in[2]),
                      .x = cpu_f32(&op->out[0]),
                      .N = mgpt_tensor_count(&op->in[0]),
                      .T = op->in[0].shape[1],
                      .C = op->in[1].shape[1],
                      .position = op->position};
    enum mgpt_status status = check_ids(job.ids, job.N, op->in[1].shape[0], error);

    if (status == MGPT_OK)
        cpu_run(device, task, &job, cpu_pieces(job.N, ROWS), (double)job.N * (double)job.C);
    return status;
}

static void backward_task(const void *data, int64_t index, float *scratch)
{
    const struct job *j = data;
    int64_t from = index * COLUMNS, columns = cpu_min(COLUMNS, j->C - from), C = j->C;

    (void)scratch;
    for (int64_t n = 0; n < j->N; n++) {
        const float *dx = j->dx + n * C + from;
        float *restrict token = j->dwte + j->ids[n] * C + from;
        float *restrict place = j->dwpe + (j->position + n % j->T) * C + from;
        for (int64_t c = 0; c < columns; c++) {
            token[c] += dx[c];
            place[c] += dx[c];
        }
    }
}

enum mgpt_status cpu_embed_backward(struct mgpt_device *device, const struct mgpt_op *op,
                                    struct mgpt_error *error)
{
    struct job job = {.ids = cpu_i32(&op->in[0]),
                      .dx = cpu_f32(&op->in[1]),
                      .dwte = cpu_f32(&op->out[0]),
                      .dwpe = cpu_f32(&op->out[1]),
                      .N = mgpt_tensor_count(&op->in[0]),
                      .T = op->in[0].shape[1],
                      .C = op->out[0].shape[1],
                      .position = op->position};
    enum mgpt_status status = check_ids(job.ids, job.N, op->out[0].shape[0], error);

    if (status == MGPT_OK)
        cpu_run(device, backward_task, &job, cpu_pieces(job.C, COLUMNS),
                2.0 * (double)job.N * (double)job.C);
    return status;
}
