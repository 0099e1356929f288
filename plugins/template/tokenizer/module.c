/* Tokenizer my-name: an id for each byte that the documents have; id 0 is BOS.
 *
 * tokenizer.json: {"type": "my-name", "bytes": [97, 98, 99]}, ascending: byte k of it has id k +
 * 1. */
#include <stdlib.h>
#include <string.h>

#include <microgpt/tokenizer.h>

static const char opening[] = "{\"type\": \"my-name\", \"bytes\": [", closing[] = "]}";

struct mgpt_tokenizer {
    int32_t n;               /* bytes there are */
    unsigned char byte[256]; /* of id i + 1 */
    int32_t id[256];         /* of a byte; 0: it has none */
};

static enum mgpt_status create(const struct mgpt_host *host, const struct mgpt_config *config,
                               struct mgpt_tokenizer **tokenizer, struct mgpt_error *error)
{
    (void)host, (void)config;
    *tokenizer = (struct mgpt_tokenizer *)calloc(1, sizeof **tokenizer);
    return *tokenizer ? MGPT_OK
                      : mgpt_fail(error, MGPT_NOMEM, "out of memory for tokenizer my-name");
}

static void destroy(struct mgpt_tokenizer *t)
{
    free(t);
}

static void add(struct mgpt_tokenizer *t, unsigned byte)
{
    t->byte[t->n++] = (unsigned char)byte;
    t->id[byte] = t->n;
}

static enum mgpt_status train(struct mgpt_tokenizer *t, const struct mgpt_text *documents,
                              uint64_t n, struct mgpt_error *error)
{
    char seen[256] = {0};

    for (uint64_t d = 0; d < n; d++)
        for (uint64_t i = 0; i < documents[d].size; i++)
            seen[(unsigned char)documents[d].data[i]] = 1;
    memset(t, 0, sizeof *t);
    for (unsigned byte = 0; byte < 256; byte++)
        if (seen[byte])
            add(t, byte);
    return t->n ? MGPT_OK : mgpt_fail(error, MGPT_DATA, "no text to learn the bytes of");
}

static int32_t vocab(const struct mgpt_tokenizer *t)
{
    return t->n + 1;
}

static int32_t bos(const struct mgpt_tokenizer *t)
{
    (void)t;
    return 0;
}

static int64_t encode(const struct mgpt_tokenizer *t, const char *text, uint64_t size, int32_t *ids,
                      uint64_t capacity, struct mgpt_error *error)
{
    for (uint64_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (!t->id[byte]) {
            mgpt_fail(error, MGPT_USAGE, "byte %llu, 0x%02x, is none of the %d that were learned",
                      (unsigned long long)i, (unsigned)byte, (int)t->n);
            return -1;
        }
        if (i < capacity)
            ids[i] = t->id[byte];
    }
    return (int64_t)size;
}

static int64_t decode(const struct mgpt_tokenizer *t, const int32_t *ids, uint64_t n, char *text,
                      uint64_t capacity, struct mgpt_error *error)
{
    uint64_t size = 0;

    for (uint64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] > t->n) {
            mgpt_fail(error, MGPT_USAGE, "id %d: expected 0 to %d", (int)ids[i], (int)t->n);
            return -1;
        }
        if (ids[i] == 0)
            continue; /* BOS has no text */
        if (size < capacity)
            text[size] = (char)t->byte[ids[i] - 1];
        size++;
    }
    return (int64_t)size;
}

/* Appends to json, as far as there is room, and counts on. */
static void put(char *json, uint64_t capacity, uint64_t *size, const char *text)
{
    for (; *text; text++, (*size)++)
        if (*size < capacity)
            json[*size] = *text;
}

static int64_t save(const struct mgpt_tokenizer *t, char *json, uint64_t capacity,
                    struct mgpt_error *error)
{
    uint64_t size = 0;

    (void)error;
    put(json, capacity, &size, opening);
    for (int32_t i = 0; i < t->n; i++) {
        char number[16];
        snprintf(number, sizeof number, "%s%u", i ? ", " : "", (unsigned)t->byte[i]);
        put(json, capacity, &size, number);
    }
    put(json, capacity, &size, closing);
    return (int64_t)size;
}

/* Reads "97, 98, 99" up to `end`; 0 when it is anything else, or not ascending. */
static int read_bytes(struct mgpt_tokenizer *t, const char *at, const char *end)
{
    int last = -1;

    for (;;) {
        int byte = 0, digits = 0;
        for (; at < end && *at >= '0' && *at <= '9' && digits < 3; at++, digits++)
            byte = 10 * byte + (*at - '0');
        if (!digits || byte <= last || byte > 255)
            return 0;
        add(t, (unsigned)byte);
        last = byte;
        if (at == end)
            return 1;
        if (end - at < 2 || memcmp(at, ", ", 2) != 0)
            return 0;
        at += 2;
    }
}

/* Anybody may have written this text: it is exactly as `save` writes it, or refused. */
static enum mgpt_status load(struct mgpt_tokenizer *t, const char *json, uint64_t size,
                             struct mgpt_error *error)
{
    const uint64_t before = sizeof opening - 1, after = sizeof closing - 1;

    memset(t, 0, sizeof *t);
    if (size >= before + after && memcmp(json, opening, before) == 0 &&
        memcmp(json + size - after, closing, after) == 0 &&
        read_bytes(t, json + before, json + size - after))
        return MGPT_OK;
    memset(t, 0, sizeof *t);
    return mgpt_fail(error, MGPT_DATA, "expected %s97, 98, ...%s with ascending bytes", opening,
                     closing);
}

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
    .n_options = 0,
    .option_size = sizeof(struct mgpt_option),
    .kind = MGPT_KIND_TOKENIZER,
    .name = "my-name",
    .summary = "an id for each byte that there is, and BOS",
    .api = &api,
};

MGPT_PLUGIN_DEFINE("org.example.my-name", "0.1.0", "LicenseRef-none-yet", "YOUR NAME", NULL,
                   &component)
