/* The configuration as an INI that reads back to the same values. */
#include <config.h>

#include "conf/conf.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "conf/state.h"

/* "builtin:given-names" and whatever else names its data by scheme is no path of the file system.
 */
static bool has_scheme(const char *path)
{
    size_t size = strspn(path, "abcdefghijklmnopqrstuvwxyz");
    return size && path[size] == ':';
}

/* Adds one line; a comment, when there is an origin, in a column of its own. */
static void print_line(const char *key, const char *value, const char *origin,
                       struct mgpt_string *out)
{
    size_t start = out->size;
    mgpt_string_format(out, *value ? "%s = %s" : "%s =", key, value);
    if (origin)
        mgpt_string_format(out, "%*s ; %s",
                           out->size - start < 36 ? (int)(36 - (out->size - start)) : 0, "",
                           origin);
    mgpt_string_add(out, "\n", 1);
}

/* A relative path means the working directory, which may be another one for whoever reads this; but
 * a line must stay readable. */
static void print_path(const char *key, const char *path, const char *origin,
                       struct mgpt_string *out)
{
    if (!*path || *path == '/' || has_scheme(path)) {
        print_line(key, path, origin, out);
        return;
    }
    char *absolute = mgpt_path_absolute(path);
    out->failed |= !absolute;
    bool fits = absolute && !mgpt_conf_unwritable(key, absolute);
    print_line(key, fits ? absolute : path, origin, out);
    free(absolute);
}

static void print_section(const struct mgpt_config *config, bool origins, struct mgpt_string *out)
{
    if (!mgpt_config_count(config))
        return;
    mgpt_string_format(out, out->size ? "\n[%s]\n" : "[%s]\n", mgpt_config_section(config));
    for (size_t i = 0; i < mgpt_config_count(config); i++) {
        const struct mgpt_option *option = mgpt_config_option(config, i);
        (option->type == MGPT_OPTION_PATH ? print_path : print_line)(
            option->key, mgpt_config_value(config, i)->text,
            origins ? mgpt_config_origin(config, i) : NULL, out);
    }
}

/* Was the same key given again later, or on the command line? */
static bool overridden(const struct mgpt_conf *conf, size_t index)
{
    const struct mgpt_conf_entry *e = &conf->entries[index];
    for (size_t i = 0; i < conf->n_entries; i++) {
        const struct mgpt_conf_entry *other = &conf->entries[i];
        bool wins = (!e->file == !other->file) ? i > index : !other->file;
        if (wins && !strcmp(e->section, other->section) && !strcmp(e->key, other->key))
            return true;
    }
    return false;
}

/* Modules that were not found, as they were given. */
static void print_unchecked(const struct mgpt_conf *conf, bool origins, struct mgpt_string *out)
{
    for (size_t first = 0; first < conf->n_entries; first++) {
        const char *section = conf->entries[first].section;
        size_t before = 0;
        while (strcmp(conf->entries[before].section, section))
            before++;
        if (!conf->entries[first].unchecked || before < first)
            continue;
        mgpt_string_format(out, "\n[%s]\n", section);
        for (size_t i = first; i < conf->n_entries; i++) {
            const struct mgpt_conf_entry *e = &conf->entries[i];
            if (!strcmp(e->section, section) && !overridden(conf, i))
                print_line(e->key, e->value, origins ? e->origin : NULL, out);
        }
    }
}

void mgpt_conf_print(const struct mgpt_conf *conf, bool origins, struct mgpt_string *out)
{
    for (size_t i = 0; i < conf->n_sections; i++)
        print_section(conf->sections[i], origins, out);
    print_unchecked(conf, origins, out);
}
