/* [dataset] path: a file, a text that comes with microgpt, one to fetch, or none yet. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "run/data.h"
#include "run/fetch.h"

static enum mgpt_status find_builtin(const struct mgpt_conf *conf, const char *name,
                                     const char *config_path, char **path, struct mgpt_error *error)
{
    const char *slash = config_path ? strrchr(config_path, '/') : NULL;
    struct mgpt_string file = {0};

    const char *origin = mgpt_conf_origin(conf, "dataset", "path");

    if (!*name || strchr(name, '/'))
        return mgpt_fail(error, MGPT_CONFIG,
                         "%s: [dataset] path = %s: expected builtin:NAME, such as "
                         "builtin:given-names",
                         origin, mgpt_conf_text(conf, "dataset", "path"));
    if (config_path)
        mgpt_string_format(&file, "%.*s/data/%s.txt", slash ? (int)(slash - config_path) : 1,
                           slash ? config_path : ".", name);
    if (!file.data || !mgpt_path_exists(file.data)) {
        mgpt_string_finish(&file);
        file = (struct mgpt_string){0};
        mgpt_string_format(&file, "%s/data/%s.txt", MGPT_DATADIR, name);
    }
    bool missing = file.data && !mgpt_path_exists(file.data);
    *path = file.data ? mgpt_path_absolute(file.data) : NULL;
    mgpt_string_finish(&file);
    if (missing)
        return mgpt_fail(error, MGPT_DATA,
                         "%s: [dataset] path = builtin:%s: no %s.txt in %s/data: there is no "
                         "built-in text of that name, or it is not installed; name the INI of the "
                         "sources, beside which it lies: -c SOURCES/conf/microgpt.ini; or a text: "
                         "--set dataset.path=FILE",
                         origin, name, name, MGPT_DATADIR);
    return *path ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "out of memory");
}

static enum mgpt_status find_fetched(const struct mgpt_conf *conf, const char *name, char **path,
                                     struct mgpt_error *error)
{
    struct mgpt_error why;
    enum mgpt_status status = mgpt_fetch(name, mgpt_conf_text(conf, "fetch", "mirror"), path, &why);

    if (status == MGPT_OK)
        return MGPT_OK;
    if (status == MGPT_USAGE) /* no such text */
        return mgpt_fail(error, MGPT_CONFIG, "%s: [dataset] path = fetch:%s: %s",
                         mgpt_conf_origin(conf, "dataset", "path"), name, why.text);
    return mgpt_fail(error, status, "%s", why.text);
}

/* A file that is not there, but has the name of a text that is known: that is how to get it. */
static enum mgpt_status find_file(const struct mgpt_conf *conf, const char *given, char **path,
                                  struct mgpt_error *error)
{
    const char *slash = strrchr(given, '/'), *name = slash ? slash + 1 : given;

    for (const struct mgpt_text_source *s = &mgpt_text_sources[0]; s->name; s++)
        if (!strcmp(s->file, name) && !mgpt_path_exists(given))
            return mgpt_fail(error, MGPT_DATA,
                             "%s: [dataset] path = %s: no such file; download it by --set "
                             "dataset.path=fetch:%s, or name another: --set dataset.path=FILE",
                             mgpt_conf_origin(conf, "dataset", "path"), given, s->name);
    *path = mgpt_path_absolute(given);
    return *path ? MGPT_OK : mgpt_fail(error, MGPT_NOMEM, "out of memory");
}

enum mgpt_status mgpt_data_path(struct mgpt_conf *conf, const char *config_path, char **path,
                                struct mgpt_error *error)
{
    static const char builtin[] = "builtin:", fetched[] = "fetch:";
    const char *given = mgpt_conf_text(conf, "dataset", "path"), *origin = "builtin";
    enum mgpt_status status;

    if (strcmp(given, "import:none") == 0)
        return mgpt_fail(error, MGPT_CONFIG,
                         "%s: [dataset] path = %s: an imported model has no text of its own; "
                         "name one: --set dataset.path=FILE",
                         mgpt_conf_origin(conf, "dataset", "path"), given);
    if (strncmp(given, builtin, sizeof builtin - 1) == 0) {
        status = find_builtin(conf, given + sizeof builtin - 1, config_path, path, error);
    } else if (strncmp(given, fetched, sizeof fetched - 1) == 0) {
        origin = "fetch";
        status = find_fetched(conf, given + sizeof fetched - 1, path, error);
    } else {
        return find_file(conf, given, path, error);
    }
    return status == MGPT_OK ? mgpt_conf_settle(conf, "dataset", "path", *path, origin, error)
                             : status;
}
