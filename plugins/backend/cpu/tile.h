/* The one inner loop of all products: up to 8 x 16 sums in registers.
 *
 *   c[r][j] = start[r][j] + sum over l of a[r a_row + l a_col] b[l ldb + j]     r < rows <= 8, j <
 * 16
 *
 * One of a's strides is usually the constant 1. 8 sums are as many as two fused multiply-adds a
 * cycle need to hide their latency of four. */
#ifndef MGPT_CPU_TILE_H
#define MGPT_CPU_TILE_H

#include "ops.h"

#define CPU_ROWS 8
#define CPU_COLS 16

#define cpu_tile_plain CPU_NAME(cpu_tile_plain)
#define cpu_tile_transposed CPU_NAME(cpu_tile_transposed)

struct cpu_tile {
    int64_t depth;
    const float *a;
    int64_t a_row, a_col;
    const float *b; /* 16 columns are read, whatever `cols` is; those past it do not matter */
    int64_t ldb;
    const float *start; /* NULL: 0 */
    int64_t ld_start;   /* 0: one row for all */
    float *c;
    int64_t ldc;
    int64_t cols; /* of start and c, 1..16 */
};

/* a as it lies in memory, a_col being 1; and transposed, a_row being 1. `rows` is 1..8. */
void cpu_tile_plain(int64_t rows, const struct cpu_tile *t);
void cpu_tile_transposed(int64_t rows, const struct cpu_tile *t);

#endif
