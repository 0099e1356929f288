/* One row times many, where they lie: products of vectors along the rows, then sums across
 * lanes. */
#ifndef MGPT_CPU_DOTS_H
#define MGPT_CPU_DOTS_H

#include <string.h>

#include "vector.h"

/* Sums across the lanes of vectors `bit` apart. Lane i: lane i of the first for a clear bit `bit`
 * of i, else of the second, plus the lane across that bit. */
#define CPU_SAME(i, bit) ((i) & (bit) ? (i) + CPU_LANES : (i))
#define CPU_ACROSS(i, bit) (CPU_SAME(i, bit) ^ (bit))
#define CPU_FOLD(bit)                                                                              \
    _Pragma("GCC unroll 16") for (int r = 0; r < CPU_LANES; r += 2 * bit)                          \
    {                                                                                              \
        sum[r] = CPU_SHUFFLE(sum[r], sum[r + bit], CPU_SAME, bit) +                                \
                 CPU_SHUFFLE(sum[r], sum[r + bit], CPU_ACROSS, bit);                               \
    }

/* Lane r: the sum over the lanes of sum[r]. */
CPU_INLINE cpu_vec cpu_fold(cpu_vec sum[CPU_LANES])
{
    CPU_FOLD(1)
    CPU_FOLD(2)
#if CPU_LANES > 4
    CPU_FOLD(4)
#endif
#if CPU_LANES > 8
    CPU_FOLD(8)
#endif
    return sum[0];
}
#undef CPU_FOLD
#undef CPU_ACROSS
#undef CPU_SAME

/* The first n < CPU_LANES elements, and zeros. */
CPU_INLINE cpu_vec cpu_load_part(const float *x, int64_t n)
{
    cpu_vec v = {0};

    memcpy(&v, x, (size_t)n * sizeof *x);
    return v;
}

CPU_INLINE cpu_vec cpu_load_up_to(const float *x, int64_t n)
{
    return n >= CPU_LANES ? cpu_load(x) : cpu_load_part(x, n);
}

CPU_INLINE void cpu_store_up_to(float *x, cpu_vec v, int64_t n)
{
    if (n >= CPU_LANES)
        cpu_store(x, v);
    else
        memcpy(x, &v, (size_t)n * sizeof *x);
}

/* sum[r] = products of x (depth) with row r of CPU_LANES, lane by lane. Four rows share a pointer:
 * as many as addresses can hold without more. */
CPU_INLINE void cpu_dots_all(const float *x, const float *b, int64_t ld, int64_t depth,
                             cpu_vec sum[CPU_LANES])
{
    const float *four[CPU_LANES / 4];

#pragma GCC unroll 16
    for (int r = 0; r < CPU_LANES; r++)
        sum[r] = (cpu_vec){0};
#pragma GCC unroll 4
    for (int i = 0; i < CPU_LANES / 4; i++)
        four[i] = b + 4 * i * ld;
    for (int64_t l = 0; l + CPU_LANES <= depth; l += CPU_LANES) {
        const cpu_vec v = cpu_load(x + l);
#pragma GCC unroll 4
        for (int i = 0; i < CPU_LANES / 4; i++) {
#pragma GCC unroll 4
            for (int r = 0; r < 4; r++)
                sum[4 * i + r] += v * cpu_load(four[i] + r * ld);
            four[i] += CPU_LANES;
        }
    }
}

/* The same of n rows, the others 0. */
CPU_INLINE void cpu_dots_some(const float *x, const float *b, int64_t ld, int64_t n, int64_t depth,
                              cpu_vec sum[CPU_LANES])
{
    for (int64_t r = 0; r < CPU_LANES; r++)
        sum[r] = (cpu_vec){0};
    for (int64_t r = 0; r < n; r++)
        for (int64_t l = 0; l + CPU_LANES <= depth; l += CPU_LANES)
            sum[r] += cpu_load(x + l) * cpu_load(b + r * ld + l);
}

/* Lane r: x (depth) times row r < n of those at b. */
CPU_INLINE cpu_vec cpu_dots(const float *x, const float *b, int64_t ld, int64_t n, int64_t depth)
{
    int64_t rest = depth % CPU_LANES, whole = depth - rest;
    cpu_vec sum[CPU_LANES];

    if (n == CPU_LANES)
        cpu_dots_all(x, b, ld, depth, sum);
    else
        cpu_dots_some(x, b, ld, n, depth, sum);
    for (int64_t r = 0; rest && r < n; r++)
        sum[r] += cpu_load_part(x + whole, rest) * cpu_load_part(b + r * ld + whole, rest);
    return cpu_fold(sum);
}

#endif
