/* Sampler greedy: always the likeliest id. Draws nothing. */
#include <stddef.h>

#include <microgpt/sampler.h>

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               uint32_t vocab, struct mgpt_sampler **sampler,
                               struct mgpt_error *error)
{
    (void)host, (void)config, (void)vocab, (void)error;
    *sampler = NULL; /* it remembers nothing */
    return MGPT_OK;
}

static void destroy(struct mgpt_sampler *sampler)
{
    (void)sampler;
}

static int32_t next(struct mgpt_sampler *sampler, double *logits, uint32_t n,
                    const struct mgpt_stream *stream)
{
    uint32_t best = 0;

    (void)sampler, (void)stream;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}

static const struct mgpt_sampler_api api = {
    .size = sizeof api,
    .create = create,
    .destroy = destroy,
    .next = next,
};

static const struct mgpt_component component = {
    .size = sizeof component,
    MGPT_NO_OPTIONS,
    .kind = MGPT_KIND_SAMPLER,
    .name = "greedy",
    .summary = "always the likeliest id",
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.sampler.greedy", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
