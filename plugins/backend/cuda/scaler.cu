/* Dynamic loss scaling, after the update: what core/ref/scaler.c says, without asking the host. */
#include "kernel.cuh"

static __global__ void scaler(struct mgpt_step_state *state, uint32_t interval, double growth,
                              double backoff)
{
    if (state->nonfinite) {
        state->skipped++;
        state->good = 0;
        if (interval)
            state->loss_scale = fmax(state->loss_scale * backoff, 1.0);
        return;
    }
    state->good++;
    if (interval && state->good >= interval) {
        state->loss_scale *= growth;
        state->good = 0;
    }
}

enum mgpt_status cuda_scaler(struct mgpt_device *device, const struct mgpt_op *op,
                             struct mgpt_error *error)
{
    CUDA_LAUNCH(scaler, 1, 1, 0, device->stream, cuda_state(&op->out[0]), op->interval, op->growth,
                op->backoff);
    return cuda_launched("scaler", error);
}
