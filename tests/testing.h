/* What the test programs share: how they end, and which modules they see. */
#ifndef MGPT_TESTS_TESTING_H
#define MGPT_TESTS_TESTING_H

#include <check.h>
#include <stdbool.h>

#include "check/check.h"
#include "check/net.h"

/* Fails the test with the error's text unless the call returns MGPT_OK: checks of the core abort
 * it, see testing.c. */
#define ck_ok(call) check_ok(call)

/* Runs one suite of one case; the program's exit status. */
int test_main(const char *name, void (*add_tests)(TCase *));

/* A registry over MICROGPT_PLUGIN_PATH and the folder of test plugins, with the core's own
 * components. */
static inline struct mgpt_registry *test_registry(void)
{
    return mgpt_check_registry();
}

/* Is there a backend of that name? cuda_emu wants a C++ compiler. */
static inline bool test_has_backend(const char *name)
{
    return mgpt_check_has(MGPT_KIND_BACKEND, name);
}

#endif
