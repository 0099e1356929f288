/* Training: steps, validation, metrics, checkpoints, samples; from the start or from a checkpoint.
 */
#include <config.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/draws.h"
#include "base/log.h"
#include "base/stop.h"
#include "run/plan.h"
#include "run/samples.h"
#include "run/train.h"
#include "run/training.h"

/* ---- events ---- */

static struct mgpt_event event(const struct mgpt_training *r, enum mgpt_event_type type,
                               uint64_t step)
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
                               .loss_scale = NAN,
                               .best_loss = r->progress.best_loss,
                               .seconds = mgpt_seconds() - r->started};
}

/* A logger that cannot write ends the run, but not before what was trained is saved: see keep. */
static enum mgpt_status heard(struct mgpt_training *r, enum mgpt_status status)
{
    r->unheard |= status == MGPT_IO;
    return status;
}

static enum mgpt_status save(struct mgpt_training *r, struct mgpt_error *error)
{
    struct mgpt_event e = event(r, MGPT_EVENT_CHECKPOINT, r->progress.step);
    struct mgpt_string path = {0};
    enum mgpt_status status = heard(r, mgpt_loggers_flush(&r->loggers, error));

    if (status == MGPT_OK)
        status = mgpt_snapshot_write(&r->session, r->dir, &r->progress, r->best, error);
    if (status != MGPT_OK)
        return status;
    r->saved = r->progress.step;
    r->best = false;
    mgpt_string_format(&path, "%s/checkpoints/step-%llu", r->dir,
                       (unsigned long long)r->progress.step);
    e.text = path.data;
    status = heard(r, mgpt_loggers_event(&r->loggers, &e, error));
    mgpt_string_finish(&path);
    return status;
}

static enum mgpt_status validate(struct mgpt_training *r, struct mgpt_error *error)
{
    struct mgpt_event e = event(r, MGPT_EVENT_VALIDATION, r->progress.step);
    bool made = false;
    double begun = mgpt_seconds();
    enum mgpt_status status =
        mgpt_validate(&r->validation, &r->session, &r->progress, &e, &made, &r->best, error);

    r->spent.validating = mgpt_seconds() - begun;
    if (status != MGPT_OK || !made)
        return status;
    return heard(r, mgpt_loggers_event(&r->loggers, &e, error));
}

static enum mgpt_status log_sample(void *context, uint64_t number, const struct mgpt_string *text,
                                   struct mgpt_error *error)
{
    struct mgpt_training *r = context;
    struct mgpt_event e = event(r, MGPT_EVENT_SAMPLE, r->progress.step);

    e.index = number;
    e.text = text->data ? text->data : "";
    e.text_size = text->size;
    return heard(r, mgpt_loggers_event(&r->loggers, &e, error));
}

static enum mgpt_status print_samples(struct mgpt_training *r, struct mgpt_error *error)
{
    uint64_t n = (uint64_t)mgpt_conf_int(r->conf, "generate", "samples");
    int32_t *prompt = NULL;
    size_t length = 0;
    enum mgpt_status status = mgpt_prompt_ids(&r->session, "", &prompt, &length, error);

    if (status == MGPT_OK)
        status = mgpt_samples_make(&r->generator, prompt, length, n, log_sample, r, error);
    free(prompt);
    return status;
}

/* [train] sample_every: one sample on the way. Its draws are its own, a function of seed and step,
 * so that whoever looks on changes nothing of the run. */
static enum mgpt_status peek(struct mgpt_training *r, struct mgpt_error *error)
{
    struct mgpt_session *s = &r->session;
    struct mgpt_stream kept = s->stream;
    struct mgpt_draws draws;
    struct mgpt_string text = {0};
    int32_t *prompt = NULL;
    size_t length = 0;
    enum mgpt_status status = mgpt_prompt_ids(s, "", &prompt, &length, error);

    s->stream = mgpt_draws_stream(&draws, mgpt_conf_seed(r->conf, "train", "seed"),
                                  UINT32_MAX - (uint32_t)r->progress.step); /* no sample's number */
    if (status == MGPT_OK)
        status = mgpt_generate(&r->generator, prompt, length, mgpt_emit_string, &text, error);
    s->stream = kept;
    if (status == MGPT_OK)
        status = log_sample(r, 1, &text, error);
    mgpt_string_finish(&text);
    free(prompt);
    return status;
}

/* ---- steps ---- */

/* The first parameter whose gradient is not finite, or "the loss". */
static const char *culprit(struct mgpt_training *r)
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

/* With loss scaling a step is skipped now and then, to find the scale: what it met may well be the
 * scale's doing, until that is 1. */
static bool is_bad(const struct mgpt_training *r, const struct mgpt_step_result *result)
{
    bool searching = r->session.precision.scale_interval && result->loss_scale > 1;

    return result->skipped && !searching;
}

/* A step that met NaN or Inf changed nothing; too many in a row end the run. */
static enum mgpt_status count_bad(struct mgpt_training *r, const struct mgpt_step_result *result,
                                  double lr, struct mgpt_error *error)
{
    r->bad = is_bad(r, result) ? r->bad + 1 : 0;
    if (!r->bad || r->bad <= mgpt_training_setting(r, "max_skipped"))
        return MGPT_OK;
    char kept[64] = "no checkpoint was saved";
    if (r->saved)
        (void)snprintf(kept, sizeof kept, "the last checkpoint is that of step %llu",
                       (unsigned long long)r->saved);
    return mgpt_fail(
        error, MGPT_NONFINITE,
        "step %llu: NaN or Inf in %s, and in %llu steps in a row (lr %g, loss scale %g, "
        "batch %llu of the data); %s. A smaller [train] lr or clip may help",
        (unsigned long long)result->step + 1, culprit(r), (unsigned long long)r->bad, lr,
        result->loss_scale, (unsigned long long)result->step, kept);
}

static uint64_t up_to(uint64_t step, uint64_t every, uint64_t end)
{
    uint64_t next = every ? (step / every + 1) * every : end;

    return next < end ? next : end;
}

/* How many steps to run in one go: to the next validation, sample or checkpoint, and not so long
 * that a signal would wait; one while it is not known how long that is. */
static uint32_t block_size(const struct mgpt_training *r)
{
    uint64_t step = r->progress.step;
    uint64_t end = mgpt_validation_next(&r->validation, step);
    end = up_to(step, mgpt_training_setting(r, "sample_every"), end);
    uint64_t n = up_to(step, mgpt_training_setting(r, "checkpoint_every"), end) - step;

    if (n > r->block.capacity)
        n = r->block.capacity;
    if (r->pace <= 0)
        n = 1;
    else if (r->pace * (double)n > 0.05)
        n = (uint64_t)(0.05 / r->pace);
    return n ? (uint32_t)n : 1;
}

static enum mgpt_status run_block(struct mgpt_training *r, struct mgpt_error *error)
{
    struct mgpt_step_result results[MGPT_STEP_RING];
    uint32_t n = block_size(r);
    double begun = mgpt_seconds();
    enum mgpt_status status = mgpt_block_fill(&r->block, &r->session, r->progress.step, n, error);

    if (status == MGPT_OK)
        status = mgpt_stepper_run(&r->stepper, r->block.inputs, n, results, error);
    if (status != MGPT_OK)
        return status;
    double seconds = mgpt_seconds() - begun;
    r->pace = seconds / n;
    r->spent.stepping += seconds;
    r->spent.steps += n;
    struct mgpt_event e = event(r, MGPT_EVENT_STEP, 0);
    /* All of the block has happened, whoever hears of it. */
    for (uint32_t i = 0; i < n && (status == MGPT_OK || r->unheard); i++) {
        e.step = ++r->progress.step;
        e.loss = results[i].loss;
        e.grad_norm = results[i].grad_norm;
        e.lr = r->block.lr[i];
        e.tokens_per_s = (double)r->block.targets / seconds;
        e.skipped = results[i].skipped;
        if (r->session.precision.scale_interval)
            e.loss_scale = results[i].loss_scale;
        struct mgpt_error *first = status == MGPT_OK ? error : NULL;
        enum mgpt_status told = heard(r, mgpt_loggers_event(&r->loggers, &e, first));
        status = status == MGPT_OK ? told : status;
        if (status == MGPT_OK)
            status = count_bad(r, &results[i], r->block.lr[i], error);
    }
    return status;
}

/* Once, when some seconds of steps show it: how long the rest will take. A run that is over by then
 * needs no telling. */
static void say_pace(struct mgpt_training *r)
{
    struct mgpt_string text = {0};

    if (r->told || r->spent.stepping < 5 || r->progress.step == r->total || r->spent.steps < 2)
        return;
    r->told = true;
    mgpt_time_left_say(&r->spent, &r->validation, r->progress.step, &text);
    if (!text.failed)
        mgpt_log(MGPT_LOG_INFO, "%s", text.data);
    mgpt_string_finish(&text);
}

/* Between blocks: what is due at this step. */
static enum mgpt_status settle(struct mgpt_training *r, struct mgpt_error *error)
{
    uint64_t step = r->progress.step, every = mgpt_training_setting(r, "checkpoint_every");
    uint64_t sampled = mgpt_training_setting(r, "sample_every");
    bool validates = mgpt_validation_due(&r->validation, &r->progress);
    bool peeks = sampled && step % sampled == 0 && r->spent.steps && step != r->total;
    enum mgpt_status status = peeks ? peek(r, error) : MGPT_OK;

    if (status == MGPT_OK && validates)
        status = validate(r, error);
    bool due = step == r->total || (every && step % every == 0) ||
               mgpt_validation_enough(&r->validation, &r->progress);

    /* A signal may have saved this step before its validation: then it is saved again. */
    if (r->saved == step)
        due = validates && step;
    if (status == MGPT_OK && (r->best || due))
        status = save(r, error);
    return status;
}

/* Fails with what came to pass and the command that goes on. */
static enum mgpt_status say_how_on(const struct mgpt_training *r, enum mgpt_status status,
                                   const char *text, struct mgpt_error *error)
{
    struct mgpt_string dir = {0};

    mgpt_shell_add(&dir, r->dir);
    mgpt_fail(error, status, "%s To go on: microgpt train --resume --dir %s", text,
              dir.failed ? "DIR" : dir.data);
    mgpt_string_finish(&dir);
    return status;
}

/* Saves, and says how to go on. */
static enum mgpt_status stop(struct mgpt_training *r, struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;
    char text[80];

    if (r->saved != r->progress.step || r->progress.step == 0)
        status = save(r, error);
    if (status != MGPT_OK)
        return status;
    (void)snprintf(text, sizeof text, "stopped after step %llu of %llu; saved.",
                   (unsigned long long)r->progress.step, (unsigned long long)r->total);
    return say_how_on(r, MGPT_CANCELED, text, error);
}

/* Nobody hears of the run any more, as in `train | head`: it ends, and what was trained is
 * saved. */
static enum mgpt_status keep(struct mgpt_training *r, struct mgpt_error *error)
{
    const struct mgpt_error why = *error;
    unsigned long long step = r->progress.step;
    char text[sizeof why.text + 80];
    struct mgpt_error cause;

    if (r->saved != r->progress.step &&
        mgpt_snapshot_write(&r->session, r->dir, &r->progress, r->best, &cause) != MGPT_OK)
        return mgpt_fail(error, MGPT_IO, "%s; step %llu could not be saved: %s", why.text, step,
                         cause.text);
    if (!step)
        return why.status;
    (void)snprintf(text, sizeof text, "%s; step %llu of %llu is saved.", why.text, step,
                   (unsigned long long)r->total);
    return say_how_on(r, MGPT_IO, text, error);
}

static enum mgpt_status say_enough(struct mgpt_training *r, struct mgpt_error *error)
{
    struct mgpt_event e = event(r, MGPT_EVENT_NOTE, r->progress.step);
    char text[160];

    (void)snprintf(text, sizeof text,
                   "stopped early, after step %llu: no validation loss below %.4f in %llu",
                   (unsigned long long)r->progress.step, r->progress.best_loss,
                   (unsigned long long)r->progress.stale);
    e.text = text;
    return heard(r, mgpt_loggers_event(&r->loggers, &e, error));
}

static void say_done(const struct mgpt_training *r)
{
    unsigned long long step = r->progress.step;

    if (step == r->total)
        mgpt_log(MGPT_LOG_INFO, "%s: all %llu steps are done; --steps %llu goes on to step %llu",
                 r->dir, step, 2 * step, 2 * step);
    else
        mgpt_log(MGPT_LOG_INFO,
                 "%s: stopped early, after step %llu; a larger [train] patience "
                 "goes on",
                 r->dir, step);
}

/* The samples at the end, all of the run is saved before. */
static enum mgpt_status finish(struct mgpt_training *r, struct mgpt_error *error)
{
    unsigned long long step = r->progress.step;
    enum mgpt_status status = print_samples(r, error);

    if (status != MGPT_CANCELED)
        return status;
    if (step == r->total)
        return mgpt_fail(error, MGPT_CANCELED,
                         "stopped while sampling; all %llu steps are done and saved", step);
    return mgpt_fail(error, MGPT_CANCELED,
                     "stopped while sampling; the run had stopped early, and step %llu is saved",
                     step);
}

static enum mgpt_status loop(struct mgpt_training *r, struct mgpt_error *error)
{
    bool enough = false;

    r->started = mgpt_seconds();
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
        if (status == MGPT_OK)
            say_pace(r);
    }
    if (status == MGPT_CANCELED) /* in a step or a validation, made anew when resumed */
        return stop(r, error);
    if (status == MGPT_OK && enough)
        status = say_enough(r, error);
    if (status == MGPT_OK)
        status = finish(r, error);
    return status == MGPT_OK ? heard(r, mgpt_loggers_flush(&r->loggers, error)) : status;
}

enum mgpt_status mgpt_train(const struct mgpt_train *options, struct mgpt_error *error)
{
    struct mgpt_training *r = calloc(1, sizeof *r);
    enum mgpt_status status;

    if (!r)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory");
    mgpt_stop_install();
    status = mgpt_training_open(r, options, error);
    mgpt_log_over_live(status == MGPT_OK);
    if (status == MGPT_OK && r->done)
        say_done(r);
    else if (status == MGPT_OK)
        status = loop(r, error);
    if (status == MGPT_IO && r->unheard)
        status = keep(r, error);
    mgpt_training_close(r);
    mgpt_log_over_live(false);
    free(r);
    return status;
}
