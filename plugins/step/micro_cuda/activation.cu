/* The activation and its slope: core/ref/activation.c. */
constexpr int RELU = 1, RELU2 = 2, GELU = 3, GELU_TANH = 4;

DEVICE float activated(float x)
{
    if constexpr (ACTIVATION == RELU)
        return fmaxf(x, 0);
    if constexpr (ACTIVATION == RELU2)
        return x > 0 ? x * x : 0;
    if constexpr (ACTIVATION == GELU)
        return 0.5f * x * (1 + erff(x * 0.70710678f));
    if constexpr (ACTIVATION == GELU_TANH)
        return 0.5f * x * (1 + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    return x;
}

DEVICE float slope(float x)
{
    if constexpr (ACTIVATION == RELU)
        return x > 0 ? 1 : 0;
    if constexpr (ACTIVATION == RELU2)
        return x > 0 ? 2 * x : 0;
    if constexpr (ACTIVATION == GELU) /* Phi(x) + x phi(x) */
        return 0.5f * (1 + erff(x * 0.70710678f)) + x * 0.39894228f * expf(-0.5f * x * x);
    if constexpr (ACTIVATION == GELU_TANH) {
        const float t = tanhf(0.79788456f * (x + 0.044715f * x * x * x));
        return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * 0.79788456f * (1 + 3 * 0.044715f * x * x);
    }
    return 1;
}
