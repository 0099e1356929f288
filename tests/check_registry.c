/* The registry: modules found by name, refused with the cause, listed. */
#include <config.h>

#include <microgpt/scheduler.h>

#include "modules.h"
#include "plugin/registry.h"

static struct mgpt_error error;
static struct mgpt_registry *registry;
static struct mgpt_module module;

static void setup(void)
{
    modules_setup();
    ck_assert_int_eq(mgpt_registry_create(&registry, &error), MGPT_OK);
    ck_assert_int_eq(mgpt_registry_add_path(registry, first, &error), MGPT_OK);
    ck_assert_int_eq(mgpt_registry_add_path(registry, second, &error), MGPT_OK);
}

static void teardown(void)
{
    mgpt_registry_destroy(registry);
    registry = NULL;
    scratch_teardown();
}

static void found(const char *kind, const char *name, const char *path)
{
    ck_assert_msg(mgpt_registry_find(registry, kind, name, &module, &error) == MGPT_OK, "%s",
                  error.text);
    ck_assert_str_eq(module.component->name, name);
    ck_assert_str_eq(module.path, path);
}

static void not_found(const char *kind, const char *name, const char *why)
{
    ck_assert_int_eq(mgpt_registry_find(registry, kind, name, &module, &error), MGPT_PLUGIN);
    ck_assert_has(error.text, why);
    ck_assert_ptr_null(strchr(error.text, '\n'));
}

static int was_tried(const char *path, const char *outcome)
{
    for (size_t i = 0; i < mgpt_registry_attempts(registry); i++) {
        struct mgpt_attempt a = mgpt_registry_attempt(registry, i);
        if (strcmp(a.path, path) == 0 && strstr(a.outcome, outcome))
            return 1;
    }
    return 0;
}

static void tried(const char *path, const char *outcome)
{
    ck_assert_msg(was_tried(path, outcome), "no attempt of %s with outcome %s", path, outcome);
}

START_TEST(finds_a_module_by_its_file_name)
{
    place("good_old.so", second, "scheduler_old.so");
    found("scheduler", "old", in(second, "scheduler_old.so"));
    ck_assert_str_eq(module.plugin->id, "org.microgpt.test.old");
    tried(in(first, "scheduler_old.so"), "not there");
    tried(in(second, "scheduler_old.so"), "loaded");
    ck_assert_uint_eq(mgpt_registry_count(registry, NULL), 1);
}
END_TEST

START_TEST(takes_the_first_that_is_found)
{
    place("good_old.so", first, "scheduler_old.so");
    place("good_old.so", second, "scheduler_old.so");
    found("scheduler", "old", in(first, "scheduler_old.so"));
    mgpt_registry_scan(registry, NULL);
    tried(in(second, "scheduler_old.so"), "hidden by ");
}
END_TEST

START_TEST(passes_over_a_file_that_is_refused)
{
    (void)put(in(first, "scheduler_old.so"), "none", 4);
    place("good_old.so", second, "scheduler_old.so");
    found("scheduler", "old", in(second, "scheduler_old.so"));
    tried(in(first, "scheduler_old.so"), "found 4 bytes");
}
END_TEST

START_TEST(says_every_refusal_when_nothing_loads)
{
    (void)put(in(first, "scheduler_old.so"), "none", 4);
    place("bad_abi.so", second, "scheduler_old.so");
    not_found("scheduler", "old", "scheduler old was refused; looked for scheduler_old.so in: ");
    ck_assert_has(error.text, "/first (found 4 bytes");
    ck_assert_has(error.text, "/second (built for ABI 99.3");
}
END_TEST

START_TEST(suggests_the_nearest_name)
{
    place("good_old.so", second, "scheduler_cosine.so");
    place("good_old.so", second, "optimizer_cosinus.so");
    not_found("scheduler", "cosin", "no scheduler called \"cosin\" (did you mean cosine?); ");
    ck_assert_has(error.text, "/first (not there), ");
    not_found("scheduler", "zebra", "no scheduler called \"zebra\"; looked for scheduler_zebra.so");
}
END_TEST

START_TEST(refuses_names_that_leave_the_folder)
{
    static const char *const names[] = {"",    "..",     "a/b", "../scheduler_old",
                                        "Old", "old.so", "a b"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        not_found("scheduler", names[i], "expected only a-z, 0-9, _ and -");
    char name[4096];
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = '\0';
    not_found("scheduler", name, "it has 4095 characters");
    not_found("quantum", "old", "\"quantum\" is no kind of module, expected one of backend, ");
    not_found("scheduler/1", "old", "is no kind of module");
}
END_TEST

START_TEST(refuses_relative_paths)
{
    ck_assert_int_eq(chdir(first), 0);
    place("good_old.so", first, "scheduler_old.so");
    ck_assert_int_eq(mgpt_registry_add_path(registry, "first", &error), MGPT_PLUGIN);
    ck_assert_has(error.text, "expected an absolute path");
    ck_assert_int_eq(mgpt_registry_add_path(registry, "", &error), MGPT_PLUGIN);
    ck_assert_int_eq(mgpt_registry_load(registry, "scheduler_old.so", &error), MGPT_PLUGIN);
    ck_assert_has(error.text, "expected an absolute path");
    tried("scheduler_old.so", "not an absolute path");

    mgpt_registry_destroy(registry);
    ck_assert_int_eq(setenv("MICROGPT_PLUGIN_PATH", ".::relative:/nowhere:", 1), 0);
    ck_assert_int_eq(mgpt_registry_create(&registry, &error), MGPT_OK);
    tried(".", "takes absolute folders alone");
    tried("relative", "takes absolute folders alone");
    tried("(empty)", "takes absolute folders alone");
    not_found("scheduler", "old", "in: /nowhere (not there), /");
    ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

START_TEST(looks_along_the_path_of_the_environment)
{
    place("good_old.so", second, "scheduler_old.so");
    mgpt_registry_destroy(registry);
    char list[2 * PATH_SIZE];
    (void)snprintf(list, sizeof list, "%s:%s", first, second);
    ck_assert_int_eq(setenv("MICROGPT_PLUGIN_PATH", list, 1), 0);
    ck_assert_int_eq(mgpt_registry_create(&registry, &error), MGPT_OK);
    found("scheduler", "old", in(second, "scheduler_old.so"));
}
END_TEST

START_TEST(says_what_a_misnamed_file_holds)
{
    place("good_old.so", first, "scheduler_new.so");
    not_found("scheduler", "new", "holds scheduler old, expected scheduler new");
    ck_assert_uint_eq(mgpt_registry_count(registry, NULL), 0);
}
END_TEST

START_TEST(loads_all_of_a_file_but_kinds_it_does_not_know)
{
    const char *path = in(modules, "bad_kind.so");
    ck_assert_msg(mgpt_registry_load(registry, path, &error) == MGPT_OK, "%s", error.text);
    ck_assert_int_eq(mgpt_registry_load(registry, path, &error), MGPT_OK);
    ck_assert_uint_eq(mgpt_registry_count(registry, NULL), 2);
    ck_assert_uint_eq(mgpt_registry_count(registry, "scheduler"), 2);
    ck_assert_uint_eq(mgpt_registry_count(registry, "optimizer"), 0);
    ck_assert_str_eq(mgpt_registry_at(registry, NULL, 0).component->name, "dim");
    ck_assert_str_eq(mgpt_registry_at(registry, "scheduler", 1).component->name, "half");
    found("scheduler", "half", path);
    tried(path, "kind quantum/7: unknown here");
    tried(path, "kind scheduler/2: this microgpt speaks scheduler/1");
}
END_TEST

START_TEST(loads_nothing_of_a_file_that_brings_a_name_again)
{
    place("bad_kind.so", first, "scheduler_half.so");
    found("scheduler", "half", in(first, "scheduler_half.so"));
    ck_assert_int_eq(mgpt_registry_load(registry, in(modules, "bad_kind.so"), &error), MGPT_PLUGIN);
    ck_assert_has(error.text, "scheduler half is there already: ");
    ck_assert_uint_eq(mgpt_registry_count(registry, NULL), 1);
}
END_TEST

START_TEST(registers_only_what_was_asked_for_by_name)
{
    place("bad_kind.so", first, "scheduler_half.so");
    found("scheduler", "half", in(first, "scheduler_half.so"));
    ck_assert_uint_eq(mgpt_registry_count(registry, NULL), 1);
    not_found("scheduler", "dim", "no scheduler called \"dim\"");
}
END_TEST

START_TEST(asks_for_the_version_and_the_machine_before_use)
{
    ck_assert_int_eq(mgpt_registry_load(registry, in(modules, "bad_kind.so"), &error), MGPT_OK);
    ck_assert_int_eq(mgpt_registry_use(registry, "scheduler/1", "half", &module, &error), MGPT_OK);
    ck_assert_str_eq(module.component->name, "half");
    ck_assert_int_eq(mgpt_registry_use(registry, "scheduler/2", "half", &module, &error),
                     MGPT_PLUGIN);
    ck_assert_has(error.text, "speaks scheduler/1, expected scheduler/2");
    ck_assert_int_eq(mgpt_registry_use(registry, "scheduler/1", "dim", &module, &error),
                     MGPT_UNSUPPORTED);
    ck_assert_str_eq(error.text, "scheduler dim cannot run here: the half-light is too bright");
    ck_assert_int_eq(mgpt_registry_use(registry, "scheduler/1", "none", &module, &error),
                     MGPT_PLUGIN);
}
END_TEST

START_TEST(scans_past_everything_that_is_wrong)
{
    place("bad_abi.so", first, "optimizer_abi.so");
    place("bad_undefined.so", first, "backend_undefined.so");
    place("good_old.so", first, "scheduler_old.so");
    place("good_new.so", first, "scheduler_later.so");
    place("good_old.so", first, "quantum_cat.so");
    place("good_old.so", first, "scheduler_Upper.so");
    mgpt_registry_scan(registry, "backend"); /* of one kind, then of all */
    ck_assert(was_tried(in(first, "backend_undefined.so"), ""));
    ck_assert(!was_tried(in(first, "optimizer_abi.so"), ""));
    ck_assert(!was_tried(in(first, "scheduler_old.so"), ""));
    mgpt_registry_scan(registry, NULL);
    tried(in(first, "scheduler_old.so"), "loaded");
    tried(in(first, "scheduler_later.so"), "loaded");
    tried(in(first, "optimizer_abi.so"), "built for ABI 99.3");
    tried(in(first, "backend_undefined.so"), "undefined symbol");
    tried(in(first, "quantum_cat.so"), "not called KIND_NAME.so");
    tried(in(first, "scheduler_Upper.so"), "not called KIND_NAME.so");
}
END_TEST

static enum mgpt_status scheduler_create(const struct mgpt_host *host,
                                         const struct mgpt_config *config,
                                         struct mgpt_scheduler **scheduler, struct mgpt_error *e)
{
    (void)host, (void)config, (void)e;
    *scheduler = NULL;
    return MGPT_OK;
}
static void scheduler_destroy(struct mgpt_scheduler *scheduler)
{
    (void)scheduler;
}
static double scheduler_lr(const struct mgpt_scheduler *scheduler, uint64_t step, uint64_t total,
                           double base)
{
    (void)scheduler, (void)step, (void)total;
    return base;
}

static const struct mgpt_scheduler_api scheduler = {(uint32_t)sizeof scheduler, 0, scheduler_create,
                                                    scheduler_destroy, scheduler_lr};
static const struct mgpt_component sound = {(uint32_t)sizeof sound,
                                            MGPT_NO_OPTIONS,
                                            0,
                                            MGPT_KIND_SCHEDULER,
                                            "sound",
                                            "nothing wrong with it",
                                            NULL,
                                            NULL,
                                            &scheduler};

START_TEST(holds_what_is_built_in)
{
    ck_assert_int_eq(mgpt_registry_add_builtin(registry, &sound, &error), MGPT_OK);
    found("scheduler", "sound", "built in");
    ck_assert_ptr_null(module.plugin);
    struct mgpt_component twin = sound;
    ck_assert_int_eq(mgpt_registry_add_builtin(registry, &twin, &error), MGPT_PLUGIN);
    ck_assert_has(error.text, "scheduler sound is there already: built in");
    twin.summary = NULL;
    ck_assert_int_eq(mgpt_registry_add_builtin(registry, &twin, &error), MGPT_PLUGIN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("registry");
    TCase *search = tcase_create("registry");
    tcase_set_timeout(search, 60);
    tcase_add_checked_fixture(search, setup, teardown);
    suite_add_tcase(suite, search);
    tcase_add_test(search, finds_a_module_by_its_file_name);
    tcase_add_test(search, takes_the_first_that_is_found);
    tcase_add_test(search, passes_over_a_file_that_is_refused);
    tcase_add_test(search, says_every_refusal_when_nothing_loads);
    tcase_add_test(search, suggests_the_nearest_name);
    tcase_add_test(search, refuses_names_that_leave_the_folder);
    tcase_add_test(search, refuses_relative_paths);
    tcase_add_test(search, looks_along_the_path_of_the_environment);
    tcase_add_test(search, says_what_a_misnamed_file_holds);
    tcase_add_test(search, loads_all_of_a_file_but_kinds_it_does_not_know);
    tcase_add_test(search, loads_nothing_of_a_file_that_brings_a_name_again);
    tcase_add_test(search, registers_only_what_was_asked_for_by_name);
    tcase_add_test(search, asks_for_the_version_and_the_machine_before_use);
    tcase_add_test(search, scans_past_everything_that_is_wrong);
    tcase_add_test(search, holds_what_is_built_in);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
