/* What a warp does together: sums, and products of a row with a matrix.
 *
 * A position is a warp's own from one end of the model to the other, but for attention. So between
 * two layers of a position there is no barrier of the block, only __syncwarp. */
DEVICE int lane()
{
    return (int)threadIdx.x % WARP;
}

DEVICE int warp()
{
    return (int)threadIdx.x / WARP;
}

/* Lane by lane: i = lane, lane + 32, ... below n. */
#define EACH_LANE(i, n) for (int i = lane(); i < (n); i += WARP)

/* Over groups of `size` neighbouring lanes, a power of two; every lane gets its group's result. */
template <class R> DEVICE R group_sum(R v, int size = WARP)
{
    for (int o = size / 2; o; o /= 2)
        v += __shfl_xor_sync(0xffffffffu, v, o);
    return v;
}

DEVICE float group_max(float v, int size = WARP)
{
    for (int o = size / 2; o; o /= 2)
        v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, o));
    return v;
}

/* Largest power of two that is at most n, and smallest that is at least n. */
DEVICE constexpr int power_below(int n)
{
    return n < 2 ? 1 : 2 * power_below(n / 2);
}

DEVICE constexpr int power_above(int n)
{
    return n < 2 ? 1 : 2 * power_above((n + 1) / 2);
}

DEVICE constexpr int least(int a, int b)
{
    return a < b ? a : b;
}

/* sum over k < K of a[k] b[k] */
template <int K, class A, class B> DEVICE float dot(const A *a, const B *b)
{
    constexpr int n = FLOATS(K);
    float sum = 0;

    for (int k = 0; k < K; k += n) {
        const pack<n> x = read<n>(a + k), y = read<n>(b + k);
        for (int i = 0; i < n; i++)
            sum = fmaf(x.v[i], y.v[i], sum);
    }
    return sum;
}

/* y (M) = w x, w (M,K): calls out(m, y[m]), each m in one lane.
 *
 * G lanes share a row of w, so that neighbours read what is side by side in memory; each keeps its
 * part of x in registers. Shuffles add up what they have. */
template <int M, int K, class X, class OUT> DEVICE void times(const weight *w, const X *x, OUT out)
{
    constexpr int n = FLOATS(K);
    constexpr int wanted = K >= 512 ? 32 : K >= 256 ? 16 : 8 * (4 / n);
    constexpr int G = power_below(least(K / n, least(wanted, WARP)));
    constexpr int parts = (K + G * n - 1) / (G * n);
    const int part = lane() % G * n;
    pack<n> mine[parts];

    for (int i = 0; i < parts; i++)
        mine[i] = part + i * G * n < K ? read<n>(x + part + i * G * n) : pack<n>{};
    for (int first = 0; first < M; first += WARP / G) {
        const int m = first + lane() / G;
        float sum = 0;
        for (int i = 0; i < parts && m < M; i++)
            if (part + i * G * n < K) {
                const pack<n> row = read<n>(w + m * K + part + i * G * n);
                for (int j = 0; j < n; j++)
                    sum = fmaf(row.v[j], mine[i].v[j], sum);
            }
        sum = group_sum(sum, G);
        if (part == 0 && m < M)
            out(m, sum);
    }
}

/* dx (K) = dy w, w (M,K): calls out(k, dx[k]), each k in one lane.
 *
 * A lane has one column of w, or several; where there are more lanes than columns they share the
 * rows. Again neighbours read what is side by side. */
template <int M, int K, class DY, class OUT>
DEVICE void times_transposed(const weight *w, const DY *dy, OUT out)
{
    constexpr int G = least(power_above(K), WARP), columns = (K + G - 1) / G, rows = WARP / G;
    const int k = lane() % G;
    float sum[columns] = {};

#pragma unroll 8
    for (int m = lane() / G; m < M; m += rows) {
        const float d = dy[m];
        for (int i = 0; i < columns; i++)
            if (k + i * G < K)
                sum[i] = fmaf(d, w[m * K + k + i * G], sum[i]);
    }
    for (int i = 0; i < columns; i++) {
        for (int o = G; o < WARP; o *= 2)
            sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], o);
        if (lane() < G && k + i * G < K)
            out(k + i * G, sum[i]);
    }
}
