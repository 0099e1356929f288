/* The corpus of the fuzz targets through the very functions that `make fuzz` drives: each seed,
 * each of its truncations, each flipped bit, in a buffer of just that size. */
#include <config.h>

#include <dirent.h>

#include "fuzz/fuzz.h"
#include "scratch.h"

#define LONGEST 4096

static const struct {
    const char *name;
    int (*run)(const uint8_t *data, size_t size);
    int accepted; /* of the seeds as they are */
} targets[] = {
    {"safetensors", fuzz_safetensors, 3},
    {"config", fuzz_config, 2},
    {"tokenizer", fuzz_tokenizer, 5},
    {"ini", fuzz_ini, 2},
    {"manifest", fuzz_manifest, 1},
#ifdef HAVE_UTF8PROC
    {"bpe", fuzz_bpe, 2},
#endif
};

static int run_exactly(size_t target, const char *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes, size);
    int accepted = targets[target].run(copy, size);
    free(copy);
    return accepted;
}

static int replay(size_t target, const char *path)
{
    size_t size;
    char *bytes = get_bytes(path, &size);
    ck_assert_uint_le(size, LONGEST);
    int accepted = run_exactly(target, bytes, size);
    for (size_t n = 0; n < size; n++)
        run_exactly(target, bytes, n);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        run_exactly(target, bytes, size);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    free(bytes);
    return accepted;
}

START_TEST(the_corpus_and_all_that_is_near_it_is_refused_or_sound)
{
    char folder[512], path[1024];
    const char *source = getenv("abs_top_srcdir");
    const struct dirent *entry;
    int accepted = 0;
    snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/%s", source ? source : "..",
             targets[_i].name);
    DIR *dir = opendir(folder);
    ck_assert_msg(dir != NULL, "%s", folder);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            accepted += replay((size_t)_i, path);
        }
    closedir(dir);
    ck_assert_int_eq(accepted, targets[_i].accepted);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("fuzz");
    tcase_add_loop_test(tests, the_corpus_and_all_that_is_near_it_is_refused_or_sound, 0,
                        (int)(sizeof targets / sizeof targets[0]));
    return run_cases("fuzz", tests);
}
