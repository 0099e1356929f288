/* Causal attention, forward, by online softmax: T x T is never stored.
 * Formulas: core/ref/attention.c; Dao et al. 2022, algorithm 1; Milakov & Gimelshein 2018.
 *
 * A block takes 32 queries of one head and goes over the keys that they see, 32 at a time, with the
 * running maximum m, the running sum l and the weighted values so far, which shrink by
 * exp(m - new m) when the maximum grows. */
#include "tensor_attention.cuh"

/* New keys and values go into rows position.. of the cache (2,B,capacity,KV D). */
static __global__ void fill_cache(struct attention a)
{
    int64_t wide = a.KV * a.D, n = 2 * a.B * a.T * wide;

    for (int64_t i = grid_index(); i < n; i += grid_size()) {
        int64_t c = i % wide, t = i / wide % a.T, b = i / (wide * a.T) % a.B;
        int64_t which = i / (wide * a.T * a.B);
        put(a.cache, ((which * a.B + b) * a.capacity + a.position + t) * wide + c,
            get(a.qkv, (b * a.T + t) * qkv_row(a) + (a.H + which * a.KV) * a.D + c));
    }
}

/* --- idea: attention --- */
/* Row by row: scores become exp(score - new maximum); what was summed so far shrinks. */
template <int WIDE>
static __device__ inline void soften(const struct attention &a, int64_t t0, int64_t s0,
                                     float score[EACH][EACH], float m[EACH], float l[EACH],
                                     float4 sum[EACH][WIDE / SPAN])
{
    int tx = (int)threadIdx.x % SIDE, ty = (int)threadIdx.x / SIDE;

    for (int i = 0; i < EACH; i++) {
        int64_t seen = a.position + t0 + ty + SIDE * i; /* the last key that this query sees */
        float most = m[i], shrink;
        for (int j = 0; j < EACH; j++) {
            int64_t s = s0 + tx + SIDE * j;
            if (s > seen || s >= a.S)
                score[i][j] = -INFINITY;
            most = fmaxf(most, score[i][j]);
        }
        for (int o = SIDE / 2; o; o /= 2)
            most = fmaxf(most, __shfl_xor_sync(CUDA_ALL, most, o));
        shrink = expf(m[i] - most); /* key 0 is seen by all, so `most` is finite */
        m[i] = most;
        l[i] *= shrink;
        for (int j = 0; j < EACH; j++) {
            score[i][j] = expf(score[i][j] - most);
            l[i] += score[i][j];
        }
        for (int c = 0; c < WIDE / SPAN; c++) {
            sum[i][c].x *= shrink;
            sum[i][c].y *= shrink;
            sum[i][c].z *= shrink;
            sum[i][c].w *= shrink;
        }
    }
}

/* --- end of idea --- */
/* Probabilities times what dropout leaves of them. */
static __device__ inline void drop_scores(const struct attention &a, const unsigned char *keep,
                                          float score[EACH][EACH])
{
    int tx = (int)threadIdx.x % SIDE, ty = (int)threadIdx.x / SIDE;

    for (int i = 0; i < EACH; i++)
        for (int j = 0; j < EACH; j++)
            score[i][j] *= keep[(ty + SIDE * i) * SPAN + tx + SIDE * j] ? a.draws.factor : 0.0f;
}

/* --- idea: attention --- */
/* Grid: tiles of queries, the last first since it has most to do; heads; sequences. */
template <int WIDE>
static __global__ void __launch_bounds__(SPAN_THREADS) attention_forward(struct attention a)
{
    CUDA_SHARED(float, q);
    float *kv = q + tile_floats<WIDE>(), *p = kv + tile_floats<WIDE>();
    unsigned char *keep = reinterpret_cast<unsigned char *>(p + SPAN * SCORE_ROW);
    int tx = (int)threadIdx.x % SIDE, ty = (int)threadIdx.x / SIDE;
    int64_t t0 = (int64_t)(gridDim.x - 1 - blockIdx.x) * SPAN, h = blockIdx.y, b = blockIdx.z;
    int64_t g = h / (a.H / a.KV), end = a.position + t0 + SPAN < a.S ? a.position + t0 + SPAN : a.S;
    float m[EACH], l[EACH] = {}, score[EACH][EACH], factor[EACH];
    float4 sum[EACH][WIDE / SPAN];

    clear<WIDE>(sum);
    for (int i = 0; i < EACH; i++)
        m[i] = -INFINITY;
    load_rows<WIDE>(head_of_qkv(a, a.qkv, b, h), t0, a.T, a.D, a.operands, a.scale, q);
    for (int64_t s0 = 0; s0 < end; s0 += SPAN) {
        load_rows<WIDE>(kv_rows(a, 0, b, g), s0, a.S, a.D, a.operands, 1, kv);
        if (a.draws.state)
            draw_tile<SPAN, SPAN, SPAN_THREADS>(a, b, h, t0, s0, keep);
        __syncthreads();
        dot_rows<WIDE>(q, kv, score);
        soften<WIDE>(a, t0, s0, score, m, l, sum);
        if (a.draws.state)
            drop_scores(a, keep, score);
        keep_scores(score, p);
        __syncthreads();
        load_rows<WIDE>(kv_rows(a, 1, b, g), s0, a.S, a.D, a.operands, 1, kv);
        __syncthreads();
        add_weighted<WIDE>(p, kv, sum);
        __syncthreads();
    }
    for (int i = 0; i < EACH; i++) {
        int64_t t = t0 + ty + SIDE * i;
        for (int o = SIDE / 2; o; o /= 2)
            l[i] += __shfl_xor_sync(CUDA_ALL, l[i], o);
        factor[i] = 1 / l[i];
        if (a.lse && tx == 0 && t < a.T)
            a.lse[(b * a.H + h) * a.T + t] = m[i] + logf(l[i]);
    }
    store_rows<WIDE>(sum, factor, head_of_y(a, a.y, b, h), t0, a.T, a.D);
}

/* --- end of idea --- */
template <int WIDE>
static enum mgpt_status launch_forward(struct mgpt_device *device, const struct attention &a,
                                       struct mgpt_error *error)
{
    dim3 grid((unsigned)cuda_pieces(a.T, SPAN), (unsigned)a.H, (unsigned)a.B);
    size_t bytes = (2 * tile_floats<WIDE>() + SPAN * SCORE_ROW) * sizeof(float) + SPAN * SPAN;

    ATTENTION_LAUNCH(attention_forward<WIDE>, grid, SPAN_THREADS, bytes, device, a, error);
}

enum mgpt_status cuda_attention(struct mgpt_device *device, const struct mgpt_op *op,
                                struct mgpt_error *error)
{
    struct attention a = attention_of(device, op);

    a.draws = draws_of(op, &op->in[1]);
    a.y = cuda_mixed(&op->out[0]);
    a.lse = cuda_f32(&op->out[1]);
    a.cache = cuda_mixed(&op->out[2]);
    if (a.cache.at) {
        int64_t n = 2 * a.B * a.T * a.KV * a.D;
        enum mgpt_status status;
        a.capacity = op->out[2].shape[2];
        CUDA_LAUNCH(fill_cache, cuda_blocks(n, 256), 256, 0, device->stream, a);
        status = cuda_launched("fill_cache", error);
        if (status != MGPT_OK)
            return status;
    }
    if (on_tensor_cores(&a))
        return cuda_tensor_attention(device, &a, error);
    if (a.D <= 32)
        return launch_forward<32>(device, a, error);
    if (a.D <= 64)
        return launch_forward<64>(device, a, error);
    return launch_forward<128>(device, a, error);
}
