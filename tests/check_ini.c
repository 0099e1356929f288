/* The INI file: what one may look like and how each mistake is reported with its line; and
 * conf/microgpt.ini itself, which must say what the code says. */
#include <config.h>

#include "conf/ini.h"

#include "conf/schema.h"
#include "conf_fixture.h"

/* ---- what a file may look like ---- */

static const struct {
    const char *ini;
    size_t size;
    const char *message; /* NULL: fine, and [train] lr came to 3 */
} files[] = {
    {BYTES("[train]\nlr = 3\n"), NULL},
    {BYTES("[train]\nlr=3"), NULL},
    {BYTES("\xef\xbb\xbf[train]\r\nlr = 3\r\n"), NULL},
    {BYTES("; c\n# c\n\n   ; indented comment\n\t# another\n[train] ; c\nlr = 3 ; c\n"), NULL},
    {BYTES("[train] # c\nlr\t=\t3\t\n"), NULL},
    {BYTES("[run]\n[train]\nlr = 3\n[run]\ndir = x\n[train]\nsteps = 4\n"), NULL},
    {BYTES("# " X50 X50 X50 X50 X50 "\n[train]\nlr = 3 ; " X50 X50 X50 X50 "\n"), NULL},
    {BYTES("[train]\nlr = 3\n[run]\ndir = " X100 X100 X100 X100 X100 X100 X100 X50 X10 X10 X10 X10
           "xxx\n"),
     NULL}, /* 799 bytes */
    {BYTES("[run]\ndir = " X100 X100 X100 X100 X100 X100 X100 X50 X10 X10 X10 X10 "xxxx\n"),
     "microgpt.ini:2: dir = xxxxxxxxxxxxxx...: the line has 800 bytes, expected at most 799"},
    {BYTES("[train] # " X50 X50 X50 X50 X50 "\nlr = 3\n"), NULL},
    {BYTES("[train]\n  lr = 3\n"),
     "microgpt.ini:2:   lr = 3: the line is indented, expected no blank "
     "before a key or [section]"},
    {BYTES("[run]\ndir = a\n\tb = c\n"), "microgpt.ini:3: \tb = c: the line is indented"},
    {BYTES(" [train]\n"), "microgpt.ini:1:  [train]: the line is indented"},
    {BYTES("lr = 3\n[train]\n"), "microgpt.ini:1: lr = 3: expected a [section] first"},
    {BYTES("[train]\n\nlr 3\n"), "microgpt.ini:3: lr 3: expected key = value"},
    {BYTES("[train]\nlr: 3\n"), "microgpt.ini:2: lr: 3: expected key = value"},
    {BYTES("[train]\n= 3\n"), "microgpt.ini:2: = 3: expected key = value"},
    {BYTES("[train]\nlr ; = 3\n"), "microgpt.ini:2: lr: expected key = value"},
    {BYTES("[train\nlr = 3\n"), "microgpt.ini:1: [train: expected [section] of letters"},
    {BYTES("[]\nlr = 3\n"), "microgpt.ini:1: []: expected [section]"},
    {BYTES("[ train ]\nlr = 3\n"), "microgpt.ini:1: [ train ]: expected [section]"},
    {BYTES("[train] lr = 3\n"), "microgpt.ini:1: [train] lr = 3: expected [section]"},
    {BYTES("[" X50 "]\n"), "the section's name has 50 bytes, expected at most 49"},
    {BYTES("[train]\n" X50 " = 1\n"), "the key has 50 bytes, expected at most 49"},
    {BYTES("[run]\ndir = a\0b\n"), "microgpt.ini:2: byte 8 is 0x00, expected text"},
    {BYTES("[run]\ndir = a\x1b[2J\n"), "microgpt.ini:2: byte 8 is 0x1b, expected text"},
    {BYTES("[run]\rdir = a\r"), "microgpt.ini:1: byte 6 is 0x0d, expected text"},
    {BYTES("[run]\n; caf\xe9\n"), "microgpt.ini:2: byte 6 is 0xe9, expected UTF-8"},
    {BYTES("[run]\n\xff\xfe\n"), "microgpt.ini:2: byte 1 is 0xff, expected UTF-8"},
    {BYTES("[train]\nlr = 3\nsteps = 1\nlr = 4\n"),
     "microgpt.ini:4: [train] lr = 4: line 2 has this key already, as 3"},
    {BYTES("[train]\nlr = 3\n[run]\n[train]\nlr = 3\n"),
     "microgpt.ini:5: [train] lr = 3: line 2 has"},
    {BYTES("[run]\ndir =;x\n"), "microgpt.ini:2: [run] dir = ;x: expected no ; at the start"},
};

START_TEST(reads_files_line_by_line_and_names_the_line_of_a_mistake)
{
    enum mgpt_status status = read_bytes(files[_i].ini, files[_i].size);
    if (files[_i].message) {
        ck_assert_int_eq(status, MGPT_CONFIG);
        ck_assert_int_eq(error.status, MGPT_CONFIG);
        ck_assert_has(error.text, files[_i].message);
        return;
    }
    ck_ok(status);
    ck_ok(mgpt_conf_check(conf, registry, &error));
    ck_assert_double_eq(mgpt_conf_float(conf, "train", "lr"), 3);
}
END_TEST

START_TEST(refuses_a_file_that_cannot_be_read)
{
    ck_assert_int_eq(mgpt_conf_read(conf, "nowhere.ini", &error), MGPT_CONFIG);
    ck_assert_has(error.text, "nowhere.ini");
    ck_assert_int_eq(mgpt_conf_read(conf, in_scratch("."), &error), MGPT_CONFIG);
    ck_assert_has(error.text, scratch);
}
END_TEST

START_TEST(refuses_more_keys_than_anyone_writes)
{
    struct mgpt_string ini = {0};
    mgpt_string_format(&ini, "[train]\n");
    for (int i = 0; i < 5000; i++)
        mgpt_string_format(&ini, "k%d=1\n", i);
    ck_assert_int_eq(read_bytes(ini.data, ini.size), MGPT_CONFIG);
    ck_assert_has(error.text, "microgpt.ini:4098: more keys than the 4096");
    mgpt_string_finish(&ini);
}
END_TEST

START_TEST(keeps_what_only_looks_like_a_comment)
{
    ck_ok(check_text("[dataset]\npath = a;b#c=d:e #f ; comment\n"));
    ck_assert_str_eq(mgpt_conf_text(conf, "dataset", "path"), "a;b#c=d:e #f");
}
END_TEST

/* ---- conf/microgpt.ini ---- */

static struct line {
    char section[64], key[64], value[256];
    bool known;
} lines[256];
static int n_lines;

static enum mgpt_status keep_line(void *user, const struct mgpt_ini_entry *e,
                                  struct mgpt_error *err)
{
    (void)user;
    (void)err;
    ck_assert_int_lt(n_lines, COUNT(lines));
    struct line *line = &lines[n_lines++];
    snprintf(line->section, sizeof line->section, "%s", e->section);
    snprintf(line->key, sizeof line->key, "%s", e->key);
    snprintf(line->value, sizeof line->value, "%s", e->value);
    return MGPT_OK;
}

static void read_shipped(void)
{
    char path[4096];
    const char *top = getenv("abs_top_srcdir");
    snprintf(path, sizeof path, "%s/conf/microgpt.ini", top ? top : "..");
    n_lines = 0;
    memset(lines, 0, sizeof lines);
    ck_ok(mgpt_ini_read(path, &(struct mgpt_ini_visitor){.take = keep_line}, &error));
}

static void expect_line(const char *section, const struct mgpt_option *option)
{
    for (int i = 0; i < n_lines; i++)
        if (!strcmp(lines[i].section, section) && !strcmp(lines[i].key, option->key)) {
            ck_assert_msg(!strcmp(lines[i].value, option->value),
                          "[%s] %s = %s, but the code's default is %s", section, option->key,
                          lines[i].value, option->value);
            lines[i].known = true;
            return;
        }
    ck_abort_msg("[%s] has no %s", section, option->key);
}

/* A module that is not built everywhere has its section as a comment. */
static void expect_comment(const char *section, const struct mgpt_option *option)
{
    char path[4096], want[512], head[160];
    const char *top = getenv("abs_top_srcdir");
    size_t size;
    snprintf(path, sizeof path, "%s/conf/microgpt.ini", top ? top : "..");
    snprintf(head, sizeof head, "\n# [%s]\n", section);
    snprintf(want, sizeof want, "\n# %s = %s\n", option->key, option->value);
    char *text = get_bytes(path, &size), *at = strstr(text, head), *end;
    ck_assert_msg(at, "no comment [%s]", section);
    if ((end = strstr(at, "\n\n")))
        end[1] = 0;
    ck_assert_msg(strstr(at, want), "no comment \"%s = %s\" in [%s]", option->key, option->value,
                  section);
    free(text);
}

static void expect_core_lines(void)
{
    for (size_t i = 0; i < mgpt_n_sections; i++)
        for (size_t k = 0; k < mgpt_sections[i].n_options; k++)
            expect_line(mgpt_sections[i].name, &mgpt_sections[i].options[k]);
}

START_TEST(shipped_ini_says_what_the_core_says)
{
    read_shipped();
    expect_core_lines();
    for (int i = 0; i < n_lines; i++)
        ck_assert_msg(lines[i].known || strchr(lines[i].section, '.'), "[%s] %s: no such key",
                      lines[i].section, lines[i].key);
}
END_TEST

START_TEST(shipped_ini_says_what_every_module_says)
{
    char section[128];
    read_shipped();
    expect_core_lines();
    mgpt_registry_destroy(registry);
    registry = NULL;
    setenv("MICROGPT_PLUGIN_PATH", plugin_path, 1);
    ck_ok(mgpt_registry_create(&registry, &error));
    mgpt_registry_scan(registry, NULL);
    for (size_t i = 0; i < mgpt_registry_count(registry, NULL); i++) {
        const struct mgpt_component *c = mgpt_registry_at(registry, NULL, i).component;
        snprintf(section, sizeof section, "%.*s.%s", (int)strcspn(c->kind, "/"), c->kind, c->name);
        for (uint32_t k = 0; k < c->n_options; k++)
            if (!strcmp(section, "backend.cuda"))
                expect_comment(section, mgpt_option_at(c, k));
            else
                expect_line(section, mgpt_option_at(c, k));
    }
    for (int i = 0; i < n_lines; i++)
        ck_assert_msg(lines[i].known, "[%s] %s: no such key in the modules of %s", lines[i].section,
                      lines[i].key, plugin_path);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("ini");
    tcase_add_loop_test(tests, reads_files_line_by_line_and_names_the_line_of_a_mistake, 0,
                        COUNT(files));
    tcase_add_test(tests, refuses_a_file_that_cannot_be_read);
    tcase_add_test(tests, refuses_more_keys_than_anyone_writes);
    tcase_add_test(tests, keeps_what_only_looks_like_a_comment);
    tcase_add_test(tests, shipped_ini_says_what_the_core_says);
    if (getenv("MICROGPT_PLUGIN_PATH"))
        tcase_add_test(tests, shipped_ini_says_what_every_module_says);
    else
        puts("SKIP of modules' sections: MICROGPT_PLUGIN_PATH is not set");
    return run_suite("ini", tests);
}
