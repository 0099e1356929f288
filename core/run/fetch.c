/* Texts to train on that are known by name: downloaded once, checked, kept. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "run/fetch.h"

const struct mgpt_text_source mgpt_text_sources[] = {
    {"names", "names.txt", "https://raw.githubusercontent.com/karpathy/makemore/master/names.txt",
     "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d", 228145},
    {"tinyshakespeare", "tinyshakespeare.txt",
     "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
     "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed", 1115394},
    {NULL, NULL, NULL, NULL, 0},
};

static enum mgpt_status find_source(const char *name, const struct mgpt_text_source **source,
                                    struct mgpt_error *error)
{
    struct mgpt_string all = {0};

    for (const struct mgpt_text_source *s = &mgpt_text_sources[0]; s->name; s++) {
        if (!strcmp(s->name, name)) {
            *source = s;
            mgpt_string_finish(&all);
            return MGPT_OK;
        }
        mgpt_string_format(&all, "%s%s", all.size ? " or " : "", s->name);
    }
    mgpt_fail(error, MGPT_USAGE, "%s: no such text to fetch; expected %s", name,
              all.data ? all.data : "one that is known");
    mgpt_string_finish(&all);
    return MGPT_USAGE;
}

/* The text's own place, or the same file on a mirror (malloc). */
static char *url_of(const struct mgpt_text_source *source, const char *mirror)
{
    const char *environment = getenv("MICROGPT_MIRROR");
    struct mgpt_string url = {0};

    if (!mirror || !*mirror)
        mirror = environment ? environment : "";
    if (*mirror)
        mgpt_string_format(&url, "%s%s%s", mirror, mirror[strlen(mirror) - 1] == '/' ? "" : "/",
                           source->file);
    else
        mgpt_string_format(&url, "%s", source->url);
    return url.data;
}

/* Is the file there, and the one that is meant? */
static bool is_right(const struct mgpt_text_source *source, const char *path, char *hex)
{
    struct stat info;

    return !stat(path, &info) && (uint64_t)info.st_size == source->size &&
           mgpt_sha256_file(path, hex, NULL) == MGPT_OK && !strcmp(hex, source->sha256);
}

/* Goes on where an earlier download ended. */
static enum mgpt_status load_part(const struct mgpt_text_source *source, const char *url,
                                  const char *part, struct mgpt_error *error)
{
    struct stat info;
    int fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    enum mgpt_status status = MGPT_OK;

    if (fd < 0 || fstat(fd, &info)) {
        status = mgpt_file_fail(error, MGPT_IO, part, "write it");
    } else {
        uint64_t from = (uint64_t)info.st_size;
        if (from > source->size) /* of another text */
            from = ftruncate(fd, 0) ? from : 0;
        if (from < source->size)
            status = mgpt_download(url, fd, from, source->size, error);
        if (status == MGPT_OK && fsync(fd))
            status = mgpt_file_fail(error, MGPT_IO, part, "write it to the disk");
    }
    if (fd >= 0)
        close(fd);
    return status;
}

/* Loads, proves and names the file; a part that is complete and wrong is removed, or it would be
 * gone on from for ever. */
static enum mgpt_status load(const struct mgpt_text_source *source, const char *url,
                             const char *folder, const char *path, struct mgpt_error *error)
{
    struct mgpt_string part = {0};
    char hex[MGPT_SHA256_HEX] = "";

    mgpt_string_format(&part, "%s.part", path);
    if (part.failed)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory");
    enum mgpt_status status = load_part(source, url, part.data, error);
    if (status == MGPT_OK && !is_right(source, part.data, hex)) {
        (void)unlink(part.data);
        status = mgpt_fail(error, MGPT_DATA,
                           "%s: what came is not the text: its SHA-256 is %s, expected %s", url,
                           *hex ? hex : "that of another size", source->sha256);
    }
    if (status == MGPT_OK && rename(part.data, path))
        status = mgpt_file_fail(error, MGPT_IO, path, "give the file its name");
    if (status == MGPT_OK)
        status = mgpt_dir_sync(folder, error);
    mgpt_string_finish(&part);
    return status;
}

static enum mgpt_status fetch_into(const struct mgpt_text_source *source, const char *url,
                                   const char *folder, const char *path, struct mgpt_error *error)
{
    char hex[MGPT_SHA256_HEX];
    int lock = -1;

    if (is_right(source, path, hex))
        return MGPT_OK;
    enum mgpt_status status = mgpt_dir_make(folder, error);
    if (status == MGPT_OK)
        status = mgpt_dir_lock(folder, &lock, MGPT_IO,
                               "another microgpt is fetching into this folder; wait for it", error);
    if (status == MGPT_OK && !is_right(source, path, hex)) /* who had the lock may have loaded it */
        status = load(source, url, folder, path, error);
    if (lock >= 0)
        close(lock);
    return status;
}

enum mgpt_status mgpt_fetch(const char *name, const char *mirror, char **path,
                            struct mgpt_error *error)
{
    const struct mgpt_text_source *source;
    enum mgpt_status status = find_source(name, &source, error);

    if (status != MGPT_OK)
        return status;
    char *folder = mgpt_path_xdg("XDG_CACHE_HOME", ".cache", "microgpt");
    if (!folder)
        return mgpt_fail(error, MGPT_IO,
                         "%s: there is no folder to keep it in; set HOME or XDG_CACHE_HOME to an "
                         "absolute path",
                         source->file);
    char *url = url_of(source, mirror);
    *path = mgpt_path_join(folder, source->file);
    status = *path && url ? fetch_into(source, url, folder, *path, error)
                          : mgpt_fail(error, MGPT_NOMEM, "out of memory");
    if (status != MGPT_OK) {
        free(*path);
        *path = NULL;
    }
    free(folder);
    free(url);
    return status;
}
