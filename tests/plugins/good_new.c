/* A plugin from the future: a later minor version, whose structs have grown. */
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
    return base;
}

/* What a later header would declare: today's structs with something at the tail. */
struct later_api {
    struct mgpt_scheduler_api today;
    void (*hint)(void);
};
struct later_option {
    struct mgpt_option today;
    const char *since;
};
struct later_component {
    struct mgpt_component today;
    const char *icon;
};
struct later_plugin {
    struct mgpt_plugin today;
    const char *homepage;
};

static const struct later_api api = {{(uint32_t)sizeof(struct later_api), 0, create, destroy, lr},
                                     NULL};

static const struct later_option options[] = {
    {{"warmup", "10", "steps that rise", "steps", 0, 1e9, NULL, MGPT_OPTION_INT, 0}, "1.7"},
    {{"shape", "line", "of the rise", NULL, 0, 0, (const char *const[]){"line", "curve", NULL},
      MGPT_OPTION_ENUM, 0},
     "1.7"}};

static const struct later_component later = {{.size = (uint32_t)sizeof later,
                                              .n_options = 2,
                                              .option_size = (uint32_t)sizeof(struct later_option),
                                              .kind = MGPT_KIND_SCHEDULER,
                                              .name = "later",
                                              .summary = "from the time of ABI 1.7",
                                              .options = &options[0].today,
                                              .api = &api},
                                             "icon"};

MGPT_EXPORT const struct mgpt_plugin *microgpt_plugin_v1(void)
{
    static const struct mgpt_component *const components[] = {&later.today, NULL};
    static const struct later_plugin plugin = {{.magic = MGPT_ABI_MAGIC,
                                                .abi_major = MGPT_ABI_MAJOR,
                                                .abi_minor = MGPT_ABI_MINOR + 7,
                                                .size = (uint32_t)sizeof plugin,
                                                .id = "org.microgpt.test.later",
                                                .version = "7.0",
                                                .license = "MIT",
                                                .vendor = "microgpt",
                                                .components = components},
                                               "https://example.org"};
    return &plugin.today;
}
