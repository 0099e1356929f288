/* How long the rest of a run will take, by what it took so far. */
#ifndef MGPT_RUN_TIME_LEFT_H
#define MGPT_RUN_TIME_LEFT_H

#include "run/validation.h"

/* Zero-initialise. */
struct mgpt_spent {
    uint64_t steps;              /* made since the run began or went on */
    double stepping, validating; /* seconds of all of them; of the last validation, 0: none yet */
};

/* Seconds from `step` to the end: steps at the pace of those made (1 or more), validations at that
 * of the last. Samples and checkpoints are not counted, nor validations when none was made yet.
 * [any] */
double mgpt_time_left(const struct mgpt_spent *spent, const struct mgpt_validation *validation,
                      uint64_t step);
/* The same in words: "90 steps to go take about 12 min, at the pace of the first 10". */
void mgpt_time_left_say(const struct mgpt_spent *spent, const struct mgpt_validation *validation,
                        uint64_t step, struct mgpt_string *out);

#endif
