/* Our own product of matrices on tensor cores: BF16, F16 and TF32 operands, F32 sums.
 *
 * A block of four warps makes a 64 x 64 piece of c, a warp 32 x 32 of it. Tiles of a and b, SLICE
 * terms of the sum each, come into a ring of stages; the next ones are on their way while one is
 * multiplied. The sums go through shared memory, so that what follows them is done by neighbouring
 * threads on neighbouring elements, and only once in the code. */
#include "finish.cuh"
#include "tensor.cuh"

#define PIECE 64
#define SLICE 32
#define SUM_ROW (PIECE + 4)

/* A tile of an operand: [PIECE][SLICE] where the terms are contiguous in memory, else
 * [SLICE][PIECE]. */
template <int BITS, int TERMS> struct tile {
    static constexpr int rows = TERMS ? PIECE : SLICE, wide = TERMS ? SLICE : PIECE;
    static constexpr int stride = wide + (TERMS && BITS == 32 ? 4 : 8), size = rows * stride;
};

template <int BITS> static __host__ __device__ constexpr int stages()
{
    return BITS == 16 ? 3 : 2;
}

/* ---- fragments: rows i.. of a, columns j.. of b, terms k.. ---- */

template <int TERMS>
static __device__ inline void fragment_a(const uint16_t *at, int i, int k, uint32_t a[4])
{
    constexpr int STRIDE = tile<16, TERMS>::stride;

    if (TERMS)
        rows_of_a<STRIDE>(at + i * STRIDE + k, a);
    else
        columns_of_a<STRIDE>(at + k * STRIDE + i, a);
}

template <int TERMS>
static __device__ inline void fragment_b(const uint16_t *at, int j, int k, uint32_t b[2][2])
{
    constexpr int STRIDE = tile<16, TERMS>::stride;

    if (TERMS)
        columns_of_b<STRIDE>(at + j * STRIDE + k, b);
    else
        rows_of_b<STRIDE>(at + k * STRIDE + j, b);
}

static __device__ inline uint32_t tf32_bits(uint32_t bits)
{
    return bits_of_float(tf32_float(float_of_bits(bits)));
}

/* Element (x, k) of a tile, rounded as tensor cores take it. */
template <int TERMS>
static __device__ inline uint32_t tf32_element(const uint32_t *at, int x, int k)
{
    constexpr int STRIDE = tile<32, TERMS>::stride;

    return tf32_bits(at[TERMS ? x * STRIDE + k : k * STRIDE + x]);
}

template <int TERMS>
static __device__ inline void fragment_a(const uint32_t *at, int i, int k, uint32_t a[4])
{
    int g = lane_of() / 4, t = lane_of() % 4;

#pragma unroll
    for (int e = 0; e < 4; e++)
        a[e] = tf32_element<TERMS>(at, i + g + e % 2 * 8, k + t + e / 2 * 4);
}

template <int TERMS>
static __device__ inline void fragment_b(const uint32_t *at, int j, int k, uint32_t b[2][2])
{
    int g = lane_of() / 4, t = lane_of() % 4;

#pragma unroll
    for (int e = 0; e < 4; e++)
        b[e / 2][e % 2] = tf32_element<TERMS>(at, j + g + e / 2 * 8, k + t + e % 2 * 4);
}

/* sum += a b over the SLICE terms of a stage, for rows i.. and columns j.. */
template <int BITS, int A_TERMS, int B_TERMS>
static __device__ inline void multiply_stage(uint32_t format, const typename element<BITS>::type *a,
                                             const typename element<BITS>::type *b, int i, int j,
                                             float sum[2][4][4])
{
    constexpr int TERMS = 256 / BITS; /* of an instruction */

#pragma unroll
    for (int k = 0; k < SLICE; k += TERMS) {
        uint32_t x[2][4], y[4][2];
        fragment_a<A_TERMS>(a, i, k, x[0]);
        fragment_a<A_TERMS>(a, i + 16, k, x[1]);
        fragment_b<B_TERMS>(b, j, k, y);
        fragment_b<B_TERMS>(b, j + 16, k, y + 2);
        multiply<2, 4>(BITS == 32 ? CUDA_TF32 : format, sum, x, y);
    }
}

/* Both operands as matrices in memory; `to`: the end of the terms. */
static __device__ inline struct matrix matrix_a(const struct cuda_product &p, int terms, int64_t to)
{
    struct matrix m = {p.a, 0, terms ? p.L : p.I, terms ? p.I : to, terms ? to : p.I};

    return m;
}

static __device__ inline struct matrix matrix_b(const struct cuda_product &p, int terms, int64_t to)
{
    struct matrix m = {p.b, 0, terms ? p.L : p.J, terms ? p.J : to, terms ? to : p.J};

    return m;
}

/* The piece of c is in sums[PIECE][SUM_ROW]. */
static __device__ inline void store_piece(const struct cuda_product &p, const float *sums,
                                          float *parts)
{
    int64_t i0 = (int64_t)blockIdx.y * PIECE, j0 = (int64_t)blockIdx.x * PIECE;

    for (int e = (int)threadIdx.x; e < PIECE * PIECE; e += TENSOR_THREADS) {
        int64_t i = i0 + e / PIECE, j = j0 + e % PIECE;
        float sum = sums[e / PIECE * SUM_ROW + e % PIECE];
        if (i >= p.I || j >= p.J)
            continue;
        if (parts)
            parts[(blockIdx.z * p.I + i) * p.J + j] = sum;
        else
            finish_one(p, i, j, sum);
    }
}

/* Grid: pieces along J, pieces along I, shares of L. parts (shares,I,J), or NULL for one share.
 * A_TERMS, B_TERMS: the terms of the sum are contiguous in a, in b. */
template <int BITS, int A_TERMS, int B_TERMS>
static __global__ void __launch_bounds__(TENSOR_THREADS, 4)
    tensor_matmul(struct cuda_product p, int64_t share, float *parts)
{
    typedef typename element<BITS>::type type;
    typedef tile<BITS, A_TERMS> tile_a;
    typedef tile<BITS, B_TERMS> tile_b;
    constexpr int STAGES = stages<BITS>(), STAGE = tile_a::size + tile_b::size;
    CUDA_SHARED(type, shared);
    int64_t from = blockIdx.z * share, to = from + share < p.L ? from + share : p.L;
    int64_t i0 = (int64_t)blockIdx.y * PIECE, j0 = (int64_t)blockIdx.x * PIECE;
    struct matrix a = matrix_a(p, A_TERMS, to), b = matrix_b(p, B_TERMS, to);
    int a_way = way_to_load<BITS>(a, p.operands), b_way = way_to_load<BITS>(b, p.operands);
    int warp = (int)threadIdx.x / CUDA_WARP, i = warp / 2 * 32, j = warp % 2 * 32;
    int tiles = (int)((to - from + SLICE - 1) / SLICE);
    float sum[2][4][4] = {};

    for (int n = 0; n < tiles + STAGES - 1; n++) {
        if (n >= STAGES - 1) {
            copies_wait<STAGES - 2>();
            __syncthreads();
        }
        if (n < tiles) { /* into the stage that all have done with */
            type *stage = shared + n % STAGES * STAGE;
            int64_t l = from + (int64_t)n * SLICE;
            load_chunks<BITS, tile_a::rows, tile_a::wide, tile_a::stride>(
                a, a_way, p.operands, A_TERMS ? i0 : l, A_TERMS ? l : i0, stage);
            load_chunks<BITS, tile_b::rows, tile_b::wide, tile_b::stride>(
                b, b_way, p.operands, B_TERMS ? j0 : l, B_TERMS ? l : j0, stage + tile_a::size);
        }
        copies_commit();
        if (n >= STAGES - 1) {
            const type *stage = shared + (n - STAGES + 1) % STAGES * STAGE;
            multiply_stage<BITS, A_TERMS, B_TERMS>(p.operands, stage, stage + tile_a::size, i, j,
                                                   sum);
        }
    }
    __syncthreads();
    float *sums = reinterpret_cast<float *>(shared);
    for (int r = 0; r < 2; r++)
        for (int c = 0; c < 4; c++)
            for (int e = 0; e < 4; e++)
                sums[(i + 16 * r + lane_of() / 4 + e / 2 * 8) * SUM_ROW + j + 8 * c +
                     lane_of() % 4 * 2 + e % 2] = sum[r][c][e];
    __syncthreads();
    store_piece(p, sums, parts);
}

template <int BITS, int A_TERMS, int B_TERMS>
static void launch_tensor(struct mgpt_device *device, const struct cuda_product *p, dim3 grid,
                          int64_t share, float *parts)
{
    constexpr size_t STAGE = (tile<BITS, A_TERMS>::size + tile<BITS, B_TERMS>::size) * BITS / 8;
    size_t shared = stages<BITS>() * STAGE, sums = PIECE * SUM_ROW * sizeof(float);

    CUDA_LAUNCH((tensor_matmul<BITS, A_TERMS, B_TERMS>), grid, TENSOR_THREADS,
                shared > sums ? shared : sums, device->stream, *p, share, parts);
}

template <int BITS>
static void launch_tensor_layout(struct mgpt_device *device, const struct cuda_product *p,
                                 dim3 grid, int64_t share, float *parts)
{
    if (p->a_layout == CUDA_ROWS && p->b_layout == CUDA_COLUMNS)
        launch_tensor<BITS, 1, 1>(device, p, grid, share, parts);
    else if (p->a_layout == CUDA_ROWS)
        launch_tensor<BITS, 1, 0>(device, p, grid, share, parts);
    else
        launch_tensor<BITS, 0, 0>(device, p, grid, share, parts);
}

enum mgpt_status cuda_tensor_matmul(struct mgpt_device *device, const struct cuda_product *p,
                                    struct mgpt_error *error)
{
    int64_t wide = cuda_pieces(p->J, PIECE), high = cuda_pieces(p->I, PIECE), share;
    int64_t shares = cuda_shares(device, p, wide * high, &share);
    dim3 grid((unsigned)wide, (unsigned)high, (unsigned)shares);
    enum mgpt_status status = MGPT_OK;
    void *parts = NULL;

    if (shares > 1)
        status =
            cuda_scratch(device, (size_t)(shares * p->I * p->J) * sizeof(float), &parts, error);
    if (status != MGPT_OK)
        return status;
    if (p->operands == CUDA_TF32)
        launch_tensor_layout<32>(device, p, grid, share, (float *)parts);
    else
        launch_tensor_layout<16>(device, p, grid, share, (float *)parts);
    status = cuda_launched("tensor_matmul", error);
    return status == MGPT_OK && parts ? cuda_finish(device, p, shares, (const float *)parts, error)
                                      : status;
}
