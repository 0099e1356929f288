/* From the command line to a checked configuration. */
#include <config.h>

#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "run/step.h"

/* The path when that is there, else NULL. Takes it. */
static char *if_there(char *path)
{
    if (path && mgpt_path_exists(path))
        return path;
    free(path);
    return NULL;
}

/* The file to read (malloc), or NULL: the built-in defaults. */
static char *find_config(const struct mgpt_cli *cli)
{
    const char *named = mgpt_cli_value(cli, "config");
    if (named)
        return strdup(named);
    if (cli->no_file) {
        if (mgpt_path_exists("microgpt.ini"))
            mgpt_log(MGPT_LOG_WARN, "./microgpt.ini is not read %s; -c microgpt.ini reads it",
                     cli->no_file);
        return NULL;
    }
    if (mgpt_path_exists("microgpt.ini"))
        return strdup("microgpt.ini");
    char *path = if_there(mgpt_path_xdg("XDG_CONFIG_HOME", ".config", "microgpt/microgpt.ini"));
    return path ? path : if_there(strdup(MGPT_SYSCONFDIR "/microgpt/microgpt.ini"));
}

static enum mgpt_status add_folder(struct mgpt_registry *registry,
                                   const struct mgpt_cli_given *given, struct mgpt_error *error)
{
    struct mgpt_error cause;
    char *path = mgpt_path_absolute(given->value);
    if (!path)
        return mgpt_fail(error, MGPT_NOMEM, "%s: no memory", given->typed);
    enum mgpt_status status = mgpt_registry_add_path(registry, path, &cause);
    free(path);
    return status == MGPT_OK ? MGPT_OK
                             : mgpt_fail(error, status, "%s: %s", given->typed, cause.text);
}

enum mgpt_status mgpt_cli_registry(const struct mgpt_cli *cli, struct mgpt_registry **registry,
                                   struct mgpt_error *error)
{
    *registry = NULL;
    enum mgpt_status status = mgpt_registry_create(registry, error);
    if (status == MGPT_OK && cli->patience > 0)
        mgpt_registry_doubt(*registry, cli->patience);
    if (status == MGPT_OK)
        status = mgpt_builtin_register(*registry, error);
    for (size_t i = 0; i < cli->n_given && status == MGPT_OK; i++)
        if (!strcmp(cli->given[i].option->name, "plugin-path"))
            status = add_folder(*registry, &cli->given[i], error);
    if (status != MGPT_OK) {
        mgpt_registry_destroy(*registry);
        *registry = NULL;
    }
    return status;
}

/* --set S.KEY=VALUE, or an option that stands for it. */
static enum mgpt_status override(struct mgpt_conf *conf, const struct mgpt_cli_given *given,
                                 struct mgpt_error *error)
{
    if (!given->option->alias)
        return strcmp(given->option->name, "set")
                   ? MGPT_OK
                   : mgpt_conf_set(conf, given->value, given->typed, error);
    struct mgpt_string assignment = {0};
    mgpt_string_format(&assignment, "%s=%s", given->option->alias, given->value);
    enum mgpt_status status = assignment.failed
                                  ? mgpt_fail(error, MGPT_NOMEM, "%s: no memory", given->typed)
                                  : mgpt_conf_set(conf, assignment.data, given->typed, error);
    mgpt_string_finish(&assignment);
    return status;
}

/* The folders of -P become part of [plugins] path, so that a resumed run finds its modules. */
static enum mgpt_status keep_folders(const struct mgpt_cli *cli, struct mgpt_conf *conf,
                                     struct mgpt_error *error)
{
    struct mgpt_string all = {0};
    for (size_t i = 0; i < cli->n_given; i++)
        if (!strcmp(cli->given[i].option->name, "plugin-path")) {
            char *path = mgpt_path_absolute(cli->given[i].value);
            mgpt_string_format(&all, "%s%s", all.size ? ":" : "", path ? path : "");
            free(path);
        }
    const char *rest = mgpt_conf_text(conf, "plugins", "path");
    if (all.size && *rest)
        mgpt_string_format(&all, ":%s", rest);
    enum mgpt_status status =
        all.size ? mgpt_conf_settle(conf, "plugins", "path", all.data, "-P", error) : MGPT_OK;
    mgpt_string_finish(&all);
    return status;
}

/* The lines of cli->settings, before what was typed, which wins. */
static enum mgpt_status apply_settings(const struct mgpt_cli *cli, struct mgpt_conf *conf,
                                       struct mgpt_error *error)
{
    char *lines = strdup(cli->settings ? cli->settings : ""), *rest = lines, *line;
    enum mgpt_status status =
        lines ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "no memory for the settings");
    while (status == MGPT_OK && (line = strsep(&rest, "\n")))
        if (*line)
            status = mgpt_conf_set(conf, line, cli->settings_origin, error);
    free(lines);
    return status;
}

/* Takes `path`, the file to read or NULL. */
static enum mgpt_status configure_from(struct mgpt_cli *cli, char *path, struct mgpt_conf **conf,
                                       struct mgpt_registry **registry, struct mgpt_error *error)
{
    *conf = NULL;
    free(cli->config_path);
    cli->config_path = path;
    enum mgpt_status status = mgpt_cli_registry(cli, registry, error);
    if (status == MGPT_OK)
        status = mgpt_conf_create(conf, error);
    if (status == MGPT_OK)
        mgpt_conf_collect(*conf, cli->faults);
    if (status == MGPT_OK && path)
        status = mgpt_conf_read(*conf, path, error);
    if (status == MGPT_OK)
        status = apply_settings(cli, *conf, error);
    for (size_t i = 0; i < cli->n_given && status == MGPT_OK; i++)
        status = override(*conf, &cli->given[i], error);
    if (status == MGPT_OK) {
        mgpt_conf_spare(*conf, cli->command->spares);
        status = mgpt_conf_check(*conf, *registry, error);
    }
    if (status == MGPT_OK)
        status = keep_folders(cli, *conf, error);
    if (status != MGPT_OK) {
        mgpt_conf_destroy(*conf);
        mgpt_registry_destroy(*registry);
        *conf = NULL;
        *registry = NULL;
    }
    return status;
}

enum mgpt_status mgpt_cli_configure(struct mgpt_cli *cli, struct mgpt_conf **conf,
                                    struct mgpt_registry **registry, struct mgpt_error *error)
{
    return configure_from(cli, find_config(cli), conf, registry, error);
}

/* The run that `path`, its config.ini, belongs to may have been moved since that was written. */
static enum mgpt_status configure_at(struct mgpt_cli *cli, const char *dir, char *path,
                                     struct mgpt_conf **conf, struct mgpt_registry **registry,
                                     struct mgpt_error *error)
{
    char *here = mgpt_path_absolute(dir);
    enum mgpt_status status = configure_from(cli, path, conf, registry, error);
    if (status == MGPT_OK && here)
        status = mgpt_conf_settle(*conf, "run", "dir", here, cli->config_path, error);
    free(here);
    return status;
}

const char *mgpt_cli_typed_dir(const struct mgpt_cli *cli)
{
    for (size_t i = cli->n_given; i-- > 0;) {
        const struct mgpt_cli_given *given = &cli->given[i];
        if (given->option->alias && !strcmp(given->option->alias, "run.dir"))
            return given->value;
        if (!strcmp(given->option->name, "set") && !strncmp(given->value, "run.dir=", 8))
            return given->value + 8;
    }
    return NULL;
}

/* The config.ini of the run in `dir` (malloc); NULL: there is none. */
static char *config_of(const char *dir)
{
    char *path = *dir ? mgpt_path_join(dir, "config.ini") : NULL;
    if (path && mgpt_path_exists(path))
        return path;
    free(path);
    return NULL;
}

enum mgpt_status mgpt_cli_configure_run(struct mgpt_cli *cli, struct mgpt_conf **conf,
                                        struct mgpt_registry **registry, struct mgpt_error *error)
{
    const char *typed = mgpt_cli_typed_dir(cli); /* then no other file need be read to know it */
    char *path = typed ? config_of(typed) : NULL;
    if (path && !mgpt_cli_value(cli, "config"))
        return configure_at(cli, typed, path, conf, registry, error);
    free(path);
    enum mgpt_status status = mgpt_cli_configure(cli, conf, registry, error);
    if (status != MGPT_OK || mgpt_cli_value(cli, "config"))
        return status;
    char *dir = strdup(mgpt_conf_text(*conf, "run", "dir"));
    path = dir ? config_of(dir) : NULL;
    if (path) {
        mgpt_conf_destroy(*conf);
        mgpt_registry_destroy(*registry);
        status = configure_at(cli, dir, path, conf, registry, error);
    }
    free(dir);
    return status;
}
