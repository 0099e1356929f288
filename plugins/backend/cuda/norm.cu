/* Normalisation of each row, with an optional sum before it. Formulas: core/ref/norm.c
 * A warp takes a row of a few thousand: its sums are shuffles. A row that is longer, as a whole
 * matrix that an optimizer scales, takes a block, and is summed in double. */
#include "columns.cuh"

#define NORM_WARPS 4 /* a block */
#define NORM_WIDE 16384
#define NORM_WIDE_THREADS 512

struct norm_args {
    int64_t N, C;
    int layer;
    float eps;
    struct cuda_mixed x, residual, gain, bias, y, s; /* s may be x or residual */
    float *stats;
};

/* Who sums a row: the threads that take it, and what they add in. */
struct norm_warp {
    typedef float real;
    static __device__ int lane()
    {
        return (int)threadIdx.x % CUDA_WARP;
    }
    static __device__ int lanes()
    {
        return CUDA_WARP;
    }
    static __device__ int64_t row()
    {
        return grid_index() / CUDA_WARP;
    }
    static __device__ int64_t rows()
    {
        return grid_size() / CUDA_WARP;
    }
    static __device__ float sum(float v)
    {
        return warp_sum(v);
    }
};

struct norm_block {
    typedef double real;
    static __device__ int lane()
    {
        return (int)threadIdx.x;
    }
    static __device__ int lanes()
    {
        return (int)blockDim.x;
    }
    static __device__ int64_t row()
    {
        return blockIdx.x;
    }
    static __device__ int64_t rows()
    {
        return gridDim.x;
    }
    static __device__ double sum(double v)
    {
        CUDA_SHARED(double, shared); /* [NORM_WIDE_THREADS / CUDA_WARP] */
        return block_sum(v, shared);
    }
};

/* --- idea: norm --- */
/* x [+ residual] */
static __device__ inline float summed(const struct norm_args &a, int64_t i)
{
    return get(a.x, i) + (a.residual.at ? get(a.residual, i) : 0);
}

template <class By> static __global__ void norm(struct norm_args a)
{
    int lane = By::lane(), lanes = By::lanes();
    int64_t C = a.C;

    for (int64_t n = By::row(); n < a.N; n += By::rows()) {
        typename By::real mean_sum = 0, var = 0;
        float mean = 0, rstd;
        if (a.layer) {
            for (int64_t c = lane; c < C; c += lanes)
                mean_sum += summed(a, n * C + c);
            mean = (float)(By::sum(mean_sum) / (typename By::real)C);
        }
        for (int64_t c = lane; c < C; c += lanes) {
            float d = summed(a, n * C + c) - mean;
            var += (typename By::real)d * d;
        }
        rstd = 1 / sqrtf((float)(By::sum(var) / (typename By::real)C) + a.eps);
        for (int64_t c = lane; c < C; c += lanes) {
            float s = summed(a, n * C + c);
            if (a.s.at)
                put(a.s, n * C + c, s);
            put(a.y, n * C + c,
                (s - mean) * rstd * (a.gain.at ? get(a.gain, c) : 1) +
                    (a.bias.at ? get(a.bias, c) : 0));
        }
        if (a.stats && lane == 0) {
            a.stats[2 * n] = mean;
            a.stats[2 * n + 1] = rstd;
        }
    }
}

/* --- end of idea --- */
struct norm_backward_args {
    int64_t N, C;
    int layer, accumulate;
    struct cuda_mixed s, dy, gain, ds;
    const float *stats;
};

/* With h = dy [* gain]:  ds = (h [- mean(h)] - xhat mean(h xhat)) / std */
static __global__ void norm_backward(struct norm_backward_args a)
{
    int lane = (int)threadIdx.x % CUDA_WARP;
    int64_t C = a.C;

    for (int64_t n = grid_index() / CUDA_WARP; n < a.N; n += grid_size() / CUDA_WARP) {
        float mean = a.stats[2 * n], rstd = a.stats[2 * n + 1], mean_h = 0, mean_hx = 0;
        for (int64_t c = lane; c < C; c += CUDA_WARP) {
            float h = get(a.dy, n * C + c) * (a.gain.at ? get(a.gain, c) : 1);
            mean_h += h;
            mean_hx += h * (get(a.s, n * C + c) - mean) * rstd;
        }
        mean_h = a.layer ? warp_sum(mean_h) / (float)C : 0;
        mean_hx = warp_sum(mean_hx) / (float)C;
        for (int64_t c = lane; c < C; c += CUDA_WARP) {
            float h = get(a.dy, n * C + c) * (a.gain.at ? get(a.gain, c) : 1);
            float d = (h - mean_h - (get(a.s, n * C + c) - mean) * rstd * mean_hx) * rstd;
            put(a.ds, n * C + c, a.accumulate ? get(a.ds, n * C + c) + d : d);
        }
    }
}

enum mgpt_status cuda_norm(struct mgpt_device *device, const struct mgpt_op *op,
                           struct mgpt_error *error)
{
    struct norm_args a = {};

    a.N = mgpt_tensor_rows(&op->in[0]);
    a.C = mgpt_tensor_columns(&op->in[0]);
    a.layer = op->norm == MGPT_NORM_LAYER;
    a.eps = (float)op->eps;
    a.x = cuda_mixed(&op->in[0]);
    a.residual = cuda_mixed(&op->in[1]);
    a.gain = cuda_mixed(&op->in[2]);
    a.bias = cuda_mixed(&op->in[3]);
    a.y = cuda_mixed(&op->out[0]);
    a.stats = cuda_f32(&op->out[1]);
    a.s = cuda_mixed(&op->out[2]);
    if (a.C > NORM_WIDE)
        CUDA_LAUNCH(norm<norm_block>, cuda_blocks(a.N, 1), NORM_WIDE_THREADS,
                    NORM_WIDE_THREADS / CUDA_WARP * sizeof(double), device->stream, a);
    else
        CUDA_LAUNCH(norm<norm_warp>, cuda_blocks(a.N, NORM_WARPS), NORM_WARPS * CUDA_WARP, 0,
                    device->stream, a);
    return cuda_launched("norm", error);
}

enum mgpt_status cuda_norm_backward(struct mgpt_device *device, const struct mgpt_op *op,
                                    struct mgpt_error *error)
{
    struct norm_backward_args a = {};
    float *dgain = cuda_f32(&op->out[1]), *dbias = cuda_f32(&op->out[2]);
    enum mgpt_status status;

    a.N = mgpt_tensor_rows(&op->in[0]);
    a.C = mgpt_tensor_columns(&op->in[0]);
    a.layer = op->norm == MGPT_NORM_LAYER;
    a.accumulate = op->flags & MGPT_OP_ACCUMULATE;
    a.s = cuda_mixed(&op->in[0]);
    a.stats = cuda_f32(&op->in[1]);
    a.dy = cuda_mixed(&op->in[2]);
    a.gain = cuda_mixed(&op->in[3]);
    a.ds = cuda_mixed(&op->out[0]);
    CUDA_LAUNCH(norm_backward, cuda_blocks(a.N, NORM_WARPS), NORM_WARPS * CUDA_WARP, 0,
                device->stream, a);
    status = cuda_launched("norm_backward", error);
    if (status != MGPT_OK || (!dgain && !dbias))
        return status;
    return cuda_column_sums(device, a.N, a.C, a.dy, dbias, a.s, a.stats, dgain, error);
}
