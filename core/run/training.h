/* A training run while it lasts: opened from the configuration, from the start or from a
 * checkpoint. */
#ifndef MGPT_RUN_TRAINING_H
#define MGPT_RUN_TRAINING_H

#include "run/block.h"
#include "run/generate.h"
#include "run/loggers.h"
#include "run/snapshot.h"
#include "run/step.h"
#include "run/time_left.h"
#include "run/train.h"

/* Zero-initialise. */
struct mgpt_training {
    struct mgpt_session session;
    struct mgpt_generator generator;
    struct mgpt_conf *conf;
    char *dir, *checkpoint; /* the run's folder; what it resumes from, or NULL */
    int lock;               /* on the folder while it is ours; or -1 */
    struct mgpt_stepper stepper;
    struct mgpt_loggers loggers;
    struct mgpt_block block;
    struct mgpt_progress progress;
    struct mgpt_validation validation;
    uint64_t total, saved; /* steps of the run; those of the newest checkpoint */
    uint64_t bad;          /* steps skipped in a row */
    double started, pace;  /* seconds: the clock at the start, one step lately */
    struct mgpt_spent spent;
    bool told;    /* how long it will take */
    bool best;    /* the parameters have the lowest validation loss, and are not saved yet */
    bool unheard; /* a logger could not write */
    bool done;    /* when it was opened: nothing is left to do, and no logger is open */
};

/* The part of opening that decides: the session up to the table of parameters. Nothing is allocated
 * on the device, no folder locked or made. Close it in any case. */
enum mgpt_status mgpt_training_prepare(struct mgpt_training *r, const struct mgpt_train *options,
                                       struct mgpt_error *error);
/* Close it in any case. */
enum mgpt_status mgpt_training_open(struct mgpt_training *r, const struct mgpt_train *options,
                                    struct mgpt_error *error);
void mgpt_training_close(struct mgpt_training *r);

/* A number of section [train]. */
uint64_t mgpt_training_setting(const struct mgpt_training *r, const char *key);

#endif
