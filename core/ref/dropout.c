/* Dropout: y = x / (1 - rate) where the draw of the element says keep, else 0.  Srivastava et al.
 * 2014
 *
 * Draws belong to elements of the whole step, so micro-batches and backward see the same ones. */
#include <config.h>

#include <microgpt/random.h>

#include "ref/ops.h"

enum mgpt_status mgpt_ref_dropout(struct mgpt_ref *r, struct mgpt_error *error)
{
    const struct mgpt_op *op = r->op;
    int64_t n = mgpt_tensor_count(&op->in[0]);
    uint64_t first = (uint64_t)(op->row * mgpt_tensor_columns(&op->in[0]));

    (void)error;
    for (int64_t i = 0; i < n; i++) {
        uint32_t u = mgpt_draw_u32(op->seed, (uint32_t)r->state.step, op->purpose, op->layer,
                                   first + (uint64_t)i);
        r->out[0][i] = mgpt_keep(u, op->rate) ? r->in[0][i] / (1 - op->rate) : 0;
    }
    return MGPT_OK;
}
