/* exp, erf and tanh in loops that vectorise. About 2 units in the last place; after Cephes (Moshier
 * 1992) and, erf, N. Juffa. NaN goes through. */
#ifndef MGPT_CPU_FASTMATH_H
#define MGPT_CPU_FASTMATH_H

#include <math.h>
#include <string.h>

#include "ops.h"

/* For x <= 88; below -87, where the result would soon be subnormal, 0. */
CPU_INLINE float cpu_expf(float x)
{
    const float shifter = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number */
    float clamped = x < -87.0f ? -87.0f : x, t, n, r, y;
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
    return x < -87.0f ? 0.0f : y;
}

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

CPU_INLINE float cpu_erff(float x)
{
    float a = fabsf(x), z = x * x, small, large, u;

    small = -5.96761703e-4f;
    small = small * z + 4.99119423e-3f;
    small = small * z - 2.67681349e-2f;
    small = small * z + 1.12819925e-1f;
    small = small * z - 3.76125336e-1f;
    small = small * z + 1.28379166e-1f;
    small = small * x + x;
    a = a > 10.0f ? 10.0f : a; /* 1 long before */
    large = -1.72853470e-5f * a + 3.83197126e-4f;
    u = -3.88396438e-3f * a + 2.42546219e-2f;
    large = large * (a * a) + u;
    large = large * a - 1.06777877e-1f;
    large = large * a - 6.34846687e-1f;
    large = large * a - 1.28717512e-1f;
    large = large * a - a;
    large = copysignf(1.0f - cpu_expf(large), x);
    return a > 0.927734375f ? large : small;
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

CPU_INLINE float cpu_gelu(float x)
{
    return 0.5f * x * (1.0f + cpu_erff(x * 0.70710678f));
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

CPU_INLINE float cpu_gelu_slope(float x)
{
    return 0.5f * (1.0f + cpu_erff(x * 0.70710678f)) + x * 0.39894228f * cpu_expf(-0.5f * x * x);
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
