/* A training step of a small model in registers and first-level cache, on one thread.
 *
 * Activations lie with a position a lane: x (C,S), row c holds number c of the residual stream at
 * each of the S positions of a tile. So sums over C, over the keys of a softmax and over the
 * vocabulary are sums of vectors, and a weight is one number that multiplies a whole vector,
 * whichever way round its matrix is read. Only gradients of weights sum over positions; for them
 * activations are turned into rows (S,C). A tile is one document, or several short ones. */
#ifndef MGPT_FUSED_MICRO_H
#define MGPT_FUSED_MICRO_H

#include <stdbool.h>

#include <microgpt/step.h>

#define MICRO_LAYERS 4
#define MICRO_HEADS 32
#define MICRO_CONTEXT 32 /* longest document, and most positions of a tile */

/* A weight matrix and its gradient, row-major, in the buffers of the run. */
struct micro_weight {
    const float *w;
    float *g;
};

struct micro_layer {
    struct micro_weight qkv, proj, fc, out; /* (3C,C), (C,C), (F,C), (C,F) */
    /* What forward leaves for backward, each (.., S). */
    float *norm1, *rstd1, *mix, *prob, *att; /* (C), (1), q|k|v (3C), (H,T'), (C) */
    float *norm2, *rstd2, *relu, *hidden;    /* (C), (1), (F), (F): relu^2 */
};

struct micro {
    int layers, heads, embd, mlp, vocab, context; /* L H C F V */
    int span, stride; /* T': lanes of a document, 8, 16 or 32; S: of a tile, a multiple */
    bool tied, embed_norm, final_norm;
    float eps;
    struct micro_weight wte, wpe, head;
    struct micro_layer layer[MICRO_LAYERS];
    float *x, *norm0, *rstd0, *normf, *rstdf; /* (C,S) and (S) */
    float *logits;                            /* (V,S) */
    float *dx, *dnorm, *dwide;                /* (C,S), (C,S), (max(3C,F),S) */
    float *rows;                              /* (S, max(C,F)): activations as rows */
    float *dscore, *turned;                   /* (H,T',S), 2 (H,T',S) */
};

/* Documents, one after the other in pieces of span lanes; lanes behind a document are empty. */
struct micro_tile {
    int n; /* documents */
    struct micro_document {
        int length; /* positions up to the last that has a target, 0..span */
        const int32_t *ids, *targets;
    } document[MICRO_CONTEXT / 8];
};

/* The program of one instruction set. */
struct micro_kernels {
    /* Forward and backward of a tile. `first` tile of a step: gradients are written, else added
     * to. scale: of dlogits. Returns the sum over its targets of -log p. */
    double (*tile)(const struct micro *m, const struct micro_tile *tile, bool first, float scale);
    double (*squares)(const float *g, size_t n); /* sum of g^2; n is a multiple of 16 */
    const struct mgpt_rule *adamw;               /* compiled for it */
};

/* The shape for which there are kernels of fixed size, and those for short documents: F = 4 C,
 * heads of 4. */
static inline bool micro_usual(const struct micro *m)
{
    return m->mlp == 4 * m->embd && m->embd == 4 * m->heads;
}

/* By lanes a vector: baseline 4, AVX2 8, AVX-512 with short vectors 8 (S = 8), AVX-512 16. */
extern const struct micro_kernels fused_micro_base;
extern const struct micro_kernels fused_micro_avx2;
extern const struct micro_kernels fused_micro_avx512_8;
extern const struct micro_kernels fused_micro_avx512;

#endif
