/* A session: everything that a run has open, from the device to the sampler, opened by name from
 * the configuration. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "model/spec.h"
#include "run/data.h"
#include "run/session.h"
#include "run/snapshot.h"

/* The module that [kind] use names, and its section. */
static enum mgpt_status use(struct mgpt_session *s, const char *want, const char *kind,
                            const void **api, const struct mgpt_config **config,
                            struct mgpt_error *error)
{
    const char *name = mgpt_conf_text(s->conf, kind, "use");
    struct mgpt_module module;
    enum mgpt_status status = mgpt_registry_use(s->registry, want, name, &module, error);

    if (status != MGPT_OK)
        return status;
    *api = module.component->api;
    *config = mgpt_conf_module(s->conf, kind, name);
    return MGPT_OK;
}

/* ---- device ---- */

enum mgpt_status mgpt_session_device(struct mgpt_session *s, struct mgpt_error *error)
{
    enum mgpt_status status =
        mgpt_choose_device(&s->choice, &s->machine, s->conf, s->registry, error);

    if (status == MGPT_OK)
        status = mgpt_choose_precision(&s->choice, &s->precision, &s->machine, s->conf, s->registry,
                                       error);
    return status;
}

/* ---- the stream ---- */

void mgpt_session_seed(struct mgpt_session *s, uint64_t seed)
{
    mgpt_rng_seed(&s->rng, seed);
    s->stream = mgpt_rng_stream(&s->rng);
}

/* ---- data ---- */

static enum mgpt_status create_tokenizer(struct mgpt_session *s, struct mgpt_error *error)
{
    const struct mgpt_config *config;
    const void *api;
    enum mgpt_status status = use(s, MGPT_KIND_TOKENIZER, "tokenizer", &api, &config, error);

    if (status != MGPT_OK)
        return status;
    s->tokenizer_api = api;
    return s->tokenizer_api->create(mgpt_host(), config, &s->tokenizer, error);
}

enum mgpt_status mgpt_session_tokenizer_from(struct mgpt_session *s, const char *path,
                                             const char *json, size_t size,
                                             struct mgpt_error *error)
{
    struct mgpt_error why;
    enum mgpt_status status = create_tokenizer(s, error);

    if (status != MGPT_OK || s->tokenizer_api->load(s->tokenizer, json, size, &why) == MGPT_OK)
        return status;
    return mgpt_fail(error, MGPT_DATA, "%s: %s", path, why.text);
}

enum mgpt_status mgpt_session_tokenizer(struct mgpt_session *s, const char *checkpoint,
                                        struct mgpt_error *error)
{
    char *json = NULL, *path;
    size_t size = 0;
    enum mgpt_status status;

    if (!checkpoint)
        return create_tokenizer(s, error);
    path = mgpt_path_join(checkpoint, "tokenizer.json");
    status = path ? mgpt_checkpoint_text(checkpoint, "tokenizer.json", &json, &size, error)
                  : mgpt_fail(error, MGPT_NOMEM, "out of memory");
    if (status == MGPT_OK)
        status = mgpt_session_tokenizer_from(s, path, json, size, error);
    free(json);
    free(path);
    return status;
}

enum mgpt_status mgpt_session_data(struct mgpt_session *s, const char *checkpoint,
                                   struct mgpt_error *error)
{
    struct mgpt_dataset_env env = {.size = sizeof env,
                                   .rows = (uint32_t)mgpt_conf_int(s->conf, "train", "batch"),
                                   .columns = (uint32_t)mgpt_conf_int(s->conf, "model", "context"),
                                   .accumulate =
                                       (uint32_t)mgpt_conf_int(s->conf, "train", "accumulate"),
                                   .split = mgpt_conf_float(s->conf, "dataset", "split"),
                                   .seed = mgpt_conf_seed(s->conf, "train", "seed"),
                                   .stream = &s->stream};
    const struct mgpt_config *config;
    const void *api;
    enum mgpt_status status = mgpt_data_path(s->conf, s->config_path, &s->data_path, error);

    if (status == MGPT_OK)
        status = use(s, MGPT_KIND_DATASET, "dataset", &api, &config, error);
    if (status != MGPT_OK)
        return status;
    env.path = s->data_path;
    s->dataset_api = api;
    status = s->dataset_api->open(mgpt_host(), config, &env, &s->dataset, error);
    if (status == MGPT_OK)
        status = mgpt_session_tokenizer(s, checkpoint, error);
    if (status == MGPT_OK && !checkpoint) {
        uint64_t n;
        const struct mgpt_text *documents = s->dataset_api->documents(s->dataset, &n);
        status = s->tokenizer_api->train(s->tokenizer, documents, n, error);
    }
    if (status == MGPT_OK)
        status = s->dataset_api->encode(s->dataset, s->tokenizer_api, s->tokenizer, error);
    return status;
}

/* ---- model ---- */

uint32_t mgpt_session_ids(const struct mgpt_session *s)
{
    return (uint32_t)s->tokenizer_api->vocab(s->tokenizer);
}

enum mgpt_status mgpt_session_shape(struct mgpt_session *s, struct mgpt_error *error)
{
    return mgpt_session_shape_for(s, mgpt_session_ids(s), error);
}

enum mgpt_status mgpt_session_shape_for(struct mgpt_session *s, uint32_t vocab,
                                        struct mgpt_error *error)
{
    bool matrices = strcmp(mgpt_conf_text(s->conf, "train", "decay"), "matrices") == 0;
    enum mgpt_status status;

    if (vocab < 1 || vocab > INT32_MAX)
        return mgpt_fail(error, MGPT_PLUGIN, "tokenizer %s has %d ids, expected at least 1",
                         mgpt_conf_text(s->conf, "tokenizer", "use"), (int)vocab);
    status = mgpt_model_from_conf(s->conf, vocab, &s->model, error);
    if (status == MGPT_OK)
        status = mgpt_params_init(&s->params, &s->model, s->precision.master, matrices, error);
    if (status == MGPT_OK && s->optimizer_api)
        mgpt_params_ask(&s->params, s->optimizer_api, s->optimizer);
    return status;
}

enum mgpt_status mgpt_session_model(struct mgpt_session *s, bool training, struct mgpt_error *error)
{
    uint32_t n_state = training ? s->optimizer_api->rule->n_state : 0;
    enum mgpt_status status = s->params.n ? MGPT_OK : mgpt_session_shape(s, error);

    if (status == MGPT_OK)
        status = mgpt_params_alloc(&s->params, &s->machine, training, n_state, error);
    return status;
}

struct mgpt_step_spec mgpt_session_spec(const struct mgpt_session *s, struct mgpt_tensor step_state)
{
    struct mgpt_step_spec spec = {
        .size = sizeof spec,
        .rows = (uint32_t)mgpt_conf_int(s->conf, "train", "batch"),
        .columns = s->model.context,
        .micro_batches = (uint32_t)mgpt_conf_int(s->conf, "train", "accumulate"),
        .ranks = 1,
        .n_params = s->params.n,
        .n_state = s->optimizer_api->rule->n_state,
        .fallback = s->machine.fallback,
        .seed = mgpt_conf_seed(s->conf, "train", "seed"),
        .clip = mgpt_conf_float(s->conf, "train", "clip"),
        .host = mgpt_host(),
        .backend = s->machine.api,
        .device = s->machine.device,
        .caps = &s->machine.caps,
        .model = &s->model,
        .precision = &s->precision,
        .optimizer = s->optimizer_api,
        .params = s->params.items,
        .p = s->params.p,
        .g = s->params.g,
        .step_state = step_state,
    };

    memcpy(spec.state, s->params.state, sizeof spec.state);
    if (MGPT_HAS(s->optimizer_api, takes) && s->optimizer_api->takes) {
        spec.optimizer_instance = s->optimizer;
        spec.places = s->params.places;
    }
    return spec;
}

enum mgpt_status mgpt_session_step_state(struct mgpt_session *s, struct mgpt_tensor *tensor,
                                         struct mgpt_error *error)
{
    double scale = s->precision.scale_interval ? s->precision.scale_initial : 1;
    struct mgpt_step_state state = {.loss_scale = scale, .grad_scale = 1 / scale};
    enum mgpt_status status = mgpt_machine_new(&s->machine, MGPT_U8, sizeof state, tensor, error);

    return status == MGPT_OK ? mgpt_machine_write(&s->machine, tensor, &state, error) : status;
}

enum mgpt_status mgpt_session_passes(struct mgpt_session *s, int64_t batch,
                                     struct mgpt_error *error)
{
    enum mgpt_status status = mgpt_machine_new(&s->machine, MGPT_U8, sizeof(struct mgpt_step_state),
                                               &s->eval_state, error);
    struct mgpt_net net = {.machine = &s->machine,
                           .model = &s->model,
                           .params = s->params.items,
                           .n_params = s->params.n,
                           .precision = &s->precision,
                           .state = s->eval_state};

    if (status != MGPT_OK)
        return status;
    return mgpt_passes_open(&s->passes, &net, MGPT_MODE_LOSS, batch, s->model.context, error);
}

enum mgpt_status mgpt_session_optimizer(struct mgpt_session *s, struct mgpt_error *error)
{
    const struct mgpt_config *config;
    const void *api;
    enum mgpt_status status = use(s, MGPT_KIND_OPTIMIZER, "optimizer", &api, &config, error);

    if (status != MGPT_OK)
        return status;
    s->optimizer_api = api;
    const struct mgpt_rule *rule = s->optimizer_api->rule;
    if (!rule || !rule->f32 || !rule->f64 || !rule->state || rule->n_state > MGPT_MAX_STATE ||
        rule->n_scalars > MGPT_MAX_SCALARS)
        return mgpt_fail(
            error, MGPT_PLUGIN,
            "optimizer %s: expected a rule as MGPT_RULE makes it, with at most %d arrays "
            "of state and %d scalars",
            mgpt_conf_text(s->conf, "optimizer", "use"), MGPT_MAX_STATE, MGPT_MAX_SCALARS);
    if (MGPT_HAS(s->optimizer_api, takes) && s->optimizer_api->takes &&
        !(MGPT_HAS(s->optimizer_api, record) && s->optimizer_api->record))
        return mgpt_fail(error, MGPT_PLUGIN, "optimizer %s: expected `record` beside `takes`",
                         mgpt_conf_text(s->conf, "optimizer", "use"));
    return s->optimizer_api->create(mgpt_host(), config, &s->optimizer, error);
}

enum mgpt_status mgpt_session_scheduler(struct mgpt_session *s, struct mgpt_error *error)
{
    const struct mgpt_config *config;
    const void *api;
    enum mgpt_status status = use(s, MGPT_KIND_SCHEDULER, "scheduler", &api, &config, error);

    if (status != MGPT_OK)
        return status;
    s->scheduler_api = api;
    return s->scheduler_api->create(mgpt_host(), config, &s->scheduler, error);
}

enum mgpt_status mgpt_session_sampler(struct mgpt_session *s, struct mgpt_error *error)
{
    const struct mgpt_config *config;
    const void *api;
    enum mgpt_status status = use(s, MGPT_KIND_SAMPLER, "sampler", &api, &config, error);

    if (status != MGPT_OK)
        return status;
    s->sampler_api = api;
    return s->sampler_api->create(mgpt_host(), config, mgpt_session_ids(s), &s->sampler, error);
}

/* ---- a checkpoint's parameters ---- */

static enum mgpt_status check_shape(struct mgpt_session *s, const char *checkpoint,
                                    struct mgpt_error *error)
{
    struct mgpt_model stored;
    struct mgpt_error why;
    char *json = NULL, *tokenizer = NULL;
    size_t size = 0;
    enum mgpt_status status = mgpt_checkpoint_text(checkpoint, "config.json", &json, &size, error);

    if (status != MGPT_OK)
        return status;
    status = mgpt_model_from_json(json, size, &stored, &tokenizer, &why);
    if (status == MGPT_OK)
        status = mgpt_model_match(&stored, &s->model, &why);
    free(json);
    free(tokenizer);
    if (status == MGPT_OK)
        return MGPT_OK;
    return mgpt_fail(error, MGPT_DATA, "%s/config.json: %s", checkpoint, why.text);
}

enum mgpt_status mgpt_session_load(struct mgpt_session *s, const char *checkpoint,
                                   struct mgpt_error *error)
{
    enum mgpt_status status = check_shape(s, checkpoint, error);

    return status == MGPT_OK ? mgpt_snapshot_read_model(s, checkpoint, error) : status;
}

void mgpt_session_close(struct mgpt_session *s)
{
    if (s->sampler_api)
        s->sampler_api->destroy(s->sampler);
    if (s->scheduler_api)
        s->scheduler_api->destroy(s->scheduler);
    if (s->optimizer_api)
        s->optimizer_api->destroy(s->optimizer);
    mgpt_passes_close(&s->passes);
    if (s->machine.api)
        mgpt_machine_free(&s->machine, &s->eval_state);
    mgpt_params_finish(&s->params);
    if (s->dataset_api)
        s->dataset_api->close(s->dataset);
    if (s->tokenizer_api)
        s->tokenizer_api->destroy(s->tokenizer);
    free(s->data_path);
    mgpt_machine_close(&s->machine);
}
