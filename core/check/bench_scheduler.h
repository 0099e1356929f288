/* A scheduler with its settings, for checks. */
#ifndef MGPT_CHECK_BENCH_SCHEDULER_H
#define MGPT_CHECK_BENCH_SCHEDULER_H

#include <microgpt/scheduler.h>

#include "check/check.h"

static inline struct mgpt_scheduler *scheduler_bench_make(const struct mgpt_component *component,
                                                          const char *warmup, const char *floor)
{
    const struct mgpt_scheduler_api *api = component->api;
    struct mgpt_config *config =
        mgpt_check_settings(component, "warmup", warmup, "floor", floor, NULL);
    struct mgpt_scheduler *scheduler = NULL;

    check_ok(api->create(mgpt_host(), config, &scheduler, error));
    mgpt_config_destroy(config); /* what it needs it has read */
    return scheduler;
}

#endif
