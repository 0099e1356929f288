/* The rule of optimizer my-name: by hand, in both formats, and downhill. */
#include <microgpt/optimizer.h>

#include "host.h"

static const struct mgpt_optimizer_api *api;
static struct mgpt_optimizer *optimizer;

/* The scalars of step `step`. */
static const double *at(uint64_t step, double lr, double decay)
{
    static double h[MGPT_MAX_SCALARS];
    const struct mgpt_tick tick = {step, 100, lr, decay};

    api->scalars(optimizer, &tick, h);
    for (uint32_t i = 0; i < api->rule->n_scalars; i++)
        CHECK(isfinite(h[i]));
    return h;
}

/* At first the mean of squares is g^2, so an element moves by lr, and by lr decay p. */
static void first_step_is_lr_along_the_sign(void)
{
    double p[3] = {1, 1, 1}, g[3] = {4, -2, 0}, m[3] = {0}, v[3] = {0}, *state[] = {m, v};

    api->rule->f64(3, p, g, state, at(0, 0.1, 0.5), 0.25);
    CHECK_NEAR(p[0], 1 - 0.1 - 0.05, 1e-6);
    CHECK_NEAR(p[1], 1 + 0.1 - 0.05, 1e-6);
    CHECK_NEAR(p[2], 1 - 0.05, 1e-12);
}

/* f(p) = sum of (p - i)^2 / 2, from 0, in float and in double. */
static void both_formats_go_downhill_alike(void)
{
    enum { N = 17 };
    float p[N] = {0}, g[N], m[N] = {0}, v[N] = {0}, *state[] = {m, v};
    double P[N] = {0}, G[N], M[N] = {0}, V[N] = {0}, *State[] = {M, V};

    for (uint64_t step = 0; step < 300; step++) {
        for (int i = 0; i < N; i++) {
            g[i] = p[i] - (float)i;
            G[i] = P[i] - i;
        }
        api->rule->f32(N, p, g, state, at(step, 0.02, 0), 1);
        api->rule->f64(N, P, G, State, at(step, 0.02, 0), 1);
    }
    for (int i = 0; i < N; i++) {
        CHECK_NEAR((double)p[i], P[i], 0.05);
        CHECK_NEAR(P[i], i, 0.5);
    }
}

int main(int argc, char **argv)
{
    struct mgpt_error error;

    load(argc > 1 ? argv[1] : NULL, MGPT_KIND_OPTIMIZER);
    api = (const struct mgpt_optimizer_api *)component->api;
    CHECK_STATUS(api->create(&host, NULL, &optimizer, &error), MGPT_OK, error);
    first_step_is_lr_along_the_sign();
    both_formats_go_downhill_alike();
    api->destroy(optimizer);
    api->destroy(NULL);
    puts("check: optimizer my-name is sound");
    return 0;
}
