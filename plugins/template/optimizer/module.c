/* Optimizer my-name: steps divided by the root mean square of recent gradients, with momentum
 * (RMSprop: Tieleman & Hinton 2012, lecture 6.5; weight decay as in Loshchilov & Hutter 2019). */
#include <math.h>
#include <stdlib.h>

#include <microgpt/optimizer.h>

/* Once, for one element: microgpt makes functions of it for the host and a program for a GPU.
 * p: the parameter, g: its gradient, m and v: state that starts at 0; the rest are scalars
 * below. */
/* clang-format off */
MGPT_RULE(rule_my_name, (m, v), (lr, mu, b, c, correction, eps, decay),
    v = b * v + c * g * g;
    m = mu * m + g / (sqrt(v * correction) + eps);
    p -= lr * (m + decay * p);)
/* clang-format on */

struct mgpt_optimizer {
    double momentum, beta, eps;
};

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_optimizer **optimizer, struct mgpt_error *error)
{
    struct mgpt_optimizer *o = (struct mgpt_optimizer *)calloc(1, sizeof *o);

    if (!o)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for optimizer my-name");
    o->momentum = host->get_float(config, "momentum");
    o->beta = host->get_float(config, "beta");
    o->eps = host->get_float(config, "eps");
    *optimizer = o;
    return MGPT_OK;
}

static void destroy(struct mgpt_optimizer *o)
{
    free(o);
}

/* The scalars of the rule, in its order. The mean of squares starts at 0 and so is too small at
 * first: `correction` divides by what its weights add up to. */
static void scalars(const struct mgpt_optimizer *o, const struct mgpt_tick *tick, double *h)
{
    h[0] = tick->lr;
    h[1] = o->momentum;
    h[2] = o->beta;
    h[3] = 1 - o->beta;
    h[4] = 1 / (1 - pow(o->beta, (double)tick->step + 1));
    h[5] = o->eps;
    h[6] = tick->weight_decay;
}

/* key, default, help, unit, least, most (both 0: no limit), choices, type, 0 */
static const struct mgpt_option options[] = {
    {"momentum", "0.9", "of an update, kept for the next", NULL, 0, 0.9999, NULL, MGPT_OPTION_FLOAT,
     0},
    {"beta", "0.99", "of the mean of squares, kept a step", NULL, 0, 0.9999, NULL,
     MGPT_OPTION_FLOAT, 0},
    {"eps", "1e-8", "added to the root, so that nothing is divided by 0", NULL, 1e-30, 1, NULL,
     MGPT_OPTION_FLOAT, 0},
};

static const struct mgpt_optimizer_api api = {
    .size = sizeof api,
    .rule = &rule_my_name,
    .create = create,
    .destroy = destroy,
    .scalars = scalars,
};

static const struct mgpt_component component = {
    .size = sizeof component,
    .n_options = sizeof options / sizeof options[0],
    .option_size = sizeof options[0],
    .kind = MGPT_KIND_OPTIMIZER,
    .name = "my-name",
    .summary = "RMSprop with momentum and weight decay",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.example.my-name", "0.1.0", "LicenseRef-none-yet", "YOUR NAME", NULL,
                   &component)
