/* The optimizer's rule over all parameters. */
#include <microgpt/optimizer.h>

#include "ops.h"

#define PIECE 16384

struct job {
    const struct mgpt_update *u;
    float *p, *state[MGPT_MAX_STATE];
    const float *g;
    double grad_scale;
};

static void task(const void *data, int64_t index, float *scratch)
{
    const struct job *j = data;
    int64_t from = index * PIECE, n = cpu_min(PIECE, j->u->p.shape[0] - from);
    float *state[MGPT_MAX_STATE] = {NULL};

    (void)scratch;
    for (uint32_t k = 0; k < j->u->n_state; k++)
        state[k] = j->state[k] + from;
    j->u->rule->f32((size_t)n, j->p + from, j->g + from, state, j->u->scalars, j->grad_scale);
}

enum mgpt_status cpu_update(struct mgpt_device *device, const struct mgpt_update *u,
                            struct mgpt_error *error)
{
    const struct mgpt_step_state *state = cpu_state(&u->step_state);
    struct job job = {.u = u, .p = cpu_f32(&u->p), .g = cpu_f32(&u->g)};

    if (u->p.dtype != MGPT_F32 || u->n_state > MGPT_MAX_STATE)
        return mgpt_fail(error, MGPT_UNSUPPORTED, "update takes F32 and at most %d arrays of state",
                         MGPT_MAX_STATE);
    if (state->nonfinite)
        return MGPT_OK;
    for (uint32_t k = 0; k < u->n_state; k++)
        job.state[k] = cpu_f32(&u->state[k]);
    job.grad_scale = state->grad_scale;
    cpu_run(device, task, &job, cpu_pieces(u->p.shape[0], PIECE), 20.0 * (double)u->p.shape[0]);
    return MGPT_OK;
}
