/* Files: read whole with bounds, written so that a crash leaves the old or the new one. */
#ifndef MGPT_BASE_FILE_H
#define MGPT_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <microgpt/status.h>

#include "base/sha256.h"

/* Reads a regular file of at most `limit` bytes into *data (malloc, one extra 0 byte). A directory,
 * a missing or unreadable file: MGPT_DATA with path and errno's text. */
enum mgpt_status mgpt_file_read(const char *path, uint64_t limit, char **data, size_t *size,
                                struct mgpt_error *error);

/* Writes path.tmp-PID, fsyncs, renames to path, fsyncs the directory. MGPT_IO; the temporary is
 * removed. A symbolic link at `path` is replaced, not followed. */
enum mgpt_status mgpt_file_replace(const char *path, const void *data, size_t size,
                                   struct mgpt_error *error);

/* Opens a regular file for reading and says how long it is; the caller closes *fd. MGPT_DATA. */
enum mgpt_status mgpt_file_open(const char *path, int *fd, uint64_t *size,
                                struct mgpt_error *error);
/* Reads exactly `size` bytes at `offset`. MGPT_DATA: path, offset, reason. [any] */
enum mgpt_status mgpt_file_pread(int fd, const char *path, void *data, size_t size, uint64_t offset,
                                 struct mgpt_error *error);

/* A file that grows by writes and is hashed on the way, so that reading it back proves it. */
struct mgpt_output;

/* Creates or empties `path`, which must live as long as the output. MGPT_IO. */
enum mgpt_status mgpt_output_create(const char *path, struct mgpt_output **output,
                                    struct mgpt_error *error);
enum mgpt_status mgpt_output_write(struct mgpt_output *output, const void *data, size_t size,
                                   struct mgpt_error *error);
/* fsyncs, closes and destroys it. Size and digest (each may be NULL) are of what was handed to the
 * writes, not of what the disk holds. After MGPT_IO the file is gone: a page that failed to reach
 * the disk may be dropped from the cache, so a second fsync proves nothing; write it anew. */
enum mgpt_status mgpt_output_close(struct mgpt_output *output, uint64_t *size,
                                   char hex[MGPT_SHA256_HEX], struct mgpt_error *error);
/* A whole file of text at once: the three above. */
enum mgpt_status mgpt_output_text(const char *path, const char *text, uint64_t *size,
                                  char hex[MGPT_SHA256_HEX], struct mgpt_error *error);
void mgpt_output_destroy(struct mgpt_output *output); /* gives up: the file is removed */

/* As mkdir -p; what was made is durable. */
enum mgpt_status mgpt_dir_make(const char *path, struct mgpt_error *error);
enum mgpt_status mgpt_dir_sync(const char *path,
                               struct mgpt_error *error); /* fsync of the directory */
/* Makes the folder this process's alone until it ends or closes *lock (flock: nothing is left
 * behind). When another has it, and keeps it for two seconds: `busy`, "PATH: WORDS". Where there
 * are no locks, *lock stays as it was. */
enum mgpt_status mgpt_dir_lock(const char *path, int *lock, enum mgpt_status busy,
                               const char *words, struct mgpt_error *error);
/* Has a process, this one too, such a lock? It is asked once, without waiting. */
bool mgpt_dir_locked(const char *path);
/* Removes a folder and the files in it (as deep as a checkpoint is: two levels). Missing is fine.
 */
enum mgpt_status mgpt_dir_remove(const char *path, struct mgpt_error *error);
/* Atomically makes the symbolic link `path` point to `target`. Durable once the folder is synced.
 */
enum mgpt_status mgpt_link_replace(const char *path, const char *target, struct mgpt_error *error);

bool mgpt_path_exists(const char *path);
/* "a/b" (malloc), or NULL without memory. */
char *mgpt_path_join(const char *a, const char *b);
/* The path made absolute against the working directory, without resolving links (malloc), or NULL.
 */
char *mgpt_path_absolute(const char *path);
/* "FOLDER/REST": the folder that the environment's `variable` names (XDG base directory
 * specification, which wants it absolute), else `below_home` of the user's home (malloc). NULL:
 * neither is an absolute path; or no memory. */
char *mgpt_path_xdg(const char *variable, const char *below_home, const char *rest);
/* What comes with the program (malloc): `beside` in the program's folder, when that is there, as in
 * the build folder; else `moved` there, as where an installed program was moved as a whole; else
 * `installed`, there or not. NULL without memory. */
char *mgpt_path_installed(const char *beside, const char *moved, const char *installed);
/* The folder of a path, "." when it names none (malloc), or NULL without memory. */
char *mgpt_path_folder(const char *path);
/* "path.tmp-PID": the name a file has until it is whole (malloc), or NULL without memory. */
char *mgpt_path_temporary(const char *path);

/* "PATH: cannot WHAT: errno's text". */
enum mgpt_status mgpt_file_fail(struct mgpt_error *error, enum mgpt_status status, const char *path,
                                const char *what);

#endif
