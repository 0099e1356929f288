/* MICROGPT_VALIDATE=1: the kinds that make batches: tokenizer and dataset. */
#include <config.h>

#include <inttypes.h>
#include <stdlib.h>

#include <microgpt/dataset.h>

#include "plugin/validate_slots.h"

/* ---- tokenizer ---- */

MGPT_VALIDATE_INSTANCE(tokenizer, )

static enum mgpt_status tokenizer_create(int slot, const struct mgpt_host *host,
                                         const struct mgpt_config *config,
                                         struct mgpt_tokenizer **out, struct mgpt_error *error)
{
    enum mgpt_status status = tokenizer_new(slot, out, error);

    if (status == MGPT_OK)
        status = (*out)->api->create(host, config, &(*out)->it, error);
    return tokenizer_keep(slot, status, out, "create", error);
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

MGPT_SLOT_FUNCTIONS(tokenizer_create,
                    (const struct mgpt_host *host, const struct mgpt_config *config,
                     struct mgpt_tokenizer **out, struct mgpt_error *error),
                    host, config, out, error)

const void *mgpt_validate_tokenizer(const struct mgpt_component *component, int slot)
{
    struct mgpt_tokenizer_api *table = tokenizer_table(component, slot);

    table->create = tokenizer_create_slots[slot];
    table->destroy = tokenizer_destroy;
    table->train = tokenizer_train;
    table->vocab = tokenizer_vocab;
    table->bos = tokenizer_bos;
    table->encode = tokenizer_encode;
    table->decode = tokenizer_decode;
    table->save = tokenizer_save;
    table->load = tokenizer_load;
    return table;
}

/* ---- dataset ---- */

struct seen {
    uint32_t rows, columns, accumulate;
    int32_t vocab;  /* 0: not encoded yet */
    int32_t *twice; /* room for a second look at a batch: ids, then targets */
};

MGPT_VALIDATE_INSTANCE(dataset, struct seen seen;)

static enum mgpt_status dataset_open(int slot, const struct mgpt_host *host,
                                     const struct mgpt_config *config,
                                     const struct mgpt_dataset_env *env, struct mgpt_dataset **out,
                                     struct mgpt_error *error)
{
    enum mgpt_status status = dataset_new(slot, out, error);
    struct mgpt_dataset *d = *out;

    if (status == MGPT_OK) {
        d->seen.rows = env->rows;
        d->seen.columns = env->columns;
        d->seen.accumulate = env->accumulate;
        d->seen.twice = calloc((size_t)env->rows * env->columns, 2 * sizeof *d->seen.twice);
        status = d->seen.twice
                     ? d->api->open(host, config, env, &d->it, error)
                     : mgpt_fail(error, MGPT_NOMEM, "no memory to validate %s", d->component->name);
    }
    if (status != MGPT_OK && d)
        free(d->seen.twice);
    return dataset_keep(slot, status, out, "open", error);
}

static void dataset_close(struct mgpt_dataset *d)
{
    if (!d)
        return;
    d->api->close(d->it);
    free(d->seen.twice);
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

    d->seen.vocab = api->vocab(tokenizer);
    return mgpt_validate_refusal(status, d->component, "encode", error);
}

static void dataset_info(const struct mgpt_dataset *d, struct mgpt_dataset_info *info)
{
    d->api->info(d->it, info);
}

static uint64_t dataset_targets(const struct mgpt_dataset *d, uint64_t step)
{
    uint64_t n = d->api->targets(d->it, step);

    if (n < 1 || n > (uint64_t)d->seen.rows * d->seen.columns * d->seen.accumulate)
        mgpt_violation_kept(d->component, "targets",
                            "%" PRIu64 " in step %" PRIu64 ", which has room for %" PRIu64, n, step,
                            (uint64_t)d->seen.rows * d->seen.columns * d->seen.accumulate);
    return n;
}

static void look_at_cells(const struct mgpt_dataset *d, const struct mgpt_batch *b)
{
    for (size_t i = 0; i < (size_t)b->rows * b->columns; i++) {
        if (b->ids[i] < 0 || b->ids[i] >= d->seen.vocab)
            mgpt_violation_kept(d->component, "batch", "id %" PRId32 " of %" PRId32, b->ids[i],
                                d->seen.vocab);
        if (b->targets[i] < -1 || b->targets[i] >= d->seen.vocab)
            mgpt_violation_kept(d->component, "batch", "target %" PRId32 " of %" PRId32,
                                b->targets[i], d->seen.vocab);
    }
}

static void dataset_batch(const struct mgpt_dataset *d, enum mgpt_part part, uint64_t index,
                          uint32_t micro, struct mgpt_batch *batch)
{
    size_t room = (size_t)d->seen.rows * d->seen.columns;
    struct mgpt_batch again = {.ids = d->seen.twice, .targets = d->seen.twice + room};

    if (!d->seen.vocab)
        mgpt_violation_kept(d->component, "batch", "was called before encode");
    d->api->batch(d->it, part, index, micro, batch);
    if (batch->rows < 1 || batch->rows > d->seen.rows || batch->columns < 1 ||
        batch->columns > d->seen.columns) {
        mgpt_violation_kept(d->component, "batch", "%ux%u cells, expected at most %ux%u",
                            batch->rows, batch->columns, d->seen.rows, d->seen.columns);
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

MGPT_SLOT_FUNCTIONS(dataset_open,
                    (const struct mgpt_host *host, const struct mgpt_config *config,
                     const struct mgpt_dataset_env *env, struct mgpt_dataset **out,
                     struct mgpt_error *error),
                    host, config, env, out, error)

const void *mgpt_validate_dataset(const struct mgpt_component *component, int slot)
{
    struct mgpt_dataset_api *table = dataset_table(component, slot);

    table->open = dataset_open_slots[slot];
    table->close = dataset_close;
    table->documents = dataset_documents;
    table->encode = dataset_encode;
    table->info = dataset_info;
    table->targets = dataset_targets;
    table->batch = dataset_batch;
    return table;
}
