/* Norms of one row, by a warp: core/ref/norm.c. A lane touches the same packs of every row here:
 * what it reads it wrote itself. Where there are fewer packs than lanes, the first ones have all,
 * and sums are theirs alone: fewer shuffles. */
constexpr int PACK = FLOATS(C), NORM_LANES = least(power_above(C / PACK), WARP);

/* Pack by pack: c = PACK lane, PACK (lane + 32), ... below C. */
#define EACH_PACK(c) for (int c = PACK * lane(); c < C; c += PACK * WARP)

/* What the layer after a norm reads. */
template <class NORM> DEVICE auto normed(const NORM *n, int t)
{
    if constexpr (NORM::SEPARATE)
        return (const typename NORM::type *)n->y[t];
    else
        return (const float *)n->hat[t];
}

/* Where the gradient of that goes; without gain and bias nobody needs it for long. */
template <class NORM> DEVICE typename NORM::type *dnormed(memory *m, NORM *n, int t)
{
    if constexpr (AFFINE)
        return n->dy[t];
    return reinterpret_cast<typename NORM::type *>(scratch(m, t)[0]);
}

/* Gains from c on; 1 where there are none. */
DEVICE pack<PACK> gains(const float *p, int gain, int c)
{
    pack<PACK> one;

    if constexpr (NORM_GAIN)
        return read<PACK>(p + gain + c);
    for (int i = 0; i < PACK; i++)
        one.v[i] = 1;
    return one;
}

/* gain, bias: offsets among the parameters */
template <class NORM>
DEVICE void norm_row(const float *x, NORM *n, int t, const float *p, int gain, int bias)
{
    float mean = 0, squares = 0, rstd;

    if constexpr (NORM_LAYER) {
        EACH_PACK (c) {
            const pack<PACK> v = read<PACK>(x + c);
            for (int i = 0; i < PACK; i++)
                mean += v.v[i];
        }
        mean = group_sum(mean, NORM_LANES) * (1.0f / C);
    }
    EACH_PACK (c) {
        const pack<PACK> v = read<PACK>(x + c);
        for (int i = 0; i < PACK; i++)
            squares = fmaf(v.v[i] - mean, v.v[i] - mean, squares);
    }
    rstd = rsqrtf(group_sum(squares, NORM_LANES) * (1.0f / C) + EPS);
    EACH_PACK (c) {
        pack<PACK> hat = read<PACK>(x + c), y = gains(p, gain, c);
        for (int i = 0; i < PACK; i++) {
            hat.v[i] = (hat.v[i] - mean) * rstd;
            y.v[i] = hat.v[i] * y.v[i] + (NORM_BIAS ? p[bias + c + i] : 0);
        }
        write(n->hat[t] + c, hat);
        if constexpr (NORM::SEPARATE)
            write(n->y[t] + c, y);
    }
    if (lane() == 0)
        n->rstd[t] = rstd;
}

/* dx [+]= (h - mean(h) - hat mean(h hat)) rstd, with h = dy [* gain]; mean(h): of a layer norm */
template <bool ADD, class NORM>
DEVICE void norm_row_backward(const NORM *n, int t, const typename NORM::type *dy, float *dx,
                              const float *p, int gain)
{
    float mean = 0, mean_hat = 0, rstd = n->rstd[t];

    EACH_PACK (c) {
        const pack<PACK> d = read<PACK>(dy + c), hat = read<PACK>(n->hat[t] + c),
                         a = gains(p, gain, c);
        for (int i = 0; i < PACK; i++) {
            const float h = d.v[i] * a.v[i];
            if constexpr (NORM_LAYER)
                mean += h;
            mean_hat = fmaf(h, hat.v[i], mean_hat);
        }
    }
    if constexpr (NORM_LAYER)
        mean = group_sum(mean, NORM_LANES) * (1.0f / C);
    mean_hat = group_sum(mean_hat, NORM_LANES) * (1.0f / C);
    EACH_PACK (c) {
        const pack<PACK> d = read<PACK>(dy + c), hat = read<PACK>(n->hat[t] + c),
                         a = gains(p, gain, c);
        pack<PACK> sum = read<PACK>(dx + c);
        for (int i = 0; i < PACK; i++) {
            const float mine = (d.v[i] * a.v[i] - mean - hat.v[i] * mean_hat) * rstd;
            sum.v[i] = ADD ? sum.v[i] + mine : mine;
        }
        write(dx + c, sum);
    }
}
