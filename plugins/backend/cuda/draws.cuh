/* Dropout's draws on the device: those of microgpt/random.h. */
#ifndef MGPT_CUDA_DRAWS_CUH
#define MGPT_CUDA_DRAWS_CUH

#include <math.h>

#include <microgpt/random.h>

#include "formats.cuh"

/* What all draws of an op share. */
struct draws {
    const struct mgpt_step_state *state; /* NULL: no dropout */
    uint64_t seed, least;                /* a draw of at least `least` keeps its element */
    uint32_t purpose, layer;
    float factor; /* of what is kept: 1 / (1 - rate) */
};

static inline struct draws draws_of(const struct mgpt_op *op, const struct mgpt_tensor *state)
{
    struct draws d = {};

    if (op->rate > 0) {
        d.state = cuda_state(state);
        d.seed = op->seed;
        d.least = (uint64_t)ceil(op->rate * 4294967296.0); /* draw >= rate 2^32, in integers */
        d.purpose = op->purpose;
        d.layer = op->layer;
        d.factor = (float)(1 / (1 - op->rate));
    }
    return d;
}

/* The four draws of elements 4 block .. 4 block + 3. */
static __device__ inline struct mgpt_philox draw_block(const struct draws &d, uint64_t block)
{
    return mgpt_draw_block(d.seed, (uint32_t)d.state->step, d.purpose, d.layer, block);
}

#endif
