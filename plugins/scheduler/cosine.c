/* Scheduler cosine: a linear warmup, then half a cosine from the base rate down to the floor
 * (Loshchilov & Hutter 2017, equation 5, without restarts).
 *
 *   step < warmup:  base (step + 1) / warmup
 *   then:           floor + 0.5 (1 + cos(pi (step - warmup) / (total - warmup))) (base - floor) */
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
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for scheduler cosine");
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
    const double pi = 3.14159265358979323846;
    double low = fmin(s->floor, base);

    if (step < s->warmup)
        return base * ((double)step + 1) / (double)s->warmup;
    double done = (double)(step - s->warmup), all = (double)(total - s->warmup);
    return low + 0.5 * (1 + cos(pi * done / all)) * (base - low);
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
    .name = "cosine",
    .summary = "half a cosine down to a floor, after a warmup",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.scheduler.cosine", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
