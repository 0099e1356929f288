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

/* AT(i, bit) of each lane i, which are constants. */
#if CPU_LANES == 16
#define CPU_EACH(AT, bit)                                                                          \
    AT(0, bit), AT(1, bit), AT(2, bit), AT(3, bit), AT(4, bit), AT(5, bit), AT(6, bit),            \
        AT(7, bit), AT(8, bit), AT(9, bit), AT(10, bit), AT(11, bit), AT(12, bit), AT(13, bit),    \
        AT(14, bit), AT(15, bit)
#elif CPU_LANES == 8
#define CPU_EACH(AT, bit)                                                                          \
    AT(0, bit), AT(1, bit), AT(2, bit), AT(3, bit), AT(4, bit), AT(5, bit), AT(6, bit), AT(7, bit)
#else
#define CPU_EACH(AT, bit) AT(0, bit), AT(1, bit), AT(2, bit), AT(3, bit)
#endif

/* Lane i: lane AT(i, bit) of a and b, those of b being CPU_LANES more. gcc has the first from 12
 * on, clang never the second. */
#if defined __clang__ || __GNUC__ >= 12
#define CPU_SHUFFLE(a, b, AT, bit) __builtin_shufflevector(a, b, CPU_EACH(AT, bit))
#else
typedef int32_t cpu_places __attribute__((vector_size(4 * CPU_LANES)));
#define CPU_SHUFFLE(a, b, AT, bit) __builtin_shuffle(a, b, (cpu_places){CPU_EACH(AT, bit)})
#endif

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
