/* A plugin with an option whose default is outside its own range. */
#include <microgpt/scheduler.h>

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_scheduler **scheduler, struct mgpt_error *error)
{
    (void)host, (void)config, (void)scheduler;
    return mgpt_fail(error, MGPT_INVALID, "never created");
}

static void destroy(struct mgpt_scheduler *scheduler)
{
    (void)scheduler;
}

static double lr(const struct mgpt_scheduler *scheduler, uint64_t step, uint64_t total, double base)
{
    (void)scheduler, (void)step, (void)total;
    return base;
}

static const struct mgpt_scheduler_api api = {(uint32_t)sizeof api, 0, create, destroy, lr};

static const struct mgpt_option options[] = {
    {"floor", "1.5", "lowest share of the rate", NULL, 0, 1, NULL, MGPT_OPTION_FLOAT, 0}};

static const struct mgpt_component steep = {(uint32_t)sizeof steep,
                                            MGPT_OPTIONS(options),
                                            0,
                                            MGPT_KIND_SCHEDULER,
                                            "steep",
                                            "its default is out of range",
                                            options,
                                            NULL,
                                            &api};

MGPT_PLUGIN_DEFINE("org.microgpt.test.option", "1.0", "MIT", "microgpt", NULL, &steep)
