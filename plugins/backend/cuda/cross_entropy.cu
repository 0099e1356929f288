/* Softmax and cross entropy, with the gradient. Formulas: core/ref/cross_entropy.c
 *
 * A block takes a row: one pass over the logits for maximum and sum at once, a second one for the
 * gradient, in place if asked. Losses of rows are added in double, in an order of their own. A
 * target outside of the vocabulary makes the loss NaN, which CLIP catches. */
#include "formats.cuh"

/* sum of exp(z - max), on the go: a larger maximum rescales what was there. */
struct running {
    float max, sum;
};

static __device__ inline struct running join(struct running a, struct running b)
{
    struct running r;

    r.max = fmaxf(a.max, b.max); /* of nothing it is -inf, and the sum 0 */
    r.sum = (a.max == r.max ? a.sum : a.sum * expf(a.max - r.max)) +
            (b.max == r.max ? b.sum : b.sum * expf(b.max - r.max));
    return r;
}

static __device__ inline struct running block_join(struct running v, struct running *shared)
{
    int warps = (int)blockDim.x / CUDA_WARP;

    for (int o = CUDA_WARP / 2; o; o /= 2) {
        struct running other;
        other.max = __shfl_xor_sync(CUDA_ALL, v.max, o);
        other.sum = __shfl_xor_sync(CUDA_ALL, v.sum, o);
        v = join(v, other);
    }
    if (warps == 1)
        return v;
    if (threadIdx.x % CUDA_WARP == 0)
        shared[threadIdx.x / CUDA_WARP] = v;
    __syncthreads();
    v = shared[0];
    for (int w = 1; w < warps; w++)
        v = join(v, shared[w]);
    __syncthreads();
    return v;
}

/* --- idea: loss --- */
/* logits (N,V), targets (N); losses (N): log sum exp(logits) - logits[target], 0 without target */
static __global__ void cross_entropy(int64_t N, int64_t V, struct cuda_mixed logits,
                                     const int32_t *targets, const struct mgpt_step_state *state,
                                     double *losses, struct cuda_mixed dlogits)
{
    CUDA_SHARED(struct running, shared);
    float scale = (float)(state->inv_targets * state->loss_scale);

    for (int64_t n = blockIdx.x; n < N; n += gridDim.x) {
        int64_t target = targets[n];
        struct running v = {-INFINITY, 0};
        float lse, at_target = target >= 0 && target < V ? get(logits, n * V + target) : NAN;
        for (int64_t i = threadIdx.x; i < V; i += blockDim.x) {
            struct running one = {get(logits, n * V + i), 1};
            v = join(v, one);
        }
        v = block_join(v, shared);
        lse = v.max + logf(v.sum);
        if (threadIdx.x == 0)
            losses[n] = target == -1 ? 0 : (double)lse - at_target;
        __syncthreads(); /* dlogits may be logits, and every thread has read its target's */
        for (int64_t i = threadIdx.x; dlogits.at && i < V; i += blockDim.x) {
            float p = expf(get(logits, n * V + i) - lse);
            put(dlogits, n * V + i, target == -1 ? 0 : (p - (float)(i == target)) * scale);
        }
    }
}

/* --- end of idea --- */
static __global__ void total_loss(int64_t N, const double *losses, struct mgpt_step_state *state)
{
    CUDA_SHARED(double, shared);
    double sum = 0;

    for (int64_t n = threadIdx.x; n < N; n += blockDim.x)
        sum += losses[n];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0)
        state->loss += state->inv_targets * sum;
}

enum mgpt_status cuda_cross_entropy(struct mgpt_device *device, const struct mgpt_op *op,
                                    struct mgpt_error *error)
{
    int64_t N = mgpt_tensor_rows(&op->in[0]), V = mgpt_tensor_columns(&op->in[0]);
    unsigned threads = V <= 1024 ? CUDA_WARP : 256;
    struct mgpt_step_state *state = cuda_state(&op->out[0]);
    enum mgpt_status status;
    void *losses;

    status = cuda_scratch(device, (size_t)N * sizeof(double), &losses, error);
    if (status != MGPT_OK)
        return status;
    CUDA_LAUNCH(cross_entropy, cuda_blocks(N, 1), threads,
                threads / CUDA_WARP * sizeof(struct running), device->stream, N, V,
                cuda_mixed(&op->in[0]), cuda_i32(&op->in[1]), state, (double *)losses,
                cuda_mixed(&op->out[1]));
    status = cuda_launched("cross_entropy", error);
    if (status != MGPT_OK)
        return status;
    CUDA_LAUNCH(total_loss, 1, 256, 256 / CUDA_WARP * sizeof(double), device->stream, N,
                (const double *)losses, state);
    return cuda_launched("total_loss", error);
}
