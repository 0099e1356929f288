/* The modules of this project that were not built. */
#ifndef MGPT_PLUGIN_LEFT_OUT_H
#define MGPT_PLUGIN_LEFT_OUT_H

#include <stddef.h>

struct mgpt_left_out {
    const char *kind, *name, *why; /* configure's words: "nvcc is not found" */
};

/* Those that configure left out; ends with a kind of NULL. */
extern const struct mgpt_left_out mgpt_left_out[];
/* Why configure left this one out; NULL: it did not, or never knew of it. */
const char *mgpt_left_out_why(const char *kind, const char *name);

#endif
