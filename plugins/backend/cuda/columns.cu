/* Sums over rows. Two stages and no atomics: blocks sum shares of the rows, 32 columns at a time,
 * then the shares are added in order. */
#include "columns.cuh"

#define COLUMNS_LANES 32 /* columns of a block, side by side so that loads coalesce */
#define COLUMNS_ROWS 8   /* rows of a block at a time */
#define COLUMNS_SHARES 64

/* Both sums of a column over the rows of the block, in order: for the threads of its first row. */
static __device__ inline void add_rows(float *sum, float *scaled, float *shared)
{
    shared[threadIdx.x] = *sum;
    shared[blockDim.x + threadIdx.x] = *scaled;
    __syncthreads();
    if (threadIdx.x < COLUMNS_LANES)
        for (int at = (int)threadIdx.x + COLUMNS_LANES; at < (int)blockDim.x; at += COLUMNS_LANES) {
            *sum += shared[at];
            *scaled += shared[blockDim.x + at];
        }
}

/* Grid: columns / 32, shares. parts is [2][shares][C]: sums of dy, then, where there is s, of dy
 * xhat. */
static __global__ void column_parts(int64_t N, int64_t C, int64_t share, struct cuda_mixed dy,
                                    struct cuda_mixed s, const float *stats, float *parts)
{
    CUDA_SHARED(float, shared); /* [2][COLUMNS_ROWS][COLUMNS_LANES] */
    int lane = (int)threadIdx.x % COLUMNS_LANES, row = (int)threadIdx.x / COLUMNS_LANES;
    int64_t c = (int64_t)blockIdx.x * COLUMNS_LANES + lane, from = blockIdx.y * share;
    int64_t to = from + share < N ? from + share : N;
    float sum = 0, scaled = 0;

    for (int64_t n = from + row; c < C && n < to; n += COLUMNS_ROWS) {
        float d = get(dy, n * C + c);
        sum += d;
        if (s.at)
            scaled += d * (get(s, n * C + c) - stats[2 * n]) * stats[2 * n + 1];
    }
    add_rows(&sum, &scaled, shared);
    if (row == 0 && c < C) {
        parts[blockIdx.y * C + c] = sum;
        if (s.at)
            parts[(gridDim.y + blockIdx.y) * C + c] = scaled;
    }
}

/* Grid: columns / 32. Each row of the block adds up some of the shares. */
static __global__ void column_totals(int64_t C, int64_t shares, const float *parts, float *out,
                                     float *gain)
{
    CUDA_SHARED(float, shared); /* [2][COLUMNS_ROWS][COLUMNS_LANES] */
    int lane = (int)threadIdx.x % COLUMNS_LANES, row = (int)threadIdx.x / COLUMNS_LANES;
    int64_t c = (int64_t)blockIdx.x * COLUMNS_LANES + lane;
    float sum = 0, scaled = 0;

    for (int64_t k = row; c < C && k < shares; k += COLUMNS_ROWS) {
        sum += parts[k * C + c];
        if (gain)
            scaled += parts[(shares + k) * C + c];
    }
    add_rows(&sum, &scaled, shared);
    if (row == 0 && c < C) {
        if (out)
            out[c] += sum;
        if (gain)
            gain[c] += scaled;
    }
}

enum mgpt_status cuda_column_sums(struct mgpt_device *device, int64_t N, int64_t C,
                                  struct cuda_mixed dy, float *out, struct cuda_mixed s,
                                  const float *stats, float *gain, struct mgpt_error *error)
{
    int64_t share = 4 * COLUMNS_ROWS, shares;
    unsigned wide = (unsigned)cuda_pieces(C, COLUMNS_LANES), threads = COLUMNS_LANES * COLUMNS_ROWS;
    enum mgpt_status status;
    void *scratch;

    if (!gain)
        s.at = NULL;
    if (cuda_pieces(N, share) > COLUMNS_SHARES)
        share = cuda_pieces(N, COLUMNS_SHARES);
    shares = cuda_pieces(N, share);
    status = cuda_scratch(device, (size_t)((gain ? 2 : 1) * shares * C) * sizeof(float), &scratch,
                          error);
    if (status != MGPT_OK)
        return status;
    CUDA_LAUNCH(column_parts, dim3(wide, (unsigned)shares), threads, 2 * threads * sizeof(float),
                device->stream, N, C, share, dy, s, stats, (float *)scratch);
    status = cuda_launched("column_parts", error);
    if (status != MGPT_OK)
        return status;
    CUDA_LAUNCH(column_totals, wide, threads, 2 * threads * sizeof(float), device->stream, C,
                shares, (const float *)scratch, out, gain);
    return cuda_launched("column_totals", error);
}
