/* Option tables, and a section's values checked against one. */
#include <config.h>

#include "plugin/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

struct item {
    struct mgpt_value value;
    const char *origin;
};

struct mgpt_config {
    char *section;
    const struct mgpt_option *options;
    uint32_t n, option_size;
    struct item items[];
};

/* ---- tables ---- */

/* An entry may be longer than ours when the plugin was built against later headers. */
static const struct mgpt_option *entry(const struct mgpt_option *options, uint32_t option_size,
                                       size_t i)
{
    return (const struct mgpt_option *)((const char *)options + i * option_size);
}

const struct mgpt_option *mgpt_option_at(const struct mgpt_component *component, uint32_t i)
{
    return entry(component->options, component->option_size, i);
}

enum mgpt_status mgpt_option_check(const struct mgpt_option *option, struct mgpt_error *error)
{
    size_t choices = 0;
    while (option->choices && option->choices[choices] && choices <= 32)
        choices++;
    if (!option->key || !*option->key ||
        option->key[strspn(option->key, "abcdefghijklmnopqrstuvwxyz0123456789_")])
        return mgpt_fail(error, MGPT_PLUGIN, "key \"%s\", expected only a-z, 0-9 and _",
                         option->key ? option->key : "NULL");
    if (!option->value || !option->help)
        return mgpt_fail(error, MGPT_PLUGIN, "%s has no %s", option->key,
                         option->value ? "help" : "default");
    if (option->type < MGPT_OPTION_BOOL || option->type > MGPT_OPTION_SEED)
        return mgpt_fail(error, MGPT_PLUGIN, "%s is of type %u, expected %d to %d", option->key,
                         (unsigned)option->type, MGPT_OPTION_BOOL, MGPT_OPTION_SEED);
    if (!(option->min <= option->max))
        return mgpt_fail(error, MGPT_PLUGIN, "%s has a minimum of %g above its maximum of %g",
                         option->key, option->min, option->max);
    if (option->type == MGPT_OPTION_ENUM && !choices)
        return mgpt_fail(error, MGPT_PLUGIN, "%s has no choices", option->key);
    if (option->type == MGPT_OPTION_LIST && choices > 32)
        return mgpt_fail(error, MGPT_PLUGIN, "%s has more than 32 choices", option->key);

    struct mgpt_value value = {0};
    struct mgpt_error cause;
    enum mgpt_status status = mgpt_value_parse(&value, option, option->value, &cause);
    mgpt_value_finish(&value);
    if (status == MGPT_CONFIG)
        return mgpt_fail(error, MGPT_PLUGIN, "%s has the default %s: %s", option->key,
                         option->value, cause.text);
    return status == MGPT_OK ? MGPT_OK : mgpt_fail(error, status, "%s", cause.text);
}

/* ---- making a config ---- */

enum mgpt_status mgpt_config_create(struct mgpt_config **config, const char *section,
                                    const struct mgpt_option *options, uint32_t n,
                                    uint32_t option_size, struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_NOMEM;
    struct mgpt_error cause = {0, "no memory"};
    struct mgpt_config *c = calloc(1, sizeof *c + n * sizeof c->items[0]);
    if (!c || !(c->section = strdup(section)))
        goto fail;
    c->options = options;
    c->n = n;
    c->option_size = option_size;
    for (uint32_t i = 0; i < n; i++) {
        const struct mgpt_option *option = entry(options, option_size, i);
        c->items[i].origin = "default";
        status = mgpt_value_parse(&c->items[i].value, option, option->value, &cause);
        if (status != MGPT_OK)
            goto fail;
    }
    *config = c;
    return MGPT_OK;

fail:
    mgpt_config_destroy(c);
    return mgpt_fail(error, status == MGPT_CONFIG ? MGPT_INTERNAL : status, "[%s] defaults: %s",
                     section, cause.text);
}

void mgpt_config_destroy(struct mgpt_config *config)
{
    if (!config)
        return;
    for (uint32_t i = 0; i < config->n; i++)
        mgpt_value_finish(&config->items[i].value);
    free(config->section);
    free(config);
}

static enum mgpt_status refuse_key(const struct mgpt_config *c, const char *key, const char *value,
                                   const char *origin, struct mgpt_error *error)
{
    const char *nearest = NULL;
    const char **keys = calloc(c->n + (size_t)1, sizeof *keys);
    for (uint32_t i = 0; keys && i < c->n; i++)
        keys[i] = entry(c->options, c->option_size, i)->key;
    if (keys)
        nearest = mgpt_nearest(key, keys);
    free(keys);
    return mgpt_fail(error, MGPT_CONFIG, "%s: [%s] %s = %s: no such key%s%s%s", origin, c->section,
                     key, value, nearest ? "; did you mean " : "", nearest ? nearest : "",
                     nearest ? "?" : "");
}

enum mgpt_status mgpt_config_set(struct mgpt_config *config, const char *key, const char *value,
                                 const char *origin, struct mgpt_error *error)
{
    struct mgpt_error cause;
    size_t i = mgpt_config_index(config, key);
    if (i == config->n)
        return refuse_key(config, key, value, origin, error);
    enum mgpt_status status =
        mgpt_value_parse(&config->items[i].value, mgpt_config_option(config, i), value, &cause);
    if (status != MGPT_OK)
        return mgpt_fail(error, status, "%s: [%s] %s = %s: %s", origin, config->section, key, value,
                         cause.text);
    config->items[i].origin = origin;
    return MGPT_OK;
}

/* ---- reading it ---- */

const char *mgpt_config_section(const struct mgpt_config *config)
{
    return config->section;
}

size_t mgpt_config_count(const struct mgpt_config *config)
{
    return config->n;
}

const struct mgpt_option *mgpt_config_option(const struct mgpt_config *config, size_t i)
{
    return entry(config->options, config->option_size, i);
}

const struct mgpt_value *mgpt_config_value(const struct mgpt_config *config, size_t i)
{
    return &config->items[i].value;
}

const char *mgpt_config_origin(const struct mgpt_config *config, size_t i)
{
    return config->items[i].origin;
}

size_t mgpt_config_index(const struct mgpt_config *config, const char *key)
{
    size_t i = 0;
    while (i < config->n && strcmp(mgpt_config_option(config, i)->key, key))
        i++;
    return i;
}

bool mgpt_config_has(const struct mgpt_config *config, const char *key, unsigned types)
{
    size_t i = config ? mgpt_config_index(config, key) : 0;
    return config && i < config->n && (types >> mgpt_config_option(config, i)->type & 1);
}

/* The value of `key`, which must be of one of `types`. */
static const struct mgpt_value *want(const struct mgpt_config *config, const char *key,
                                     unsigned types)
{
    if (!mgpt_config_has(config, key, types)) {
        mgpt_log(MGPT_LOG_ERROR, "bug: [%s] has no option %s of the type that was asked for",
                 config ? config->section : "no section", key);
        abort();
    }
    return mgpt_config_value(config, mgpt_config_index(config, key));
}

int64_t mgpt_config_int(const struct mgpt_config *config, const char *key)
{
    return want(config, key, MGPT_TYPES_INT)->integer;
}

double mgpt_config_float(const struct mgpt_config *config, const char *key)
{
    return want(config, key, MGPT_TYPES_FLOAT)->number;
}

uint64_t mgpt_config_seed(const struct mgpt_config *config, const char *key)
{
    return want(config, key, MGPT_TYPES_SEED)->seed;
}

const char *mgpt_config_text(const struct mgpt_config *config, const char *key)
{
    return want(config, key, MGPT_TYPES_TEXT)->text;
}
