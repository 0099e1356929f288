/* Causal attention, 16 rows of queries at a time. core/ref/attention.c has the formulas.
 *
 * Rows of queries are the lanes of vectors: scores of one key and 16 queries lie side by side,
 * [S][16], so that maximum, sum and all products need no sum across lanes, whatever the size of a
 * head. Memory is 16 S scores a thread, not T S; the backward pass makes the probabilities again
 * from lse. */
#include "fastmath.h"
#include "tile.h"

#define LANES CPU_COLS
#define PANEL CPU_COLS /* columns that a row of a panel is padded to a multiple of */

struct job {
    const struct mgpt_op *op;
    int64_t B, T, H, KV, D, S; /* S: rows that can be seen, position + T */
    int64_t position, blocks;  /* of LANES queries, a head */
    const float *q, *k, *v;    /* head 0 of sequence 0 */
    int64_t q_row, q_seq;      /* from a row, a sequence, to the next; heads are D apart */
    int64_t kv_row, kv_seq;
    float *y, *lse, *dqkv; /* (B,T,HD), (B,H,T) or NULL, (B,T,(H+2KV)D) */
    const float *y_in, *lse_in, *dy;
    float scale; /* 1 / sqrt(D) */
    uint64_t step;
};

/* A thread's scratch; D16 is D rounded up to a multiple of 16. */
struct work {
    float *scores, *dp, *drop; /* [S][16] */
    float *qt, *dyt, *sum;     /* [D][16], columns of queries */
    float *q, *dy;             /* [16][D16], rows of queries */
};

static int64_t round_up(int64_t n)
{
    return (n + PANEL - 1) / PANEL * PANEL;
}

static size_t work_floats(const struct job *j)
{
    return (size_t)(3 * j->S * LANES + 3 * round_up(j->D) * LANES + 2 * LANES * round_up(j->D));
}

CPU_INLINE struct work work_of(const struct job *j, float *scratch)
{
    int64_t wide = (j->D + PANEL - 1) / PANEL * PANEL * LANES, tall = j->S * LANES;
    struct work w = {.scores = scratch, .dp = scratch + tall, .drop = scratch + 2 * tall};

    w.qt = scratch + 3 * tall;
    w.dyt = w.qt + wide;
    w.sum = w.dyt + wide;
    w.q = w.sum + wide;
    w.dy = w.q + wide;
    return w;
}

/* rows (n,D), n <= 16, as columns [D][16] times `scale`; columns n.. are 0 */
CPU_INLINE void to_columns(const float *rows, int64_t row, int64_t n, int64_t D, float scale,
                           float *to)
{
    for (int64_t d = 0; d < D; d++) {
        for (int64_t t = 0; t < n; t++)
            to[d * LANES + t] = rows[t * row + d] * scale;
        for (int64_t t = n; t < LANES; t++)
            to[d * LANES + t] = 0.0f;
    }
}

/* [S][16] products of rows (S,D) with columns [D][16] */
CPU_INLINE void rows_times_columns(const float *rows, int64_t row, int64_t S, int64_t D,
                                   const float *columns, float *to)
{
    for (int64_t s = 0; s < S; s += CPU_ROWS) {
        struct cpu_tile t = {.depth = D,
                             .a = rows + s * row,
                             .a_row = row,
                             .b = columns,
                             .ldb = LANES,
                             .c = to + s * LANES,
                             .ldc = LANES,
                             .cols = LANES};
        cpu_tile_plain(cpu_min(CPU_ROWS, S - s), &t);
    }
}

/* [D][16] = rows^T (D,S) weights [S][16] */
CPU_INLINE void weighted_rows(const float *rows, int64_t row, int64_t S, int64_t D,
                              const float *weights, float *to)
{
    for (int64_t d = 0; d < D; d += CPU_ROWS) {
        struct cpu_tile t = {.depth = S,
                             .a = rows + d,
                             .a_col = row,
                             .b = weights,
                             .ldb = LANES,
                             .c = to + d * LANES,
                             .ldc = LANES,
                             .cols = LANES};
        cpu_tile_transposed(cpu_min(CPU_ROWS, D - d), &t);
    }
}

/* rows (S,D) += weights [S][16] panel [n][D16] */
CPU_INLINE void add_outer(const float *weights, const float *panel, int64_t n, int64_t S, int64_t D,
                          float *rows, int64_t row)
{
    int64_t wide = (D + PANEL - 1) / PANEL * PANEL;

    for (int64_t s = 0; s < S; s += CPU_ROWS)
        for (int64_t d = 0; d < D; d += CPU_COLS) {
            struct cpu_tile t = {.depth = n,
                                 .a = weights + s * LANES,
                                 .a_row = LANES,
                                 .b = panel + d,
                                 .ldb = wide,
                                 .start = rows + s * row + d,
                                 .ld_start = row,
                                 .c = rows + s * row + d,
                                 .ldc = row,
                                 .cols = cpu_min(CPU_COLS, D - d)};
            cpu_tile_plain(cpu_min(CPU_ROWS, S - s), &t);
        }
}

/* The queries of a block see rows 0..first+lane: the last rows are not seen by the first lanes. */
CPU_INLINE void hide_future(float *scores, int64_t first, int64_t S)
{
    for (int64_t s = first + 1; s < S; s++)
        for (int64_t t = 0; t < s - first; t++)
            scores[s * LANES + t] = -INFINITY;
}

/* Factors of dropout for queries t0..t0+n and keys 0..S of head h; 0 in the lanes past them. */
CPU_INLINE void drop_factors(const struct job *j, int64_t b, int64_t h, int64_t t0, int64_t n,
                             int64_t S, float *drop)
{
    if (n < LANES)
        memset(drop, 0, (size_t)(S * LANES) * sizeof *drop);
    for (int64_t t = 0; t < n; t++) {
        int64_t first = (((j->op->row + b) * j->H + h) * j->T + t0 + t) * j->S;
        cpu_drop_factors(j->op, j->step, (uint64_t)first, S, drop + t, LANES);
    }
}

/* scores become exp(score - max) */
CPU_INLINE void softmax_lanes(float *scores, int64_t S, float *max, float *sum)
{
    for (int t = 0; t < LANES; t++) {
        max[t] = scores[t];
        sum[t] = 0.0f;
    }
    for (int64_t s = 1; s < S; s++)
#pragma omp simd
        for (int t = 0; t < LANES; t++)
            max[t] = scores[s * LANES + t] > max[t] ? scores[s * LANES + t] : max[t];
    for (int64_t s = 0; s < S; s++)
#pragma omp simd
        for (int t = 0; t < LANES; t++) {
            float e = cpu_expf(scores[s * LANES + t] - max[t]);
            scores[s * LANES + t] = e;
            sum[t] += e;
        }
}

CPU_INLINE void multiply(float *x, const float *by, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        x[i] *= by[i];
}

/* One block of queries of one head. */
static void forward_task(const void *data, int64_t index, float *scratch)
{
    const struct job *j = data;
    int64_t t0 = index % j->blocks * LANES, h = index / j->blocks % j->H;
    int64_t b = index / j->blocks / j->H, g = h / (j->H / j->KV), D = j->D;
    int64_t n = cpu_min(LANES, j->T - t0), S = j->position + t0 + n;
    const float *k = j->k + b * j->kv_seq + g * D, *v = j->v + b * j->kv_seq + g * D;
    struct work w = work_of(j, scratch);
    float max[LANES], sum[LANES];

    to_columns(j->q + b * j->q_seq + t0 * j->q_row + h * D, j->q_row, n, D, j->scale, w.qt);
    rows_times_columns(k, j->kv_row, S, D, w.qt, w.scores);
    hide_future(w.scores, j->position + t0, S);
    softmax_lanes(w.scores, S, max, sum);
    if (j->op->rate > 0) {
        drop_factors(j, b, h, t0, n, S, w.drop);
        multiply(w.scores, w.drop, S * LANES);
    }
    weighted_rows(v, j->kv_row, S, D, w.scores, w.sum);
    for (int64_t t = 0; t < n; t++) {
        float *y = j->y + ((b * j->T + t0 + t) * j->H + h) * D, factor = 1.0f / sum[t];
        for (int64_t d = 0; d < D; d++)
            y[d] = w.sum[d * LANES + t] * factor;
        if (j->lse)
            j->lse[(b * j->H + h) * j->T + t0 + t] = max[t] + logf(sum[t]);
    }
}

/* Where keys and values are: in the cache, which gets the new ones first, or in qkv. */
static void find_keys(struct job *j, const float *qkv)
{
    int64_t wide = j->KV * j->D, capacity = j->op->out[2].shape[2];
    float *cache = j->op->code == MGPT_OP_ATTENTION ? cpu_f32(&j->op->out[2]) : NULL;

    j->k = qkv + j->H * j->D;
    j->v = j->k + wide;
    j->kv_row = j->q_row;
    j->kv_seq = j->q_seq;
    if (!cache)
        return;
    for (int64_t b = 0; b < j->B; b++)
        for (int64_t t = 0; t < j->T; t++) {
            float *to = cache + (b * capacity + j->position + t) * wide;
            const float *from = j->k + b * j->q_seq + t * j->q_row;
            memcpy(to, from, (size_t)wide * sizeof *to);
            memcpy(to + j->B * capacity * wide, from + wide, (size_t)wide * sizeof *to);
        }
    j->k = cache;
    j->v = cache + j->B * capacity * wide;
    j->kv_row = wide;
    j->kv_seq = capacity * wide;
}

static struct job job_of(const struct mgpt_op *op)
{
    struct job j = {.op = op,
                    .B = op->in[0].shape[0],
                    .T = op->in[0].shape[1],
                    .H = op->heads,
                    .KV = op->kv_heads,
                    .position = op->position,
                    .S = op->position + op->in[0].shape[1],
                    .q = cpu_f32(&op->in[0]),
                    .q_row = op->in[0].shape[2]};

    j.D = j.q_row / (j.H + 2 * j.KV);
    j.q_seq = j.T * j.q_row;
    j.blocks = cpu_pieces(j.T, LANES);
    j.scale = (float)(1 / sqrt((double)j.D));
    return j;
}

enum mgpt_status cpu_attention(struct mgpt_device *device, const struct mgpt_op *op,
                               struct mgpt_error *error)
{
    struct job j = job_of(op);
    enum mgpt_status status = cpu_scratch(device, work_floats(&j) * sizeof(float), error);

    if (status != MGPT_OK)
        return status;
    find_keys(&j, j.q);
    j.y = cpu_f32(&op->out[0]);
    j.lse = cpu_f32(&op->out[1]);
    j.step = op->rate > 0 ? cpu_state(&op->in[1])->step : 0;
    cpu_run(device, forward_task, &j, j.B * j.H * j.blocks,
            (double)(j.B * j.H * j.T) * (double)j.S * (double)(2 * j.D + 10));
    return MGPT_OK;
}

/* ---- backward ---- */

/* rows (n,D) as rows [n][D16] times `scale`, padded with zeros */
CPU_INLINE void to_panel(const float *rows, int64_t row, int64_t n, int64_t D, float scale,
                         float *to)
{
    int64_t wide = (D + PANEL - 1) / PANEL * PANEL;

    for (int64_t t = 0; t < n; t++) {
        for (int64_t d = 0; d < D; d++)
            to[t * wide + d] = rows[t * row + d] * scale;
        for (int64_t d = D; d < wide; d++)
            to[t * wide + d] = 0.0f;
    }
}

/* Scores become the probabilities that go with v; dp becomes the gradient of the scores.
 *   p = exp(score - lse)      v's: p drop      dscore = p (drop dp - dy . y) */
CPU_INLINE void score_gradient(const struct work *w, int64_t S, int dropout, const float *lse,
                               const float *dyy)
{
    for (int64_t s = 0; s < S; s++) {
        float *p = w->scores + s * LANES, *dp = w->dp + s * LANES, *drop = w->drop + s * LANES;
        if (dropout) {
#pragma omp simd
            for (int t = 0; t < LANES; t++) {
                float e = cpu_expf(p[t] - lse[t]);
                p[t] = e * drop[t];
                dp[t] = e * (drop[t] * dp[t] - dyy[t]);
            }
        } else {
#pragma omp simd
            for (int t = 0; t < LANES; t++) {
                float e = cpu_expf(p[t] - lse[t]);
                p[t] = e;
                dp[t] = e * (dp[t] - dyy[t]);
            }
        }
    }
}

/* One block of queries of head h: writes its dq, adds to dk and dv of its kv head. */
CPU_INLINE void backward_block(const struct job *j, int64_t b, int64_t h, int64_t t0,
                               const struct work *w)
{
    int64_t D = j->D, g = h / (j->H / j->KV), n = cpu_min(LANES, j->T - t0), S = t0 + n;
    int64_t at = b * j->q_seq + t0 * j->q_row + h * D, wide = j->H * D;
    const float *k = j->k + b * j->kv_seq + g * D, *v = j->v + b * j->kv_seq + g * D;
    const float *y = j->y_in + (b * j->T + t0) * wide + h * D;
    const float *dy = j->dy + (b * j->T + t0) * wide + h * D;
    float *dk = j->dqkv + b * j->q_seq + (j->H + g) * D, *dv = dk + j->KV * D;
    float lse[LANES] = {0}, dyy[LANES] = {0};

    to_columns(j->q + at, j->q_row, n, D, j->scale, w->qt);
    to_columns(dy, wide, n, D, 1.0f, w->dyt);
    to_panel(j->q + at, j->q_row, n, D, j->scale, w->q);
    to_panel(dy, wide, n, D, 1.0f, w->dy);
    for (int64_t t = 0; t < n; t++) {
        lse[t] = j->lse_in[(b * j->H + h) * j->T + t0 + t];
        for (int64_t d = 0; d < D; d++)
            dyy[t] += dy[t * wide + d] * y[t * wide + d];
    }
    rows_times_columns(k, j->kv_row, S, D, w->qt, w->scores);
    hide_future(w->scores, t0, S);
    rows_times_columns(v, j->kv_row, S, D, w->dyt, w->dp);
    if (j->op->rate > 0)
        drop_factors(j, b, h, t0, n, S, w->drop);
    score_gradient(w, S, j->op->rate > 0, lse, dyy);
    add_outer(w->scores, w->dy, n, S, D, dv, j->q_row);
    add_outer(w->dp, w->q, n, S, D, dk, j->q_row);
    weighted_rows(k, j->kv_row, S, D, w->dp, w->sum);
    for (int64_t t = 0; t < n; t++)
        for (int64_t d = 0; d < D; d++)
            j->dqkv[at + t * j->q_row + d] = w->sum[d * LANES + t] * j->scale;
}

/* One kv head of one sequence, with all query heads that read it: nobody else adds to its dk and
 * dv. */
static void backward_task(const void *data, int64_t index, float *scratch)
{
    const struct job *j = data;
    int64_t b = index / j->KV, g = index % j->KV, group = j->H / j->KV;
    struct work w = work_of(j, scratch);

    for (int64_t t = 0; t < j->T; t++) {
        float *dk = j->dqkv + b * j->q_seq + t * j->q_row + (j->H + g) * j->D;
        memset(dk, 0, (size_t)j->D * sizeof *dk);
        memset(dk + j->KV * j->D, 0, (size_t)j->D * sizeof *dk);
    }
    for (int64_t h = g * group; h < (g + 1) * group; h++)
        for (int64_t t0 = 0; t0 < j->T; t0 += LANES)
            backward_block(j, b, h, t0, &w);
}

enum mgpt_status cpu_attention_backward(struct mgpt_device *device, const struct mgpt_op *op,
                                        struct mgpt_error *error)
{
    struct job j = job_of(op);
    enum mgpt_status status = cpu_scratch(device, work_floats(&j) * sizeof(float), error);

    if (status != MGPT_OK)
        return status;
    find_keys(&j, j.q);
    j.y_in = cpu_f32(&op->in[1]);
    j.lse_in = cpu_f32(&op->in[2]);
    j.dy = cpu_f32(&op->in[3]);
    j.dqkv = cpu_f32(&op->out[0]);
    j.step = op->rate > 0 ? cpu_state(&op->in[4])->step : 0;
    cpu_run(device, backward_task, &j, j.B * j.KV,
            (double)(j.B * j.H * j.T) * (double)j.S * (double)(5 * j.D + 20));
    return MGPT_OK;
}
