/* A device with one weight: what check_kept, check_copies, check_copied_graphs and their writers
 * share. */
#ifndef MGPT_TESTS_KEPT_H
#define MGPT_TESTS_KEPT_H

#include "check/device.h"
#include "testing.h"

#define M 512 /* of the weight (M,K) */
#define K 128
#define N 128          /* rows of x */
#define WEIGHT (M * K) /* floats */
#define SOURCES 4      /* arrays of WEIGHT floats to compute from */

/* A device with a weight w at the start of a buffer, which has room for another behind it; and
 * fixed inputs of everything else. */
struct lab {
    struct mgpt_check_device d;
    struct mgpt_buffer *w, *x, *out, *sources, *ids, *state;
};

/* On that backend, with `key` = `value` when key is not NULL. (kept_lab.c) */
struct lab kept_open(const char *backend, const char *key, const char *value);
void kept_close(struct lab *lab);
/* Values around 0 (malloc); a buffer of them; one of `bytes` from data, undefined when that is
 * NULL. */
float *kept_noise(size_t n, uint32_t seed);
struct mgpt_buffer *kept_noise_of(const struct lab *lab, size_t floats, uint32_t seed);
struct mgpt_buffer *kept_buffer_of(const struct lab *lab, size_t bytes, const void *data);

static inline struct mgpt_tensor tensor(struct mgpt_buffer *buffer, size_t at, uint32_t rank,
                                        int64_t a, int64_t b, int64_t c, int64_t d)
{
    return (struct mgpt_tensor){.buffer = buffer,
                                .offset = at * sizeof(float),
                                .dtype = MGPT_F32,
                                .rank = rank,
                                .shape = {a, b, c, d}};
}

static inline struct mgpt_tensor matrix(struct mgpt_buffer *buffer, size_t at, int64_t rows,
                                        int64_t cols)
{
    return tensor(buffer, at, 2, rows, cols, 0, 0);
}

static inline void run(const struct lab *lab, const struct mgpt_op *op)
{
    ck_assert(mgpt_check_device_has(&lab->d, op, MGPT_F32));
    ck_ok(lab->d.api->ops[op->code](lab->d.device, op, error));
}

/* A way to write the weight, or part of it. */
struct writer {
    const char *name;
    void (*write)(const struct lab *lab);
};

extern const struct writer kept_writers[];
extern const int n_kept_writers;

#endif
