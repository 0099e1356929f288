/* Evaluation: the mean loss over data, most often what training does not see. */
#include <config.h>

#include <stdlib.h>

#include "base/stop.h"
#include "run/eval.h"

static uint64_t count_targets(const struct mgpt_batch *batch)
{
    uint64_t n = 0;

    for (size_t i = 0; i < (size_t)batch->rows * batch->columns; i++)
        n += batch->targets[i] >= 0;
    return n;
}

static enum mgpt_status run_batches(struct mgpt_session *s, enum mgpt_part part, uint64_t n,
                                    struct mgpt_batch *batch, struct mgpt_eval *eval,
                                    struct mgpt_error *error)
{
    struct mgpt_step_state state = {.inv_targets = 1, .loss_scale = 1}; /* so `loss` is the sum */
    struct mgpt_tape *tape;
    enum mgpt_status status = mgpt_machine_write(&s->machine, &s->eval_state, &state, error);

    for (uint64_t i = 0; i < n && status == MGPT_OK; i++) {
        if (mgpt_stop_requested())
            return mgpt_fail(error, MGPT_CANCELED, "stopped");
        s->dataset_api->batch(s->dataset, part, i, 0, batch);
        eval->targets += count_targets(batch);
        status = mgpt_passes_run(&s->passes, MGPT_MODE_LOSS, batch, 0, &tape, error);
    }
    if (status == MGPT_OK)
        status = mgpt_machine_read(&s->machine, &s->eval_state, &state, error);
    if (status == MGPT_OK)
        eval->loss = eval->targets ? state.loss / (double)eval->targets : 0;
    return status;
}

/* How many batches: of documents at most as many as there are, of crops as many as are wanted. */
static uint64_t count_batches(const struct mgpt_session *s)
{
    struct mgpt_dataset_info info = {.size = sizeof info};
    uint64_t documents = (uint64_t)mgpt_conf_int(s->conf, "train", "val_docs");

    s->dataset_api->info(s->dataset, &info);
    if (info.valid_tokens && !info.valid_batches)
        return (uint64_t)mgpt_conf_int(s->conf, "train", "val_batches");
    return documents < info.valid_batches ? documents : info.valid_batches;
}

enum mgpt_status mgpt_evaluate(struct mgpt_session *s, enum mgpt_part part, struct mgpt_eval *eval,
                               struct mgpt_error *error)
{
    size_t cells = (size_t)mgpt_conf_int(s->conf, "train", "batch") * s->model.context;
    struct mgpt_batch batch = {.ids = calloc(cells, sizeof(int32_t)),
                               .targets = calloc(cells, sizeof(int32_t))};
    enum mgpt_status status;

    *eval = (struct mgpt_eval){.batches = count_batches(s)};
    status = batch.ids && batch.targets
                 ? run_batches(s, part, eval->batches, &batch, eval, error)
                 : mgpt_fail(error, MGPT_NOMEM, "out of memory for a validation batch");
    free(batch.ids);
    free(batch.targets);
    return status;
}
