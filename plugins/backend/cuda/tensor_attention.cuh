/* What attention's kernels on tensor cores share: two products of 16 rows that a warp has with a
 * tile of rows that all have. Operands have BITS bits: 16, BF16 or F16, or 32, TF32.
 *
 * A block has 64 rows (queries, or keys), a warp 16 of them; on the other side are SPAN rows at a
 * time. Heads are padded with zeros to WIDE columns. Sums of a warp lie as mma.sync leaves them: of
 * sum[n][e] a lane has row lane / 4 + e / 2 * 8, column 8 n + lane % 4 * 2 + e % 2. So two of these
 * 16 x 8 pieces side by side, rounded to 16 bits, are just the fragment that the next product wants
 * as its left side (Dao 2023, section 3.2). Of TF32 one piece is, when terms 2 t and 2 t + 1 of the
 * sum take the places of terms t and t + 4, on both sides: a sum does not mind. */
#ifndef MGPT_CUDA_TENSOR_ATTENTION_CUH
#define MGPT_CUDA_TENSOR_ATTENTION_CUH

#include "attention.cuh"
#include "tensor.cuh"

#define BLOCK_ROWS 64
#define WARP_ROWS 16

#define LOG2_E 1.44269504088896340736f
#define LN_2 0.69314718055994530942f

/* Elements from row to row of a tile: 16 bytes more than it has columns, so that both products read
 * it without two lanes at one bank. */
template <int BITS, int WIDE> static __host__ __device__ constexpr int tile_row()
{
    return WIDE + 128 / BITS;
}

/* Rows of the other side that are taken at a time: forward as many as there is shared memory for,
 * 99 KiB on most devices, backward as many as there are registers for, too. */
template <int BITS, int WIDE> static __host__ __device__ constexpr int forward_span()
{
    return BITS == 32 && WIDE == 128 ? 32 : 64;
}

template <int BITS, int WIDE> static __host__ __device__ constexpr int backward_span()
{
    return WIDE < 128 ? 64 : BITS == 32 ? 16 : 32;
}

/* Blocks that a multiprocessor should have room for: said, so that the compiler does not spill for
 * one more. */
template <int WIDE> static __host__ __device__ constexpr int blocks_wanted()
{
    return WIDE == 16 ? 4 : WIDE == 64 ? 3 : 2;
}

/* The format of operands: what tiles have. */
template <int BITS> static __device__ inline uint32_t format_of(const struct attention &a)
{
    return BITS == 32 ? CUDA_TF32 : a.qkv.format;
}

/* ROWS rows of one head from row `from` on are on their way to the tile. */
template <int BITS, int ROWS, int WIDE>
static __device__ inline void load_head(const struct attention &a, struct rows x, int64_t from,
                                        typename element<BITS>::type *tile)
{
    struct matrix m = {x.x, x.first, x.stride, a.T, a.D};
    uint32_t format = format_of<BITS>(a);

    load_chunks<BITS, ROWS, WIDE, tile_row<BITS, WIDE>()>(m, way_to_load<BITS>(m, format), format,
                                                          from, 0, tile);
}

/* What of them this thread has brought, and waited for, becomes operands. */
template <int BITS, int ROWS, int WIDE>
static __device__ inline void round_head(typename element<BITS>::type *tile)
{
    round_chunks<ROWS, WIDE, tile_row<BITS, WIDE>()>(tile);
}

/* Row of the block (0..63) and column (of SPAN) that element e of piece n of this lane is. */
static __device__ inline int row_of(int e)
{
    return (int)threadIdx.x / CUDA_WARP * WARP_ROWS + lane_of() / 4 + e / 2 * 8;
}

static __device__ inline int column_of(int n, int e)
{
    return 8 * n + lane_of() % 4 * 2 + e % 2;
}

/* score = mine tile^T: rows of this warp with all SPAN rows of the tile */
template <int BITS, int SPAN_ROWS, int WIDE>
static __device__ inline void dot_tile(uint32_t format, const typename element<BITS>::type *mine,
                                       const typename element<BITS>::type *tile,
                                       float score[1][SPAN_ROWS / 8][4])
{
    constexpr int ROW = tile_row<BITS, WIDE>(), TERMS = 256 / BITS;

    mine += (int)threadIdx.x / CUDA_WARP * WARP_ROWS * ROW;
#pragma unroll
    for (int n = 0; n < SPAN_ROWS / 8; n++)
#pragma unroll
        for (int e = 0; e < 4; e++)
            score[0][n][e] = 0;
#pragma unroll
    for (int d = 0; d < WIDE; d += TERMS) {
        uint32_t a[1][4], b[SPAN_ROWS / 8][2];
        rows_of_a<ROW>(mine + d, a[0]);
#pragma unroll
        for (int n = 0; n < SPAN_ROWS / 8; n += 2)
            columns_of_b<ROW>(tile + 8 * n * ROW + d, b + n);
        multiply<BITS, 1, SPAN_ROWS / 8>(format, score, a, b);
    }
}

/* The terms of one product: pieces w[0].. of weights as a, and as many rows of the tile, all their
 * columns, as b. */
template <int WIDE>
static __device__ inline void terms_of(uint32_t format, const float w[][4], const uint16_t *tile,
                                       uint32_t a[4], uint32_t b[WIDE / 8][2])
{
    a[0] = short_pair(format, w[0][0], w[0][1]);
    a[1] = short_pair(format, w[0][2], w[0][3]);
    a[2] = short_pair(format, w[1][0], w[1][1]);
    a[3] = short_pair(format, w[1][2], w[1][3]);
#pragma unroll
    for (int n = 0; n < WIDE / 8; n += 2)
        rows_of_b<tile_row<16, WIDE>()>(tile + 8 * n, b + n);
}

template <int WIDE>
static __device__ inline void terms_of(uint32_t, const float w[][4], const uint32_t *tile,
                                       uint32_t a[4], uint32_t b[WIDE / 8][2])
{
    constexpr int ROW = tile_row<32, WIDE>();

    tile += lane_of() % 4 * 2 * ROW + lane_of() / 4;
#pragma unroll
    for (int e = 0; e < 4; e++) /* row e % 2, term e / 2 of the two that a lane has */
        a[e] = bits_of_float(tf32_float(w[0][e % 2 * 2 + e / 2]));
#pragma unroll
    for (int n = 0; n < WIDE / 8; n++)
#pragma unroll
        for (int term = 0; term < 2; term++)
            b[n][term] = tile[term * ROW + 8 * n];
}

/* sum += weight tile, with the weights of this warp's rows rounded to the format */
template <int BITS, int SPAN_ROWS, int WIDE>
static __device__ inline void add_tile(uint32_t format, const float weight[1][SPAN_ROWS / 8][4],
                                       const typename element<BITS>::type *tile,
                                       float sum[1][WIDE / 8][4])
{
    constexpr int TERMS = 256 / BITS;

#pragma unroll
    for (int k = 0; k < SPAN_ROWS; k += TERMS) {
        uint32_t a[1][4], b[WIDE / 8][2];
        terms_of<WIDE>(format, weight[0] + k / 8, tile + k * tile_row<BITS, WIDE>(), a[0], b);
        multiply<BITS, 1, WIDE / 8>(format, sum, a, b);
    }
}

/* sum times a factor of each of the two rows into rows from.. of x. */
template <int WIDE>
static __device__ inline void store_tile(const struct attention &a, const float sum[1][WIDE / 8][4],
                                         const float factor[2], struct rows x, int64_t from)
{
    bool pairs =
        a.D % 2 == 0 && reinterpret_cast<uintptr_t>(x.x.at) % 8 == 0; /* they are aligned */

#pragma unroll
    for (int n = 0; n < WIDE / 8; n++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int64_t r = from + row_of(2 * half), d = column_of(n, 0);
            int64_t at = x.first + r * x.stride + d;
            float low = sum[0][n][2 * half] * factor[half];
            float high = sum[0][n][2 * half + 1] * factor[half];
            if (r >= a.T || d >= a.D)
                continue;
            if (pairs) {
                put_pair(x.x, at, low, high);
                continue;
            }
            put(x.x, at, low);
            if (d + 1 < a.D)
                put(x.x, at + 1, high);
        }
}

/* Is the op one for tensor cores: TF32, or 16 bits, all in one format, and no cache, which few rows
 * read? */
static inline int on_tensor_cores(const struct attention *a)
{
    uint32_t format = a->qkv.format;

    return (format != MGPT_F32 || a->operands == CUDA_TF32) && a->y.format == format &&
           !a->cache.at && (!a->dy.at || (a->dy.format == format && a->dqkv.format == format));
}

/* In tensor_attention.cu and tensor_attention_backward.cu. */
enum mgpt_status cuda_tensor_attention(struct mgpt_device *device, const struct attention *a,
                                       struct mgpt_error *error);
enum mgpt_status cuda_tensor_attention_backward(struct mgpt_device *device,
                                                const struct attention *a,
                                                struct mgpt_error *error);

#endif
