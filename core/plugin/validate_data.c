/* MICROGPT_VALIDATE=1: the kinds that make batches: tokenizer and dataset. */
#include <config.h>

#include <inttypes.h>
#include <stdlib.h>

#include <microgpt/dataset.h>

#include "plugin/validate.h"

#define SLOTS MGPT_VALIDATE_SLOTS

/* ---- tokenizer ---- */

struct mgpt_tokenizer {
    const struct mgpt_component *component;
    const struct mgpt_tokenizer_api *api;
    struct mgpt_tokenizer *it;
};

static struct {
    const struct mgpt_component *component;
    struct mgpt_tokenizer_api table;
} tokenizers[SLOTS];

static enum mgpt_status tokenizer_create(int slot, const struct mgpt_host *host,
                                         const struct mgpt_config *config,
                                         struct mgpt_tokenizer **out, struct mgpt_error *error)
{
    const struct mgpt_component *c = tokenizers[slot].component;
    struct mgpt_tokenizer *t = calloc(1, sizeof *t);

    if (!t)
        return mgpt_fail(error, MGPT_NOMEM, "no memory to validate %s", c->name);
    t->component = c;
    t->api = c->api;
    enum mgpt_status status =
        mgpt_validate_refusal(t->api->create(host, config, &t->it, error), c, "create", error);
    if (status == MGPT_OK)
        *out = t;
    else
        free(t);
    return status;
}

static void tokenizer_destroy(struct mgpt_tokenizer *t)
{
    if (t)
        t->api->destroy(t->it);
    free(t);
}

static enum mgpt_status tokenizer_train(struct mgpt_tokenizer *t, const struct mgpt_text *documents,
                                        uint64_t n, struct mgpt_error *error)
{
    return mgpt_validate_refusal(t->api->train(t->it, documents, n, error), t->component, "train",
                                 error);
}

static int32_t tokenizer_vocab(const struct mgpt_tokenizer *t)
{
    int32_t n = t->api->vocab(t->it);

    if (n < 1)
        mgpt_violation_kept(t->component, "vocab", "%" PRId32 ", expected 1 or more", n);
    return n;
}

static int32_t tokenizer_bos(const struct mgpt_tokenizer *t)
{
    int32_t id = t->api->bos(t->it);

    if (id < -1 || id >= t->api->vocab(t->it))
        mgpt_violation_kept(t->component, "bos", "id %" PRId32 " of %" PRId32, id,
                            t->api->vocab(t->it));
    return id;
}

static int64_t tokenizer_encode(const struct mgpt_tokenizer *t, const char *text, uint64_t size,
                                int32_t *ids, uint64_t capacity, struct mgpt_error *error)
{
    int64_t n = t->api->encode(t->it, text, size, ids, capacity, error);
    int32_t vocab = t->api->vocab(t->it), bos = t->api->bos(t->it);

    if (n < 0 && error)
        (void)mgpt_validate_refusal((enum mgpt_status)error->status, t->component, "encode", error);
    for (int64_t i = 0; i < n && (uint64_t)i < capacity; i++)
        if (ids[i] < 0 || ids[i] >= vocab || ids[i] == bos)
            mgpt_violation_kept(t->component, "encode", "id %" PRId32 " of %" PRId32 "%s", ids[i],
                                vocab, ids[i] == bos ? ", which is BOS" : "");
    return n;
}

static int64_t tokenizer_decode(const struct mgpt_tokenizer *t, const int32_t *ids, uint64_t n,
                                char *text, uint64_t capacity, struct mgpt_error *error)
{
    int64_t size = t->api->decode(t->it, ids, n, text, capacity, error);
    int32_t vocab = t->api->vocab(t->it);

    for (uint64_t i = 0; i < n; i++)
        if ((ids[i] < 0 || ids[i] >= vocab) && size >= 0)
            mgpt_violation_kept(t->component, "decode", "took id %" PRId32 " of %" PRId32, ids[i],
                                vocab);
    return size;
}

static int64_t tokenizer_save(const struct mgpt_tokenizer *t, char *json, uint64_t capacity,
                              struct mgpt_error *error)
{
    return t->api->save(t->it, json, capacity, error);
}

static enum mgpt_status tokenizer_load(struct mgpt_tokenizer *t, const char *json, uint64_t size,
                                       struct mgpt_error *error)
{
    return mgpt_validate_refusal(t->api->load(t->it, json, size, error), t->component, "load",
                                 error);
}

#define TOKENIZER(i)                                                                               \
    static enum mgpt_status tokenizer_create_##i(                                                  \
        const struct mgpt_host *host, const struct mgpt_config *config,                            \
        struct mgpt_tokenizer **out, struct mgpt_error *error)                                     \
    {                                                                                              \
        return tokenizer_create(i, host, config, out, error);                                      \
    }
MGPT_EACH_SLOT(TOKENIZER)
#undef TOKENIZER

#define CREATE(i) tokenizer_create_##i,
const void *mgpt_validate_tokenizer(const struct mgpt_component *component, int slot)
{
    static enum mgpt_status (*const create[])(const struct mgpt_host *, const struct mgpt_config *,
                                              struct mgpt_tokenizer **,
                                              struct mgpt_error *) = {MGPT_EACH_SLOT(CREATE)};

    tokenizers[slot].component = component;
    tokenizers[slot].table = (struct mgpt_tokenizer_api){.size = sizeof tokenizers[slot].table,
                                                         .create = create[slot],
                                                         .destroy = tokenizer_destroy,
                                                         .train = tokenizer_train,
                                                         .vocab = tokenizer_vocab,
                                                         .bos = tokenizer_bos,
                                                         .encode = tokenizer_encode,
                                                         .decode = tokenizer_decode,
                                                         .save = tokenizer_save,
                                                         .load = tokenizer_load};
    return &tokenizers[slot].table;
}
#undef CREATE

/* ---- dataset ---- */

struct mgpt_dataset {
    const struct mgpt_component *component;
    const struct mgpt_dataset_api *api;
    struct mgpt_dataset *it;
    uint32_t rows, columns, accumulate;
    int32_t vocab;  /* 0: not encoded yet */
    int32_t *twice; /* room for a second look at a batch: ids, then targets */
};

static struct {
    const struct mgpt_component *component;
    struct mgpt_dataset_api table;
} datasets[SLOTS];

static enum mgpt_status dataset_open(int slot, const struct mgpt_host *host,
                                     const struct mgpt_config *config,
                                     const struct mgpt_dataset_env *env, struct mgpt_dataset **out,
                                     struct mgpt_error *error)
{
    const struct mgpt_component *c = datasets[slot].component;
    struct mgpt_dataset *d = calloc(1, sizeof *d);

    if (d)
        d->twice = calloc((size_t)env->rows * env->columns, 2 * sizeof *d->twice);
    if (!d || !d->twice) {
        free(d);
        return mgpt_fail(error, MGPT_NOMEM, "no memory to validate %s", c->name);
    }
    d->component = c;
    d->api = c->api;
    d->rows = env->rows;
    d->columns = env->columns;
    d->accumulate = env->accumulate;
    enum mgpt_status status =
        mgpt_validate_refusal(d->api->open(host, config, env, &d->it, error), c, "open", error);
    if (status == MGPT_OK) {
        *out = d;
    } else {
        free(d->twice);
        free(d);
    }
    return status;
}

static void dataset_close(struct mgpt_dataset *d)
{
    if (!d)
        return;
    d->api->close(d->it);
    free(d->twice);
    free(d);
}

static const struct mgpt_text *dataset_documents(const struct mgpt_dataset *d, uint64_t *n)
{
    return d->api->documents(d->it, n);
}

static enum mgpt_status dataset_encode(struct mgpt_dataset *d, const struct mgpt_tokenizer_api *api,
                                       const struct mgpt_tokenizer *tokenizer,
                                       struct mgpt_error *error)
{
    enum mgpt_status status = d->api->encode(d->it, api, tokenizer, error);

    d->vocab = api->vocab(tokenizer);
    return mgpt_validate_refusal(status, d->component, "encode", error);
}

static void dataset_info(const struct mgpt_dataset *d, struct mgpt_dataset_info *info)
{
    d->api->info(d->it, info);
}

static uint64_t dataset_targets(const struct mgpt_dataset *d, uint64_t step)
{
    uint64_t n = d->api->targets(d->it, step);

    if (n < 1 || n > (uint64_t)d->rows * d->columns * d->accumulate)
        mgpt_violation_kept(d->component, "targets",
                            "%" PRIu64 " in step %" PRIu64 ", which has room for %" PRIu64, n, step,
                            (uint64_t)d->rows * d->columns * d->accumulate);
    return n;
}

static void look_at_cells(const struct mgpt_dataset *d, const struct mgpt_batch *b)
{
    for (size_t i = 0; i < (size_t)b->rows * b->columns; i++) {
        if (b->ids[i] < 0 || b->ids[i] >= d->vocab)
            mgpt_violation_kept(d->component, "batch", "id %" PRId32 " of %" PRId32, b->ids[i],
                                d->vocab);
        if (b->targets[i] < -1 || b->targets[i] >= d->vocab)
            mgpt_violation_kept(d->component, "batch", "target %" PRId32 " of %" PRId32,
                                b->targets[i], d->vocab);
    }
}

static void dataset_batch(const struct mgpt_dataset *d, enum mgpt_part part, uint64_t index,
                          uint32_t micro, struct mgpt_batch *batch)
{
    size_t room = (size_t)d->rows * d->columns;
    struct mgpt_batch again = {.ids = d->twice, .targets = d->twice + room};

    if (!d->vocab)
        mgpt_violation_kept(d->component, "batch", "was called before encode");
    d->api->batch(d->it, part, index, micro, batch);
    if (batch->rows < 1 || batch->rows > d->rows || batch->columns < 1 ||
        batch->columns > d->columns) {
        mgpt_violation_kept(d->component, "batch", "%ux%u cells, expected at most %ux%u",
                            batch->rows, batch->columns, d->rows, d->columns);
        return;
    }
    look_at_cells(d, batch);
    d->api->batch(d->it, part, index, micro, &again);
    size_t size = (size_t)batch->rows * batch->columns * sizeof *again.ids;
    if (again.rows != batch->rows || again.columns != batch->columns ||
        memcmp(again.ids, batch->ids, size) || memcmp(again.targets, batch->targets, size))
        mgpt_violation_kept(d->component, "batch",
                            "part %d, index %" PRIu64 " is another one when asked for again: it "
                            "must be pure",
                            (int)part, index);
}

#define DATASET(i)                                                                                 \
    static enum mgpt_status dataset_open_##i(                                                      \
        const struct mgpt_host *host, const struct mgpt_config *config,                            \
        const struct mgpt_dataset_env *env, struct mgpt_dataset **out, struct mgpt_error *error)   \
    {                                                                                              \
        return dataset_open(i, host, config, env, out, error);                                     \
    }
MGPT_EACH_SLOT(DATASET)
#undef DATASET

#define OPEN(i) dataset_open_##i,
const void *mgpt_validate_dataset(const struct mgpt_component *component, int slot)
{
    static enum mgpt_status (*const open[])(const struct mgpt_host *, const struct mgpt_config *,
                                            const struct mgpt_dataset_env *, struct mgpt_dataset **,
                                            struct mgpt_error *) = {MGPT_EACH_SLOT(OPEN)};

    datasets[slot].component = component;
    datasets[slot].table = (struct mgpt_dataset_api){.size = sizeof datasets[slot].table,
                                                     .open = open[slot],
                                                     .close = dataset_close,
                                                     .documents = dataset_documents,
                                                     .encode = dataset_encode,
                                                     .info = dataset_info,
                                                     .targets = dataset_targets,
                                                     .batch = dataset_batch};
    return &datasets[slot].table;
}
#undef OPEN
