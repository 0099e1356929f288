/* An optimizer and what it works on, in both formats, for checks. */
#ifndef MGPT_CHECK_BENCH_OPTIMIZER_H
#define MGPT_CHECK_BENCH_OPTIMIZER_H

#include <math.h>
#include <string.h>

#include <microgpt/optimizer.h>

#include "check/check.h"

#define OPTIMIZER_BENCH_N 37 /* not a multiple of a vector */
#define OPTIMIZER_BENCH_CANARY 12345.678

/* An optimizer and what it works on, in both formats. */
struct optimizer_bench {
    const struct mgpt_optimizer_api *api;
    struct mgpt_optimizer *it;
    const struct mgpt_rule *rule;
    double p[OPTIMIZER_BENCH_N], g[OPTIMIZER_BENCH_N], state[MGPT_MAX_STATE][OPTIMIZER_BENCH_N];
    float p32[OPTIMIZER_BENCH_N], g32[OPTIMIZER_BENCH_N],
        state32[MGPT_MAX_STATE][OPTIMIZER_BENCH_N];
    double h[MGPT_MAX_SCALARS + 1];
};

static inline double *optimizer_bench_states(struct optimizer_bench *b, double *s[MGPT_MAX_STATE],
                                             size_t at)
{
    for (int k = 0; k < MGPT_MAX_STATE; k++)
        s[k] = b->state[k] + at;
    return b->p + at;
}

static inline void optimizer_bench_open(struct optimizer_bench *b,
                                        const struct mgpt_component *component,
                                        struct mgpt_config *config)
{
    memset(b, 0, sizeof *b);
    b->api = component->api;
    b->rule = b->api->rule;
    check_ok(b->api->create(mgpt_host(), config, &b->it, error));
    mgpt_config_destroy(config);
    for (int i = 0; i < OPTIMIZER_BENCH_N; i++)
        b->p[i] = b->p32[i] = (float)sin(i + 1.0);
}

static inline void optimizer_bench_tick(struct optimizer_bench *b, uint64_t step, double lr,
                                        double decay)
{
    struct mgpt_tick now = {.step = step, .total = 1000, .lr = lr, .weight_decay = decay};

    for (int i = 0; i <= MGPT_MAX_SCALARS; i++)
        b->h[i] = OPTIMIZER_BENCH_CANARY;
    b->api->scalars(b->it, &now, b->h);
}

static inline void optimizer_bench_step64(struct optimizer_bench *b, double gscale)
{
    double *s[MGPT_MAX_STATE];

    b->rule->f64(OPTIMIZER_BENCH_N, optimizer_bench_states(b, s, 0), b->g, s, b->h, gscale);
}

static inline void optimizer_bench_step32(struct optimizer_bench *b, double gscale)
{
    float *s[MGPT_MAX_STATE];

    for (int k = 0; k < MGPT_MAX_STATE; k++)
        s[k] = b->state32[k];
    b->rule->f32(OPTIMIZER_BENCH_N, b->p32, b->g32, s, b->h, gscale);
}

static inline void optimizer_bench_gradient(struct optimizer_bench *b, uint64_t step)
{
    for (int i = 0; i < OPTIMIZER_BENCH_N; i++)
        b->g[i] = b->g32[i] = (float)cos(3.0 * i + (double)step);
}

#endif
