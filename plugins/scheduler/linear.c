/* Scheduler linear: a linear warmup, then a straight line from the base rate down to the floor.
 *
 *   step < warmup:  base (step + 1) / warmup
 *   then:           base - (base - floor) (step - warmup) / (total - warmup) */
#include <math.h>
#include <stdlib.h>

#include <microgpt/scheduler.h>

struct mgpt_scheduler {
    uint64_t warmup;
    double floor;
};

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_scheduler **scheduler, struct mgpt_error *error)
{
    struct mgpt_scheduler *s = malloc(sizeof *s);

    if (!s)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for scheduler linear");
    s->warmup = (uint64_t)host->get_int(config, "warmup");
    s->floor = host->get_float(config, "floor");
    *scheduler = s;
    return MGPT_OK;
}

static void destroy(struct mgpt_scheduler *scheduler)
{
    free(scheduler);
}

static double lr(const struct mgpt_scheduler *s, uint64_t step, uint64_t total, double base)
{
    double low = fmin(s->floor, base);

    if (step < s->warmup)
        return base * ((double)step + 1) / (double)s->warmup;
    return base - (base - low) * (double)(step - s->warmup) / (double)(total - s->warmup);
}

static const struct mgpt_option options[] = {
    {.key = "warmup",
     .value = "0",
     .help = "steps in which the rate grows to [train] lr",
     .unit = "steps",
     .min = 0,
     .max = INFINITY,
     .type = MGPT_OPTION_INT},
    {.key = "floor",
     .value = "0.0",
     .help = "rate that the end comes near to; [train] lr where that is lower",
     .min = 0,
     .max = INFINITY,
     .type = MGPT_OPTION_FLOAT},
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
    .name = "linear",
    .summary = "a straight line down to a floor, after a warmup",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.scheduler.linear", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
