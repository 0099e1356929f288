/* A dataset on a text of its own, with a tokenizer of bytes, for checks. */
#ifndef MGPT_CHECK_BENCH_DATASET_H
#define MGPT_CHECK_BENCH_DATASET_H

#include <microgpt/dataset.h>

#include "base/rng.h"

#include "check/check.h"

#define DATASET_BENCH_ROWS 3
#define DATASET_BENCH_COLUMNS 5
#define DATASET_BENCH_ACCUMULATE 2
#define DATASET_BENCH_CELLS (DATASET_BENCH_ROWS * DATASET_BENCH_COLUMNS)
#define DATASET_BENCH_BOS 256

/* ---- a tokenizer of the test's own: bytes, and BOS ---- */

static inline int32_t dataset_bench_bos(const struct mgpt_tokenizer *t)
{
    (void)t;
    return DATASET_BENCH_BOS;
}

static inline int32_t dataset_bench_no_bos(const struct mgpt_tokenizer *t)
{
    (void)t;
    return -1;
}

static inline int32_t dataset_bench_vocab(const struct mgpt_tokenizer *t)
{
    (void)t;
    return DATASET_BENCH_BOS + 1;
}

/* Knows all but '!'. */
static inline int64_t dataset_bench_encode(const struct mgpt_tokenizer *t, const char *text,
                                           uint64_t size, int32_t *ids, uint64_t capacity,
                                           struct mgpt_error *error)
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

static const struct mgpt_tokenizer_api dataset_bench_bytes = {.size =
                                                                  sizeof(struct mgpt_tokenizer_api),
                                                              .vocab = dataset_bench_vocab,
                                                              .bos = dataset_bench_bos,
                                                              .encode = dataset_bench_encode};
static const struct mgpt_tokenizer_api dataset_bench_bytes_alone = {
    .size = sizeof(struct mgpt_tokenizer_api),
    .vocab = dataset_bench_vocab,
    .bos = dataset_bench_no_bos,
    .encode = dataset_bench_encode};

/* ---- opening ---- */

/* What a dataset is opened with. */
struct dataset_bench_setup {
    const char *path;
    double split;
    uint64_t seed;
    uint32_t rows, columns, accumulate;
};

/* An open dataset with what lives as long as it does. */
struct dataset_bench {
    struct mgpt_dataset *data;
    struct mgpt_dataset_env env;
    struct mgpt_config *config; /* NULL: this place is free */
};

static inline struct dataset_bench *dataset_bench_place_of(const struct mgpt_dataset *data)
{
    static struct dataset_bench places[8];

    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (data ? places[i].data == data : !places[i].config)
            return &places[i];
    check_that(false, "%s", data ? "a dataset that open did not give" : "too many open datasets");
    return NULL;
}

static inline void dataset_bench_close(const struct mgpt_dataset_api *api,
                                       struct mgpt_dataset *data)
{
    struct dataset_bench *place = dataset_bench_place_of(data);

    api->close(data);
    mgpt_config_destroy(place->config);
    *place = (struct dataset_bench){.config = NULL};
}

/* With the options at their defaults. */
static inline enum mgpt_status dataset_bench_open(const struct mgpt_component *component,
                                                  const struct dataset_bench_setup *setup,
                                                  struct mgpt_dataset **data,
                                                  struct mgpt_error *error)
{
    const struct mgpt_dataset_api *api = component->api;
    struct dataset_bench *place = dataset_bench_place_of(NULL);
    struct mgpt_rng rng;
    struct mgpt_stream stream = mgpt_rng_stream(&rng);

    place->config = mgpt_check_settings(component, NULL);
    place->env = (struct mgpt_dataset_env){.size = sizeof place->env,
                                           .rows = setup->rows,
                                           .columns = setup->columns,
                                           .accumulate = setup->accumulate,
                                           .path = setup->path,
                                           .split = setup->split,
                                           .seed = setup->seed,
                                           .stream = &stream};
    mgpt_rng_seed(&rng, setup->seed);
    enum mgpt_status status = api->open(mgpt_host(), place->config, &place->env, data, error);
    if (status == MGPT_OK) {
        check_that(*data, "open gave no dataset");
        place->data = *data;
    } else {
        mgpt_config_destroy(place->config);
        place->config = NULL;
    }
    return status;
}

static inline struct mgpt_dataset *dataset_bench_opened(const struct mgpt_component *component,
                                                        const struct dataset_bench_setup *setup)
{
    const struct mgpt_dataset_api *api = component->api;
    struct mgpt_dataset *data = NULL;

    check_ok(dataset_bench_open(component, setup, &data, error));
    check_ok(api->encode(data, &dataset_bench_bytes, NULL, error));
    return data;
}

/* 50 documents of 1 to 9 letters, no two alike. */
static inline const char *dataset_bench_corpus(void)
{
    char text[50 * 12], *at = text;
    const char *path = mgpt_check_path("corpus.txt");

    for (int i = 0; i < 50; i++) {
        *at++ = (char)('a' + i % 25);
        for (int k = 0; k < i % 9; k++)
            *at++ = (char)('a' + (i + k) % 25);
        if (i >= 25)
            *at++ = 'z';
        *at++ = '\n';
    }
    mgpt_check_put(path, text, (size_t)(at - text));
    return path;
}

static inline struct dataset_bench_setup dataset_bench_usual(const char *path)
{
    return (struct dataset_bench_setup){
        path, 0.9, 42, DATASET_BENCH_ROWS, DATASET_BENCH_COLUMNS, DATASET_BENCH_ACCUMULATE};
}

/* ---- every module ---- */

/* What comes after the last target of a row is padding: id 0. */
static inline void dataset_bench_check_padding(const struct mgpt_batch *batch)
{
    for (uint32_t row = 0; row < batch->rows; row++) {
        const int32_t *ids = batch->ids + (size_t)row * batch->columns;
        const int32_t *targets = batch->targets + (size_t)row * batch->columns;
        for (uint32_t i = batch->columns; i-- > 0 && targets[i] < 0;)
            check_that(ids[i] == 0, "row %u is padded with id %d, expected 0", row, ids[i]);
    }
}

/* A batch in arrays with a guard behind them. */
struct dataset_bench_cells {
    struct mgpt_batch batch;
    int32_t ids[DATASET_BENCH_CELLS + 1], targets[DATASET_BENCH_CELLS + 1];
};

static inline uint64_t dataset_bench_get(const struct mgpt_dataset_api *api,
                                         const struct mgpt_dataset *data, enum mgpt_part part,
                                         uint64_t index, uint32_t micro,
                                         struct dataset_bench_cells *out)
{
    uint64_t targets = 0;

    memset(out, 0x5a, sizeof *out);
    out->batch = (struct mgpt_batch){.ids = out->ids, .targets = out->targets};
    api->batch(data, part, index, micro, &out->batch);
    check_that(out->batch.rows >= 1 && out->batch.rows <= DATASET_BENCH_ROWS, "%u rows",
               out->batch.rows);
    check_that(out->batch.columns >= 1 && out->batch.columns <= DATASET_BENCH_COLUMNS, "%u columns",
               out->batch.columns);
    for (uint32_t i = 0; i < out->batch.rows * out->batch.columns; i++) {
        check_that(out->ids[i] >= 0 && out->ids[i] <= DATASET_BENCH_BOS, "id %d", out->ids[i]);
        check_that(out->targets[i] >= -1 && out->targets[i] <= DATASET_BENCH_BOS, "target %d",
                   out->targets[i]);
        targets += out->targets[i] >= 0;
    }
    check_that(out->ids[DATASET_BENCH_CELLS] == 0x5a5a5a5a &&
                   out->targets[DATASET_BENCH_CELLS] == 0x5a5a5a5a,
               "wrote past the arrays");
    dataset_bench_check_padding(&out->batch);
    return targets;
}

#endif
