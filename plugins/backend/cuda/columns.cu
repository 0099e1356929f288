/* Sums over rows. Two stages and no atomics: blocks sum shares of the rows, 32 columns at a time,
 * then the shares are added in order. */
#include "columns.cuh"

#define COLUMNS_LANES 32 /* columns of a block, side by side so that loads coalesce */
#define COLUMNS_ROWS 8   /* rows of a block at a time */
#define COLUMNS_SHARES 64

/* Grid: columns / 32, shares. parts is [2][shares][C]: sums of dy, then of dy xhat. */
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
    shared[threadIdx.x] = sum;
    shared[blockDim.x + threadIdx.x] = scaled;
    __syncthreads();
    if (row == 0 && c < C) {
        for (int r = 1; r < COLUMNS_ROWS; r++) {
            sum += shared[r * COLUMNS_LANES + lane];
            scaled += shared[blockDim.x + r * COLUMNS_LANES + lane];
        }
        parts[blockIdx.y * C + c] = sum;
        parts[(gridDim.y + blockIdx.y) * C + c] = scaled;
    }
}

static __global__ void column_totals(int64_t C, int64_t shares, const float *parts, float *out,
                                     float *gain)
{
    for (int64_t c = grid_index(); c < C; c += grid_size()) {
        float sum = 0, scaled = 0;
        for (int64_t k = 0; k < shares; k++) {
            sum += parts[k * C + c];
            scaled += parts[(shares + k) * C + c];
        }
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
    enum mgpt_status status;
    void *scratch;

    if (!gain)
        s.at = NULL;
    if (cuda_pieces(N, share) > COLUMNS_SHARES)
        share = cuda_pieces(N, COLUMNS_SHARES);
    shares = cuda_pieces(N, share);
    status = cuda_scratch(device, (size_t)(2 * shares * C) * sizeof(float), &scratch, error);
    if (status != MGPT_OK)
        return status;
    CUDA_LAUNCH(column_parts, dim3((unsigned)cuda_pieces(C, COLUMNS_LANES), (unsigned)shares),
                COLUMNS_LANES * COLUMNS_ROWS, 2 * COLUMNS_LANES * COLUMNS_ROWS * sizeof(float),
                device->stream, N, C, share, dy, s, stats, (float *)scratch);
    status = cuda_launched("column_parts", error);
    if (status != MGPT_OK)
        return status;
    CUDA_LAUNCH(column_totals, cuda_blocks(C, 128), 128, 0, device->stream, C, shares,
                (const float *)scratch, out, gain);
    return cuda_launched("column_totals", error);
}
