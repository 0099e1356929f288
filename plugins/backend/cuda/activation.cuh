/* An activation and its derivative. Formulas: core/ref/activation.c */
#ifndef MGPT_CUDA_ACTIVATION_CUH
#define MGPT_CUDA_ACTIVATION_CUH

#include "formats.cuh"

#define SQRT_1_2 0.70710678118654752440f   /* 1 / sqrt 2 */
#define SQRT_2_PI 0.79788456080286535588f  /* sqrt(2 / pi) */
#define SQRT_1_2PI 0.39894228040143267794f /* 1 / sqrt(2 pi) */
#define CUBIC 0.044715f

/* --- idea: mlp --- */
static __device__ inline float activate(uint32_t kind, float x)
{
    switch (kind) {
    case MGPT_ACT_RELU: return x > 0 ? x : 0;
    case MGPT_ACT_RELU2: return x > 0 ? x * x : 0;
    case MGPT_ACT_GELU: return 0.5f * x * (1 + erff(x * SQRT_1_2));
    case MGPT_ACT_GELU_TANH: return 0.5f * x * (1 + tanhf(SQRT_2_PI * (x + CUBIC * x * x * x)));
    default: return x;
    }
}

/* --- end of idea --- */
static __device__ inline float activation_slope(uint32_t kind, float x)
{
    switch (kind) {
    case MGPT_ACT_RELU: return x > 0 ? 1 : 0;
    case MGPT_ACT_RELU2: return x > 0 ? 2 * x : 0;
    case MGPT_ACT_GELU:
        return 0.5f * (1 + erff(x * SQRT_1_2)) + x * SQRT_1_2PI * expf(-0.5f * x * x);
    case MGPT_ACT_GELU_TANH: {
        float t = tanhf(SQRT_2_PI * (x + CUBIC * x * x * x));
        return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * SQRT_2_PI * (1 + 3 * CUBIC * x * x);
    }
    default: return 1;
    }
}

#endif
