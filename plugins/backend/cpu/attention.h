/* Inside attention: what its two directions share.
 *
 * Queries go in blocks of CPU_LANES. Scores of one key and a block lie side by side, [S][LANES]:
 * maximum, sum and all products then need no sum across lanes, whatever the size of a head. A task
 * first copies the keys and values of its head to where they lie densely: rows of qkv are far
 * apart, and share few sets of the cache.
 *
 * Arithmetic is in F32: BF16 is read where rows are copied, and written where they are stored.
 * Everything copied is padded with zeros: rows to a multiple of CPU_KEYS, columns to one of
 * CPU_LANES. D, where a function takes it as an int, is a constant after inlining for the usual
 * sizes of a head. */
#ifndef MGPT_CPU_ATTENTION_H
#define MGPT_CPU_ATTENTION_H

#include "fastmath.h"
#include "mixed.h"
#include "transpose.h"

#if CPU_LANES == 16
#define CPU_KEYS 8 /* whose scores are summed in registers at once */
#else
#define CPU_KEYS 4
#endif

/* Scores are to the base of 2 inside: a power of 2 takes less than one of e. */
#define CPU_LOG2_E 1.44269504f
#define CPU_LOG_2 0.693147181f

struct cpu_attention {
    const struct mgpt_op *op;
    int64_t B, T, H, KV, D, S; /* S: rows that can be seen, position + T */
    int64_t position, chunks;  /* of queries, a head */
    struct cpu_mixed q, kv;    /* qkv; where keys and values are: there or in the cache */
    int64_t k, v;              /* head 0 of sequence 0 in kv */
    int64_t q_row, q_seq;      /* from a row, a sequence, to the next; heads are D apart */
    int64_t kv_row, kv_seq;
    struct cpu_mixed y, dy, dqkv; /* (B,T,HD), the same, (B,T,(H+2KV)D) */
    float *lse;                   /* (B,H,T) or NULL */
    float scale;                  /* 1 / sqrt(D) */
    uint64_t step;
};

#define cpu_attention_of CPU_NAME(cpu_attention_of)
#define cpu_attention_drops CPU_NAME(cpu_attention_drops)

/* Reads the op's attributes; keys and values are those of qkv. */
struct cpu_attention cpu_attention_of(const struct mgpt_op *op);
/* Factors of dropout for queries t0..t0+n and keys 0..S of head h as [S][LANES], 0 past n. */
void cpu_attention_drops(const struct cpu_attention *a, int64_t b, int64_t h, int64_t t0, int64_t n,
                         int64_t S, float *drop);

CPU_INLINE int64_t cpu_round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

/* rows (n,D) from element `at` on as [n][wide], times `scale`; to a multiple of `rows` they are
 * 0 */
CPU_INLINE void cpu_pack_rows(const struct cpu_mixed *x, int64_t at, int64_t row, int64_t n, int D,
                              float scale, int64_t rows, float *to)
{
    int64_t wide = cpu_round_up(D, CPU_LANES);

    for (int64_t t = 0; t < n; t++, at += row, to += wide) {
        const float *from = cpu_row(x, at, D, to);
        if (x->f32)
            __builtin_prefetch(from + D, 0, 2); /* the next head, likely this thread's next task */
        for (int d = 0; d < D; d++)
            to[d] = from[d] * scale;
        for (int64_t d = D; d < wide; d++)
            to[d] = 0.0f;
    }
    memset(to, 0, (size_t)((cpu_round_up(n, rows) - n) * wide) * sizeof *to);
}

/* rows (n,D), n <= LANES, as columns [D][LANES] times `scale`; columns n.. are 0. `copy` has room
 * for the rows. */
CPU_INLINE void cpu_pack_columns(const struct cpu_mixed *x, int64_t at, int64_t row, int64_t n,
                                 int D, float scale, float *copy, float *to)
{
    const float *from = copy;

    if (x->f32) {
        from = x->f32 + at;
    } else {
        for (int64_t t = 0; t < n; t++)
            cpu_bf16_load(x->bf16 + at + t * row, D, copy + t * D);
        row = D;
    }
    if (n < CPU_LANES)
        memset(to, 0, (size_t)(D * CPU_LANES) * sizeof *to);
    cpu_transpose(from, row, n, D, to, CPU_LANES);
    for (int d = 0; d < D; d++)
        cpu_store(to + d * CPU_LANES, cpu_load(to + d * CPU_LANES) * scale);
}

#define CPU_FOUR(x) x, x, x, x
#if CPU_LANES == 16
#define CPU_REPEAT(x) CPU_FOUR(x), CPU_FOUR(x), CPU_FOUR(x), CPU_FOUR(x)
#elif CPU_LANES == 8
#define CPU_REPEAT(x) CPU_FOUR(x), CPU_FOUR(x)
#else
#define CPU_REPEAT(x) CPU_FOUR(x)
#endif

/* The queries of a block see rows 0..first+lane; row `first + ahead` is hidden from the lanes below
 * `ahead`. */
CPU_INLINE cpu_vec cpu_hide(cpu_vec scores, int64_t ahead)
{
    static const float hidden[2 * CPU_LANES] = {CPU_REPEAT(-INFINITY), CPU_REPEAT(INFINITY)};

    return cpu_smaller(cpu_load(hidden + CPU_LANES - (ahead < 0 ? 0 : cpu_min(ahead, CPU_LANES))),
                       scores);
}

/* rows (n <= LANES) of `wide` = sum over s < S of weights[s][row] panel[s][wide], as rows of D from
 * element `at` on; times `factors` of the rows */
CPU_INLINE void cpu_weighted_sum(const float *weights, const float *panel, int64_t S, int64_t n,
                                 int D, const float *factors, const struct cpu_mixed *to,
                                 int64_t at, int64_t to_row)
{
    const int64_t wide = cpu_round_up(D, CPU_LANES);

    for (int64_t d = 0; d < D; d += CPU_LANES) {
        cpu_vec sum[CPU_LANES];
#pragma GCC unroll 16
        for (int t = 0; t < CPU_LANES; t++)
            sum[t] = (cpu_vec){0};
        for (int64_t s = 0; s < S; s++) {
            const cpu_vec x = cpu_load(panel + s * wide + d);
#pragma GCC unroll 16
            for (int t = 0; t < CPU_LANES; t++)
                sum[t] += weights[s * CPU_LANES + t] * x;
        }
#pragma GCC unroll 16
        for (int t = 0; t < CPU_LANES; t++)
            sum[t] *= factors[t];
        if (to->f32 && n == CPU_LANES && d + CPU_LANES <= D) {
#pragma GCC unroll 16
            for (int t = 0; t < CPU_LANES; t++)
                cpu_store(to->f32 + at + t * to_row + d, sum[t]);
        } else {
            for (int64_t t = 0; t < n; t++)
                cpu_put_row(to, at + t * to_row + d, cpu_min(CPU_LANES, D - d),
                            (const float *)sum + t * CPU_LANES);
        }
    }
}

/* block(D, ...) with D a constant where heads have a usual size */
#define CPU_WITH_D(a, block, ...)                                                                  \
    switch ((a)->D) {                                                                              \
    case 16: block(16, __VA_ARGS__); break;                                                        \
    case 32: block(32, __VA_ARGS__); break;                                                        \
    case 64: block(64, __VA_ARGS__); break;                                                        \
    default: block((int)(a)->D, __VA_ARGS__);                                                      \
    }

#endif
