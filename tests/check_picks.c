/* Settings for a text alone: they fit its size and its characters. */
#include <config.h>

#include "run/picks.h"
#include "scratch.h"

static struct mgpt_error error;

/* A text of n characters of which `kinds` differ, from U+0061 or, when they are many, U+4E00. */
static void write_text(size_t n, unsigned kinds)
{
    struct mgpt_string text = {0};
    for (size_t i = 0; i < n; i++) {
        unsigned c = (kinds > 20 ? 0x4e00u : 'a') + (unsigned)(i % kinds);
        char bytes[3] = {(char)(0xe0 | c >> 12), (char)(0x80 | (c >> 6 & 63)),
                         (char)(0x80 | (c & 63))};
        if (kinds > 20)
            mgpt_string_add(&text, bytes, 3);
        else
            mgpt_string_format(&text, "%c", (int)c);
    }
    put_bytes(in_scratch("text"), text.data, text.size);
    mgpt_string_finish(&text);
}

static struct mgpt_picks picks_of(size_t n, unsigned kinds)
{
    struct mgpt_picks p;
    write_text(n, kinds);
    ck_assert_msg(mgpt_picks_make(in_scratch("text"), &p, &error) == MGPT_OK, "%s", error.text);
    return p;
}

START_TEST(counts_characters_and_kinds_of_them)
{
    struct mgpt_picks p = picks_of(3000, 7);
    ck_assert_uint_eq(p.bytes, 3000);
    ck_assert_uint_eq(p.chars, 3000);
    ck_assert_uint_eq(p.distinct, 7);
    ck_assert(!p.by_byte);
    p = picks_of(3000, 256);
    ck_assert_uint_eq(p.bytes, 9000);
    ck_assert_uint_eq(p.chars, 3000);
    ck_assert_uint_eq(p.distinct, 256);
    ck_assert(!p.by_byte);
    ck_assert_uint_eq(p.tokens, 3000);
}
END_TEST

START_TEST(many_characters_are_read_as_bytes)
{
    struct mgpt_picks p = picks_of(3000, 257);
    struct mgpt_string settings = {0};
    ck_assert(p.by_byte);
    ck_assert_uint_eq(p.tokens, 9000);
    mgpt_picks_settings(&p, "/t", "d", &settings);
    ck_assert_has(settings.data, "tokenizer.use=byte\ntokenizer.byte.bos=false\n");
    mgpt_string_finish(&settings);
}
END_TEST

/* Larger texts get larger models and more steps; windows fit into the tenth that validates. */
START_TEST(longer_texts_get_larger_models)
{
    static const size_t sizes[] = {1000, 20000, 20001, 100001, 500001, 2000001};
    uint64_t parameters = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct mgpt_picks p = picks_of(sizes[i], 10);
        ck_assert_uint_eq(p.embd % p.heads, 0);
        ck_assert_uint_lt(p.context, sizes[i] / 10);
        ck_assert_uint_ge(p.steps, 500);
        ck_assert_uint_le(p.steps, 20000);
        ck_assert(i == 1 ? p.parameters == parameters : p.parameters > parameters);
        parameters = p.parameters;
    }
}
END_TEST

START_TEST(refuses_what_cannot_be_learned_from)
{
    struct mgpt_picks p;
    static const char latin[] = "caf\xe9";
    write_text(999, 5);
    ck_assert_int_eq(mgpt_picks_make(in_scratch("text"), &p, &error), MGPT_DATA);
    ck_assert_has(error.text, "has 999 characters, expected at least 1000");
    put_bytes(in_scratch("text"), latin, 4);
    ck_assert_int_eq(mgpt_picks_make(in_scratch("text"), &p, &error), MGPT_DATA);
    ck_assert_has(error.text, ":1: byte 3 (0xe9) is not UTF-8; iconv -f WINDOWS-1252");
    ck_assert_int_eq(mgpt_picks_make(in_scratch("nowhere"), &p, &error), MGPT_DATA);
    ck_assert_has(error.text, "nowhere");
}
END_TEST

START_TEST(the_folder_is_named_after_the_text)
{
    static const char *const cases[][2] = {
        {"book.txt", "book"},
        {"/a.b/book.v2.txt", "book.v2"},
        {"book", "book.run"},
        {"../.hidden", ".hidden.run"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *dir = mgpt_picks_dir(cases[i][0]);
        ck_assert_str_eq(dir, cases[i][1]);
        free(dir);
    }
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("picks");
    tcase_add_test(tests, counts_characters_and_kinds_of_them);
    tcase_add_test(tests, many_characters_are_read_as_bytes);
    tcase_add_test(tests, longer_texts_get_larger_models);
    tcase_add_test(tests, refuses_what_cannot_be_learned_from);
    tcase_add_test(tests, the_folder_is_named_after_the_text);
    return run_cases("picks", tests);
}
