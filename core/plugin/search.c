/* The search path. */
#include <config.h>

#include "plugin/search.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "plugin/diary.h"

enum mgpt_status mgpt_names_add(struct mgpt_names *names, const char *text, size_t size,
                                struct mgpt_error *error)
{
    char **items = realloc(names->items, (names->count + 2) * sizeof *items);
    if (!items)
        return mgpt_fail(error, MGPT_NOMEM, "no memory for a list of names");
    names->items = items;
    items[names->count] = strndup(text, size);
    if (!items[names->count])
        return mgpt_fail(error, MGPT_NOMEM, "no memory for a list of names");
    items[++names->count] = NULL;
    return MGPT_OK;
}

void mgpt_names_finish(struct mgpt_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (struct mgpt_names){NULL, 0};
}

/* ---- the environment ---- */

/* Once a process, however many registries it makes. */
static void warn_relative(const char *entry)
{
    static bool warned;
    if (entry && !warned) {
        warned = true;
        mgpt_log(MGPT_LOG_WARN, "MICROGPT_PLUGIN_PATH: %s is skipped: expected absolute folders",
                 entry);
    }
}

enum mgpt_status mgpt_search_environment(struct mgpt_names *folders, struct mgpt_diary *diary,
                                         struct mgpt_error *error)
{
    const char *list = secure_getenv("MICROGPT_PLUGIN_PATH");
    enum mgpt_status status = MGPT_OK;
    while (list && list[0] && status == MGPT_OK) {
        size_t n = strcspn(list, ":");
        if (list[0] == '/') {
            status = mgpt_names_add(folders, list, n, error);
        } else {
            char *entry = strndup(list, n);
            warn_relative(entry && n ? entry : NULL);
            mgpt_diary_add(diary, entry && n ? entry : "(empty)",
                           "skipped: MICROGPT_PLUGIN_PATH takes absolute folders alone", 0);
            free(entry);
        }
        if (list[n] == ':' && list[n + 1] == '\0')
            mgpt_diary_add(diary, "(empty)",
                           "skipped: MICROGPT_PLUGIN_PATH takes absolute folders alone", 0);
        list += n + (list[n] == ':');
    }
    return status;
}

/* ---- folders ---- */

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum mgpt_status mgpt_search_folder(const char *folder, struct mgpt_names *files,
                                    struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;
    size_t before = files->count;
    DIR *dir = opendir(folder);
    if (!dir)
        return mgpt_fail(error, MGPT_PLUGIN, "%s", errno == ENOENT ? "not there" : strerror(errno));
    for (struct dirent *e = readdir(dir); e && status == MGPT_OK; e = readdir(dir)) {
        size_t n = strlen(e->d_name);
        if (n > 3 && strcmp(e->d_name + n - 3, ".so") == 0)
            status = mgpt_names_add(files, e->d_name, n, error);
    }
    closedir(dir);
    if (files->count > before)
        qsort(files->items + before, files->count - before, sizeof *files->items, compare);
    return status;
}

const struct mgpt_kind *mgpt_search_parse(const char *file, const char **name, size_t *size)
{
    const char *bar = strchr(file, '_'), *dot = strrchr(file, '.');
    if (!bar || !dot || strcmp(dot, ".so") != 0 || dot <= bar + 1)
        return NULL;
    *name = bar + 1;
    *size = (size_t)(dot - *name);
    if (strspn(*name, MGPT_NAME_CHARACTERS) != *size)
        return NULL;
    return mgpt_kind_named(file, (size_t)(bar - file));
}
