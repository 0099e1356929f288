/* Endings: what of a sample's text goes out when, and where a stop string ends it. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "run/endings.h"
#include "testing.h"

/* ---- what goes out when ---- */

static const struct {
    const char *stop, *pieces; /* texts of ids, parted by commas */
    const char *out;           /* what goes out after each, and < where it ends; after / the rest */
} samples[] = {
    {"", "a,bc,d", "a,bc,d/"},
    {"x", "a,bc,d", "a,bc,d/"},
    {"x", "a,bxc", "a,b</"},
    {"x", "x", "</"},
    {"end", "the ,e,n,d,more", "the ,,,</"},
    {"end", "the ,e,n,t,", "the ,,,ent,/"},
    {"end", "e,n", ",/en"},
    {"end", "thee,nd", "the,</"},
    {"end", "e,e,e,nd", ",e,e,</"},
    {"aab", "a,a,a,b", ",,a,</"},        /* the held part slides on */
    {"abac", "ab,ab,ac", ",ab,</"},      /* and falls back to an end of its own */
    {"bc|abcd", "a,b,c,d", ",,a</"},     /* complete first */
    {"bc|abc", "xa,b,c", "x,,</"},       /* at one place the longest */
    {"abcd|c", "ab,d,abc", ",abd,ab</"}, /* the begun one gives way */
    {"\\n\\n", "a,\n,b,\n,\n", "a,,\nb,,</"},
    {"a\\|b", "a,|,b", ",,</"},
    {"\\s\\\\\\t", "a , \\,\t", "a, ,</"},
    {"", "\xc3,\xa9", ",\xc3\xa9/"},
    {"",
     "a\xe2,\x82,\xac"
     "b",
     "a,,\xe2\x82\xac"
     "b/"},
    {"", "\xe2,\x82", ",/\xe2\x82"},
    {"", "\xe2,x", ",\xe2x/"},
    {"\xc3\xa9", "a\xc3,\xa9", "a,</"},
    {"\xc3\xa9", "a\xc3,\xa8", "a,\xc3\xa8/"},
};

static void add_ready(struct mgpt_string *s, const struct mgpt_endings *e)
{
    mgpt_string_add(s, e->held.data, e->ready);
    if (e->ended)
        mgpt_string_add(s, "<", 1);
}

START_TEST(holds_back_what_may_begin_a_stop_string_or_a_character)
{
    struct mgpt_endings e = {0};

    ck_ok(mgpt_endings_parse(&e, samples[_i].stop, error));
    for (int again = 0; again < 2; again++) {
        struct mgpt_string out = {0};
        const char *at = samples[_i].pieces;
        for (size_t size = 0; !e.ended && at; at = at[size] ? at + size + 1 : NULL) {
            size = strcspn(at, ",");
            ck_ok(mgpt_endings_add(&e, at, size, error));
            if (at != samples[_i].pieces)
                mgpt_string_add(&out, ",", 1);
            add_ready(&out, &e);
        }
        mgpt_string_add(&out, "/", 1);
        mgpt_endings_flush(&e);
        mgpt_string_add(&out, e.held.data, e.ready);
        ck_assert_str_eq(out.data, samples[_i].out);
        mgpt_string_finish(&out);
        mgpt_endings_reset(&e);
    }
    mgpt_endings_finish(&e);
}
END_TEST

/* ---- [generate] stop ---- */

static const struct {
    const char *stop, *message;
} wrong[] = {
    {"a\\x", "\\x is not"},    {"a\\", "\\ is not"},        {"|", "an empty string"},
    {"a|", "an empty string"}, {"a||b", "an empty string"}, {"|a", "an empty string"},
};

START_TEST(says_what_is_wrong_with_stop)
{
    struct mgpt_endings e = {0};
    struct mgpt_error error;

    ck_assert_int_eq(mgpt_endings_parse(&e, wrong[_i].stop, &error), MGPT_CONFIG);
    ck_assert_msg(strstr(error.text, wrong[_i].message) != NULL, "%s", error.text);
    mgpt_endings_finish(&e);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_loop_test(tests, holds_back_what_may_begin_a_stop_string_or_a_character, 0,
                        sizeof samples / sizeof *samples);
    tcase_add_loop_test(tests, says_what_is_wrong_with_stop, 0, sizeof wrong / sizeof *wrong);
}

int main(void)
{
    return test_main("endings", add_tests);
}
