/* Ops with data to run them on: odd shapes, random shapes, every variant and every alias that is
 * allowed. */
#ifndef MGPT_CHECK_OP_CASES_H
#define MGPT_CHECK_OP_CASES_H

#include "ref/ref.h"

struct mgpt_op_case {
    struct mgpt_op op;                               /* its tensors have no buffers */
    void *in[MGPT_OP_MAX_IN], *out[MGPT_OP_MAX_OUT]; /* data of the slots, NULL where empty */
    int alias[MGPT_OP_MAX_OUT]; /* slot of the input that the output shares, or -1 */
    char label[160];
};

#define OP_CASE_LARGE (-1) /* index of a case worth many threads */
#define OP_CASE_SHAPES 12  /* every variant comes in so many, the smallest first */

/* Cases 0..count-1 of an op. The same arguments give the same case. */
int mgpt_op_case_count(uint32_t code);
void mgpt_op_case_make(struct mgpt_op_case *c, uint32_t code, int index, uint32_t dtype,
                       uint64_t seed);
/* The same values in another float format; 0: in their own. */
void mgpt_op_case_convert(const struct mgpt_op_case *from, uint32_t dtype, struct mgpt_op_case *to);
void mgpt_op_case_finish(struct mgpt_op_case *c);
/* Fails the test unless the outputs of `got` are close to those of `want`: within some units in the
 * last place of `dtype` (0: of their own formats) of the largest value, or of 1 if that is
 * larger. */
void mgpt_op_case_compare(const struct mgpt_op_case *want, const struct mgpt_op_case *got,
                          uint32_t dtype);

/* Random values for tests: SplitMix64 (Steele, Lea, Flood 2014). */
uint64_t mgpt_op_case_random(uint64_t *state);
double mgpt_op_case_uniform(uint64_t *state, double low, double high);

#endif
