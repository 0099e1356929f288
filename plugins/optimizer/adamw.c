/* Optimizer adamw: Adam (Kingma & Ba 2015, algorithm 1) with decoupled weight decay (Loshchilov &
 * Hutter 2019, algorithm 2, the decay times lr). At step t = 1, 2, ...
 *
 *   m = beta1 m + (1 - beta1) g            v = beta2 v + (1 - beta2) g^2
 *   p = p - lr (m k1 / (sqrt(v k2) + eps) + decay p)
 *   k1 = 1 / (1 - beta1^t)                 k2 = 1 / (1 - beta2^t) */
#include <math.h>
#include <stdlib.h>

#include <microgpt/optimizer.h>

/* clang-format off */
MGPT_RULE(adamw, (m, v), (lr, b1, c1, b2, c2, k1, k2, eps, decay),
    m = b1 * m + c1 * g;
    v = b2 * v + c2 * g * g;
    p -= lr * (m * k1 / (sqrt(v * k2) + eps) + decay * p);)
/* clang-format on */

struct mgpt_optimizer {
    double beta1, beta2, eps;
};

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_optimizer **optimizer, struct mgpt_error *error)
{
    struct mgpt_optimizer *o = malloc(sizeof *o);

    if (!o)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for optimizer adamw");
    o->beta1 = host->get_float(config, "beta1");
    o->beta2 = host->get_float(config, "beta2");
    o->eps = host->get_float(config, "eps");
    *optimizer = o;
    return MGPT_OK;
}

static void destroy(struct mgpt_optimizer *optimizer)
{
    free(optimizer);
}

static void scalars(const struct mgpt_optimizer *o, const struct mgpt_tick *tick, double *h)
{
    double t = (double)tick->step + 1;

    h[0] = tick->lr;
    h[1] = o->beta1;
    h[2] = 1 - o->beta1;
    h[3] = o->beta2;
    h[4] = 1 - o->beta2;
    h[5] = 1 / (1 - pow(o->beta1, t));
    h[6] = 1 / (1 - pow(o->beta2, t));
    h[7] = o->eps;
    h[8] = tick->weight_decay;
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
