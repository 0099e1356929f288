/* What datasets of text share: reading a whole file, and where in it a byte is. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

#define MAX_BYTES (UINT64_C(1) << 32)

static enum mgpt_status read_all(struct dataset_file *f, int file, struct mgpt_error *error)
{
    uint64_t done = 0;

    while (done < f->size) {
        ssize_t got = read(file, f->bytes + done, f->size - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return mgpt_fail(error, MGPT_DATA, "%s: %s", f->path, strerror(errno));
        if (got == 0)
            return mgpt_fail(error, MGPT_DATA, "%s: ends at byte %llu, expected %llu bytes",
                             f->path, (unsigned long long)done, (unsigned long long)f->size);
        done += (uint64_t)got;
    }
    if (f->size >= 3 && memcmp(f->bytes, "\xef\xbb\xbf", 3) == 0) {
        f->skipped = 3; /* a byte order mark is no part of the text */
        f->size -= 3;
        memmove(f->bytes, f->bytes + 3, f->size);
    }
    return MGPT_OK;
}

static enum mgpt_status read_open(struct dataset_file *f, int file, const char *expected,
                                  struct mgpt_error *error)
{
    struct stat info;

    if (fstat(file, &info) != 0)
        return mgpt_fail(error, MGPT_DATA, "%s: %s", f->path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return mgpt_fail(error, MGPT_DATA, "%s: %s, expected %s", f->path,
                         S_ISDIR(info.st_mode) ? "a folder" : "not a regular file", expected);
    if ((uint64_t)info.st_size > MAX_BYTES)
        return mgpt_fail(error, MGPT_DATA, "%s: %lld bytes, expected at most %llu", f->path,
                         (long long)info.st_size, (unsigned long long)MAX_BYTES);
    f->size = (uint64_t)info.st_size;
    f->bytes = malloc(f->size + 1);
    if (!f->bytes)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for the %llu bytes of %s",
                         (unsigned long long)f->size, f->path);
    return read_all(f, file, error);
}

/* NUL is valid UTF-8, and in no text: most often every other byte of UTF-16. */
static enum mgpt_status refuse_binary(const struct dataset_file *f, struct mgpt_error *error)
{
    const char *nul = memchr(f->bytes, 0, f->size);

    if (f->size >= 2 && (!memcmp(f->bytes, "\xff\xfe", 2) || !memcmp(f->bytes, "\xfe\xff", 2)))
        return mgpt_fail(error, MGPT_DATA,
                         "%s:1: byte 0 (0x%02x) begins UTF-16, expected UTF-8; "
                         "iconv -f UTF-16 -t UTF-8 FILE >NEW makes it so",
                         f->path, (unsigned char)f->bytes[0]);
    if (!nul)
        return MGPT_OK;
    return mgpt_fail(error, MGPT_DATA,
                     "%s:%llu: byte %llu is NUL: not text; if it is UTF-16, "
                     "iconv -f UTF-16 -t UTF-8 FILE >NEW makes it UTF-8",
                     f->path, (unsigned long long)dataset_file_line(f, nul),
                     (unsigned long long)(nul - f->bytes) + f->skipped);
}

enum mgpt_status dataset_file_read(struct dataset_file *f, const char *path, const char *expected,
                                   struct mgpt_error *error)
{
    enum mgpt_status status;
    int file;

    f->path = strdup(path);
    if (!f->path)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for the path %s", path);
    file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang us */
    if (file < 0)
        return mgpt_fail(error, MGPT_DATA, "%s: %s", path, strerror(errno));
    status = read_open(f, file, expected, error);
    close(file);
    return status == MGPT_OK ? refuse_binary(f, error) : status;
}

void dataset_file_finish(struct dataset_file *f)
{
    free(f->path);
    free(f->bytes);
}

uint64_t dataset_file_line(const struct dataset_file *f, const char *at)
{
    uint64_t line = 1;

    for (const char *c = f->bytes; c < at; c++)
        line += *c == '\n';
    return line;
}

enum mgpt_status dataset_utf8_refuse(const struct dataset_file *f, const char *at,
                                     struct mgpt_error *error)
{
    return mgpt_fail(error, MGPT_DATA,
                     "%s:%llu: byte %llu (0x%02x) is not UTF-8; "
                     "iconv -f WINDOWS-1252 -t UTF-8 FILE >NEW makes it so",
                     f->path, (unsigned long long)dataset_file_line(f, at),
                     (unsigned long long)(at - f->bytes) + f->skipped, (unsigned char)*at);
}
