/* A configuration and a registry that sees nothing but made-up modules. For Check programs. */
#ifndef TESTS_CONF_FIXTURE_H
#define TESTS_CONF_FIXTURE_H

#include "base/log.h"
#include "conf/conf.h"
#include "scratch.h"

#define COUNT(table) (int)(sizeof table / sizeof table[0])

static struct mgpt_error error;
static struct mgpt_registry *registry;
static struct mgpt_conf *conf;
static const char *plugin_path; /* of the environment, before setup() hides it */

/* ---- modules that have options and nothing else ---- */

static void nothing(void)
{
}
#define N nothing
/* Only names and options are looked at here, so one table with no function missing does for every
 * kind. */
static const struct {
    uint32_t size, reserved;
    void (*functions[32])(void);
} api = {sizeof api, 0, {N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
                         N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N}};
#undef N

static const char *const shapes[] = {"round", "square", NULL};
static const struct mgpt_option options[] = {
    {"flag", "yes", "a flag", NULL, 0, 0, NULL, MGPT_OPTION_BOOL, 0},
    {"count", "3", "a count", "things", -5, 5, NULL, MGPT_OPTION_INT, 0},
    {"rate", "0.5", "a rate", NULL, 0, 1, NULL, MGPT_OPTION_FLOAT, 0},
    {"any", "-1e300", "any number", NULL, 0, 0, NULL, MGPT_OPTION_FLOAT, 0},
    {"name", "", "a name", NULL, 0, 0, NULL, MGPT_OPTION_TEXT, 0},
    {"shape", "round", "a shape", NULL, 0, 0, shapes, MGPT_OPTION_ENUM, 0},
    {"file", "", "a file, perhaps", NULL, 0, 0, NULL, MGPT_OPTION_PATH, 0},
    {"shapes", "round, square", "shapes", NULL, 0, 0, shapes, MGPT_OPTION_LIST, 0},
    {"words", "none", "words", NULL, 0, 0, NULL, MGPT_OPTION_LIST, 0},
    {"seed", "18446744073709551615", "a seed", NULL, 0, 0, NULL, MGPT_OPTION_SEED, 0},
};
#define FAKE(kind, name)                                                                           \
    {                                                                                              \
        (uint32_t)sizeof(struct mgpt_component), MGPT_OPTIONS(options), 0, kind "/1", name, "",    \
            options, NULL, &api                                                                    \
    }
static const struct mgpt_component fakes[] = {
    FAKE("dataset", "lines"), FAKE("tokenizer", "char"),   FAKE("optimizer", "adamw"),
    FAKE("optimizer", "sgd"), FAKE("scheduler", "cosine"), FAKE("precision", "fp32"),
    FAKE("sampler", "topk"),  FAKE("logger", "console"),   FAKE("logger", "jsonl"),
    FAKE("backend", "cpu"),
};

static void add_fakes(void)
{
    for (int i = 0; i < COUNT(fakes); i++)
        ck_assert_msg(mgpt_registry_add_builtin(registry, &fakes[i], &error) == MGPT_OK, "%s",
                      error.text);
}

/* A registry that sees none but the fakes; the scratch folder is the working directory. */
static void setup(void)
{
    unsetenv("MICROGPT_PLUGIN_PATH");
    mgpt_log_threshold(MGPT_LOG_ERROR);
    ck_assert_int_eq(chdir(in_scratch(".")), 0);
    ck_assert_int_eq(mgpt_registry_create(&registry, &error), MGPT_OK);
    add_fakes();
    ck_assert_int_eq(mgpt_conf_create(&conf, &error), MGPT_OK);
}

static void teardown(void)
{
    mgpt_conf_destroy(conf);
    mgpt_registry_destroy(registry);
    ck_assert_int_eq(chdir("/"), 0);
}

static inline enum mgpt_status read_bytes(const void *ini, size_t size)
{
    put_bytes("microgpt.ini", ini, size);
    return mgpt_conf_read(conf, "microgpt.ini", &error);
}

static inline enum mgpt_status check_text(const char *ini)
{
    enum mgpt_status status = read_bytes(ini, strlen(ini));
    return status == MGPT_OK ? mgpt_conf_check(conf, registry, &error) : status;
}

#define ck_ok(call) ck_assert_msg((call) == MGPT_OK, "%s: %s", #call, error.text)

#define BYTES(text) text, sizeof text - 1
#define X10 "xxxxxxxxxx"
#define X50 X10 X10 X10 X10 X10
#define X100 X50 X50

/* As run_cases, but the scratch folder must be there before setup() enters it. */
static int run_suite(const char *name, TCase *tests)
{
    Suite *suite = suite_create(name);
    static char copy[4096];
    plugin_path = getenv("MICROGPT_PLUGIN_PATH");
    if (plugin_path) {
        snprintf(copy, sizeof copy, "%s", plugin_path);
        plugin_path = copy;
    }
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, scratch_setup, scratch_teardown);
    tcase_add_checked_fixture(tests, setup, teardown);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
