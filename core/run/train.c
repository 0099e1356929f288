/* Training: steps, validation, metrics, checkpoints, samples; from the start or from a checkpoint.
 */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"
#include "base/stop.h"
#include "run/block.h"
#include "run/generate.h"
#include "run/loggers.h"
#include "run/snapshot.h"
#include "run/step.h"
#include "run/train.h"
#include "run/validation.h"

/* A training run while it lasts. */
struct run {
    struct mgpt_session session;
    struct mgpt_conf *conf;
    char *dir, *checkpoint; /* the run's folder; what it resumes from, or NULL */
    struct mgpt_stepper stepper;
    struct mgpt_loggers loggers;
    struct mgpt_block block;
    struct mgpt_progress progress;
    struct mgpt_validation validation;
    uint64_t total, saved; /* steps of the run; those of the newest checkpoint */
    uint64_t bad;          /* steps skipped in a row */
    double started, pace;  /* seconds: the clock at the start, one step lately */
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint64_t setting(const struct run *r, const char *key)
{
    return (uint64_t)mgpt_conf_int(r->conf, "train", key);
}

/* ---- opening ---- */

/* A folder that holds a run is not overwritten; one that holds none is started. */
static enum mgpt_status find_start(struct run *r, bool resume, struct mgpt_error *error)
{
    static const char *const traces[] = {"config.ini", "metrics.jsonl", "checkpoints", NULL};

    for (int i = 0; traces[i] && !resume; i++) {
        char *path = mgpt_path_join(r->dir, traces[i]);
        bool found = path && mgpt_path_exists(path);
        free(path);
        if (found)
            return mgpt_fail(
                error, MGPT_CONFIG,
                "%s already holds a run (%s); use --resume to go on with it, or another "
                "folder: --dir NAME",
                r->dir, traces[i]);
    }
    if (!resume)
        return MGPT_OK;
    enum mgpt_status status = mgpt_checkpoint_find(r->dir, "latest", &r->checkpoint, error);
    if (status == MGPT_OK && !r->checkpoint)
        mgpt_log(MGPT_LOG_INFO, "%s holds no checkpoint: starting at step 0", r->dir);
    return status;
}

/* The effective configuration, so that the run can be repeated and read. */
static enum mgpt_status write_config(struct run *r, struct mgpt_error *error)
{
    struct mgpt_string text = {0};
    char *path = mgpt_path_join(r->dir, "config.ini");
    enum mgpt_status status = mgpt_dir_make(r->dir, error);

    mgpt_conf_print(r->conf, false, &text);
    if (status == MGPT_OK)
        status = path && !text.failed ? mgpt_file_replace(path, text.data, text.size, error)
                                      : mgpt_fail(error, MGPT_NOMEM, "out of memory");
    mgpt_string_finish(&text);
    free(path);
    return status;
}

static enum mgpt_status open_stepper(struct run *r, struct mgpt_error *error)
{
    struct mgpt_session *s = &r->session;
    struct mgpt_step_spec spec = {
        .size = sizeof spec,
        .rows = (uint32_t)setting(r, "batch"),
        .columns = s->model.context,
        .micro_batches = (uint32_t)setting(r, "accumulate"),
        .ranks = 1,
        .n_params = s->params.n,
        .n_state = s->params.n_state,
        .fallback = s->machine.fallback,
        .seed = mgpt_conf_seed(r->conf, "train", "seed"),
        .clip = mgpt_conf_float(r->conf, "train", "clip"),
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
        .step_state = r->progress.step_state,
    };

    memcpy(spec.state, s->params.state, sizeof spec.state);
    return mgpt_stepper_open(&r->stepper, r->conf, s->registry, &spec, error);
}

/* Parameters and everything that goes with them: drawn, or read from the checkpoint. */
static enum mgpt_status fill_state(struct run *r, struct mgpt_error *error)
{
    struct mgpt_session *s = &r->session;
    double scale = s->precision.scale_interval ? s->precision.scale_initial : 1;
    struct mgpt_step_state state = {.loss_scale = scale, .grad_scale = 1 / scale};
    struct mgpt_tensor *t = &r->progress.step_state;
    enum mgpt_status status = mgpt_machine_new(&s->machine, MGPT_U8, sizeof state, t, error);

    r->progress.best_loss = INFINITY;
    if (status == MGPT_OK)
        status = mgpt_machine_write(&s->machine, t, &state, error);
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

static enum mgpt_status open_loggers(struct run *r, struct mgpt_error *error)
{
    struct mgpt_session *s = &r->session;
    struct mgpt_dataset_info data = {.size = sizeof data};
    struct mgpt_string summary = {0};
    enum mgpt_status status;

    s->dataset_api->info(s->dataset, &data);
    mgpt_string_format(&summary, "backend %s (%s), precision %s, step %s, optimizer %s", s->backend,
                       s->machine.caps.name, mgpt_conf_text(r->conf, "precision", "use"),
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
                                 .summary = summary.data ? summary.data : ""};
    mgpt_log(MGPT_LOG_INFO, "%s", info.summary);
    if (data.cut_documents)
        mgpt_log(MGPT_LOG_INFO,
                 "%llu of %llu documents are longer than the context: only their "
                 "start is used",
                 (unsigned long long)data.cut_documents, (unsigned long long)data.documents);
    status = mgpt_loggers_open(&r->loggers, r->conf, s->registry, &info, error);
    mgpt_string_finish(&summary);
    return status;
}

static enum mgpt_status open_run(struct run *r, bool resume, struct mgpt_error *error)
{
    struct mgpt_session *s = &r->session;
    enum mgpt_status status;

    r->total = setting(r, "steps");
    mgpt_validation_read(&r->validation, r->conf);
    r->dir = mgpt_path_absolute(mgpt_conf_text(r->conf, "run", "dir"));
    status = r->dir ? find_start(r, resume, error) : mgpt_fail(error, MGPT_NOMEM, "out of memory");
    if (status == MGPT_OK)
        status = mgpt_session_device(s, error);
    mgpt_session_seed(s, mgpt_conf_seed(r->conf, "train", "seed"));
    if (status == MGPT_OK)
        status = mgpt_session_data(s, r->checkpoint, error);
    if (status == MGPT_OK)
        status = mgpt_session_optimizer(s, error);
    if (status == MGPT_OK)
        status = mgpt_session_model(s, true, error);
    if (status == MGPT_OK)
        status = mgpt_session_sampler(s, error);
    if (status == MGPT_OK)
        status = mgpt_session_passes(s, (int64_t)setting(r, "batch"), error);
    if (status == MGPT_OK)
        status = fill_state(r, error);
    if (status == MGPT_OK)
        status = open_stepper(r, error);
    if (status == MGPT_OK)
        status = mgpt_block_open(&r->block, s, error);
    if (status == MGPT_OK)
        status = write_config(r, error);
    if (status == MGPT_OK)
        status = open_loggers(r, error);
    r->saved = r->progress.step;
    return status;
}

static void close_run(struct run *r)
{
    mgpt_loggers_close(&r->loggers);
    mgpt_block_close(&r->block);
    mgpt_stepper_close(&r->stepper);
    if (r->session.machine.api)
        mgpt_machine_free(&r->session.machine, &r->progress.step_state);
    mgpt_session_close(&r->session);
    free(r->checkpoint);
    free(r->dir);
}

/* ---- events ---- */

static struct mgpt_event event(const struct run *r, enum mgpt_event_type type, uint64_t step)
{
    return (struct mgpt_event){.size = sizeof(struct mgpt_event),
                               .type = type,
                               .step = step,
                               .loss = NAN,
                               .grad_norm = NAN,
                               .lr = NAN,
                               .tokens_per_s = NAN,
                               .val_loss = NAN,
                               .train_loss = NAN,
                               .best_loss = r->progress.best_loss,
                               .seconds = now() - r->started};
}

static enum mgpt_status save(struct run *r, bool best, struct mgpt_error *error)
{
    struct mgpt_event e = event(r, MGPT_EVENT_CHECKPOINT, r->progress.step);
    struct mgpt_string path = {0};
    enum mgpt_status status = mgpt_loggers_flush(&r->loggers, error);

    if (status == MGPT_OK)
        status = mgpt_snapshot_write(&r->session, r->dir, &r->progress, best, error);
    if (status != MGPT_OK)
        return status;
    r->saved = r->progress.step;
    mgpt_string_format(&path, "%s/checkpoints/step-%llu", r->dir,
                       (unsigned long long)r->progress.step);
    e.text = path.data;
    status = mgpt_loggers_event(&r->loggers, &e, error);
    mgpt_string_finish(&path);
    return status;
}

/* *best: this is the lowest validation loss so far. */
static enum mgpt_status validate(struct run *r, bool *best, struct mgpt_error *error)
{
    struct mgpt_event e = event(r, MGPT_EVENT_VALIDATION, r->progress.step);
    enum mgpt_status status =
        mgpt_validate(&r->validation, &r->session, &r->progress, &e, best, error);

    if (status != MGPT_OK || isnan(e.val_loss))
        return status;
    return mgpt_loggers_event(&r->loggers, &e, error);
}

static enum mgpt_status print_samples(struct run *r, struct mgpt_error *error)
{
    uint64_t n = (uint64_t)mgpt_conf_int(r->conf, "generate", "samples");
    int32_t *prompt = NULL;
    size_t length = 0;
    enum mgpt_status status = mgpt_prompt_ids(&r->session, "", &prompt, &length, error);

    for (uint64_t i = 1; i <= n && status == MGPT_OK; i++) {
        struct mgpt_event e = event(r, MGPT_EVENT_SAMPLE, r->progress.step);
        struct mgpt_string text = {0};
        status = mgpt_generate(&r->session, prompt, length, mgpt_emit_string, &text, error);
        e.index = i;
        e.text = text.data ? text.data : "";
        if (status == MGPT_OK)
            status = mgpt_loggers_event(&r->loggers, &e, error);
        mgpt_string_finish(&text);
    }
    free(prompt);
    return status;
}

/* ---- steps ---- */

/* The first parameter whose gradient is not finite, or "the loss". */
static const char *culprit(struct run *r)
{
    const struct mgpt_params *params = &r->session.params;
    size_t size = mgpt_dtype_size(params->dtype);
    char *g = malloc((size_t)params->elements * size);
    const char *name = "the loss";

    if (!g || mgpt_machine_read(&r->session.machine, &params->g, g, NULL) != MGPT_OK) {
        free(g);
        return name;
    }
    for (uint32_t i = 0; i < params->n; i++) {
        const struct mgpt_tensor *t = &params->items[i].g;
        for (int64_t k = 0; k < mgpt_tensor_count(t); k++) {
            const void *at = g + t->offset + (size_t)k * size;
            double x = size == 8 ? *(const double *)at : (double)*(const float *)at;
            if (!isfinite(x)) {
                free(g);
                return params->items[i].name;
            }
        }
    }
    free(g);
    return name;
}

/* A step that met NaN or Inf changed nothing; too many in a row end the run. */
static enum mgpt_status count_bad(struct run *r, const struct mgpt_step_result *result, double lr,
                                  struct mgpt_error *error)
{
    r->bad = result->skipped ? r->bad + 1 : 0;
    if (r->bad <= setting(r, "max_skipped"))
        return MGPT_OK;
    return mgpt_fail(
        error, MGPT_NONFINITE,
        "step %llu: NaN or Inf in %s for the %lluth step in a row (lr %g, loss scale %g, "
        "batch %llu of the data); the last good checkpoint is that of step %llu. A "
        "smaller [train] lr or clip may help",
        (unsigned long long)result->step + 1, culprit(r), (unsigned long long)r->bad, lr,
        result->loss_scale, (unsigned long long)result->step, (unsigned long long)r->saved);
}

static uint64_t up_to(uint64_t step, uint64_t every, uint64_t end)
{
    uint64_t next = every ? (step / every + 1) * every : end;

    return next < end ? next : end;
}

/* How many steps to run in one go: to the next validation or checkpoint, and not so long that a
 * signal would wait. */
static uint32_t block_size(const struct run *r)
{
    uint64_t step = r->progress.step;
    uint64_t end = mgpt_validation_next(&r->validation, step);
    uint64_t n = up_to(step, setting(r, "checkpoint_every"), end) - step;

    if (n > r->block.capacity)
        n = r->block.capacity;
    if (r->pace * (double)n > 0.05)
        n = (uint64_t)(0.05 / r->pace);
    return n ? (uint32_t)n : 1;
}

static enum mgpt_status run_block(struct run *r, struct mgpt_error *error)
{
    struct mgpt_step_result results[MGPT_STEP_RING];
    uint32_t n = block_size(r);
    double begun = now();
    enum mgpt_status status = mgpt_block_fill(&r->block, &r->session, r->progress.step, n, error);

    if (status == MGPT_OK)
        status = mgpt_stepper_run(&r->stepper, r->block.inputs, n, results, error);
    if (status != MGPT_OK)
        return status;
    double seconds = now() - begun;
    r->pace = seconds / n;
    for (uint32_t i = 0; i < n && status == MGPT_OK; i++) {
        struct mgpt_event e = event(r, MGPT_EVENT_STEP, ++r->progress.step);
        e.loss = results[i].loss;
        e.grad_norm = results[i].grad_norm;
        e.lr = r->block.lr[i];
        e.tokens_per_s = (double)r->block.targets / seconds;
        e.skipped = results[i].skipped;
        status = mgpt_loggers_event(&r->loggers, &e, error);
        if (status == MGPT_OK)
            status = count_bad(r, &results[i], r->block.lr[i], error);
    }
    return status;
}

/* Between blocks: what is due at this step. */
static enum mgpt_status settle(struct run *r, struct mgpt_error *error)
{
    uint64_t step = r->progress.step, every = setting(r, "checkpoint_every");
    bool validates = mgpt_validation_due(&r->validation, &r->progress), best = false;
    enum mgpt_status status = validates ? validate(r, &best, error) : MGPT_OK;
    bool due = step == r->total || (every && step % every == 0) ||
               mgpt_validation_enough(&r->validation, &r->progress);

    /* A signal may have saved this step before its validation: then it is saved again. */
    if (r->saved == step)
        due = validates && step;
    if (status == MGPT_OK && (best || due))
        status = save(r, best, error);
    return status;
}

/* Saves, and says how to go on. */
static enum mgpt_status stop(struct run *r, struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;

    if (r->saved != r->progress.step || r->progress.step == 0)
        status = save(r, false, error);
    if (status != MGPT_OK)
        return status;
    return mgpt_fail(
        error, MGPT_CANCELED,
        "stopped after step %llu of %llu; saved. To go on: microgpt train --resume --dir "
        "%s",
        (unsigned long long)r->progress.step, (unsigned long long)r->total, r->dir);
}

static enum mgpt_status say_enough(struct run *r, struct mgpt_error *error)
{
    struct mgpt_event e = event(r, MGPT_EVENT_NOTE, r->progress.step);
    char text[160];

    (void)snprintf(text, sizeof text,
                   "stopped early, after step %llu: no validation loss below %.4f in %llu",
                   (unsigned long long)r->progress.step, r->progress.best_loss,
                   (unsigned long long)r->progress.stale);
    e.text = text;
    return mgpt_loggers_event(&r->loggers, &e, error);
}

static enum mgpt_status loop(struct run *r, struct mgpt_error *error)
{
    bool enough = false;

    r->started = now();
    enum mgpt_status status = settle(r, error);
    while (status == MGPT_OK && r->progress.step < r->total) {
        enough = mgpt_validation_enough(&r->validation, &r->progress);
        if (enough)
            break;
        if (mgpt_stop_requested())
            return stop(r, error);
        status = run_block(r, error);
        if (status == MGPT_OK)
            status = settle(r, error);
    }
    if (status == MGPT_CANCELED) /* in a validation, which a resumed run makes anew */
        return stop(r, error);
    if (status == MGPT_OK && enough)
        status = say_enough(r, error);
    if (status == MGPT_OK)
        status = print_samples(r, error);
    return status == MGPT_OK ? mgpt_loggers_flush(&r->loggers, error) : status;
}

enum mgpt_status mgpt_train(const struct mgpt_train *options, struct mgpt_error *error)
{
    struct run *r = calloc(1, sizeof *r);
    enum mgpt_status status;

    if (!r)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory");
    r->conf = options->conf;
    r->session.conf = options->conf;
    r->session.registry = options->registry;
    r->session.config_path = options->config_path;
    mgpt_stop_install();
    status = open_run(r, options->resume, error);
    if (status == MGPT_OK)
        status = loop(r, error);
    close_run(r);
    free(r);
    return status;
}
