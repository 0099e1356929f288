/* A plugin whose descriptor is not one of ours. */
#include <microgpt/plugin.h>

MGPT_EXPORT const struct mgpt_plugin *microgpt_plugin_v1(void)
{
    static const struct mgpt_plugin plugin = {.magic = 0x12345678,
                                              .abi_major = MGPT_ABI_MAJOR,
                                              .size = (uint32_t)sizeof(struct mgpt_plugin)};
    return &plugin;
}
