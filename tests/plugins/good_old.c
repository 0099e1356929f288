/* A plugin as the first one ever built, byte by byte: the sizes of ABI 1.0 as numbers, so that they
 * stay what they were when the structs grow. No options, no probe. (64-bit machines.) */
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
    (void)scheduler;
    return step < total ? base : 0;
}

static const struct mgpt_scheduler_api api = {
    .size = 32, .create = create, .destroy = destroy, .lr = lr};

static const struct mgpt_component old = {.size = 64,
                                          .kind = "scheduler/1",
                                          .name = "old",
                                          .summary = "from the time of ABI 1.0",
                                          .api = &api};

MGPT_EXPORT const struct mgpt_plugin *microgpt_plugin_v1(void)
{
    static const struct mgpt_component *const components[] = {&old, NULL};
    static const struct mgpt_plugin plugin = {.magic = 0x5450474d,
                                              .abi_major = 1,
                                              .abi_minor = 0,
                                              .size = 64,
                                              .id = "org.microgpt.test.old",
                                              .version = "0.9",
                                              .license = "MIT",
                                              .vendor = "microgpt",
                                              .components = components};
    return &plugin;
}
