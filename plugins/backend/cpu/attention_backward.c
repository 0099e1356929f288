/* Causal attention backward: the probabilities are made again from lse. core/ref/attention.c has
 * the formulas. */
#include "attention.h"

/* A thread's scratch. */
struct work {
    float *k, *v, *dk, *dv;        /* [T][wide] */
    float *p, *dscore, *drop;      /* [T][LANES]; p times drop */
    float *q_columns, *dy_columns; /* [D][LANES] */
    float *q, *dy;                 /* [LANES][wide] */
    float *y;                      /* [wide] */
};

static size_t work_floats(const struct cpu_attention *a)
{
    int64_t rows = cpu_round_up(a->T, CPU_KEYS), wide = cpu_round_up(a->D, CPU_LANES);

    return (size_t)(4 * rows * wide + (3 * rows + 2 * a->D + 2 * wide) * CPU_LANES + wide);
}

CPU_INLINE struct work work_of(const struct cpu_attention *a, float *scratch)
{
    int64_t rows = cpu_round_up(a->T, CPU_KEYS), wide = cpu_round_up(a->D, CPU_LANES);
    struct work w = {.k = scratch, .v = scratch + rows * wide};

    w.dk = w.v + rows * wide;
    w.dv = w.dk + rows * wide;
    w.p = w.dv + rows * wide;
    w.dscore = w.p + rows * CPU_LANES;
    w.drop = w.dscore + rows * CPU_LANES;
    w.q_columns = w.drop + rows * CPU_LANES;
    w.dy_columns = w.q_columns + a->D * CPU_LANES;
    w.q = w.dy_columns + a->D * CPU_LANES;
    w.dy = w.q + wide * CPU_LANES;
    w.y = w.dy + wide * CPU_LANES;
    return w;
}

/* p = 2^(score - lse)   dscore = p (drop dp - dy . y)   then p *= drop, as v is weighted */
CPU_INLINE void weigh(const struct work *w, int64_t s, cpu_vec score, cpu_vec dp, cpu_vec lse,
                      cpu_vec dyy, int dropout)
{
    cpu_vec p = cpu_exp2(score - lse);

    if (dropout) {
        const cpu_vec drop = cpu_load(w->drop + s * CPU_LANES);
        cpu_store(w->dscore + s * CPU_LANES, p * (drop * dp - dyy));
        cpu_store(w->p + s * CPU_LANES, p * drop);
    } else {
        cpu_store(w->dscore + s * CPU_LANES, p * (dp - dyy));
        cpu_store(w->p + s * CPU_LANES, p);
    }
}

/* p and dscore of a block of queries and S rows */
CPU_INLINE void score_gradient(int D, const struct work *w, int64_t S, int64_t first, cpu_vec lse,
                               cpu_vec dyy, int dropout)
{
    const int64_t wide = cpu_round_up(D, CPU_LANES);

    for (int64_t s = 0; s < S; s += CPU_KEYS) {
        cpu_vec sum[CPU_KEYS], dp[CPU_KEYS];
#pragma GCC unroll 8
        for (int r = 0; r < CPU_KEYS; r++)
            sum[r] = dp[r] = (cpu_vec){0};
#pragma GCC unroll 16
        for (int d = 0; d < D; d++) {
            const cpu_vec q = cpu_load(w->q_columns + d * CPU_LANES);
            const cpu_vec dy = cpu_load(w->dy_columns + d * CPU_LANES);
#pragma GCC unroll 8
            for (int r = 0; r < CPU_KEYS; r++) {
                sum[r] += w->k[(s + r) * wide + d] * q;
                dp[r] += w->v[(s + r) * wide + d] * dy;
            }
        }
        if (s + CPU_KEYS > first + 1)
            for (int r = 0; r < CPU_KEYS; r++)
                sum[r] = cpu_hide(sum[r], s + r - first);
#pragma GCC unroll 8
        for (int r = 0; r < CPU_KEYS; r++)
            weigh(w, s + r, sum[r], dp[r], lse, dyy, dropout);
    }
}

/* dk (S,wide) += dscore q   dv (S,wide) += p dy   over the n queries of a block */
CPU_INLINE void add_outer(int D, const struct work *w, int64_t S, int64_t n)
{
    const int64_t wide = cpu_round_up(D, CPU_LANES);

    for (int64_t s = 0; s < S; s += CPU_KEYS)
        for (int64_t d = 0; d < D; d += CPU_LANES) {
            const float *dscore = w->dscore + s * CPU_LANES, *p = w->p + s * CPU_LANES;
            cpu_vec dk[CPU_KEYS], dv[CPU_KEYS];
#pragma GCC unroll 8
            for (int r = 0; r < CPU_KEYS; r++) {
                dk[r] = cpu_load(w->dk + (s + r) * wide + d);
                dv[r] = cpu_load(w->dv + (s + r) * wide + d);
            }
            for (int64_t t = 0; t < n; t++, dscore++, p++) {
                const cpu_vec q = cpu_load(w->q + t * wide + d),
                              dy = cpu_load(w->dy + t * wide + d);
#pragma GCC unroll 8
                for (int r = 0; r < CPU_KEYS; r++) {
                    dk[r] += dscore[r * CPU_LANES] * q;
                    dv[r] += p[r * CPU_LANES] * dy;
                }
            }
#pragma GCC unroll 8
            for (int r = 0; r < CPU_KEYS; r++) {
                cpu_store(w->dk + (s + r) * wide + d, dk[r]);
                cpu_store(w->dv + (s + r) * wide + d, dv[r]);
            }
        }
}

/* Queries t0..t0+n of head h: writes their dq, adds to dk and dv. */
CPU_INLINE void backward_block(int D, const struct cpu_attention *a, int64_t b, int64_t h,
                               int64_t t0, const struct work *w)
{
    int64_t n = cpu_min(CPU_LANES, a->T - t0), S = cpu_round_up(t0 + n, CPU_KEYS);
    int64_t at = b * a->q_seq + t0 * a->q_row + h * D, row = a->H * D;
    int64_t y_at = (b * a->T + t0) * row + h * D, wide = cpu_round_up(D, CPU_LANES);
    cpu_vec lse = {0}, dyy = {0}, scale = (cpu_vec){0} + a->scale;

    cpu_pack_columns(&a->q, at, a->q_row, n, D, a->scale * CPU_LOG2_E, w->q, w->q_columns);
    cpu_pack_columns(&a->dy, y_at, row, n, D, 1.0f, w->dy, w->dy_columns);
    cpu_pack_rows(&a->q, at, a->q_row, n, D, a->scale, 1, w->q);
    cpu_pack_rows(&a->dy, y_at, row, n, D, 1.0f, 1, w->dy);
    for (int64_t t = 0; t < n; t++) {
        const float *y = cpu_row(&a->y, y_at + t * row, D, w->y), *dy = w->dy + t * wide;
        float sum = 0.0f;
        if (a->y.f32) {
            __builtin_prefetch(y + D, 0, 2);
            __builtin_prefetch(a->dqkv.f32 + at + t * a->q_row, 1, 2);
        }
#pragma omp simd reduction(+ : sum)
        for (int d = 0; d < D; d++)
            sum += dy[d] * y[d];
        dyy[t] = sum;
        lse[t] = a->lse[(b * a->H + h) * a->T + t0 + t] * CPU_LOG2_E;
    }
    if (a->op->rate > 0)
        cpu_attention_drops(a, b, h, t0, n, t0 + n, w->drop);
    score_gradient(D, w, S, t0, lse, dyy, a->op->rate > 0);
    add_outer(D, w, S, n);
    cpu_weighted_sum(w->dscore, w->k, S, n, D, (const float *)&scale, &a->dqkv, at, a->q_row);
}

/* One kv head of one sequence, with all query heads that read it: nobody else adds to its dk and
 * dv. */
static void backward_task(const void *data, int64_t index, float *scratch)
{
    const struct cpu_attention *a = data;
    int64_t b = index / a->KV, g = index % a->KV, group = a->H / a->KV;
    int64_t at = b * a->kv_seq + g * a->D, wide = cpu_round_up(a->D, CPU_LANES);
    size_t bytes = (size_t)(cpu_round_up(a->T, CPU_KEYS) * wide) * sizeof(float);
    int64_t dk = b * a->q_seq + (a->H + g) * a->D, dv = dk + a->KV * a->D;
    struct work w = work_of(a, scratch);

    cpu_pack_rows(&a->kv, a->k + at, a->kv_row, a->T, (int)a->D, 1.0f, CPU_KEYS, w.k);
    cpu_pack_rows(&a->kv, a->v + at, a->kv_row, a->T, (int)a->D, 1.0f, CPU_KEYS, w.v);
    for (int64_t t = 0; a->dqkv.f32 && t < a->T; t++) {
        __builtin_prefetch(a->dqkv.f32 + dk + t * a->q_row, 1, 2);
        __builtin_prefetch(a->dqkv.f32 + dv + t * a->q_row, 1, 2);
    }
    memset(w.dk, 0, bytes);
    memset(w.dv, 0, bytes);
    for (int64_t h = g * group; h < (g + 1) * group; h++)
        for (int64_t t0 = 0; t0 < a->T; t0 += CPU_LANES)
            CPU_WITH_D(a, backward_block, a, b, h, t0, &w);
    for (int64_t t = 0; t < a->T; t++) {
        cpu_put_row(&a->dqkv, dk + t * a->q_row, a->D, w.dk + t * wide);
        cpu_put_row(&a->dqkv, dv + t * a->q_row, a->D, w.dv + t * wide);
    }
}

enum mgpt_status cpu_attention_backward(struct mgpt_device *device, const struct mgpt_op *op,
                                        struct mgpt_error *error)
{
    struct cpu_attention a = cpu_attention_of(op);
    enum mgpt_status status = cpu_scratch(device, work_floats(&a) * sizeof(float), error);

    if (status != MGPT_OK)
        return status;
    a.y = cpu_mixed(&op->in[1]);
    a.lse = cpu_f32(&op->in[2]);
    a.dy = cpu_mixed(&op->in[3]);
    a.dqkv = cpu_mixed(&op->out[0]);
    a.step = op->rate > 0 ? cpu_state(&op->in[4])->step : 0;
    cpu_run(device, backward_task, &a, a.B * a.KV,
            (double)(a.B * a.H * a.T) * (double)a.S * (double)(5 * a.D + 20));
    return MGPT_OK;
}
