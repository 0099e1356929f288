/* The header of a safetensors file: two bytes say how long the data is, the rest is the text. */
#include <config.h>

#include <string.h>

#include "fuzz.h"
#include "run/safetensors_header.h"

/* From 0 to the end without holes, names ascending, sizes those of the shapes. */
static void check(const struct mgpt_header *h, uint64_t data)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < h->count; i++) {
        const struct mgpt_header_entry *e = &h->entries[i];
        struct mgpt_blob blob = {.name = e->name, .dtype = e->dtype, .rank = e->rank};
        uint64_t size;
        FUZZ_MUST(e->begin <= e->end && e->end <= data);
        FUZZ_MUST(i == 0 || strcmp(h->entries[i - 1].name, e->name) < 0);
        sum += e->end - e->begin;
        memcpy(blob.shape, e->shape, sizeof blob.shape);
        if (e->dtype && e->rank <= MGPT_MAX_RANK)
            FUZZ_MUST(mgpt_blob_size(&blob, &size) && size == e->end - e->begin);
    }
    FUZZ_MUST(sum == data);
}

int fuzz_safetensors(const uint8_t *data, size_t size)
{
    struct mgpt_error error;
    if (size < 4)
        return 0;
    uint64_t rest = data[0] | (uint64_t)data[1] << 8, n = size - 2;
    struct mgpt_header header = {.path = "file", .data = MGPT_HEADER_START + n};
    header.size = header.data + rest;
    enum mgpt_status status = mgpt_header_parse(&header, (const char *)data + 2, (size_t)n, &error);
    FUZZ_MUST(status == MGPT_OK || (status == MGPT_DATA && strstr(error.text, "file: offset ")));
    if (status == MGPT_OK)
        check(&header, rest);
    mgpt_header_finish(&header);
    return status == MGPT_OK;
}

FUZZ_ENTRY(safetensors)
