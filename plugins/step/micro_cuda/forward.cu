/* Forward: core/model/forward.c for one position, by one warp. Offsets such as QKV are of layer 0;
 * a.from(l * LAYER) are the parameters from layer l on. */
/* --- idea: model --- */
DEVICE void embed_row(memory *m, const settings *now, const document *d, const float *p, int t)
{
    EACH_LANE (c, C)
        m->x[t][c] = (p[WTE + d->ids[t] * C + c] + p[WPE + t * C + c]) *
                     kept_at(now, d, DRAW_EMBEDDING, 0, t, c);
    if constexpr (EMBED_NORM) {
        norm_row(m->x[t], &m->norme, t, p, LN_E_GAIN, LN_E_BIAS);
        EACH_LANE (c, C)
            m->x[t][c] = normed(&m->norme, t)[c];
    }
}

/* qkv[t] of a layer: other positions read it, after a barrier. */
DEVICE void qkv_row(memory *m, parameters a, int l, int t)
{
    layer_rows *r = &m->layer[l];

    a = a.from(l * LAYER);
    norm_row(m->x[t], &r->norm1, t, a.p, LN_1_GAIN, LN_1_BIAS);
    __syncwarp();
    times<W, C>(a.w + QKV, factors(normed(&r->norm1, t)),
                [&](int i, float sum) { r->qkv[t][i] = sum + (BIAS_QKV ? a.p[QKV_BIAS + i] : 0); });
}

/* x[t] += what a branch adds to the residual: its sum is stored, and so is what dropout leaves. */
DEVICE void add_branch(memory *m, const settings *now, const document *d, u32 purpose, int l, int t,
                       int c, float sum)
{
    const stored y = sum, left = y * kept_at(now, d, purpose, l, t, c);

    m->x[t][c] += left;
}

/* The rest of the layer: x[t] leaves as its output. */
DEVICE void layer_row(memory *m, const settings *now, const document *d, parameters a, int l, int t)
{
    layer_rows *r = &m->layer[l];

    a = a.from(l * LAYER);
    attention_row(m, now, d, l, t);
    times<C, C>(a.w + PROJ, factors(r->att[t]), [&](int c, float sum) {
        add_branch(m, now, d, DRAW_PROJECTION, l, t, c, sum + (BIAS_PROJ ? a.p[PROJ_BIAS + c] : 0));
    });
    __syncwarp();
    norm_row(m->x[t], &r->norm2, t, a.p, LN_2_GAIN, LN_2_BIAS);
    __syncwarp();
    times<F, C>(a.w + FC, factors(normed(&r->norm2, t)), [&](int f, float sum) {
        const float pre = sum + (BIAS_MLP ? a.p[FC_BIAS + f] : 0);
        r->pre[t][f] = pre;
        r->hidden[t][f] = activated(pre);
    });
    __syncwarp();
    times<C, F>(a.w + OUT, factors(r->hidden[t]), [&](int c, float sum) {
        add_branch(m, now, d, DRAW_MLP, l, t, c, sum + (BIAS_MLP ? a.p[OUT_BIAS + c] : 0));
    });
    __syncwarp();
}

/* --- end of idea --- */
/* What the head reads. */
DEVICE auto last_row(const memory *m, int t)
{
    if constexpr (FINAL_NORM)
        return factors(normed(&m->normf, t));
    else
        return factors(m->x[t]);
}

/* Of the positions of a step. */
DEVICE float *losses(memory *m, const settings *now)
{
    return m->loss[now - m->now];
}

/* loss[t] = log(sum exp(logits)) - logits[target]; logits become dlogits.
 * core/ref/cross_entropy.c */
DEVICE void loss_row(memory *m, const settings *now, const document *d, int t)
{
    float *z = m->logits[t], most = -3e38f, sum = 0;
    const int target = d->targets[t];

    EACH_LANE (v, V)
        most = fmaxf(most, z[v]);
    most = group_max(most);
    EACH_LANE (v, V)
        sum += expf(z[v] - most);
    const float lse = most + logf(group_sum(sum));
    if (lane() == 0)
        losses(m, now)[t] = target < 0 ? 0 : lse - z[target];
    __syncwarp(); /* z[target] was read */
    EACH_LANE (v, V)
        z[v] = target < 0 ? 0 : (expf(z[v] - lse) - (v == target)) * now->scale;
    __syncwarp();
}

DEVICE void head_row(memory *m, const settings *now, const document *d, parameters a, int t)
{
    if constexpr (FINAL_NORM)
        norm_row(m->x[t], &m->normf, t, a.p, LN_F_GAIN, LN_F_BIAS);
    __syncwarp();
    times<V, C>(a.w + HEAD, last_row(m, t), [&](int v, float sum) {
        m->logits[t][v] = sum + (BIAS_HEAD ? a.p[HEAD_BIAS + v] : 0);
    });
    __syncwarp();
    loss_row(m, now, d, t);
}
