/* Tokenizer bpe with the vocabulary of GPT-2, which is not ours to keep: where it lies beside the
 * tree, texts have the ids that GPT-2 gives them. */
#include <config.h>

#include <stdlib.h>
#include <time.h>

#include "base/file.h"
#include "check/bench_tokenizer.h"
#include "conform.h"
#include "run/hf.h"

#define SOON 1.5 /* seconds */

static char *gpt2_json; /* as module bpe loads it */

static const char *data(const char *name)
{
    static char path[1024];
    const char *folder = getenv("MGPT_TEST_DATA"), *source = getenv("abs_top_srcdir");

    if (folder)
        snprintf(path, sizeof path, "%s/%s", folder, name);
    else
        snprintf(path, sizeof path, "%s/../shared/data/%s", source ? source : "..", name);
    return path;
}

static char *read_data(const char *name, size_t *size)
{
    char *text = NULL;

    ck_ok(mgpt_file_read(data(name), UINT64_C(1) << 24, &text, size, error));
    return text;
}

static struct mgpt_tokenizer *gpt2(const struct mgpt_tokenizer_api **api)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_TOKENIZER, "bpe");
    struct mgpt_tokenizer *it = tokenizer_bench_make(component, "true");

    *api = component->api;
    ck_ok((*api)->load(it, gpt2_json, strlen(gpt2_json), error));
    return it;
}

START_TEST(texts_have_the_ids_of_gpt2)
{
    static const struct {
        const char *text;
        int32_t ids[16];
        int n;
    } cases[] = {
        {"Hello world", {15496, 995}, 2},
        {"Hello, world!", {15496, 11, 995, 0}, 4},
        {"I've said it's what they'd've done",
         {40, 1053, 531, 340, 338, 644, 484, 1549, 1053, 1760},
         10},
        {"DON'T", {41173, 6, 51}, 3},
        {"'''s", {7061, 6, 82}, 3},
        {"    indented code", {220, 220, 220, 773, 4714, 2438}, 6},
        {"\n\n\n  x", {628, 198, 220, 2124}, 4},
        {"tab\t\tx", {8658, 197, 197, 87}, 4},
        {"x  ", {87, 220, 220}, 3},
        {"\xf0\x9f\x99\x82", {8582, 25081}, 2},
        {"\xe4\xbd\xa0\xe5\xa5\xbd\xef\xbc\x8c\xe4\xb8\x96\xe7\x95\x8c",
         {19526, 254, 25001, 121, 171, 120, 234, 10310, 244, 45911, 234},
         11},
        {"a\xe1\xa0\x8e"
         "b",
         {64, 157, 254, 236, 65},
         5}, /* U+180E */
        {"a\xc2\x85\xc2\x85"
         "b",
         {64, 126, 227, 126, 227, 65},
         6}, /* U+0085 */
        {"a\xef\xbb\xbf"
         "b",
         {64, 171, 119, 123, 65},
         5}, /* U+FEFF */
        {"1234567 \xc2\xbd \xe2\x85\xa7 \xc2\xb2",
         {10163, 2231, 3134, 25208, 2343, 227, 100, 1587, 110},
         9},
        {"\xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7", {25405, 26897, 148, 255, 39848, 12919}, 6},
        {"aaaaaaaaaaaaaaaa", {24794, 24794, 24794, 24794}, 4},
        {"<|endoftext|>a<|endoftext|>", {50256, 64, 50256}, 3},
        {"<|endoftext", {27, 91, 437, 1659, 5239}, 5},
        {"", {0}, 0},
    };
    const struct mgpt_tokenizer_api *api;
    struct mgpt_tokenizer *it = gpt2(&api);

    ck_assert_int_eq(api->vocab(it), 50257);
    ck_assert_int_eq(api->bos(it), 50256);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int32_t ids[64];
        int64_t n = api->encode(it, cases[i].text, strlen(cases[i].text), ids, 64, NULL);
        ck_assert_msg(n == cases[i].n, "\"%s\": %lld ids", cases[i].text, (long long)n);
        for (int k = 0; k < cases[i].n; k++)
            ck_assert_msg(ids[k] == cases[i].ids[k], "\"%s\": id %d is %d", cases[i].text, k,
                          ids[k]);
    }
    api->destroy(it);
}
END_TEST

START_TEST(tinyshakespeare_has_as_many_ids_and_comes_back)
{
    const struct mgpt_tokenizer_api *api;
    struct mgpt_tokenizer *it = gpt2(&api);
    size_t size;
    char *text = read_data("tinyshakespeare.txt", &size), *back = malloc(size);
    int32_t *ids = malloc(size * sizeof *ids);
    int64_t n = api->encode(it, text, size, ids, size, NULL);

    ck_assert_int_eq(n, 338025);
    ck_assert_int_eq(api->decode(it, ids, (uint64_t)n, back, size, NULL), (int64_t)size);
    ck_assert_mem_eq(back, text, size);
    free(text);
    free(back);
    free(ids);
    api->destroy(it);
}
END_TEST

START_TEST(a_megabyte_of_one_letter_takes_no_longer)
{
    const struct mgpt_tokenizer_api *api;
    struct mgpt_tokenizer *it = gpt2(&api);
    size_t size = 1000000;
    char *text = malloc(size);

    memset(text, 'a', size);
    clock_t start = clock();
    ck_assert_int_eq(api->encode(it, text, size, NULL, 0, NULL), 250000);
    ck_assert_double_lt((double)(clock() - start) / CLOCKS_PER_SEC, SOON);
    free(text);
    api->destroy(it);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, texts_have_the_ids_of_gpt2);
    tcase_add_test(tests, tinyshakespeare_has_as_many_ids_and_comes_back);
    tcase_add_test(tests, a_megabyte_of_one_letter_takes_no_longer);
}

static int skip(const char *why)
{
    printf("SKIP: %s\n", why);
    return 77;
}

int main(void)
{
    struct mgpt_hf hf = {0};
    struct mgpt_error error;
    char *vocab = NULL, *merges = NULL;
    size_t size, merges_size;
    const char *ci = getenv("CI");

    if (!mgpt_check_has(MGPT_KIND_TOKENIZER, "bpe"))
        return skip("tokenizer bpe was not built: utf8proc is missing");
    if (mgpt_file_read(data("gpt2/encoder.json"), UINT64_C(1) << 24, &vocab, &size, &error) ||
        mgpt_file_read(data("gpt2/vocab.bpe"), UINT64_C(1) << 24, &merges, &merges_size, &error)) {
        free(vocab);
        skip("../shared/data/gpt2 is not here");
        return ci && !strcmp(ci, "true") ? 1 : 77;
    }
    if (mgpt_hf_merges_read(vocab, size, merges, merges_size, 50256, &hf, &error) != MGPT_OK) {
        printf("%s\n", error.text);
        return 1;
    }
    gpt2_json = hf.tokenizer_json;
    int status = test_main("gpt2", add_tests);
    mgpt_hf_close(&hf);
    free(vocab);
    free(merges);
    return status;
}
