/* Validation during training: when it is due, what it says, and when it ends the run. */
#include <config.h>

#include <math.h>
#include <string.h>

#include "run/validation.h"

void mgpt_validation_read(struct mgpt_validation *v, const struct mgpt_conf *conf)
{
    v->every = (uint64_t)mgpt_conf_int(conf, "train", "val_every");
    v->total = (uint64_t)mgpt_conf_int(conf, "train", "steps");
    v->before = strcmp(mgpt_conf_text(conf, "train", "val_when"), "before") == 0;
    v->train = mgpt_conf_int(conf, "train", "val_train") != 0;
    v->patience = (uint64_t)mgpt_conf_int(conf, "train", "patience");
}

static bool is_moment(const struct mgpt_validation *v, uint64_t step)
{
    if (!v->every)
        return false;
    if (v->before)
        return step < v->total && (step % v->every == 0 || step == v->total - 1);
    return step && step % v->every == 0;
}

bool mgpt_validation_due(const struct mgpt_validation *v, const struct mgpt_progress *progress)
{
    return is_moment(v, progress->step) && progress->validated != progress->step + 1;
}

uint64_t mgpt_validation_next(const struct mgpt_validation *v, uint64_t step)
{
    uint64_t left = v->every ? v->every - step % v->every : v->total;
    uint64_t next = left < v->total - step ? step + left : v->total;

    if (v->every && v->before && step + 1 < v->total && next == v->total)
        next = v->total - 1;
    return next;
}

uint64_t mgpt_validation_left(const struct mgpt_validation *v, uint64_t step)
{
    if (!v->every || step >= v->total)
        return 0;
    if (!v->before)
        return v->total / v->every - step / v->every;
    uint64_t last = v->total - 1;
    return last / v->every - step / v->every + (last > step && last % v->every != 0);
}

bool mgpt_validation_enough(const struct mgpt_validation *v, const struct mgpt_progress *progress)
{
    return v->patience && progress->stale >= v->patience;
}

enum mgpt_status mgpt_validate(const struct mgpt_validation *v, struct mgpt_session *s,
                               struct mgpt_progress *progress, struct mgpt_event *event, bool *made,
                               bool *best, struct mgpt_error *error)
{
    struct mgpt_eval valid = {0}, train = {0};
    enum mgpt_status status = mgpt_evaluate(s, MGPT_PART_VALID, &valid, error);

    if (status == MGPT_OK && v->train)
        status = mgpt_evaluate(s, MGPT_PART_TRAIN_EVAL, &train, error);
    if (status != MGPT_OK)
        return status;
    progress->validated = progress->step + 1;
    *made = valid.targets > 0;
    if (!*made)
        return MGPT_OK;
    *best = valid.loss < progress->best_loss;
    progress->stale = *best ? 0 : progress->stale + 1;
    if (*best)
        progress->best_loss = valid.loss;
    event->val_loss = valid.loss;
    event->train_loss = train.targets ? train.loss : NAN;
    event->best_loss = progress->best_loss;
    return MGPT_OK;
}
