/* The ops of one instruction set, and of its variant that has BF16. */
#include "ops.h"

#define TABLE(name, all_formats, linear_op, linear_backward_op)                                    \
    const struct cpu_kernels name = {                                                              \
        .formats = all_formats,                                                                    \
        .ops =                                                                                     \
            {                                                                                      \
                [MGPT_OP_EMBED] = cpu_embed,                                                       \
                [MGPT_OP_EMBED_BACKWARD] = cpu_embed_backward,                                     \
                [MGPT_OP_NORM] = cpu_norm,                                                         \
                [MGPT_OP_NORM_BACKWARD] = cpu_norm_backward,                                       \
                [MGPT_OP_LINEAR] = linear_op,                                                      \
                [MGPT_OP_LINEAR_BACKWARD] = linear_backward_op,                                    \
                [MGPT_OP_ACTIVATION] = cpu_activation,                                             \
                [MGPT_OP_ACTIVATION_BACKWARD] = cpu_activation_backward,                           \
                [MGPT_OP_ATTENTION] = cpu_attention,                                               \
                [MGPT_OP_ATTENTION_BACKWARD] = cpu_attention_backward,                             \
                [MGPT_OP_ADD] = cpu_add,                                                           \
                [MGPT_OP_DROPOUT] = cpu_dropout,                                                   \
                [MGPT_OP_CROSS_ENTROPY] = cpu_cross_entropy,                                       \
                [MGPT_OP_FILL] = cpu_fill,                                                         \
                [MGPT_OP_CLIP] = cpu_clip,                                                         \
                [MGPT_OP_SCALER] = cpu_scaler,                                                     \
                [MGPT_OP_AXPBY] = cpu_axpby,                                                       \
            },                                                                                     \
        .update = cpu_update,                                                                      \
    }

TABLE(cpu_table, 1u << MGPT_F32, cpu_linear, cpu_linear_backward);

#if defined CPU_BF16
/* Products read BF16; the other ops take it as it comes. */
static enum mgpt_status linear(struct mgpt_device *device, const struct mgpt_op *op,
                               struct mgpt_error *error)
{
    return (op->in[0].dtype == MGPT_BF16 ? cpu_bf16_linear : cpu_linear)(device, op, error);
}

static enum mgpt_status linear_backward(struct mgpt_device *device, const struct mgpt_op *op,
                                        struct mgpt_error *error)
{
    if (op->in[0].dtype == MGPT_BF16)
        return cpu_bf16_linear_backward(device, op, error);
    return cpu_linear_backward(device, op, error);
}

TABLE(cpu_table_avx512bf16, 1u << MGPT_F32 | 1u << MGPT_BF16, linear, linear_backward);
#endif
