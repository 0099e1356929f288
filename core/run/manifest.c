/* A checkpoint's manifest: written last, and what says whether the rest is whole. */
#include <config.h>

#include "run/manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"

#define MANIFEST_VERSION 1
#define SIZE_LIMIT ((uint64_t)1 << 20)

bool mgpt_step_parse(const char *name, uint64_t *step, const char **tail)
{
    if (strncmp(name, "step-", 5))
        return false;
    const char *digits = name + 5;
    if (digits[0] < '0' || digits[0] > '9' ||
        (digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9'))
        return false;
    char *end;
    errno = 0;
    *step = strtoull(digits, &end, 10);
    if (errno)
        return false;
    if (tail)
        *tail = end;
    return tail || !*end;
}

static json_t *describe(uint64_t step, const struct mgpt_manifest_file *files, size_t n)
{
    json_t *list = json_object();
    for (size_t i = 0; i < n && list; i++) {
        json_t *file =
            json_pack("{s:I, s:s}", "size", (json_int_t)files[i].size, "sha256", files[i].sha256);
        if (json_object_set_new(list, files[i].name, file)) {
            json_decref(list);
            list = NULL;
        }
    }
    /* Without a list "o" fails, and with it the whole. */
    return json_pack("{s:i, s:I, s:o}", "version", MANIFEST_VERSION, "step", (json_int_t)step,
                     "files", list);
}

enum mgpt_status mgpt_manifest_write(const char *folder, uint64_t step,
                                     const struct mgpt_manifest_file *files, size_t n,
                                     struct mgpt_error *error)
{
    enum mgpt_status status;
    char *path = mgpt_path_join(folder, MGPT_MANIFEST);
    json_t *root = describe(step, files, n);
    /* Compact, so that no flipped bit can turn one blank into another. */
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    if (path && text)
        status = mgpt_output_text(path, text, NULL, NULL, error);
    else
        status = mgpt_fail(error, MGPT_NOMEM, "%s: no memory for the manifest", folder);
    free(text);
    json_decref(root);
    free(path);
    return status;
}

/* Plain names alone: none that leaves the folder or garbles a message. */
static bool is_plain(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t n = strlen(name);
    return n > 0 && n < 128 && name[0] != '.' && strspn(name, allowed) == n;
}

static enum mgpt_status check_file(const char *path, const json_t *entry, bool digests,
                                   struct mgpt_error *error)
{
    const json_t *size = json_object_get(entry, "size");
    const char *sha256 = json_string_value(json_object_get(entry, "sha256"));
    char hex[MGPT_SHA256_HEX];
    uint64_t found;
    int fd;
    if (json_object_size(entry) != 2 || !json_is_integer(size) || !sha256)
        return mgpt_fail(error, MGPT_DATA, "%s: the manifest lacks its size or sha256", path);
    enum mgpt_status status = mgpt_file_open(path, &fd, &found, error);
    if (status)
        return status;
    close(fd);
    if (json_integer_value(size) < 0 || found != (uint64_t)json_integer_value(size))
        return mgpt_fail(error, MGPT_DATA,
                         "%s: is %" PRIu64 " bytes long, the manifest says %" JSON_INTEGER_FORMAT,
                         path, found, json_integer_value(size));
    if (!digests)
        return MGPT_OK;
    status = mgpt_sha256_file(path, hex, error);
    if (!status && strcmp(hex, sha256))
        status = mgpt_fail(error, MGPT_DATA, "%s: is damaged: its SHA-256 %s is not the manifest's",
                           path, hex);
    return status;
}

static enum mgpt_status check_files(const char *folder, json_t *files, bool digests,
                                    struct mgpt_error *error)
{
    const char *name;
    json_t *entry;
    if (!json_object_get(files, "model.safetensors") || !json_object_get(files, "config.json"))
        return mgpt_fail(error, MGPT_DATA,
                         "%s/" MGPT_MANIFEST ": lists no model.safetensors or no config.json",
                         folder);
    json_object_foreach(files, name, entry)
    {
        if (!is_plain(name))
            return mgpt_fail(error, MGPT_DATA,
                             "%s/" MGPT_MANIFEST ": lists a file with an odd name", folder);
        char *path = mgpt_path_join(folder, name);
        if (!path)
            return mgpt_fail(error, MGPT_NOMEM, "%s: no memory to check it", folder);
        enum mgpt_status status = check_file(path, entry, digests, error);
        free(path);
        if (status)
            return status;
    }
    return MGPT_OK;
}

/* The last component may end in slashes. */
static bool named_for_another_step(const char *folder, uint64_t step)
{
    char *copy = strdup(folder);
    if (!copy)
        return false;
    size_t n = strlen(copy);
    while (n > 1 && copy[n - 1] == '/')
        copy[--n] = '\0';
    const char *slash = strrchr(copy, '/');
    uint64_t named;
    bool other = mgpt_step_parse(slash ? slash + 1 : copy, &named, NULL) && named != step;
    free(copy);
    return other;
}

static enum mgpt_status check_root(const char *folder, const json_t *root, bool digests,
                                   uint64_t *step, struct mgpt_error *error)
{
    const json_t *version = json_object_get(root, "version"), *n = json_object_get(root, "step");
    if (!json_is_integer(version) || json_integer_value(version) != MANIFEST_VERSION)
        return mgpt_fail(error, MGPT_DATA, "%s/" MGPT_MANIFEST ": is not of version %d", folder,
                         MANIFEST_VERSION);
    if (json_object_size(root) != 3 || !json_is_integer(n) || json_integer_value(n) < 0)
        return mgpt_fail(error, MGPT_DATA,
                         "%s/" MGPT_MANIFEST ": expected version, step and files alone", folder);
    uint64_t value = (uint64_t)json_integer_value(n);
    if (named_for_another_step(folder, value))
        return mgpt_fail(error, MGPT_DATA,
                         "%s/" MGPT_MANIFEST ": is of step %" PRIu64
                         ", the folder's name says another",
                         folder, value);
    enum mgpt_status status = check_files(folder, json_object_get(root, "files"), digests, error);
    if (!status && step)
        *step = value;
    return status;
}

enum mgpt_status mgpt_manifest_parse(const char *folder, const char *text, size_t size,
                                     bool digests, uint64_t *step, struct mgpt_error *error)
{
    struct mgpt_error cause;
    json_t *root;
    enum mgpt_status status = mgpt_json_parse(text, size, &root, &cause);
    if (status)
        return mgpt_fail(error, status, "%s/" MGPT_MANIFEST ": %s", folder, cause.text);
    status = check_root(folder, root, digests, step, error);
    json_decref(root);
    return status;
}

enum mgpt_status mgpt_manifest_check(const char *folder, bool digests, uint64_t *step,
                                     struct mgpt_error *error)
{
    char *text = NULL, *path = mgpt_path_join(folder, MGPT_MANIFEST);
    size_t size;
    if (!path)
        return mgpt_fail(error, MGPT_NOMEM, "%s: no memory to check it", folder);
    enum mgpt_status status = mgpt_file_read(path, SIZE_LIMIT, &text, &size, error);
    if (!status)
        status = mgpt_manifest_parse(folder, text, size, digests, step, error);
    free(text);
    free(path);
    return status;
}
