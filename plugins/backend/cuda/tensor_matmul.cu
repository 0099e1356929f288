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

template <uint32_t FORMAT> static __host__ __device__ constexpr int bits_of()
{
    return FORMAT == CUDA_TF32 ? 32 : 16;
}

/* What a thread loads of a tile. F32 that is rounded to 16 bits waits in registers while a stage is
 * multiplied; all else is on its way to shared memory, or there. */
#define EACH_TILE (PIECE * SLICE / CHUNK / TENSOR_THREADS) /* chunks */
#if defined __CUDA_ARCH__ && __CUDA_ARCH__ < 800
#define MAY_WAIT 0 /* Turing, where no copy is under way meanwhile, has no registers left for it */
#else
#define MAY_WAIT 1
#endif

struct waiting {
    struct eight v[EACH_TILE];
    unsigned chunks; /* which of them, a bit each */
};

template <uint32_t FORMAT, class TILE>
static __device__ inline void
fetch_tile(const struct matrix &m, int way, int64_t row, int64_t column,
           typename element<bits_of<FORMAT>()>::type *tile, struct waiting *held)
{
    held->chunks = 0;
#pragma unroll
    for (int k = 0; k < EACH_TILE; k++) {
        int e = (int)threadIdx.x + k * TENSOR_THREADS;
        int r = e / (TILE::wide / CHUNK), c = e % (TILE::wide / CHUNK) * CHUNK;
        if (MAY_WAIT && bits_of<FORMAT>() == 16 && way == 1 && row + r < m.rows &&
            column + c + CHUNK <= m.columns) {
            held->v[k] = fetch_eight(m, (row + r) * m.stride + column + c);
            held->chunks |= 1u << k;
        } else
            load_chunk<bits_of<FORMAT>()>(m, way, FORMAT, row + r, column + c,
                                          tile + r * TILE::stride + c);
    }
}

template <uint32_t FORMAT, class TILE>
static __device__ inline void store_waiting(const struct waiting &held,
                                            typename element<bits_of<FORMAT>()>::type *tile)
{
#pragma unroll
    for (int k = 0; k < EACH_TILE; k++) {
        int e = (int)threadIdx.x + k * TENSOR_THREADS;
        int r = e / (TILE::wide / CHUNK), c = e % (TILE::wide / CHUNK) * CHUNK;
        if (bits_of<FORMAT>() == 16 && held.chunks >> k & 1)
            store_eight(held.v[k], FORMAT,
                        reinterpret_cast<uint16_t *>(tile + r * TILE::stride + c));
    }
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
template <uint32_t FORMAT, int A_TERMS, int B_TERMS>
static __device__ inline void multiply_stage(const typename element<bits_of<FORMAT>()>::type *a,
                                             const typename element<bits_of<FORMAT>()>::type *b,
                                             int i, int j, float sum[2][4][4])
{
    constexpr int TERMS = 256 / bits_of<FORMAT>(); /* of an instruction */

#pragma unroll
    for (int k = 0; k < SLICE; k += TERMS) {
        uint32_t x[2][4], y[4][2];
        fragment_a<A_TERMS>(a, i, k, x[0]);
        fragment_a<A_TERMS>(a, i + 16, k, x[1]);
        fragment_b<B_TERMS>(b, j, k, y);
        fragment_b<B_TERMS>(b, j + 16, k, y + 2);
        multiply<bits_of<FORMAT>(), 2, 4>(FORMAT, sum, x, y);
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
template <uint32_t FORMAT, int A_TERMS, int B_TERMS>
static __global__ void __launch_bounds__(TENSOR_THREADS, 4)
    tensor_matmul(struct cuda_product p, int64_t share, float *parts)
{
    constexpr int BITS = bits_of<FORMAT>();
    typedef typename element<BITS>::type type;
    typedef tile<BITS, A_TERMS> tile_a;
    typedef tile<BITS, B_TERMS> tile_b;
    constexpr int STAGES = stages<BITS>(), STAGE = tile_a::size + tile_b::size;
    CUDA_SHARED(type, shared);
    int64_t from = blockIdx.z * share, to = from + share < p.L ? from + share : p.L;
    int64_t i0 = (int64_t)blockIdx.y * PIECE, j0 = (int64_t)blockIdx.x * PIECE;
    struct matrix a = matrix_a(p, A_TERMS, to), b = matrix_b(p, B_TERMS, to);
    int a_way = way_to_load<BITS>(a, FORMAT), b_way = way_to_load<BITS>(b, FORMAT);
    int warp = (int)threadIdx.x / CUDA_WARP, i = warp / 2 * 32, j = warp % 2 * 32;
    int tiles = (int)((to - from + SLICE - 1) / SLICE);
    float sum[2][4][4] = {};
    struct waiting a_held, b_held;

    for (int n = 0; n < tiles + STAGES - 1; n++) {
        if (n >= STAGES - 1) {
            copies_wait<STAGES - 2>();
            __syncthreads();
        }
        type *next = shared + n % STAGES * STAGE; /* all have done with it */
        if (n < tiles) {
            int64_t l = from + (int64_t)n * SLICE;
            fetch_tile<FORMAT, tile_a>(a, a_way, A_TERMS ? i0 : l, A_TERMS ? l : i0, next, &a_held);
            fetch_tile<FORMAT, tile_b>(b, b_way, B_TERMS ? j0 : l, B_TERMS ? l : j0,
                                       next + tile_a::size, &b_held);
        }
        copies_commit();
        if (n >= STAGES - 1) {
            const type *stage = shared + (n - STAGES + 1) % STAGES * STAGE;
            multiply_stage<FORMAT, A_TERMS, B_TERMS>(stage, stage + tile_a::size, i, j, sum);
        }
        if (n < tiles) {
            store_waiting<FORMAT, tile_a>(a_held, next);
            store_waiting<FORMAT, tile_b>(b_held, next + tile_a::size);
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

template <uint32_t FORMAT, int A_TERMS, int B_TERMS>
static void launch_tensor(struct mgpt_device *device, const struct cuda_product *p, dim3 grid,
                          int64_t share, float *parts)
{
    constexpr int BITS = bits_of<FORMAT>();
    constexpr size_t STAGE = (tile<BITS, A_TERMS>::size + tile<BITS, B_TERMS>::size) * BITS / 8;
    size_t shared = stages<BITS>() * STAGE, sums = PIECE * SUM_ROW * sizeof(float);

    CUDA_LAUNCH((tensor_matmul<FORMAT, A_TERMS, B_TERMS>), grid, TENSOR_THREADS,
                shared > sums ? shared : sums, device->stream, *p, share, parts);
}

template <uint32_t FORMAT>
static void launch_tensor_layout(struct mgpt_device *device, const struct cuda_product *p,
                                 dim3 grid, int64_t share, float *parts)
{
    if (p->a_layout == CUDA_ROWS && p->b_layout == CUDA_COLUMNS)
        launch_tensor<FORMAT, 1, 1>(device, p, grid, share, parts);
    else if (p->a_layout == CUDA_ROWS)
        launch_tensor<FORMAT, 1, 0>(device, p, grid, share, parts);
    else
        launch_tensor<FORMAT, 0, 0>(device, p, grid, share, parts);
}

static int64_t pieces_of(const struct cuda_product *p)
{
    return cuda_pieces(p->J, PIECE) * cuda_pieces(p->I, PIECE);
}

int64_t cuda_tensor_room(const struct mgpt_device *device, const struct cuda_product *p)
{
    int64_t share, shares = cuda_shares(device, p, pieces_of(p), &share);

    return shares > 1 ? shares * p->I * p->J * (int64_t)sizeof(float) : 0;
}

enum mgpt_status cuda_tensor_matmul(struct mgpt_device *device, const struct cuda_product *p,
                                    struct mgpt_error *error)
{
    int64_t share, shares = cuda_shares(device, p, pieces_of(p), &share);
    dim3 grid((unsigned)cuda_pieces(p->J, PIECE), (unsigned)cuda_pieces(p->I, PIECE),
              (unsigned)shares);
    enum mgpt_status status = MGPT_OK;
    void *parts = NULL;

    if (shares > 1)
        status = cuda_scratch(device, (size_t)cuda_tensor_room(device, p), &parts, error);
    if (status != MGPT_OK)
        return status;
    if (p->operands == CUDA_TF32)
        launch_tensor_layout<CUDA_TF32>(device, p, grid, share, (float *)parts);
    else if (p->operands == MGPT_BF16)
        launch_tensor_layout<MGPT_BF16>(device, p, grid, share, (float *)parts);
    else
        launch_tensor_layout<MGPT_F16>(device, p, grid, share, (float *)parts);
    status = cuda_launched("tensor_matmul", error);
    return status == MGPT_OK && parts ? cuda_finish(device, p, shares, (const float *)parts, error)
                                      : status;
}
