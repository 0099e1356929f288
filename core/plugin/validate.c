/* MICROGPT_VALIDATE=1: which modules are wrapped, and how a broken rule is told. */
#include <config.h>

#include "plugin/validate.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "plugin/kinds.h"

static const struct {
    const char *kind;
    const void *(*wrap)(const struct mgpt_component *component, int slot);
} wrappers[] = {
    {"backend", mgpt_validate_backend},     {"dataset", mgpt_validate_dataset},
    {"logger", mgpt_validate_logger},       {"optimizer", mgpt_validate_optimizer},
    {"precision", mgpt_validate_precision}, {"sampler", mgpt_validate_sampler},
    {"scheduler", mgpt_validate_scheduler}, {"step", mgpt_validate_step},
    {"tokenizer", mgpt_validate_tokenizer},
};
#define N_KINDS (sizeof wrappers / sizeof wrappers[0])

static struct wrapped {
    const struct mgpt_component *from;
    struct mgpt_component to;
} slots[N_KINDS][MGPT_VALIDATE_SLOTS];

static bool validates(void)
{
    const char *value = secure_getenv("MICROGPT_VALIDATE");

    return value && strcmp(value, "1") == 0;
}

void mgpt_validate_table(void *to, uint32_t size, const void *from)
{
    uint32_t claimed;

    memcpy(&claimed, from, sizeof claimed);
    memset(to, 0, size);
    memcpy(to, from, claimed < size ? claimed : size);
    memcpy(to, &size, sizeof size);
}

static const struct mgpt_component *wrapped(const struct mgpt_component *component)
{
    size_t k = 0, n = strcspn(component->kind, "/");

    while (k < N_KINDS &&
           (strlen(wrappers[k].kind) != n || memcmp(wrappers[k].kind, component->kind, n) != 0))
        k++;
    for (int i = 0; k < N_KINDS && i < MGPT_VALIDATE_SLOTS; i++) {
        struct wrapped *slot = &slots[k][i];
        if (slot->from == component)
            return &slot->to;
        if (slot->from)
            continue;
        slot->from = component;
        mgpt_validate_table(&slot->to, (uint32_t)sizeof slot->to, component);
        slot->to.api = wrappers[k].wrap(component, i);
        mgpt_log(MGPT_LOG_INFO, "validate: %.*s %s is held to its contract", (int)n,
                 component->kind, component->name);
        return &slot->to;
    }
    mgpt_log(MGPT_LOG_WARN, "validate: %.*s %s is not: more than %d modules of the kind", (int)n,
             component->kind, component->name, MGPT_VALIDATE_SLOTS);
    return component;
}

struct mgpt_module mgpt_validated(struct mgpt_module module)
{
    if (module.plugin && validates())
        module.component = wrapped(module.component);
    return module;
}

/* ---- violations ---- */

static struct mgpt_error kept;

static void describe(struct mgpt_error *error, const struct mgpt_component *c, const char *function,
                     const char *format, va_list args)
{
    char what[700];

    (void)vsnprintf(what, sizeof what, format, args);
    mgpt_fail(error, MGPT_PLUGIN, "validate: %.*s %s: %s: %s", (int)strcspn(c->kind, "/"), c->kind,
              c->name, function, what);
}

enum mgpt_status mgpt_violation(struct mgpt_error *error, const struct mgpt_component *component,
                                const char *function, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    describe(error, component, function, format, args);
    va_end(args);
    return MGPT_PLUGIN;
}

void mgpt_violation_kept(const struct mgpt_component *component, const char *function,
                         const char *format, ...)
{
    va_list args;

    if (kept.status) /* the first is the cause of the others, more often than not */
        return;
    va_start(args, format);
    describe(&kept, component, function, format, args);
    va_end(args);
}

enum mgpt_status mgpt_violation_due(struct mgpt_error *error)
{
    return kept.status ? mgpt_fail(error, MGPT_PLUGIN, "%s", kept.text) : MGPT_OK;
}

void mgpt_violation_logged(const struct mgpt_component *component, const char *function,
                           const char *format, ...)
{
    struct mgpt_error error;
    va_list args;

    va_start(args, format);
    describe(&error, component, function, format, args);
    va_end(args);
    mgpt_log_line(MGPT_LOG_ERROR, error.text);
}

enum mgpt_status mgpt_validate_refusal(enum mgpt_status status,
                                       const struct mgpt_component *component, const char *function,
                                       struct mgpt_error *error)
{
    if (status == MGPT_OK)
        return mgpt_violation_due(error);
    if (error && (!error->text[0] || strchr(error->text, '\n')))
        return mgpt_violation(error, component, function,
                              "failed with status %d and %s, expected one line of text", status,
                              error->text[0] ? "several lines" : "no text");
    return status;
}
