/* What the conformance tests share: every module of a kind, found through the registry, so that a
 * new one is tested without editing a test; and the contract of the kind, which is core/check's. */
#ifndef MGPT_TESTS_CONFORM_H
#define MGPT_TESTS_CONFORM_H

#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#if defined __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#define LONGEST 3600 /* seconds of a case: emulated devices are slow under it */
#else
#define LONGEST 600
#endif

#include "plugin/options.h"
#include "scratch.h"
#include "testing.h"

static jmp_buf failed_here;
static char failed_with[2048];

static void fail_as_expected(const char *text)
{
    (void)snprintf(failed_with, sizeof failed_with, "%s", text);
    longjmp(failed_here, 1);
}

/* A case of the contract fails on a module that lies, with these words. */
static inline void fails(const struct mgpt_component *liar, const char *kind, const char *name,
                         const char *words)
{
    const struct mgpt_check_case *c = mgpt_contract_of(kind);
    void (*on_failure)(const char *) = mgpt_check_on_failure;

    while (c->name && strcmp(c->name, name) != 0)
        c++;
    ck_assert_ptr_nonnull(c->name);
    mgpt_check_on_failure = fail_as_expected;
    failed_with[0] = '\0';
#if defined __SANITIZE_ADDRESS__
    __lsan_disable(); /* what the case held when it failed is lost */
#endif
    if (!setjmp(failed_here))
        c->run(liar);
#if defined __SANITIZE_ADDRESS__
    __lsan_enable();
#endif
    mgpt_check_on_failure = on_failure;
    ck_assert_msg(strstr(failed_with, words), "%s says \"%s\", expected \"%s\"", name, failed_with,
                  words);
}

static const char *contract_kind;
static const char *module_name = "?"; /* of the module that is being checked */

static void module_failed(const char *text)
{
    ck_abort_msg("%s %s: %s", contract_kind, module_name, text);
}

/* Calls `check` with every module of the kind that can run here; MICROGPT_TEST_ONLY=NAME: that
 * one. */
static inline void each_module(const char *kind, void (*check)(const struct mgpt_component *))
{
    struct mgpt_registry *registry = test_registry();
    const char *only = getenv("MICROGPT_TEST_ONLY");
    size_t checked = 0;

    mgpt_registry_scan(registry, kind);
    for (size_t i = 0; i < mgpt_registry_count(registry, kind); i++) {
        struct mgpt_module module = mgpt_registry_at(registry, kind, i);
        struct mgpt_error why = {0};
        module_name = module.component->name;
        if (only && strcmp(only, module_name) != 0)
            continue;
        if (mgpt_module_probe(&module, &why) != MGPT_OK) {
            printf("%s %s: skipped: %s\n", kind, module_name, why.text);
            continue;
        }
        check(module.component);
        checked++;
    }
    ck_assert_msg(checked > 0, "no %s module found: is MICROGPT_PLUGIN_PATH set?", kind);
    mgpt_registry_destroy(registry);
}

/* One of our own modules. */
static inline const struct mgpt_component *one_module(const char *id, const char *name)
{
    struct mgpt_registry *registry = test_registry();
    struct mgpt_module module;

    ck_ok(mgpt_registry_use(registry, id, name, &module, error));
    mgpt_registry_destroy(registry);
    module_name = name;
    return module.component;
}

static void folder_setup(void)
{
    scratch_setup();
    mgpt_check_folder = scratch;
    mgpt_check_on_failure = module_failed;
}

START_TEST(keeps_the_contract)
{
    const struct mgpt_check_case *c = &mgpt_contract_of(contract_kind)[_i];

    printf("%s %s, seed %llu\n", contract_kind, c->name, (unsigned long long)mgpt_check_seed);
    each_module(contract_kind, c->run);
}
END_TEST

/* A test for each case of the kind's contract, on every module of it. */
static inline void add_contract(TCase *tests, const char *kind)
{
    const struct mgpt_check_case *cases = mgpt_contract_of(kind);
    int n = 0;

    contract_kind = kind;
    if (getenv("MICROGPT_TEST_SEED"))
        mgpt_check_seed = strtoull(getenv("MICROGPT_TEST_SEED"), NULL, 10);
    while (cases[n].name)
        n++;
    tcase_set_timeout(tests, LONGEST);
    tcase_add_checked_fixture(tests, folder_setup, scratch_teardown);
    tcase_add_loop_test(tests, keeps_the_contract, 0, n);
}

#endif
