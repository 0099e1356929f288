/* The header of a safetensors file, parsed and checked; between safetensors.c and
 * safetensors_header.c. */
#ifndef MGPT_RUN_SAFETENSORS_HEADER_H
#define MGPT_RUN_SAFETENSORS_HEADER_H

#include "run/safetensors.h"

#define MGPT_HEADER_START 8u /* after the u64 N */
#define MGPT_SHOWN 84        /* room for a stranger's text in a message */

struct mgpt_header_entry {
    const char *name;
    const char *dtype_name;
    uint32_t dtype; /* enum mgpt_dtype, or 0 for a format that only others have */
    uint32_t rank;
    int64_t shape[MGPT_MAX_RANK]; /* the first dimensions; tensors of more cannot be read */
    uint64_t begin, end;          /* from the start of the data */
};

struct mgpt_header {
    const char *path;                  /* not owned */
    uint64_t size;                     /* of the file */
    uint64_t data;                     /* offset of the data */
    char *names;                       /* what the entries point into */
    struct mgpt_header_entry *entries; /* sorted by name */
    size_t count;
};

/* Parses the n >= 1 bytes of text. path, size and data are set by the caller, who also finishes it
 * after a failure. */
enum mgpt_status mgpt_header_parse(struct mgpt_header *header, const char *text, size_t n,
                                   struct mgpt_error *error);
void mgpt_header_finish(struct mgpt_header *header);

/* "PATH: offset N: REASON", MGPT_DATA. */
enum mgpt_status mgpt_header_fail(struct mgpt_error *error, const char *path, uint64_t offset,
                                  const char *format, ...) MGPT_PRINTF(4, 5);
/* A stranger's text for one line of a message: no control bytes, cut before a character. Returns
 * out. */
const char *mgpt_header_show(const char *text, char out[MGPT_SHOWN]);

#endif
