/* What products on tensor cores share: tiles of rows in shared memory, and fragments of them.
 *
 * Elements have BITS bits, 16 or 32 (TF32). In shared memory a row is followed by some bytes of
 * nothing, so that eight rows below each other lie in different banks. */
#ifndef MGPT_CUDA_TENSOR_CUH
#define MGPT_CUDA_TENSOR_CUH

#include "formats.cuh"

#define TENSOR_THREADS 128 /* four warps */
#define CHUNK 8            /* elements that a thread loads at a time */

/* The unsigned integer of so many bits. */
template <int BITS> struct element {
    typedef uint16_t type;
};
template <> struct element<32> {
    typedef uint32_t type;
};

/* A row-major matrix in global memory. */
struct matrix {
    struct cuda_mixed x;
    int64_t first, stride; /* of the first element, and from row to row */
    int64_t rows, columns; /* past them all is 0 */
};

/* May chunks be taken as they are (2), or as two float4 to be rounded (1)? Else by element (0). */
template <int BITS>
static __device__ inline int way_to_load(const struct matrix &m, uint32_t operands)
{
    int aligned = reinterpret_cast<uintptr_t>(m.x.at) % 16 == 0 && m.stride % CHUNK == 0 &&
                  m.first % CHUNK == 0;

    if (BITS == 32)
        return aligned && m.x.format == MGPT_F32 ? 2 : 0;
    return !aligned ? 0 : m.x.format == operands ? 2 : m.x.format == MGPT_F32 ? 1 : 0;
}

template <int BITS>
static __device__ inline void load_as_is(const struct matrix &m, int64_t at,
                                         typename element<BITS>::type *to)
{
    const char *from = static_cast<const char *>(m.x.at) + (m.first + at) * (BITS / 8);

#pragma unroll
    for (int i = 0; i < BITS / 16; i++)
        copy_async(reinterpret_cast<char *>(to) + 16 * i, from + 16 * i);
}

/* A chunk of F32 on its way to 16 bits. */
struct eight {
    float4 a, b;
};

static __device__ inline struct eight fetch_eight(const struct matrix &m, int64_t at)
{
    const float4 *from =
        reinterpret_cast<const float4 *>(static_cast<const float *>(m.x.at) + m.first + at);
    struct eight v = {from[0], from[1]};

    return v;
}

static __device__ inline void store_eight(const struct eight &v, uint32_t operands, uint16_t *to)
{
    const float4 a = v.a, b = v.b;

    *reinterpret_cast<uint4 *>(to) =
        make_uint4(short_pair(operands, a.x, a.y), short_pair(operands, a.z, a.w),
                   short_pair(operands, b.x, b.y), short_pair(operands, b.z, b.w));
}

static __device__ inline void store_element(uint16_t *to, uint32_t operands, float value)
{
    *to = short_bits(operands, value);
}

static __device__ inline void store_element(uint32_t *to, uint32_t, float value)
{
    *to = bits_of_float(value);
}

/* Elements row, column.. of m to the chunk `to`. */
template <int BITS>
static __device__ inline void load_chunk(const struct matrix &m, int way, uint32_t operands,
                                         int64_t row, int64_t column,
                                         typename element<BITS>::type *to)
{
    int64_t left = row < m.rows ? m.columns - column : 0; /* elements of the chunk */
    int64_t at = row * m.stride + column;

    if (left >= CHUNK && way == 2)
        load_as_is<BITS>(m, at, to);
    else if (BITS == 16 && left >= CHUNK && way == 1)
        store_eight(fetch_eight(m, at), operands, reinterpret_cast<uint16_t *>(to));
    else
        for (int i = 0; i < CHUNK; i++)
            store_element(to + i, operands, i < left ? get(m.x, m.first + at + i) : 0);
}

/* Rows row.. and columns column.. of m into tile[ROWS][STRIDE], WIDE of each row. */
template <int BITS, int ROWS, int WIDE, int STRIDE>
static __device__ inline void load_chunks(const struct matrix &m, int way, uint32_t operands,
                                          int64_t row, int64_t column,
                                          typename element<BITS>::type *tile)
{
    for (int e = (int)threadIdx.x; e < ROWS * WIDE / CHUNK; e += TENSOR_THREADS) {
        int r = e / (WIDE / CHUNK), c = e % (WIDE / CHUNK) * CHUNK;
        load_chunk<BITS>(m, way, operands, row + r, column + c, tile + r * STRIDE + c);
    }
}

/* F32 that this thread loaded so becomes TF32 where it lies: once it is there, and before the
 * barrier that shows it to others. Elements of 16 bits are as they should be. */
template <int ROWS, int WIDE, int STRIDE> static __device__ inline void round_chunks(uint32_t *tile)
{
    for (int e = (int)threadIdx.x; e < ROWS * WIDE / CHUNK; e += TENSOR_THREADS) {
        int r = e / (WIDE / CHUNK), c = e % (WIDE / CHUNK) * CHUNK;
        float4 *chunk = reinterpret_cast<float4 *>(tile + r * STRIDE + c);
#pragma unroll
        for (int i = 0; i < CHUNK / 4; i++)
            chunk[i] = make_float4(tf32_float(chunk[i].x), tf32_float(chunk[i].y),
                                   tf32_float(chunk[i].z), tf32_float(chunk[i].w));
    }
}

template <int ROWS, int WIDE, int STRIDE> static __device__ inline void round_chunks(uint16_t *)
{
}

/* ---- fragments of tiles; see ptx.cuh for which lane has what ---- */

static __device__ inline int lane_of(void)
{
    return (int)threadIdx.x % CUDA_WARP;
}

/* 16 rows of a, or of b's transpose, and the terms of one product, 16 or 8 of TF32 (to ldmatrix two
 * neighbours of 16 bits): rows of the tile are rows of a, columns of b. */
template <int STRIDE, class T> static __device__ inline void rows_of_a(const T *tile, uint32_t a[4])
{
    int lane = lane_of();

    load_matrices(a, tile + lane % 16 * STRIDE + lane / 16 * (16 / (int)sizeof(T)));
}

/* b[0] and b[1]: columns 0..7 and 8..15 of b are rows of the tile. */
template <int STRIDE, class T>
static __device__ inline void columns_of_b(const T *tile, uint32_t b[2][2])
{
    int lane = lane_of();

    load_matrices(&b[0][0], tile + (lane / 16 * 8 + lane % 8) * STRIDE +
                                lane / 8 % 2 * (16 / (int)sizeof(T)));
}

/* The same where the tile has the terms of the sum as its rows; of 16 bits. */
template <int STRIDE>
static __device__ inline void columns_of_a(const uint16_t *tile, uint32_t a[4])
{
    int lane = lane_of();

    load_transposed(a, tile + (lane / 16 * 8 + lane % 8) * STRIDE + lane / 8 % 2 * 8);
}

template <int STRIDE>
static __device__ inline void rows_of_b(const uint16_t *tile, uint32_t b[2][2])
{
    int lane = lane_of();

    load_transposed(&b[0][0], tile + lane % 16 * STRIDE + lane / 16 * 8);
}

#endif
