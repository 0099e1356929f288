/* The run's one stream of random numbers: MT19937 with the semantics of CPython's `random`. */
#include <config.h>

#include <math.h>

#include "base/rng.h"

enum { N = MGPT_RNG_WORDS, M = 397 };

/* The generator's own seeding from one word (init_genrand of the 2002 reference). */
static void fill(struct mgpt_rng *rng, uint32_t word)
{
    rng->words[0] = word;
    for (uint32_t i = 1; i < N; i++)
        rng->words[i] = 1812433253u * (rng->words[i - 1] ^ (rng->words[i - 1] >> 30)) + i;
}

/* The bits that word i - 1 lends to word i while a key is mixed in. */
static uint32_t spread(const struct mgpt_rng *rng, uint32_t i, uint32_t factor)
{
    return rng->words[i] ^ ((rng->words[i - 1] ^ (rng->words[i - 1] >> 30)) * factor);
}

/* init_by_array of the seed's 32-bit words, low one first; 0 has one word. */
void mgpt_rng_seed(struct mgpt_rng *rng, uint64_t seed)
{
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)}, i = 1, j = 0;
    uint32_t length = key[1] ? 2 : 1;

    fill(rng, 19650218u);
    for (int k = N; k; k--) {
        rng->words[i] = spread(rng, i, 1664525u) + key[j] + j;
        j = (j + 1) % length;
        if (++i == N) {
            rng->words[0] = rng->words[N - 1];
            i = 1;
        }
    }
    for (int k = N - 1; k; k--) {
        rng->words[i] = spread(rng, i, 1566083941u) - i;
        if (++i == N) {
            rng->words[0] = rng->words[N - 1];
            i = 1;
        }
    }
    rng->words[0] = 0x80000000u;
    rng->index = N;
    rng->has_gauss = 0;
    rng->gauss = 0;
}

static void twist(struct mgpt_rng *rng)
{
    uint32_t *w = rng->words;

    for (uint32_t i = 0; i < N; i++) {
        uint32_t y = (w[i] & 0x80000000u) | (w[(i + 1) % N] & 0x7fffffffu);
        w[i] = w[(i + M) % N] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    rng->index = 0;
}

uint32_t mgpt_rng_u32(struct mgpt_rng *rng)
{
    if (rng->index >= N)
        twist(rng);
    uint32_t y = rng->words[rng->index++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

/* Up to 32 bits are the upper ones of a word; more take a second word for the upper part. */
uint64_t mgpt_rng_bits(struct mgpt_rng *rng, unsigned k)
{
    if (k <= 32)
        return mgpt_rng_u32(rng) >> (32 - k);
    uint64_t low = mgpt_rng_u32(rng);
    return low | (uint64_t)(mgpt_rng_u32(rng) >> (64 - k)) << 32;
}

/* As many bits as n has, drawn again while they make n or more. */
uint64_t mgpt_rng_below(struct mgpt_rng *rng, uint64_t n)
{
    unsigned k = 64 - (unsigned)__builtin_clzll(n);
    uint64_t value;

    do
        value = mgpt_rng_bits(rng, k);
    while (value >= n);
    return value;
}

double mgpt_rng_uniform(struct mgpt_rng *rng)
{
    uint32_t a = mgpt_rng_u32(rng) >> 5, b = mgpt_rng_u32(rng) >> 6;

    return (a * 67108864.0 + b) / 9007199254740992.0;
}

/* Box & Muller 1958, both values used. */
double mgpt_rng_gauss(struct mgpt_rng *rng, double mu, double sigma)
{
    double z = rng->gauss;

    if (!rng->has_gauss) {
        double angle = mgpt_rng_uniform(rng) * (2.0 * M_PI);
        double radius = sqrt(-2.0 * log(1.0 - mgpt_rng_uniform(rng)));
        z = cos(angle) * radius;
        rng->gauss = sin(angle) * radius;
    }
    rng->has_gauss = !rng->has_gauss;
    return mu + z * sigma;
}

static double stream_uniform(void *rng)
{
    return mgpt_rng_uniform(rng);
}

static uint64_t stream_below(void *rng, uint64_t n)
{
    return mgpt_rng_below(rng, n);
}

static double stream_gauss(void *rng, double mu, double sigma)
{
    return mgpt_rng_gauss(rng, mu, sigma);
}

struct mgpt_stream mgpt_rng_stream(struct mgpt_rng *rng)
{
    return (struct mgpt_stream){rng, stream_uniform, stream_below, stream_gauss};
}
