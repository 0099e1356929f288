/* Backward: core/model/backward.c for one position, by one warp. dx[t] is the gradient of the
 * residual stream. What gradients of parameters need of it stays where it is: gradients.cu. */
DEVICE void head_row_backward(memory *m, parameters a, int t)
{
    if constexpr (FINAL_NORM) {
        auto *dy = dnormed(m, &m->normf, t);
        times_transposed<V, C>(a.w + HEAD, factors(m->logits[t]),
                               [&](int c, float sum) { dy[c] = sum; });
        __syncwarp();
        norm_row_backward<false>(&m->normf, t, dy, m->dx[t], a.p, LN_F_GAIN);
    } else {
        times_transposed<V, C>(a.w + HEAD, factors(m->logits[t]),
                               [&](int c, float sum) { m->dx[t][c] = sum; });
    }
    __syncwarp();
}

/* From the layer's output down to what other positions need to know of its attention. */
DEVICE void layer_row_down(memory *m, const settings *now, const document *d, parameters a, int l,
                           int t)
{
    layer_rows *r = &m->layer[l];
    stored *dy = dnormed(m, &r->norm2, t);

    a = a.from(l * LAYER);
    EACH_PACK (c)
        for (int i = 0; i < PACK; i++)
            r->dout[t][c + i] = m->dx[t][c + i] * kept_at(now, d, DRAW_MLP, l, t, c + i);
    __syncwarp();
    times_transposed<C, F>(a.w + OUT, factors(r->dout[t]),
                           [&](int f, float sum) { r->pre[t][f] = sum * slope(r->pre[t][f]); });
    __syncwarp();
    times_transposed<F, C>(a.w + FC, factors(r->pre[t]), [&](int c, float sum) { dy[c] = sum; });
    __syncwarp();
    norm_row_backward<true>(&r->norm2, t, dy, m->dx[t], a.p, LN_2_GAIN);
    EACH_PACK (c)
        for (int i = 0; i < PACK; i++)
            r->dproj[t][c + i] = m->dx[t][c + i] * kept_at(now, d, DRAW_PROJECTION, l, t, c + i);
    __syncwarp();
    times_transposed<C, C>(a.w + PROJ, factors(r->dproj[t]),
                           [&](int c, float sum) { m->datt[l % 2][t][c] = sum; });
    __syncwarp();
    attention_row_queries(m, now, d, l, t);
}

/* The rest of the layer, after a barrier: dx[t] leaves as the gradient of its input. */
DEVICE void layer_row_rest(memory *m, const settings *now, const document *d, parameters a, int l,
                           int t)
{
    layer_rows *r = &m->layer[l];
    stored *dy = dnormed(m, &r->norm1, t);

    a = a.from(l * LAYER);
    attention_row_keys(m, now, d, l, t);
    times_transposed<W, C>(a.w + QKV, factors(r->dqkv[t]), [&](int c, float sum) { dy[c] = sum; });
    __syncwarp();
    norm_row_backward<true>(&r->norm1, t, dy, m->dx[t], a.p, LN_1_GAIN);
    __syncwarp();
}

DEVICE void embed_row_backward(memory *m, const settings *now, const document *d, const float *p,
                               int t)
{
    if constexpr (EMBED_NORM) {
        float *dy = dnormed(m, &m->norme, t);
        EACH_PACK (c)
            write(dy + c, read<PACK>(m->dx[t] + c));
        norm_row_backward<false>(&m->norme, t, dy, m->dx[t], p, LN_E_GAIN);
    }
    EACH_PACK (c)
        for (int i = 0; i < PACK; i++)
            m->dx[t][c + i] *= kept_at(now, d, DRAW_EMBEDDING, 0, t, c + i);
}

/* Forward and backward of a document. There are 2 L + 1 barriers of the block in it: only in
 * attention do positions meet. meanwhile(): after the first of them, for whoever has no row. */
#define EACH_ROW(t)                                                                                \
    for (int t = first; t < T; t += WARPS)                                                         \
        if (t < length)

template <class WORK>
DEVICE void document_pass(memory *m, const settings *now, const document *d, parameters a,
                          WORK meanwhile)
{
    const int length = d->length, first = __shfl_sync(0xffffffffu, warp(), 0);

    EACH_ROW (t) {
        embed_row(m, now, d, a.p, t);
        qkv_row(m, a, 0, t);
    }
    __syncthreads();
    meanwhile();
#pragma unroll 1
    for (int l = 1; l < L; l++) {
        EACH_ROW (t) {
            layer_row(m, now, d, a, l - 1, t);
            qkv_row(m, a, l, t);
        }
        __syncthreads();
    }
    EACH_ROW (t) {
        layer_row(m, now, d, a, L - 1, t);
        head_row(m, now, d, a, t);
        head_row_backward(m, a, t);
        layer_row_down(m, now, d, a, L - 1, t);
    }
#pragma unroll 1
    for (int l = L - 1; l > 0; l--) {
        __syncthreads();
        EACH_ROW (t) {
            layer_row_rest(m, now, d, a, l, t);
            layer_row_down(m, now, d, a, l - 1, t);
        }
    }
    __syncthreads();
    EACH_ROW (t) {
        layer_row_rest(m, now, d, a, 0, t);
        embed_row_backward(m, now, d, a.p, t);
    }
    __syncthreads();
}
