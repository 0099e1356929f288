/* Forward: core/model/forward.c for one position, by one warp. Offsets such as QKV are of layer 0;
 * a.from(l * LAYER) are the parameters from layer l on. */
/* --- idea: model --- */
DEVICE void embed_row(memory *m, const settings *now, const document *d, const float *p, int t)
{
    EACH_PACK (c) {
        pack<PACK> x = read<PACK>(p + WTE + d->ids[t] * C + c);
        const pack<PACK> at = read<PACK>(p + WPE + t * C + c);
        for (int i = 0; i < PACK; i++)
            x.v[i] = (x.v[i] + at.v[i]) * kept_at(now, d, DRAW_EMBEDDING, 0, t, c + i);
        write(m->x[t] + c, x);
    }
    if constexpr (EMBED_NORM) {
        norm_row(m->x[t], &m->norme, t, p, LN_E_GAIN, LN_E_BIAS);
        EACH_PACK (c)
            write(m->x[t] + c, read<PACK>(normed(&m->norme, t) + c));
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

/* Of position t of a step. */
DEVICE float loss_of(const memory *m, const settings *now, int t)
{
    const int which = (int)(now - m->now);

    return m->above[which][t] + logf(m->sum[which][t]);
}

/* loss[t] = log(sum exp(logits)) - logits[target], but for the logarithm, which is left to whoever
 * wants to know it; logits become dlogits. core/ref/cross_entropy.c */
DEVICE void loss_row(memory *m, const settings *now, const document *d, int t)
{
    const int target = d->targets[t], which = (int)(now - m->now);
    const float wanted = m->logits[t][target < 0 ? 0 : target], scale = target < 0 ? 0 : now->scale;
    float *z = m->logits[t], most = lowest(), sum = 0;

    EACH_LANE (v, V)
        most = fmaxf(most, z[v]);
    most = group_max(most);
    __syncwarp(); /* z[target] was read */
    EACH_LANE (v, V) {
        const float e = expf(z[v] - most);
        z[v] = e;
        sum += e;
    }
    sum = group_sum(sum);
    const float part = __fdividef(1, sum);
    EACH_LANE (v, V)
        z[v] = (z[v] * part - (v == target)) * scale;
    if (lane() == 0) {
        m->above[which][t] = target < 0 ? 0 : most - wanted;
        m->sum[which][t] = target < 0 ? 1 : sum;
    }
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
