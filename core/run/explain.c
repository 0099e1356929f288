/* What a training run would do, and why, found by the code that decides it; nothing is trained. */
#include <config.h>

#include "run/explain.h"

#include <stdlib.h>
#include <string.h>

#include "run/composed.h"

/* ---- device ---- */

static enum mgpt_status list_others(struct mgpt_explanation *x, struct mgpt_registry *registry,
                                    struct mgpt_error *error)
{
    const char *chosen = x->run.session.choice.backend;

    mgpt_registry_scan(registry, "backend");
    size_t n = mgpt_registry_count(registry, "backend");
    x->others = calloc(n ? n : 1, sizeof *x->others);
    if (!x->others)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const char *name = mgpt_registry_at(registry, "backend", i).component->name;
        struct mgpt_other *other = &x->others[x->n_others];
        struct mgpt_module module;
        struct mgpt_error why = {0};
        if (strcmp(name, chosen) == 0)
            continue;
        MGPT_PRINT_INTO(other->name, "%s", name);
        other->usable =
            mgpt_registry_use(registry, MGPT_KIND_BACKEND, name, &module, &why) == MGPT_OK;
        MGPT_PRINT_INTO(other->why, "%s",
                        other->usable ? "could run here, if [backend] use named it" : why.text);
        x->n_others++;
    }
    return MGPT_OK;
}

/* ---- step ---- */

static enum mgpt_status choose_step(struct mgpt_explanation *x, const struct mgpt_step_spec *spec,
                                    struct mgpt_error *error)
{
    struct mgpt_session *s = &x->run.session;
    const char *use = mgpt_conf_text(s->conf, "step", "use");
    enum mgpt_status status =
        mgpt_step_ask_all(s->registry, spec, &x->answers, &x->n_answers, error);

    if (status == MGPT_OK)
        status = mgpt_stepper_choose(&x->stepper, use, s->registry, spec, error);
    if (status == MGPT_OK && strcmp(use, "auto") == 0)
        MGPT_PRINT_INTO(x->step_why, "the highest bid; of equal ones the first by name");
    else if (status == MGPT_OK)
        MGPT_PRINT_INTO(x->step_why, "%s says so", mgpt_conf_origin(s->conf, "step", "use"));
    return status;
}

/* ---- what the core calls ---- */

/* A spec whose tensors lie in one small buffer of the device: enough to ask how ops would run. */
struct stand_in {
    struct mgpt_step_spec spec;
    struct mgpt_param *params;
    struct mgpt_tensor memory;
};

/* Of a whole buffer: up to the end of the last parameter. */
static int64_t elements_of(const struct mgpt_step_spec *spec)
{
    const struct mgpt_tensor *last = &spec->params[spec->n_params - 1].p;

    return (int64_t)(last->offset / mgpt_dtype_size(last->dtype)) + mgpt_tensor_count(last);
}

static void close_stand_in(struct stand_in *in, struct mgpt_machine *machine)
{
    mgpt_machine_free(machine, &in->memory);
    free(in->params);
}

static enum mgpt_status open_stand_in(struct stand_in *in, const struct mgpt_step_spec *spec,
                                      struct mgpt_machine *machine, struct mgpt_error *error)
{
    enum mgpt_status status = mgpt_machine_new(machine, MGPT_U8, 1024, &in->memory, error);

    if (status != MGPT_OK)
        return status;
    in->spec = *spec;
    in->params = malloc(spec->n_params * sizeof *in->params);
    if (!in->params)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory");
    memcpy(in->params, spec->params, spec->n_params * sizeof *in->params);
    for (uint32_t i = 0; i < spec->n_params; i++) {
        in->params[i].p.buffer = in->memory.buffer;
        in->params[i].g = in->params[i].p;
        for (uint32_t k = 0; k < spec->n_state; k++)
            in->params[i].state[k] = in->params[i].p;
    }
    const struct mgpt_tensor whole = {.buffer = in->memory.buffer,
                                      .dtype = spec->precision->master,
                                      .rank = 1,
                                      .shape = {elements_of(spec)}};
    in->spec.params = in->params;
    in->spec.p = in->spec.g = whole;
    for (uint32_t k = 0; k < spec->n_state; k++)
        in->spec.state[k] = whole;
    in->spec.step_state = (struct mgpt_tensor){.buffer = in->memory.buffer,
                                               .dtype = MGPT_U8,
                                               .rank = 1,
                                               .shape = {sizeof(struct mgpt_step_state)}};
    return MGPT_OK;
}

/* Where the optimizer's rule runs: tried on 16 elements. */
static enum mgpt_status try_rule(const struct mgpt_step_spec *spec, struct mgpt_machine *machine,
                                 enum mgpt_path *path, struct mgpt_error *error)
{
    const struct mgpt_step_state state = {.nonfinite = 1}; /* which it leaves alone */
    const double scalars[MGPT_MAX_SCALARS] = {0};
    struct mgpt_update update = {.size = sizeof update,
                                 .n_state = spec->n_state,
                                 .n_scalars = spec->optimizer->rule->n_scalars,
                                 .rule = spec->optimizer->rule,
                                 .scalars = scalars};
    struct mgpt_tensor t[2 + MGPT_MAX_STATE] = {{0}};
    uint32_t n = 2 + spec->n_state;
    enum mgpt_status status =
        mgpt_machine_new(machine, MGPT_U8, sizeof state, &update.step_state, error);

    if (status == MGPT_OK)
        status = mgpt_machine_write(machine, &update.step_state, &state, error);
    for (uint32_t i = 0; i < n && status == MGPT_OK; i++)
        status = mgpt_machine_new(machine, spec->precision->master, 16, &t[i], error);
    update.p = t[0];
    update.g = t[1];
    memcpy(update.state, t + 2, sizeof update.state);
    if (status == MGPT_OK)
        status = mgpt_machine_update(machine, &update, error);
    if (status == MGPT_OK)
        status = machine->api->sync(machine->device, error);
    *path = machine->update_path;
    for (uint32_t i = 0; i < n; i++)
        mgpt_machine_free(machine, &t[i]);
    mgpt_machine_free(machine, &update.step_state);
    return status;
}

static enum mgpt_status explain_update(struct mgpt_explanation *x,
                                       const struct mgpt_step_spec *spec, uint32_t rules,
                                       struct mgpt_machine *machine, struct mgpt_error *error)
{
    static const char *const paths[MGPT_PATHS] = {
        "on the device", "by the core, on the device's memory",
        "by the core, on copies of parameters, gradients and state (slow)"};
    const char *name = mgpt_conf_text(x->run.conf, "optimizer", "use");
    enum mgpt_path path = MGPT_PATH_DEVICE;
    enum mgpt_status status = MGPT_OK;

    if (x->stepper.covers >= MGPT_COVERS_FBCU && !mgpt_stepper_composes(&x->stepper)) {
        MGPT_PRINT_INTO(x->update, "the rule of %s, inlined by step %s", name, x->stepper.name);
        return MGPT_OK;
    }
    if (rules)
        status = try_rule(spec, machine, &path, error);
    if (spec->optimizer_instance && rules)
        MGPT_PRINT_INTO(x->update, "ops that %s recorded, and its rule for the rest, %s", name,
                        paths[path]);
    else if (spec->optimizer_instance)
        MGPT_PRINT_INTO(x->update, "ops that %s recorded", name);
    else
        MGPT_PRINT_INTO(x->update, "the rule of %s, %s", name, paths[path]);
    if (path == MGPT_PATH_STAGED) /* all but the gradients go both ways */
        x->staged_update = x->plan.params * (2 * (uint64_t)(1 + spec->n_state) + 1);
    return status;
}

static enum mgpt_status count_ops(struct mgpt_explanation *x, const struct mgpt_step_spec *spec,
                                  struct mgpt_error *error)
{
    struct mgpt_machine machine;
    struct stand_in in = {0};
    uint32_t rules = 0, covers = mgpt_stepper_composes(&x->stepper) ? 0 : x->stepper.covers;

    mgpt_machine_borrow(&machine, spec);
    enum mgpt_status status = open_stand_in(&in, spec, &machine, error);
    machine.tally = x->ops;
    if (status == MGPT_OK)
        status = mgpt_composed_count(&in.spec, covers, &machine, &rules, error);
    machine.tally = NULL;
    if (status == MGPT_OK)
        status = explain_update(x, &in.spec, rules, &machine, error);
    x->counted = status == MGPT_OK;
    x->staged = x->staged_update;
    for (uint32_t code = 1; code < MGPT_OP_COUNT; code++)
        x->staged += x->ops[code].staged;
    close_stand_in(&in, &machine);
    return status;
}

/* ---- all of it ---- */

enum mgpt_status mgpt_explain(struct mgpt_explanation *x, const struct mgpt_train *options,
                              struct mgpt_error *error)
{
    struct mgpt_step_spec spec;
    enum mgpt_status status = mgpt_training_prepare(&x->run, options, error);

    if (status != MGPT_OK)
        return status;
    spec = mgpt_session_spec(&x->run.session, (struct mgpt_tensor){0});
    status = list_others(x, options->registry, error);
    if (status == MGPT_OK)
        status = choose_step(x, &spec, error);
    if (status == MGPT_OK)
        status = mgpt_plan_for(&x->plan, &x->stepper, error);
    if (status == MGPT_OK)
        status = count_ops(x, &spec, error);
    return status == MGPT_OK ? mgpt_plan_check(&x->plan, &spec, error) : status;
}

void mgpt_explain_finish(struct mgpt_explanation *x)
{
    mgpt_stepper_close(&x->stepper);
    free(x->answers);
    free(x->others);
    mgpt_training_close(&x->run);
}
