/* Attention of one row, by a warp: core/ref/attention.c has the formulas. Query head h reads kv
 * head h / (H / KV).
 *
 * KEYS lanes share a head, a lane for each row that it meets; a warp does HEADS heads at a time.
 * The weights that they find go through the warp's scratch memory to the lanes that add up. */
constexpr int KEYS = power_above(least(T, WARP)), HEADS = WARP / KEYS;
constexpr int TURNS = (T + KEYS - 1) / KEYS; /* rows a lane */

DEVICE auto query(const layer_rows *r, int t, int h)
{
    return factors(r->qkv[t] + h * D);
}

DEVICE auto key(const layer_rows *r, int s, int g)
{
    return factors(r->qkv[s] + (H + g) * D);
}

DEVICE auto value(const layer_rows *r, int s, int g)
{
    return factors(r->qkv[s] + (H + KV + g) * D);
}

/* A lane's share of head h: row s of `part` + KEYS j. */
#define EACH_KEY(j, s) for (int j = 0, s = lane() % KEYS; j < TURNS; j++, s += KEYS)

/* att[t] = sum over s <= t of p[s] v[s], with p = softmax(q[t] k[s] / sqrt(D)) */
DEVICE void attention_row(memory *m, const settings *now, const document *d, int l, int t)
{
    layer_rows *r = &m->layer[l];
    float *weights = m->weights[warp()][0];
    const float scale = 1 / sqrtf((float)D);

    for (int first = 0; first < H; first += HEADS) {
        const int mine = lane() / KEYS, h = first + mine, seen = h < H ? t : -1;
        float score[TURNS], most = -3e38f, sum = 0;

        EACH_KEY (j, s) {
            score[j] = -3e38f;
            if (s <= seen)
                score[j] = dot<D>(query(r, t, h), key(r, s, h / (H / KV))) * scale;
            most = fmaxf(most, score[j]);
        }
        most = group_max(most, KEYS);
        EACH_KEY (j, s) {
            score[j] = s <= seen ? expf(score[j] - most) : 0;
            sum += score[j];
        }
        sum = group_sum(sum, KEYS);
        EACH_KEY (j, s)
            if (s <= seen)
                weights[mine * T + s] = score[j] / sum * kept_weight(now, d, l, h, t, s);
        if (lane() % KEYS == 0 && h < H)
            r->lse[t][h] = most + logf(sum);
        __syncwarp();
        EACH_LANE (i, least(HEADS, H - first) * D) {
            const int head = i / D, g = (first + head) / (H / KV);
            float y = 0;
            for (int s = 0; s <= t; s++)
                y = fmaf(weights[head * T + s], value(r, s, g)[i % D], y);
            r->att[t][first * D + i] = y;
        }
        __syncwarp();
    }
}

/* The weight of query t on row s, and the gradient of their score. */
struct weighed {
    float weight, dscore;
};

DEVICE weighed weigh(const memory *m, const settings *now, const document *d, int l, int h, int t,
                     int s)
{
    const layer_rows *r = &m->layer[l];
    const int g = h / (H / KV);
    const float scale = 1 / sqrtf((float)D);
    const float p = expf(dot<D>(query(r, t, h), key(r, s, g)) * scale - r->lse[t][h]);
    const float mask = kept_weight(now, d, l, h, t, s);
    const float dp = mask * dot<D>(factors(m->datt[l % 2][t] + h * D), value(r, s, g));

    return {p * mask, p * (dp - m->delta[l % 2][t][h]) * scale};
}

/* delta[t] = datt[t] . att[t]      dq[t] = sum over s <= t of dscore[t,s] k[s] */
DEVICE void attention_row_queries(memory *m, const settings *now, const document *d, int l, int t)
{
    layer_rows *r = &m->layer[l];
    float *dscores = m->weights[warp()][0];

    EACH_LANE (h, H)
        m->delta[l % 2][t][h] = dot<D>(m->datt[l % 2][t] + h * D, r->att[t] + h * D);
    __syncwarp();
    for (int first = 0; first < H; first += HEADS) {
        const int mine = lane() / KEYS, h = first + mine, seen = h < H ? t : -1;

        EACH_KEY (j, s)
            if (s <= seen)
                dscores[mine * T + s] = weigh(m, now, d, l, h, t, s).dscore;
        __syncwarp();
        EACH_LANE (i, least(HEADS, H - first) * D) {
            const int head = i / D, g = (first + head) / (H / KV);
            float dq = 0;
            for (int s = 0; s <= t; s++)
                dq = fmaf(dscores[head * T + s], key(r, s, g)[i % D], dq);
            r->dqkv[t][first * D + i] = dq;
        }
        __syncwarp();
    }
}

/* dk[s] = sum over t >= s, and the query heads that read it, of dscore[t,s] q[t];
 * dv[s] = sum of weight[t,s] datt[t]. After a barrier: it reads what the warps of other rows
 * left. */
DEVICE void attention_row_keys(memory *m, const settings *now, const document *d, int l, int s)
{
    layer_rows *r = &m->layer[l];
    float *dscores = m->weights[warp()][0], *weights = m->weights[warp()][1];
    stored *dk = r->dqkv[s] + H * D, *dv = dk + KV * D;
    constexpr int parts = (KV * D + WARP - 1) / WARP;
    float k[parts] = {}, v[parts] = {};

    for (int first = 0; first < H; first += HEADS) {
        const int mine = lane() / KEYS, h = first + mine;

        EACH_KEY (j, t)
            if (t >= s && t < d->length && h < H) {
                const weighed w = weigh(m, now, d, l, h, t, s);
                dscores[mine * T + t] = w.dscore;
                weights[mine * T + t] = w.weight;
            }
        __syncwarp();
#pragma unroll
        for (int j = 0; j < parts; j++) {
            const int i = lane() + j * WARP;
            const int g = i / D, from = g * (H / KV), to = from + H / KV; /* its query heads */
            for (int q = from > first ? from : first; i < KV * D && q < to && q < first + HEADS;
                 q++)
                for (int t = s; t < d->length; t++) {
                    const float dy = factors(m->datt[l % 2][t])[q * D + i % D];
                    k[j] = fmaf(dscores[(q - first) * T + t], query(r, t, q)[i % D], k[j]);
                    v[j] = fmaf(weights[(q - first) * T + t], dy, v[j]);
                }
        }
        __syncwarp();
    }
#pragma unroll
    for (int j = 0; j < parts; j++)
        if (lane() + j * WARP < KV * D) {
            dk[lane() + j * WARP] = k[j];
            dv[lane() + j * WARP] = v[j];
        }
    __syncwarp();
}
