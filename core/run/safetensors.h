/* The safetensors format: named tensors in one file (u64 N, N bytes of JSON, data; little-endian).
 * https://github.com/huggingface/safetensors#format */
#ifndef MGPT_RUN_SAFETENSORS_H
#define MGPT_RUN_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <microgpt/status.h>
#include <microgpt/tensor.h>

#include "base/sha256.h"

/* A tensor in host memory. */
struct mgpt_blob {
    const char *name;
    uint32_t dtype, rank; /* rank 0 is a scalar */
    int64_t shape[MGPT_MAX_RANK];
    void *data;
};

/* Writes `path` (not atomically; the checkpoint's folder is what is renamed), fsyncs it. Tensors
 * lie by alignment descending, then by name. MGPT_IO, and the file is gone; MGPT_INVALID: a blob
 * that the format cannot hold, or two of one name. */
enum mgpt_status mgpt_safetensors_write(const char *path, const struct mgpt_blob *blobs, size_t n,
                                        struct mgpt_error *error);
/* The same; size and digest are of the bytes meant, to be held against the file as read back. */
enum mgpt_status mgpt_safetensors_write_hashed(const char *path, const struct mgpt_blob *blobs,
                                               size_t n, uint64_t *size, char hex[MGPT_SHA256_HEX],
                                               struct mgpt_error *error);

struct mgpt_safetensors;
/* Opens and checks the whole header: sizes, overlaps, holes, duplicates, types. Formats that enum
 * mgpt_dtype lacks and ranks above MGPT_MAX_RANK pass here and are refused when read. MGPT_DATA:
 * path, offset, reason. */
enum mgpt_status mgpt_safetensors_open(const char *path, struct mgpt_safetensors **file,
                                       struct mgpt_error *error);
void mgpt_safetensors_close(struct mgpt_safetensors *file);
size_t mgpt_safetensors_count(const struct mgpt_safetensors *file);
/* Names in the order of their bytes; lives with the file. */
const char *mgpt_safetensors_name(const struct mgpt_safetensors *file, size_t index);
/* Format (0: one that enum mgpt_dtype lacks), rank (which may exceed MGPT_MAX_RANK) and the first
 * dimensions of the tensor of that name; false when there is none. */
bool mgpt_safetensors_find(const struct mgpt_safetensors *file, const char *name,
                           struct mgpt_blob *blob);
/* Is there a tensor called blob->name, of that format and shape? Or MGPT_DATA says what was
 * expected and what was found. */
enum mgpt_status mgpt_safetensors_expect(const struct mgpt_safetensors *file,
                                         const struct mgpt_blob *blob, struct mgpt_error *error);
/* Reads the tensor called blob->name into blob->data; format and shape must be those of the blob,
 * or MGPT_DATA says what was expected and what was found. */
enum mgpt_status mgpt_safetensors_read(struct mgpt_safetensors *file, const struct mgpt_blob *blob,
                                       struct mgpt_error *error);

/* The format's name for an enum mgpt_dtype, NULL for an unknown one. */
const char *mgpt_safetensors_dtype(uint32_t dtype);
/* Bytes of a blob's data; false when that overflows, or format, rank or a dimension is impossible.
 */
bool mgpt_blob_size(const struct mgpt_blob *blob, uint64_t *size);

#endif
