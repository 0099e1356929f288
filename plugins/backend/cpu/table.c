/* The ops of one instruction set. */
#include "ops.h"

const struct cpu_kernels cpu_table = {
    .ops =
        {
            [MGPT_OP_EMBED] = cpu_embed,
            [MGPT_OP_EMBED_BACKWARD] = cpu_embed_backward,
            [MGPT_OP_NORM] = cpu_norm,
            [MGPT_OP_NORM_BACKWARD] = cpu_norm_backward,
            [MGPT_OP_LINEAR] = cpu_linear,
            [MGPT_OP_LINEAR_BACKWARD] = cpu_linear_backward,
            [MGPT_OP_ACTIVATION] = cpu_activation,
            [MGPT_OP_ACTIVATION_BACKWARD] = cpu_activation_backward,
            [MGPT_OP_ATTENTION] = cpu_attention,
            [MGPT_OP_ATTENTION_BACKWARD] = cpu_attention_backward,
            [MGPT_OP_ADD] = cpu_add,
            [MGPT_OP_DROPOUT] = cpu_dropout,
            [MGPT_OP_CROSS_ENTROPY] = cpu_cross_entropy,
            [MGPT_OP_FILL] = cpu_fill,
            [MGPT_OP_CLIP] = cpu_clip,
            [MGPT_OP_SCALER] = cpu_scaler,
            [MGPT_OP_AXPBY] = cpu_axpby,
        },
    .update = cpu_update,
};
