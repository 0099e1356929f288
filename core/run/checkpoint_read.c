/* Finding a checkpoint that is whole, and reading it. */
#include <config.h>

#include "run/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "run/checkpoint_folder.h"
#include "run/manifest.h"

#define TEXT_LIMIT ((uint64_t)1 << 28) /* far above any tokenizer.json */

/* What was found damaged on the way to one that is whole. */
struct search {
    char damage[800];
    size_t length;
    char *taken;
};

static void note(struct search *search, const char *text)
{
    size_t room = sizeof search->damage - search->length;
    int n =
        snprintf(search->damage + search->length, room, "%s%s", search->length ? "; " : "", text);
    search->length += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

/* Takes ownership of `path`. MGPT_OK also when it is damaged: then that is noted and nothing taken.
 */
static enum mgpt_status try_one(struct search *search, char *path, struct mgpt_error *error)
{
    struct mgpt_error cause;
    enum mgpt_status status = mgpt_manifest_check(path, true, NULL, &cause);
    if (!status) {
        search->taken = path;
        return MGPT_OK;
    }
    free(path);
    if (status != MGPT_DATA) /* no memory says nothing about the checkpoint */
        return mgpt_fail(error, status, "%s", cause.text);
    note(search, cause.text);
    return MGPT_OK;
}

/* The newest whole one of RUN/checkpoints, but for `tried`. */
static enum mgpt_status try_others(struct search *search, const char *run_dir, const char *tried,
                                   struct mgpt_error *error)
{
    struct mgpt_step_folder *list = NULL;
    size_t n = 0;
    char *checkpoints = mgpt_path_join(run_dir, "checkpoints");
    enum mgpt_status status =
        checkpoints ? mgpt_steps_list(checkpoints, &list, &n, error)
                    : mgpt_fail(error, MGPT_NOMEM, "%s: no memory to look into it", run_dir);
    for (size_t i = 0; i < n && !status && !search->taken; i++) {
        char *path = mgpt_path_join(checkpoints, list[i].name);
        if (!path)
            status = mgpt_fail(error, MGPT_NOMEM, "%s: no memory to look into it", run_dir);
        else if (tried && !strcmp(path, tried))
            free(path);
        else
            status = try_one(search, path, error);
    }
    free(list);
    free(checkpoints);
    return status;
}

static enum mgpt_status find_latest(const char *run_dir, char **path, struct mgpt_error *error)
{
    struct search search = {.taken = NULL};
    struct mgpt_error cause;
    char *linked = NULL, *tried = NULL;
    enum mgpt_status status = mgpt_steps_link(run_dir, "latest", &linked, &cause);
    if (status == MGPT_DATA)
        note(&search, cause.text);
    else if (status)
        return mgpt_fail(error, status, "%s", cause.text);
    status = MGPT_OK;
    if (linked) {
        tried = strdup(linked);
        status = try_one(&search, linked, error);
    }
    if (!status && !search.taken) {
        status = try_others(&search, run_dir, tried, error);
        if (search.taken && search.length)
            mgpt_log(MGPT_LOG_WARN, "%s; taking %s instead", search.damage, search.taken);
        else if (search.taken)
            mgpt_log(MGPT_LOG_WARN, "%s/latest: is missing; taking %s", run_dir, search.taken);
        else if (!status && search.length)
            status = mgpt_fail(error, MGPT_DATA, "no checkpoint is whole: %s", search.damage);
    }
    free(tried);
    *path = search.taken;
    return status;
}

/* "step-400" is one of the run's own (malloc). */
static char *step_path(const char *run_dir, const char *name)
{
    char *folder = mgpt_path_join(run_dir, "checkpoints");
    char *path = folder ? mgpt_path_join(folder, name) : NULL;
    free(folder);
    return path;
}

enum mgpt_status mgpt_checkpoint_find(const char *run_dir, const char *which, char **path,
                                      struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;
    char *found = NULL;
    *path = NULL;
    if (!strcmp(which, "latest"))
        return find_latest(run_dir, path, error);
    if (!strcmp(which, "best"))
        status = mgpt_steps_link(run_dir, "best", &found, error);
    else if (!(found = strchr(which, '/') ? strdup(which) : step_path(run_dir, which)))
        status = mgpt_fail(error, MGPT_NOMEM, "%s: no memory to look into it", which);
    if (status || !found)
        return status;
    status = mgpt_manifest_check(found, true, NULL, error);
    if (status)
        free(found);
    else
        *path = found;
    return status;
}

enum mgpt_status mgpt_checkpoint_text(const char *path, const char *name, char **text, size_t *size,
                                      struct mgpt_error *error)
{
    char *file = mgpt_path_join(path, name);
    if (!file)
        return mgpt_fail(error, MGPT_NOMEM, "%s: no memory to read %s", path, name);
    enum mgpt_status status = mgpt_file_read(file, TEXT_LIMIT, text, size, error);
    free(file);
    return status;
}

static enum mgpt_status load_file(const char *folder, const char *name, struct mgpt_blob *blobs,
                                  size_t n, struct mgpt_error *error)
{
    struct mgpt_safetensors *file = NULL;
    char *path = mgpt_path_join(folder, name);
    if (!path)
        return mgpt_fail(error, MGPT_NOMEM, "%s: no memory to read %s", folder, name);
    enum mgpt_status status = mgpt_safetensors_open(path, &file, error);
    for (size_t i = 0; i < n && !status; i++)
        status = mgpt_safetensors_read(file, &blobs[i], error);
    /* Weights that nobody asked for mean a smaller model than the one that was saved. */
    if (!status && mgpt_safetensors_count(file) != n)
        status = mgpt_fail(error, MGPT_DATA, "%s: holds %zu tensors, expected %zu", path,
                           mgpt_safetensors_count(file), n);
    mgpt_safetensors_close(file);
    free(path);
    return status;
}

enum mgpt_status mgpt_checkpoint_load(const char *path, struct mgpt_snapshot *snapshot,
                                      struct mgpt_error *error)
{
    uint64_t step;
    enum mgpt_status status = mgpt_manifest_check(path, false, &step, error);
    if (!status)
        status = load_file(path, "model.safetensors", snapshot->model, snapshot->n_model, error);
    if (!status && snapshot->n_state)
        status = load_file(path, "state.safetensors", snapshot->state, snapshot->n_state, error);
    if (!status)
        snapshot->step = step;
    return status;
}
