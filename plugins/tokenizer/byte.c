/* Tokenizer byte: ids 0 to 255 are the bytes, whatever they mean. With bos, id 256 is BOS.
 *
 * tokenizer.json: {"version": "1.0", "model": {"type": "byte", "bos": "<BOS>"}}; without bos, "bos"
 * is null. */
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <microgpt/tokenizer.h>

#define BYTES 256
#define BOS_NAME "<BOS>"

struct mgpt_tokenizer {
    bool bos;
};

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_tokenizer **tokenizer, struct mgpt_error *error)
{
    struct mgpt_tokenizer *t = malloc(sizeof *t);

    if (!t)
        return mgpt_fail(error, MGPT_NOMEM, "out of memory for tokenizer byte");
    t->bos = host->get_int(config, "bos") != 0;
    *tokenizer = t;
    return MGPT_OK;
}

static void destroy(struct mgpt_tokenizer *t)
{
    free(t);
}

/* There is nothing to learn. */
static enum mgpt_status train(struct mgpt_tokenizer *t, const struct mgpt_text *documents,
                              uint64_t n, struct mgpt_error *error)
{
    (void)t, (void)documents, (void)n, (void)error;
    return MGPT_OK;
}

static int32_t vocab(const struct mgpt_tokenizer *t)
{
    return BYTES + t->bos;
}

static int32_t bos(const struct mgpt_tokenizer *t)
{
    return t->bos ? BYTES : -1;
}

static int64_t encode(const struct mgpt_tokenizer *t, const char *text, uint64_t size, int32_t *ids,
                      uint64_t capacity, struct mgpt_error *error)
{
    (void)t, (void)error;
    for (uint64_t i = 0; i < size && i < capacity; i++)
        ids[i] = (unsigned char)text[i];
    return (int64_t)size;
}

static int64_t decode(const struct mgpt_tokenizer *t, const int32_t *ids, uint64_t n, char *text,
                      uint64_t capacity, struct mgpt_error *error)
{
    uint64_t size = 0;

    for (uint64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= vocab(t)) {
            mgpt_fail(error, MGPT_USAGE, "id %d at %llu: expected 0 to %d", ids[i],
                      (unsigned long long)i, vocab(t) - 1);
            return -1;
        }
        if (ids[i] == bos(t))
            continue;
        if (size < capacity)
            text[size] = (char)ids[i];
        size++;
    }
    return (int64_t)size;
}

/* ---- tokenizer.json ---- */

static int64_t save(const struct mgpt_tokenizer *t, char *json, uint64_t capacity,
                    struct mgpt_error *error)
{
    json_t *root = json_pack("{s:s, s:{s:s, s:s?}}", "version", "1.0", "model", "type", "byte",
                             "bos", t->bos ? BOS_NAME : NULL);
    size_t size = json_dumpb(root, json, capacity, JSON_COMPACT);

    json_decref(root);
    if (size == 0) {
        mgpt_fail(error, MGPT_NOMEM, "out of memory for tokenizer.json");
        return -1;
    }
    return (int64_t)size;
}

static enum mgpt_status load(struct mgpt_tokenizer *t, const char *json, uint64_t size,
                             struct mgpt_error *error)
{
    json_error_t where;
    json_t *root = json_loadb(json, size, JSON_REJECT_DUPLICATES, &where);
    const json_t *model = json_object_get(root, "model"), *name = json_object_get(model, "bos");
    const char *version = json_string_value(json_object_get(root, "version"));
    const char *type = json_string_value(json_object_get(model, "type"));
    bool has_bos = json_is_string(name) && strcmp(json_string_value(name), BOS_NAME) == 0;
    enum mgpt_status status = MGPT_OK;

    if (!root)
        status = mgpt_fail(error, MGPT_DATA, "offset %d: it is not JSON (line %d, column %d)",
                           where.position > 0 ? where.position : 0, where.line, where.column);
    else if (!version || strcmp(version, "1.0") != 0)
        status = mgpt_fail(error, MGPT_DATA, "version: expected \"1.0\"");
    else if (!type || strcmp(type, "byte") != 0)
        status = mgpt_fail(error, MGPT_DATA,
                           "model.type is not \"byte\"; expected a file that tokenizer byte wrote");
    else if (!has_bos && !json_is_null(name))
        status = mgpt_fail(error, MGPT_DATA, "model.bos: expected \"%s\" or null", BOS_NAME);
    else
        t->bos = has_bos;
    json_decref(root);
    return status;
}

static const struct mgpt_option options[] = {
    {.key = "bos",
     .value = "true",
     .help = "id 256 stands between documents",
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
    .name = "byte",
    .summary = "one id a byte",
    .options = options,
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.microgpt.tokenizer.byte", "0.1.0", "MIT", "The microgpt authors", NULL,
                   &component)
