/* Forward and backward of a tile, and what the update needs. Compiled once an instruction set:
 * FUSED_LANES positions a vector, FUSED_KERNELS the name of its table.
 *
 * The functions below take S, C and F as arguments; what runs are the copies for fixed sizes at the
 * end of the file. core/model/forward.c and backward.c have the same pass op by op. */
#define MGPT_RULE_PORTABLE /* compiled for one instruction set, not for three again */
#include <microgpt/optimizer.h>

#include "attention.h"
#include "lanes.h"
#include "micro.h"

/* ---- products ---- */

enum what { STORE, ADD, RELU2 };

/* A block of N rows: y[i] = sum over k of a[i * ai + k * ak] x[k]. RELU2: y = max(0, sum), z = y^2.
 */
#define BLOCK(N)                                                                                   \
    INLINE void block_##N(const float *a, int ai, int ak, int K, const float *x, float *y,         \
                          float *z, enum what what, int S)                                         \
    {                                                                                              \
        vec sum[N];                                                                                \
                                                                                                   \
        UNROLL for (int i = 0; i < N; i++) sum[i] = what == ADD ? load(y + i * S) : (vec){0};      \
        for (int k = 0; k < K; k++, a += ak, x += S) {                                             \
            vec xk = load(x);                                                                      \
            OPAQUE(a);                                                                             \
            UNROLL for (int i = 0; i < N; i++) sum[i] = fma_(splat(a[i * ai]), xk, sum[i]);        \
        }                                                                                          \
        UNROLL for (int i = 0; i < N; i++)                                                         \
        {                                                                                          \
            vec out = what == RELU2 ? (vec)((ivec)sum[i] & (sum[i] > 0)) : sum[i];                 \
            store(y + i * S, out);                                                                 \
            if (what == RELU2)                                                                     \
                store(z + i * S, out * out);                                                       \
        }                                                                                          \
    }
BLOCK(16)
BLOCK(1)
#undef BLOCK

/* y (N,S) = a x, x (K,S). What does not fill a block is in one that reaches back. */
INLINE void product(const float *a, int ai, int ak, int N, int K, const float *x, float *y,
                    float *z, enum what what, int S)
{
    for (int lane = 0; lane < S; lane += W) {
        for (int i = 0; N < 16 && i < N; i++)
            block_1(a + i * ai, ai, ak, K, x + lane, y + i * S + lane, z, what, S);
        for (int i = 0; N >= 16 && i < N; i += 16) {
            int at = i + 16 <= N ? i : N - 16;
            block_16(a + at * ai, ai, ak, K, x + lane, y + at * S + lane, z + at * S + lane, what,
                     S);
        }
    }
}

/* y (N,S) = w x, or y += w x; w (N,K) */
INLINE void forward(const struct micro_weight *w, int N, int K, const float *x, float *y,
                    enum what what, int S)
{
    product(w->w, K, 1, N, K, x, y, y, what, S);
}

/* dx (K,S) = w^T dy; w (N,K) */
INLINE void backward(const struct micro_weight *w, int N, int K, const float *dy, float *dx, int S)
{
    product(w->w, 1, K, K, N, dy, dx, dx, STORE, S);
}

/* dw (N,K) [+]= dy x^T; x comes as rows (S,K). K is a multiple of 16. */
INLINE void gradient(const struct micro_weight *w, bool first, int N, int K, const float *dy,
                     const float *rows, int S)
{
    for (int t = 0; t < S; t += 8)
        for (int k = 0; k < K; k += WIDE) {
            const float *d = dy + t;
            float *g = w->g + k;
            wide x[8];
            UNROLL for (int i = 0; i < 8; i++) x[i] = wide_load(rows + (t + i) * K + k);
            for (int n = 0; n < N; n++, d += S, g += K) {
                wide sum = {0};
                if (!first || t)
                    sum = wide_load(g);
                UNROLL for (int i = 0; i < 8; i++) sum = wide_fma(wide_splat(d[i]), x[i], sum);
                wide_store(g, sum);
            }
        }
}

/* The same from x (K,S). */
INLINE void gradient_of(const struct micro *m, const struct micro_weight *w, bool first, int N,
                        int K, const float *dy, const float *x, int S)
{
    transpose(x, K, S, S, m->rows, K);
    gradient(w, first, N, K, dy, m->rows, S);
}

/* ---- norms ---- */

/* y = x rstd, rstd = 1 / sqrt(mean(x^2) + eps) */
INLINE void norm(const float *x, float *y, float *rstd, float eps, int S, int C)
{
    for (int lane = 0; lane < S; lane += W) {
        vec sum[4] = {{0}, {0}, {0}, {0}}, r;
        for (int c = 0; c < C; c += 4)
            UNROLL for (int i = 0; i < 4; i++)
            {
                vec xc = load(x + (c + i) * S + lane);
                sum[i] = fma_(xc, xc, sum[i]);
            }
        r = ((sum[0] + sum[1]) + (sum[2] + sum[3])) * (1.0f / (float)C) + eps;
        r = 1 / root(r);
        store(rstd + lane, r);
        for (int c = 0; c < C; c++)
            store(y + c * S + lane, load(x + c * S + lane) * r);
    }
}

/* dx [+]= (dy - y mean(dy y)) rstd */
INLINE void norm_backward(const float *y, const float *rstd, const float *dy, float *dx, bool add,
                          int S, int C)
{
    for (int lane = 0; lane < S; lane += W) {
        vec sum[4] = {{0}, {0}, {0}, {0}}, mean, r = load(rstd + lane);
        for (int c = 0; c < C; c += 4)
            UNROLL for (int i = 0; i < 4; i++) sum[i] =
                fma_(load(dy + (c + i) * S + lane), load(y + (c + i) * S + lane), sum[i]);
        mean = ((sum[0] + sum[1]) + (sum[2] + sum[3])) * (-1.0f / (float)C);
        for (int c = 0; c < C; c++) {
            float *at = dx + c * S + lane;
            vec d = fma_(load(y + c * S + lane), mean, load(dy + c * S + lane)) * r;
            store(at, add ? load(at) + d : d);
        }
    }
}

/* ---- the ends: embedding and loss ---- */

INLINE void embed(const struct micro *m, const struct micro_tile *tile, int S, int C)
{
    for (int k = 0; k < S / m->span; k++) {
        const struct micro_document *d = &tile->document[k];
        float *row = m->rows + k * m->span * C;
        int length = k < tile->n ? d->length : 0;
        for (int t = 0; t < m->span; t++, row += C) {
            if (t >= length) {
                memset(row, 0, (size_t)C * sizeof *row);
                continue;
            }
            const float *token = m->wte.w + d->ids[t] * C, *place = m->wpe.w + t * C;
            for (int c = 0; c < C; c += WIDE)
                wide_store(row + c, wide_load(token + c) + wide_load(place + c));
        }
    }
    transpose(m->rows, S, C, C, m->x, S);
}

INLINE void embed_backward(const struct micro *m, const struct micro_tile *tile, bool first,
                           const float *dx, int S, int C)
{
    transpose(dx, C, S, S, m->rows, C);
    if (first)
        memset(m->wpe.g, 0, (size_t)(m->context * C) * sizeof *m->wpe.g);
    if (first && !m->tied)
        memset(m->wte.g, 0, (size_t)(m->vocab * C) * sizeof *m->wte.g);
    for (int k = 0; k < tile->n; k++) {
        const struct micro_document *d = &tile->document[k];
        const float *row = m->rows + k * m->span * C;
        for (int t = 0; t < d->length; t++, row += C)
            for (int c = 0; c < C; c += WIDE) {
                float *token = m->wte.g + d->ids[t] * C + c, *place = m->wpe.g + t * C + c;
                wide_store(token, wide_load(token) + wide_load(row + c));
                wide_store(place, wide_load(place) + wide_load(row + c));
            }
    }
}

/* Calls out(lane of the tile, its target) for every target. */
#define EACH_TARGET(tile, out)                                                                     \
    for (int k_ = 0; k_ < (tile)->n; k_++)                                                         \
        for (int t_ = 0; t_ < (tile)->document[k_].length; t_++)                                   \
            if ((tile)->document[k_].targets[t_] >= 0) {                                           \
                out(k_ * m->span + t_, (tile)->document[k_].targets[t_])                           \
            }

/* logits become dlogits = (softmax - onehot) scale, 0 where there is no target. Returns the sum of
 * log sum exp(logits) - logits[target]: of the sums, which are at most V each, one logarithm. */
INLINE double loss(const struct micro *m, const struct micro_tile *tile, float scale, int S)
{
    float factor[MICRO_CONTEXT] __attribute__((aligned(64))) = {0};
    float most[MICRO_CONTEXT] __attribute__((aligned(64)));
    float sums[MICRO_CONTEXT] __attribute__((aligned(64)));
    double total = 0, all = 1;

#define OUT(lane, target)                                                                          \
    factor[lane] = scale;                                                                          \
    total -= (double)m->logits[target * S + (lane)];
    EACH_TARGET(tile, OUT)
#undef OUT
    for (int lane = 0; lane < S; lane += W) {
        float *z = m->logits + lane;
        vec max = load(z), sum = {0}, f;
        for (int v = 1; v < m->vocab; v++)
            max = larger(load(z + v * S), max);
        for (int v = 0; v < m->vocab; v++) {
            vec e = exponential(load(z + v * S) - max);
            sum += e;
            store(z + v * S, e);
        }
        f = load(factor + lane) / sum;
        for (int v = 0; v < m->vocab; v++)
            store(z + v * S, load(z + v * S) * f);
        store(most + lane, max);
        store(sums + lane, sum);
    }
#define OUT(lane, target)                                                                          \
    m->logits[target * S + (lane)] -= scale;                                                       \
    all *= (double)sums[lane];                                                                     \
    total += (double)most[lane];
    EACH_TARGET(tile, OUT)
#undef OUT
    return total + log(all);
}

/* ---- layers ---- */

INLINE void layer_forward(const struct micro *m, const struct micro_layer *l, int T, int S, int C,
                          int F, int D)
{
    norm(m->x, l->norm1, l->rstd1, m->eps, S, C);
    forward(&l->qkv, 3 * C, C, l->norm1, l->mix, STORE, S);
    attention_forward(l, T, S, C, D);
    forward(&l->proj, C, C, l->att, m->x, ADD, S);

    norm(m->x, l->norm2, l->rstd2, m->eps, S, C);
    product(l->fc.w, C, 1, F, C, l->norm2, l->relu, l->hidden, RELU2, S);
    forward(&l->out, C, F, l->hidden, m->x, ADD, S);
}

/* dx comes in as the gradient of the layer's output and leaves as that of its input. */
INLINE void layer_backward(const struct micro *m, const struct micro_layer *l, bool first, int T,
                           int S, int C, int F, int D)
{
    float *dx = m->dx, *dpre = m->dwide;

    gradient_of(m, &l->out, first, C, F, dx, l->hidden, S);
    backward(&l->out, C, F, dx, dpre, S);
    for (int i = 0; i < F * S; i += W) /* (relu^2)' = 2 relu */
        store(dpre + i, load(dpre + i) * (load(l->relu + i) + load(l->relu + i)));
    gradient_of(m, &l->fc, first, F, C, dpre, l->norm2, S);
    backward(&l->fc, F, C, dpre, m->dnorm, S);
    norm_backward(l->norm2, l->rstd2, m->dnorm, dx, true, S, C);

    gradient_of(m, &l->proj, first, C, C, dx, l->att, S);
    backward(&l->proj, C, C, dx, m->dnorm, S);
    attention_backward(m, l, m->dnorm, m->dwide, T, S, C, D);
    gradient_of(m, &l->qkv, first, 3 * C, C, m->dwide, l->norm1, S);
    backward(&l->qkv, 3 * C, C, m->dwide, m->dnorm, S);
    norm_backward(l->norm1, l->rstd1, m->dnorm, dx, true, S, C);
}

INLINE double pass(const struct micro *m, const struct micro_tile *tile, bool first, float scale,
                   int T, int S, int C, int F, int D)
{
    const float *last = m->final_norm ? m->normf : m->x;
    double sum;

    embed(m, tile, S, C);
    if (m->embed_norm) {
        norm(m->x, m->norm0, m->rstd0, m->eps, S, C);
        memcpy(m->x, m->norm0, (size_t)(C * S) * sizeof *m->x);
    }
    for (int i = 0; i < m->layers; i++)
        layer_forward(m, &m->layer[i], T, S, C, F, D);
    if (m->final_norm)
        norm(m->x, m->normf, m->rstdf, m->eps, S, C);
    forward(&m->head, m->vocab, C, last, m->logits, STORE, S);
    sum = loss(m, tile, scale, S);

    gradient_of(m, &m->head, first, m->vocab, C, m->logits, last, S);
    backward(&m->head, m->vocab, C, m->logits, m->final_norm ? m->dnorm : m->dx, S);
    if (m->final_norm)
        norm_backward(m->normf, m->rstdf, m->dnorm, m->dx, false, S, C);
    for (int i = m->layers - 1; i >= 0; i--)
        layer_backward(m, &m->layer[i], first, T, S, C, F, D);
    if (m->embed_norm)
        norm_backward(m->norm0, m->rstd0, m->dx, m->dnorm, false, S, C);
    embed_backward(m, tile, first, m->embed_norm ? m->dnorm : m->dx, S, C);
    return sum;
}

/* ---- the update ---- */

/* clang-format off */
MGPT_RULE(adamw, (m, v), (lr, b1, c1, b2, c2, k1, k2, eps, decay),
    m = b1 * m + c1 * g;
    v = b2 * v + c2 * g * g;
    p -= lr * (m * k1 / (sqrt(v * k2) + eps) + decay * p);)
/* clang-format on */

/* In float, unless the sum comes near the ends of its range: then in double. */
static double squares(const float *g, size_t n)
{
    wide sum[4] = {{0}, {0}, {0}, {0}};
    double total = 0;
    size_t i = 0;

    for (; i + 4 * WIDE <= n; i += 4 * WIDE)
        UNROLL for (size_t k = 0; k < 4; k++)
        {
            wide x = wide_load(g + i + k * WIDE);
            sum[k] = wide_fma(x, x, sum[k]);
        }
    for (; i < n; i += WIDE)
        sum[0] = wide_fma(wide_load(g + i), wide_load(g + i), sum[0]);
    sum[0] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    for (int k = 0; k < WIDE; k++)
        total += (double)sum[0][k];
    if (total > 1e-20 && total < 1e30)
        return total;
    total = 0;
    for (i = 0; i < n; i++)
        total += (double)g[i] * (double)g[i];
    return total;
}

/* ---- the copies for fixed sizes ---- */

#define COPY(name, T, S, C, F, D)                                                                  \
    static double name(const struct micro *m, const struct micro_tile *tile, bool first,           \
                       float scale)                                                                \
    {                                                                                              \
        return pass(m, tile, first, scale, T, S, C, F, D);                                         \
    }
#if FUSED_LANES < 16
COPY(short_16, 8, 8, 16, 64, 4)
COPY(short_32, 8, 8, 32, 128, 4)
#endif
#if FUSED_LANES == WIDE
COPY(pair_16, 8, 16, 16, 64, 4)
COPY(pair_32, 8, 16, 32, 128, 4)
COPY(any_16, m->span, m->stride, 16, m->mlp, 16 / m->heads)
COPY(any_32, m->span, m->stride, 32, m->mlp, 32 / m->heads)
#endif
#undef COPY

static double tile(const struct micro *m, const struct micro_tile *t, bool first, float scale)
{
    bool narrow = m->embd == 16;

#if FUSED_LANES < WIDE /* opened for one short document of the usual shape alone */
    return narrow ? short_16(m, t, first, scale) : short_32(m, t, first, scale);
#else
    if (m->span > 8 || !micro_usual(m))
        return narrow ? any_16(m, t, first, scale) : any_32(m, t, first, scale);
#if FUSED_LANES < 16
    if (m->stride == 8)
        return narrow ? short_16(m, t, first, scale) : short_32(m, t, first, scale);
#endif
    return narrow ? pair_16(m, t, first, scale) : pair_32(m, t, first, scale);
#endif
}

const struct micro_kernels FUSED_KERNELS = {tile, squares, &adamw};
