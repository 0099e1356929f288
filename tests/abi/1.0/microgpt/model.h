/* The shape of a GPT: a spec, not a graph. Every setting of section [model], as numbers.
 *
 *   x = wte[id] + wpe[position];  [x = norm(x)]
 *   per layer:  x = x + proj(attention(qkv(norm(x))));  x = x + mlp.proj(act(mlp.fc(norm(x))))
 *   [x = norm(x)];  logits = x head^T   (head is wte when tied)
 * After Radford et al. 2019 (GPT-2), section 2.3, with pre-norm residual blocks. */
#ifndef MICROGPT_MODEL_H
#define MICROGPT_MODEL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum mgpt_norm {
    MGPT_NORM_RMS = 1,  /* y = x / sqrt(mean(x^2) + eps)             Zhang & Sennrich 2019 */
    MGPT_NORM_LAYER = 2 /* y = (x - mean) / sqrt(var + eps), biased  Ba et al. 2016 */
};

enum mgpt_activation {
    MGPT_ACT_NONE = 0,
    MGPT_ACT_RELU = 1,  /* max(0, x) */
    MGPT_ACT_RELU2 = 2, /* max(0, x)^2                                    So et al. 2021 */
    MGPT_ACT_GELU = 3,  /* x Phi(x) = 0.5 x (1 + erf(x / sqrt 2))         Hendrycks & Gimpel 2016 */
    MGPT_ACT_GELU_TANH =
        4 /* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), the same, section 2 */
};

enum mgpt_bias { /* which linear layers have a bias; a set */
                 MGPT_BIAS_QKV = 1,
                 MGPT_BIAS_PROJ = 2, /* attention output */
                 MGPT_BIAS_MLP = 4,  /* both mlp matrices */
                 MGPT_BIAS_HEAD = 8
};

enum mgpt_init {
    MGPT_INIT_NORMAL =
        1, /* N(0, init_std); the two projections into the residual stream, times init_residual */
    MGPT_INIT_UNIFORM =
        2 /* linear: U(-1/sqrt(fan_in), 1/sqrt(fan_in)), bias too; embeddings: N(0, 1) */
};

/* Grows at the tail. A module that is handed a larger struct than it knows, with anything but zeros
 * in the part it does not know, must decline. */
struct mgpt_model {
    uint32_t size;
    uint32_t layers, heads, kv_heads; /* L, H, KV: heads is a multiple of kv_heads */
    uint32_t embd, mlp;               /* C (a multiple of heads), hidden width of the mlp */
    uint32_t context, vocab;          /* longest sequence, V */
    uint32_t norm;                    /* enum mgpt_norm */
    uint32_t norm_gain, norm_bias;    /* 0 or 1: norms have learned gain, bias */
    uint32_t embed_norm, final_norm;  /* 0 or 1: norm after the embedding, before the head */
    uint32_t activation;              /* enum mgpt_activation */
    uint32_t bias;                    /* set of enum mgpt_bias */
    uint32_t tied;                    /* 0 or 1: the head is wte */
    uint32_t init;                    /* enum mgpt_init */
    uint32_t reserved;                /* 0 */
    double norm_eps;
    double dropout; /* after the embedding, in attention, after both projections; 0 <= p < 1 */
    double init_std, init_residual;
};

#ifdef __cplusplus
}
#endif
#endif
