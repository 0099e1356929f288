/* A linear layer, with an optional bias and an optional activation behind it.
 *
 *   pre = x w^T [+ bias]      y = activation(pre)
 *   dx = dy w [* activation'(pre of x)]      dw += dy^T x      dbias += sum over rows of dy */
#include "blas.h"
#include "columns.cuh"
#include "matmul.h"

/* Below so many multiplications in F32 a call of cuBLASLt costs more than it saves. */
#define LARGE ((int64_t)1 << 21)

static int large(const struct mgpt_device *device, const struct cuda_product *p)
{
    return p->I * p->J * p->L >= (p->operands == MGPT_F32 ? LARGE : device->tensor_large);
}

enum mgpt_status cuda_product(struct mgpt_device *device, const struct cuda_product *p,
                              struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_UNSUPPORTED;
    int done = 0;

    if (device->blas && large(device, p))
        status = cuda_blas_products(device, p, 1, &done, error);
    return status == MGPT_UNSUPPORTED ? cuda_matmul(device, p, error) : status;
}

/* n products of one matrix, `a` of each, of as many multiplications. */
static enum mgpt_status products(struct mgpt_device *device, const struct cuda_product *p, int n,
                                 struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_UNSUPPORTED;
    int done = 0;

    if (n && device->blas && large(device, p))
        status = cuda_blas_products(device, p, n, &done, error);
    if (status == MGPT_UNSUPPORTED)
        status = MGPT_OK;
    for (; done < n && status == MGPT_OK; done++)
        status = cuda_product(device, &p[done], error);
    return status;
}

/* b of the first of n such products, a weight, becomes the copy that is kept of it, if there is
 * one. Before that all scratch is there that they ask for without one: then none takes the memory
 * of the copy that it reads, and a captured product has its scratch whether or not there was a copy
 * before. */
static enum mgpt_status take_copy(struct mgpt_device *device, const struct mgpt_tensor *weight,
                                  struct cuda_product *p, int n, struct mgpt_error *error)
{
    int64_t room = device->blas && large(device, p) ? cuda_blas_room(p, n) : 0;
    enum mgpt_status status = MGPT_OK;
    void *scratch;

    if (!device->keep || (p->operands != MGPT_BF16 && p->operands != MGPT_F16))
        return MGPT_OK;
    for (int i = 0; i < n; i++)
        room = room > cuda_tensor_room(device, &p[i]) ? room : cuda_tensor_room(device, &p[i]);
    if (room)
        status = cuda_scratch(device, (size_t)room, &scratch, error);
    return status == MGPT_OK ? cuda_keep_weight(device, weight, p->operands, &p->b, error) : status;
}

enum mgpt_status cuda_linear(struct mgpt_device *device, const struct mgpt_op *op,
                             struct mgpt_error *error)
{
    struct cuda_product p = {};
    enum mgpt_status status;

    p.I = mgpt_tensor_rows(&op->in[0]);
    p.J = op->in[1].shape[0];
    p.L = op->in[1].shape[1];
    p.operands = cuda_operands(device, op);
    p.a = cuda_mixed(&op->in[0]);
    p.b = cuda_mixed(&op->in[1]);
    p.b_layout = CUDA_COLUMNS;
    p.bias = cuda_mixed(&op->in[2]);
    p.pre = cuda_mixed(&op->out[1]);
    p.activation = op->activation;
    p.c = cuda_mixed(&op->out[0]);
    status = take_copy(device, &op->in[1], &p, 1, error);
    return status == MGPT_OK ? cuda_product(device, &p, error) : status;
}

/* dx (N,K) */
static struct cuda_product input_gradient(const struct mgpt_device *device,
                                          const struct mgpt_op *op)
{
    struct cuda_product p = {};

    p.I = mgpt_tensor_rows(&op->in[0]);
    p.J = op->in[1].shape[1];
    p.L = op->in[1].shape[0];
    p.operands = cuda_operands(device, op);
    p.a = cuda_mixed(&op->in[2]);
    p.b = cuda_mixed(&op->in[1]);
    p.slope_of = cuda_mixed(&op->in[3]);
    p.activation = p.slope_of.at ? op->activation : (uint32_t)MGPT_ACT_NONE;
    p.accumulate = op->flags & MGPT_OP_ACCUMULATE;
    p.c = cuda_mixed(&op->out[0]);
    return p;
}

/* dw (M,K) */
static struct cuda_product weight_gradient(const struct mgpt_device *device,
                                           const struct mgpt_op *op)
{
    struct cuda_product p = {};

    p.I = op->in[1].shape[0];
    p.J = op->in[1].shape[1];
    p.L = mgpt_tensor_rows(&op->in[0]);
    p.operands = cuda_operands(device, op);
    p.a = cuda_mixed(&op->in[2]);
    p.a_layout = CUDA_COLUMNS;
    p.b = cuda_mixed(&op->in[0]);
    p.accumulate = 1;
    p.c = cuda_mixed(&op->out[1]);
    return p;
}

enum mgpt_status cuda_linear_backward(struct mgpt_device *device, const struct mgpt_op *op,
                                      struct mgpt_error *error)
{
    const struct cuda_mixed none = {};
    struct cuda_product p[2];
    enum mgpt_status status = MGPT_OK;
    int n = 0;

    if (op->out[0].rank)
        p[n++] = input_gradient(device, op);
    if (op->out[1].rank)
        p[n++] = weight_gradient(device, op);
    if (op->out[0].rank)
        status = take_copy(device, &op->in[1], p, n, error);
    if (status == MGPT_OK)
        status = products(device, p, n, error);
    if (op->out[2].rank && status == MGPT_OK)
        status = cuda_column_sums(device, mgpt_tensor_rows(&op->in[2]),
                                  mgpt_tensor_columns(&op->in[2]), cuda_mixed(&op->in[2]),
                                  cuda_f32(&op->out[2]), none, NULL, NULL, error);
    return status;
}
