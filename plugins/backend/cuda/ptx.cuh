/* All of PTX that is written by hand, one small function an instruction. Compiled for the processor
 * the same functions come from the emulation. Semantics: PTX ISA, chapter 9.7. */
#ifndef MGPT_CUDA_PTX_CUH
#define MGPT_CUDA_PTX_CUH

#include "kernel.cuh"

#ifndef __CUDACC__
#include <ptx.h>
#else

static __device__ inline float float_of_bits(uint32_t bits)
{
    return __uint_as_float(bits);
}

static __device__ inline uint32_t bits_of_float(float value)
{
    return __float_as_uint(value);
}

static __device__ inline float f16_float(uint16_t bits)
{
    float value;

    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}

/* To nearest, ties to even; so are those below. */
static __device__ inline uint16_t f16_bits(float value)
{
    uint16_t bits;

    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

/* To nearest, ties away from zero: the 10 bits of mantissa that tensor cores multiply of an F32. */
static __device__ inline float tf32_float(float value)
{
#if __CUDA_ARCH__ >= 800
    uint32_t bits;

    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
    return __uint_as_float(bits);
#else
    return value; /* no device that lacks it is asked for it */
#endif
}

static __device__ inline uint16_t bf16_bits(float value)
{
#if __CUDA_ARCH__ >= 800
    uint16_t bits;

    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
#else
    uint32_t bits = __float_as_uint(value);

    if ((bits & 0x7fffffff) > 0x7f800000) /* NaN would carry into infinity */
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
#endif
}

/* Two 16-bit floats, the first in the lower half. */
static __device__ inline uint32_t bf16_pair(float low, float high)
{
#if __CUDA_ARCH__ >= 800
    uint32_t bits;

    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
    return bits;
#else
    return (uint32_t)bf16_bits(high) << 16 | bf16_bits(low);
#endif
}

static __device__ inline uint32_t f16_pair(float low, float high)
{
#if __CUDA_ARCH__ >= 800
    uint32_t bits;

    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
    return bits;
#else
    return (uint32_t)f16_bits(high) << 16 | f16_bits(low);
#endif
}

/* 2^x */
static __device__ inline float power_of_2(float x)
{
    float value;

    asm("ex2.approx.f32 %0, %1;" : "=f"(value) : "f"(x));
    return value;
}

static __device__ inline uint32_t shared_address(const void *at)
{
    return (uint32_t)__cvta_generic_to_shared(at);
}

/* Four 8 x 8 matrices of 16 bits from shared memory. Lane i gives the address of row i % 8 of
 * matrix i / 8, a multiple of 16. Of each matrix a lane gets elements 2 (lane % 4) and the next of
 * row lane / 4; transposed, those of column lane / 4. */
static __device__ inline void load_matrices(uint32_t to[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared_address(row))
                 : "memory");
}

static __device__ inline void load_transposed(uint32_t to[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared_address(row))
                 : "memory");
}

/* 16 bytes from global to shared memory, both aligned to 16, which are there after copies_wait and,
 * for other threads, a barrier. Turing copies at once. */
static __device__ inline void copy_async(void *shared, const void *global)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;"
                 :
                 : "r"(shared_address(shared)), "l"(__cvta_generic_to_global(global))
                 : "memory");
#else
    *static_cast<uint4 *>(shared) = *static_cast<const uint4 *>(global);
#endif
}

/* The copies of this thread since the last call are a group. */
static __device__ inline void copies_commit(void)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/* Waits for all groups of this thread but the last LEFT. */
template <int LEFT> static __device__ inline void copies_wait(void)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" : : "n"(LEFT) : "memory");
#endif
}

/* ---- products by a warp: d (16 x 8, F32) += a (16 x k, rows) b (k x 8, columns) ---- */

/* k = 16. With g = lane / 4 and t = lane % 4 a lane has of a, two to a register, rows g and g + 8
 * of columns 2t and 2t + 1, then both of columns 2t + 8 and 2t + 9; of b rows 2t, 2t + 1, then
 * 2t + 8, 2t + 9 of column g; of d columns 2t and 2t + 1 of row g, then of row g + 8. */
static __device__ inline void mma_bf16(float d[4], const uint32_t a[4], const uint32_t b[2])
{
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

static __device__ inline void mma_f16(float d[4], const uint32_t a[4], const uint32_t b[2])
{
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    for (int half = 0; half < 2; half++)
        asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
            "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
            : "r"(a[2 * half]), "r"(a[2 * half + 1]), "r"(b[half]));
#endif
}

/* k = 8, elements of 32 bits: a has columns t, then t + 4; b rows t, then t + 4. */
static __device__ inline void mma_tf32(float d[4], const uint32_t a[4], const uint32_t b[2])
{
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

#define ALL_PRODUCTS(mma)                                                                          \
    _Pragma("unroll") for (int i = 0; i < M; i++) _Pragma("unroll") for (int j = 0; j < N; j++)    \
        mma(d[i][j], a[i], b[j])

/* M x N such products: d[i][j] += a[i] b[j]. BITS of an operand: 32 is TF32, 16 what `format` says,
 * BF16 or F16. */
template <int BITS, int M, int N>
static __device__ inline void multiply(uint32_t format, float d[M][N][4], const uint32_t a[M][4],
                                       const uint32_t b[N][2])
{
    if (BITS == 32)
        ALL_PRODUCTS(mma_tf32);
    else if (format == MGPT_BF16)
        ALL_PRODUCTS(mma_bf16);
    else
        ALL_PRODUCTS(mma_f16);
}
#undef ALL_PRODUCTS

#endif
#endif
