/* The folder of a run, before and beside its checkpoints. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "run/folder.h"

/* Does a line of a file name the folder? Such as a copy of a run's config.ini, whose it is. */
static bool is_of_file(const char *origin)
{
    return origin[0] != '-' && strchr(origin, ':');
}

enum mgpt_status mgpt_folder_refuse(const char *dir, const struct mgpt_conf *conf,
                                    struct mgpt_error *error)
{
    static const char *const traces[] = {"config.ini", "metrics.jsonl", "checkpoints", NULL};
    const char *origin = mgpt_conf_origin(conf, "run", "dir");
    bool of_file = is_of_file(origin);

    for (int i = 0; traces[i]; i++) {
        char *path = mgpt_path_join(dir, traces[i]);
        bool found = path && mgpt_path_exists(path);
        free(path);
        if (found)
            return mgpt_fail(
                error, MGPT_CONFIG,
                "%s already holds a run (%s); use --resume to go on with it, or another "
                "folder: --dir NAME%s%s",
                dir, traces[i], of_file ? ", which goes before that of " : "",
                of_file ? origin : "");
    }
    return MGPT_OK;
}

enum mgpt_status mgpt_folder_lock(const char *dir, int *lock, struct mgpt_error *error)
{
    return mgpt_dir_lock(dir, lock, MGPT_CONFIG,
                         "another microgpt is training in this folder; wait for it, or use another "
                         "folder: --dir NAME",
                         error);
}

enum mgpt_status mgpt_folder_keep(const char *dir, const struct mgpt_conf *conf,
                                  struct mgpt_error *error)
{
    struct mgpt_string text = {0};
    char *path = mgpt_path_join(dir, "config.ini");
    enum mgpt_status status;

    mgpt_conf_print(conf, false, &text);
    status = path && !text.failed ? mgpt_file_replace(path, text.data, text.size, error)
                                  : mgpt_fail(error, MGPT_NOMEM, "out of memory");
    mgpt_string_finish(&text);
    free(path);
    return status;
}
