/* The run's one stream of random numbers: MT19937 (Matsumoto & Nishimura 1998) with the semantics
 * of CPython's `random` (Lib/random.py, Modules/_randommodule.c), so that a run can be held against
 * a Python program draw by draw. */
#ifndef MGPT_BASE_RNG_H
#define MGPT_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

#include <microgpt/plugin.h>

#define MGPT_RNG_WORDS 624

/* All of its state: what a checkpoint keeps. */
struct mgpt_rng {
    uint32_t words[MGPT_RNG_WORDS];
    uint32_t index;     /* of the next word; MGPT_RNG_WORDS: make new ones first */
    uint32_t has_gauss; /* gauss makes its values in pairs: the second one waits here */
    double gauss;
};

void mgpt_rng_seed(struct mgpt_rng *rng, uint64_t seed);   /* random.seed(seed) */
uint32_t mgpt_rng_u32(struct mgpt_rng *rng);               /* getrandbits(32) */
uint64_t mgpt_rng_bits(struct mgpt_rng *rng, unsigned k);  /* getrandbits(k), 1 <= k <= 64 */
uint64_t mgpt_rng_below(struct mgpt_rng *rng, uint64_t n); /* randrange(n), n >= 1 */
double mgpt_rng_uniform(struct mgpt_rng *rng);             /* random(): [0, 1), 53 bits */
double mgpt_rng_gauss(struct mgpt_rng *rng, double mu, double sigma); /* gauss(mu, sigma) */

/* Its draws as modules get them; lives as long as rng. */
struct mgpt_stream mgpt_rng_stream(struct mgpt_rng *rng);

#endif
