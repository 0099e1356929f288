/* The diary of a search: each path tried and what came of it. */
#ifndef MGPT_PLUGIN_DIARY_H
#define MGPT_PLUGIN_DIARY_H

#include "plugin/registry.h"

/* Zero-initialise. */
struct mgpt_diary {
    struct mgpt_attempt *attempts; /* owned, with their texts */
    size_t count;
};

/* What stands there already is not written twice. Without memory nothing is written: the diary
 * explains results, it is none. */
void mgpt_diary_add(struct mgpt_diary *diary, const char *path, const char *outcome, int loaded);
void mgpt_diary_finish(struct mgpt_diary *diary);

#endif
