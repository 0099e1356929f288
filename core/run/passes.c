/* The passes of one model on one machine: tapes by shape, kept while there is room, over one buffer
 * of activations. A DECODE pass needs less of it than LOGITS of the same length. */
#include <config.h>

#include <string.h>

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

void mgpt_passes_close(struct mgpt_passes *passes)
{
    for (int i = 0; i < MGPT_PASSES; i++)
        mgpt_tape_finish(&passes->slots[i].tape);
    if (passes->net.machine) {
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
                                    .cache = passes->cache,
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

static enum mgpt_status make_cache(struct mgpt_passes *passes, struct mgpt_error *error)
{
    const struct mgpt_model *m = passes->net.model;
    int64_t wide = (int64_t)m->kv_heads * (m->embd / m->heads);

    if (passes->cache.buffer)
        return MGPT_OK;
    return mgpt_machine_new(passes->net.machine, passes->net.precision->activation,
                            (int64_t)m->layers * 2 * m->context * wide, &passes->cache, error);
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
    status = make_cache(passes, error);
    if (status == MGPT_OK)
        status = tape_of(passes, MGPT_MODE_DECODE, 1, n, tape, error);
    if (status == MGPT_OK)
        status = mgpt_machine_write(passes->net.machine, &(*tape)->ids, ids, error);
    if (status != MGPT_OK)
        return status;
    (*tape)->position = position;
    return mgpt_tape_run(*tape, 0, error);
}
