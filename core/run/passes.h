/* The passes of one model on one machine: tapes by shape, kept while there is room, over one buffer
 * of activations. */
#ifndef MGPT_RUN_PASSES_H
#define MGPT_RUN_PASSES_H

#include "model/tape.h"

#define MGPT_PASSES 32 /* tapes kept; a shape that was not used for longest makes room */

/* Zero-initialise; then open. */
struct mgpt_passes {
    struct mgpt_net net;
    struct mgpt_tensor memory; /* activations, U8 */
    struct mgpt_tensor cache;  /* of DECODE of one sequence; made when it is first run */
    struct mgpt_tensor caches; /* of DECODE of many */
    int64_t lanes;             /* how many */
    struct mgpt_slot {
        struct mgpt_tape tape;
        uint64_t used; /* when, on the clock below; 0: empty */
    } slots[MGPT_PASSES];
    uint64_t clock;
};

/* Bytes of activations of passes of at most batch x time in `mode` and the modes that need less;
 * net->machine need not have a device's memory for it. */
enum mgpt_status mgpt_passes_measure(const struct mgpt_net *net, enum mgpt_mode mode, int64_t batch,
                                     int64_t time, uint64_t *bytes, struct mgpt_error *error);
/* MGPT_OK when the device itself has every op of a TRAIN pass; else MGPT_UNSUPPORTED, naming
 * one. */
enum mgpt_status mgpt_passes_resident(const struct mgpt_net *net, int64_t batch, int64_t time,
                                      struct mgpt_error *error);
/* Room for passes of at most batch x time in `mode` and the modes that need less. */
enum mgpt_status mgpt_passes_open(struct mgpt_passes *passes, const struct mgpt_net *net,
                                  enum mgpt_mode mode, int64_t batch, int64_t time,
                                  struct mgpt_error *error);
void mgpt_passes_close(struct mgpt_passes *passes);

/* Runs a pass over `ids` (and `targets`, unless mode is LOGITS), recording it when the shape is
 * new. The tape is valid until the next call. `first`: sequences of the step before these. */
enum mgpt_status mgpt_passes_run(struct mgpt_passes *passes, enum mgpt_mode mode,
                                 const struct mgpt_batch *batch, int64_t first,
                                 struct mgpt_tape **tape, struct mgpt_error *error);

/* MGPT_MODE_DECODE: n ids of one sequence at positions `position`.., after the ones before them
 * were decoded; more than one id at once only at position 0. tape->logits are those of the last. */
enum mgpt_status mgpt_passes_decode(struct mgpt_passes *passes, const int32_t *ids, int64_t n,
                                    int64_t position, struct mgpt_tape **tape,
                                    struct mgpt_error *error);

/* ---- several sequences side by side, in lanes: a token of each at a time ---- */

/* Room for so many lanes, 2 or more; what was in them is lost. */
enum mgpt_status mgpt_passes_widen(struct mgpt_passes *passes, int64_t lanes,
                                   struct mgpt_error *error);
/* The first n positions that mgpt_passes_decode left in its cache become those of a lane. */
enum mgpt_status mgpt_passes_keep(struct mgpt_passes *passes, int64_t lane, int64_t n,
                                  struct mgpt_error *error);
/* MGPT_MODE_DECODE: an id for each lane, all at `position`, after the ones before. tape->logits has
 * a row for each. */
enum mgpt_status mgpt_passes_decode_lanes(struct mgpt_passes *passes, const int32_t *ids,
                                          int64_t position, struct mgpt_tape **tape,
                                          struct mgpt_error *error);

#endif
