/* The one inner loop of all products. */
#include <string.h>

#include "tile.h"

typedef float vec __attribute__((vector_size(4 * CPU_COLS)));
typedef float vec_memory __attribute__((vector_size(4 * CPU_COLS), aligned(4), may_alias));

/* `rows` is a constant wherever this is inlined. */
CPU_INLINE void tile_rows(const int rows, const struct cpu_tile *t, int64_t a_row, int64_t a_col)
{
    vec sum[CPU_ROWS];
    const float *a = t->a, *b = t->b;

#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        if (t->start)
            sum[r] = *(const vec_memory *)(const void *)(t->start + r * t->ld_start);
        else
            sum[r] = (vec){0};
    }
    for (int64_t l = 0; l < t->depth; l++, a += a_col, b += t->ldb) {
        const vec v = *(const vec_memory *)(const void *)b;
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
            sum[r] += a[r * a_row] * v;
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        *(vec_memory *)(void *)(t->c + r * t->ldc) = sum[r];
}

CPU_INLINE void tile_full(int64_t rows, const struct cpu_tile *t, int64_t a_row, int64_t a_col)
{
    switch (rows) {
    case 1: tile_rows(1, t, a_row, a_col); break;
    case 2: tile_rows(2, t, a_row, a_col); break;
    case 3: tile_rows(3, t, a_row, a_col); break;
    case 4: tile_rows(4, t, a_row, a_col); break;
    case 5: tile_rows(5, t, a_row, a_col); break;
    case 6: tile_rows(6, t, a_row, a_col); break;
    case 7: tile_rows(7, t, a_row, a_col); break;
    default: tile_rows(8, t, a_row, a_col); break;
    }
}

/* Fewer columns than 16 go through a copy of start and c that has them all. */
CPU_INLINE void tile_any(int64_t rows, const struct cpu_tile *t, int64_t a_row, int64_t a_col)
{
    float copy[CPU_ROWS * CPU_COLS];
    struct cpu_tile whole = *t;

    if (t->cols < CPU_COLS) {
        memset(copy, 0, sizeof copy);
        for (int64_t r = 0; t->start && r < rows; r++)
            memcpy(copy + r * CPU_COLS, t->start + r * t->ld_start, (size_t)t->cols * sizeof *copy);
        whole.c = copy;
        whole.start = copy;
        whole.ldc = whole.ld_start = CPU_COLS;
    }
    tile_full(rows, &whole, a_row, a_col);
    if (t->cols < CPU_COLS)
        for (int64_t r = 0; r < rows; r++)
            memcpy(t->c + r * t->ldc, copy + r * CPU_COLS, (size_t)t->cols * sizeof *copy);
}

static void plain(int64_t rows, const struct cpu_tile *t)
{
    tile_any(rows, t, t->a_row, 1);
}

static void transposed(int64_t rows, const struct cpu_tile *t)
{
    tile_any(rows, t, 1, t->a_col);
}

void cpu_tile_plain(int64_t rows, const struct cpu_tile *t)
{
    plain(rows, t);
}

void cpu_tile_transposed(int64_t rows, const struct cpu_tile *t)
{
    transposed(rows, t);
}
