/* The core's own sections and keys: names, defaults, ranges, help. */
#ifndef MGPT_CONF_SCHEMA_H
#define MGPT_CONF_SCHEMA_H

#include <microgpt/plugin.h>

struct mgpt_section {
    const char *name; /* "train" */
    const char *help; /* one line */
    const struct mgpt_option *options;
    size_t n_options;
};

extern const struct mgpt_section mgpt_sections[];
extern const size_t mgpt_n_sections;

#endif
