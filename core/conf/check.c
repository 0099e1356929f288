/* The check: every key that was given against the schema of its section, the core's or a module's.
 */
#include <config.h>

#include "conf/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "conf/ini.h"
#include "conf/schema.h"
#include "conf/state.h"
#include "plugin/kinds.h"

/* ---- sections ---- */

/* The core's section called name[0..size), or NULL. */
static const struct mgpt_section *core_section(const char *name, size_t size)
{
    for (size_t i = 0; i < mgpt_n_sections; i++)
        if (strlen(mgpt_sections[i].name) == size && !strncmp(mgpt_sections[i].name, name, size))
            return &mgpt_sections[i];
    return NULL;
}

/* Does it say which module of a kind is used? */
static bool is_kind(const struct mgpt_section *section)
{
    return section && !strcmp(section->options[0].key, "use");
}

/* The name in "kind.name", or NULL when the section is not a module's. */
static const char *module_name(const char *section)
{
    size_t size = strcspn(section, ".");
    return section[size] && is_kind(core_section(section, size)) ? section + size + 1 : NULL;
}

static enum mgpt_status refuse_section(const struct mgpt_conf_entry *e, struct mgpt_error *error)
{
    const char **names = calloc(mgpt_n_sections + 1, sizeof *names), *nearest = NULL;
    size_t size = strcspn(e->section, "."), n = 0;
    char *kind = strndup(e->section, size);
    for (size_t i = 0; names && i < mgpt_n_sections; i++)
        if (!e->section[size] || is_kind(&mgpt_sections[i])) /* only kinds have [kind.name] */
            names[n++] = mgpt_sections[i].name;
    if (names && kind)
        nearest = mgpt_nearest(kind, names);
    mgpt_fail(error, MGPT_CONFIG, "%s: [%s] %s = %s: no such section%s%s%s%s", e->origin,
              e->section, e->key, e->value, nearest ? "; did you mean [" : "",
              nearest ? nearest : "", nearest ? e->section + size : "", nearest ? "]?" : "");
    free(kind);
    free(names);
    return MGPT_CONFIG;
}

static enum mgpt_status create_core(struct mgpt_conf *conf, struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;
    for (size_t i = 0; i < mgpt_n_sections && status == MGPT_OK; i++) {
        const struct mgpt_section *s = &mgpt_sections[i];
        struct mgpt_config *config;
        status = mgpt_config_create(&config, s->name, s->options, (uint32_t)s->n_options,
                                    (uint32_t)sizeof(struct mgpt_option), error);
        if (status == MGPT_OK)
            status = mgpt_conf_adopt(conf, config, error);
    }
    return status;
}

/* ---- entries: those of files first, so that the command line wins ---- */

static enum mgpt_status each_entry(struct mgpt_conf *conf,
                                   enum mgpt_status (*visit)(struct mgpt_conf *conf,
                                                             struct mgpt_conf_entry *e,
                                                             struct mgpt_error *error),
                                   struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;
    for (int command_line = 0; command_line < 2; command_line++)
        for (size_t i = 0; i < conf->n_entries && status == MGPT_OK; i++)
            if ((conf->entries[i].file == 0) == command_line && !conf->entries[i].unchecked)
                status = mgpt_conf_forgive(conf, &conf->entries[i],
                                           visit(conf, &conf->entries[i], error), error);
    return status;
}

/* What else stands in the section of `e` is passed over: nobody can say whether it is right. In the
 * file of `e` alone, or everywhere. How many settings these are comes back. */
static size_t pass_over(struct mgpt_conf *conf, const char *section, const unsigned *file)
{
    size_t n = 0;
    for (size_t i = 0; i < conf->n_entries; i++) {
        struct mgpt_conf_entry *e = &conf->entries[i];
        if (!e->unchecked && (!file || e->file == *file) && !strcmp(e->section, section)) {
            e->unchecked = true;
            n++;
        }
    }
    return n;
}

/* After a section of `e`, which is refused. Where all mistakes are wanted it is told once. */
static void lose_section(struct mgpt_conf *conf, const struct mgpt_conf_entry *e)
{
    if (!conf->faults)
        return;
    for (size_t i = 0; i < conf->n_entries; i++) {
        const struct mgpt_conf_entry *other = &conf->entries[i];
        if (other->file == e->file && !strcmp(other->section, e->section))
            conf->faults->modules |= !strcmp(other->key, "path") || !strcmp(other->key, "load");
    }
    conf->faults->lost = true;
    conf->faults->unchecked += pass_over(conf, e->section, &e->file) - 1;
}

static enum mgpt_status set_core(struct mgpt_conf *conf, struct mgpt_conf_entry *e,
                                 struct mgpt_error *error)
{
    struct mgpt_config *config = mgpt_conf_find(conf, e->section);
    const char *module = module_name(e->section);
    if (config)
        return mgpt_config_set(config, e->key, e->value, e->origin, error);
    if (module && mgpt_module_name_valid(module))
        return MGPT_OK;
    lose_section(conf, e);
    return module ? mgpt_fail(error, MGPT_CONFIG,
                              "%s: [%s] %s = %s: expected a module's name of a-z, 0-9, _ and -",
                              e->origin, e->section, e->key, e->value)
                  : refuse_section(e, error);
}

/* Warns once a section, of which `e` is the first entry met. */
static void give_up(struct mgpt_conf *conf, const struct mgpt_conf_entry *e, const char *cause)
{
    size_t n = pass_over(conf, e->section, NULL);
    if (conf->faults && conf->faults->modules)
        conf->faults->unchecked += n; /* the module may be where a lost setting says */
    else
        mgpt_log(MGPT_LOG_WARN, "%s: [%s] is not checked: %s", e->origin, e->section, cause);
}

static enum mgpt_status set_module(struct mgpt_conf *conf, struct mgpt_conf_entry *e,
                                   struct mgpt_error *error)
{
    const char *name = module_name(e->section);
    struct mgpt_config *config = NULL;
    struct mgpt_error cause;
    enum mgpt_status status = MGPT_OK;
    if (!name)
        return MGPT_OK;
    char *kind = strndup(e->section, (size_t)(name - 1 - e->section));
    if (!kind)
        return mgpt_fail(error, MGPT_NOMEM, "no memory for the configuration");
    status = mgpt_conf_open(conf, kind, name, &config, &cause);
    free(kind);
    if (status == MGPT_OK)
        return mgpt_config_set(config, e->key, e->value, e->origin, error);
    if (status == MGPT_NOMEM)
        return mgpt_fail(error, status, "%s", cause.text);
    give_up(conf, e, cause.text);
    return MGPT_OK;
}

/* ---- [plugins] ---- */

/* Did the command line say it? Then paths are those of a shell, as with -P. */
static bool typed(const struct mgpt_conf *conf, const char *key)
{
    for (size_t i = 0; i < conf->n_entries; i++)
        if (conf->entries[i].file == 0 && !strcmp(conf->entries[i].section, "plugins") &&
            !strcmp(conf->entries[i].key, key))
            return true;
    return false;
}

static enum mgpt_status make_absolute(struct mgpt_conf *conf, const char *key,
                                      struct mgpt_error *error)
{
    const char *origin = mgpt_conf_origin(conf, "plugins", key);
    char *copy = strdup(mgpt_conf_text(conf, "plugins", key)), *next = copy, *path;
    struct mgpt_string all = {0};
    while ((path = copy ? strsep(&next, ":") : NULL)) {
        char *absolute = *path ? mgpt_path_absolute(path) : NULL;
        if (absolute)
            mgpt_string_format(&all, "%s%s", all.size ? ":" : "", absolute);
        all.failed |= *path && !absolute;
        free(absolute);
    }
    enum mgpt_status status =
        !copy || all.failed ? mgpt_fail(error, MGPT_NOMEM, "no memory for the configuration")
        : all.size ? mgpt_config_set(mgpt_conf_find(conf, "plugins"), key, all.data, origin, error)
                   : MGPT_OK;
    free(copy);
    mgpt_string_finish(&all);
    return status;
}

static enum mgpt_status refuse_relative(const struct mgpt_conf *conf, const char *key,
                                        const char *path, struct mgpt_error *error)
{
    char *absolute = mgpt_path_absolute(path);
    mgpt_fail(error, MGPT_CONFIG, "%s: [plugins] %s = %s: expected absolute paths%s%s",
              mgpt_conf_origin(conf, "plugins", key), key, path, absolute ? ": write " : "",
              absolute ? absolute : "");
    free(absolute);
    return MGPT_CONFIG;
}

/* Hands each of the colon-separated absolute paths in [plugins] `key` to the registry. */
static enum mgpt_status each_path(struct mgpt_conf *conf, const char *key,
                                  enum mgpt_status (*give)(struct mgpt_registry *registry,
                                                           const char *path,
                                                           struct mgpt_error *error),
                                  struct mgpt_error *error)
{
    enum mgpt_status status = typed(conf, key) ? make_absolute(conf, key, error) : MGPT_OK;
    if (status != MGPT_OK)
        return status;
    const char *origin = mgpt_conf_origin(conf, "plugins", key);
    char *copy = strdup(mgpt_conf_text(conf, "plugins", key)), *next = copy, *path;
    struct mgpt_error cause;
    if (!copy)
        return mgpt_fail(error, MGPT_NOMEM, "no memory for the configuration");
    while (status == MGPT_OK && (path = strsep(&next, ":"))) {
        if (!*path)
            continue;
        status = *path == '/' ? give(conf->registry, path, &cause)
                              : refuse_relative(conf, key, path, error);
        if (status != MGPT_OK && *path == '/')
            mgpt_fail(error, status, "%s: [plugins] %s: %s", origin, key, cause.text);
        status = mgpt_conf_blame(conf, "plugins", key, status, error);
    }
    free(copy);
    return status;
}

/* ---- use ---- */

/* These two have ways of their own to choose: by what is there, and by bids. */
static bool chosen_later(const char *kind, const char *name)
{
    return !strcmp(name, "auto") && (!strcmp(kind, "backend") || !strcmp(kind, "step"));
}

bool mgpt_conf_reserved(const char *kind, const char *name)
{
    const struct mgpt_section *section = core_section(kind, strlen(kind));
    bool list = is_kind(section) && section->options[0].type == MGPT_OPTION_LIST;
    return chosen_later(kind, name) || (list && !strcmp(name, "none"));
}

void mgpt_conf_spare(struct mgpt_conf *conf, const char *const *kinds)
{
    conf->spared = kinds;
}

static bool spared(const struct mgpt_conf *conf, const char *kind)
{
    for (size_t i = 0; conf->spared && conf->spared[i]; i++)
        if (!strcmp(conf->spared[i], kind))
            return true;
    return false;
}

/* A module that is refused. Where all mistakes are wanted, one that is not found is none when what
 * says where modules are is wrong or lost; and what its section says cannot be judged. */
static enum mgpt_status refuse_module(struct mgpt_conf *conf, const char *kind, const char *name,
                                      enum mgpt_status status, struct mgpt_error *error)
{
    char section[MGPT_INI_NAME + 1];
    if (!conf->faults)
        return status;
    (void)snprintf(section, sizeof section, "%s.%s", kind, name);
    conf->faults->unchecked += pass_over(conf, section, NULL);
    if (status != MGPT_PLUGIN || !conf->faults->modules)
        return mgpt_conf_blame(conf, kind, "use", status, error);
    conf->faults->unchecked++;
    return MGPT_OK;
}

static enum mgpt_status use_module(struct mgpt_conf *conf, const char *kind, const char *name,
                                   struct mgpt_error *error)
{
    const char *origin = mgpt_conf_origin(conf, kind, "use");
    struct mgpt_config *config = NULL;
    struct mgpt_error cause;
    if (chosen_later(kind, name))
        return MGPT_OK;
    if (!mgpt_module_name_valid(name))
        return mgpt_conf_blame(
            conf, kind, "use",
            mgpt_fail(error, MGPT_CONFIG,
                      "%s: [%s] use = %s: expected a module's name of a-z, 0-9, _ and -", origin,
                      kind, name),
            error);
    enum mgpt_status status = mgpt_conf_open(conf, kind, name, &config, &cause);
    if (status == MGPT_OK || (status == MGPT_PLUGIN && spared(conf, kind)))
        return MGPT_OK;
    mgpt_fail(error, status, "%s: [%s] use = %s: %s", origin, kind, name, cause.text);
    return refuse_module(conf, kind, name, status, error);
}

static enum mgpt_status use_kind(struct mgpt_conf *conf, const struct mgpt_section *section,
                                 struct mgpt_error *error)
{
    const char *use = mgpt_conf_text(conf, section->name, "use");
    if (!mgpt_conf_sound(conf, section->name) &&
        !strcmp(mgpt_conf_origin(conf, section->name, "use"), "default"))
        return MGPT_OK; /* what was meant is not known */
    if (section->options[0].type != MGPT_OPTION_LIST)
        return use_module(conf, section->name, use, error);
    char *copy = strdup(strcmp(use, "none") ? use : ""), *next = copy, *name;
    enum mgpt_status status = MGPT_OK;
    if (!copy)
        return mgpt_fail(error, MGPT_NOMEM, "no memory for the configuration");
    while (status == MGPT_OK && *copy && (name = strsep(&next, ",")))
        status = use_module(conf, section->name, name, error);
    free(copy);
    return status;
}

enum mgpt_status mgpt_conf_check(struct mgpt_conf *conf, struct mgpt_registry *registry,
                                 struct mgpt_error *error)
{
    if (conf->n_sections)
        return mgpt_fail(error, MGPT_INVALID, "the configuration was checked before");
    conf->registry = registry;
    enum mgpt_status status = create_core(conf, error);
    if (status == MGPT_OK)
        status = each_entry(conf, set_core, error);
    if (status == MGPT_OK)
        status = each_path(conf, "path", mgpt_registry_add_path, error);
    if (status == MGPT_OK)
        status = each_path(conf, "load", mgpt_registry_load, error);
    for (size_t i = 0; i < mgpt_n_sections && status == MGPT_OK; i++)
        if (is_kind(&mgpt_sections[i]))
            status = use_kind(conf, &mgpt_sections[i], error);
    return status == MGPT_OK ? each_entry(conf, set_module, error) : status;
}
