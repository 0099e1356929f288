/* The header of a safetensors file: all of it is checked before any of it is believed. */
#include <config.h>

#include "run/safetensors_header.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define RANK_MAX 64 /* no framework goes further */

/* All formats that a header may name. Those without an mgpt_dtype cannot be read. */
static const struct kind {
    char name[8];
    uint8_t bits, dtype;
} kinds[] = {
    {"F32", 32, MGPT_F32}, {"F64", 64, MGPT_F64}, {"F16", 16, MGPT_F16}, {"BF16", 16, MGPT_BF16},
    {"I32", 32, MGPT_I32}, {"U8", 8, MGPT_U8},    {"U32", 32, MGPT_U32}, {"I64", 64, MGPT_I64},
    {"BOOL", 8, 0},        {"I8", 8, 0},          {"I16", 16, 0},        {"U16", 16, 0},
    {"U64", 64, 0},        {"C64", 64, 0},        {"F8_E4M3", 8, 0},     {"F8_E5M2", 8, 0},
    {"F8_E8M0", 8, 0},     {"F6_E2M3", 6, 0},     {"F6_E3M2", 6, 0},     {"F4", 4, 0},
};

const char *mgpt_safetensors_dtype(uint32_t dtype)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && dtype; i++)
        if (kinds[i].dtype == dtype)
            return kinds[i].name;
    return NULL;
}

const char *mgpt_header_show(const char *text, char out[MGPT_SHOWN])
{
    size_t n = 0;
    for (; text[n] && n < MGPT_SHOWN - 4; n++)
        out[n] = (unsigned char)text[n] < 0x20 || text[n] == 0x7f ? '?' : text[n];
    if (text[n]) {
        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
            n--;
        memcpy(out + n, "...", 3);
        n += 3;
    }
    out[n] = '\0';
    return out;
}

enum mgpt_status mgpt_header_fail(struct mgpt_error *error, const char *path, uint64_t offset,
                                  const char *format, ...)
{
    char reason[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    return mgpt_fail(error, MGPT_DATA, "%s: offset %" PRIu64 ": %s", path, offset, reason);
}

/* The only nesting there is: {"name": {"key": [numbers]}}. Seen before the parser allocates
 * anything, so that depth and memory are bounded whatever the header says. */
static enum mgpt_status check_nesting(const struct mgpt_header *header, const char *text, size_t n,
                                      struct mgpt_error *error)
{
    static const char opening[] = "{{[", closing[] = "}}]";
    size_t depth = 0, commas = 0;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '"') {
            for (i++; i < n && text[i] != '"'; i++)
                i += text[i] == '\\';
        } else if (c == '{' || c == '[') {
            if (depth == 3 || c != opening[depth])
                return mgpt_header_fail(error, header->path, MGPT_HEADER_START + i,
                                        "'%c' does not belong here in the header", c);
            depth++;
            commas = 0;
        } else if (c == '}' || c == ']') {
            if (depth == 0 || c != closing[depth - 1])
                return mgpt_header_fail(error, header->path, MGPT_HEADER_START + i,
                                        "'%c' closes nothing", c);
            depth--;
        } else if (c == ',' && depth == 3 && ++commas >= RANK_MAX) {
            return mgpt_header_fail(error, header->path, MGPT_HEADER_START + i,
                                    "a list of more than %d numbers", RANK_MAX);
        }
    }
    return MGPT_OK;
}

static const struct kind *find_kind(const json_t *name)
{
    const char *text = json_string_value(name);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && text; i++)
        if (!strcmp(kinds[i].name, text))
            return &kinds[i];
    return NULL;
}

/* Fills shape and rank and computes the bytes of a tensor. NULL, or what is wrong. */
static const char *read_shape(struct mgpt_header_entry *entry, const json_t *shape, unsigned bits,
                              uint64_t *bytes)
{
    uint64_t count = 1;
    if (!json_is_array(shape))
        return "has no list \"shape\"";
    entry->rank = (uint32_t)json_array_size(shape);
    for (uint32_t i = 0; i < entry->rank; i++) {
        const json_t *item = json_array_get(shape, i);
        json_int_t value = json_integer_value(item);
        if (!json_is_integer(item) || value < 0)
            return "has a dimension that is not a whole number";
        if (i < MGPT_MAX_RANK)
            entry->shape[i] = value;
        if (__builtin_mul_overflow(count, (uint64_t)value, &count))
            return "has a shape that overflows";
    }
    if (__builtin_mul_overflow(count, (uint64_t)bits, &count))
        return "has a shape that overflows";
    if (count % 8)
        return "does not fill whole bytes";
    *bytes = count / 8;
    return NULL;
}

static const char *read_offsets(struct mgpt_header_entry *entry, const json_t *offsets)
{
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
        return "has no \"data_offsets\" [begin, end]";
    entry->begin = (uint64_t)json_integer_value(begin);
    entry->end = (uint64_t)json_integer_value(end);
    return NULL;
}

/* NULL, or what is wrong with a tensor's description. */
static const char *read_entry(struct mgpt_header_entry *entry, const json_t *value)
{
    uint64_t bytes;
    if (!json_is_object(value))
        return "is not described by an object";
    if (json_object_size(value) != 3)
        return "is not described by dtype, shape and data_offsets alone";
    const struct kind *kind = find_kind(json_object_get(value, "dtype"));
    if (!kind)
        return "has no \"dtype\" that is known";
    entry->dtype = kind->dtype;
    entry->dtype_name = kind->name;
    const char *wrong = read_shape(entry, json_object_get(value, "shape"), kind->bits, &bytes);
    if (!wrong)
        wrong = read_offsets(entry, json_object_get(value, "data_offsets"));
    if (!wrong && entry->end - entry->begin != bytes)
        wrong = "has data_offsets that disagree with its dtype and shape";
    return wrong;
}

static const char *check_metadata(json_t *metadata)
{
    const char *key;
    json_t *value;
    if (!json_is_object(metadata))
        return "is not an object";
    json_object_foreach(
        metadata, key,
        value) if (!json_is_string(value)) return "holds something else than strings";
    return NULL;
}

static int by_offset(const void *a, const void *b)
{
    const struct mgpt_header_entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct mgpt_header_entry *)a)->name,
                  ((const struct mgpt_header_entry *)b)->name);
}

/* From 0 to the end of the file, without holes or overlaps. Leaves the entries sorted by name. */
static enum mgpt_status check_layout(struct mgpt_header *header, struct mgpt_error *error)
{
    char name[MGPT_SHOWN];
    uint64_t at = 0;
    qsort(header->entries, header->count, sizeof *header->entries, by_offset);
    for (size_t i = 0; i < header->count; i++) {
        const struct mgpt_header_entry *e = &header->entries[i];
        if (e->end > header->size - header->data)
            return mgpt_header_fail(error, header->path, header->data,
                                    "\"%s\" takes bytes %" PRIu64 " to %" PRIu64
                                    " of the data, which is %" PRIu64 " bytes long",
                                    mgpt_header_show(e->name, name), e->begin, e->end,
                                    header->size - header->data);
        if (e->begin != at)
            return mgpt_header_fail(error, header->path, header->data + at,
                                    "%s before \"%s\", which begins at offset %" PRIu64,
                                    e->begin > at ? "a hole" : "an overlap",
                                    mgpt_header_show(e->name, name), header->data + e->begin);
        at = e->end;
    }
    if (at != header->size - header->data)
        return mgpt_header_fail(error, header->path, header->data + at,
                                "the last tensor ends here, the file at %" PRIu64, header->size);
    qsort(header->entries, header->count, sizeof *header->entries, by_name);
    return MGPT_OK;
}

static enum mgpt_status read_entries(struct mgpt_header *header, json_t *root, const char *text,
                                     size_t n, struct mgpt_error *error)
{
    char shown[MGPT_SHOWN];
    const char *key;
    json_t *value;
    size_t count = json_object_size(root);
    header->entries = calloc(count ? count : 1, sizeof *header->entries);
    header->names = malloc(n); /* a name takes its bytes and two quotes there, and a 0 here */
    if (!header->entries || !header->names)
        return mgpt_fail(error, MGPT_NOMEM, "%s: no memory for %zu tensors", header->path, count);
    char *next = header->names;
    json_object_foreach(root, key, value)
    {
        const char *wrong;
        if (!strcmp(key, "__metadata__")) {
            wrong = check_metadata(value);
        } else {
            struct mgpt_header_entry *entry = &header->entries[header->count++];
            entry->name = next;
            next = stpcpy(next, key) + 1;
            wrong = read_entry(entry, value);
        }
        if (wrong)
            return mgpt_header_fail(error, header->path,
                                    MGPT_HEADER_START + mgpt_json_offset(text, n, key), "\"%s\" %s",
                                    mgpt_header_show(key, shown), wrong);
    }
    return check_layout(header, error);
}

enum mgpt_status mgpt_header_parse(struct mgpt_header *header, const char *text, size_t n,
                                   struct mgpt_error *error)
{
    char shown[MGPT_SHOWN];
    json_error_t cause;
    if (text[0] != '{')
        return mgpt_header_fail(error, header->path, MGPT_HEADER_START,
                                "the header does not begin with '{'");
    enum mgpt_status status = check_nesting(header, text, n, error);
    if (status)
        return status;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &cause);
    if (!root && !cause.text[0]) /* jansson's way to say that an allocation failed */
        return mgpt_fail(error, MGPT_NOMEM, "%s: no memory for the header", header->path);
    if (!root)
        return mgpt_header_fail(error, header->path,
                                MGPT_HEADER_START +
                                    (uint64_t)(cause.position > 0 ? cause.position : 0),
                                "the header is not JSON: %s", mgpt_header_show(cause.text, shown));
    status = read_entries(header, root, text, n, error);
    json_decref(root);
    return status;
}

void mgpt_header_finish(struct mgpt_header *header)
{
    free(header->entries);
    free(header->names);
}
