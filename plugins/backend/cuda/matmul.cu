/* Our own product of matrices in F32: tiles in shared memory, 8 x 8 sums a thread in registers.
 *
 * A block makes a TILE x TILE piece of c and takes DEPTH terms of the sum at a time. Few pieces
 * with long sums would leave most of the device idle: then the sums are cut into shares as well,
 * which a second kernel adds in order. That one also does what is more than a bias: in here,
 * unrolled 64 times, it would take the registers of the sums. */
#include "finish.cuh"

#define DEPTH 16
#define REG 8 /* rows and columns of a thread: two groups of four, TILE / 2 apart */
#define MAX_SHARES 32
#define LEAST_SHARE 128 /* terms of the sum */

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
/* Grid: pieces along J, pieces along I, shares of L. a, b and, when there are no parts, bias and c
 * are F32. parts (shares,I,J), or NULL for one share. */
template <int TILE, int A_COLUMNS, int B_COLUMNS>
static __global__ void __launch_bounds__((TILE / REG) * (TILE / REG), TILE == 128 ? 2 : 4)
    matmul(struct cuda_product p, int64_t share, float *parts)
{
    const float *bias = static_cast<const float *>(parts ? NULL : p.bias.at);
    float *out = static_cast<float *>(p.c.at);
    CUDA_SHARED(float, shared);
    float *a = shared, *b = shared + DEPTH * (TILE + 4), sum[REG][REG] = {};
    int tx = (int)threadIdx.x % (TILE / REG), ty = (int)threadIdx.x / (TILE / REG);
    int64_t i0 = (int64_t)blockIdx.y * TILE, j0 = (int64_t)blockIdx.x * TILE;
    int64_t from = blockIdx.z * share, to = from + share < p.L ? from + share : p.L;

    for (int64_t l = from; l < to; l += DEPTH) {
        load_tile<TILE, !A_COLUMNS>(static_cast<const float *>(p.a.at), A_COLUMNS ? p.I : p.L, p.I,
                                    i0, to, l, a);
        load_tile<TILE, B_COLUMNS>(static_cast<const float *>(p.b.at), B_COLUMNS ? p.L : p.J, p.J,
                                   j0, to, l, b);
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
                float value = sum[r][c] + (bias ? bias[j] : 0);
                if (parts)
                    parts[blockIdx.z * p.I * p.J + at] = value;
                else
                    out[at] = p.accumulate ? out[at] + value : value;
            }
        }
}

/* --- end of idea --- */
/* parts (shares,I,J), added in order; or with no shares what is in c. */
static __global__ void finish(struct cuda_product p, int64_t shares, const float *parts)
{
    int64_t n = p.I * p.J;

    for (int64_t at = grid_index(); at < n; at += grid_size()) {
        float sum = shares ? 0 : get(p.c, at);
        for (int64_t k = 0; k < shares; k++)
            sum += parts[k * n + at];
        finish_one(p, at / p.J, at % p.J, sum);
    }
}

/* Grid: columns, rows. by_four: rows begin where four elements can be loaded and stored at once. */
static __global__ void cast(int64_t rows, int64_t columns, int64_t stride, int by_four,
                            struct cuda_mixed from, struct cuda_mixed to)
{
    int64_t fours = by_four ? columns / 4 : 0;

    for (int64_t r = blockIdx.y; r < rows; r += gridDim.y) {
        for (int64_t i = grid_index(); i < fours; i += grid_size())
            put_four(to, r * stride + 4 * i, get_four(from, r * columns + 4 * i));
        for (int64_t c = 4 * fours + grid_index(); c < columns; c += grid_size())
            put(to, r * stride + c, get(from, r * columns + c));
    }
}

enum mgpt_status cuda_cast(struct mgpt_device *device, int64_t rows, int64_t columns,
                           struct cuda_mixed from, struct cuda_mixed to, int64_t stride,
                           struct mgpt_error *error)
{
    unsigned wide, high;
    int by_four;

    if (stride == columns) {
        columns = stride = rows * columns;
        rows = 1;
    }
    by_four = ((uintptr_t)from.at | (uintptr_t)to.at) % 16 == 0 &&
              (rows == 1 || (columns % 4 == 0 && stride % 4 == 0));
    wide = cuda_blocks(columns, by_four ? 1024 : 256);
    high = cuda_blocks(rows, 1);
    CUDA_LAUNCH(cast, dim3(rows > 1 && wide > 8 ? 8 : wide, high), 256, 0, device->stream, rows,
                columns, stride, by_four, from, to);
    return cuda_launched("cast", error);
}

/* An operand in F32: as it is, or a copy at *next. */
static enum mgpt_status operand(struct mgpt_device *device, struct cuda_mixed *x, int64_t n,
                                float **next, struct mgpt_error *error)
{
    struct cuda_mixed copy = {*next, MGPT_F32};
    enum mgpt_status status;

    if (x->format == MGPT_F32)
        return MGPT_OK;
    *next += n;
    status = cuda_cast(device, 1, n, *x, copy, n, error);
    *x = copy;
    return status;
}

enum mgpt_status cuda_finish(struct mgpt_device *device, const struct cuda_product *p,
                             int64_t shares, const float *parts, struct mgpt_error *error)
{
    CUDA_LAUNCH(finish, cuda_blocks(p->I * p->J, 256), 256, 0, device->stream, *p, shares, parts);
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

int64_t cuda_shares(const struct mgpt_device *device, const struct cuda_product *p, int64_t pieces,
                    int64_t *share)
{
    int64_t shares = cuda_pieces(2 * device->multiprocessors, pieces);
    int64_t most = p->L / LEAST_SHARE;

    shares = 2 * pieces > device->multiprocessors ? 1 : shares < most ? shares : most;
    shares = shares < MAX_SHARES ? shares : MAX_SHARES;
    shares = shares > 1 ? shares : 1;
    *share = cuda_pieces(cuda_pieces(p->L, shares), CUDA_SHARE_OF) * CUDA_SHARE_OF;
    return cuda_pieces(p->L, *share);
}

/* Can the kernel write c, or is there more to do than it can? */
static int ends_in_place(const struct cuda_product *p)
{
    return p->c.format == MGPT_F32 && (!p->bias.at || p->bias.format == MGPT_F32) &&
           !p->activation && !p->pre.at && !p->slope_of.at;
}

/* In F32, or operands that were rounded to it. */
static enum mgpt_status simple_matmul(struct mgpt_device *device, const struct cuda_product *p,
                                      struct mgpt_error *error)
{
    int64_t large = cuda_pieces(p->I, 128) * cuda_pieces(p->J, 128), share;
    int64_t shares = cuda_shares(device, p, cuda_pieces(p->I, 64) * cuda_pieces(p->J, 64), &share);
    int64_t floats = p->I * p->L + p->L * p->J; /* at most, of operands */
    struct cuda_product plain = *p;
    float *parts = NULL, *next;
    enum mgpt_status status;
    void *scratch;

    if (p->a.format == MGPT_F32 && p->b.format == MGPT_F32)
        floats = 0;
    if (shares > 1 || !ends_in_place(p))
        floats += shares * p->I * p->J;
    status = cuda_scratch(device, (size_t)floats * sizeof(float), &scratch, error);
    if (status != MGPT_OK)
        return status;
    next = (float *)scratch;
    status = operand(device, &plain.a, p->I * p->L, &next, error);
    if (status == MGPT_OK)
        status = operand(device, &plain.b, p->L * p->J, &next, error);
    if (status != MGPT_OK)
        return status;
    if (shares > 1 || !ends_in_place(p))
        parts = next;
    if (large >= device->multiprocessors)
        launch<128>(device, &plain, shares, share, parts);
    else
        launch<64>(device, &plain, shares, share, parts);
    status = cuda_launched("matmul", error);
    return status == MGPT_OK && parts ? cuda_finish(device, p, shares, parts, error) : status;
}

enum mgpt_status cuda_matmul(struct mgpt_device *device, const struct cuda_product *p,
                             struct mgpt_error *error)
{
    if (p->a_layout == CUDA_COLUMNS && p->b_layout == CUDA_COLUMNS)
        return mgpt_fail(error, MGPT_INTERNAL, "matmul: both matrices are transposed");
    return p->operands == MGPT_F32 ? simple_matmul(device, p, error)
                                   : cuda_tensor_matmul(device, p, error);
}
