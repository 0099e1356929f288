/* One row times many, where they lie: products of vectors along the rows, then sums across lanes. */
#ifndef MGPT_CPU_DOTS_H
#define MGPT_CPU_DOTS_H

#include "kernel.h"

typedef int32_t cpu_lanes __attribute__((vector_size(4 * CPU_LANES)));

/* Lane i: lane i of x for a clear bit `bit` of i, else of y, plus the lane across that bit. */
CPU_INLINE cpu_vec cpu_fold(cpu_vec x, cpu_vec y, const int bit)
{
    cpu_lanes same, across;

#pragma GCC unroll 16
    for (int i = 0; i < CPU_LANES; i++) {
        int other = i & bit ? CPU_LANES : 0;
        same[i] = i + other;
        across[i] = (i ^ bit) + other;
    }
    return __builtin_shuffle(x, y, same) + __builtin_shuffle(x, y, across);
}

/* Lane r: the sum over the lanes of sum[r]. */
CPU_INLINE cpu_vec cpu_fold_all(cpu_vec sum[CPU_LANES])
{
#pragma GCC unroll 16
    for (int bit = 1; bit < CPU_LANES; bit *= 2)
#pragma GCC unroll 16
        for (int r = 0; r < CPU_LANES; r += 2 * bit)
            sum[r] = cpu_fold(sum[r], sum[r + bit], bit);
    return sum[0];
}

/* The first n < CPU_LANES elements, and zeros. */
CPU_INLINE cpu_vec cpu_load_part(const float *x, int64_t n)
{
    cpu_vec v = {0};

    memcpy(&v, x, (size_t)n * sizeof *x);
    return v;
}

/* Lane r: x (depth) times row r of those at b, for r < n; row n - 1 stands in for those past it. */
CPU_INLINE cpu_vec cpu_dots(const float *x, const float *b, int64_t ld, int64_t n, int64_t depth)
{
    cpu_vec sum[CPU_LANES];
    const float *row[CPU_LANES];
    int64_t whole = depth / CPU_LANES * CPU_LANES;

#pragma GCC unroll 16
    for (int r = 0; r < CPU_LANES; r++) {
        sum[r] = (cpu_vec){0};
        row[r] = b + cpu_min(r, n - 1) * ld;
    }
    for (int64_t l = 0; l < whole; l += CPU_LANES) {
        const cpu_vec v = cpu_load(x + l);
#pragma GCC unroll 16
        for (int r = 0; r < CPU_LANES; r++)
            sum[r] += v * cpu_load(row[r] + l);
    }
    if (whole < depth) {
        const cpu_vec v = cpu_load_part(x + whole, depth - whole);
        for (int r = 0; r < CPU_LANES; r++)
            sum[r] += v * cpu_load_part(row[r] + whole, depth - whole);
    }
    return cpu_fold_all(sum);
}

#endif
