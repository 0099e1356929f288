/* Time that passes. */
#ifndef MGPT_BASE_CLOCK_H
#define MGPT_BASE_CLOCK_H

/* Seconds since some moment, the same for all of the process; they only grow. [any] */
double mgpt_seconds(void);

#endif
