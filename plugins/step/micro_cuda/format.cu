/* Number formats: of what is stored for the way back, and of what products take. As
 * core/microgpt/backend.h has it, a result is rounded once, when it is stored, and sums are F32. In
 * F32 nothing of this is left in the program. */
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned short u16;

constexpr int F32 = 0, TF32 = 1, BF16 = 2, F16 = 3; /* micro.h, enum micro_format */
constexpr bool SHORT = FORMAT == BF16 || FORMAT == F16;

#ifdef __CUDA_ARCH__
DEVICE float float_of(u32 bits)
{
    return __uint_as_float(bits);
}

DEVICE u32 bits_of(float v)
{
    return __float_as_uint(v);
}

DEVICE float f16_float(u16 bits)
{
    float v;

    asm("cvt.f32.f16 %0, %1;" : "=f"(v) : "h"(bits));
    return v;
}

/* To nearest, ties to even; so is BF16. */
DEVICE u16 f16_bits(float v)
{
    u16 bits;

    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(v));
    return bits;
}
#else /* the same on a processor */
DEVICE float float_of(u32 bits)
{
    float v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

DEVICE u32 bits_of(float v)
{
    u32 bits;

    memcpy(&bits, &v, sizeof bits);
    return bits;
}

/* 5 bits of exponent, 10 of fraction: an F32's exponent is larger by 112. */
DEVICE float f16_float(u16 bits)
{
    const u32 sign = (bits & 0x8000u) << 16, size = (bits & 0x7fffu) << 13;

    if (size >= 0x0f800000) /* not finite */
        return float_of(sign | 0x7f800000 | size);
    return float_of(sign | bits_of(float_of(size) * 0x1p112f));
}

DEVICE u16 f16_bits(float v)
{
    const u32 sign = bits_of(v) >> 16 & 0x8000, size = bits_of(v) & 0x7fffffff;

    if (size > 0x7f800000)
        return 0x7fff;
    if (size >= 0x477ff000) /* from here on infinity is nearest */
        return (u16)(sign | 0x7c00);
    if (size < 0x38800000) /* below 2^-14: the last place of a half is that of 0.5 in F32 */
        return (u16)(sign | (bits_of(float_of(size) + 0.5f) - 0x3f000000));
    return (u16)(sign | (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13);
}
#endif

DEVICE u16 bf16_bits(float v)
{
#if __CUDA_ARCH__ >= 800
    u16 bits;

    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(v));
    return bits;
#else
    const u32 bits = bits_of(v);

    if ((bits & 0x7fffffff) > 0x7f800000) /* NaN would carry into infinity */
        return 0x7fff;
    return (u16)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
#endif
}

/* 10 bits of fraction, to nearest, ties away from zero. */
DEVICE float tf32_float(float v)
{
#if __CUDA_ARCH__ >= 800
    u32 bits;

    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(v));
    return float_of(bits);
#else
    const u32 bits = bits_of(v);

    return (bits & 0x7f800000) == 0x7f800000 ? v : float_of((bits + 0x1000) & ~0x1fffu);
#endif
}

/* BF16 or F16 in memory. */
struct half {
    u16 bits;

    half() = default;
    __device__ __forceinline__ half(float v) : bits(FORMAT == BF16 ? bf16_bits(v) : f16_bits(v))
    {
    }
    __device__ __forceinline__ operator float() const
    {
        return FORMAT == BF16 ? float_of((u32)bits << 16) : f16_float(bits);
    }
};

/* An F32 in memory that products take in their format. */
struct operand {
    float v;

    __device__ __forceinline__ operator float() const
    {
        return FORMAT == F32 ? v : FORMAT == TF32 ? tf32_float(v) : (float)half(v);
    }
};

template <bool FIRST, class A, class B> struct either {
    typedef A type;
};
template <class A, class B> struct either<false, A, B> {
    typedef B type;
};

typedef either<SHORT, half, float>::type stored;            /* an activation, or its gradient */
typedef either<FORMAT == F32, float, operand>::type factor; /* an F32 as products take it */
typedef either<SHORT && W_HERE, half, factor>::type weight; /* an element of a matrix */

DEVICE const factor *factors(const float *from)
{
    return reinterpret_cast<const factor *>(from);
}

DEVICE const half *factors(const half *from)
{
    return from;
}

/* All parameters: as they are, and as products take them. */
struct parameters {
    const float *p;
    const weight *w;

    __device__ __forceinline__ parameters from(int at) const
    {
        return {p + at, w + at};
    }
};

/* n floats that are read at once, where rows of K allow it. */
template <int n> struct alignas(n * 4) pack {
    float v[n];
};
template <int n> struct alignas(n * 2) pack_of_halves {
    half v[n];
};
#define FLOATS(K) ((K) % 4 == 0 ? 4 : 1)

template <int n> DEVICE pack<n> read(const float *from)
{
    return *reinterpret_cast<const pack<n> *>(from);
}

template <int n> DEVICE pack<n> read(const operand *from)
{
    pack<n> x = *reinterpret_cast<const pack<n> *>(from);

    for (int i = 0; i < n; i++)
        x.v[i] = operand{x.v[i]};
    return x;
}

template <int n> DEVICE pack<n> read(const half *from)
{
    const pack_of_halves<n> x = *reinterpret_cast<const pack_of_halves<n> *>(from);
    pack<n> y;

    for (int i = 0; i < n; i++)
        y.v[i] = x.v[i];
    return y;
}

template <int n> DEVICE void write(float *to, const pack<n> &x)
{
    *reinterpret_cast<pack<n> *>(to) = x;
}

template <int n> DEVICE void write(half *to, const pack<n> &x)
{
    pack_of_halves<n> y;

    for (int i = 0; i < n; i++)
        y.v[i] = x.v[i];
    *reinterpret_cast<pack_of_halves<n> *>(to) = y;
}
