/* Tokenizer bpe: words are cut as GPT-2's pattern cuts them, merges are learned and used as by the
 * plainest code that does it, and damaged vocabularies are refused by name. */
#include <config.h>

#include <stdio.h>

#include "testing.h"

#ifdef HAVE_UTF8PROC

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "check/bench_tokenizer.h"

#include "../plugins/tokenizer/bpe/bpe.h"

#define SOON 1.0 /* seconds */
#define MOST 64  /* merges of the plain code */

static const struct mgpt_tokenizer_api *api(void)
{
    return microgpt_plugin_v1()->components[0]->api;
}

static struct mgpt_tokenizer *create(const char *vocab, const char *bos)
{
    struct mgpt_config *config =
        mgpt_check_settings(microgpt_plugin_v1()->components[0], "vocab", vocab, "bos", bos, NULL);
    struct mgpt_tokenizer *it = NULL;

    ck_ok(api()->create(mgpt_host(), config, &it, error));
    mgpt_config_destroy(config);
    return it;
}

static struct mgpt_tokenizer *trained(const char *vocab, const char *text, size_t size)
{
    struct mgpt_tokenizer *it = create(vocab, "true");

    ck_ok(api()->train(it, &(struct mgpt_text){text, size}, 1, error));
    return it;
}

static json_t *saved(const struct mgpt_tokenizer *it)
{
    int64_t n = api()->save(it, NULL, 0, NULL);
    char *json = malloc((size_t)n);

    ck_assert_int_eq(api()->save(it, json, (uint64_t)n, NULL), n);
    json_t *root = json_loadb(json, (size_t)n, 0, NULL);
    free(json);
    return root;
}

static enum mgpt_status load(struct mgpt_tokenizer *it, const json_t *root,
                             struct mgpt_error *error)
{
    char *json = json_dumps(root, 0);
    enum mgpt_status status = api()->load(it, json, strlen(json), error);

    free(json);
    return status;
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- words ---- */

START_TEST(cuts_words_as_gpt2)
{
    /* a bar between words; none of the texts has one */
    static const char *const cases[] = {
        "Hello| world|!",
        "I|'ve| said| it|'s| what| they|'d|'ve| done",
        "DON|'|T| can|'t| we|'ll| you|'re| I|'m",
        "'''|s", /* a run of symbols takes what a contraction might have begun with */
        "   | indented| code",
        "end| |\t|x",
        "a|\n\n| b",
        "a|\n\n\n",
        " ",
        "  ",
        " \n",
        "12|abc|34| 5|_|x",
        "na\xc3\xafve| \xe4\xbd\xa0\xe5\xa5\xbd|\xef\xbc\x8c|\xe4\xb8\x96",
        "x|\xc2\xb2|y| \xc2\xbd", /* superscript two and one half are numbers */
        "e|\xcc\x81|z",           /* a combining mark is neither a letter nor a number */
        "\xf0\x9f\x99\x82\xf0\x9f\x99\x82| \xf0\x9f\x99\x82",
        "a|\xe1\xa0\x8e|b",              /* U+180E is no white space */
        "a|\xef\xbb\xbf|b",              /* nor is U+FEFF */
        "a|\xc2\x85|b",                  /* U+0085 is */
        "a|\xc2\x85|\xc2\x85|b",         /* and leaves its last one alone */
        "a| \xc2\xa0|\xe3\x80\x80|b",    /* U+00A0, U+3000 */
        "a|\xe2\x80\x80\xe2\x80\xa8| b", /* U+2000, U+2028 */
        "ab|\xff\xfe|c| \x80|d",         /* no UTF-8: symbols */
        "a|\xed\xa0\x80|b",              /* a surrogate */
        "a|\xe2\x82",                    /* cut off */
        "x|\xe2\x85\xa7",                /* U+2167, a Roman numeral */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256], got[256] = "";
        size_t n = 0, out = 0;
        for (const char *p = cases[i]; *p; p++)
            if (*p != '|')
                text[n++] = *p;
        for (size_t at = 0; at < n;) {
            size_t size = (size_t)bpe_word(text + at, n - at);
            ck_assert_uint_gt(size, 0);
            ck_assert_uint_le(size, n - at);
            out += (size_t)snprintf(got + out, sizeof got - out, "%s%.*s", at ? "|" : "", (int)size,
                                    text + at);
            at += size;
        }
        ck_assert_str_eq(got, cases[i]);
    }
}
END_TEST

/* ---- the plainest code that does it ---- */

struct plain {
    int32_t words[256][16], n[256]; /* as tokens */
    int n_words;
    char bytes[BPE_BYTES + MOST][64]; /* of tokens; no text here has a zero byte */
    int tokens;
    struct bpe_merge merges[MOST];
    int n_merges;
};

static void plain_merge(int32_t *word, int32_t *n, struct bpe_merge m)
{
    int32_t out = 0;

    for (int32_t i = 0; i < *n; i++) {
        bool here = word[i] == m.left && i + 1 < *n && word[i + 1] == m.right;
        word[out++] = here ? m.result : word[i];
        i += here;
    }
    *n = out;
}

/* Counts all pairs anew. */
static int plain_best(const struct plain *p, struct bpe_merge *best)
{
    static int counts[BPE_BYTES + MOST][BPE_BYTES + MOST];
    int most = 1;

    memset(counts, 0, sizeof counts);
    for (int w = 0; w < p->n_words; w++)
        for (int32_t i = 0; i + 1 < p->n[w]; i++)
            counts[p->words[w][i]][p->words[w][i + 1]]++;
    for (int a = 0; a < p->tokens; a++)
        for (int b = 0; b < p->tokens; b++)
            if (counts[a][b] > most) {
                most = counts[a][b];
                *best = (struct bpe_merge){a, b, -1};
            }
    return most;
}

static void plain_learn(struct plain *p, const char *text, size_t size, int wanted)
{
    *p = (struct plain){.tokens = BPE_BYTES};
    for (int b = 0; b < BPE_BYTES; b++)
        p->bytes[b][0] = (char)b;
    for (size_t at = 0, n; at < size; at += n, p->n_words++) {
        n = (size_t)bpe_word(text + at, size - at);
        p->n[p->n_words] = (int32_t)n;
        for (size_t i = 0; i < n; i++)
            p->words[p->n_words][i] = (unsigned char)text[at + i];
    }
    struct bpe_merge m;
    while (p->tokens < wanted && plain_best(p, &m) > 1) {
        char both[64];
        snprintf(both, sizeof both, "%.30s%.30s", p->bytes[m.left], p->bytes[m.right]);
        for (m.result = 0; m.result < p->tokens && strcmp(p->bytes[m.result], both) != 0;)
            m.result++;
        if (m.result == p->tokens)
            strcpy(p->bytes[p->tokens++], both);
        p->merges[p->n_merges++] = m;
        for (int w = 0; w < p->n_words; w++)
            plain_merge(p->words[w], &p->n[w], m);
    }
}

/* Words of few letters, so that pairs repeat, overlap and tie. */
static size_t random_text(struct mgpt_rng *rng, char *text, int words)
{
    size_t n = 0;

    for (int w = 0; w < words; w++) {
        text[n++] = ' ';
        for (int64_t k = (int64_t)mgpt_rng_below(rng, 12); k >= 0; k--)
            text[n++] = (char)('a' + mgpt_rng_below(rng, 3));
    }
    return n;
}

START_TEST(learns_and_encodes_as_the_plainest_code)
{
    static struct plain p;
    struct mgpt_rng rng;
    int32_t ids[4096];

    mgpt_rng_seed(&rng, 7);
    for (int round = 0; round < 30; round++) {
        char text[4096];
        size_t size = random_text(&rng, text, 1 + (int)mgpt_rng_below(&rng, 120));
        plain_learn(&p, text, size, 256 + 40);
        struct mgpt_tokenizer *it = create("296", "false");
        ck_ok(api()->train(it, &(struct mgpt_text){text, size}, 1, error));
        ck_assert_int_eq(api()->vocab(it), p.tokens);
        ck_assert_uint_eq(it->table.n_merges, (unsigned)p.n_merges);
        for (int i = 0; i < p.n_merges; i++) {
            ck_assert_int_eq(it->table.merges[i].left, p.merges[i].left);
            ck_assert_int_eq(it->table.merges[i].right, p.merges[i].right);
            ck_assert_int_eq(it->table.merges[i].result, p.merges[i].result);
        }
        int64_t n = api()->encode(it, text, size, ids, 4096, NULL), at = 0;
        for (int w = 0; w < p.n_words; w++)
            for (int32_t i = 0; i < p.n[w]; i++)
                ck_assert_int_eq(ids[at++], p.words[w][i]);
        ck_assert_int_eq(at, n);
        api()->destroy(it);
    }
}
END_TEST

START_TEST(learns_what_is_frequent_then_what_is_lowest)
{
    static const char text[] = "ab ab ab<|endoftext|>xy xy";
    struct mgpt_tokenizer *it = trained("300", text, sizeof text - 1);
    json_t *root = saved(it), *merges = json_object_get(json_object_get(root, "model"), "merges");
    static const char *const expected[] = {"a b", "Ġ ab", "x y"};

    /* "Ġ ab" and "x y" both occur twice, and the blank is lower; BOS is not learned from */
    ck_assert_uint_eq(json_array_size(merges), 3);
    for (size_t i = 0; i < 3; i++)
        ck_assert_str_eq(json_string_value(json_array_get(merges, i)), expected[i]);
    ck_assert_int_eq(api()->vocab(it), 260);
    ck_assert_int_eq(api()->bos(it), 256);
    json_decref(root);
    api()->destroy(it);
    it = trained("258", text, sizeof text - 1);
    ck_assert_int_eq(api()->vocab(it), 258);
    api()->destroy(it);
}
END_TEST

/* ---- encoding ---- */

START_TEST(a_long_word_takes_no_longer_than_its_bytes)
{
    size_t size = 1000000;
    char *text = malloc(size);
    int32_t *ids = malloc(size * sizeof *ids);
    memset(text, 'a', size);
    struct mgpt_tokenizer *it = trained("264", text, 200);
    double start = seconds();
    int64_t n = api()->encode(it, text, size, ids, size, NULL);
    ck_assert_double_lt(seconds() - start, SOON);
    ck_assert_int_gt(n, 0);
    ck_assert_int_lt(n, 100000);
    ck_assert_int_eq(api()->decode(it, ids, (uint64_t)n, NULL, 0, NULL), (int64_t)size);
    free(text);
    free(ids);
    api()->destroy(it);
}
END_TEST

/* Puts `name` behind the tokens, as an added one. */
static void add(json_t *root, const char *name)
{
    json_t *model = json_object_get(root, "model");

    json_array_append_new(json_object_get(model, "vocab"), json_string(name));
    json_array_append_new(json_object_get(model, "added"), json_string(name));
}

START_TEST(added_tokens_come_first_and_the_longest_of_them)
{
    static const char text[] = "<a>b <a><|endoftext|><a";
    static const int32_t expected[] = {258, ' ', 257, 256, '<', 'a'};
    struct mgpt_tokenizer *it = create("300", "true");
    json_t *root = saved(it);
    int32_t ids[16];
    char back[32];

    add(root, "<a>");
    add(root, "<a>b");
    ck_ok(load(it, root, error));
    ck_assert_int_eq(api()->encode(it, text, sizeof text - 1, ids, 16, NULL), 6);
    ck_assert_mem_eq(ids, expected, sizeof expected);
    ck_assert_int_eq(api()->decode(it, ids, 6, back, sizeof back, NULL), 10);
    ck_assert_mem_eq(back, "<a>b <a><a", 10); /* BOS alone has no text */
    json_decref(root);
    api()->destroy(it);
}
END_TEST

START_TEST(a_vocabulary_keeps_its_order)
{
    struct mgpt_tokenizer *it = trained("300", "ab ab", 5);
    json_t *root = saved(it), *model = json_object_get(root, "model");
    json_t *vocab = json_object_get(model, "vocab"), *reversed = json_array();
    int32_t id;

    for (size_t i = json_array_size(vocab); i-- > 0;)
        json_array_append(reversed, json_array_get(vocab, i));
    json_object_set_new(model, "vocab", reversed);
    ck_ok(load(it, root, error));
    ck_assert_int_eq(api()->encode(it, "ab", 2, &id, 1, NULL), 1);
    ck_assert_int_eq(id, 0); /* of "ab", the only merge: it was the last */
    ck_assert_int_eq(api()->bos(it), 1);
    json_decref(root);
    api()->destroy(it);
}
END_TEST

/* ---- what is refused ---- */

/* Changes one thing of a sound file: puts `json` at model.key, or at model.key[at]. */
static void spoil(json_t *root, const char *key, int at, const char *json)
{
    json_t *model = json_object_get(root, "model"), *list = json_object_get(model, key);
    json_t *value = json_loads(json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

    ck_assert_ptr_nonnull(value);
    if (at < 0)
        json_object_set_new(model, key, value);
    else if ((size_t)at == json_array_size(list))
        json_array_append_new(list, value);
    else
        json_array_set_new(list, (size_t)at, value);
}

START_TEST(says_what_is_wrong_with_a_vocabulary)
{
    static const struct {
        const char *key;
        int at;
        const char *value, *says;
    } cases[] = {
        {"type", -1, "\"byte\"", "model.type is not \"bpe\""},
        {"vocab", -1, "{}", "model.vocab: expected a list"},
        {"vocab", -1, "[]", "model.vocab: there is no token for byte 0x00"},
        {"vocab", 65, "7", "model.vocab[65]: expected a token"},
        {"vocab", 65, "\"\"", "model.vocab[65]: expected a token"},
        {"vocab", 65, "\"zz\"", "model.vocab: there is no token for byte 0x41"},
        {"vocab", 65, "\"B\"", "model.vocab[66]: \"B\" is there twice"},
        {"vocab", 65, "\"a b\"", "model.vocab[65]: \"a b\" is neither of characters"},
        {"vocab", 65, "\"\\u4f60\"", "model.vocab[65]: \"\xe4\xbd\xa0\" is neither"},
        {"vocab", 65, "\"\\u0000\"", "model.vocab[65]: \"\" is neither"},
        {"merges", -1, "{}", "model.merges: expected a list"},
        {"merges", -1, "null", "model.merges: expected a list"},
        {"merges", 1, "[\"a\", \"b\"]", "model.merges[1]: expected two tokens with a blank"},
        {"merges", 1, "\"ab\"", "model.merges[1]: expected two tokens with a blank"},
        {"merges", 1, "\" ab\"", "model.merges[1]: expected two tokens with a blank"},
        {"merges", 1, "\"ab \"", "model.merges[1]: expected two tokens with a blank"},
        {"merges", 1, "\"a b c\"", "model.merges[1]: expected two tokens with a blank"},
        {"merges", 1, "\"a b\"", "model.merges[1]: \"a b\" is there twice"},
        {"merges", 1, "\"a c\"", "model.merges[1]: \"a c\": expected two tokens of model.vocab"},
        {"merges", 1, "\"ax y\"", "model.merges[1]: \"ax y\": expected two tokens"},
        {"merges", 1, "\"<|endof text|>\"", "model.merges[1]: \"<|endof text|>\": expected two"},
        {"added", -1, "null", "model.added: expected a list of tokens of model.vocab"},
        {"added", 1, "\"<b>\"", "model.added: expected a list of tokens of model.vocab"},
        {"added", 1, "\"<|endoftext|>\"", "model.added: expected a list of tokens"},
        {"added", 1, "7", "model.added: expected a list of tokens"},
        {"bos", -1, "\"a\"", "model.bos: expected a token of model.added, or null"},
        {"bos", -1, "256", "model.bos: expected a token of model.added, or null"},
    };
    struct mgpt_tokenizer *it = trained("300", "ab ab", 5), *other = create("300", "true");
    json_t *sound = saved(it);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *root = json_deep_copy(sound);
        struct mgpt_error error = {0};
        spoil(root, cases[i].key, cases[i].at, cases[i].value);
        ck_assert_msg(load(other, root, &error) == MGPT_DATA, "%s[%d]: %s", cases[i].key,
                      cases[i].at, error.text);
        ck_assert_msg(!strncmp(error.text, cases[i].says, strlen(cases[i].says)), "%s", error.text);
        ck_assert_int_eq(api()->vocab(other), 257); /* what was there stays */
        json_decref(root);
    }
    json_decref(sound);
    api()->destroy(it);
    api()->destroy(other);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_test(tests, cuts_words_as_gpt2);
    tcase_add_test(tests, learns_and_encodes_as_the_plainest_code);
    tcase_add_test(tests, learns_what_is_frequent_then_what_is_lowest);
    tcase_add_test(tests, a_long_word_takes_no_longer_than_its_bytes);
    tcase_add_test(tests, added_tokens_come_first_and_the_longest_of_them);
    tcase_add_test(tests, a_vocabulary_keeps_its_order);
    tcase_add_test(tests, says_what_is_wrong_with_a_vocabulary);
}

int main(void)
{
    return test_main("bpe", add_tests);
}

#else

int main(void)
{
    puts("SKIP: tokenizer bpe was not built: utf8proc is missing");
    return 77;
}

#endif
