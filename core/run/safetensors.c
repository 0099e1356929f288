/* Reading safetensors: bounded by the file's size, copied out with pread. */
#include <config.h>

#include "run/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "run/safetensors_header.h"

#define HEADER_MAX 100000000u /* the format's own limit */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "data is copied out as it is");

struct mgpt_safetensors {
    char *path;
    int fd;
    struct mgpt_header header;
};

bool mgpt_blob_size(const struct mgpt_blob *blob, uint64_t *size)
{
    *size = mgpt_dtype_size(blob->dtype);
    if (*size == 0 || blob->rank > MGPT_MAX_RANK)
        return false;
    for (uint32_t i = 0; i < blob->rank; i++)
        if (blob->shape[i] < 0 || __builtin_mul_overflow(*size, (uint64_t)blob->shape[i], size))
            return false;
    return *size <= PTRDIFF_MAX;
}

static enum mgpt_status read_header(struct mgpt_safetensors *file, struct mgpt_error *error)
{
    uint64_t n;
    struct mgpt_header *header = &file->header;
    const char *path = header->path;
    if (header->size < MGPT_HEADER_START)
        return mgpt_header_fail(error, path, header->size,
                                "ends within the 8 bytes of the header's length");
    enum mgpt_status status = mgpt_file_pread(file->fd, path, &n, sizeof n, 0, error);
    if (status)
        return status;
    uint64_t most = header->size - MGPT_HEADER_START;
    if (most > HEADER_MAX)
        most = HEADER_MAX;
    if (n > most || n < 2)
        return mgpt_header_fail(
            error, path, 0, "the header's length is %" PRIu64 ", expected 2 to %" PRIu64, n, most);
    header->data = MGPT_HEADER_START + n;
    char *text = malloc((size_t)n);
    if (!text)
        return mgpt_fail(error, MGPT_NOMEM, "%s: no memory for the header", path);
    status = mgpt_file_pread(file->fd, path, text, (size_t)n, MGPT_HEADER_START, error);
    if (!status)
        status = mgpt_header_parse(header, text, (size_t)n, error);
    free(text);
    return status;
}

enum mgpt_status mgpt_safetensors_open(const char *path, struct mgpt_safetensors **file,
                                       struct mgpt_error *error)
{
    struct mgpt_safetensors *f = calloc(1, sizeof *f);
    if (!f)
        return mgpt_fail(error, MGPT_NOMEM, "%s: no memory to read it", path);
    f->fd = -1;
    f->path = strdup(path);
    f->header.path = f->path;
    enum mgpt_status status = f->path
                                  ? mgpt_file_open(path, &f->fd, &f->header.size, error)
                                  : mgpt_fail(error, MGPT_NOMEM, "%s: no memory to read it", path);
    if (!status)
        status = read_header(f, error);
    if (status)
        mgpt_safetensors_close(f);
    else
        *file = f;
    return status;
}

void mgpt_safetensors_close(struct mgpt_safetensors *file)
{
    if (!file)
        return;
    if (file->fd >= 0)
        close(file->fd);
    mgpt_header_finish(&file->header);
    free(file->path);
    free(file);
}

size_t mgpt_safetensors_count(const struct mgpt_safetensors *file)
{
    return file->header.count;
}

const char *mgpt_safetensors_name(const struct mgpt_safetensors *file, size_t index)
{
    return file->header.entries[index].name;
}

static int name_order(const void *name, const void *entry)
{
    return strcmp(name, ((const struct mgpt_header_entry *)entry)->name);
}

static const struct mgpt_header_entry *find(const struct mgpt_header *h, const char *name)
{
    return bsearch(name, h->entries, h->count, sizeof *h->entries, name_order);
}

bool mgpt_safetensors_find(const struct mgpt_safetensors *file, const char *name,
                           struct mgpt_blob *blob)
{
    const struct mgpt_header_entry *e = find(&file->header, name);
    if (!e)
        return false;
    *blob = (struct mgpt_blob){.name = e->name, .dtype = e->dtype, .rank = e->rank};
    memcpy(blob->shape, e->shape, sizeof blob->shape);
    return true;
}

/* "F32 [27, 16]" */
static const char *describe(const char *dtype, uint32_t rank, const int64_t *shape, char out[128])
{
    char *next = out + snprintf(out, 32, "%s [", dtype ? dtype : "unknown format");
    for (uint32_t i = 0; i < rank && i < MGPT_MAX_RANK; i++)
        next += snprintf(next, 24, "%s%" PRId64, i ? ", " : "", shape[i]);
    strcpy(next, rank > MGPT_MAX_RANK ? ", ...]" : "]");
    return out;
}

enum mgpt_status mgpt_safetensors_expect(const struct mgpt_safetensors *file,
                                         const struct mgpt_blob *blob, struct mgpt_error *error)
{
    char name[MGPT_SHOWN], want[128], have[128];
    const struct mgpt_header *h = &file->header;
    const struct mgpt_header_entry *e = find(h, blob->name);
    if (!e)
        return mgpt_header_fail(error, h->path, MGPT_HEADER_START, "there is no tensor \"%s\"",
                                mgpt_header_show(blob->name, name));
    if (e->dtype != blob->dtype || e->rank != blob->rank ||
        memcmp(e->shape, blob->shape, e->rank * sizeof *e->shape))
        return mgpt_header_fail(
            error, h->path, h->data + e->begin, "\"%s\" is %s, expected %s",
            mgpt_header_show(blob->name, name), describe(e->dtype_name, e->rank, e->shape, have),
            describe(mgpt_safetensors_dtype(blob->dtype), blob->rank, blob->shape, want));
    return MGPT_OK;
}

enum mgpt_status mgpt_safetensors_read(struct mgpt_safetensors *file, const struct mgpt_blob *blob,
                                       struct mgpt_error *error)
{
    char name[MGPT_SHOWN];
    const struct mgpt_header *h = &file->header;
    uint64_t size;
    if (!mgpt_blob_size(blob, &size))
        return mgpt_fail(error, MGPT_INVALID, "%s: \"%s\" was asked for in an impossible shape",
                         h->path, mgpt_header_show(blob->name, name));
    enum mgpt_status status = mgpt_safetensors_expect(file, blob, error);
    if (status)
        return status;
    /* The same format and shape, and the header's sizes agree with those: size is end - begin. */
    return mgpt_file_pread(file->fd, h->path, blob->data, (size_t)size,
                           h->data + find(h, blob->name)->begin, error);
}
