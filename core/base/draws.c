/* A stream of draws for each of many samples. */
#include <config.h>

#include <math.h>

#include <microgpt/random.h>

#include "base/draws.h"

static uint64_t next_block(struct mgpt_draws *draws)
{
    return (uint64_t)draws->number << 32 | draws->next++;
}

static double uniform(void *context)
{
    struct mgpt_draws *draws = context;
    struct mgpt_philox d = mgpt_draw_block(draws->seed, 0, MGPT_DRAW_SAMPLE, 0, next_block(draws));

    return ((d.v[0] >> 5) * 67108864.0 + (d.v[1] >> 6)) / 9007199254740992.0;
}

static uint64_t below(void *context, uint64_t n)
{
    struct mgpt_draws *draws = context;

    return mgpt_draw_below(draws->seed, 0, MGPT_DRAW_SAMPLE, 0, next_block(draws), n);
}

/* Box & Muller 1958, one value of two: what comes next does not depend on what was asked before. */
static double gauss(void *context, double mu, double sigma)
{
    double angle = uniform(context) * (2.0 * M_PI);

    return mu + sigma * cos(angle) * sqrt(-2.0 * log(1.0 - uniform(context)));
}

struct mgpt_stream mgpt_draws_stream(struct mgpt_draws *draws, uint64_t seed, uint32_t number)
{
    *draws = (struct mgpt_draws){.seed = seed, .number = number};
    return (struct mgpt_stream){draws, uniform, below, gauss};
}
