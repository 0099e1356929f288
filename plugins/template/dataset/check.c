/* Dataset my-name: its batches fit, are counted, and depend on the seed and the step alone. */
#define _POSIX_C_SOURCE 200809L
#include <unistd.h>

#include <microgpt/dataset.h>

#include "host.h"

#define ROWS 3
#define COLUMNS 6
#define MICRO 2

static const struct mgpt_dataset_api *api;
static struct mgpt_error error;
static char path[] = "/tmp/my-name-XXXXXX";

/* A tokenizer for it: a to z are 1 to 26, BOS is 0. */
static int32_t bos(const struct mgpt_tokenizer *t)
{
    (void)t;
    return 0;
}

static int64_t encode(const struct mgpt_tokenizer *t, const char *text, uint64_t size, int32_t *ids,
                      uint64_t capacity, struct mgpt_error *why)
{
    (void)t, (void)why;
    for (uint64_t i = 0; i < size && i < capacity; i++)
        ids[i] = text[i] - 'a' + 1;
    return (int64_t)size;
}

static const struct mgpt_tokenizer_api letters = {
    .size = sizeof letters, .bos = bos, .encode = encode};

static enum mgpt_status open_text(const char *text, uint64_t seed, struct mgpt_dataset **d)
{
    uint64_t state = seed;
    const struct mgpt_stream stream = {&state, draw_uniform, draw_below, NULL};
    struct mgpt_dataset_env env;
    FILE *file = fopen(path, "w");

    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
    memset(&env, 0, sizeof env);
    env.size = sizeof env;
    env.rows = ROWS;
    env.columns = COLUMNS;
    env.accumulate = MICRO;
    env.path = path;
    env.split = 0.75;
    env.seed = seed;
    env.stream = &stream;
    enum mgpt_status status = api->open(&host, NULL, &env, d, &error);
    return status == MGPT_OK ? api->encode(*d, &letters, NULL, &error) : status;
}

/* Fills ids[0..18) and targets, and returns how many targets there are. */
static uint64_t fill(const struct mgpt_dataset *d, enum mgpt_part part, uint64_t index,
                     uint32_t micro, int32_t *ids, int32_t *targets)
{
    struct mgpt_batch batch = {0, 0, ids, targets};
    uint64_t n = 0;

    api->batch(d, part, index, micro, &batch);
    CHECK(batch.rows >= 1 && batch.rows <= ROWS && batch.columns >= 1 && batch.columns <= COLUMNS);
    for (uint32_t i = 0; i < batch.rows * batch.columns; i++) {
        n += targets[i] >= 0;
        CHECK(ids[i] >= 0 && ids[i] <= 26 && targets[i] >= -1 && targets[i] <= 26);
    }
    return n;
}

static void batches_are_counted_and_pure(struct mgpt_dataset *d, struct mgpt_dataset *again,
                                         struct mgpt_dataset *other)
{
    int32_t ids[3][ROWS * COLUMNS] = {{0}}, targets[3][ROWS * COLUMNS] = {{0}};
    int differs = 0;

    for (uint64_t step = 0; step < 20; step++) {
        uint64_t n = 0;
        for (uint32_t micro = 0; micro < MICRO; micro++) {
            n += fill(d, MGPT_PART_TRAIN, step, micro, ids[0], targets[0]);
            fill(again, MGPT_PART_TRAIN, step, micro, ids[1], targets[1]);
            fill(other, MGPT_PART_TRAIN, step, micro, ids[2], targets[2]);
            for (int i = 0; i < ROWS * COLUMNS; i++) {
                CHECK_EQUAL(ids[1][i], ids[0][i]);
                CHECK_EQUAL(targets[1][i], targets[0][i]);
            }
            differs |= memcmp(ids[0], ids[2], sizeof ids[0]) != 0;
        }
        CHECK_EQUAL(api->targets(d, step), n);
    }
    CHECK(differs);
}

static void lays_out_a_document(const struct mgpt_dataset *d)
{
    const int32_t zoe[] = {0, 26, 15, 5, 0, 0}, next[] = {26, 15, 5, 0, -1, -1};
    int32_t ids[ROWS * COLUMNS], targets[ROWS * COLUMNS];

    CHECK_EQUAL(fill(d, MGPT_PART_VALID, 0, 0, ids, targets), 4);
    for (int i = 0; i < COLUMNS; i++) {
        CHECK_EQUAL(ids[i], zoe[i]);
        CHECK_EQUAL(targets[i], next[i]);
    }
}

int main(int argc, char **argv)
{
    static const char text[] = "anna\n\nbenjamin\nclara\nzoe";
    struct mgpt_dataset *d = NULL, *again = NULL, *other = NULL, *bad = NULL;
    struct mgpt_dataset_info info;

    load(argc > 1 ? argv[1] : NULL, MGPT_KIND_DATASET);
    api = (const struct mgpt_dataset_api *)component->api;
    CHECK(close(mkstemp(path)) == 0);
    CHECK_STATUS(open_text(text, 1, &d), MGPT_OK, error);
    CHECK_STATUS(open_text(text, 1, &again), MGPT_OK, error);
    CHECK_STATUS(open_text(text, 2, &other), MGPT_OK, error);
    info.size = sizeof info;
    api->info(d, &info);
    CHECK_EQUAL(info.documents, 4);
    CHECK_EQUAL(info.train_documents, 3);
    CHECK_EQUAL(info.valid_batches, 1);
    CHECK_EQUAL(info.cut_documents, 1);
    CHECK_EQUAL(info.train_tokens, 5 + 6 + 6);
    batches_are_counted_and_pure(d, again, other);
    lays_out_a_document(d);
    CHECK_STATUS(open_text("", 1, &bad), MGPT_DATA, error);
    CHECK(strstr(error.text, path));
    CHECK_STATUS(open_text("ok\nb\xff\n", 1, &bad), MGPT_DATA, error);
    CHECK(strstr(error.text, "byte 4"));
    api->close(d);
    api->close(again);
    api->close(other);
    api->close(NULL);
    CHECK(unlink(path) == 0);
    puts("check: dataset my-name is sound");
    return 0;
}
