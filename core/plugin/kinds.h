/* The kinds of modules that this core knows, and what the table of each must hold. */
#ifndef MGPT_PLUGIN_KINDS_H
#define MGPT_PLUGIN_KINDS_H

#include <stdbool.h>
#include <stddef.h>

#include <microgpt/status.h>

/* A function (or pointer) that a kind's table cannot do without. */
struct mgpt_kind_need {
    const char *name; /* NULL ends the list */
    size_t offset;
};

struct mgpt_kind {
    const char *name; /* "optimizer" */
    const char *id;   /* "optimizer/1" */
    const struct mgpt_kind_need *needs;
};

extern const struct mgpt_kind mgpt_kinds[]; /* in order of name */
extern const size_t mgpt_n_kinds;

/* The kind called name[0..size), or NULL. */
const struct mgpt_kind *mgpt_kind_named(const char *name, size_t size);
/* Fails with `status`, naming those that there are, unless a kind is called that. */
enum mgpt_status mgpt_kind_known(const char *name, enum mgpt_status status,
                                 struct mgpt_error *error);
/* The kind that a component states ("optimizer/1"), or NULL. */
const struct mgpt_kind *mgpt_kind_of(const char *id);

/* Is `api` a whole table of the kind? `what` names the component in the message. MGPT_PLUGIN. */
enum mgpt_status mgpt_kind_check(const struct mgpt_kind *kind, const void *api, const char *what,
                                 struct mgpt_error *error);

/* Of the name of a module, one or more; the slash and the dot are not among them. */
#define MGPT_NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyz0123456789_-"
bool mgpt_module_name_valid(const char *name);

#endif
