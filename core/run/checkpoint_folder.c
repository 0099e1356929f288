/* The folder DIR/checkpoints: listing, sweeping up after killed runs, pruning. */
#include <config.h>

#include "run/checkpoint_folder.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "run/manifest.h"

/* Does `name` end in TAG and a process number? */
static bool has_tag(const char *name, const char *tag)
{
    const char *at = NULL;
    for (const char *p = name; (p = strstr(p, tag)); p++)
        at = p;
    if (!at || at == name)
        return false;
    at += strlen(tag);
    return *at && at[strspn(at, "0123456789")] == '\0';
}

static bool read_name(const char *name, struct mgpt_step_folder *folder)
{
    const char *tail;
    size_t n = strlen(name);
    if (n >= sizeof folder->name || !mgpt_step_parse(name, &folder->step, &tail))
        return false;
    folder->old = *tail != '\0';
    if (folder->old && (strncmp(tail, ".old-", 5) || !has_tag(name, ".old-")))
        return false;
    memcpy(folder->name, name, n + 1);
    return true;
}

static int newest_first(const void *a, const void *b)
{
    const struct mgpt_step_folder *x = a, *y = b;
    if (x->step != y->step)
        return x->step < y->step ? 1 : -1;
    return x->old - y->old; /* the replacement before what it replaced */
}

/* Grows by doubling. */
static bool append(struct mgpt_step_folder **list, size_t *n, const struct mgpt_step_folder *item)
{
    if ((*n & (*n - 1)) == 0) {
        struct mgpt_step_folder *more = realloc(*list, (*n ? 2 * *n : 1) * sizeof **list);
        if (!more)
            return false;
        *list = more;
    }
    (*list)[(*n)++] = *item;
    return true;
}

enum mgpt_status mgpt_steps_list(const char *checkpoints, struct mgpt_step_folder **list, size_t *n,
                                 struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;
    struct mgpt_step_folder item;
    *list = NULL;
    *n = 0;
    DIR *dir = opendir(checkpoints);
    if (!dir)
        return errno == ENOENT ? MGPT_OK : mgpt_file_fail(error, MGPT_DATA, checkpoints, "open");
    while (!status) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry) {
            if (errno)
                status = mgpt_file_fail(error, MGPT_DATA, checkpoints, "list");
            break;
        }
        if (read_name(entry->d_name, &item) && !append(list, n, &item))
            status = mgpt_fail(error, MGPT_NOMEM, "%s: no memory to list it", checkpoints);
    }
    closedir(dir);
    if (status) {
        free(*list);
        *list = NULL;
        *n = 0;
    } else if (*n) {
        qsort(*list, *n, sizeof **list, newest_first);
    }
    return status;
}

enum mgpt_status mgpt_steps_link(const char *run_dir, const char *name, char **path,
                                 struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;
    char target[PATH_MAX];
    char *link = mgpt_path_join(run_dir, name);
    *path = NULL;
    if (!link)
        return mgpt_fail(error, MGPT_NOMEM, "%s: no memory to look into it", run_dir);
    ssize_t n = readlink(link, target, sizeof target);
    if (n < 0 && errno == EINVAL) { /* a copy of the run may have made a folder of it */
        *path = link;
        return MGPT_OK;
    }
    if (n < 0 && errno != ENOENT) {
        status = mgpt_file_fail(error, MGPT_DATA, link, "follow the link");
    } else if (n == (ssize_t)sizeof target) {
        status = mgpt_fail(error, MGPT_DATA, "%s: points to a path that is too long", link);
    } else if (n >= 0) {
        target[n] = '\0';
        *path = target[0] == '/' ? strdup(target) : mgpt_path_join(run_dir, target);
        if (!*path)
            status = mgpt_fail(error, MGPT_NOMEM, "%s: no memory to look into it", run_dir);
    }
    free(link);
    return status;
}

static void remove_folder(const char *path)
{
    struct mgpt_error error;
    if (mgpt_dir_remove(path, &error))
        mgpt_log(MGPT_LOG_WARN, "%s", error.text);
}

/* Moves an interrupted replacement's step-N.old-PID back, or removes it when step-N is there. */
static void settle_old(const char *checkpoints, const char *name)
{
    struct stat info;
    char *path = mgpt_path_join(checkpoints, name), *home = path ? strdup(path) : NULL;
    if (home) {
        home[strlen(path) - strlen(strstr(name, ".old-"))] = '\0';
        if (!lstat(home, &info))
            remove_folder(path);
        else if (rename(path, home))
            mgpt_log(MGPT_LOG_WARN, "%s: cannot rename it to %s: %s", path, home, strerror(errno));
    }
    free(home);
    free(path);
}

/* Does the name begin as those of our own temporary files do? Others' files are left in peace. */
static bool is_ours(const char *name, bool of_checkpoints)
{
    static const char *const in_run[] = {"config.ini.", "latest.", "best.", "watch.html.", NULL};
    if (of_checkpoints)
        return !strncmp(name, "step-", 5);
    for (int i = 0; in_run[i]; i++)
        if (!strncmp(name, in_run[i], strlen(in_run[i])))
            return true;
    return false;
}

/* The page of `watch`, who is no trainer and may be writing it right now. */
static bool is_being_written(const char *name)
{
    pid_t writer = (pid_t)atol(strrchr(name, '-') + 1);
    return !strncmp(name, "watch.html.", 11) && (!kill(writer, 0) || errno != ESRCH);
}

static void sweep_one(const char *folder, const char *name, bool of_checkpoints)
{
    struct mgpt_step_folder item;
    if (of_checkpoints && read_name(name, &item) && item.old) {
        settle_old(folder, name);
        return;
    }
    if (!has_tag(name, ".tmp-") || !is_ours(name, of_checkpoints) || is_being_written(name))
        return;
    char *path = mgpt_path_join(folder, name);
    if (path && unlink(path) && errno == EISDIR && of_checkpoints)
        remove_folder(path);
    free(path);
}

static void sweep(const char *folder, bool of_checkpoints)
{
    const struct dirent *entry;
    DIR *dir = opendir(folder);
    if (!dir)
        return; /* the save that follows meets the same error, and reports it */
    while ((entry = readdir(dir)))
        sweep_one(folder, entry->d_name, of_checkpoints);
    closedir(dir);
}

void mgpt_steps_sweep(const char *run_dir, const char *checkpoints)
{
    sweep(run_dir, false);
    sweep(checkpoints, true);
}

/* Renamed first: a folder of which half is gone must not look like a checkpoint. */
static void remove_step(const char *checkpoints, const char *name)
{
    char *path = mgpt_path_join(checkpoints, name);
    char *temporary = path ? mgpt_path_temporary(path) : NULL;
    if (temporary) {
        if (rename(path, temporary))
            mgpt_log(MGPT_LOG_WARN, "%s: cannot remove it: %s", path, strerror(errno));
        else
            remove_folder(temporary);
    }
    free(temporary);
    free(path);
}

static bool points_to(const char *target, const char *name)
{
    const char *slash = target ? strrchr(target, '/') : NULL;
    return slash && !strcmp(slash + 1, name);
}

void mgpt_steps_prune(const char *run_dir, const char *checkpoints, unsigned keep)
{
    struct mgpt_error error;
    struct mgpt_step_folder *list = NULL;
    char *latest = NULL, *best = NULL;
    size_t n = 0;
    if (mgpt_steps_link(run_dir, "latest", &latest, &error) ||
        mgpt_steps_link(run_dir, "best", &best, &error) ||
        mgpt_steps_list(checkpoints, &list, &n, &error)) {
        mgpt_log(MGPT_LOG_WARN, "old checkpoints are left: %s", error.text);
        goto out;
    }
    for (size_t i = keep; i < n; i++)
        if (!points_to(latest, list[i].name) && !points_to(best, list[i].name))
            remove_step(checkpoints, list[i].name);
out:
    free(list);
    free(best);
    free(latest);
}
