/* The loader: dlopen, the ABI stamp, the descriptor. */
#include <config.h>

#include "plugin/loader.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

#include "base/text.h"
#include "plugin/elf.h"
#include "plugin/kinds.h"
#include "plugin/options.h"

/* More than any file holds; it bounds the walk along a list that lacks its NULL. */
#define MAX_COMPONENTS 1024
#define MAX_OPTIONS 1024

/* What a struct must claim as its size to hold `field`. */
#define SIZE_WITH(type, field) (offsetof(type, field) + sizeof(((type *)0)->field))

/* "optimizer/1": [a-z0-9-]+ / [0-9]+ */
static bool kind_valid(const char *kind)
{
    size_t name = strspn(kind, "abcdefghijklmnopqrstuvwxyz0123456789-");
    if (name == 0 || kind[name] != '/')
        return false;
    const char *version = kind + name + 1;
    return version[0] && version[strspn(version, "0123456789")] == '\0';
}

/* `what` is "PATH: optimizer adamw". */
static enum mgpt_status check_options(const struct mgpt_component *c, const char *what,
                                      struct mgpt_error *error)
{
    if (c->n_options == 0)
        return MGPT_OK;
    if (c->n_options > MAX_OPTIONS || !c->options)
        return mgpt_fail(
            error, MGPT_PLUGIN, "%s: claims %u options %s, expected a table of at most %d", what,
            (unsigned)c->n_options, c->options ? "in a table" : "and no table", MAX_OPTIONS);
    if (c->option_size < sizeof(struct mgpt_option) ||
        c->option_size % _Alignof(struct mgpt_option) != 0)
        return mgpt_fail(error, MGPT_PLUGIN,
                         "%s: claims options of %u bytes, expected at least %zu and a multiple of "
                         "%zu: use MGPT_OPTIONS",
                         what, (unsigned)c->option_size, sizeof(struct mgpt_option),
                         _Alignof(struct mgpt_option));
    for (uint32_t i = 0; i < c->n_options; i++) {
        const struct mgpt_option *option = mgpt_option_at(c, i);
        struct mgpt_error cause;
        enum mgpt_status status = mgpt_option_check(option, &cause);
        if (status != MGPT_OK)
            return mgpt_fail(error, status, "%s: option %s", what, cause.text);
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(mgpt_option_at(c, k)->key, option->key) == 0)
                return mgpt_fail(error, MGPT_PLUGIN, "%s: options %u and %u are both called %s",
                                 what, (unsigned)k, (unsigned)i, option->key);
    }
    return MGPT_OK;
}

enum mgpt_status mgpt_component_check(const struct mgpt_component *c, const char *path,
                                      struct mgpt_error *error)
{
    char what[512];
    if (c->size < SIZE_WITH(struct mgpt_component, name))
        return mgpt_fail(error, MGPT_PLUGIN,
                         "%s: a component claims %u bytes, expected %zu or more", path,
                         (unsigned)c->size, SIZE_WITH(struct mgpt_component, name));
    if (!c->kind || !kind_valid(c->kind))
        return mgpt_fail(error, MGPT_PLUGIN,
                         "%s: a component's kind is \"%s\", expected one like \"optimizer/1\"",
                         path, c->kind ? c->kind : "NULL");
    const struct mgpt_kind *kind = mgpt_kind_of(c->kind);
    if (!kind) /* for a microgpt that knows it */
        return MGPT_OK;
    if (!c->name || !mgpt_module_name_valid(c->name))
        return mgpt_fail(error, MGPT_PLUGIN,
                         "%s: a component of kind %s is called \"%s\", expected only a-z, 0-9, _ "
                         "and -",
                         path, c->kind, c->name ? c->name : "NULL");
    (void)snprintf(what, sizeof what, "%s: %s %s", path, kind->name, c->name);
    if (c->size < SIZE_WITH(struct mgpt_component, api))
        return mgpt_fail(error, MGPT_PLUGIN,
                         "%s: claims %u bytes, too few for api: expected %zu or more", what,
                         (unsigned)c->size, SIZE_WITH(struct mgpt_component, api));
    if (!c->summary)
        return mgpt_fail(error, MGPT_PLUGIN, "%s: summary is NULL, expected a line of text", what);
    enum mgpt_status status = mgpt_kind_check(kind, c->api, what, error);
    return status == MGPT_OK ? check_options(c, what, error) : status;
}

/* The frozen prefix: nothing after it may be read before it fits. */
static enum mgpt_status check_stamp(const struct mgpt_plugin *plugin, const char *path,
                                    struct mgpt_error *error)
{
    if (plugin->magic != MGPT_ABI_MAGIC)
        return mgpt_fail(error, MGPT_PLUGIN,
                         "%s: its descriptor starts with 0x%08x, expected 0x%08x (\"MGPT\"): use "
                         "MGPT_PLUGIN_DEFINE",
                         path, (unsigned)plugin->magic, (unsigned)MGPT_ABI_MAGIC);
    if (plugin->abi_major != MGPT_ABI_MAJOR)
        return mgpt_fail(error, MGPT_PLUGIN,
                         "%s: built for ABI %u.%u, this microgpt speaks %d.%d: rebuild it", path,
                         (unsigned)plugin->abi_major, (unsigned)plugin->abi_minor, MGPT_ABI_MAJOR,
                         MGPT_ABI_MINOR);
    if (plugin->size < SIZE_WITH(struct mgpt_plugin, components))
        return mgpt_fail(error, MGPT_PLUGIN,
                         "%s: its descriptor claims %u bytes, expected %zu or more", path,
                         (unsigned)plugin->size, SIZE_WITH(struct mgpt_plugin, components));
    return MGPT_OK;
}

enum mgpt_status mgpt_plugin_check(const struct mgpt_plugin *plugin, const char *path,
                                   struct mgpt_error *error)
{
    enum mgpt_status status = check_stamp(plugin, path, error);
    if (status != MGPT_OK)
        return status;
    const struct {
        const char *name, *value;
    } texts[] = {{"id", plugin->id},
                 {"version", plugin->version},
                 {"license", plugin->license},
                 {"vendor", plugin->vendor}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (!texts[i].value)
            return mgpt_fail(error, MGPT_PLUGIN, "%s: %s of its descriptor is NULL, expected text",
                             path, texts[i].name);
    if (!plugin->components || !plugin->components[0])
        return mgpt_fail(error, MGPT_PLUGIN, "%s: holds no component, expected at least one", path);
    for (size_t i = 0; plugin->components[i]; i++) {
        if (i == MAX_COMPONENTS)
            return mgpt_fail(error, MGPT_PLUGIN,
                             "%s: its list of components has no end after %d, expected a NULL",
                             path, MAX_COMPONENTS);
        status = mgpt_component_check(plugin->components[i], path, error);
        if (status != MGPT_OK)
            return status;
    }
    return MGPT_OK;
}

/* The linker's own words, which start with the path more often than not. */
static enum mgpt_status fail_linker(const char *path, const char *words, struct mgpt_error *error)
{
    if (!words)
        words = "the dynamic linker refuses it and does not say why";
    return mgpt_fail(error, MGPT_PLUGIN, "%s: %s", path, mgpt_text_after_path(words, path));
}

enum mgpt_status mgpt_plugin_load(const char *path, const struct mgpt_plugin **plugin,
                                  struct mgpt_error *error)
{
    enum mgpt_status status = mgpt_elf_check(path, error);
    if (status != MGPT_OK)
        return status;
    /* Never closed: its tables are in use everywhere, its threads may run, and leak reports want
     * names. */
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle)
        return fail_linker(path, dlerror(), error);
    void *symbol = dlsym(handle, MGPT_PLUGIN_SYMBOL);
    if (!symbol)
        return mgpt_fail(
            error, MGPT_PLUGIN,
            "%s: no plugin of microgpt: it does not export %s (MGPT_PLUGIN_DEFINE does)", path,
            MGPT_PLUGIN_SYMBOL);
    mgpt_plugin_entry entry; /* ISO C has no cast from an object's address to a function's */
    memcpy(&entry, &symbol, sizeof entry);
    const struct mgpt_plugin *found = entry();
    if (!found)
        return mgpt_fail(error, MGPT_PLUGIN, "%s: %s() returned NULL, expected its descriptor",
                         path, MGPT_PLUGIN_SYMBOL);
    status = mgpt_plugin_check(found, path, error);
    if (status == MGPT_OK)
        *plugin = found;
    return status;
}
