/* What to do about a plugin that was refused: by words of the reason, which the loader writes. */
#include <config.h>

#include "plugin/cure.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *words, *cure;
} cures[] = {
    {"crashed", "find it with: gdb --args microgpt config check --set plugins.load=FILE"},
    {"ended the program", "a plugin never calls exit or abort: return a status"},
    {"hung", "constructors and probe return at once: find what they wait for"},
    {"undefined symbol", "link what defines it; -Wl,-z,defs finds this when it is built"},
    {"cannot open shared object", "install that library, or dlopen it in probe, which can say so"},
    {"does not export", "write MGPT_PLUGIN_DEFINE(...) at the end of one source"},
    {"owned by", "chown it, or copy it as yourself"},
    {"no shared object", "build it with -shared -fPIC"},
    {"found ELF type", "build it with -shared -fPIC"},
    {"truncated", "copy or build it again"},
    {"32-bit", "build it for this machine"},
    {"built for ABI", NULL},
    {"built for", "build it on, or for, this machine"},
    {"not called KIND_NAME.so", "rename it, or name it in [plugins] load"},
    {"hidden by", "remove one of the two, or take the other by -P"},
    {"is there already", "remove one of the two, or give it another name"},
    {"holds ", "rename it KIND_NAME.so after what it holds, or name it in [plugins] load"},
    {"unknown here", "it is for a newer microgpt"},
    {"this microgpt speaks", "build it again with the headers of this microgpt"},
    {"is NULL", "fill it in: the header of its kind says with what"},
    {"too few for", "set .size = sizeof of the table, and build it again"},
    {"both called", "give each option a name of its own"},
    {"absolute", "write the path from / on"},
};

const char *mgpt_plugin_cure(const char *outcome)
{
    for (size_t i = 0; i < sizeof cures / sizeof cures[0]; i++)
        if (strstr(outcome, cures[i].words))
            return cures[i].cure;
    return NULL;
}
