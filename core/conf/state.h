/* What a struct mgpt_conf holds: for the files of conf/ alone. */
#ifndef MGPT_CONF_STATE_H
#define MGPT_CONF_STATE_H

#include "conf/conf.h"
#include "conf/faults.h"

/* "key = value" as it was given. All owned. */
struct mgpt_conf_entry {
    char *section, *key, *value;
    char *origin;  /* "microgpt.ini:12", "--steps 10" */
    unsigned file; /* counted from 1; 0: the command line */
    unsigned line;
    bool unchecked; /* of a module that was not found, or in a section that does not exist */
};

struct mgpt_conf {
    struct mgpt_conf_entry *entries; /* in the order in which they were given */
    size_t n_entries, entries_capacity;
    unsigned files;

    struct mgpt_config **sections; /* see mgpt_conf_at; none before the check */
    size_t n_sections, sections_capacity;
    struct mgpt_registry *registry;
    const char *const *spared;  /* see mgpt_conf_spare */
    struct mgpt_faults *faults; /* see mgpt_conf_collect */
};

/* The values of a section ("train", "optimizer.adamw"), or NULL. */
struct mgpt_config *mgpt_conf_find(const struct mgpt_conf *conf, const char *section);
/* The same; when it is not there yet, made with its defaults from the module's options.
 * MGPT_PLUGIN. */
enum mgpt_status mgpt_conf_open(struct mgpt_conf *conf, const char *kind, const char *name,
                                struct mgpt_config **config, struct mgpt_error *error);
/* Takes `config` and puts it where mgpt_conf_at says. MGPT_NOMEM: destroys it. */
enum mgpt_status mgpt_conf_adopt(struct mgpt_conf *conf, struct mgpt_config *config,
                                 struct mgpt_error *error);
/* A mistake in what was given as `e`: where mistakes are collected it is put there, and MGPT_OK
 * comes back. Else, or when `status` is no mistake, that. */
enum mgpt_status mgpt_conf_forgive(struct mgpt_conf *conf, const struct mgpt_conf_entry *e,
                                   enum mgpt_status status, struct mgpt_error *error);
/* Why `key = value` could not be read back from an INI, or NULL. */
const char *mgpt_conf_unwritable(const char *key, const char *value);

#endif
