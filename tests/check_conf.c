/* The configuration: keys and values against their schema, overrides, modules' sections, printing.
 */
#include <config.h>

#include "conf/conf.h"

#include <signal.h>

#include "base/log.h"
#include "conf/schema.h"
#include "conf_fixture.h"

/* ---- keys and values ---- */

static const struct {
    const char *ini;
    enum mgpt_status status;
    const char *message;
} mistakes[] = {
    {"[train]\nstpes = 10\n", MGPT_CONFIG,
     "microgpt.ini:2: [train] stpes = 10: no such key; did you mean steps?"},
    {"[train]\nmomentum_of_inertia = 1\n", MGPT_CONFIG,
     "[train] momentum_of_inertia = 1: no such key"},
    {"[trian]\nsteps = 10\n", MGPT_CONFIG,
     "microgpt.ini:2: [trian] steps = 10: no such section; did you mean [train]?"},
    {"[Train]\nsteps = 10\n", MGPT_CONFIG, "did you mean [train]?"},
    {"[something]\nx = 1\n", MGPT_CONFIG, "microgpt.ini:2: [something] x = 1: no such section"},
    {"[optimiser.adamw]\ncount = 1\n", MGPT_CONFIG, "did you mean [optimizer.adamw]?"},
    {"[train.more]\nx = 1\n", MGPT_CONFIG, "[train.more] x = 1: no such section"},
    {"[optimizer.Adam]\ncount = 1\n", MGPT_CONFIG, "expected a module's name of a-z, 0-9, _ and -"},
    {"[optimizer.]\ncount = 1\n", MGPT_CONFIG, "expected a module's name"},
    {"[model]\nlayers = many\n", MGPT_CONFIG,
     "microgpt.ini:2: [model] layers = many: expected a whole number from 1 to 1024"},
    {"[model]\nlayers = 0\n", MGPT_CONFIG, "expected a whole number from 1 to 1024"},
    {"[model]\nlayers = 1025\n", MGPT_CONFIG, "expected a whole number from 1 to 1024"},
    {"[model]\nlayers = 1.5\n", MGPT_CONFIG, "expected a whole number from 1 to 1024"},
    {"[model]\nlayers =\n", MGPT_CONFIG,
     "microgpt.ini:2: [model] layers = : expected a whole number"},
    {"[model]\nlayers = 99999999999999999999\n", MGPT_CONFIG, "expected a whole number"},
    {"[train]\nsteps = 0\n", MGPT_CONFIG, "[train] steps = 0: expected a whole number, at least 1"},
    {"[train]\nlr = 0\n", MGPT_CONFIG, "[train] lr = 0: expected a number above 0, at most 1000"},
    {"[train]\nlr = fast\n", MGPT_CONFIG, "expected a number above 0"},
    {"[train]\nlr = nan\n", MGPT_CONFIG, "expected a number above 0"},
    {"[train]\nclip = -1\n", MGPT_CONFIG, "[train] clip = -1: expected a number, at least 0"},
    {"[train]\nclip = inf\n", MGPT_CONFIG, "[train] clip = inf: expected a number, at least 0"},
    {"[model]\ndropout = 1\n", MGPT_CONFIG, "expected a number from 0 to 0.99"},
    {"[dataset]\nsplit = 0\n", MGPT_CONFIG, "expected a number above 0, at most 1"},
    {"[train]\nseed = -1\n", MGPT_CONFIG, "expected a whole number from 0 to 18446744073709551615"},
    {"[model]\ntied = maybe\n", MGPT_CONFIG, "[model] tied = maybe: expected true or false"},
    {"[model]\ntied = True\n", MGPT_CONFIG, "expected true or false; did you mean true?"},
    {"[model]\nnorm = lyer\n", MGPT_CONFIG,
     "[model] norm = lyer: expected one of rms, layer; did you mean layer?"},
    {"[model]\nbias = qkv,projj\n", MGPT_CONFIG,
     "expected a comma-separated list of qkv, proj, mlp, head; or none; did you mean proj?"},
    {"[model]\nbias = qkv,,mlp\n", MGPT_CONFIG, "expected a comma-separated list"},
    {"[model]\nbias = qkv,none\n", MGPT_CONFIG, "expected a comma-separated list"},
    {"[model]\nbias =\n", MGPT_CONFIG, "expected a comma-separated list"},
    {"[model]\nbias = mlp,qkv,mlp\n", MGPT_CONFIG,
     "[model] bias = mlp,qkv,mlp: mlp stands in it twice"},
    {"[run]\ndir =\n", MGPT_CONFIG, "[run] dir = : expected a path"},
    {"[plugins]\npath = /tmp:there\n", MGPT_CONFIG,
     "microgpt.ini:2: [plugins] path = there: expected absolute paths"},
    {"[plugins]\nload = a.so\n", MGPT_CONFIG, "[plugins] load = a.so: expected absolute paths"},
    {"[plugins]\nload = /nowhere/a.so\n", MGPT_PLUGIN,
     "microgpt.ini:2: [plugins] load: /nowhere/a.so"},
    {"[optimizer]\nuse = lino\n", MGPT_PLUGIN, "microgpt.ini:2: [optimizer] use = lino: "},
    {"[optimizer]\nuse = adamv\n", MGPT_PLUGIN, "adamw"},
    {"[optimizer]\nuse = ../evil\n", MGPT_CONFIG,
     "[optimizer] use = ../evil: expected a module's name"},
    {"[optimizer]\nuse =\n", MGPT_CONFIG, "[optimizer] use = : expected a module's name"},
    {"[optimizer]\nuse = auto\n", MGPT_PLUGIN, "[optimizer] use = auto: "},
    {"[logger]\nuse = console,jsonk\n", MGPT_PLUGIN, "[logger] use = jsonk: "},
    {"[optimizer.adamw]\ncuont = 1\n", MGPT_CONFIG,
     "microgpt.ini:2: [optimizer.adamw] cuont = 1: no such key; did you mean count?"},
    {"[optimizer.adamw]\ncount = 6\n", MGPT_CONFIG, "expected a whole number from -5 to 5"},
    {"[optimizer.sgd]\nrate = 2\n", MGPT_CONFIG, /* found, though not in use */
     "microgpt.ini:2: [optimizer.sgd] rate = 2: expected a number from 0 to 1"},
    {"[backend.cpu]\nshape = oval\n", MGPT_CONFIG, "expected one of round, square"},
};

START_TEST(says_what_is_wrong_and_what_was_expected)
{
    ck_assert_int_eq(check_text(mistakes[_i].ini), mistakes[_i].status);
    ck_assert_int_eq(error.status, mistakes[_i].status);
    ck_assert_has(error.text, mistakes[_i].message);
}
END_TEST

START_TEST(every_core_option_is_sound_and_called_by_one_name)
{
    for (size_t i = 0; i < mgpt_n_sections; i++)
        for (size_t k = 0; k < mgpt_sections[i].n_options; k++) {
            const struct mgpt_option *option = &mgpt_sections[i].options[k];
            ck_ok(mgpt_option_check(option, &error));
            for (size_t j = 0; j < k; j++)
                ck_assert_str_ne(mgpt_sections[i].options[j].key, option->key);
        }
}
END_TEST

START_TEST(values_have_their_types)
{
    ck_ok(check_text("[model]\nbias = head, qkv\nnorm = layer\ntied = off\n"
                     "[train]\nseed = 18446744073709551615\nlr = 2.5e-3\nsteps = 7\n"));
    ck_assert_uint_eq(mgpt_conf_choices(conf, "model", "bias"), 1u | 8u);
    ck_assert_str_eq(mgpt_conf_text(conf, "model", "bias"), "head,qkv");
    ck_assert_int_eq(mgpt_conf_choice(conf, "model", "norm"), 1);
    ck_assert_str_eq(mgpt_conf_text(conf, "model", "norm"), "layer");
    ck_assert(!mgpt_conf_bool(conf, "model", "tied"));
    ck_assert(mgpt_conf_bool(conf, "model", "embed_norm"));
    ck_assert_uint_eq(mgpt_conf_seed(conf, "train", "seed"), UINT64_MAX);
    ck_assert_double_eq(mgpt_conf_float(conf, "train", "lr"), 2.5e-3);
    ck_assert_int_eq(mgpt_conf_int(conf, "train", "steps"), 7);
    ck_assert_int_eq(mgpt_conf_int(conf, "train", "val_docs"), 20);
    ck_assert_uint_eq(mgpt_conf_choices(conf, "model", "bias"), 9);
}
END_TEST

START_TEST(values_know_where_they_come_from)
{
    ck_ok(mgpt_conf_set(conf, "train.lr=2", "--set train.lr=2", &error));
    ck_ok(check_text("[train]\nsteps = 7\nlr = 1\n"));
    ck_assert_str_eq(mgpt_conf_origin(conf, "train", "steps"), "microgpt.ini:2");
    ck_assert_str_eq(mgpt_conf_origin(conf, "train", "lr"), "--set train.lr=2");
    ck_assert_str_eq(mgpt_conf_origin(conf, "train", "seed"), "default");
}
END_TEST

START_TEST(is_checked_only_once)
{
    ck_ok(check_text(""));
    ck_assert_int_eq(mgpt_conf_check(conf, registry, &error), MGPT_INVALID);
}
END_TEST

/* ---- overrides ---- */

START_TEST(later_overrides_win_over_earlier_ones_and_over_files)
{
    ck_ok(mgpt_conf_set(conf, "train.steps=1", "--steps 1", &error));
    ck_ok(mgpt_conf_set(conf, " train.steps = 2 ", "--steps 2", &error));
    ck_ok(
        mgpt_conf_set(conf, "optimizer.adamw.count=-4", "--set optimizer.adamw.count=-4", &error));
    ck_ok(mgpt_conf_set(conf, "run.dir=a=b.c", "--dir a=b.c", &error));
    ck_ok(check_text("[train]\nsteps = 3\n[optimizer.adamw]\ncount = 1\n"));
    ck_assert_int_eq(mgpt_conf_int(conf, "train", "steps"), 2);
    ck_assert_str_eq(mgpt_conf_origin(conf, "train", "steps"), "--steps 2");
    ck_assert_int_eq(mgpt_config_int(mgpt_conf_module(conf, "optimizer", "adamw"), "count"), -4);
    ck_assert_str_eq(mgpt_conf_text(conf, "run", "dir"), "a=b.c");
}
END_TEST

static const struct {
    const char *assignment, *message;
} overrides[] = {
    {"train.steps", "--set: expected section.key=value"},
    {"steps=3", "--set: expected section.key=value"},
    {".steps=3", "--set: expected section.key=value"},
    {"train.=3", "--set: expected section.key=value"},
    {"=train.steps", "--set: expected section.key=value"},
    {"", "--set: expected section.key=value"},
    {"train.stpes=3", "--set: [train] stpes = 3: no such key; did you mean steps?"},
    {"train.steps=x", "--set: [train] steps = x: expected a whole number, at least 1"},
    {"trian.steps=3", "--set: [trian] steps = 3: no such section; did you mean [train]?"},
    {"run.dir=a\nb", "expected text without control characters"},
    {"run.dir=\xff", "expected UTF-8"},
    {"run.dir=a ;b", "expected no ; at the start or after a blank"},
    {"run.dir=" X100 X100 X100 X100 X100 X100 X100 X100, "expected at most 799 bytes"},
};

START_TEST(refuses_overrides_that_an_ini_could_not_say)
{
    enum mgpt_status status = mgpt_conf_set(conf, overrides[_i].assignment, "--set", &error);
    if (status == MGPT_OK)
        status = check_text("");
    ck_assert_int_eq(status, MGPT_CONFIG);
    ck_assert_has(error.text, overrides[_i].message);
}
END_TEST

/* ---- modules ---- */

START_TEST(modules_get_defaults_for_what_is_missing)
{
    ck_ok(check_text("[optimizer.adamw]\nrate = 0.25\n"));
    const struct mgpt_config *c = mgpt_conf_module(conf, "optimizer", "adamw");
    const struct mgpt_host *host = mgpt_host();
    ck_assert_int_eq(host->get_int(c, "flag"), 1);
    ck_assert_int_eq(host->get_int(c, "count"), 3);
    ck_assert_double_eq(host->get_float(c, "rate"), 0.25);
    ck_assert_double_eq(host->get_float(c, "any"), -1e300);
    ck_assert_str_eq(host->get_text(c, "name"), "");
    ck_assert_str_eq(host->get_text(c, "shape"), "round");
    ck_assert_str_eq(host->get_text(c, "shapes"), "round,square");
    ck_assert_str_eq(host->get_text(c, "words"), "none");
    ck_assert_str_eq(host->get_text(c, "file"), "");
    ck_assert_uint_eq(host->get_seed(c, "seed"), UINT64_MAX);
}
END_TEST

START_TEST(auto_loads_nothing_and_its_module_can_be_asked_for_later)
{
    ck_ok(check_text("[backend.cpu]\ncount = 5\n[step]\nuse = auto\n"));
    ck_assert_str_eq(mgpt_conf_text(conf, "backend", "use"), "auto");
    ck_assert_int_eq(mgpt_config_int(mgpt_conf_module(conf, "backend", "cpu"), "count"), 5);
    ck_assert_ptr_eq(mgpt_conf_module(conf, "backend", "cpu"),
                     mgpt_conf_module(conf, "backend", "cpu"));
    ck_assert_int_eq(mgpt_config_int(mgpt_conf_module(conf, "optimizer", "sgd"), "count"), 3);
    ck_assert_ptr_null(mgpt_conf_module(conf, "optimizer", "nobody"));
}
END_TEST

START_TEST(a_list_may_use_no_module)
{
    ck_ok(check_text("[logger]\nuse = none\n"));
    ck_assert_str_eq(mgpt_conf_text(conf, "logger", "use"), "none");
}
END_TEST

START_TEST(warns_once_of_a_section_whose_module_is_missing_and_keeps_it)
{
    size_t size;
    int old = dup(STDERR_FILENO);
    mgpt_log_threshold(MGPT_LOG_WARN);
    ck_assert_ptr_nonnull(freopen("err", "w", stderr));
    ck_ok(check_text("[optimizer.lion]\nbeta = 1\ngamma = 2\n"));
    ck_assert_int_ge(dup2(old, STDERR_FILENO), 0);
    char *text = get_bytes("err", &size);
    ck_assert_has(text, "microgpt: warning: microgpt.ini:2: [optimizer.lion] is not checked: ");
    ck_assert_ptr_eq(strchr(text, '\n'), text + size - 1);
    free(text);

    struct mgpt_string out = {0};
    mgpt_conf_print(conf, false, &out);
    ck_assert_has(out.data, "\n[optimizer.lion]\nbeta = 1\ngamma = 2\n");
    mgpt_string_finish(&out);
}
END_TEST

/* After an abort nothing tears down. */
static void leave_scratch(void)
{
    ck_assert_int_eq(chdir("/"), 0);
    scratch_teardown();
}

START_TEST(asking_for_an_option_that_is_not_there_is_a_bug)
{
    ck_ok(check_text(""));
    leave_scratch();
    mgpt_config_int(mgpt_conf_module(conf, "optimizer", "adamw"), "nothing");
}
END_TEST

START_TEST(asking_for_another_type_is_a_bug)
{
    ck_ok(check_text(""));
    leave_scratch();
    mgpt_conf_int(conf, "train", "lr");
}
END_TEST

static const struct {
    struct mgpt_option option;
    const char *message;
} unsound[] = {
    {{"Key", "1", "h", NULL, 0, 0, NULL, MGPT_OPTION_INT, 0}, "key \"Key\", expected only a-z"},
    {{NULL, "1", "h", NULL, 0, 0, NULL, MGPT_OPTION_INT, 0}, "key \"NULL\""},
    {{"k", NULL, "h", NULL, 0, 0, NULL, MGPT_OPTION_INT, 0}, "k has no default"},
    {{"k", "1", NULL, NULL, 0, 0, NULL, MGPT_OPTION_INT, 0}, "k has no help"},
    {{"k", "1", "h", NULL, 0, 0, NULL, 9, 0}, "k is of type 9, expected 1 to 8"},
    {{"k", "1", "h", NULL, 2, 1, NULL, MGPT_OPTION_INT, 0},
     "a minimum of 2 above its maximum of 1"},
    {{"k", "1", "h", NULL, 0, 0, NULL, MGPT_OPTION_ENUM, 0}, "k has no choices"},
    {{"k", "9", "h", NULL, 1, 5, NULL, MGPT_OPTION_INT, 0},
     "k has the default 9: expected a whole number"},
    {{"k", "oval", "h", NULL, 0, 0, shapes, MGPT_OPTION_ENUM, 0},
     "k has the default oval: expected one of"},
};

START_TEST(refuses_unsound_option_tables)
{
    ck_assert_int_eq(mgpt_option_check(&unsound[_i].option, &error), MGPT_PLUGIN);
    ck_assert_has(error.text, unsound[_i].message);
}
END_TEST

/* ---- printing ---- */

START_TEST(prints_what_reads_back_to_the_same)
{
    struct mgpt_string first = {0}, second = {0};
    ck_ok(mgpt_conf_set(conf, "train.seed=7", "--seed 7", &error));
    ck_ok(mgpt_conf_set(conf, "optimizer.lion.beta=2", "--set", &error));
    ck_ok(check_text("[run]\ndir = here\n[model]\nbias = mlp , qkv\n[dataset]\npath = a;b #c\n"
                     "[optimizer.sgd]\nname = x = y\n[optimizer.lion]\nbeta = 1\n"));
    mgpt_conf_print(conf, false, &first);
    ck_assert_has(first.data, "\nbias = mlp,qkv\n");
    ck_assert_has(first.data, "\nseed = 7\n");
    ck_assert_has(first.data, "\n[optimizer.sgd]\n");
    ck_assert_has(first.data, "\n[optimizer.lion]\nbeta = 2\n");
    ck_assert_ptr_null(strstr(first.data, "beta = 1"));
    ck_assert_ptr_nonnull(strstr(first.data, "[optimizer.adamw]"));
    ck_assert(strstr(first.data, "[optimizer]") < strstr(first.data, "[optimizer.adamw]"));
    ck_assert(strstr(first.data, "[optimizer.sgd]") < strstr(first.data, "[scheduler]"));

    mgpt_conf_destroy(conf);
    ck_ok(mgpt_conf_create(&conf, &error));
    ck_ok(check_text(first.data));
    mgpt_conf_print(conf, false, &second);
    ck_assert_str_eq(first.data, second.data);
    mgpt_string_finish(&first);
    mgpt_string_finish(&second);
}
END_TEST

START_TEST(prints_paths_absolute_and_names_as_they_are)
{
    struct mgpt_string out = {0};
    char *cwd = getcwd(NULL, 0), line[512];
    ck_ok(check_text("[run]\ndir = here\n"));
    mgpt_conf_print(conf, false, &out);
    snprintf(line, sizeof line, "\ndir = %s/here\n", cwd);
    ck_assert_has(out.data, line);
    ck_assert_has(out.data, "\npath = builtin:given-names\n");
    ck_assert_has(out.data, "\nload =\n");
    free(cwd);
    mgpt_string_finish(&out);
}
END_TEST

START_TEST(prints_origins_as_comments)
{
    struct mgpt_string out = {0};
    ck_ok(mgpt_conf_set(conf, "train.seed=7", "--seed 7", &error));
    ck_ok(check_text("[train]\nsteps = 9\n"));
    mgpt_conf_print(conf, true, &out);
    ck_assert_has(out.data, "\nsteps = 9                            ; microgpt.ini:2\n");
    ck_assert_has(out.data, "\nseed = 7                             ; --seed 7\n");
    ck_assert_has(out.data, "\nlr = 1e-2                            ; default\n");
    mgpt_conf_destroy(conf);
    ck_ok(mgpt_conf_create(&conf, &error));
    ck_ok(check_text(out.data));
    ck_assert_int_eq(mgpt_conf_int(conf, "train", "steps"), 9);
    mgpt_string_finish(&out);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("conf");
    const char *fork = getenv("CK_FORK"); /* without, an abort would end all tests */
    tcase_add_loop_test(tests, says_what_is_wrong_and_what_was_expected, 0, COUNT(mistakes));
    tcase_add_test(tests, every_core_option_is_sound_and_called_by_one_name);
    tcase_add_test(tests, values_have_their_types);
    tcase_add_test(tests, values_know_where_they_come_from);
    tcase_add_test(tests, is_checked_only_once);
    tcase_add_test(tests, later_overrides_win_over_earlier_ones_and_over_files);
    tcase_add_loop_test(tests, refuses_overrides_that_an_ini_could_not_say, 0, COUNT(overrides));
    tcase_add_test(tests, modules_get_defaults_for_what_is_missing);
    tcase_add_test(tests, auto_loads_nothing_and_its_module_can_be_asked_for_later);
    tcase_add_test(tests, a_list_may_use_no_module);
    tcase_add_test(tests, warns_once_of_a_section_whose_module_is_missing_and_keeps_it);
    tcase_add_loop_test(tests, refuses_unsound_option_tables, 0, COUNT(unsound));
    tcase_add_test(tests, prints_what_reads_back_to_the_same);
    tcase_add_test(tests, prints_paths_absolute_and_names_as_they_are);
    tcase_add_test(tests, prints_origins_as_comments);
    if (!fork || strcmp(fork, "no")) {
        tcase_add_test_raise_signal(tests, asking_for_an_option_that_is_not_there_is_a_bug,
                                    SIGABRT);
        tcase_add_test_raise_signal(tests, asking_for_another_type_is_a_bug, SIGABRT);
    }
    return run_suite("conf", tests);
}
