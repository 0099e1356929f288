/* The parts of export and import: names, layouts, config.json and tokenizer.json of Hugging Face;
 * damaged ones are refused by offset and reason, soon and in bounded memory. */
#include <config.h>

#include <time.h>

#include "base/json.h"
#include "base/log.h"
#include "model/spec.h"
#include "run/hf.h"
#include "scratch.h"

#define SOON 1.0 /* seconds */

static struct mgpt_error error;

static struct mgpt_model a_model(void)
{
    return (struct mgpt_model){
        .size = sizeof(struct mgpt_model),
        .layers = 3,
        .heads = 4,
        .kv_heads = 4,
        .embd = 48,
        .mlp = 100,
        .context = 33,
        .vocab = 257,
        .norm = MGPT_NORM_LAYER,
        .norm_gain = 1,
        .norm_bias = 1,
        .final_norm = 1,
        .activation = MGPT_ACT_GELU_TANH,
        .bias = MGPT_BIAS_QKV | MGPT_BIAS_PROJ | MGPT_BIAS_MLP,
        .tied = 1,
        .init = MGPT_INIT_NORMAL,
        .norm_eps = 1e-6,
        .dropout = 0.25,
        .init_std = 0.02,
    };
}

/* ---- names and layouts ---- */

START_TEST(names_are_those_of_gpt2)
{
    static const struct {
        const char *ours, *theirs;
        bool transposed;
    } cases[] = {
        {"wte.weight", "transformer.wte.weight", false},
        {"h.11.ln_1.bias", "transformer.h.11.ln_1.bias", false},
        {"h.0.attn.qkv.weight", "transformer.h.0.attn.c_attn.weight", true},
        {"h.0.attn.qkv.bias", "transformer.h.0.attn.c_attn.bias", false},
        {"h.0.attn.proj.weight", "transformer.h.0.attn.c_proj.weight", true},
        {"h.7.mlp.fc.weight", "transformer.h.7.mlp.c_fc.weight", true},
        {"h.7.mlp.proj.weight", "transformer.h.7.mlp.c_proj.weight", true},
        {"h.7.mlp.proj.bias", "transformer.h.7.mlp.c_proj.bias", false},
        {"ln_f.weight", "transformer.ln_f.weight", false},
        {"lm_head.weight", "lm_head.weight", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[96];
        bool transposed;
        mgpt_hf_name(cases[i].ours, name, &transposed);
        ck_assert_str_eq(name, cases[i].theirs);
        ck_assert_int_eq(transposed, cases[i].transposed);
    }
}
END_TEST

START_TEST(transposing_twice_is_nothing)
{
    float in[3 * 5], turned[5 * 3], back[3 * 5];
    for (int i = 0; i < 15; i++)
        in[i] = (float)i;
    mgpt_hf_transpose(in, turned, 3, 5, sizeof(float));
    ck_assert_float_eq(turned[1], in[5]); /* (0, 1) was (1, 0) */
    mgpt_hf_transpose(turned, back, 5, 3, sizeof(float));
    ck_assert_mem_eq(in, back, sizeof in);
}
END_TEST

/* ---- config.json ---- */

START_TEST(a_model_comes_back)
{
    struct mgpt_model m = a_model(), back;
    static const uint32_t activations[] = {MGPT_ACT_GELU_TANH, MGPT_ACT_GELU, MGPT_ACT_RELU};
    for (size_t i = 0; i < 6; i++) {
        char *json;
        m.activation = activations[i % 3];
        m.tied = i < 3;
        ck_assert_int_eq(mgpt_hf_check(&m, &error), MGPT_OK);
        ck_assert_int_eq(mgpt_hf_config_write(&m, -1, MGPT_F32, &json, &error), MGPT_OK);
        ck_assert_has(json, "\"bos_token_id\": null");
        ck_assert_msg(mgpt_hf_config_read(json, strlen(json), &back, &error) == MGPT_OK, "%s",
                      error.text);
        ck_assert_msg(mgpt_model_match(&m, &back, &error) == MGPT_OK, "%s", error.text);
        ck_assert_double_eq(back.dropout, m.dropout);
        free(json);
    }
}
END_TEST

static enum mgpt_status read_config(const char *json, struct mgpt_model *model)
{
    error.text[0] = '\0';
    return mgpt_hf_config_read(json, strlen(json), model, &error);
}

START_TEST(what_is_left_out_is_gpt2s)
{
    struct mgpt_model m;
    ck_assert_int_eq(read_config("{\"model_type\": \"gpt2\", \"n_inner\": null}", &m), MGPT_OK);
    ck_assert_uint_eq(m.vocab, 50257);
    ck_assert_uint_eq(m.context, 1024);
    ck_assert_uint_eq(m.layers, 12);
    ck_assert_uint_eq(m.embd, 768);
    ck_assert_uint_eq(m.mlp, 3072);
    ck_assert_uint_eq(m.tied, 1);
    ck_assert_uint_eq(m.activation, MGPT_ACT_GELU_TANH);
    ck_assert_double_eq(m.norm_eps, 1e-5);
}
END_TEST

START_TEST(refuses_configs_by_offset_and_reason)
{
    static const struct {
        const char *json, *offset, *reason;
        enum mgpt_status status;
    } cases[] = {
        {"", "offset 0", "it is not JSON", MGPT_DATA},
        {"[]", "offset 0", "expected an object", MGPT_DATA},
        {"{\"a\": 1, \"a\": 2}", "offset 12", "duplicate", MGPT_DATA},
        {"{}", "offset 0", "\"model_type\": expected \"gpt2\"", MGPT_UNSUPPORTED},
        {"{\"model_type\": \"llama\"}", "offset 1:", "expected \"gpt2\"", MGPT_UNSUPPORTED},
        {"{\"model_type\": \"gpt2\", \"n_embd\": -4}", "offset 23", "a whole", MGPT_DATA},
        {"{\"model_type\": \"gpt2\", \"n_embd\": 2147483648}", "offset 23", "whole", MGPT_DATA},
        {"{\"model_type\": \"gpt2\", \"n_embd\": 1e3}", "offset 23", "whole", MGPT_DATA},
        {"{\"model_type\": \"gpt2\", \"n_embd\": 99999999999999999999}", "offset", "not JSON",
         MGPT_DATA},
        {"{\"model_type\": \"gpt2\", \"n_embd\": 2147483647}", "offset 0", "at most 65536",
         MGPT_DATA},
        {"{\"model_type\": \"gpt2\", \"n_layer\": 1000000000}", "offset 0", "at most 1024",
         MGPT_DATA},
        {"{\"model_type\": \"gpt2\", \"n_head\": 7}", "offset 0", "does not divide", MGPT_DATA},
        {"{\"model_type\": \"gpt2\", \"layer_norm_epsilon\": -1}", "offset 23", "from 0 to 1",
         MGPT_DATA},
        {"{\"model_type\": \"gpt2\", \"attn_pdrop\": 1.0}", "offset 23", "0.99", MGPT_DATA},
        {"{\"model_type\": \"gpt2\", \"tie_word_embeddings\": 1}", "offset 23", "true or false",
         MGPT_DATA},
        {"{\"model_type\": \"gpt2\", \"scale_attn_weights\": false}", "offset 23", "true",
         MGPT_UNSUPPORTED},
        {"{\"model_type\": \"gpt2\", \"scale_attn_by_inverse_layer_idx\": true}", "offset 23",
         "false", MGPT_UNSUPPORTED},
        {"{\"model_type\": \"gpt2\", \"quantization_config\": {}}", "offset 23", "not quantized",
         MGPT_UNSUPPORTED},
        {"{\"model_type\": \"gpt2\", \"activation_function\": \"silu\"}", "offset 23", "gelu_new",
         MGPT_UNSUPPORTED},
        {"{\"model_type\": \"gpt2\", \"activation_function\": 3}", "offset 23", "gelu_new",
         MGPT_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mgpt_model m;
        ck_assert_msg(read_config(cases[i].json, &m) == cases[i].status, "%s: %s", cases[i].json,
                      error.text);
        ck_assert_has(error.text, cases[i].offset);
        ck_assert_has(error.text, cases[i].reason);
    }
}
END_TEST

/* ---- tokenizer.json ---- */

static const char bytes_json[] =
    "{\"version\":\"1.0\",\"model\":{\"type\":\"byte\",\"bos\":\"<BOS>\"}}";
static const char plain_json[] = "{\"version\":\"1.0\",\"model\":{\"type\":\"byte\",\"bos\":null}}";
static const char chars_json[] = "{\"version\":\"1.0\",\"model\":{\"type\":\"char\",\"bos\":"
                                 "\"<BOS>\",\"vocab\":[\"\\n\",\" \",\"\\\"\",\"a\",\"z\",\"é\","
                                 "\"ก\",\"🙂\"]}}";
static const char bare_json[] =
    "{\"version\":\"1.0\",\"model\":{\"type\":\"char\",\"bos\":null,\"vocab\":[\"a\"]}}";

static char *theirs_of(const char *ours, int32_t *bos)
{
    char *theirs, *name;
    ck_assert_msg(mgpt_hf_tokenizer_write(ours, strlen(ours), &theirs, bos, &name, &error) ==
                      MGPT_OK,
                  "%s", error.text);
    ck_assert_int_eq(name != NULL, *bos >= 0);
    free(name);
    return theirs;
}

static enum mgpt_status read_tokenizer(const char *theirs, size_t size, struct mgpt_hf *hf)
{
    error.text[0] = '\0';
    *hf = (struct mgpt_hf){0};
    return mgpt_hf_tokenizer_read(theirs, size, -1, hf, &error);
}

START_TEST(a_tokenizer_comes_back)
{
    static const struct {
        const char *ours, *name;
        int32_t bos;
    } cases[] = {
        {bytes_json, "byte", 256},
        {plain_json, "byte", -1},
        {chars_json, "char", 0},
        {bare_json, "char", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mgpt_hf hf;
        int32_t bos;
        char *theirs = theirs_of(cases[i].ours, &bos);
        ck_assert_int_eq(bos, cases[i].bos);
        ck_assert_msg(read_tokenizer(theirs, strlen(theirs), &hf) == MGPT_OK, "%s", error.text);
        ck_assert_str_eq(hf.tokenizer, cases[i].name);
        ck_assert_int_eq(hf.bos, bos >= 0);
        json_t *a = json_loads(cases[i].ours, 0, NULL), *b = json_loads(hf.tokenizer_json, 0, NULL);
        ck_assert(json_equal(a, b));
        json_decref(a);
        json_decref(b);
        free(theirs);
        mgpt_hf_close(&hf);
    }
}
END_TEST

/* 0 is U+0100, the newline U+010A, the blank U+0120, and 255 is itself. */
START_TEST(bytes_have_the_names_of_gpt2)
{
    int32_t bos;
    char *theirs = theirs_of(plain_json, &bos);
    json_t *root = json_loads(theirs, 0, NULL);
    json_t *vocab = json_object_get(json_object_get(root, "model"), "vocab");
    ck_assert_uint_eq(json_object_size(vocab), 256);
    ck_assert_int_eq(json_integer_value(json_object_get(vocab, "\u0100")), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(vocab, "\u010a")), 10);
    ck_assert_int_eq(json_integer_value(json_object_get(vocab, "\u0120")), 32);
    ck_assert_int_eq(json_integer_value(json_object_get(vocab, "A")), 65);
    ck_assert_int_eq(json_integer_value(json_object_get(vocab, "\u0143")), 173);
    ck_assert_int_eq(json_integer_value(json_object_get(vocab, "ÿ")), 255);
    json_decref(root);
    free(theirs);
}
END_TEST

START_TEST(a_tokenizer_of_another_kind_is_not_written)
{
    static const char other[] = "{\"version\":\"1.0\",\"model\":{\"type\":\"words\"}}";
    char *theirs, *name;
    int32_t bos;
    ck_assert_int_eq(mgpt_hf_tokenizer_write(other, strlen(other), &theirs, &bos, &name, &error),
                     MGPT_UNSUPPORTED);
    ck_assert_has(error.text, "\"words\"");
    ck_assert_ptr_null(theirs);
}
END_TEST

START_TEST(refuses_tokenizers_by_reason)
{
    static const struct {
        const char *model, *reason;
        enum mgpt_status status;
    } cases[] = {
        {"\"type\":\"Unigram\"", "model.type", MGPT_UNSUPPORTED},
        {"\"type\":\"BPE\"", "model.vocab", MGPT_DATA},
        {"\"type\":\"BPE\",\"vocab\":[1]", "model.vocab", MGPT_DATA},
        {"\"type\":\"BPE\",\"vocab\":{\"a\":1}", "each id from 0 to 0 once", MGPT_DATA},
        {"\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0}", "each id from 0 to 1 once", MGPT_DATA},
        {"\"type\":\"BPE\",\"vocab\":{\"a\":-1}", "each id", MGPT_DATA},
        {"\"type\":\"BPE\",\"vocab\":{\"a\":\"0\"}", "each id", MGPT_DATA},
        {"\"type\":\"BPE\",\"vocab\":{\"a\":0,\"a\":1}", "offset", MGPT_DATA},
        {"\"type\":\"BPE\",\"vocab\":{\"b\":0,\"a\":1}", "in order", MGPT_UNSUPPORTED},
        {"\"type\":\"BPE\",\"vocab\":{\"a\":0,\"bc\":1}", "in order", MGPT_UNSUPPORTED},
        {"\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\",\"a\"]]",
         "pre_tokenizer: for merges expected ByteLevel", MGPT_UNSUPPORTED},
        {"\"type\":\"BPE\",\"vocab\":{\"\":0}}, \"normalizer\": {\"type\": \"NFC\"", "normalizer",
         MGPT_UNSUPPORTED},
        {"\"type\":\"BPE\",\"vocab\":{\"a\":0}}, \"pre_tokenizer\": {\"type\": \"ByteLevel\"",
         "add_prefix_space", MGPT_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mgpt_hf hf;
        char json[256];
        snprintf(json, sizeof json, "{\"model\": {%s}}", cases[i].model);
        ck_assert_msg(read_tokenizer(json, strlen(json), &hf) == cases[i].status, "%s: %s", json,
                      error.text);
        ck_assert_has(error.text, cases[i].reason);
        ck_assert_ptr_null(hf.tokenizer_json);
    }
}
END_TEST

/* ---- damage ---- */

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static enum mgpt_status try_config(const char *text, size_t size)
{
    struct mgpt_model m;
    return mgpt_hf_config_read(text, size, &m, &error);
}

static enum mgpt_status try_tokenizer(const char *text, size_t size)
{
    struct mgpt_hf hf;
    enum mgpt_status status = read_tokenizer(text, size, &hf);
    mgpt_hf_close(&hf);
    return status;
}

/* The parser gets a buffer of exactly that size, so that a sanitizer sees a byte too far. */
static enum mgpt_status try_exactly(enum mgpt_status (*parse)(const char *, size_t),
                                    const char *text, size_t size)
{
    char *copy = malloc(size ? size : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, text, size);
    enum mgpt_status status = parse(copy, size);
    free(copy);
    return status;
}

static void damage(enum mgpt_status (*parse)(const char *, size_t), char *text)
{
    size_t size = strlen(text), legal = 0;
    ck_assert_msg(try_exactly(parse, text, size) == MGPT_OK, "%s", error.text);
    for (size_t n = 0; n < size; n++) {
        ck_assert_int_eq(try_exactly(parse, text, n), MGPT_DATA);
        ck_assert_has(error.text, "offset ");
    }
    for (size_t bit = 0; bit < 8 * size; bit++) {
        text[bit / 8] ^= (char)(1 << bit % 8);
        enum mgpt_status status = try_exactly(parse, text, size);
        ck_assert(status == MGPT_OK || status == MGPT_DATA || status == MGPT_UNSUPPORTED);
        legal += status == MGPT_OK;
        text[bit / 8] ^= (char)(1 << bit % 8);
    }
    ck_assert_uint_lt(legal, 8 * size);
}

START_TEST(refuses_every_truncation_and_survives_every_flipped_bit)
{
    struct mgpt_model m = a_model();
    int32_t bos;
    char *text;
    ck_assert_int_eq(mgpt_hf_config_write(&m, 256, MGPT_F32, &text, &error), MGPT_OK);
    damage(try_config, text);
    free(text);
    text = theirs_of(chars_json, &bos);
    damage(try_tokenizer, text);
    free(text);
}
END_TEST

/* `unit` to ten megabytes or so. */
static char *repeat(const char *start, const char *unit)
{
    size_t n = strlen(unit), times = 10000000 / n;
    char *text = malloc(strlen(start) + n * times + 1), *p = stpcpy(text, start);
    for (size_t i = 0; i < times; i++)
        p = stpcpy(p, unit);
    return text;
}

START_TEST(refuses_bombs_at_once)
{
    static const char *const bombs[][2] = {
        {"", "["}, {"{\"a\":", "[["}, {"", "{\"a\":"}, {"{\"a\":\"", "\\\""}, {"{\"", "aaaaaaaa"},
    };
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++) {
        char *text = repeat(bombs[i][0], bombs[i][1]);
        double start = seconds();
        ck_assert_int_eq(try_config(text, strlen(text)), MGPT_DATA);
        ck_assert_has(error.text, "offset ");
        ck_assert_int_eq(try_tokenizer(text, strlen(text)), MGPT_DATA);
        ck_assert_double_lt(seconds() - start, SOON);
        free(text);
    }
}
END_TEST

/* An offset is found in time that grows with the text alone, however often a key begins in it. */
START_TEST(finds_offsets_in_linear_time)
{
    char *text = repeat("{\"", "a\\\""), *key = repeat("", "aaaa");
    double start = seconds();
    ck_assert_uint_eq(mgpt_json_offset(text, strlen(text), key), 0);
    ck_assert_double_lt(seconds() - start, SOON);
    ck_assert_uint_eq(mgpt_json_offset("{\"ab\": \"a\"}", 11, "a"), 7);
    free(text);
    free(key);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("hf");
    mgpt_log_threshold(MGPT_LOG_ERROR);
    tcase_add_test(tests, names_are_those_of_gpt2);
    tcase_add_test(tests, transposing_twice_is_nothing);
    tcase_add_test(tests, a_model_comes_back);
    tcase_add_test(tests, what_is_left_out_is_gpt2s);
    tcase_add_test(tests, refuses_configs_by_offset_and_reason);
    tcase_add_test(tests, a_tokenizer_comes_back);
    tcase_add_test(tests, bytes_have_the_names_of_gpt2);
    tcase_add_test(tests, a_tokenizer_of_another_kind_is_not_written);
    tcase_add_test(tests, refuses_tokenizers_by_reason);
    tcase_add_test(tests, refuses_every_truncation_and_survives_every_flipped_bit);
    tcase_add_test(tests, refuses_bombs_at_once);
    tcase_add_test(tests, finds_offsets_in_linear_time);
    return run_cases("hf", tests);
}
