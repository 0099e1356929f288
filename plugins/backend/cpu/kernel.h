/* The inner loop of large products: CPU_MR x CPU_NR sums in registers.
 *
 *   c[r][j] = start[r][j] + sum over l of a[r a_row + l a_col] b[l][j]     r < CPU_MR, j < CPU_NR
 *
 * As many sums as fit in the registers, two vectors wide: then an element of a
 * is loaded once for two products and a vector of b once for CPU_MR. */
#ifndef MGPT_CPU_KERNEL_H
#define MGPT_CPU_KERNEL_H

#include <string.h>

#include "vector.h"

#if defined __AVX512F__ || defined __aarch64__
#define CPU_MR 8
#else
#define CPU_MR 6
#endif
#define CPU_NR (2 * CPU_LANES)

struct cpu_kernel {
    int64_t depth;
    const float *a;
    int64_t a_row, a_col;
    const float *b; /* [depth][ldb], CPU_NR of each row are read */
    int64_t ldb;
    const float *start; /* NULL: 0 */
    int64_t ld_start;   /* 0: one row for all */
    float *c;
    int64_t ldc;
};

/* `rows` is a constant wherever this is inlined, and so should one of a's strides be. */
CPU_INLINE void cpu_kernel_rows(const int rows, const struct cpu_kernel *k, int64_t a_row,
                                int64_t a_col)
{
    cpu_vec sum[CPU_MR][2];
    const float *a = k->a, *b = k->b;
    const int64_t ldb = k->ldb;

#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        sum[r][0] = sum[r][1] = (cpu_vec){0};
    for (int64_t l = 0; l < k->depth; l++, a += a_col, b += ldb) {
        const cpu_vec b0 = cpu_load(b), b1 = cpu_load(b + CPU_LANES);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            sum[r][0] += a[r * a_row] * b0;
            sum[r][1] += a[r * a_row] * b1;
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        if (k->start) {
            sum[r][0] += cpu_load(k->start + r * k->ld_start);
            sum[r][1] += cpu_load(k->start + r * k->ld_start + CPU_LANES);
        }
        cpu_store(k->c + r * k->ldc, sum[r][0]);
        cpu_store(k->c + r * k->ldc + CPU_LANES, sum[r][1]);
    }
}

CPU_INLINE void cpu_kernel_whole(int64_t rows, const struct cpu_kernel *k, int64_t a_row,
                                 int64_t a_col)
{
    switch (rows) {
    case 1: cpu_kernel_rows(1, k, a_row, a_col); break;
    case 2: cpu_kernel_rows(2, k, a_row, a_col); break;
    case 3: cpu_kernel_rows(3, k, a_row, a_col); break;
    case 4: cpu_kernel_rows(4, k, a_row, a_col); break;
    case 5: cpu_kernel_rows(5, k, a_row, a_col); break;
#if CPU_MR > 6
    case 6: cpu_kernel_rows(6, k, a_row, a_col); break;
    case 7: cpu_kernel_rows(7, k, a_row, a_col); break;
#endif
    default: cpu_kernel_rows(CPU_MR, k, a_row, a_col); break;
    }
}

/* rows 1..CPU_MR, cols 1..CPU_NR: fewer than all columns go through a copy that has them all. */
CPU_INLINE void cpu_kernel_any(int64_t rows, int64_t cols, const struct cpu_kernel *k,
                               int64_t a_row, int64_t a_col)
{
    float copy[CPU_MR * CPU_NR];
    struct cpu_kernel whole = *k;

    if (cols == CPU_NR) {
        cpu_kernel_whole(rows, k, a_row, a_col);
        return;
    }
    memset(copy, 0, sizeof copy);
    for (int64_t r = 0; k->start && r < rows; r++)
        memcpy(copy + r * CPU_NR, k->start + r * k->ld_start, (size_t)cols * sizeof *copy);
    whole.start = whole.c = copy;
    whole.ld_start = whole.ldc = CPU_NR;
    cpu_kernel_whole(rows, &whole, a_row, a_col);
    for (int64_t r = 0; r < rows; r++)
        memcpy(k->c + r * k->ldc, copy + r * CPU_NR, (size_t)cols * sizeof *copy);
}

#endif
