/* A scratch folder for each test, and plain helpers on the files in it. For Check programs. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <check.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <microgpt/status.h>

static char scratch[256];

static int scratch_remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

/* Checked fixtures: they run in the child, so tests do not share the folder. */
static void scratch_setup(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(scratch, sizeof scratch, "%s/mgpt-test-XXXXXX",
             base && base[0] == '/' ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(scratch));
}

static void scratch_teardown(void)
{
    nftw(scratch, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A path in the scratch folder; one of eight buffers that take turns. */
static inline const char *in_scratch(const char *format, ...) MGPT_PRINTF(1, 2);
static inline const char *in_scratch(const char *format, ...)
{
    static char buffers[8][512];
    static unsigned turn;
    char *buffer = buffers[turn++ % 8];
    va_list args;
    int n = snprintf(buffer, sizeof buffers[0], "%s/", scratch);
    va_start(args, format);
    vsnprintf(buffer + n, sizeof buffers[0] - (size_t)n, format, args);
    va_end(args);
    return buffer;
}

static inline void put_bytes(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static inline char *get_bytes(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s", path);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    char *data = malloc(*size + 1);
    ck_assert_ptr_nonnull(data);
    ck_assert_uint_eq(fread(data, 1, *size, file), *size);
    data[*size] = '\0';
    fclose(file);
    return data;
}

#define ck_assert_has(text, part)                                                                  \
    ck_assert_msg(strstr((text), (part)) != NULL, "\"%s\" does not say \"%s\"", (text), (part))

static inline int run_cases(const char *suite_name, TCase *tests)
{
    Suite *suite = suite_create(suite_name);
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, scratch_setup, scratch_teardown);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
