/* Can a file be loaded, can a module run here? Asked in this process or, where the answer may be a
 * crash, in another. */
#include <config.h>

#include <stdbool.h>
#include <string.h>

#include "base/apart.h"
#include "base/text.h"
#include "plugin/loader.h"
#include "plugin/registry.h"

static enum mgpt_status load(void *path, struct mgpt_error *error)
{
    const struct mgpt_plugin *plugin;
    return mgpt_plugin_load(path, &plugin, error);
}

enum mgpt_status mgpt_plugin_try(const char *path, double seconds, struct mgpt_error *error)
{
    struct mgpt_error cause;
    enum mgpt_status status = mgpt_apart(load, (void *)path, seconds, &cause);
    if (status == MGPT_OK)
        return MGPT_OK;
    return mgpt_fail(error, status, "%s: %.900s", path, mgpt_text_after_path(cause.text, path));
}

enum mgpt_status mgpt_module_probe(const struct mgpt_module *module, struct mgpt_error *error)
{
    const struct mgpt_component *c = module->component;
    struct mgpt_error reason = {0, ""};
    if (!c->probe || c->probe(mgpt_host(), &reason) == MGPT_OK)
        return MGPT_OK;
    reason.text[sizeof reason.text - 1] = '\0';
    return mgpt_fail(error, MGPT_UNSUPPORTED, "%.*s %s cannot run here: %.900s",
                     (int)strcspn(c->kind, "/"), c->kind, c->name,
                     reason.text[0] ? reason.text : "it does not say why");
}

static enum mgpt_status ask_probe(void *module, struct mgpt_error *error)
{
    return mgpt_module_probe(module, error);
}

enum mgpt_status mgpt_module_probe_apart(const struct mgpt_module *module, double seconds,
                                         struct mgpt_error *error)
{
    struct mgpt_module copy = *module;
    if (!module->component->probe)
        return MGPT_OK;
    enum mgpt_status status = mgpt_apart(ask_probe, &copy, seconds, error);
    if (status == MGPT_OK || status == MGPT_UNSUPPORTED)
        return status;
    char why[200];
    (void)snprintf(why, sizeof why, "%.199s", error ? error->text : "");
    return mgpt_fail(error, MGPT_UNSUPPORTED, "%.*s %s cannot run here: its probe %s",
                     (int)strcspn(copy.component->kind, "/"), copy.component->kind,
                     copy.component->name, why);
}
