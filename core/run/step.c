/* The step of a run: the bids, the winner, and the stages that it leaves to the core. */
#include <config.h>

#include <string.h>

#include "model/machine.h"
#include "run/composed.h"
#include "run/step.h"

enum mgpt_status mgpt_builtin_register(struct mgpt_registry *registry, struct mgpt_error *error)
{
    return mgpt_registry_add_builtin(registry, &mgpt_composed, error);
}

static struct mgpt_bid ask(const struct mgpt_step_api *api, const struct mgpt_step_spec *spec)
{
    struct mgpt_bid bid = {.size = sizeof bid};

    api->bid(spec, &bid);
    bid.reason[sizeof bid.reason - 1] = 0;
    if (bid.covers < MGPT_COVERS_FB || bid.covers > MGPT_COVERS_FBCUS ||
        (spec->ranks > 1 && bid.covers != MGPT_COVERS_FB))
        bid.score = 0;
    return bid;
}

static enum mgpt_status choose_named(struct mgpt_registry *registry, const char *name,
                                     const struct mgpt_step_spec *spec,
                                     struct mgpt_stepper *stepper, struct mgpt_module *winner,
                                     struct mgpt_error *error)
{
    enum mgpt_status status = mgpt_registry_use(registry, MGPT_KIND_STEP, name, winner, error);

    if (status != MGPT_OK)
        return status;
    struct mgpt_bid bid = ask(winner->component->api, spec);
    mgpt_string_format(&stepper->bids, "%s %d (%s)\n", name, bid.score, bid.reason);
    stepper->covers = (enum mgpt_covers)bid.covers;
    stepper->bytes = bid.bytes;
    if (bid.score <= 0)
        return mgpt_fail(error, MGPT_PLUGIN, "[step] use = %s, but it cannot run this: %s", name,
                         bid.reason);
    return MGPT_OK;
}

/* The highest bid; the first by name among equals, so that the choice does not depend on the
 * folder's order. */
static enum mgpt_status choose_highest(struct mgpt_registry *registry,
                                       const struct mgpt_step_spec *spec,
                                       struct mgpt_stepper *stepper, struct mgpt_module *winner,
                                       struct mgpt_error *error)
{
    int32_t best = 0;

    mgpt_registry_scan(registry, "step");
    for (size_t i = 0; i < mgpt_registry_count(registry, "step"); i++) {
        struct mgpt_module found = mgpt_registry_at(registry, "step", i), usable;
        const char *name = found.component->name;
        struct mgpt_error why;
        if (mgpt_registry_use(registry, MGPT_KIND_STEP, name, &usable, &why) != MGPT_OK) {
            mgpt_string_format(&stepper->bids, "%s 0 (%s)\n", name, why.text);
            continue;
        }
        struct mgpt_bid bid = ask(usable.component->api, spec);
        mgpt_string_format(&stepper->bids, "%s %d (%s)\n", name, bid.score, bid.reason);
        if (bid.score > best) {
            best = bid.score;
            stepper->covers = (enum mgpt_covers)bid.covers;
            stepper->bytes = bid.bytes;
            *winner = usable;
        }
    }
    return best > 0 ? MGPT_OK
                    : mgpt_fail(error, MGPT_PLUGIN, "no step module bids on this run:\n%s",
                                stepper->bids.data ? stepper->bids.data : "");
}

enum mgpt_status mgpt_stepper_choose(struct mgpt_stepper *stepper, const char *use,
                                     struct mgpt_registry *registry,
                                     const struct mgpt_step_spec *spec, struct mgpt_error *error)
{
    struct mgpt_module winner = {0};
    enum mgpt_status status;

    memset(stepper, 0, sizeof *stepper);
    stepper->spec = *spec;
    status = strcmp(use, "auto") == 0 ? choose_highest(registry, spec, stepper, &winner, error)
                                      : choose_named(registry, use, spec, stepper, &winner, error);
    if (status != MGPT_OK)
        return status;
    snprintf(stepper->name, sizeof stepper->name, "%s", winner.component->name);
    stepper->api = winner.component->api;
    return MGPT_OK;
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
    mgpt_string_finish(&stepper->bids);
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
