/* Files: whole reads with bounds, and replacement that a crash cannot tear. */
#include <config.h>

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_AT_ONCE ((size_t)1 << 30) /* Linux reads at most 2 GiB - 4 KiB a call */

enum mgpt_status mgpt_file_fail(struct mgpt_error *error, enum mgpt_status status, const char *path,
                                const char *what)
{
    return mgpt_fail(error, status, "%s: cannot %s: %s", path, what, strerror(errno));
}

enum mgpt_status mgpt_file_open(const char *path, int *fd, uint64_t *size, struct mgpt_error *error)
{
    struct stat info;
    /* Without O_NONBLOCK the open of a named pipe waits for a writer. */
    do
        *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    while (*fd < 0 && errno == EINTR);
    if (*fd < 0)
        return mgpt_file_fail(error, MGPT_DATA, path, "open");
    enum mgpt_status status = MGPT_OK;
    if (fstat(*fd, &info))
        status = mgpt_file_fail(error, MGPT_DATA, path, "examine");
    else if (S_ISDIR(info.st_mode))
        status = mgpt_fail(error, MGPT_DATA, "%s: is a directory, expected a file", path);
    else if (!S_ISREG(info.st_mode) || info.st_size < 0)
        status = mgpt_fail(error, MGPT_DATA, "%s: is not a regular file", path);
    else
        *size = (uint64_t)info.st_size;
    if (status) {
        close(*fd);
        *fd = -1;
    }
    return status;
}

enum mgpt_status mgpt_file_pread(int fd, const char *path, void *data, size_t size, uint64_t offset,
                                 struct mgpt_error *error)
{
    char *to = data;
    if (offset > INT64_MAX - (uint64_t)size)
        return mgpt_fail(error, MGPT_DATA, "%s: no file has an offset %" PRIu64, path, offset);
    while (size) {
        size_t part = size < MOST_AT_ONCE ? size : MOST_AT_ONCE;
        ssize_t got = pread(fd, to, part, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return mgpt_fail(error, MGPT_DATA, "%s: cannot read at offset %" PRIu64 ": %s", path,
                             offset, strerror(errno));
        if (got == 0)
            return mgpt_fail(error, MGPT_DATA,
                             "%s: ends at offset %" PRIu64 ", %zu more bytes were expected", path,
                             offset, size);
        to += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return MGPT_OK;
}

enum mgpt_status mgpt_file_read(const char *path, uint64_t limit, char **data, size_t *size,
                                struct mgpt_error *error)
{
    char *text = NULL;
    uint64_t length;
    int fd;
    enum mgpt_status status = mgpt_file_open(path, &fd, &length, error);
    if (status)
        return status;
    if (length > limit || length >= SIZE_MAX) {
        status =
            mgpt_fail(error, MGPT_DATA, "%s: is %" PRIu64 " bytes long, expected at most %" PRIu64,
                      path, length, limit);
        goto out;
    }
    text = malloc((size_t)length + 1);
    if (!text) {
        status =
            mgpt_fail(error, MGPT_NOMEM, "%s: no memory for its %" PRIu64 " bytes", path, length);
        goto out;
    }
    status = mgpt_file_pread(fd, path, text, (size_t)length, 0, error);
    if (status)
        goto out;
    text[length] = '\0';
    *data = text;
    *size = (size_t)length;
    text = NULL;
out:
    free(text);
    close(fd);
    return status;
}

enum mgpt_status mgpt_file_replace(const char *path, const void *data, size_t size,
                                   struct mgpt_error *error)
{
    enum mgpt_status status;
    struct mgpt_output *output;
    char *folder = mgpt_path_folder(path);
    char *temporary = mgpt_path_temporary(path);
    if (!folder || !temporary) {
        status = mgpt_fail(error, MGPT_NOMEM, "%s: no memory to write it", path);
        goto out;
    }
    status = mgpt_output_create(temporary, &output, error);
    if (status)
        goto out;
    status = mgpt_output_write(output, data, size, error);
    if (status) {
        mgpt_output_destroy(output);
        goto out;
    }
    status = mgpt_output_close(output, NULL, NULL, error);
    if (status)
        goto out;
    if (rename(temporary, path)) {
        status = mgpt_file_fail(error, MGPT_IO, path, "replace");
        unlink(temporary);
        goto out;
    }
    status = mgpt_dir_sync(folder, error);
out:
    free(temporary);
    free(folder);
    return status;
}
