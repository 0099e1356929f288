/* The composed step: the core's own, op by op; any model, any device, any optimizer. It bids 1. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "run/composed.h"
#include "run/passes.h"
#include "run/plan.h"
#include "run/update.h"

struct mgpt_step {
    struct mgpt_step_spec spec;
    struct mgpt_machine machine;
    struct mgpt_passes passes;
    struct mgpt_call zero, clip, scaler;
    struct mgpt_updater updater;
    struct mgpt_step_result results[MGPT_STEP_RING];
    uint32_t n_results;
};

static void bid(const struct mgpt_step_spec *spec, struct mgpt_bid *out)
{
    out->score = 1;
    out->covers = MGPT_COVERS_FBCUS;
    snprintf(out->reason, sizeof out->reason, "op by op: any model on any device (%s)",
             spec->caps->name);
}

/* ---- stages ---- */

/* The part of the step state that the core writes before each step: step, inv_targets, loss. */
static enum mgpt_status begin(struct mgpt_step *s, const struct mgpt_step_input *input,
                              struct mgpt_error *error)
{
    struct mgpt_step_state state = {.step = input->step,
                                    .inv_targets = 1.0 / (double)input->targets};
    const struct mgpt_tensor *t = &s->spec.step_state;

    return s->machine.api->upload(s->machine.device, t->buffer, t->offset, &state,
                                  offsetof(struct mgpt_step_state, grad_norm), error);
}

/* --- idea: step --- */
/* FORWARD and BACKWARD of every micro-batch; gradients add up. A step that is alone in its call
 * gives up when the user asks to stop: nothing was updated yet. */
static enum mgpt_status forward_backward(struct mgpt_step *s, const struct mgpt_step_input *input,
                                         bool alone, struct mgpt_error *error)
{
    enum mgpt_status status = mgpt_machine_run(&s->machine, &s->zero, error);
    int64_t first = 0;

    for (uint32_t i = 0; i < s->spec.micro_batches && status == MGPT_OK; i++) {
        struct mgpt_tape *tape;
        if (alone && i && s->spec.host->canceled())
            return mgpt_fail(error, MGPT_CANCELED, "stopped within step %llu",
                             (unsigned long long)input->step + 1);
        status =
            mgpt_passes_run(&s->passes, MGPT_MODE_TRAIN, &input->batches[i], first, &tape, error);
        first += input->batches[i].rows;
    }
    return status;
}

enum mgpt_status mgpt_composed_rest(struct mgpt_step *s, const struct mgpt_step_input *input,
                                    enum mgpt_covers covers, struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;

    if (covers < MGPT_COVERS_FBC)
        status = mgpt_machine_run(&s->machine, &s->clip, error);
    if (covers < MGPT_COVERS_FBCU && status == MGPT_OK)
        status = mgpt_updater_run(&s->updater, input, error);
    if (covers < MGPT_COVERS_FBCUS && status == MGPT_OK)
        status = mgpt_machine_run(&s->machine, &s->scaler, error);
    return status;
}

/* --- end of idea --- */
/* What the step state says once the step is done. */
static enum mgpt_status keep_result(struct mgpt_step *s, const struct mgpt_step_input *input,
                                    struct mgpt_error *error)
{
    struct mgpt_step_state state;
    enum mgpt_status status = mgpt_machine_read(&s->machine, &s->spec.step_state, &state, error);

    if (status == MGPT_OK)
        s->results[s->n_results++] = (struct mgpt_step_result){.step = input->step,
                                                               .loss = state.loss,
                                                               .grad_norm = state.grad_norm,
                                                               .loss_scale = state.loss_scale,
                                                               .skipped = state.nonfinite != 0};
    return status;
}

static enum mgpt_status run(struct mgpt_step *s, const struct mgpt_step_input *inputs, uint32_t n,
                            struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;

    if (s->n_results + n > MGPT_STEP_RING)
        return mgpt_fail(error, MGPT_INVALID, "more than %d steps without a fence", MGPT_STEP_RING);
    for (uint32_t i = 0; i < n && status == MGPT_OK; i++) {
        status = begin(s, &inputs[i], error);
        if (status == MGPT_OK)
            status = forward_backward(s, &inputs[i], n == 1, error);
        if (status == MGPT_OK)
            status = mgpt_composed_rest(s, &inputs[i], (enum mgpt_covers)0, error);
        if (status == MGPT_OK)
            status = keep_result(s, &inputs[i], error);
    }
    return status;
}

static enum mgpt_status fence(struct mgpt_step *s, struct mgpt_step_result *results, uint32_t *n,
                              struct mgpt_error *error)
{
    memcpy(results, s->results, s->n_results * sizeof *results);
    *n = s->n_results;
    s->n_results = 0;
    return s->machine.api->sync(s->machine.device, error);
}

/* It keeps no copies of its own. */
static enum mgpt_status adopt(struct mgpt_step *s, struct mgpt_error *error)
{
    return s->machine.api->sync(s->machine.device, error);
}

/* ---- life ---- */

/* The ops of a step besides those of its passes and of the update. */
struct stages {
    struct mgpt_op zero, clip, scaler;
};

static struct stages stages_of(const struct mgpt_step_spec *spec)
{
    const struct mgpt_precision_plan *precision = spec->precision;
    struct mgpt_op zero = {.size = sizeof zero, .code = MGPT_OP_FILL, .out = {spec->g}};
    struct mgpt_op clip = {.size = sizeof clip,
                           .code = MGPT_OP_CLIP,
                           .scale = spec->clip,
                           .in = {spec->g, spec->step_state},
                           .out = {spec->step_state}};
    struct mgpt_op scaler = {.size = sizeof scaler,
                             .code = MGPT_OP_SCALER,
                             .interval = precision->scale_interval,
                             .growth = precision->scale_growth,
                             .backoff = precision->scale_backoff,
                             .in = {spec->step_state},
                             .out = {spec->step_state}};

    return (struct stages){zero, clip, scaler};
}

/* Those of the stages after `covers`, and the update. */
static enum mgpt_status plan_stages(struct mgpt_step *s, uint32_t covers, struct mgpt_error *error)
{
    struct stages ops = stages_of(&s->spec);
    enum mgpt_status status = MGPT_OK;

    if (covers < MGPT_COVERS_FB)
        status = mgpt_machine_plan(&s->machine, &ops.zero, &s->zero, error);
    if (covers < MGPT_COVERS_FBC && status == MGPT_OK)
        status = mgpt_machine_plan(&s->machine, &ops.clip, &s->clip, error);
    if (covers < MGPT_COVERS_FBCU && status == MGPT_OK)
        status = mgpt_updater_open(&s->updater, &s->machine, &s->spec, error);
    if (covers < MGPT_COVERS_FBCUS && status == MGPT_OK)
        status = mgpt_machine_plan(&s->machine, &ops.scaler, &s->scaler, error);
    return status;
}

static void close_step(struct mgpt_step *s)
{
    if (!s)
        return;
    mgpt_passes_close(&s->passes);
    mgpt_updater_close(&s->updater);
    mgpt_machine_close(&s->machine);
    free(s);
}

/* One that runs what is left after `covers`, passes apart. */
static enum mgpt_status open_from(const struct mgpt_step_spec *spec, uint32_t covers,
                                  struct mgpt_step **out, struct mgpt_error *error)
{
    struct mgpt_step *s = calloc(1, sizeof *s);
    enum mgpt_status status;

    if (!s)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory opening the composed step");
    s->spec = *spec;
    mgpt_machine_borrow(&s->machine, spec);
    status = plan_stages(s, covers, error);
    if (status != MGPT_OK) {
        close_step(s);
        return status;
    }
    *out = s;
    return MGPT_OK;
}

enum mgpt_status mgpt_composed_open_rest(const struct mgpt_step_spec *spec, struct mgpt_step **out,
                                         struct mgpt_error *error)
{
    return open_from(spec, MGPT_COVERS_FB, out, error);
}

struct mgpt_net mgpt_composed_net(const struct mgpt_step_spec *spec, struct mgpt_machine *machine)
{
    return (struct mgpt_net){.machine = machine,
                             .model = spec->model,
                             .params = spec->params,
                             .n_params = spec->n_params,
                             .precision = spec->precision,
                             .state = spec->step_state,
                             .seed = spec->seed};
}

static enum mgpt_status resident(const struct mgpt_step_spec *spec, uint64_t *bytes,
                                 struct mgpt_error *error)
{
    struct mgpt_machine machine;
    struct mgpt_net net = mgpt_composed_net(spec, &machine);
    struct stages ops = stages_of(spec);
    enum mgpt_status status;

    *bytes = 0;
    if (mgpt_plan_is_absurd(spec))
        return mgpt_fail(error, MGPT_UNSUPPORTED, "a model of this size fits nowhere");
    mgpt_machine_borrow(&machine, spec);
    if (!mgpt_machine_supports(&machine, &ops.zero) ||
        !mgpt_machine_supports(&machine, &ops.clip) ||
        !mgpt_machine_supports(&machine, &ops.scaler))
        return mgpt_fail(error, MGPT_UNSUPPORTED,
                         "device %s lacks one of the ops fill, clip, scaler", machine.caps.name);
    status = mgpt_passes_resident(&net, spec->rows, spec->columns, error);
    if (status == MGPT_OK && spec->p.rank) /* else it is only planned: asked again before it runs */
        status = mgpt_updater_resident(&machine, spec, error);
    if (status == MGPT_OK)
        status =
            mgpt_passes_measure(&net, MGPT_MODE_TRAIN, spec->rows, spec->columns, bytes, error);
    if (status == MGPT_OK)
        *bytes += mgpt_plan_copies(spec);
    return status;
}

static enum mgpt_status open_step(const struct mgpt_host *host, const struct mgpt_config *config,
                                  const struct mgpt_step_spec *spec, struct mgpt_step **out,
                                  struct mgpt_error *error)
{
    struct mgpt_net net;
    struct mgpt_step *s;
    enum mgpt_status status = open_from(spec, 0, &s, error);

    (void)host;
    (void)config;
    if (status != MGPT_OK)
        return status;
    net = mgpt_composed_net(&s->spec, &s->machine);
    status = mgpt_passes_open(&s->passes, &net, MGPT_MODE_TRAIN, spec->rows, spec->columns, error);
    if (status != MGPT_OK) {
        close_step(s);
        return status;
    }
    *out = s;
    return MGPT_OK;
}

/* The ops of all micro-batches; each is planned alike. */
static enum mgpt_status count_passes(struct mgpt_step *s, struct mgpt_error *error)
{
    struct mgpt_net net = mgpt_composed_net(&s->spec, &s->machine);
    enum mgpt_status status = MGPT_OK;

    for (uint32_t i = 0; i < s->spec.micro_batches && status == MGPT_OK; i++) {
        struct mgpt_tape tape = {.net = &net,
                                 .mode = MGPT_MODE_TRAIN,
                                 .batch = s->spec.rows,
                                 .time = s->spec.columns,
                                 .buffer = s->spec.g.buffer};
        status = mgpt_tape_record(&tape, error);
        mgpt_tape_finish(&tape);
    }
    return status;
}

enum mgpt_status mgpt_composed_count(const struct mgpt_step_spec *spec, uint32_t covers,
                                     const struct mgpt_machine *machine, uint32_t *rules,
                                     struct mgpt_error *error)
{
    struct mgpt_step *s = calloc(1, sizeof *s);
    enum mgpt_status status;

    *rules = 0;
    if (!s)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory");
    s->spec = *spec;
    s->machine = *machine;
    s->machine.owned = false;
    status = plan_stages(s, covers, error);
    if (status == MGPT_OK && covers < MGPT_COVERS_FB)
        status = count_passes(s, error);
    for (uint32_t i = 0; i < s->updater.n; i++)
        *rules += s->updater.moves[i].is_rule;
    close_step(s);
    return status;
}

static const struct mgpt_step_api api = {
    .size = sizeof api,
    .bid = bid,
    .open = open_step,
    .close = close_step,
    .run = run,
    .fence = fence,
    .adopt = adopt,
};

const struct mgpt_component mgpt_composed = {
    .size = sizeof mgpt_composed,
    .option_size = sizeof(struct mgpt_option),
    .kind = MGPT_KIND_STEP,
    .name = "composed",
    .summary = "the core's own step, op by op: any model, any device, any optimizer",
    .api = &api,
};

const struct mgpt_composed mgpt_composed_service = {
    .size = sizeof mgpt_composed_service,
    .api = &api,
    .resident = resident,
};
