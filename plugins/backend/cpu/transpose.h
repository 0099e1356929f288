/* Rows become columns, a square of vectors at a time. */
#ifndef MGPT_CPU_TRANSPOSE_H
#define MGPT_CPU_TRANSPOSE_H

#include "vector.h"

/* In squares of 2 bit x 2 bit elements the upper right quarter and the lower left one change
 * places. */
#define CPU_LEFT(i, bit) ((i) & (bit) ? ((i) ^ (bit)) + CPU_LANES : (i))
#define CPU_RIGHT(i, bit) (CPU_LEFT(i, bit) ^ (bit))
#define CPU_EXCHANGE(bit)                                                                          \
    _Pragma("GCC unroll 16") for (int r = 0; r < CPU_LANES; r++) if (!(r & bit))                   \
    {                                                                                              \
        const cpu_vec upper = row[r], lower = row[r + bit];                                        \
        row[r] = CPU_SHUFFLE(upper, lower, CPU_LEFT, bit);                                         \
        row[r + bit] = CPU_SHUFFLE(upper, lower, CPU_RIGHT, bit);                                  \
    }

/* to[l ld_to + c] = from[c ld + l] for c, l < CPU_LANES */
CPU_INLINE void cpu_transpose_square(const float *from, int64_t ld, float *to, int64_t ld_to)
{
    cpu_vec row[CPU_LANES];

#pragma GCC unroll 16
    for (int r = 0; r < CPU_LANES; r++) {
        row[r] = cpu_load(from + r * ld);
        __builtin_prefetch(from + (CPU_LANES + r) * ld); /* the square below */
    }
    CPU_EXCHANGE(1)
    CPU_EXCHANGE(2)
#if CPU_LANES > 4
    CPU_EXCHANGE(4)
#endif
#if CPU_LANES > 8
    CPU_EXCHANGE(8)
#endif
#pragma GCC unroll 16
    for (int r = 0; r < CPU_LANES; r++)
        cpu_store(to + r * ld_to, row[r]);
}

#undef CPU_EXCHANGE
#undef CPU_RIGHT
#undef CPU_LEFT

/* to[l ld_to + c] = from[c ld + l] for c < rows, l < cols */
CPU_INLINE void cpu_transpose(const float *from, int64_t ld, int64_t rows, int64_t cols, float *to,
                              int64_t ld_to)
{
    int64_t whole_rows = rows / CPU_LANES * CPU_LANES, whole_cols = cols / CPU_LANES * CPU_LANES;

    for (int64_t c = 0; c < whole_rows; c += CPU_LANES)
        for (int64_t l = 0; l < whole_cols; l += CPU_LANES)
            cpu_transpose_square(from + c * ld + l, ld, to + l * ld_to + c, ld_to);
    for (int64_t c = 0; c < rows; c++)
        for (int64_t l = c < whole_rows ? whole_cols : 0; l < cols; l++)
            to[l * ld_to + c] = from[c * ld + l];
}

#endif
