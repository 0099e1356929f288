/* A linear layer whose input is BF16, and backward. core/ref/linear.c has the formulas. */
#include "bf16_matmul.h"

enum mgpt_status cpu_bf16_linear(struct mgpt_device *device, const struct mgpt_op *op,
                                 struct mgpt_error *error)
{
    const struct cpu_bf16_rows y = {.rows = mgpt_tensor_rows(&op->in[0]),
                                    .cols = op->in[1].shape[0],
                                    .depth = op->in[1].shape[1],
                                    .a = cpu_mixed(&op->in[0]),
                                    .w = cpu_f32(&op->in[1]),
                                    .w_of = op->in[1].buffer,
                                    .w_transposed = 1,
                                    .bias = cpu_f32(&op->in[2]),
                                    .c = cpu_mixed(&op->out[0]),
                                    .activation = op->activation,
                                    .pre = cpu_mixed(&op->out[1]).bf16};

    return cpu_bf16_rows_run(device, &y, error);
}

/* ---- backward ---- */

/* dx (+)= dy w [* activation'(pre)] */
static enum mgpt_status input_gradient(struct mgpt_device *device, const struct mgpt_op *op,
                                       struct mgpt_error *error)
{
    const struct cpu_bf16_rows dx = {.rows = mgpt_tensor_rows(&op->in[0]),
                                     .cols = op->in[1].shape[1],
                                     .depth = op->in[1].shape[0],
                                     .a = cpu_mixed(&op->in[2]),
                                     .w = cpu_f32(&op->in[1]),
                                     .w_of = op->in[1].buffer,
                                     .c = cpu_mixed(&op->out[0]),
                                     .activation = op->activation,
                                     .slope_of = cpu_mixed(&op->in[3]).bf16,
                                     .accumulate = op->flags & MGPT_OP_ACCUMULATE};

    return cpu_bf16_rows_run(device, &dx, error);
}

enum mgpt_status cpu_bf16_linear_backward(struct mgpt_device *device, const struct mgpt_op *op,
                                          struct mgpt_error *error)
{
    /* dw += dy^T x; dbias += sum over rows of dy */
    const struct cpu_bf16_outer dw = {.rows = op->in[1].shape[0],
                                      .cols = op->in[1].shape[1],
                                      .depth = mgpt_tensor_rows(&op->in[0]),
                                      .a = cpu_mixed(&op->in[2]),
                                      .b = cpu_mixed(&op->in[0]),
                                      .c = cpu_f32(&op->out[1]),
                                      .row_sums = cpu_f32(&op->out[2])};
    enum mgpt_status status = cpu_rounded(device, cpu_bf16_outer_bytes(&dw), error);

    if (status == MGPT_OK && op->out[0].rank)
        status = input_gradient(device, op, error);
    if (status == MGPT_OK && (dw.c || dw.row_sums))
        cpu_bf16_outer_run(device, &dw);
    return status;
}
