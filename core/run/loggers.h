/* The loggers of a run: every event goes to each. */
#ifndef MGPT_RUN_LOGGERS_H
#define MGPT_RUN_LOGGERS_H

#include <microgpt/logger.h>

#include "conf/conf.h"

#define MGPT_MAX_LOGGERS 8

/* Zero-initialise. */
struct mgpt_loggers {
    const struct mgpt_logger_api *api[MGPT_MAX_LOGGERS];
    struct mgpt_logger *it[MGPT_MAX_LOGGERS];
    int n;
};

/* Opens the modules that [logger] use lists. */
enum mgpt_status mgpt_loggers_open(struct mgpt_loggers *loggers, struct mgpt_conf *conf,
                                   struct mgpt_registry *registry, const struct mgpt_run_info *run,
                                   struct mgpt_error *error);
void mgpt_loggers_close(struct mgpt_loggers *loggers);
/* Each hears of it; returns the first failure. */
enum mgpt_status mgpt_loggers_event(struct mgpt_loggers *loggers, const struct mgpt_event *event,
                                    struct mgpt_error *error);
enum mgpt_status mgpt_loggers_flush(struct mgpt_loggers *loggers, struct mgpt_error *error);

#endif
