/* Kind dataset: every module gives batches that are a pure function of the seed and the step. */
#include <config.h>

#include <stdlib.h>

#include <microgpt/dataset.h>

#include "base/rng.h"
#include "conform.h"
#include "scratch.h"

#define ROWS 3
#define COLUMNS 5
#define ACCUMULATE 2
#define CELLS (ROWS * COLUMNS)
#define BOS 256

/* ---- a tokenizer of the test's own: bytes, and BOS ---- */

static int32_t bos(const struct mgpt_tokenizer *t)
{
    (void)t;
    return BOS;
}

static int32_t no_bos(const struct mgpt_tokenizer *t)
{
    (void)t;
    return -1;
}

static int32_t vocab(const struct mgpt_tokenizer *t)
{
    (void)t;
    return BOS + 1;
}

/* Knows all but '!'. */
static int64_t encode(const struct mgpt_tokenizer *t, const char *text, uint64_t size, int32_t *ids,
                      uint64_t capacity, struct mgpt_error *error)
{
    (void)t;
    for (uint64_t i = 0; i < size; i++) {
        if (text[i] == '!') {
            mgpt_fail(error, MGPT_USAGE, "byte %llu: unknown character '!'", (unsigned long long)i);
            return -1;
        }
        if (i < capacity)
            ids[i] = (unsigned char)text[i];
    }
    return (int64_t)size;
}

static const struct mgpt_tokenizer_api bytes = {
    .size = sizeof bytes, .vocab = vocab, .bos = bos, .encode = encode};
static const struct mgpt_tokenizer_api bytes_alone = {
    .size = sizeof bytes, .vocab = vocab, .bos = no_bos, .encode = encode};

/* ---- opening ---- */

static double uniform(void *rng)
{
    return mgpt_rng_uniform(rng);
}

static uint64_t below(void *rng, uint64_t n)
{
    return mgpt_rng_below(rng, n);
}

static double gauss(void *rng, double mu, double sigma)
{
    return mgpt_rng_gauss(rng, mu, sigma);
}

/* What a dataset is opened with. */
struct setup {
    const char *path;
    double split;
    uint64_t seed;
    uint32_t rows, columns, accumulate;
};

static enum mgpt_status open_data(const struct mgpt_dataset_api *api, const struct setup *setup,
                                  struct mgpt_dataset **data, struct mgpt_error *error)
{
    static struct mgpt_dataset_env envs[64]; /* an env lives as long as its dataset */
    static size_t turn;
    struct mgpt_dataset_env *env = &envs[turn++ % 64];
    struct mgpt_rng rng;
    struct mgpt_stream stream = {&rng, uniform, below, gauss};

    *env = (struct mgpt_dataset_env){.size = sizeof *env,
                                     .rows = setup->rows,
                                     .columns = setup->columns,
                                     .accumulate = setup->accumulate,
                                     .path = setup->path,
                                     .split = setup->split,
                                     .seed = setup->seed,
                                     .stream = &stream};
    mgpt_rng_seed(&rng, setup->seed);
    return api->open(mgpt_host(), NULL, env, data, error);
}

static struct mgpt_dataset *opened(const struct mgpt_dataset_api *api, const struct setup *setup)
{
    struct mgpt_dataset *data = NULL;

    ck_ok(open_data(api, setup, &data, error));
    ck_ok(api->encode(data, &bytes, NULL, error));
    return data;
}

/* 50 documents of 1 to 9 letters, no two alike. */
static const char *corpus(void)
{
    char text[50 * 12], *at = text;
    const char *path = in_scratch("corpus.txt");

    for (int i = 0; i < 50; i++) {
        *at++ = (char)('a' + i % 25);
        for (int k = 0; k < i % 9; k++)
            *at++ = (char)('a' + (i + k) % 25);
        if (i >= 25)
            *at++ = 'z';
        *at++ = '\n';
    }
    put_bytes(path, text, (size_t)(at - text));
    return path;
}

static struct setup usual(const char *path)
{
    return (struct setup){path, 0.9, 42, ROWS, COLUMNS, ACCUMULATE};
}

/* ---- every module ---- */

/* A batch in arrays with a guard behind them. */
struct cells {
    struct mgpt_batch batch;
    int32_t ids[CELLS + 1], targets[CELLS + 1];
};

static uint64_t get(const struct mgpt_dataset_api *api, const struct mgpt_dataset *data,
                    enum mgpt_part part, uint64_t index, uint32_t micro, struct cells *out)
{
    uint64_t targets = 0;

    memset(out, 0x5a, sizeof *out);
    out->batch = (struct mgpt_batch){.ids = out->ids, .targets = out->targets};
    api->batch(data, part, index, micro, &out->batch);
    ck_module(out->batch.rows >= 1 && out->batch.rows <= ROWS, "%u rows", out->batch.rows);
    ck_module(out->batch.columns >= 1 && out->batch.columns <= COLUMNS, "%u columns",
              out->batch.columns);
    for (uint32_t i = 0; i < out->batch.rows * out->batch.columns; i++) {
        ck_module(out->ids[i] >= 0 && out->ids[i] <= BOS, "id %d", out->ids[i]);
        ck_module(out->targets[i] >= -1 && out->targets[i] <= BOS, "target %d", out->targets[i]);
        targets += out->targets[i] >= 0;
    }
    ck_module(out->ids[CELLS] == 0x5a5a5a5a && out->targets[CELLS] == 0x5a5a5a5a,
              "wrote past the arrays");
    return targets;
}

static void check_batches(const struct mgpt_component *component)
{
    const struct mgpt_dataset_api *api = component->api;
    struct setup setup = usual(corpus());
    struct mgpt_dataset *data = opened(api, &setup);
    struct mgpt_dataset_info info = {.size = sizeof info};
    struct cells cells;

    api->info(data, &info);
    ck_module(info.documents >= 1 && info.train_documents >= 1, "no documents");
    ck_module(info.train_tokens >= 1 && info.valid_tokens >= 1, "no tokens");
    for (uint64_t step = 0; step < 100; step++) {
        uint64_t stated = api->targets(data, step), found = 0;
        for (uint32_t micro = 0; micro < ACCUMULATE; micro++)
            found += get(api, data, MGPT_PART_TRAIN, step, micro, &cells);
        ck_module(stated == found && stated >= 1, "step %llu: %llu targets stated, %llu found",
                  (unsigned long long)step, (unsigned long long)stated, (unsigned long long)found);
    }
    for (uint64_t i = 0; i < 20; i++) {
        ck_module(get(api, data, MGPT_PART_VALID, i, 0, &cells) >= 1, "nothing to validate on");
        ck_module(get(api, data, MGPT_PART_TRAIN_EVAL, i, 0, &cells) >= 1, "nothing to evaluate");
    }
    ck_module(get(api, data, MGPT_PART_TRAIN, UINT64_C(1) << 62, 1, &cells) >= 1, "a late step");
    api->close(data);
    api->close(NULL);
}

START_TEST(batches_fit_and_are_counted)
{
    each_module("dataset", check_batches);
}
END_TEST

static void check_pure(const struct mgpt_component *component)
{
    const struct mgpt_dataset_api *api = component->api;
    struct setup setup = usual(corpus());
    struct mgpt_dataset *one = opened(api, &setup), *two = opened(api, &setup);
    static const enum mgpt_part parts[] = {MGPT_PART_TRAIN, MGPT_PART_VALID, MGPT_PART_TRAIN_EVAL};
    struct cells first, second;

    for (uint64_t step = 60; step-- > 0;) /* backwards in one, each by itself in the other */
        for (size_t p = 0; p < 3; p++) {
            get(api, one, parts[p], step, 0, &first);
            get(api, two, parts[p], 59 - step, 0, &second);
            get(api, two, parts[p], step, 0, &second);
            second.batch.ids = first.batch.ids;
            second.batch.targets = first.batch.targets;
            ck_module(memcmp(&first, &second, sizeof first) == 0, "part %d, step %llu differs",
                      (int)parts[p], (unsigned long long)step);
        }
    api->close(one);
    api->close(two);
}

START_TEST(batches_depend_on_seed_and_step_alone)
{
    each_module("dataset", check_pure);
}
END_TEST

static void check_bad_files(const struct mgpt_component *component)
{
    const struct mgpt_dataset_api *api = component->api;
    const char *empty = in_scratch("empty"), *latin = in_scratch("latin"),
               *dark = in_scratch("dark");
    const char *bad[] = {in_scratch("missing"), scratch, empty, latin, "/dev/null", dark};

    put_bytes(empty, "", 0);
    put_bytes(latin, "anna\nren\xe9\nzoe\n", 14);
    put_bytes(dark, "anna\nzoe\n", 9);
    ck_assert_int_eq(chmod(dark, 0), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct setup setup = usual(bad[i]);
        struct mgpt_dataset *data = NULL;
        struct mgpt_error why = {0};
        if (bad[i] == dark && access(dark, R_OK) == 0)
            continue; /* root reads everything */
        ck_refused(open_data(api, &setup, &data, &why), MGPT_DATA, why);
        ck_module(strstr(why.text, bad[i]) != NULL, "\"%s\" names no file", why.text);
        ck_module(data == NULL, "left a dataset behind");
    }
    chmod(dark, 0600);
}

START_TEST(refuses_bad_files)
{
    each_module("dataset", check_bad_files);
}
END_TEST

/* ---- lines ---- */

/* Opens dataset lines on a text. */
static struct mgpt_dataset *lines(const struct mgpt_dataset_api **api, const char *text,
                                  size_t size, const struct setup *setup)
{
    const char *path = in_scratch("lines.txt");
    struct setup with = *setup;

    *api = one_module(MGPT_KIND_DATASET, "lines")->api;
    put_bytes(path, text, size);
    with.path = path;
    return opened(*api, &with);
}

static const struct setup one_row = {NULL, 0.9, 42, 1, 8, 1};

START_TEST(lines_shuffles_as_python_does)
{
    const struct mgpt_dataset_api *api;
    struct mgpt_dataset *data = lines(&api, "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n", 20, &one_row);
    uint64_t n;
    const struct mgpt_text *documents = api->documents(data, &n);

    ck_assert_uint_eq(n, 10); /* random.seed(42); random.shuffle(list("abcdefghij")) */
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(documents[i].data[0], "hdcifgjeab"[i]);
    api->close(data);
}
END_TEST

START_TEST(lines_strips_as_python_does)
{
    static const char text[] = "\n \t\r\n  anna \r\n\x1c\x1f zo\xc3\xab\xe2\x80\x89\xe3\x80\x80\n"
                               "\xc2\x85\xc2\xa0"
                               "a b\x0b\x0c\xe1\x9a\x80\n\xef\xbb\xbfmax";
    const struct mgpt_dataset_api *api;
    struct mgpt_dataset *data = lines(&api, text, sizeof text - 1, &one_row);
    const char *const expected[] = {"anna", "zo\xc3\xab", "a b", "\xef\xbb\xbfmax"};
    uint64_t n;
    const struct mgpt_text *documents = api->documents(data, &n);

    ck_assert_uint_eq(n, 4);
    for (int i = 0; i < 4; i++) {
        int found = 0;
        for (uint64_t k = 0; k < n; k++)
            found += documents[k].size == strlen(expected[i]) &&
                     memcmp(documents[k].data, expected[i], documents[k].size) == 0;
        ck_assert_msg(found == 1, "\"%s\" came back %d times", expected[i], found);
    }
    api->close(data);
}
END_TEST

START_TEST(lines_takes_document_after_document)
{
    const struct mgpt_dataset_api *api;
    struct mgpt_dataset *data = lines(&api, "abc\nde\nf\nlongerthaneight\n", 25, &one_row);
    struct mgpt_dataset_info info = {.size = sizeof info};
    uint64_t n;
    const struct mgpt_text *documents = api->documents(data, &n);

    api->info(data, &info);
    ck_assert_uint_eq(info.documents, 4);
    ck_assert_uint_eq(info.train_documents, 3);
    ck_assert_uint_eq(info.valid_batches, 1);
    ck_assert_uint_eq(info.cut_documents, 1);
    ck_assert_uint_eq(info.train_tokens + info.valid_tokens, 4 + 3 + 2 + 8);
    for (uint64_t step = 0; step < 7; step++) {
        const struct mgpt_text *document = &documents[step % 3];
        int32_t ids[8], targets[8];
        struct mgpt_batch batch = {.ids = ids, .targets = targets};
        api->batch(data, MGPT_PART_TRAIN, step, 0, &batch);
        uint64_t all = document->size + 1, kept = all < 8 ? all : 8;
        ck_assert_uint_eq(batch.rows, 1);
        ck_assert_uint_eq(batch.columns, kept);
        ck_assert_uint_eq(api->targets(data, step), kept);
        for (uint64_t i = 0; i < kept; i++) {
            ck_assert_int_eq(ids[i], i ? document->data[i - 1] : BOS);
            ck_assert_int_eq(targets[i], i < document->size ? document->data[i] : BOS);
        }
    }
    api->close(data);
}
END_TEST

START_TEST(lines_lays_rows_side_by_side)
{
    const struct setup wide = {NULL, 1.0, 42, 2, 8, 2};
    const struct mgpt_dataset_api *api;
    struct mgpt_dataset *data = lines(&api, "a\nbb\nccc\n", 9, &wide);
    uint64_t n;
    const struct mgpt_text *documents = api->documents(data, &n);
    int32_t ids[16], targets[16];
    struct mgpt_batch batch = {.ids = ids, .targets = targets};

    for (uint64_t step = 0; step < 5; step++)
        for (uint32_t micro = 0; micro < 2; micro++) {
            api->batch(data, MGPT_PART_TRAIN, step, micro, &batch);
            const struct mgpt_text *top = &documents[((step * 2 + micro) * 2) % 3];
            const struct mgpt_text *next = &documents[((step * 2 + micro) * 2 + 1) % 3];
            uint64_t widest = (top->size > next->size ? top->size : next->size) + 1;
            ck_assert_uint_eq(batch.rows, 2);
            ck_assert_uint_eq(batch.columns, widest);
            ck_assert_int_eq(ids[1], top->data[0]);
            ck_assert_int_eq(ids[widest + 1], next->data[0]);
            for (uint64_t i = next->size + 1; i < widest; i++)
                ck_assert(ids[widest + i] == 0 && targets[widest + i] == -1);
        }
    api->batch(data, MGPT_PART_VALID, 0, 0, &batch); /* split = 1: nothing to validate on */
    ck_assert(batch.rows == 1 && batch.columns == 1 && targets[0] == -1);
    api->close(data);
}
END_TEST

START_TEST(lines_keeps_the_parts_apart)
{
    const struct mgpt_dataset_api *api = one_module(MGPT_KIND_DATASET, "lines")->api;
    struct setup setup = usual(corpus());
    struct mgpt_dataset *data = opened(api, &setup);
    struct mgpt_dataset_info info = {.size = sizeof info};
    struct cells cells;
    uint64_t n;
    const struct mgpt_text *documents = api->documents(data, &n);

    api->info(data, &info);
    ck_assert_uint_eq(info.train_documents, 45);
    ck_assert_uint_eq(info.valid_documents, 5);
    for (uint64_t k = 0; k < n; k++)
        for (uint64_t other = 0; other < k; other++)
            ck_assert(documents[k].data != documents[other].data);
    for (uint64_t i = 0; i < 45; i++) {
        get(api, data, MGPT_PART_TRAIN_EVAL, i, 0, &cells);
        ck_assert_int_eq(cells.ids[1], documents[i].data[0]);
        get(api, data, MGPT_PART_VALID, i, 0, &cells);
        ck_assert_int_eq(cells.ids[1], documents[45 + i % 5].data[0]);
        get(api, data, MGPT_PART_TRAIN, i, 1, &cells);
        ck_assert_int_eq(cells.ids[1], documents[(i * 6 + 3) % 45].data[0]);
    }
    api->close(data);
}
END_TEST

START_TEST(lines_says_what_is_wrong)
{
    static const struct {
        const char *text, *says;
        double split;
    } cases[] = {
        {"anna\n", "1 document with split = 0.9, which leaves none to train on", 0.9},
        {"anna\nzoe\n", "2 documents with split = 0.3, which leaves none to train on", 0.3},
        {" \n\t\n\xc2\xa0\n", "no line with text, expected one document a line", 0.9},
        {"", "empty, expected one document a line", 0.9},
        {"anna\nren\xe9\nzoe\n", "lines.txt:2: byte 8 (0xe9) is not UTF-8", 0.9},
        {"anna\n\xc0\xaf\n", "lines.txt:2: byte 5 (0xc0) is not UTF-8", 0.9},
        {"anna\nzo\xed\xa0\x80\n", "lines.txt:2: byte 7 (0xed) is not UTF-8", 0.9},
        {"anna\nzo\xe2\x82", "lines.txt:2: byte 7 (0xe2) is not UTF-8", 0.9},
    };
    const struct mgpt_dataset_api *api = one_module(MGPT_KIND_DATASET, "lines")->api;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct setup setup = usual(in_scratch("lines.txt"));
        struct mgpt_dataset *data = NULL;
        struct mgpt_error why = {0};
        put_bytes(setup.path, cases[i].text, strlen(cases[i].text));
        setup.split = cases[i].split;
        ck_refused(open_data(api, &setup, &data, &why), MGPT_DATA, why);
        ck_assert_has(why.text, cases[i].says);
    }
}
END_TEST

START_TEST(lines_needs_a_bos)
{
    const struct mgpt_dataset_api *api = one_module(MGPT_KIND_DATASET, "lines")->api;
    struct setup setup = usual(corpus());
    struct mgpt_dataset *data = NULL;
    struct mgpt_error why = {0};

    ck_ok(open_data(api, &setup, &data, error));
    ck_refused(api->encode(data, &bytes_alone, NULL, &why), MGPT_CONFIG, why);
    ck_assert_str_eq(why.text, "dataset lines needs a tokenizer with a BOS id; set "
                               "[tokenizer.char] bos = true");
    api->close(data);
}
END_TEST

START_TEST(lines_names_the_line_that_has_no_ids)
{
    const struct mgpt_dataset_api *api = one_module(MGPT_KIND_DATASET, "lines")->api;
    struct setup setup = usual(in_scratch("lines.txt"));
    struct mgpt_dataset *data = NULL;
    struct mgpt_error why = {0};

    put_bytes(setup.path, "anna\nzoe\nma!x\n", 14);
    ck_ok(open_data(api, &setup, &data, error));
    ck_refused(api->encode(data, &bytes, NULL, &why), MGPT_DATA, why);
    ck_assert_has(why.text, "lines.txt:3: byte 2: unknown character '!'");
    api->close(data);
}
END_TEST

static void add_tests(TCase *tests)
{
    tcase_add_checked_fixture(tests, scratch_setup, scratch_teardown);
    tcase_add_test(tests, batches_fit_and_are_counted);
    tcase_add_test(tests, batches_depend_on_seed_and_step_alone);
    tcase_add_test(tests, refuses_bad_files);
    tcase_add_test(tests, lines_shuffles_as_python_does);
    tcase_add_test(tests, lines_strips_as_python_does);
    tcase_add_test(tests, lines_takes_document_after_document);
    tcase_add_test(tests, lines_lays_rows_side_by_side);
    tcase_add_test(tests, lines_keeps_the_parts_apart);
    tcase_add_test(tests, lines_says_what_is_wrong);
    tcase_add_test(tests, lines_needs_a_bos);
    tcase_add_test(tests, lines_names_the_line_that_has_no_ids);
}

int main(void)
{
    return test_main("conform_dataset", add_tests);
}
