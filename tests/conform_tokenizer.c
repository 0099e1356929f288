/* Kind tokenizer: every module takes its own ids back to the text, and only sound JSON back to
 * itself. */
#include <config.h>

#include <stdlib.h>

#include <microgpt/tokenizer.h>

#include "base/rng.h"
#include "conform.h"

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

    mgpt_rng_seed(&rng, 5);
    for (int i = 0; i < DOCUMENTS; i++) {
        size_t size = 0, n = (size_t)mgpt_rng_below(&rng, 100);
        for (size_t k = 0; k < n; k++)
            size += put_character(b->text[i] + size, random_character(&rng));
        b->documents[i] = (struct mgpt_text){b->text[i], size};
    }
}

static struct mgpt_tokenizer *make(const struct mgpt_component *component, const char *bos)
{
    const struct mgpt_tokenizer_api *api = component->api;
    struct mgpt_config *config = settings(component, "bos", bos, NULL);
    struct mgpt_tokenizer *it = NULL;

    ck_ok(api->create(mgpt_host(), config, &it, error));
    mgpt_config_destroy(config);
    return it;
}

static struct bench *bench_open(const struct mgpt_component *component, const char *bos)
{
    struct bench *b = calloc(1, sizeof *b);

    ck_assert_ptr_nonnull(b);
    b->api = component->api;
    b->it = make(component, bos);
    write_documents(b);
    ck_ok(b->api->train(b->it, b->documents, DOCUMENTS, error));
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

    ck_module(n > 0, "save: %lld %s", (long long)n, error.text);
    char *json = malloc((size_t)n + 1);
    ck_assert_ptr_nonnull(json);
    json[n] = 0x5a;
    ck_module(api->save(it, json, (uint64_t)n, &error) == n, "the size changed");
    ck_module(json[n] == 0x5a, "save wrote past the capacity");
    *size = (size_t)n;
    return json;
}

static void check_round_trip(const struct bench *b, const struct mgpt_text *text)
{
    int32_t ids[MAX_TEXT + 1];
    char back[MAX_TEXT + 1];
    struct mgpt_error error = {0};
    int64_t n = b->api->encode(b->it, text->data, text->size, NULL, 0, &error);

    ck_module(n >= 0 && n <= MAX_TEXT, "encode: %lld %s", (long long)n, error.text);
    for (int i = 0; i <= MAX_TEXT; i++)
        ids[i] = -7;
    if (n > 1) {
        ck_module(b->api->encode(b->it, text->data, text->size, ids, (uint64_t)n - 1, &error) == n,
                  "the count depends on the capacity");
        ck_module(ids[n - 2] != -7 && ids[n - 1] == -7, "encode keeps not to the capacity");
    }
    ck_module(b->api->encode(b->it, text->data, text->size, ids, (uint64_t)n, &error) == n, "%s",
              error.text);
    for (int64_t i = 0; i < n; i++)
        ck_module(ids[i] >= 0 && ids[i] < b->api->vocab(b->it) && ids[i] != b->api->bos(b->it),
                  "id %d of %d", ids[i], b->api->vocab(b->it));
    ck_module(ids[n] == -7, "encode wrote past the capacity");
    ck_module(b->api->decode(b->it, ids, (uint64_t)n, NULL, 0, &error) == (int64_t)text->size,
              "decode counts other bytes");
    memset(back, 0x5a, sizeof back);
    ck_module(b->api->decode(b->it, ids, (uint64_t)n, back, text->size, &error) ==
                  (int64_t)text->size,
              "%s", error.text);
    ck_module(text->size == 0 || memcmp(back, text->data, text->size) == 0,
              "another text came back");
    ck_module(back[text->size] == 0x5a, "decode wrote past the capacity");
}

static void check_text(const struct mgpt_component *component)
{
    struct bench *b = bench_open(component, "true");

    for (int i = 0; i < DOCUMENTS; i++)
        check_round_trip(b, &b->documents[i]);
    check_round_trip(b, &(struct mgpt_text){"", 0});
    bench_close(b);
}

START_TEST(gives_back_the_text)
{
    each_module("tokenizer", check_text);
}
END_TEST

static void check_bos(const struct mgpt_component *component)
{
    struct bench *with = bench_open(component, "true"), *without = bench_open(component, "false");
    struct mgpt_error error = {0};
    int32_t bos = with->api->bos(with->it);

    if (has_option(component, "bos")) {
        ck_module(bos >= 0 && bos < with->api->vocab(with->it), "bos is %d", bos);
        ck_module(with->api->decode(with->it, &bos, 1, NULL, 0, &error) == 0, "BOS has text");
        ck_module(without->api->bos(without->it) == -1, "bos is there");
    }
    check_round_trip(without, &without->documents[1]);
    bench_close(with);
    bench_close(without);
}

START_TEST(bos_is_an_id_without_text)
{
    each_module("tokenizer", check_bos);
}
END_TEST

static void check_bad_ids(const struct mgpt_component *component)
{
    struct bench *b = bench_open(component, "true");
    const int32_t bad[] = {-1, b->api->vocab(b->it), INT32_MAX, INT32_MIN};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct mgpt_error error = {0};
        ck_module(b->api->decode(b->it, &bad[i], 1, NULL, 0, &error) == -1, "id %d", bad[i]);
        ck_module(error.text[0] && error.status != MGPT_OK, "refused without a word");
    }
    bench_close(b);
}

START_TEST(refuses_ids_that_do_not_exist)
{
    each_module("tokenizer", check_bad_ids);
}
END_TEST

static void check_saved(const struct mgpt_component *component)
{
    struct bench *b = bench_open(component, "true");
    struct mgpt_tokenizer *trained = b->it, *loaded = make(component, "false");
    size_t size, again;
    char *json = saved(b->api, trained, &size);

    ck_ok(b->api->load(loaded, json, size, error));
    ck_module(b->api->vocab(loaded) == b->api->vocab(trained), "%d", b->api->vocab(loaded));
    ck_module(b->api->bos(loaded) == b->api->bos(trained), "%d", b->api->bos(loaded));
    char *second = saved(b->api, loaded, &again);
    ck_module(size == again && memcmp(json, second, size) == 0, "saves otherwise than it was");
    b->it = loaded;
    for (int i = 0; i < DOCUMENTS; i++)
        check_round_trip(b, &b->documents[i]);
    b->api->destroy(trained);
    free(json);
    free(second);
    bench_close(b);
}

START_TEST(loads_what_it_saved)
{
    each_module("tokenizer", check_saved);
}
END_TEST

static void check_order(const struct mgpt_component *component)
{
    struct bench *b = bench_open(component, "true");
    struct mgpt_text reversed[DOCUMENTS];
    struct mgpt_tokenizer *other = make(component, "true");
    size_t size, again;

    for (int i = 0; i < DOCUMENTS; i++)
        reversed[i] = b->documents[DOCUMENTS - 1 - i];
    ck_ok(b->api->train(other, reversed, DOCUMENTS, error));
    char *json = saved(b->api, b->it, &size), *second = saved(b->api, other, &again);
    ck_module(size == again && memcmp(json, second, size) == 0, "the order of documents matters");
    b->api->destroy(other);
    free(json);
    free(second);
    bench_close(b);
}

START_TEST(learns_the_same_in_any_order)
{
    each_module("tokenizer", check_order);
}
END_TEST

/* ---- untrusted JSON ---- */

/* Loads it into a new tokenizer: refused with a word, or one that works. */
static enum mgpt_status try_load(const struct mgpt_component *component, const char *json,
                                 size_t size)
{
    const struct mgpt_tokenizer_api *api = component->api;
    struct mgpt_tokenizer *it = make(component, "true");
    struct mgpt_error error = {0};
    enum mgpt_status status = api->load(it, json, size, &error);

    if (status != MGPT_OK) {
        ck_refused(status, MGPT_DATA, error);
        api->destroy(it);
        return status;
    }
    size_t again;
    free(saved(api, it, &again));
    ck_module(api->vocab(it) >= 1 && api->bos(it) < api->vocab(it), "%d ids", api->vocab(it));
    for (int32_t id = 0; id < api->vocab(it); id++)
        ck_module(api->decode(it, &id, 1, NULL, 0, &error) >= 0, "id %d: %s", id, error.text);
    api->destroy(it);
    return status;
}

static void check_mutations(const struct mgpt_component *component)
{
    struct bench *b = bench_open(component, "true");
    struct mgpt_tokenizer *small = make(component, "true");
    struct mgpt_rng rng;
    size_t size;

    ck_ok(b->api->train(small, &(struct mgpt_text){"hello, w\xc3\xb6rld \"\\", 17}, 1, error));
    char *json = saved(b->api, small, &size), *copy = malloc(size + 1);
    mgpt_rng_seed(&rng, 11);
    for (size_t i = 0; i < size; i++)
        ck_module(try_load(component, json, i) != MGPT_OK, "took the first %zu of %zu bytes", i,
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

START_TEST(survives_damaged_json)
{
    each_module("tokenizer", check_mutations);
}
END_TEST

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
        ck_module(try_load(component, bad[i], strlen(bad[i])) != MGPT_OK, "took %s", bad[i]);
    memset(deep, '[', sizeof deep);
    ck_module(try_load(component, deep, sizeof deep) != MGPT_OK, "took 100,000 brackets");
}

START_TEST(refuses_other_json)
{
    each_module("tokenizer", check_bad_json);
}
END_TEST

/* ---- char, byte ---- */

START_TEST(char_sorts_its_characters)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_TOKENIZER, "char");
    const struct mgpt_tokenizer_api *api = component->api;
    struct mgpt_text documents[] = {{"ba", 2}, {"\xc3\xa9z", 3}};
    struct mgpt_tokenizer *it = make(component, "true");
    int32_t ids[4];

    ck_ok(api->train(it, documents, 2, error));
    ck_assert_int_eq(api->vocab(it), 5);
    ck_assert_int_eq(api->bos(it), 0);
    ck_assert_int_eq(api->encode(it,
                                 "z\xc3\xa9"
                                 "ba",
                                 5, ids, 4, NULL),
                     4);
    ck_assert(ids[0] == 3 && ids[1] == 4 && ids[2] == 2 && ids[3] == 1);
    api->destroy(it);
}
END_TEST

START_TEST(char_names_what_it_does_not_know)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"abX", "byte 2: unknown character 'X' (U+0058); expected"},
        {"a\xc3\xa9", "byte 1: unknown character '\xc3\xa9' (U+00E9); expected"},
        {"a\xf0\x9f\x98\x80", "byte 1: unknown character '\xf0\x9f\x98\x80' (U+1F600); expected"},
        {"\x07", "byte 0: unknown character U+0007; expected"},
        {"ab\xff", "byte 2: 0xff is not UTF-8"},
        {"\xc0\x80", "byte 0: 0xc0 is not UTF-8"},
        {"a\xed\xa0\x80", "byte 1: 0xed is not UTF-8"},
        {"\xe2\x82", "byte 0: 0xe2 is not UTF-8"},
    };
    const struct mgpt_component *component = one_module(MGPT_KIND_TOKENIZER, "char");
    const struct mgpt_tokenizer_api *api = component->api;
    struct mgpt_tokenizer *it = make(component, "true");

    ck_ok(api->train(it, &(struct mgpt_text){"ab", 2}, 1, error));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mgpt_error error = {0};
        ck_assert_int_eq(api->encode(it, cases[i].text, strlen(cases[i].text), NULL, 0, &error),
                         -1);
        ck_refused(error.status, MGPT_USAGE, error);
        ck_assert_msg(!strncmp(error.text, cases[i].says, strlen(cases[i].says)), "%s", error.text);
    }
    api->destroy(it);
}
END_TEST

START_TEST(char_says_what_is_wrong_with_a_vocabulary)
{
    static const struct {
        const char *model, *says;
    } cases[] = {
        {"\"bos\":null,\"vocab\":[\"a\",\"a\"]", "model.vocab[1] is U+0061, after U+0061"},
        {"\"bos\":null,\"vocab\":[\"b\",\"a\"]", "model.vocab[1] is U+0061, after U+0062"},
        {"\"bos\":null,\"vocab\":[\"a\",\"bc\"]", "model.vocab[1]: expected a string of one"},
        {"\"bos\":null,\"vocab\":[\"\"]", "model.vocab[0]: expected a string of one"},
        {"\"bos\":null,\"vocab\":[7]", "model.vocab[0]: expected a string of one"},
        {"\"bos\":null,\"vocab\":[]", "model.vocab: expected a list of 1 to"},
        {"\"bos\":null,\"vocab\":{\"a\":1}", "model.vocab: expected a list of 1 to"},
        {"\"bos\":null", "model.vocab: expected a list of 1 to"},
        {"\"bos\":true,\"vocab\":[\"a\"]", "model.bos: expected \"<BOS>\" or null"},
        {"\"bos\":\"<S>\",\"vocab\":[\"a\"]", "model.bos: expected \"<BOS>\" or null"},
        {"\"vocab\":[\"a\"]", "model.bos: expected \"<BOS>\" or null"},
        {"\"bos\":null,\"bos\":null,\"vocab\":[\"a\"]", "offset "},
    };
    const struct mgpt_component *component = one_module(MGPT_KIND_TOKENIZER, "char");
    const struct mgpt_tokenizer_api *api = component->api;
    struct mgpt_tokenizer *it = make(component, "true");

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mgpt_error error = {0};
        char json[256];
        int size =
            snprintf(json, sizeof json, "{\"version\":\"1.0\",\"model\":{\"type\":\"char\",%s}}",
                     cases[i].model);
        ck_refused(api->load(it, json, (uint64_t)size, &error), MGPT_DATA, error);
        ck_assert_msg(!strncmp(error.text, cases[i].says, strlen(cases[i].says)), "%s", error.text);
    }
    api->destroy(it);
}
END_TEST

START_TEST(char_needs_text_or_bos)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_TOKENIZER, "char");
    const struct mgpt_tokenizer_api *api = component->api;
    struct mgpt_tokenizer *without = make(component, "false"), *with = make(component, "true");
    struct mgpt_error why = {0};

    ck_refused(api->train(without, NULL, 0, &why), MGPT_DATA, why);
    ck_ok(api->train(with, NULL, 0, error));
    ck_assert_int_eq(api->vocab(with), 1);
    api->destroy(without);
    api->destroy(with);
}
END_TEST

START_TEST(byte_has_an_id_for_every_byte)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_TOKENIZER, "byte");
    const struct mgpt_tokenizer_api *api = component->api;
    struct mgpt_tokenizer *it = make(component, "true"), *without = make(component, "false");

    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        int32_t id = -1;
        ck_assert_int_eq(api->encode(it, &byte, 1, &id, 1, NULL), 1);
        ck_assert_int_eq(id, i);
    }
    ck_assert_int_eq(api->bos(it), 256);
    ck_assert_int_eq(api->vocab(it), 257);
    ck_assert_int_eq(api->vocab(without), 256);
    api->destroy(it);
    api->destroy(without);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, gives_back_the_text);
    tcase_add_test(tests, bos_is_an_id_without_text);
    tcase_add_test(tests, refuses_ids_that_do_not_exist);
    tcase_add_test(tests, loads_what_it_saved);
    tcase_add_test(tests, learns_the_same_in_any_order);
    tcase_add_test(tests, survives_damaged_json);
    tcase_add_test(tests, refuses_other_json);
    tcase_add_test(tests, char_sorts_its_characters);
    tcase_add_test(tests, char_names_what_it_does_not_know);
    tcase_add_test(tests, char_says_what_is_wrong_with_a_vocabulary);
    tcase_add_test(tests, char_needs_text_or_bos);
    tcase_add_test(tests, byte_has_an_id_for_every_byte);
}

int main(void)
{
    return test_main("conform_tokenizer", add_tests);
}
