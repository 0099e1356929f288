/* Optimizer lion: the sign of a mean of gradients (Chen et al. 2023, "Symbolic Discovery of
 * Optimization Algorithms", algorithm 2), with decoupled weight decay, the decay times lr.
 *
 *   u = beta1 m + (1 - beta1) g
 *   p = p - lr (sign(u) + decay p)
 *   m = beta2 m + (1 - beta2) g
 *
 * Every element moves by lr, so the paper takes an lr 3 to 10 times smaller than Adam's, and a
 * weight decay as many times larger. */
#include <stdlib.h>

#include <microgpt/optimizer.h>

/* clang-format off */
MGPT_RULE(lion, (m), (lr, b1, c1, b2, c2, decay),
    const real u = b1 * m + c1 * g;
    p -= lr * ((real)((u > 0) - (u < 0)) + decay * p);
    m = b2 * m + c2 * g;)
/* clang-format on */

struct mgpt_optimizer {
    double beta1, beta2;
};

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_optimizer **optimizer, struct mgpt_error *error)
{
    struct mgpt_optimizer *o = malloc(sizeof *o);

    if (!o)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for optimizer lion");
    o->beta1 = host->get_float(config, "beta1");
    o->beta2 = host->get_float(config, "beta2");
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
    h[1] = o->beta1;
    h[2] = 1 - o->beta1;
    h[3] = o->beta2;
    h[4] = 1 - o->beta2;
    h[5] = tick->weight_decay;
}

static const struct mgpt_option options[] = {
    {.key = "beta1",
     .value = "0.9",
     .help = "share of the mean of the gradient in the direction of a step",
     .min = 0,
     .max = 0.9999999,
     .type = MGPT_OPTION_FLOAT},
    {.key = "beta2",
     .value = "0.99",
     .help = "share of the old mean of the gradient that a step keeps",
     .min = 0,
     .max = 0.9999999,
     .type = MGPT_OPTION_FLOAT},
};

static const struct mgpt_optimizer_api api = {
    .size = sizeof api,
    .rule = &lion,
    .create = create,
    .destroy = destroy,
    .scalars = scalars,
};

static const struct mgpt_component component = {
    .size = sizeof component,
    MGPT_OPTIONS(options),
    .kind = MGPT_KIND_OPTIMIZER,
    .name = "lion",
    .summary = "the sign of a mean of gradients",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.optimizer.lion", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
