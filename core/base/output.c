/* A file that grows by writes and is hashed on the way. */
#include <config.h>

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nettle/base16.h>
#include <nettle/sha2.h>

#define MOST_AT_ONCE ((size_t)1 << 24) /* what was just hashed is still in the cache */

struct mgpt_output {
    const char *path;
    int fd;
    uint64_t size;
    struct sha256_ctx hash;
};

enum mgpt_status mgpt_output_create(const char *path, struct mgpt_output **output,
                                    struct mgpt_error *error)
{
    struct mgpt_output *o = calloc(1, sizeof *o);
    if (!o)
        return mgpt_fail(error, MGPT_NOMEM, "%s: no memory to write it", path);
    do
        o->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
    while (o->fd < 0 && errno == EINTR);
    if (o->fd < 0) {
        enum mgpt_status status = mgpt_file_fail(error, MGPT_IO, path, "create");
        free(o);
        return status;
    }
    o->path = path;
    sha256_init(&o->hash);
    *output = o;
    return MGPT_OK;
}

enum mgpt_status mgpt_output_write(struct mgpt_output *output, const void *data, size_t size,
                                   struct mgpt_error *error)
{
    const uint8_t *from = data;
    while (size) {
        size_t part = size < MOST_AT_ONCE ? size : MOST_AT_ONCE;
        ssize_t put = write(output->fd, from, part);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return mgpt_fail(error, MGPT_IO, "%s: cannot write at offset %" PRIu64 ": %s",
                             output->path, output->size,
                             put < 0 ? strerror(errno) : "nothing was written");
        sha256_update(&output->hash, (size_t)put, from);
        from += put;
        output->size += (uint64_t)put;
        size -= (size_t)put;
    }
    return MGPT_OK;
}

static int sync_fd(int fd)
{
    int rc;
    /* EINTR says that the wait was cut short, not that a page was lost. */
    do
        rc = fsync(fd);
    while (rc && errno == EINTR);
    return rc;
}

enum mgpt_status mgpt_output_close(struct mgpt_output *output, uint64_t *size,
                                   char hex[MGPT_SHA256_HEX], struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;
    if (sync_fd(output->fd))
        status = mgpt_file_fail(error, MGPT_IO, output->path, "sync");
    /* Linux has closed it even when it says EINTR. */
    if (close(output->fd) && errno != EINTR && !status)
        status = mgpt_file_fail(error, MGPT_IO, output->path, "close");
    output->fd = -1;
    if (!status && size)
        *size = output->size;
    if (!status && hex) {
        uint8_t digest[SHA256_DIGEST_SIZE];
        sha256_digest(&output->hash, sizeof digest, digest);
        base16_encode_update(hex, sizeof digest, digest);
        hex[MGPT_SHA256_HEX - 1] = '\0';
    }
    if (status)
        mgpt_output_destroy(output);
    else
        free(output);
    return status;
}

void mgpt_output_destroy(struct mgpt_output *output)
{
    if (!output)
        return;
    if (output->fd >= 0)
        close(output->fd);
    unlink(output->path);
    free(output);
}

enum mgpt_status mgpt_output_text(const char *path, const char *text, uint64_t *size,
                                  char hex[MGPT_SHA256_HEX], struct mgpt_error *error)
{
    struct mgpt_output *output;
    enum mgpt_status status = mgpt_output_create(path, &output, error);
    if (status)
        return status;
    status = mgpt_output_write(output, text, strlen(text), error);
    if (!status)
        return mgpt_output_close(output, size, hex, error);
    mgpt_output_destroy(output);
    return status;
}
