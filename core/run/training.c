/* A training run while it lasts: opened from the configuration, from the start or from a
 * checkpoint. */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "run/folder.h"
#include "run/plan.h"
#include "run/training.h"

uint64_t mgpt_training_setting(const struct mgpt_training *r, const char *key)
{
    return (uint64_t)mgpt_conf_int(r->conf, "train", key);
}

/* The checkpoint to resume, in a folder that nobody else trains in. */
static enum mgpt_status find_checkpoint(struct mgpt_training *r, struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;

    if (mgpt_path_exists(r->dir))
        status = mgpt_folder_lock(r->dir, &r->lock, error);
    if (status == MGPT_OK)
        status = mgpt_checkpoint_find(r->dir, "latest", &r->checkpoint, error);
    if (status == MGPT_OK && !r->checkpoint)
        mgpt_log(MGPT_LOG_WARN, "%s holds no checkpoint: starting at step 0", r->dir);
    return status;
}

/* The run's folder, ours alone. */
static enum mgpt_status make_folder(struct mgpt_training *r, bool resume, struct mgpt_error *error)
{
    enum mgpt_status status = mgpt_dir_make(r->dir, error);

    if (status == MGPT_OK && r->lock < 0)
        status = mgpt_folder_lock(r->dir, &r->lock, error);
    if (status == MGPT_OK && !resume)
        status = mgpt_folder_refuse(r->dir, r->conf, error); /* somebody may have been faster */
    return status;
}

static enum mgpt_status open_stepper(struct mgpt_training *r, struct mgpt_error *error)
{
    struct mgpt_step_spec spec = mgpt_session_spec(&r->session, r->progress.step_state);

    return mgpt_stepper_open(&r->stepper, r->conf, r->session.registry, &spec, error);
}

/* What the run will take; refused when that is more than there is. */
static enum mgpt_status make_plan(struct mgpt_training *r, struct mgpt_plan *plan,
                                  struct mgpt_error *error)
{
    struct mgpt_step_spec spec = mgpt_session_spec(&r->session, r->progress.step_state);
    const char *step = mgpt_conf_text(r->conf, "step", "use");

    return mgpt_plan_run(&spec, r->session.registry, step, plan, error);
}

/* Of the steps that are left, which a checkpoint must have been read for. */
static void say_plan(const struct mgpt_training *r, const struct mgpt_plan *plan)
{
    struct mgpt_step_spec spec = mgpt_session_spec(&r->session, r->progress.step_state);

    mgpt_plan_say(plan, &spec, r->total - r->progress.step);
}

/* Parameters and everything that goes with them: drawn, or read from the checkpoint. */
static enum mgpt_status fill_state(struct mgpt_training *r, struct mgpt_error *error)
{
    struct mgpt_session *s = &r->session;
    enum mgpt_status status = mgpt_session_step_state(s, &r->progress.step_state, error);

    r->progress.best_loss = INFINITY;
    if (status != MGPT_OK)
        return status;
    if (!r->checkpoint)
        return mgpt_params_draw(&s->params, &s->rng, error);
    status = mgpt_session_load(s, r->checkpoint, error); /* says first whether the shape fits */
    if (status == MGPT_OK)
        status = mgpt_snapshot_read(s, r->checkpoint, &r->progress, error);
    if (status == MGPT_OK && r->progress.step > r->total)
        return mgpt_fail(error, MGPT_CONFIG,
                         "%s: [train] steps = %llu, but %s has done %llu; to go on, ask for more",
                         mgpt_conf_origin(r->conf, "train", "steps"), (unsigned long long)r->total,
                         r->checkpoint, (unsigned long long)r->progress.step);
    if (status == MGPT_OK && r->progress.step == 0) { /* all of it is about to happen again */
        r->progress.best_loss = INFINITY;
        r->progress.validated = r->progress.stale = 0;
    }
    return status;
}

/* A run that is resumed has its samples already, and would have them twice. */
static bool is_done(const struct mgpt_training *r)
{
    bool over =
        r->progress.step == r->total || mgpt_validation_enough(&r->validation, &r->progress);

    return r->checkpoint && over && !mgpt_validation_due(&r->validation, &r->progress);
}

/* To who can do something about it: not of data of ours, whose context we chose, nor when a model
 * is there, whose context stays. */
static void say_cut(const struct mgpt_training *r, const struct mgpt_dataset_info *data)
{
    const char *origin = mgpt_conf_origin(r->conf, "dataset", "path");
    bool ours = !strcmp(origin, "builtin") || !strcmp(origin, "fetch");

    if (data->cut_documents)
        mgpt_log(ours || r->checkpoint ? MGPT_LOG_DEBUG : MGPT_LOG_INFO,
                 "%llu of %llu documents are longer than the context: only their start is used; "
                 "--set model.context=%u shows more of them",
                 (unsigned long long)data->cut_documents, (unsigned long long)data->documents,
                 2 * r->session.model.context);
}

static enum mgpt_status open_loggers(struct mgpt_training *r, struct mgpt_error *error)
{
    struct mgpt_session *s = &r->session;
    struct mgpt_dataset_info data = {.size = sizeof data};
    struct mgpt_string summary = {0};
    enum mgpt_status status;

    s->dataset_api->info(s->dataset, &data);
    mgpt_string_format(&summary, "backend %s (%s), precision %s, step %s, optimizer %s",
                       s->choice.backend, s->machine.caps.name, s->choice.precision,
                       r->stepper.name, mgpt_conf_text(r->conf, "optimizer", "use"));
    struct mgpt_run_info info = {.size = sizeof info,
                                 .vocab = s->model.vocab,
                                 .dir = r->dir,
                                 .first_step = r->progress.step,
                                 .total_steps = r->total,
                                 .documents = data.documents,
                                 .train_documents = data.train_documents,
                                 .valid_documents = data.valid_documents,
                                 .cut_documents = data.cut_documents,
                                 .parameters = s->params.count,
                                 .summary = summary.data ? summary.data : "",
                                 .train_tokens = data.train_tokens,
                                 .valid_tokens = data.valid_tokens};
    mgpt_log(MGPT_LOG_INFO, "%s", info.summary);
    say_cut(r, &data);
    status = mgpt_loggers_open(&r->loggers, r->conf, s->registry, &info, error);
    mgpt_string_finish(&summary);
    return status;
}

/* What needs neither device nor data. */
static enum mgpt_status begin(struct mgpt_training *r, const struct mgpt_train *options,
                              struct mgpt_error *error)
{
    struct mgpt_session *s = &r->session;

    r->lock = -1;
    r->conf = s->conf = options->conf;
    s->registry = options->registry;
    s->config_path = options->config_path;
    r->total = mgpt_training_setting(r, "steps");
    mgpt_validation_read(&r->validation, r->conf);
    r->dir = mgpt_path_absolute(mgpt_conf_text(r->conf, "run", "dir"));
    return r->dir ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "out of memory");
}

static enum mgpt_status open_session(struct mgpt_training *r, struct mgpt_error *error)
{
    struct mgpt_session *s = &r->session;
    enum mgpt_status status = mgpt_session_device(s, error);

    mgpt_session_seed(s, mgpt_conf_seed(r->conf, "train", "seed"));
    if (status == MGPT_OK)
        status = mgpt_session_data(s, r->checkpoint, error);
    if (status == MGPT_OK)
        status = mgpt_session_optimizer(s, error);
    if (status == MGPT_OK)
        status = mgpt_session_scheduler(s, error);
    return status == MGPT_OK ? mgpt_session_shape(s, error) : status;
}

enum mgpt_status mgpt_training_prepare(struct mgpt_training *r, const struct mgpt_train *options,
                                       struct mgpt_error *error)
{
    enum mgpt_status status = begin(r, options, error);

    if (status == MGPT_OK && options->resume)
        status = mgpt_checkpoint_find(r->dir, "latest", &r->checkpoint, error);
    return status == MGPT_OK ? open_session(r, error) : status;
}

enum mgpt_status mgpt_training_open(struct mgpt_training *r, const struct mgpt_train *options,
                                    struct mgpt_error *error)
{
    struct mgpt_session *s = &r->session;
    struct mgpt_plan plan;
    enum mgpt_status status = begin(r, options, error);

    if (status == MGPT_OK)
        status = options->resume ? find_checkpoint(r, error)
                                 : mgpt_folder_refuse(r->dir, r->conf, error);
    if (status == MGPT_OK)
        status = open_session(r, error);
    if (status == MGPT_OK)
        status = make_plan(r, &plan, error);
    if (status == MGPT_OK)
        status = mgpt_session_model(s, true, error);
    if (status == MGPT_OK)
        status = mgpt_session_sampler(s, error);
    if (status == MGPT_OK)
        status = mgpt_session_passes(s, (int64_t)mgpt_training_setting(r, "batch"), error);
    if (status == MGPT_OK)
        status = mgpt_generator_init(&r->generator, s, error);
    if (status == MGPT_OK)
        status = fill_state(r, error);
    if (status == MGPT_OK && !is_done(r))
        say_plan(r, &plan);
    if (status == MGPT_OK)
        status = open_stepper(r, error);
    if (status == MGPT_OK)
        status = mgpt_block_open(&r->block, s, error);
    if (status == MGPT_OK)
        status = make_folder(r, options->resume, error);
    r->done = status == MGPT_OK && is_done(r);
    if (status == MGPT_OK && !r->done)
        status = open_loggers(r, error);
    if (status == MGPT_OK)
        status = mgpt_folder_keep(r->dir, r->conf, error);
    r->saved = r->progress.step;
    return status;
}

void mgpt_training_close(struct mgpt_training *r)
{
    mgpt_loggers_close(&r->loggers);
    mgpt_block_close(&r->block);
    mgpt_stepper_close(&r->stepper);
    if (r->session.machine.api)
        mgpt_machine_free(&r->session.machine, &r->progress.step_state);
    mgpt_generator_finish(&r->generator);
    mgpt_session_close(&r->session);
    if (r->lock >= 0)
        close(r->lock);
    free(r->checkpoint);
    free(r->dir);
}
