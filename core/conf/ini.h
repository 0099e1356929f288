/* INI files through inih, with line numbers, and strict about what inih would let pass in silence.
 */
#ifndef MGPT_CONF_INI_H
#define MGPT_CONF_INI_H

#include <stddef.h>

#include <microgpt/status.h>

#define MGPT_INI_LINE 799 /* longest line in bytes, without its comment; messages show it whole */
#define MGPT_INI_NAME 49  /* longest section or key */

/* One "key = value". The texts live for the call. */
struct mgpt_ini_entry {
    const char *section, *key, *value; /* section NULL: see `refuse` */
    unsigned line;                     /* counted from 1 */
};

/* Who is told what a file says. */
struct mgpt_ini_visitor {
    enum mgpt_status (*take)(void *user, const struct mgpt_ini_entry *entry,
                             struct mgpt_error *error);
    /* A line that is refused, in `section` or, when that is NULL, in one that cannot be known: any
     * setting may be lost with it, and behind a byte that is 0 the rest of the file is. MGPT_OK
     * goes on with the next line; after one that may have been a [section], entries have none up
     * to the next that can be read. NULL: the reading ends there. */
    enum mgpt_status (*refuse)(void *user, const char *section, unsigned line,
                               struct mgpt_error *error);
    void *user;
};

/* Hands every entry of the file to the visitor, in order, until that fails. MGPT_CONFIG:
 * "path:line: found, expected". */
enum mgpt_status mgpt_ini_read(const char *path, const struct mgpt_ini_visitor *visitor,
                               struct mgpt_error *error);
/* The same for a text in memory; `path` is for messages. */
enum mgpt_status mgpt_ini_parse(const char *path, const char *text, size_t size,
                                const struct mgpt_ini_visitor *visitor, struct mgpt_error *error);

#endif
