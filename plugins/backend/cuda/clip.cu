/* The norm of all gradients, and what UPDATE multiplies them with. Formulas: core/ref/clip.c
 *
 * In double, since squares overflow a float long before gradients do. Two stages: every block sums
 * a fixed share into its own place, then one block adds these in order. */
#include "kernel.cuh"

#define CLIP_THREADS 256
#define CLIP_SHARE (CLIP_THREADS * 16) /* elements, at least */
#define CLIP_PARTS 2048                /* at most */

/* --- idea: clip --- */
/* share: elements of a block, a multiple of its threads */
static __global__ void sum_squares(int64_t n, int64_t share, const float *g, double *parts)
{
    CUDA_SHARED(double, shared);
    int64_t from = blockIdx.x * share, to = from + share < n ? from + share : n;
    double sum = 0;

    for (int64_t i = from + threadIdx.x; i < to; i += blockDim.x)
        sum += (double)g[i] * g[i];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0)
        parts[blockIdx.x] = sum;
}

static __global__ void clip_scale(int n, const double *parts, double clip,
                                  struct mgpt_step_state *state)
{
    CUDA_SHARED(double, shared);
    double sum = 0;

    for (int i = (int)threadIdx.x; i < n; i += (int)blockDim.x)
        sum += parts[i];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) {
        double norm = sqrt(sum) / state->loss_scale;
        state->nonfinite = !isfinite(sum) || !isfinite(state->loss);
        state->grad_norm = norm;
        state->grad_scale = (clip > 0 && norm > clip ? clip / norm : 1) / state->loss_scale;
    }
}

/* --- end of idea --- */
enum mgpt_status cuda_clip(struct mgpt_device *device, const struct mgpt_op *op,
                           struct mgpt_error *error)
{
    int64_t n = mgpt_tensor_count(&op->in[0]), share = CLIP_SHARE, parts;
    size_t shared = CLIP_THREADS / CUDA_WARP * sizeof(double);
    enum mgpt_status status;
    void *scratch;

    while (cuda_pieces(n, share) > CLIP_PARTS)
        share *= 2;
    parts = cuda_pieces(n, share);
    status = cuda_scratch(device, (size_t)parts * sizeof(double), &scratch, error);
    if (status != MGPT_OK)
        return status;
    CUDA_LAUNCH(sum_squares, (unsigned)parts, CLIP_THREADS, shared, device->stream, n, share,
                cuda_f32(&op->in[0]), (double *)scratch);
    status = cuda_launched("sum_squares", error);
    if (status != MGPT_OK)
        return status;
    CUDA_LAUNCH(clip_scale, 1, CLIP_THREADS, shared, device->stream, (int)parts,
                (const double *)scratch, op->scale, cuda_state(&op->out[0]));
    return cuda_launched("clip_scale", error);
}
