/* What a warp does together: sums, and products of a row with a matrix.
 *
 * A position is a warp's own from one end of the model to the other, but for attention. So between
 * two layers of a position there is no barrier of the block, only __syncwarp. */
DEVICE int lane()
{
    return (int)(threadIdx.x % WARP);
}

DEVICE int warp()
{
    return (int)(threadIdx.x / WARP);
}

typedef float (*scratch_rows)[pad(C)];

/* Two rows of the warp that has row t. */
DEVICE scratch_rows scratch(memory *m, int t)
{
    return m->rows[t % WARPS];
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

/* Of nothing: minus infinity. */
DEVICE float lowest()
{
    return float_of(0xff800000u);
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

/* Several sums at a time: one would wait for itself at each step. */
template <int n> DEVICE void add_products(pack<n> *sums, const pack<n> &a, const pack<n> &b)
{
    for (int i = 0; i < n; i++)
        sums->v[i] = fmaf(a.v[i], b.v[i], sums->v[i]);
}

template <int n> DEVICE float total(const pack<n> &sums)
{
    if constexpr (n == 4)
        return (sums.v[0] + sums.v[1]) + (sums.v[2] + sums.v[3]);
    return sums.v[0];
}

/* sum over k < K of a[k] b[k] */
template <int K, class A, class B> DEVICE float dot(const A *a, const B *b)
{
    constexpr int n = FLOATS(K);
    pack<n> sums = {};

    for (int k = 0; k < K; k += n)
        add_products(&sums, read<n>(a + k), read<n>(b + k));
    return total(sums);
}

DEVICE constexpr int most(int a, int b)
{
    return a > b ? a : b;
}

/* Lanes that share a row of w (M,K): so many that all have a row, or a part of one, and that nobody
 * has more than 8 packs; in global memory neighbours read what is side by side. */
template <int M, int K> DEVICE constexpr int lanes_a_row()
{
    constexpr int n = FLOATS(K), side_by_side = W_HERE || P_HERE ? 1 : 32 / n;

    return least(
        power_below(K / n),
        least(WARP, power_above(most(most(WARP / power_above(M), K / n / 8), side_by_side))));
}

/* y (M) = w x, w (M,K): calls out(m, y[m]), each m in one lane.
 *
 * G lanes share a row of w; each keeps its part of x in registers, and shuffles add up what they
 * have. Rows are so many words apart that lanes would read from the same banks of shared memory: so
 * each starts at another pack. All is read before `out` writes, because the compiler must assume
 * that it writes what would be read next. */
template <int M, int K, class X, class OUT> DEVICE void times(const weight *w, const X *x, OUT out)
{
    constexpr int n = FLOATS(K), G = lanes_a_row<M, K>(), rows = WARP / G, packs = K / n;
    constexpr int parts = (packs + G - 1) / G;
    constexpr int turns = least((M + rows - 1) / rows, most(8 / parts, 1));
    constexpr int banks = 128 / (n * (int)sizeof(weight));
    constexpr bool turn = packs == G * power_below(parts);
    const int first = turn ? lane() % banks / G * least(packs, banks) / banks : 0;
    pack<n> mine[parts];
    int at[parts];

    for (int i = 0; i < parts; i++) {
        at[i] = (lane() % G + (turn ? (i + first) % parts : i) * G) * n;
        mine[i] = at[i] < K ? read<n>(x + at[i]) : pack<n>{};
    }
#pragma unroll 1
    for (int from = 0; from < M; from += turns * rows) {
        const int m = from + lane() / G;
        pack<n> sums[turns] = {};
        float sum[turns];
#pragma unroll
        for (int r = 0; r < turns; r++)
            for (int i = 0; i < parts; i++)
                if (m + r * rows < M && at[i] < K)
                    add_products(&sums[r], read<n>(w + (m + r * rows) * K + at[i]), mine[i]);
#pragma unroll
        for (int r = 0; r < turns; r++)
            sum[r] = group_sum(total(sums[r]), G);
#pragma unroll
        for (int r = 0; r < turns; r++)
            if (lane() % G == 0 && m + r * rows < M)
                out(m + r * rows, sum[r]);
    }
}

/* Of several sums over lanes, what one lane gets. */
struct share {
    int first, n; /* v[0..n) is the sums first, first + 1 ... */
    bool sole;    /* no other lane has the same */
};

/* The sums of v[0..N) over the lanes that differ in the bits from `high` down to `low`. Of two
 * lanes each goes on with one half of the sums, as long as there are two: fewer shuffles. */
template <int N> DEVICE share share_out(float (&v)[N], int high, int low)
{
    share mine = {0, N, true};

#pragma unroll
    for (int o = high; o >= low; o /= 2) {
        const bool upper = lane() & o, all = mine.n % 2;
        const int half = all ? mine.n : mine.n / 2;
        for (int i = 0; i < half; i++) {
            const float given = all || upper ? v[i] : v[i + half];
            v[i] = (!all && upper ? v[i + half] : v[i]) + __shfl_xor_sync(0xffffffffu, given, o);
        }
        mine = {mine.first + (!all && upper ? half : 0), half, mine.sole && !(all && upper)};
    }
    return mine;
}

/* dx (K) = dy w, w (M,K): calls out(k, dx[k]), each k in one lane.
 *
 * G lanes have the packs of a row of w, each its own, or several; the others have other rows. Again
 * neighbours read what is side by side. */
template <int M, int K, class DY, class OUT>
DEVICE void times_transposed(const weight *w, const DY *dy, OUT out)
{
    constexpr int n = FLOATS(K), packs = K / n, G = least(power_above(packs), WARP);
    constexpr int parts = (packs + G - 1) / G, rows = WARP / G;
    const int k = lane() % G;
    float sum[parts][n] = {};

#pragma unroll 8
    for (int m = 0; m < M; m += rows) {
        const int row = m + lane() / G;
        const float d = row < M ? (float)dy[row] : 0;
        for (int i = 0; i < parts; i++)
            if (row < M && k + i * G < packs) {
                const pack<n> x = read<n>(w + row * K + (k + i * G) * n);
                for (int j = 0; j < n; j++)
                    sum[i][j] = fmaf(d, x.v[j], sum[i][j]);
            }
    }
    const share mine = share_out(sum[0], WARP / 2, G);
    for (int i = 0; i < parts; i++)
        for (int j = 0; j < mine.n; j++)
            if (mine.sole && k + i * G < packs)
                out((k + i * G) * n + mine.first + j, sum[i][j]);
}
