/* Validation during training: when it is due, what it says, and when it ends the run. */
#ifndef MGPT_RUN_VALIDATION_H
#define MGPT_RUN_VALIDATION_H

#include <stdbool.h>

#include <microgpt/logger.h>

#include "run/eval.h"
#include "run/snapshot.h"

/* The settings of [train]. Steps are counted as completed, so that BEFORE the update of step N,
 * from 0, and AFTER N steps are the same moment, N; the two differ in which moments there are. */
struct mgpt_validation {
    uint64_t every, total; /* every 0: never */
    bool before;       /* at 0, every, ... below total, and at total - 1; else every, ... total */
    bool train;        /* look at the training part too */
    uint64_t patience; /* validations in a row without a better loss that end the run; 0: none */
};

void mgpt_validation_read(struct mgpt_validation *v, const struct mgpt_conf *conf);

/* Is there a validation after `step` completed steps that the run has not made yet? */
bool mgpt_validation_due(const struct mgpt_validation *v, const struct mgpt_progress *progress);
/* The first moment after `step` at which one is due, or `total`. */
uint64_t mgpt_validation_next(const struct mgpt_validation *v, uint64_t step);
/* How many are due after `step` until the end, if patience does not run out. */
uint64_t mgpt_validation_left(const struct mgpt_validation *v, uint64_t step);
/* Has the patience run out? */
bool mgpt_validation_enough(const struct mgpt_validation *v, const struct mgpt_progress *progress);

/* Evaluates; fills val_loss, train_loss and best_loss of the event, and notes in `progress` what a
 * resumed run must know. *best: this is the lowest loss so far. *made: there was data to
 * validate on. MGPT_CANCELED after a signal: then nothing was noted. */
enum mgpt_status mgpt_validate(const struct mgpt_validation *v, struct mgpt_session *s,
                               struct mgpt_progress *progress, struct mgpt_event *event, bool *made,
                               bool *best, struct mgpt_error *error);

#endif
