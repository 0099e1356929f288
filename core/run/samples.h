/* Samples, as many as are asked for: one after the other from the session's stream or, with
 * [generate] batch above 1, so many in lockstep, each from a stream of its own. */
#ifndef MGPT_RUN_SAMPLES_H
#define MGPT_RUN_SAMPLES_H

#include "run/generate.h"

/* Called with each complete sample, the first one being 1, in their order. Anything but MGPT_OK
 * stops. */
typedef enum mgpt_status (*mgpt_take)(void *context, uint64_t number,
                                      const struct mgpt_string *text, struct mgpt_error *error);

/* Samples 1..count after the n ids of a prompt.
 *
 * In lockstep sample i draws from a stream that is a function of [train] seed and i (base/draws.h),
 * so neither the batch nor other samples matter to it. Its text is another one than batch = 1
 * gives. A sample that has ended leaves its row idle until all of its batch have: rows have one
 * position in common. */
enum mgpt_status mgpt_samples_make(struct mgpt_generator *generator, const int32_t *prompt,
                                   size_t n, uint64_t count, mgpt_take take, void *context,
                                   struct mgpt_error *error);

#endif
