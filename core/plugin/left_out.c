/* The modules of this project that were not built: configure's list, in config.h. */
#include <config.h>

#include "plugin/left_out.h"

#include <string.h>

const struct mgpt_left_out mgpt_left_out[] = {MGPT_LEFT_OUT{NULL, NULL, NULL}};

const char *mgpt_left_out_why(const char *kind, const char *name)
{
    for (const struct mgpt_left_out *m = &mgpt_left_out[0]; m->kind; m++)
        if (!strcmp(m->kind, kind) && !strcmp(m->name, name))
            return m->why;
    return NULL;
}
