/* Gradients of parameters, and the sum of their squares: by all threads, after the document's pass.
 *
 * Each is a sum over positions, of what forward and backward left in shared memory. Matrices are
 * cut into tiles of four columns and four rows, or two, if threads would have none otherwise; rows
 * are apart, so that neighbours write side by side. */
constexpr int TILE = N / 8 > THREADS ? 4 : 2;

struct gradient {
    memory *m;
    const document *d;
    int length; /* of the document */
    float *g;
    bool first, last; /* of the documents that are added up */
    float squares;    /* of what this thread has found */
    unsigned next;    /* the thread that gets the next piece */
};

/* Pieces of work are dealt out like cards: where one matrix ends, the next warp gets the first of
 * the next one; the first warp does, where those that are left do not suffice. Returns the first
 * piece of this thread, a number that is too large when it has none. */
DEVICE unsigned dealt(gradient *w, unsigned pieces)
{
    const unsigned next = w->next + pieces > THREADS ? 0 : w->next;

    w->next = (next + (pieces + WARP - 1) / WARP * WARP) % THREADS;
    return threadIdx.x - next;
}

/* n gradients from `at` on. */
template <int n> DEVICE void put(gradient *w, int at, pack<n> sum)
{
    if (!w->first) {
        const pack<n> before = read<n>(w->g + at);
        for (int i = 0; i < n; i++)
            sum.v[i] = before.v[i] + sum.v[i];
    }
    write(w->g + at, sum);
    if (w->last)
        for (int i = 0; i < n; i++)
            w->squares = fmaf(sum.v[i], sum.v[i], w->squares);
}

/* One position's share of a tile: rows m, m + down ... of the matrix, columns k to k + 3. */
template <int M, bool PRODUCT, bool TOKENS, class DY, class X>
DEVICE void add_position(const gradient *w, int t, int m, int down, int k, const DY *dy, const X *x,
                         pack<4> (&sum)[TILE])
{
    if constexpr (PRODUCT) {
        const pack<4> row = read<4>(x + k);
        for (int j = 0; j < TILE; j++) {
            const float d = dy[least(m + j * down, M - 1)];
            for (int i = 0; i < 4; i++)
                sum[j].v[i] = fmaf(d, row.v[i], sum[j].v[i]);
        }
    }
    if constexpr (TOKENS) {
        const pack<4> row = read<4>(w->m->dx[t] + k);
        const int id = w->d->ids[t];
        for (int j = 0; j < TILE; j++) {
            const float hit = id == m + j * down;
            for (int i = 0; i < 4; i++)
                sum[j].v[i] = fmaf(hit, row.v[i], sum[j].v[i]);
        }
    }
}

/* g (M,K) of a matrix = sum over t of dy[t] x[t]; and, for the table of tokens, of dx[t] in the
 * rows of the ids. dy, x: rows of positions, dy_row and x_row numbers apart, padded. */
template <int M, int K, bool PRODUCT, bool TOKENS, class DY, class X>
DEVICE void matrix(gradient *w, int at, const DY *dy, int dy_row, const X *x, int x_row)
{
    constexpr int down = (M + TILE - 1) / TILE, n = FLOATS(K);
    constexpr unsigned across = pad(K) / 4, pieces = down * across;

    for (unsigned i = dealt(w, pieces); i < pieces; i += THREADS) {
        const int m = (int)(i / across), k = (int)(i % across) * 4;
        pack<4> sum[TILE] = {};
#pragma unroll 4
        for (int t = 0; t < w->length; t++)
            add_position<M, PRODUCT, TOKENS>(w, t, m, down, k, dy + t * dy_row, x + t * x_row, sum);
        for (int j = 0; j < TILE; j++)
            for (int c = 0; c < 4; c += n)
                if (m + j * down < M && k + c < K)
                    put(w, at + (m + j * down) * K + k + c,
                        *reinterpret_cast<pack<n> *>(&sum[j].v[c]));
    }
}

/* g (M) of a bias = sum over t of dy[t]; of a gain, of dy[t] x[t]. */
template <int M, bool PRODUCT, class DY>
DEVICE void vector(gradient *w, int at, const DY *dy, int dy_row, const float *x, int x_row)
{
    for (unsigned i = dealt(w, M); i < M; i += THREADS) {
        float sum = 0;
        for (int t = 0; t < w->length; t++)
            sum = fmaf(dy[t * dy_row + i], PRODUCT ? x[t * x_row + i] : 1, sum);
        put(w, at + (int)i, pack<1>{sum});
    }
}

template <class NORM> DEVICE void norm_gradient(gradient *w, const NORM *n, int gain, int bias)
{
    if constexpr (NORM_GAIN)
        vector<C, true>(w, gain, n->dy[0], pad(C), n->hat[0], pad(C));
    if constexpr (NORM_BIAS)
        vector<C, false>(w, bias, n->dy[0], pad(C), nullptr, 0);
}

/* A linear layer: its matrix, and its bias, of dy as it is, where it has one. */
template <int M, int K, bool BIAS, class DY, class X>
DEVICE void linear_gradient(gradient *w, int at, int bias, const DY *dy, int dy_row, const X *x)
{
    matrix<M, K, true, false>(w, at, factors(dy), dy_row, factors(x), pad(K));
    if constexpr (BIAS)
        vector<M, false>(w, bias, dy, dy_row, nullptr, 0);
}

/* The table of positions: there is one position a row. */
DEVICE void position_gradient(gradient *w)
{
    constexpr unsigned pieces = CONTEXT * C / PACK;

    for (unsigned i = dealt(w, pieces); i < pieces; i += THREADS) {
        const int t = (int)(i * PACK / C), c = (int)(i * PACK % C);
        put(w, WPE + t * C + c, t < w->length ? read<PACK>(w->m->dx[t] + c) : pack<PACK>{});
    }
}

/* Adds the document's gradients to g, or puts them there when it is the first; returns this
 * thread's share of the sum of all squares when it is the last. */
DEVICE float document_gradients(memory *m, const settings *now, const document *d, float *g,
                                bool first, bool last)
{
    gradient w = {m, d, d->length, g, first, last, 0, 0};

    matrix<V, C, TIED, true>(&w, WTE, factors(m->logits[0]), pad(V), last_row(m, 0), pad(C));
    if constexpr (!TIED)
        matrix<V, C, true, false>(&w, HEAD, factors(m->logits[0]), pad(V), last_row(m, 0), pad(C));
    if constexpr (BIAS_HEAD)
        vector<V, false>(&w, HEAD_BIAS, m->logits[0], pad(V), nullptr, 0);
    position_gradient(&w);
    if constexpr (EMBED_NORM)
        norm_gradient(&w, &m->norme, LN_E_GAIN, LN_E_BIAS);
    if constexpr (FINAL_NORM)
        norm_gradient(&w, &m->normf, LN_F_GAIN, LN_F_BIAS);
#pragma unroll 1
    for (int l = 0; l < L; l++) {
        const layer_rows *r = &m->layer[l];
        const int at = l * LAYER;
        norm_gradient(&w, &r->norm1, at + LN_1_GAIN, at + LN_1_BIAS);
        linear_gradient<W, C, BIAS_QKV>(&w, at + QKV, at + QKV_BIAS, r->dqkv[0], WIDE,
                                        normed(&r->norm1, 0));
        linear_gradient<C, C, BIAS_PROJ>(&w, at + PROJ, at + PROJ_BIAS, r->dproj[0], pad(C),
                                         r->att[0]);
        norm_gradient(&w, &r->norm2, at + LN_2_GAIN, at + LN_2_BIAS);
        linear_gradient<F, C, BIAS_MLP>(&w, at + FC, at + FC_BIAS, r->pre[0], pad(F),
                                        normed(&r->norm2, 0));
        linear_gradient<C, F, BIAS_MLP>(&w, at + OUT, at + OUT_BIAS, r->dout[0], pad(C),
                                        r->hidden[0]);
    }
    /* A loss that is not finite counts as such a gradient. */
    for (int t = THREADS - 1 - (int)threadIdx.x; last && t < w.length; t += THREADS)
        w.squares += 0 * (m->above[now - m->now][t] + m->sum[now - m->now][t]);
    return w.squares;
}
