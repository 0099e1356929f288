/* When a run will end, by the clock of its events. */
#ifndef CONSOLE_PACE_H
#define CONSOLE_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* Zero-initialise, but for the steps completed before, in `step` and `begun`. Steps come in blocks
 * whose events carry one time. Between two blocks there may be a pause: a validation, a sample, a
 * checkpoint. */
struct console_pace {
    uint64_t begun;           /* steps completed before */
    uint64_t step, last_step; /* the last of the block that arrives, of the one before */
    double seconds, last_seconds;
    double steps, stepping; /* of late, without pauses: how many took how long */
    double pauses;          /* seconds of them all... */
    uint64_t paused_at;     /* ...up to this step; 0: none to go by */
    bool paused;            /* before the block that arrives */
};

void console_pace_step(struct console_pace *pace, uint64_t step, double seconds);
void console_pace_pause(struct console_pace *pace);
/* Seconds to step `total`, or NAN while nothing is known. Pauses are taken to go on as they were:
 * those that a run has not met yet are missing. */
double console_pace_left(const struct console_pace *pace, uint64_t total);

#endif
