/* Optimizer ademamix: three steps by hand, what it is without the slow mean, and its warmup. */
#include <microgpt/optimizer.h>

#include "host.h"

static const struct mgpt_optimizer_api *api;
static struct mgpt_error error;

static struct mgpt_optimizer *make(void)
{
    struct mgpt_optimizer *o = NULL;
    CHECK_STATUS(api->create(&host, NULL, &o, &error), MGPT_OK, error);
    return o;
}

/* Three steps on one element with gradients 1, -2, 0.5 and alpha in full, by the paper's lines. */
static double by_hand(double beta3, double alpha, double lr, double decay)
{
    const double gradients[] = {1, -2, 0.5};
    double p = 1, m = 0, slow = 0, v = 0;

    for (int t = 1; t <= 3; t++) {
        double g = gradients[t - 1];
        m = 0.9 * m + 0.1 * g;
        slow = beta3 * slow + (1 - beta3) * g;
        v = 0.95 * v + 0.05 * g * g;
        double m_hat = m / (1 - pow(0.9, t)), v_hat = v / (1 - pow(0.95, t));
        p -= lr * ((m_hat + alpha * slow) / (sqrt(v_hat) + 1e-8) + decay * p);
    }
    return p;
}

static double by_rule(const char *beta3, const char *alpha, double lr, double decay)
{
    const double gradients[] = {1, -2, 0.5};
    double p = 1, s[3] = {0}, *state[] = {&s[0], &s[1], &s[2]}, h[MGPT_MAX_SCALARS];

    set("beta3", beta3);
    set("alpha", alpha);
    set("warmup", "1");
    struct mgpt_optimizer *o = make();
    for (uint64_t step = 0; step < 3; step++) {
        const struct mgpt_tick tick = {step, 100, lr, decay};
        double g = 4 * gradients[step]; /* carries a loss scale of 4 */
        api->scalars(o, &tick, h);
        api->rule->f64(1, &p, &g, state, h, 0.25);
    }
    api->destroy(o);
    return p;
}

/* b3 begins near b1 and ends at beta3, alpha at 0 and its value; both only grow. */
static void warms_up(void)
{
    double h[MGPT_MAX_SCALARS], b3 = 0.9, alpha = 0;

    set("beta3", "0.999");
    set("alpha", "3");
    set("warmup", "0");
    struct mgpt_optimizer *o = make();
    for (uint64_t step = 0; step < 1000; step++) {
        const struct mgpt_tick tick = {step, 1000, 1e-3, 0};
        api->scalars(o, &tick, h);
        CHECK(h[5] >= b3 && h[5] <= 0.999 && h[9] > alpha && fabs(h[5] + h[6] - 1) < 1e-12);
        b3 = h[5], alpha = h[9];
        if (step == 499) /* the half-life is half way */
            CHECK(fabs(1 / log(b3) - 0.5 * (1 / log(0.9) + 1 / log(0.999))) < 1e-9);
    }
    CHECK(fabs(b3 - 0.999) < 1e-12 && fabs(alpha - 3) < 1e-12);
    api->destroy(o);
}

int main(int argc, char **argv)
{
    struct mgpt_optimizer *o = NULL;

    load(argc > 1 ? argv[1] : NULL, MGPT_KIND_OPTIMIZER);
    api = component->api;
    CHECK_NEAR(by_rule("0.99", "2", 0.1, 0.5), by_hand(0.99, 2, 0.1, 0.5), 1e-12);
    CHECK_NEAR(by_rule("0.99", "0", 0.1, 0), by_hand(0.99, 0, 0.1, 0), 1e-12);
    warms_up();
    set("beta3", "0.5");
    CHECK(api->create(&host, NULL, &o, &error) == MGPT_CONFIG && strstr(error.text, "beta1"));
    api->destroy(NULL);
    puts("check: optimizer ademamix is sound");
    return 0;
}
