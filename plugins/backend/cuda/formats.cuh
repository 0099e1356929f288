/* Formats in memory: floats go in and out of F32, BF16 and F16.
 *
 * A format is an argument, not a template parameter: all threads take the same branch, and there is
 * one kernel instead of one for each mixture. */
#ifndef MGPT_CUDA_FORMATS_CUH
#define MGPT_CUDA_FORMATS_CUH

#include "kernel.cuh"
#include "ptx.cuh"

static __device__ inline float bf16_float(uint16_t bits)
{
    return float_of_bits((uint32_t)bits << 16);
}

static __device__ inline float get(const struct cuda_mixed &x, int64_t i)
{
    if (x.format == MGPT_F32)
        return static_cast<const float *>(x.at)[i];
    uint16_t bits = static_cast<const uint16_t *>(x.at)[i];
    return x.format == MGPT_BF16 ? bf16_float(bits) : f16_float(bits);
}

/* To nearest, ties to even. */
static __device__ inline uint16_t short_bits(uint32_t format, float value)
{
    return format == MGPT_BF16 ? bf16_bits(value) : f16_bits(value);
}

/* Two of them, the first in the lower half. */
static __device__ inline uint32_t short_pair(uint32_t format, float low, float high)
{
    return format == MGPT_BF16 ? bf16_pair(low, high) : f16_pair(low, high);
}

static __device__ inline void put(const struct cuda_mixed &x, int64_t i, float value)
{
    if (x.format == MGPT_F32)
        static_cast<float *>(x.at)[i] = value;
    else
        static_cast<uint16_t *>(x.at)[i] = short_bits(x.format, value);
}

/* Elements i and i + 1 of a tensor, i even. */
static __device__ inline void put_pair(const struct cuda_mixed &x, int64_t i, float low, float high)
{
    if (x.format == MGPT_F32)
        static_cast<float2 *>(x.at)[i / 2] = make_float2(low, high);
    else
        static_cast<uint32_t *>(x.at)[i / 2] = short_pair(x.format, low, high);
}

/* Four elements from i on, whose address is a multiple of 16, or of 8 where they have 16 bits. */
static __device__ inline float4 get_four(const struct cuda_mixed &x, int64_t i)
{
    if (x.format == MGPT_F32)
        return *reinterpret_cast<const float4 *>(static_cast<const float *>(x.at) + i);
    const struct cuda_mixed four = {static_cast<uint16_t *>(x.at) + i, x.format};
    return make_float4(get(four, 0), get(four, 1), get(four, 2), get(four, 3));
}

static __device__ inline void put_four(const struct cuda_mixed &x, int64_t i, float4 v)
{
    if (x.format == MGPT_F32)
        *reinterpret_cast<float4 *>(static_cast<float *>(x.at) + i) = v;
    else
        *reinterpret_cast<uint64_t *>(static_cast<uint16_t *>(x.at) + i) =
            (uint64_t)short_pair(x.format, v.z, v.w) << 32 | short_pair(x.format, v.x, v.y);
}

/* The value that an operand of a product has: of enum mgpt_dtype or CUDA_TF32. */
static __device__ inline float round_to(uint32_t format, float value)
{
    if (format == MGPT_F32)
        return value;
    if (format == CUDA_TF32)
        return tf32_float(value);
    uint16_t bits = short_bits(format, value);
    return format == MGPT_BF16 ? bf16_float(bits) : f16_float(bits);
}

#endif
