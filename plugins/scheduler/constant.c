/* Scheduler constant: the base rate at every step, after a linear warmup where one is wanted.
 *
 *   step < warmup:  base (step + 1) / warmup */
#include <math.h>
#include <stdlib.h>

#include <microgpt/scheduler.h>

struct mgpt_scheduler {
    uint64_t warmup;
};

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_scheduler **scheduler, struct mgpt_error *error)
{
    struct mgpt_scheduler *s = malloc(sizeof *s);

    if (!s)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for scheduler constant");
    s->warmup = (uint64_t)host->get_int(config, "warmup");
    *scheduler = s;
    return MGPT_OK;
}

static void destroy(struct mgpt_scheduler *scheduler)
{
    free(scheduler);
}

static double lr(const struct mgpt_scheduler *s, uint64_t step, uint64_t total, double base)
{
    (void)total;
    return step < s->warmup ? base * ((double)step + 1) / (double)s->warmup : base;
}

static const struct mgpt_option options[] = {
    {.key = "warmup",
     .value = "0",
     .help = "steps in which the rate grows to [train] lr",
     .unit = "steps",
     .min = 0,
     .max = INFINITY,
     .type = MGPT_OPTION_INT},
};

static const struct mgpt_scheduler_api api = {
    .size = sizeof api,
    .create = create,
    .destroy = destroy,
    .lr = lr,
};

static const struct mgpt_component component = {
    .size = sizeof component,
    MGPT_OPTIONS(options),
    .kind = MGPT_KIND_SCHEDULER,
    .name = "constant",
    .summary = "the same rate at every step, after a warmup",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.scheduler.constant", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
