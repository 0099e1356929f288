/* The step of a run: the bids, the winner, and the stages that it leaves to the core. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/machine.h"
#include "run/composed.h"
#include "run/step.h"

enum mgpt_status mgpt_builtin_register(struct mgpt_registry *registry, struct mgpt_error *error)
{
    mgpt_host_offer(MGPT_COMPOSED, &mgpt_composed_service);
    return mgpt_registry_add_builtin(registry, &mgpt_composed, error);
}

static struct mgpt_bid ask(const struct mgpt_module *module, const struct mgpt_step_spec *spec)
{
    const struct mgpt_step_api *api = module->component->api;
    struct mgpt_bid bid = {.size = sizeof bid};

    api->bid(spec, &bid);
    bid.reason[sizeof bid.reason - 1] = 0;
    if (bid.covers < MGPT_COVERS_FB || bid.covers > MGPT_COVERS_FBCUS ||
        (spec->ranks > 1 && bid.covers != MGPT_COVERS_FB))
        bid.score = 0;
    /* Of ABI 1.0: it cannot know of optimizers that take parameters as whole tensors. */
    if (spec->optimizer_instance && module->plugin && module->plugin->abi_minor < 1 &&
        bid.score > 0 && bid.covers > MGPT_COVERS_FBC) {
        bid.score = 0;
        (void)snprintf(bid.reason, sizeof bid.reason,
                       "built for ABI 1.%u, it does not know optimizers that take whole tensors: "
                       "rebuild it",
                       (unsigned)module->plugin->abi_minor);
    }
    return bid;
}

enum mgpt_status mgpt_step_ask_all(struct mgpt_registry *registry,
                                   const struct mgpt_step_spec *spec, struct mgpt_answer **answers,
                                   size_t *n, struct mgpt_error *error)
{
    mgpt_registry_scan(registry, "step");
    *n = mgpt_registry_count(registry, "step");
    *answers = calloc(*n ? *n : 1, sizeof **answers);
    if (!*answers)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for the bids of the steps");
    for (size_t i = 0; i < *n; i++) {
        struct mgpt_answer *answer = &(*answers)[i];
        struct mgpt_module module;
        struct mgpt_error why;
        (void)snprintf(answer->name, sizeof answer->name, "%s",
                       mgpt_registry_at(registry, "step", i).component->name);
        if (mgpt_registry_use(registry, MGPT_KIND_STEP, answer->name, &module, &why) == MGPT_OK)
            answer->bid = ask(&module, spec);
        else
            (void)snprintf(answer->bid.reason, sizeof answer->bid.reason, "%.*s",
                           (int)sizeof answer->bid.reason - 1, why.text);
    }
    return MGPT_OK;
}

/* The first by name among equals, so that the choice does not depend on the folder's order. */
const struct mgpt_answer *mgpt_step_best(const struct mgpt_answer *answers, size_t n)
{
    const struct mgpt_answer *best = NULL;

    for (size_t i = 0; i < n; i++)
        if (answers[i].bid.score > (best ? best->bid.score : 0))
            best = &answers[i];
    return best;
}

static enum mgpt_status refuse_all(const struct mgpt_answer *answers, size_t n,
                                   struct mgpt_error *error)
{
    struct mgpt_string list = {0};

    for (size_t i = 0; i < n; i++)
        mgpt_string_format(&list, "\n%s %d (%s)", answers[i].name, answers[i].bid.score,
                           answers[i].bid.reason);
    mgpt_fail(error, MGPT_PLUGIN, "no step module bids on this run:%s",
              list.data ? list.data : " there is none");
    mgpt_string_finish(&list);
    return MGPT_PLUGIN;
}

/* Settles on a module and its bid. */
static enum mgpt_status take(struct mgpt_stepper *stepper, struct mgpt_registry *registry,
                             const char *name, const struct mgpt_bid *bid, struct mgpt_error *error)
{
    struct mgpt_module module;
    enum mgpt_status status = mgpt_registry_use(registry, MGPT_KIND_STEP, name, &module, error);

    if (status != MGPT_OK)
        return status;
    (void)snprintf(stepper->name, sizeof stepper->name, "%s", name);
    stepper->api = module.component->api;
    stepper->covers = (enum mgpt_covers)bid->covers;
    stepper->bytes = bid->bytes;
    return MGPT_OK;
}

static enum mgpt_status choose_named(struct mgpt_stepper *stepper, struct mgpt_registry *registry,
                                     const char *name, struct mgpt_error *error)
{
    struct mgpt_module module;
    enum mgpt_status status = mgpt_registry_use(registry, MGPT_KIND_STEP, name, &module, error);

    if (status != MGPT_OK)
        return status;
    struct mgpt_bid bid = ask(&module, &stepper->spec);
    if (bid.score <= 0)
        return mgpt_fail(error, MGPT_PLUGIN, "[step] use = %s, but it cannot run this: %s", name,
                         bid.reason);
    return take(stepper, registry, name, &bid, error);
}

static enum mgpt_status choose_highest(struct mgpt_stepper *stepper, struct mgpt_registry *registry,
                                       struct mgpt_error *error)
{
    struct mgpt_answer *answers;
    size_t n;
    enum mgpt_status status = mgpt_step_ask_all(registry, &stepper->spec, &answers, &n, error);

    if (status != MGPT_OK)
        return status;
    const struct mgpt_answer *best = mgpt_step_best(answers, n);
    status = best ? take(stepper, registry, best->name, &best->bid, error)
                  : refuse_all(answers, n, error);
    free(answers);
    return status;
}

enum mgpt_status mgpt_stepper_choose(struct mgpt_stepper *stepper, const char *use,
                                     struct mgpt_registry *registry,
                                     const struct mgpt_step_spec *spec, struct mgpt_error *error)
{
    memset(stepper, 0, sizeof *stepper);
    stepper->spec = *spec;
    return strcmp(use, "auto") == 0 ? choose_highest(stepper, registry, error)
                                    : choose_named(stepper, registry, use, error);
}

bool mgpt_stepper_composes(const struct mgpt_stepper *stepper)
{
    return stepper->api == mgpt_composed.api;
}

enum mgpt_status mgpt_stepper_start(struct mgpt_stepper *stepper, struct mgpt_conf *conf,
                                    struct mgpt_error *error)
{
    const struct mgpt_step_spec *spec = &stepper->spec;
    enum mgpt_status status = stepper->api->open(
        mgpt_host(), mgpt_conf_module(conf, "step", stepper->name), spec, &stepper->step, error);

    if (status == MGPT_OK && stepper->covers < MGPT_COVERS_FBCUS)
        status = mgpt_composed_open_rest(spec, &stepper->rest, error);
    return status;
}

enum mgpt_status mgpt_stepper_open(struct mgpt_stepper *stepper, struct mgpt_conf *conf,
                                   struct mgpt_registry *registry,
                                   const struct mgpt_step_spec *spec, struct mgpt_error *error)
{
    const char *use = mgpt_conf_text(conf, "step", "use");
    enum mgpt_status status = mgpt_stepper_choose(stepper, use, registry, spec, error);

    return status == MGPT_OK ? mgpt_stepper_start(stepper, conf, error) : status;
}

void mgpt_stepper_close(struct mgpt_stepper *stepper)
{
    const struct mgpt_step_api *composed = mgpt_composed.api;

    composed->close(stepper->rest);
    if (stepper->step)
        stepper->api->close(stepper->step);
    memset(stepper, 0, sizeof *stepper);
}

/* One step whose later stages are the core's. */
static enum mgpt_status run_partly(struct mgpt_stepper *s, const struct mgpt_step_input *input,
                                   struct mgpt_step_result *result, struct mgpt_error *error)
{
    struct mgpt_step_result none[MGPT_STEP_RING];
    struct mgpt_step_state state;
    struct mgpt_machine machine;
    uint32_t n = 0;
    enum mgpt_status status = s->api->run(s->step, input, 1, error);

    if (status == MGPT_OK)
        status = s->api->fence(s->step, none, &n, error);
    if (status == MGPT_OK)
        status = mgpt_composed_rest(s->rest, input, s->covers, error);
    if (status == MGPT_OK)
        status = s->api->adopt(s->step, error);
    mgpt_machine_borrow(&machine, &s->spec);
    if (status == MGPT_OK)
        status = mgpt_machine_read(&machine, &s->spec.step_state, &state, error);
    if (status == MGPT_OK)
        *result = (struct mgpt_step_result){.step = input->step,
                                            .loss = state.loss,
                                            .grad_norm = state.grad_norm,
                                            .loss_scale = state.loss_scale,
                                            .skipped = state.nonfinite != 0};
    return status;
}

enum mgpt_status mgpt_stepper_run(struct mgpt_stepper *s, const struct mgpt_step_input *inputs,
                                  uint32_t n, struct mgpt_step_result *results,
                                  struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;
    uint32_t got = n;

    if (s->rest) {
        for (uint32_t i = 0; i < n && status == MGPT_OK; i++)
            status = run_partly(s, &inputs[i], &results[i], error);
        return status;
    }
    status = s->api->run(s->step, inputs, n, error);
    if (status == MGPT_OK)
        status = s->api->fence(s->step, results, &got, error);
    if (status == MGPT_OK && got != n)
        return mgpt_fail(error, MGPT_INTERNAL, "step %s ran %u steps and reported %u", s->name, n,
                         got);
    return status;
}
