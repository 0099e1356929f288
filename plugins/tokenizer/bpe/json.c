/* tokenizer.json: tokens by id and merges by rank, in the spelling of GPT-2's files, where a byte
 * is one printable character; added tokens as they stand in a text. "bos" is one of "added", or
 * null.
 *
 *   {"version": "1.0", "model": {"type": "bpe", "bos": "<|endoftext|>", "vocab": ["!", "\"", "Ġt"],
 *    "merges": ["Ġ t"], "added": ["<|endoftext|>"]}} */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "bpe.h"

#define NAMES 0x144 /* code points of bytes are below */

/* ---- the names of bytes ---- */

/* The printable ones of Latin-1 are themselves, the other 68 follow in order from U+0100. */
static void name_bytes(uint32_t name[BPE_BYTES])
{
    uint32_t next = 0x100;

    for (uint32_t b = 0; b < BPE_BYTES; b++)
        name[b] = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174 ? b : next++;
}

static size_t put_char(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    out[0] = (char)(0xc0 | c >> 6);
    out[1] = (char)(0x80 | (c & 0x3f));
    return 2;
}

/* ---- save ---- */

/* A token as the file has it, appended to `out`, which has room for twice its bytes. */
static size_t put_name(const struct bpe_table *table, const uint32_t *name, int32_t id, char *out)
{
    uint64_t size;
    const char *bytes = bpe_bytes(table, id, &size);
    size_t n = 0;

    for (uint64_t i = 0; i < size; i++)
        n += put_char(name[(unsigned char)bytes[i]], out + n);
    return n;
}

static int save_vocab(const struct bpe_table *table, const uint32_t *name, char *out, json_t *list)
{
    int failed = 0;

    for (int32_t id = 0; id < table->n && !failed; id++) {
        uint64_t size;
        const char *bytes = bpe_bytes(table, id, &size);
        failed |=
            bpe_is_added(table, id)
                ? json_array_append_new(list, json_stringn(bytes, size))
                : json_array_append_new(list, json_stringn(out, put_name(table, name, id, out)));
    }
    return failed;
}

static int save_merges(const struct bpe_table *table, const uint32_t *name, char *out, json_t *list)
{
    int failed = 0;

    for (uint32_t rank = 0; rank < table->n_merges && !failed; rank++) {
        size_t n = put_name(table, name, table->merges[rank].left, out);
        out[n++] = ' ';
        n += put_name(table, name, table->merges[rank].right, out + n);
        failed |= json_array_append_new(list, json_stringn(out, n));
    }
    return failed;
}

static json_t *name_of(const struct bpe_table *table, int32_t id)
{
    uint64_t size;
    const char *bytes = bpe_bytes(table, id, &size);

    return json_stringn(bytes, size);
}

/* The tokenizer as JSON; NULL without memory. */
static json_t *to_json(const struct bpe_table *table, char *out)
{
    uint32_t name[BPE_BYTES];
    json_t *vocab = json_array(), *merges = json_array(), *added = json_array();

    name_bytes(name);
    int failed = save_vocab(table, name, out, vocab) | save_merges(table, name, out, merges);
    for (uint32_t i = 0; i < table->n_added; i++)
        failed |= json_array_append_new(added, name_of(table, table->added[i]));
    json_t *root =
        json_pack("{s:s, s:{s:s, s:o, s:o, s:o, s:o}}", "version", "1.0", "model", "type", "bpe",
                  "bos", table->bos < 0 ? json_null() : name_of(table, table->bos), "vocab", vocab,
                  "merges", merges, "added", added);
    if (!failed)
        return root;
    json_decref(root);
    return NULL;
}

int64_t bpe_save(const struct mgpt_tokenizer *t, char *json, uint64_t capacity,
                 struct mgpt_error *error)
{
    const struct bpe_table *table = &t->table;
    uint64_t longest = 0, size;

    for (int32_t id = 0; id < table->n; id++) {
        (void)bpe_bytes(table, id, &size);
        longest = size > longest ? size : longest;
    }
    char *out = malloc((size_t)longest * 4 + 1); /* a merge: two names and a blank */
    json_t *root = out ? to_json(table, out) : NULL;
    size_t n = root ? json_dumpb(root, json, capacity, JSON_COMPACT) : 0;

    json_decref(root);
    free(out);
    if (n == 0) {
        mgpt_fail(error, MGPT_NOMEM, "out of memory for tokenizer.json");
        return -1;
    }
    return (int64_t)n;
}

/* ---- load ---- */

/* What is read, and what stands in "vocab" where. */
struct reader {
    struct bpe_table table;
    const json_t *model;
    json_t *ids, *added;    /* name to id; names in "added" */
    int16_t byte_of[NAMES]; /* -1: none */
    char *out;              /* room for the longest name */
    struct mgpt_error *error;
};

static enum mgpt_status no_memory(struct reader *r)
{
    return mgpt_fail(r->error, MGPT_NOMEM, "out of memory for the vocabulary");
}

/* The bytes that a name stands for; their number, or 0 when it is not of characters of bytes. */
static size_t read_name(const struct reader *r, const char *name, size_t size, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < size; i++) {
        uint32_t c = (unsigned char)name[i];
        if (c >= 0x80 && i + 1 < size)
            c = (c & 0x1f) << 6 | ((unsigned char)name[++i] & 0x3f);
        if (c >= NAMES || r->byte_of[c] < 0)
            return 0;
        out[n++] = (char)r->byte_of[c];
    }
    return n;
}

/* The names in "added", as the keys of r->added. */
static enum mgpt_status read_names(struct reader *r)
{
    const json_t *list = json_object_get(r->model, "added"), *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        if (json_is_string(item) && json_object_setn_new(r->added, json_string_value(item),
                                                         json_string_length(item), json_true()))
            return no_memory(r);
    }
    return MGPT_OK;
}

static bool is_named(const struct reader *r, const char *name, size_t size)
{
    return json_object_getn(r->added, name, size) != NULL;
}

static enum mgpt_status read_vocab(struct reader *r)
{
    const json_t *list = json_object_get(r->model, "vocab"), *item;
    size_t i;

    if (!json_is_array(list) || json_array_size(list) >= INT32_MAX)
        return mgpt_fail(r->error, MGPT_DATA, "model.vocab: expected a list of tokens");
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(item);
        size_t size = json_string_length(item), n;
        if (!name || !size)
            return mgpt_fail(r->error, MGPT_DATA, "model.vocab[%zu]: expected a token", i);
        if (json_object_getn(r->ids, name, size))
            return mgpt_fail(r->error, MGPT_DATA, "model.vocab[%zu]: \"%.60s\" is there twice", i,
                             name);
        bool whole = is_named(r, name, size);
        n = whole ? size : read_name(r, name, size, r->out);
        if (!n)
            return mgpt_fail(r->error, MGPT_DATA,
                             "model.vocab[%zu]: \"%.60s\" is neither of characters that stand for "
                             "bytes nor in model.added",
                             i, name);
        if (!bpe_table_add(&r->table, whole ? name : r->out, n) ||
            json_object_setn_new(r->ids, name, size, json_integer((json_int_t)i)) ||
            (whole && !bpe_table_mark(&r->table, (int32_t)i)))
            return no_memory(r);
        if (!whole && n == 1)
            r->table.of_byte[(unsigned char)r->out[0]] = (int32_t)i;
    }
    for (int b = 0; b < BPE_BYTES; b++)
        if (r->table.of_byte[b] < 0)
            return mgpt_fail(r->error, MGPT_DATA, "model.vocab: there is no token for byte 0x%02x",
                             b);
    return MGPT_OK;
}

/* The id of a token that can be merged, or -1. */
static int32_t find_name(const struct reader *r, const char *name, size_t size)
{
    const json_t *id = json_object_getn(r->ids, name, size);

    return id && !bpe_is_added(&r->table, (int32_t)json_integer_value(id))
               ? (int32_t)json_integer_value(id)
               : -1;
}

static enum mgpt_status read_merge(struct reader *r, size_t rank, const char *text, size_t size)
{
    const char *blank = text ? memchr(text, ' ', size) : NULL;
    size_t n = blank ? (size_t)(blank - text) : 0;
    struct bpe_merge m = {-1, -1, -1};

    if (!n || n + 1 == size || memchr(blank + 1, ' ', size - n - 1))
        return mgpt_fail(r->error, MGPT_DATA,
                         "model.merges[%zu]: expected two tokens with a blank between", rank);
    memcpy(r->out, text, n);
    memcpy(r->out + n, blank + 1, size - n - 1);
    m.left = find_name(r, text, n);
    m.right = find_name(r, blank + 1, size - n - 1);
    m.result = find_name(r, r->out, size - 1);
    if (m.left < 0 || m.right < 0 || m.result < 0)
        return mgpt_fail(r->error, MGPT_DATA,
                         "model.merges[%zu]: \"%.80s\": expected two tokens of model.vocab, and "
                         "what they make there, too",
                         rank, text);
    if (bpe_rank(&r->table, m.left, m.right) != BPE_NO_RANK)
        return mgpt_fail(r->error, MGPT_DATA, "model.merges[%zu]: \"%.80s\" is there twice", rank,
                         text);
    return bpe_table_merge(&r->table, m) ? MGPT_OK : no_memory(r);
}

static enum mgpt_status read_merges(struct reader *r)
{
    const json_t *list = json_object_get(r->model, "merges"), *item;
    enum mgpt_status status = MGPT_OK;
    size_t rank;

    if (!json_is_array(list) || json_array_size(list) >= BPE_NO_RANK)
        return mgpt_fail(r->error, MGPT_DATA, "model.merges: expected a list of merges");
    json_array_foreach(list, rank, item)
    {
        status = read_merge(r, rank, json_string_value(item), json_string_length(item));
        if (status != MGPT_OK)
            break;
    }
    return status;
}

/* Every one of "added" is a token, and "bos" one of them. */
static enum mgpt_status read_added(struct reader *r)
{
    const json_t *added = json_object_get(r->model, "added");
    const json_t *bos = json_object_get(r->model, "bos");
    size_t size = json_string_length(bos);

    if (!json_is_array(added) || json_array_size(added) != r->table.n_added)
        return mgpt_fail(r->error, MGPT_DATA,
                         "model.added: expected a list of tokens of model.vocab, each once");
    if (json_is_null(bos))
        return MGPT_OK;
    if (!json_is_string(bos) || !is_named(r, json_string_value(bos), size))
        return mgpt_fail(r->error, MGPT_DATA,
                         "model.bos: expected a token of model.added, or null");
    r->table.bos =
        (int32_t)json_integer_value(json_object_getn(r->ids, json_string_value(bos), size));
    return MGPT_OK;
}

static enum mgpt_status read_model(struct reader *r, size_t size)
{
    const char *type = json_string_value(json_object_get(r->model, "type"));
    enum mgpt_status status;

    if (!type || strcmp(type, "bpe") != 0)
        return mgpt_fail(r->error, MGPT_DATA,
                         "model.type is not \"bpe\"; expected a file that tokenizer bpe wrote");
    r->ids = json_object();
    r->added = json_object();
    r->out = malloc(size + 1); /* no name is longer than the file */
    if (!r->ids || !r->added || !r->out)
        return no_memory(r);
    status = read_names(r);
    if (status == MGPT_OK)
        status = read_vocab(r);
    if (status == MGPT_OK)
        status = read_added(r);
    return status == MGPT_OK ? read_merges(r) : status;
}

/* A file is wholly read before it takes the place of what is there. */
static enum mgpt_status read_root(struct mgpt_tokenizer *t, const json_t *root, size_t size,
                                  struct mgpt_error *error)
{
    struct reader r = {.model = json_object_get(root, "model"), .error = error};
    uint32_t name[BPE_BYTES];

    memset(r.byte_of, -1, sizeof r.byte_of);
    name_bytes(name);
    for (int b = 0; b < BPE_BYTES; b++)
        r.byte_of[name[b]] = (int16_t)b;
    bpe_table_init(&r.table);
    enum mgpt_status status = read_model(&r, size);
    json_decref(r.ids);
    json_decref(r.added);
    free(r.out);
    if (status == MGPT_OK) {
        bpe_table_finish(&t->table);
        t->table = r.table;
    } else {
        bpe_table_finish(&r.table);
    }
    return status;
}

enum mgpt_status bpe_load(struct mgpt_tokenizer *t, const char *json, uint64_t size,
                          struct mgpt_error *error)
{
    json_error_t where;
    json_t *root = json_loadb(json, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
    const char *version = json_string_value(json_object_get(root, "version"));
    enum mgpt_status status;

    if (!root)
        status = mgpt_fail(error, MGPT_DATA, "offset %d: it is not JSON (line %d, column %d)",
                           where.position > 0 ? where.position : 0, where.line, where.column);
    else if (!version || strcmp(version, "1.0") != 0)
        status = mgpt_fail(error, MGPT_DATA, "version: expected \"1.0\"");
    else
        status = read_root(t, root, size, error);
    json_decref(root);
    return status;
}
