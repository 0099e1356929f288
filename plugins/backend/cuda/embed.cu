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

#define LANES 32 /* rows, or columns, side by side */
#define SLICES 8 /* shares of what each of them goes through */

/* Rows sorted by their ids, those of one id as they come: order[place] is a row, and counts[place]
 * how many have its id where it is the first of them, else 0. Each row counts those that come
 * before. */
static __global__ void sort_rows(int64_t rows, const int32_t *ids, int32_t *order, int32_t *counts)
{
    CUDA_SHARED(int, shared); /* [3][SLICES][LANES] */
    int lane = (int)threadIdx.x % LANES, slice = (int)threadIdx.x / LANES;

    for (int64_t first = (int64_t)blockIdx.x * LANES; first < rows;
         first += (int64_t)gridDim.x * LANES) {
        int64_t n = first + lane;
        int32_t id = n < rows ? ids[n] : 0;
        int smaller = 0, before = 0, same = 0;
        for (int64_t i = slice; i < rows; i += SLICES) {
            smaller += ids[i] < id;
            before += ids[i] == id && i < n;
            same += ids[i] == id;
        }
        shared[threadIdx.x] = smaller;
        shared[blockDim.x + threadIdx.x] = before;
        shared[2 * blockDim.x + threadIdx.x] = same;
        __syncthreads();
        if (slice == 0 && n < rows) {
            for (int s = 1; s < SLICES; s++) {
                smaller += shared[s * LANES + lane];
                before += shared[blockDim.x + s * LANES + lane];
                same += shared[2 * blockDim.x + s * LANES + lane];
            }
            order[smaller + before] = (int32_t)n;
            counts[smaller + before] = before ? 0 : same;
        }
        __syncthreads();
    }
}

/* dwte without atomics. Grid: places, pieces of C. The block of an id's first place adds up all
 * rows of that id: shares of them in order, then the shares. */
static __global__ void token_gradient(int64_t rows, int64_t C, int64_t V, const int32_t *ids,
                                      const int32_t *order, const int32_t *counts,
                                      struct cuda_mixed dx, float *dwte)
{
    CUDA_SHARED(float, sums); /* [SLICES][LANES] */
    int lane = (int)threadIdx.x % LANES, slice = (int)threadIdx.x / LANES;

    for (int64_t place = blockIdx.x; place < rows; place += gridDim.x) {
        int32_t count = counts[place], id = count ? ids[order[place]] : -1;
        if (id < 0 || id >= V)
            continue;
        for (int64_t c0 = (int64_t)blockIdx.y * LANES; c0 < C; c0 += (int64_t)gridDim.y * LANES) {
            int64_t c = c0 + lane;
            float sum = 0;
#pragma unroll 4
            for (int32_t k = slice; k < count; k += SLICES)
                sum += c < C ? get(dx, order[place + k] * C + c) : 0;
            sums[threadIdx.x] = sum;
            __syncthreads();
            if (slice == 0 && c < C) {
                for (int s = 1; s < SLICES && s < count; s++)
                    sum += sums[s * LANES + lane];
                dwte[id * C + c] += sum;
            }
            __syncthreads();
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
    unsigned threads = C > 64 ? 128 : 32, pieces = (unsigned)cuda_pieces(C, LANES);
    struct cuda_mixed dx = cuda_mixed(&op->in[1]);
    int64_t rows = B * T;
    enum mgpt_status status;
    int32_t *order;
    void *scratch;

    CUDA_LAUNCH(position_gradient, cuda_blocks(T, 1), threads, 0, device->stream, B, T, C, dx,
                cuda_f32(&op->out[1]) + op->position * C);
    status = cuda_launched("position_gradient", error);
    if (status != MGPT_OK)
        return status;
    status = cuda_scratch(device, (size_t)(2 * rows) * sizeof *order, &scratch, error);
    if (status != MGPT_OK)
        return status;
    order = (int32_t *)scratch;
    CUDA_LAUNCH(sort_rows, cuda_blocks(rows, LANES), LANES * SLICES,
                3 * LANES * SLICES * sizeof(int), device->stream, rows, cuda_i32(&op->in[0]), order,
                order + rows);
    status = cuda_launched("sort_rows", error);
    if (status != MGPT_OK)
        return status;
    CUDA_LAUNCH(token_gradient, dim3(cuda_blocks(rows, 1), pieces < 4 ? pieces : 4), LANES * SLICES,
                LANES * SLICES * sizeof(float), device->stream, rows, C, V, cuda_i32(&op->in[0]),
                order, order + rows, dx, cuda_f32(&op->out[0]));
    return cuda_launched("token_gradient", error);
}
