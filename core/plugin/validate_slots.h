/* What the wrappers of each kind are made of: a table for each module, functions that know whose
 * they are, and an instance between the core and the module. */
#ifndef MGPT_PLUGIN_VALIDATE_SLOTS_H
#define MGPT_PLUGIN_VALIDATE_SLOTS_H

#include <stdlib.h>

#include "plugin/validate.h"

/* MGPT_EACH_SLOT(M, more) is M(0, more) M(1, more) ... */
#define MGPT_EACH_SLOT(M, ...)                                                                     \
    M(0, __VA_ARGS__)                                                                              \
    M(1, __VA_ARGS__)                                                                              \
    M(2, __VA_ARGS__)                                                                              \
    M(3, __VA_ARGS__)                                                                              \
    M(4, __VA_ARGS__)                                                                              \
    M(5, __VA_ARGS__)                                                                              \
    M(6, __VA_ARGS__)                                                                              \
    M(7, __VA_ARGS__)

/* `create` of a kind is told neither table nor instance: so function_slots[] has a function of
 * these
 * (parameters) for each slot, which calls function(slot, arguments). */
#define MGPT_SLOT_FUNCTIONS(function, parameters, ...)                                             \
    MGPT_EACH_SLOT(MGPT_SLOT_FUNCTION, function, parameters, __VA_ARGS__)                          \
    static enum mgpt_status(*const function##_slots[])                                             \
        parameters = {MGPT_EACH_SLOT(MGPT_SLOT_NAME, function)};
#define MGPT_SLOT_FUNCTION(i, function, parameters, ...)                                           \
    static enum mgpt_status function##_##i parameters                                              \
    {                                                                                              \
        return function(i, __VA_ARGS__);                                                           \
    }
#define MGPT_SLOT_NAME(i, function) function##_##i,

/* The modules of a kind, and kind_table(component, slot): a copy of its table, to be changed. */
#define MGPT_VALIDATE_TABLES(kind)                                                                 \
    static struct {                                                                                \
        const struct mgpt_component *component;                                                    \
        struct mgpt_##kind##_api table;                                                            \
    } kind##_slots[MGPT_VALIDATE_SLOTS];                                                           \
    static struct mgpt_##kind##_api *kind##_table(const struct mgpt_component *component,          \
                                                  int slot)                                        \
    {                                                                                              \
        struct mgpt_##kind##_api *table = &kind##_slots[slot].table;                               \
        kind##_slots[slot].component = component;                                                  \
        mgpt_validate_table(table, (uint32_t)sizeof *table, component->api);                       \
        return table;                                                                              \
    }

/* An instance between the core and the module, `it` being the module's own; `more` are the fields
 * besides. kind_new and kind_keep are how its `create` begins and ends: the latter leaves the
 * wrapper, or where the status is not MGPT_OK, nothing. */
#define MGPT_VALIDATE_INSTANCE(kind, more)                                                         \
    struct mgpt_##kind {                                                                           \
        const struct mgpt_component *component;                                                    \
        const struct mgpt_##kind##_api *api;                                                       \
        struct mgpt_##kind *it;                                                                    \
        more                                                                                       \
    };                                                                                             \
    MGPT_VALIDATE_TABLES(kind)                                                                     \
    static enum mgpt_status kind##_new(int slot, struct mgpt_##kind **out,                         \
                                       struct mgpt_error *error)                                   \
    {                                                                                              \
        const struct mgpt_component *c = kind##_slots[slot].component;                             \
        *out = calloc(1, sizeof **out);                                                            \
        if (!*out)                                                                                 \
            return mgpt_fail(error, MGPT_NOMEM, "no memory to validate %s", c->name);              \
        (*out)->component = c;                                                                     \
        (*out)->api = c->api;                                                                      \
        return mgpt_violation_due(error);                                                          \
    }                                                                                              \
    static enum mgpt_status kind##_keep(int slot, enum mgpt_status status,                         \
                                        struct mgpt_##kind **out, const char *function,            \
                                        struct mgpt_error *error)                                  \
    {                                                                                              \
        if (status == MGPT_OK)                                                                     \
            return MGPT_OK;                                                                        \
        free(*out);                                                                                \
        *out = NULL;                                                                               \
        return mgpt_validate_refusal(status, kind##_slots[slot].component, function, error);       \
    }

#endif
