/* Vectors for the kernels of micro.c, which is compiled once an instruction set: FUSED_LANES says
 * how many positions one vector holds. A lane is a position of a document. */
#ifndef MGPT_FUSED_LANES_H
#define MGPT_FUSED_LANES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined __x86_64__
#include <immintrin.h>
#endif

#define W FUSED_LANES
/* Sanitizers take minutes over what all the copies make. */
#if defined __SANITIZE_ADDRESS__
#define INLINE static __attribute__((noinline, unused))
#define UNROLL
#elif defined __clang__
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("unroll 16")
#else
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#endif
/* The compiler may not look through this: one pointer and constant offsets from it, instead of
 * sixteen pointers that do not fit into registers. */
#define OPAQUE(pointer) __asm__("" : "+r"(pointer))

/* W positions; and the widest vector there is, for what runs along a row of parameters. */
typedef float vec __attribute__((vector_size(4 * W)));
typedef int32_t ivec __attribute__((vector_size(4 * W)));
#if defined __AVX512F__
#define WIDE 16
#elif defined __AVX__
#define WIDE 8
#else
#define WIDE 4
#endif
typedef float wide __attribute__((vector_size(4 * WIDE)));
typedef float four __attribute__((vector_size(16)));
/* The same in arrays of floats. */
typedef vec vec_of_array __attribute__((may_alias));
typedef wide wide_of_array __attribute__((may_alias));
typedef four four_of_array __attribute__((may_alias));

INLINE vec load(const float *at)
{
    return *(const vec_of_array *)at;
}

INLINE void store(float *at, vec x)
{
    *(vec_of_array *)at = x;
}

INLINE wide wide_load(const float *at)
{
    return *(const wide_of_array *)at;
}

INLINE void wide_store(float *at, wide x)
{
    *(wide_of_array *)at = x;
}

INLINE vec splat(float x)
{
    return x - (vec){0};
}

INLINE wide wide_splat(float x)
{
    return x - (wide){0};
}

/* a b + c, rounded once where the machine can */
INLINE wide wide_fma(wide a, wide b, wide c)
{
#if defined __AVX512F__
    return (wide)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined __FMA__
    return (wide)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

INLINE vec fma_(vec a, vec b, vec c)
{
#if W == WIDE
    return (vec)wide_fma((wide)a, (wide)b, (wide)c);
#else /* AVX-512 and 8 lanes */
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#endif
}

INLINE vec root(vec x)
{
#if W == 16
    return (vec)_mm512_sqrt_ps((__m512)x);
#elif W == 8
    return (vec)_mm256_sqrt_ps((__m256)x);
#else
    for (int i = 0; i < W; i++)
        x[i] = sqrtf(x[i]);
    return x;
#endif
}

INLINE vec choose(ivec mask, vec yes, vec no)
{
    return (vec)((mask & (ivec)yes) | (~mask & (ivec)no));
}

/* a > b ? a : b, so b where one is NaN */
INLINE vec larger(vec a, vec b)
{
#if W == 16
    return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif W == 8
    return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return choose(a > b, a, b);
#endif
}

/* exp(x) for x <= 0, about 2 units in the last place; below -87, where the result would soon be
 * subnormal, 0. NaN goes through.  After Cephes (Moshier 1992). */
INLINE vec exponential(vec x)
{
    const vec shifter = splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to a whole number */
    vec z = larger(splat(-87.0f), x);
    vec t = fma_(z, splat(1.44269504089f), shifter);
    vec n = t - shifter; /* round(x / log 2) */
    vec r = fma_(n, splat(-0.693359375f), z), y;

    r = fma_(n, splat(2.12194440e-4f), r); /* x - n log 2, in two parts */
    y = fma_(splat(1.9875691500e-4f), r, splat(1.3981999507e-3f));
    y = fma_(y, r, splat(8.3334519073e-3f));
    y = fma_(y, r, splat(4.1665795894e-2f));
    y = fma_(y, r, splat(1.6666665459e-1f));
    y = fma_(y, r, splat(5.0000001201e-1f));
    y = fma_(y, r * r, r) + splat(1.0f);
    y = (vec)((ivec)y + ((ivec)t << 23)); /* times 2^n: n stands in the low bits of t */
    return (vec)((ivec)y & ~(x < splat(-87.0f)));
}

/* The value of lane `s` of each document's own lanes, T' = span lanes a document: row starts at
 * lane 0 of the tile, `lane` is the first of the vector wanted. */
INLINE vec at_position(const float *row, int s, int lane, int span)
{
#if W == 16
    static const int32_t second[16]
        __attribute__((aligned(64))) = {0, 0, 0, 0, 0, 0, 0, 0, 8, 8, 8, 8, 8, 8, 8, 8};
    if (span < W)
        return (vec)_mm512_permutexvar_ps(
            _mm512_add_epi32(_mm512_load_si512(second), _mm512_set1_epi32(s)),
            (__m512)load(row + lane));
#endif
    return splat(row[lane / span * span + s]);
}

#if defined __has_builtin
#if __has_builtin(__builtin_shufflevector)
#define HAVE_SHUFFLE 1
#endif
#endif

#if defined HAVE_SHUFFLE
INLINE four four_load(const float *at)
{
    return *(const four_of_array *)at;
}

INLINE void four_store(float *at, four x)
{
    *(four_of_array *)at = x;
}

INLINE void transpose_four(const float *from, int from_stride, float *to, int to_stride)
{
    four a = four_load(from), b = four_load(from + from_stride);
    four c = four_load(from + 2 * from_stride), d = four_load(from + 3 * from_stride);
    four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    four cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    four ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    four cd2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);

    four_store(to, __builtin_shufflevector(ab, cd, 0, 1, 4, 5));
    four_store(to + to_stride, __builtin_shufflevector(ab, cd, 2, 3, 6, 7));
    four_store(to + 2 * to_stride, __builtin_shufflevector(ab2, cd2, 0, 1, 4, 5));
    four_store(to + 3 * to_stride, __builtin_shufflevector(ab2, cd2, 2, 3, 6, 7));
}
#else
INLINE void transpose_four(const float *from, int from_stride, float *to, int to_stride)
{
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++)
            to[c * to_stride + r] = from[r * from_stride + c];
}
#endif

/* to[c][r] = from[r][c]; rows and columns are multiples of 4 */
INLINE void transpose(const float *from, int rows, int columns, int from_stride, float *to,
                      int to_stride)
{
    for (int c = 0; c < columns; c += 4)
        for (int r = 0; r < rows; r += 4)
            transpose_four(from + r * from_stride + c, from_stride, to + c * to_stride + r,
                           to_stride);
}

#endif
