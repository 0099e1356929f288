/* y = x keep / (1 - rate).  Srivastava et al. 2014. A thread makes a block of four draws and uses
 * those of them that fall into this tensor. */
#include "draws.cuh"

static __global__ void dropout(struct draws d, uint64_t first, int64_t n, struct cuda_mixed x,
                               struct cuda_mixed y)
{
    uint64_t from = first / 4, to = (first + (uint64_t)n + 3) / 4;

    for (uint64_t block = from + (uint64_t)grid_index(); block < to;
         block += (uint64_t)grid_size()) {
        struct mgpt_philox draw = draw_block(d, block);
#pragma unroll
        for (int lane = 0; lane < 4; lane++) {
            int64_t i = (int64_t)(4 * block + (uint64_t)lane - first);
            if (i >= 0 && i < n)
                put(y, i, draw.v[lane] >= d.least ? get(x, i) * d.factor : 0);
        }
    }
}

static __global__ void dropout_none(int64_t n, struct cuda_mixed x, struct cuda_mixed y)
{
    for (int64_t i = grid_index(); i < n; i += grid_size())
        put(y, i, get(x, i));
}

enum mgpt_status cuda_dropout(struct mgpt_device *device, const struct mgpt_op *op,
                              struct mgpt_error *error)
{
    int64_t n = mgpt_tensor_count(&op->in[0]);
    uint64_t first = (uint64_t)(op->row * mgpt_tensor_columns(&op->in[0]));
    struct draws d = draws_of(op, &op->in[1]);

    if (d.state)
        CUDA_LAUNCH(dropout, cuda_blocks(n / 4 + 2, 256), 256, 0, device->stream, d, first, n,
                    cuda_mixed(&op->in[0]), cuda_mixed(&op->out[0]));
    else
        CUDA_LAUNCH(dropout_none, cuda_blocks(n, 256), 256, 0, device->stream, n,
                    cuda_mixed(&op->in[0]), cuda_mixed(&op->out[0]));
    return cuda_launched("dropout", error);
}
