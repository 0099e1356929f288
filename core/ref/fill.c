/* y = value, everywhere */
#include <config.h>

#include "ref/ops.h"

enum mgpt_status mgpt_ref_fill(struct mgpt_ref *r, struct mgpt_error *error)
{
    int64_t n = mgpt_tensor_count(&r->op->out[0]);

    (void)error;
    for (int64_t i = 0; i < n; i++)
        r->out[0][i] = r->op->value;
    return MGPT_OK;
}
