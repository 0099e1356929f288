/* Embedding: each position's vector is a row of the token table plus a row of the position table.
 *
 *   x[b,t,:] = wte[ids[b,t],:] + wpe[position + t,:]
 *   dwte[ids[b,t],:] += dx[b,t,:]      dwpe[position + t,:] += dx[b,t,:]
 * The device does not stop at an id that is out of range: its vector is NaN, which the loss shows
 * and CLIP catches; it gets no gradient. */
#include "formats.cuh"

/* --- idea: embedding --- */
/* A block takes rows of x. */
static __global__ void embed(int64_t rows, int64_t T, int64_t C, int64_t V, const int32_t *ids,
                             struct cuda_mixed wte, struct cuda_mixed wpe, int64_t position,
                             struct cuda_mixed x)
{
    for (int64_t n = blockIdx.x; n < rows; n += gridDim.x) {
        int64_t id = ids[n];
        int64_t place = (position + n % T) * C;
        for (int64_t c = threadIdx.x; c < C; c += blockDim.x)
            put(x, n * C + c, id >= 0 && id < V ? get(wte, id * C + c) + get(wpe, place + c) : NAN);
    }
}

/* --- end of idea --- */
/* dwpe: a block takes one position and adds up its B rows. */
static __global__ void position_gradient(int64_t B, int64_t T, int64_t C, struct cuda_mixed dx,
                                         float *dwpe)
{
    for (int64_t t = blockIdx.x; t < T; t += gridDim.x)
        for (int64_t c = threadIdx.x; c < C; c += blockDim.x) {
            float sum = 0;
            for (int64_t b = 0; b < B; b++)
                sum += get(dx, (b * T + t) * C + c);
            dwpe[t * C + c] += sum;
        }
}

/* Is there an equal id before row n? The same answer in every thread. */
static __device__ inline int seen_before(const int32_t *ids, int64_t n)
{
    int seen = 0;

    for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
        seen |= ids[i] == ids[n];
    return __syncthreads_or(seen);
}

/* The rows from..from + blockDim.x - 1 that have the id, in order, into `list`; returns how many. */
static __device__ inline int list_rows(const int32_t *ids, int64_t rows, int64_t from, int32_t id,
                                       int *list, int *counts)
{
    int warp = (int)threadIdx.x / CUDA_WARP, lane = (int)threadIdx.x % CUDA_WARP;
    int warps = (int)blockDim.x / CUDA_WARP, before = 0, all = 0;
    int64_t n = from + threadIdx.x;
    int mine = n < rows && ids[n] == id;
    unsigned votes = __ballot_sync(CUDA_ALL, mine);

    __syncthreads(); /* the list before this one has been read */
    if (lane == 0)
        counts[warp] = __popc(votes);
    __syncthreads();
    for (int w = 0; w < warps; w++) {
        before += w < warp ? counts[w] : 0;
        all += counts[w];
    }
    if (mine)
        list[before + __popc(votes & ((1u << lane) - 1))] = (int)threadIdx.x;
    __syncthreads();
    return all;
}

/* dwte without atomics: the block of an id's first row adds up all rows of that id, in order. */
static __global__ void token_gradient(int64_t rows, int64_t C, int64_t V, const int32_t *ids,
                                      struct cuda_mixed dx, float *dwte)
{
    CUDA_SHARED(int, list); /* [blockDim.x], then a count a warp */
    int *counts = list + blockDim.x;

    for (int64_t n = blockIdx.x; n < rows; n += gridDim.x) {
        int32_t id = ids[n];
        if (id < 0 || id >= V || seen_before(ids, n))
            continue;
        for (int64_t from = n; from < rows; from += blockDim.x) {
            int count = list_rows(ids, rows, from, id, list, counts);
            for (int64_t c = threadIdx.x; c < C; c += blockDim.x) {
                float sum = 0;
                for (int k = 0; k < count; k++)
                    sum += get(dx, (from + list[k]) * C + c);
                dwte[id * C + c] += sum;
            }
        }
    }
}

enum mgpt_status cuda_embed(struct mgpt_device *device, const struct mgpt_op *op,
                            struct mgpt_error *error)
{
    int64_t T = op->in[0].shape[1], rows = op->in[0].shape[0] * T;
    int64_t V = op->in[1].shape[0], C = op->in[1].shape[1];

    CUDA_LAUNCH(embed, cuda_blocks(rows, 1), C > 64 ? 128 : 32, 0, device->stream, rows, T, C, V,
                cuda_i32(&op->in[0]), cuda_mixed(&op->in[1]), cuda_mixed(&op->in[2]), op->position,
                cuda_mixed(&op->out[0]));
    return cuda_launched("embed", error);
}

enum mgpt_status cuda_embed_backward(struct mgpt_device *device, const struct mgpt_op *op,
                                     struct mgpt_error *error)
{
    int64_t B = op->in[0].shape[0], T = op->in[0].shape[1];
    int64_t V = op->out[0].shape[0], C = op->out[0].shape[1];
    unsigned threads = C > 64 ? 128 : 32;
    struct cuda_mixed dx = cuda_mixed(&op->in[1]);
    enum mgpt_status status;

    CUDA_LAUNCH(position_gradient, cuda_blocks(T, 1), threads, 0, device->stream, B, T, C, dx,
                cuda_f32(&op->out[1]) + op->position * C);
    status = cuda_launched("position_gradient", error);
    if (status != MGPT_OK)
        return status;
    CUDA_LAUNCH(token_gradient, cuda_blocks(B * T, 1), 128, (128 + 128 / CUDA_WARP) * sizeof(int),
                device->stream, B * T, C, V, cuda_i32(&op->in[0]), dx, cuda_f32(&op->out[0]));
    return cuda_launched("token_gradient", error);
}
