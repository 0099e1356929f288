/* A sampler and a stream that counts its draws, for checks. */
#ifndef MGPT_CHECK_BENCH_SAMPLER_H
#define MGPT_CHECK_BENCH_SAMPLER_H

#include <string.h>

#include <microgpt/sampler.h>

#include "base/rng.h"

#include "check/check.h"

#define SAMPLER_BENCH_N 12

/* A stream that counts its draws. */
struct sampler_bench_counted {
    struct mgpt_rng rng;
    unsigned draws;
};

static inline double sampler_bench_uniform(void *context)
{
    struct sampler_bench_counted *c = context;

    c->draws++;
    return mgpt_rng_uniform(&c->rng);
}

static inline uint64_t sampler_bench_below(void *context, uint64_t n)
{
    struct sampler_bench_counted *c = context;

    c->draws++;
    return mgpt_rng_below(&c->rng, n);
}

static inline double sampler_bench_gauss(void *context, double mu, double sigma)
{
    struct sampler_bench_counted *c = context;

    c->draws++;
    return mgpt_rng_gauss(&c->rng, mu, sigma);
}

/* A sampler over n ids and its stream. */
struct sampler_bench {
    const struct mgpt_sampler_api *api;
    struct mgpt_sampler *it;
    uint32_t n;
    struct sampler_bench_counted counted;
};

static inline void sampler_bench_open(struct sampler_bench *b,
                                      const struct mgpt_component *component, uint32_t n,
                                      struct mgpt_config *config)
{
    b->api = component->api;
    b->it = NULL;
    b->n = n;
    check_ok(b->api->create(mgpt_host(), config, n, &b->it, error));
    mgpt_config_destroy(config);
    mgpt_rng_seed(&b->counted.rng, 1);
    b->counted.draws = 0;
}

static inline int32_t sampler_bench_next(struct sampler_bench *b, const double *logits)
{
    struct mgpt_stream stream = {&b->counted, sampler_bench_uniform, sampler_bench_below,
                                 sampler_bench_gauss};
    double copy[64];

    memcpy(copy, logits, b->n * sizeof *copy);
    int32_t id = b->api->next(b->it, copy, b->n, &stream);
    check_that(id >= 0 && id < (int32_t)b->n, "id %d of %u", id, b->n);
    return id;
}

#endif
