/* The configuration: what was given, and the values of every section. */
#include <config.h>

#include "conf/conf.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "conf/ini.h"
#include "conf/state.h"

#define MAX_ENTRIES 4096

enum mgpt_status mgpt_conf_create(struct mgpt_conf **conf, struct mgpt_error *error)
{
    *conf = calloc(1, sizeof **conf);
    return *conf ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "no memory for the configuration");
}

static void entry_finish(struct mgpt_conf_entry *entry)
{
    free(entry->section);
    free(entry->key);
    free(entry->value);
    free(entry->origin);
}

void mgpt_conf_destroy(struct mgpt_conf *conf)
{
    if (!conf)
        return;
    for (size_t i = 0; i < conf->n_sections; i++)
        mgpt_config_destroy(conf->sections[i]);
    for (size_t i = 0; i < conf->n_entries; i++)
        entry_finish(&conf->entries[i]);
    free(conf->sections);
    free(conf->entries);
    free(conf);
}

/* ---- what was given ---- */

/* Makes room for one more of `n` items of `size` bytes. */
static bool grow(void **items, size_t n, size_t *capacity, size_t size)
{
    if (n < *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 32;
    void *grown = realloc(*items, wanted * size);
    if (!grown)
        return false;
    *items = grown;
    *capacity = wanted;
    return true;
}

const char *mgpt_conf_unwritable(const char *key, const char *value)
{
    size_t size = strlen(value);
    if (mgpt_utf8_check(value, size) < size)
        return "expected UTF-8";
    for (const char *c = value; *c; c++) {
        if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
            return "expected text without control characters";
        if (*c == ';' && (c == value || mgpt_blank(c[-1])))
            return "expected no ; at the start or after a blank, where it begins a comment";
    }
    if (strlen(key) + strlen(" = ") + size > MGPT_INI_LINE)
        return "expected at most 799 bytes with the key, which is a line of an INI";
    return NULL;
}

/* Adds a copy. */
static enum mgpt_status add(struct mgpt_conf *conf, const struct mgpt_conf_entry *given,
                            struct mgpt_error *error)
{
    const char *reason = mgpt_conf_unwritable(given->key, given->value);
    if (reason)
        return mgpt_fail(error, MGPT_CONFIG, "%s: [%s] %s = %s: %s", given->origin, given->section,
                         given->key, given->value, reason);
    if (conf->n_entries >= MAX_ENTRIES)
        return mgpt_fail(error, MGPT_CONFIG, "%s: more keys than the %d that are expected at most",
                         given->origin, MAX_ENTRIES);
    if (!grow((void **)&conf->entries, conf->n_entries, &conf->entries_capacity, sizeof *given))
        return mgpt_fail(error, MGPT_NOMEM, "%s: no memory", given->origin);
    struct mgpt_conf_entry *entry = &conf->entries[conf->n_entries++];
    *entry = *given;
    entry->section = strdup(given->section);
    entry->key = strdup(given->key);
    entry->value = strdup(given->value);
    entry->origin = strdup(given->origin);
    if (!entry->section || !entry->key || !entry->value || !entry->origin)
        return mgpt_fail(error, MGPT_NOMEM, "no memory for the configuration");
    return MGPT_OK;
}

/* Index of the key in its section; abort when there is none: the caller's bug, as in
 * mgpt_config_int. */
static size_t locate(const struct mgpt_conf *conf, const char *section, const char *key,
                     const struct mgpt_config **config)
{
    *config = mgpt_conf_find(conf, section);
    size_t i = *config ? mgpt_config_index(*config, key) : 0;
    if (!*config || i == mgpt_config_count(*config)) {
        mgpt_log(MGPT_LOG_ERROR, "bug: there is no option [%s] %s", section, key);
        abort();
    }
    return i;
}

/* ---- mistakes, when all are wanted ---- */

void mgpt_conf_collect(struct mgpt_conf *conf, struct mgpt_faults *faults)
{
    conf->faults = faults;
}

enum mgpt_status mgpt_conf_forgive(struct mgpt_conf *conf, const struct mgpt_conf_entry *e,
                                   enum mgpt_status status, struct mgpt_error *error)
{
    if (!conf->faults || status == MGPT_OK || status == MGPT_NOMEM)
        return status;
    struct mgpt_fault_place at = {e->origin, e->section, e->key, e->value, e->file, e->line};
    conf->faults->modules |= at.section && !strcmp(at.section, "plugins");
    return mgpt_faults_add(conf->faults, &at, error) == MGPT_OK
               ? MGPT_OK
               : mgpt_fail(error, MGPT_NOMEM, "no memory for the mistakes of the configuration");
}

bool mgpt_conf_sound(const struct mgpt_conf *conf, const char *section)
{
    const struct mgpt_faults *faults = conf->faults;
    if (!faults)
        return true;
    for (size_t i = 0; i < faults->n; i++)
        if (faults->items[i].section && !strcmp(faults->items[i].section, section))
            return false;
    return !faults->lost && !faults->more;
}

enum mgpt_status mgpt_conf_blame(struct mgpt_conf *conf, const char *section, const char *key,
                                 enum mgpt_status status, struct mgpt_error *error)
{
    const struct mgpt_config *config;
    size_t at = locate(conf, section, key, &config);
    const char *origin = mgpt_config_origin(config, at);
    struct mgpt_conf_entry unset = {.section = (char *)(uintptr_t)section,
                                    .key = (char *)(uintptr_t)key,
                                    .value = (char *)(uintptr_t)mgpt_config_value(config, at)->text,
                                    .origin = (char *)(uintptr_t)origin};
    const struct mgpt_conf_entry *e = &unset; /* a default */
    for (size_t i = 0; i < conf->n_entries; i++)
        if (conf->entries[i].origin == origin) /* mgpt_config_set keeps the pointer */
            e = &conf->entries[i];
    return mgpt_conf_forgive(conf, e, status, error);
}

/* ---- files ---- */

struct file {
    struct mgpt_conf *conf;
    const char *path;
};

/* A setting in a section that cannot be known; only where mistakes are collected. */
static enum mgpt_status lose(struct mgpt_conf *conf, const char *key)
{
    conf->faults->lost = true;
    conf->faults->modules |= !strcmp(key, "path") || !strcmp(key, "load"); /* those of [plugins] */
    conf->faults->unchecked++;
    return MGPT_OK;
}

static enum mgpt_status refuse(void *user, const char *section, unsigned line,
                               struct mgpt_error *error)
{
    struct file *file = user;
    struct mgpt_string origin = {0};
    mgpt_string_format(&origin, "%s:%u", file->path, line);
    struct mgpt_conf_entry e = {.section = (char *)(uintptr_t)section,
                                .origin = origin.data,
                                .file = file->conf->files,
                                .line = line};
    if (!section) /* it may have said, or lost, what any section says */
        file->conf->faults->lost = file->conf->faults->modules = true;
    enum mgpt_status status = origin.failed ? mgpt_fail(error, MGPT_NOMEM, "no memory")
                                            : mgpt_conf_forgive(file->conf, &e, MGPT_CONFIG, error);
    mgpt_string_finish(&origin);
    return status;
}

static enum mgpt_status take(void *user, const struct mgpt_ini_entry *e, struct mgpt_error *error)
{
    struct file *file = user;
    struct mgpt_conf *conf = file->conf;
    struct mgpt_string origin = {0};
    enum mgpt_status status = MGPT_OK;
    if (!e->section)
        return lose(conf, e->key);
    mgpt_string_format(&origin, "%s:%u", file->path, e->line);
    if (origin.failed)
        status = mgpt_fail(error, MGPT_NOMEM, "%s: no memory", file->path);
    for (size_t i = 0; i < conf->n_entries && status == MGPT_OK; i++) {
        const struct mgpt_conf_entry *old = &conf->entries[i];
        if (old->file == conf->files && !strcmp(old->section, e->section) &&
            !strcmp(old->key, e->key))
            status = mgpt_fail(error, MGPT_CONFIG,
                               "%s: [%s] %s = %s: line %u has this key already, as %s", origin.data,
                               e->section, e->key, e->value, old->line, old->value);
    }
    struct mgpt_conf_entry entry = {.section = (char *)e->section,
                                    .key = (char *)e->key,
                                    .value = (char *)e->value,
                                    .origin = origin.data,
                                    .file = conf->files,
                                    .line = e->line};
    if (status == MGPT_OK)
        status = add(conf, &entry, error);
    if (status != MGPT_OK && conf->n_entries < MAX_ENTRIES)
        status = mgpt_conf_forgive(conf, &entry, status, error);
    mgpt_string_finish(&origin);
    return status;
}

enum mgpt_status mgpt_conf_read(struct mgpt_conf *conf, const char *path, struct mgpt_error *error)
{
    struct file file = {conf, path};
    struct mgpt_ini_visitor visitor = {take, conf->faults ? refuse : NULL, &file};
    conf->files++;
    return mgpt_ini_read(path, &visitor, error);
}

enum mgpt_status mgpt_conf_read_text(struct mgpt_conf *conf, const char *name, const char *text,
                                     size_t size, struct mgpt_error *error)
{
    struct file file = {conf, name};
    struct mgpt_ini_visitor visitor = {take, conf->faults ? refuse : NULL, &file};
    conf->files++;
    return mgpt_ini_parse(name, text, size, &visitor, error);
}

enum mgpt_status mgpt_conf_set(struct mgpt_conf *conf, const char *assignment, const char *origin,
                               struct mgpt_error *error)
{
    char *copy = strdup(assignment), *equals = copy ? strchr(copy, '=') : NULL, *dot = NULL;
    struct mgpt_conf_entry entry = {.origin = (char *)(uintptr_t)origin};
    enum mgpt_status status;
    if (!copy)
        return mgpt_fail(error, MGPT_NOMEM, "%s: no memory", origin);
    if (equals) {
        *equals = 0;
        dot = strrchr(copy, '.');
    }
    if (dot) {
        *dot = 0;
        entry.section = mgpt_trim(copy);
        entry.key = mgpt_trim(dot + 1);
        entry.value = mgpt_trim(equals + 1);
    }
    status = dot && *entry.section && *entry.key
                 ? add(conf, &entry, error)
                 : mgpt_fail(error, MGPT_CONFIG, "%s: expected section.key=value", origin);
    if (conf->n_entries < MAX_ENTRIES)
        status = mgpt_conf_forgive(conf, &entry, status, error);
    free(copy);
    return status;
}

/* ---- sections ---- */

struct mgpt_config *mgpt_conf_find(const struct mgpt_conf *conf, const char *section)
{
    for (size_t i = 0; i < conf->n_sections; i++)
        if (!strcmp(mgpt_config_section(conf->sections[i]), section))
            return conf->sections[i];
    return NULL;
}

/* Are "optimizer" or "optimizer.sgd", and "optimizer.adamw", of one kind? */
static bool same_kind(const char *a, const char *b)
{
    size_t size = strcspn(a, ".");
    return size == strcspn(b, ".") && !strncmp(a, b, size);
}

enum mgpt_status mgpt_conf_adopt(struct mgpt_conf *conf, struct mgpt_config *config,
                                 struct mgpt_error *error)
{
    if (!grow((void **)&conf->sections, conf->n_sections, &conf->sections_capacity,
              sizeof *conf->sections)) {
        mgpt_config_destroy(config);
        return mgpt_fail(error, MGPT_NOMEM, "no memory for the configuration");
    }
    size_t at = conf->n_sections;
    for (size_t i = 0; i < conf->n_sections; i++)
        if (same_kind(mgpt_config_section(conf->sections[i]), mgpt_config_section(config)))
            at = i + 1;
    memmove(conf->sections + at + 1, conf->sections + at,
            (conf->n_sections - at) * sizeof *conf->sections);
    conf->sections[at] = config;
    conf->n_sections++;
    return MGPT_OK;
}

enum mgpt_status mgpt_conf_open(struct mgpt_conf *conf, const char *kind, const char *name,
                                struct mgpt_config **config, struct mgpt_error *error)
{
    struct mgpt_string section = {0};
    struct mgpt_module module;
    enum mgpt_status status = MGPT_OK;
    mgpt_string_format(&section, "%s.%s", kind, name);
    if (section.failed)
        return mgpt_fail(error, MGPT_NOMEM, "no memory for the configuration");
    *config = mgpt_conf_find(conf, section.data);
    if (!*config)
        status = mgpt_registry_find(conf->registry, kind, name, &module, error);
    if (!*config && status == MGPT_OK) {
        const struct mgpt_component *c = module.component;
        status = mgpt_config_create(config, section.data, c->options, c->n_options, c->option_size,
                                    error);
        if (status == MGPT_OK)
            status = mgpt_conf_adopt(conf, *config, error);
    }
    mgpt_string_finish(&section);
    return status;
}

const struct mgpt_config *mgpt_conf_module(struct mgpt_conf *conf, const char *kind,
                                           const char *name)
{
    struct mgpt_config *config = NULL;
    struct mgpt_error error;
    if (mgpt_conf_open(conf, kind, name, &config, &error) == MGPT_OK)
        return config;
    mgpt_log(MGPT_LOG_DEBUG, "no section [%s.%s]: %s", kind, name, error.text);
    return NULL;
}

size_t mgpt_conf_count(const struct mgpt_conf *conf)
{
    return conf->n_sections;
}

const struct mgpt_config *mgpt_conf_at(const struct mgpt_conf *conf, size_t i)
{
    return conf->sections[i];
}

/* ---- values ---- */

int64_t mgpt_conf_int(const struct mgpt_conf *conf, const char *section, const char *key)
{
    return mgpt_config_int(mgpt_conf_find(conf, section), key);
}

double mgpt_conf_float(const struct mgpt_conf *conf, const char *section, const char *key)
{
    return mgpt_config_float(mgpt_conf_find(conf, section), key);
}

uint64_t mgpt_conf_seed(const struct mgpt_conf *conf, const char *section, const char *key)
{
    return mgpt_config_seed(mgpt_conf_find(conf, section), key);
}

bool mgpt_conf_bool(const struct mgpt_conf *conf, const char *section, const char *key)
{
    return mgpt_conf_int(conf, section, key) != 0;
}

const char *mgpt_conf_text(const struct mgpt_conf *conf, const char *section, const char *key)
{
    return mgpt_config_text(mgpt_conf_find(conf, section), key);
}

enum mgpt_status mgpt_conf_settle(struct mgpt_conf *conf, const char *section, const char *key,
                                  const char *value, const char *origin, struct mgpt_error *error)
{
    if (mgpt_conf_unwritable(key, value))
        return MGPT_OK;
    return mgpt_config_set(mgpt_conf_find(conf, section), key, value, origin, error);
}

int mgpt_conf_choice(const struct mgpt_conf *conf, const char *section, const char *key)
{
    const struct mgpt_config *config;
    size_t i = locate(conf, section, key, &config);
    return (int)mgpt_config_value(config, i)->integer;
}

unsigned mgpt_conf_choices(const struct mgpt_conf *conf, const char *section, const char *key)
{
    const struct mgpt_config *config;
    size_t i = locate(conf, section, key, &config);
    return mgpt_config_value(config, i)->set;
}

const char *mgpt_conf_origin(const struct mgpt_conf *conf, const char *section, const char *key)
{
    const struct mgpt_config *config;
    size_t i = locate(conf, section, key, &config);
    return mgpt_config_origin(config, i);
}
