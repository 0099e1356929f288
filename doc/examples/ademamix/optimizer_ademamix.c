/* Optimizer ademamix: AdamW with a second, far longer memory of gradients (Pagliardini, Ablin &
 * Grangier 2024, algorithm 1).
 *
 *   m = b1 m + (1 - b1) g        slow = b3 slow + (1 - b3) g        v = b2 v + (1 - b2) g^2
 *   p -= lr ((m / (1 - b1^t) + alpha slow) / (sqrt(v / (1 - b2^t)) + eps) + decay p)
 *
 * The slow mean would be wrong for long if it began at full strength: over `warmup` steps alpha
 * grows in a straight line, and b3 from b1 such that its half-life does. */
#include <math.h>
#include <stdlib.h>

#include <microgpt/optimizer.h>

/* clang-format off */
MGPT_RULE(ademamix, (m, slow, v), (lr, b1, c1, b2, c2, b3, c3, k1, k2, alpha, eps, decay),
    m = b1 * m + c1 * g;
    slow = b3 * slow + c3 * g;
    v = b2 * v + c2 * g * g;
    p -= lr * ((m * k1 + alpha * slow) / (sqrt(v * k2) + eps) + decay * p);)
/* clang-format on */

struct mgpt_optimizer {
    double beta1, beta2, beta3, alpha, eps, warmup;
};

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_optimizer **optimizer, struct mgpt_error *error)
{
    struct mgpt_optimizer *o = calloc(1, sizeof *o);

    if (!o)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for optimizer ademamix");
    o->beta1 = host->get_float(config, "beta1");
    o->beta2 = host->get_float(config, "beta2");
    o->beta3 = host->get_float(config, "beta3");
    o->alpha = host->get_float(config, "alpha");
    o->eps = host->get_float(config, "eps");
    o->warmup = (double)host->get_int(config, "warmup");
    *optimizer = o;
    if (o->beta3 >= o->beta1)
        return MGPT_OK;
    free(o);
    return mgpt_fail(error, MGPT_CONFIG, "beta3 = %g: expected at least beta1 = %g",
                     host->get_float(config, "beta3"), host->get_float(config, "beta1"));
}

static void destroy(struct mgpt_optimizer *o)
{
    free(o);
}

/* ln(0.5) / ln(b) is the half-life of b; it goes in a straight line from that of b1 to that of
 * b3. */
static double beta3_at(const struct mgpt_optimizer *o, double x)
{
    if (x >= 1 || o->beta1 <= 0)
        return o->beta3;
    double l1 = log(o->beta1), l3 = log(o->beta3);
    return exp(l1 * l3 / ((1 - x) * l3 + x * l1));
}

static void scalars(const struct mgpt_optimizer *o, const struct mgpt_tick *tick, double *h)
{
    double t = (double)tick->step + 1, warmup = o->warmup > 0 ? o->warmup : (double)tick->total;
    double x = fmin(t / fmax(warmup, 1), 1), beta3 = beta3_at(o, x);

    h[0] = tick->lr;
    h[1] = o->beta1, h[2] = 1 - o->beta1;
    h[3] = o->beta2, h[4] = 1 - o->beta2;
    h[5] = beta3, h[6] = 1 - beta3;
    h[7] = 1 / (1 - pow(o->beta1, t));
    h[8] = 1 / (1 - pow(o->beta2, t));
    h[9] = o->alpha * x;
    h[10] = o->eps;
    h[11] = tick->weight_decay;
}

static const struct mgpt_option options[] = {
    {"beta1", "0.9", "of the mean of gradients, kept a step", NULL, 0, 0.9999999, NULL,
     MGPT_OPTION_FLOAT, 0},
    {"beta2", "0.95", "of the mean of squares, kept a step", NULL, 0, 0.9999999, NULL,
     MGPT_OPTION_FLOAT, 0},
    {"beta3", "0.999", "of the slow mean of gradients, kept a step", NULL, 0, 0.9999999, NULL,
     MGPT_OPTION_FLOAT, 0},
    {"alpha", "3.0", "weight of the slow mean", NULL, 0, 100, NULL, MGPT_OPTION_FLOAT, 0},
    {"eps", "1e-8", "added to the root, so that nothing is divided by 0", NULL, 1e-30, 1, NULL,
     MGPT_OPTION_FLOAT, 0},
    {"warmup", "0", "of alpha and beta3; 0: the whole run", "steps", 0, 1e12, NULL, MGPT_OPTION_INT,
     0},
};

static const struct mgpt_optimizer_api api = {
    .size = sizeof api,
    .rule = &ademamix,
    .create = create,
    .destroy = destroy,
    .scalars = scalars,
};

static const struct mgpt_component component = {
    .size = sizeof component,
    MGPT_OPTIONS(options),
    .kind = MGPT_KIND_OPTIMIZER,
    .name = "ademamix",
    .summary = "AdamW with a second, far longer memory of gradients",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.examples.ademamix", "1.0.0", "MIT", "The microgpt authors", NULL,
                   &component)
