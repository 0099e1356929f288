/* The search path: a list of folders, and the names of the modules' files in them. */
#ifndef MGPT_PLUGIN_SEARCH_H
#define MGPT_PLUGIN_SEARCH_H

#include <stddef.h>

#include <microgpt/status.h>

#include "plugin/kinds.h"

/* A growing list of strings; zero-initialise it. items[count] is NULL once something was added. */
struct mgpt_names {
    char **items;
    size_t count;
};

enum mgpt_status mgpt_names_add(struct mgpt_names *names, const char *text, size_t size,
                                struct mgpt_error *error);
void mgpt_names_finish(struct mgpt_names *names);

/* Adds the folders of MICROGPT_PLUGIN_PATH, but not in a setuid program. What is not absolute is
 * skipped, with a warning; an empty entry, a shell's working directory, means nothing here. */
struct mgpt_diary;
enum mgpt_status mgpt_search_environment(struct mgpt_names *folders, struct mgpt_diary *diary,
                                         struct mgpt_error *error);

/* Adds the names of the *.so in a folder, sorted; a folder that cannot be read has none
 * (MGPT_PLUGIN with errno's text). */
enum mgpt_status mgpt_search_folder(const char *folder, struct mgpt_names *files,
                                    struct mgpt_error *error);
/* "optimizer_adamw.so" -> the kind, with "adamw" as the start and size of its name; NULL for
 * anything else. */
const struct mgpt_kind *mgpt_search_parse(const char *file, const char **name, size_t *size);

#endif
