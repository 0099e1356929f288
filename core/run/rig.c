/* A rig: a model on random ids, with all that its training steps need, for the benchmark. */
#include <config.h>

#include "run/rig.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "run/block.h"

int mgpt_compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

enum mgpt_status mgpt_rig_open(struct mgpt_rig *rig, struct mgpt_conf *conf,
                               struct mgpt_registry *registry, uint32_t vocab,
                               struct mgpt_error *error)
{
    struct mgpt_session *s = &rig->session;
    enum mgpt_status status;

    s->conf = conf;
    s->registry = registry;
    s->choice.silent = true;
    mgpt_session_seed(s, mgpt_conf_seed(conf, "train", "seed"));
    status = mgpt_session_device(s, error);
    if (status == MGPT_OK)
        status = mgpt_session_optimizer(s, error);
    if (status == MGPT_OK)
        status = mgpt_session_scheduler(s, error);
    if (status == MGPT_OK)
        status = mgpt_session_shape_for(s, vocab, error);
    if (status != MGPT_OK)
        return status;
    rig->spec = mgpt_session_spec(s, rig->step_state);
    return mgpt_stepper_choose(&rig->stepper, mgpt_conf_text(conf, "step", "use"), registry,
                               &rig->spec, error);
}

/* Memory for one step's batches of the configured size. */
static enum mgpt_status make_batches(struct mgpt_rig *rig, struct mgpt_error *error)
{
    size_t micro = rig->spec.micro_batches, cells = (size_t)rig->spec.rows * rig->spec.columns;

    rig->batches = calloc(micro, sizeof *rig->batches);
    rig->cells = calloc(micro * cells, 2 * sizeof *rig->cells);
    if (!rig->batches || !rig->cells)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for %zu batches of %zu ids", micro,
                         cells);
    for (size_t i = 0; i < micro; i++) {
        rig->batches[i].ids = rig->cells + 2 * i * cells;
        rig->batches[i].targets = rig->cells + (2 * i + 1) * cells;
    }
    return MGPT_OK;
}

enum mgpt_status mgpt_rig_start(struct mgpt_rig *rig, bool steps, struct mgpt_error *error)
{
    struct mgpt_session *s = &rig->session;
    double scale = s->precision.scale_interval ? s->precision.scale_initial : 1;
    struct mgpt_step_state state = {.loss_scale = scale, .grad_scale = 1 / scale};
    enum mgpt_status status = mgpt_session_model(s, true, error);

    if (status == MGPT_OK)
        status = mgpt_params_draw(&s->params, &s->rng, error);
    if (status == MGPT_OK)
        status = mgpt_machine_new(&s->machine, MGPT_U8, sizeof state, &rig->step_state, error);
    if (status == MGPT_OK)
        status = mgpt_machine_write(&s->machine, &rig->step_state, &state, error);
    if (status == MGPT_OK)
        status = make_batches(rig, error);
    if (status != MGPT_OK)
        return status;
    rig->spec = rig->stepper.spec = mgpt_session_spec(s, rig->step_state);
    return steps ? mgpt_stepper_start(&rig->stepper, s->conf, error) : MGPT_OK;
}

void mgpt_rig_close(struct mgpt_rig *rig)
{
    mgpt_stepper_close(&rig->stepper);
    if (rig->session.machine.api)
        mgpt_machine_free(&rig->session.machine, &rig->step_state);
    mgpt_session_close(&rig->session);
    free(rig->batches);
    free(rig->cells);
    memset(rig, 0, sizeof *rig);
}

void mgpt_rig_fill(struct mgpt_rig *rig, uint32_t rows, uint32_t columns)
{
    struct mgpt_rng rng;

    mgpt_rng_seed(&rng, 1);
    for (uint32_t i = 0; i < rig->spec.micro_batches; i++) {
        struct mgpt_batch *batch = &rig->batches[i];
        batch->rows = rows;
        batch->columns = columns;
        for (size_t k = 0; k < (size_t)rows * columns; k++) {
            batch->ids[k] = (int32_t)mgpt_rng_below(&rng, rig->session.model.vocab);
            batch->targets[k] = (int32_t)mgpt_rng_below(&rng, rig->session.model.vocab);
        }
    }
}

enum mgpt_status mgpt_rig_run(struct mgpt_rig *rig, uint32_t n, double lr,
                              struct mgpt_step_result *results, double *seconds,
                              struct mgpt_error *error)
{
    struct mgpt_step_input inputs[MGPT_STEP_RING];
    const struct mgpt_batch *batch = &rig->batches[0];

    for (uint32_t i = 0; i < n; i++) {
        inputs[i].step = rig->step++;
        inputs[i].batches = rig->batches;
        inputs[i].targets = (uint64_t)batch->rows * batch->columns * rig->spec.micro_batches;
        mgpt_block_scalars(&rig->session, inputs[i].step, lr, &inputs[i]);
    }
    double begun = mgpt_seconds();
    enum mgpt_status status = mgpt_stepper_run(&rig->stepper, inputs, n, results, error);
    *seconds = mgpt_seconds() - begun;
    return status;
}
