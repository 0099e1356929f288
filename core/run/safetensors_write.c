/* Writing safetensors: the header as jansson prints it, padded to 8 bytes, then the data. */
#include <config.h>

#include "run/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/file.h"
#include "base/text.h"

#define HEADER_MULTIPLE 8 /* so that the first tensor is aligned in the file */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "data is written as it lies in memory");

/* Widest elements first, so that every tensor is aligned; then by name. */
static int compare(const void *a, const void *b)
{
    const struct mgpt_blob *x = *(const struct mgpt_blob *const *)a;
    const struct mgpt_blob *y = *(const struct mgpt_blob *const *)b;
    size_t sx = mgpt_dtype_size(x->dtype), sy = mgpt_dtype_size(y->dtype);
    return sx != sy ? (sx < sy ? 1 : -1) : strcmp(x->name, y->name);
}

/* {"dtype": ..., "shape": [...], "data_offsets": [begin, end]}, or NULL without memory. */
static json_t *describe(const struct mgpt_blob *blob, uint64_t begin, uint64_t end)
{
    json_t *shape = json_array();
    int failed = !shape;
    for (uint32_t i = 0; i < blob->rank && !failed; i++)
        failed = json_array_append_new(shape, json_integer(blob->shape[i]));
    if (failed) {
        json_decref(shape);
        return NULL;
    }
    /* "o" takes the reference, also when packing fails. */
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", mgpt_safetensors_dtype(blob->dtype), "shape",
                     shape, "data_offsets", (json_int_t)begin, (json_int_t)end);
}

static enum mgpt_status add_blob(json_t *header, const struct mgpt_blob *blob, const char *path,
                                 uint64_t *at, struct mgpt_error *error)
{
    uint64_t size;
    if (!strcmp(blob->name, "__metadata__") || json_object_get(header, blob->name))
        return mgpt_fail(error, MGPT_INVALID, "%s: a second tensor \"%s\"", path, blob->name);
    if (!mgpt_blob_size(blob, &size) || size > (uint64_t)INT64_MAX - *at)
        return mgpt_fail(error, MGPT_INVALID,
                         "%s: \"%s\" has format %" PRIu32 ", rank %" PRIu32
                         " or a shape that safetensors cannot hold",
                         path, blob->name, blob->dtype, blob->rank);
    if (mgpt_utf8_check(blob->name, strlen(blob->name)) != strlen(blob->name))
        return mgpt_fail(error, MGPT_INVALID, "%s: the name of a tensor is not UTF-8", path);
    if (json_object_set_new(header, blob->name, describe(blob, *at, *at + size)))
        return mgpt_fail(error, MGPT_NOMEM, "%s: no memory for the header", path);
    *at += size;
    return MGPT_OK;
}

static enum mgpt_status make_header(const char *path, const struct mgpt_blob *const *order,
                                    size_t n, char **text, struct mgpt_error *error)
{
    uint64_t at = 0;
    enum mgpt_status status = MGPT_OK;
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    for (size_t i = 0; i < n && header && !status; i++)
        status = add_blob(header, order[i], path, &at, error);
    *text = header && !status ? json_dumps(header, JSON_COMPACT) : NULL;
    if (!*text && !status)
        status = mgpt_fail(error, MGPT_NOMEM, "%s: no memory for the header", path);
    json_decref(header);
    return status;
}

static enum mgpt_status write_header(struct mgpt_output *output, const char *text,
                                     struct mgpt_error *error)
{
    size_t length = strlen(text);
    size_t padding = (HEADER_MULTIPLE - length % HEADER_MULTIPLE) % HEADER_MULTIPLE;
    uint64_t n = length + padding; /* little-endian, as asserted above */
    enum mgpt_status status = mgpt_output_write(output, &n, sizeof n, error);
    if (!status)
        status = mgpt_output_write(output, text, length, error);
    return status ? status : mgpt_output_write(output, "       ", padding, error);
}

static enum mgpt_status write_all(const char *path, const char *header,
                                  const struct mgpt_blob *const *order, size_t n, uint64_t *size,
                                  char *hex, struct mgpt_error *error)
{
    struct mgpt_output *output;
    enum mgpt_status status = mgpt_output_create(path, &output, error);
    if (status)
        return status;
    status = write_header(output, header, error);
    for (size_t i = 0; i < n && !status; i++) {
        uint64_t bytes = 0;
        (void)mgpt_blob_size(order[i], &bytes); /* make_header has checked it */
        status = mgpt_output_write(output, order[i]->data, (size_t)bytes, error);
    }
    if (!status)
        return mgpt_output_close(output, size, hex, error);
    mgpt_output_destroy(output);
    return status;
}

enum mgpt_status mgpt_safetensors_write_hashed(const char *path, const struct mgpt_blob *blobs,
                                               size_t n, uint64_t *size, char hex[MGPT_SHA256_HEX],
                                               struct mgpt_error *error)
{
    char *header = NULL;
    const struct mgpt_blob **order = calloc(n ? n : 1, sizeof(*order));
    if (!order)
        return mgpt_fail(error, MGPT_NOMEM, "%s: no memory for %zu tensors", path, n);
    for (size_t i = 0; i < n; i++)
        order[i] = &blobs[i];
    qsort(order, n, sizeof *order, compare);
    enum mgpt_status status = make_header(path, order, n, &header, error);
    if (!status)
        status = write_all(path, header, order, n, size, hex, error);
    free(header);
    free(order);
    return status;
}

enum mgpt_status mgpt_safetensors_write(const char *path, const struct mgpt_blob *blobs, size_t n,
                                        struct mgpt_error *error)
{
    return mgpt_safetensors_write_hashed(path, blobs, n, NULL, NULL, error);
}
