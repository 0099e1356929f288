/* The mistakes of a configuration all at once, and none that another caused. */
#include <config.h>

#include "conf/conf.h"
#include "conf/faults.h"
#include "conf_fixture.h"

static const struct {
    const char *ini;
    const char *mistakes[4]; /* how they begin after "microgpt.ini:", in order */
    size_t unchecked;
} sums[] = {
    {"[train]\nsteps = 3\n", {NULL}, 0},
    {"[model]\nlayers = many\n[train]\nstpes = 1\nlr = x\nsteps 3\n",
     {"2: [model] layers = many: expected", "4: [train] stpes = 1: no such key",
      "5: [train] lr = x: expected", "6: steps 3: expected key = value"},
     0},
    {"[train]\n  lr = 3\nlr = 4\nlr = 5\n",
     {"2:   lr = 3: the line is indented", "4: [train] lr = 5: line 3 has this key already"},
     0},
    /* what a mistake causes is not another one */
    {"[trian]\nsteps = x\nlr = x\n[train]\nlr = x\n",
     {"2: [trian] steps = x: no such section", "5: [train] lr = x: expected"},
     1},
    {"[run]\n[train\nsteps = x\nlr = x\n bad = x\n[model]\nlayers = x\n",
     {"2: [train: expected [section]", "5:  bad = x: the line is indented",
      "7: [model] layers = x: expected"},
     2},
    {"[run]\ntrain]\nsteps = x\n", {"2: train]: expected key = value"}, 1},
    {"[train]\nlr: [1]\nsteps = x\nbatch = 0\n",
     {"2: lr: [1]: expected key = value", "3: [train] steps = x: expected",
      "4: [train] batch = 0: expected"},
     0},
    {"[run]\n [train]\nsteps = x\n", {"2:  [train]: the line is indented"}, 1},
    {"steps = 3\nlr = 2\n[train]\nlr = x\n",
     {"1: steps = 3: expected a [section] first", "4: [train] lr = x"},
     1},
    {"[optimizer]\nuse = nobody\n[optimizer.nobody]\nx = 1\ny = 1\n[optimizer.sgd]\nx = 1\n",
     {"2: [optimizer] use = nobody: no optimizer", "7: [optimizer.sgd] x = 1: no such key"},
     2},
    {"[logger]\nuse = jsonk,console,consol\n",
     {"2: [logger] use = jsonk: no logger", "2: [logger] use = consol: no logger"},
     0},
    {"[logger]\nuse = a,,b\n", {"2: [logger] use = a,,b: expected a comma-separated list"}, 0},
    {"[optimizer.Adam]\nx = 1\ny = 1\n",
     {"2: [optimizer.Adam] x = 1: expected a module's name"},
     1},
    /* modules may be where a line says that is wrong */
    {"[plugins]\npath = here\n[optimizer]\nuse = mine\n[optimizer.mine]\nx = 1\n",
     {"2: [plugins] path = here: expected absolute paths"},
     2},
    {"[plugins]\nload = a.so:/nowhere/b.so\n",
     {"2: [plugins] load = a.so: expected absolute", "2: [plugins] load: /nowhere/b.so"},
     0},
    {"[plugin]\npath = /there\n[optimizer]\nuse = mine\n",
     {"2: [plugin] path = /there: no such section; did you mean [plugins]?"},
     1},
    {"[plugins\npath = /there\n[optimizer]\nuse = mine\n", {"1: [plugins: expected [section]"}, 2},
    {"[plugins]\npath /there\n[optimizer]\nuse = mine\n",
     {"2: path /there: expected key = value"},
     1},
    {"load = /x.so\n[optimizer]\nuse = mine\n", {"1: load = /x.so: expected a [section] first"}, 1},
    {"[trian]\nx = 1\n[optimizer]\nuse = mine\n",
     {"2: [trian] x = 1: no such section", "4: [optimizer] use = mine: no optimizer"},
     0},
};

START_TEST(collects_every_mistake_and_nothing_that_another_caused)
{
    struct mgpt_faults faults = {0};
    mgpt_conf_collect(conf, &faults);
    ck_ok(check_text(sums[_i].ini));
    mgpt_faults_sort(&faults);
    size_t n = 0;
    for (; n < 4 && sums[_i].mistakes[n]; n++) {
        ck_assert_uint_lt(n, faults.n);
        ck_assert_msg(!strncmp(faults.items[n].text, "microgpt.ini:", 13) &&
                          !strncmp(faults.items[n].text + 13, sums[_i].mistakes[n],
                                   strlen(sums[_i].mistakes[n])),
                      "%s, expected %s", faults.items[n].text, sums[_i].mistakes[n]);
    }
    ck_assert_msg(faults.n == n, "one more: %s", faults.items[n].text);
    ck_assert_uint_eq(faults.unchecked, sums[_i].unchecked);
    mgpt_faults_finish(&faults);
}
END_TEST

START_TEST(mistakes_know_their_place_and_those_typed_stand_last)
{
    struct mgpt_faults faults = {0};
    mgpt_conf_collect(conf, &faults);
    ck_ok(mgpt_conf_set(conf, "train.steps=x", "--steps x", &error));
    ck_ok(mgpt_conf_set(conf, "nonsense", "--set nonsense", &error));
    ck_ok(check_text("[plugins]\nload = /nowhere/a.so\n[train]\nlr = fast\n"));
    mgpt_faults_sort(&faults);
    ck_assert_uint_eq(faults.n, 4);
    ck_assert_int_eq(faults.status, MGPT_CONFIG); /* found first */
    ck_assert_int_eq(faults.items[0].status, MGPT_PLUGIN);
    ck_assert_str_eq(faults.items[1].origin, "microgpt.ini:4");
    ck_assert_str_eq(faults.items[1].section, "train");
    ck_assert_str_eq(faults.items[1].key, "lr");
    ck_assert_str_eq(faults.items[1].value, "fast");
    ck_assert_uint_eq(faults.items[1].line, 4);
    ck_assert_str_eq(faults.items[2].origin, "--set nonsense");
    ck_assert_str_eq(faults.items[3].origin, "--steps x");
    ck_assert(!mgpt_conf_sound(conf, "train") && mgpt_conf_sound(conf, "model"));
    mgpt_faults_finish(&faults);
}
END_TEST

START_TEST(a_default_at_fault_has_its_place)
{
    struct mgpt_faults faults = {0};
    mgpt_conf_collect(conf, &faults);
    ck_ok(check_text("[train]\nlr = 1\n"));
    ck_assert(mgpt_conf_sound(conf, "model"));
    mgpt_fail(&error, MGPT_CONFIG, "default: [model] context = 8: as a test wants");
    ck_ok(mgpt_conf_blame(conf, "model", "context", MGPT_CONFIG, &error));
    ck_assert_uint_eq(faults.n, 1);
    ck_assert_str_eq(faults.items[0].origin, "default");
    ck_assert_str_eq(faults.items[0].section, "model");
    ck_assert_str_eq(faults.items[0].key, "context");
    ck_assert_str_eq(faults.items[0].value, "8");
    ck_assert_uint_eq(faults.items[0].line, 0);
    ck_assert(!mgpt_conf_sound(conf, "model")); /* nothing is made of it */
    mgpt_faults_finish(&faults);
}
END_TEST

START_TEST(what_is_no_ini_at_all_fills_no_list)
{
    struct mgpt_faults faults = {0};
    char text[4096] = "";
    for (int i = 0; i < 500; i++)
        strcat(text, "line\n");
    mgpt_conf_collect(conf, &faults);
    ck_ok(check_text(text));
    ck_assert_uint_eq(faults.n, MGPT_FAULTS_MAX);
    ck_assert_uint_eq(faults.more, 500 - MGPT_FAULTS_MAX);
    mgpt_faults_finish(&faults);
    const char data[] = "[train]\na\0b\nc\0d\ne\n";
    ck_ok(read_bytes(data, sizeof data - 1));
    ck_assert_uint_eq(faults.n, 1);
    ck_assert_has(faults.items[0].text, "microgpt.ini:2: byte 2 is 0x00");
    mgpt_faults_finish(&faults);
}
END_TEST

START_TEST(what_a_zero_byte_hides_is_lost)
{
    struct mgpt_faults faults = {0};
    const char hidden[] = "[optimizer]\nuse = mine\n[train]\na\0b\n[plugins]\nload = /x.so\n";
    mgpt_conf_collect(conf, &faults);
    ck_ok(read_bytes(hidden, sizeof hidden - 1));
    ck_ok(mgpt_conf_check(conf, registry, &error));
    ck_assert_uint_eq(faults.n, 1);
    ck_assert_has(faults.items[0].text, "microgpt.ini:4: byte 2 is 0x00");
    ck_assert(faults.lost);
    ck_assert(!mgpt_conf_sound(conf, "model"));
    mgpt_faults_finish(&faults);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("faults");
    tcase_add_loop_test(tests, collects_every_mistake_and_nothing_that_another_caused, 0,
                        COUNT(sums));
    tcase_add_test(tests, mistakes_know_their_place_and_those_typed_stand_last);
    tcase_add_test(tests, a_default_at_fault_has_its_place);
    tcase_add_test(tests, what_is_no_ini_at_all_fills_no_list);
    tcase_add_test(tests, what_a_zero_byte_hides_is_lost);
    return run_suite("faults", tests);
}
