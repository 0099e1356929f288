/* Kind tokenizer: its own ids back to the text, and only sound JSON back to itself. */
#include <config.h>

#include "check/bench_tokenizer.h"

#include <stdlib.h>

#include "base/rng.h"

#define DOCUMENTS 40
#define MAX_TEXT 512 /* bytes of a document */

/* A tokenizer, and documents of random characters of 1 to 4 bytes that it was trained on. */
struct bench {
    const struct mgpt_tokenizer_api *api;
    struct mgpt_tokenizer *it;
    char text[DOCUMENTS][MAX_TEXT];
    struct mgpt_text documents[DOCUMENTS];
};

static size_t put_character(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c);
    return n;
}

static uint32_t random_character(struct mgpt_rng *rng)
{
    static const uint32_t ends[] = {0x80, 0x800, 0xd800, 0x110000};
    uint32_t i = (uint32_t)mgpt_rng_below(rng, 4);
    uint32_t c = (uint32_t)mgpt_rng_below(rng, ends[i]);

    return c >= 0xd800 && c < 0xe000 ? 'x' : c; /* no surrogates in UTF-8 */
}

static void write_documents(struct bench *b)
{
    struct mgpt_rng rng;

    mgpt_rng_seed(&rng, mgpt_check_seed);
    for (int i = 0; i < DOCUMENTS; i++) {
        size_t size = 0, n = (size_t)mgpt_rng_below(&rng, 100);
        for (size_t k = 0; k < n; k++)
            size += put_character(b->text[i] + size, random_character(&rng));
        b->documents[i] = (struct mgpt_text){b->text[i], size};
    }
}

static struct bench *bench_open(const struct mgpt_component *component, const char *bos)
{
    struct bench *b = calloc(1, sizeof *b);

    check_that(b, "out of memory");
    b->api = component->api;
    b->it = tokenizer_bench_make(component, bos);
    write_documents(b);
    check_ok(b->api->train(b->it, b->documents, DOCUMENTS, error));
    return b;
}

static void bench_close(struct bench *b)
{
    b->api->destroy(b->it);
    b->api->destroy(NULL);
    free(b);
}

/* tokenizer.json (malloc). */
static char *saved(const struct mgpt_tokenizer_api *api, const struct mgpt_tokenizer *it,
                   size_t *size)
{
    struct mgpt_error error = {0};
    int64_t n = api->save(it, NULL, 0, &error);

    check_that(n > 0, "save: %lld %s", (long long)n, error.text);
    char *json = malloc((size_t)n + 1);
    check_that(json, "out of memory");
    json[n] = 0x5a;
    check_that(api->save(it, json, (uint64_t)n, &error) == n, "the size changed");
    check_that(json[n] == 0x5a, "save wrote past the capacity");
    *size = (size_t)n;
    return json;
}

static void check_round_trip(const struct bench *b, const struct mgpt_text *text)
{
    int32_t ids[MAX_TEXT + 1];
    char back[MAX_TEXT + 1];
    struct mgpt_error error = {0};
    int64_t n = b->api->encode(b->it, text->data, text->size, NULL, 0, &error);

    check_that(n >= 0 && n <= MAX_TEXT, "encode: %lld %s", (long long)n, error.text);
    for (int i = 0; i <= MAX_TEXT; i++)
        ids[i] = -7;
    if (n > 1) {
        check_that(b->api->encode(b->it, text->data, text->size, ids, (uint64_t)n - 1, &error) == n,
                   "the count depends on the capacity");
        check_that(ids[n - 2] != -7 && ids[n - 1] == -7, "encode keeps not to the capacity");
    }
    check_that(b->api->encode(b->it, text->data, text->size, ids, (uint64_t)n, &error) == n, "%s",
               error.text);
    for (int64_t i = 0; i < n; i++)
        check_that(ids[i] >= 0 && ids[i] < b->api->vocab(b->it) && ids[i] != b->api->bos(b->it),
                   "id %d of %d", ids[i], b->api->vocab(b->it));
    check_that(ids[n] == -7, "encode wrote past the capacity");
    check_that(b->api->decode(b->it, ids, (uint64_t)n, NULL, 0, &error) == (int64_t)text->size,
               "decode counts other bytes");
    memset(back, 0x5a, sizeof back);
    check_that(b->api->decode(b->it, ids, (uint64_t)n, back, text->size, &error) ==
                   (int64_t)text->size,
               "%s", error.text);
    check_that(text->size == 0 || memcmp(back, text->data, text->size) == 0,
               "another text came back");
    check_that(back[text->size] == 0x5a, "decode wrote past the capacity");
}

static void check_text(const struct mgpt_component *component)
{
    struct bench *b = bench_open(component, "true");

    for (int i = 0; i < DOCUMENTS; i++)
        check_round_trip(b, &b->documents[i]);
    check_round_trip(b, &(struct mgpt_text){"", 0});
    bench_close(b);
}

static void check_bos(const struct mgpt_component *component)
{
    struct bench *with = bench_open(component, "true"), *without = bench_open(component, "false");
    struct mgpt_error error = {0};
    int32_t bos = with->api->bos(with->it);

    if (mgpt_check_has_option(component, "bos")) {
        check_that(bos >= 0 && bos < with->api->vocab(with->it), "bos is %d", bos);
        check_that(with->api->decode(with->it, &bos, 1, NULL, 0, &error) == 0, "BOS has text");
        check_that(without->api->bos(without->it) == -1, "bos is there");
    }
    check_round_trip(without, &without->documents[1]);
    bench_close(with);
    bench_close(without);
}

static void check_bad_ids(const struct mgpt_component *component)
{
    struct bench *b = bench_open(component, "true");
    const int32_t bad[] = {-1, b->api->vocab(b->it), INT32_MAX, INT32_MIN};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct mgpt_error error = {0};
        check_that(b->api->decode(b->it, &bad[i], 1, NULL, 0, &error) == -1, "id %d", bad[i]);
        check_that(error.text[0] && error.status != MGPT_OK, "refused without a word");
    }
    bench_close(b);
}

static void check_saved(const struct mgpt_component *component)
{
    struct bench *b = bench_open(component, "true");
    struct mgpt_tokenizer *trained = b->it, *loaded = tokenizer_bench_make(component, "false");
    size_t size, again;
    char *json = saved(b->api, trained, &size);

    check_ok(b->api->load(loaded, json, size, error));
    check_that(b->api->vocab(loaded) == b->api->vocab(trained), "%d", b->api->vocab(loaded));
    check_that(b->api->bos(loaded) == b->api->bos(trained), "%d", b->api->bos(loaded));
    char *second = saved(b->api, loaded, &again);
    check_that(size == again && memcmp(json, second, size) == 0, "saves otherwise than it was");
    b->it = loaded;
    for (int i = 0; i < DOCUMENTS; i++)
        check_round_trip(b, &b->documents[i]);
    b->api->destroy(trained);
    free(json);
    free(second);
    bench_close(b);
}

static void check_order(const struct mgpt_component *component)
{
    struct bench *b = bench_open(component, "true");
    struct mgpt_text reversed[DOCUMENTS];
    struct mgpt_tokenizer *other = tokenizer_bench_make(component, "true");
    size_t size, again;

    for (int i = 0; i < DOCUMENTS; i++)
        reversed[i] = b->documents[DOCUMENTS - 1 - i];
    check_ok(b->api->train(other, reversed, DOCUMENTS, error));
    char *json = saved(b->api, b->it, &size), *second = saved(b->api, other, &again);
    check_that(size == again && memcmp(json, second, size) == 0, "the order of documents matters");
    b->api->destroy(other);
    free(json);
    free(second);
    bench_close(b);
}

/* ---- untrusted JSON ---- */

/* Loads it into a new tokenizer: refused with a word, or one that works. */
static enum mgpt_status try_load(const struct mgpt_component *component, const char *json,
                                 size_t size)
{
    const struct mgpt_tokenizer_api *api = component->api;
    struct mgpt_tokenizer *it = tokenizer_bench_make(component, "true");
    struct mgpt_error error = {0};
    enum mgpt_status status = api->load(it, json, size, &error);

    if (status != MGPT_OK) {
        check_refused(status, MGPT_DATA, error);
        api->destroy(it);
        return status;
    }
    size_t again;
    free(saved(api, it, &again));
    check_that(api->vocab(it) >= 1 && api->bos(it) < api->vocab(it), "%d ids", api->vocab(it));
    for (int32_t id = 0; id < api->vocab(it); id++)
        check_that(api->decode(it, &id, 1, NULL, 0, &error) >= 0, "id %d: %s", id, error.text);
    api->destroy(it);
    return status;
}

static void check_mutations(const struct mgpt_component *component)
{
    struct bench *b = bench_open(component, "true");
    struct mgpt_tokenizer *small = tokenizer_bench_make(component, "true");
    struct mgpt_rng rng;
    size_t size;

    check_ok(b->api->train(small, &(struct mgpt_text){"hello, w\xc3\xb6rld \"\\", 17}, 1, error));
    char *json = saved(b->api, small, &size), *copy = malloc(size + 1);
    mgpt_rng_seed(&rng, mgpt_check_seed + 1);
    for (size_t i = 0; i < size; i++)
        check_that(try_load(component, json, i) != MGPT_OK, "took the first %zu of %zu bytes", i,
                   size);
    for (int i = 0; i < 3000; i++) {
        size_t at = (size_t)mgpt_rng_below(&rng, size), other = (size_t)mgpt_rng_below(&rng, size);
        memcpy(copy, json, size);
        if (i % 3 == 0)
            copy[at] = (char)mgpt_rng_below(&rng, 256);
        else if (i % 3 == 1)
            copy[at] ^= (char)(1 << mgpt_rng_below(&rng, 8));
        else
            memmove(copy + at, json + other, size - (at > other ? at : other));
        (void)try_load(component, copy, size);
    }
    free(json);
    free(copy);
    b->api->destroy(small);
    bench_close(b);
}

static void check_bad_json(const struct mgpt_component *component)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "null",
        "{}",
        "{\"version\":\"1.0\"}",
        "{\"version\":\"1.0\",\"model\":{}}",
        "{\"version\":\"1.0\",\"model\":[]}",
        "{\"version\":\"1.0\",\"version\":\"1.0\",\"model\":{}}",
        "{\"version\":\"1.0\",\"model\":{\"type\":\"of another kind\",\"bos\":null,\"vocab\":[]}}",
        "\xff\xfe",
    };
    static char deep[100000];

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_that(try_load(component, bad[i], strlen(bad[i])) != MGPT_OK, "took %s", bad[i]);
    memset(deep, '[', sizeof deep);
    check_that(try_load(component, deep, sizeof deep) != MGPT_OK, "took 100,000 brackets");
}

/* Bytes that no UTF-8 has, and random ones: ids of the vocabulary that give the bytes back, or -1
 * with a word. */
static void check_some_bytes(const struct bench *b, const char *text, size_t size)
{
    int32_t ids[64];
    char back[64];
    struct mgpt_error error = {0};
    int64_t n = b->api->encode(b->it, text, size, ids, 64, &error);

    if (n < 0) {
        check_refused(error.status, MGPT_USAGE, error);
        return;
    }
    check_that(n <= 64, "%lld ids of %zu bytes", (long long)n, size);
    for (int64_t i = 0; i < n; i++)
        check_that(ids[i] >= 0 && ids[i] < b->api->vocab(b->it), "id %d of %d", ids[i],
                   b->api->vocab(b->it));
    check_that(b->api->decode(b->it, ids, (uint64_t)n, back, sizeof back, &error) ==
                       (int64_t)size &&
                   memcmp(back, text, size) == 0,
               "took %zu bytes that are no UTF-8, and gives others back", size);
}

static void check_bytes(const struct mgpt_component *component)
{
    static const char *const bad[] = {"\xff",     "\xc0\x80", "a\xed\xa0\x80",
                                      "\xe2\x82", "\x80",     "\xf4\x90\x80\x80"};
    struct bench *b = bench_open(component, "true");
    struct mgpt_rng rng;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_some_bytes(b, bad[i], strlen(bad[i]));
    mgpt_rng_seed(&rng, mgpt_check_seed);
    for (int i = 0; i < 2000; i++) {
        char text[32];
        size_t size = (size_t)mgpt_rng_below(&rng, sizeof text + 1);
        for (size_t k = 0; k < size; k++)
            text[k] = (char)mgpt_rng_below(&rng, 256);
        check_some_bytes(b, text, size);
    }
    bench_close(b);
}

static void once(const struct mgpt_component *component)
{
    struct bench *b = bench_open(component, "true");
    size_t size;
    char *json = saved(b->api, b->it, &size);
    struct mgpt_tokenizer *other = tokenizer_bench_make(component, "true");

    (void)b->api->load(other, json, size, NULL);
    (void)b->api->load(other, json, size / 2, NULL);
    (void)b->api->encode(b->it, "\xff", 1, NULL, 0, NULL);
    b->api->destroy(other);
    free(json);
    bench_close(b);
}

static void check_left(const struct mgpt_component *component)
{
    mgpt_check_leaks(component, once);
}

static void check_made(const struct mgpt_component *component)
{
    const struct mgpt_tokenizer_api *api = component->api;
    struct mgpt_config *config = mgpt_check_settings(component, NULL);
    struct mgpt_tokenizer *it = NULL;

    check_ok(api->create(mgpt_host(), config, &it, error));
    api->destroy(it);
    mgpt_config_destroy(config);
}

const struct mgpt_check_case mgpt_check_tokenizer[] = {
    {MGPT_CHECK_MADE, "no run could begin with it", check_made, 0},
    {"gives_back_the_text", "what the model learns from, and what it writes, is another text",
     check_text, 0},
    {"bos_is_an_id_without_text",
     "documents run into each other, or a sample has the marker in its text", check_bos, 0},
    {"refuses_ids_that_do_not_exist", "decode would read past its table", check_bad_ids, 0},
    {"answers_bytes_that_are_no_utf8", "a prompt with a broken character would crash, or change",
     check_bytes, 0},
    {"loads_what_it_saved",
     "a checkpoint would be used with another vocabulary than it was trained with", check_saved, 0},
    {"learns_the_same_in_any_order", "the vocabulary would depend on the shuffle", check_order, 0},
    {"survives_damaged_json",
     "tokenizer.json is untrusted: a damaged one must be refused, never crash", check_mutations,
     120},
    {"refuses_other_json", "the tokenizer.json of another kind would be taken for its own",
     check_bad_json, 0},
    {"leaves_nothing_behind", "what create takes, destroy gives back", check_left, 0},
    {NULL, NULL, NULL, 0},
};
