/* Training: steps, validation, metrics, checkpoints, samples; from the start or from a checkpoint.
 */
#ifndef MGPT_RUN_TRAIN_H
#define MGPT_RUN_TRAIN_H

#include <stdbool.h>

#include "conf/conf.h"
#include "plugin/registry.h"

struct mgpt_train {
    struct mgpt_conf *conf;
    struct mgpt_registry *registry;
    const char *config_path; /* the INI in use, or NULL */
    bool resume;             /* go on from the run's latest checkpoint */
};

/* MGPT_CANCELED after a signal: the run was saved, and `error` says how to go on. */
enum mgpt_status mgpt_train(const struct mgpt_train *options, struct mgpt_error *error);

#endif
