/* The registry: which modules are known, and the search for those that are not yet. */
#include <config.h>

#include "plugin/registry.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "plugin/diary.h"
#include "plugin/kinds.h"
#include "plugin/left_out.h"
#include "plugin/loader.h"
#include "plugin/search.h"
#include "plugin/validate.h"

#define MAX_NAME 200 /* so that KIND_NAME.so fits in a folder */

struct entry {
    const struct mgpt_kind *kind;
    const struct mgpt_component *component;
    const struct mgpt_plugin *plugin;
    char *path; /* NULL: built in */
};

struct mgpt_registry {
    struct mgpt_names added;    /* folders of -P and [plugins] path */
    struct mgpt_names standard; /* of MICROGPT_PLUGIN_PATH, and the installed one */
    struct entry *entries;      /* in order of kind and name */
    size_t n_entries;
    struct mgpt_diary diary;
    double patience; /* seconds for a trial in another process; 0: no trial */
};

/* ---- the search path ---- */

static size_t n_folders(const struct mgpt_registry *r)
{
    return r->added.count + r->standard.count;
}

static const char *folder_at(const struct mgpt_registry *r, size_t i)
{
    return i < r->added.count ? r->added.items[i] : r->standard.items[i - r->added.count];
}

enum mgpt_status mgpt_registry_create(struct mgpt_registry **registry, struct mgpt_error *error)
{
    struct mgpt_registry *r = calloc(1, sizeof *r);
    if (!r)
        return mgpt_fail(error, MGPT_NOMEM, "no memory for the registry of modules");
    enum mgpt_status status = mgpt_search_environment(&r->standard, &r->diary, error);
    if (status == MGPT_OK)
        status = mgpt_names_add(&r->standard, MGPT_PLUGINDIR, strlen(MGPT_PLUGINDIR), error);
    if (status != MGPT_OK) {
        mgpt_registry_destroy(r);
        return status;
    }
    *registry = r;
    return MGPT_OK;
}

void mgpt_registry_destroy(struct mgpt_registry *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_entries; i++)
        free(r->entries[i].path);
    mgpt_diary_finish(&r->diary);
    mgpt_names_finish(&r->added);
    mgpt_names_finish(&r->standard);
    free(r->entries);
    free(r);
}

enum mgpt_status mgpt_registry_add_path(struct mgpt_registry *r, const char *directory,
                                        struct mgpt_error *error)
{
    if (directory[0] != '/') {
        mgpt_diary_add(&r->diary, directory[0] ? directory : "(empty)",
                       "refused: not an absolute path", 0);
        return mgpt_fail(error, MGPT_PLUGIN,
                         "\"%s\" is no folder of plugins: expected an absolute path", directory);
    }
    return mgpt_names_add(&r->added, directory, strlen(directory), error);
}

/* ---- what is known ---- */

static int compare(const struct entry *e, const struct mgpt_kind *kind, const char *name)
{
    int order = strcmp(e->kind->name, kind->name);
    return order ? order : strcmp(e->component->name, name);
}

static struct entry *lookup(const struct mgpt_registry *r, const struct mgpt_kind *kind,
                            const char *name)
{
    for (size_t i = 0; i < r->n_entries; i++)
        if (compare(&r->entries[i], kind, name) == 0)
            return &r->entries[i];
    return NULL;
}

static const char *origin(const struct entry *e)
{
    return e->path ? e->path : "built in";
}

static struct mgpt_module module_of(const struct entry *e)
{
    return (struct mgpt_module){e->component, e->plugin, origin(e)};
}

static enum mgpt_status fail_twice(const struct entry *there, const char *path,
                                   struct mgpt_error *error)
{
    return mgpt_fail(error, MGPT_PLUGIN, "%s: %s %s is there already: %s", path, there->kind->name,
                     there->component->name, origin(there));
}

/* path NULL: built in. A component that is there already stays; another of its name is refused. */
static enum mgpt_status insert(struct mgpt_registry *r, const struct mgpt_component *component,
                               const struct mgpt_plugin *plugin, const char *path,
                               struct mgpt_error *error)
{
    const struct mgpt_kind *kind = mgpt_kind_of(component->kind);
    const struct entry *there = lookup(r, kind, component->name);
    if (there && there->component == component)
        return MGPT_OK;
    if (there)
        return fail_twice(there, path ? path : "built in", error);
    struct entry *entries = realloc(r->entries, (r->n_entries + 1) * sizeof *entries);
    if (!entries)
        return mgpt_fail(error, MGPT_NOMEM, "no memory for the registry of modules");
    r->entries = entries;
    struct entry entry = {kind, component, plugin, path ? strdup(path) : NULL};
    if (path && !entry.path)
        return mgpt_fail(error, MGPT_NOMEM, "no memory for the registry of modules");
    size_t at = r->n_entries;
    while (at > 0 && compare(&entries[at - 1], kind, component->name) > 0)
        at--;
    memmove(entries + at + 1, entries + at, (r->n_entries - at) * sizeof *entries);
    entries[at] = entry;
    r->n_entries++;
    return MGPT_OK;
}

enum mgpt_status mgpt_registry_add_builtin(struct mgpt_registry *r,
                                           const struct mgpt_component *component,
                                           struct mgpt_error *error)
{
    enum mgpt_status status = mgpt_component_check(component, "built in", error);
    if (status != MGPT_OK)
        return status;
    if (!mgpt_kind_of(component->kind))
        return mgpt_fail(error, MGPT_INVALID, "built in: kind %s: unknown here", component->kind);
    return insert(r, component, NULL, NULL, error);
}

/* ---- files ---- */

/* A component that this core cannot use: says why. */
static void record_unknown(struct mgpt_registry *r, const char *path, const char *id)
{
    const struct mgpt_kind *kind = mgpt_kind_named(id, strcspn(id, "/"));
    char outcome[256];
    if (kind)
        (void)snprintf(outcome, sizeof outcome, "kind %s: this microgpt speaks %s", id, kind->id);
    else
        (void)snprintf(outcome, sizeof outcome, "kind %s: unknown here", id);
    mgpt_diary_add(&r->diary, path, outcome, 0);
}

/* All of a file or nothing: is every name of it free? */
static enum mgpt_status check_free(const struct mgpt_registry *r, const struct mgpt_plugin *plugin,
                                   const char *path, struct mgpt_error *error)
{
    for (size_t i = 0; plugin->components[i]; i++) {
        const struct mgpt_component *c = plugin->components[i];
        const struct mgpt_kind *kind = mgpt_kind_of(c->kind);
        const struct entry *there = kind ? lookup(r, kind, c->name) : NULL;
        if (there && there->component != c)
            return fail_twice(there, path, error);
    }
    return MGPT_OK;
}

/* Registers the component asked for, or with kind NULL every one. */
static enum mgpt_status take(struct mgpt_registry *r, const struct mgpt_plugin *plugin,
                             const char *path, const struct mgpt_kind *kind, const char *name,
                             struct mgpt_error *error)
{
    struct mgpt_string others = {0};
    enum mgpt_status status = kind ? MGPT_OK : check_free(r, plugin, path, error);
    size_t taken = 0;
    for (size_t i = 0; plugin->components[i] && status == MGPT_OK; i++) {
        const struct mgpt_component *c = plugin->components[i];
        const struct mgpt_kind *of = mgpt_kind_of(c->kind);
        if (of && (!kind || (of == kind && strcmp(c->name, name) == 0))) {
            status = insert(r, c, plugin, path, error);
            taken++;
            continue;
        }
        if (!of)
            record_unknown(r, path, c->kind);
        mgpt_string_format(&others, "%s%s %s", others.size ? ", " : "",
                           of ? of->name : "a module of kind", of ? c->name : c->kind);
    }
    if (status == MGPT_OK && taken == 0)
        status =
            kind ? mgpt_fail(error, MGPT_PLUGIN, "%s: holds %s, expected %s %s", path,
                             others.data ? others.data : "other modules", kind->name, name)
                 : mgpt_fail(error, MGPT_PLUGIN, "%s: holds %s, nothing that this microgpt knows",
                             path, others.data ? others.data : "other modules");
    mgpt_string_finish(&others);
    return status;
}

void mgpt_registry_doubt(struct mgpt_registry *r, double seconds)
{
    r->patience = seconds;
}

/* One file, and its line in the diary. */
static enum mgpt_status load(struct mgpt_registry *r, const char *path,
                             const struct mgpt_kind *kind, const char *name,
                             struct mgpt_error *error)
{
    struct mgpt_error cause;
    const struct mgpt_plugin *plugin;
    enum mgpt_status status = MGPT_OK;
    if (r->patience > 0)
        status = mgpt_plugin_try(path, r->patience, &cause);
    if (status == MGPT_OK)
        status = mgpt_plugin_load(path, &plugin, &cause);
    if (status == MGPT_OK)
        status = take(r, plugin, path, kind, name, &cause);
    if (status == MGPT_OK) {
        mgpt_diary_add(&r->diary, path, "loaded", 1);
        return MGPT_OK;
    }
    /* The diary has a column for the path. */
    mgpt_diary_add(&r->diary, path, mgpt_text_after_path(cause.text, path), 0);
    return mgpt_fail(error, status, "%s", cause.text);
}

enum mgpt_status mgpt_registry_load(struct mgpt_registry *r, const char *path,
                                    struct mgpt_error *error)
{
    if (path[0] != '/') {
        mgpt_diary_add(&r->diary, path[0] ? path : "(empty)", "refused: not an absolute path", 0);
        return mgpt_fail(error, MGPT_PLUGIN, "\"%s\" is no plugin: expected an absolute path",
                         path);
    }
    return load(r, path, NULL, NULL, error);
}

static int is_missing(const char *path)
{
    struct stat st;
    return stat(path, &st) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* KIND_NAME.so in one folder. `tried` grows by "FOLDER (what came of it)", and `refused` by the
 * file with its reason when it is there and cannot be had. */
static enum mgpt_status try_folder(struct mgpt_registry *r, const char *folder,
                                   const struct mgpt_kind *kind, const char *name,
                                   struct mgpt_string *tried, struct mgpt_string *refused)
{
    char file[MAX_NAME + 32];
    (void)snprintf(file, sizeof file, "%s_%s.so", kind->name, name);
    char *path = mgpt_path_join(folder, file);
    if (!path)
        return MGPT_NOMEM;
    enum mgpt_status status = MGPT_PLUGIN;
    struct mgpt_error cause;
    const char *outcome = "not there";
    if (is_missing(path)) {
        mgpt_diary_add(&r->diary, path, outcome, 0);
    } else {
        status = load(r, path, kind, name, &cause);
        outcome = status == MGPT_OK ? "loaded" : mgpt_text_after_path(cause.text, path);
        if (status != MGPT_OK)
            mgpt_string_format(refused, "%s%s was refused (%s)", refused->size ? ", " : "", path,
                               outcome);
    }
    if (status != MGPT_OK)
        mgpt_string_format(tried, "%s%s (%s)", tried->size ? ", " : "", folder, outcome);
    free(path);
    return status;
}

/* ---- asking ---- */

static enum mgpt_status check_names(const char *kind, const char *name, struct mgpt_error *error)
{
    enum mgpt_status status = mgpt_kind_known(kind, MGPT_PLUGIN, error);

    if (status != MGPT_OK)
        return status;
    if (strlen(name) > MAX_NAME)
        return mgpt_fail(error, MGPT_PLUGIN,
                         "\"%.20s...\" cannot be the name of a module: it has %zu characters, "
                         "expected at most %d",
                         name, strlen(name), MAX_NAME);
    if (!mgpt_module_name_valid(name))
        return mgpt_fail(error, MGPT_PLUGIN,
                         "\"%s\" cannot be the name of a module: expected only a-z, 0-9, _ and -",
                         name);
    return MGPT_OK;
}

/* Is any module there but those built in, or asked for by -P? */
static bool has_standard_files(const struct mgpt_registry *r)
{
    struct mgpt_names files = {NULL, 0};
    for (size_t i = 0; i < r->standard.count; i++)
        (void)mgpt_search_folder(r->standard.items[i], &files, NULL);
    size_t n = files.count;
    mgpt_names_finish(&files);
    return n != 0;
}

static enum mgpt_status fail_missing(const struct mgpt_registry *r, const char *kind,
                                     const char *name, const struct mgpt_string *tried,
                                     bool refused, struct mgpt_error *error)
{
    const char *where = tried->data ? tried->data : "no folder";
    if (refused)
        return mgpt_fail(error, MGPT_PLUGIN, "%s %s was refused; looked for %s_%s.so in: %s", kind,
                         name, kind, name, where);
    const char *why = mgpt_left_out_why(kind, name);
    if (why)
        return mgpt_fail(error, MGPT_PLUGIN,
                         "this microgpt was built without %s %s (%s): %s; microgpt doctor says "
                         "more; looked for %s_%s.so in: %s",
                         kind, name, why,
                         strcmp(kind, "backend") ? "take another, which microgpt plugins list has"
                                                 : "use auto or cpu",
                         kind, name, where);
    char *nearest = mgpt_registry_nearest(r, kind, name);
    mgpt_fail(error, MGPT_PLUGIN, "no %s called \"%s\"%s%s%s; looked for %s_%s.so in: %s%s", kind,
              name, nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "",
              kind, name, where,
              has_standard_files(r) ? ""
                                    : "; not installed? name where the modules are built: "
                                      "MICROGPT_PLUGIN_PATH=BUILD/plugins/.libs");
    free(nearest);
    return MGPT_PLUGIN;
}

enum mgpt_status mgpt_registry_find(struct mgpt_registry *r, const char *kind, const char *name,
                                    struct mgpt_module *module, struct mgpt_error *error)
{
    enum mgpt_status status = check_names(kind, name, error);
    if (status != MGPT_OK)
        return status;
    const struct mgpt_kind *of = mgpt_kind_named(kind, strlen(kind));
    const struct entry *entry = lookup(r, of, name);
    struct mgpt_string tried = {0}, refused = {0};
    for (size_t i = 0; i < n_folders(r) && !entry && status != MGPT_NOMEM; i++) {
        status = try_folder(r, folder_at(r, i), of, name, &tried, &refused);
        if (status == MGPT_OK)
            entry = lookup(r, of, name);
    }
    if (entry)
        *module = module_of(entry);
    if (entry && refused.size) /* the user may think that the file in front is what runs */
        mgpt_log(MGPT_LOG_WARN, "%s; %s is used instead", refused.data, origin(entry));
    if (!entry && status == MGPT_NOMEM)
        mgpt_fail(error, status, "no memory to look for %s %s", kind, name);
    else if (!entry)
        status = fail_missing(r, kind, name, &tried, refused.size != 0, error);
    mgpt_string_finish(&refused);
    mgpt_string_finish(&tried);
    return status;
}

enum mgpt_status mgpt_registry_use(struct mgpt_registry *r, const char *want, const char *name,
                                   struct mgpt_module *module, struct mgpt_error *error)
{
    char kind[32];
    (void)snprintf(kind, sizeof kind, "%.*s", (int)strcspn(want, "/"), want);
    struct mgpt_module found;
    enum mgpt_status status = mgpt_registry_find(r, kind, name, &found, error);
    if (status != MGPT_OK)
        return status;
    if (strcmp(found.component->kind, want) != 0)
        return mgpt_fail(error, MGPT_PLUGIN, "%s: %s %s speaks %s, expected %s: rebuild it",
                         found.path, kind, name, found.component->kind, want);
    status = mgpt_module_probe(&found, error);
    if (status == MGPT_OK)
        *module = mgpt_validated(found);
    return status;
}

/* ---- listing ---- */

/* `only` is the kind wanted; NULL: all. */
static void scan_file(struct mgpt_registry *r, const char *only, const char *folder,
                      const char *file)
{
    const char *start;
    size_t size;
    const struct mgpt_kind *kind = mgpt_search_parse(file, &start, &size);
    if (only && (!kind || strcmp(kind->name, only) != 0))
        return;
    char *path = mgpt_path_join(folder, file), *name = kind ? strndup(start, size) : NULL;
    if (!path || (kind && !name))
        goto out;
    if (!kind) {
        mgpt_diary_add(&r->diary, path, "not called KIND_NAME.so after a kind known here", 0);
        goto out;
    }
    const struct entry *there = lookup(r, kind, name);
    if (!there) {
        (void)load(r, path, kind, name, NULL);
    } else if (strcmp(origin(there), path) != 0) {
        struct mgpt_error outcome;
        mgpt_fail(&outcome, MGPT_PLUGIN, "hidden by %s", origin(there));
        mgpt_diary_add(&r->diary, path, outcome.text, 0);
    }
out:
    free(name);
    free(path);
}

void mgpt_registry_scan(struct mgpt_registry *r, const char *kind)
{
    for (size_t i = 0; i < n_folders(r); i++) {
        const char *folder = folder_at(r, i);
        struct mgpt_names files = {NULL, 0};
        struct mgpt_error cause;
        if (mgpt_search_folder(folder, &files, &cause) != MGPT_OK)
            mgpt_diary_add(&r->diary, folder, cause.text, 0);
        for (size_t k = 0; k < files.count; k++)
            scan_file(r, kind, folder, files.items[k]);
        mgpt_names_finish(&files);
    }
}

size_t mgpt_registry_count(const struct mgpt_registry *r, const char *kind)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n_entries; i++)
        n += !kind || strcmp(r->entries[i].kind->name, kind) == 0;
    return n;
}

struct mgpt_module mgpt_registry_at(const struct mgpt_registry *r, const char *kind, size_t index)
{
    for (size_t i = 0; i < r->n_entries; i++)
        if ((!kind || strcmp(r->entries[i].kind->name, kind) == 0) && index-- == 0)
            return module_of(&r->entries[i]);
    return (struct mgpt_module){NULL, NULL, NULL};
}

char *mgpt_registry_nearest(const struct mgpt_registry *r, const char *kind, const char *name)
{
    struct mgpt_names names = {NULL, 0}, files = {NULL, 0};
    for (size_t i = 0; i < r->n_entries; i++)
        if (!kind || strcmp(r->entries[i].kind->name, kind) == 0)
            (void)mgpt_names_add(&names, r->entries[i].component->name,
                                 strlen(r->entries[i].component->name), NULL);
    for (size_t i = 0; i < n_folders(r); i++)
        (void)mgpt_search_folder(folder_at(r, i), &files, NULL);
    for (size_t i = 0; i < files.count; i++) {
        const char *start;
        size_t size;
        const struct mgpt_kind *of = mgpt_search_parse(files.items[i], &start, &size);
        if (of && (!kind || strcmp(of->name, kind) == 0))
            (void)mgpt_names_add(&names, start, size, NULL);
    }
    const char *nearest = names.count ? mgpt_nearest(name, (const char *const *)names.items) : NULL;
    char *copy = nearest ? strdup(nearest) : NULL;
    mgpt_names_finish(&names);
    mgpt_names_finish(&files);
    return copy;
}

size_t mgpt_registry_attempts(const struct mgpt_registry *r)
{
    return r->diary.count;
}

struct mgpt_attempt mgpt_registry_attempt(const struct mgpt_registry *r, size_t index)
{
    return r->diary.attempts[index];
}
