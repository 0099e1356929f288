/* A stream of draws for each of many samples, a pure function of a seed and the sample's number. */
#ifndef MGPT_BASE_DRAWS_H
#define MGPT_BASE_DRAWS_H

#include <stdint.h>

#include <microgpt/plugin.h>

/* Draw k of sample i is block i 2^32 + k of MGPT_DRAW_SAMPLE at step 0: see microgpt/random.h. */
struct mgpt_draws {
    uint64_t seed;
    uint32_t number, next;
};

/* Begins again; `draws` stays where it is while the stream is used. A uniform number is made of 27
 * and 26 bits of a block's first two words, as CPython makes its own; below(n) is mgpt_draw_below;
 * gauss takes two draws. */
struct mgpt_stream mgpt_draws_stream(struct mgpt_draws *draws, uint64_t seed, uint32_t number);

#endif
