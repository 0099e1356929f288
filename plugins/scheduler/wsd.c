/* Scheduler wsd: warmup, stable, decay (Hu et al. 2024, "MiniCPM", section 4.2). The rate grows in
 * a straight line, stays at the base, and falls to the floor in the last D steps: in a straight
 * line or, steeper at first, as 1 - sqrt (Hagele et al. 2024, "Scaling Laws and Compute-Optimal
 * Training Beyond Fixed Training Durations").
 *
 *   step < warmup:         base (step + 1) / warmup
 *   then, to total - D:    base
 *   then:                  base - (base - floor) x^a,  x = (step - total + D) / D,  a = 1 or 1/2
 *
 * D is `decay` steps, or that share of the run's where it is at most 1; a warmup that reaches into
 * the decay shortens it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <microgpt/scheduler.h>

struct mgpt_scheduler {
    uint64_t warmup;
    double decay, floor;
    int root; /* 1 - sqrt */
};

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_scheduler **scheduler, struct mgpt_error *error)
{
    struct mgpt_scheduler *s = malloc(sizeof *s);

    if (!s)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for scheduler wsd");
    s->warmup = (uint64_t)host->get_int(config, "warmup");
    s->decay = host->get_float(config, "decay");
    s->floor = host->get_float(config, "floor");
    s->root = strcmp(host->get_text(config, "shape"), "sqrt") == 0;
    *scheduler = s;
    return MGPT_OK;
}

static void destroy(struct mgpt_scheduler *scheduler)
{
    free(scheduler);
}

static double lr(const struct mgpt_scheduler *s, uint64_t step, uint64_t total, double base)
{
    double low = fmin(s->floor, base), all = (double)total;
    double last = fmin(all, floor(s->decay <= 1 ? s->decay * all : s->decay));
    double start = fmax(all - last, (double)s->warmup), at = (double)step;

    if (step < s->warmup)
        return base * (at + 1) / (double)s->warmup;
    if (at <= start)
        return base;
    double x = (at - start) / (all - start);
    return base - (base - low) * (s->root ? sqrt(x) : x);
}

static const char *const shapes[] = {"linear", "sqrt", NULL};
static const struct mgpt_option options[] = {
    {.key = "warmup",
     .value = "0",
     .help = "steps in which the rate grows to [train] lr",
     .unit = "steps",
     .min = 0,
     .max = INFINITY,
     .type = MGPT_OPTION_INT},
    {.key = "decay",
     .value = "0.1",
     .help = "last part of the run, in which the rate falls: a share of it, or, above 1, steps",
     .min = 0,
     .max = INFINITY,
     .type = MGPT_OPTION_FLOAT},
    {.key = "shape",
     .value = "linear",
     .help = "how it falls: linear, or sqrt: as 1 - sqrt, steep at first",
     .choices = shapes,
     .type = MGPT_OPTION_ENUM},
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
    .name = "wsd",
    .summary = "a warmup, a plain, and a fall to a floor at the end",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.scheduler.wsd", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
