/* Optimizer adamw: Adam with decoupled weight decay, for every parameter. adamw.h has the
 * formulas. */
#include <stdlib.h>

#include "adamw.h"

struct mgpt_optimizer {
    struct adamw adamw;
};

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_optimizer **optimizer, struct mgpt_error *error)
{
    struct mgpt_optimizer *o = malloc(sizeof *o);

    if (!o)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for optimizer adamw");
    o->adamw.beta1 = host->get_float(config, "beta1");
    o->adamw.beta2 = host->get_float(config, "beta2");
    o->adamw.eps = host->get_float(config, "eps");
    *optimizer = o;
    return MGPT_OK;
}

static void destroy(struct mgpt_optimizer *optimizer)
{
    free(optimizer);
}

static void scalars(const struct mgpt_optimizer *o, const struct mgpt_tick *tick, double *h)
{
    adamw_scalars(&o->adamw, tick, h);
}

static const struct mgpt_option options[] = {
    {.key = "beta1",
     .value = "0.9",
     .help = "share of the old mean of the gradient that a step keeps",
     .min = 0,
     .max = 0.9999999,
     .type = MGPT_OPTION_FLOAT},
    {.key = "beta2",
     .value = "0.95",
     .help = "share of the old mean of the squared gradient that a step keeps",
     .min = 0,
     .max = 0.9999999,
     .type = MGPT_OPTION_FLOAT},
    {.key = "eps",
     .value = "1e-8",
     .help = "added to the divisor, so that it is never 0",
     .min = 1e-30,
     .max = 1,
     .type = MGPT_OPTION_FLOAT},
};

static const struct mgpt_optimizer_api api = {
    .size = sizeof api,
    .rule = &adamw,
    .create = create,
    .destroy = destroy,
    .scalars = scalars,
};

static const struct mgpt_component component = {
    .size = sizeof component,
    MGPT_OPTIONS(options),
    .kind = MGPT_KIND_OPTIMIZER,
    .name = "adamw",
    .summary = "Adam with decoupled weight decay",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.optimizer.adamw", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
