/* y[n,c] = a[n,c] + b[n,c], or + b[c] */
#include <config.h>

#include "ref/ops.h"

enum mgpt_status mgpt_ref_add(struct mgpt_ref *r, struct mgpt_error *error)
{
    int64_t n = mgpt_tensor_count(&r->op->in[0]), period = mgpt_tensor_count(&r->op->in[1]);

    (void)error;
    for (int64_t i = 0; i < n; i++)
        r->out[0][i] = r->in[0][i] + r->in[1][i % period];
    return MGPT_OK;
}
