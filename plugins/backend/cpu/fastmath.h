/* exp, tanh and the normal distribution in loops that vectorise. exp and tanh to about 2 units in
 * the last place, after Cephes (Moshier 1992). NaN goes through. */
#ifndef MGPT_CPU_FASTMATH_H
#define MGPT_CPU_FASTMATH_H

#include <math.h>
#include <string.h>

#include "vector.h"

/* For x <= 88; below -87.3, where the result would be subnormal, it is subnormal or 0. */
CPU_INLINE float cpu_expf(float x)
{
    const float shifter = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number */
    float clamped = x < -88.0f ? -88.0f : x, t, n, r, y;
    uint32_t bits, ybits;

    clamped = clamped > 88.0f ? 88.0f : clamped;
    t = clamped * 1.44269504089f + shifter; /* n = round(x / log 2) */
    n = t - shifter;
    r = clamped - n * 0.693359375f; /* x - n log 2, in two parts */
    r = r + n * 2.12194440e-4f;
    y = 1.9875691500e-4f;
    y = y * r + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * (r * r) + r + 1.0f;
    memcpy(&bits, &t, sizeof bits);
    memcpy(&ybits, &y, sizeof ybits);
    ybits += bits << 23; /* times 2^n: n stands in the low bits of t */
    memcpy(&y, &ybits, sizeof y);
    return y;
}

/* name: 2^x of a number or a vector of them, for x <= 0, to 1e-7 of it; 0 or subnormal below -126.
 * The polynomial is a minimax fit on -0.5 .. 0.5. */
#define CPU_EXP2(name, real, whole, larger)                                                        \
    CPU_INLINE real name(real x)                                                                   \
    {                                                                                              \
        const real clamped = larger((real){0} - 127.0f, x);                                        \
        const real t = clamped + 12582912.0f, r = clamped - (t - 12582912.0f);                     \
        real y = r * 1.3264726986e-3f + 9.6715127576e-3f;                                          \
        whole bits, ybits;                                                                         \
                                                                                                   \
        y = y * r + 5.5507337438e-2f;                                                              \
        y = y * r + 2.4022242083e-1f;                                                              \
        y = y * r + 6.9314697760e-1f;                                                              \
        y = y * r + 1.0f;                                                                          \
        memcpy(&bits, &t, sizeof bits);                                                            \
        memcpy(&ybits, &y, sizeof ybits);                                                          \
        ybits += bits << 23;                                                                       \
        memcpy(&y, &ybits, sizeof y);                                                              \
        return y;                                                                                  \
    }

CPU_INLINE float cpu_largerf(float a, float b)
{
    return a > b ? a : b;
}

typedef uint32_t cpu_bits __attribute__((vector_size(4 * CPU_LANES)));
CPU_EXP2(cpu_exp2f, float, uint32_t, cpu_largerf)
CPU_EXP2(cpu_exp2, cpu_vec, cpu_bits, cpu_larger)

CPU_INLINE float cpu_tanhf(float x)
{
    float a = fabsf(x), z = x * x, small, e, large;

    small = -5.70498872745e-3f;
    small = small * z + 2.06390887954e-2f;
    small = small * z - 5.37397155531e-2f;
    small = small * z + 1.33314422036e-1f;
    small = small * z - 3.33332819422e-1f;
    small = small * z * x + x;
    e = cpu_expf(2.0f * (a > 20.0f ? 20.0f : a));
    large = copysignf(1.0f - 2.0f / (e + 1.0f), x);
    return a < 0.625f ? small : large;
}

/* Phi(-x), the tail of the normal distribution, for x >= 0, to 1e-7: its logarithm is nearly a
 * parabola. A polynomial fitted where the tail is large; it falls below every exponent soon
 * after. */
CPU_INLINE float cpu_tail(float x)
{
    float y = -2.834912778e-6f;

    y = y * x + 3.937769073e-5f;
    y = y * x - 1.861802383e-4f;
    y = y * x - 1.369363765e-4f;
    y = y * x + 7.063420135e-3f;
    y = y * x - 5.249617835e-2f;
    y = y * x - 4.592081967e-1f;
    y = y * x - 1.151105205e+0f;
    return cpu_exp2f(y * x - 1.0f);
}

/* ---- activations: enum mgpt_activation, one element ---- */

CPU_INLINE float cpu_relu(float x)
{
    return x > 0.0f ? x : 0.0f;
}

CPU_INLINE float cpu_relu2(float x)
{
    return x > 0.0f ? x * x : 0.0f;
}

/* x Phi(x), Phi(x) = (1 + erf(x / sqrt(2))) / 2 */
CPU_INLINE float cpu_gelu(float x)
{
    return cpu_relu(x) - fabsf(x) * cpu_tail(fabsf(x));
}

CPU_INLINE float cpu_gelu_tanh(float x)
{
    return 0.5f * x * (1.0f + cpu_tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
}

CPU_INLINE float cpu_relu_slope(float x)
{
    return x > 0.0f ? 1.0f : 0.0f;
}

CPU_INLINE float cpu_relu2_slope(float x)
{
    return x > 0.0f ? 2.0f * x : 0.0f;
}

/* Phi(x) + x phi(x). Phi(-|x|) is phi(x) times a smooth factor: Abramowitz and Stegun 7.1.26, to
 * 1e-7. */
CPU_INLINE float cpu_gelu_slope(float x)
{
    float e = cpu_exp2f(-0.72134752f * x * x), t = 1.0f / (1.0f + 0.23164189f * fabsf(x)), tail;

    tail = 0.5307027145f;
    tail = tail * t - 0.7265760135f;
    tail = tail * t + 0.7107068705f;
    tail = tail * t - 0.142248368f;
    tail = tail * t + 0.127414796f;
    tail = tail * t * e;
    return (x > 0.0f ? 1.0f - tail : tail) + x * 0.39894228f * e;
}

CPU_INLINE float cpu_gelu_tanh_slope(float x)
{
    float t = cpu_tanhf(0.79788456f * (x + 0.044715f * x * x * x));

    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * 0.79788456f * (1.0f + 0.134145f * x * x);
}

/* ---- and a row of them ---- */

#define CPU_ROW(f)                                                                                 \
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) y[i] = f(x[i]);                            \
    break

/* y = activation(x); y may be x. */
CPU_INLINE void cpu_act_row(uint32_t kind, int64_t n, const float *x, float *y)
{
    switch (kind) {
    case MGPT_ACT_RELU: CPU_ROW(cpu_relu);
    case MGPT_ACT_RELU2: CPU_ROW(cpu_relu2);
    case MGPT_ACT_GELU: CPU_ROW(cpu_gelu);
    case MGPT_ACT_GELU_TANH: CPU_ROW(cpu_gelu_tanh);
    default: CPU_ROW();
    }
}
#undef CPU_ROW

#define CPU_ROW(f)                                                                                 \
    _Pragma("omp simd") for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * f(x[i]);                   \
    break

/* dx = dy activation'(x); dx may be dy. */
CPU_INLINE void cpu_slope_row(uint32_t kind, int64_t n, const float *x, const float *dy, float *dx)
{
    switch (kind) {
    case MGPT_ACT_RELU: CPU_ROW(cpu_relu_slope);
    case MGPT_ACT_RELU2: CPU_ROW(cpu_relu2_slope);
    case MGPT_ACT_GELU: CPU_ROW(cpu_gelu_slope);
    case MGPT_ACT_GELU_TANH: CPU_ROW(cpu_gelu_tanh_slope);
    default:
        for (int64_t i = 0; i < n; i++)
            dx[i] = dy[i];
    }
}
#undef CPU_ROW

#endif
