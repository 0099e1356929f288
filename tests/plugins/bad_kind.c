/* A plugin with a component of a kind that no microgpt of today knows, one of a future version of a
 * kind, and a good scheduler. */
#include <microgpt/scheduler.h>

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_scheduler **scheduler, struct mgpt_error *error)
{
    (void)host, (void)config, (void)error;
    *scheduler = NULL;
    return MGPT_OK;
}

static void destroy(struct mgpt_scheduler *scheduler)
{
    (void)scheduler;
}

static double lr(const struct mgpt_scheduler *scheduler, uint64_t step, uint64_t total, double base)
{
    (void)scheduler, (void)step, (void)total;
    return base / 2;
}

static enum mgpt_status probe(const struct mgpt_host *host, struct mgpt_error *error)
{
    (void)host;
    return mgpt_fail(error, MGPT_UNSUPPORTED, "the half-light is too bright");
}

static const struct mgpt_scheduler_api api = {(uint32_t)sizeof api, 0, create, destroy, lr};

static const struct mgpt_component quantum = {
    .size = 40, .kind = "quantum/7", .name = "cat"}; /* ends after name */
static const struct mgpt_component future = {
    .size = (uint32_t)sizeof future, .kind = "scheduler/2", .name = "half"};
static const struct mgpt_component half = {(uint32_t)sizeof half,
                                           MGPT_NO_OPTIONS,
                                           0,
                                           MGPT_KIND_SCHEDULER,
                                           "half",
                                           "half the rate",
                                           NULL,
                                           NULL,
                                           &api};
static const struct mgpt_component dim = {(uint32_t)sizeof dim,
                                          MGPT_NO_OPTIONS,
                                          0,
                                          MGPT_KIND_SCHEDULER,
                                          "dim",
                                          "half the rate, in the dark alone",
                                          NULL,
                                          probe,
                                          &api};

MGPT_PLUGIN_DEFINE("org.microgpt.test.kind", "1.0", "MIT", "microgpt", NULL, &quantum, &future,
                   &half, &dim)
