/* Draws inside steps: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as
 * easy as 1, 2, 3"). A draw is a pure function of what it is for, so every backend, thread count
 * and split into micro-batches sees the same ones, and there is no state to save. [any] */
#ifndef MICROGPT_RANDOM_H
#define MICROGPT_RANDOM_H

#include <stdint.h>

#if defined __CUDACC__
#define MGPT_INLINE static __host__ __device__ inline
#else
#define MGPT_INLINE static inline
#endif

/* What a draw is for. Append only. */
enum mgpt_purpose {
    MGPT_DRAW_CROP = 1,       /* where a training window starts */
    MGPT_DRAW_EVAL_CROP = 2,  /* where a window of an evaluation starts */
    MGPT_DRAW_EMBEDDING = 3,  /* dropout, after the embedding */
    MGPT_DRAW_ATTENTION = 4,  /* of attention's probabilities */
    MGPT_DRAW_PROJECTION = 5, /* after attention's projection */
    MGPT_DRAW_MLP = 6         /* after the mlp's second matrix */
};

struct mgpt_philox {
    uint32_t v[4];
};

/* Ten rounds on a counter of four words with a key of two. */
MGPT_INLINE struct mgpt_philox mgpt_philox4x32(struct mgpt_philox c, uint32_t key0, uint32_t key1)
{
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c.v[0], b = (uint64_t)0xCD9E8D57u * c.v[2];
        struct mgpt_philox next;
        next.v[0] = (uint32_t)(b >> 32) ^ c.v[1] ^ key0;
        next.v[1] = (uint32_t)b;
        next.v[2] = (uint32_t)(a >> 32) ^ c.v[3] ^ key1;
        next.v[3] = (uint32_t)a;
        c = next;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return c;
}

/* The block of four draws that holds elements 4 block .. 4 block + 3 of the step's logical tensor:
 * key = seed, counter = (block low, block high, step, purpose << 16 | layer). */
MGPT_INLINE struct mgpt_philox mgpt_draw_block(uint64_t seed, uint32_t step, uint32_t purpose,
                                               uint32_t layer, uint64_t block)
{
    struct mgpt_philox c;
    c.v[0] = (uint32_t)block;
    c.v[1] = (uint32_t)(block >> 32);
    c.v[2] = step;
    c.v[3] = purpose << 16 | layer;
    return mgpt_philox4x32(c, (uint32_t)seed, (uint32_t)(seed >> 32));
}

/* The draw of element i: lane i & 3 of block i >> 2. */
MGPT_INLINE uint32_t mgpt_draw_u32(uint64_t seed, uint32_t step, uint32_t purpose, uint32_t layer,
                                   uint64_t i)
{
    return mgpt_draw_block(seed, step, purpose, layer, i >> 2).v[i & 3];
}

/* Dropout keeps an element when its draw is at least rate * 2^32; 0 <= rate < 1. */
MGPT_INLINE int mgpt_keep(uint32_t draw, double rate)
{
    return (double)draw >= rate * 4294967296.0;
}

/* A whole number in [0, n), n >= 1, from element i: floor(u n / 2^64), u made of the first two
 * lanes of block i (so the bias is below n / 2^64). */
MGPT_INLINE uint64_t mgpt_draw_below(uint64_t seed, uint32_t step, uint32_t purpose, uint32_t layer,
                                     uint64_t i, uint64_t n)
{
    struct mgpt_philox d = mgpt_draw_block(seed, step, purpose, layer, i);
    uint64_t low = (uint64_t)d.v[0] * (n & 0xffffffffu),
             mid0 = (uint64_t)d.v[1] * (n & 0xffffffffu);
    uint64_t mid1 = (uint64_t)d.v[0] * (n >> 32), high = (uint64_t)d.v[1] * (n >> 32);
    uint64_t carry = (low >> 32) + (mid0 & 0xffffffffu) + (mid1 & 0xffffffffu);
    return high + (mid0 >> 32) + (mid1 >> 32) + (carry >> 32);
}

#endif
