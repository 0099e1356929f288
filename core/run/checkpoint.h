/* Checkpoints: DIR/checkpoints/step-N with model.safetensors, state.safetensors, config.json,
 * tokenizer.json and, last, manifest.json; DIR/latest and DIR/best point to them. */
#ifndef MGPT_RUN_CHECKPOINT_H
#define MGPT_RUN_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "run/safetensors.h"

/* What a checkpoint holds, in host memory. Writing only reads it; reading fills `data` of the
 * blobs. */
struct mgpt_snapshot {
    uint64_t step; /* completed steps */
    struct mgpt_blob *model, *state;
    size_t n_model, n_state;                  /* without state there is no state.safetensors */
    const char *config_json, *tokenizer_json; /* for writing; tokenizer_json may be NULL */
};

/* Writes the checkpoint in a temporary folder, proves it (sizes and digests read back), renames it
 * to step-N, points `latest` (and `best`) to it, then removes all but the newest `keep`, the latest
 * and the best. A folder step-N that is already there is replaced. MGPT_IO, and what was there
 * before is untouched. A crash at any moment leaves a `latest` that loads: the one before, or this
 * one. */
enum mgpt_status mgpt_checkpoint_save(const char *run_dir, const struct mgpt_snapshot *snapshot,
                                      bool best, unsigned keep, struct mgpt_error *error);

/* The folder that `which` names, checked against its manifest (malloc): "latest", "best", or a path
 * of a checkpoint folder. For "latest" a damaged newest one is reported (a warning) and the one
 * before is taken. *path is NULL with MGPT_OK when the run has no checkpoint, or no best one.
 * MGPT_DATA. */
enum mgpt_status mgpt_checkpoint_find(const char *run_dir, const char *which, char **path,
                                      struct mgpt_error *error);

/* Reads one of its JSON files whole (malloc). */
enum mgpt_status mgpt_checkpoint_text(const char *path, const char *name, char **text, size_t *size,
                                      struct mgpt_error *error);
/* Fills the blobs of the snapshot (state only when there are any) and its step. The files must hold
 * these tensors and no others. Digests are mgpt_checkpoint_find's business. MGPT_DATA: the blobs
 * are then partly filled. */
enum mgpt_status mgpt_checkpoint_load(const char *path, struct mgpt_snapshot *snapshot,
                                      struct mgpt_error *error);

#endif
