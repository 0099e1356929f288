/* Causal attention forward, in the flash manner. core/ref/attention.c has the formulas.
 *
 * Memory is LANES S scores a thread, not T S. */
#include "attention.h"
#include "dots.h"

#define CHUNK 128      /* queries a task: copying keys and values is spread over them */
#define LINE 16        /* floats of a line of the cache */
#define NEAR (1 << 15) /* floats of keys and values that the cache near a core holds anyway */

struct cpu_attention cpu_attention_of(const struct mgpt_op *op)
{
    struct cpu_attention a = {.op = op,
                              .B = op->in[0].shape[0],
                              .T = op->in[0].shape[1],
                              .H = op->heads,
                              .KV = op->kv_heads,
                              .position = op->position,
                              .S = op->position + op->in[0].shape[1],
                              .q = cpu_mixed(&op->in[0]),
                              .q_row = op->in[0].shape[2]};

    a.D = a.q_row / (a.H + 2 * a.KV);
    a.q_seq = a.T * a.q_row;
    a.kv = a.q;
    a.k = a.H * a.D;
    a.v = a.k + a.KV * a.D;
    a.kv_row = a.q_row;
    a.kv_seq = a.q_seq;
    a.chunks = cpu_pieces(a.T, CHUNK);
    a.scale = (float)(1 / sqrt((double)a.D));
    return a;
}

void cpu_attention_drops(const struct cpu_attention *a, int64_t b, int64_t h, int64_t t0, int64_t n,
                         int64_t S, float *drop)
{
    memset(drop, 0, (size_t)(cpu_round_up(S, CPU_KEYS) * CPU_LANES) * sizeof *drop);
    for (int64_t t = 0; t < n; t++) {
        int64_t first = (((a->op->row + b) * a->H + h) * a->T + t0 + t) * a->S;
        cpu_drop_factors(a->op, a->step, (uint64_t)first, S, drop + t, CPU_LANES);
    }
}

/* A thread's scratch. */
struct work {
    float *k, *v;         /* [S][wide] */
    float *scores, *drop; /* [S][LANES] */
    float *q, *copy;      /* [D][LANES] */
};

static size_t work_floats(const struct cpu_attention *a)
{
    int64_t rows = cpu_round_up(a->S, CPU_KEYS), wide = cpu_round_up(a->D, CPU_LANES);

    return (size_t)(2 * rows * wide + 2 * rows * CPU_LANES + 2 * a->D * CPU_LANES);
}

CPU_INLINE struct work work_of(const struct cpu_attention *a, float *scratch)
{
    int64_t rows = cpu_round_up(a->S, CPU_KEYS), wide = cpu_round_up(a->D, CPU_LANES);
    struct work w = {.k = scratch, .v = scratch + rows * wide};

    w.scores = w.v + rows * wide;
    w.drop = w.scores + rows * CPU_LANES;
    w.q = w.drop + rows * CPU_LANES;
    w.copy = w.q + a->D * CPU_LANES;
    return w;
}

/* scores [S][LANES] of rows k [S][wide] and columns q, the future hidden; their maximum */
CPU_INLINE cpu_vec score(int D, const struct work *w, int64_t S, int64_t first)
{
    const int64_t wide = cpu_round_up(D, CPU_LANES);
    cpu_vec max = (cpu_vec){0} - INFINITY;

    for (int64_t s = 0; s < S; s += CPU_KEYS) {
        cpu_vec sum[CPU_KEYS];
#pragma GCC unroll 8
        for (int r = 0; r < CPU_KEYS; r++)
            sum[r] = (cpu_vec){0};
#pragma GCC unroll 16
        for (int d = 0; d < D; d++) {
            const cpu_vec x = cpu_load(w->q + d * CPU_LANES);
#pragma GCC unroll 8
            for (int r = 0; r < CPU_KEYS; r++)
                sum[r] += w->k[(s + r) * wide + d] * x;
        }
        if (s + CPU_KEYS > first + 1)
            for (int r = 0; r < CPU_KEYS; r++)
                sum[r] = cpu_hide(sum[r], s + r - first);
#pragma GCC unroll 8
        for (int r = 0; r < CPU_KEYS; r++) {
            cpu_store(w->scores + (s + r) * CPU_LANES, sum[r]);
            max = cpu_larger(sum[r], max);
        }
    }
    return max;
}

/* scores become 2^(score - max); their sum */
CPU_INLINE cpu_vec exponents(float *scores, int64_t S, cpu_vec max)
{
    cpu_vec sum = {0};

    for (int64_t s = 0; s < S; s++) {
        cpu_vec e = cpu_exp2(cpu_load(scores + s * CPU_LANES) - max);
        cpu_store(scores + s * CPU_LANES, e);
        sum += e;
    }
    return sum;
}

CPU_INLINE void multiply(float *x, const float *by, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        x[i] *= by[i];
}

/* Queries t0..t0+n of head h. */
CPU_INLINE void forward_block(int D, const struct cpu_attention *a, int64_t b, int64_t h,
                              int64_t t0, const struct work *w)
{
    int64_t n = cpu_min(CPU_LANES, a->T - t0), seen = a->position + t0 + n;
    int64_t S = cpu_round_up(seen, CPU_KEYS), wide = a->H * a->D;
    cpu_vec max, sum, inverse;

    cpu_pack_columns(&a->q, b * a->q_seq + t0 * a->q_row + h * D, a->q_row, n, D,
                     a->scale * CPU_LOG2_E, w->copy, w->q);
    max = score(D, w, S, a->position + t0);
    sum = exponents(w->scores, S, max);
    inverse = 1.0f / sum;
    if (a->op->rate > 0) {
        cpu_attention_drops(a, b, h, t0, n, seen, w->drop);
        multiply(w->scores, w->drop, S * CPU_LANES);
    }
    cpu_weighted_sum(w->scores, w->v, S, n, D, (const float *)&inverse, &a->y,
                     (b * a->T + t0) * wide + h * D, wide);
    for (int64_t t = 0; a->lse && t < n; t++)
        a->lse[(b * a->H + h) * a->T + t0 + t] = max[t] * CPU_LOG_2 + logf(sum[t]);
}

/* Some of the queries of one head. */
static void forward_task(const void *data, int64_t index, float *scratch)
{
    const struct cpu_attention *a = data;
    int64_t from = index % a->chunks * CHUNK, to = cpu_min(from + CHUNK, a->T);
    int64_t h = index / a->chunks % a->H, b = index / a->chunks / a->H, g = h / (a->H / a->KV);
    struct work w = work_of(a, scratch);

    cpu_pack_rows(&a->kv, a->k + b * a->kv_seq + g * a->D, a->kv_row, a->position + to, (int)a->D,
                  1.0f, CPU_KEYS, w.k);
    cpu_pack_rows(&a->kv, a->v + b * a->kv_seq + g * a->D, a->kv_row, a->position + to, (int)a->D,
                  1.0f, CPU_KEYS, w.v);
    for (int64_t t0 = from; t0 < to; t0 += CPU_LANES)
        CPU_WITH_D(a, forward_block, a, b, h, t0, &w);
}

/* Columns d.. of the sum of S rows v, each times its weight, in four sums that take turns. */
CPU_INLINE cpu_vec weighted_columns(const float *weights, const float *v, int64_t row, int64_t S,
                                    int64_t columns)
{
    cpu_vec sum[4] = {{0}};
    int64_t s = 0;

    for (; s + 4 <= S; s += 4)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            sum[i] += weights[s + i] * cpu_load_up_to(v + (s + i) * row, columns);
    for (; s < S; s++)
        sum[0] += weights[s] * cpu_load_up_to(v + s * row, columns);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

struct rows {
    const float *data;
    int64_t row;
};

/* Keys or values of a head, from element `at` on: where they lie, or as floats in `copy`. */
CPU_INLINE struct rows rows_of(const struct cpu_attention *a, int64_t at, float *copy)
{
    if (a->kv.f32)
        return (struct rows){a->kv.f32 + at, a->kv_row};
    cpu_pack_rows(&a->kv, at, a->kv_row, a->S, (int)a->D, 1.0f, CPU_KEYS, copy);
    return (struct rows){copy, cpu_round_up(a->D, CPU_LANES)};
}

/* Rows s.. of the keys and values of the task after this one, which are far apart, come to the
 * cache while this one computes. Those of a few heads are there already. */
CPU_INLINE void fetch_next(const struct cpu_attention *a, int64_t index, int64_t s)
{
    int64_t g = index % a->H / (a->H / a->KV), at = index / a->H * a->kv_seq + g * a->D;
    const float *k = a->kv.f32 + a->k + at + s * a->kv_row, *v = k + a->v - a->k;
    int64_t n = cpu_min(CPU_LANES, a->S - s) * a->kv_row;

    for (int64_t row = 0; row < n; row += a->kv_row)
        for (int64_t d = 0; d < a->D; d += LINE) {
            __builtin_prefetch(k + row + d, 0, 2);
            __builtin_prefetch(v + row + d, 0, 2);
        }
}

/* The only query of head h, as generation has it. */
static void single_task(const void *data, int64_t index, float *scratch)
{
    const struct cpu_attention *a = data;
    int64_t h = index % a->H, b = index / a->H, g = h / (a->H / a->KV), D = a->D;
    int64_t head = b * a->kv_seq + g * D, y_at = (b * a->H + h) * D;
    struct work w = work_of(a, scratch);
    const struct rows k = rows_of(a, a->k + head, w.k), v = rows_of(a, a->v + head, w.v);
    const float *q = cpu_row(&a->q, b * a->q_seq + h * D, D, w.q);
    float *y = cpu_row_out(&a->y, y_at, w.copy), *scores = w.scores, max = -INFINITY, sum = 0.0f;
    int fetch = a->kv.f32 && 2 * a->B * a->S * a->kv_row > NEAR && index + 1 < a->B * a->H;

    for (int64_t s = 0; s < a->S; s += CPU_LANES) {
        if (fetch)
            fetch_next(a, index + 1, s);
        cpu_store(scores + s,
                  cpu_dots(q, k.data + s * k.row, k.row, cpu_min(CPU_LANES, a->S - s), D) *
                      a->scale);
    }
#pragma omp simd reduction(max : max)
    for (int64_t s = 0; s < a->S; s++)
        max = scores[s] > max ? scores[s] : max;
#pragma omp simd reduction(+ : sum)
    for (int64_t s = 0; s < a->S; s++) {
        scores[s] = cpu_expf(scores[s] - max);
        sum += scores[s];
    }
    for (int64_t d = 0; d < D; d += CPU_LANES)
        cpu_store_up_to(y + d, weighted_columns(scores, v.data + d, v.row, a->S, D - d) / sum,
                        D - d);
    cpu_row_done(&a->y, y_at, D, y);
    if (a->lse)
        a->lse[b * a->H + h] = max + logf(sum);
}

/* New keys and values go to the cache, and all are read there. */
static void use_cache(struct cpu_attention *a)
{
    const struct mgpt_tensor *t = &a->op->out[2], *qkv = &a->op->in[0];
    size_t element = mgpt_dtype_size(t->dtype);
    int64_t wide = a->KV * a->D, capacity = t->shape[2];

    if (!t->rank)
        return;
    for (int64_t b = 0; b < a->B; b++)
        for (int64_t i = 0; i < a->T; i++) {
            size_t to = (size_t)((b * capacity + a->position + i) * wide) * element;
            size_t from = (size_t)(b * a->q_seq + i * a->q_row + a->k) * element;
            char *keys = t->buffer->data + t->offset + to;
            const char *ours = qkv->buffer->data + qkv->offset + from;
            size_t row = (size_t)wide * element;
            memcpy(keys, ours, row);
            memcpy(keys + (size_t)(a->B * capacity) * row, ours + row, row);
        }
    a->kv = cpu_mixed(t);
    a->k = 0;
    a->v = a->B * capacity * wide;
    a->kv_row = wide;
    a->kv_seq = capacity * wide;
}

enum mgpt_status cpu_attention(struct mgpt_device *device, const struct mgpt_op *op,
                               struct mgpt_error *error)
{
    struct cpu_attention a = cpu_attention_of(op);
    enum mgpt_status status = cpu_scratch(device, work_floats(&a) * sizeof(float), error);
    double pairs = (double)(a.B * a.H * a.T) * (double)a.S;

    if (status != MGPT_OK)
        return status;
    use_cache(&a);
    a.y = cpu_mixed(&op->out[0]);
    a.lse = cpu_f32(&op->out[1]);
    a.step = op->rate > 0 ? cpu_state(&op->in[1])->step : 0;
    if (a.T == 1 && op->rate == 0)
        cpu_run(device, single_task, &a, a.B * a.H, pairs * (double)(2 * a.D + 10));
    else
        cpu_run(device, forward_task, &a, a.B * a.H * a.chunks, pairs * (double)(2 * a.D + 10));
    return MGPT_OK;
}
