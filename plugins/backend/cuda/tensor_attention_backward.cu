/* Causal attention on tensor cores, backward, in 16 bits or TF32: attention_backward.cu in other
 * clothes, with its two passes, one over queries for dq, one over keys for dk and dv. */
#include "tensor_attention.cuh"

/* score (q.k) becomes p times what dropout makes of it, dp (dy.v) becomes ds. Rows of the block are
 * queries t0.., columns keys s0.., or with TURNED the other way round. lse (times log2 e) and dyy:
 * of the rows of this lane, or of all columns. keep: [queries][keys], NULL without dropout. */
template <int SPAN_ROWS, int TURNED>
static __device__ inline void
gradient_of_tile(const struct attention &a, int64_t t0, int64_t s0, const float *lse,
                 const float *dyy, const unsigned char *keep, float score[1][SPAN_ROWS / 8][4],
                 float dp[1][SPAN_ROWS / 8][4])
{
    float scale = a.scale * LOG2_E;
    int ahead = (int)(s0 - t0), left = (int)(a.T - t0 < BLOCK_ROWS ? a.T - t0 : BLOCK_ROWS);

#pragma unroll
    for (int n = 0; n < SPAN_ROWS / 8; n++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
            int r = TURNED ? column_of(n, e) : row_of(e), k = TURNED ? row_of(e) : column_of(n, e);
            int i = TURNED ? r : e / 2;
            float p = 0, m = 1, ds = 0;
            if (r < left && k + ahead <= r) {
                p = power_of_2(score[0][n][e] * scale - lse[i]);
                if (keep)
                    m = keep[r * (TURNED ? BLOCK_ROWS : SPAN_ROWS) + k] ? a.draws.factor : 0;
                ds = p * (m * dp[0][n][e] - dyy[i]);
            }
            score[0][n][e] = p * m;
            dp[0][n][e] = ds;
        }
}

/* Grid: tiles of queries, heads, sequences. */
template <int BITS, int WIDE>
static __global__ void __launch_bounds__(TENSOR_THREADS, blocks_wanted<WIDE>())
    tensor_dq(struct attention a)
{
    constexpr int SPAN_ROWS = backward_span<BITS, WIDE>(), ROW = tile_row<BITS, WIDE>();
    typedef typename element<BITS>::type type;
    CUDA_SHARED(type, q);
    type *dy = q + BLOCK_ROWS * ROW, *k = dy + BLOCK_ROWS * ROW, *v = k + SPAN_ROWS * ROW;
    unsigned char *keep = reinterpret_cast<unsigned char *>(v + SPAN_ROWS * ROW);
    int64_t t0 = (int64_t)(gridDim.x - 1 - blockIdx.x) * BLOCK_ROWS, h = blockIdx.y, b = blockIdx.z;
    int64_t g = h / (a.H / a.KV), end = t0 + BLOCK_ROWS < a.T ? t0 + BLOCK_ROWS : a.T;
    uint32_t format = format_of<BITS>(a);
    const float factor[2] = {a.scale, a.scale};
    float lse[2], dyy[2], sum[1][WIDE / 8][4] = {};

    for (int r = 0; r < 2; r++) {
        int64_t t = t0 + row_of(2 * r), at = (b * a.H + h) * a.T + t;
        lse[r] = t < a.T ? a.lse_in[at] * LOG2_E : 0;
        dyy[r] = t < a.T ? a.dyy[at] : 0;
    }
    load_head<BITS, BLOCK_ROWS, WIDE>(a, head_of_qkv(a, a.qkv, b, h), t0, q);
    load_head<BITS, BLOCK_ROWS, WIDE>(a, head_of_y(a, a.dy, b, h), t0, dy);
    for (int64_t s0 = 0; s0 < end; s0 += SPAN_ROWS) {
        float score[1][SPAN_ROWS / 8][4], dp[1][SPAN_ROWS / 8][4];
        load_head<BITS, SPAN_ROWS, WIDE>(a, kv_rows(a, 0, b, g), s0, k);
        load_head<BITS, SPAN_ROWS, WIDE>(a, kv_rows(a, 1, b, g), s0, v);
        copies_commit();
        if (a.draws.state)
            draw_tile<BLOCK_ROWS, SPAN_ROWS, TENSOR_THREADS>(a, b, h, t0, s0, keep);
        copies_wait<0>();
        if (s0 == 0) {
            round_head<BITS, BLOCK_ROWS, WIDE>(q);
            round_head<BITS, BLOCK_ROWS, WIDE>(dy);
        }
        round_head<BITS, SPAN_ROWS, WIDE>(k);
        round_head<BITS, SPAN_ROWS, WIDE>(v);
        __syncthreads();
        dot_tile<BITS, SPAN_ROWS, WIDE>(format, q, k, score);
        dot_tile<BITS, SPAN_ROWS, WIDE>(format, dy, v, dp);
        gradient_of_tile<SPAN_ROWS, 0>(a, t0, s0, lse, dyy, a.draws.state ? keep : NULL, score, dp);
        add_tile<BITS, SPAN_ROWS, WIDE>(format, dp, k, sum);
        __syncthreads();
    }
    store_tile<WIDE>(a, sum, factor, head_of_qkv(a, a.dqkv, b, h), t0);
}

/* lse times log2 e and dyy of queries t0.. into rows[2][SPAN_ROWS]. */
template <int SPAN_ROWS>
static __device__ inline void load_statistics(const struct attention &a, int64_t bh, int64_t t0,
                                              float *rows)
{
    for (int r = (int)threadIdx.x; r < SPAN_ROWS; r += TENSOR_THREADS) {
        int64_t t = t0 + r, at = bh * a.T + t;
        rows[r] = t < a.T ? a.lse_in[at] * LOG2_E : 0;
        rows[SPAN_ROWS + r] = t < a.T ? a.dyy[at] : 0;
    }
}

/* Grid: tiles of keys, kv heads, sequences: nobody else adds to their dk and dv. */
template <int BITS, int WIDE>
static __global__ void __launch_bounds__(TENSOR_THREADS, WIDE == 16 ? 3 : 2)
    tensor_dkv(struct attention a)
{
    constexpr int SPAN_ROWS = backward_span<BITS, WIDE>(), ROW = tile_row<BITS, WIDE>();
    typedef typename element<BITS>::type type;
    CUDA_SHARED(type, k);
    type *v = k + BLOCK_ROWS * ROW, *q = v + BLOCK_ROWS * ROW, *dy = q + SPAN_ROWS * ROW;
    float *statistics = reinterpret_cast<float *>(dy + SPAN_ROWS * ROW);
    unsigned char *keep = reinterpret_cast<unsigned char *>(statistics + 2 * SPAN_ROWS);
    int64_t s0 = (int64_t)blockIdx.x * BLOCK_ROWS, g = blockIdx.y, b = blockIdx.z;
    int64_t group = a.H / a.KV;
    uint32_t format = format_of<BITS>(a);
    const float scale[2] = {a.scale, a.scale}, one[2] = {1, 1};
    float dk[1][WIDE / 8][4] = {}, dv[1][WIDE / 8][4] = {};

    load_head<BITS, BLOCK_ROWS, WIDE>(a, kv_rows(a, 0, b, g), s0, k);
    load_head<BITS, BLOCK_ROWS, WIDE>(a, kv_rows(a, 1, b, g), s0, v);
    for (int64_t h = g * group; h < (g + 1) * group; h++)
        for (int64_t t0 = s0; t0 < a.T; t0 += SPAN_ROWS) {
            float score[1][SPAN_ROWS / 8][4], dp[1][SPAN_ROWS / 8][4];
            load_head<BITS, SPAN_ROWS, WIDE>(a, head_of_qkv(a, a.qkv, b, h), t0, q);
            load_head<BITS, SPAN_ROWS, WIDE>(a, head_of_y(a, a.dy, b, h), t0, dy);
            copies_commit();
            load_statistics<SPAN_ROWS>(a, b * a.H + h, t0, statistics);
            if (a.draws.state)
                draw_tile<SPAN_ROWS, BLOCK_ROWS, TENSOR_THREADS>(a, b, h, t0, s0, keep);
            copies_wait<0>();
            if (h == g * group && t0 == s0) {
                round_head<BITS, BLOCK_ROWS, WIDE>(k);
                round_head<BITS, BLOCK_ROWS, WIDE>(v);
            }
            round_head<BITS, SPAN_ROWS, WIDE>(q);
            round_head<BITS, SPAN_ROWS, WIDE>(dy);
            __syncthreads();
            dot_tile<BITS, SPAN_ROWS, WIDE>(format, k, q, score);
            dot_tile<BITS, SPAN_ROWS, WIDE>(format, v, dy, dp);
            gradient_of_tile<SPAN_ROWS, 1>(a, t0, s0, statistics, statistics + SPAN_ROWS,
                                           a.draws.state ? keep : NULL, score, dp);
            add_tile<BITS, SPAN_ROWS, WIDE>(format, score, dy, dv);
            add_tile<BITS, SPAN_ROWS, WIDE>(format, dp, q, dk);
            __syncthreads();
        }
    store_tile<WIDE>(a, dk, scale, head_of_qkv(a, a.dqkv, b, a.H + g), s0);
    store_tile<WIDE>(a, dv, one, head_of_qkv(a, a.dqkv, b, a.H + a.KV + g), s0);
}

/* Of both passes; the second has room for statistics, too. */
template <int BITS, int WIDE> static constexpr size_t tensor_backward_bytes()
{
    constexpr size_t SPAN_ROWS = backward_span<BITS, WIDE>();

    return 2 * (BLOCK_ROWS + SPAN_ROWS) * tile_row<BITS, WIDE>() * BITS / 8 +
           BLOCK_ROWS * SPAN_ROWS;
}

template <int BITS, int WIDE>
static enum mgpt_status launch_tensor_dq(struct mgpt_device *device, const struct attention &a,
                                         struct mgpt_error *error)
{
    dim3 grid((unsigned)cuda_pieces(a.T, BLOCK_ROWS), (unsigned)a.H, (unsigned)a.B);
    size_t bytes = tensor_backward_bytes<BITS, WIDE>();

    ATTENTION_LAUNCH((tensor_dq<BITS, WIDE>), grid, TENSOR_THREADS, bytes, device, a, error);
}

template <int BITS, int WIDE>
static enum mgpt_status launch_tensor_dkv(struct mgpt_device *device, const struct attention &a,
                                          struct mgpt_error *error)
{
    dim3 grid((unsigned)cuda_pieces(a.T, BLOCK_ROWS), (unsigned)a.KV, (unsigned)a.B);
    size_t statistics = 2 * backward_span<BITS, WIDE>() * sizeof(float);
    size_t bytes = tensor_backward_bytes<BITS, WIDE>() + statistics;

    ATTENTION_LAUNCH((tensor_dkv<BITS, WIDE>), grid, TENSOR_THREADS, bytes, device, a, error);
}

template <int BITS, int WIDE>
static enum mgpt_status launch_tensor_backward(struct mgpt_device *device,
                                               const struct attention &a, struct mgpt_error *error)
{
    enum mgpt_status status = launch_tensor_dq<BITS, WIDE>(device, a, error);

    return status == MGPT_OK ? launch_tensor_dkv<BITS, WIDE>(device, a, error) : status;
}

template <int BITS>
static enum mgpt_status launch_backward_of(struct mgpt_device *device, const struct attention &a,
                                           struct mgpt_error *error)
{
    if (a.D <= 16)
        return launch_tensor_backward<BITS, 16>(device, a, error);
    if (a.D <= 64)
        return launch_tensor_backward<BITS, 64>(device, a, error);
    return launch_tensor_backward<BITS, 128>(device, a, error);
}

enum mgpt_status cuda_tensor_attention_backward(struct mgpt_device *device,
                                                const struct attention *a, struct mgpt_error *error)
{
    return a->qkv.format == MGPT_F32 ? launch_backward_of<32>(device, *a, error)
                                     : launch_backward_of<16>(device, *a, error);
}
