/* The modules of tests/plugins/, and two folders to search. For Check programs about loading. */
#ifndef TESTS_MODULES_H
#define TESTS_MODULES_H

#include "scratch.h"

#define PATH_SIZE 1024

static char modules[PATH_SIZE / 2];                      /* where tests/plugins/ is built */
static char first[PATH_SIZE / 2], second[PATH_SIZE / 2]; /* two folders to search */

static const char *in(const char *where, const char *name)
{
    static char paths[4][PATH_SIZE]; /* so that a few may be in use at once */
    static unsigned turn;
    char *path = paths[turn++ % 4];
    (void)snprintf(path, PATH_SIZE, "%s/%s", where, name);
    return path;
}

static void modules_setup(void)
{
    const char *given = getenv("MICROGPT_TEST_PLUGINS"), *build = getenv("abs_top_builddir");
    if (given)
        (void)snprintf(modules, sizeof modules, "%s", given);
    else
        (void)snprintf(modules, sizeof modules, "%s/tests/plugins/.libs", build ? build : ".");
    scratch_setup();
    (void)snprintf(first, sizeof first, "%s", in_scratch("first"));
    (void)snprintf(second, sizeof second, "%s", in_scratch("second"));
    ck_assert_int_eq(mkdir(first, 0755), 0);
    ck_assert_int_eq(mkdir(second, 0755), 0);
    ck_assert_int_eq(unsetenv("MICROGPT_PLUGIN_PATH"), 0);
}

static inline const char *put(const char *path, const void *data, size_t size)
{
    put_bytes(path, data, size);
    ck_assert_int_eq(chmod(path, 0644), 0); /* whatever the umask */
    return path;
}

/* Puts a module of tests/plugins/ under a name of its own into a folder. */
static inline void place(const char *module, const char *where, const char *name)
{
    size_t size;
    char *data = get_bytes(in(modules, module), &size);
    (void)put(in(where, name), data, size);
    free(data);
}

#endif
