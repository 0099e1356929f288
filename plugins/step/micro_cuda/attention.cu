/* Attention of one row, by a warp: core/ref/attention.c has the formulas. Query head h reads kv
 * head h / (H / KV).
 *
 * KEYS lanes share a head, a lane for each row that it meets; a warp does HEADS heads at a time. */
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

/* A lane's share of a head: row s of each turn j that has rows from `begin` to before `end`. Within
 * a turn, lanes that have no such row, or no head, take the place of one that has, and their weight
 * is 0: branches cost more than what they would save. */
#define EACH_KEY(j, s, begin, end)                                                                 \
    for (int j = 0, s = lane() % KEYS; j < TURNS; j++, s += KEYS)                                  \
        if (TURNS == 1 || (j * KEYS < (end) && (j + 1) * KEYS > (begin)))

constexpr int WIDTH = FLOATS(D);

/* sum over this lane's turns of weight[j] x(s)[i..] */
template <class ROW>
DEVICE pack<WIDTH> weighted(const float (&weight)[TURNS], int begin, int end, int i, ROW x)
{
    pack<WIDTH> sums = {};

    EACH_KEY (j, s, begin, end) {
        const pack<WIDTH> row = read<WIDTH>(x(s) + i);
        for (int k = 0; k < WIDTH; k++)
            sums.v[k] = fmaf(weight[j], row.v[k], sums.v[k]);
    }
    return sums;
}

/* The same, summed over the lanes of a head: calls out(i, sum), i < D, each i in one lane. */
template <class ROW, class OUT>
DEVICE void each_weighted(const float (&weight)[TURNS], int end, ROW x, OUT out)
{
    for (int i = 0; i < D; i += WIDTH) {
        pack<WIDTH> sums = weighted(weight, 0, end, i, x);
        const share mine = share_out(sums.v, KEYS / 2, 1);
        for (int k = 0; k < mine.n; k++)
            if (mine.sole)
                out(i + mine.first + k, sums.v[k]);
    }
}

/* att[t] = sum over s <= t of p[s] v[s], with p = softmax(q[t] k[s] / sqrt(D)) */
DEVICE void attention_row(memory *m, const settings *now, const document *d, int l, int t)
{
    layer_rows *r = &m->layer[l];
    const float scale = 1 / sqrtf((float)D);

    for (int first = 0; first < H; first += HEADS) {
        const int mine = first + lane() / KEYS, h = least(mine, H - 1), g = h / (H / KV);
        float p[TURNS], most = lowest(), sum = 0;

        EACH_KEY (j, s, 0, t + 1) {
            const float score = dot<D>(query(r, t, h), key(r, least(s, t), g)) * scale;
            p[j] = s <= t ? score : lowest();
            most = fmaxf(most, p[j]);
        }
        most = group_max(most, KEYS);
        EACH_KEY (j, s, 0, t + 1) {
            p[j] = expf(p[j] - most);
            sum += p[j];
        }
        const float part = __fdividef(1, group_sum(sum, KEYS));
        EACH_KEY (j, s, 0, t + 1)
            p[j] *= part * kept_weight(now, d, l, h, t, s);
        each_weighted(
            p, t + 1, [&](int s) { return value(r, least(s, t), g); },
            [&](int i, float y) {
                if (mine < H)
                    r->att[t][h * D + i] = y;
            });
        if (lane() % KEYS == 0 && mine < H) {
            r->most[t][h] = most;
            r->part[t][h] = part;
        }
    }
    __syncwarp();
}

/* The weight of query t on row s, and the gradient of their score; 0 where t does not see s. */
struct weighed {
    float weight, dscore;
};

DEVICE weighed weigh(const memory *m, const settings *now, const document *d, int l, int h, int t,
                     int s, bool seen, float delta)
{
    const layer_rows *r = &m->layer[l];
    const int g = h / (H / KV);
    const float scale = 1 / sqrtf((float)D);
    const float score = dot<D>(query(r, t, h), key(r, s, g)) * scale;
    const float p = expf(score - r->most[t][h]) * r->part[t][h];
    const float mask = kept_weight(now, d, l, h, t, s);
    const float dp = mask * dot<D>(factors(m->datt[l % 2][t] + h * D), value(r, s, g));

    return {seen ? p * mask : 0, seen ? p * (dp - delta) * scale : 0};
}

/* delta[t] = datt[t] . att[t]      dq[t] = sum over s <= t of dscore[t,s] k[s] */
DEVICE void attention_row_queries(memory *m, const settings *now, const document *d, int l, int t)
{
    layer_rows *r = &m->layer[l];

    for (int first = 0; first < H; first += HEADS) {
        const int mine = first + lane() / KEYS, h = least(mine, H - 1);
        const float delta = dot<D>(m->datt[l % 2][t] + h * D, r->att[t] + h * D);
        float dscore[TURNS];

        EACH_KEY (j, s, 0, t + 1)
            dscore[j] = weigh(m, now, d, l, h, t, least(s, t), s <= t, delta).dscore;
        each_weighted(
            dscore, t + 1, [&](int s) { return key(r, least(s, t), h / (H / KV)); },
            [&](int i, float dq) {
                if (mine < H)
                    r->dqkv[t][h * D + i] = dq;
            });
        if (lane() % KEYS == 0 && mine < H)
            m->delta[l % 2][t][h] = delta;
    }
}

/* to = the sums over the query heads of each kv head of what they left, (H,D). */
DEVICE void add_heads(const float *from, stored *to)
{
    EACH_LANE (i, KV * D) {
        float sum = 0;
        for (int o = 0; o < H / KV; o++)
            sum += from[(i / D * (H / KV) + o) * D + i % D];
        to[i] = sum;
    }
}

/* dk[s] = sum over t >= s, and the query heads that read it, of dscore[t,s] q[t];
 * dv[s] = sum of weight[t,s] datt[t]. k and v: where each query head leaves its part. */
template <class SUM>
DEVICE void each_head_keys(memory *m, const settings *now, const document *d, int l, int s, SUM *k,
                           SUM *v)
{
    const layer_rows *r = &m->layer[l];
    const int last = d->length - 1;

    for (int first = 0; first < H; first += HEADS) {
        const int mine = first + lane() / KEYS, h = least(mine, H - 1);
        float dscore[TURNS], weight[TURNS];

        EACH_KEY (j, t, s, last + 1) {
            const bool seen = t >= s && t <= last;
            const int row = seen ? t : s;
            const weighed w = weigh(m, now, d, l, h, row, s, seen, m->delta[l % 2][row][h]);
            dscore[j] = w.dscore;
            weight[j] = w.weight;
        }
        for (int i = 0; i < D; i += WIDTH) {
            pack<WIDTH> dk = weighted(dscore, s, last + 1, i,
                                      [&](int t) { return query(r, least(t, last), h); });
            pack<WIDTH> dv = weighted(weight, s, last + 1, i, [&](int t) {
                return factors(m->datt[l % 2][least(t, last)] + h * D);
            });
            const share ours = share_out(dk.v, KEYS / 2, 1);
            share_out(dv.v, KEYS / 2, 1);
            for (int n = 0; n < ours.n; n++)
                if (ours.sole && mine < H) {
                    k[h * D + i + ours.first + n] = dk.v[n];
                    v[h * D + i + ours.first + n] = dv.v[n];
                }
        }
    }
    __syncwarp();
}

/* After a barrier: it reads what the warps of other rows left. */
DEVICE void attention_row_keys(memory *m, const settings *now, const document *d, int l, int s)
{
    stored *dk = m->layer[l].dqkv[s] + H * D, *dv = dk + KV * D;
    float *k = scratch(m, s)[0], *v = scratch(m, s)[1];

    if constexpr (H == KV) {
        each_head_keys(m, now, d, l, s, dk, dv);
    } else {
        each_head_keys(m, now, d, l, s, k, v);
        add_heads(k, dk);
        add_heads(v, dv);
        __syncwarp();
    }
}
