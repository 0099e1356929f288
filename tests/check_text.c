/* Text: the growing string, UTF-8, numbers, the nearest name; and the log's lines. */
#include <config.h>

#include "base/text.h"

#include <fcntl.h>
#include <math.h>

#include <microgpt/utf8.h>

#include "base/log.h"
#include "scratch.h"

#define COUNT(table) (int)(sizeof table / sizeof table[0])

/* ---- strings ---- */

START_TEST(a_shell_takes_any_text_as_one_word)
{
    struct mgpt_string s = {0};
    mgpt_shell_add(&s, "");
    mgpt_shell_add(&s, "it's $HOME");
    ck_assert_str_eq(s.data, "'''it'\\''s $HOME'");
    mgpt_string_finish(&s);
}
END_TEST

START_TEST(string_grows_and_stays_terminated)
{
    struct mgpt_string s = {0};
    for (int i = 0; i < 1000; i++) {
        mgpt_string_add(&s, "ab", 2);
        mgpt_string_format(&s, "%d,", i % 10);
        ck_assert_uint_eq(strlen(s.data), s.size);
    }
    ck_assert_uint_eq(s.size, 4000);
    ck_assert(!strncmp(s.data, "ab0,ab1,ab2,", 12));
    ck_assert(!s.failed);
    mgpt_string_finish(&s);
    ck_assert_ptr_null(s.data);
    mgpt_string_finish(NULL);
}
END_TEST

START_TEST(string_fails_once_and_for_good)
{
    struct mgpt_string s = {0};
    mgpt_string_add(&s, "x", 1);
    mgpt_string_add(&s, "", SIZE_MAX);
    ck_assert(s.failed);
    mgpt_string_add(&s, "y", 1);
    mgpt_string_format(&s, "z");
    ck_assert_str_eq(s.data, "x");
    mgpt_string_finish(&s);
}
END_TEST

/* ---- UTF-8 ---- */

static const struct {
    const char *text;
    size_t size, valid;
} utf8[] = {
    {"", 0, 0},
    {"plain", 5, 5},
    {"a\0b", 3, 3},
    {"\xc3\xa9", 2, 2},
    {"\xe2\x82\xac!", 4, 4},
    {"\xf0\x9f\x98\x80", 4, 4},
    {"\xf4\x8f\xbf\xbf", 4, 4}, /* U+10FFFF */
    {"\xed\x9f\xbf", 3, 3},     /* before the surrogates */
    {"a\x80", 2, 1},            /* a continuation alone */
    {"ab\xc3", 3, 2},           /* cut off */
    {"\xc3(", 2, 0},            /* no continuation */
    {"\xe2\x82(", 3, 0},        /* the third byte */
    {"\xc0\xaf", 2, 0},         /* overlong */
    {"\xc1\xbf", 2, 0},         /* overlong */
    {"\xe0\x9f\xbf", 3, 0},     /* overlong */
    {"\xf0\x8f\xbf\xbf", 4, 0}, /* overlong */
    {"\xed\xa0\x80", 3, 0},     /* a surrogate */
    {"\xf4\x90\x80\x80", 4, 0}, /* above U+10FFFF */
    {"\xf5\x80\x80\x80", 4, 0}, /* no such lead */
    {"ok\xff", 3, 2},
};

START_TEST(finds_the_first_byte_that_is_not_utf8)
{
    ck_assert_uint_eq(mgpt_utf8_check(utf8[_i].text, utf8[_i].size), utf8[_i].valid);
}
END_TEST

static const struct {
    const char *text;
    size_t size, whole;
    const char *clean;
} begun[] = {
    {"", 0, 0, ""},
    {"ab", 2, 2, "ab"},
    {"a\xc3\xa9", 3, 3, "a\xc3\xa9"},
    {"a\xc3", 2, 1, "a\xef\xbf\xbd"},
    {"a\xe2\x82", 3, 1, "a\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xf0\x9f\x98", 3, 0, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xf0\x9f\x98\x80", 4, 4, "\xf0\x9f\x98\x80"},
    {"a\x80", 2, 2, "a\xef\xbf\xbd"}, /* nothing that could become complete */
    {"\xff", 1, 1, "\xef\xbf\xbd"},
    {"\xc1", 1, 1, "\xef\xbf\xbd"},
    {"\xff"
     "b",
     2, 2,
     "\xef\xbf\xbd"
     "b"},
};

START_TEST(finds_a_character_that_has_only_begun)
{
    ck_assert_uint_eq(mgpt_utf8_whole(begun[_i].text, begun[_i].size), begun[_i].whole);
}
END_TEST

START_TEST(every_character_reads_as_it_was_written)
{
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        char text[5] = "";
        uint32_t back = ~c;
        unsigned n = mgpt_utf8_write(c, text);
        bool surrogate = c >= 0xd800 && c < 0xe000;
        ck_assert_int_eq(text[n], 0);
        for (unsigned size = 0; size < n; size++) /* cut off */
            ck_assert_uint_eq(mgpt_utf8_read(text, size, &back), 0);
        ck_assert_uint_eq(back, ~c);
        ck_assert_uint_eq(mgpt_utf8_read(text, 5, &back), surrogate ? 0 : n);
        ck_assert_uint_eq(back, surrogate ? ~c : c);
    }
}
END_TEST

START_TEST(replaces_what_is_not_utf8)
{
    struct mgpt_string s = {0};
    mgpt_string_add(&s, ">", 1);
    mgpt_utf8_add(&s, begun[_i].text, begun[_i].size);
    ck_assert_str_eq(s.data + 1, begun[_i].clean);
    mgpt_string_finish(&s);
}
END_TEST

static const struct {
    const char *text;
    size_t size;
    const char *visible;
} shown[] = {
    {"plain\n\ttext", 11, "plain\n\ttext"},
    {"a\0b", 3, "a\\x00b"},
    {"\033[2J\r\x7f", 6, "\\x1b[2J\\x0d\\x7f"},
    {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
    {"\xc2\x9b\xc2\xa0", 4, "\\x9b\xc2\xa0"}, /* CSI of Latin-1; a blank */
    {"\xff\xc3\x28\xe2\x82", 5, "\\xff\\xc3(\\xe2\\x82"},
    {"\xed\xa0\x80", 3, "\\xed\\xa0\\x80"},
};

START_TEST(shows_what_a_terminal_must_not_have)
{
    struct mgpt_string s = {0};
    mgpt_visible_add(&s, shown[_i].text, shown[_i].size);
    ck_assert_str_eq(s.data, shown[_i].visible);
    mgpt_string_finish(&s);
}
END_TEST

/* ---- numbers ---- */

static const struct {
    const char *text;
    bool valid;
    int64_t value;
} ints[] = {
    {"0", true, 0},
    {"-7", true, -7},
    {"+7", true, 7},
    {"007", true, 7},
    {"9223372036854775807", true, INT64_MAX},
    {"-9223372036854775808", true, INT64_MIN},
    {"9223372036854775808", false, 0},
    {"", false, 0},
    {" 1", false, 0},
    {"1 ", false, 0},
    {"1.0", false, 0},
    {"1e3", false, 0},
    {"0x10", false, 0},
    {"-", false, 0},
    {"1-", false, 0},
    {"many", false, 0},
};

START_TEST(parses_whole_numbers)
{
    int64_t value = 99;
    ck_assert_int_eq(mgpt_parse_int(ints[_i].text, &value), ints[_i].valid);
    ck_assert_int_eq(value, ints[_i].valid ? ints[_i].value : 99);
}
END_TEST

static const struct {
    const char *text;
    bool valid;
    uint64_t value;
} seeds[] = {
    {"0", true, 0},
    {"42", true, 42},
    {"18446744073709551615", true, UINT64_MAX},
    {"18446744073709551616", false, 0},
    {"-1", false, 0},
    {"+1", false, 0},
    {"", false, 0},
    {" 1", false, 0},
};

START_TEST(parses_seeds)
{
    uint64_t value = 99;
    ck_assert_int_eq(mgpt_parse_seed(seeds[_i].text, &value), seeds[_i].valid);
    ck_assert_uint_eq(value, seeds[_i].valid ? seeds[_i].value : 99);
}
END_TEST

static const struct {
    const char *text;
    bool valid;
    double value;
} floats[] = {
    {"1", true, 1},
    {"-0.5", true, -0.5},
    {"1e-5", true, 1e-5},
    {"1E3", true, 1000},
    {".5", true, 0.5},
    {"5.", true, 5},
    {"4.9406564584124654e-324", true, 4.9406564584124654e-324},
    {"1e309", false, 0},
    {"1e-400", false, 0},
    {"inf", false, 0},
    {"nan", false, 0},
    {"0x1p3", false, 0},
    {"", false, 0},
    {" 1", false, 0},
    {"1e", false, 0},
    {"1,5", false, 0},
    {"1.5f", false, 0},
};

START_TEST(parses_finite_numbers)
{
    double value = 99;
    ck_assert_int_eq(mgpt_parse_float(floats[_i].text, &value), floats[_i].valid);
    ck_assert_double_eq(value, floats[_i].valid ? floats[_i].value : 99);
}
END_TEST

START_TEST(parses_eight_words_for_truth)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    static const char *const neither[] = {"", "True", "2", "y", "true "};
    bool value = false;
    for (int i = 0; i < COUNT(yes); i++) {
        ck_assert(mgpt_parse_bool(yes[i], &value));
        ck_assert(value);
        ck_assert(mgpt_parse_bool(no[i], &value));
        ck_assert(!value);
    }
    for (int i = 0; i < COUNT(neither); i++)
        ck_assert(!mgpt_parse_bool(neither[i], &value));
}
END_TEST

/* ---- the nearest name ---- */

static const struct {
    const char *name, *nearest;
} misspelt[] = {
    {"stpes", "steps"},  /* a swap */
    {"step", "steps"},   /* a letter missing */
    {"stepss", "steps"}, /* one too many */
    {"sTeps", "steps"},  /* another one */
    {"steps", "steps"},  /* none */
    {"wieght_decy", "weight_decay"},
    {"ls", "lr"},
    {"momentum", NULL},
    {"x", NULL},
    {"", NULL},
    {"a_name_so_long_that_nobody_can_have_meant_any_of_the_names_that_there_are", NULL},
};

START_TEST(suggests_a_name_only_when_it_is_near)
{
    static const char *const names[] = {"lr", "steps", "weight_decay", "clip", NULL};
    const char *nearest = mgpt_nearest(misspelt[_i].name, names);
    if (misspelt[_i].nearest)
        ck_assert_pstr_eq(nearest, misspelt[_i].nearest);
    else
        ck_assert_ptr_null(nearest);
}
END_TEST

START_TEST(prefers_the_nearer_name)
{
    static const char *const names[] = {"beta1", "beta2", "bet", NULL};
    ck_assert_str_eq(mgpt_nearest("beta2x", names), "beta2");
    ck_assert_str_eq(mgpt_nearest("be", names), "bet");
}
END_TEST

/* ---- the log ---- */

/* stderr into a file while `say` runs. */
static char *said(void (*say)(void))
{
    size_t size;
    int old = dup(STDERR_FILENO), fd = open(in_scratch("err"), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
    close(fd);
    say();
    ck_assert_int_ge(dup2(old, STDERR_FILENO), 0);
    close(old);
    return get_bytes(in_scratch("err"), &size);
}

static void say_all(void)
{
    mgpt_log(MGPT_LOG_ERROR, "%s %d", "one", 1);
    mgpt_log(MGPT_LOG_WARN, "two");
    mgpt_log(MGPT_LOG_INFO, "three");
    mgpt_log(MGPT_LOG_DEBUG, "four");
    mgpt_log_line(MGPT_LOG_WARN, "100%s \033[2Jfive\nsix");
}

START_TEST(log_says_the_level_and_keeps_each_message_on_one_plain_line)
{
    char *text = said(say_all);
    ck_assert_str_eq(text, "microgpt: error: one 1\nmicrogpt: warning: two\nmicrogpt: three\n"
                           "microgpt: warning: 100%s  [2Jfive six\n");
    free(text);
}
END_TEST

static void say_c1(void)
{
    mgpt_log_line(MGPT_LOG_INFO, "a\xc2\x9b"
                                 "2Jb\xc2\xa0"
                                 "c\xc3\x9b"
                                 "d\xc2");
}

START_TEST(log_keeps_control_characters_of_latin_1_from_the_terminal)
{
    char *text = said(say_c1);
    ck_assert_str_eq(text, "microgpt: a  2Jb\xc2\xa0"
                           "c\xc3\x9b"
                           "d\xc2\n");
    free(text);
}
END_TEST

/* What a terminal of the kind gets when both streams are on it: a live line, then a message. */
static void on_terminal(const char *term, bool live, char *text, size_t room)
{
    size_t size = 0;
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    ck_assert_int_ge(master, 0);
    ck_assert_int_eq(grantpt(master) | unlockpt(master), 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    ck_assert_int_ge(slave, 0);
    (void)fflush(stdout);
    int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(slave, STDOUT_FILENO) | dup2(slave, STDERR_FILENO), 0);
    (void)setenv("TERM", term, 1);
    (void)setenv("NO_COLOR", "1", 1);
    mgpt_log_over_live(live);
    fputs("live", stdout);
    mgpt_log(MGPT_LOG_WARN, "news");
    mgpt_log_over_live(false);
    ck_assert_int_ge(dup2(out, STDOUT_FILENO) | dup2(err, STDERR_FILENO), 0);
    while (size + 1 < room && (!size || text[size - 1] != '\n')) {
        ssize_t got = read(master, text + size, room - size - 1);
        ck_assert_int_gt(got, 0);
        size += (size_t)got;
    }
    text[size] = 0;
    close(out), close(err), close(slave), close(master);
}

START_TEST(log_takes_the_place_of_a_live_line)
{
    char text[256];
    on_terminal("xterm", true, text, sizeof text);
    ck_assert_str_eq(text, "live\r\033[Kmicrogpt: warning: news\r\n");
    on_terminal("xterm", false, text, sizeof text); /* the text may be worth keeping */
    ck_assert_str_eq(text, "livemicrogpt: warning: news\r\n");
    on_terminal("dumb", true, text, sizeof text);
    ck_assert_str_eq(text, "livemicrogpt: warning: news\r\n");
}
END_TEST

static void say_warning(void)
{
    mgpt_log_over_live(true);
    mgpt_log(MGPT_LOG_WARN, "news");
    mgpt_log_over_live(false);
}

START_TEST(log_writes_no_escapes_into_a_file)
{
    char *text = said(say_warning);
    ck_assert_str_eq(text, "microgpt: warning: news\n");
    free(text);
}
END_TEST

START_TEST(log_drops_what_is_above_the_threshold)
{
    mgpt_log_threshold(MGPT_LOG_ERROR);
    char *text = said(say_all);
    ck_assert_str_eq(text, "microgpt: error: one 1\n");
    free(text);
    mgpt_log_threshold(MGPT_LOG_DEBUG);
    text = said(say_all);
    ck_assert_has(text, "microgpt: debug: four\n");
    free(text);
}
END_TEST

static char long_text[10000];

static void say_long(void)
{
    mgpt_log_line(MGPT_LOG_INFO, long_text);
}

START_TEST(log_ends_even_a_cut_line)
{
    memset(long_text, 'x', sizeof long_text - 1);
    char *text = said(say_long);
    ck_assert_int_eq(text[strlen(text) - 1], '\n');
    ck_assert_uint_gt(strlen(text), 1020);
    free(text);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("text");
    tcase_add_loop_test(tests, shows_what_a_terminal_must_not_have, 0,
                        (int)(sizeof shown / sizeof *shown));
    tcase_add_test(tests, string_grows_and_stays_terminated);
    tcase_add_test(tests, a_shell_takes_any_text_as_one_word);
    tcase_add_test(tests, string_fails_once_and_for_good);
    tcase_add_loop_test(tests, finds_the_first_byte_that_is_not_utf8, 0, COUNT(utf8));
    tcase_add_loop_test(tests, finds_a_character_that_has_only_begun, 0, COUNT(begun));
    tcase_add_test(tests, every_character_reads_as_it_was_written);
    tcase_add_loop_test(tests, replaces_what_is_not_utf8, 0, COUNT(begun));
    tcase_add_loop_test(tests, parses_whole_numbers, 0, COUNT(ints));
    tcase_add_loop_test(tests, parses_seeds, 0, COUNT(seeds));
    tcase_add_loop_test(tests, parses_finite_numbers, 0, COUNT(floats));
    tcase_add_test(tests, parses_eight_words_for_truth);
    tcase_add_loop_test(tests, suggests_a_name_only_when_it_is_near, 0, COUNT(misspelt));
    tcase_add_test(tests, prefers_the_nearer_name);
    tcase_add_test(tests, log_says_the_level_and_keeps_each_message_on_one_plain_line);
    tcase_add_test(tests, log_keeps_control_characters_of_latin_1_from_the_terminal);
    tcase_add_test(tests, log_takes_the_place_of_a_live_line);
    tcase_add_test(tests, log_writes_no_escapes_into_a_file);
    tcase_add_test(tests, log_drops_what_is_above_the_threshold);
    tcase_add_test(tests, log_ends_even_a_cut_line);
    return run_cases("text", tests);
}
