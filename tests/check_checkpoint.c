/* Checkpoints: saved, found, loaded, pruned; damage is seen and the one before is taken. */
#include <config.h>

#include "run/checkpoint.h"

#include <dirent.h>
#include <sys/wait.h>

#include "scratch.h"
#include "small_snapshot.h"

static struct mgpt_error error;
static struct small small;

static const char *const files[] = {"model.safetensors", "state.safetensors", "config.json",
                                    "tokenizer.json", "manifest.json"};
enum { N_FILES = 5 };

static void save(uint64_t step, bool best, unsigned keep)
{
    enum mgpt_status status =
        mgpt_checkpoint_save(scratch, small_init(&small, step), best, keep, &error);
    ck_assert_msg(status == MGPT_OK, "%s", error.text);
}

/* Found, and every value is of that step. */
static void finds(const char *which, uint64_t step)
{
    char *path = NULL;
    enum mgpt_status status = mgpt_checkpoint_find(scratch, which, &path, &error);
    ck_assert_msg(status == MGPT_OK, "%s", error.text);
    ck_assert_ptr_nonnull(path);
    small_init(&small, 987654321);
    status = mgpt_checkpoint_load(path, &small.snapshot, &error);
    ck_assert_msg(status == MGPT_OK, "%s", error.text);
    ck_assert_msg(small_is(&small, step), "%s is not step %d", path, (int)step);
    free(path);
}

static void finds_nothing(const char *which)
{
    char *path = scratch;
    ck_assert_int_eq(mgpt_checkpoint_find(scratch, which, &path, &error), MGPT_OK);
    ck_assert_ptr_null(path);
}

static void refuses(const char *which, const char *part)
{
    char *path = scratch;
    ck_assert_int_eq(mgpt_checkpoint_find(scratch, which, &path, &error), MGPT_DATA);
    ck_assert_ptr_null(path);
    ck_assert_has(error.text, part);
}

static void links_to(const char *name, const char *expected)
{
    char target[256];
    ssize_t n = readlink(in_scratch("%s", name), target, sizeof target - 1);
    ck_assert_int_gt(n, 0);
    target[n] = '\0';
    ck_assert_str_eq(target, expected);
}

static size_t entries(const char *path)
{
    size_t n = 0;
    DIR *dir = opendir(path);
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2; /* . and .. */
}

static bool exists(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

static void flip(const char *path, size_t bit)
{
    size_t size;
    char *data = get_bytes(path, &size);
    data[bit / 8 % size] ^= (char)(1 << bit % 8);
    put_bytes(path, data, size);
    free(data);
}

START_TEST(a_run_without_checkpoints_has_none)
{
    finds_nothing("latest");
    finds_nothing("best");
    ck_assert_int_eq(mkdir(in_scratch("checkpoints"), 0700), 0);
    finds_nothing("latest");
    refuses(in_scratch("checkpoints/step-1"), "step-1/manifest.json: cannot open: No such file");
}
END_TEST

START_TEST(loads_what_was_saved)
{
    save(0, false, 3);
    finds("latest", 0);
    finds_nothing("best");
    save(7, true, 3);
    finds("latest", 7);
    finds("best", 7);
    save(8, false, 3);
    finds("latest", 8);
    finds("best", 7);
    finds(in_scratch("checkpoints/step-0"), 0);
    links_to("latest", "checkpoints/step-8");
    links_to("best", "checkpoints/step-7");
    ck_assert_uint_eq(entries(scratch), 3);
    ck_assert_uint_eq(entries(in_scratch("checkpoints")), 3);
    ck_assert_uint_eq(entries(in_scratch("checkpoints/step-8")), N_FILES);
}
END_TEST

START_TEST(hands_out_its_texts)
{
    char *text;
    size_t size;
    save(1, false, 1);
    const char *path = in_scratch("latest");
    ck_assert_int_eq(mgpt_checkpoint_text(path, "config.json", &text, &size, &error), MGPT_OK);
    ck_assert_str_eq(text, "{\"layers\": 1}\n");
    ck_assert_uint_eq(size, strlen(text));
    free(text);
    ck_assert_int_eq(mgpt_checkpoint_text(path, "none.json", &text, &size, &error), MGPT_DATA);
    ck_assert_has(error.text, "latest/none.json");
}
END_TEST

START_TEST(loads_weights_without_state)
{
    save(5, false, 1);
    small_init(&small, 6);
    small.snapshot.n_state = 0;
    ck_assert_int_eq(mgpt_checkpoint_load(in_scratch("latest"), &small.snapshot, &error), MGPT_OK);
    ck_assert_uint_eq(small.snapshot.step, 5);
    ck_assert_float_eq(small.wte[0], 5);
    ck_assert_double_eq(small.clock, 2);
}
END_TEST

START_TEST(saves_weights_without_state_or_tokenizer)
{
    struct mgpt_snapshot *snapshot = small_init(&small, 5);
    snapshot->n_state = 0;
    snapshot->tokenizer_json = NULL;
    ck_assert_int_eq(mgpt_checkpoint_save(scratch, snapshot, false, 1, &error), MGPT_OK);
    ck_assert_uint_eq(entries(in_scratch("checkpoints/step-5")), 3);
    ck_assert_int_eq(mgpt_checkpoint_load(in_scratch("latest"), snapshot, &error), MGPT_OK);
    snapshot->n_state = 2;
    ck_assert_int_eq(mgpt_checkpoint_load(in_scratch("latest"), snapshot, &error), MGPT_DATA);
    ck_assert_has(error.text, "state.safetensors");
    snapshot->config_json = NULL;
    ck_assert_int_eq(mgpt_checkpoint_save(scratch, snapshot, false, 1, &error), MGPT_INVALID);
}
END_TEST

START_TEST(refuses_a_model_of_another_shape)
{
    save(5, false, 1);
    small_init(&small, 5);
    small.model[0].shape[0] = 28;
    ck_assert_int_eq(mgpt_checkpoint_load(in_scratch("latest"), &small.snapshot, &error),
                     MGPT_DATA);
    ck_assert_has(error.text, "\"wte.weight\" is F32 [27, 16], expected F32 [28, 16]");
    small_init(&small, 5);
    small.snapshot.n_model = 1;
    ck_assert_int_eq(mgpt_checkpoint_load(in_scratch("latest"), &small.snapshot, &error),
                     MGPT_DATA);
    ck_assert_has(error.text, "holds 2 tensors, expected 1");
}
END_TEST

START_TEST(keeps_the_newest_the_best_and_the_latest)
{
    save(1, true, 2);
    for (uint64_t step = 2; step <= 5; step++)
        save(step, false, 2);
    ck_assert_uint_eq(entries(in_scratch("checkpoints")), 3);
    finds("best", 1);
    finds(in_scratch("checkpoints/step-4"), 4);
    finds("latest", 5);
    save(3, false, 1); /* resumed from an earlier one: the latest is not the newest */
    finds("latest", 3);
    ck_assert_uint_eq(entries(in_scratch("checkpoints")), 3);
    ck_assert(exists(in_scratch("checkpoints/step-5")) &&
              !exists(in_scratch("checkpoints/step-4")));
    save(10, true, 0);
    ck_assert_uint_eq(entries(in_scratch("checkpoints")), 1);
    finds("best", 10);
}
END_TEST

START_TEST(leaves_strangers_in_peace)
{
    ck_assert_int_eq(mkdir(in_scratch("checkpoints"), 0700), 0);
    ck_assert_int_eq(mkdir(in_scratch("checkpoints/step-1-copy"), 0700), 0);
    ck_assert_int_eq(mkdir(in_scratch("checkpoints/step-01"), 0700), 0);
    ck_assert_int_eq(mkdir(in_scratch("checkpoints/step-99999999999999999999"), 0700), 0);
    put_bytes(in_scratch("checkpoints/notes.tmp-x"), "x", 1);
    put_bytes(in_scratch("metrics.jsonl"), "x", 1);
    save(1, false, 1);
    save(2, false, 1);
    ck_assert_uint_eq(entries(in_scratch("checkpoints")), 5);
    ck_assert(exists(in_scratch("metrics.jsonl")));
}
END_TEST

START_TEST(replaces_a_step_that_is_there)
{
    save(4, false, 3);
    put_bytes(in_scratch("checkpoints/step-4/extra"), "x", 1);
    flip(in_scratch("checkpoints/step-4/model.safetensors"), 9999);
    save(4, false, 3);
    finds("latest", 4);
    ck_assert_uint_eq(entries(in_scratch("checkpoints/step-4")), N_FILES);
    ck_assert_uint_eq(entries(in_scratch("checkpoints")), 1);
}
END_TEST

START_TEST(removes_what_killed_runs_left)
{
    save(1, false, 3);
    ck_assert_int_eq(mkdir(in_scratch("checkpoints/step-2.tmp-77"), 0700), 0);
    put_bytes(in_scratch("checkpoints/step-2.tmp-77/model.safetensors"), "x", 1);
    put_bytes(in_scratch("checkpoints/step-3.tmp-77"), "x", 1);
    ck_assert_int_eq(mkdir(in_scratch("checkpoints/step-1.old-77"), 0700), 0);
    put_bytes(in_scratch("config.ini.tmp-77"), "x", 1);
    ck_assert_int_eq(symlink("nowhere", in_scratch("latest.tmp-77")), 0);
    char gone[64], there[64];
    pid_t child = fork();
    if (!child)
        _exit(0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    (void)snprintf(gone, sizeof gone, "watch.html.tmp-%ld", (long)child);
    (void)snprintf(there, sizeof there, "watch.html.tmp-%ld", (long)getpid());
    put_bytes(in_scratch("%s", gone), "x", 1);
    put_bytes(in_scratch("%s", there), "x", 1); /* is being written */
    finds("latest", 1);
    ck_assert(exists(in_scratch("latest.tmp-77"))); /* readers change nothing */
    save(2, false, 3);
    ck_assert_uint_eq(entries(in_scratch("checkpoints")), 2);
    ck_assert(exists(in_scratch("%s", there)));
    ck_assert_uint_eq(entries(scratch), 3);
}
END_TEST

/* A file system that cannot swap two folders, and a kill between the two renames. */
START_TEST(recovers_an_interrupted_replacement)
{
    save(6, true, 3);
    ck_assert_int_eq(
        rename(in_scratch("checkpoints/step-6"), in_scratch("checkpoints/step-6.old-77")), 0);
    finds("latest", 6);
    save(7, false, 3);
    finds("best", 6);
    finds("latest", 7);
    ck_assert(!exists(in_scratch("checkpoints/step-6.old-77")));
}
END_TEST

START_TEST(missing_or_dangling_latest_is_no_loss)
{
    save(1, false, 3);
    save(10, false, 3);
    save(9, false, 3);
    ck_assert_int_eq(unlink(in_scratch("latest")), 0);
    finds("latest", 10); /* by number, not by name */
    ck_assert_int_eq(symlink("checkpoints/step-11", in_scratch("latest")), 0);
    finds("latest", 10);
    ck_assert_int_eq(unlink(in_scratch("latest")), 0);
    ck_assert_int_eq(symlink("latest", in_scratch("latest")), 0);
    finds("latest", 10);
}
END_TEST

START_TEST(best_has_no_second_best)
{
    save(1, true, 3);
    save(2, true, 3);
    flip(in_scratch("best/model.safetensors"), 5000);
    refuses("best", "step-2/model.safetensors: is damaged");
    finds("latest", 1);
}
END_TEST

START_TEST(takes_the_one_before_a_damaged_one)
{
    for (int i = 0; i < N_FILES; i++) {
        save(1, false, 3);
        save(2, false, 3);
        ck_assert_int_eq(unlink(in_scratch("checkpoints/step-2/%s", files[i])), 0);
        finds("latest", 1);
    }
}
END_TEST

START_TEST(names_each_when_all_are_damaged)
{
    save(1, false, 3);
    save(2, false, 3);
    flip(in_scratch("checkpoints/step-1/state.safetensors"), 300);
    ck_assert_int_eq(truncate(in_scratch("checkpoints/step-2/config.json"), 3), 0);
    refuses("latest", "step-1/state.safetensors: is damaged");
    ck_assert_has(error.text, "step-2/config.json: is 3 bytes long, the manifest says 14");
}
END_TEST

START_TEST(sees_every_truncation)
{
    save(1, false, 3);
    char *path = NULL;
    for (int i = 0; i < N_FILES; i++) {
        size_t size;
        char *whole = get_bytes(in_scratch("latest/%s", files[i]), &size);
        for (size_t n = 0; n < size; n += n < 600 ? 1 : 37) {
            put_bytes(in_scratch("latest/%s", files[i]), whole, n);
            ck_assert_int_eq(mgpt_checkpoint_find(scratch, in_scratch("latest"), &path, &error),
                             MGPT_DATA);
            ck_assert_has(error.text, scratch);
        }
        put_bytes(in_scratch("latest/%s", files[i]), whole, size);
        free(whole);
    }
    finds("latest", 1);
}
END_TEST

/* The header's bits that leave a legal header among them, and the manifest's own. */
START_TEST(sees_every_flipped_bit)
{
    save(1, false, 3);
    const char *folder = in_scratch("checkpoints/step-1");
    for (int i = 0; i < N_FILES; i++) {
        char path[512], *found = NULL;
        size_t size;
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        char *bytes = get_bytes(path, &size);
        for (size_t bit = 0; bit < 8 * size; bit += bit < 8 * 500 ? 1 : 101) {
            bytes[bit / 8] ^= (char)(1 << bit % 8);
            put_bytes(path, bytes, size);
            ck_assert_msg(mgpt_checkpoint_find(scratch, folder, &found, &error) == MGPT_DATA,
                          "bit %zu of %s", bit, files[i]);
            bytes[bit / 8] ^= (char)(1 << bit % 8);
        }
        put_bytes(path, bytes, size);
        free(bytes);
    }
    finds("latest", 1);
}
END_TEST

START_TEST(manifest_refuses_what_it_should_not_follow)
{
    static const char *const bad[][2] = {
        {"[]", "expected an object"},
        {"{\"version\":2,\"step\":1,\"files\":{}}", "not of version 1"},
        {"{\"version\":1,\"version\":1}", "is not JSON"},
        {"{\"version\":1,\"step\":-1,\"files\":{}}", "expected version, step and files alone"},
        {"{\"version\":1,\"step\":1,\"files\":{},\"x\":1}",
         "expected version, step and files alone"},
        {"{\"version\":1,\"step\":2,\"files\":{}}", "is of step 2, the folder's name says another"},
        {"{\"version\":1,\"step\":1,\"files\":{}}", "lists no model.safetensors"},
        {"{\"version\":1,\"step\":1,\"files\":{\"../x\":{},\"model.safetensors\":{},"
         "\"config.json\":{}}}",
         "odd name"},
        {"{\"version\":1,\"step\":1,\"files\":{\"model.safetensors\":{},\"config.json\":{}}}",
         "lacks its size or sha256"},
    };
    save(1, false, 3);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_bytes(in_scratch("latest/manifest.json"), bad[i][0], strlen(bad[i][0]));
        refuses("latest", bad[i][1]);
    }
}
END_TEST

START_TEST(failed_save_leaves_all_as_it_was)
{
    save(1, true, 3);
    small_init(&small, 2);
    small.model[1].name = small.model[0].name; /* refused halfway */
    ck_assert_int_eq(mgpt_checkpoint_save(scratch, &small.snapshot, true, 1, &error), MGPT_INVALID);
    finds("latest", 1);
    finds("best", 1);
    ck_assert_uint_eq(entries(in_scratch("checkpoints")), 1);
    put_bytes(in_scratch("file"), "x", 1);
    small_init(&small, 2);
    ck_assert_int_eq(mgpt_checkpoint_save(in_scratch("file"), &small.snapshot, true, 1, &error),
                     MGPT_IO);
    ck_assert_has(error.text, "file: cannot make the folder: Not a directory");
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("checkpoint");
    tcase_add_test(tests, a_run_without_checkpoints_has_none);
    tcase_add_test(tests, loads_what_was_saved);
    tcase_add_test(tests, hands_out_its_texts);
    tcase_add_test(tests, loads_weights_without_state);
    tcase_add_test(tests, saves_weights_without_state_or_tokenizer);
    tcase_add_test(tests, refuses_a_model_of_another_shape);
    tcase_add_test(tests, keeps_the_newest_the_best_and_the_latest);
    tcase_add_test(tests, leaves_strangers_in_peace);
    tcase_add_test(tests, replaces_a_step_that_is_there);
    tcase_add_test(tests, removes_what_killed_runs_left);
    tcase_add_test(tests, recovers_an_interrupted_replacement);
    tcase_add_test(tests, missing_or_dangling_latest_is_no_loss);
    tcase_add_test(tests, best_has_no_second_best);
    tcase_add_test(tests, takes_the_one_before_a_damaged_one);
    tcase_add_test(tests, names_each_when_all_are_damaged);
    tcase_add_test(tests, sees_every_truncation);
    tcase_add_test(tests, sees_every_flipped_bit);
    tcase_add_test(tests, manifest_refuses_what_it_should_not_follow);
    tcase_add_test(tests, failed_save_leaves_all_as_it_was);
    return run_cases("checkpoint", tests);
}
