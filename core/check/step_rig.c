/* A rig for step modules: a small model with its optimizer, and the inputs of a few steps. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "check/step_rig.h"

static void fill_spec(struct mgpt_step_rig *rig, const struct mgpt_rig_setup *setup)
{
    struct mgpt_check_net *net = &rig->net;
    struct mgpt_step_spec *spec = &rig->spec;

    *spec = (struct mgpt_step_spec){.size = sizeof *spec,
                                    .rows = setup->rows,
                                    .columns = net->model.context,
                                    .micro_batches = setup->micro,
                                    .ranks = 1,
                                    .n_params = net->params.n,
                                    .n_state = net->params.n_state,
                                    .fallback = MGPT_FALLBACK_SILENT,
                                    .seed = 42,
                                    .clip = setup->clip,
                                    .host = mgpt_host(),
                                    .backend = net->machine.api,
                                    .device = net->machine.device,
                                    .caps = &net->machine.caps,
                                    .model = &net->model,
                                    .precision = &net->precision,
                                    .params = net->params.items,
                                    .p = net->params.p,
                                    .g = net->params.g,
                                    .step_state = net->state};
    memcpy(spec->state, net->params.state, sizeof spec->state);
    spec->optimizer_instance = rig->optimizer;
    spec->places = rig->optimizer ? net->params.places : NULL;
}

/* An instance, for one that takes whole tensors. */
static struct mgpt_optimizer *instance_of(const struct mgpt_component *component)
{
    const struct mgpt_optimizer_api *api = component->api;
    struct mgpt_optimizer *optimizer = NULL;
    struct mgpt_config *config;

    if (!MGPT_HAS(api, takes) || !api->takes)
        return NULL;
    config = mgpt_check_settings(component, NULL);
    check_ok(api->create(mgpt_host(), config, &optimizer, error));
    mgpt_config_destroy(config);
    return optimizer;
}

/* adamw or sgd without its instance: the scalars of its rule by hand, lr 0.01, betas 0.9 0.99, eps
 * 1e-8, momentum 0.9. */
static void fill_scalars(const struct mgpt_rule *rule, uint64_t step, double decay, double *h)
{
    double b1 = 0.9, b2 = 0.99, t = (double)step + 1, k1 = 1, k2 = 1;

    for (double i = 0; i < t; i++) {
        k1 *= b1;
        k2 *= b2;
    }
    const struct {
        const char *name;
        double value;
    } known[] = {{"lr", 0.01},         {"b1", b1},     {"c1", 1 - b1},
                 {"b2", b2},           {"c2", 1 - b2}, {"k1", 1 / (1 - k1)},
                 {"k2", 1 / (1 - k2)}, {"eps", 1e-8},  {"decay", decay},
                 {"momentum", 0.9},    {"a", 0},       {"b", 1}};
    const char *at = rule->scalars + 1;
    for (uint32_t i = 0; i < rule->n_scalars; i++) {
        size_t length = strcspn(at, ",)");
        bool found = false;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            if (strlen(known[k].name) == length && strncmp(known[k].name, at, length) == 0) {
                h[i] = known[k].value;
                found = true;
            }
        check_that(found, "the rig does not know scalar %.*s of %s", (int)length, at, rule->name);
        at += length + 1;
        at += strspn(at, " ");
    }
}

/* Later rows are shorter: targets of -1 at their ends. Returns the targets that are left. */
static uint64_t cut_rows(struct mgpt_batch *batch)
{
    uint64_t targets = 0;

    for (uint32_t row = 0; row < batch->rows; row++)
        for (uint32_t t = 0; t < batch->columns; t++) {
            int32_t *target = &batch->targets[row * batch->columns + t];
            if (t > 0 && t + 2 * row >= batch->columns)
                *target = -1;
            targets += *target >= 0;
        }
    return targets;
}

void mgpt_step_rig_open(struct mgpt_step_rig *rig, const char *backend,
                        const struct mgpt_model *model, uint32_t dtype)
{
    mgpt_step_rig_open_as(rig, backend, model, dtype,
                          &(struct mgpt_rig_setup){"adamw", 3, RIG_MICRO, 0.5, NULL});
}

/* The inputs of all steps, with batches of their own. */
static void fill_inputs(struct mgpt_step_rig *rig, const struct mgpt_model *model,
                        const struct mgpt_rig_setup *setup)
{
    const struct mgpt_optimizer_api *optimizer = rig->spec.optimizer;
    struct mgpt_rng rng;

    mgpt_rng_seed(&rng, 5);
    for (uint32_t i = 0; i < RIG_LONG; i++) {
        struct mgpt_step_input *input = &rig->inputs[i];
        input->step = i;
        input->batches = rig->batches[i];
        for (uint32_t k = 0; k < setup->micro; k++) {
            struct mgpt_batch *batch = &rig->batches[i][k];
            mgpt_check_batch(&rng, model, setup->rows - k, model->context - (i % 2), batch);
            input->targets += cut_rows(batch);
        }
        for (int group = 0; group < 2; group++) {
            struct mgpt_tick tick = {.step = i, .lr = 0.01, .weight_decay = group ? 0.1 : 0};
            if (rig->optimizer)
                optimizer->scalars(rig->optimizer, &tick, input->scalars[group]);
            else
                fill_scalars(optimizer->rule, i, tick.weight_decay, input->scalars[group]);
        }
    }
}

void mgpt_step_rig_open_as(struct mgpt_step_rig *rig, const char *backend,
                           const struct mgpt_model *model, uint32_t dtype,
                           const struct mgpt_rig_setup *setup)
{
    const struct mgpt_component *component = mgpt_check_module(MGPT_KIND_BACKEND, backend);
    struct mgpt_config *config = mgpt_check_settings(component, NULL);

    mgpt_step_rig_open_on(rig, component->api, config, model, dtype, setup);
    rig->net.config = config;
}

void mgpt_step_rig_open_on(struct mgpt_step_rig *rig, const struct mgpt_backend_api *api,
                           const struct mgpt_config *config, const struct mgpt_model *model,
                           uint32_t dtype, const struct mgpt_rig_setup *setup)
{
    struct mgpt_module module;

    memset(rig, 0, sizeof *rig);
    rig->registry = mgpt_check_registry();
    check_ok(
        mgpt_registry_use(rig->registry, MGPT_KIND_OPTIMIZER, setup->optimizer, &module, error));
    const struct mgpt_optimizer_api *optimizer =
        setup->stranger ? setup->stranger : module.component->api;
    rig->optimizer = setup->stranger ? NULL : instance_of(module.component);
    mgpt_check_net_open_with(&rig->net, api, config, model, dtype, optimizer, rig->optimizer);
    fill_spec(rig, setup);
    rig->spec.optimizer = optimizer;
    fill_inputs(rig, model, setup);
}

void mgpt_step_rig_close(struct mgpt_step_rig *rig)
{
    for (int i = 0; i < RIG_LONG; i++)
        for (int k = 0; k < RIG_MICRO; k++) {
            free(rig->batches[i][k].ids);
            free(rig->batches[i][k].targets);
        }
    mgpt_check_net_close(&rig->net);
    if (rig->optimizer)
        rig->spec.optimizer->destroy(rig->optimizer);
    mgpt_registry_destroy(rig->registry);
}

double *mgpt_step_rig_values(struct mgpt_step_rig *rig, size_t *n)
{
    struct mgpt_params *params = &rig->net.params;
    size_t count = (size_t)params->elements, size = mgpt_dtype_size(params->dtype);
    double *values = malloc((1 + params->n_state) * count * sizeof *values);
    void *raw = malloc(count * size);

    check_that(values && raw, "out of memory");
    *n = 0;
    for (uint32_t k = 0; k <= params->n_state; k++) {
        const struct mgpt_tensor *t = k ? &params->state[k - 1] : &params->p;
        check_ok(mgpt_machine_read(&rig->net.machine, t, raw, error));
        for (size_t i = 0; i < (size_t)mgpt_tensor_count(t); i++)
            values[(*n)++] = size == 8 ? ((double *)raw)[i] : (double)((float *)raw)[i];
    }
    free(raw);
    return values;
}

struct mgpt_step_state mgpt_step_rig_state(struct mgpt_step_rig *rig)
{
    struct mgpt_step_state state;

    check_ok(mgpt_machine_read(&rig->net.machine, &rig->net.state, &state, error));
    return state;
}
