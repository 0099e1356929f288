/* Files: whole reads with bounds, replacement, folders, links, paths, digests. */
#include <config.h>

#include "base/file.h"

#include <fcntl.h>
#include <limits.h>

#include "base/clock.h"
#include "scratch.h"

static struct mgpt_error error;

START_TEST(reads_what_was_written)
{
    char bytes[70000], *data;
    size_t size;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7);
    ck_assert_int_eq(mgpt_file_replace(in_scratch("a"), bytes, sizeof bytes, &error), MGPT_OK);
    ck_assert_int_eq(mgpt_file_read(in_scratch("a"), sizeof bytes, &data, &size, &error), MGPT_OK);
    ck_assert_uint_eq(size, sizeof bytes);
    ck_assert_mem_eq(data, bytes, size);
    ck_assert_int_eq(data[size], 0);
    free(data);
}
END_TEST

START_TEST(reads_an_empty_file)
{
    char *data;
    size_t size;
    put_bytes(in_scratch("a"), "", 0);
    ck_assert_int_eq(mgpt_file_read(in_scratch("a"), 0, &data, &size, &error), MGPT_OK);
    ck_assert_uint_eq(size, 0);
    ck_assert_str_eq(data, "");
    free(data);
}
END_TEST

static void refuses_to_read(const char *path, const char *reason)
{
    char *data = NULL;
    size_t size;
    ck_assert_int_eq(mgpt_file_read(path, 3, &data, &size, &error), MGPT_DATA);
    ck_assert_ptr_null(data);
    ck_assert_has(error.text, path);
    ck_assert_has(error.text, reason);
}

START_TEST(names_path_and_cause_of_what_it_cannot_read)
{
    refuses_to_read(in_scratch("missing"), "No such file or directory");
    refuses_to_read(scratch, "is a directory");
    put_bytes(in_scratch("four"), "1234", 4);
    refuses_to_read(in_scratch("four"), "4 bytes long, expected at most 3");
    refuses_to_read(in_scratch("four/x"), "Not a directory");
    ck_assert_int_eq(symlink("loop", in_scratch("loop")), 0);
    refuses_to_read(in_scratch("loop"), "symbolic links");
}
END_TEST

START_TEST(does_not_wait_for_a_named_pipe)
{
    ck_assert_int_eq(mkfifo(in_scratch("pipe"), 0600), 0);
    refuses_to_read(in_scratch("pipe"), "not a regular file");
}
END_TEST

START_TEST(reports_missing_permission)
{
    put_bytes(in_scratch("secret"), "x", 1);
    ck_assert_int_eq(chmod(in_scratch("secret"), 0), 0);
    ck_assert_int_eq(chmod(scratch, 0555), 0);
    if (geteuid() == 0)
        ck_assert_int_eq(seteuid(65534), 0); /* root may read and write everything */
    refuses_to_read(in_scratch("secret"), "Permission denied");
    ck_assert_int_eq(mgpt_file_replace(in_scratch("new"), "x", 1, &error), MGPT_IO);
    ck_assert_has(error.text, in_scratch("new"));
    ck_assert_has(error.text, "Permission denied");
    ck_assert_int_eq(mgpt_dir_make(in_scratch("folder"), &error), MGPT_IO);
    ck_assert_has(error.text, "Permission denied");
    if (getuid() == 0)
        ck_assert_int_eq(seteuid(0), 0);
    ck_assert_int_eq(chmod(scratch, 0755), 0);
}
END_TEST

START_TEST(replaces_old_by_new_and_leaves_nothing_else)
{
    size_t size;
    put_bytes(in_scratch("a"), "old and longer", 14);
    int before = open(in_scratch("a"), O_RDONLY);
    ck_assert_int_eq(mgpt_file_replace(in_scratch("a"), "new", 3, &error), MGPT_OK);
    char *now = get_bytes(in_scratch("a"), &size), old[16];
    ck_assert_str_eq(now, "new");
    free(now);
    /* Whoever had it open still reads the old one: it was replaced, not overwritten. */
    ck_assert_int_eq(read(before, old, sizeof old), 14);
    close(before);
    ck_assert_int_eq(unlink(in_scratch("a")), 0);
    ck_assert_int_eq(rmdir(scratch), 0); /* so nothing else was in it */
    ck_assert_int_eq(mkdir(scratch, 0700), 0);
}
END_TEST

START_TEST(failed_replace_keeps_the_old_and_no_temporary)
{
    ck_assert_int_eq(mkdir(in_scratch("folder"), 0700), 0);
    ck_assert_int_eq(mgpt_file_replace(in_scratch("folder"), "x", 1, &error), MGPT_IO);
    ck_assert_has(error.text, in_scratch("folder"));
    ck_assert_int_eq(mgpt_file_replace(in_scratch("none/file"), "x", 1, &error), MGPT_IO);
    ck_assert_has(error.text, "No such file or directory");
    ck_assert_int_eq(rmdir(in_scratch("folder")), 0);
    ck_assert_int_eq(rmdir(scratch), 0);
    ck_assert_int_eq(mkdir(scratch, 0700), 0);
}
END_TEST

START_TEST(full_disk_is_an_error_with_path_and_cause)
{
    struct mgpt_output *output;
    char zeros[4096] = {0};
    if (access("/dev/full", W_OK))
        return;
    ck_assert_int_eq(symlink("/dev/full", in_scratch("full")), 0);
    ck_assert_int_eq(mgpt_output_create(in_scratch("full"), &output, &error), MGPT_OK);
    ck_assert_int_eq(mgpt_output_write(output, zeros, sizeof zeros, &error), MGPT_IO);
    mgpt_output_destroy(output);
    ck_assert_has(error.text, "full: cannot write at offset 0: No space left on device");
    ck_assert(access("/dev/full", W_OK) == 0 && access(in_scratch("full"), F_OK) != 0);
}
END_TEST

START_TEST(output_knows_size_and_digest)
{
    struct mgpt_output *output;
    uint64_t size;
    char hex[MGPT_SHA256_HEX], again[MGPT_SHA256_HEX];
    const char *path = in_scratch("a");
    ck_assert_int_eq(mgpt_output_create(path, &output, &error), MGPT_OK);
    ck_assert_int_eq(mgpt_output_write(output, "a", 1, &error), MGPT_OK);
    ck_assert_int_eq(mgpt_output_write(output, "bc", 2, &error), MGPT_OK);
    ck_assert_int_eq(mgpt_output_close(output, &size, hex, &error), MGPT_OK);
    ck_assert_uint_eq(size, 3);
    ck_assert_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    ck_assert_int_eq(mgpt_sha256_file(path, again, &error), MGPT_OK);
    ck_assert_str_eq(again, hex);
}
END_TEST

/* FIPS 180-4's examples; a million "a" spans several chunks of the file reader. */
START_TEST(sha256_agrees_with_the_standard)
{
    char hex[MGPT_SHA256_HEX], *million = malloc(1000000);
    mgpt_sha256("", 0, hex);
    ck_assert_str_eq(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    memset(million, 'a', 1000000);
    put_bytes(in_scratch("a"), million, 1000000);
    ck_assert_int_eq(mgpt_sha256_file(in_scratch("a"), hex, &error), MGPT_OK);
    ck_assert_str_eq(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
    ck_assert_int_eq(mgpt_sha256_file(in_scratch("none"), hex, &error), MGPT_DATA);
    ck_assert_has(error.text, in_scratch("none"));
}
END_TEST

START_TEST(makes_folders_as_deep_as_needed)
{
    struct stat info;
    ck_assert_int_eq(mgpt_dir_make(in_scratch("a//b/c/"), &error), MGPT_OK);
    ck_assert_int_eq(stat(in_scratch("a/b/c"), &info), 0);
    ck_assert(S_ISDIR(info.st_mode));
    ck_assert_int_eq(mgpt_dir_make(in_scratch("a/b/c"), &error), MGPT_OK);
    put_bytes(in_scratch("file"), "x", 1);
    ck_assert_int_eq(mgpt_dir_make(in_scratch("file"), &error), MGPT_IO);
    ck_assert_has(error.text, "Not a directory");
    ck_assert_int_eq(mgpt_dir_make(in_scratch("file/x"), &error), MGPT_IO);
    ck_assert_int_eq(mgpt_dir_sync(in_scratch("a"), &error), MGPT_OK);
    ck_assert_int_eq(mgpt_dir_sync(in_scratch("z"), &error), MGPT_IO);
}
END_TEST

START_TEST(removes_folders_without_following_links)
{
    ck_assert_int_eq(mgpt_dir_make(in_scratch("a/b"), &error), MGPT_OK);
    put_bytes(in_scratch("a/x"), "x", 1);
    put_bytes(in_scratch("a/b/y"), "y", 1);
    put_bytes(in_scratch("kept"), "k", 1);
    ck_assert_int_eq(symlink("../kept", in_scratch("a/file")), 0);
    ck_assert_int_eq(symlink("..", in_scratch("a/folder")), 0);
    ck_assert_int_eq(mgpt_dir_remove(in_scratch("a"), &error), MGPT_OK);
    ck_assert(!mgpt_path_exists(in_scratch("a")));
    ck_assert(mgpt_path_exists(in_scratch("kept")));
    ck_assert_int_eq(mgpt_dir_remove(in_scratch("a"), &error), MGPT_OK); /* missing is fine */
    ck_assert_int_eq(mgpt_dir_make(in_scratch("d/e/f/g"), &error), MGPT_OK);
    ck_assert_int_eq(mgpt_dir_remove(in_scratch("d"), &error), MGPT_IO); /* deeper than ours */
    ck_assert_has(error.text, in_scratch("d"));
    ck_assert(mgpt_path_exists(in_scratch("d/e/f/g")));
}
END_TEST

START_TEST(replaces_links)
{
    char target[64] = "";
    ck_assert_int_eq(mgpt_link_replace(in_scratch("link"), "one", &error), MGPT_OK);
    ck_assert_int_eq(mgpt_link_replace(in_scratch("link"), "two", &error), MGPT_OK);
    ck_assert_int_eq(readlink(in_scratch("link"), target, sizeof target - 1), 3);
    ck_assert_str_eq(target, "two");
    ck_assert_int_eq(mkdir(in_scratch("folder"), 0700), 0);
    ck_assert_int_eq(mgpt_link_replace(in_scratch("folder"), "one", &error), MGPT_IO);
    ck_assert_has(error.text, in_scratch("folder"));
}
END_TEST

static void joins(char *path, const char *expected)
{
    ck_assert_str_eq(path, expected);
    free(path);
}

START_TEST(splits_and_joins_paths)
{
    char here[PATH_MAX], expected[PATH_MAX + 8];
    joins(mgpt_path_join("a", "b"), "a/b");
    joins(mgpt_path_join("a/", "b"), "a/b");
    joins(mgpt_path_join("/", "b"), "/b");
    joins(mgpt_path_join("", "b"), "b");
    joins(mgpt_path_folder("a/b/c"), "a/b");
    joins(mgpt_path_folder("a/b/"), "a");
    joins(mgpt_path_folder("/a"), "/");
    joins(mgpt_path_folder("a"), ".");
    joins(mgpt_path_absolute("/a/../b"), "/a/../b");
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    snprintf(expected, sizeof expected, "%s/x", here);
    joins(mgpt_path_absolute("x"), expected);
}
END_TEST

START_TEST(a_lock_is_seen_at_once_and_refused_in_the_words_of_who_wants_it)
{
    int lock = -1, other = -1;
    ck_assert(!mgpt_dir_locked(scratch));
    ck_assert_int_eq(mgpt_dir_lock(scratch, &lock, MGPT_IO, "taken", &error), MGPT_OK);
    double begun = mgpt_seconds();
    ck_assert(mgpt_dir_locked(scratch));
    ck_assert_double_lt(mgpt_seconds() - begun, 0.5);
    ck_assert_int_eq(mgpt_dir_lock(scratch, &other, MGPT_DATA, "taken by me", &error), MGPT_DATA);
    ck_assert_has(error.text, ": taken by me");
    close(lock);
    ck_assert(!mgpt_dir_locked(scratch));
    ck_assert(!mgpt_dir_locked(in_scratch("nowhere")));
}
END_TEST

START_TEST(finds_the_users_folders_where_xdg_says)
{
    (void)setenv("HOME", "/home/me", 1);
    (void)setenv("MGPT_TEST_HOME", "/else", 1);
    joins(mgpt_path_xdg("MGPT_TEST_HOME", ".cache", "microgpt"), "/else/microgpt");
    (void)setenv("MGPT_TEST_HOME", "relative", 1);
    joins(mgpt_path_xdg("MGPT_TEST_HOME", ".cache", "microgpt"), "/home/me/.cache/microgpt");
    (void)unsetenv("MGPT_TEST_HOME");
    joins(mgpt_path_xdg("MGPT_TEST_HOME", ".local/state", "a/b"), "/home/me/.local/state/a/b");
    (void)setenv("HOME", "me", 1);
    ck_assert_ptr_null(mgpt_path_xdg("MGPT_TEST_HOME", ".cache", "microgpt"));
    (void)unsetenv("HOME");
    ck_assert_ptr_null(mgpt_path_xdg("MGPT_TEST_HOME", ".cache", "microgpt"));
}
END_TEST

/* This program is what things lie beside. */
START_TEST(finds_what_comes_with_the_program)
{
    char self[PATH_MAX], expected[PATH_MAX + 32], *folder;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    ck_assert_int_gt(n, 0);
    self[n] = 0;
    folder = mgpt_path_folder(self);
    snprintf(expected, sizeof expected, "%s/../", folder);
    joins(mgpt_path_installed("nowhere/x", "../", "/installed"), expected);
    joins(mgpt_path_installed(strrchr(self, '/') + 1, "../", "/installed"), self);
    joins(mgpt_path_installed("nowhere/x", "../nowhere/x", "/installed"), "/installed");
    free(folder);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("files");
    tcase_add_test(tests, reads_what_was_written);
    tcase_add_test(tests, reads_an_empty_file);
    tcase_add_test(tests, names_path_and_cause_of_what_it_cannot_read);
    tcase_add_test(tests, does_not_wait_for_a_named_pipe);
    tcase_add_test(tests, reports_missing_permission);
    tcase_add_test(tests, replaces_old_by_new_and_leaves_nothing_else);
    tcase_add_test(tests, failed_replace_keeps_the_old_and_no_temporary);
    tcase_add_test(tests, full_disk_is_an_error_with_path_and_cause);
    tcase_add_test(tests, output_knows_size_and_digest);
    tcase_add_test(tests, sha256_agrees_with_the_standard);
    tcase_add_test(tests, makes_folders_as_deep_as_needed);
    tcase_add_test(tests, removes_folders_without_following_links);
    tcase_add_test(tests, replaces_links);
    tcase_add_test(tests, a_lock_is_seen_at_once_and_refused_in_the_words_of_who_wants_it);
    tcase_add_test(tests, finds_the_users_folders_where_xdg_says);
    tcase_add_test(tests, finds_what_comes_with_the_program);
    tcase_add_test(tests, splits_and_joins_paths);
    return run_cases("files", tests);
}
