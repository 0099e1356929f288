/* Softmax and cross entropy in one pass over the logits. core/ref/cross_entropy.c has the formulas.
 */
#include <inttypes.h>

#include "fastmath.h"

#define ROWS 16  /* a task */
#define LANES 16 /* of vectors */

struct job {
    const float *logits;    /* (N,V) */
    const int32_t *targets; /* (N) */
    float *dlogits;         /* (N,V) or NULL; may be logits */
    double *partials;       /* loss of each task */
    int64_t N, V;
    float scale; /* inv_targets * loss_scale */
};

/* In lanes: a plain loop for the largest is not vectorised, as compilers mind NaN and the sign of
 * 0. */
CPU_INLINE float row_max(const float *z, int64_t n)
{
    float lane[LANES], max = z[0];
    int64_t whole = n / LANES * LANES;

    for (int i = 0; i < LANES; i++)
        lane[i] = z[0];
    for (int64_t v = 0; v < whole; v += LANES)
        for (int i = 0; i < LANES; i++)
            lane[i] = z[v + i] > lane[i] ? z[v + i] : lane[i];
    for (int64_t v = whole; v < n; v++)
        max = z[v] > max ? z[v] : max;
    for (int i = 0; i < LANES; i++)
        max = lane[i] > max ? lane[i] : max;
    return max;
}

/* Sum of exp(z - max); the exponentials go to e, when there is one. Sums of 256 are added in
 * double. */
CPU_INLINE double row_exp(const float *z, int64_t n, float max, float *e)
{
    double total = 0;

    for (int64_t v0 = 0; v0 < n; v0 += 256) {
        int64_t end = cpu_min(v0 + 256, n);
        float sum = 0;
        if (e) {
#pragma omp simd reduction(+ : sum)
            for (int64_t v = v0; v < end; v++) {
                float x = cpu_expf(z[v] - max);
                e[v] = x;
                sum += x;
            }
        } else {
#pragma omp simd reduction(+ : sum)
            for (int64_t v = v0; v < end; v++)
                sum += cpu_expf(z[v] - max);
        }
        total += (double)sum;
    }
    return total;
}

static void task(const void *data, int64_t index, float *scratch)
{
    const struct job *j = data;
    int64_t to = cpu_min((index + 1) * ROWS, j->N), V = j->V;
    double loss = 0;

    (void)scratch;
    for (int64_t n = index * ROWS; n < to; n++) {
        const float *z = j->logits + n * V;
        float *dz = j->dlogits ? j->dlogits + n * V : NULL;
        if (j->targets[n] < 0) {
            if (dz)
                memset(dz, 0, (size_t)V * sizeof *dz);
            continue;
        }
        float max = row_max(z, V), at_target = z[j->targets[n]];
        double sum = row_exp(z, V, max, dz);
        loss += log(sum) + (double)max - (double)at_target;
        if (dz) {
            float factor = (float)((double)j->scale / sum);
#pragma omp simd
            for (int64_t v = 0; v < V; v++)
                dz[v] *= factor;
            dz[j->targets[n]] -= j->scale;
        }
    }
    j->partials[index] = loss;
}

static enum mgpt_status check_targets(const struct job *j, struct mgpt_error *error)
{
    for (int64_t n = 0; n < j->N; n++)
        if (j->targets[n] < -1 || j->targets[n] >= j->V)
            return mgpt_fail(error, MGPT_INVALID,
                             "cross_entropy: target %" PRId32 " at index %" PRId64
                             " is not in -1..%" PRId64,
                             j->targets[n], n, j->V - 1);
    return MGPT_OK;
}

enum mgpt_status cpu_cross_entropy(struct mgpt_device *device, const struct mgpt_op *op,
                                   struct mgpt_error *error)
{
    struct mgpt_step_state state = *cpu_state(&op->in[2]);
    struct job job = {.logits = cpu_f32(&op->in[0]),
                      .targets = cpu_i32(&op->in[1]),
                      .dlogits = cpu_f32(&op->out[1]),
                      .N = mgpt_tensor_rows(&op->in[0]),
                      .V = mgpt_tensor_columns(&op->in[0]),
                      .scale = (float)(state.inv_targets * state.loss_scale)};
    int64_t tasks = cpu_pieces(job.N, ROWS);
    enum mgpt_status status = check_targets(&job, error);
    double loss = 0;

    if (status == MGPT_OK)
        status = cpu_partials(device, tasks, error);
    if (status != MGPT_OK)
        return status;
    job.partials = device->partials;
    cpu_run(device, task, &job, tasks, 20.0 * (double)job.N * (double)job.V);
    for (int64_t i = 0; i < tasks; i++)
        loss += job.partials[i];
    state.loss += state.inv_targets * loss;
    *cpu_state(&op->out[0]) = state;
    return MGPT_OK;
}
