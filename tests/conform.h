/* What the conformance tests share: every module of a kind, found through the registry, so that a
 * new one is tested without editing a test. */
#ifndef MGPT_TESTS_CONFORM_H
#define MGPT_TESTS_CONFORM_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "plugin/options.h"
#include "testing.h"

static const char *module_name = "?"; /* of the module that is being checked */

static void module_failed(const char *file, int line, const char *condition, const char *format,
                          ...) MGPT_PRINTF(4, 5);
static void module_failed(const char *file, int line, const char *condition, const char *format,
                          ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ck_abort_msg("%s:%d: module %s: %s: %s", file, line, module_name, condition, text);
}

/* Fails the test, naming the module. */
#define ck_module(condition, ...)                                                                  \
    do {                                                                                           \
        if (!(condition))                                                                          \
            module_failed(__FILE__, __LINE__, #condition, __VA_ARGS__);                            \
    } while (0)

/* A refusal is the status that was expected, and one line of text. */
#define ck_refused(result, expected, why)                                                          \
    do {                                                                                           \
        int result_ = (result);                                                                    \
        ck_module(result_ == (expected), "status %d, text \"%s\"", result_, (why).text);           \
        ck_module((why).status == result_, "error.status is %d", (why).status);                    \
        ck_module((why).text[0] && !strchr((why).text, '\n'), "\"%s\"", (why).text);               \
    } while (0)

/* Calls `check` with every module of the kind that can run here. */
static inline void each_module(const char *kind, void (*check)(const struct mgpt_component *))
{
    struct mgpt_registry *registry = test_registry();
    size_t checked = 0;

    mgpt_registry_scan(registry, kind);
    for (size_t i = 0; i < mgpt_registry_count(registry, kind); i++) {
        struct mgpt_module module = mgpt_registry_at(registry, kind, i);
        struct mgpt_error why = {0};
        module_name = module.component->name;
        if (mgpt_module_probe(&module, &why) != MGPT_OK) {
            printf("%s %s: skipped: %s\n", kind, module_name, why.text);
            continue;
        }
        check(module.component);
        checked++;
    }
    ck_assert_msg(checked > 0, "no %s module found: is MICROGPT_PLUGIN_PATH set?", kind);
    mgpt_registry_destroy(registry);
}

/* One of our own modules. */
static inline const struct mgpt_component *one_module(const char *id, const char *name)
{
    struct mgpt_registry *registry = test_registry();
    struct mgpt_module module;

    ck_ok(mgpt_registry_use(registry, id, name, &module, error));
    mgpt_registry_destroy(registry);
    module_name = name;
    return module.component;
}

/* Settings at their defaults, but for pairs of key and value that a NULL ends; the module may lack
 * a key. The caller destroys it. */
static inline struct mgpt_config *settings(const struct mgpt_component *component, ...)
{
    struct mgpt_config *config = NULL;
    va_list args;

    ck_ok(mgpt_config_create(&config, component->name, component->options, component->n_options,
                             component->option_size, error));
    va_start(args, component);
    for (const char *key; (key = va_arg(args, const char *));) {
        const char *value = va_arg(args, const char *);
        if (mgpt_config_index(config, key) < mgpt_config_count(config))
            ck_ok(mgpt_config_set(config, key, value, "test", error));
    }
    va_end(args);
    return config;
}

static inline bool has_option(const struct mgpt_component *component, const char *key)
{
    for (uint32_t i = 0; i < component->n_options; i++)
        if (!strcmp(mgpt_option_at(component, i)->key, key))
            return true;
    return false;
}

#endif
