/* Tensors of F32 or BF16: rows of BF16 become floats in scratch, and back. */
#ifndef MGPT_CPU_MIXED_H
#define MGPT_CPU_MIXED_H

#include <string.h>

#include "ops.h"

/* The data of a float slot: one of the two, or none where it is empty. */
struct cpu_mixed {
    float *f32;
    uint16_t *bf16;
};

CPU_INLINE struct cpu_mixed cpu_mixed(const struct mgpt_tensor *t)
{
    void *data = t->rank ? t->buffer->data + t->offset : NULL;

    if (t->dtype == MGPT_BF16)
        return (struct cpu_mixed){NULL, data};
    return (struct cpu_mixed){data, NULL};
}

CPU_INLINE float cpu_bf16_float(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float y;

    memcpy(&y, &bits, sizeof y);
    return y;
}

CPU_INLINE void cpu_bf16_load(const uint16_t *from, int64_t n, float *to)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        to[i] = cpu_bf16_float(from[i]);
}

/* To nearest, ties to even: half a unit in the last place less one bit, one more if that place is
 * odd, carries where it should. NaN would carry into infinity. */
CPU_INLINE void cpu_bf16_store(const float *from, int64_t n, uint16_t *to)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits, rounded;
        memcpy(&bits, &from[i], sizeof bits);
        rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        to[i] = (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? bits >> 16 | 0x40 : rounded);
    }
}

/* n elements from `at` on, to read: where they lie, or in `copy`. */
CPU_INLINE const float *cpu_row(const struct cpu_mixed *t, int64_t at, int64_t n, float *copy)
{
    if (t->f32)
        return t->f32 + at;
    cpu_bf16_load(t->bf16 + at, n, copy);
    return copy;
}

/* Where to write the elements from `at` on; cpu_row_done follows. */
CPU_INLINE float *cpu_row_out(const struct cpu_mixed *t, int64_t at, float *copy)
{
    return t->f32 ? t->f32 + at : copy;
}

CPU_INLINE void cpu_row_done(const struct cpu_mixed *t, int64_t at, int64_t n, const float *copy)
{
    if (!t->f32)
        cpu_bf16_store(copy, n, t->bf16 + at);
}

/* n floats to the elements from `at` on. */
CPU_INLINE void cpu_put_row(const struct cpu_mixed *t, int64_t at, int64_t n, const float *from)
{
    if (t->f32)
        memcpy(t->f32 + at, from, (size_t)n * sizeof *from);
    else
        cpu_bf16_store(from, n, t->bf16 + at);
}

#endif
