/* Scheduler my-name: a straight line up, then down by a power of what is left of the run.
 *
 *   step < warmup:  lr (step + 1) / warmup
 *   after it:       floor + (lr - floor) (1 - x)^power,  x from 0 to 1 over the rest of the run
 * Power 1 is a straight line; 2 falls fast and ends gently. */
#include <math.h>
#include <stdlib.h>

#include <microgpt/scheduler.h>

struct mgpt_scheduler {
    double warmup, floor, power;
};

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_scheduler **scheduler, struct mgpt_error *error)
{
    struct mgpt_scheduler *s = (struct mgpt_scheduler *)calloc(1, sizeof *s);

    if (!s)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for scheduler my-name");
    s->warmup = (double)host->get_int(config, "warmup");
    s->floor = host->get_float(config, "floor");
    s->power = host->get_float(config, "power");
    *scheduler = s;
    return MGPT_OK;
}

static void destroy(struct mgpt_scheduler *s)
{
    free(s);
}

/* Pure: the same arguments give the same rate, so a resumed run needs no state. */
static double lr(const struct mgpt_scheduler *s, uint64_t step, uint64_t total, double base)
{
    double t = (double)step, floor = fmin(s->floor, base);

    if (t < s->warmup)
        return base * (t + 1) / s->warmup;
    double x = (t - s->warmup) / fmax((double)total - s->warmup, 1);
    return floor + (base - floor) * pow(1 - x, s->power);
}

/* key, default, help, unit, least, most (both 0: no limit), choices, type, 0 */
static const struct mgpt_option options[] = {
    {"warmup", "0", "steps of the rise", "steps", 0, 1e15, NULL, MGPT_OPTION_INT, 0},
    {"floor", "0.0", "rate that the end comes near to", NULL, 0, 1e9, NULL, MGPT_OPTION_FLOAT, 0},
    {"power", "2.0", "of the fall", NULL, 0, 100, NULL, MGPT_OPTION_FLOAT, 0},
};

static const struct mgpt_scheduler_api api = {
    .size = sizeof api, .create = create, .destroy = destroy, .lr = lr};

static const struct mgpt_component component = {
    .size = sizeof component,
    .n_options = sizeof options / sizeof options[0],
    .option_size = sizeof options[0],
    .kind = MGPT_KIND_SCHEDULER,
    .name = "my-name",
    .summary = "a straight line up, then down by a power",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.example.my-name", "0.1.0", "LicenseRef-none-yet", "YOUR NAME", NULL,
                   &component)
