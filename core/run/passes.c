/* The passes of one model on one machine: tapes by shape, kept while there is room, over one buffer
 * of activations. A DECODE pass needs less of it than LOGITS of the same length. */
#include <config.h>

#include <string.h>

#include "ref/ref.h"
#include "run/passes.h"

/* Bytes of activations that a pass needs. */
static enum mgpt_status measure(const struct mgpt_net *net, enum mgpt_mode mode, int64_t batch,
                                int64_t time, uint64_t *bytes, struct mgpt_error *error)
{
    struct mgpt_tape tape = {.net = net, .mode = mode, .batch = batch, .time = time};
    enum mgpt_status status = mgpt_tape_record(&tape, error);

    *bytes = tape.peak;
    mgpt_tape_finish(&tape);
    return status;
}

enum mgpt_status mgpt_passes_resident(const struct mgpt_net *net, int64_t batch, int64_t time,
                                      struct mgpt_error *error)
{
    struct mgpt_tape tape = {.net = net, .mode = MGPT_MODE_TRAIN, .batch = batch, .time = time};
    enum mgpt_status status = mgpt_tape_record(&tape, error);

    if (status == MGPT_OK && tape.lacks)
        status = mgpt_fail(error, MGPT_UNSUPPORTED,
                           "device %s has no op %s for these shapes and formats",
                           net->machine->caps.name, mgpt_op_name(tape.lacks));
    mgpt_tape_finish(&tape);
    return status;
}

enum mgpt_status mgpt_passes_measure(const struct mgpt_net *net, enum mgpt_mode mode, int64_t batch,
                                     int64_t time, uint64_t *bytes, struct mgpt_error *error)
{
    *bytes = 0;
    for (enum mgpt_mode m = mode; m <= MGPT_MODE_LOGITS; m++) {
        uint64_t one;
        enum mgpt_status status = measure(net, m, batch, time, &one, error);
        if (status != MGPT_OK)
            return status;
        *bytes = one > *bytes ? one : *bytes;
    }
    return MGPT_OK;
}

enum mgpt_status mgpt_passes_open(struct mgpt_passes *passes, const struct mgpt_net *net,
                                  enum mgpt_mode mode, int64_t batch, int64_t time,
                                  struct mgpt_error *error)
{
    uint64_t most;
    enum mgpt_status status;

    memset(passes, 0, sizeof *passes);
    passes->net = *net;
    status = mgpt_passes_measure(&passes->net, mode, batch, time, &most, error);
    if (status != MGPT_OK)
        return status;
    return mgpt_machine_new(net->machine, MGPT_U8, (int64_t)most, &passes->memory, error);
}

static void forget(struct mgpt_passes *passes)
{
    for (int i = 0; i < MGPT_PASSES; i++) {
        mgpt_tape_finish(&passes->slots[i].tape);
        passes->slots[i].used = 0;
    }
}

void mgpt_passes_close(struct mgpt_passes *passes)
{
    forget(passes);
    if (passes->net.machine) {
        mgpt_machine_free(passes->net.machine, &passes->caches);
        mgpt_machine_free(passes->net.machine, &passes->cache);
        mgpt_machine_free(passes->net.machine, &passes->memory);
    }
    memset(passes, 0, sizeof *passes);
}

/* The slot of that shape, or the one to record it in. */
static struct mgpt_slot *find(struct mgpt_passes *passes, enum mgpt_mode mode, int64_t batch,
                              int64_t time)
{
    struct mgpt_slot *oldest = &passes->slots[0];

    for (int i = 0; i < MGPT_PASSES; i++) {
        struct mgpt_slot *slot = &passes->slots[i];
        if (slot->used && slot->tape.mode == mode && slot->tape.batch == batch &&
            slot->tape.time == time)
            return slot;
        if (slot->used < oldest->used)
            oldest = slot;
    }
    return oldest;
}

static enum mgpt_status record(struct mgpt_passes *passes, struct mgpt_slot *slot,
                               enum mgpt_mode mode, int64_t batch, int64_t time,
                               struct mgpt_error *error)
{
    mgpt_tape_finish(&slot->tape);
    slot->used = 0;
    slot->tape = (struct mgpt_tape){.net = &passes->net,
                                    .mode = mode,
                                    .batch = batch,
                                    .time = time,
                                    .cache = batch > 1 ? passes->caches : passes->cache,
                                    .buffer = passes->memory.buffer};
    return mgpt_tape_record(&slot->tape, error);
}

/* The tape of that shape, recorded when it is new. */
static enum mgpt_status tape_of(struct mgpt_passes *passes, enum mgpt_mode mode, int64_t batch,
                                int64_t time, struct mgpt_tape **tape, struct mgpt_error *error)
{
    struct mgpt_slot *slot = find(passes, mode, batch, time);
    enum mgpt_status status = MGPT_OK;

    if (!slot->used || slot->tape.mode != mode || slot->tape.batch != batch ||
        slot->tape.time != time)
        status = record(passes, slot, mode, batch, time, error);
    if (status != MGPT_OK)
        return status;
    slot->used = ++passes->clock;
    *tape = &slot->tape;
    return MGPT_OK;
}

enum mgpt_status mgpt_passes_run(struct mgpt_passes *passes, enum mgpt_mode mode,
                                 const struct mgpt_batch *batch, int64_t first,
                                 struct mgpt_tape **tape, struct mgpt_error *error)
{
    struct mgpt_machine *machine = passes->net.machine;
    enum mgpt_status status = tape_of(passes, mode, batch->rows, batch->columns, tape, error);

    if (status == MGPT_OK)
        status = mgpt_machine_write(machine, &(*tape)->ids, batch->ids, error);
    if (status == MGPT_OK && mode != MGPT_MODE_LOGITS)
        status = mgpt_machine_write(machine, &(*tape)->targets, batch->targets, error);
    return status == MGPT_OK ? mgpt_tape_run(*tape, first, error) : status;
}

/* Columns of a row of keys, or of values. */
static int64_t width(const struct mgpt_model *m)
{
    return (int64_t)m->kv_heads * (m->embd / m->heads);
}

/* (layers,2,lanes,S,KV*D) */
static enum mgpt_status new_cache(struct mgpt_passes *passes, int64_t lanes,
                                  struct mgpt_tensor *cache, struct mgpt_error *error)
{
    const struct mgpt_model *m = passes->net.model;

    return mgpt_machine_new(passes->net.machine, passes->net.precision->activation,
                            (int64_t)m->layers * 2 * lanes * m->context * width(m), cache, error);
}

/* n ids of each of `batch` sequences, from `position` on. */
static enum mgpt_status decode(struct mgpt_passes *passes, int64_t batch, int64_t n,
                               const int32_t *ids, int64_t position, struct mgpt_tape **tape,
                               struct mgpt_error *error)
{
    enum mgpt_status status = tape_of(passes, MGPT_MODE_DECODE, batch, n, tape, error);

    if (status == MGPT_OK)
        status = mgpt_machine_write(passes->net.machine, &(*tape)->ids, ids, error);
    if (status != MGPT_OK)
        return status;
    (*tape)->position = position;
    return mgpt_tape_run(*tape, 0, error);
}

enum mgpt_status mgpt_passes_decode(struct mgpt_passes *passes, const int32_t *ids, int64_t n,
                                    int64_t position, struct mgpt_tape **tape,
                                    struct mgpt_error *error)
{
    int64_t context = passes->net.model->context;
    enum mgpt_status status;

    if (n < 1 || position < 0 || (n > 1 && position > 0) || n > context - position)
        return mgpt_fail(error, MGPT_INVALID, "%lld ids from %lld do not go into a context of %lld",
                         (long long)n, (long long)position, (long long)context);
    status = passes->cache.buffer ? MGPT_OK : new_cache(passes, 1, &passes->cache, error);
    if (status != MGPT_OK)
        return status;
    return decode(passes, 1, n, ids, position, tape, error);
}

/* ---- lanes ---- */

/* The room for activations grows where that many rows need more. */
static enum mgpt_status grow(struct mgpt_passes *passes, int64_t lanes, struct mgpt_error *error)
{
    uint64_t bytes;
    enum mgpt_status status = measure(&passes->net, MGPT_MODE_DECODE, lanes, 1, &bytes, error);

    if (status != MGPT_OK || (int64_t)bytes <= mgpt_tensor_count(&passes->memory))
        return status;
    forget(passes);
    mgpt_machine_free(passes->net.machine, &passes->memory);
    return mgpt_machine_new(passes->net.machine, MGPT_U8, (int64_t)bytes, &passes->memory, error);
}

enum mgpt_status mgpt_passes_widen(struct mgpt_passes *passes, int64_t lanes,
                                   struct mgpt_error *error)
{
    enum mgpt_status status = grow(passes, lanes, error);

    if (status != MGPT_OK || passes->lanes == lanes)
        return status;
    forget(passes);
    mgpt_machine_free(passes->net.machine, &passes->caches);
    status = new_cache(passes, lanes, &passes->caches, error);
    passes->lanes = status == MGPT_OK ? lanes : 0;
    return status;
}

/* n rows of one lane's keys or values, of which `which` layers, parts and lanes lie before. */
static struct mgpt_tensor part(const struct mgpt_passes *passes, const struct mgpt_tensor *cache,
                               int64_t which, int64_t n)
{
    const struct mgpt_model *m = passes->net.model;
    uint64_t element = mgpt_dtype_size(cache->dtype);
    struct mgpt_tensor rows = *cache;

    rows.offset += (uint64_t)(which * m->context * width(m)) * element;
    rows.rank = 2;
    rows.shape[0] = n;
    rows.shape[1] = width(m);
    return rows;
}

enum mgpt_status mgpt_passes_keep(struct mgpt_passes *passes, int64_t lane, int64_t n,
                                  struct mgpt_error *error)
{
    enum mgpt_status status = MGPT_OK;

    for (int64_t i = 0; i < 2 * (int64_t)passes->net.model->layers && status == MGPT_OK; i++) {
        struct mgpt_op copy = {.size = sizeof copy, .code = MGPT_OP_AXPBY, .scale = 1};
        copy.in[0] = part(passes, &passes->cache, i, n);
        copy.out[0] = part(passes, &passes->caches, i * passes->lanes + lane, n);
        status = mgpt_machine_do(passes->net.machine, &copy, error);
    }
    return status;
}

enum mgpt_status mgpt_passes_decode_lanes(struct mgpt_passes *passes, const int32_t *ids,
                                          int64_t position, struct mgpt_tape **tape,
                                          struct mgpt_error *error)
{
    return decode(passes, passes->lanes, 1, ids, position, tape, error);
}
