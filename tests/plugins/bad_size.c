/* A plugin whose component ends before its table: no ABI 1 was ever that small. */
#include <microgpt/scheduler.h>

static const struct mgpt_component stump = {.size = offsetof(struct mgpt_component, api),
                                            .kind = MGPT_KIND_SCHEDULER,
                                            .name = "stump",
                                            .summary = "ends before its table"};

MGPT_PLUGIN_DEFINE("org.microgpt.test.size", "1.0", "MIT", "microgpt", NULL, &stump)
