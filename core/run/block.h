/* A block of training steps: the inputs of up to MGPT_STEP_RING of them, made ready together. */
#ifndef MGPT_RUN_BLOCK_H
#define MGPT_RUN_BLOCK_H

#include "run/session.h"

/* Zero-initialise. */
struct mgpt_block {
    uint32_t capacity; /* steps it can hold */
    uint32_t n;
    struct mgpt_step_input inputs[MGPT_STEP_RING];
    double lr[MGPT_STEP_RING];
    uint64_t targets; /* of all its steps */
    struct mgpt_batch *batches;
    int32_t *cells; /* ids and targets of all batches */
    /* Settings, looked up once: with small models a step takes a few microseconds. */
    uint64_t total;
    uint32_t micro;
    double base, decay;
    bool has[2]; /* parameters of the group that does not decay, of the one that does? */
};

/* Bytes of ids and targets that a block of such batches holds. */
uint64_t mgpt_block_bytes(uint32_t rows, uint32_t columns, uint32_t micro_batches);

enum mgpt_status mgpt_block_open(struct mgpt_block *block, const struct mgpt_session *s,
                                 struct mgpt_error *error);
void mgpt_block_close(struct mgpt_block *block);

/* The rule's scalars of a step for both groups of parameters. */
void mgpt_block_scalars(const struct mgpt_session *s, uint64_t step, double lr,
                        struct mgpt_step_input *input);
/* Batches, learning rates and scalars of steps `first` .. first + n - 1; n <= capacity. */
enum mgpt_status mgpt_block_fill(struct mgpt_block *block, const struct mgpt_session *s,
                                 uint64_t first, uint32_t n, struct mgpt_error *error);

#endif
