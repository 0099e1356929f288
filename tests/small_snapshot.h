/* A small snapshot whose every value follows from its step, so that a loaded one can be judged. */
#ifndef TESTS_SMALL_SNAPSHOT_H
#define TESTS_SMALL_SNAPSHOT_H

#include <stdbool.h>
#include <string.h>

#include "run/checkpoint.h"

struct small {
    float wte[27 * 16], fc[64 * 16];
    uint64_t rng[3];
    double clock;
    struct mgpt_blob model[2], state[2];
    struct mgpt_snapshot snapshot;
};

static inline void small_fill(struct small *s, uint64_t step)
{
    for (size_t i = 0; i < 27 * 16; i++)
        s->wte[i] = (float)step + (float)i / 512;
    for (size_t i = 0; i < 64 * 16; i++)
        s->fc[i] = (float)step - (float)i / 512;
    for (size_t i = 0; i < 3; i++)
        s->rng[i] = step * 6364136223846793005u + i;
    s->clock = (double)step / 3;
}

/* `s` must stay where it is: the blobs point into it. */
static inline struct mgpt_snapshot *small_init(struct small *s, uint64_t step)
{
    memset(s, 0, sizeof *s);
    small_fill(s, step);
    s->model[0] = (struct mgpt_blob){"wte.weight", MGPT_F32, 2, {27, 16}, s->wte};
    s->model[1] = (struct mgpt_blob){"h.0.mlp.fc.weight", MGPT_F32, 2, {64, 16}, s->fc};
    s->state[0] = (struct mgpt_blob){"rng", MGPT_I64, 1, {3}, s->rng};
    s->state[1] = (struct mgpt_blob){"clock", MGPT_F64, 0, {0}, &s->clock};
    s->snapshot = (struct mgpt_snapshot){
        step, s->model, s->state, 2, 2, "{\"layers\": 1}\n", "{\"model\": {}}\n"};
    return &s->snapshot;
}

/* Is what was loaded all of step `step`? */
static inline bool small_is(const struct small *s, uint64_t step)
{
    static struct small expected;
    small_init(&expected, step);
    return s->snapshot.step == step && !memcmp(s->wte, expected.wte, sizeof s->wte) &&
           !memcmp(s->fc, expected.fc, sizeof s->fc) &&
           !memcmp(s->rng, expected.rng, sizeof s->rng) && s->clock == expected.clock;
}

#endif
