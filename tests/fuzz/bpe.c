/* tokenizer.json of module bpe: what was loaded is saved and loaded again as it was, every id of it
 * is text, and any bytes that are encoded come back. */
#include <config.h>

#ifdef HAVE_UTF8PROC

#include <stdbool.h>
#include <string.h>

#include "fuzz.h"

#include <microgpt/tokenizer.h>

static int64_t get_int(const struct mgpt_config *config, const char *key)
{
    (void)config;
    return strcmp(key, "bos") == 0 ? 1 : 300;
}

static const struct mgpt_host host = {.size = sizeof host, .get_int = get_int};

static const struct mgpt_tokenizer_api *api(void)
{
    return microgpt_plugin_v1()->components[0]->api;
}

/* tokenizer.json (malloc). */
static char *save(const struct mgpt_tokenizer *t, int64_t *size)
{
    struct mgpt_error error;
    *size = api()->save(t, NULL, 0, &error);
    FUZZ_MUST(*size > 0);
    char *json = malloc((size_t)*size);
    FUZZ_MUST(json && api()->save(t, json, (uint64_t)*size, &error) == *size);
    return json;
}

static void load_again(const struct mgpt_tokenizer *t)
{
    struct mgpt_tokenizer *again = NULL;
    struct mgpt_error error;
    int64_t size, same;
    char *json = save(t, &size), *second;
    FUZZ_MUST(api()->create(&host, NULL, &again, &error) == MGPT_OK);
    FUZZ_MUST(api()->load(again, json, (uint64_t)size, &error) == MGPT_OK);
    second = save(again, &same);
    FUZZ_MUST(size == same && !memcmp(json, second, (size_t)size));
    api()->destroy(again);
    free(json);
    free(second);
}

/* There and back, unless the text has BOS in it, which has no text. */
static void encode(const struct mgpt_tokenizer *t, const char *text, size_t size)
{
    struct mgpt_error error;
    int32_t *ids = malloc((size + 1) * sizeof *ids);
    char *back = malloc(size + 1);
    bool bos = false;
    FUZZ_MUST(ids && back);
    int64_t n = api()->encode(t, text, size, ids, size, &error);
    FUZZ_MUST(n >= 0 && n <= (int64_t)size);
    for (int64_t i = 0; i < n; i++) {
        FUZZ_MUST(ids[i] >= 0 && ids[i] < api()->vocab(t));
        bos |= ids[i] == api()->bos(t);
    }
    int64_t m = api()->decode(t, ids, (uint64_t)n, back, size, &error);
    FUZZ_MUST(bos ? m < (int64_t)size : m == (int64_t)size && !memcmp(back, text, size));
    free(ids);
    free(back);
}

int fuzz_bpe(const uint8_t *data, size_t size)
{
    struct mgpt_tokenizer *t = NULL;
    struct mgpt_error error;
    FUZZ_MUST(api()->create(&host, NULL, &t, &error) == MGPT_OK);
    enum mgpt_status status = api()->load(t, (const char *)data, size, &error);
    FUZZ_MUST(status == MGPT_OK || status == MGPT_DATA);
    if (status == MGPT_OK) {
        load_again(t);
        encode(t, (const char *)data, size);
    }
    for (int32_t id = 0; status == MGPT_OK && id < api()->vocab(t); id++) {
        char bytes[4096];
        int64_t n = api()->decode(t, &id, 1, bytes, sizeof bytes, &error);
        FUZZ_MUST(id == api()->bos(t) ? n == 0 : n >= 1 && n <= (int64_t)sizeof bytes);
        encode(t, bytes, (size_t)n);
    }
    api()->destroy(t);
    return status == MGPT_OK;
}

FUZZ_ENTRY(bpe)

#endif
