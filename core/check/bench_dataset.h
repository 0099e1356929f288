/* A dataset on a text of its own, with a tokenizer of bytes, for checks. */
#ifndef MGPT_CHECK_BENCH_DATASET_H
#define MGPT_CHECK_BENCH_DATASET_H

#include <microgpt/dataset.h>

#include "base/rng.h"

#include "check/check.h"

#define ROWS 3
#define COLUMNS 5
#define ACCUMULATE 2
#define CELLS (ROWS * COLUMNS)
#define BOS 256

/* ---- a tokenizer of the test's own: bytes, and BOS ---- */

static inline int32_t bos(const struct mgpt_tokenizer *t)
{
    (void)t;
    return BOS;
}

static inline int32_t no_bos(const struct mgpt_tokenizer *t)
{
    (void)t;
    return -1;
}

static inline int32_t vocab(const struct mgpt_tokenizer *t)
{
    (void)t;
    return BOS + 1;
}

/* Knows all but '!'. */
static inline int64_t encode(const struct mgpt_tokenizer *t, const char *text, uint64_t size,
                             int32_t *ids, uint64_t capacity, struct mgpt_error *error)
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

static inline double uniform(void *rng)
{
    return mgpt_rng_uniform(rng);
}

static inline uint64_t below(void *rng, uint64_t n)
{
    return mgpt_rng_below(rng, n);
}

static inline double gauss(void *rng, double mu, double sigma)
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

static inline enum mgpt_status open_data(const struct mgpt_dataset_api *api,
                                         const struct setup *setup, struct mgpt_dataset **data,
                                         struct mgpt_error *error)
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

static inline struct mgpt_dataset *opened(const struct mgpt_dataset_api *api,
                                          const struct setup *setup)
{
    struct mgpt_dataset *data = NULL;

    check_ok(open_data(api, setup, &data, error));
    check_ok(api->encode(data, &bytes, NULL, error));
    return data;
}

/* 50 documents of 1 to 9 letters, no two alike. */
static inline const char *corpus(void)
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

static inline struct setup usual(const char *path)
{
    return (struct setup){path, 0.9, 42, ROWS, COLUMNS, ACCUMULATE};
}

/* ---- every module ---- */

/* A batch in arrays with a guard behind them. */
struct cells {
    struct mgpt_batch batch;
    int32_t ids[CELLS + 1], targets[CELLS + 1];
};

static inline uint64_t get(const struct mgpt_dataset_api *api, const struct mgpt_dataset *data,
                           enum mgpt_part part, uint64_t index, uint32_t micro, struct cells *out)
{
    uint64_t targets = 0;

    memset(out, 0x5a, sizeof *out);
    out->batch = (struct mgpt_batch){.ids = out->ids, .targets = out->targets};
    api->batch(data, part, index, micro, &out->batch);
    check_that(out->batch.rows >= 1 && out->batch.rows <= ROWS, "%u rows", out->batch.rows);
    check_that(out->batch.columns >= 1 && out->batch.columns <= COLUMNS, "%u columns",
               out->batch.columns);
    for (uint32_t i = 0; i < out->batch.rows * out->batch.columns; i++) {
        check_that(out->ids[i] >= 0 && out->ids[i] <= BOS, "id %d", out->ids[i]);
        check_that(out->targets[i] >= -1 && out->targets[i] <= BOS, "target %d", out->targets[i]);
        targets += out->targets[i] >= 0;
    }
    check_that(out->ids[CELLS] == 0x5a5a5a5a && out->targets[CELLS] == 0x5a5a5a5a,
               "wrote past the arrays");
    return targets;
}

#endif
