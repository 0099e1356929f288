/* The passes of one model on one machine: tapes by shape, kept while there is room, over one buffer
 * of activations. */
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

enum mgpt_status mgpt_passes_open(struct mgpt_passes *passes, const struct mgpt_net *net,
                                  enum mgpt_mode mode, int64_t batch, int64_t time,
                                  struct mgpt_error *error)
{
    uint64_t most = 0;

    memset(passes, 0, sizeof *passes);
    passes->net = *net;
    for (enum mgpt_mode m = mode; m <= MGPT_MODE_LOGITS; m++) {
        uint64_t bytes;
        enum mgpt_status status = measure(&passes->net, m, batch, time, &bytes, error);
        if (status != MGPT_OK)
            return status;
        most = bytes > most ? bytes : most;
    }
    return mgpt_machine_new(net->machine, MGPT_U8, (int64_t)most, &passes->memory, error);
}

void mgpt_passes_close(struct mgpt_passes *passes)
{
    for (int i = 0; i < MGPT_PASSES; i++)
        mgpt_tape_finish(&passes->slots[i].tape);
    if (passes->net.machine)
        mgpt_machine_free(passes->net.machine, &passes->memory);
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
                                    .buffer = passes->memory.buffer};
    return mgpt_tape_record(&slot->tape, error);
}

enum mgpt_status mgpt_passes_run(struct mgpt_passes *passes, enum mgpt_mode mode,
                                 const struct mgpt_batch *batch, int64_t first,
                                 struct mgpt_tape **tape, struct mgpt_error *error)
{
    struct mgpt_machine *machine = passes->net.machine;
    struct mgpt_slot *slot = find(passes, mode, batch->rows, batch->columns);
    enum mgpt_status status = MGPT_OK;

    if (!slot->used || slot->tape.mode != mode || slot->tape.batch != batch->rows ||
        slot->tape.time != batch->columns)
        status = record(passes, slot, mode, batch->rows, batch->columns, error);
    if (status != MGPT_OK)
        return status;
    slot->used = ++passes->clock;
    *tape = &slot->tape;
    status = mgpt_machine_write(machine, &slot->tape.ids, batch->ids, error);
    if (status == MGPT_OK && mode != MGPT_MODE_LOGITS)
        status = mgpt_machine_write(machine, &slot->tape.targets, batch->targets, error);
    return status == MGPT_OK ? mgpt_tape_run(&slot->tape, first, error) : status;
}
