/* A small model with everything it needs on a backend, without a configuration. */
#include <config.h>

#include "check/net.h"

#include <stdlib.h>
#include <string.h>

#include "check/check.h"

struct mgpt_model mgpt_check_model_names(void)
{
    return (struct mgpt_model){.size = sizeof(struct mgpt_model),
                               .layers = 1,
                               .heads = 3,
                               .kv_heads = 3,
                               .embd = 6,
                               .mlp = 5,
                               .context = 5,
                               .vocab = 7,
                               .norm = MGPT_NORM_RMS,
                               .embed_norm = 1,
                               .activation = MGPT_ACT_RELU2,
                               .tied = 1,
                               .init = MGPT_INIT_NORMAL,
                               .norm_eps = 1e-5,
                               .init_std = 0.3,
                               .init_residual = 1};
}

struct mgpt_model mgpt_check_model_toygpt(void)
{
    return (struct mgpt_model){.size = sizeof(struct mgpt_model),
                               .layers = 2,
                               .heads = 3,
                               .kv_heads = 3,
                               .embd = 9,
                               .mlp = 11,
                               .context = 5,
                               .vocab = 7,
                               .norm = MGPT_NORM_LAYER,
                               .norm_gain = 1,
                               .norm_bias = 1,
                               .final_norm = 1,
                               .activation = MGPT_ACT_GELU,
                               .bias = MGPT_BIAS_PROJ | MGPT_BIAS_MLP | MGPT_BIAS_HEAD,
                               .init = MGPT_INIT_UNIFORM,
                               .norm_eps = 1e-5};
}

/* Device and table of parameters, nothing allocated yet. */
static void open_shape(struct mgpt_check_net *net, const struct mgpt_backend_api *api,
                       const struct mgpt_config *config, const struct mgpt_model *model,
                       uint32_t dtype)
{
    memset(net, 0, sizeof *net);
    net->model = *model;
    net->precision = (struct mgpt_precision_plan){
        .size = sizeof net->precision, .master = dtype, .activation = dtype, .product = dtype};
    check_ok(mgpt_machine_open(&net->machine, api, config, MGPT_FALLBACK_SILENT, error));
    check_ok(mgpt_params_init(&net->params, &net->model, dtype, true, error));
}

static void fill(struct mgpt_check_net *net, uint32_t n_state)
{
    struct mgpt_step_state state = {.loss_scale = 1, .grad_scale = 1};

    check_ok(mgpt_params_alloc(&net->params, &net->machine, true, n_state, error));
    mgpt_rng_seed(&net->rng, 7);
    check_ok(mgpt_params_draw(&net->params, &net->rng, error));
    check_ok(mgpt_machine_new(&net->machine, MGPT_U8, sizeof state, &net->state, error));
    check_ok(mgpt_machine_write(&net->machine, &net->state, &state, error));
}

void mgpt_check_net_open(struct mgpt_check_net *net, const char *backend,
                         const struct mgpt_model *model, uint32_t dtype, uint32_t n_state)
{
    const struct mgpt_component *component = mgpt_check_module(MGPT_KIND_BACKEND, backend);
    struct mgpt_config *config = mgpt_check_settings(component, NULL);

    mgpt_check_net_open_on(net, component->api, config, model, dtype, n_state);
    net->config = config;
}

void mgpt_check_net_open_for(struct mgpt_check_net *net, const char *backend,
                             const struct mgpt_model *model, uint32_t dtype,
                             const struct mgpt_optimizer_api *optimizer,
                             const struct mgpt_optimizer *instance)
{
    const struct mgpt_component *component = mgpt_check_module(MGPT_KIND_BACKEND, backend);
    struct mgpt_config *config = mgpt_check_settings(component, NULL);

    mgpt_check_net_open_with(net, component->api, config, model, dtype, optimizer, instance);
    net->config = config;
}

void mgpt_check_net_open_with(struct mgpt_check_net *net, const struct mgpt_backend_api *api,
                              const struct mgpt_config *config, const struct mgpt_model *model,
                              uint32_t dtype, const struct mgpt_optimizer_api *optimizer,
                              const struct mgpt_optimizer *instance)
{
    open_shape(net, api, config, model, dtype);
    mgpt_params_ask(&net->params, optimizer, instance);
    fill(net, optimizer->rule->n_state);
}

void mgpt_check_net_open_on(struct mgpt_check_net *net, const struct mgpt_backend_api *api,
                            const struct mgpt_config *config, const struct mgpt_model *model,
                            uint32_t dtype, uint32_t n_state)
{
    open_shape(net, api, config, model, dtype);
    fill(net, n_state);
}

void mgpt_check_net_close(struct mgpt_check_net *net)
{
    mgpt_machine_free(&net->machine, &net->state);
    mgpt_params_finish(&net->params);
    mgpt_machine_close(&net->machine);
    mgpt_config_destroy(net->config);
}

struct mgpt_net mgpt_check_net_of(struct mgpt_check_net *net)
{
    return (struct mgpt_net){.machine = &net->machine,
                             .model = &net->model,
                             .params = net->params.items,
                             .n_params = net->params.n,
                             .precision = &net->precision,
                             .state = net->state,
                             .seed = 42};
}

uint64_t mgpt_check_batch(struct mgpt_rng *rng, const struct mgpt_model *model, uint32_t rows,
                          uint32_t columns, struct mgpt_batch *batch)
{
    size_t cells = (size_t)rows * columns;
    uint64_t targets = 0;

    *batch = (struct mgpt_batch){.rows = rows,
                                 .columns = columns,
                                 .ids = malloc(cells * sizeof(int32_t)),
                                 .targets = malloc(cells * sizeof(int32_t))};
    check_that(batch->ids && batch->targets, "out of memory");
    for (size_t i = 0; i < cells; i++) {
        batch->ids[i] = (int32_t)mgpt_rng_below(rng, model->vocab);
        batch->targets[i] = i % 5 == 4 ? -1 : (int32_t)mgpt_rng_below(rng, model->vocab);
        targets += batch->targets[i] >= 0;
    }
    return targets;
}
