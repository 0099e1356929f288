/* Our own product of matrices: tiles in shared memory, 8 x 8 sums a thread in registers.
 *
 * A block makes a TILE x TILE piece of c and takes DEPTH terms of the sum at a time. Few pieces with
 * long sums would leave most of the device idle: then the sums are cut into shares as well, which a
 * second kernel adds in order. That one also does what is more than a bias: in here, unrolled 64
 * times, it would take the registers of the sums. */
#include "activation.cuh"
#include "matmul.h"

#define DEPTH 16
#define REG 8 /* rows and columns of a thread: two groups of four, TILE / 2 apart */
#define MAX_SHARES 32

static __device__ inline void finish_one(const struct cuda_product &p, int64_t i, int64_t j,
                                         float sum)
{
    int64_t at = i * p.J + j;

    if (p.bias)
        sum += p.bias[j];
    if (p.pre)
        p.pre[at] = sum;
    sum = p.slope_of ? sum * activation_slope(p.activation, p.slope_of[at])
                     : activate(p.activation, sum);
    p.c[at] = p.accumulate ? p.c[at] + sum : sum;
}

/* rows from..from + TILE - 1 and terms l.. of x (rows x terms) into tile[DEPTH][TILE + 4]; what is
 * past the ends is 0. By neighbouring threads along the dimension that is contiguous. */
template <int TILE, int ALONG_TERMS>
static __device__ inline void load_tile(const float *x, int64_t stride, int64_t rows, int64_t from,
                                        int64_t terms, int64_t l, float *tile)
{
    constexpr int THREADS = (TILE / REG) * (TILE / REG);

#pragma unroll
    for (int e = (int)threadIdx.x; e < TILE * DEPTH; e += THREADS) {
        int d = ALONG_TERMS ? e % DEPTH : e / TILE, r = ALONG_TERMS ? e / DEPTH : e % TILE;
        int64_t i = from + r, k = l + d;
        float value = 0;
        if (i < rows && k < terms)
            value = ALONG_TERMS ? x[i * stride + k] : x[k * stride + i];
        tile[d * (TILE + 4) + r] = value;
    }
}

/* Four floats from an address that is a multiple of 16. */
static __device__ inline void load4(const float *from, float *to)
{
    float4 v = *reinterpret_cast<const float4 *>(from);

    to[0] = v.x;
    to[1] = v.y;
    to[2] = v.z;
    to[3] = v.w;
}

/* sum += a b over the DEPTH terms in shared memory */
template <int TILE>
static __device__ inline void multiply_tiles(const float *a, const float *b, int ty, int tx,
                                             float sum[REG][REG])
{
#pragma unroll 2 /* more would need more registers than there are */
    for (int d = 0; d < DEPTH; d++, a += TILE + 4, b += TILE + 4) {
        float x[REG], y[REG];
        load4(a + 4 * ty, x);
        load4(a + TILE / 2 + 4 * ty, x + 4);
        load4(b + 4 * tx, y);
        load4(b + TILE / 2 + 4 * tx, y + 4);
#pragma unroll
        for (int i = 0; i < REG; i++)
#pragma unroll
            for (int j = 0; j < REG; j++)
                sum[i][j] += x[i] * y[j];
    }
}

/* --- idea: mlp --- */
/* Grid: pieces along J, pieces along I, shares of L. parts (shares,I,J), or NULL for one share. */
template <int TILE, int A_COLUMNS, int B_COLUMNS>
static __global__ void __launch_bounds__((TILE / REG) * (TILE / REG), TILE == 128 ? 2 : 4)
    matmul(struct cuda_product p, int64_t share, float *parts)
{
    CUDA_SHARED(float, shared);
    float *a = shared, *b = shared + DEPTH * (TILE + 4), sum[REG][REG] = {};
    int tx = (int)threadIdx.x % (TILE / REG), ty = (int)threadIdx.x / (TILE / REG);
    int64_t i0 = (int64_t)blockIdx.y * TILE, j0 = (int64_t)blockIdx.x * TILE;
    int64_t from = blockIdx.z * share, to = from + share < p.L ? from + share : p.L;

    for (int64_t l = from; l < to; l += DEPTH) {
        load_tile<TILE, !A_COLUMNS>(p.a, A_COLUMNS ? p.I : p.L, p.I, i0, to, l, a);
        load_tile<TILE, B_COLUMNS>(p.b, B_COLUMNS ? p.L : p.J, p.J, j0, to, l, b);
        __syncthreads();
        multiply_tiles<TILE>(a, b, ty, tx, sum);
        __syncthreads();
    }
#pragma unroll
    for (int r = 0; r < REG; r++)
#pragma unroll
        for (int c = 0; c < REG; c++) {
            int64_t i = i0 + (r / 4) * (TILE / 2) + 4 * ty + r % 4;
            int64_t j = j0 + (c / 4) * (TILE / 2) + 4 * tx + c % 4;
            if (i < p.I && j < p.J) {
                int64_t at = i * p.J + j;
                float value = sum[r][c] + (p.bias && !parts ? p.bias[j] : 0);
                if (parts)
                    parts[blockIdx.z * p.I * p.J + at] = value;
                else
                    p.c[at] = p.accumulate ? p.c[at] + value : value;
            }
        }
}

/* --- end of idea --- */
/* parts (shares,I,J), added in order; or with no shares what is in c. */
static __global__ void finish(struct cuda_product p, int64_t shares, const float *parts)
{
    int64_t n = p.I * p.J;

    for (int64_t at = grid_index(); at < n; at += grid_size()) {
        float sum = shares ? 0 : p.c[at];
        for (int64_t k = 0; k < shares; k++)
            sum += parts[k * n + at];
        finish_one(p, at / p.J, at % p.J, sum);
    }
}

enum mgpt_status cuda_finish(struct mgpt_device *device, const struct cuda_product *p,
                             struct mgpt_error *error)
{
    CUDA_LAUNCH(finish, cuda_blocks(p->I * p->J, 256), 256, 0, device->stream, *p, (int64_t)0,
                (const float *)NULL);
    return cuda_launched("finish", error);
}

template <int TILE>
static void launch(struct mgpt_device *device, const struct cuda_product *p, int64_t shares,
                   int64_t share, float *parts)
{
    dim3 grid((unsigned)cuda_pieces(p->J, TILE), (unsigned)cuda_pieces(p->I, TILE),
              (unsigned)shares);
    unsigned threads = (TILE / REG) * (TILE / REG);
    size_t shared = 2 * DEPTH * (TILE + 4) * sizeof(float);

    if (p->a_layout == CUDA_ROWS && p->b_layout == CUDA_COLUMNS)
        CUDA_LAUNCH((matmul<TILE, 0, 1>), grid, threads, shared, device->stream, *p, share, parts);
    else if (p->a_layout == CUDA_ROWS)
        CUDA_LAUNCH((matmul<TILE, 0, 0>), grid, threads, shared, device->stream, *p, share, parts);
    else
        CUDA_LAUNCH((matmul<TILE, 1, 0>), grid, threads, shared, device->stream, *p, share, parts);
}

/* Shares that keep every multiprocessor busy, but at least 8 tiles deep. */
static int64_t count_shares(const struct mgpt_device *device, const struct cuda_product *p,
                            int64_t pieces)
{
    int64_t shares = cuda_pieces(2 * device->multiprocessors, pieces);
    int64_t most = p->L / (8 * DEPTH);

    shares = shares < most ? shares : most;
    shares = shares < MAX_SHARES ? shares : MAX_SHARES;
    return shares > 1 ? shares : 1;
}

enum mgpt_status cuda_matmul(struct mgpt_device *device, const struct cuda_product *p,
                             struct mgpt_error *error)
{
    int64_t large = cuda_pieces(p->I, 128) * cuda_pieces(p->J, 128), small, shares, share;
    enum mgpt_status status = MGPT_OK;
    int more = p->activation || p->pre || p->slope_of;
    void *parts = NULL;

    if (p->a_layout == CUDA_COLUMNS && p->b_layout == CUDA_COLUMNS)
        return mgpt_fail(error, MGPT_INTERNAL, "matmul: both matrices are transposed");
    small = cuda_pieces(p->I, 64) * cuda_pieces(p->J, 64);
    shares = large >= device->multiprocessors ? 1 : count_shares(device, p, small);
    share = cuda_pieces(cuda_pieces(p->L, shares), DEPTH) * DEPTH;
    shares = cuda_pieces(p->L, share);
    if (shares > 1 || (more && p->accumulate))
        status =
            cuda_scratch(device, (size_t)(shares * p->I * p->J) * sizeof(float), &parts, error);
    else if (more)
        parts = p->c; /* in place */
    if (status != MGPT_OK)
        return status;
    if (large >= device->multiprocessors)
        launch<128>(device, p, shares, share, (float *)parts);
    else
        launch<64>(device, p, shares, share, (float *)parts);
    status = cuda_launched("matmul", error);
    if (status != MGPT_OK || !parts)
        return status;
    CUDA_LAUNCH(finish, cuda_blocks(p->I * p->J, 256), 256, 0, device->stream, *p, shares,
                (const float *)parts);
    return cuda_launched("finish", error);
}
