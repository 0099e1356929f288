/* Is a file safe to hand to dlopen? */
#ifndef MGPT_PLUGIN_ELF_H
#define MGPT_PLUGIN_ELF_H

#include <microgpt/status.h>

/* A regular file (or a link to one), of root or of the effective user, that nobody else may write,
 * and a whole shared object for this machine: dlopen maps what the headers promise and dies of
 * SIGBUS when a truncated file does not keep it. MGPT_PLUGIN: path, what was found, what was
 * expected. */
enum mgpt_status mgpt_elf_check(const char *path, struct mgpt_error *error);

#endif
