/* Dynamic loss scaling, after the update.  Micikevicius et al. 2018, section 3.2
 *
 * A step whose gradients were not finite was skipped: the scale shrinks, but never below 1. After
 * `interval` good steps in a row it grows. interval 0: no loss scaling, only the counts. */
#include <config.h>

#include "ref/ops.h"

enum mgpt_status mgpt_ref_scaler(struct mgpt_ref *r, struct mgpt_error *error)
{
    const struct mgpt_op *op = r->op;
    struct mgpt_step_state *state = &r->state;

    (void)error;
    if (state->nonfinite) {
        state->skipped++;
        state->good = 0;
        if (op->interval) {
            double scale = state->loss_scale * op->backoff;
            state->loss_scale = scale > 1 ? scale : 1;
        }
        return MGPT_OK;
    }
    state->good++;
    if (op->interval && state->good >= op->interval) {
        state->loss_scale *= op->growth;
        state->good = 0;
    }
    return MGPT_OK;
}
