/* Kind dataset: every module keeps the contract, and ours give the batches they should. */
#include <config.h>

#include <stdlib.h>

#include "check/bench_dataset.h"
#include "conform.h"
#include "scratch.h"

/* ---- a module with an option ---- */

static const struct mgpt_dataset_api *without_option;

static enum mgpt_status open_with_option(const struct mgpt_host *host,
                                         const struct mgpt_config *config,
                                         const struct mgpt_dataset_env *env,
                                         struct mgpt_dataset **data, struct mgpt_error *error)
{
    ck_assert_int_eq(host->get_int(config, "stride"), 3);
    return without_option->open(host, config, env, data, error);
}

START_TEST(a_dataset_may_have_options)
{
    static const struct mgpt_option option = {
        .key = "stride", .value = "3", .help = "for tests", .max = 9, .type = MGPT_OPTION_INT};
    struct mgpt_component component = *one_module(MGPT_KIND_DATASET, "lines");
    struct mgpt_dataset_api api = *(const struct mgpt_dataset_api *)component.api;

    without_option = component.api;
    api.open = open_with_option;
    component.api = &api;
    component.options = &option;
    component.n_options = 1;
    component.option_size = sizeof option;
    for (const struct mgpt_check_case *c = mgpt_check_dataset; c->name; c++)
        c->run(&component);
}
END_TEST

/* ---- batches that are not those of lines ---- */

static const struct mgpt_dataset_api *sound;
static struct mgpt_dataset_api altered;

static struct mgpt_component lines_but(void (*batch)(const struct mgpt_dataset *, enum mgpt_part,
                                                     uint64_t, uint32_t, struct mgpt_batch *))
{
    struct mgpt_component component = *one_module(MGPT_KIND_DATASET, "lines");

    sound = component.api;
    altered = *sound;
    altered.batch = batch;
    component.api = &altered;
    return component;
}

static void padded_with_seven(const struct mgpt_dataset *data, enum mgpt_part part, uint64_t index,
                              uint32_t micro, struct mgpt_batch *batch)
{
    sound->batch(data, part, index, micro, batch);
    for (uint32_t i = 0; i < batch->rows * batch->columns; i++)
        if (batch->targets[i] < 0)
            batch->ids[i] = 7;
}

START_TEST(padding_is_id_0)
{
    struct mgpt_component component = lines_but(padded_with_seven);

    fails(&component, "dataset", "batches_fit_and_are_counted", "is padded with id 7, expected 0");
}
END_TEST

static void without_the_last(const struct mgpt_dataset *data, enum mgpt_part part, uint64_t index,
                             uint32_t micro, struct mgpt_batch *batch)
{
    sound->batch(data, part, index, micro, batch);
    for (uint32_t i = batch->columns - 1; i < batch->rows * batch->columns; i += batch->columns) {
        batch->ids[i] = 0;
        batch->targets[i] = -1;
    }
}

static bool skipped_for_want_of_rows;

static void look_at_skip(const char *text, bool skips)
{
    skipped_for_want_of_rows |= skips && strcmp(text, "no full row to compare") == 0;
}

START_TEST(nothing_compared_is_nothing_passed)
{
    struct mgpt_component component = lines_but(without_the_last);
    const struct mgpt_check_case *c = mgpt_check_dataset;

    while (strcmp(c->name, "parts_have_nothing_in_common") != 0)
        c++;
    mgpt_check_on_note = look_at_skip;
    c->run(&component);
    ck_assert(skipped_for_want_of_rows);
}
END_TEST

/* ---- lines ---- */

/* Opens dataset lines on a text. */
static struct mgpt_dataset *lines(const struct mgpt_dataset_api **api, const char *text,
                                  size_t size, const struct dataset_bench_setup *setup)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_DATASET, "lines");
    const char *path = in_scratch("lines.txt");
    struct dataset_bench_setup with = *setup;

    *api = component->api;
    put_bytes(path, text, size);
    with.path = path;
    return dataset_bench_opened(component, &with);
}

static const struct dataset_bench_setup one_row = {NULL, 0.9, 42, 1, 8, 1};

START_TEST(lines_shuffles_as_python_does)
{
    const struct mgpt_dataset_api *api;
    struct mgpt_dataset *data = lines(&api, "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n", 20, &one_row);
    uint64_t n;
    const struct mgpt_text *documents = api->documents(data, &n);

    ck_assert_uint_eq(n, 10); /* random.seed(42); random.shuffle(list("abcdefghij")) */
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(documents[i].data[0], "hdcifgjeab"[i]);
    dataset_bench_close(api, data);
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
    dataset_bench_close(api, data);
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
            ck_assert_int_eq(ids[i], i ? document->data[i - 1] : DATASET_BENCH_BOS);
            ck_assert_int_eq(targets[i],
                             i < document->size ? document->data[i] : DATASET_BENCH_BOS);
        }
    }
    dataset_bench_close(api, data);
}
END_TEST

START_TEST(lines_lays_rows_side_by_side)
{
    const struct dataset_bench_setup wide = {NULL, 1.0, 42, 2, 8, 2};
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
    dataset_bench_close(api, data);
}
END_TEST

START_TEST(lines_keeps_the_parts_apart)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_DATASET, "lines");
    const struct mgpt_dataset_api *api = component->api;
    struct dataset_bench_setup setup = dataset_bench_usual(dataset_bench_corpus());
    struct mgpt_dataset *data = dataset_bench_opened(component, &setup);
    struct mgpt_dataset_info info = {.size = sizeof info};
    struct dataset_bench_cells cells;
    uint64_t n;
    const struct mgpt_text *documents = api->documents(data, &n);

    api->info(data, &info);
    ck_assert_uint_eq(info.train_documents, 45);
    ck_assert_uint_eq(info.valid_documents, 5);
    for (uint64_t k = 0; k < n; k++)
        for (uint64_t other = 0; other < k; other++)
            ck_assert(documents[k].data != documents[other].data);
    for (uint64_t i = 0; i < 45; i++) {
        dataset_bench_get(api, data, MGPT_PART_TRAIN_EVAL, i, 0, &cells);
        ck_assert_int_eq(cells.ids[1], documents[i].data[0]);
        dataset_bench_get(api, data, MGPT_PART_VALID, i, 0, &cells);
        ck_assert_int_eq(cells.ids[1], documents[45 + i % 5].data[0]);
        dataset_bench_get(api, data, MGPT_PART_TRAIN, i, 1, &cells);
        ck_assert_int_eq(cells.ids[1], documents[(i * 6 + 3) % 45].data[0]);
    }
    dataset_bench_close(api, data);
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
        {"\xef\xbb\xbf"
         "anna\nren\xe9\nzoe\n",
         "lines.txt:2: byte 11 (0xe9) is not UTF-8", 0.9},
        {"anna\n\xc0\xaf\n", "lines.txt:2: byte 5 (0xc0) is not UTF-8", 0.9},
        {"anna\nzo\xed\xa0\x80\n", "lines.txt:2: byte 7 (0xed) is not UTF-8", 0.9},
        {"anna\nzo\xe2\x82", "lines.txt:2: byte 7 (0xe2) is not UTF-8", 0.9},
    };
    const struct mgpt_component *component = one_module(MGPT_KIND_DATASET, "lines");

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dataset_bench_setup setup = dataset_bench_usual(in_scratch("lines.txt"));
        struct mgpt_dataset *data = NULL;
        struct mgpt_error why = {0};
        put_bytes(setup.path, cases[i].text, strlen(cases[i].text));
        setup.split = cases[i].split;
        check_refused(dataset_bench_open(component, &setup, &data, &why), MGPT_DATA, why);
        ck_assert_has(why.text, cases[i].says);
    }
}
END_TEST

START_TEST(lines_needs_a_bos)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_DATASET, "lines");
    const struct mgpt_dataset_api *api = component->api;
    struct dataset_bench_setup setup = dataset_bench_usual(dataset_bench_corpus());
    struct mgpt_dataset *data = NULL;
    struct mgpt_error why = {0};

    ck_ok(dataset_bench_open(component, &setup, &data, error));
    check_refused(api->encode(data, &dataset_bench_bytes_alone, NULL, &why), MGPT_CONFIG, why);
    ck_assert_str_eq(why.text,
                     "dataset lines needs a tokenizer with a BOS id; set bos = true in "
                     "the tokenizer's section, such as [tokenizer.char]; a model that was "
                     "trained without takes [dataset] use = text");
    dataset_bench_close(api, data);
}
END_TEST

START_TEST(lines_names_the_line_that_has_no_ids)
{
    const struct mgpt_component *component = one_module(MGPT_KIND_DATASET, "lines");
    const struct mgpt_dataset_api *api = component->api;
    struct dataset_bench_setup setup = dataset_bench_usual(in_scratch("lines.txt"));
    struct mgpt_dataset *data = NULL;
    struct mgpt_error why = {0};

    put_bytes(setup.path, "anna\nzoe\nma!x\n", 14);
    ck_ok(dataset_bench_open(component, &setup, &data, error));
    check_refused(api->encode(data, &dataset_bench_bytes, NULL, &why), MGPT_DATA, why);
    ck_assert_has(why.text, "lines.txt:3: byte 2: unknown character '!'");
    dataset_bench_close(api, data);
}
END_TEST

static void add_tests(TCase *tests)
{
    add_contract(tests, "dataset");
    tcase_add_test(tests, a_dataset_may_have_options);
    tcase_add_test(tests, padding_is_id_0);
    tcase_add_test(tests, nothing_compared_is_nothing_passed);
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
