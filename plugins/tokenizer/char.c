/* Tokenizer char: one id a character (a Unicode code point). With bos, id 0 is BOS; then the
 * distinct characters of all documents follow in ascending order.
 *
 * tokenizer.json, where "bos" is null without one:
 *
 *   {"version": "1.0", "model": {"type": "char", "bos": "<BOS>", "vocab": ["a", "b"]}} */
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <microgpt/tokenizer.h>
#include <microgpt/utf8.h>

#define CODE_POINTS 0x110000u
#define BOS_NAME "<BOS>"

struct mgpt_tokenizer {
    bool bos;
    uint32_t n;      /* characters */
    uint32_t *chars; /* their code points, ascending; the id of chars[i] is i + bos */
};

/* ---- life ---- */

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_tokenizer **tokenizer, struct mgpt_error *error)
{
    struct mgpt_tokenizer *t = calloc(1, sizeof *t);

    if (!t)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for tokenizer char");
    t->bos = host->get_int(config, "bos") != 0;
    *tokenizer = t;
    return MGPT_OK;
}

static void destroy(struct mgpt_tokenizer *t)
{
    if (t)
        free(t->chars);
    free(t);
}

/* ---- training ---- */

/* Marks every character of the documents in seen[c]; how many there are. */
static enum mgpt_status mark(const struct mgpt_text *documents, uint64_t n, char *seen,
                             uint32_t *count, struct mgpt_error *error)
{
    for (uint64_t i = 0; i < n; i++) {
        const char *text = documents[i].data;
        uint32_t c = 0;

        for (uint64_t at = 0, length; at < documents[i].size; at += length) {
            length = mgpt_utf8_read(text + at, documents[i].size - at, &c);
            if (!length)
                return mgpt_fail(error, MGPT_DATA, "document %llu, byte %llu: 0x%02x is not UTF-8",
                                 (unsigned long long)i + 1, (unsigned long long)at,
                                 (unsigned char)text[at]);
            *count += !seen[c];
            seen[c] = 1;
        }
    }
    return MGPT_OK;
}

static enum mgpt_status train(struct mgpt_tokenizer *t, const struct mgpt_text *documents,
                              uint64_t n, struct mgpt_error *error)
{
    char *seen = calloc(CODE_POINTS, 1);
    uint32_t *chars = NULL, count = 0;
    enum mgpt_status status = MGPT_NOMEM;

    if (seen)
        status = mark(documents, n, seen, &count, error);
    if (status == MGPT_OK && count + t->bos == 0)
        status = mgpt_fail(error, MGPT_DATA, "no text to learn characters from");
    if (status == MGPT_OK) {
        chars = malloc((count + 1) * sizeof *chars);
        status = chars ? MGPT_OK : MGPT_NOMEM;
    }
    if (status == MGPT_NOMEM)
        mgpt_fail(error, status, "out of memory for tokenizer char");
    if (status == MGPT_OK) {
        free(t->chars);
        t->chars = chars;
        t->n = 0;
        for (uint32_t c = 0; c < CODE_POINTS; c++)
            if (seen[c])
                t->chars[t->n++] = c;
    }
    free(seen);
    return status;
}

/* ---- text and ids ---- */

static int32_t vocab(const struct mgpt_tokenizer *t)
{
    return (int32_t)t->n + t->bos;
}

static int32_t bos(const struct mgpt_tokenizer *t)
{
    return t->bos ? 0 : -1;
}

/* The id of a character, or -1. */
static int32_t find(const struct mgpt_tokenizer *t, uint32_t c)
{
    uint32_t low = 0, high = t->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->chars[middle] < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low < t->n && t->chars[low] == c ? (int32_t)low + t->bos : -1;
}

/* Says which character, as U+XXXX and, where it can be seen, as itself. */
static int64_t unknown(uint32_t c, const char *text, unsigned length, uint64_t at,
                       struct mgpt_error *error)
{
    bool visible = c > ' ' && !(c >= 0x7f && c <= 0xa0);

    mgpt_fail(error, MGPT_USAGE,
              "byte %llu: unknown character %s%.*s%sU+%04X%s; expected characters of the text that "
              "the model learned from",
              (unsigned long long)at, visible ? "'" : "", visible ? (int)length : 0, text,
              visible ? "' (" : "", (unsigned)c, visible ? ")" : "");
    return -1;
}

static int64_t encode(const struct mgpt_tokenizer *t, const char *text, uint64_t size, int32_t *ids,
                      uint64_t capacity, struct mgpt_error *error)
{
    uint64_t n = 0;

    for (uint64_t at = 0, length; at < size; at += length, n++) {
        uint32_t c = 0;
        length = mgpt_utf8_read(text + at, size - at, &c);
        if (!length) {
            mgpt_fail(error, MGPT_USAGE, "byte %llu: 0x%02x is not UTF-8", (unsigned long long)at,
                      (unsigned char)text[at]);
            return -1;
        }
        int32_t id = find(t, c);
        if (id < 0)
            return unknown(c, text + at, (unsigned)length, at, error);
        if (n < capacity)
            ids[n] = id;
    }
    return (int64_t)n;
}

static int64_t decode(const struct mgpt_tokenizer *t, const int32_t *ids, uint64_t n, char *text,
                      uint64_t capacity, struct mgpt_error *error)
{
    uint64_t size = 0;

    for (uint64_t i = 0; i < n; i++) {
        char bytes[4];
        if (ids[i] < 0 || ids[i] >= vocab(t)) {
            mgpt_fail(error, MGPT_USAGE, "id %d at %llu: expected 0 to %d", ids[i],
                      (unsigned long long)i, vocab(t) - 1);
            return -1;
        }
        if (ids[i] == bos(t))
            continue;
        unsigned length = mgpt_utf8_write(t->chars[ids[i] - t->bos], bytes);
        for (unsigned k = 0; k < length; k++, size++)
            if (size < capacity)
                text[size] = bytes[k];
    }
    return (int64_t)size;
}

/* ---- tokenizer.json ---- */

static int64_t save(const struct mgpt_tokenizer *t, char *json, uint64_t capacity,
                    struct mgpt_error *error)
{
    json_t *root = json_pack("{s:s, s:{s:s, s:s?, s:[]}}", "version", "1.0", "model", "type",
                             "char", "bos", t->bos ? BOS_NAME : NULL, "vocab");
    json_t *list = json_object_get(json_object_get(root, "model"), "vocab");
    size_t size = 0;

    for (uint32_t i = 0; i < t->n; i++) {
        char bytes[4];
        unsigned length = mgpt_utf8_write(t->chars[i], bytes);
        if (json_array_append_new(list, json_stringn(bytes, length)) != 0)
            goto out;
    }
    size = json_dumpb(root, json, capacity, JSON_COMPACT);
out:
    json_decref(root);
    if (size == 0) {
        mgpt_fail(error, MGPT_NOMEM, "out of memory for tokenizer.json");
        return -1;
    }
    return (int64_t)size;
}

/* Checks "vocab" and puts its characters into chars[0..n). */
static enum mgpt_status read_vocab(const json_t *list, uint32_t *chars, struct mgpt_error *error)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *text = json_string_value(item);
        size_t size = json_string_length(item);

        if (!text || size == 0 || mgpt_utf8_read(text, size, &chars[i]) != size)
            return mgpt_fail(error, MGPT_DATA,
                             "model.vocab[%zu]: expected a string of one character", i);
        if (i > 0 && chars[i] <= chars[i - 1])
            return mgpt_fail(error, MGPT_DATA,
                             "model.vocab[%zu] is U+%04X, after U+%04X: expected each character "
                             "once, in ascending order",
                             i, (unsigned)chars[i], (unsigned)chars[i - 1]);
    }
    return MGPT_OK;
}

static enum mgpt_status read_model(struct mgpt_tokenizer *t, const json_t *model,
                                   struct mgpt_error *error)
{
    const char *type = json_string_value(json_object_get(model, "type"));
    const json_t *bos_name = json_object_get(model, "bos"), *list = json_object_get(model, "vocab");
    bool has_bos = json_is_string(bos_name) && strcmp(json_string_value(bos_name), BOS_NAME) == 0;
    size_t n = json_array_size(list);

    if (!type || strcmp(type, "char") != 0)
        return mgpt_fail(error, MGPT_DATA,
                         "model.type is not \"char\"; expected a file that tokenizer char wrote");
    if (!has_bos && !json_is_null(bos_name))
        return mgpt_fail(error, MGPT_DATA, "model.bos: expected \"%s\" or null", BOS_NAME);
    if (!json_is_array(list) || n + has_bos < 1 || n > CODE_POINTS)
        return mgpt_fail(error, MGPT_DATA, "model.vocab: expected a list of 1 to %u characters",
                         CODE_POINTS);
    uint32_t *chars = malloc((n + 1) * sizeof *chars);
    enum mgpt_status status =
        chars ? read_vocab(list, chars, error)
              : mgpt_fail(error, MGPT_NOMEM, "out of memory for the vocabulary");
    if (status != MGPT_OK) {
        free(chars);
        return status;
    }
    free(t->chars);
    *t = (struct mgpt_tokenizer){.bos = has_bos, .n = (uint32_t)n, .chars = chars};
    return MGPT_OK;
}

static enum mgpt_status load(struct mgpt_tokenizer *t, const char *json, uint64_t size,
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
        status = read_model(t, json_object_get(root, "model"), error);
    json_decref(root);
    return status;
}

static const struct mgpt_option options[] = {
    {.key = "bos",
     .value = "true",
     .help = "id 0 stands between documents",
     .type = MGPT_OPTION_BOOL},
};

static const struct mgpt_tokenizer_api api = {
    .size = sizeof api,
    .create = create,
    .destroy = destroy,
    .train = train,
    .vocab = vocab,
    .bos = bos,
    .encode = encode,
    .decode = decode,
    .save = save,
    .load = load,
};

static const struct mgpt_component component = {
    .size = sizeof component,
    MGPT_OPTIONS(options),
    .kind = MGPT_KIND_TOKENIZER,
    .name = "char",
    .summary = "one id a character",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.tokenizer.char", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
