/* Kind tokenizer: every module keeps the contract, and ours have the ids they should. */
#include <config.h>

#include <stdlib.h>

#include "check/bench_tokenizer.h"
#include "conform.h"

/* ---- char, byte ---- */

START_TEST(char_sorts_its_characters)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_TOKENIZER, "char");
    const struct mgpt_tokenizer_api *api = component->api;
    struct mgpt_text documents[] = {{"ba", 2}, {"\xc3\xa9z", 3}};
    struct mgpt_tokenizer *it = tokenizer_bench_make(component, "true");
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
    struct mgpt_tokenizer *it = tokenizer_bench_make(component, "true");

    ck_ok(api->train(it, &(struct mgpt_text){"ab", 2}, 1, error));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mgpt_error error = {0};
        ck_assert_int_eq(api->encode(it, cases[i].text, strlen(cases[i].text), NULL, 0, &error),
                         -1);
        check_refused(error.status, MGPT_USAGE, error);
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
    struct mgpt_tokenizer *it = tokenizer_bench_make(component, "true");

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mgpt_error error = {0};
        char json[256];
        int size =
            snprintf(json, sizeof json, "{\"version\":\"1.0\",\"model\":{\"type\":\"char\",%s}}",
                     cases[i].model);
        check_refused(api->load(it, json, (uint64_t)size, &error), MGPT_DATA, error);
        ck_assert_msg(!strncmp(error.text, cases[i].says, strlen(cases[i].says)), "%s", error.text);
    }
    api->destroy(it);
}
END_TEST

START_TEST(char_needs_text_or_bos)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_TOKENIZER, "char");
    const struct mgpt_tokenizer_api *api = component->api;
    struct mgpt_tokenizer *without = tokenizer_bench_make(component, "false"),
                          *with = tokenizer_bench_make(component, "true");
    struct mgpt_error why = {0};

    check_refused(api->train(without, NULL, 0, &why), MGPT_DATA, why);
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
    struct mgpt_tokenizer *it = tokenizer_bench_make(component, "true"),
                          *without = tokenizer_bench_make(component, "false");

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
    add_contract(tests, "tokenizer");
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
