/* Byte-level BPE of Hugging Face folders to that of module bpe and back: both spellings of merges,
 * the two files of GPT-2, and what would make other ids of a text, refused by name. */
#include <config.h>

#include <jansson.h>

#include "run/hf.h"
#include "scratch.h"

static struct mgpt_error error;

#define LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"
#define PAIRS "\"vocab\":{\"b\":0,\"a\":2,\"ab\":1,\"<x>\":3},\"merges\":"

/* A file with a model, and whatever else stands behind it. */
static enum mgpt_status read_pairs(const char *model, const char *rest, int32_t bos,
                                   struct mgpt_hf *hf)
{
    char json[1024];
    int n = snprintf(json, sizeof json, "{\"model\":{\"type\":\"BPE\",%s}%s}", model, rest);
    error.text[0] = '\0';
    *hf = (struct mgpt_hf){0};
    return mgpt_hf_tokenizer_read(json, (size_t)n, bos, hf, &error);
}

static const char added[] =
    ",\"pre_tokenizer\":" LEVEL ",\"decoder\":" LEVEL ",\"normalizer\":null,"
    "\"post_processor\":{\"type\":\"TemplateProcessing\"},"
    "\"added_tokens\":[{\"id\":3,\"content\":\"<x>\",\"lstrip\":false},"
    "{\"id\":4,\"content\":\"<|endoftext|>\",\"special\":true}]";

START_TEST(merges_are_for_bpe_in_both_spellings)
{
    static const char *const spellings[] = {PAIRS "[\"a b\"]", PAIRS "[[\"a\",\"b\"]]"};
    for (int i = 0; i < 2; i++)
        for (int32_t bos = 2; bos <= 5; bos++) { /* the id of "a", which was not added, is no BOS */
            struct mgpt_hf hf;
            ck_assert_msg(read_pairs(spellings[i], added, bos, &hf) == MGPT_OK, "%s", error.text);
            ck_assert_str_eq(hf.tokenizer, "bpe");
            ck_assert_uint_eq(hf.ids, 5);
            ck_assert(hf.bos);
            char expected[256];
            snprintf(expected, sizeof expected,
                     "{\"version\":\"1.0\",\"model\":{\"type\":\"bpe\",\"bos\":\"%s\",\"vocab\":["
                     "\"b\",\"ab\",\"a\",\"<x>\",\"<|endoftext|>\"],\"merges\":[\"a b\"],"
                     "\"added\":[\"<x>\",\"<|endoftext|>\"]}}",
                     bos == 3 ? "<x>" : "<|endoftext|>");
            ck_assert_str_eq(hf.tokenizer_json, expected);
            mgpt_hf_close(&hf);
        }
}
END_TEST

START_TEST(older_files_name_no_type)
{
    static const char json[] = "{\"model\":{" PAIRS "[\"a b\"]},\"pre_tokenizer\":" LEVEL "}";
    static const char words[] = "{\"model\":{\"vocab\":{\"a\":0}},\"pre_tokenizer\":" LEVEL "}";
    struct mgpt_hf hf = {0};
    ck_assert_int_eq(mgpt_hf_tokenizer_read(json, sizeof json - 1, -1, &hf, &error), MGPT_OK);
    ck_assert_str_eq(hf.tokenizer, "bpe");
    ck_assert(!hf.bos);
    mgpt_hf_close(&hf);
    ck_assert_int_eq(mgpt_hf_tokenizer_read(words, sizeof words - 1, -1, &hf, &error),
                     MGPT_UNSUPPORTED);
    ck_assert_has(error.text, "model.type: expected \"BPE\"");
}
END_TEST

START_TEST(bpe_is_written_as_tokenizers_reads_it)
{
    struct mgpt_hf hf, again;
    char *theirs, *name;
    int32_t bos;
    ck_assert_int_eq(read_pairs(PAIRS "[\"a b\"]", added, -1, &hf), MGPT_OK);
    ck_assert_int_eq(mgpt_hf_tokenizer_write(hf.tokenizer_json, strlen(hf.tokenizer_json), &theirs,
                                             &bos, &name, &error),
                     MGPT_OK);
    ck_assert_int_eq(bos, 4);
    ck_assert_str_eq(name, "<|endoftext|>");
    json_t *root = json_loads(theirs, 0, NULL);
    json_t *level = json_object_get(root, "pre_tokenizer");
    ck_assert_str_eq(json_string_value(json_object_get(level, "type")), "ByteLevel");
    ck_assert(json_is_false(json_object_get(level, "add_prefix_space")));
    ck_assert(json_equal(level, json_object_get(root, "decoder")));
    ck_assert_uint_eq(json_array_size(json_object_get(root, "added_tokens")), 2);
    json_decref(root);
    again = (struct mgpt_hf){0};
    ck_assert_int_eq(mgpt_hf_tokenizer_read(theirs, strlen(theirs), bos, &again, &error), MGPT_OK);
    ck_assert_str_eq(again.tokenizer_json, hf.tokenizer_json);
    free(theirs);
    free(name);
    mgpt_hf_close(&hf);
    mgpt_hf_close(&again);
}
END_TEST

/* Five tokens in tokenizer.json, of which two are added; the file beside it is sorted by name. */
static enum mgpt_status read_beside(const char *file, struct mgpt_hf *hf)
{
    char json[1024];
    int n =
        snprintf(json, sizeof json, "{\"model\":{\"type\":\"BPE\"," PAIRS "[\"a b\"]}%s}", added);
    *hf =
        (struct mgpt_hf){.added_json = strdup(file), .added_path = strdup("at/added_tokens.json")};
    return mgpt_hf_tokenizer_read(json, (size_t)n, -1, hf, &error);
}

START_TEST(added_tokens_beside_the_file_go_on_by_id)
{
    struct mgpt_hf hf;
    ck_assert_msg(read_beside("{\"<a>\":6,\"<b>\":5,\"<x>\":3,\"a\":2}", &hf) == MGPT_OK, "%s",
                  error.text);
    ck_assert_uint_eq(hf.ids, 7);
    ck_assert_has(hf.tokenizer_json, "\"a\",\"<x>\",\"<|endoftext|>\",\"<b>\",\"<a>\"],");
    ck_assert_has(hf.tokenizer_json, "\"added\":[\"<x>\",\"<|endoftext|>\",\"a\",\"<b>\",\"<a>\"]");
    mgpt_hf_close(&hf);
}
END_TEST

START_TEST(refuses_added_tokens_beside_the_file_by_name)
{
    static const struct {
        const char *file, *reason;
    } cases[] = {
        {"{\"<y>\":6}", "at/added_tokens.json: \"<y>\": expected a content, and an id from 0 to 5"},
        {"{\"<y>\":\"5\"}", "an id from 0 to 5"},
        {"{\"\":5}", "expected a content"},
        {"{\"<y>\":4}", "\"<y>\" has another id, 4, than in model.vocab"},
        {"{\"<x>\":4}", "\"<x>\" is there twice"},
        {"{\"a\":5}", "\"a\" has another id, 5, than in model.vocab"},
        {"{\"<y>\":5,\"<z>\":5}", "has another id, 5"},
        {"[]", "at/added_tokens.json: offset 0: expected an object"},
        {"{", "at/added_tokens.json: offset 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mgpt_hf hf;
        ck_assert_int_eq(read_beside(cases[i].file, &hf), MGPT_DATA);
        ck_assert_has(error.text, cases[i].reason);
        ck_assert(hf.added_wrong);
        mgpt_hf_close(&hf);
    }
}
END_TEST

START_TEST(added_tokens_without_merges_are_not_dropped)
{
    static const char *const levels[] = {LEVEL, "null"};
    for (int level = 0; level < 2; level++) {
        struct mgpt_hf hf = {.added_json = strdup("{\"<y>\":2}"),
                             .added_path = strdup("at/added_tokens.json")};
        char json[256];
        int n = snprintf(json, sizeof json,
                         "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]},"
                         "\"pre_tokenizer\":%s}",
                         levels[level]);
        enum mgpt_status status = mgpt_hf_tokenizer_read(json, (size_t)n, -1, &hf, &error);
        ck_assert_int_eq(status, level ? MGPT_UNSUPPORTED : MGPT_OK);
        if (level)
            ck_assert_has(error.text,
                          "at/added_tokens.json: expected the first of model.vocab alone");
        else
            ck_assert_has(hf.tokenizer_json,
                          "[\"a\",\"b\",\"<y>\"],\"merges\":[],\"added\":[\"<y>\"]");
        mgpt_hf_close(&hf);
    }
}
END_TEST

START_TEST(the_two_files_of_gpt2_are_a_tokenizer)
{
    static const char vocab[] = "{\"b\":0,\"a\":2,\"ab\":1,\"#\":3,\"##\":4,\"<|endoftext|>\":5}";
    static const char *const merges[] = {"#version: 0.2\na b\n# #\n", "a b\n# #"};
    struct mgpt_hf hf = {0};
    for (int i = 0; i < 2; i++) {
        ck_assert_msg(mgpt_hf_merges_read(vocab, sizeof vocab - 1, merges[i], strlen(merges[i]), -1,
                                          &hf, &error) == MGPT_OK,
                      "%s", error.text);
        ck_assert_has(hf.tokenizer_json, "\"merges\":[\"a b\",\"# #\"],\"added\":[\"<|endo");
        ck_assert(hf.bos);
        mgpt_hf_close(&hf);
    }
    ck_assert_int_eq(mgpt_hf_merges_read(vocab, 7, "", 0, -1, &hf, &error), MGPT_DATA);
    ck_assert_int_eq(mgpt_hf_merges_read("{\"b\":1}", 7, "", 0, -1, &hf, &error), MGPT_DATA);
    ck_assert_int_eq(mgpt_hf_merges_read(vocab, sizeof vocab - 1, "\xff", 1, -1, &hf, &error),
                     MGPT_DATA);
    ck_assert_has(error.text, "merges.txt: expected merges in UTF-8");
}
END_TEST

START_TEST(refuses_other_bpe_by_reason)
{
    static const struct {
        const char *model, *rest, *reason;
        enum mgpt_status status;
    } cases[] = {
        {"[\"a b\"],\"dropout\":0.1", "", "model.dropout", MGPT_UNSUPPORTED},
        {"[\"a b\"],\"ignore_merges\":true", "", "model.ignore_merges", MGPT_UNSUPPORTED},
        {"[\"a b\"],\"end_of_word_suffix\":\"</w>\"", "", "model.end_of_word_suffix",
         MGPT_UNSUPPORTED},
        {"[\"a b\"],\"continuing_subword_prefix\":\"##\"", "", "model.continuing_subword_prefix",
         MGPT_UNSUPPORTED},
        {"[\"a b\"]", ",\"decoder\":{\"type\":\"WordPiece\"}", "decoder.type is \"WordPiece\"",
         MGPT_UNSUPPORTED},
        {"[\"a b\"]", ",\"post_processor\":{\"type\":\"BertProcessing\"}", "post_processor.type",
         MGPT_UNSUPPORTED},
        {"[\"a b\"]", ",\"normalizer\":{\"type\":\"NFC\"}", "normalizer: expected null",
         MGPT_UNSUPPORTED},
        {"[\"a b\"]", ",\"added_tokens\":[{\"id\":3,\"content\":\"<x>\",\"lstrip\":true}]",
         "added_tokens[0].lstrip", MGPT_UNSUPPORTED},
        {"[[\"a\"]]", "", "model.merges[0]", MGPT_DATA},
        {"[7]", "", "model.merges[0]", MGPT_DATA},
        {"[\"a b\"]", ",\"added_tokens\":[{\"id\":5,\"content\":\"<y>\"}]", "an id from 0 to 4",
         MGPT_DATA},
        {"[\"a b\"]", ",\"added_tokens\":[{\"id\":-1,\"content\":\"<y>\"}]", "an id from 0 to 4",
         MGPT_DATA},
        {"[\"a b\"]", ",\"added_tokens\":[{\"id\":4,\"content\":\"\"}]", "a content", MGPT_DATA},
        {"[\"a b\"]", ",\"added_tokens\":[{\"id\":4}]", "a content", MGPT_DATA},
        {"[\"a b\"]", ",\"added_tokens\":[7]", "a content", MGPT_DATA},
        {"[\"a b\"]", ",\"added_tokens\":[{\"id\":0,\"content\":\"<y>\"}]", "another id, 0",
         MGPT_DATA},
        {"[\"a b\"]", ",\"added_tokens\":[{\"id\":4,\"content\":\"a\"}]", "another id, 4",
         MGPT_DATA},
        {"[\"a b\"]",
         ",\"added_tokens\":[{\"id\":4,\"content\":\"y\"},{\"id\":5,\"content\":\"y\"}]",
         "added_tokens[1]: \"y\" is there twice", MGPT_DATA},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mgpt_hf hf;
        char model[256], rest[256];
        snprintf(model, sizeof model, PAIRS "%s", cases[i].model);
        snprintf(rest, sizeof rest, ",\"pre_tokenizer\":" LEVEL "%s", cases[i].rest);
        ck_assert_msg(read_pairs(model, rest, -1, &hf) == cases[i].status, "%s %s: %s", model, rest,
                      error.text);
        ck_assert_has(error.text, cases[i].reason);
        ck_assert_ptr_null(hf.tokenizer_json);
    }
}
END_TEST

START_TEST(refuses_other_words_than_those_of_gpt2)
{
    static const struct {
        const char *pre, *reason;
    } cases[] = {
        {"{\"type\":\"Whitespace\"}", "pre_tokenizer: expected null, or ByteLevel"},
        {"{\"type\":\"ByteLevel\",\"add_prefix_space\":true}", "add_prefix_space false"},
        {"{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}",
         "pre_tokenizer.use_regex: for merges expected true"},
        {"{\"type\":\"Sequence\",\"pretokenizers\":[]}", "pre_tokenizer: expected null, or"},
        {"null", "pre_tokenizer: for merges expected ByteLevel"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mgpt_hf hf;
        char rest[256];
        snprintf(rest, sizeof rest, ",\"pre_tokenizer\":%s", cases[i].pre);
        ck_assert_int_eq(read_pairs(PAIRS "[\"a b\"]", rest, -1, &hf), MGPT_UNSUPPORTED);
        ck_assert_has(error.text, cases[i].reason);
    }
}
END_TEST

START_TEST(bos_is_what_config_names)
{
    static const struct {
        const char *json;
        int32_t bos;
    } cases[] = {
        {"{\"bos_token_id\": 7}", 7},
        {"{\"bos_token_id\": null}", -1},
        {"{\"bos_token_id\": -2}", -1},
        {"{\"bos_token_id\": \"7\"}", -1},
        {"{\"bos_token_id\": 1e3}", -1},
        {"{\"bos_token_id\": 2147483648}", -1},
        {"{\"bos_token_id\": 50256}", 50256},
        {"{}", -1},
        {"{", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_int_eq(mgpt_hf_config_bos(cases[i].json, strlen(cases[i].json)), cases[i].bos);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("hf_bpe");
    tcase_add_test(tests, merges_are_for_bpe_in_both_spellings);
    tcase_add_test(tests, older_files_name_no_type);
    tcase_add_test(tests, bpe_is_written_as_tokenizers_reads_it);
    tcase_add_test(tests, added_tokens_beside_the_file_go_on_by_id);
    tcase_add_test(tests, refuses_added_tokens_beside_the_file_by_name);
    tcase_add_test(tests, added_tokens_without_merges_are_not_dropped);
    tcase_add_test(tests, the_two_files_of_gpt2_are_a_tokenizer);
    tcase_add_test(tests, refuses_other_bpe_by_reason);
    tcase_add_test(tests, refuses_other_words_than_those_of_gpt2);
    tcase_add_test(tests, bos_is_what_config_names);
    return run_cases("hf_bpe", tests);
}
