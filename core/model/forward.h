/* The pass of a GPT, written out op by op: forward.c, then backward.c in reverse. decode.c is what
 * generation needs of it. */
#ifndef MGPT_MODEL_FORWARD_H
#define MGPT_MODEL_FORWARD_H

#include "model/tape.h"

/* What the forward pass of one layer leaves for its backward. B sequences, T positions, C embd, F
 * mlp. */
struct mgpt_layer_pass {
    struct mgpt_tensor x1, norm1, stats1; /* (B,T,C) residual stream, its norm; (B*T,2) */
    struct mgpt_tensor qkv, att, lse;     /* (B,T,C+2KV*D), (B,T,C), (B,H,T) */
    struct mgpt_tensor x2, norm2, stats2; /* after attention */
    struct mgpt_tensor pre, hidden;       /* (B,T,F) before and after the activation */
};

struct mgpt_pass {
    struct mgpt_tensor embedded, stats0; /* (B,T,C) before the norm after the embedding */
    struct mgpt_layer_pass *layers;
    struct mgpt_tensor xf, normf, statsf; /* residual stream at the end, what the head reads */
    struct mgpt_tensor logits;            /* (B,T,V); dlogits after mgpt_loss in training */
};

void mgpt_forward(struct mgpt_tape *tape, struct mgpt_pass *pass);
void mgpt_loss(struct mgpt_tape *tape, struct mgpt_pass *pass);
void mgpt_backward(struct mgpt_tape *tape, const struct mgpt_pass *pass);

/* ---- with a cache ---- */

/* The layer's part of the tape's cache, (2,B,S,KV*D). */
struct mgpt_tensor mgpt_decode_cache(const struct mgpt_tape *tape, int layer);
/* Where nothing but the last row is read from here on: keys and values of all rows of norm1 go into
 * the layer's cache, and *x and *norm1 become their last rows. */
void mgpt_decode_narrow(struct mgpt_tape *tape, int layer, struct mgpt_tensor *x,
                        struct mgpt_tensor *norm1);

/* y = dropout(x), when the model has any; its own backward. */
void mgpt_dropout(struct mgpt_tape *tape, struct mgpt_tensor x, struct mgpt_tensor y,
                  uint32_t purpose, int layer);

/* The matrix of the head: wte when tied. */
const struct mgpt_param *mgpt_head_weight(const struct mgpt_tape *tape);

#endif
