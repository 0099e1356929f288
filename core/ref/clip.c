/* The norm of all gradients, and what UPDATE multiplies them with.  Pascanu et al. 2013
 *
 *   grad_norm  = sqrt(sum g^2) / loss_scale
 *   grad_scale = min(1, clip / grad_norm) / loss_scale      (clip 0: 1 / loss_scale)
 *   nonfinite  = the loss or a gradient is NaN or infinite  (a sum of squares that overflows, too)
 */
#include <config.h>

#include <math.h>

#include "ref/ops.h"

/* --- idea: clip --- */
enum mgpt_status mgpt_ref_clip(struct mgpt_ref *r, struct mgpt_error *error)
{
    struct mgpt_step_state *state = &r->state;
    double clip = r->op->scale, sum = 0, factor = 1;
    int64_t n = mgpt_tensor_count(&r->op->in[0]);

    (void)error;
    for (int64_t i = 0; i < n; i++)
        sum += r->in[0][i] * r->in[0][i];
    state->nonfinite = !isfinite(sum) || !isfinite(state->loss);
    state->grad_norm = sqrt(sum) / state->loss_scale;
    if (clip > 0 && state->grad_norm > clip)
        factor = clip / state->grad_norm;
    state->grad_scale = factor / state->loss_scale;
    return MGPT_OK;
}
/* --- end of idea --- */
