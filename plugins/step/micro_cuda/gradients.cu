/* Gradients of parameters, and the sum of their squares: by all threads, after the document's pass.
 *
 * Each is a sum over positions, of what forward and backward left in shared memory. Matrices are
 * cut into tiles of 4 x 4, one a thread at a time, so that eight numbers read make sixteen
 * products. */
struct gradient {
    memory *m;
    const document *d;
    float *g;
    bool first, last; /* of the documents that are added up */
    float squares;    /* of what this thread has found */
    int next;         /* the thread that gets the next piece */
};

/* Pieces of work are dealt out like cards: where one matrix ends, the next thread gets the first of
 * the next one. Returns the first piece of this thread. */
DEVICE int dealt(gradient *w, int pieces)
{
    const int mine = (int)threadIdx.x - w->next;

    w->next = (w->next + pieces) % THREADS;
    return mine < 0 ? mine + THREADS : mine;
}

DEVICE void put(gradient *w, int at, float sum)
{
    const float total = w->first ? sum : w->g[at] + sum;

    w->g[at] = total;
    if (w->last)
        w->squares = fmaf(total, total, w->squares);
}

/* g (M,K) of a matrix = sum over t of dy[t] x[t]; and, for the table of tokens, of dx[t] in the
 * rows of the ids. dy, x: rows of positions, dy_row and x_row numbers apart, padded. */
template <int M, int K, bool PRODUCT, bool TOKENS, class DY, class X>
DEVICE void matrix(gradient *w, int at, const DY *dy, int dy_row, const X *x, int x_row)
{
    constexpr int down = pad(M) / 4, across = pad(K) / 4;

    for (int i = dealt(w, down * across); i < down * across; i += THREADS) {
        const int m = i / across * 4, k = i % across * 4;
        float sum[4][4] = {};
        if constexpr (PRODUCT)
#pragma unroll 4
            for (int t = 0; t < w->d->length; t++) {
                const pack<4> a = read<4>(dy + t * dy_row + m), b = read<4>(x + t * x_row + k);
                for (int j = 0; j < 16; j++)
                    sum[j / 4][j % 4] = fmaf(a.v[j / 4], b.v[j % 4], sum[j / 4][j % 4]);
            }
        if constexpr (TOKENS)
            for (int t = 0; t < w->d->length; t++) {
                const pack<4> b = read<4>(w->m->dx[t] + k);
                for (int j = 0; j < 16; j++)
                    sum[j / 4][j % 4] += w->d->ids[t] == m + j / 4 ? b.v[j % 4] : 0;
            }
        for (int j = 0; j < 16; j++)
            if (m + j / 4 < M && k + j % 4 < K)
                put(w, at + (m + j / 4) * K + k + j % 4, sum[j / 4][j % 4]);
    }
}

/* g (M) of a bias = sum over t of dy[t]; of a gain, of dy[t] x[t]. */
template <int M, bool PRODUCT, class DY>
DEVICE void vector(gradient *w, int at, const DY *dy, int dy_row, const float *x, int x_row)
{
    for (int i = dealt(w, M); i < M; i += THREADS) {
        float sum = 0;
        for (int t = 0; t < w->d->length; t++)
            sum = fmaf(dy[t * dy_row + i], PRODUCT ? x[t * x_row + i] : 1, sum);
        put(w, at + i, sum);
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

/* Element i of the table of positions: there is one position a row. */
DEVICE void position_gradient(gradient *w)
{
    for (int i = dealt(w, CONTEXT * C); i < CONTEXT * C; i += THREADS)
        put(w, WPE + i, i / C < w->d->length ? w->m->dx[i / C][i % C] : 0);
}

/* Adds the document's gradients to g, or puts them there when it is the first; returns this
 * thread's share of the sum of all squares when it is the last. */
DEVICE float document_gradients(memory *m, const settings *now, const document *d, float *g,
                                bool first, bool last)
{
    gradient w = {m, d, g, first, last, 0, 0};

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
    for (int t = (int)threadIdx.x; last && t < d->length; t += THREADS)
        w.squares += 0 * loss_of(m, now, t);
    return w.squares;
}
