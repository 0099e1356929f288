/* A plugin of another major version of the ABI. */
#include <microgpt/plugin.h>

MGPT_EXPORT const struct mgpt_plugin *microgpt_plugin_v1(void)
{
    /* Nothing after the prefix may be looked at: it is another ABI's, and these would crash. */
    static const struct {
        uint32_t magic, abi_major, abi_minor, size;
        const char *bait[6];
    } plugin = {MGPT_ABI_MAGIC,
                99,
                3,
                8,
                {(const char *)8, (const char *)8, (const char *)8, (const char *)8,
                 (const char *)8, (const char *)8}};
    return (const struct mgpt_plugin *)(const void *)&plugin;
}
