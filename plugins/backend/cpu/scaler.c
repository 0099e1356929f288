/* Dynamic loss scaling, after the update. core/ref/scaler.c explains it. */
#include "ops.h"

enum mgpt_status cpu_scaler(struct mgpt_device *device, const struct mgpt_op *op,
                            struct mgpt_error *error)
{
    struct mgpt_step_state state = *cpu_state(&op->in[0]);

    (void)device;
    (void)error;
    if (state.nonfinite) {
        double scale = state.loss_scale * op->backoff;
        state.skipped++;
        state.good = 0;
        if (op->interval)
            state.loss_scale = scale > 1 ? scale : 1;
    } else {
        state.good++;
        if (op->interval && state.good >= op->interval) {
            state.loss_scale *= op->growth;
            state.good = 0;
        }
    }
    *cpu_state(&op->out[0]) = state;
    return MGPT_OK;
}
