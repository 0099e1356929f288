/* The loader: from a path to a checked descriptor. */
#ifndef MGPT_PLUGIN_LOADER_H
#define MGPT_PLUGIN_LOADER_H

#include <microgpt/plugin.h>

/* Checks the file, loads it for the life of the process, checks ABI and descriptor. Every component
 * of *plugin is whole, but for those of kinds that this core does not know. MGPT_PLUGIN: "PATH:
 * ...". [main] */
enum mgpt_status mgpt_plugin_load(const char *path, const struct mgpt_plugin **plugin,
                                  struct mgpt_error *error);

/* Would it load? Tried in another process: MGPT_PLUGIN also when that crashes, or takes longer. */
enum mgpt_status mgpt_plugin_try(const char *path, double seconds, struct mgpt_error *error);

/* The parts of it, for descriptors that come from elsewhere. `path` is for the message. */
enum mgpt_status mgpt_plugin_check(const struct mgpt_plugin *plugin, const char *path,
                                   struct mgpt_error *error);
enum mgpt_status mgpt_component_check(const struct mgpt_component *component, const char *path,
                                      struct mgpt_error *error);

#endif
