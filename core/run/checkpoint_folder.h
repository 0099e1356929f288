/* The folder DIR/checkpoints: what is in it, what a killed run left there, what is old enough to
 * go. */
#ifndef MGPT_RUN_CHECKPOINT_FOLDER_H
#define MGPT_RUN_CHECKPOINT_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <microgpt/status.h>

struct mgpt_step_folder {
    uint64_t step;
    bool old;      /* step-N.old-PID: was being replaced when the run was killed */
    char name[64]; /* within the folder */
};

/* The checkpoints in a folder, newest first (malloc); none, and MGPT_OK, when there is no folder.
 * MGPT_DATA. */
enum mgpt_status mgpt_steps_list(const char *checkpoints, struct mgpt_step_folder **list, size_t *n,
                                 struct mgpt_error *error);

/* Where the link RUN_DIR/name points to, as a path (malloc), or NULL when there is no link.
 * MGPT_DATA. */
enum mgpt_status mgpt_steps_link(const char *run_dir, const char *name, char **path,
                                 struct mgpt_error *error);

/* Clears away what killed runs left: *.tmp-PID in both folders, and step-N.old-PID, which becomes
 * step-N again when that is missing. What cannot be removed is warned about. */
void mgpt_steps_sweep(const char *run_dir, const char *checkpoints);

/* Removes all but the newest `keep` and those that `latest` and `best` point to. Warns only: what
 * could not be removed harms nobody. */
void mgpt_steps_prune(const char *run_dir, const char *checkpoints, unsigned keep);

#endif
