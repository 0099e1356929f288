/* y = a x [+ b z] */
#include "formats.cuh"

static __global__ void axpby(int64_t n, float a, struct cuda_mixed x, float b, struct cuda_mixed z,
                             struct cuda_mixed y)
{
    for (int64_t i = grid_index(); i < n; i += grid_size())
        put(y, i, z.at ? a * get(x, i) + b * get(z, i) : a * get(x, i));
}

enum mgpt_status cuda_axpby(struct mgpt_device *device, const struct mgpt_op *op,
                            struct mgpt_error *error)
{
    int64_t n = mgpt_tensor_count(&op->in[0]);

    CUDA_LAUNCH(axpby, cuda_blocks(n, 256), 256, 0, device->stream, n, (float)op->scale,
                cuda_mixed(&op->in[0]), (float)op->value, cuda_mixed(&op->in[1]),
                cuda_mixed(&op->out[0]));
    return cuda_launched("axpby", error);
}
