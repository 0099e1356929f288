/* A checkpoint's manifest.json: {"version": 1, "step": N, "files": {NAME: {"size": S, "sha256":
 * HEX}}}. */
#ifndef MGPT_RUN_MANIFEST_H
#define MGPT_RUN_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <microgpt/status.h>

#include "base/sha256.h"

#define MGPT_MANIFEST "manifest.json"

struct mgpt_manifest_file {
    const char *name;
    uint64_t size;
    char sha256[MGPT_SHA256_HEX];
};

/* Writes FOLDER/manifest.json and fsyncs it; last, for it makes the checkpoint whole. MGPT_IO. */
enum mgpt_status mgpt_manifest_write(const char *folder, uint64_t step,
                                     const struct mgpt_manifest_file *files, size_t n,
                                     struct mgpt_error *error);
/* Are all the files there, as long as the manifest says and, where `digests` asks for it, the same
 * to the bit? A folder named step-N must be of step N. *step may be NULL. MGPT_DATA. */
enum mgpt_status mgpt_manifest_check(const char *folder, bool digests, uint64_t *step,
                                     struct mgpt_error *error);

/* The same for the manifest's text, read already. */
enum mgpt_status mgpt_manifest_parse(const char *folder, const char *text, size_t size,
                                     bool digests, uint64_t *step, struct mgpt_error *error);

/* "step-N" with nothing after it, or with a `tail` that is handed out (NULL: none may follow). */
bool mgpt_step_parse(const char *name, uint64_t *step, const char **tail);

#endif
