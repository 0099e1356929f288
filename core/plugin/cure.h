/* What to do about a plugin that was refused. */
#ifndef MGPT_PLUGIN_CURE_H
#define MGPT_PLUGIN_CURE_H

/* One line for the outcome of an attempt (plugin/registry.h), or NULL: the outcome says it. */
const char *mgpt_plugin_cure(const char *outcome);

#endif
