/* Dataset text: windows at places that are drawn from the seed, the step and the row, and nothing
 * else; and when validations of a run are due. */
#include <config.h>

#include <math.h>
#include <stdlib.h>

#include <microgpt/dataset.h>
#include <microgpt/random.h>

#include "conform.h"
#include "run/validation.h"
#include "scratch.h"

#define SEED UINT64_C(0x123456789a)
#define T 5 /* columns */

/* ---- a tokenizer of the test's own: id i of a byte is its place in the text ---- */

static int32_t no_bos(const struct mgpt_tokenizer *t)
{
    (void)t;
    return -1;
}

static int64_t places(const struct mgpt_tokenizer *t, const char *text, uint64_t size, int32_t *ids,
                      uint64_t capacity, struct mgpt_error *error)
{
    (void)t, (void)text, (void)error;
    for (uint64_t i = 0; i < size && i < capacity; i++)
        ids[i] = (int32_t)i;
    return (int64_t)size;
}

/* Three ids a byte. */
static int64_t thrice(const struct mgpt_tokenizer *t, const char *text, uint64_t size, int32_t *ids,
                      uint64_t capacity, struct mgpt_error *error)
{
    (void)t, (void)text, (void)error;
    for (uint64_t i = 0; i < 3 * size && i < capacity; i++)
        ids[i] = (int32_t)i;
    return (int64_t)(3 * size);
}

static int64_t refuses(const struct mgpt_tokenizer *t, const char *text, uint64_t size,
                       int32_t *ids, uint64_t capacity, struct mgpt_error *error)
{
    (void)t, (void)text, (void)size, (void)ids, (void)capacity;
    mgpt_fail(error, MGPT_USAGE, "byte 7: unknown character '!'");
    return -1;
}

static const struct mgpt_tokenizer_api one_a_byte = {
    .size = sizeof one_a_byte, .bos = no_bos, .encode = places};
static const struct mgpt_tokenizer_api three_a_byte = {
    .size = sizeof three_a_byte, .bos = no_bos, .encode = thrice};
static const struct mgpt_tokenizer_api none_a_byte = {
    .size = sizeof none_a_byte, .bos = no_bos, .encode = refuses};

/* ---- opening ---- */

static const struct mgpt_dataset_api *api;

static enum mgpt_status try_open(const char *text, size_t size, double split, uint32_t rows,
                                 uint32_t accumulate, struct mgpt_dataset **data,
                                 struct mgpt_error *error)
{
    struct mgpt_dataset_env env = {.size = sizeof env,
                                   .rows = rows,
                                   .columns = T,
                                   .accumulate = accumulate,
                                   .path = in_scratch("text.txt"),
                                   .split = split,
                                   .seed = SEED};

    api = one_module(MGPT_KIND_DATASET, "text")->api;
    put_bytes(env.path, text, size);
    return api->open(mgpt_host(), NULL, &env, data, error);
}

/* On n bytes of text, whose ids are 0 .. n-1. */
static struct mgpt_dataset *opened(size_t n, double split, uint32_t rows, uint32_t accumulate)
{
    struct mgpt_dataset *data = NULL;
    char *text = malloc(n);

    ck_assert_ptr_nonnull(text);
    memset(text, 'x', n);
    ck_ok(try_open(text, n, split, rows, accumulate, &data, error));
    ck_ok(api->encode(data, &one_a_byte, NULL, error));
    free(text);
    return data;
}

struct cells {
    struct mgpt_batch batch;
    int32_t ids[8 * T], targets[8 * T];
};

static void get(const struct mgpt_dataset *data, enum mgpt_part part, uint64_t index,
                uint32_t micro, struct cells *cells)
{
    cells->batch = (struct mgpt_batch){.ids = cells->ids, .targets = cells->targets};
    api->batch(data, part, index, micro, &cells->batch);
}

/* A row is a window that starts at `start`. */
static void check_row(const struct cells *cells, uint32_t row, uint64_t start)
{
    for (uint32_t i = 0; i < T; i++) {
        ck_assert_int_eq(cells->ids[row * T + i], (int32_t)(start + i));
        ck_assert_int_eq(cells->targets[row * T + i], (int32_t)(start + i + 1));
    }
}

/* ---- the windows ---- */

START_TEST(a_training_window_is_drawn_by_seed_step_and_row)
{
    struct mgpt_dataset *data = opened(1000, 0.9, 3, 2);
    struct cells cells;

    for (uint64_t step = 0; step < 50; step++)
        for (uint32_t micro = 0; micro < 2; micro++) {
            get(data, MGPT_PART_TRAIN, step, micro, &cells);
            ck_assert(cells.batch.rows == 3 && cells.batch.columns == T);
            for (uint32_t row = 0; row < 3; row++)
                check_row(&cells, row,
                          mgpt_draw_below(SEED, (uint32_t)step, MGPT_DRAW_CROP, 0, micro * 3 + row,
                                          900 - T));
        }
    ck_assert_uint_eq(api->targets(data, 7), 3 * 2 * T);
    api->close(data);
}
END_TEST

START_TEST(the_cut_into_micro_batches_changes_no_window)
{
    struct mgpt_dataset *whole = opened(500, 0.9, 6, 1), *parts = opened(500, 0.9, 2, 3);
    struct cells all, some;

    for (uint64_t step = 0; step < 20; step++) {
        get(whole, MGPT_PART_TRAIN, step, 0, &all);
        for (uint32_t micro = 0; micro < 3; micro++) {
            get(parts, MGPT_PART_TRAIN, step, micro, &some);
            ck_assert_mem_eq(some.ids, all.ids + micro * 2 * T, 2 * T * sizeof(int32_t));
            ck_assert_mem_eq(some.targets, all.targets + micro * 2 * T, 2 * T * sizeof(int32_t));
        }
    }
    ck_assert_uint_eq(api->targets(whole, 0), api->targets(parts, 0));
    api->close(whole);
    api->close(parts);
}
END_TEST

/* In 4000 draws of 20 places each comes; the first and the last id of a part are seen too. */
START_TEST(windows_reach_every_place_of_their_part_and_none_beyond)
{
    static const struct {
        enum mgpt_part part;
        int low, high; /* ids of the part */
    } parts[] = {
        {MGPT_PART_TRAIN, 0, 25}, {MGPT_PART_TRAIN_EVAL, 0, 25}, {MGPT_PART_VALID, 25, 50}};
    struct mgpt_dataset *data = opened(50, 0.5, 4, 1);

    for (int p = 0; p < 3; p++) {
        int seen[50] = {0};
        struct cells cells;
        for (uint64_t i = 0; i < 1000; i++) {
            get(data, parts[p].part, i, 0, &cells);
            for (uint32_t row = 0; row < 4; row++) {
                check_row(&cells, row, (uint64_t)cells.ids[row * T]);
                seen[cells.ids[row * T]]++;
            }
        }
        for (int i = 0; i < 50; i++) {
            bool place = i >= parts[p].low && i < parts[p].high - T;
            ck_assert_msg(place == (seen[i] > 0), "part %d, place %d: %d times", p, i, seen[i]);
            ck_assert_int_lt(seen[i], 300);
        }
    }
    api->close(data);
}
END_TEST

START_TEST(evaluation_draws_differ_by_part_batch_and_row)
{
    struct mgpt_dataset *data = opened(2000000, 0.5, 4, 1);
    struct cells train, valid, eval;
    int equal = 0;

    for (uint64_t i = 0; i < 50; i++) {
        get(data, MGPT_PART_TRAIN, i, 0, &train);
        get(data, MGPT_PART_TRAIN_EVAL, i, 0, &eval);
        get(data, MGPT_PART_VALID, i, 0, &valid);
        for (uint32_t row = 0; row < 4; row++) {
            equal += train.ids[row * T] == eval.ids[row * T];
            equal += valid.ids[row * T] - 1000000 == eval.ids[row * T];
            equal += valid.ids[row * T] == valid.ids[(row + 1) % 4 * T];
        }
    }
    ck_assert_int_le(equal, 1);
    api->close(data);
}
END_TEST

START_TEST(says_what_there_is)
{
    struct mgpt_dataset *data = opened(1000, 0.9, 1, 1);
    struct mgpt_dataset_info info = {.size = sizeof info};
    uint64_t n;

    api->info(data, &info);
    ck_assert(info.documents == 1 && info.train_documents == 1 && info.valid_documents == 1);
    ck_assert(info.train_tokens == 899 && info.valid_tokens == 99);
    ck_assert(info.valid_batches == 0 && info.cut_documents == 0);
    ck_assert_uint_eq(api->documents(data, &n)->size, 1000);
    ck_assert_uint_eq(n, 1);
    api->close(data);
}
END_TEST

START_TEST(a_split_of_1_leaves_nothing_to_validate_on)
{
    struct mgpt_dataset *data = opened(T + 1, 1.0, 2, 1);
    struct mgpt_dataset_info info = {.size = sizeof info};
    struct cells cells;

    api->info(data, &info);
    ck_assert(info.valid_documents == 0 && info.valid_tokens == 0);
    get(data, MGPT_PART_VALID, 3, 0, &cells);
    ck_assert(cells.batch.rows == 1 && cells.batch.columns == 1 && cells.targets[0] == -1);
    get(data, MGPT_PART_TRAIN, 3, 0, &cells);
    check_row(&cells, 1, 0); /* the only place there is */
    api->close(data);
}
END_TEST

START_TEST(a_tokenizer_may_give_more_ids_than_bytes)
{
    struct mgpt_dataset *data = NULL;
    struct mgpt_dataset_info info = {.size = sizeof info};

    ck_ok(try_open("0123456789", 10, 0.5, 1, 1, &data, error));
    ck_ok(api->encode(data, &three_a_byte, NULL, error));
    api->info(data, &info);
    ck_assert(info.train_tokens == 14 && info.valid_tokens == 14);
    api->close(data);
}
END_TEST

/* ---- refusals ---- */

START_TEST(tells_how_long_a_text_must_be)
{
    static const double splits[] = {0.9, 0.5, 0.3, 0.1, 0.07, 0.999, 1.0, 1.0 / 3};

    for (size_t i = 0; i < sizeof splits / sizeof splits[0]; i++) {
        struct mgpt_dataset *data = NULL;
        struct mgpt_error why = {0};
        char text[8192];
        memset(text, 'x', sizeof text);
        ck_ok(try_open(text, T, splits[i], 1, 1, &data, error));
        check_refused(api->encode(data, &one_a_byte, NULL, &why), MGPT_DATA, why);
        ck_assert_has(why.text, "text.txt: 5 tokens, expected at least ");
        ck_assert_has(why.text, "context = 5");
        size_t least = strtoul(strstr(why.text, "least ") + 6, NULL, 10);
        ck_assert(least > T && least < sizeof text);
        api->close(data);
        for (size_t n = least - 1; n <= least; n++) { /* and that is the shortest */
            ck_ok(try_open(text, n, splits[i], 1, 1, &data, error));
            int status = api->encode(data, &one_a_byte, NULL, &why);
            ck_assert_msg((status == MGPT_OK) == (n == least), "split %g, %zu: %d", splits[i], n,
                          status);
            api->close(data);
        }
    }
}
END_TEST

START_TEST(names_the_file_and_the_place)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "text.txt: empty, expected a text"},
        {"anna\nren\xe9\nzoe\n", "text.txt:2: byte 8 (0xe9) is not UTF-8"},
        {"anna\nzo\xed\xa0\x80\n", "text.txt:2: byte 7 (0xed) is not UTF-8"},
        {"zo\xe2\x82", "text.txt:1: byte 2 (0xe2) is not UTF-8"},
    };
    struct mgpt_dataset *data = NULL;
    struct mgpt_error why = {0};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_refused(try_open(cases[i].text, strlen(cases[i].text), 0.9, 1, 1, &data, &why),
                      MGPT_DATA, why);
        ck_assert_has(why.text, cases[i].says);
    }
    ck_ok(try_open("some text", 9, 0.9, 1, 1, &data, error));
    check_refused(api->encode(data, &none_a_byte, NULL, &why), MGPT_DATA, why);
    ck_assert_has(why.text, "text.txt: byte 7: unknown character '!'");
    api->close(data);
}
END_TEST

/* ---- when a run validates ---- */

/* The moments of a run, as "0 4 8 9", in steps of at most `most`. */
static void list(const struct mgpt_validation *v, uint64_t most, char text[64])
{
    struct mgpt_progress progress = {.step = 0};
    size_t n = 0;

    text[0] = '\0';
    for (;;) {
        if (mgpt_validation_due(v, &progress)) {
            n += (size_t)snprintf(text + n, 64 - n, " %llu", (unsigned long long)progress.step);
            progress.validated = progress.step + 1;
        }
        ck_assert(!mgpt_validation_due(v, &progress)); /* once */
        if (progress.step == v->total)
            return;
        uint64_t next = mgpt_validation_next(v, progress.step);
        ck_assert(next > progress.step && next <= v->total);
        progress.step = next < progress.step + most ? next : progress.step + most;
    }
}

START_TEST(validations_come_when_the_settings_say)
{
    static const struct {
        uint64_t every, total;
        bool before;
        const char *moments;
    } cases[] = {
        {4, 10, true, " 0 4 8 9"}, {4, 9, true, " 0 4 8"},  {4, 8, true, " 0 4 7"},
        {4, 1, true, " 0"},        {20, 10, true, " 0 9"},  {1, 3, true, " 0 1 2"},
        {0, 10, true, ""},         {4, 10, false, " 4 8"},  {4, 8, false, " 4 8"},
        {20, 10, false, ""},       {1, 3, false, " 1 2 3"}, {0, 10, false, ""},
    };
    char text[64];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mgpt_validation v = {
            .every = cases[i].every, .total = cases[i].total, .before = cases[i].before};
        for (uint64_t most = 1; most < 12; most++) {
            list(&v, most, text);
            ck_assert_str_eq(text, cases[i].moments);
        }
    }
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_checked_fixture(tests, scratch_setup, scratch_teardown);
    tcase_add_test(tests, a_training_window_is_drawn_by_seed_step_and_row);
    tcase_add_test(tests, the_cut_into_micro_batches_changes_no_window);
    tcase_add_test(tests, windows_reach_every_place_of_their_part_and_none_beyond);
    tcase_add_test(tests, evaluation_draws_differ_by_part_batch_and_row);
    tcase_add_test(tests, says_what_there_is);
    tcase_add_test(tests, a_split_of_1_leaves_nothing_to_validate_on);
    tcase_add_test(tests, a_tokenizer_may_give_more_ids_than_bytes);
    tcase_add_test(tests, tells_how_long_a_text_must_be);
    tcase_add_test(tests, names_the_file_and_the_place);
    tcase_add_test(tests, validations_come_when_the_settings_say);
}

int main(void)
{
    return test_main("crops", add_tests);
}
