/* What attention's kernels share: tiles of 32 rows, and two products of them.
 *
 * 64 threads, 8 x 8: thread (ty,tx) holds rows ty, ty + 8, ... of a tile, and either keys tx,
 * tx + 8, ... of a 32 x 32 piece of scores, or columns 4 tx .. 4 tx + 3, 32 further on and so on of
 * a 32 x D piece. Heads are padded with zeros to WIDE = 32, 64 or 128 columns. */
#ifndef MGPT_CUDA_ATTENTION_CUH
#define MGPT_CUDA_ATTENTION_CUH

#include "draws.cuh"

#define SPAN 32
#define SIDE 8             /* threads along a side */
#define EACH (SPAN / SIDE) /* rows a thread has, and keys */
#define SPAN_THREADS (SIDE * SIDE)
#define SCORE_ROW (SPAN + 4) /* floats; the 4 keep rows 16 bytes aligned in other banks */

/* One head's rows of q, k, v, y or a gradient: row t starts at element first + t * stride. */
struct rows {
    struct cuda_mixed x;
    int64_t first, stride;
};

/* The shapes of an op, and where its tensors are. */
struct attention {
    int64_t B, T, H, KV, D, S; /* S: rows that can be seen, position + T */
    int64_t position, capacity;
    float scale;       /* 1 / sqrt(D) */
    uint32_t operands; /* what q, k, v and dy are rounded to where they are multiplied */
    struct cuda_mixed qkv, y, dy, cache, dqkv;
    const float *lse_in;
    float *lse;
    float *dyy; /* (B,H,T): dy . y */
    struct draws draws;
    uint64_t first; /* sequences before this micro-batch */
};

static __device__ inline int64_t qkv_row(const struct attention &a)
{
    return (a.H + 2 * a.KV) * a.D;
}

static __device__ inline struct rows head_of_qkv(const struct attention &a, struct cuda_mixed qkv,
                                                 int64_t b, int64_t head)
{
    struct rows r = {qkv, b * a.T * qkv_row(a) + head * a.D, qkv_row(a)};

    return r;
}

/* Part `which` (0 keys, 1 values) of kv head g, from the cache when there is one. */
static __device__ inline struct rows kv_rows(const struct attention &a, int which, int64_t b,
                                             int64_t g)
{
    if (a.cache.at) {
        int64_t wide = a.KV * a.D;
        struct rows r = {a.cache, (which * a.B + b) * a.capacity * wide + g * a.D, wide};
        return r;
    }
    return head_of_qkv(a, a.qkv, b, a.H + which * a.KV + g);
}

/* Head h of y or dy, (B,T,H D). */
static __device__ inline struct rows head_of_y(const struct attention &a, struct cuda_mixed y,
                                               int64_t b, int64_t h)
{
    struct rows r = {y, b * a.T * a.H * a.D + h * a.D, a.H * a.D};

    return r;
}

/* Rows from..from + 31 into tile[32][WIDE + 4]; zeros past the rows and past the head. */
template <int WIDE>
static __device__ inline void load_rows(struct rows x, int64_t from, int64_t rows, int64_t D,
                                        uint32_t operands, float scale, float *tile)
{
    for (int e = (int)threadIdx.x; e < SPAN * WIDE; e += SPAN_THREADS) {
        int r = e / WIDE, d = e % WIDE;
        float value = 0;
        if (from + r < rows && d < D)
            value = round_to(operands, get(x.x, x.first + (from + r) * x.stride + d)) * scale;
        tile[r * (WIDE + 4) + d] = value;
    }
}

/* score[i][j] = a[ty + 8 i] . b[tx + 8 j] */
template <int WIDE>
static __device__ inline void dot_rows(const float *a, const float *b, float score[EACH][EACH])
{
    int tx = (int)threadIdx.x % SIDE, ty = (int)threadIdx.x / SIDE;

    for (int i = 0; i < EACH; i++)
        for (int j = 0; j < EACH; j++)
            score[i][j] = 0;
#pragma unroll 4
    for (int d = 0; d < WIDE; d += 4) {
        float4 x[EACH], y[EACH];
        for (int i = 0; i < EACH; i++) {
            x[i] = *reinterpret_cast<const float4 *>(a + (ty + SIDE * i) * (WIDE + 4) + d);
            y[i] = *reinterpret_cast<const float4 *>(b + (tx + SIDE * i) * (WIDE + 4) + d);
        }
        for (int i = 0; i < EACH; i++)
            for (int j = 0; j < EACH; j++)
                score[i][j] +=
                    x[i].x * y[j].x + x[i].y * y[j].y + x[i].z * y[j].z + x[i].w * y[j].w;
    }
}

/* Scores to where all threads of a row can read them: to[32][SCORE_ROW]. */
static __device__ inline void keep_scores(const float score[EACH][EACH], float *to)
{
    int tx = (int)threadIdx.x % SIDE, ty = (int)threadIdx.x / SIDE;

    for (int i = 0; i < EACH; i++)
        for (int j = 0; j < EACH; j++)
            to[(ty + SIDE * i) * SCORE_ROW + tx + SIDE * j] = score[i][j];
}

/* sum[i][c] += sum over k < 32 of p[ty + 8 i][k] x[k][column c of this thread] */
template <int WIDE>
static __device__ inline void add_weighted(const float *p, const float *x,
                                           float4 sum[EACH][WIDE / SPAN])
{
    int tx = (int)threadIdx.x % SIDE, ty = (int)threadIdx.x / SIDE;

#pragma unroll 2
    for (int k = 0; k < SPAN; k++) {
        float w[EACH];
        for (int i = 0; i < EACH; i++)
            w[i] = p[(ty + SIDE * i) * SCORE_ROW + k];
        for (int c = 0; c < WIDE / SPAN; c++) {
            float4 v = *reinterpret_cast<const float4 *>(x + k * (WIDE + 4) + 4 * tx + SPAN * c);
            for (int i = 0; i < EACH; i++) {
                sum[i][c].x += w[i] * v.x;
                sum[i][c].y += w[i] * v.y;
                sum[i][c].z += w[i] * v.z;
                sum[i][c].w += w[i] * v.w;
            }
        }
    }
}

template <int WIDE> static __device__ inline void clear(float4 sum[EACH][WIDE / SPAN])
{
    for (int i = 0; i < EACH; i++)
        for (int c = 0; c < WIDE / SPAN; c++)
            sum[i][c] = make_float4(0, 0, 0, 0);
}

/* sum times factor[i] into rows from.. of x. */
template <int WIDE>
static __device__ inline void store_rows(const float4 sum[EACH][WIDE / SPAN],
                                         const float factor[EACH], struct rows x, int64_t from,
                                         int64_t rows, int64_t D)
{
    int tx = (int)threadIdx.x % SIDE, ty = (int)threadIdx.x / SIDE;

    for (int i = 0; i < EACH; i++)
        for (int c = 0; c < WIDE / SPAN; c++) {
            int64_t r = from + ty + SIDE * i, d = 4 * tx + SPAN * c;
            const float v[4] = {sum[i][c].x, sum[i][c].y, sum[i][c].z, sum[i][c].w};
            for (int k = 0; k < 4; k++)
                if (r < rows && d + k < D)
                    put(x.x, x.first + r * x.stride + d + k, v[k] * factor[i]);
        }
}

/* Which of a piece of ROWS queries from t0 and KEYS keys from s0 dropout keeps: keep[ROWS][KEYS], 1
 * or 0. A row's draws lie in at most KEYS / 4 + 1 blocks of four, each made once. */
template <int ROWS, int KEYS, int THREADS>
static __device__ inline void draw_tile(const struct attention &a, int64_t b, int64_t h, int64_t t0,
                                        int64_t s0, unsigned char *keep)
{
    const int blocks = KEYS / 4 + 1;

    for (int e = (int)threadIdx.x; e < ROWS * blocks; e += THREADS) {
        int r = e / blocks;
        uint64_t row = ((a.first + (uint64_t)b) * (uint64_t)a.H + (uint64_t)h) * (uint64_t)a.T +
                       (uint64_t)(t0 + r);
        uint64_t start = row * (uint64_t)a.S + (uint64_t)s0; /* element of the row's first key */
        uint64_t block = start / 4 + (uint64_t)(e % blocks);
        struct mgpt_philox draw = draw_block(a.draws, block);
#pragma unroll
        for (int lane = 0; lane < 4; lane++) {
            int64_t s = (int64_t)(4 * block + (uint64_t)lane - start);
            if (s >= 0 && s < KEYS)
                keep[r * KEYS + s] = draw.v[lane] >= a.draws.least;
        }
    }
}

/* Sizes of shared memory. */
template <int WIDE> static __host__ __device__ constexpr int tile_floats()
{
    return SPAN * (WIDE + 4);
}

static inline struct attention attention_of(const struct mgpt_device *device,
                                            const struct mgpt_op *op)
{
    struct attention a = {};

    a.B = op->in[0].shape[0];
    a.T = op->in[0].shape[1];
    a.H = op->heads;
    a.KV = op->kv_heads;
    a.D = op->in[0].shape[2] / (a.H + 2 * a.KV);
    a.S = op->position + a.T;
    a.position = op->position;
    a.scale = (float)(1 / sqrt((double)a.D));
    a.qkv = cuda_mixed(&op->in[0]);
    a.operands = cuda_operands(device, op) == CUDA_TF32 ? CUDA_TF32 : (uint32_t)MGPT_F32;
    a.first = (uint64_t)op->row;
    return a;
}

#define ATTENTION_LAUNCH(kernel, grid, threads, bytes, device, a, error)                           \
    do {                                                                                           \
        enum mgpt_status status_ =                                                                 \
            cuda_allow_shared(device, reinterpret_cast<const void *>(kernel), bytes, error);       \
        if (status_ != MGPT_OK)                                                                    \
            return status_;                                                                        \
        CUDA_LAUNCH(kernel, grid, threads, bytes, (device)->stream, a);                            \
        return cuda_launched(#kernel, error);                                                      \
    } while (0)

#endif
