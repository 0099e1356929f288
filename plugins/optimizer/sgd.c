/* Optimizer sgd: gradient descent with momentum (Polyak 1964) or Nesterov's (Sutskever et al. 2013,
 * in the form without a shifted p that PyTorch made common), and decoupled weight decay (Loshchilov
 * & Hutter 2019, algorithm 1, the decay times lr).
 *
 *   m = momentum m + g
 *   p = p - lr (m + decay p)                    plain
 *   p = p - lr (g + momentum m + decay p)       nesterov
 *
 * The rule has both as u = a g + b m. Without momentum m is just g. */
#include <stdlib.h>

#include <microgpt/optimizer.h>

/* clang-format off */
MGPT_RULE(sgd, (m), (lr, momentum, a, b, decay),
    m = momentum * m + g;
    p -= lr * (a * g + b * m + decay * p);)
/* clang-format on */

struct mgpt_optimizer {
    double momentum;
    int nesterov;
};

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_optimizer **optimizer, struct mgpt_error *error)
{
    struct mgpt_optimizer *o = malloc(sizeof *o);

    if (!o)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for optimizer sgd");
    o->momentum = host->get_float(config, "momentum");
    o->nesterov = host->get_int(config, "nesterov") != 0;
    *optimizer = o;
    return MGPT_OK;
}

static void destroy(struct mgpt_optimizer *optimizer)
{
    free(optimizer);
}

static void scalars(const struct mgpt_optimizer *o, const struct mgpt_tick *tick, double *h)
{
    h[0] = tick->lr;
    h[1] = o->momentum;
    h[2] = o->nesterov ? 1 : 0;
    h[3] = o->nesterov ? o->momentum : 1;
    h[4] = tick->weight_decay;
}

static const struct mgpt_option options[] = {
    {.key = "momentum",
     .value = "0.0",
     .help = "share of the last direction that a step keeps",
     .min = 0,
     .max = 0.9999999,
     .type = MGPT_OPTION_FLOAT},
    {.key = "nesterov",
     .value = "false",
     .help = "look ahead along the momentum",
     .type = MGPT_OPTION_BOOL},
};

static const struct mgpt_optimizer_api api = {
    .size = sizeof api,
    .rule = &sgd,
    .create = create,
    .destroy = destroy,
    .scalars = scalars,
};

static const struct mgpt_component component = {
    .size = sizeof component,
    MGPT_OPTIONS(options),
    .kind = MGPT_KIND_OPTIMIZER,
    .name = "sgd",
    .summary = "gradient descent with momentum",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.optimizer.sgd", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
