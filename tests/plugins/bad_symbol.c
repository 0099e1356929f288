/* A shared object that is no plugin: it lacks the entry. */
#include <microgpt/plugin.h>

MGPT_EXPORT int microgpt_plugin_v0(void);

int microgpt_plugin_v0(void)
{
    return 0;
}
