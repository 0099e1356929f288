/* Sampler picky, for tests: the likeliest, and no sampler at all for favorite = 13. */
#include <stdlib.h>

#include <microgpt/sampler.h>

struct mgpt_sampler {
    int64_t favorite;
};

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               uint32_t vocab, struct mgpt_sampler **sampler,
                               struct mgpt_error *error)
{
    int64_t favorite = host->get_int(config, "favorite");

    (void)vocab;
    if (favorite == 13)
        return mgpt_fail(error, MGPT_CONFIG, "[sampler.picky] favorite = 13: expected another");
    *sampler = malloc(sizeof **sampler);
    if (!*sampler)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory");
    (*sampler)->favorite = favorite;
    return MGPT_OK;
}

static void destroy(struct mgpt_sampler *sampler)
{
    free(sampler);
}

static int32_t next(struct mgpt_sampler *sampler, double *logits, uint32_t n,
                    const struct mgpt_stream *stream)
{
    uint32_t best = (uint32_t)sampler->favorite % n;

    (void)stream;
    for (uint32_t i = 0; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}

static const struct mgpt_option options[] = {{.key = "favorite",
                                              .value = "7",
                                              .help = "a number, but not 13",
                                              .min = 0,
                                              .max = 99,
                                              .type = MGPT_OPTION_INT}};

static const struct mgpt_sampler_api api = {
    .size = sizeof api, .create = create, .destroy = destroy, .next = next};

static const struct mgpt_component component = {.size = sizeof component,
                                                MGPT_OPTIONS(options),
                                                .kind = MGPT_KIND_SAMPLER,
                                                .name = "picky",
                                                .summary = "for tests: refuses a value late",
                                                .options = options,
                                                .api = &api};

MGPT_PLUGIN_DEFINE("org.microgpt.test.picky", "1", "MIT", "The microgpt authors", NULL, &component)
