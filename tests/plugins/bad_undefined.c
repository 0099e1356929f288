/* A plugin that needs a function which nobody has. Linked without -z defs. */
#include <microgpt/plugin.h>

const struct mgpt_plugin *mgpt_test_nobody_defines_this(void);

MGPT_EXPORT const struct mgpt_plugin *microgpt_plugin_v1(void)
{
    return mgpt_test_nobody_defines_this();
}
