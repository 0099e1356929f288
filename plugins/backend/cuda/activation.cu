/* Activations, element by element. */
#include "activation.cuh"

static __global__ void activation(uint32_t kind, int64_t n, struct cuda_mixed x,
                                  struct cuda_mixed y)
{
    for (int64_t i = grid_index(); i < n; i += grid_size())
        put(y, i, activate(kind, get(x, i)));
}

static __global__ void activation_backward(uint32_t kind, int64_t n, struct cuda_mixed x,
                                           struct cuda_mixed dy, struct cuda_mixed dx)
{
    for (int64_t i = grid_index(); i < n; i += grid_size())
        put(dx, i, get(dy, i) * activation_slope(kind, get(x, i)));
}

enum mgpt_status cuda_activation(struct mgpt_device *device, const struct mgpt_op *op,
                                 struct mgpt_error *error)
{
    int64_t n = mgpt_tensor_count(&op->in[0]);

    CUDA_LAUNCH(activation, cuda_blocks(n, 256), 256, 0, device->stream, op->activation, n,
                cuda_mixed(&op->in[0]), cuda_mixed(&op->out[0]));
    return cuda_launched("activation", error);
}

enum mgpt_status cuda_activation_backward(struct mgpt_device *device, const struct mgpt_op *op,
                                          struct mgpt_error *error)
{
    int64_t n = mgpt_tensor_count(&op->in[0]);

    CUDA_LAUNCH(activation_backward, cuda_blocks(n, 256), 256, 0, device->stream, op->activation, n,
                cuda_mixed(&op->in[0]), cuda_mixed(&op->in[1]), cuda_mixed(&op->out[0]));
    return cuda_launched("activation_backward", error);
}
