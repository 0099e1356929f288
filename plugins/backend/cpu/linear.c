/* A linear layer: y = activation(x w^T [+ bias]), and backward. core/ref/linear.c has the formulas.
 */
#include "matmul.h"

enum mgpt_status cpu_linear(struct mgpt_device *device, const struct mgpt_op *op,
                            struct mgpt_error *error)
{
    int64_t M = op->in[1].shape[0], K = op->in[1].shape[1];
    struct cpu_matmul y = {.rows = mgpt_tensor_rows(&op->in[0]),
                           .cols = M,
                           .depth = K,
                           .a = cpu_f32(&op->in[0]),
                           .lda = K,
                           .b = cpu_f32(&op->in[1]),
                           .b_of = op->in[1].buffer,
                           .ldb = K,
                           .b_transposed = 1,
                           .bias = cpu_f32(&op->in[2]),
                           .c = cpu_f32(&op->out[0]),
                           .activation = op->activation,
                           .pre = cpu_f32(&op->out[1])};

    (void)error;
    cpu_matmul_run(device, &y);
    return MGPT_OK;
}

/* ---- backward ---- */

/* dx (+)= dy w [* activation'(pre)] */
static void input_gradient(struct mgpt_device *device, const struct mgpt_op *op, int64_t N)
{
    int64_t M = op->in[1].shape[0], K = op->in[1].shape[1];
    struct cpu_matmul dx = {.rows = N,
                            .cols = K,
                            .depth = M,
                            .a = cpu_f32(&op->in[2]),
                            .lda = M,
                            .b = cpu_f32(&op->in[1]),
                            .b_of = op->in[1].buffer,
                            .ldb = K,
                            .accumulate = op->flags & MGPT_OP_ACCUMULATE,
                            .c = cpu_f32(&op->out[0]),
                            .activation = op->activation,
                            .slope_of = cpu_f32(&op->in[3])};

    cpu_matmul_run(device, &dx);
}

/* dw += dy^T x; dbias += sum over rows of dy */
static void weight_gradient(struct mgpt_device *device, const struct mgpt_op *op, int64_t N)
{
    int64_t M = op->in[1].shape[0], K = op->in[1].shape[1];
    struct cpu_matmul dw = {.rows = M,
                            .cols = K,
                            .depth = N,
                            .a = cpu_f32(&op->in[2]),
                            .lda = M,
                            .a_transposed = 1,
                            .b = cpu_f32(&op->in[0]),
                            .ldb = K,
                            .accumulate = 1,
                            .c = cpu_f32(&op->out[1]),
                            .row_sums = cpu_f32(&op->out[2])};

    cpu_matmul_run(device, &dw);
}

enum mgpt_status cpu_linear_backward(struct mgpt_device *device, const struct mgpt_op *op,
                                     struct mgpt_error *error)
{
    int64_t N = mgpt_tensor_rows(&op->in[0]);

    (void)error;
    if (op->out[0].rank)
        input_gradient(device, op, N);
    if (op->out[1].rank || op->out[2].rank)
        weight_gradient(device, op, N);
    return MGPT_OK;
}
