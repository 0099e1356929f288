/* What check_copies and check_copied_graphs share: products of a weight on backend cuda_emu, and
 * what they would be on a device that keeps no copies. */
#ifndef MGPT_TESTS_COPIES_H
#define MGPT_TESTS_COPIES_H

#include <microgpt/cuda_native.h>

#include "counters.h"
#include "kept.h"

#define BYTES ((N * M + N * K) * sizeof(float)) /* of results */

/* What the backend tells of its copies. */
struct told {
    uint64_t bytes, casts, products;
};
struct told copies_told(const struct lab *lab);

static inline const struct mgpt_cuda_native *native(const struct lab *lab)
{
    return lab->d.api->query(lab->d.device, MGPT_CUDA_NATIVE);
}

/* A lab whose x are numbers of 16 bits: as BF16 around 0.01, as F16 around 1. */
struct lab copies_open(const char *key, const char *value);

/* y = x w^T and dx = dy w in that format, with the weight at so many floats of its buffer, into
 * lab->out; in BF16, with the first one. */
void copies_enqueue_at(const struct lab *lab, uint32_t format, size_t at);
void copies_enqueue(const struct lab *lab);
/* What lies in lab->out; that after copies_enqueue; and what a device makes of the weights that has
 * never seen them and keeps no copies (malloc). */
float *copies_results(const struct lab *lab);
float *copies_products(const struct lab *lab);
float *copies_fresh_products(const struct lab *lab, uint32_t format, size_t at);

/* What is in lab->out, or new products, are those of the weights as they are now. */
void copies_assert_results(const struct lab *lab, const char *what);
void copies_assert_fresh(const struct lab *lab, const char *what);
/* The copy is there, and is taken again without a cast. */
void copies_remember(const struct lab *lab);

void copies_write_by(const char *name, const struct lab *lab);
/* An update of both weights in eight calls, their scalars on the host or, where `rates` is not
 * NULL, on the device. */
void copies_update(const struct lab *lab, const double *rates);

#endif
