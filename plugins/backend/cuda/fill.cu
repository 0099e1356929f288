/* y = value, everywhere */
#include "formats.cuh"

static __global__ void fill(int64_t n, float value, struct cuda_mixed y)
{
    for (int64_t i = grid_index(); i < n; i += grid_size())
        put(y, i, value);
}

enum mgpt_status cuda_fill(struct mgpt_device *device, const struct mgpt_op *op,
                           struct mgpt_error *error)
{
    int64_t n = mgpt_tensor_count(&op->out[0]);

    CUDA_LAUNCH(fill, cuda_blocks(n, 256), 256, 0, device->stream, n, (float)op->value,
                cuda_mixed(&op->out[0]));
    return cuda_launched("fill", error);
}
