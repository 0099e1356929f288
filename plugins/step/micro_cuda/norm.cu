/* Norms of one row, by a warp: core/ref/norm.c. A lane touches the same elements of every row here,
 * c = lane, lane + 32, ...: what it reads it wrote itself. */

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
    return reinterpret_cast<typename NORM::type *>(m->row[warp()]);
}

/* gain, bias: offsets among the parameters */
template <class NORM>
DEVICE void norm_row(const float *x, NORM *n, int t, const float *p, int gain, int bias)
{
    float mean = 0, squares = 0, rstd;

    if constexpr (NORM_LAYER) {
        EACH_LANE (c, C)
            mean += x[c];
        mean = group_sum(mean) * (1.0f / C);
    }
    EACH_LANE (c, C)
        squares = fmaf(x[c] - mean, x[c] - mean, squares);
    rstd = 1 / sqrtf(group_sum(squares) * (1.0f / C) + EPS);
    EACH_LANE (c, C) {
        const float hat = (x[c] - mean) * rstd;
        n->hat[t][c] = hat;
        if constexpr (NORM::SEPARATE)
            n->y[t][c] = hat * (NORM_GAIN ? p[gain + c] : 1) + (NORM_BIAS ? p[bias + c] : 0);
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
    const float *hat = n->hat[t];

    EACH_LANE (c, C) {
        const float h = dy[c] * (NORM_GAIN ? p[gain + c] : 1);
        if constexpr (NORM_LAYER)
            mean += h;
        mean_hat = fmaf(h, hat[c], mean_hat);
    }
    if constexpr (NORM_LAYER)
        mean = group_sum(mean) * (1.0f / C);
    mean_hat = group_sum(mean_hat) * (1.0f / C);
    EACH_LANE (c, C) {
        const float h = dy[c] * (NORM_GAIN ? p[gain + c] : 1);
        const float d = (h - mean - hat[c] * mean_hat) * rstd;
        dx[c] = ADD ? dx[c] + d : d;
    }
}
