/* The reference: every op in plain C, computed in double from and to any storage format. The
 * definition of correct. */
#ifndef MGPT_REF_REF_H
#define MGPT_REF_REF_H

#include <microgpt/backend.h>

/* Are the slots, formats and shapes of the op as microgpt/backend.h says? MGPT_INVALID with what is
 * wrong. [any] */
enum mgpt_status mgpt_op_check(const struct mgpt_op *op, struct mgpt_error *error);
const char *mgpt_op_name(uint32_t code); /* "linear_backward" */

/* Runs the op on host memory: in[i], out[i] are the data of the slots, NULL where a slot is empty.
 * [any] */
enum mgpt_status mgpt_ref_run(const struct mgpt_op *op, const void *const *in, void *const *out,
                              struct mgpt_error *error);

#endif
