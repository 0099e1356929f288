/* Activations, element by element. */
#include <config.h>

#include <math.h>

#include "ref/ops.h"

#define SQRT_1_2 0.70710678118654752440   /* 1 / sqrt 2 */
#define SQRT_2_PI 0.79788456080286535588  /* sqrt(2 / pi) */
#define SQRT_1_2PI 0.39894228040143267794 /* 1 / sqrt(2 pi) */
#define CUBIC 0.044715                    /* Hendrycks & Gimpel 2016, section 2 */

/* --- idea: mlp --- */
double mgpt_ref_act(uint32_t kind, double x)
{
    switch (kind) {
    case MGPT_ACT_RELU: return x > 0 ? x : 0;
    case MGPT_ACT_RELU2: return x > 0 ? x * x : 0;
    case MGPT_ACT_GELU: return 0.5 * x * (1 + erf(x * SQRT_1_2));
    case MGPT_ACT_GELU_TANH: return 0.5 * x * (1 + tanh(SQRT_2_PI * (x + CUBIC * x * x * x)));
    default: return x;
    }
}

/* --- end of idea --- */
double mgpt_ref_act_slope(uint32_t kind, double x)
{
    switch (kind) {
    case MGPT_ACT_RELU: return x > 0 ? 1 : 0;
    case MGPT_ACT_RELU2: return x > 0 ? 2 * x : 0;
    case MGPT_ACT_GELU: /* Phi(x) + x phi(x) */
        return 0.5 * (1 + erf(x * SQRT_1_2)) + x * SQRT_1_2PI * exp(-0.5 * x * x);
    case MGPT_ACT_GELU_TANH: {
        double t = tanh(SQRT_2_PI * (x + CUBIC * x * x * x));
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * SQRT_2_PI * (1 + 3 * CUBIC * x * x);
    }
    default: return 1;
    }
}

/* y = activation(x) */
enum mgpt_status mgpt_ref_activation(struct mgpt_ref *r, struct mgpt_error *error)
{
    int64_t n = mgpt_tensor_count(&r->op->in[0]);

    (void)error;
    for (int64_t i = 0; i < n; i++)
        r->out[0][i] = mgpt_ref_act(r->op->activation, r->in[0][i]);
    return MGPT_OK;
}

/* dx = dy activation'(x) */
enum mgpt_status mgpt_ref_activation_backward(struct mgpt_ref *r, struct mgpt_error *error)
{
    const double *x = r->in[0], *dy = r->in[1];
    int64_t n = mgpt_tensor_count(&r->op->in[0]);

    (void)error;
    for (int64_t i = 0; i < n; i++)
        r->out[0][i] = dy[i] * mgpt_ref_act_slope(r->op->activation, x[i]);
    return MGPT_OK;
}
