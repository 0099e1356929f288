/* Sampler my-name: what it draws, and how often. */
#include <microgpt/sampler.h>

#include "host.h"

#define N 5
#define DRAWS 20000

static const struct mgpt_sampler_api *api;
static const double chances[N] = {0.5, 0.25, 0.15, 0.07, 0.03};

/* How often each id comes. */
static void draw_many(const char *mass, const char *top_k, int *counts)
{
    struct mgpt_error error;
    struct mgpt_sampler *s = NULL;
    uint64_t state = 1;
    const struct mgpt_stream stream = {&state, draw_uniform, draw_below, NULL};

    set("temperature", "1");
    set("mass", mass);
    set("top_k", top_k);
    memset(counts, 0, N * sizeof counts[0]);
    CHECK_STATUS(api->create(&host, NULL, N, &s, &error), MGPT_OK, error);
    for (int k = 0; k < DRAWS; k++) {
        double logits[N];
        for (int i = 0; i < N; i++)
            logits[i] = log(chances[i]) + 3;
        int32_t id = api->next(s, logits, N, &stream);
        CHECK(id >= 0 && id < N);
        counts[id]++;
    }
    api->destroy(s);
    api->destroy(NULL);
}

static void draws_from_the_softmax(void)
{
    int counts[N];
    draw_many("1", "0", counts);
    for (int i = 0; i < N; i++)
        CHECK_NEAR((double)counts[i] / DRAWS, chances[i], 0.015);
}

/* The entropy is 1.25; the surprises are 0.69, 1.39, 1.90, 2.66, 3.51: id 1 is the most typical. */
static void keeps_what_is_typical(void)
{
    int counts[N];
    draw_many("0.2", "0", counts);
    CHECK_EQUAL(counts[1], DRAWS);
    draw_many("0.7", "0", counts);
    CHECK(counts[0] > 0 && counts[1] > 0);
    CHECK_EQUAL(counts[0] + counts[1], DRAWS);
}

static void keeps_the_likeliest(void)
{
    int counts[N];
    draw_many("1", "2", counts);
    CHECK(counts[0] > counts[1]);
    CHECK_EQUAL(counts[0] + counts[1], DRAWS);
    draw_many("1", "1", counts);
    CHECK_EQUAL(counts[0], DRAWS);
}

int main(int argc, char **argv)
{
    load(argc > 1 ? argv[1] : NULL, MGPT_KIND_SAMPLER);
    api = (const struct mgpt_sampler_api *)component->api;
    draws_from_the_softmax();
    keeps_what_is_typical();
    keeps_the_likeliest();
    puts("check: sampler my-name is sound");
    return 0;
}
