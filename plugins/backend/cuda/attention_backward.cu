/* Causal attention, backward, from lse: T x T is never stored, and nothing is added atomically.
 * Formulas: core/ref/attention.c; Dao et al. 2022, algorithm 4, as two passes: one over queries for
 * dq, one over keys for dk and dv.
 *
 *   p = exp(q.k - lse)    ds = p (drop dy.v - dy.y)
 *   dq = ds k             dk = ds^T q                  dv = (drop p)^T dy */
#include "tensor_attention.cuh"

/* dyy (B,H,T) = dy . y: a warp takes a row. */
static __global__ void dot_dy_y(struct attention a)
{
    int lane = (int)threadIdx.x % CUDA_WARP;
    int64_t n = a.B * a.H * a.T;

    for (int64_t i = grid_index() / CUDA_WARP; i < n; i += grid_size() / CUDA_WARP) {
        int64_t t = i % a.T, h = i / a.T % a.H, b = i / (a.T * a.H);
        int64_t at = ((b * a.T + t) * a.H + h) * a.D;
        float sum = 0;
        for (int64_t d = lane; d < a.D; d += CUDA_WARP)
            sum += get(a.dy, at + d) * get(a.y, at + d);
        sum = warp_sum(sum);
        if (lane == 0)
            a.dyy[i] = sum;
    }
}

/* --- idea: backward --- */
/* score (q.k) becomes p, dp (dy.v) becomes ds. Row i of the thread is query t0 + ty + 8 i and
 * column j key s0 + tx + 8 j, or with KEYS the other way round. keep: NULL without dropout. */
template <int KEYS>
static __device__ inline void gradient_of_scores(const struct attention &a, int64_t bh, int64_t t0,
                                                 int64_t s0, const unsigned char *keep,
                                                 float score[EACH][EACH], float dp[EACH][EACH])
{
    int tx = (int)threadIdx.x % SIDE, ty = (int)threadIdx.x / SIDE;

    for (int i = 0; i < EACH; i++)
        for (int j = 0; j < EACH; j++) {
            int r = KEYS ? tx + SIDE * j : ty + SIDE * i, k = KEYS ? ty + SIDE * i : tx + SIDE * j;
            int64_t t = t0 + r, s = s0 + k;
            float p = 0, m = 1, ds = 0;
            if (t < a.T && s <= t) {
                p = expf(score[i][j] - a.lse_in[bh * a.T + t]);
                if (keep)
                    m = keep[r * SPAN + k] ? a.draws.factor : 0;
                ds = p * (m * dp[i][j] - a.dyy[bh * a.T + t]);
            }
            score[i][j] = p * m;
            dp[i][j] = ds;
        }
}

/* --- end of idea --- */
/* Grid: tiles of queries, heads, sequences. */
template <int WIDE>
static __global__ void __launch_bounds__(SPAN_THREADS, 4) attention_dq(struct attention a)
{
    CUDA_SHARED(float, q);
    float *dy = q + tile_floats<WIDE>(), *kv = dy + tile_floats<WIDE>();
    float *ds = kv + tile_floats<WIDE>();
    unsigned char *keep = reinterpret_cast<unsigned char *>(ds + SPAN * SCORE_ROW);
    int64_t t0 = (int64_t)(gridDim.x - 1 - blockIdx.x) * SPAN, h = blockIdx.y, b = blockIdx.z;
    int64_t g = h / (a.H / a.KV), end = t0 + SPAN < a.T ? t0 + SPAN : a.T;
    float score[EACH][EACH], dp[EACH][EACH];
    const float factor[EACH] = {a.scale, a.scale, a.scale, a.scale};
    float4 sum[EACH][WIDE / SPAN];

    clear<WIDE>(sum);
    load_rows<WIDE>(head_of_qkv(a, a.qkv, b, h), t0, a.T, a.D, a.operands, a.scale, q);
    load_rows<WIDE>(head_of_y(a, a.dy, b, h), t0, a.T, a.D, a.operands, 1, dy);
    for (int64_t s0 = 0; s0 < end; s0 += SPAN) {
        load_rows<WIDE>(kv_rows(a, 1, b, g), s0, a.T, a.D, a.operands, 1, kv);
        if (a.draws.state)
            draw_tile<SPAN, SPAN, SPAN_THREADS>(a, b, h, t0, s0, keep);
        __syncthreads();
        dot_rows<WIDE>(dy, kv, dp);
        __syncthreads();
        load_rows<WIDE>(kv_rows(a, 0, b, g), s0, a.T, a.D, a.operands, 1, kv);
        __syncthreads();
        dot_rows<WIDE>(q, kv, score);
        gradient_of_scores<0>(a, b * a.H + h, t0, s0, a.draws.state ? keep : NULL, score, dp);
        keep_scores(dp, ds);
        __syncthreads();
        add_weighted<WIDE>(ds, kv, sum);
        __syncthreads();
    }
    store_rows<WIDE>(sum, factor, head_of_qkv(a, a.dqkv, b, h), t0, a.T, a.D);
}

/* Grid: tiles of keys, kv heads, sequences: nobody else adds to their dk and dv. */
template <int WIDE>
static __global__ void __launch_bounds__(SPAN_THREADS, 4) attention_dkv(struct attention a)
{
    CUDA_SHARED(float, k);
    float *v = k + tile_floats<WIDE>(), *x = v + tile_floats<WIDE>();
    float *p = x + tile_floats<WIDE>();
    unsigned char *keep = reinterpret_cast<unsigned char *>(p + SPAN * SCORE_ROW);
    int64_t s0 = (int64_t)blockIdx.x * SPAN, g = blockIdx.y, b = blockIdx.z, group = a.H / a.KV;
    float score[EACH][EACH], dp[EACH][EACH];
    const float one[EACH] = {1, 1, 1, 1};
    float4 dk[EACH][WIDE / SPAN], dv[EACH][WIDE / SPAN];

    clear<WIDE>(dk);
    clear<WIDE>(dv);
    load_rows<WIDE>(kv_rows(a, 0, b, g), s0, a.T, a.D, a.operands, 1, k);
    load_rows<WIDE>(kv_rows(a, 1, b, g), s0, a.T, a.D, a.operands, 1, v);
    for (int64_t h = g * group; h < (g + 1) * group; h++)
        for (int64_t t0 = s0; t0 < a.T; t0 += SPAN) {
            load_rows<WIDE>(head_of_y(a, a.dy, b, h), t0, a.T, a.D, a.operands, 1, x);
            if (a.draws.state)
                draw_tile<SPAN, SPAN, SPAN_THREADS>(a, b, h, t0, s0, keep);
            __syncthreads();
            dot_rows<WIDE>(v, x, dp);
            __syncthreads();
            load_rows<WIDE>(head_of_qkv(a, a.qkv, b, h), t0, a.T, a.D, a.operands, a.scale, x);
            __syncthreads();
            dot_rows<WIDE>(k, x, score);
            gradient_of_scores<1>(a, b * a.H + h, t0, s0, a.draws.state ? keep : NULL, score, dp);
            keep_scores(dp, p);
            __syncthreads();
            add_weighted<WIDE>(p, x, dk); /* x is q times scale */
            __syncthreads();
            keep_scores(score, p);
            load_rows<WIDE>(head_of_y(a, a.dy, b, h), t0, a.T, a.D, a.operands, 1, x);
            __syncthreads();
            add_weighted<WIDE>(p, x, dv);
            __syncthreads();
        }
    store_rows<WIDE>(dk, one, head_of_qkv(a, a.dqkv, b, a.H + g), s0, a.T, a.D);
    store_rows<WIDE>(dv, one, head_of_qkv(a, a.dqkv, b, a.H + a.KV + g), s0, a.T, a.D);
}

template <int WIDE> static constexpr size_t backward_bytes()
{
    return (3 * tile_floats<WIDE>() + SPAN * SCORE_ROW) * sizeof(float) + SPAN * SPAN;
}

template <int WIDE>
static enum mgpt_status launch_dq(struct mgpt_device *device, const struct attention &a,
                                  struct mgpt_error *error)
{
    dim3 grid((unsigned)cuda_pieces(a.T, SPAN), (unsigned)a.H, (unsigned)a.B);

    ATTENTION_LAUNCH(attention_dq<WIDE>, grid, SPAN_THREADS, backward_bytes<WIDE>(), device, a,
                     error);
}

template <int WIDE>
static enum mgpt_status launch_dkv(struct mgpt_device *device, const struct attention &a,
                                   struct mgpt_error *error)
{
    dim3 grid((unsigned)cuda_pieces(a.T, SPAN), (unsigned)a.KV, (unsigned)a.B);

    ATTENTION_LAUNCH(attention_dkv<WIDE>, grid, SPAN_THREADS, backward_bytes<WIDE>(), device, a,
                     error);
}

template <int WIDE>
static enum mgpt_status launch_backward(struct mgpt_device *device, const struct attention &a,
                                        struct mgpt_error *error)
{
    enum mgpt_status status = launch_dq<WIDE>(device, a, error);

    return status == MGPT_OK ? launch_dkv<WIDE>(device, a, error) : status;
}

enum mgpt_status cuda_attention_backward(struct mgpt_device *device, const struct mgpt_op *op,
                                         struct mgpt_error *error)
{
    struct attention a = attention_of(device, op);
    int64_t n = a.B * a.H * a.T;
    enum mgpt_status status;
    void *scratch;

    status = cuda_scratch(device, (size_t)n * sizeof(float), &scratch, error);
    if (status != MGPT_OK)
        return status;
    a.draws = draws_of(op, &op->in[4]);
    a.y = cuda_mixed(&op->in[1]);
    a.lse_in = cuda_f32(&op->in[2]);
    a.dy = cuda_mixed(&op->in[3]);
    a.dqkv = cuda_mixed(&op->out[0]);
    a.dyy = (float *)scratch;
    CUDA_LAUNCH(dot_dy_y, cuda_blocks(n, 4), 4 * CUDA_WARP, 0, device->stream, a);
    status = cuda_launched("dot_dy_y", error);
    if (status != MGPT_OK)
        return status;
    if (on_tensor_cores(&a))
        return cuda_tensor_attention_backward(device, &a, error);
    if (a.D <= 32)
        return launch_backward<32>(device, a, error);
    if (a.D <= 64)
        return launch_backward<64>(device, a, error);
    return launch_backward<128>(device, a, error);
}
