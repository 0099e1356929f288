/* y = a x [+ b z] */
#include "kernel.cuh"

static __global__ void axpby(int64_t n, float a, const float *x, float b, const float *z, float *y)
{
    for (int64_t i = grid_index(); i < n; i += grid_size())
        y[i] = z ? a * x[i] + b * z[i] : a * x[i];
}

enum mgpt_status cuda_axpby(struct mgpt_device *device, const struct mgpt_op *op,
                            struct mgpt_error *error)
{
    int64_t n = mgpt_tensor_count(&op->in[0]);

    CUDA_LAUNCH(axpby, cuda_blocks(n, 256), 256, 0, device->stream, n, (float)op->scale,
                cuda_f32(&op->in[0]), (float)op->value, cuda_f32(&op->in[1]),
                cuda_f32(&op->out[0]));
    return cuda_launched("axpby", error);
}
