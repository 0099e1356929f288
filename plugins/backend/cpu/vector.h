/* A vector of floats, as wide as the instruction set has them. */
#ifndef MGPT_CPU_VECTOR_H
#define MGPT_CPU_VECTOR_H

#if defined __SSE2__
#include <immintrin.h>
#endif

#include "ops.h"

#if defined __AVX512F__
#define CPU_LANES 16
#elif defined __AVX2__
#define CPU_LANES 8
#else
#define CPU_LANES 4
#endif

typedef float cpu_vec __attribute__((vector_size(4 * CPU_LANES)));
typedef float cpu_vec_memory __attribute__((vector_size(4 * CPU_LANES), aligned(4), may_alias));

/* Numbers of lanes, for __builtin_shuffle: those of a second vector are CPU_LANES more. */
typedef int32_t cpu_places __attribute__((vector_size(4 * CPU_LANES)));
#if CPU_LANES == 16
#define CPU_PLACES ((cpu_places){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
#elif CPU_LANES == 8
#define CPU_PLACES ((cpu_places){0, 1, 2, 3, 4, 5, 6, 7})
#else
#define CPU_PLACES ((cpu_places){0, 1, 2, 3})
#endif
/* Lane i: a for a clear bit `bit` of i, else b. With a literal, all of it is one at compile time. */
#define CPU_BY_BIT(bit, a, b)                                                                      \
    (((a) & ((CPU_PLACES & (bit)) == 0)) | ((b) & ((CPU_PLACES & (bit)) != 0)))

CPU_INLINE cpu_vec cpu_load(const float *x)
{
    return *(const cpu_vec_memory *)(const void *)x;
}

CPU_INLINE void cpu_store(float *x, cpu_vec v)
{
    *(cpu_vec_memory *)(void *)x = v;
}

/* The larger, and the smaller; b where one is not a number. */
#if defined __AVX512F__
#define CPU_LARGER _mm512_max_ps
#define CPU_SMALLER _mm512_min_ps
#elif defined __AVX2__
#define CPU_LARGER _mm256_max_ps
#define CPU_SMALLER _mm256_min_ps
#elif defined __SSE2__
#define CPU_LARGER _mm_max_ps
#define CPU_SMALLER _mm_min_ps
#else
typedef int32_t cpu_mask __attribute__((vector_size(4 * CPU_LANES)));
#define CPU_SELECT(mask, a, b) (cpu_vec)(((mask) & (cpu_mask)(a)) | (~(mask) & (cpu_mask)(b)))
#define CPU_LARGER(a, b) CPU_SELECT((a) > (b), a, b)
#define CPU_SMALLER(a, b) CPU_SELECT((a) < (b), a, b)
#endif

CPU_INLINE cpu_vec cpu_larger(cpu_vec a, cpu_vec b)
{
    return CPU_LARGER(a, b);
}

CPU_INLINE cpu_vec cpu_smaller(cpu_vec a, cpu_vec b)
{
    return CPU_SMALLER(a, b);
}

#endif
