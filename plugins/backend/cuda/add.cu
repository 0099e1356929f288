/* y[n,c] = a[n,c] + b[n,c], or + b[c] */
#include "formats.cuh"

static __global__ void add(int64_t n, int64_t period, struct cuda_mixed a, struct cuda_mixed b,
                           struct cuda_mixed y)
{
    for (int64_t i = grid_index(); i < n; i += grid_size())
        put(y, i, get(a, i) + get(b, period == n ? i : i % period));
}

enum mgpt_status cuda_add(struct mgpt_device *device, const struct mgpt_op *op,
                          struct mgpt_error *error)
{
    int64_t n = mgpt_tensor_count(&op->in[0]);

    CUDA_LAUNCH(add, cuda_blocks(n, 256), 256, 0, device->stream, n, mgpt_tensor_count(&op->in[1]),
                cuda_mixed(&op->in[0]), cuda_mixed(&op->in[1]), cuda_mixed(&op->out[0]));
    return cuda_launched("add", error);
}
