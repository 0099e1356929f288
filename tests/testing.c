/* What the test programs share: how they end, and which modules they see. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testing.h"

/* A failed check of the core is a failed test. */
static void abort_test(const char *text)
{
    ck_abort_msg("%s", text);
}

static void note(const char *text, bool skips)
{
    printf("%s%s\n", skips ? "skipped: " : "", text);
}

/* Before main, which is each program's own. */
__attribute__((constructor)) static void prepare(void)
{
    static const char *folders[2];

    folders[0] = getenv("MICROGPT_TEST_PLUGINS");
    mgpt_check_search = folders[0] ? folders : NULL;
    mgpt_check_on_failure = abort_test;
    mgpt_check_on_note = note;
}

int test_main(const char *name, void (*add_tests)(TCase *))
{
    Suite *suite = suite_create(name);
    TCase *tests = tcase_create(name);
    SRunner *runner = srunner_create(suite);

    tcase_set_timeout(tests, 120);
    add_tests(tests);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
