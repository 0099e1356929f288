/* Saving a checkpoint: whole, proven and durable before anything points to it. */
#include <config.h>

#include "run/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "run/checkpoint_folder.h"
#include "run/manifest.h"

/* The paths of one save. */
struct place {
    char *checkpoints; /* RUN/checkpoints */
    char *folder;      /* RUN/checkpoints/step-N */
    char *temporary;   /* the same with .tmp-PID */
    char *old;         /* the same with .old-PID */
    char target[64];   /* checkpoints/step-N, what the links say */
};

static void place_finish(struct place *place)
{
    free(place->old);
    free(place->temporary);
    free(place->folder);
    free(place->checkpoints);
}

static enum mgpt_status place_init(struct place *place, const char *run_dir, uint64_t step,
                                   struct mgpt_error *error)
{
    *place = (struct place){0};
    snprintf(place->target, sizeof place->target, "checkpoints/step-%" PRIu64, step);
    place->checkpoints = mgpt_path_join(run_dir, "checkpoints");
    place->folder = mgpt_path_join(run_dir, place->target);
    if (place->folder)
        place->temporary = mgpt_path_temporary(place->folder);
    if (place->temporary)
        place->old = strdup(place->temporary);
    if (!place->checkpoints || !place->old) {
        place_finish(place);
        return mgpt_fail(error, MGPT_NOMEM, "%s: no memory to save a checkpoint", run_dir);
    }
    memcpy(place->old + strlen(place->folder), ".old-", 5); /* as long as ".tmp-" */
    return MGPT_OK;
}

/* One file of the folder: the blobs, or the text. */
static enum mgpt_status write_file(const char *folder, const char *name,
                                   const struct mgpt_blob *blobs, size_t n, const char *text,
                                   struct mgpt_manifest_file *entry, struct mgpt_error *error)
{
    char *path = mgpt_path_join(folder, name);
    if (!path)
        return mgpt_fail(error, MGPT_NOMEM, "%s: no memory to write %s", folder, name);
    entry->name = name;
    enum mgpt_status status =
        text ? mgpt_output_text(path, text, &entry->size, entry->sha256, error)
             : mgpt_safetensors_write_hashed(path, blobs, n, &entry->size, entry->sha256, error);
    free(path);
    return status;
}

/* The digests in the manifest are of the bytes in memory, so the check holds the disk against them.
 */
static enum mgpt_status write_folder(const char *folder, const struct mgpt_snapshot *s,
                                     struct mgpt_error *error)
{
    struct mgpt_manifest_file files[4];
    size_t n = 0;
    enum mgpt_status status =
        write_file(folder, "model.safetensors", s->model, s->n_model, NULL, &files[n++], error);
    if (!status && s->n_state)
        status =
            write_file(folder, "state.safetensors", s->state, s->n_state, NULL, &files[n++], error);
    if (!status)
        status = write_file(folder, "config.json", NULL, 0, s->config_json, &files[n++], error);
    if (!status && s->tokenizer_json)
        status =
            write_file(folder, "tokenizer.json", NULL, 0, s->tokenizer_json, &files[n++], error);
    if (!status)
        status = mgpt_manifest_write(folder, s->step, files, n, error);
    if (!status)
        status = mgpt_dir_sync(folder, error);
    if (status)
        return status;
    status = mgpt_manifest_check(folder, true, NULL, error);
    if (status != MGPT_DATA)
        return status;
    if (error)
        error->status = MGPT_IO;
    return MGPT_IO; /* written this moment, so the disk's fault and not the data's */
}

/* Swaps the new folder with the old step-N, or takes it away to step-N.old-PID where the file
 * system cannot swap. 0 or -1 with errno. */
static int replace_folder(const struct place *place)
{
#ifdef RENAME_EXCHANGE
    if (!renameat2(AT_FDCWD, place->temporary, AT_FDCWD, place->folder, RENAME_EXCHANGE))
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
#endif
    if (rename(place->folder, place->old))
        return -1;
    if (rename(place->temporary, place->folder)) {
        int cause = errno;
        (void)rename(place->old, place->folder);
        errno = cause;
        return -1;
    }
    /* Where the swap would have left it. */
    return rename(place->old, place->temporary);
}

/* Gives the proven folder its name, durably. On failure step-N is again what it was. */
static enum mgpt_status publish(const struct place *place, bool *replaced, struct mgpt_error *error)
{
    struct stat info;
    *replaced = !lstat(place->folder, &info);
    if (*replaced ? replace_folder(place) : rename(place->temporary, place->folder))
        return mgpt_file_fail(error, MGPT_IO, place->folder, "rename the new checkpoint to it");
    enum mgpt_status status = mgpt_dir_sync(place->checkpoints, error);
    if (status && *replaced)
        (void)replace_folder(place);
    else if (status)
        (void)rename(place->folder, place->temporary);
    return status;
}

/* `best` first: were it second, a crash between them would resume from a state that counts this
 * checkpoint as the best while the link names another. */
static enum mgpt_status point_links(const char *run_dir, const char *target, bool best,
                                    struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;
    static const char *const names[] = {"best", "latest"};
    for (int i = best ? 0 : 1; i < 2 && !status; i++) {
        char *link = mgpt_path_join(run_dir, names[i]);
        status = link ? mgpt_link_replace(link, target, error)
                      : mgpt_fail(error, MGPT_NOMEM, "%s: no memory for a link", run_dir);
        free(link);
    }
    return status ? status : mgpt_dir_sync(run_dir, error);
}

enum mgpt_status mgpt_checkpoint_save(const char *run_dir, const struct mgpt_snapshot *snapshot,
                                      bool best, unsigned keep, struct mgpt_error *error)
{
    struct place place;
    bool replaced = false;
    if (!snapshot->config_json || snapshot->step > INT64_MAX)
        return mgpt_fail(error, MGPT_INVALID,
                         "%s: a checkpoint without config.json, or of a step "
                         "that JSON cannot hold",
                         run_dir);
    enum mgpt_status status = place_init(&place, run_dir, snapshot->step, error);
    if (status)
        return status;
    status = mgpt_dir_make(place.checkpoints, error);
    if (status)
        goto out;
    mgpt_steps_sweep(run_dir, place.checkpoints);
    if (mkdir(place.temporary, 0777)) {
        status = mgpt_file_fail(error, MGPT_IO, place.temporary, "make the folder");
        goto out;
    }
    status = write_folder(place.temporary, snapshot, error);
    if (!status)
        status = publish(&place, &replaced, error);
    bool published = !status;
    if (!status)
        status = point_links(run_dir, place.target, best, error);
    struct mgpt_error cause;
    /* Holds the new files after a failure, the old ones after a replacement. */
    if ((!published || replaced) && mgpt_dir_remove(place.temporary, &cause))
        mgpt_log(MGPT_LOG_WARN, "%s", cause.text);
    if (!status)
        mgpt_steps_prune(run_dir, place.checkpoints, keep);
out:
    place_finish(&place);
    return status;
}
