/* Kind dataset: batches that are a pure function of the seed and the step. */
#include <config.h>

#include "check/bench_dataset.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void check_batches(const struct mgpt_component *component)
{
    const struct mgpt_dataset_api *api = component->api;
    struct dataset_bench_setup setup = dataset_bench_usual(dataset_bench_corpus());
    struct mgpt_dataset *data = dataset_bench_opened(component, &setup);
    struct mgpt_dataset_info info = {.size = sizeof info};
    struct dataset_bench_cells cells;

    api->info(data, &info);
    check_that(info.documents >= 1 && info.train_documents >= 1, "no documents");
    check_that(info.train_tokens >= 1 && info.valid_tokens >= 1, "no tokens");
    for (uint64_t step = 0; step < 100; step++) {
        uint64_t stated = api->targets(data, step), found = 0;
        for (uint32_t micro = 0; micro < DATASET_BENCH_ACCUMULATE; micro++)
            found += dataset_bench_get(api, data, MGPT_PART_TRAIN, step, micro, &cells);
        check_that(stated == found && stated >= 1, "step %llu: %llu targets stated, %llu found",
                   (unsigned long long)step, (unsigned long long)stated, (unsigned long long)found);
    }
    for (uint64_t i = 0; i < 20; i++) {
        check_that(dataset_bench_get(api, data, MGPT_PART_VALID, i, 0, &cells) >= 1,
                   "nothing to validate on");
        check_that(dataset_bench_get(api, data, MGPT_PART_TRAIN_EVAL, i, 0, &cells) >= 1,
                   "nothing to evaluate");
    }
    check_that(dataset_bench_get(api, data, MGPT_PART_TRAIN, UINT64_C(1) << 62, 1, &cells) >= 1,
               "a late step");
    dataset_bench_close(api, data);
    api->close(NULL);
}

static void check_pure(const struct mgpt_component *component)
{
    const struct mgpt_dataset_api *api = component->api;
    struct dataset_bench_setup setup = dataset_bench_usual(dataset_bench_corpus());
    struct mgpt_dataset *one = dataset_bench_opened(component, &setup),
                        *two = dataset_bench_opened(component, &setup);
    static const enum mgpt_part parts[] = {MGPT_PART_TRAIN, MGPT_PART_VALID, MGPT_PART_TRAIN_EVAL};
    struct dataset_bench_cells first, second;

    for (uint64_t step = 60; step-- > 0;) /* backwards in one, each by itself in the other */
        for (size_t p = 0; p < 3; p++) {
            dataset_bench_get(api, one, parts[p], step, 0, &first);
            dataset_bench_get(api, two, parts[p], 59 - step, 0, &second);
            dataset_bench_get(api, two, parts[p], step, 0, &second);
            second.batch.ids = first.batch.ids;
            second.batch.targets = first.batch.targets;
            check_that(memcmp(&first, &second, sizeof first) == 0, "part %d, step %llu differs",
                       (int)parts[p], (unsigned long long)step);
        }
    dataset_bench_close(api, one);
    dataset_bench_close(api, two);
}

static void check_bad_files(const struct mgpt_component *component)
{
    const char *empty = mgpt_check_path("empty"), *latin = mgpt_check_path("latin"),
               *dark = mgpt_check_path("dark");
    const char *bad[] = {
        mgpt_check_path("missing"), mgpt_check_folder, empty, latin, "/dev/null", dark};

    mgpt_check_put(empty, "", 0);
    mgpt_check_put(latin, "anna\nren\xe9\nzoe\n", 14);
    mgpt_check_put(dark, "anna\nzoe\n", 9);
    check_that(chmod(dark, 0) == 0, "cannot change the mode of %s", dark);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct dataset_bench_setup setup = dataset_bench_usual(bad[i]);
        struct mgpt_dataset *data = NULL;
        struct mgpt_error why = {0};
        if (bad[i] == dark && access(dark, R_OK) == 0)
            continue; /* root reads everything */
        check_refused(dataset_bench_open(component, &setup, &data, &why), MGPT_DATA, why);
        check_that(strstr(why.text, bad[i]) != NULL, "\"%s\" names no file", why.text);
        check_that(data == NULL, "left a dataset behind");
    }
    chmod(dark, 0600);
}

/* Lines of numbers in order: every five characters in a row stand in one place alone. */
static const char *numbers(void)
{
    enum { LINES = 600 };
    static char text[LINES * 5 + 1];
    const char *path = mgpt_check_path("numbers.txt");

    for (int i = 0; i < LINES; i++)
        (void)snprintf(text + i * 5, 6, "%04d\n", i);
    mgpt_check_put(path, text, LINES * 5);
    return path;
}

/* FNV-1a */
static uint32_t hash_row(const int32_t *ids)
{
    uint32_t h = 2166136261u;

    for (int i = 0; i < DATASET_BENCH_COLUMNS; i++)
        h = (h ^ (uint32_t)ids[i]) * 16777619u;
    return h ^ h >> 15;
}

/* Copies the rows of a batch that are full; how many there are. */
static size_t full_rows(const struct dataset_bench_cells *cells,
                        int32_t rows[DATASET_BENCH_ROWS][DATASET_BENCH_COLUMNS])
{
    const struct mgpt_batch *batch = &cells->batch;
    size_t n = 0;

    for (uint32_t row = 0; row < batch->rows && batch->columns == DATASET_BENCH_COLUMNS; row++) {
        const int32_t *ids = cells->ids + row * DATASET_BENCH_COLUMNS,
                      *targets = cells->targets + row * DATASET_BENCH_COLUMNS;
        bool full = true;
        for (int i = 0; i < DATASET_BENCH_COLUMNS; i++)
            full = full && targets[i] >= 0;
        if (full)
            memcpy(rows[n++], ids, DATASET_BENCH_COLUMNS * sizeof *ids);
    }
    return n;
}

static void check_parts(const struct mgpt_component *component)
{
    enum { SLOTS = 1 << 16, STEPS = 1500 };
    const struct mgpt_dataset_api *api = component->api;
    struct dataset_bench_setup setup = dataset_bench_usual(numbers());
    struct mgpt_dataset *data = dataset_bench_opened(component, &setup);
    struct dataset_bench_cells cells;
    int32_t rows[DATASET_BENCH_ROWS][DATASET_BENCH_COLUMNS],
        (*seen)[DATASET_BENCH_COLUMNS] = calloc(SLOTS, sizeof *seen);
    bool *used = calloc(SLOTS, sizeof *used);
    size_t trained = 0, validated = 0, common = 0;

    check_that(seen && used, "out of memory");
    for (uint64_t step = 0; step < STEPS; step++) {
        (void)dataset_bench_get(api, data, MGPT_PART_TRAIN, step, 0, &cells);
        for (size_t n = full_rows(&cells, rows); n-- > 0; trained++) {
            uint32_t at = hash_row(rows[n]) % SLOTS;
            memcpy(seen[at], rows[n], sizeof rows[n]);
            used[at] = true;
        }
    }
    for (uint64_t i = 0; i < 200; i++) {
        (void)dataset_bench_get(api, data, MGPT_PART_VALID, i, 0, &cells);
        for (size_t n = full_rows(&cells, rows); n-- > 0; validated++) {
            uint32_t at = hash_row(rows[n]) % SLOTS;
            common += used[at] && !memcmp(seen[at], rows[n], sizeof rows[n]);
        }
    }
    check_that(common == 0, "%zu rows of the validation part are in the training part", common);
    if (trained && validated)
        mgpt_check_note("%zu rows of training, %zu of validation", trained, validated);
    else
        mgpt_check_skip("no full row to compare");
    free(seen);
    free(used);
    dataset_bench_close(api, data);
}

static void once(const struct mgpt_component *component)
{
    const struct mgpt_dataset_api *api = component->api;
    struct dataset_bench_setup setup = dataset_bench_usual(dataset_bench_corpus()),
                               missing = dataset_bench_usual(mgpt_check_path("missing"));
    struct mgpt_dataset *data = dataset_bench_opened(component, &setup), *none = NULL;
    struct dataset_bench_cells cells;

    (void)dataset_bench_get(api, data, MGPT_PART_TRAIN, 0, 0, &cells);
    dataset_bench_close(api, data);
    if (dataset_bench_open(component, &missing, &none, NULL) == MGPT_OK)
        dataset_bench_close(api, none);
}

static void check_left(const struct mgpt_component *component)
{
    mgpt_check_leaks(component, once);
}

static void check_made(const struct mgpt_component *component)
{
    struct dataset_bench_setup setup = dataset_bench_usual(dataset_bench_corpus());
    struct mgpt_dataset *data = NULL;

    check_ok(dataset_bench_open(component, &setup, &data, error));
    dataset_bench_close(component->api, data);
}

const struct mgpt_check_case mgpt_check_dataset[] = {
    {MGPT_CHECK_MADE, "no run could begin with it", check_made, 0},
    {"batches_fit_and_are_counted",
     "the loss would be divided by another number of targets than there are, or memory overwritten",
     check_batches, 0},
    {"batches_depend_on_seed_and_step_alone",
     "a resumed run would go on with other batches than the one that was not stopped", check_pure,
     0},
    {"parts_have_nothing_in_common", "the validation loss would be of text that was trained on",
     check_parts, 0},
    {"refuses_bad_files", "a run would start on data that is missing, empty or no text",
     check_bad_files, 0},
    {"leaves_nothing_behind", "what open takes, close gives back", check_left, 0},
    {NULL, NULL, NULL, 0},
};
