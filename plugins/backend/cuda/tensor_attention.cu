/* Causal attention on tensor cores, forward, in 16 bits or TF32: attention.cu in other clothes.
 *
 * A block takes 64 queries of one head and goes over the keys that they see, SPAN at a time. While
 * scores are made of keys the values are on their way, and the next keys while values are added. */
#include "tensor_attention.cuh"

/* Scores of 2 rows become 2^(score - new maximum); what was summed so far shrinks. In powers of 2:
 * `scale` has log2 e in it. ahead: of the first key before the first query. */
template <int SPAN_ROWS, int WIDE>
static __device__ inline void soften_tile(float scale, int ahead, float score[1][SPAN_ROWS / 8][4],
                                          float m[2], float l[2], float sum[1][WIDE / 8][4])
{
    float most[2] = {m[0], m[1]}, shrink[2];

#pragma unroll
    for (int n = 0; n < SPAN_ROWS / 8; n++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
            float x = score[0][n][e] * scale;
            if (column_of(n, e) + ahead > row_of(e))
                x = -INFINITY;
            score[0][n][e] = x;
            most[e / 2] = fmaxf(most[e / 2], x);
        }
    for (int r = 0; r < 2; r++) {
        for (int o = 1; o < 4; o *= 2)
            most[r] = fmaxf(most[r], __shfl_xor_sync(CUDA_ALL, most[r], o));
        shrink[r] = power_of_2(m[r] - most[r]); /* key 0 is seen by all, so `most` is finite */
        m[r] = most[r];
        l[r] *= shrink[r];
    }
#pragma unroll
    for (int n = 0; n < SPAN_ROWS / 8; n++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
            score[0][n][e] = power_of_2(score[0][n][e] - m[e / 2]);
            l[e / 2] += score[0][n][e];
        }
#pragma unroll
    for (int n = 0; n < WIDE / 8; n++)
#pragma unroll
        for (int e = 0; e < 4; e++)
            sum[0][n][e] *= shrink[e / 2];
}

/* Grid: tiles of queries, the last first since it has most to do; heads; sequences. */
template <int BITS, int WIDE>
static __global__ void __launch_bounds__(TENSOR_THREADS, blocks_wanted<WIDE>())
    tensor_attention(struct attention a)
{
    constexpr int SPAN_ROWS = forward_span<BITS, WIDE>(), ROW = tile_row<BITS, WIDE>();
    typedef typename element<BITS>::type type;
    CUDA_SHARED(type, q);
    type *k = q + BLOCK_ROWS * ROW, *v = k + SPAN_ROWS * ROW;
    unsigned char *keep = reinterpret_cast<unsigned char *>(v + SPAN_ROWS * ROW);
    int64_t t0 = (int64_t)(gridDim.x - 1 - blockIdx.x) * BLOCK_ROWS, h = blockIdx.y, b = blockIdx.z;
    int64_t g = h / (a.H / a.KV), end = t0 + BLOCK_ROWS < a.T ? t0 + BLOCK_ROWS : a.T;
    struct rows keys = kv_rows(a, 0, b, g), values = kv_rows(a, 1, b, g);
    uint32_t format = format_of<BITS>(a);
    float m[2] = {-INFINITY, -INFINITY}, l[2] = {}, factor[2], sum[1][WIDE / 8][4] = {};

    load_head<BITS, BLOCK_ROWS, WIDE>(a, head_of_qkv(a, a.qkv, b, h), t0, q);
    load_head<BITS, SPAN_ROWS, WIDE>(a, keys, 0, k);
    copies_commit();
    for (int64_t s0 = 0; s0 < end; s0 += SPAN_ROWS) {
        float score[1][SPAN_ROWS / 8][4];
        load_head<BITS, SPAN_ROWS, WIDE>(a, values, s0, v);
        copies_commit();
        if (a.draws.state)
            draw_tile<BLOCK_ROWS, SPAN_ROWS, TENSOR_THREADS>(a, b, h, t0, s0, keep);
        copies_wait<1>();
        if (s0 == 0)
            round_head<BITS, BLOCK_ROWS, WIDE>(q);
        round_head<BITS, SPAN_ROWS, WIDE>(k);
        __syncthreads();
        dot_tile<BITS, SPAN_ROWS, WIDE>(format, q, k, score);
        soften_tile<SPAN_ROWS, WIDE>(a.scale * LOG2_E, (int)(s0 - t0), score, m, l, sum);
        copies_wait<0>();
        round_head<BITS, SPAN_ROWS, WIDE>(v);
        __syncthreads();
        if (s0 + SPAN_ROWS < end)
            load_head<BITS, SPAN_ROWS, WIDE>(a, keys, s0 + SPAN_ROWS, k);
        copies_commit();
        if (a.draws.state)
#pragma unroll
            for (int n = 0; n < SPAN_ROWS / 8; n++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    score[0][n][e] *=
                        keep[row_of(e) * SPAN_ROWS + column_of(n, e)] ? a.draws.factor : 0.0f;
        add_tile<BITS, SPAN_ROWS, WIDE>(format, score, v, sum);
        __syncthreads();
    }
    for (int r = 0; r < 2; r++) {
        int64_t t = t0 + row_of(2 * r);
        for (int o = 1; o < 4; o *= 2)
            l[r] += __shfl_xor_sync(CUDA_ALL, l[r], o);
        factor[r] = 1 / l[r];
        if (a.lse && lane_of() % 4 == 0 && t < a.T)
            a.lse[(b * a.H + h) * a.T + t] = m[r] * LN_2 + logf(l[r]);
    }
    store_tile<WIDE>(a, sum, factor, head_of_y(a, a.y, b, h), t0);
}

template <int BITS, int WIDE>
static enum mgpt_status launch_tensor_forward(struct mgpt_device *device, const struct attention &a,
                                              struct mgpt_error *error)
{
    constexpr int SPAN_ROWS = forward_span<BITS, WIDE>();
    dim3 grid((unsigned)cuda_pieces(a.T, BLOCK_ROWS), (unsigned)a.H, (unsigned)a.B);
    size_t bytes =
        (BLOCK_ROWS + 2 * SPAN_ROWS) * tile_row<BITS, WIDE>() * BITS / 8 + BLOCK_ROWS * SPAN_ROWS;

    ATTENTION_LAUNCH((tensor_attention<BITS, WIDE>), grid, TENSOR_THREADS, bytes, device, a, error);
}

template <int BITS>
static enum mgpt_status launch_forward_of(struct mgpt_device *device, const struct attention &a,
                                          struct mgpt_error *error)
{
    if (a.D <= 16)
        return launch_tensor_forward<BITS, 16>(device, a, error);
    if (a.D <= 64)
        return launch_tensor_forward<BITS, 64>(device, a, error);
    return launch_tensor_forward<BITS, 128>(device, a, error);
}

enum mgpt_status cuda_tensor_attention(struct mgpt_device *device, const struct attention *a,
                                       struct mgpt_error *error)
{
    return a->qkv.format == MGPT_F32 ? launch_forward_of<32>(device, *a, error)
                                     : launch_forward_of<16>(device, *a, error);
}
