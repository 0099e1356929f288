/* y = scale x [+ value z] */
#include <config.h>

#include "ref/ops.h"

enum mgpt_status mgpt_ref_axpby(struct mgpt_ref *r, struct mgpt_error *error)
{
    const double *x = r->in[0], *z = r->in[1];
    int64_t n = mgpt_tensor_count(&r->op->in[0]);

    (void)error;
    for (int64_t i = 0; i < n; i++)
        r->out[0][i] = r->op->scale * x[i] + (z ? r->op->value * z[i] : 0);
    return MGPT_OK;
}
