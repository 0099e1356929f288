/* A tape: the ops of one pass over one shape, recorded once, then run step after step.
 *
 * forward.c and backward.c are written as if they computed; they record. The tensors of a pass are
 * cut from one buffer of the device, so a tape that was only measured (no machine) tells how large
 * it has to be. */
#ifndef MGPT_MODEL_TAPE_H
#define MGPT_MODEL_TAPE_H

#include <microgpt/step.h>

#include "model/machine.h"

/* What all passes of a model share. */
struct mgpt_net {
    struct mgpt_machine *machine;
    const struct mgpt_model *model;
    const struct mgpt_param *params;
    uint32_t n_params;
    const struct mgpt_precision_plan *precision;
    struct mgpt_tensor state; /* struct mgpt_step_state */
    uint64_t seed;            /* of dropout */
};

enum mgpt_mode {
    MGPT_MODE_TRAIN = 0,  /* forward, loss, backward */
    MGPT_MODE_LOSS = 1,   /* forward, loss */
    MGPT_MODE_LOGITS = 2, /* forward */
    MGPT_MODE_DECODE = 3 /* forward with a cache: one sequence, logits of the last row alone; or one
                             token of each of many */
};

/* Zero-initialise; then set net, mode, batch (B), time (T) and, to run it, buffer. */
struct mgpt_tape {
    const struct mgpt_net *net;
    enum mgpt_mode mode;
    int64_t batch, time;
    int64_t position;           /* DECODE: of the first row, set before each run; 0 unless T is 1 */
    struct mgpt_tensor cache;   /* DECODE: keys and values, (layers,2,B,S,KV*D), S the context */
    struct mgpt_buffer *buffer; /* of the activations; NULL: measure only */
    uint32_t lacks;             /* measuring: the first op that the device has not, 0: none */
    uint64_t used, peak;        /* bytes of it */
    struct mgpt_call *calls;
    uint32_t n, capacity;
    int64_t rows;                    /* of a sequence in new tensors: T; 1 where DECODE narrows */
    struct mgpt_tensor ids, targets; /* (B,T) I32 */
    struct mgpt_tensor logits;       /* (B,T,V); DECODE: (B,1,V) */
    enum mgpt_status status;         /* the first thing that went wrong while recording */
    struct mgpt_error error;
};

/* Records the pass of its mode. */
enum mgpt_status mgpt_tape_record(struct mgpt_tape *tape, struct mgpt_error *error);
/* Runs it. `first` is the number of sequences of the step before this micro-batch (for draws). */
enum mgpt_status mgpt_tape_run(struct mgpt_tape *tape, int64_t first, struct mgpt_error *error);
void mgpt_tape_finish(struct mgpt_tape *tape);

/* ---- for forward.c and backward.c ---- */

/* A new tensor of the pass. */
struct mgpt_tensor mgpt_tape_tensor(struct mgpt_tape *tape, uint32_t dtype, uint32_t rank,
                                    const int64_t *shape);
/* An op with the attributes that the model gives to every op. */
struct mgpt_op mgpt_tape_op(const struct mgpt_tape *tape, uint32_t code);
/* Appends an op; in parts when the device lacks the fused one. */
void mgpt_tape_add(struct mgpt_tape *tape, const struct mgpt_op *op);
/* The parameter "NAME" or, with layer >= 0, "h.LAYER.NAME"; NULL when the model has none. */
const struct mgpt_param *mgpt_tape_param(const struct mgpt_tape *tape, int layer, const char *name);

#endif
